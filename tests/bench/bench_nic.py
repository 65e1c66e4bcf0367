#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""`make bench-nic`: the NIC models under Linux beside QEMU TCG's, and by themselves; build/bench-nic.json.

usage: bench_nic.py BUILD IMAGES [--rounds N] [PREFIX…]      only rows that start with a PREFIX

NIC.FLOW.rate, and for each frame on the wire .interrupts, .registers (accesses, a string
instruction being one an element) and .kicks (the guest wakes the switch). FLOW is tcp.rx,
tcp.tx or pktgen. Interrupts are the guest's own count. QEMU's registers are counted by its
trace events in a run of their own, not timed; its data path has no kick. model.* is
nic_cost.c beside a native getppid().
"""
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time

import bench_guest
import bench_net
import bench_table
from bench_table import TCG

# One iperf3 server a flow; before and after it, what the guest has counted.
SCRIPT = bench_net.PKTGEN_SETUP + """counters() {
    set -- $(grep eth0 /proc/interrupts) $(cat /sys/class/net/eth0/statistics/rx_packets /sys/class/net/eth0/statistics/tx_packets)
    while [ $# -gt 5 ]; do case $1 in *:) interrupts=$2 ;; esac; shift; done
    echo "counters $interrupts $(cat /sys/class/net/eth0/statistics/rx_packets) $(cat /sys/class/net/eth0/statistics/tx_packets)."
}
for flow in tcp.rx tcp.tx; do
    counters
    echo "flow $flow"
    iperf3 -s -1 >/dev/null
done
counters
echo "flow pktgen"
(echo start >/proc/net/pktgen/pgctrl) &
sleep 3
echo stop >/proc/net/pktgen/pgctrl
wait
counters
echo "flows end"
sleep 100
"""
SECONDS = 2
QEMU_REGIONS = {"e1000": "e1000-mmio", "ne2000": "ne2000"}


def own_counters(maker):
    """What the guest process has counted of its NIC."""
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(f"{maker.scratch}/bench{maker.count}/control.sock")
        s.sendall(b"stats\n")
        text = b""
        while not text.endswith(b"\n"):
            text += s.recv(65536)
    return json.loads(text)["nics"][0]


class Trace:
    """Counts the register accesses that QEMU's trace tells of, through a pipe: it is much text."""

    def __init__(self, maker, nic):
        self.path, self.region, self.seen = f"{maker.scratch}/trace{maker.count}", f"name '{QEMU_REGIONS[nic]}".encode(), 0
        os.mkfifo(self.path)
        self.options = ["-D", self.path, "-trace", "memory_region_ops_*"]
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        with open(self.path, "rb", buffering=0) as pipe:
            rest = b""
            while chunk := pipe.read(1 << 20):
                text = rest + chunk
                cut = text.rfind(b"\n") + 1
                self.seen += text.count(self.region, 0, cut)
                rest = text[cut:]

    def count(self):
        time.sleep(0.2)  # what is still in the pipe
        return self.seen


def measure(maker, kind, nic, traced=False):
    """{flow: {rate, interrupts, registers, kicks}}"""
    result = {}
    parts = [f"{maker.images}/iperf.gz", f"{maker.images}/nictools.gz", {"etc/vs.d/flows": (0o644, SCRIPT.encode())}]
    trace = Trace(maker, nic) if traced else None
    on_tap = bench_net.GuestOnTap(maker, kind, nic, parts, "vs.mode=flows", qemu=trace.options if traced else [])

    def outside():
        return own_counters(maker) if kind == "ours" else {"register_accesses": trace.count()} if traced else {}

    try:
        for flow in ("tcp.rx", "tcp.tx", "pktgen"):
            on_tap.wait(rf"flow {re.escape(flow)}\n", 120)
            before = outside()
            if flow == "pktgen":
                time.sleep(0.5)
                frames, began = bench_net.rx_packets("t0"), time.monotonic()
                time.sleep(SECONDS)
                rate = (bench_net.rx_packets("t0") - frames) / (time.monotonic() - began) / 1000
                on_tap.wait(r"flows end", 60)
            else:
                rate = bench_net.iperf([], "10.2.0.2", SECONDS, reverse=flow == "tcp.tx")
                on_tap.wait(rf"(?s)(counters [\d ]+\..*?){{{len(result) + 2}}}", 30)
            result[flow] = {"rate": rate, "outside": {k: v - before[k] for k, v in outside().items()
                                                      if isinstance(v, int) and not isinstance(v, bool)}}
        seen = [[int(n) for n in m.split()] for m in re.findall(r"counters ([\d ]+)\.", on_tap.guest.text)]
    finally:
        on_tap.end()
    for i, values in enumerate(result.values()):
        interrupts, rx, tx = (after - before for before, after in zip(seen[i], seen[i + 1]))
        frames = rx + tx
        outside_counts = values.pop("outside")
        values["interrupts"] = interrupts / frames
        if kind == "ours":
            frames = outside_counts["rx_frames"] + outside_counts["tx_frames"]
            values["interrupts"] = interrupts / frames # the guest's tx count takes a super-frame for one
            values["kicks"] = outside_counts["kicks"] / frames
        if outside_counts:
            values["registers"] = outside_counts["register_accesses"] / frames
    return result


def measure_peer(maker, nic, traced=False):
    """measure() of QEMU's; None where its card stalls twice, as its ne2k may."""
    for _ in range(2):
        try:
            return measure(maker, "qemu", nic, traced)
        except RuntimeError as error:
            print(f"{TCG} {nic}: {error}", file=sys.stderr)
    return None


def bench_flows(nic):
    def bench(table, maker, rounds):
        ours, theirs = [], []
        for _ in range(rounds):
            ours.append(measure(maker, "ours", nic))
            theirs += filter(None, [measure_peer(maker, nic)])
        traced = [*filter(None, [measure_peer(maker, nic, traced=True)])]

        def add(flow, what, unit, better, peers):
            values = [[run[flow][what] for run in runs] for runs in (ours, peers)]
            name = f"{nic}.{flow}" + ("" if what == "rate" else "." + what)
            table.add(name, unit, better, values[0], *([TCG, values[1]] if peers else []))

        for flow in ours[0]:
            add(flow, "rate", "kframe/s" if flow == "pktgen" else "Mbit/s", "higher", theirs)
            add(flow, "interrupts", "a frame", "lower", theirs)
            add(flow, "registers", "a frame", "lower", traced)
            add(flow, "kicks", "a frame", "lower", [])
    return bench


def bench_models(table, maker, rounds):
    values = {}
    for _ in range(max(rounds, 5)):
        done = subprocess.run(["taskset", "-c", "1", f"{maker.build}/bench/nic_cost"], capture_output=True, text=True,
                              check=True, timeout=120)
        for name, value in re.findall(r"^row (\S+) ([\d.]+) ns$", done.stdout, re.M):
            values.setdefault(name, []).append(float(value))
    native = values.pop("native.getppid")
    for name, measured in values.items():
        table.add(f"model.{name}", "ns", "lower", measured, "getppid", native)


PARTS = (
    (("model.",), bench_models),
    (("e1000.",), bench_flows("e1000")),
    (("ne2000.",), bench_flows("ne2000")),
)

if __name__ == "__main__":
    sys.exit(bench_table.run(PARTS, "bench-nic.json", __doc__))
