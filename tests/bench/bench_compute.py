# SPDX-License-Identifier: BSD-2-Clause
"""Computing and the operating system: kernels.c and Debian's programs (programs.c), the
very same files on our engine, under QEMU TCG and on the host's CPU (pinned to one)."""
import os
import re
import subprocess

from bench_guest import make_part, pack
from bench_table import NATIVE, TCG, geomean

HOME = "programs"  # the chroot with Debian's programs, natively and in the guests


def parse(text):
    """{(group, name): [ms of each run]}, {(group, name): sum of its output}"""
    times, sums = {}, {}
    for group, name, value in re.findall(r"^kernel (\w+) (\w+) (\d+|WRONG)", text, re.M):
        if value == "WRONG":
            raise RuntimeError(f"kernel {name}: wrong result")
        times.setdefault((group, name), []).append(int(value) / 1e6)
    for group, name, value, sum_ in re.findall(r"^program (\w+) (\w+) (\d+) (\w+)", text, re.M):
        times.setdefault((group, name), []).append(int(value) / 1e6)
        if sums.setdefault((group, name), sum_) != sum_:
            raise RuntimeError(f"{name}: two runs print different things")
    # Rates that programs measure by the same clock: as ms for a fixed amount.
    for name, rate in re.findall(r"^output openssl \+F:\d+:([\w-]+):([\d.]+)", text, re.M):
        times.setdefault(("compute", "openssl_" + name.replace("-", "_")), []).append(16e9 / float(rate))
    for sign in re.findall(r"^output openssl \+F2:\d+:2048:([\d.]+)", text, re.M):
        times.setdefault(("compute", "openssl_rsa2048"), []).append(10e3 / float(sign))
    for packs, unpacks in re.findall(r"^output 7z Avr:\s+(\d+)[^|]*\|\s+(\d+)", text, re.M):
        times.setdefault(("compute", "7z_compress"), []).append(1024e3 / float(packs))
        times.setdefault(("compute", "7z_decompress"), []).append(4 * 1024e3 / float(unpacks))
    return times, sums


def commands(groups, names, runs, programs):
    """Shell lines that run what is wanted of these groups, kernels `runs` times and programs once; $H: the chroot."""
    lines = []
    for group in groups:
        wanted = [n[len(group) + 1:] for n in names if n.startswith(group + ".")]
        wanted = [] if "" in wanted else wanted
        wanted = [w.split(".")[0] for w in wanted]
        if group != "more":
            lines += [f"$ON $H/bench/kernels {group} 1 {' '.join(wanted)}"] * runs
        if programs:
            lines += [f"$ON chroot $H /bench/programs /tmp {group} {' '.join(w.split('_')[0] for w in wanted)}"]
    return "\n".join(lines) + "\n"


def bench_part(maker):
    """A further part of the initramfs: our own programs inside the chroot."""
    files = {}
    for name in ("kernels", "programs"):
        with open(f"{maker.build}/bench/{name}", "rb") as f:
            files[f"{HOME}/bench/{name}"] = (0o755, f.read())
    return files


def in_guest(maker, kind, script):
    initrd = f"{maker.scratch}/compute.gz"
    inside = (f"H=/{HOME} ON=\nmount -t tmpfs tmpfs $H/tmp\nmkdir -p $H/dev\nmknod $H/dev/null c 1 3\n{script}echo bench-end\npoweroff -f\n")
    pack([f"{maker.images}/initrd.gz", f"{maker.images}/programs.gz", bench_part(maker),
          {"etc/vs.d/compute": (0o644, inside.encode())}], initrd)
    guest = maker.start(kind, initrd, "vs.mode=compute", memory=256)
    try:
        if not guest.wait(r"bench-end\n", 400):
            raise RuntimeError(f"{kind}: the programs do not end; last: {guest.text[-400:]!r}")
        return guest.text
    finally:
        guest.end()


def natively(maker, script):
    home = f"{maker.scratch}/native/{HOME}"
    if not os.path.exists(home):
        where = os.path.dirname(home)
        os.makedirs(where)
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", where], check=True)  # in our mount namespace: gone with us
        for part in (f"{maker.images}/programs.gz", make_part(bench_part(maker))):
            subprocess.run(f"gzip -dc {part} | cpio -idum --quiet", shell=True, cwd=where, check=True)
        os.makedirs(f"{home}/dev", exist_ok=True)
        os.mknod(f"{home}/dev/null", 0o20666, os.makedev(1, 3))
    done = subprocess.run(["sh", "-ec", script], env={**os.environ, "H": home, "ON": "taskset -c 1"},
                          capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"native: {done.stderr[-400:]}")
    return done.stdout


def measure(maker, groups, names, rounds, runs, programs=True):
    """{kind: {(group, name): [ms]}}, kinds taking turns; every output equal to the host's."""
    script = commands(groups, names, runs, programs)
    texts = {"ours": "", "qemu": "", "native": ""}
    for _ in range(rounds):
        for kind in texts:
            texts[kind] += natively(maker, script) if kind == "native" else in_guest(maker, kind, script)
    results, right = {}, parse(texts["native"])[1]
    for kind, text in texts.items():
        results[kind], sums = parse(text)
        if sums != right:
            raise RuntimeError(f"{kind}: {', '.join(n for g, n in right if sums.get((g, n)) != right[(g, n)])} "
                               "printed something else than on the host")
    return results


def of_group(results, kind, group):
    return {name: values for (g, name), values in results[kind].items() if g == group}


def mean_of_runs(data):
    """One geometric mean a run; the ratio of two is the geometric mean of the programs' ratios."""
    n = min(len(values) for values in data.values())
    return [geomean(run) for run in zip(*(values[:n] for values in data.values()))]


def add_means_of_more(table, results):
    ours, native, theirs = (mean_of_runs(of_group(results, kind, "more")) for kind in ("ours", "native", "qemu"))
    table.add("more.native", "ms", "lower", ours, NATIVE, native)
    table.add("more.tcg", "ms", "lower", ours, TCG, theirs)


def add_means(table, results):
    ours, native, theirs = (of_group(results, kind, "compute") for kind in ("ours", "native", "qemu"))
    if len(ours) < 12:
        return  # some were left out by name
    for name, peer, other in (("compute.native", NATIVE, native), ("compute.tcg", TCG, theirs)):
        ratios = [a / b for a, b in zip(mean_of_runs(ours), mean_of_runs(other))]
        table.add(name, "ms", "lower", mean_of_runs(ours), peer, mean_of_runs(other), programs=len(ours),
                  smallest_ratio=round(min(ratios), 4), largest_ratio=round(max(ratios), 4))
    median = lambda values: sorted(values)[len(values) // 2]
    worst = max(ours, key=lambda name: median(ours[name]) / median(native[name]))
    table.add("compute.worst", "ms", "lower", ours[worst], NATIVE, native[worst], of=worst)


def bench(table, maker, rounds, groups=("compute", "os", "more")):
    groups = [g for g in groups if table.wants(g + ".")]
    every = {"compute.native", "compute.worst", "compute.tcg"}
    names = [] if every & set(table.prefixes) else [p if "." in p else p + "." for p in table.prefixes]
    results = measure(maker, groups, names, rounds, 1)
    for group in groups:
        for name, values in of_group(results, "ours", group).items():
            table.add(f"{group}.{name}.native", "ms", "lower", values, NATIVE, results["native"][(group, name)])
            table.add(f"{group}.{name}.tcg", "ms", "lower", values, TCG, results["qemu"][(group, name)])
    if "compute" in groups:
        add_means(table, results)
    if "more" in groups:
        add_means_of_more(table, results)
