#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Linux's selftests for x86 and QEMU's tests/tcg, built for i386 by build.sh: run in
Debian's guest on our engine, on this machine itself, and in the same guest under
QEMU TCG. What a program says and how it ends must be the same each time, but for
what tests/suites/expected.txt lists, and all of that must be there.

usage: suites.py SOURCES [quick] [again]
"quick": with this machine alone, and without what takes long; "again": what was
said last time.
"""
import base64
import gzip
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "integration"))
from lib_guest import BUILD, IMAGES, check, cpio, failed  # noqa: E402

OUT = os.path.join(BUILD, "suites")
CMDLINE = "console=ttyS0 quiet panic=-1 vs.mode=suites"
BEGIN, END = "suites: archive begins\n", "suites: archive ends"
PATIENCE = 60      # seconds for one program
RUN_MOST = 900     # for a whole run
MEMORY = "256"

# What differs from run to run: addresses the kernel chose, times, who of several threads came first.
ADDRESS = re.compile(r"\b(0x)*[bf]7[0-9a-f]{6}\b")
VARIES = {
    "signals": [(r"saw \d+ alarms from \d+", "saw alarms"), (r"(after: 200)\d signals", r"\1x signals")],
    "ldt_gdt": [(r"GDT (index|entry) \d+", "GDT entry")],
    "unwind_vdso": [(r"NR = \d+", "NR = process")],
    "test_vsyscall": [(r"time offsets: .*", "time offsets")],
}
THREADS = {"signals", "testthread"}
SLOW = {"test-i386-fprem"}


def read(path):
    with open(path, "rb") as f:
        return f.read()


def build(sources, quick):
    shutil.rmtree(OUT, ignore_errors=True)
    subprocess.run(["sh", os.path.join(HERE, "build.sh"), sources, OUT], check=True)
    for name in SLOW if quick else ():
        os.remove(os.path.join(OUT, "bin", name))


def initramfs():
    files = {"suites/bin/" + name: read(os.path.join(OUT, "bin", name)) for name in os.listdir(os.path.join(OUT, "bin"))}
    files["etc/vs.d/suites"] = read(os.path.join(HERE, "guest_run.sh"))
    path = os.path.join(OUT, "initrd")
    base = read(os.path.join(IMAGES, "initrd.gz"))
    with open(path, "wb") as f:
        f.write(base + bytes(-len(base) % 4) + gzip.compress(cpio(files), 1))
    return path


def run_native(folder, _):
    shutil.copytree(os.path.join(OUT, "bin"), os.path.join(folder, "bin"))
    subprocess.run(["busybox", "sh", os.path.join(HERE, "guest_run.sh"), folder, str(PATIENCE)], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=RUN_MOST)
    shutil.rmtree(os.path.join(folder, "bin"))


def run_guest(folder, command):
    p = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=RUN_MOST)
    text = p.stdout.decode(errors="replace").replace("\r", "")
    with open(os.path.join(folder, "console"), "w") as f:
        f.write(text)
    if BEGIN not in text or END not in text:
        raise RuntimeError("the guest did not come to its end: " + text[-500:])
    packed = base64.b64decode(text[text.index(BEGIN) + len(BEGIN):text.index(END)])
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for member in archive:
            if member.isfile() and re.fullmatch(r"out/[\w.-]+", member.name):
                target = os.path.join(folder, member.name)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                with open(target, "wb") as f:
                    f.write(archive.extractfile(member).read())


def run_ours(folder, initrd):
    with tempfile.TemporaryDirectory(prefix="vswitch-suites.") as run_dir:
        run_guest(folder, [os.path.join(BUILD, "vswitch-guest"), "--name", "suites", "--run-dir", os.path.join(run_dir, "run"),
                           "--memory", MEMORY, "--kernel", os.path.join(IMAGES, "vmlinuz"), "--initrd", initrd, "--unpack",
                           "--console", "stdio", "--append", CMDLINE])


def run_tcg(folder, initrd):
    run_guest(folder, ["qemu-system-i386", "-accel", "tcg", "-cpu", "n270,+sse4.1,+sse4.2,+popcnt", "-m", MEMORY, "-display", "none", "-serial",
                       "stdio", "-no-reboot", "-nic", "none", "-kernel", os.path.join(IMAGES, "vmlinuz"), "-initrd", initrd,
                       "-append", CMDLINE])


def result(who, name):
    """(status, lines) of a program, without what varies."""
    out = os.path.join(OUT, who, "out", name)
    if not os.path.exists(out):
        return "none", []
    text = ADDRESS.sub("ADDRESS", read(out).decode(errors="replace"))
    for pattern, instead in VARIES.get(name, []):
        text = re.sub(pattern, instead, text)
    lines = text.split("\n")
    status = read(out + ".status").decode().strip() if os.path.exists(out + ".status") else ""
    return status or "killed", sorted(lines) if name in THREADS else lines


def expectations():
    """{(program, who): (pattern, reason)} of expected.txt."""
    table = {}
    with open(os.path.join(HERE, "expected.txt")) as f:
        for line in f:
            if line.strip() and not line.startswith("#"):
                program, who, pattern, reason = line.split(None, 3)
                table[program, who] = (pattern, reason.strip())
    return table


def without(lines, pattern):
    return [line for line in lines if not re.match(pattern, line)]


def own_result(name, table):
    """Ours by itself: ends with 0 and reports no failure, or as the table says."""
    status, lines = result("ours", name)
    reports = status + ("_FAIL" if any("[FAIL]" in line for line in lines) else "")
    wanted, _ = table.pop((name, "ours"), ("0", ""))
    check(f"{name} ends as it should", reports == wanted, f"{reports}, not {wanted}: {lines[-6:]}")


def compare(name, who, table):
    ours, theirs = result("ours", name), result(who, name)
    pattern, reason = table.pop((name, who), (None, ""))
    differs = ours != theirs
    if pattern is None:
        first = next(((a, b) for a, b in zip(ours[1], theirs[1]) if a != b), "length")
        check(f"{name} as {who}", not differs, f"status {ours[0]}, {theirs[0]}; first difference {first}")
    elif not differs and pattern.startswith("?"):
        check(f"{name} as {who}", True)
    elif not differs:
        check(f"{name} as {who}", False, f"expected.txt lists a difference that is gone: {reason}")
    else:
        pattern = pattern.removeprefix("?")
        same = pattern == "*" or (ours[0], without(ours[1], pattern)) == (theirs[0], without(theirs[1], pattern))
        check(f"{name} as {who} ({reason})", same, f"differs in more than {pattern}")


def main():
    quick, again = "quick" in sys.argv[2:], "again" in sys.argv[2:]
    peers = ["native"] if quick else ["native", "tcg"]
    if not again:
        build(sys.argv[1], quick)
        initrd = initramfs()
        for who, run in (("ours", run_ours), ("native", run_native), ("tcg", run_tcg)):
            if who == "ours" or who in peers:
                os.makedirs(os.path.join(OUT, who))
                run(os.path.join(OUT, who), initrd)
    refused = read(os.path.join(OUT, "refused")).decode().split()
    check("every program is built", not refused, refused)
    table = {key: value for key, value in expectations().items() if key[1] in ["ours", *peers] and not (quick and key[0] in SLOW)}
    for name in sorted(os.listdir(os.path.join(OUT, "bin"))):
        own_result(name, table)
        for who in peers:
            compare(name, who, table)
    check("expected.txt names only what is there", not table, list(table))
    said = read(os.path.join(OUT, "ours", "out", "dmesg")).decode(errors="replace")
    bad = [line for line in said.split("\n") if re.search(r"WARNING|BUG|Oops|unstable|lost|Call Trace", line)]
    check("the guest's kernel complains of nothing", not bad, bad[:5])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
