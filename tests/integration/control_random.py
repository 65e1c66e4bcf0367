#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Random requests to a real daemon, made from what rpc.methods tells of itself.

Names come from a small pool, so that requests meet what earlier ones have made;
values are right, at a limit, or wrong. Each request must get one answer of the
right form, in time, and in the end the daemon must go on, with no more descriptors
than at the start, and end without leaving anything.

usage: control_random.py BUILD [SECONDS [SEED]]
"""
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time

NAMES = ["a", "b", "tap0", "tap1", "c.1", "", "x" * 31, "x" * 40, "../a", "a b", "lo", "\u00e9"]
TEXTS = ["1.2.3.4/24", "10.9.0.1/24", "fd00::1/64", "52:54:00:00:00:01", "01:00:5e:00:00:01", "10,20-29", "all",
         "4094", "icmp", "tcp port", "*", "port", "fdb.learned", "/nowhere", "/dev/null", "\n", "%s%n", "\x7f" * 100]
NUMBERS = [0, 1, 2, 9, 10, 68, 1500, 4094, 4095, 65521, -1, 2**31, 2**63 - 1, 2**64 - 1, 1.5, 1e300]
SKIPPED = {"daemon.shutdown", "daemon.reload"}


class Requests:
    def __init__(self, seed, methods, path):
        self.r = random.Random(seed)
        self.methods = methods
        self.path = path

    def value(self, spec):
        r, kind = self.r, spec["type"]
        if r.random() < 0.03:
            return r.choice([None, [], {}, True, "", 7, [None], {"a": 1}])
        if "enum" in spec:
            return r.choice(spec["enum"] + ["wrong"] * (r.random() < 0.1))
        if kind == "string":
            name = spec.get("name", "")
            if name in ("name", "port", "interface") and r.random() < 0.9:
                return r.choice(NAMES[:5] if r.random() < 0.8 else NAMES)
            if name == "path":
                return f"{self.path}/{r.choice('pqr')}.sock"
            if name == "file":
                return f"{self.path}/{r.choice('pqr')}.pcap"
            if name in ("kernel", "initrd"):
                return r.choice(["/dev/null", "/nowhere", "relative"])
            if name == "mac":
                return f"02:00:00:00:00:0{r.randint(0, 3)}" if r.random() < 0.9 else r.choice(TEXTS)
            return r.choice(TEXTS)
        if kind == "integer":
            low, high = spec.get("minimum", 0), spec.get("maximum", 5)
            if r.random() < 0.15:
                return r.choice(NUMBERS)
            return r.choice([low, high, r.randint(low, min(high, low + 30))])
        if kind == "boolean":
            return r.random() < 0.5
        if kind == "object":
            return self.members(spec["members"])
        if kind == "array":
            return [self.value(spec["items"]) for _ in range(r.choice([0, 1, 1, 2, 9]))]
        return r.choice(TEXTS)

    def members(self, specs):
        chosen = {s["name"]: self.value(s) for s in specs if s["required"] or self.r.random() < 0.3}
        if self.r.random() < 0.03:
            chosen[self.r.choice(["x", "nmae", "vlan", ""])] = 1
        return chosen

    def one(self, number):
        method = self.r.choice(self.methods)
        request = {"method": method["name"], "id": number}
        if method["params"] or self.r.random() < 0.05:
            request["params"] = self.members(method["params"])
        if self.r.random() < 0.02:
            request[self.r.choice(["jsonrpc", "params", "method", "more"])] = self.r.choice(["2.0", [], 5, None])
        return request

    def spoiled(self, line):
        data = bytearray(line)
        for _ in range(self.r.randint(1, 3)):
            data[self.r.randrange(len(data))] = self.r.choice(b'{}[]",:0e\\u\x00\xff ')
        return bytes(data).replace(b"\n", b" ").strip() or b"x"


def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(path)
    return s, s.makefile("rb")


def hang_up(stream):
    stream[1].close()
    stream[0].close()


def next_answer(stream):
    for line in stream:
        answer = json.loads(line)
        if isinstance(answer, list) or "method" not in answer:
            return answer
    raise SystemExit("FAIL the daemon hung up")


def check_answer(request, answer):
    right = isinstance(answer, dict) and ("result" in answer) != ("error" in answer) and answer["jsonrpc"] == "2.0"
    if right and "error" in answer:
        error = answer["error"]
        right = isinstance(error["code"], int) and error["message"] and error["data"]["reason"]
        right = right and error["code"] != -32603
    elif right:
        right = answer["id"] == request["id"]
    if not right:
        raise SystemExit(f"FAIL {json.dumps(request)} was answered {json.dumps(answer)}")


def missing(methods, done):
    return [m["name"] for m in methods if m["name"] not in done and m["name"] not in
            ("guest.console", "guest.trace", "guest.stop", "guest.kill", "guest.adopt", "capture.stop")]


def run(path, scratch, seconds, seed):
    stream = connect(path)
    stream[0].sendall(b'{"method":"rpc.methods","id":0}\n')
    methods = [m for m in next_answer(stream[1])["result"] if m["name"] not in SKIPPED]
    requests = Requests(seed, methods, scratch)
    count, end, slowest = 0, time.monotonic() + seconds, (0, "")
    done = {}
    # A host that has others to serve gets to fewer of them in that time.
    while time.monotonic() < end or (seconds >= 10 and missing(methods, done) and time.monotonic() < end + 90):
        count += 1
        if requests.r.random() < 0.02:
            hang_up(stream)
            stream = connect(path)
        request = requests.one(count)
        line = json.dumps(request).encode()
        began = time.monotonic()
        if requests.r.random() < 0.05:
            stream[0].sendall(requests.spoiled(line) + b'\n{"method":"daemon.ping","id":"end"}\n')
            while True:  # a spoiled request may have lost its id: then only the ping is answered
                answer = next_answer(stream[1])
                if isinstance(answer, dict) and answer.get("id") == "end":
                    break
        else:
            stream[0].sendall(line + b"\n")
            answer = next_answer(stream[1])
            check_answer(request, answer)
            if "result" in answer:
                done[request["method"]] = done.get(request["method"], 0) + 1
        took = time.monotonic() - began
        slowest = max(slowest, (took, request["method"]) if isinstance(request["method"], str) else (took, ""))
    left = missing(methods, done)
    print(f"ok   {count} requests, {sum(done.values())} of them done; "
          f"the slowest, {slowest[1]}, took {slowest[0] * 1000:.0f} ms")
    print(f"{'FAIL' if left and seconds >= 10 else 'ok  '} each method was done once {left or ''}")
    return stream, not (left and seconds >= 10)


def warm_up(path):
    """What the first tap opens for all of them stays open."""
    stream = connect(path)
    for method, params in (("port.add", {"name": "warm", "type": "tap"}), ("port.remove", {"name": "warm"})):
        stream[0].sendall(json.dumps({"method": method, "params": params, "id": 1}).encode() + b"\n")
        next_answer(stream[1])
    hang_up(stream)
    time.sleep(0.2)


def clean(stream):
    """Takes away what is there, so that nothing may be left."""
    def ask(method, params=None):
        stream[0].sendall(json.dumps({"method": method, "params": params or {}, "id": 1}).encode() + b"\n")
        return next_answer(stream[1]).get("result")
    ask("events.subscribe", {"types": []})
    time.sleep(1)
    for capture in ask("capture.list"):
        ask("capture.stop", {"id": capture["id"]})
    for guest in ask("guest.list"):
        ask("guest.undefine", {"name": guest["name"]})
    for port in ask("port.list"):
        ask("port.remove", {"name": port["name"]})
    return ask("port.list") == [] and ask("guest.list") == []


def descriptors(folder):
    return {f"{fd}:{os.readlink(f'{folder}/{fd}')}" for fd in os.listdir(folder)}


def main():
    build = sys.argv[1] if len(sys.argv) > 1 else "build"
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 15
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(1 << 32)
    scratch = tempfile.mkdtemp(prefix="vswitch-test.")
    with open(f"{scratch}/guest", "w") as f:
        f.write("#!/bin/sh\nsleep 0.1\necho this is no guest\nexit 1\n")
    os.chmod(f"{scratch}/guest", 0o755)
    with open(f"{scratch}/c.json", "w") as f:
        f.write("{}")
    log = open(f"{scratch}/log", "wb")
    command = [f"{build}/vswitchd", "-c", f"{scratch}/c.json", "-r", f"{scratch}/run", "-g", f"{scratch}/guest"]
    daemon = subprocess.Popen(command + os.environ.get("VSWITCHD_OPTIONS", "").split(), stderr=log)
    path, good = f"{scratch}/run/control.sock", False
    try:
        while not os.path.exists(path):
            time.sleep(0.05)
        time.sleep(0.2)
        fds = f"/proc/{daemon.pid}/fd"
        warm_up(path)
        before = descriptors(fds)
        print(f"     seed {seed}")
        stream, good = run(path, scratch, seconds, seed)
        cleaned = clean(stream)
        hang_up(stream)
        end = time.monotonic() + 20
        while len(after := descriptors(fds)) > len(before) and time.monotonic() < end:
            time.sleep(0.1)
        daemon.terminate()
        status = daemon.wait(20)
        left = os.listdir(f"{scratch}/run")
        for right, what in ((cleaned, "what was made can be taken away"),
                            (len(after) <= len(before), f"descriptors: {len(before)} before, {len(after)} after {after - before or ''}"),
                            (status == 0, f"the daemon's exit status is {status}"),
                            (not left, f"nothing is left {left or ''}")):
            print("ok  " if right else "FAIL", what)
            good = good and right
    finally:
        daemon.kill()
        if not good:
            sys.stdout.flush()
            subprocess.run(["tail", "-n", "40", f"{scratch}/log"], check=False)
        shutil.rmtree(scratch)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
