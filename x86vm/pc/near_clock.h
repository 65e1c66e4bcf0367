/* SPDX-License-Identifier: BSD-2-Clause
 *
 * CLOCK_MONOTONIC for whoever asks it more than a million times a second: between two looks at it, a millisecond or
 * less apart, time goes on by the host's TSC, at the rate that it had between the looks before. That takes a third of
 * the time, mostly because it waits for nothing that is still under way. Off by less than a microsecond; never runs back.
 */
#ifndef X86VM_PC_NEAR_CLOCK_H
#define X86VM_PC_NEAR_CLOCK_H

#include <stdint.h>
#include <x86intrin.h>

/* Zeroed: nothing is known. */
struct near_clock {
    uint64_t ns, ticks; /* at the last look */
    uint64_t span;      /* ticks that it is good for */
    uint64_t rate;      /* ns a tick, 32 binary places; 0: not known */
    uint64_t latest;    /* what it has answered */
};

/* Looks at the clock. */
uint64_t near_clock_look(struct near_clock *c);

static inline uint64_t near_clock_now(struct near_clock *c)
{
    uint64_t ticks = __rdtsc() - c->ticks, now;

    if (ticks >= c->span)
        return near_clock_look(c);
    now = c->ns + (ticks * c->rate >> 32);
    if (now > c->latest)
        c->latest = now;
    return c->latest;
}

#endif
