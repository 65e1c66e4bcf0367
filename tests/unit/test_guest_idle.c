/* SPDX-License-Identifier: BSD-2-Clause
 * When a guest counts as idle.
 */
#include "guest/idle.h"
#include "tests/unit/unit.h"

#define MS 1000000ull
#define SLACK (40 * MS)

/* Halts each 4 ms from `from` to `to`, having run for `ran` each time; the last answer. */
static uint64_t ticks(struct idle *idle, uint64_t from, uint64_t to, uint64_t ran)
{
    uint64_t slack = 0;

    for (uint64_t now = from; now <= to; now += 4 * MS)
        slack = idle_halt(idle, now, ran);
    return slack;
}

static void test_becomes_idle(void)
{
    struct idle idle = { .slack = SLACK, .stirred = true };

    CU_ASSERT_EQUAL(ticks(&idle, 5000 * MS, 5996 * MS, 100000), 0);
    CU_ASSERT_EQUAL(ticks(&idle, 6000 * MS, 9000 * MS, 100000), SLACK);
    idle_stir(&idle);
    CU_ASSERT_EQUAL(ticks(&idle, 9004 * MS, 10000 * MS, 100000), 0);
    CU_ASSERT_EQUAL(ticks(&idle, 10004 * MS, 10004 * MS, 100000), SLACK);
    CU_ASSERT_EQUAL(ticks(&idle, 10008 * MS, 10008 * MS, 200 * MS), SLACK); /* a kernel cleans up now and then */
}

static void test_works(void)
{
    struct idle idle = { .slack = SLACK, .stirred = true }, none = { .slack = 0 };

    CU_ASSERT_EQUAL(ticks(&idle, 5000 * MS, 6500 * MS, 2 * MS), 0); /* half of the time */
    CU_ASSERT_EQUAL(ticks(&idle, 6504 * MS, 6600 * MS, 100000), 0);
    CU_ASSERT_EQUAL(ticks(&idle, 6604 * MS, 8600 * MS, 100000), SLACK);
    for (unsigned i = 0; i < 100; i++) { /* something each half a second */
        idle_stir(&idle);
        CU_ASSERT_EQUAL(ticks(&idle, 9000 * MS + i * 500 * MS, 9500 * MS + i * 500 * MS, 100000), 0);
    }
    CU_ASSERT_EQUAL(ticks(&none, 0, 9000 * MS, 100000), 0);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "becomes idle", test_becomes_idle },
        { "works", test_works },
        CU_TEST_INFO_NULL,
    };

    return unit_run("guest idle", tests);
}
