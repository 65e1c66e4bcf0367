/* SPDX-License-Identifier: BSD-2-Clause
 * The real-time clock: dates, formats, setting it, interrupts, CMOS contents.
 */
#include "tests/unit/unit.h"
#include "x86vm/pc/rtc.h"

#define S 1000000000ull
#define LEAP_DAY 1709251199ll /* 2024-02-29 23:59:59 UTC, a Thursday */

static bool line;

static void on_irq(void *opaque, unsigned number, bool level)
{
    (void)opaque;
    (void)number;
    line = level;
}

static struct rtc *fresh(int64_t wall, uint64_t ram)
{
    const struct irq_line irq = { on_irq, NULL, 8 };

    line = false;
    return rtc_new(&irq, ram, wall, 0);
}

static uint8_t get(struct rtc *rtc, uint8_t index, uint64_t now)
{
    rtc_write(rtc, 0, index, now);
    return rtc_read(rtc, 1, now);
}

static void set(struct rtc *rtc, uint8_t index, uint8_t value, uint64_t now)
{
    rtc_write(rtc, 0, index | 0x80, now); /* bit 7 is the NMI mask */
    rtc_write(rtc, 1, value, now);
}

static void check_date(struct rtc *rtc, uint64_t now, unsigned century, unsigned year, unsigned month, unsigned day,
                       unsigned weekday, unsigned hour, unsigned minute, unsigned second)
{
    CU_ASSERT_EQUAL(get(rtc, 0x32, now), century);
    CU_ASSERT_EQUAL(get(rtc, 9, now), year);
    CU_ASSERT_EQUAL(get(rtc, 8, now), month);
    CU_ASSERT_EQUAL(get(rtc, 7, now), day);
    CU_ASSERT_EQUAL(get(rtc, 6, now), weekday);
    CU_ASSERT_EQUAL(get(rtc, 4, now), hour);
    CU_ASSERT_EQUAL(get(rtc, 2, now), minute);
    CU_ASSERT_EQUAL(get(rtc, 0, now), second);
}

static void test_dates(void)
{
    struct rtc *rtc = fresh(LEAP_DAY, 1 << 27);

    check_date(rtc, 0, 0x20, 0x24, 0x02, 0x29, 5, 0x23, 0x59, 0x59);
    check_date(rtc, S, 0x20, 0x24, 0x03, 0x01, 6, 0x00, 0x00, 0x00);
    check_date(rtc, 86400 * 306 * S, 0x20, 0x24, 0x12, 0x31, 3, 0x23, 0x59, 0x59);
    check_date(rtc, (86400 * 306 + 1) * S, 0x20, 0x25, 0x01, 0x01, 4, 0x00, 0x00, 0x00);
    rtc_free(rtc);
    rtc = fresh(946684799, 1 << 27);
    check_date(rtc, 0, 0x19, 0x99, 0x12, 0x31, 6, 0x23, 0x59, 0x59);
    rtc_free(rtc);
}

static void test_formats(void)
{
    struct rtc *rtc = fresh(LEAP_DAY, 1 << 27);

    set(rtc, 11, 0x00, 0); /* BCD, 12 hours */
    CU_ASSERT_EQUAL(get(rtc, 4, 0), 0x91); /* 11 pm */
    CU_ASSERT_EQUAL(get(rtc, 4, S), 0x12); /* midnight */
    set(rtc, 11, 0x06, 0); /* binary, 24 hours */
    CU_ASSERT_EQUAL(get(rtc, 4, 0), 23);
    CU_ASSERT_EQUAL(get(rtc, 0, 0), 59);
    rtc_free(rtc);
}

static void test_setting(void)
{
    struct rtc *rtc = fresh(0, 1 << 27);
    static const uint8_t values[][2] = { { 0, 0x10 }, { 2, 0x20 }, { 4, 0x05 }, { 6, 0x06 }, { 7, 0x15 }, { 8, 0x08 },
                                         { 9, 0x31 }, { 0x32, 0x20 } };

    set(rtc, 11, 0x82, 0);
    for (unsigned i = 0; i < sizeof values / sizeof *values; i++)
        set(rtc, values[i][0], values[i][1], S);
    CU_ASSERT_EQUAL(get(rtc, 0, 50 * S), 0x10); /* frozen */
    set(rtc, 11, 0x02, 60 * S);
    check_date(rtc, 65 * S, 0x20, 0x31, 0x08, 0x15, 6, 0x05, 0x20, 0x15);
    set(rtc, 2, 0x59, 65 * S + S / 2); /* one field while it runs */
    CU_ASSERT_EQUAL(get(rtc, 2, 66 * S), 0x59);
    CU_ASSERT_EQUAL(get(rtc, 0, 66 * S), 0x16);
    set(rtc, 8, 0xff, 66 * S); /* nonsense does not crash */
    get(rtc, 8, 67 * S);
    rtc_free(rtc);
}

/* The chip counts weekdays from what was written, whatever the date says. */
static void test_weekday(void)
{
    struct rtc *rtc = fresh(LEAP_DAY, 1 << 27);

    set(rtc, 6, 1, 0);
    CU_ASSERT_EQUAL(get(rtc, 6, 0), 1);
    check_date(rtc, S, 0x20, 0x24, 0x03, 0x01, 2, 0x00, 0x00, 0x00);
    check_date(rtc, (1 + 2 * 86400) * S, 0x20, 0x24, 0x03, 0x03, 4, 0x00, 0x00, 0x00);
    check_date(rtc, (1 + 6 * 86400) * S, 0x20, 0x24, 0x03, 0x07, 1, 0x00, 0x00, 0x00);
    set(rtc, 7, 0x20, S);
    check_date(rtc, S, 0x20, 0x24, 0x03, 0x20, 2, 0x00, 0x00, 0x00);

    set(rtc, 11, 0x82, S); /* set */
    set(rtc, 6, 7, S);
    CU_ASSERT_EQUAL(get(rtc, 6, 9 * S), 7);
    set(rtc, 11, 0x02, 9 * S);
    check_date(rtc, 9 * S, 0x20, 0x24, 0x03, 0x20, 7, 0x00, 0x00, 0x00);
    check_date(rtc, (9 + 86400) * S, 0x20, 0x24, 0x03, 0x21, 1, 0x00, 0x00, 0x00);

    set(rtc, 6, 0xff, (9 + 86400) * S); /* no weekday: some weekday */
    CU_ASSERT(get(rtc, 6, (9 + 86400) * S) >= 1 && get(rtc, 6, (9 + 86400) * S) <= 7);
    set(rtc, 6, 0, (9 + 86400) * S);
    CU_ASSERT(get(rtc, 6, (9 + 86400) * S) >= 1 && get(rtc, 6, (9 + 86400) * S) <= 7);
    rtc_free(rtc);
}

static void test_update_in_progress(void)
{
    struct rtc *rtc = fresh(0, 1 << 27);

    CU_ASSERT_FALSE(get(rtc, 10, S / 2) & 0x80);
    CU_ASSERT_TRUE(get(rtc, 10, S - 1000000) & 0x80);
    CU_ASSERT_FALSE(get(rtc, 10, S) & 0x80);
    rtc_free(rtc);
}

static void test_periodic_interrupt(void)
{
    struct rtc *rtc = fresh(0, 1 << 27);

    CU_ASSERT_EQUAL(rtc_deadline(rtc), RTC_NEVER);
    set(rtc, 11, 0x42, 0); /* PIE; 1024 Hz */
    CU_ASSERT_EQUAL(rtc_deadline(rtc), 976562);
    rtc_service(rtc, 976561);
    CU_ASSERT_FALSE(line);
    rtc_service(rtc, 976562);
    CU_ASSERT_TRUE(line);
    CU_ASSERT_EQUAL(rtc_deadline(rtc), RTC_NEVER);
    CU_ASSERT_EQUAL(get(rtc, 12, 976600), 0xc0);
    CU_ASSERT_FALSE(line);
    CU_ASSERT_EQUAL(get(rtc, 12, 976700), 0x00);
    CU_ASSERT_EQUAL(rtc_deadline(rtc), 2 * 976562);
    set(rtc, 10, 0x76, 2000000); /* the divider is held in reset */
    get(rtc, 12, 2000000);
    CU_ASSERT_EQUAL(rtc_deadline(rtc), RTC_NEVER);
    rtc_service(rtc, 5000000);
    CU_ASSERT_EQUAL(get(rtc, 12, 5000000), 0x00);
    set(rtc, 10, 0x26, 6000000); /* and begins anew */
    CU_ASSERT_EQUAL(rtc_deadline(rtc), 6000000 + 976562);
    rtc_free(rtc);
}

static void test_alarm_and_update(void)
{
    struct rtc *rtc = fresh(0, 1 << 27);

    set(rtc, 1, 0x03, 0);
    set(rtc, 3, 0xff, 0); /* any minute, any hour */
    set(rtc, 5, 0xc0, 0);
    set(rtc, 11, 0x22, 0);
    for (uint64_t s = 1; s <= 2; s++)
        rtc_service(rtc, s * S);
    CU_ASSERT_FALSE(line);
    rtc_service(rtc, 3 * S);
    CU_ASSERT_TRUE(line);
    CU_ASSERT_EQUAL(get(rtc, 12, 3 * S) & 0xb0, 0xb0); /* IRQ, alarm, update */
    set(rtc, 11, 0x12, 3 * S);
    CU_ASSERT_EQUAL(rtc_deadline(rtc), 4 * S);
    rtc_service(rtc, 10 * 86400 * S); /* very late: bounded work */
    CU_ASSERT_TRUE(line);
    CU_ASSERT_EQUAL(get(rtc, 12, 10 * 86400 * S) & 0x90, 0x90);
    rtc_reset(rtc, 10 * 86400 * S);
    CU_ASSERT_EQUAL(rtc_deadline(rtc), RTC_NEVER);
    rtc_free(rtc);
}

static void test_cmos(void)
{
    struct rtc *rtc = fresh(0, 128u << 20);

    CU_ASSERT_EQUAL(get(rtc, 0x15, 0) | get(rtc, 0x16, 0) << 8, 640);
    CU_ASSERT_EQUAL(get(rtc, 0x17, 0) | get(rtc, 0x18, 0) << 8, 0xfc00);
    CU_ASSERT_EQUAL(get(rtc, 0x34, 0) | get(rtc, 0x35, 0) << 8, (112 << 20) >> 16);
    CU_ASSERT_EQUAL(get(rtc, 13, 0), 0x80);
    set(rtc, 13, 0, 0);
    CU_ASSERT_EQUAL(get(rtc, 13, 0), 0x80); /* read-only */
    set(rtc, 0x0f, 0x5a, 0);
    CU_ASSERT_EQUAL(get(rtc, 0x0f, 0), 0x5a);
    rtc_free(rtc);
    rtc = fresh(0, 8u << 20);
    CU_ASSERT_EQUAL(get(rtc, 0x30, 0) | get(rtc, 0x31, 0) << 8, 7168);
    CU_ASSERT_EQUAL(get(rtc, 0x34, 0) | get(rtc, 0x35, 0) << 8, 0);
    rtc_free(rtc);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "dates", test_dates },
        { "formats", test_formats },
        { "setting", test_setting },
        { "weekday", test_weekday },
        { "update in progress", test_update_in_progress },
        { "periodic interrupt", test_periodic_interrupt },
        { "alarm and update", test_alarm_and_update },
        { "cmos", test_cmos },
        CU_TEST_INFO_NULL,
    };

    return unit_run("rtc", tests);
}
