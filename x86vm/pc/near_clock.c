/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Looks of the near clock: see near_clock.h. A TSC that jumps, or a host that did something else in the middle of a
 * look, gives no rate, and the next question is a look again.
 */
#include "x86vm/pc/near_clock.h"

#include <stdbool.h>
#include <time.h>

#define NS_PER_S 1000000000u
#define SPAN (1u << 21)       /* ticks: 0.5 to 1 ms */
#define SPAN_MIN (SPAN / 16)  /* of which a rate can be told, */
#define ELAPSED_MAX NS_PER_S  /* and ns */
#define LOOK_MAX 4096u        /* ticks that a look takes if nothing comes in between */

static uint64_t monotonic(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* From 0.25 to 8 GHz, and what it was before, if that is known: else one of the two has jumped. */
static bool is_rate(uint64_t rate, uint64_t known)
{
    if (known && (rate > known + known / 64 || rate < known - known / 64))
        return false;
    return rate >= (1u << 29) && rate <= UINT64_C(4) << 32;
}

uint64_t near_clock_look(struct near_clock *c)
{
    uint64_t before = __rdtsc(), now = monotonic(), after = __rdtsc();
    uint64_t ticks = before - c->ticks, elapsed = now - c->ns, rate = 0;
    bool quick = after - before < LOOK_MAX;

    if (quick && c->ns && ticks >= SPAN_MIN && ticks <= UINT32_MAX && elapsed <= ELAPSED_MAX)
        rate = (elapsed << 32) / ticks;
    else if (quick && c->ns && ticks < SPAN_MIN)
        return c->latest = now > c->latest ? now : c->latest; /* too soon to tell */
    if (!is_rate(rate, c->rate))
        rate = 0;
    *c = (struct near_clock){ .ns = quick ? now : 0, .ticks = before, .span = rate ? SPAN : 0, .rate = rate,
                              .latest = now > c->latest ? now : c->latest };
    return c->latest;
}
