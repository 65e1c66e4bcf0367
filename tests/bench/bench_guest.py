# SPDX-License-Identifier: BSD-2-Clause
"""Guests for the measurements: the same kernel and initramfs on our engine and under QEMU TCG."""
import os
import re
import subprocess
import tempfile
import time

CMDLINE = "console=ttyS0 quiet panic=-1"


def pack(parts, out):
    """Appends cpio parts to an initramfs: parts are files, or {path: (mode, bytes)}."""
    with open(out, "wb") as initrd:
        for part in parts:
            if isinstance(part, dict):
                part = make_part(part)
            with open(part, "rb") as source:
                initrd.write(source.read())
            initrd.write(b"\0" * (-initrd.tell() % 4))


def make_part(files):
    root = tempfile.mkdtemp()
    for path, (mode, data) in files.items():
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "wb") as f:
            f.write(data)
        os.chmod(full, mode)
    out = root + ".gz"
    subprocess.run("find . | cpio -o -H newc -R 0:0 --quiet | gzip -1n >" + out, shell=True, cwd=root, check=True)
    subprocess.run(["rm", "-rf", root], check=True)
    return out


class Guest:
    """A guest whose serial console is read line by line."""

    def __init__(self, argv, log):
        self.log = open(log, "w")
        self.started = time.monotonic()
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self.log)
        self.text = ""
        os.set_blocking(self.process.stdout.fileno(), False)

    def wait(self, pattern, seconds):
        """The match of the pattern in what the console shows, and when it came; None: not in time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            data = self.process.stdout.read()
            if data:
                self.text += data.decode("utf-8", "replace").replace("\r", "")
                self.log.write(data.decode("utf-8", "replace"))
                self.log.flush()
                found = re.search(pattern, self.text)
                if found:
                    return found, time.monotonic() - self.started
            elif data == b"" or self.process.poll() is not None:
                break
            else:
                time.sleep(0.002)
        return None

    def end(self):
        self.log.write((self.process.stdout.read() or b"").decode("utf-8", "replace"))
        self.process.kill()
        self.process.wait()
        self.log.close()


class Maker:
    """Starts guests of one kind: "ours" or "qemu"."""

    def __init__(self, build, images, scratch):
        self.build, self.images, self.scratch = build, images, scratch
        self.count = 0

    def start(self, kind, initrd=None, append="", unpack=False, memory=128, extra=()):
        self.count += 1
        kernel, initrd = f"{self.images}/vmlinuz", initrd or f"{self.images}/initrd.gz"
        if kind == "ours":
            argv = [f"{self.build}/vswitch-guest", "--name", f"bench{self.count}", "--run-dir",
                    f"{self.scratch}/bench{self.count}", "--memory", str(memory), "--kernel", kernel, "--initrd", initrd,
                    "--append", f"{CMDLINE} {append}", "--console", "stdio", *(["--unpack"] if unpack else []), *extra]
        else:
            argv = ["qemu-system-i386", "-accel", "tcg", "-m", str(memory), "-display", "none", "-serial", "stdio",
                    "-no-reboot", "-kernel", kernel, "-initrd", initrd, "-append", f"{CMDLINE} {append}",
                    *(extra or ["-nic", "none"])]
        return Guest(argv, f"{self.scratch}/{kind}{self.count}.log")


def measure_boot(maker, kind, unpack=False):
    guest = maker.start(kind, append="vs.mode=poweroff", unpack=unpack)
    try:
        found = guest.wait(r"vswitch-guest: init\n", 120)
        if not found:
            raise RuntimeError(f"{kind}: the guest does not come to its init; last: {guest.text[-300:]!r}")
        return found[1]
    finally:
        guest.end()


def bench_boot(table, maker, rounds):
    ours, unpacked, theirs = [], [], []
    for _ in range(rounds):  # taking turns: what else the machine does meets all alike
        ours.append(measure_boot(maker, "ours"))
        unpacked.append(measure_boot(maker, "ours", unpack=True))
        theirs.append(measure_boot(maker, "qemu"))
    table.add("boot", "s", "lower", ours, "QEMU TCG", theirs)
    table.add("boot.unpacked", "s", "lower", unpacked, "QEMU TCG", theirs)
