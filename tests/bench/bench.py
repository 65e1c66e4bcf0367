#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""`make bench`: measures ours beside its peers in one run; one table, build/bench.json.

usage: bench.py BUILD IMAGES [--rounds N] [PREFIX…]      only rows that start with a PREFIX

bench_table.py says what a row is.
"""
import sys

import bench_compute
import bench_guest
import bench_net
import bench_table
from bench_table import NATIVE, TCG


def bench_kernels(table, maker, rounds):
    """The kernels alone; `make bench-engine` has Debian's programs, too."""
    groups = [g for g in ("compute", "os") if table.wants(f"{g}.") or table.wants(f"native.{g}.")]
    results = bench_compute.measure(maker, groups, [], rounds, 2, programs=False)
    for peer, kind, prefix in ((TCG, "qemu", ""), (NATIVE, "native", "native.")):
        for (group, name), values in results["ours"].items():
            table.add(f"{prefix}{group}.{name}", "ms", "lower", values, peer, results[kind][(group, name)])
        if "compute" in groups:
            means = [bench_compute.mean_of_runs(bench_compute.of_group(results, k, "compute")) for k in ("ours", kind)]
            table.add(f"{prefix}compute.geomean", "ms", "lower", means[0], peer, means[1])


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


def bench_link_frames(table, maker, rounds):
    values = {"ours": [], "write()": []}
    for _ in range(rounds):
        for kind in values:
            values[kind].append(bench_net.measure_link_frames(maker.build, maker.scratch,
                                                              options=["--no-io-uring"] if kind != "ours" else []))
    for index, (name, unit, better, scale) in enumerate((("cpu", "ns", "lower", 1), ("rate", "kframe/s", "higher", 1000))):
        ours, theirs = ([v[index] / scale for v in values[kind]] for kind in values)
        table.add(f"guest.frame.{name}", unit, better, ours, "write()", theirs)


def bench_tap_tcp(table, maker, rounds):
    kinds = ("vswitchd", "bridge", "vde_switch", "relay")
    values = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind in kinds:
            values[kind].append(bench_net.measure_tcp(kind, maker.build, maker.scratch))
    for kind in kinds[1:]:
        name = "tap.tcp" if kind == "bridge" else f"tap.tcp.{kind}"
        table.add(name, "Mbit/s", "higher", values["vswitchd"], kind, values[kind])


# What each part measures, by the rows it gives.
PARTS = (
    (("boot", "boot.unpacked"), bench_guest.bench_boot),
    (("compute.", "os.", "native."), bench_kernels),
    (("tap.frame.",), bench_taps),
    (("guest.frame.",), bench_link_frames),
    (("tap.tcp",), bench_tap_tcp),
    (("e1000.tcp.",), bench_net.guest_tcp("e1000")),
    (("ne2000.tcp.",), bench_net.guest_tcp("ne2000")),
)


if __name__ == "__main__":
    sys.exit(bench_table.run(PARTS, "bench.json", __doc__))
