#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Sends COUNT frames of a type for local experiments out of an interface, not faster
than a slow NIC's driver takes them, or with FLOOD=1 as fast as can be. MAGIC=ADDRESS
makes them magic packets for that station, SIZE=BYTES longer than 60 bytes.
usage: lib_frames.py INTERFACE TO FROM COUNT [VLAN]"""
import os
import socket
import struct
import sys
import time


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


interface, to, source, count = sys.argv[1:5]
vlan = sys.argv[5] if len(sys.argv) > 5 else ""
tag = struct.pack("!HH", 0x8100, int(vlan)) if vlan else b""
magic = os.environ.get("MAGIC", "")
payload = bytes([255] * 6) + 16 * mac(magic) if magic else bytes(int(os.environ.get("SIZE", "60")) - 14)
frame = mac(to) + mac(source) + tag + b"\x88\xb5" + payload
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((interface, 0))
for _ in range(int(count)):
    s.send(frame)
    if "FLOOD" not in os.environ:
        time.sleep(0.0005)
