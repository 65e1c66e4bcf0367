/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Idle: see idle.h.
 */
#include "guest/idle.h"

enum { BUSY_SHARE = 4 }; /* running for a quarter of the time is not idle, whatever it does */

void idle_stir(struct idle *idle)
{
    idle->stirred = true;
}

uint64_t idle_halt(struct idle *i, uint64_t now, uint64_t ran)
{
    i->ran += ran;
    if (i->stirred || i->ran > IDLE_AFTER / BUSY_SHARE / 2 + (now - i->since) / BUSY_SHARE) {
        i->stirred = false;
        i->since = now;
        i->ran = 0;
    }
    return now - i->since >= IDLE_AFTER ? i->slack : 0;
}
