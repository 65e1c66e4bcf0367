#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Clients of the control sockets that mean harm, all at once, and one that does not.

They subscribe and do not read, ask thousands of things in one write, close one half or
both, write a byte at a time, and text that is no JSON, or too deep, or too long; they
start captures and leave, make and end guests and ports, and have the configuration read
again all the while. The good one gets each of its answers; in the end the daemon has no
more descriptors, little more memory, and ends leaving nothing.

usage: control_hostile.py BUILD [SECONDS [SEED]]    with BUILD=build/asan a sanitized daemon
"""
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from control_random import clean, connect, descriptors, hang_up, next_answer, warm_up

BUILD = sys.argv[1] if len(sys.argv) > 1 else "build"
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 8
SEED = int(sys.argv[3]) if len(sys.argv) > 3 else 4711
W = tempfile.mkdtemp(prefix="vswitch-test.")
RW, RO = f"{W}/run/control.sock", f"{W}/run/control-ro.sock"
GUESTS, PORTS = ["g0", "g1"], ["p0", "p1", "t0"]
failed = []
done = {}
over = threading.Event()


def say(method, params=None, number=1):
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params or {}}).encode() + b"\n"


def open_socket(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(0.2)
    s.connect(path)
    return s


def push(s, data):
    """What the daemon takes within a moment."""
    try:
        s.sendall(data)
    except (TimeoutError, BlockingIOError, ConnectionError):
        pass


def drain(s):
    try:
        while s.recv(65536):
            pass
    except (TimeoutError, BlockingIOError, ConnectionError):
        pass


# ---- those who mean harm: each does one thing, with a source of chance of its own ----

def deaf_subscriber(r):
    sockets = []
    for _ in range(12):
        s = open_socket(r.choice((RW, RO)))
        push(s, say("events.subscribe") * r.choice((1, 300)))
        if r.random() < 0.4:
            s.shutdown(socket.SHUT_WR)
        sockets.append(s)
    over.wait(0.3)
    for s in sockets:
        if r.random() < 0.3:
            drain(s)
        s.close()


def thousands(r):
    s = open_socket(r.choice((RW, RO)))
    method = r.choice(("port.list", "rpc.methods", "stats.get", "config.get", "guest.list", "daemon.info", "nothing"))
    push(s, b"".join(say(method, number=i) for i in range(3000)))
    if r.random() < 0.5:
        s.shutdown(r.choice((socket.SHUT_WR, socket.SHUT_RD)))
    if r.random() < 0.3:
        drain(s)
    s.close()


def batches(r):
    s = open_socket(RW)
    many = [json.loads(say(r.choice(("rpc.methods", "port.list", "events.subscribe", "fdb.list")), number=i)) for i in range(100)]
    push(s, (json.dumps(many).encode() + b"\n") * 20)
    push(s, b"[" + b"1," * 200 + b"1]\n[]\n[[[]]]\n")
    s.close()


def half_closed(r):
    s = open_socket(r.choice((RW, RO)))
    push(s, say("daemon.ping") * r.randrange(5) + say("port.list")[:r.randrange(20)])
    s.shutdown(socket.SHUT_WR)
    answers = 0
    try:
        while chunk := s.recv(65536):
            answers += chunk.count(b"\n")
    except TimeoutError:
        pass
    s.close()


def single_bytes(r):
    s = open_socket(RW)
    for byte in say("port.get", {"name": r.choice(PORTS)}) * 2:
        push(s, bytes([byte]))
    drain(s)
    s.close()


WRONG = [
    b"[" * 31, b"[" * 5000, b'{"a":' * 5000, b'{"id":' + b"[" * 40 + b"]" * 40 + b"}", b'{"method":"daemon.ping","method":"x","id":1}',
    b'{"id":1,"id":2}', b'{"method":"port.get","params":{"name":"a","name":"b"},"id":1}', b'{"id":' + b"9" * 5000 + b"}",
    b'{"id":1e999999,"method":"daemon.ping"}', b'{"id":-0.0,"method":"daemon.ping"}', b'{"id":1e-400,"method":"daemon.ping"}',
    b'{"id":18446744073709551616,"method":"daemon.ping"}', b'{"id":"' + b"\\u0041" * 4000 + b'","method":"daemon.ping"}',
    b'"\xff\xfe"', b'{"id":"\xc0\x80","method":"daemon.ping"}', b'{"id":"\xed\xa0\x80"}', b'"\xf4\x90\x80\x80"', b'"\\ud800"',
    b'"\\u0000"', b"\x00", b"\x00" * 3000, b'{"method":"daemon.ping\x00","id":1}', b'{"method":"' + b"m" * 60000 + b'","id":1}',
    b'{"id":"' + b"i" * 200000 + b'","method":"daemon.ping"}', b'{"jsonrpc":2.0}', b"nul", b"tru", b"1 2", b'{"a"}', b"{,}", b"-", b"1.",
    b"\xef\xbb\xbf{}", b" " * 5000, b"\r", b'{"method":"port.get","params":{"name":"' + b"%s%n" * 500 + b'"},"id":1}',
    b'{"method":"capture.start","params":{"port":"t0","snaplen":99999999999999999999},"id":1}',
    b'{"method":"fdb.add","params":{"mac":"00:00:00:00:00:00","vlan":-1,"port":""},"id":1}', b"x" * 1200000,
]


def no_json(r):
    s = open_socket(r.choice((RW, RO)))
    for _ in range(10):
        line = bytearray(r.choice(WRONG))
        if r.random() < 0.5:
            line[r.randrange(len(line))] = r.randrange(256)
        push(s, bytes(line) + b"\n" * r.randrange(3))
    push(s, b"\n" * 5000)
    drain(s)
    s.close()


def captures(r):
    s = open_socket(RW)
    stream = s.makefile("rb")
    wide = " or ".join(f"port {i}" for i in range(60))[:512].rsplit(" or", 1)[0]
    for _ in range(8):
        push(s, say("capture.start", {"port": r.choice(PORTS), "filter": r.choice(("", "icmp", "host nowhere.example", "(", wide))}))
        try:
            answer = json.loads(stream.readline() or b"{}")
        except (TimeoutError, ConnectionError):
            break
        where = answer.get("result", {}).get("socket")
        if where and r.random() < 0.7:
            try:
                reader = open_socket(where)
                push(reader, b"x" * r.choice((0, 10, 100000)))
                reader.close()
            except (OSError, TimeoutError):
                pass
        if where and r.random() < 0.5:
            push(s, say("capture.stop", {"id": answer["result"]["id"]}))
            try:
                stream.readline()
            except (TimeoutError, ConnectionError):
                break
    s.close()


def makes_and_ends(r):
    s = open_socket(RW)
    guest, port = r.choice(GUESTS), r.choice(PORTS)
    requests = [
        ("guest.define", {"name": guest, "kernel": "/dev/null", "nics": [{"model": "e1000", "port": f"{guest}a"}]}),
        ("guest.start", {"name": guest}), ("guest.link", {"name": guest, "up": False}), ("guest.kill", {"name": guest}),
        ("guest.stop", {"name": guest, "timeout_s": 0}), ("guest.undefine", {"name": guest}), ("guest.trace", {"name": guest}),
        ("port.add", {"name": port, "type": "tap"} if port[0] == "t" else
         {"name": port, "type": "vhost-user", "role": "server", "path": f"{W}/{port}.sock"}),
        ("port.remove", {"name": port}), ("port.set", {"name": port, "enabled": bool(r.randrange(2))}),
        ("vlan.set", {"port": port, "mode": "access", "access": 1 + r.randrange(4094)}),
        ("fdb.add", {"mac": f"02:00:00:00:00:{r.randrange(256):02x}", "vlan": 1, "port": port}), ("fdb.flush", {}),
        ("switch.set", {"aging_s": r.choice((10, 300))}), ("daemon.reload", {}),
    ]
    push(s, b"".join(say(*r.choice(requests)) for _ in range(r.randrange(1, 40))))
    if r.random() < 0.5:
        drain(s)
    s.close()


def reloads(r):
    ports = [{"name": "c0", "type": "tap"}, {"name": "p1", "type": "vhost-user", "role": "server", "path": f"{W}/p1.sock"}]
    text = json.dumps({"ports": ports[:r.randrange(3)], "guests": [{"name": "g1", "kernel": "/dev/null"}][:r.randrange(2)]})
    with open(f"{W}/new.json", "w", encoding="ascii") as file:
        file.write(text[:r.choice((len(text), len(text), r.randrange(len(text))))])
    os.rename(f"{W}/new.json", f"{W}/c.json")
    for _ in range(r.randrange(10)):
        os.kill(daemon.pid, signal.SIGHUP)
    over.wait(0.05)


HARM = [deaf_subscriber, thousands, batches, half_closed, single_bytes, no_json, captures, makes_and_ends, makes_and_ends, reloads]


def harm(function, number):
    r = random.Random(SEED * 1000 + number)
    while not over.is_set():
        try:
            function(r)
        except (BlockingIOError, TimeoutError, ConnectionError, BrokenPipeError):
            over.wait(0.02)  # all places are taken
        except Exception as error:  # pylint: disable=broad-except
            failed.append(f"{function.__name__}: {error!r}")
            return
        done[function.__name__] = done.get(function.__name__, 0) + 1


def good():
    """Is sent away when it is silent for long while places are short, and comes again."""
    number = 0
    while not over.is_set():
        try:
            stream = connect(RW)
            for _ in range(20):
                number += 1
                stream[0].sendall(say("daemon.ping", number=number))
                answer = next_answer(stream[1])
                if answer.get("id") != number or "result" not in answer:
                    failed.append(f"the good one was answered {answer}")
                over.wait(0.01)
            hang_up(stream)
        except (ConnectionError, BrokenPipeError, SystemExit):
            over.wait(0.01)
        except TimeoutError:
            failed.append("the good one was not answered in 20 s")
            return
        done["good"] = number


def memory():
    with open(f"/proc/{daemon.pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM"))


def report(right, what):
    print("ok  " if right else "FAIL", what, flush=True)
    if not right:
        failed.append(what)


def run():
    while not os.path.exists(RO):
        time.sleep(0.05)
    time.sleep(0.2)
    warm_up(RW)
    before = descriptors(f"/proc/{daemon.pid}/fd")
    threads = [threading.Thread(target=harm, args=(function, n)) for n, function in enumerate(HARM)]
    threads.append(threading.Thread(target=good))
    for thread in threads:
        thread.start()
    time.sleep(SECONDS)
    end = time.monotonic() + 60
    while done.get("good", 0) <= 20 and time.monotonic() < end:
        time.sleep(0.1)
    over.set()
    for thread in threads:
        thread.join()
    report(not failed, f"each did what it does: {failed or done}")
    report(set(done) == {f.__name__ for f in HARM} | {"good"} and done["good"] > 20, "the good one, too")
    with open(f"{W}/c.json", "w", encoding="ascii") as file:
        file.write("{}")
    os.kill(daemon.pid, signal.SIGHUP)
    time.sleep(1)
    stream = connect(RW)
    report(clean(stream), "what was made can be taken away")
    hang_up(stream)
    end = time.monotonic() + 20
    while len(after := descriptors(f"/proc/{daemon.pid}/fd")) > len(before) and time.monotonic() < end:
        time.sleep(0.1)
    report(len(after) <= len(before), f"descriptors: {len(before)} before, {len(after)} after {after - before or ''}")
    used = memory()
    report("asan" in BUILD or used < 65536, f"{used} KiB of memory at most")
    daemon.terminate()
    status = daemon.wait(30)
    report(status == 0, f"the daemon's exit status is {status}")
    left = set(os.listdir(f"{W}/run")) - {"state"}  # EEPROMs of guests that left the configuration
    report(not left, f"nothing is left {left or ''}")


if __name__ == "__main__":
    with open(f"{W}/guest", "w", encoding="ascii") as program:
        program.write("#!/bin/sh\nsleep 0.1\necho this is no guest\nexit 1\n")
    os.chmod(f"{W}/guest", 0o755)
    with open(f"{W}/c.json", "w", encoding="ascii") as empty:
        empty.write("{}")
    with open(f"{W}/log", "wb") as log:
        daemon = subprocess.Popen([f"{BUILD}/vswitchd", "-c", f"{W}/c.json", "-r", f"{W}/run", "-g", f"{W}/guest"]
                                  + os.environ.get("VSWITCHD_OPTIONS", "").split(), stderr=log)
    print(f"     seed {SEED}", flush=True)
    try:
        run()
    finally:
        over.set()
        daemon.kill()
        if failed:
            subprocess.run(["tail", "-n", "40", f"{W}/log"], check=False)
        shutil.rmtree(W)
    sys.exit(1 if failed else 0)
