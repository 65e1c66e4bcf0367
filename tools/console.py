#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Drives the shell on a guest's serial console.

usage: console.py SOCKET wait TEXT [SECONDS]     until the console has shown TEXT
       console.py SOCKET run COMMAND [SECONDS]   prints what COMMAND prints, ends with its status
       console.py SOCKET type TEXT               types it, without a newline of its own
       console.py SOCKET show                    what the console has shown so far

The socket shows a late client the last 64 KiB, so `wait` also finds what was there
before. Exit status 124: the time (60 s unless given) was up.
"""
import os
import re
import select
import socket
import sys
import time


class Console:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(path)
        self.text = ""

    def read(self, deadline):
        """Adds what arrives to the text; False when the time is up or the guest is gone."""
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self.socket], [], [], left)[0]:
            return False
        data = self.socket.recv(65536)
        self.text += data.decode("utf-8", "replace").replace("\r", "")
        return bool(data)

    def wait(self, pattern, seconds):
        deadline = time.monotonic() + seconds
        while True:
            found = re.search(pattern, self.text)
            if found or not self.read(deadline):
                return found

    def run(self, command, seconds):
        """(status, output); the markers are split so that the echo does not hold them."""
        mark = "@%06x" % (int.from_bytes(os.urandom(3), "big"))
        line = f"echo '{mark[:3]}''{mark[3:]}'; {command}; echo '{mark[:3]}''{mark[3:]}:'$?\n"
        self.socket.sendall(line.encode())
        found = self.wait(re.escape(mark) + r"\n((?:.|\n)*?)" + re.escape(mark) + r":(\d+)\n", seconds)
        return (int(found.group(2)), found.group(1)) if found else (124, self.text[-2000:])


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    seconds = float(sys.argv[4]) if len(sys.argv) > 4 else 60
    try:
        console = Console(sys.argv[1])
        if sys.argv[2] == "run":
            status, output = console.run(sys.argv[3], seconds)
            sys.stdout.write(output)
            return status
        if sys.argv[2] == "type":
            console.socket.sendall(sys.argv[3].encode())
            while console.read(time.monotonic() + 0.3):  # what a client that is gone has sent is not looked at
                pass
            return 0
        if sys.argv[2] == "wait":
            if console.wait(re.escape(sys.argv[3]), seconds):
                return 0
            sys.stderr.write(console.text[-3000:])
            return 124
        while console.read(time.monotonic() + 0.3):
            pass
        sys.stdout.write(console.text)
        return 0
    except OSError as error:
        print(f"console: {sys.argv[1]}: {error}", file=sys.stderr)
        return 3


if __name__ == "__main__":
    sys.exit(main())
