/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Bare windows: what they show follows the entries of the view, whatever takes an
 * entry away. test_bare_spaces.c has what a load of CR3 does to them.
 */
#include "tests/unit/bare_fixture.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static void test_rights(void)
{
    set_pte(0x401000, 0x90000 | P | W | U);
    CU_ASSERT_EQUAL(touch(0x401000, false), VIEW_BARE_SHOWN);
    CU_ASSERT_EQUAL(peek32(pte_at(0, 0x401000)), 0x90000 | P | W | U | A);
    CHECK_SHOWS(0x401000, 1); /* a write must set the dirty bit first */
    CU_ASSERT_EQUAL(touch(0x401000, true), VIEW_BARE_SHOWN);
    CU_ASSERT_EQUAL(peek32(pte_at(0, 0x401000)), 0x90000 | P | W | U | A | D);
    CHECK_SHOWS(0x401000, 3);
    set_pte(0x403000, 0x91000 | P | U | D);
    CU_ASSERT_EQUAL(touch(0x403000, false), VIEW_BARE_SHOWN);
    CU_ASSERT_EQUAL(touch(0x403000, true), VIEW_BARE_REFUSED); /* the guest's own fault */
    CU_ASSERT_EQUAL(refused_by, P | W | U);
    CHECK_SHOWS(0x403000, 1);
    set_pte(0x405000, 0x92000 | P | W); /* the supervisor's */
    CU_ASSERT_EQUAL(touch(0x405000, false), VIEW_BARE_REFUSED);
    CU_ASSERT_EQUAL(refused_by, P | U);
    set_pte(0x407000, 0x93000 | P | W | U | G);
    CU_ASSERT_EQUAL(touch(0x407000, false), VIEW_BARE_SELDOM); /* would outlive its address space */
    set_pte(0x409000, 0xfe000000 | P | W | U);
    CU_ASSERT_EQUAL(touch(0x409000, false), VIEW_BARE_NEVER);
    CU_ASSERT_EQUAL(touch(0x40b000, false), VIEW_BARE_REFUSED);
    CU_ASSERT_EQUAL(refused_by, U);
    CU_ASSERT_EQUAL(view_bare_fault(cpu, (uint64_t)(uintptr_t)cpu->bare - 1, false, &refused_by), VIEW_BARE_NOT_THERE);
    CU_ASSERT_EQUAL(view_bare_fault(cpu, (uint64_t)(uintptr_t)cpu->bare + (1ull << 32), false, &refused_by), VIEW_BARE_NEVER);
    become(false);
    CU_ASSERT_EQUAL(touch(0x405000, true), VIEW_BARE_SHOWN);
    CHECK_SHOWS(0x405000, 3);
}

static void test_drops(void)
{
    set_pte(0x401000, 0x90000 | P | W | U | D);
    set_pte(0x403000, 0x91000 | P | W | U | D);
    touch(0x401000, true), touch(0x403000, true);
    view_flush_page(cpu, 0x401fff);
    CHECK_SHOWS(0x401000, 0);
    CHECK_SHOWS(0x403000, 3);
    view_protect_page(cpu, 0x91);
    CHECK_SHOWS(0x403000, 1);
    phys_mark(cpu->phys, 0x91, PHYS_CODE);
    CU_ASSERT_EQUAL(touch(0x403000, true), VIEW_BARE_SELDOM);
    CHECK_SHOWS(0x403000, 1);
    /* Filled anew without INVLPG: C's write finds no entry for writes, and walks. */
    set_pte(0x403000, 0x95000 | P | W | U | D);
    view_write(cpu, 0x403000, "x", 1, true);
    CHECK_SHOWS(0x403000, 0);
    CU_ASSERT_EQUAL(touch(0x403000, true), VIEW_BARE_SHOWN);
    CHECK_SHOWS(0x403000, 3);
    cpu->dr[0] = 0x403008, cpu->dr[7] = 1 | 0xd << 16; /* four bytes, writes */
    watch_update(cpu);
    view_bare_review(cpu);
    CHECK_SHOWS(0x403000, 0);
    CU_ASSERT_EQUAL(touch(0x403000, true), VIEW_BARE_NEVER);
    cpu->dr[7] = 0;
    watch_update(cpu);
    CU_ASSERT_FALSE(view_bare_used(cpu));
    view_bare_review(cpu);
    CU_ASSERT_EQUAL(touch(0x403000, true), VIEW_BARE_SHOWN);
    view_flush_all(cpu);
    for (unsigned i = 0; i < BARE_WINDOWS; i++)
        CU_ASSERT_TRUE(cpu->views->bare[i].shows[0x403] == 0 || (i && cpu->views->bare[i].stale));
}

/* Where an access that was refused began, which its page fault tells. */
static void test_began_at(void)
{
    set_pte(0x401000, 0x90000 | P | U | A | D);
    CU_ASSERT_EQUAL(touch(0x401000, false), VIEW_BARE_SHOWN);
    CU_ASSERT_TRUE(view_bare_began_at(cpu, 0x402000, false));
    CU_ASSERT_FALSE(view_bare_began_at(cpu, 0x402000, true));  /* perhaps on the page below, which is refused as well */
    CU_ASSERT_TRUE(view_bare_began_at(cpu, 0x402001, true));
    CU_ASSERT_FALSE(view_bare_began_at(cpu, 0x404000, false));
    CU_ASSERT_TRUE(view_bare_began_at(cpu, 0x404fff, false));
    CU_ASSERT_FALSE(view_bare_began_at(cpu, 0xfffffffe, false)); /* perhaps past the segment's end */
    cpu->seg_base[CPU_GS] = 0x20000000;
    CU_ASSERT_FALSE(view_bare_began_at(cpu, 0x1ffffffe, false));
    CU_ASSERT_TRUE(view_bare_began_at(cpu, 0x20000001, false));
}

/* A page of number 0 is one like any other. */
static void test_first_page(void)
{
    become(false);
    set_pte(0x401000, 0 | P | D);
    CU_ASSERT_EQUAL(touch(0x401000, false), VIEW_BARE_SHOWN);
    CHECK_SHOWS(0x401000, 1);
    set_pte(0x401000, 0);
    view_flush_all(cpu);
    view_bare_review(cpu);
    CHECK_SHOWS(0x401000, 0);
}

static void test_supervisor(void)
{
    become(false);
    poke32(directory(0) + 0xc00, 0x00800000 | P | W | G | PS | D); /* 0xc0000000: a kernel's direct map */
    CU_ASSERT_EQUAL(touch(0xc0123000, true), VIEW_BARE_SHOWN);
    CU_ASSERT_EQUAL(shows(0xc03ff000), 3); /* the large page as a whole */
    CU_ASSERT_EQUAL(host_rights(cpu->bare + 0xc03ff000u), 3);
    load_cr3(0);
    CU_ASSERT_EQUAL(shows(0xc0123000), 3);
    unsigned mappings = host_mappings(&cpu->views->bare[0]);
    view_flush_page(cpu, 0xc0200000); /* INVLPG: the large page as a whole, by one call to the host */
    for (uint32_t linear = 0xc0000000; linear < 0xc0400000; linear += 0x1000)
        CU_ASSERT(shows(linear) == 0 && host_rights(cpu->bare + linear) == 0);
    CU_ASSERT(host_mappings(&cpu->views->bare[0]) < mappings); /* what is left is one hole */
    CU_ASSERT_EQUAL(touch(0xc0123000, true), VIEW_BARE_SHOWN);
    become(true);
    CU_ASSERT_NOT_EQUAL(touch(0xc0123000, false), VIEW_BARE_SHOWN);
}

static void set_paging(bool on)
{
    cpu->cr0 = on ? cpu->cr0 | CR0_PG : cpu->cr0 & ~(uint32_t)CR0_PG;
    view_flush_all(cpu); /* as control.c does */
    view_select(cpu);
    view_bare_review(cpu);
}

static void test_unpaged(void)
{
    set_paging(false);
    CU_ASSERT_FALSE(view_bare_used(cpu)); /* a user's are by address spaces */
    become(false);
    phys_set_hole(cpu->phys, 0xa0000, 0x20000, true);
    phys_set_readonly(cpu->phys, 0xf0000, 0x10000, true);
    CU_ASSERT_EQUAL(touch(0x123000, true), VIEW_BARE_SHOWN);
    CU_ASSERT_EQUAL(shows(0x100000), 3); /* all of RAM around, as far as it is the same */
    CU_ASSERT_EQUAL(shows(0x3ff000), 3);
    CU_ASSERT_EQUAL(touch(0xf0000, true), VIEW_BARE_SELDOM);
    CU_ASSERT_EQUAL(touch(0xf0000, false), VIEW_BARE_SHOWN);
    CU_ASSERT_EQUAL(shows(0xff000), 1);
    CU_ASSERT_EQUAL(touch(0xa0000, false), VIEW_BARE_NEVER);
    CHECK_SHOWS(0xa0000, 0);
    CU_ASSERT_EQUAL(bare_physical_page(cpu->views->view[VIEW_SUPERVISOR].bare, 0x234), 0x234);
    load_cr3(1); /* means nothing here */
    CU_ASSERT_EQUAL(shows(0x123000), 3);
    phys_set_a20(cpu->phys, false);
    view_flush_all(cpu);
    view_bare_review(cpu);
    CU_ASSERT_EQUAL(touch(0x123000, true), VIEW_BARE_SHOWN);
    CU_ASSERT_EQUAL(bare_physical_page(cpu->views->view[VIEW_SUPERVISOR].bare, 0x123), 0x23);
    phys_set_a20(cpu->phys, true);
    set_paging(true);
    CHECK_SHOWS(0x123000, 0);
}

/* Who turns paging off and on all the time does without the window. */
static void test_unpaged_begins(void)
{
    uint64_t now;

    cpu->views->bare_eager = false;
    become(false);
    set_paging(false);
    now = cpu->views->loaded_at;
    CU_ASSERT_FALSE(view_bare_used(cpu));
    CU_ASSERT_FALSE(view_bare_due(cpu, now));
    CU_ASSERT_TRUE(view_bare_due(cpu, now + 2000000)); /* 2 ms */
    cpu->views->view[VIEW_SUPERVISOR].bare_credit = 0;
    CU_ASSERT_FALSE(view_bare_due(cpu, now + 2000000));
    cpu->views->view[VIEW_SUPERVISOR].bare_credit = 1000;
    become(true);
    CU_ASSERT_FALSE(view_bare_due(cpu, now + 2000000));
    become(false);
    cpu->views->loaded_at -= 2000000;
    view_bare_review(cpu);
    CU_ASSERT_TRUE(view_bare_used(cpu));
    CU_ASSERT_FALSE(view_bare_due(cpu, now + 2000000));
    set_paging(true);
    CU_ASSERT_TRUE(view_bare_used(cpu)); /* at once: CR4.PGE */
    cpu->cr4 &= ~(uint32_t)CR4_PGE;
    set_paging(true);
    CU_ASSERT_FALSE(view_bare_used(cpu));
}

/* The pages about one that is shown come with it, and the entries of a view are as many as there may be. */
static void test_crowded(void)
{
    const uint32_t area = 1u << 22, high = 0xc0000000, page = high + 0x155000, at = directory(0) + (high >> 22) * 4;
    uint32_t physical;

    become(false);
    for (uint32_t left = 0; left < 1200; left += 100) { /* when it is full: before, with or behind the page that is wanted */
        poke32(at, 0x00800000 | P | W | G | PS | D);
        for (uint32_t i = 0; i < VIEW_LOGGED_MOST / 1024; i++)
            poke32(directory(0) + 16 + i * 4, 0x00800000 | P | W | G | PS | D);
        view_flush_all(cpu);
        view_bare_review(cpu);
        for (uint32_t i = 0; i < VIEW_LOGGED_MOST - left; i++)
            view_fill(cpu, 4 * area + i * PAGE_SIZE, VIEW_FOR_READ, &physical);
        for (unsigned tries = 0; tries < 2 && !shows(page); tries++)
            touch(page, true);
        CU_ASSERT_EQUAL(shows(page), 3);
        CU_ASSERT_EQUAL(peek32(at) & (A | D), A | D);
        CU_ASSERT_EQUAL(bare_physical_page(cpu->views->view[VIEW_SUPERVISOR].bare, page >> PAGE_SHIFT), (0x00800000 + 0x155000) >> PAGE_SHIFT);
    }
    become(true);
}

/* A program that maps pages and lets them go again, for however long, is not refused. */
static void test_pages_come_and_go(void)
{
    unsigned refused = 0;

    for (unsigned i = 0; i < 60000; i++) {
        uint32_t linear = FIRST + i % PAGES * 0x1000;
        set_pte(linear, (0x100000 + i * 7919u % 4096 * 0x1000) | P | (i % 3 ? W : 0) | U | D);
        view_flush_page(cpu, linear);
        view_bare_review(cpu);
        refused += touch(linear, i % 3) != VIEW_BARE_SHOWN;
        if (i % 5 == 4)
            view_bare_dropped(view_of(cpu->views, true), (FIRST >> 12) + i % 7);
        if (i % 4001 == 0)
            CU_ASSERT_TRUE(counted_right(cpu->views->view[VIEW_USER].bare));
    }
    CU_ASSERT_EQUAL(refused, 0);
    CU_ASSERT_TRUE(all_is_right());
}

/* One that has more scattered pages than the host should map has its windows back. */
static void test_many_mappings(void)
{
    enum { TABLES = 0x100000, MANY = 8192, FRAMES = 4096 };
    unsigned refused = 0;

    for (unsigned i = 0; i < 2 * MANY / 1024; i++)
        poke32(directory(0) + 8 + 4 * i, (TABLES + i * 0x1000) | P | W | U);
    for (unsigned i = 0; i < 3 * MANY; i++) {
        uint32_t n = i % MANY * 2; /* every other page: a hole beside each */
        poke32(TABLES + n * 4, (0x200000 + i * 2957u % FRAMES * 0x1000) | P | W | U | D);
        view_flush_page(cpu, 0x800000 + n * 0x1000);
        view_bare_review(cpu);
        refused += touch(0x800000 + n * 0x1000, true) != VIEW_BARE_SHOWN;
    }
    CU_ASSERT(refused > 0 && refused < 10);
    CU_ASSERT_TRUE(all_is_right());
    for (unsigned i = 0; i < 2 * MANY / 1024; i++)
        poke32(directory(0) + 8 + 4 * i, 0);
}

/* --- anything, in any order --- */

static uint64_t seed;
static unsigned kept_over_loads;
static uint32_t any(uint32_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

static void change_pte(void)
{
    static const uint32_t rights[] = { P | W | U, P | W | U | A | D, P | U | A, P | W, P | W | G | U, P | W | G | A | D, 0, P | U | D };
    unsigned n = any(SPACES);
    uint32_t at = pte_at(n, FIRST + any(PAGES) * 0x1000);

    if (any(3) == 0)
        poke32(at, peek32(at) ^ 1u << any(7));
    else
        poke32(at, (any(20) ? 0x100000 + any(64) * 0x1000 : 0xfe000000) | rights[any(sizeof rights / sizeof rights[0])]);
}

/* A load of CR3 leaves no entry that the new tables would not give. */
static void check_kept(void)
{
    const struct view *view = view_of(cpu->views, false);
    struct paging_result walk;
    uint32_t error;

    for (uint32_t page = FIRST >> 12; page < (FIRST >> 12) + PAGES; page++) {
        if (!(view->state[page] & KEPT))
            continue;
        bool reads = paging_walk(cpu, page << 12, VIEW_FOR_READ, false, false, &walk, &error) && walk.accessed && !walk.global
            && view->read[page] + ((uint64_t)page << 12) == (uint64_t)(uintptr_t)phys_ram(cpu->phys) + walk.physical;
        CU_ASSERT_TRUE(reads && (!view->write[page] || (walk.writable && walk.dirty)));
        kept_over_loads++;
    }
}

static void operate(void)
{
    uint32_t linear = FIRST + any(PAGES) * 0x1000, physical = 0x100 + any(64);

    switch (any(17)) {
    case 0: case 1: change_pte(); break;
    case 2: view_flush_page(cpu, linear); break;
    case 3: load_cr3(any(2) ? (cpu->cr3 - directory(0)) / 0x2000 : any(SPACES)), check_kept(); break;
    case 4: cpu->cr3 = directory(any(SPACES)), view_flush_nonglobal(cpu), check_kept(); break; /* and no review */
    case 5: any(10) ? (void)0 : view_flush_all(cpu); break;
    case 6: become(any(2)); break;
    case 7: view_protect_page(cpu, physical); break;
    case 8: any(2) ? phys_unmark(cpu->phys, physical, PHYS_CODE) : (phys_mark(cpu->phys, physical, PHYS_CODE), view_protect_page(cpu, physical)); break;
    case 9: view_fill_quietly(cpu, linear); break;
    case 10: cpu->views->kept.forgiven = 0, view_bare_review(cpu); break; /* a second later */
    case 11: if (!any(40)) set_paging(!(cpu->cr0 & CR0_PG)); break;
    default: touch(linear, any(2));
    }
}

static void test_anything(void)
{
    unsigned before = 0;

    for (seed = 1; before < 40000; before++) {
        operate();
        if (!(before % 4) && !all_is_right()) {
            CU_FAIL("a window shows what it should not");
            printf("operation %u\n", before);
            return;
        }
    }
    CU_ASSERT(cpu->views->counters.bare_mappings > 3000);
    CU_ASSERT(kept_over_loads > 300);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "rights", test_rights },
        { "what drops a page", test_drops },
        { "where a refused access began", test_began_at },
        { "the first page of RAM", test_first_page },
        { "the supervisor's", test_supervisor },
        { "without paging", test_unpaged },
        { "when that begins", test_unpaged_begins },
        { "a page that makes room for its neighbours", test_crowded },
        { "pages come and go", test_pages_come_and_go },
        { "many mappings", test_many_mappings },
        { "anything in any order", test_anything },
        CU_TEST_INFO_NULL,
    };

    if (!bare_fixture_possible())
        return 0;
    return unit_run_each("bare windows", tests, bare_setup, bare_teardown);
}
