# SPDX-License-Identifier: BSD-2-Clause
"""The network half of the measurements: taps on vswitchd and on its peers, and guests' TCP.

bench.mk has put us into namespaces of our own: the switch and its CPU 1 are there, the
two ends of a path in the namespaces `a` and `b`.
"""
import json
import os
import re
import signal
import subprocess
import sys
import time

import bench_guest
from bench_table import TCG

MAC_A, MAC_B = "02:aa:00:00:00:01", "02:aa:00:00:00:02"


def sh(command, **options):
    return subprocess.run(command, shell=isinstance(command, str), check=True, capture_output=True, text=True, **options)


def wait_until(what, condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"{what}: not within {seconds} s")
        time.sleep(0.05)


def link_exists(name, namespace=None):
    at = ["ip"] + (["-n", namespace] if namespace else [])
    return subprocess.run(at + ["link", "show", name], capture_output=True, check=False).returncode == 0


class Switch:
    """One switch under test, its two interfaces t0 and t1 (taps, or veths for the bridge)."""

    def __init__(self, kind, build, scratch):
        self.kind, self.build, self.scratch, self.process = kind, build, scratch, None
        getattr(self, "start_" + kind)()
        for name in ("t0", "t1"):
            wait_until(f"{kind}: {name}", lambda n=name: link_exists(n))

    def spawn(self, argv, **options):
        self.process = subprocess.Popen(["taskset", "-c", "1", *argv], stdin=subprocess.PIPE,
                                        stderr=open(f"{self.scratch}/{self.kind}.log", "a"), **options)

    def start_vswitchd(self, ports=None, name="tap", options=()):
        config = f"{self.scratch}/{name}.json"
        ports = ports or [{"name": "t0", "type": "tap"}, {"name": "t1", "type": "tap"}]
        with open(config, "w") as f:
            json.dump({"ports": ports}, f)
        self.run_dir = f"{self.scratch}/run-{name}"
        os.makedirs(self.run_dir, exist_ok=True)
        self.spawn([f"{self.build}/vswitchd", "--config", config, "--run-dir", self.run_dir, *options])

    def start_relay(self):
        self.spawn([f"{self.build}/bench/relay", "t0", "t1"], stdout=subprocess.DEVNULL)

    def start_vde_switch(self):
        self.spawn(["vde_switch", "-s", f"{self.scratch}/vde", "-tap", "t0", "-tap", "t1"], stdout=subprocess.DEVNULL)

    def start_bridge(self):
        sh("ip link add br0 type bridge && ip link set br0 up")
        for name in ("t0", "t1"):
            sh(f"ip link add {name} type veth peer name s{name} && ip link set s{name} master br0 && ip link set s{name} up")

    def cpu_ns(self):
        with open(f"/proc/{self.process.pid}/schedstat") as f:
            return int(f.read().split()[0])

    def stop(self):
        if self.kind == "bridge":
            sh("ip link del br0")
        else:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for name in ("t0", "t1"):
            subprocess.run(["ip", "link", "del", name], capture_output=True, check=False)


def frames(build, interface, destination, source, size, milliseconds):
    out = sh(["taskset", "-c", "0", f"{build}/bench/frames", interface, destination, source, str(size), str(milliseconds)])
    return int(out.stdout)


def rx_packets(interface):
    return json.loads(sh(["ip", "-j", "-s", "link", "show", interface]).stdout)[0]["stats64"]["rx"]["packets"]


def measure_frames(kind, build, scratch, size=60, milliseconds=1500):
    """(CPU ns of the switch a frame, frames a second that came out)"""
    switch = Switch(kind, build, scratch)
    try:
        for name in ("t0", "t1"):
            sh(f"sysctl -qw net.ipv6.conf.{name}.disable_ipv6=1; ip link set {name} up")
        time.sleep(0.3)
        frames(build, "t1", MAC_A, MAC_B, 60, 20)
        frames(build, "t0", MAC_B, MAC_A, size, 200)
        before, cpu = rx_packets("t1"), switch.cpu_ns()
        began = time.monotonic()
        frames(build, "t0", MAC_B, MAC_A, size, milliseconds)
        took = time.monotonic() - began
        time.sleep(0.05)
        passed = rx_packets("t1") - before
        if passed < 1000:
            raise RuntimeError(f"{kind}: only {passed} frames came out")
        return (switch.cpu_ns() - cpu) / passed, passed / took
    finally:
        switch.stop()


def measure_link_frames(build, scratch, size=60, milliseconds=1000, options=()):
    """(CPU ns of the switch a frame from a vhost-user port to a tap, frames a second)"""
    switch = Switch.__new__(Switch)
    switch.kind, switch.build, switch.scratch = "vswitchd", build, scratch
    path = f"{scratch}/link.sock"
    sender = subprocess.Popen(["taskset", "-c", "0", f"{build}/bench/link_frames", path, MAC_B, MAC_A, str(size),
                               str(milliseconds + 500)], stdout=subprocess.PIPE, text=True)
    try:
        wait_until(path, lambda: os.path.exists(path))
        switch.start_vswitchd([{"name": "t0", "type": "tap"}, {"name": "g", "type": "vhost-user", "path": path}],
                              "link", options)
        if sender.stdout.readline() != "connected\n":
            raise RuntimeError("link_frames: not connected")
        sh("sysctl -qw net.ipv6.conf.t0.disable_ipv6=1")
        frames(build, "t0", MAC_A, MAC_B, 60, 10)
        time.sleep(0.2)
        before, cpu, began = rx_packets("t0"), switch.cpu_ns(), time.monotonic()
        time.sleep(milliseconds / 1000 - 0.3)
        passed, cpu = rx_packets("t0") - before, switch.cpu_ns() - cpu
        took = time.monotonic() - began
        if passed < 1000:
            raise RuntimeError(f"only {passed} frames came out")
        return cpu / passed, passed / took
    finally:
        sender.kill()
        sender.communicate()
        switch.stop()


def iperf(client, address, seconds, reverse=False):
    """Mbit/s of one TCP stream; `client` is the command prefix of the measuring end.

    A server that has just ended a test, or only starts, refuses for a moment. QEMU's
    ne2k loses so much that a test may not come to its end: that one is done again."""
    argv = [*client, "iperf3", "-c", address, "-t", str(seconds), "-J", *(["-R"] if reverse else [])]
    stalls, error = 0, ""
    for _ in range(20):
        try:
            answer = json.loads(subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 10, check=False).stdout)
        except subprocess.TimeoutExpired:
            stalls, error = stalls + 1, "stalled"
            if stalls == 3:
                break
            continue
        if "error" not in answer:
            return answer["end"]["sum_received"]["bits_per_second"] / 1e6
        error = answer["error"]
        if not any(word in error for word in ("refused", "reset", "busy")):
            break
        time.sleep(0.5)
    raise RuntimeError(f"iperf3: {error}")


def measure_tcp(kind, build, scratch, seconds=3):
    """Mbit/s between two network stacks through the switch."""
    switch = Switch(kind, build, scratch)
    server = None
    try:
        for name, end, address in (("t0", "a", "10.1.0.1"), ("t1", "b", "10.1.0.2")):
            sh(f"ip netns add {end}; ip link set {name} netns {end}; ip -n {end} addr add {address}/24 dev {name};"
               f"ip -n {end} link set {name} up; ip -n {end} link set lo up")
        server = subprocess.Popen(["ip", "netns", "exec", "b", "iperf3", "-s"], stdout=subprocess.DEVNULL)
        inside = ["ip", "netns", "exec", "a"]
        return iperf(inside, "10.1.0.2", seconds)
    finally:
        if server:
            server.kill()
            server.wait()
        subprocess.run("ip netns del a; ip netns del b", shell=True, capture_output=True, check=False)
        switch.stop()


# What a kind of guest calls its NIC.
NICS = {"ours": {"e1000": "e1000", "ne2000": "rtl8029", "virtio": "virtio-net"},
        "qemu": {"e1000": "e1000", "ne2000": "ne2k_pci", "virtio": "virtio-net-pci"}}
MAC = "02:bb:00:00:00:01"
# The other end of a guest's TCP leaves CPU 0 to the guest: beside it, 10 to 45 % of the rate is gone.
PEER = ["taskset", "-c", "1"]


class GuestOnTap:
    """A guest with one NIC that ends in the tap t0, 10.2.0.1: through vswitchd, or QEMU's own."""

    def __init__(self, maker, kind, nic, parts, append, qemu=()):
        self.switch, self.guest, self.kind, self.nic, self.qemu = None, None, kind, nic, qemu
        try:
            initrd = f"{maker.scratch}/net-initrd.gz"
            bench_guest.pack([f"{maker.images}/initrd.gz", *parts], initrd)
            getattr(self, f"start_{kind}")(maker, initrd, f"vs.ip=10.2.0.2/24 {append}")
            sh("sysctl -qw net.ipv6.conf.t0.disable_ipv6=1; ip addr add 10.2.0.1/24 dev t0; ip link set t0 up")
            # What TCP remembers of the last guest at this address would start the next one with its window.
            sh("ip tcp_metrics flush all")
            self.wait(r"vswitch-guest: ready", 120)
        except Exception:
            self.end()
            raise

    def start_ours(self, maker, initrd, append):
        model = NICS["ours"][self.nic]
        self.guest = maker.start("ours", initrd, append, extra=["--nic", f"model={model},mac={MAC}"])
        socket = f"{maker.scratch}/bench{maker.count}/nic0.sock"
        wait_until(socket, lambda: os.path.exists(socket))
        self.switch = Switch.__new__(Switch)
        self.switch.kind, self.switch.build, self.switch.scratch = "vswitchd", maker.build, maker.scratch
        self.switch.start_vswitchd([{"name": "t0", "type": "tap"}, {"name": "g", "type": "vhost-user", "path": socket}],
                                   f"guest{maker.count}")
        wait_until("tap", lambda: link_exists("t0"))

    def start_qemu(self, maker, initrd, append):
        sh("ip tuntap add t0 mode tap vnet_hdr")
        self.guest = maker.start("qemu", initrd, append, extra=[
            "-netdev", "tap,id=n,ifname=t0,script=no,downscript=no",
            "-device", f"{NICS['qemu'][self.nic]},netdev=n,mac={MAC}", *self.qemu])

    def wait(self, pattern, seconds):
        if not re.search(pattern, self.guest.text) and not self.guest.wait(pattern, seconds):
            raise RuntimeError(f"{self.kind} {self.nic}: no {pattern!r}; last: {self.guest.text[-400:]!r}")

    def end(self):
        if self.guest:
            self.guest.end()
        if self.switch:
            self.switch.stop()
        subprocess.run(["ip", "link", "del", "t0"], capture_output=True, check=False)


def measure_guest_tcp(maker, kind, nic, seconds=2):
    """{"rx": Mbit/s host → guest, "tx": guest → host} of a guest's NIC."""
    on_tap = GuestOnTap(maker, kind, nic, [f"{maker.images}/iperf.gz", {"etc/vs.d/iperf": (0o644, b"iperf3 -s\n")}],
                        "vs.mode=iperf")
    try:
        on_tap.wait(r"Server listening", 60)
        wait_until(f"{kind} {nic}: ping", lambda: subprocess.run(["ping", "-qc1", "-W1", "10.2.0.2"], check=False,
                                                                 capture_output=True).returncode == 0)
        return {"rx": iperf(PEER, "10.2.0.2", seconds),
                "tx": iperf(PEER, "10.2.0.2", seconds, reverse=True)}
    except RuntimeError as error:
        raise RuntimeError(f"{kind} {nic}: {error}") from error
    finally:
        on_tap.end()


def measure_peer_tcp(maker, kind, nic):
    """The same; where QEMU's ne2k stands still for good, with another guest, three at most."""
    for _ in range(2):
        try:
            return measure_guest_tcp(maker, kind, nic)
        except RuntimeError as error:
            if "stalled" not in str(error) and "No route to host" not in str(error): # it does not answer ARP any more
                raise
            print(f"{error}; once more", file=sys.stderr)
    return measure_guest_tcp(maker, kind, nic)


def guest_tcp(nic, virtio=False):
    """The part with the rows NIC.tcp.rx and .tx; with `virtio` also beside QEMU's virtio-net."""
    def bench(table, maker, rounds):
        kinds = {"ours": ("ours", nic), TCG: ("qemu", nic)}
        if virtio:
            kinds["TCG virtio"] = ("qemu", "virtio")
        values = {kind: [] for kind in kinds}
        for _ in range(rounds):
            for kind, (who, model) in kinds.items():
                values[kind].append((measure_guest_tcp if who == "ours" else measure_peer_tcp)(maker, who, model))
        for peer in list(kinds)[1:]:
            for way in ("rx", "tx"):
                table.add(f"{nic}.tcp.{way}" + (".virtio" if "virtio" in peer else ""), "Mbit/s", "higher",
                          [v[way] for v in values["ours"]], peer, [v[way] for v in values[peer]])
    return bench


PKTGEN_SETUP = """
insmod /nictools/pktgen.ko
echo 'add_device eth0' >/proc/net/pktgen/kpktgend_0
for line in 'count 0' 'clone_skb 0' 'burst 1' 'pkt_size 60' 'delay 0' 'dst 10.2.0.9' 'dst_mac 02:cc:00:00:00:09'; do
    echo "$line" >/proc/net/pktgen/eth0 || echo "pktgen: no $line"
done
for i in $(seq 300); do [ "$(cat /sys/class/net/eth0/carrier)" = 1 ] && break; sleep 0.1; done
"""
PKTGEN = PKTGEN_SETUP + """echo pktgen-starts
echo start >/proc/net/pktgen/pgctrl
"""


class XdpSink:
    """While it is there, what arrives at the interface is dropped before the host's IP stack sees it."""

    def __init__(self, build, interface):
        self.process = subprocess.Popen([f"{build}/bench/xdp_sink", interface], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        self.attached = self.process.stdout.readline() == "attached\n"

    @staticmethod
    def frames(interface):
        return json.loads(sh(["ip", "-j", "-s", "link", "show", interface]).stdout)[0]["stats64"]["rx"]["dropped"]

    def end(self):
        self.process.communicate()


def frames_arriving(on_tap, counted, seconds):
    """Thousands of frames a second, by what `counted` says of the tap."""
    before, began = counted("t0"), time.monotonic()
    time.sleep(seconds)
    passed, took = counted("t0") - before, time.monotonic() - began
    if passed < 100:
        raise RuntimeError(f"{on_tap.kind}: pktgen sends nothing; last: {on_tap.guest.text[-400:]!r}")
    return passed / took / 1000


def measure_pktgen(maker, kind, nic, seconds=3):
    """Thousands of 60-byte frames a second of the guest's own generator that arrive behind the tap.

    First at an XDP program, None where the host does not take one. Second value: in the host's
    IP stack, which looks at each and drops it, as they are for somebody else."""
    on_tap = GuestOnTap(maker, kind, nic, [f"{maker.images}/nictools.gz", {"etc/vs.d/pktgen": (0o644, PKTGEN.encode())}],
                        "vs.mode=pktgen")
    try:
        on_tap.wait(r"pktgen-starts", 60)
        time.sleep(1)
        stack, xdp = frames_arriving(on_tap, rx_packets, seconds), XdpSink(maker.build, "t0")
        try:
            time.sleep(0.3)
            return frames_arriving(on_tap, XdpSink.frames, seconds) if xdp.attached else None, stack
        finally:
            xdp.end()
    finally:
        on_tap.end()


def pktgen(nic):
    """The part with the rows NIC.pktgen and NIC.pktgen.stack."""
    def bench(table, maker, rounds):
        values = {"ours": [], "qemu": []}
        for _ in range(rounds):
            for kind in values:
                values[kind].append(measure_pktgen(maker, kind, nic))
        for at, name in enumerate((f"{nic}.pktgen", f"{nic}.pktgen.stack")):
            ours, theirs = ([v[at] for v in values[kind]] for kind in ("ours", "qemu"))
            if None in ours + theirs:
                print(f"{name}: left out, the host takes no XDP program", file=sys.stderr)
            else:
                table.add(name, "kframe/s", "higher", ours, TCG, theirs)
    return bench
