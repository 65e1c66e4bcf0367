#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""As fast as they come back, a few at a time: echo requests, whose replies must all come, with the same octets.

    lib_pings.py ADDRESS COUNT SIZE

ping -f does not wait for the last reply longer than twice the longest of the others took,
and calls it lost: on a busy machine one run in some thousands. Here a reply has 10 s."""
import os
import socket
import struct
import sys
import time

AT_ONCE = 4
PATIENCE = 10


def checksum(data):
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + bytes(len(data) % 2)))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def request(identity, number, size):
    octets = bytes((number * 7 + i * 13) & 0xFF for i in range(size))
    header = struct.pack("!BBHHH", 8, 0, 0, identity, number)
    return struct.pack("!BBHHH", 8, 0, checksum(header + octets), identity, number) + octets, octets


def main():
    address, count, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    raw.settimeout(0.1)
    raw.connect((address, 0))
    identity, waiting, sent, slowest, wrong = os.getpid() & 0xFFFF, {}, 0, 0.0, []
    while sent < count or waiting:
        while sent < count and len(waiting) < AT_ONCE:
            packet, octets = request(identity, sent, size)
            waiting[sent] = (time.monotonic(), octets)
            raw.send(packet)
            sent += 1
        try:
            packet = raw.recv(65536)
        except TimeoutError:
            packet = b""
        now = time.monotonic()
        reply = packet[(packet[0] & 15) * 4:] if packet else b""
        if len(reply) >= 8 and reply[0] == 0 and struct.unpack("!H", reply[4:6])[0] == identity:
            number = struct.unpack("!H", reply[6:8])[0]
            if number in waiting:
                at, octets = waiting.pop(number)
                slowest = max(slowest, now - at)
                if reply[8:] != octets:
                    wrong.append(number)
        lost = [n for n, (at, _) in waiting.items() if now - at > PATIENCE]
        if lost or wrong:
            print(f"{sent} sent of {size} octets; no reply in {PATIENCE} s to {lost}, others outstanding {sorted(set(waiting) - set(lost))}, wrong {wrong}")
            return 1
    print(f"{count} replies of {size} octets, the slowest after {slowest * 1000:.1f} ms")
    return 0


sys.exit(main())
