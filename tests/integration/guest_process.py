#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# vswitch-guest by itself: bad images, guests that crash or run garbage, how it
# ends and what it leaves, its sockets, its sandbox as seen from outside. The
# guests are images of a few instructions, made here. No network, no daemon.
import json
import os
import random
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

BUILD = os.environ.get("BUILD", "build")
PROGRAM = os.path.abspath(os.path.join(BUILD, "vswitch-guest"))
PATIENCE = 30   # seconds, of which a host that does nothing else needs few
WORK = tempfile.mkdtemp(prefix="vswitch-guest-test.")
failed = []


def check(name, good, detail=""):
    print(("ok   " if good else "FAIL ") + name + ("" if good else f": {detail}"))
    if not good:
        failed.append(name)


def image(code):
    """A multiboot ELF file with `code` at 1 MiB."""
    multiboot = struct.pack("<III", 0x1BADB002, 0, -0x1BADB002 & 0xFFFFFFFF)
    header = b"\x7fELF\1\1\1" + bytes(9) + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, 0x100000, 52, 0, 0, 52, 32, 1, 0, 0, 0)
    segment = struct.pack("<IIIIIIII", 1, 96, 0x100000, 0x100000, len(code), len(code), 7, 4096)
    return (header + segment + multiboot).ljust(96, b"\0") + code


def write(name, data):
    path = os.path.join(WORK, name)
    with open(path, "wb") as f:
        f.write(data)
    return path


def command(kernel, *options, name="g"):
    return [PROGRAM, "--name", name, "--run-dir", os.path.join(WORK, name), "--memory", "64", "--kernel", kernel, *options]


def run(kernel, *options, timeout=30):
    """Exit code and everything said."""
    p = subprocess.run(command(kernel, *options), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, timeout=timeout)
    return p.returncode, p.stdout.decode(errors="replace")


def refused(name, code, says, kernel, *options):
    got, text = run(kernel, *options)
    check(name, got == code and says in text, f"code {got}, {text!r}")


def start(kernel, *options, name="g", env=None):
    p = subprocess.Popen(command(kernel, *options, name=name), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                         stderr=subprocess.PIPE, env={**os.environ, **(env or {})})
    for _ in range(600):
        try:
            if p.poll() is None and ask(b"stats\n", name):
                return p
        except (FileNotFoundError, ConnectionRefusedError):
            pass
        time.sleep(0.05)
    raise RuntimeError("the guest did not start")


def connect(name, which):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(PATIENCE)
    s.connect(os.path.join(WORK, name, which))
    return s


def ask(line, name="g"):
    with connect(name, "control.sock") as s:
        s.sendall(line)
        answer = b""
        while not answer.endswith(b"\n"):
            part = s.recv(65536)
            if not part:
                break
            answer += part
        return json.loads(answer)


def until(fits, name="g"):
    """The first counters that fit; the last ones if none do."""
    end = time.monotonic() + PATIENCE
    while True:
        stats = ask(b"stats\n", name)
        if fits(stats) or time.monotonic() > end:
            return stats
        time.sleep(0.05)


def lived(stats):
    return stats["time"]["cpu_ns"] + stats["time"]["idle_ns"]


def leftovers(name="g"):
    return sorted(os.listdir(os.path.join(WORK, name)))


def bad_images():
    random.seed(7)
    good = image(b"\xf4")
    refused("a missing kernel", 1, "No such file", os.path.join(WORK, "nothing"))
    refused("a folder as kernel", 1, "not a regular file", WORK)
    refused("an empty kernel", 1, "kernel", write("empty", b""))
    refused("noise as kernel", 1, "not a Linux bzImage", write("noise", random.randbytes(100000)))
    refused("a truncated ELF", 1, "truncated", write("short", good[:60] + good[84:96]))
    refused("a missing initrd", 1, "No such file", write("good", good), "--initrd", "/nonexistent")
    refused("a bad option", 2, "--memory", write("good", good), "--memory", "1")
    kernel = os.path.join(os.environ.get("CACHE", "cache"), "images", "vmlinuz")
    if os.path.exists(kernel):
        with open(kernel, "rb") as f:
            data = f.read()
        refused("a truncated bzImage", 1, "truncated", write("cut", data[:len(data) // 2]))
        big = os.path.join(WORK, "big")
        with open(big, "wb") as f:
            f.truncate(100 << 20)
        refused("an initrd larger than RAM", 1, "do not fit", kernel, "--initrd", big)
        broken = bytearray(data)
        for i in range(1000000, 1100000):
            broken[i] ^= 0x5A
        refused("a corrupt payload", 1, "corrupt", write("broken", bytes(broken)), "--unpack")
    check("nothing is left behind", leftovers() == [], leftovers())


def ends():
    code, text = run(write("triple", image(bytes.fromhex("0f0b"))))  # UD2 without an IDT
    check("a triple fault ends with 3 and the state", code == 3 and "eip=" in text and "00100000" in text, f"{code} {text}")
    code, text = run(write("halt", image(bytes.fromhex("faf4"))))
    check("CLI, HLT ends with 0", code == 0, f"{code} {text}")
    code, text = run(write("kbd", image(bytes.fromhex("b0fee664ebfe"))))
    check("the keyboard controller's reset ends with 4", code == 4, f"{code} {text}")
    code, text = run(write("exit", image(bytes.fromhex("b029e6f4ebfe"))), "--debug-exit")
    check("the debug port's byte is the exit code", code == 41, f"{code} {text}")
    code, text = run(write("print", image(bytes.fromhex("66baf803b06feeb06beefaf4"))), "--console", "stdio")
    check("the console reaches standard output", "ok" in text.replace("sandbox closed", ""), text)
    check("nothing is left behind", leftovers() == [], leftovers())


def garbage():
    random.seed(11)
    codes = set()
    for i in range(30):
        p = subprocess.Popen(command(write("garbage", image(random.randbytes(4096)))), stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            codes.add(p.wait(timeout=1))
        except subprocess.TimeoutExpired:
            p.terminate()
            codes.add(p.wait(timeout=10))
    check("garbage never kills the process", codes <= {0, 3, 4}, codes)


# Enables the power button's event (port 0x602), waits for it (0x600), and enters S5 (0x604); or never looks at it.
BUTTON = image(bytes.fromhex("66ba0206" "66b80001" "66ef" "b200" "66ed" "f6c401" "74f9" "b204" "66b80020" "66ef" "ebfe"))
DEAF = image(bytes.fromhex("66ba0206" "66b80001" "66ef" "ebfe"))


def in_its_loop(stats):
    """A guest of these has told the chip that it wants the button's event."""
    return any(d["name"] == "acpi" and d["writes"] > 0 for d in stats["devices"])


def power_button():
    """What a guest with ACPI says before it ends when stopped, and how long that takes."""
    for name, code, ask_by, says, seconds, least in (
            ("stop presses the button of a guest that listens", BUTTON, "stop", b"powered off", PATIENCE, 0),
            ("SIGTERM presses it too", BUTTON, "term", b"powered off", PATIENCE, 0),
            ("a guest that ignores the button ends when its time is over", DEAF, "stop", b"stopped by request", 2, 1.9)):
        p = start(write("button", code), "--stop-timeout", str(seconds))
        until(in_its_loop)
        begin = time.monotonic()
        if ask_by == "stop":
            ask(b"stop\n")
        else:
            p.send_signal(signal.SIGTERM)
        _, text = p.communicate(timeout=2 * PATIENCE)
        took = time.monotonic() - begin
        check(name, p.returncode == 0 and says in text and b"pressed" in text and least <= took, f"{took} {text}")
    p = start(write("button", DEAF), "--stop-timeout", "0")
    until(in_its_loop)
    ask(b"stop\n")
    _, text = p.communicate(timeout=PATIENCE)
    check("without a time-out it is not asked", p.returncode == 0 and b"pressed" not in text, text)
    p = start(write("button", DEAF), "--stop-timeout", str(2 * PATIENCE))
    until(in_its_loop)
    ask(b"stop\n")
    ask(b"kill\n")
    check("kill does not wait for the button", p.wait(timeout=PATIENCE) == 137)


LOOP = image(bytes.fromhex("ebfe"))
# Prints what is typed: reads LSR until a byte waits, then sends it back.
ECHO = image(bytes.fromhex("66bafd03" "ec" "a801" "74fb" "b2f8" "ec" "ee" "b2fd" "ebf3"))


def outside():
    loop, echo = write("loop", LOOP), write("echo", ECHO)
    p = start(loop)
    stats = until(lambda s: s["engine"]["blocks_translated"] > 0)
    check("stats of a guest that never pauses", stats["name"] == "g" and stats["engine"]["blocks_translated"] > 0, stats)
    check("an unknown command", "error" in ask(b"dance\n"))
    second = subprocess.run(command(loop), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                            timeout=10)
    check("a second process of one name", second.returncode == 1 and b"running already" in second.stdout, second.stdout)
    with open(f"/proc/{p.pid}/status") as f:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
    check("no capability", int(status["CapEff"], 16) == 0 and int(status["CapPrm"], 16) == 0, status["CapEff"])
    check("no new privileges, a filter", status["NoNewPrivs"] == "1" and status["Seccomp"] == "2")
    with open(f"/proc/{p.pid}/maps") as f:
        both = [line for line in f if "w" in line.split()[1] and "x" in line.split()[1]]
    check("nothing is writable and executable", not both, both)
    check("a handful of descriptors", len(os.listdir(f"/proc/{p.pid}/fd")) < 20)
    check("stop is answered", ask(b"stop\n") == {"ok": True})
    check("stop ends it with 0", p.wait(timeout=PATIENCE) == 0)
    check("nothing is left behind", leftovers() == [], leftovers())

    p = start(loop)
    p.send_signal(signal.SIGTERM)
    check("SIGTERM ends a busy guest with 0", p.wait(timeout=PATIENCE) == 0 and leftovers() == [])
    p = start(write("sleep", image(bytes.fromhex("fbf4ebfc"))))
    time.sleep(0.2)
    p.send_signal(signal.SIGTERM)
    check("SIGTERM ends a sleeping guest with 0", p.wait(timeout=PATIENCE) == 0)

    p = start(echo)
    with connect("g", "console.sock") as a, connect("g", "console.sock") as b:
        a.sendall(b"hello")
        got = b""
        while len(got) < 5:
            got += b.recv(100)
        check("typed on one console, seen on the other", got == b"hello", got)
        a.sendall(b"x" * 5000)
        got = b""
        while len(got) < 5000:
            got += b.recv(10000)
        check("more than the UART holds arrives whole", got == b"x" * 5000)
    with connect("g", "console.sock") as late:
        got = b""
        while len(got) < 5005:
            got += late.recv(10000)
        check("a late client is shown what was", got == b"hello" + b"x" * 5000)
    check("kill ends it", ask(b"kill\n") == {"ok": True} and p.wait(timeout=PATIENCE) == 137)

    p = start(loop)
    p.kill()
    p.wait()
    p = start(loop)
    check("after kill -9 the next one takes over", p.poll() is None)
    p.terminate()
    p.wait(timeout=PATIENCE)
    check("and leaves nothing", leftovers() == [], leftovers())


def later(name="g"):
    """The counters when the guest has begun, and when it has gone on for a while."""
    before = until(lambda s: lived(s) > 30_000_000 and s["engine"]["blocks_translated"] > 0, name)
    return before, until(lambda s: lived(s) > lived(before) + 200_000_000, name)


def ran(p):
    p.kill()
    p.wait()


def counters():
    """Each kind of guest moves the counters that are about it, and not the others."""
    p = start(write("loop", LOOP))
    a, b = later()
    check("a busy guest is not idle", b["time"]["idle_ns"] == a["time"]["idle_ns"] and b["time"]["halts"] == 0, b["time"])
    check("and takes CPU time", b["time"]["cpu_ns"] > a["time"]["cpu_ns"], b["time"])
    check("its block took time to translate", b["engine"]["translate_ns"] > 0 and b["engine"]["code_bytes"] > 0, b["engine"])
    check("where the timer met it", b["time"]["samples_kernel"] > 0 and b["time"]["samples_user"] == 0, b["time"])
    ran(p)
    p = start(write("sleep", image(bytes.fromhex("fbf4ebfc"))))  # STI; HLT
    a, b = later()
    check("a sleeping guest idles", b["time"]["idle_ns"] > a["time"]["idle_ns"] and b["engine"]["call"]["hlt"] > 0, b)
    ran(p)
    p = start(write("echo", ECHO))
    a, b = later()
    reads = [next((d["reads"] for d in s["devices"] if d["name"] == "com1"), 0) for s in (a, b)]
    check("a guest that polls its UART reads ports", reads[1] > reads[0] > 0, b["devices"])
    ran(p)
    p = start(write("cpuid", image(bytes.fromhex("0fa2" "ebfc"))))
    a, b = later()
    check("instructions done in C are counted", b["engine"]["call"]["cpuid"] > a["engine"]["call"]["cpuid"] > 0, b["engine"])
    ran(p)
    p = start(write("patch", image(bytes.fromhex("fe0507001000" "b000" "ebf6"))))  # INC byte [its own immediate]
    a, b = later()
    check("a guest that patches its code invalidates blocks", b["engine"]["invalidations"] > a["engine"]["invalidations"] > 0
          and b["engine"]["blocks_translated"] > a["engine"]["blocks_translated"], b["engine"])
    check("by writes to a page with code", b["engine"]["slow"]["page"] > 0, b["engine"])
    ran(p)
    # MOV EAX, [1FFFFEh]; without a check it is an access like others
    p = start(write("cross", image(bytes.fromhex("a1feff1f00" "ebf9"))), env={"X86VM_NO_BARE": "1"})
    a, b = later()
    check("accesses in two pages are counted", b["engine"]["slow"]["crossing"] > a["engine"]["slow"]["crossing"] > 0, b["engine"])
    ran(p)


def main():
    try:
        bad_images()
        ends()
        garbage()
        outside()
        counters()
        power_button()
    finally:
        shutil.rmtree(WORK, ignore_errors=True)
    if failed:
        print("guest_process failed: " + ", ".join(failed))
    return 1 if failed else 0


sys.exit(main())
