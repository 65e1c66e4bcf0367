#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""VLANs, sizes and reserved addresses over real taps, in a namespace of its own.

Four taps on one switch (tap_switch.c). Each frame is sent into one tap through
AF_PACKET and looked for at all others; the kernel strips a tag on the way in and
tells it in PACKET_AUXDATA. Needs root. Usage: tap_vlan.py BUILD
"""
import os
import signal
import socket
import struct
import subprocess
import sys
import time

PORTS = {
    "va": "access=10",
    "vb": "trunk=10+20",
    "vc": "access=20",
    "vd": "trunk=20,native=10",
    "vj": "access=10,mtu=9000",
}
BROADCAST = b"\xff" * 6
TYPE = 0x88B5
SOL_PACKET, PACKET_AUXDATA = 263, 8
VLAN_VALID = 1 << 4
UNTAGGED = None

failed = 0


def report(ok, what):
    global failed
    failed += not ok
    print(("ok   " if ok else "FAIL ") + what)


def enter_namespace():
    libc = __import__("ctypes").CDLL(None, use_errno=True)
    if libc.unshare(0x40000000) != 0:  # CLONE_NEWNET
        sys.exit("tap_vlan: cannot make a network namespace: run as root")
    for kind in ("all", "default"):
        try:
            with open(f"/proc/sys/net/ipv6/conf/{kind}/disable_ipv6", "w") as f:
                f.write("1")  # no neighbour discovery among our frames
        except OSError:
            pass


PATIENCE = 10  # seconds


def open_socket(name):
    s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    s.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    s.bind((name, 3))
    s.settimeout(0)
    return s


def frame(tag, size=60, destination=BROADCAST, source=b"\x02\0\0\0\0\1", inner=b""):
    head = destination + source
    if tag is not UNTAGGED:
        head += struct.pack(">HH", 0x8100, tag)
    return (head + inner + struct.pack(">H", TYPE)).ljust(size, b"\x5a")


def received(s):
    """Our frames that arrived, each as (tag or UNTAGGED, bytes without the tag)."""
    frames = []
    while True:
        try:
            data, control, _, address = s.recvmsg(70000, 256)
        except BlockingIOError:
            return frames
        if address[2] == socket.PACKET_OUTGOING:
            continue
        tag = UNTAGGED
        for level, kind, value in control:
            if level == SOL_PACKET and kind == PACKET_AUXDATA:
                status, _, _, _, _, tci, _ = struct.unpack("IIIHHHH", value[:20])
                if status & VLAN_VALID:
                    tag = tci
        frames.append((tag, data))


def exchange(sockets, port, data, to=None):
    """What arrives where; waits until something is at each of `to`, or at any port at all, and a little longer."""
    for s in sockets.values():
        received(s)
    sockets[port].send(data)
    got, end = {name: [] for name in sockets}, time.monotonic() + PATIENCE
    over = False
    while not over:
        over = (all(got[name] for name in to) if to is not None else any(got.values())) or time.monotonic() > end
        time.sleep(0.02)
        for name, s in sockets.items():
            got[name] += received(s)
    return got


def expect(sockets, what, port, data, where):
    """`where`: port -> tag it must arrive with; ports not named must get nothing."""
    got = exchange(sockets, port, data, where)
    tags = {name: [t for t, _ in frames] for name, frames in got.items() if frames}
    wanted = {name: [tag] for name, tag in where.items()}
    report(tags == wanted, what if tags == wanted else f"{what}: got {tags}, expected {wanted}")
    return got


def test_vlans(s):
    expect(s, "access 10, untagged", "va", frame(UNTAGGED), {"vb": 10, "vd": UNTAGGED, "vj": UNTAGGED})
    expect(s, "access 10, priority tag", "va", frame(0xA000), {"vb": 0xA00A, "vd": UNTAGGED, "vj": UNTAGGED})
    expect(s, "access 10, tagged 10", "va", frame(10), {})
    expect(s, "access 10, tagged 20", "va", frame(20), {})
    expect(s, "trunk, tagged 10", "vb", frame(10), {"va": UNTAGGED, "vd": UNTAGGED, "vj": UNTAGGED})
    expect(s, "trunk, tagged 20 with priority", "vb", frame(0x6014), {"vc": UNTAGGED, "vd": 0x6014})
    expect(s, "trunk, tagged 30", "vb", frame(30), {})
    expect(s, "trunk without native VLAN, untagged", "vb", frame(UNTAGGED), {})
    expect(s, "native 10, untagged", "vd", frame(UNTAGGED), {"va": UNTAGGED, "vb": 10, "vj": UNTAGGED})
    expect(s, "native 10, tagged 20", "vd", frame(20), {"vb": 20, "vc": UNTAGGED})
    expect(s, "access 20, untagged", "vc", frame(UNTAGGED), {"vb": 20, "vd": 20})
    inner = struct.pack(">HH", 0x8100, 777)
    got = expect(s, "inner tag, outer 20", "vb", frame(20, inner=inner), {"vc": 777, "vd": 20})
    data = got["vd"][0][1] if got["vd"] else b""
    report(data[12:16] == inner, "the inner tag is left alone")


def test_hopping(s):
    """A second tag must not come out in front at a trunk, where it would be another VLAN's."""
    inner = struct.pack(">HH", 0x8100, 20)
    expect(s, "inner tag behind a priority tag: the native VLAN keeps its tag", "va", frame(0, inner=inner),
           {"vb": 10, "vd": 10, "vj": 20})
    expect(s, "inner tag from a trunk: so it does", "vb", frame(10, inner=inner), {"va": 20, "vd": 10, "vj": 20})
    home = b"\x02\0\0\0\0\x1d"
    exchange(s, "vd", frame(UNTAGGED, source=home))
    got = expect(s, "to a known address: so it does", "va", frame(0xE000, inner=inner, destination=home), {"vd": 0xE00A})
    data = got["vd"][0][1] if got["vd"] else b""
    report(data[12:16] == inner, "with the inner tag behind it")
    expect(s, "VID 4095 on a trunk", "vb", frame(4095), {})
    expect(s, "VID 4095 on an access port", "va", frame(4095), {})
    expect(s, "a tag that ends the frame", "vb", frame(10)[:16], {})


def test_control_frames(s):
    """PAUSE stops at its link, whomever it is for and whatever tag it wears."""
    victim = b"\x02\0\0\0\0\x0d"
    exchange(s, "vd", frame(UNTAGGED, source=victim))
    pause = struct.pack(">HHH", 0x8808, 1, 0xFFFF)
    for what, tag in (("", UNTAGGED), (" with a priority tag", 0)):
        expect(s, f"PAUSE to a station{what}", "va", frame(tag, destination=victim, inner=pause), {})
    expect(s, "PAUSE to a station from a trunk", "vb", frame(10, destination=victim, inner=pause), {})


def test_sizes(s):
    expect(s, "1514 bytes", "vj", frame(UNTAGGED, 1514), {"va": UNTAGGED, "vb": 10, "vd": UNTAGGED})
    expect(s, "1515 bytes are too many for 1500", "vj", frame(UNTAGGED, 1515), {})
    expect(s, "1519 bytes", "vj", frame(UNTAGGED, 1519), {})
    got = expect(s, "1518 bytes with a tag", "vb", frame(10, 1518),
                 {"va": UNTAGGED, "vd": UNTAGGED, "vj": UNTAGGED})
    report([len(d) for _, d in got["va"]] == [1514], "they arrive as 1514 without it")
    expect(s, "16 bytes", "va", frame(UNTAGGED, 16), {"vb": 10, "vd": UNTAGGED, "vj": UNTAGGED})


def test_learning(s):
    alice, bob = b"\x02\0\0\0\0\x0a", b"\x02\0\0\0\0\x0b"
    exchange(s, "va", frame(UNTAGGED, source=alice))
    exchange(s, "vd", frame(UNTAGGED, source=bob))
    expect(s, "known address: to its port alone", "vd", frame(UNTAGGED, destination=alice, source=bob), {"va": UNTAGGED})
    expect(s, "known address, tagged out", "vj", frame(UNTAGGED, destination=bob, source=b"\x02\0\0\0\0\x0c"),
           {"vd": UNTAGGED})
    exchange(s, "vb", frame(10, source=alice))
    expect(s, "moved station", "vd", frame(UNTAGGED, destination=alice, source=bob), {"vb": 10})
    expect(s, "the same address in another VLAN is unknown", "vc", frame(UNTAGGED, destination=alice),
           {"vb": 20, "vd": 20})


def test_reserved(s):
    for last in range(16):
        got = exchange(s, "va", frame(UNTAGGED, destination=b"\x01\x80\xc2\0\0" + bytes([last])), ())
        if any(got.values()):
            report(False, f"01:80:c2:00:00:{last:02x} stays on its link")
            return
    report(True, "01:80:c2:00:00:00 to 0f stay on their link")


def main():
    build = sys.argv[1] if len(sys.argv) > 1 else "build"
    program = os.path.abspath(os.path.join(build, "tests/tap_switch"))
    enter_namespace()
    switch = subprocess.Popen([program] + [f"{n},{o}" for n, o in PORTS.items()], stdout=subprocess.PIPE, text=True)
    try:
        if switch.stdout.readline().strip() != "ready":
            sys.exit("tap_vlan: the switch does not start")
        sockets = {name: open_socket(name) for name in PORTS}
        for test in (test_vlans, test_hopping, test_sizes, test_learning, test_reserved, test_control_frames):
            test(sockets)
        switch.send_signal(signal.SIGTERM)
        counters = switch.communicate(timeout=30)[0]
        report(" reserved=18" in counters, "the drops are counted by reason")
    finally:
        switch.kill()
        switch.wait()
    if failed:
        print(counters)
    sys.exit(1 if failed else 0)


main()
