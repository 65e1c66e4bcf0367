/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The guest's counters as one line of JSON.
 */
#ifndef GUEST_STATS_H
#define GUEST_STATS_H

#include <stddef.h>
#include <stdint.h>

struct run_loop_parts;

/* Where the timer's signal met the vCPU's thread while it was not asleep. The signal
 * comes at the guest's own timer ticks and at other deadlines: samples, not a profile. */
enum stats_place { STATS_USER, STATS_KERNEL, STATS_C, STATS_PLACES };

struct stats_time {
    uint64_t uptime_ns;
    uint64_t idle_ns, halts;         /* asleep in HLT */
    uint64_t idle_halts;             /* ... so idle that ticks might be late (idle.h) */
    uint64_t samples[STATS_PLACES];  /* translated user code, translated kernel code, in C */
};

/* Returns the length; less than `size`, without newline. */
size_t stats_describe(const struct run_loop_parts *parts, const struct stats_time *time, char *out, size_t size);

#endif
