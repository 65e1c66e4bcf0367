#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Descriptors of odd kinds for the daemon, for odd_descriptors.sh.

usage: DAEMON=PID lib_descriptors.py vhost SOCKET KIND     every request that takes one, with it
       DAEMON=PID lib_descriptors.py control SOCKET KIND   a request on a control socket, with it
       DAEMON=PID lib_descriptors.py many SOCKET KIND      on a vhost-user port 253 at once, the last 8 of that kind
       DAEMON=PID lib_descriptors.py hoard SOCKET KIND     on a vhost-user port a hundred of that kind
       DAEMON=PID lib_descriptors.py crowd SOCKET KIND     on many connections to a vhost-user port that has a peer
       lib_descriptors.py kinds

What hangs does so until it ends, a number of seconds later where one is given. Ends
with 0 when the daemon closed the connection each time.
"""
import ctypes
import errno
import fcntl
import os
import pty
import select
import signal
import socket
import struct
import sys
import tempfile
import time
import traceback

from lib_vhost_peer import F_ADD_SEALS, F_SEAL_SHRINK, GUEST, SIZE, Peer

DAEMON = int(os.environ.get("DAEMON", 0))
KEEP = []
SERVERS = []  # to be ended before this process, which could not end otherwise


def lingering():
    """A TCP socket whose closing waits an hour for the other end to take what was sent."""
    server = socket.create_server(("127.0.0.1", 0))
    sender = socket.create_connection(server.getsockname())
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 3600))
    KEEP.append((server, server.accept()[0]))
    sender.setblocking(False)
    try:
        while True:
            sender.send(bytes(65536))
    except BlockingIOError:
        return sender.detach()


def lingering_inside():
    """A UNIX socket with such a one in it."""
    outer, inner = socket.socketpair()
    fd = lingering()
    socket.send_fds(inner, [b"x"], [fd])
    os.close(fd)
    return outer.detach()


ATTRIBUTES = struct.pack("<QQQQQQIIIIIIIIII", 2, 1 << 30, 0, 0, 0, 0, 0, 0, 0, 0o100666, 1, 0, 0, 0, 4096, 0)
ROOT = struct.pack("<QQQQQQIIIIIIIIII", 1, 0, 0, 0, 0, 0, 0, 0, 0, 0o40777, 1, 0, 0, 0, 4096, 0)


def serve_fuse(device):
    """Answers nothing but what opening a file takes: not FLUSH, which each close() asks for, nor GETATTR from then on,
    which fstat() asks for."""
    opened_once = False
    while True:
        request = os.read(device, 1 << 17)
        _, operation, unique, node = struct.unpack_from("<IIQQ", request)
        answer = {
            26: struct.pack("<IIIIHHIIHH32x", 7, 31, 0, 0, 16, 12, 65536, 1, 0, 0),
            1: struct.pack("<QQQQII", 2, 0, 3600, 0, 0, 0) + ATTRIBUTES,
            3: struct.pack("<QII", 0, 0, 0) + (ROOT if node == 1 else ATTRIBUTES),
            14: struct.pack("<QII", 1, 0, 0),
        }.get(operation)
        opened_once |= operation == 14
        if answer is not None and not (operation == 3 and opened_once):
            os.write(device, struct.pack("<IiQ", 16 + len(answer), 0, unique) + answer)


def fuse():
    """A file on a file system that never answers to close()."""
    device = os.open("/dev/fuse", os.O_RDWR)
    where = tempfile.mkdtemp()
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    if ctypes.CDLL(None, use_errno=True).mount(b"odd", where.encode(), b"fuse", 0, options):
        raise OSError(ctypes.get_errno(), "mount")
    server = os.fork()
    if server == 0:
        serve_fuse(device)
    SERVERS.append(server)
    os.close(device)
    return os.open(where + "/file", os.O_RDWR)


def io_uring():
    fd = ctypes.CDLL(None).syscall(425, 4, bytes(120))
    return fd if fd >= 0 else select.epoll().fileno()


def memfd(seals, size=SIZE):
    fd = os.memfd_create("odd", os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, F_ADD_SEALS, seals)
    return fd


def opened(path, flags=os.O_RDWR):
    return os.open(path, flags)


def epoll():
    KEEP.append(select.epoll())
    return os.dup(KEEP[-1].fileno())


KINDS = {
    "directory": lambda: opened("/", os.O_RDONLY),
    "path": lambda: opened("/dev/null", os.O_PATH),
    "null": lambda: opened("/dev/null"),
    "zero": lambda: opened("/dev/zero"),
    "file": lambda: opened("/proc/self/status", os.O_RDONLY),
    "tty": lambda: pty.openpty()[1],
    "pipe": lambda: os.pipe()[0],
    "epoll": epoll,
    "pidfd": lambda: os.pidfd_open(os.getpid()),
    "io_uring": io_uring,
    "unsealed-memfd": lambda: memfd(0),
    "short-memfd": lambda: memfd(F_SEAL_SHRINK, 4096),
    "semaphore": lambda: os.eventfd(0, os.EFD_SEMAPHORE),
    "socket": lambda: socket.socketpair()[0].detach(),
    "lingering": lingering,
    "lingering-inside": lingering_inside,
    "fuse": fuse,
}
LAST_MATTERS = ("lingering", "lingering-inside")


class Given:
    """What is to be sent; the daemon stands still until it alone has it, where that matters."""

    def __init__(self, kind, count=1):
        self.last_matters = kind in LAST_MATTERS
        self.fds = [KINDS[kind]() for _ in range(count)]

    def __enter__(self):
        if self.last_matters:
            os.kill(DAEMON, signal.SIGSTOP)
        return self.fds

    def __exit__(self, *_):
        if self.last_matters:
            for fd in self.fds:
                os.close(fd)
            os.kill(DAEMON, signal.SIGCONT)


def vhost(path, kind):
    table = struct.pack("<IIQQQQ", 1, 0, GUEST, SIZE, 0, 0)
    slot = struct.pack("<QQQQQ", 0, GUEST, SIZE, 0, 0)
    ring = struct.pack("<Q", 0)
    wrong = struct.pack("<Q", 77)
    for request, payload, many in ((5, table, 1), (37, slot, 1), (38, slot, 1), (12, ring, 1), (13, ring, 1), (14, ring, 1),
                                   (1, b"", 1), (12, wrong, 1), (13, ring, 9)):
        peer = Peer(path)
        with Given(kind, many) as fds:
            peer.say(request, payload, fds)
            if request == 14:  # is taken for nothing: something behind it must end the session
                peer.say(77)
        peer.socket.shutdown(socket.SHUT_WR)
        if not peer.closed(10):
            print(f"request {request} with {many}: the connection is still there")
            return False
        peer.close_all()
    # One that the daemon will not have read when it ends the session.
    peer = Peer(path)
    with Given(kind) as fds:
        peer.say(77)
        try:
            peer.say(12, ring, fds)
        except BrokenPipeError:
            pass
    return peer.closed(10)


def many(path, kind):
    """As many as a message may have: the last ones find no room where the daemon's limit is low."""
    peer = Peer(path)
    with Given(kind, 8) as fds:
        peer.say(12, struct.pack("<Q", 0), [peer.kick] * 245 + fds)
    return peer.closed(10)


def hoard(path, kind):
    """One message with the same a hundred times: closing each takes long."""
    peer = Peer(path)
    with Given(kind) as fds:
        peer.say(12, struct.pack("<Q", 0), fds * 100)
    return peer.closed(10)


def crowd(path, kind):
    """One holds a port; others come, four at a time, with what hangs when they are turned away. Their places are not all
    taken within two seconds."""
    peer = Peer(path)
    before = len(os.listdir(f"/proc/{DAEMON}/fd"))
    for _ in range(20):
        sockets = [socket.socket(socket.AF_UNIX) for _ in range(4)]
        with Given(kind, 4) as fds:
            for s, fd in zip(sockets, fds):
                s.setblocking(False)
                try:
                    s.connect(path)
                    socket.send_fds(s, [b"x"], [fd])
                except BlockingIOError:  # enough are waiting to be let in
                    KEEP.append(os.dup(fd))
        KEEP.extend(sockets)
        time.sleep(0.1)
    held = len(os.listdir(f"/proc/{DAEMON}/fd")) - before
    print(f"{held} are waiting to be closed")
    peer.socket.close()
    return held < 40


def cut_off(s):
    s.settimeout(10)
    try:
        while s.recv(4096):  # what a console has said
            pass
        return True
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def control(path, kind):
    """On two connections two each: where a timer's signal interrupts what lingers, the first may not."""
    sockets = [socket.socket(socket.AF_UNIX) for _ in range(2)]
    with Given(kind, 4) as fds:
        for s, two in zip(sockets, (fds[:2], fds[2:])):
            s.connect(path)
            try:
                for fd in two:
                    socket.send_fds(s, [b'{"jsonrpc":"2.0","id":1,"method":"daemon.ping"}\n'], [fd])
            except BrokenPipeError:
                pass  # turned away before
    return all([cut_off(s) for s in sockets])


def main():
    if sys.argv[1:] == ["kinds"]:
        print("\n".join(KINDS))
        return 0
    try:
        done = {"vhost": vhost, "many": many, "hoard": hoard, "crowd": crowd, "control": control}[sys.argv[1]](sys.argv[2], sys.argv[3])
    except OSError as error:
        if sys.argv[3] != "io_uring" or error.errno != errno.EINVAL:
            raise
        done = True  # Linux 6.7 and later do not let it be sent
    except BaseException:
        traceback.print_exc()
        done = False
    sys.stdout.flush()
    if len(sys.argv) > 5:
        open(sys.argv[5], "w").close()  # it is cut off; what hangs, hangs from now on,
        time.sleep(float(sys.argv[4]))  # for so long
    for server in SERVERS:
        os.kill(server, signal.SIGKILL)
    os._exit(0 if done else 1)


if __name__ == "__main__":
    sys.exit(main())
