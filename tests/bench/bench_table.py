# SPDX-License-Identifier: BSD-2-Clause
"""What the measuring runs share: the table of rows, and the run over their parts.

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
import time
import traceback

import bench_guest

TCG, NATIVE = "QEMU TCG", "native"


class Table:
    def __init__(self, prefixes):
        self.rows, self.prefixes = [], prefixes

    def wants(self, name):
        """Whether rows that start with this name, or this row, were asked for."""
        return not self.prefixes or any(name.startswith(p) or p.startswith(name) for p in self.prefixes)

    def add(self, name, unit, better, ours, peer=None, theirs=(), **more):
        """`ours` and `theirs` are lists of measured values (theirs may be empty)."""
        if self.prefixes and not any(name.startswith(p) for p in self.prefixes):
            return
        middle = statistics.median(ours)
        other = statistics.median(theirs) if theirs else None
        row = {"name": name, "unit": unit, "better": better, "ours": round(middle, 4), "peer": peer,
               "theirs": round(other, 4) if other is not None else None,
               "ratio": round(middle / other, 4) if other else None, "n": len(ours),
               "spread": round((max(ours) - min(ours)) / middle, 3) if middle else 0, **more}
        self.rows.append(row)
        self.show(row)

    @staticmethod
    def show(row):
        value = lambda v: "-" if v is None else f"{v:.4g}" if v < 10000 else f"{v:.0f}"
        print(f"{row['name']:34} {value(row['ours']):>9} {row['unit']:8} {row['peer'] or '-':12} "
              f"{value(row['theirs']):>9}  ratio {value(row['ratio']):>7}  "
              f"({row['better']} is better, n {row['n']}, spread {100 * row['spread']:.0f} %)", flush=True)


def geomean(values):
    return math.exp(statistics.fmean(math.log(v) for v in values))


def run(parts, result, about):
    """Runs the parts whose rows are wanted: parts are (names of rows, function of (table, maker, rounds))."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("build")
    parser.add_argument("images")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("prefixes", nargs="*", help="only rows that start so")
    options = parser.parse_args()
    scratch = tempfile.mkdtemp(prefix="vswitch-bench.")
    table = Table(options.prefixes)
    maker = bench_guest.Maker(os.path.abspath(options.build), os.path.abspath(options.images), scratch)
    failed, started = [], time.monotonic()
    subprocess.run("ip link set lo up", shell=True, check=True)
    for names, part in parts:
        if not any(table.wants(n) for n in names):
            continue
        try:
            part(table, maker, options.rounds)
        except Exception as error:  # one part that fails leaves the others their rows
            failed.append(names[0])
            print(f"{names[0]}: FAILED: {error}", file=sys.stderr)
            traceback.print_exc(limit=3)
    out = f"{options.build}/{result}"
    with open(out, "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(row) for row in table.rows) + "\n]\n")
    print(f"{len(table.rows)} rows in {out}, {time.monotonic() - started:.0f} s"
          + (f"; failed: {' '.join(failed)}" if failed else ""))
    shutil.rmtree(scratch, ignore_errors=True)
    return 1 if failed else 0
