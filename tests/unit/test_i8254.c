/* SPDX-License-Identifier: BSD-2-Clause
 * The interval timer: counts from time, channel 0's ticks, late service, the
 * way Linux calibrates with channel 2.
 */
#include "tests/unit/unit.h"
#include "x86vm/pc/i8254.h"

#define MS 1000000ull

static unsigned edges;
static bool line;

static void on_irq(void *opaque, unsigned number, bool level)
{
    (void)opaque;
    (void)number;
    if (level && !line)
        edges++;
    line = level;
}

static struct i8254 *fresh(uint64_t now)
{
    const struct irq_line irq = { on_irq, NULL, 0 };

    edges = 0;
    line = false;
    return i8254_new(&irq, now);
}

static void program(struct i8254 *pit, unsigned channel, unsigned mode, unsigned count, uint64_t now)
{
    i8254_write(pit, 3, (uint8_t)(channel << 6 | 0x30 | mode << 1), now);
    i8254_write(pit, channel, (uint8_t)count, now);
    i8254_write(pit, channel, (uint8_t)(count >> 8), now);
}

static unsigned latched(struct i8254 *pit, unsigned channel, uint64_t now)
{
    unsigned low;

    i8254_write(pit, 3, (uint8_t)(channel << 6), now);
    low = i8254_read(pit, channel, now + MS); /* the latch holds whatever the time */
    return low | (unsigned)i8254_read(pit, channel, now + 2 * MS) << 8;
}

static void test_periodic(void)
{
    struct i8254 *pit = fresh(5 * MS);
    uint64_t now = 5 * MS, deadline;

    CU_ASSERT_EQUAL(i8254_deadline(pit), I8254_NEVER);
    program(pit, 0, 2, 4772, now); /* 250 Hz */
    for (unsigned i = 1; i <= 500; i++) {
        deadline = i8254_deadline(pit);
        CU_ASSERT_TRUE(deadline > now);
        i8254_service(pit, deadline - 1, false);
        CU_ASSERT_EQUAL(edges, i - 1);
        i8254_service(pit, deadline, false);
        CU_ASSERT_EQUAL(edges, i);
        now = deadline;
    }
    /* 500 * 4772 / 1193182 s, without drift */
    CU_ASSERT_TRUE(now - 5 * MS >= 1999694933 && now - 5 * MS <= 1999694940);
    i8254_free(pit);
}

static void test_late_service(void)
{
    struct i8254 *pit = fresh(0);
    uint64_t now = 40 * MS;
    unsigned rounds = 0;

    program(pit, 0, 2, 4772, 0);
    while (edges < 10 && rounds++ < 100) {
        i8254_service(pit, now, false);
        if (i8254_deadline(pit) > now)
            now = i8254_deadline(pit);
    }
    CU_ASSERT_EQUAL(edges, 10);
    CU_ASSERT_TRUE(now > 45 * MS && now < 56 * MS); /* made up within some periods, not in one burst */
    CU_ASSERT_EQUAL(i8254_ticks_dropped(pit), 0);
    i8254_service(pit, now + 3600000 * MS, false); /* an hour of sleep is not made up */
    CU_ASSERT_TRUE(i8254_ticks_dropped(pit) > 890000);
    i8254_free(pit);
}

static void test_busy_keeps_ticks(void)
{
    struct i8254 *pit = fresh(0);

    program(pit, 0, 2, 4772, 0);
    i8254_service(pit, i8254_deadline(pit), true);
    CU_ASSERT_EQUAL(edges, 0);
    CU_ASSERT_NOT_EQUAL(i8254_deadline(pit), I8254_NEVER);
    i8254_service(pit, i8254_deadline(pit), false);
    CU_ASSERT_EQUAL(edges, 1);
    i8254_free(pit);
}

static void test_one_shot(void)
{
    struct i8254 *pit = fresh(0);
    uint64_t deadline;

    program(pit, 0, 4, 11932, MS); /* 10 ms */
    deadline = i8254_deadline(pit);
    CU_ASSERT_TRUE(deadline > 11 * MS && deadline < 11 * MS + 10000);
    i8254_service(pit, deadline, false);
    CU_ASSERT_EQUAL(edges, 1);
    CU_ASSERT_EQUAL(i8254_deadline(pit), I8254_NEVER);
    i8254_service(pit, deadline + 100 * MS, false);
    CU_ASSERT_EQUAL(edges, 1);
    program(pit, 0, 4, 1193, 200 * MS);
    i8254_service(pit, i8254_deadline(pit), false);
    CU_ASSERT_EQUAL(edges, 2);
    program(pit, 0, 0, 1193, 300 * MS); /* as Linux shuts it down: one edge more, then none */
    CU_ASSERT_FALSE(line);
    i8254_write(pit, 3, 0x30, 300 * MS);
    CU_ASSERT_EQUAL(i8254_deadline(pit), I8254_NEVER);
    i8254_free(pit);
}

static bool out2(struct i8254 *pit, uint64_t now) { return i8254_read_port61(pit, now) & 0x20; }

/* Channel 2, whose gate triggers; a count that is written meanwhile is for the next time. */
static void test_triggered(void)
{
    struct i8254 *pit = fresh(0);

    program(pit, 2, 1, 1193, 0);
    CU_ASSERT_TRUE(out2(pit, 5 * MS));
    i8254_write_port61(pit, 1, 10 * MS);
    CU_ASSERT_FALSE(out2(pit, 10 * MS + MS / 2));
    i8254_write(pit, 2, 0x2e, 10 * MS + MS / 2), i8254_write(pit, 2, 0x9c, 10 * MS + MS / 2); /* 39982: 33.5 ms */
    CU_ASSERT_FALSE(out2(pit, 11 * MS - MS / 10));
    CU_ASSERT_TRUE(out2(pit, 11 * MS + MS / 10));
    i8254_write(pit, 3, 0xe8, 12 * MS); /* status: the new count is not loaded yet */
    CU_ASSERT_EQUAL(i8254_read(pit, 2, 12 * MS) & 0x40, 0x40);
    CU_ASSERT_TRUE(out2(pit, 60 * MS));
    i8254_write_port61(pit, 0, 60 * MS), i8254_write_port61(pit, 1, 61 * MS);
    CU_ASSERT_FALSE(out2(pit, 61 * MS + 33 * MS));
    CU_ASSERT_TRUE(out2(pit, 61 * MS + 34 * MS));
    i8254_write_port61(pit, 0, 70 * MS), i8254_write_port61(pit, 1, 71 * MS); /* and once more, before it is over */
    i8254_write_port61(pit, 0, 72 * MS), i8254_write_port61(pit, 1, 73 * MS);
    CU_ASSERT_FALSE(out2(pit, 73 * MS + 33 * MS));
    CU_ASSERT_TRUE(out2(pit, 73 * MS + 34 * MS));
    i8254_free(pit);
}

static void test_counts(void)
{
    struct i8254 *pit = fresh(0);

    program(pit, 0, 2, 0, 0); /* 0 is 65536 */
    CU_ASSERT_EQUAL(latched(pit, 0, 0), 0);
    CU_ASSERT_EQUAL(latched(pit, 0, 10 * MS), 65536 - 11931);
    CU_ASSERT_EQUAL(latched(pit, 0, 1000 * MS), 65536 - 1193182 % 65536);
    program(pit, 1, 3, 1000, 0);
    CU_ASSERT_EQUAL(latched(pit, 1, 0), 1000);
    CU_ASSERT_EQUAL(latched(pit, 1, 83000), 802); /* 99 ticks, by two */
    CU_ASSERT_EQUAL(latched(pit, 1, 502900), 800); /* 600 ticks: 100 into the second half */
    i8254_write(pit, 3, 0x40 | 0x10 | 4 | 1, 0);   /* channel 1, low byte, mode 2, BCD */
    i8254_write(pit, 1, 0x50, 0);
    CU_ASSERT_EQUAL(i8254_read(pit, 1, 8400), 0x40); /* 10 ticks */
    i8254_free(pit);
}

static void test_new_count_waits_for_the_period(void)
{
    struct i8254 *pit = fresh(0);
    uint64_t first;

    program(pit, 0, 2, 11932, 0); /* 10 ms */
    i8254_service(pit, 11 * MS, false); /* in the second period */
    i8254_write(pit, 0, 4772 & 0xff, 15 * MS);
    i8254_write(pit, 0, 4772 >> 8, 15 * MS);
    first = i8254_deadline(pit);
    CU_ASSERT_TRUE(first > 19 * MS && first < 21 * MS);
    i8254_service(pit, first, false);
    CU_ASSERT_EQUAL(edges, 2);
    CU_ASSERT_TRUE(i8254_deadline(pit) - first > 3 * MS && i8254_deadline(pit) - first < 5 * MS);
    CU_ASSERT_EQUAL(latched(pit, 0, first + 1 * MS), 4772 - 1193);
    i8254_free(pit);
}

static void test_calibration(void)
{
    struct i8254 *pit = fresh(0);

    i8254_write_port61(pit, 0x01, 0); /* gate on, speaker off */
    program(pit, 2, 0, 11932, MS);
    CU_ASSERT_FALSE(i8254_read_port61(pit, 2 * MS) & 0x20);
    CU_ASSERT_TRUE(i8254_read_port61(pit, 12 * MS) & 0x20);
    program(pit, 2, 0, 0xffff, 20 * MS);
    i8254_read(pit, 2, 20 * MS);
    CU_ASSERT_EQUAL(i8254_read(pit, 2, 20 * MS), 0xff);
    i8254_read(pit, 2, 21 * MS);
    CU_ASSERT_EQUAL(i8254_read(pit, 2, 21 * MS), 0xfb);
    i8254_write_port61(pit, 0x00, 22 * MS); /* gate off: stands still */
    CU_ASSERT_EQUAL(latched(pit, 2, 22 * MS), latched(pit, 2, 500 * MS));
    i8254_write_port61(pit, 0x01, 600 * MS);
    CU_ASSERT_EQUAL(latched(pit, 2, 601 * MS), 0xffff - 2386 - 1193);
    CU_ASSERT_NOT_EQUAL(i8254_read_port61(pit, 0) & 0x10, i8254_read_port61(pit, 15100) & 0x10);
    i8254_free(pit);
}

static void test_read_back(void)
{
    struct i8254 *pit = fresh(0);
    unsigned low;

    program(pit, 0, 2, 1000, 0);
    i8254_write(pit, 3, 0xc0 | 0x02, 83000); /* count and status of channel 0 */
    CU_ASSERT_EQUAL(i8254_read(pit, 0, MS), 0x80 | 0x30 | 2 << 1);
    low = i8254_read(pit, 0, MS);
    CU_ASSERT_EQUAL(low | (unsigned)i8254_read(pit, 0, MS) << 8, 901);
    CU_ASSERT_EQUAL(i8254_read(pit, 3, MS), 0xff);
    i8254_free(pit);
}

static void test_hostile_rate(void)
{
    struct i8254 *pit = fresh(0);
    uint64_t now = 0;
    unsigned rounds = 0;

    program(pit, 0, 2, 1, 0); /* illegal; and 2 would be 600 kHz */
    while (now < 10 * MS && rounds++ < 100000) {
        i8254_service(pit, now, false);
        now = i8254_deadline(pit) > now ? i8254_deadline(pit) : now;
    }
    CU_ASSERT_TRUE(rounds < 1200); /* paced */
    CU_ASSERT_TRUE(edges <= 510);
    i8254_free(pit);
}

/* --- an idle machine --- */

/* Serves what is due as the run loop and the interrupt controller do, each tick acknowledged in turn; how many came. */
static unsigned served(struct i8254 *pit, uint64_t now)
{
    unsigned before = edges;

    i8254_service(pit, now, false);
    for (unsigned seen = before; edges != seen;) {
        seen = edges;
        i8254_end_of_interrupt(pit);
    }
    return edges - before;
}

static void test_idle_periodic(void)
{
    struct i8254 *pit = fresh(0);
    uint64_t now = 0;

    program(pit, 0, 2, 4772, 0); /* 4 ms */
    for (unsigned i = 0; i < 1000; i++) {
        uint64_t punctual = i8254_deadline(pit), late = i8254_idle_deadline(pit, 20 * MS);

        CU_ASSERT_TRUE(late > punctual + 19 * MS && late <= punctual + 20 * MS);
        now = late;
        CU_ASSERT_EQUAL(served(pit, now - 1), 5);  /* those that were due by then; */
        CU_ASSERT_EQUAL(served(pit, now), 1);      /* the rest of it is punctual again */
    }
    CU_ASSERT_EQUAL(edges, 6000);                  /* none lost, none too many */
    CU_ASSERT_EQUAL(i8254_ticks_dropped(pit), 0);
    i8254_free(pit);
}

static void test_idle_woken_early(void)
{
    struct i8254 *pit = fresh(0);

    program(pit, 0, 2, 4772, 0);
    CU_ASSERT_TRUE(i8254_idle_deadline(pit, 20 * MS) > 23 * MS);
    CU_ASSERT_EQUAL(served(pit, MS), 0);
    CU_ASSERT_TRUE(i8254_deadline(pit) < 4 * MS);
    CU_ASSERT_TRUE(i8254_idle_deadline(pit, 20 * MS) > 23 * MS);
    i8254_service(pit, 13 * MS, true);             /* three are due, the last one is in service yet */
    CU_ASSERT_EQUAL(edges, 0);
    for (unsigned i = 1; i <= 4; i++) {
        i8254_end_of_interrupt(pit);
        CU_ASSERT_EQUAL(edges, i < 3 ? i : 3);
    }
    CU_ASSERT_EQUAL(latched(pit, 0, 13 * MS), 4772 - 15511 % 4772); /* counts are true to time */
    CU_ASSERT_TRUE(i8254_idle_deadline(pit, 20 * MS) > 35 * MS);
    i8254_service(pit, 4000 * MS, false);          /* and the process was stopped: paced */
    i8254_end_of_interrupt(pit);
    CU_ASSERT_EQUAL(edges, 4);
    i8254_free(pit);
}

static void test_idle_limits(void)
{
    struct i8254 *pit = fresh(0);

    CU_ASSERT_EQUAL(i8254_idle_deadline(pit, 20 * MS), I8254_NEVER);
    program(pit, 0, 2, 0, 0);                      /* 55 ms: nothing is won by waiting */
    CU_ASSERT_EQUAL(i8254_idle_deadline(pit, 40 * MS), i8254_deadline(pit));
    program(pit, 0, 2, 1193, 0);
    CU_ASSERT_EQUAL(i8254_idle_deadline(pit, 0), i8254_deadline(pit));
    program(pit, 0, 2, 100, 0);                    /* 12 kHz: no more wait than are made up for at once */
    CU_ASSERT_TRUE(i8254_idle_deadline(pit, 200 * MS) < 6 * MS);
    CU_ASSERT_EQUAL(served(pit, 64 * 83810), I8254_BURST);
    i8254_idle_deadline(pit, 200 * MS);
    program(pit, 0, 2, 100, 20 * MS);              /* programmed anew: nothing waits */
    CU_ASSERT_EQUAL(served(pit, 20 * MS), 0);
    i8254_free(pit);
}

/* Loads channel 0 for one edge at `deadline`, as Linux does: some time after it read its clock. */
static void shoot(struct i8254 *pit, uint64_t now, uint64_t deadline)
{
    unsigned count = (unsigned)((deadline - now) * I8254_HZ / 1000000000);

    i8254_write(pit, 0, (uint8_t)count, now + now / 977 % 9000);
    i8254_write(pit, 0, (uint8_t)(count >> 8), now + now / 977 % 9000);
}

static void test_idle_beat(void)
{
    struct i8254 *pit = fresh(0);
    uint64_t now = 0, late;

    i8254_write(pit, 3, 0x38, 0); /* mode 4 */
    for (unsigned i = 1; i <= 200; i++) { /* ticks at multiples of 4 ms */
        shoot(pit, now, 4 * MS * i);
        late = i8254_idle_deadline(pit, 40 * MS);
        if (i < 16)
            CU_ASSERT_EQUAL(late, i8254_deadline(pit)); /* no beat yet */
        if (i > 20)
            CU_ASSERT_TRUE(late > 4 * MS * i + 35 * MS && late <= 4 * MS * i + 41 * MS);
        now = i8254_deadline(pit);
        CU_ASSERT_EQUAL(served(pit, now), 1);
    }
    for (unsigned i = 201; i <= 2000; i += 11) { /* late by 40 ms each: the next is 44 ms on */
        shoot(pit, now, 4 * MS * i);
        late = i8254_idle_deadline(pit, 40 * MS);
        CU_ASSERT_TRUE(late > 4 * MS * i + 35 * MS && late <= 4 * MS * i + 41 * MS);
        now = late;
        CU_ASSERT_EQUAL(served(pit, now), 1);
    }
    shoot(pit, now, 8046 * MS); /* between two ticks: a timer of another kind is kept */
    CU_ASSERT_EQUAL(i8254_idle_deadline(pit, 40 * MS), i8254_deadline(pit));
    now = i8254_deadline(pit);
    CU_ASSERT_EQUAL(served(pit, now), 1);
    shoot(pit, now, 8048 * MS); /* a tick again */
    CU_ASSERT_TRUE(i8254_idle_deadline(pit, 40 * MS) > 8083 * MS);
    i8254_reset(pit, now);
    program(pit, 0, 4, 4772, now);
    CU_ASSERT_EQUAL(i8254_idle_deadline(pit, 40 * MS), i8254_deadline(pit));
    i8254_free(pit);
}

static void test_no_beat(void)
{
    struct i8254 *pit = fresh(0);
    uint64_t now = 0;
    uint32_t random = 1;

    i8254_write(pit, 3, 0x38, 0);
    for (unsigned i = 0; i < 10000; i++) {
        random = random * 1103515245 + 12345;
        shoot(pit, now, now + MS + (random >> 8) % 20 * MS + random % MS);
        CU_ASSERT_EQUAL(i8254_idle_deadline(pit, 40 * MS), i8254_deadline(pit));
        now = i8254_deadline(pit);
        i8254_service(pit, now, false);
    }
    i8254_free(pit);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "periodic", test_periodic },
        { "late service", test_late_service },
        { "busy keeps ticks", test_busy_keeps_ticks },
        { "one shot", test_one_shot },
        { "triggered", test_triggered },
        { "counts", test_counts },
        { "new count waits for the period", test_new_count_waits_for_the_period },
        { "calibration", test_calibration },
        { "read back", test_read_back },
        { "hostile rate", test_hostile_rate },
        { "idle periodic", test_idle_periodic },
        { "idle woken early", test_idle_woken_early },
        { "idle limits", test_idle_limits },
        { "idle beat", test_idle_beat },
        { "no beat", test_no_beat },
        CU_TEST_INFO_NULL,
    };

    return unit_run("i8254", tests);
}
