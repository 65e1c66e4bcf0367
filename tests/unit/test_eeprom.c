/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The 93C46, bit by bit as a driver clocks it.
 */
#include "nicemu/eeprom93c46.h"
#include "tests/unit/unit.h"

#include <string.h>

static struct eeprom93c46 eeprom;

static void fresh(void)
{
    memset(&eeprom, 0, sizeof eeprom);
    for (unsigned i = 0; i < EEPROM93C46_WORDS; i++)
        eeprom.words[i] = (uint16_t)(0x1000 + i);
    eeprom93c46_reset(&eeprom);
}

static void select_chip(void)
{
    eeprom93c46_set_pins(&eeprom, false, false, false);
    eeprom93c46_set_pins(&eeprom, true, false, false);
}

static void shift_out(unsigned bits, unsigned count)
{
    while (count--) {
        bool di = bits >> count & 1;
        eeprom93c46_set_pins(&eeprom, true, false, di);
        eeprom93c46_set_pins(&eeprom, true, true, di);
        eeprom93c46_set_pins(&eeprom, true, false, di);
    }
}

static uint16_t shift_in(void)
{
    uint16_t value = 0;
    for (int i = 0; i < 16; i++) {
        eeprom93c46_set_pins(&eeprom, true, true, false);
        value = (uint16_t)(value << 1 | eeprom93c46_out(&eeprom));
        eeprom93c46_set_pins(&eeprom, true, false, false);
    }
    return value;
}

static uint16_t read_word(unsigned address)
{
    select_chip();
    shift_out(6, 3);
    shift_out(address, 6);
    return shift_in();
}

static void write_word(unsigned address, uint16_t value)
{
    select_chip();
    shift_out(5, 3);
    shift_out(address, 6);
    shift_out(value, 16);
    select_chip();
}

static void control(unsigned which)
{
    select_chip();
    shift_out(4, 3);
    shift_out(which << 4, 6);
}

static void read_all(void)
{
    fresh();
    for (unsigned i = 0; i < EEPROM93C46_WORDS; i++)
        CU_ASSERT_EQUAL(read_word(i), 0x1000 + i);
}

static void read_goes_on(void)
{
    fresh();
    CU_ASSERT_EQUAL(read_word(62), 0x103e);
    CU_ASSERT_EQUAL(shift_in(), 0x103f);
    CU_ASSERT_EQUAL(shift_in(), 0x1000);
}

static void dummy_bit(void)
{
    fresh();
    select_chip();
    CU_ASSERT_TRUE(eeprom93c46_out(&eeprom));
    shift_out(6, 3);
    shift_out(5, 6);
    CU_ASSERT_FALSE(eeprom93c46_out(&eeprom));
}

static void leading_zeros_are_skipped(void)
{
    fresh();
    select_chip();
    shift_out(0, 7);
    shift_out(6, 3);
    shift_out(9, 6);
    CU_ASSERT_EQUAL(shift_in(), 0x1009);
}

static void write_needs_enable(void)
{
    fresh();
    write_word(3, 0xbeef);
    CU_ASSERT_EQUAL(read_word(3), 0x1003);
    control(3);
    write_word(3, 0xbeef);
    CU_ASSERT_EQUAL(read_word(3), 0xbeef);
    CU_ASSERT_EQUAL(read_word(4), 0x1004);
    control(0);
    write_word(3, 0x1234);
    CU_ASSERT_EQUAL(read_word(3), 0xbeef);
}

static void erase_and_all(void)
{
    fresh();
    control(3);
    select_chip();
    shift_out(7, 3);
    shift_out(10, 6);
    CU_ASSERT_EQUAL(read_word(10), 0xffff);
    select_chip();
    shift_out(4, 3);
    shift_out(0x10, 6);
    shift_out(0x5a5a, 16);
    CU_ASSERT_EQUAL(read_word(0), 0x5a5a);
    CU_ASSERT_EQUAL(read_word(63), 0x5a5a);
    control(2);
    CU_ASSERT_EQUAL(read_word(63), 0xffff);
}

static void deselect_abandons(void)
{
    fresh();
    control(3);
    select_chip();
    shift_out(5, 3);
    shift_out(7, 6);
    shift_out(0xff, 8); /* half of a word */
    CU_ASSERT_EQUAL(read_word(7), 0x1007);
    /* no select, no command */
    eeprom93c46_set_pins(&eeprom, false, true, true);
    CU_ASSERT_TRUE(eeprom93c46_out(&eeprom));
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "read every word", read_all },
        { "sequential read wraps", read_goes_on },
        { "dummy bit", dummy_bit },
        { "zeros before the start bit", leading_zeros_are_skipped },
        { "write enable and disable", write_needs_enable },
        { "erase, write all, erase all", erase_and_all },
        { "deselecting abandons a command", deselect_abandons },
        CU_TEST_INFO_NULL,
    };

    return unit_run("eeprom93c46", tests);
}
