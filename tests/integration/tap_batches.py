#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Frames on their way into taps, in batches by io_uring and one by one.

The daemon is stopped while frames wait at one tap and goes on with all of them at
once, so that its bursts are as long as can be. Each frame has a number: what comes
out is each of them once and in order, and what does not come out is in the counters.
In namespaces of its own (run.sh); usage: tap_batches.py BUILD
"""
import array
import ctypes
import fcntl
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, "tools")
import rpc
from lib_wait import wait_until

BUILD = sys.argv[1]
TYPE = 0x88B5
COUNT = 500
BROADCAST, NOBODY, MAC_A, MAC_B = b"\xff" * 6, b"\x02\0\0\0\0\x99", b"\x02\0\0\0\0\x0a", b"\x02\0\0\0\0\x0b"
SIZES = (60, 1514, 60, 61, 333, 2062, 60, 2063, 5000, 60, 1514)  # 2062 is the largest that is held back
TUNSETSNDBUF, PIDFD_GETFD, SIOCGIFHWADDR = 0x400454D4, 438, 0x8927
BATCH = 64
W = tempfile.mkdtemp(prefix="vswitch-test.")
LIBC = ctypes.CDLL(None)
failed = 0


def report(ok, what, found=""):
    global failed
    failed += not ok
    print(("ok   " if ok else "FAIL ") + what + (f": {found}" if not ok else ""), flush=True)


def sh(command):
    subprocess.run(command, shell=True, check=True)


class Daemon:
    def __init__(self, ports, options):
        self.socket = f"{W}/run/control.sock"
        self.log = open(f"{W}/vswitchd.log", "a+")
        with open(f"{W}/vswitchd.json", "w") as f:
            json.dump({"ports": [{"type": "tap", "mtu": 9000, **p} for p in ports]}, f)
        self.start(options)

    def start(self, options=()):
        self.process = subprocess.Popen([f"{BUILD}/vswitchd", "--config", f"{W}/vswitchd.json", "--run-dir", f"{W}/run",
                                         *options], stderr=self.log)
        if not wait_until(self.answers):
            self.log.seek(0)
            sys.exit("FAIL the daemon does not start: " + self.log.read())

    def answers(self):
        try:
            return "result" in rpc.call(self.socket, "daemon.ping")
        except OSError:
            if self.process.poll() is not None:
                sys.exit(f"FAIL the daemon ended with {self.process.returncode}: {open(self.log.name).read()}")
            return False

    def ask(self, method, **params):
        return rpc.call(self.socket, method, params or None)["result"]

    def counters(self, name):
        c = self.ask("port.get", name=name)["counters"]
        return {"out": c["out_frames"], "bytes": c["out_bytes"], "in": c["in_frames"], "queued": c.get("out_queued", 0),
                "drops": {k: v for k, v in c["drops"].items() if v}}

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        report(status == 0, "the daemon ends", status)


def open_packet(name):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(TYPE))
    s.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
    s.bind((name, TYPE))
    s.settimeout(0.3)
    return s


def frame(destination, number, size):
    return destination + MAC_A + struct.pack("!HI", TYPE, number) + bytes(size - 18)


def received(s, count, patience=30):
    """Numbers and sizes of what comes until `count` are there or nothing comes any more."""
    seen, end = [], time.monotonic() + patience
    while len(seen) < count and time.monotonic() < end:
        try:
            data, address = s.recvfrom(65536)
        except OSError:  # none for a while; or a tap that has gone down, which is told once
            continue
        if address[2] != socket.PACKET_OUTGOING:
            seen.append((struct.unpack_from("!I", data, 14)[0], len(data)))
    return seen


def send_at_once(daemon, sender, destination, sizes, then=None):
    """All the frames lie in the tap's queue before the daemon sees the first. Their bytes."""
    os.kill(daemon.process.pid, signal.SIGSTOP)
    for number in range(COUNT):
        sender.send(frame(destination, number, sizes[number % len(sizes)]))
    if then:
        then()
    os.kill(daemon.process.pid, signal.SIGCONT)
    return sum(sizes[n % len(sizes)] for n in range(COUNT))


def difference(daemon, name, before):
    after = daemon.counters(name)
    drops = {k: v - before["drops"].get(k, 0) for k, v in after["drops"].items() if v != before["drops"].get(k, 0)}
    return {**{k: after[k] - before[k] for k in ("out", "bytes", "in", "queued")}, "drops": drops}


def address_of(name):
    with socket.socket() as s:
        return fcntl.ioctl(s, SIOCGIFHWADDR, struct.pack("16s24x", name.encode()))[18:24]


def set_up(name):
    sh(f"sysctl -qw net.ipv6.conf.{name}.disable_ipv6=1; ip link set {name} up mtu 9000")


def make_slow_wire():
    """From the tap `pt` over a bridge to `far`, at 4 Mbit/s."""
    sh("ip link add slow type veth peer name far && ip link add br0 type bridge stp_state 0")
    for name in ("slow", "far", "br0", "pt"):
        set_up(name)
    sh("ip link set pt master br0; ip link set slow master br0; tc qdisc add dev slow root tbf rate 4mbit burst 10000 limit 4000000")


def bound(process, interface, size):
    """The kernel holds no more than so many bytes of what the process writes to a tap. False: we may not say so."""
    pidfd = os.pidfd_open(process.pid)
    for fd in os.listdir(f"/proc/{process.pid}/fdinfo"):
        with open(f"/proc/{process.pid}/fdinfo/{fd}", encoding="ascii") as f:
            if f"iff:\t{interface}\n" not in f.read():
                continue
        ours = LIBC.syscall(PIDFD_GETFD, pidfd, int(fd), 0)
        os.close(pidfd)
        if ours < 0:
            return False
        fcntl.ioctl(ours, TUNSETSNDBUF, array.array("i", [size]))
        os.close(ours)
        return True
    raise RuntimeError(f"no descriptor of {interface}")


def numbers_are(seen, wanted):
    return [n for n, _ in seen] == list(wanted)


def test_without_room(d, batches, way, a, far):
    """The kernel turns frames away, and says so in the middle of a batch."""
    before = d.counters("pt")
    send_at_once(d, a, NOBODY, (60,))  # of a broadcast the bridge makes copies, which are not ours any more
    numbers = [n for n, _ in received(far, COUNT)]
    report(sorted(numbers) == [*range(COUNT)], f"{way}: a tap without room gets each frame once", numbers[:100])
    # Of the batch that first found no room, frames behind one that had to wait may have gone out before it.
    settled = next((i for i, n in enumerate(numbers) if n != i), COUNT) + BATCH
    report(numbers[settled:] == [*range(settled, COUNT)] and (batches or numbers == sorted(numbers)),
           f"{way}: and in order", numbers[:100])
    found = difference(d, "pt", before)
    report(found["out"] == COUNT and COUNT / 2 < found["queued"] < COUNT and not found["drops"],
           f"{way}: most of them from the port's queue", found)
    report("batches" not in d.ask("port.get", name="pt")["description"], f"{way}: none waits for a batch there any more")


def test_ways(batches):
    options = [] if batches else ["--no-io-uring"]
    way = "in batches" if batches else "one by one"
    d = Daemon([{"name": "ta"}, {"name": "tb"}, {"name": "tc"}, {"name": "pt"}], options)
    description = {p["name"]: p["description"] for p in d.ask("port.list")}
    report(("batches" in description["tb"]) == batches, f"{way}: the port says so", description["tb"])
    report(("io_uring" in d.ask("daemon.info")["features"]) == batches, f"{way}: the daemon says so")
    for name in ("ta", "tb", "tc"):
        set_up(name)
    make_slow_wire()
    a, b, c, far = (open_packet(name) for name in ("ta", "tb", "tc", "far"))
    b.send(BROADCAST + MAC_B + struct.pack("!HI", TYPE, 0) + bytes(42))  # the switch learns where B is
    wait_until(lambda: d.ask("switch.get")["fdb_entries"] >= 1)
    for s in (a, c, far):
        received(s, 1, 1)

    before = d.counters("tb")
    size = send_at_once(d, a, MAC_B, SIZES)
    seen = received(b, COUNT)
    report(seen == [(n, SIZES[n % len(SIZES)]) for n in range(COUNT)], f"{way}: each frame once, whole and in order", seen[:20])
    report(difference(d, "tb", before) == {"out": COUNT, "bytes": size, "in": 0, "queued": 0, "drops": {}},
           f"{way}: and counted so", difference(d, "tb", before))

    before = {name: d.counters(name) for name in ("tb", "tc", "pt")}
    send_at_once(d, a, BROADCAST, (60,))
    report(numbers_are(received(b, COUNT), range(COUNT)) and numbers_are(received(c, COUNT), range(COUNT)),
           f"{way}: a broadcast comes out everywhere, in order")
    report(all(difference(d, name, before[name])["out"] == COUNT for name in ("tb", "tc")), f"{way}: and is counted everywhere")
    report(numbers_are(received(far, COUNT), range(COUNT)), f"{way}: also behind a slow wire")

    if bound(d.process, "pt", 20000):
        test_without_room(d, batches, way, a, far)
    else:
        print(f"skip {way}: a tap without room: no right to the daemon's descriptor")

    for s in (b, c, far):
        received(s, 2 * COUNT, 0.5)
    before = {name: d.counters(name) for name in ("tb", "tc")}
    send_at_once(d, a, MAC_B, (60,), lambda: sh("ip link set tb down"))
    wait_until(lambda: not d.ask("port.get", name="tb")["link"])
    wait_until(lambda: difference(d, "tb", before["tb"])["drops"].get("port_down", 0) + difference(d, "tc", before["tc"])["out"] >= COUNT)
    lost, flooded = difference(d, "tb", before["tb"]), difference(d, "tc", before["tc"])
    report(lost["drops"].get("port_down", 0) > 0 and lost["out"] == 0 and
           lost["drops"]["port_down"] + flooded["out"] == COUNT,
           f"{way}: a tap that goes down loses frames, which are counted, until the switch knows", (lost, flooded))
    sh("ip link set tb up")
    wait_until(lambda: d.ask("port.get", name="tb")["link"])
    received(b, COUNT, 0.4)
    b.close()

    sh("ip netns add away; ip link set tb netns away; ip -n away link set tb up mtu 9000")
    sh("ip netns exec away sysctl -qw net.ipv6.conf.tb.disable_ipv6=1")
    own, away = (os.open(path, os.O_RDONLY) for path in ("/proc/self/ns/net", "/run/netns/away"))
    report(LIBC.setns(away, 0) == 0, f"{way}: a tap moves away")
    b = open_packet("tb")
    LIBC.setns(own, 0)
    before = d.counters("tb")
    b.send(BROADCAST + MAC_B + struct.pack("!HI", TYPE, 0) + bytes(42))
    wait_until(lambda: difference(d, "tb", before)["in"] > 0)
    before = d.counters("tb")
    size = send_at_once(d, a, MAC_B, SIZES)
    seen = received(b, COUNT)
    report(seen == [(n, SIZES[n % len(SIZES)]) for n in range(COUNT)], f"{way}: a tap in another namespace gets them, too",
           seen[:20])
    found = difference(d, "tb", before)
    report((found["out"], found["bytes"]) == (COUNT, size), f"{way}: and they are counted", found)
    b.close()

    received(c, 2 * COUNT, 0.5)
    before, before_c = d.counters("tb"), d.counters("tc")
    send_at_once(d, a, BROADCAST, (60,), lambda: sh("ip -n away link del tb"))
    report(wait_until(lambda: difference(d, "tc", before_c)["out"] == COUNT), f"{way}: a tap that is deleted holds up no other")
    found = difference(d, "tb", before)
    report(found["out"] == 0 and found["drops"].get("port_down", 0) == sum(found["drops"].values()) <= COUNT,
           f"{way}: what was for it is counted as lost there", found)
    report(numbers_are(received(c, 2 * COUNT, 5), [*range(COUNT)]), f"{way}: the others get each frame")
    d.stop()
    sh("ip netns del away; ip link del slow; ip link del br0")


def test_successor():
    """A tap is free again when its port is removed, and soon after its daemon was killed, whatever ring that had."""
    d = Daemon([{"name": "ta"}, {"name": "tb"}], [])
    wanted = address_of("ta")
    for _ in range(3):
        d.ask("port.remove", name="tb")
        report("tb" not in [name for _, name in socket.if_nameindex()], "a tap goes with its port")
        d.ask("port.add", name="tb", type="tap")
    set_up("ta"), set_up("tb")
    a, good = open_packet("ta"), 0
    for _ in range(5):
        send_at_once(d, a, BROADCAST, (60,))
        d.process.kill()
        d.process.wait()
        a.close()
        d.start()
        set_up("ta"), set_up("tb")
        a, b = open_packet("ta"), open_packet("tb")
        send_at_once(d, a, BROADCAST, (60,))
        good += numbers_are(received(b, COUNT), range(COUNT)) and address_of("ta") == wanted
        b.close()
    report(good == 5, "a killed daemon's taps are its successor's, with the same addresses", good)
    d.stop()


try:
    sh("ip link set lo up; mkdir -p /run/netns; mount -t tmpfs netns /run/netns")
    probe = Daemon([], [])
    has_ring = "io_uring" in probe.ask("daemon.info")["features"]
    probe.stop()
    if has_ring:
        test_ways(True)
    else:
        print("skip io_uring is not to be had here")
    test_ways(False)
    test_successor()
finally:
    if failed:
        print(open(f"{W}/vswitchd.log").read()[-3000:])
    shutil.rmtree(W)
sys.exit(failed > 0)
