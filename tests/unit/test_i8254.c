/* SPDX-License-Identifier: BSD-2-Clause
 * The interval timer: counts from time, channel 0's ticks, late service, the
 * way Linux calibrates with channel 2.
 */
#include "x86vm/pc/i8254.h"

#include <CUnit/Basic.h>

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

int main(void)
{
    CU_pSuite suite;
    unsigned failures;

    CU_initialize_registry();
    suite = CU_add_suite("i8254", NULL, NULL);
    CU_ADD_TEST(suite, test_periodic);
    CU_ADD_TEST(suite, test_late_service);
    CU_ADD_TEST(suite, test_busy_keeps_ticks);
    CU_ADD_TEST(suite, test_one_shot);
    CU_ADD_TEST(suite, test_counts);
    CU_ADD_TEST(suite, test_new_count_waits_for_the_period);
    CU_ADD_TEST(suite, test_calibration);
    CU_ADD_TEST(suite, test_read_back);
    CU_ADD_TEST(suite, test_hostile_rate);
    CU_basic_run_tests();
    failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
