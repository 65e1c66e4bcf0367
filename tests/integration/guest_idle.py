#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# A guest with nothing to do gets its ticks late, several at a time (--idle-slack): no
# tick is lost, a program's timer is late by that much at most, input wakes the guest
# at once. Linux counts its ticks by one-shots of the 8254 (by a periodic 8254 with
# highres=off); with --idle-slack 0 each tick comes by itself.
import json
import os
import socket
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from guest_time import CLOCKS, caught_up, settled, ticks_lost  # noqa: E402
from lib_guest import Guest, check, compile_i386, failed  # noqa: E402

SLACK = 200          # ms: as late as can be, so that it shows
IDLE = 3             # seconds, of which the first is not idle yet
HZ = 250

# Sleeps for so many ms, as often as said; prints by how many µs it woke late at most, and -1 if ever too early.
SLEEPER = r"""
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int main(int argc, char **argv)
{
    long ms = argc > 2 ? atol(argv[1]) : 0, times = argc > 2 ? atol(argv[2]) : 0;
    long long most = 0;
    while (times--) {
        struct timespec a, b, sleep = { ms / 1000, ms % 1000 * 1000000 };
        clock_gettime(CLOCK_MONOTONIC, &a);
        nanosleep(&sleep, NULL);
        clock_gettime(CLOCK_MONOTONIC, &b);
        long long late = (b.tv_sec - a.tv_sec) * 1000000LL + (b.tv_nsec - a.tv_nsec) / 1000 - ms * 1000;
        most = late < 0 ? -1 : most < 0 || most > late ? most : late;
    }
    printf("late %lld\n", most);
    return 0;
}
"""
files = {}


def stats(g):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(20)
        s.connect(os.path.join(g.work, "run", "control.sock"))
        s.sendall(b"stats\n")
        data = b""
        while not data.endswith(b"\n"):
            data += s.recv(65536)
    return json.loads(data)


def halts(g):
    """How often the guest halted in IDLE seconds in which it has nothing to do, and how often for long."""
    before = stats(g)["time"]
    time.sleep(IDLE)
    after = stats(g)["time"]
    return after["halts"] - before["halts"], after["idle_halts"] - before["idle_halts"]


def late(g, ms, times):
    _, text = g.run(f"sleeper {ms} {times}")
    return int(text.split("late")[1].split()[0]) / 1000


def best(measure, wanted):
    """The least of several measurements, until one is less than wanted: a host that was busy with others makes some worse."""
    least = measure()
    for _ in range(5):
        if least < wanted:
            break
        least = min(least, measure())
    return least


def are_in_time(slept):
    """All but one: that one may have come while the host was busy with others."""
    return min(slept) >= 0 and sorted(slept)[-2] < SLACK + 100


def sleeps(g):
    """By how much some are late, once more if that is too much."""
    slept = [late(g, 2500, 1) for _ in range(5)]
    return slept if are_in_time(slept) else [late(g, 2500, 1) for _ in range(5)]


def answers(g):
    """How long the shell takes for nothing, on average of 20 times."""
    began = time.monotonic()
    for _ in range(20):
        g.run("true")
    return (time.monotonic() - began) / 20


def look(name, append):
    with Guest("idle", append=append, options=["--idle-slack", str(SLACK)], files=files) as g:
        if not check(f"{name}: the guest boots", g.ready(), g.process.poll()):
            return
        first = settled(g)
        for _ in range(5):  # in some of them ticks may be made up that came while the host was busy with others
            all_of_them, long_ones = halts(g)
            print(f"     {name}: {all_of_them} halts in {IDLE} s, {long_ones} of them when idle")
            several = 0 < long_ones < HZ / 2 and all_of_them < HZ * 2
            if several:
                break
        check(f"{name}: an idle guest is woken for several ticks at a time", several, (all_of_them, long_ones))
        last = caught_up(g, first)
        lost = ticks_lost(first, last)
        check(f"{name}: no tick is lost", abs(lost) <= 2, f"{lost:.1f} jiffies")
        slept = sleeps(g)
        print(f"     {name}: sleeps of 2.5 s were late by ms:", *(f"{s:.1f}" for s in slept))
        check(f"{name}: a program's timer is late by the slack at most", are_in_time(slept), slept)
        time.sleep(1.5)
        took = best(lambda: answers(g), SLACK / 2000)
        check(f"{name}: input wakes it at once", took < SLACK / 2000, took)


def punctual():
    with Guest("punctual", options=["--idle-slack", "0"], files=files) as g:
        if check("without slack: the guest boots", g.ready(), g.process.poll()):
            found = [halts(g)]
            while found[-1][0] <= HZ * IDLE / 4 and len(found) < 5:  # a host that was busy with others
                found.append(halts(g))
            all_of_them, long_ones = found[-1][0], sum(long for _, long in found)
            print(f"     {all_of_them} halts in {IDLE} s")
            check("without slack: no tick is late", long_ones == 0, long_ones)
            check("without slack: each tick by itself", all_of_them > HZ * IDLE / 4, all_of_them)


def main():
    files["bin/clocks"] = compile_i386(CLOCKS)
    files["bin/sleeper"] = compile_i386(SLEEPER)
    look("one-shots", "")
    look("periodic", "highres=off")
    punctual()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
