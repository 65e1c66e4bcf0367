# SPDX-License-Identifier: BSD-2-Clause
"""What a device costs a guest (irq_bench.c), beside what the host does for a native program."""
import re
import subprocess

# Row: what irq_bench calls it, the native thing beside it.
ROWS = {"mmio.read": "native.getppid", "pio.out": "native.getppid",
        "irq.latency.median": "native.wakeup.median", "irq.latency.p99": "native.wakeup.p99"}


def bench(table, maker, rounds):
    values = {}
    for _ in range(rounds):
        argv = [f"{maker.build}/bench/irq_bench", f"{maker.build}/bench/irq_guest.elf"]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode:
            raise RuntimeError(f"irq_bench: {done.stderr.strip()}")
        for name, value in re.findall(r"^row (\S+) ([\d.]+) ns$", done.stdout, re.M):
            values.setdefault(name, []).append(float(value))
    for name, native in ROWS.items():
        table.add(name, "ns", "lower", values[name], native, values[native])
