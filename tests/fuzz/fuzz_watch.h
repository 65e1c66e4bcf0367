/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Whether a child process hangs. It may be starved, or stopped together with
 * whoever watches it, for minutes, so the time of day says nothing: it hangs when
 * it has computed for too long without progress, or has been looked at too
 * often and did nothing at all.
 */
#ifndef TESTS_FUZZ_FUZZ_WATCH_H
#define TESTS_FUZZ_FUZZ_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#define FUZZ_WATCH_PAUSE_NS 5000000   /* between two looks */
enum { FUZZ_WATCH_LOOKS = 300 * 200 }; /* five minutes of them */

struct fuzz_watch {
    uint64_t progress, cpu_ns;
    uint32_t looks;
};

static inline uint64_t fuzz_watch_cpu_ns(pid_t child)
{
    struct timespec t = { 0, 0 };
    clockid_t clock;

    if (clock_getcpuclockid(child, &clock) || clock_gettime(clock, &t))
        return 0;
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Waits a little; true when the child has made no progress in `seconds` of its CPU time. */
static inline bool fuzz_watch_hangs(struct fuzz_watch *w, pid_t child, uint64_t progress, unsigned seconds)
{
    const struct timespec pause = { 0, FUZZ_WATCH_PAUSE_NS };
    uint64_t cpu_ns = fuzz_watch_cpu_ns(child);

    if (progress != w->progress || !w->looks) {
        w->progress = progress;
        w->cpu_ns = cpu_ns;
        w->looks = 0;
    }
    nanosleep(&pause, NULL);
    return ++w->looks > FUZZ_WATCH_LOOKS || cpu_ns > w->cpu_ns + seconds * 1000000000ull;
}

#endif
