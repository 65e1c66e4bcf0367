/* SPDX-License-Identifier: BSD-2-Clause
 * The keyboard controller as Linux probes it; A20 and reset.
 */
#include "tests/unit/unit.h"
#include "x86vm/pc/i8042.h"

static bool line, a20;
static unsigned resets, edges;

static void on_irq(void *opaque, unsigned number, bool level)
{
    (void)opaque;
    (void)number;
    edges += level && !line;
    line = level;
}

static void on_a20(void *opaque, bool enabled)
{
    (void)opaque;
    a20 = enabled;
}

static void on_reset(void *opaque)
{
    (void)opaque;
    resets++;
}

static struct i8042 *fresh(void)
{
    const struct irq_line irq = { on_irq, NULL, 1 };
    const struct i8042_host host = { NULL, on_a20, on_reset };

    line = a20 = false;
    resets = edges = 0;
    return i8042_new(&irq, &host);
}

static int answer(struct i8042 *kbc)
{
    return i8042_read(kbc, 1) & 1 ? i8042_read(kbc, 0) : -1;
}

static int ask(struct i8042 *kbc, uint8_t command)
{
    i8042_write(kbc, 1, command);
    return answer(kbc);
}

static void test_self_test(void)
{
    struct i8042 *kbc = fresh();

    CU_ASSERT_EQUAL(answer(kbc), -1);
    CU_ASSERT_EQUAL(ask(kbc, 0xaa), 0x55);
    CU_ASSERT_EQUAL(ask(kbc, 0xab), 0x00);
    CU_ASSERT_EQUAL(answer(kbc), -1);
    CU_ASSERT_EQUAL(i8042_read(kbc, 1) & 0x02, 0); /* never "input full" */
    i8042_write(kbc, 1, 0x60);
    i8042_write(kbc, 0, 0x65);
    CU_ASSERT_EQUAL(ask(kbc, 0x20), 0x65);
    i8042_free(kbc);
}

static void test_no_auxiliary(void)
{
    struct i8042 *kbc = fresh();

    i8042_write(kbc, 1, 0xd3);
    i8042_write(kbc, 0, 0x5a);
    CU_ASSERT_EQUAL(i8042_read(kbc, 1) & 0x21, 0x01); /* answer, but not from the port */
    CU_ASSERT_NOT_EQUAL(answer(kbc), 0x5a);
    CU_ASSERT_EQUAL(ask(kbc, 0xa9), 0x01);
    i8042_free(kbc);
}

static void test_keyboard(void)
{
    struct i8042 *kbc = fresh();

    i8042_write(kbc, 1, 0x60);
    i8042_write(kbc, 0, 0x45); /* interrupts on */
    i8042_write(kbc, 0, 0xff);
    CU_ASSERT_EQUAL(edges, 1);
    CU_ASSERT_EQUAL(answer(kbc), 0xfa);
    CU_ASSERT_EQUAL(edges, 2); /* one interrupt a byte */
    CU_ASSERT_EQUAL(answer(kbc), 0xaa);
    CU_ASSERT_FALSE(line);
    i8042_write(kbc, 0, 0xf2);
    CU_ASSERT_EQUAL(answer(kbc), 0xfa);
    CU_ASSERT_EQUAL(answer(kbc), 0xab);
    CU_ASSERT_EQUAL(answer(kbc), 0x83);
    i8042_write(kbc, 0, 0xed);
    CU_ASSERT_EQUAL(answer(kbc), 0xfa);
    i8042_write(kbc, 0, 0x02);
    CU_ASSERT_EQUAL(answer(kbc), 0xfa);
    i8042_write(kbc, 0, 0xf0);
    CU_ASSERT_EQUAL(answer(kbc), 0xfa);
    i8042_write(kbc, 0, 0x00);
    CU_ASSERT_EQUAL(answer(kbc), 0xfa);
    CU_ASSERT_EQUAL(answer(kbc), 0x02);
    i8042_write(kbc, 0, 0x77); /* unknown */
    CU_ASSERT_EQUAL(answer(kbc), 0xfe);
    i8042_free(kbc);
}

static void test_keys_are_bounded(void)
{
    struct i8042 *kbc = fresh();
    unsigned taken = 0, got = 0;

    i8042_write(kbc, 1, 0xad); /* keyboard off: keys wait */
    while (taken < 100 && i8042_key(kbc, (uint8_t)taken))
        taken++;
    CU_ASSERT_EQUAL(taken, 16);
    CU_ASSERT_EQUAL(answer(kbc), -1);
    i8042_write(kbc, 1, 0xae);
    while (got < 100 && answer(kbc) == (int)got)
        got++;
    CU_ASSERT_EQUAL(got, 16);
    i8042_free(kbc);
}

static void test_a20_and_reset(void)
{
    struct i8042 *kbc = fresh();

    CU_ASSERT_TRUE(a20);
    i8042_write(kbc, 1, 0xd1);
    i8042_write(kbc, 0, 0x01);
    CU_ASSERT_FALSE(a20);
    CU_ASSERT_EQUAL(i8042_read_port92(kbc), 0);
    i8042_write_port92(kbc, 2);
    CU_ASSERT_TRUE(a20);
    CU_ASSERT_EQUAL(resets, 0);
    i8042_write(kbc, 1, 0xfe);
    CU_ASSERT_EQUAL(resets, 1);
    i8042_write(kbc, 1, 0xff); /* pulses nothing */
    CU_ASSERT_EQUAL(resets, 1);
    i8042_write_port92(kbc, 3);
    CU_ASSERT_EQUAL(resets, 2);
    i8042_write(kbc, 1, 0xd1);
    i8042_write(kbc, 0, 0x02);
    CU_ASSERT_EQUAL(resets, 3);
    i8042_free(kbc);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "self test", test_self_test },
        { "no auxiliary", test_no_auxiliary },
        { "keyboard", test_keyboard },
        { "keys are bounded", test_keys_are_bounded },
        { "a20 and reset", test_a20_and_reset },
        CU_TEST_INFO_NULL,
    };

    return unit_run("i8042", tests);
}
