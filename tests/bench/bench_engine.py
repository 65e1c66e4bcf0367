#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""`make bench-engine`: the engine beside the host's CPU and QEMU TCG; build/bench-engine.json.

usage: bench_engine.py BUILD IMAGES [--rounds N] [PREFIX…]      only rows that start with a PREFIX

bench_table.py says what a row is. compute.NAME.native and .tcg are one program each,
compute.native and compute.tcg their geometric means, compute.worst the program that
is furthest from native. more.* are programs that are in none of these: short ones, interpreters,
ones that start others. NIC.pktgen ends in a sink that counts and drops, an XDP program behind the
tap, NIC.pktgen.stack in the host's IP stack, a third of whose cost is the stack's.
"""
import sys

import bench_compute
import bench_device
import bench_guest
import bench_idle
import bench_net
import bench_table

# What each part measures, by the rows it gives.
PARTS = (
    (("compute.", "os.", "more."), bench_compute.bench),
    (("boot", "boot.unpacked"), bench_guest.bench_boot),
    (("mmio.read", "pio.out", "irq.latency."), bench_device.bench),
    (("idle.cpu", "idle.memory"), bench_idle.bench),
    (("e1000.tcp.",), bench_net.guest_tcp("e1000", virtio=True)),
    (("ne2000.tcp.",), bench_net.guest_tcp("ne2000")),
    (("virtio.tcp.",), bench_net.guest_tcp("virtio")),
    (("e1000.pktgen",), bench_net.pktgen("e1000")),
    (("virtio.pktgen",), bench_net.pktgen("virtio")),
)

if __name__ == "__main__":
    sys.exit(bench_table.run(PARTS, "bench-engine.json", __doc__))
