/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A block whose instruction lies across two pages (translate/build.c): it runs only
 * where the second page is still the one that it was made from. A guard compares the low
 * half of the page's addend, the distance from a linear address to the host's, and of
 * one page in 2^20 that is 0, as of a page that is not there.
 */
#include "tests/unit/engine_fixture.h"
#include "tests/unit/unit.h"

enum { CACHE = 2 << 20, FRAMES = 0x40000, OTHER = FRAMES + PAGE_SIZE, FIRST = 0x50000, TABLES = 0x6000, TABLE_SPAN = 4 << 20, PAGE_FAULT = 14 };
enum { BEFORE = 3 /* bytes of the instruction on the first page */ };

/* Tables of pages of their own, one for each of the pages, but where engine_start_paged() has one. */
static void map(unsigned table, uint32_t linear, uint32_t entry)
{
    uint32_t place = TABLES + table * PAGE_SIZE;

    if (linear < TABLE_SPAN) {
        engine_map(linear, entry);
        return;
    }
    poke32(DIRECTORY + linear / TABLE_SPAN * 4, place | PTE_P | PTE_W);
    poke32(place + linear % TABLE_SPAN / PAGE_SIZE * 4, entry);
    view_flush_page(cpu, linear);
}

static void place(uint32_t second)
{
    static const uint8_t start[] = { 0xb8, 1, 0 }, rest[] = { 0, 0, 0xfa, 0xf4 }, other[] = { 1, 0, 0xfa, 0xf4 }; /* MOV EAX; CLI; HLT */

    poke(CODE, "\xe9", 1); /* JMP */
    poke32(CODE + 1, second - BEFORE - (CODE + 5));
    poke(FIRST + PAGE_SIZE - BEFORE, start, sizeof start);
    poke(FRAMES, rest, sizeof rest);
    poke(OTHER, other, sizeof other);
    map(second / TABLE_SPAN != (second - PAGE_SIZE) / TABLE_SPAN, second - PAGE_SIZE, FIRST | PTE_P);
    map(0, second, FRAMES | PTE_P);
}

/* By a jump: the run loop would look at the pages itself. The second time it is linked. */
static uint32_t run(void)
{
    cpu->eip = CODE;
    cpu->regs[CPU_EAX] = 0;
    cpu->halted = false;
    CU_ASSERT_EQUAL(x86vm_run(vm), X86VM_EXIT_DEAD);
    return cpu->regs[CPU_EAX];
}

static void runs_what_is_there(uint32_t second)
{
    place(second);
    CU_ASSERT_EQUAL(run(), 1);
    map(0, second, OTHER | PTE_P);
    CU_ASSERT_EQUAL(run(), 0x10001);
    map(0, second, FRAMES | PTE_P);
    CU_ASSERT_EQUAL(run(), 1);
    map(0, second, 0);
    CU_ASSERT_EQUAL(run(), 0);
    CU_ASSERT_EQUAL(engine_halted_in(), PAGE_FAULT);
    CU_ASSERT_EQUAL(cpu->cr2, second);
}

static void test_any_addend(void)
{
    engine_start_paged(CACHE);
    runs_what_is_there(0x60000);
    engine_end();
}

/* Which page has that one depends on where the host has put the guest's RAM. */
static void test_addend_of_none(void)
{
    engine_start_paged(CACHE);
    runs_what_is_there((uint32_t)(uintptr_t)phys_ram(phys) + FRAMES);
    engine_end();
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "an instruction runs with the second page that is there now", test_any_addend },
        { "and with one whose addend looks like that of none", test_addend_of_none },
        CU_TEST_INFO_NULL,
    };

    return unit_run("straddle", tests);
}
