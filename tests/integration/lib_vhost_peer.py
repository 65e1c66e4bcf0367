#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A vhost-user peer that misbehaves, for vhost_garbage.sh.

usage: lib_vhost_peer.py SOCKET CASE

Connects to SOCKET and does what CASE says. Ends with 0 when the switch closed the
connection (or, for the cases named frames…, when it did not), 1 otherwise.
"""
import fcntl
import mmap
import os
import random
import socket
import struct
import sys
import time

GUEST = 0x40000000  # guest address of the memory
SIZE = 1 << 20
RING = 64
RX, TX = 0, 1
WRITE, NEXT = 2, 1
F_ADD_SEALS, F_SEAL_SHRINK = 1033, 2
VERSION_1 = 1 << 32
INDIRECT = 1 << 28
DATA = 0x10000


class Peer:
    def __init__(self, path, sealed=True):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        deadline = time.monotonic() + 30
        while True:  # one peer at a time: the one before may not be gone yet
            try:
                self.socket.connect(path)
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
        self.fd = os.memfd_create("peer", os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, SIZE)
        self.memory = mmap.mmap(self.fd, SIZE)
        if sealed:
            fcntl.fcntl(self.fd, F_ADD_SEALS, F_SEAL_SHRINK)
        # Each queue has a kick of its own: with one for both, who waits for two may be told of one of them alone, whose
        # handler takes the kick that was for the other.
        self.kicks, self.call = (os.eventfd(0, 0), os.eventfd(0, 0)), os.eventfd(0, 0)
        self.kick = self.kicks[TX]

    def say(self, request, payload=b"", fds=()):
        message = struct.pack("<III", request, 1, len(payload)) + payload
        socket.send_fds(self.socket, [message], list(fds))

    def start(self, size=SIZE, guest=GUEST):
        """All that a good peer says; the queues run afterwards."""
        self.say(2, struct.pack("<Q", VERSION_1 | INDIRECT))
        self.say(5, struct.pack("<IIQQQQ", 1, 0, guest, size, 0, 0), [self.fd])
        for ring in (RX, TX):
            base = ring * 0x4000
            self.say(8, struct.pack("<II", ring, RING))
            self.say(10, struct.pack("<II", ring, 0))
            self.say(9, struct.pack("<IIQQQQ", ring, 0, base, base + 0x2000, base + 0x1000, 0))
            self.say(13, struct.pack("<Q", ring), [self.call])
            self.say(12, struct.pack("<Q", ring), [self.kicks[ring]])

    def desc(self, ring, index, address, length, flags=0, following=0):
        struct.pack_into("<QIHH", self.memory, ring * 0x4000 + 16 * index, address, length, flags, following)

    def offer(self, ring, head, count=1):
        base = ring * 0x4000 + 0x1000
        index = struct.unpack_from("<H", self.memory, base + 2)[0]
        struct.pack_into("<H", self.memory, base + 4 + 2 * (index % RING), head)
        struct.pack_into("<H", self.memory, base + 2, (index + count) & 0xFFFF)
        os.eventfd_write(self.kicks[ring], 1)

    def send_frame(self, size, header=bytes(12)):
        """From the transmit queue; waits until the switch took it."""
        self.memory[DATA:DATA + 12] = header
        self.memory[DATA + 12:DATA + 26] = bytes.fromhex("ffffffffffff020000000099" "88b5")
        before = self.used(TX)
        self.desc(TX, 0, GUEST + DATA, 12 + size)
        self.offer(TX, 0)
        deadline = time.monotonic() + 30
        while self.used(TX) == before and time.monotonic() < deadline:
            time.sleep(0.002)
        return self.used(TX) != before

    def used(self, ring):
        return struct.unpack_from("<H", self.memory, ring * 0x4000 + 0x2000 + 2)[0]

    def close_all(self):
        for fd in (self.fd, *self.kicks, self.call):
            os.close(fd)

    def closed(self, seconds=30):
        self.socket.settimeout(seconds)
        try:
            while True:
                if not self.socket.recv(4096):
                    return True
        except ConnectionError:
            return True
        except TimeoutError:
            return False


def random_bytes(path):
    source = random.Random(4711)
    for _ in range(100):
        peer = Peer(path)
        try:
            peer.socket.sendall(source.randbytes(source.randrange(12, 600)))
            peer.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # closed already
        if not peer.closed():
            return False
        peer.close_all()
    return True


def after_start(path, action, sealed=True):
    peer = Peer(path, sealed)
    try:
        peer.start()
    except BrokenPipeError:
        return True  # refused on the way
    time.sleep(0.1)
    action(peer)
    return peer.closed()


def said(path, *message):
    peer = Peer(path)
    peer.say(*message)
    return peer.closed()


def loop(peer):
    peer.desc(TX, 0, GUEST + DATA, 1, NEXT, 1)
    peer.desc(TX, 1, GUEST + DATA, 1, NEXT, 0)
    peer.offer(TX, 0)


def bad_descriptor(peer, address, length, flags=0, following=0):
    peer.desc(TX, 0, address, length, flags, following)
    peer.offer(TX, 0)


def frames(path):
    peer = Peer(path)
    peer.start()
    time.sleep(0.1)
    taken = all(peer.send_frame(size) for size in (0, 13, 60, 1519, 70000))
    taken = taken and peer.send_frame(60, struct.pack("<BBHHHHH", 1, 0, 0, 0, 50, 60, 0))
    taken = taken and all(peer.send_frame(60) for _ in range(200))
    return taken and not peer.closed(0.3)


def taken_away(peer):
    os.ftruncate(peer.fd, 0)
    os.eventfd_write(peer.kick, 1)


def blocking_call(peer):
    flags = fcntl.fcntl(peer.call, fcntl.F_GETFL)
    fcntl.fcntl(peer.call, fcntl.F_SETFL, flags & ~os.O_NONBLOCK)
    os.eventfd_write(peer.call, (1 << 64) - 2)
    peer.desc(TX, 0, GUEST + DATA, 72)
    peer.offer(TX, 0)


def large(path):
    """A peer with 512 MiB that leaves them to the switch, which has to free them then."""
    peer = Peer(path)
    size = 512 << 20
    os.ftruncate(peer.fd, size)
    os.posix_fallocate(peer.fd, 0, size)
    peer.start(size)
    done = peer.send_frame(60)
    peer.memory.close()
    os.close(peer.fd)
    return done


def semaphore(peer):
    kick = os.eventfd(0, os.EFD_SEMAPHORE)
    peer.say(12, struct.pack("<Q", TX), [kick])
    time.sleep(0.1)
    os.eventfd_write(kick, (1 << 64) - 2)


CASES = {
    "random-bytes": random_bytes,
    "unknown-request": lambda p: said(p, 77, bytes(8)),
    "huge-message": lambda p: said(p, 1, bytes(4000)),
    "wrong-size": lambda p: said(p, 2, bytes(4)),
    "ring-index": lambda p: said(p, 8, struct.pack("<II", 9, 64)),
    "ring-size": lambda p: said(p, 8, struct.pack("<II", 0, 3)),
    "features": lambda p: said(p, 2, struct.pack("<Q", (1 << 64) - 1)),
    "kick-is-no-eventfd": lambda p: said(p, 12, struct.pack("<Q", 0), [0]),
    "avail-index": lambda p: after_start(p, lambda peer: peer.offer(TX, 0, RING + 1)),
    "head": lambda p: after_start(p, lambda peer: peer.offer(TX, RING)),
    "outside-memory": lambda p: after_start(p, lambda peer: bad_descriptor(peer, GUEST + SIZE - 8, 9)),
    "far-outside-memory": lambda p: after_start(p, lambda peer: bad_descriptor(peer, (1 << 64) - 8, 64)),
    "next-outside": lambda p: after_start(p, lambda peer: bad_descriptor(peer, GUEST, 8, NEXT, RING)),
    "loop": lambda p: after_start(p, loop),
    "writable-in-transmit": lambda p: after_start(p, lambda peer: bad_descriptor(peer, GUEST, 8, WRITE)),
    "unsealed": lambda p: after_start(p, lambda peer: None, sealed=False),
    "call-that-blocks": lambda p: after_start(p, blocking_call),
    "kick-is-a-semaphore": lambda p: after_start(p, semaphore),
    "frames": frames,
    "frames-large": large,
    "memory-taken-away": lambda p: after_start(p, taken_away, sealed=False),
}


def main():
    if len(sys.argv) == 2 and sys.argv[1] == "cases":
        print("\n".join(CASES))
        return 0
    if len(sys.argv) != 3 or sys.argv[2] not in CASES:
        sys.exit(__doc__)
    return 0 if CASES[sys.argv[2]](sys.argv[1]) else 1


if __name__ == "__main__":
    sys.exit(main())
