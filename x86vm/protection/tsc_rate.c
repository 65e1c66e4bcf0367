/* SPDX-License-Identifier: BSD-2-Clause
 *
 * How fast the host's time-stamp counter counts, which is how fast the guest's
 * does: measured against CLOCK_MONOTONIC once, when a machine is made, so that
 * CPUID can tell the guest. A guest that has to find out for itself times the
 * 8254, and on a busy host that fails ("Marking TSC unstable").
 */
#include "x86vm/protection/control.h"
#include "x86vm/protection/protection.h"

#include <cpuid.h>
#include <time.h>

enum { WINDOW_NS = 10 * 1000 * 1000, TRIES = 16 };

struct moment { uint64_t tsc, ns; };

/* The two clocks read as close together as a few tries allow. */
static struct moment both_clocks(void)
{
    struct moment best = { 0, 0 };
    uint64_t closest = UINT64_MAX;

    for (int i = 0; i < TRIES; i++) {
        struct timespec t;
        const uint64_t before = host_tsc();
        clock_gettime(CLOCK_MONOTONIC, &t);
        const uint64_t apart = host_tsc() - before;
        if (apart < closest) {
            closest = apart;
            best = (struct moment){ before + apart / 2, t.tv_sec * UINT64_C(1000000000) + t.tv_nsec };
        }
    }
    return best;
}

/* One rate in every power state, by the host's own word. */
static bool host_is_invariant(void)
{
    unsigned eax, ebx, ecx, edx;
    return __get_cpuid(0x80000007, &eax, &ebx, &ecx, &edx) && edx & 1u << 8;
}

uint32_t protection_measure_tsc_khz(void)
{
    const struct timespec window = { .tv_nsec = WINDOW_NS };

    if (!host_is_invariant())
        return 0;
    const struct moment first = both_clocks();
    nanosleep(&window, NULL);
    const struct moment second = both_clocks();
    const uint64_t ns = second.ns - first.ns;
    return ns ? (uint32_t)((second.tsc - first.tsc) * UINT64_C(1000000) / ns) : 0;
}
