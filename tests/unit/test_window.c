/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The window: what comes into it and when, that the tables of bytes never say
 * more than what is mapped and allowed, and that everything which takes an
 * entry away takes the window's byte with it.
 */
#include "tests/unit/unit.h"
#include "tests/unit/view_fixture.h"

/* In ring 3. */
static void setup(void)
{
    view_fixture_start();
    cpu->cr4 = CR4_PSE | CR4_PGE;
    cpu->cpl = 3;
    view_select(cpu);
}

static void become(bool user)
{
    cpu->cpl = user ? 3 : 0;
    view_select(cpu);
}

static uint8_t byte_of(uint32_t table, uint32_t linear) { return ((const uint8_t *)cpu->tables)[table + (linear >> 12)]; }

/* Fills both entries and has the page mapped. */
static void bring(uint32_t linear)
{
    fill(linear, VIEW_FOR_READ);
    fill(linear, VIEW_FOR_WRITE);
    CU_ASSERT_TRUE(view_heated(cpu, linear));
    view_settle(cpu);
}

#define CHECK_BYTES(linear, read_in, write_in, read_pair, write_pair) do { \
    CU_ASSERT_EQUAL(byte_of(VIEW_READ_IN, linear), (read_in) ? VIEW_DIRECT : 0); \
    CU_ASSERT_EQUAL(byte_of(VIEW_WRITE_IN, linear), (write_in) ? VIEW_DIRECT : 0); \
    CU_ASSERT_EQUAL(byte_of(VIEW_READ_PAIR, linear), (read_pair) ? VIEW_DIRECT : 0); \
    CU_ASSERT_EQUAL(byte_of(VIEW_WRITE_PAIR, linear), (write_pair) ? VIEW_DIRECT : 0); \
} while (0)

static void test_shows_memory(void)
{
    set_pte(0x401000, 0x9000 | P | W | U);
    fill(0x401000, VIEW_FOR_WRITE);
    CHECK_BYTES(0x401000, 0, 0, 0, 0); /* an entry alone is an addend */
    bring(0x401000);
    CHECK_BYTES(0x401000, 1, 1, 1, 1); /* nothing below: the host would fault */
    cpu->window[0x401234] = 0x5a;
    CU_ASSERT_EQUAL(phys_ram(cpu->phys)[0x9234], 0x5a);
    /* Two linear pages for one physical page. */
    set_pte(0x403000, 0x9000 | P | W | U);
    bring(0x403000);
    CU_ASSERT_EQUAL(cpu->window[0x403234], 0x5a);
    become(false);
    CHECK_BYTES(0x401000, 0, 0, 0, 0); /* the other view has no entry ... */
    fill(0x401000, VIEW_FOR_WRITE);
    CHECK_BYTES(0x401000, 1, 1, 1, 1); /* ... and needs no mapping */
}

static void test_rights(void)
{
    set_pte(0x401000, 0x9000 | P | U);
    fill(0x401000, VIEW_FOR_READ);
    CU_ASSERT_TRUE(view_heated(cpu, 0x401000));
    view_settle(cpu);
    CHECK_BYTES(0x401000, 1, 0, 1, 0);
    /* An operand that is written and begins in a page that may only be read. */
    set_pte(0x402000, 0xa000 | P | W | U);
    bring(0x402000);
    CHECK_BYTES(0x402000, 1, 1, 1, 0);
    /* A clean page: the first write must set its dirty bit. */
    set_pte(0x405000, 0xb000 | P | W | U);
    fill(0x405000, VIEW_FOR_READ);
    view_heated(cpu, 0x405000);
    view_settle(cpu);
    CHECK_BYTES(0x405000, 1, 0, 1, 0);
    fill(0x405000, VIEW_FOR_WRITE);
    CHECK_BYTES(0x405000, 1, 1, 1, 1);
}

static void test_flushes(void)
{
    set_pte(0x401000, 0x9000 | P | W | U);
    set_pte(0x402000, 0xb000 | P | W | U);
    bring(0x401000);
    bring(0x402000);
    CHECK_BYTES(0x402000, 1, 1, 1, 1);
    view_flush_page(cpu, 0x401000);
    CHECK_BYTES(0x401000, 0, 0, 0, 0);
    CHECK_BYTES(0x402000, 1, 1, 0, 0); /* what begins in 0x401000 must not pass */
    fill(0x401000, VIEW_FOR_WRITE);
    CHECK_BYTES(0x402000, 1, 1, 1, 1); /* the same page again: back at once */
    view_flush_nonglobal(cpu);
    CHECK_BYTES(0x401000, 0, 0, 0, 0);
    CHECK_BYTES(0x402000, 0, 0, 0, 0);
    /* Another physical page: an addend until it is used much. */
    set_pte(0x402000, 0xc000 | P | W | U);
    fill(0x402000, VIEW_FOR_WRITE);
    CHECK_BYTES(0x402000, 0, 0, 0, 0);
    bring(0x402000);
    /* 0x401000 is mapped still, but nobody's: it had to go. */
    CHECK_BYTES(0x402000, 1, 1, 1, 1);
    cpu->window[0x402000] = 0x77;
    CU_ASSERT_EQUAL(phys_ram(cpu->phys)[0xc000], 0x77);
    fill(0x401000, VIEW_FOR_WRITE);
    CHECK_BYTES(0x401000, 0, 0, 0, 0);
}

/* A view that keeps an old entry, as a TLB may, must not see a newer mapping through it. */
static void test_stale_entry(void)
{
    set_pte(0x401000, 0x9000 | P | W | U);
    bring(0x401000);
    set_pte(0x401000, 0xa000 | P | W | U); /* and no INVLPG */
    become(false);
    bring(0x401000);
    CHECK_BYTES(0x401000, 1, 1, 1, 1);
    become(true);
    CHECK_BYTES(0x401000, 0, 0, 0, 0);
}

static void test_code_page(void)
{
    set_pte(0x401000, 0x9000 | P | W | U);
    set_pte(0x402000, 0xb000 | P | W | U);
    bring(0x401000);
    bring(0x402000);
    phys_mark(cpu->phys, 9, PHYS_CODE);
    view_protect_page(cpu, 9);
    CHECK_BYTES(0x401000, 1, 0, 1, 0);
    CHECK_BYTES(0x402000, 1, 1, 1, 0);
    fill(0x401000, VIEW_FOR_READ);
    CHECK_BYTES(0x401000, 1, 0, 1, 0);
}

/* What the guest maps to neighbouring pages comes with one page of it. */
static void test_run(void)
{
    struct view_counters before, after;

    poke32(DIRECTORY + 0xc00, 0 | P | W | G | PS); /* 0xc0000000: a kernel's direct map */
    become(false);
    view_get_counters(cpu, &before);
    bring(0xc0123000);
    view_get_counters(cpu, &after);
    CU_ASSERT_EQUAL(after.window_mappings - before.window_mappings, 1);
    CU_ASSERT_EQUAL(after.window_pages - before.window_pages, 1024);
    fill(0xc0345000, VIEW_FOR_WRITE);
    CHECK_BYTES(0xc0345000, 1, 1, 0, 0);
    fill(0xc0344000, VIEW_FOR_WRITE);
    CHECK_BYTES(0xc0345000, 1, 1, 1, 1);
    cpu->window[0xc0345678] = 0x42;
    CU_ASSERT_EQUAL(phys_ram(cpu->phys)[0x345678], 0x42);
}

/* A displacement may have wrapped around 4 GiB there. */
static void test_margins(void)
{
    cpu->cr0 &= ~CR0_PG;
    view_flush_all(cpu);
    become(false);
    fill(0x3000, VIEW_FOR_WRITE);
    CU_ASSERT_FALSE(view_heated(cpu, 0x3000));
    bring(0x4000);
    CHECK_BYTES(0x3000, 0, 0, 0, 0);
    CHECK_BYTES(0x4000, 1, 1, 1, 1);
    CU_ASSERT_FALSE(view_heated(cpu, 0xfffff000));
}

/* The host's limit of mappings is not reached, whatever the guest does. */
static void test_budget(void)
{
    struct view_counters counters;

    for (uint32_t i = 0; i < 30000; i++) {
        uint32_t linear = 0x401000 + i % 64 * 0x2000, physical = 0x100000 + (i * 7919u) % 4096 * 0x1000;
        set_pte(linear, physical | P | W | U);
        view_flush_page(cpu, linear);
        fill(linear, VIEW_FOR_WRITE);
        if (!view_heated(cpu, linear)) {
            CU_FAIL("the window refuses");
            return;
        }
        view_settle(cpu);
        if (byte_of(VIEW_WRITE_IN, linear) != VIEW_DIRECT || cpu->window[linear] != phys_ram(cpu->phys)[physical]) {
            CU_FAIL("not in the window");
            return;
        }
        cpu->window[linear]++;
    }
    view_get_counters(cpu, &counters);
    CU_ASSERT(counters.window_clears > 0);
}

static uint64_t window_clears(void)
{
    struct view_counters counters;
    view_get_counters(cpu, &counters);
    return counters.window_clears;
}

/* Pages that may be used through the window, all of which show what they should. */
static uint32_t usable(uint32_t pages)
{
    uint32_t count = 0, wrong = 0;

    for (uint32_t i = 0; i < pages; i++) {
        uint32_t linear = 0x400000 + i * 0x1000, physical;
        if (byte_of(VIEW_READ_IN, linear) != VIEW_DIRECT)
            continue;
        count++;
        wrong += !view_probe(cpu, linear, VIEW_FOR_READ, true, &physical) || cpu->window[linear + 5] != phys_ram(cpu->phys)[physical + 5];
    }
    CU_ASSERT_EQUAL(wrong, 0);
    return count;
}

/* When no more mappings may be made, a part of the window is given up, not all: that
 * would take the host so long that interrupts come late. */
static void test_part(void)
{
    enum { PAGES = 20000, MOST = 512 + 2 * 1024 };

    for (uint32_t i = 0; i < 1024; i++)
        set_pte(i << 12, (3 + i * 769 % 8000) << 12 | P | U);
    for (uint32_t i = 1; i <= PAGES / 1024 + 1; i++)
        poke32(DIRECTORY + i * 4, TABLE | P | W | U);
    for (uint32_t i = 3; i < 8192; i++)
        phys_ram(cpu->phys)[i << 12 | 5] = (uint8_t)(i * 37 >> 3);
    for (uint32_t i = 0; i < PAGES; i++) {
        fill(0x400000 + i * 0x1000, VIEW_FOR_READ);
        CU_ASSERT_TRUE_FATAL(view_heated(cpu, 0x400000 + i * 0x1000));
        view_settle(cpu);
    }
    CU_ASSERT(window_clears() > 3 && PAGES - usable(PAGES) <= window_clears() * MOST);
    CU_ASSERT(usable(PAGES) > 14000);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "shows memory", test_shows_memory },
        { "rights", test_rights },
        { "flushes", test_flushes },
        { "stale entries", test_stale_entry },
        { "code pages", test_code_page },
        { "runs", test_run },
        { "margins", test_margins },
        { "budget", test_budget },
        { "a part is given up", test_part },
        CU_TEST_INFO_NULL,
    };

    return unit_run_each("window", tests, setup, view_fixture_stop);
}
