# SPDX-License-Identifier: BSD-2-Clause
"""Whether every frame between two snapshots is accounted for, hop by hop, for nic_linux.sh.

usage: lib_accounts.py FOLDER ONE OTHER
FOLDER holds NAME.driver.N (`ip -s -j link; ethtool -S`), NAME.guest.N (the guest process's
statistics) and NAME.port.N (port.get) for N of 0 (before) and 1 (after).
"""
import json
import re
import sys

folder, one, other = sys.argv[1:4]


def load(name, what, n):
    with open(f"{folder}/{name}.{what}.{n}") as f:
        text = f.read().split("NIC statistics")[0]
    return json.loads(re.search(r"[\[{].*[\]}]", text, re.S).group(0))


def pause(name, n):
    """PAUSE frames that the NIC has sent by itself; only e1000 does."""
    with open(f"{folder}/{name}.driver.{n}") as f:
        return sum(int(v) for v in re.findall(r"tx_flow_control_x\w+: (\d+)", f.read()))


def snapshot(name, n):
    driver = load(name, "driver", n)[0]["stats64"]
    nic = load(name, "guest", n)["nics"][0]
    port = load(name, "port", n)["counters"]
    return {"driver_tx": driver["tx"]["packets"], "driver_rx": driver["rx"]["packets"],
            "driver_errors": sum(v for d in driver.values() for k, v in d.items() if "error" in k),
            "port_in": port["in_frames"], "port_out": port["out_frames"],
            # Dropped on the way out of the port, and what was not let in there.
            "port_out_drops": port["drops"].get("queue_full", 0),
            "port_in_drops": sum(v for k, v in port["drops"].items() if k != "queue_full"),
            "pause": pause(name, n),
            **{k: nic[k] for k in ("tx_frames", "tx_errors", "rx_frames", "rx_filtered", "rx_dropped_full", "rx_dropped_off", "link_sent",
                                   "link_sent_drops", "link_received", "link_received_drops", "interrupts",
                                   "register_accesses", "kicks")}}


def difference(name):
    before, after = snapshot(name, 0), snapshot(name, 1)
    return {k: after[k] - before[k] for k in after}


c = {name: difference(name) for name in (one, other)}
for name, d in c.items():
    print(name, d)
bad = []


def same(what, left, right):
    if left != right:
        bad.append(f"{what}: {left} is not {right}")


for name, peer in ((one, other), (other, one)):
    d, p = c[name], c[peer]
    same(f"{name}: driver and NIC sent", d["driver_tx"], d["tx_frames"])
    same(f"{name}: NIC and link sent", d["tx_frames"] + d["pause"], d["link_sent"] + d["link_sent_drops"])
    same(f"{name}: link and port", d["link_sent"], d["port_in"])
    same(f"{name}'s port and {peer}'s", d["port_in"], p["port_out"] + p["port_out_drops"] + d["port_in_drops"])
    same(f"{name}: port and link", d["port_out"], d["link_received"] + d["link_received_drops"])
    same(f"{name}: link and NIC", d["link_received"],
         d["rx_frames"] + d["rx_filtered"] + d["rx_dropped_full"] + d["rx_dropped_off"])
    same(f"{name}: NIC and driver received", d["rx_frames"], d["driver_rx"])
    if d["driver_errors"] > 2 * d["rx_dropped_full"]:  # an overrun is in two of its counters
        bad.append(f"{name}: the driver counts {d['driver_errors']} errors, {d['rx_dropped_full']} frames were missed")
    if d["rx_frames"] < 100 or d["tx_frames"] < 100:
        bad.append(f"{name}: hardly any frames")
print("\n".join(bad))
sys.exit(1 if bad else 0)
