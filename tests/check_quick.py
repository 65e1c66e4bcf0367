#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Quick port accesses (x86vm/memory/io_bus.h) run while the guest's XMM registers are
still in the host's: looks through the machine code of each function with `quick` in
its name, and of all that it calls directly, for anything but general registers and
for calls to libraries.

usage: check_quick.py BUILD
"""
import re
import subprocess
import sys

ALLOWED = {"__stack_chk_fail@plt"}  # never returns
FORBIDDEN = re.compile(r"%[xyz]mm|%mm\d|%st\b|\bf(?:ld|st|ild|istp?)|\bemms\b|\bv?zeroupper\b")


def functions(program):
    """Name -> lines of its code."""
    found, lines = {}, None
    for line in subprocess.run(["objdump", "-d", "--no-show-raw-insn", program], capture_output=True, text=True,
                               check=True).stdout.splitlines():
        head = re.match(r"[0-9a-f]+ <(.+)>:$", line)
        if head:
            lines = found.setdefault(head[1], [])
        elif lines is not None and "\t" in line:
            lines.append(line.split("\t", 1)[1])
    return found


def reached(code, roots):
    """Function -> who calls it, of all that is called directly from the roots."""
    callers, waiting = {name: None for name in roots}, list(roots)
    while waiting:
        name = waiting.pop()
        for line in code.get(name, []):
            target = re.match(r"(?:call|jmp|j\w+)\s+[0-9a-f]+ <([^+>]+)>", line)
            if target and target[1] not in callers:
                callers[target[1]] = name
                waiting.append(target[1])
    return callers


def main():
    code = functions(f"{sys.argv[1]}/vswitch-guest")
    roots = [name for name in code if "quick" in name and "@" not in name]
    failures = [] if len(roots) >= 8 else [f"only {len(roots)} quick functions were found"]
    for name, caller in reached(code, roots).items():
        if name not in code or "@plt" in name:
            if name not in ALLOWED:
                failures.append(f"{caller} calls {name}")
            continue
        failures += [f"{name}: {line}" for line in code[name] if FORBIDDEN.search(line)]
    for failure in failures:
        print(f"     {failure}")
    print("FAIL quick port accesses use more than general registers" if failures
          else "ok   quick port accesses use general registers alone")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
