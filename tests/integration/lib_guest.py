# SPDX-License-Identifier: BSD-2-Clause
"""One Debian guest without daemon or network, for tests in Python: programs put
into its initramfs, its console driven, its end looked at.

    with Guest("pae", kernel="vmlinuz-pae", initrd="initrd-pae.gz", files={"bin/x": data}) as g:
        status, output = g.run("x")
"""
import gzip
import os
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "tools"))
from console import Console  # noqa: E402

BUILD = os.path.abspath(os.environ.get("BUILD", "build"))
IMAGES = os.path.abspath(os.path.join(os.environ.get("CACHE", "cache"), "images"))
failed = []


def check(name, good, detail=""):
    print(("ok   " if good else "FAIL ") + name + ("" if good else f": {detail}"), flush=True)
    if not good:
        failed.append(name)
    return good


def cpio(files):
    """A newc archive with the folders that `files` (path: bytes) need, all executable."""
    out = bytearray()
    folders = sorted({"/".join(p.split("/")[:n]) for p in files for n in range(1, p.count("/") + 1)})
    entries = [(f, 0o040755, b"") for f in folders] + [(p, 0o100755, d) for p, d in sorted(files.items())]
    for number, (path, mode, data) in enumerate(entries + [("TRAILER!!!", 0, b"")], 1):
        name = path.encode() + b"\0"
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
        out += b"070701" + b"".join(b"%08X" % f for f in fields) + name
        out += bytes(-len(out) % 4) + data
        out += bytes(-len(out) % 4)
    return bytes(out)


def compile_i386(source, *options):
    """The static i386 program that `source` (C) makes."""
    with tempfile.TemporaryDirectory(prefix="vswitch-cc.") as folder:
        out = os.path.join(folder, "program")
        subprocess.run(["gcc", "-m32", "-O1", "-static", "-no-pie", "-Wall", "-Werror", "-x", "c", *options, "-o", out, "-"],
                       input=source.encode(), check=True)
        with open(out, "rb") as f:
            return f.read()


class Guest:
    def __init__(self, name, kernel="vmlinuz", initrd="initrd.gz", files=None, append="", options=(), memory=128):
        self.work = tempfile.mkdtemp(prefix="vswitch-test.")
        self.name = name
        if initrd:
            options = ["--initrd", self.make_initrd(initrd, files), "--unpack", *options]
        self.log = os.path.join(self.work, "log")
        self.process = subprocess.Popen(
            [os.path.join(BUILD, "vswitch-guest"), "--name", name, "--run-dir", os.path.join(self.work, "run"),
             "--memory", str(memory), "--kernel", os.path.join(IMAGES, kernel), "--log", self.log,
             "--append", f"console=ttyS0 panic=-1 {append}", *options],
            stdin=subprocess.DEVNULL)

    def make_initrd(self, initrd, files):
        parts = os.path.join(self.work, "initrd")
        with open(parts, "wb") as out:
            with open(os.path.join(IMAGES, initrd), "rb") as f:
                shutil.copyfileobj(f, out)
            if files:
                out.write(bytes(-out.tell() % 4) + gzip.compress(cpio(files), 1))
        return parts

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.work, ignore_errors=True)

    @property
    def pid(self):
        return self.process.pid

    def ready(self, seconds=90):
        """True when its shell can be used; the console is in self.console then."""
        return self.shows("vswitch-guest: ready", seconds)

    def shows(self, pattern, seconds):
        """True when its console has shown the pattern; the console is in self.console then."""
        path = os.path.join(self.work, "run", "console.sock")
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                self.console = Console(path)
                return bool(self.console.wait(pattern, deadline - time.monotonic()))
            except OSError:
                time.sleep(0.05)
        return False

    def run(self, command, seconds=60):
        """(status, output) of a shell command in the guest."""
        return self.console.run(command, seconds)

    def ended(self, seconds):
        """Its exit code; None when it does not end."""
        try:
            return self.process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            return None

    def said(self):
        """What the process said about the guest."""
        with open(self.log, errors="replace") as f:
            return f.read()
