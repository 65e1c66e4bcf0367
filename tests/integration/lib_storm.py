#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Many clients at once, for storm.sh: while guests start and end, and ports come and go,
the configuration is read again, by requests and by SIGHUP, from a file that is swapped,
or half written. Each request must have its answer, and each refusal a reason.

usage: lib_storm.py SOCKET DAEMON CONFIG SECONDS SEED
"""
import json
import os
import random
import signal
import socket
import sys
import threading
import time

PATH, DAEMON, CONFIG = sys.argv[1], int(sys.argv[2]), sys.argv[3]
UNTIL = time.monotonic() + float(sys.argv[4])
SEED = int(sys.argv[5])
GUESTS = ["g0", "g1", "g2", "g3"]
failed = []


def config(variant):
    ports = [{"name": "host", "type": "tap", "addresses": ["10.9.0.254/24"]}, {"name": "far", "type": "tap"}]
    ports += [{"name": f"v{i}", "type": "vhost-user", "role": "server", "path": f"{os.path.dirname(CONFIG)}/v{i}.sock"}
              for i in range(variant % 4)]
    if variant & 4:
        ports.append({"name": "more", "type": "tap", "interface": f"more{variant % 3}"})
    guests = [{"name": name, "kernel": "/dev/null", "autostart": bool(variant & 1), "nics": [{"model": "e1000"}]}
              for i, name in enumerate(GUESTS) if (variant >> 3) & 1 << i]
    return json.dumps({"ports": ports, "guests": guests})


def swap(source):
    text = config(source.randrange(128))
    kind = source.randrange(4)
    if kind == 0:  # as an editor that writes in place does
        with open(CONFIG, "w", encoding="ascii") as file:
            for at in range(0, len(text), 64):
                file.write(text[at:at + 64])
                file.flush()
        return
    if kind == 1:
        text = text[:source.randrange(len(text))]
    name = f"{CONFIG}.{threading.get_ident()}"
    with open(name, "w", encoding="ascii") as file:
        file.write(text)
    os.rename(name, CONFIG)


def request(source):
    guest, port = source.choice(GUESTS), source.choice(["x0", "x1", "v0", "v1", "more"])
    return source.choice((
        ("daemon.reload", {}), ("guest.start", {"name": guest}), ("guest.stop", {"name": guest, "timeout_s": 0}),
        ("guest.start", {"name": guest}), ("guest.kill", {"name": guest}), ("guest.undefine", {"name": guest}),
        ("guest.define", {"name": guest, "kernel": "/dev/null", "nics": [{"model": "e1000", "port": guest + "a"}]}),
        ("guest.list", {}), ("guest.link", {"name": guest, "up": bool(source.randrange(2))}),
        ("port.add", {"name": port, "type": "tap"}), ("port.remove", {"name": port}),
        ("port.add", {"name": "x2", "type": "vhost-user", "role": "server", "path": f"{os.path.dirname(CONFIG)}/x2.sock"}),
        ("port.remove", {"name": "x2"}), ("port.set", {"name": guest, "enabled": bool(source.randrange(2))}),
        ("vlan.set", {"port": port, "mode": "access", "access": 1 + source.randrange(9)}), ("config.get", {}), ("stats.get", {}),
    ))


def client(number):
    source = random.Random(SEED * 100 + number)
    count = 0
    s = None
    while time.monotonic() < UNTIL and not failed:
        if s is None or source.randrange(40) == 0:
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(30)
            s.connect(PATH)
            lines = s.makefile("rb")
        method, params = request(source)
        s.sendall(json.dumps({"jsonrpc": "2.0", "id": count, "method": method, "params": params}).encode() + b"\n")
        if source.randrange(30) == 0:
            s = None  # gone before its answer
            continue
        line = lines.readline()
        answer = json.loads(line) if line else {}
        error = answer.get("error")
        if answer.get("id") != count or (error and not (error["data"].get("reason") and error["message"])):
            failed.append(f"{method} {params}: {line!r}")
        count += 1
    return count


def guarded(function, *arguments):
    try:
        function(*arguments)
    except Exception as error:  # pylint: disable=broad-except
        failed.append(f"{function.__name__}{arguments}: {error!r}")


def swapper():
    source = random.Random(SEED)
    while time.monotonic() < UNTIL and not failed:
        swap(source)
        for _ in range(source.randrange(20)):
            os.kill(DAEMON, signal.SIGHUP)
        time.sleep(source.random() * 0.02)


threads = [threading.Thread(target=guarded, args=(client, n)) for n in range(12)]
threads.append(threading.Thread(target=guarded, args=(swapper,)))
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
with open(CONFIG, "w", encoding="ascii") as file:
    file.write(config(0))
print("\n".join(failed))
sys.exit(1 if failed else 0)
