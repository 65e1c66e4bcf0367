/* SPDX-License-Identifier: BSD-2-Clause
 *
 * How long a guest has done nothing but halt and count its ticks. One that has
 * for IDLE_AFTER gets them later, several at a time (i8254_idle_deadline()):
 * woken 250 times a second, it would take some 3 % of a CPU for nothing.
 */
#ifndef GUEST_IDLE_H
#define GUEST_IDLE_H

#include <stdbool.h>
#include <stdint.h>

#define IDLE_AFTER 1000000000u /* ns */

struct idle {
    uint64_t slack;   /* ns that ticks of an idle guest may be late; 0: none */
    uint64_t since;   /* it has been idle since then, */
    uint64_t ran;     /* but for so long, */
    bool stirred;     /* unless this is set */
};

/* Something else than a tick came to the guest or from it. */
void idle_stir(struct idle *idle);

/* The guest halts at `now`, having run for `ran` ns. How late its ticks may be now. */
uint64_t idle_halt(struct idle *idle, uint64_t now, uint64_t ran);

#endif
