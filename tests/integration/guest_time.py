#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
#
# The guest's clocks against ours: no drift and no lost tick under load, and a stop of
# the whole process (SIGSTOP, as a host's suspend or a debugger does) is time that
# passed in the guest, too. DRIFT_SECONDS sets how long it is watched (15; in
# check-long 600), STOP_SECONDS how long it is stopped (5).
import os
import re
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib_guest import Guest, check, compile_i386, failed  # noqa: E402

DRIFT_SECONDS = float(os.environ.get("DRIFT_SECONDS", 15))
STOP_SECONDS = float(os.environ.get("STOP_SECONDS", 5))
HZ = 250             # Debian's kernel
DRIFT_MOST = 50e-6
TRIES = 15
LOAD = "(while :; do sha256sum /www/8m; done >/dev/null 2>&1) & echo $! >/run/load"

# Prints the guest's clocks for each line typed, until an empty one.
CLOCKS = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static char list[1 << 20];

static long long now(int clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* The kernel's own pair of monotonic time and ticks. */
static void ticks(long long *at, unsigned long long *count)
{
    FILE *f = fopen("/proc/timer_list", "r");
    size_t size = f ? fread(list, 1, sizeof list - 1, f) : 0;
    const char *a, *j;
    list[size] = 0;
    a = strstr(list, "now at "), j = strstr(list, "\njiffies: ");
    *at = a ? atoll(a + 7) : 0;
    *count = j ? strtoull(j + 10, NULL, 10) : 0;
    if (f)
        fclose(f);
}

int main(void)
{
    char line[64];
    while (fgets(line, sizeof line, stdin) && line[0] != '\n') {
        long long monotonic = now(CLOCK_MONOTONIC), wall = now(CLOCK_REALTIME), at;
        unsigned long long count;
        printf("clocks %s monotonic %lld wall %lld ", strtok(line, "\n"), monotonic, wall);
        fflush(stdout);
        ticks(&at, &count);
        printf("at %lld jiffies %llu end\n", at, count);
        fflush(stdout);
    }
    return 0;
}
"""
number = 0


class Moment:
    """The guest's clocks, between two readings of ours."""

    def __init__(self, g):
        global number
        number += 1
        console, head = g.console, rf"clocks {number} monotonic (\d+) wall (\d+) "
        self.before, wall_before = time.monotonic(), time.time()
        console.socket.sendall(f"{number}\n".encode())
        found = console.wait(head, 30)
        self.after, wall_after = time.monotonic(), time.time()
        self.error = self.after - self.before
        self.host, self.host_wall = (self.before + self.after) / 2, (wall_before + wall_after) / 2
        self.monotonic, self.wall = (int(ns) / 1e9 for ns in found.groups())
        found = console.wait(head + r"at (\d+) jiffies (\d+) end", 30)
        self.behind = int(found.group(3)) / 1e9 * HZ - int(found.group(4))   # ticks not yet counted


def moment(g):
    """The most exact of some readings; a tick may be late in some of them."""
    g.console.socket.sendall(b"clocks\n")
    tries = [Moment(g) for _ in range(TRIES)]
    g.console.socket.sendall(b"\n")
    best = min(tries, key=lambda m: m.error)
    best.behind = min(m.behind for m in tries)
    return best


def ticks_lost(first, last):
    """Linux starts its 32 bits of jiffies five minutes before they wrap around."""
    return (last.behind - first.behind + 2**31) % 2**32 - 2**31


def settled(g):
    """A moment at which no tick is owed that a stop of the guest's process has left: the next one agrees with it."""
    last = moment(g)
    for _ in range(20):
        time.sleep(0.3)
        before, last = last, moment(g)
        if abs(ticks_lost(before, last)) <= 1:
            break
    return last


def caught_up(g, first):
    """A moment at which no tick is lost since the first; what is owed comes within a second, what is lost never."""
    for _ in range(20):
        last = moment(g)
        if abs(ticks_lost(first, last)) <= 2:
            break
        time.sleep(0.3)
    return last


def quiet(g, name):
    _, said = g.run("dmesg | grep -iE 'unstable|lost|detected.*stall|clocksource.*(skew|skip)|hrtimer: interrupt took'")
    check(f"{name}, the kernel complains of no clock", not said.strip(), said)
    _, source = g.run("cat /sys/devices/system/clocksource/clocksource0/current_clocksource")
    check(f"{name}, the TSC is its clock", source.strip() == "tsc", source)


def drift(g):
    g.run(LOAD)
    first = settled(g)
    time.sleep(DRIFT_SECONDS)
    last = caught_up(g, first)
    g.run("kill $(cat /run/load)")
    passed = last.host - first.host
    slack = (first.error + last.error) / 2 / passed   # what the readings themselves leave open
    off = (last.monotonic - first.monotonic) / passed - 1
    print(f"     {off * 1e6:+.1f} ppm in {passed:.0f} s, known to {slack * 1e6:.0f} ppm")
    check("no drift under load", abs(off) <= DRIFT_MOST + slack, f"{off * 1e6:.1f} ppm, known to {slack * 1e6:.1f}")
    lost = ticks_lost(first, last)
    check("no lost tick under load", abs(lost) <= 2, f"{lost:.1f} jiffies")
    quiet(g, "under load")


def stop(g, seconds, busy):
    how = "busy" if busy else "idle"
    if busy:
        g.run(LOAD)
    first = settled(g)
    os.kill(g.pid, signal.SIGSTOP)
    time.sleep(seconds)
    os.kill(g.pid, signal.SIGCONT)
    last = caught_up(g, first)
    if busy:
        g.run("kill $(cat /run/load)")
    passed, most = last.host - first.host, 1 + (first.error + last.error) / 2
    check(f"stopped while {how}: monotonic time includes it", abs(last.monotonic - first.monotonic - passed) < most,
          f"{last.monotonic - first.monotonic:.3f} of {passed:.3f} s")
    check(f"stopped while {how}: wall time includes it", abs(last.wall - first.wall - passed) < most and
          abs(last.wall - last.host_wall) < 3, f"{last.wall - first.wall:.3f} of {passed:.3f} s, now {last.wall - last.host_wall:+.3f}")
    lost = ticks_lost(first, last)
    check(f"stopped while {how}: the ticks are made up", abs(lost) <= 2, f"{lost:.1f} jiffies")
    begin = time.monotonic()
    status, _ = g.run("sleep 1; usleep 100000")
    took = time.monotonic() - begin
    check(f"stopped while {how}: timers go on", status == 0 and took > 1.05, f"sleeping 1.1 s took {took:.2f} s")


def rtc(g):
    _, text = g.run("cat /sys/class/rtc/rtc0/since_epoch 2>/dev/null || hwclock -r -u -f /dev/rtc0")
    check("the RTC has the host's time", text.strip().isdigit() and abs(int(text) - time.time()) < 3, text)


def main():
    # RCU's own watchdog counts a stop as time, too, and would complain of one longer than 21 s.
    patience = f"rcupdate.rcu_cpu_stall_timeout={min(300, 30 + int(STOP_SECONDS))}"
    with Guest("time", append=patience, files={"bin/clocks": compile_i386(CLOCKS)}) as g:
        if check("the guest boots", g.ready(), g.process.poll()):
            quiet(g, "after the boot")
            _, ready = g.run("dmesg | grep -E 'crng init done|Run /init'")
            check("random numbers are there before anything runs", "crng" in ready.partition("Run /init")[0], ready)
            rtc(g)
            stop(g, STOP_SECONDS, False)
            rtc(g)
            stop(g, STOP_SECONDS, True)
            quiet(g, "after the stops")
            drift(g)
            g.run("(sleep 0.2; poweroff -f) & true")
            check("poweroff ends the process", g.ended(30) == 0 and "powered off" in g.said(), g.said())
    with Guest("button", options=["--stop-timeout", "60"]) as g:
        if check("another boots", g.ready(), g.process.poll()):
            os.kill(g.pid, signal.SIGTERM)
            check("asked to stop, it powers off by its button", g.ended(50) == 0 and "pressed" in g.said() and
                  "powered off" in g.said(), g.said())
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
