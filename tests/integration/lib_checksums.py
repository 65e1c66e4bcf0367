#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Sends TCP and UDP in IPv4 and IPv6, of many lengths and with wrong checksums, to a card
whose driver sends each frame on to another address with checksums that the card makes;
whether all arrive there, unchanged but for checksums that are right.
usage: lib_checksums.py INTERFACE TO ARRIVES-AT NEW-TO"""
import socket
import struct
import sys
import time

interface, to, arrives, new_to = sys.argv[1:5]
FROM = bytes.fromhex("020000000009")
TCP, UDP = 6, 17


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def total(data):
    data += bytes(len(data) % 2)
    value = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while value >> 16:
        value = (value & 0xffff) + (value >> 16)
    return value


def packet(version, protocol, payload):
    """From the IP header on, checksums wrong."""
    if protocol == TCP:
        l4 = struct.pack("!HHIIBBHHH", 1000, 2000, 1, 0, 5 << 4, 0x18, 8192, 0x1234, 0) + payload
    else:
        l4 = struct.pack("!HHHH", 1000, 2000, 8 + len(payload), 0x1234) + payload
    if version == 4:
        return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(l4), 7, 0x4000, 64, protocol, 0xbad, bytes([10, 9, 0, 254]), bytes([10, 9, 0, 77])) + l4
    return struct.pack("!IHBB16s16s", 6 << 28, len(l4), protocol, 64, bytes(15) + b"\1", bytes(15) + b"\2") + l4


def verdict(p):
    """What is wrong with a packet's checksums, or nothing."""
    if p[0] >> 4 == 4:
        p = p[:struct.unpack("!H", p[2:4])[0]]
        if total(p[:20]) != 0xffff:
            return "IPv4's checksum"
        protocol, addresses, l4 = p[9], p[12:20], p[20:]
    else:
        p = p[:40 + struct.unpack("!H", p[4:6])[0]]
        protocol, addresses, l4 = p[6], p[8:40], p[40:]
    if total(addresses + struct.pack("!HH", protocol, len(l4)) + l4) != 0xffff:
        return "TCP's checksum" if protocol == TCP else "UDP's checksum"
    return ""


def plain(p):
    """Without its checksums."""
    head = 20 if p[0] >> 4 == 4 else 40
    field = head + (16 if p[9 if head == 20 else 6] == TCP else 6)
    p = p[:field] + bytes(2) + p[field + 2:]
    return p[:10] + bytes(2) + p[12:] if head == 20 else p


sink = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
sink.bind((arrives, 0))
source = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
source.bind((interface, 0))
sent = {}
for n, size in enumerate([12, 13, 26, 27, 100, 101, 511, 512, 1000, 1399, 1400]):
    for version in (4, 6):
        for protocol in (TCP, UDP):
            payload = struct.pack("!III", n, version, protocol) + bytes((7 * i + n) & 255 for i in range(size - 12))
            sent[(n, version, protocol)] = plain(packet(version, protocol, payload))
            kind = b"\x08\x00" if version == 4 else b"\x86\xdd"
            source.send(mac(to) + FROM + kind + packet(version, protocol, payload))
            time.sleep(0.002)
came, wrong = set(), []
end = time.monotonic() + 30
while len(came) < len(sent) and time.monotonic() < end:
    sink.settimeout(max(0.01, end - time.monotonic()))
    try:
        frame = sink.recv(2000)
    except socket.timeout:
        break
    p = frame[14:]
    head, protocol = (20, p[9]) if p[0] >> 4 == 4 else (40, p[6])
    body = p[head + (20 if protocol == TCP else 8):]
    if frame[:6] != mac(new_to) or protocol not in (TCP, UDP) or len(body) < 12:
        continue # somebody else's
    key = struct.unpack("!III", body[:12])
    bad = verdict(p)
    if key not in sent or plain(p)[:len(sent[key])] != sent[key]:
        bad = "other bytes"
    if bad:
        wrong.append((key, bad))
    came.add(key)
print(f"{len(came)} of {len(sent)} came, {len(wrong)} wrong {wrong[:5]}")
sys.exit(len(came) != len(sent) or bool(wrong))
