# SPDX-License-Identifier: BSD-2-Clause
"""What an idle guest costs: CPU time, and memory beside the guest's own."""
import glob
import re
import time

from bench_table import TCG

MEMORY, SETTLE, INTERVAL = 128, 8, 10


def cpu_ns(pid):
    """CPU time of all threads (schedstat is exact; /proc/PID/stat counts in ticks)."""
    total = 0
    for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
        with open(path) as f:
            total += int(f.read().split()[0])
    return total


def memory_kib(pid):
    """(resident pages in mappings that are not guest RAM, guest pages resident), by /proc/PID/smaps.

    Guest RAM is a memfd, which may be mapped at several places and counts once, or the
    anonymous mapping of just its size (QEMU's)."""
    others, guest, in_ram = 0, 0, False
    with open(f"/proc/{pid}/smaps") as f:
        for line in f:
            head = re.match(r"([0-9a-f]+)-([0-9a-f]+) \S+ \S+ \S+ (\d+)\s*(.*)", line)
            if head:
                size, name = int(head[2], 16) - int(head[1], 16), head[4]
                in_ram = "x86vm-ram" in name or (size == MEMORY << 20 and head[3] == "0" and not name)
            elif line.startswith("Rss:"):
                others += 0 if in_ram else int(line.split()[1])
            elif line.startswith("Pss:") and in_ram:
                guest += int(line.split()[1])
    return others, guest


def bench(table, maker, rounds):
    kinds = ("ours", "qemu")
    cpu, memory = {k: [] for k in kinds}, {k: [] for k in kinds}
    guests = {}
    try:
        for kind in kinds:
            guests[kind] = maker.start(kind, memory=MEMORY)
        for kind, guest in guests.items():
            if not guest.wait(r"vswitch-guest: ready", 120):
                raise RuntimeError(f"{kind}: not ready; last: {guest.text[-300:]!r}")
        time.sleep(SETTLE)
        pids = {kind: guest.process.pid for kind, guest in guests.items()}
        for _ in range(rounds):
            before = {kind: (cpu_ns(pid), time.monotonic()) for kind, pid in pids.items()}
            time.sleep(INTERVAL)
            for kind, pid in pids.items():
                used, began = before[kind]
                cpu[kind].append((cpu_ns(pid) - used) / 1e7 / (time.monotonic() - began))
                others, inside = memory_kib(pid)
                if not inside:
                    raise RuntimeError(f"{kind}: no mapping looks like the guest's RAM")
                memory[kind].append(others / 1024)
    finally:
        for guest in guests.values():
            guest.end()
    table.add("idle.cpu", "%", "lower", cpu["ours"], TCG, cpu["qemu"])
    table.add("idle.memory", "MiB", "lower", memory["ours"], TCG, memory["qemu"])
