/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Beat: see beat.h.
 */
#include "x86vm/pc/beat.h"

enum { BEAT_SURE = 16, BEAT_LOST = 16 };
enum { LONGEST = 1000000000 /* ns */ };
enum { TOLERANCE = 32, TOLERANCE_LEAST = 20000 /* ns */, SMOOTHING = 8 };

/* A guest reads its clock, computes the count and writes it: some microseconds that vary. */
static int64_t tolerance(uint64_t period)
{
    return (int64_t)(period / TOLERANCE > TOLERANCE_LEAST ? period / TOLERANCE : TOLERANCE_LEAST);
}

static void begin(struct beat *b, uint64_t deadline)
{
    *b = (struct beat){ .last = deadline, .period = deadline > b->last ? deadline - b->last : 0 };
}

void beat_note(struct beat *b, uint64_t deadline)
{
    int64_t passed = (int64_t)(deadline - b->last), period = (int64_t)b->period, count, error;

    if (period <= 0 || period > LONGEST) {
        begin(b, deadline);
        return;
    }
    count = (passed + period / 2) / period;
    error = passed - count * period;
    if (count < 0 || error > tolerance(b->period) || error < -tolerance(b->period)) {
        if (b->steady < BEAT_SURE || ++b->off >= BEAT_LOST)
            begin(b, deadline);
        return;
    }
    b->last = deadline;
    b->off = 0;
    if (count)
        b->period = (uint64_t)(period + error / count / SMOOTHING);
    if (b->steady < BEAT_SURE)
        b->steady += count == 1; /* again the same deadline says nothing */
}

uint64_t beat_period(const struct beat *b)
{
    return b->steady >= BEAT_SURE && !b->off ? b->period : 0;
}
