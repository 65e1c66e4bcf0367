/* SPDX-License-Identifier: BSD-2-Clause
 * The 8259 pair as an operating system programs it, and its corner cases.
 */
#include "tests/unit/unit.h"
#include "x86vm/pc/i8259.h"

static bool intr;

static void on_output(void *opaque, bool level)
{
    (void)opaque;
    intr = level;
}

static void init_chip(struct i8259 *pic, unsigned chip, uint8_t vector, uint8_t icw4)
{
    i8259_write(pic, chip, 0, 0x11);
    i8259_write(pic, chip, 1, vector);
    i8259_write(pic, chip, 1, chip ? 2 : 4);
    i8259_write(pic, chip, 1, icw4);
}

static struct i8259 *fresh(uint8_t icw4)
{
    struct i8259 *pic;

    intr = false;
    pic = i8259_new(on_output, NULL);
    init_chip(pic, 0, 0x30, icw4);
    init_chip(pic, 1, 0x38, icw4);
    return pic;
}

static void eoi(struct i8259 *pic, unsigned irq)
{
    if (irq >= 8) {
        i8259_write(pic, 1, 0, 0x60 | (irq & 7));
        irq = 2;
    }
    i8259_write(pic, 0, 0, (uint8_t)(0x60 | irq));
}

static void test_edge(void)
{
    struct i8259 *pic = fresh(1);

    CU_ASSERT_FALSE(intr);
    i8259_set_irq(pic, 4, true);
    CU_ASSERT_TRUE(intr);
    CU_ASSERT_EQUAL(i8259_acknowledge(pic), 0x34);
    CU_ASSERT_FALSE(intr);
    eoi(pic, 4);
    CU_ASSERT_FALSE(intr); /* still high: no second edge */
    i8259_set_irq(pic, 4, false);
    i8259_set_irq(pic, 4, true);
    CU_ASSERT_TRUE(intr);
    i8259_free(pic);
}

static void test_level(void)
{
    struct i8259 *pic = fresh(1);

    i8259_write_elcr(pic, 1, 0xff);
    CU_ASSERT_EQUAL(i8259_read_elcr(pic, 1), 0xde); /* 8 and 13 stay edge-triggered */
    i8259_write_elcr(pic, 0, 0xff);
    CU_ASSERT_EQUAL(i8259_read_elcr(pic, 0), 0xf8);
    i8259_set_irq(pic, 11, true);
    CU_ASSERT_EQUAL(i8259_acknowledge(pic), 0x3b);
    CU_ASSERT_FALSE(intr);
    eoi(pic, 11);
    CU_ASSERT_TRUE(intr); /* still asserted */
    CU_ASSERT_EQUAL(i8259_acknowledge(pic), 0x3b);
    i8259_set_irq(pic, 11, false);
    eoi(pic, 11);
    CU_ASSERT_FALSE(intr);
    i8259_free(pic);
}

static void test_priority_and_mask(void)
{
    struct i8259 *pic = fresh(1);

    i8259_write(pic, 0, 1, 1 << 3);
    CU_ASSERT_EQUAL(i8259_read(pic, 0, 1), 1 << 3);
    i8259_set_irq(pic, 3, true);
    CU_ASSERT_FALSE(intr);
    i8259_set_irq(pic, 5, true);
    CU_ASSERT_EQUAL(i8259_acknowledge(pic), 0x35);
    i8259_write(pic, 0, 1, 0);
    CU_ASSERT_TRUE(intr); /* 3 outranks the 5 in service */
    CU_ASSERT_EQUAL(i8259_acknowledge(pic), 0x33);
    i8259_set_irq(pic, 4, true);
    CU_ASSERT_FALSE(intr); /* 4 does not outrank 3 */
    i8259_write(pic, 0, 0, 0x20); /* non-specific: ends 3, the best in service */
    CU_ASSERT_TRUE(intr);
    i8259_write(pic, 0, 0, 0x0b);
    CU_ASSERT_EQUAL(i8259_read(pic, 0, 0), 1 << 5);
    i8259_write(pic, 0, 0, 0x0a);
    CU_ASSERT_EQUAL(i8259_read(pic, 0, 0), 1 << 4);
    i8259_free(pic);
}

static void test_cascade(void)
{
    struct i8259 *pic = fresh(1);

    i8259_set_irq(pic, 8, true);
    i8259_set_irq(pic, 12, true);
    CU_ASSERT_EQUAL(i8259_acknowledge(pic), 0x38);
    CU_ASSERT_FALSE(intr);
    eoi(pic, 8);
    CU_ASSERT_TRUE(intr); /* the second request of the slave is an edge of its own */
    CU_ASSERT_EQUAL(i8259_acknowledge(pic), 0x3c);
    eoi(pic, 12);
    CU_ASSERT_FALSE(intr);
    i8259_set_irq(pic, 2, true); /* not an input */
    CU_ASSERT_FALSE(intr);
    i8259_set_irq(pic, 99, true);
    CU_ASSERT_FALSE(intr);
    i8259_free(pic);
}

static void test_spurious(void)
{
    struct i8259 *pic = fresh(1);

    i8259_set_irq(pic, 4, true);
    CU_ASSERT_TRUE(intr);
    i8259_set_irq(pic, 4, false);
    CU_ASSERT_FALSE(intr);
    CU_ASSERT_EQUAL(i8259_acknowledge(pic), 0x37);
    i8259_write(pic, 0, 0, 0x0b);
    CU_ASSERT_EQUAL(i8259_read(pic, 0, 0), 0); /* a spurious interrupt is not in service */
    i8259_free(pic);
}

static void test_auto_eoi_and_rotation(void)
{
    struct i8259 *pic = fresh(3);

    i8259_set_irq(pic, 1, true);
    CU_ASSERT_EQUAL(i8259_acknowledge(pic), 0x31);
    i8259_write(pic, 0, 0, 0x0b);
    CU_ASSERT_EQUAL(i8259_read(pic, 0, 0), 0);
    i8259_write(pic, 0, 0, 0xc0 | 3); /* 3 becomes the lowest: 4 the highest */
    i8259_set_irq(pic, 0, true);
    i8259_set_irq(pic, 6, true);
    CU_ASSERT_EQUAL(i8259_acknowledge(pic), 0x36);
    CU_ASSERT_EQUAL(i8259_acknowledge(pic), 0x30);
    i8259_free(pic);
}

static void test_special_mask_and_poll(void)
{
    struct i8259 *pic = fresh(1);

    i8259_set_irq(pic, 3, true);
    CU_ASSERT_EQUAL(i8259_acknowledge(pic), 0x33);
    i8259_set_irq(pic, 6, true);
    CU_ASSERT_FALSE(intr);
    i8259_write(pic, 0, 1, 1 << 3);
    i8259_write(pic, 0, 0, 0x68); /* special mask mode: masked service blocks nobody */
    CU_ASSERT_TRUE(intr);
    i8259_write(pic, 0, 0, 0x0c); /* poll */
    CU_ASSERT_EQUAL(i8259_read(pic, 0, 0), 0x86);
    CU_ASSERT_FALSE(intr);
    i8259_write(pic, 0, 0, 0x0c);
    CU_ASSERT_EQUAL(i8259_read(pic, 0, 0), 0x00);
    i8259_free(pic);
}

static void test_busy(void)
{
    struct i8259 *pic = fresh(1);

    CU_ASSERT_FALSE(i8259_is_busy(pic, 0));
    i8259_set_irq(pic, 0, true);
    CU_ASSERT_TRUE(i8259_is_busy(pic, 0));
    i8259_acknowledge(pic);
    CU_ASSERT_TRUE(i8259_is_busy(pic, 0));
    eoi(pic, 0);
    CU_ASSERT_FALSE(i8259_is_busy(pic, 0));
    i8259_free(pic);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "edge", test_edge },
        { "level", test_level },
        { "priority and mask", test_priority_and_mask },
        { "cascade", test_cascade },
        { "spurious", test_spurious },
        { "auto eoi and rotation", test_auto_eoi_and_rotation },
        { "special mask and poll", test_special_mask_and_poll },
        { "busy", test_busy },
        CU_TEST_INFO_NULL,
    };

    return unit_run("i8259", tests);
}
