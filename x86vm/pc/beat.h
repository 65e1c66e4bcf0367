/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A timer that is loaded for one edge at a time, again and again: are its
 * deadlines those of a steady beat, a clock's ticks, or is this one of another
 * kind? Linux on a one-shot timer programs both the same way. A deadline
 * belongs to the beat when it is a whole number of periods from the one before.
 */
#ifndef X86VM_PC_BEAT_H
#define X86VM_PC_BEAT_H

#include <stdint.h>

struct beat {
    uint64_t period;  /* ns */
    uint64_t last;    /* the last deadline that was on the beat */
    unsigned steady;  /* deadlines in a row that made the beat, up to BEAT_SURE */
    unsigned off;     /* deadlines off it since the last that was on it */
};

/* The timer is now set to `deadline`. */
void beat_note(struct beat *beat, uint64_t deadline);

/* The period of the beat to which the deadline noted last belongs; 0: to none. */
uint64_t beat_period(const struct beat *beat);

#endif
