#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""`make bench`: measures ours beside its peers in one run; one table, build/bench.json.

usage: bench.py BUILD IMAGES [--rounds N] [PREFIX…]      only rows that start with a PREFIX

A row: {name, unit, better, ours, peer, theirs, ratio, n, spread}. Values are medians
of n rounds, in which ours and the peer take turns; ratio is ours ÷ theirs, spread is
(largest − smallest) ÷ median of ours.
"""
import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import traceback

import bench_guest
import bench_net

TCG = "QEMU TCG"


class Table:
    def __init__(self):
        self.rows = []

    def add(self, name, unit, better, ours, peer, theirs):
        """`ours` and `theirs` are lists of measured values (theirs may be empty)."""
        middle = statistics.median(ours)
        other = statistics.median(theirs) if theirs else None
        row = {"name": name, "unit": unit, "better": better, "ours": round(middle, 4), "peer": peer,
               "theirs": round(other, 4) if other is not None else None,
               "ratio": round(middle / other, 4) if other else None, "n": len(ours),
               "spread": round((max(ours) - min(ours)) / middle, 3) if middle else 0}
        self.rows.append(row)
        self.show(row)

    @staticmethod
    def show(row):
        value = lambda v: "-" if v is None else f"{v:.4g}" if v < 10000 else f"{v:.0f}"
        print(f"{row['name']:28} {value(row['ours']):>9} {row['unit']:8} {row['peer'] or '-':12} "
              f"{value(row['theirs']):>9}  ratio {value(row['ratio']):>7}  "
              f"({row['better']} is better, n {row['n']}, spread {100 * row['spread']:.0f} %)", flush=True)


def geomean(values):
    return math.exp(statistics.fmean(math.log(v) for v in values))


def bench_boot(table, maker, rounds):
    ours, unpacked, theirs = [], [], []
    for _ in range(rounds):
        ours.append(bench_guest.measure_boot(maker, "ours"))
        unpacked.append(bench_guest.measure_boot(maker, "ours", unpack=True))
        theirs.append(bench_guest.measure_boot(maker, "qemu"))
    table.add("boot", "s", "lower", ours, TCG, theirs)
    table.add("boot.unpacked", "s", "lower", unpacked, TCG, theirs)


def bench_kernels(table, maker, rounds):
    ours, theirs, native = {}, {}, {}
    for _ in range(rounds):  # taking turns: what else the machine does meets all alike
        for kind, into in (("ours", ours), ("qemu", theirs)):
            for key, values in bench_guest.measure_kernels(maker, kind, 2).items():
                into.setdefault(key, []).extend(values)
        for key, values in bench_guest.measure_native(maker.build, 2).items():
            native.setdefault(key, []).extend(values)
    for peer, other, prefix in ((TCG, theirs, ""), ("native", native, "native.")):
        for (group, name), values in ours.items():
            scaled = [v / 1e6 for v in values]
            table.add(f"{prefix}{group}.{name}", "ms", "lower", scaled, peer, [v / 1e6 for v in other[(group, name)]])
        # One geometric mean a run; the ratio of two is the geometric mean of the kernels' ratios.
        mean = lambda data: [geomean(run) for run in zip(*([ns / 1e6 for ns in values] for (group, _), values
                                                           in data.items() if group == "compute"))]
        table.add(f"{prefix}compute.geomean", "ms", "lower", mean(ours), peer, mean(other))


def bench_taps(table, maker, rounds):
    kinds = ("vswitchd", "relay", "vde_switch")
    values = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind in kinds:
            values[kind].append(bench_net.measure_frames(kind, maker.build, maker.scratch))
    cpu = {kind: [v[0] for v in values[kind]] for kind in kinds}
    rate = {kind: [v[1] / 1000 for v in values[kind]] for kind in kinds}
    table.add("tap.frame.cpu", "ns", "lower", cpu["vswitchd"], "relay", cpu["relay"])
    table.add("tap.frame.cpu.vde_switch", "ns", "lower", cpu["vswitchd"], "vde_switch", cpu["vde_switch"])
    table.add("tap.frame.rate", "kframe/s", "higher", rate["vswitchd"], "relay", rate["relay"])
    table.add("tap.frame.rate.vde_switch", "kframe/s", "higher", rate["vswitchd"], "vde_switch", rate["vde_switch"])


def bench_tap_tcp(table, maker, rounds):
    kinds = ("vswitchd", "bridge", "vde_switch", "relay")
    values = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind in kinds:
            values[kind].append(bench_net.measure_tcp(kind, maker.build, maker.scratch))
    for kind in kinds[1:]:
        name = "tap.tcp" if kind == "bridge" else f"tap.tcp.{kind}"
        table.add(name, "Mbit/s", "higher", values["vswitchd"], kind, values[kind])


def bench_guest_tcp(nic):
    def bench(table, maker, rounds):
        values = {"ours": [], "qemu": []}
        for _ in range(max(1, rounds // 2)):
            for kind in values:
                values[kind].append(bench_net.measure_guest_tcp(maker, kind, nic))
        for way in ("rx", "tx"):
            table.add(f"{nic}.tcp.{way}", "Mbit/s", "higher", [v[way] for v in values["ours"]], TCG,
                      [v[way] for v in values["qemu"]])
    return bench


# What each part measures, by the rows it gives.
PARTS = (
    (("boot", "boot.unpacked"), bench_boot),
    (("compute.", "os.", "native."), bench_kernels),
    (("tap.frame.",), bench_taps),
    (("tap.tcp",), bench_tap_tcp),
    (("e1000.tcp.",), bench_guest_tcp("e1000")),
    (("ne2000.tcp.",), bench_guest_tcp("ne2000")),
)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build")
    parser.add_argument("images")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("prefixes", nargs="*")
    options = parser.parse_args()
    scratch = tempfile.mkdtemp(prefix="vswitch-bench.")
    table = Table()
    maker = bench_guest.Maker(os.path.abspath(options.build), os.path.abspath(options.images), scratch)
    failed = []
    subprocess.run("ip link set lo up", shell=True, check=True)
    for names, part in PARTS:
        if options.prefixes and not any(n.startswith(p) or p.startswith(n) for n in names for p in options.prefixes):
            continue
        try:
            part(table, maker, options.rounds)
        except Exception as error:  # one part that fails leaves the others their rows
            failed.append(names[0])
            print(f"{names[0]}: FAILED: {error}", file=sys.stderr)
            traceback.print_exc(limit=3)
    with open(f"{options.build}/bench.json", "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(row) for row in table.rows) + "\n]\n")
    print(f"{len(table.rows)} rows in {options.build}/bench.json" + (f"; failed: {' '.join(failed)}" if failed else ""))
    shutil.rmtree(scratch, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
