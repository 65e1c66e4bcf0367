#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# Systems that are not Linux, as Debian ships them: memtest86+, a program on the bare machine
# that is booted as a kernel, and GNU Mach, a multiboot image with drivers and paging of its own.
import os
import re
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib_guest import Guest, check, failed  # noqa: E402


def screen(text):
    """What a terminal of 80 columns shows then, as far as memtest86+ makes use of one."""
    rows, row, column = [[" "] * 80 for _ in range(25)], 0, 0
    for numbers, final, character in re.findall(r"\x1b\[([0-9;]*)([A-Za-z])|([ -~])", text):
        if final == "H":
            row, column = (int(n) - 1 for n in numbers.split(";"))
        elif character and row < 25 and column < 80:
            rows[row][column] = character
            column += 1
    return "\n".join("".join(r) for r in rows)


def memtest_at(console, number, seconds):
    """What it shows when it has come to that test, or when the time is up."""
    deadline = time.monotonic() + seconds
    while True:
        shown = screen(console.text)
        test = re.search(r"Test #(\d+)", shown)
        if test and int(test.group(1)) >= number or not console.read(deadline):
            return shown


def memtest():
    """Its first tests pass, and its keyboard works: Escape resets the machine."""
    with Guest("memtest", kernel="memtest", initrd=None, memory=24) as g:
        check("memtest86+ starts", g.shows(r"Memtest86\+ v", 30), g.said())
        shown = memtest_at(g.console, 5, 90)
        check("memtest86+ comes to its fifth test", re.search(r"Test #([5-9]|10) ", shown), shown)
        check("memtest86+ finds no error", re.search(r"Errors: 0 *\n", shown), shown)
        g.console.socket.sendall(b"\x1b")
        check("memtest86+ resets the machine on Escape", g.ended(30) == 4, g.said())


def gnumach():
    """It looks over the machine and then ends for want of servers, as it does under QEMU."""
    with Guest("mach", kernel="gnumach", initrd=None, memory=32, append="console=com0") as g:
        seen = g.shows("No bootstrap code loaded", 60)
        check("GNU Mach starts as far as it can", seen, g.said())
        check("GNU Mach has found all memory", re.search(r"0*100000:0*2000000, available", g.console.text), g.console.text)
        check("GNU Mach has found the PCI bus", "pcibios_init: Using configuration type 1" in g.console.text, g.console.text)
        check("GNU Mach resets the machine", g.ended(30) == 4, g.said())


memtest()
gnumach()
sys.exit(1 if failed else 0)
