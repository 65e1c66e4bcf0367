#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# Debian's PAE kernel: page tables of 64-bit entries, with NX in force. Its own 6.1
# loses the NX bit of user pages (vm_get_page_prot() keeps it in 32 bits), under any
# machine; so it is the kernel itself that is made to execute its stack, by a module
# whose first instructions are replaced, and the kernel without PAE beside it.
import gzip
import os
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib_guest import IMAGES, Guest, check, failed  # noqa: E402

# sub esp, 16; mov byte [esp], RET; call esp; add esp, 16; xor eax, eax; ret
EXECUTE_STACK = bytes.fromhex("83ec10" "c60424c3" "ffd4" "83c410" "31c0" "c3")
FENTRY = 5  # bytes of the call that each kernel function begins with


def from_initramfs(image, name):
    """A file of the first part of an initramfs, by the end of its path."""
    with gzip.open(image) as f:
        data = f.read()
    at = 0
    while data[at:at + 6] == b"070701":
        size, length = int(data[at + 54:at + 62], 16), int(data[at + 94:at + 102], 16)
        path = data[at + 110:at + 110 + length - 1].decode()
        start = (at + 110 + length + 3) & ~3
        if path.endswith(name):
            return data[start:start + size]
        at = (start + size + 3) & ~3
    raise FileNotFoundError(f"{name} in {image}")


def executing_module(module):
    """The module with EXECUTE_STACK as its init function, where no relocation is in the way."""
    table, = struct.unpack_from("<I", module, 32)
    size, count, names = struct.unpack_from("<HHH", module, 46)
    headers = [struct.unpack_from("<10I", module, table + size * i) for i in range(count)]

    def name_of(header):
        start = headers[names][4] + header[0]
        return module[start:module.index(b"\0", start)]

    by_name = {name_of(h): h for h in headers}
    text, relocations = by_name[b".init.text"], by_name[b".rel.init.text"]
    taken = sorted(struct.unpack_from("<I", module, relocations[4] + at)[0] for at in range(0, relocations[5], 8))
    room = [(a + 4, b) for a, b in zip(taken, taken[1:] + [text[5]]) if b - a - 4 >= len(EXECUTE_STACK)]
    start = room[0][0]
    out = bytearray(module)
    out[text[4] + FENTRY:text[4] + FENTRY + 2] = bytes([0xEB, start - FENTRY - 2])
    out[text[4] + start:text[4] + start + len(EXECUTE_STACK)] = EXECUTE_STACK
    return bytes(out)


def boot(flavour, body):
    suffix = f"-{flavour}" if flavour else ""
    initrd = f"initrd{suffix}.gz"
    module = executing_module(from_initramfs(os.path.join(IMAGES, initrd), "/e1000.ko"))
    with Guest(f"nx{suffix}", kernel=f"vmlinuz{suffix}", initrd=initrd, files={"etc/nx.ko": module}) as g:
        if check(f"the kernel {flavour or 'without PAE'} boots to its shell", g.ready(), g.process.poll()):
            body(g)
            g.run("(sleep 0.2; poweroff -f) & true")
            check("and powers off", g.ended(30) == 0 and "powered off" in g.said(), g.said())


def with_pae(g):
    _, flags = g.run("grep -m 1 ^flags /proc/cpuinfo; uname -r")
    check("it is the PAE kernel, on a CPU with pae and nx",
          " pae " in flags and " nx " in flags and flags.rstrip().endswith("-pae"), flags)
    _, said = g.run("dmesg | grep -i nx")
    check("NX is active, and the kernel's data are protected",
          "NX (Execute Disable) protection: active" in said and "NX-protecting the kernel data" in said, said)
    status, _ = g.run("insmod /etc/nx.ko")
    _, said = g.run("dmesg | grep -A 5 'NX-protected'")
    check("the kernel cannot execute its stack", status != 0 and "tried to execute NX-protected page" in said and
          "#PF: supervisor instruction fetch" in said and "(0x0011)" in said, said)


def without_pae(g):
    _, said = g.run("dmesg | grep -i 'execute disable'")
    check("NX needs PAE", "cannot be enabled" in said, said)
    status, said = g.run("insmod /etc/nx.ko 2>&1")
    check("without it the same module executes its stack", status == 0, said)


def main():
    for image in ("vmlinuz", "vmlinuz-pae"):
        if not os.path.exists(os.path.join(IMAGES, image)):
            print(f"FAIL {image} is not there: tools/guest_image.sh --pae")
            return 1
    boot("pae", with_pae)
    boot("", without_pae)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
