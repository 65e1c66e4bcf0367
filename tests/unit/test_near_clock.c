/* SPDX-License-Identifier: BSD-2-Clause
 * The near clock beside the one that it follows, also where the TSC or that clock jumps.
 */
#include "tests/unit/unit.h"
#include "x86vm/pc/near_clock.h"

#include <stdbool.h>
#include <time.h>

#define MS 1000000u
#define GIVE_UP (UINT64_C(20000) * MS)
#define OFF (MS / 10) /* what it may be off by, a hundred times what it should be */

static uint64_t real(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000 * MS + (uint64_t)ts.tv_nsec;
}

/* Asks for `ns`, and for longer if it goes by looks only until then: two of them that nothing
 * came in between give it a rate, and a host with much else to do may have time for one. Whether
 * it has always been near, has never run back, and went by a rate in the end. */
static bool is_near(struct near_clock *c, uint64_t ns)
{
    uint64_t begin = real(), latest = c->latest;
    bool near = true;
    for (uint64_t before = begin; before < begin + ns || (!c->rate && before < begin + GIVE_UP);) {
        before = real();
        uint64_t now = near_clock_now(c), after = real();
        near &= now >= latest && now + OFF >= before && now <= after + OFF;
        latest = now;
    }
    return near && c->rate > 0 && c->span > 0;
}

static void test_near(void)
{
    struct near_clock c = { 0 };
    CU_ASSERT_TRUE_FATAL(is_near(&c, 20 * MS));
    nanosleep(&(struct timespec){ .tv_nsec = 30 * MS }, NULL);
    CU_ASSERT_TRUE_FATAL(is_near(&c, 5 * MS));
}

/* As if the TSC had jumped, by what it is said to have been at the last look; then the clock. */
static void test_jumps(void)
{
    static const int64_t jumps[] = { 1, -1, 1 << 22, -(1 << 22), 1 << 23, INT64_C(1) << 40, -(INT64_C(1) << 40), INT64_MAX };
    struct near_clock c = { 0 };
    for (unsigned i = 0; i < sizeof jumps / sizeof jumps[0]; i++) {
        CU_ASSERT_TRUE_FATAL(is_near(&c, 5 * MS));
        c.ticks += (uint64_t)jumps[i];
    }
    CU_ASSERT_TRUE_FATAL(is_near(&c, 5 * MS));
    for (unsigned i = 1; i < 1000; i *= 10) {
        c.ns -= i * MS;
        c.span = 0;
        CU_ASSERT_TRUE_FATAL(is_near(&c, 5 * MS));
    }
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "beside the clock", test_near },
        { "jumps", test_jumps },
        CU_TEST_INFO_NULL,
    };

    return unit_run("near_clock", tests);
}
