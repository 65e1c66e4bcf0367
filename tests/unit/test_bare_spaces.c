/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Bare windows when CR3 is loaded: those of users are laid aside and looked
 * through when their address space is back, the supervisor's keeps pages; and when
 * an address space may use its window at all.
 */
#include "tests/unit/bare_fixture.h"
#include "tests/unit/unit.h"

#include <x86intrin.h>

/* The host's time goes by a thousand times more slowly than the TSC says: what a test does takes as good as
 * none, also where the host does something else in between, and only what a test says has passed has. */
static void stop_time(void) { cpu->tsc_khz = UINT32_MAX; }

/* A window is laid aside, and looked through when its address space is back. */
static void test_address_spaces(void)
{
    const struct bare_window *first = view_of(cpu->views, true)->bare;

    for (unsigned i = 0; i < 7; i++)
        set_pte(0x401000 + i * 0x2000, (0x90000 + i * 0x1000) | P | W | U | D), touch(0x401000 + i * 0x2000, true);
    load_cr3(1);
    CU_ASSERT_NOT_EQUAL(view_of(cpu->views, true)->bare, first);
    CHECK_SHOWS(0x401000, 0);
    set_pte(0x403000, 0x99000 | P | W | U | A | D);      /* leads elsewhere */
    set_pte(0x405000, 0x92000 | P | U | A | D);          /* may only be read */
    set_pte(0x407000, 0x93000 | P | W | U | D);          /* not accessed */
    set_pte(0x409000, 0x94000 | P | W | U | A);          /* not dirty */
    set_pte(0x40b000, 0);
    phys_mark(cpu->phys, 0x96, PHYS_CODE);
    view_protect_page(cpu, 0x96);
    load_cr3(0);
    CU_ASSERT_EQUAL(view_of(cpu->views, true)->bare, first);
    CHECK_SHOWS(0x401000, 3);
    for (unsigned i = 1; i < 7; i++)
        CHECK_SHOWS(0x401000 + i * 0x2000, 0);
    CU_ASSERT_EQUAL(peek32(pte_at(0, 0x407000)), 0x93000 | P | W | U | D); /* looking is no access */
    /* As many others as there are windows: the first is given away. */
    for (unsigned n = 1; n < BARE_WINDOWS + 1; n++) {
        poke32(pte_at(n, 0x401000), 0xa0000 | P | W | U | D);
        load_cr3(n);
        CHECK_SHOWS(0x401000, 0);
        CU_ASSERT_EQUAL(touch(0x401000, true), VIEW_BARE_SHOWN);
    }
    load_cr3(0);
    CHECK_SHOWS(0x401000, 0);
}

/* Of many pages that lead elsewhere by now, neighbours are hidden together, and
 * none of those that do not. */
static void test_hidden_together(void)
{
    struct bare_window *window = view_of(cpu->views, true)->bare;

    for (unsigned again = 0; again < 2; again++) /* in the list twice */
        for (unsigned i = 0; i < PAGES; i++) {
            set_pte(FIRST + i * 0x1000, (0x90000 + i * 0x2000) | P | W | U | D);
            view_flush_page(cpu, FIRST + i * 0x1000);
            CU_ASSERT_EQUAL(touch(FIRST + i * 0x1000, true), VIEW_BARE_SHOWN);
        }
    view_flush_page(cpu, FIRST + 0x6000);
    CU_ASSERT(window->count > PAGES);
    load_cr3(1);
    for (unsigned i = 0; i < PAGES; i++)
        if (i % 8 > 2)
            set_pte(FIRST + i * 0x1000, (0x190000 + i * 0x2000) | P | W | U | A | D);
    load_cr3(0);
    for (unsigned i = 0; i < PAGES; i++)
        CU_ASSERT_EQUAL(shows(FIRST + i * 0x1000), i % 8 > 2 ? 0 : 3);
    CU_ASSERT_TRUE(all_is_right());
    CU_ASSERT_EQUAL(window->count, PAGES / 8 * 3);
    CU_ASSERT_TRUE(counted_right(window));
}

/* Pages that are not global stay in the supervisor's window where the next
 * address space has them by the same entries, and are hidden where it has not. */
static void test_kept(void)
{
    become(false);
    for (unsigned n = 1; n < SPACES; n++)
        poke32(directory(n) + 4, peek32(directory(0) + 4) | A); /* one table for all */
    for (unsigned i = 0; i < 8; i++) {
        set_pte(0x401000 + i * 0x2000, (0x90000 + i * 0x1000) | P | W | D);
        CU_ASSERT_EQUAL(touch(0x401000 + i * 0x2000, true), VIEW_BARE_SHOWN);
    }
    load_cr3(1);
    for (unsigned i = 0; i < 8; i++)
        CHECK_SHOWS(0x401000 + i * 0x2000, 3);
    set_pte(0x403000, 0x99000 | P | W | A | D); /* leads elsewhere */
    set_pte(0x405000, 0x92000 | P | A | D);     /* may only be read */
    set_pte(0x407000, 0x93000 | P | W | A);     /* not dirty */
    set_pte(0x409000, 0);
    phys_mark(cpu->phys, 0x95, PHYS_CODE);
    view_protect_page(cpu, 0x95);
    CHECK_SHOWS(0x403000, 3); /* as a TLB may, until CR3 is loaded */
    load_cr3(2);
    CHECK_SHOWS(0x401000, 3);
    for (unsigned i = 1; i < 5; i++)
        CHECK_SHOWS(0x401000 + i * 0x2000, 0);
    CHECK_SHOWS(0x40b000, 1);
    view_flush_page(cpu, 0x40d000);
    CHECK_SHOWS(0x40d000, 0);
    CU_ASSERT_EQUAL(touch(0x403000, true), VIEW_BARE_SELDOM); /* not soon again */
    poke32(directory(3) + 4, (directory(3) + 0x1000) | P | W | U); /* a table of its own, empty */
    load_cr3(3);
    for (unsigned i = 0; i < 8; i++)
        CHECK_SHOWS(0x401000 + i * 0x2000, 0);
}

/* An address that leads elsewhere all the time, as a kernel's for pages of high memory, is
 * not shown any more, for a while; one that did so a few times is. */
static void test_fickle(void)
{
    const unsigned most = 4;

    stop_time();
    become(false);
    cpu->views->kept.forgiven = __rdtsc();
    for (unsigned i = 0; i < most; i++) {
        set_pte(0x401000, (0x90000 + i * 0x1000) | P | W | D | G);
        CU_ASSERT_EQUAL(touch(0x401000, true), VIEW_BARE_SHOWN);
        view_flush_page(cpu, 0x401000);
        CHECK_SHOWS(0x401000, 0);
        set_pte(0x402000, 0x98000 | P | W | D | G);
        if (i > 0)
            CU_ASSERT_EQUAL(touch(0x402000, true), VIEW_BARE_SHOWN);
        view_flush_page(cpu, 0x402000);
        view_flush_page(cpu, 0x402000); /* what is not shown does not count */
    }
    CU_ASSERT_EQUAL(touch(0x401000, true), VIEW_BARE_SELDOM);
    CU_ASSERT_EQUAL(touch(0x401000, false), VIEW_BARE_SELDOM);
    CHECK_SHOWS(0x401000, 0);
    CU_ASSERT_EQUAL(touch(0x402000, true), VIEW_BARE_SHOWN);
    become(true);
    set_pte(0x401000, 0x90000 | P | W | U | D);
    view_flush_page(cpu, 0x401000);
    CU_ASSERT_EQUAL(touch(0x401000, true), VIEW_BARE_SHOWN); /* it has no part in this */
    become(false);
    set_pte(0x401000, 0x90000 | P | W | D | G);
    view_flush_page(cpu, 0x401000);
    cpu->views->kept.forgiven -= 1100ull * cpu->tsc_khz;
    CU_ASSERT_EQUAL(touch(0x401000, true), VIEW_BARE_SHOWN);
    CHECK_SHOWS(0x401000, 3);
}

/* More than it keeps: the oldest go. */
static void test_kept_many(void)
{
    unsigned shown = 0;

    become(false);
    for (unsigned i = 0; i < KEPT_MAX + 32; i++) {
        set_pte(FIRST + i * 0x1000, (0x100000 + i * 0x2000) | P | W | D);
        CU_ASSERT_EQUAL(touch(FIRST + i * 0x1000, true), VIEW_BARE_SHOWN);
    }
    load_cr3(0);
    for (unsigned i = 0; i < KEPT_MAX + 32; i++)
        shown += shows(FIRST + i * 0x1000) == 3;
    CU_ASSERT_EQUAL(shown, KEPT_MAX);
    CU_ASSERT_TRUE(all_is_right());
    view_flush_all(cpu);
    CU_ASSERT_EQUAL(cpu->views->kept.count, 0);
}

/* The present address space ran for so long, as if, and now it is another's turn. */
static void run_for(unsigned us, unsigned next)
{
    cpu->views->loaded_at = __rdtsc() - (uint64_t)us * (cpu->tsc_khz / 1000);
    load_cr3(next);
}

static bool used_at_once(void) { return view_bare_used_of(cpu, true); }

/* Who runs for some 0.3 ms each time uses its window at once, but not who hands a byte
 * to and fro, nor a new process with the tables of one that did. */
static void test_slices(void)
{
    stop_time();
    cpu->views->bare_eager = false;
    cpu->views->view[VIEW_USER].bare_credit = 100;
    for (unsigned i = 0; i < 8; i++)
        poke32(pte_at(0, 0x401000 + i * 0x2000), (0x90000 + i * 0x1000) | P | W | U | D);
    poke32(pte_at(1, 0x401000), 0xa0000 | P | W | U | D);
    load_cr3(0);
    CU_ASSERT_FALSE(used_at_once());
    for (unsigned i = 0; i < 4; i++)
        run_for(300, i % 2 ? 0 : 1);
    CU_ASSERT_FALSE(used_at_once()); /* too little is known of it */
    for (unsigned i = 0; i < 60; i++)
        run_for(300, i % 2 ? 0 : 1);
    CU_ASSERT_TRUE(used_at_once());
    for (unsigned i = 0; i < 8; i++)
        CU_ASSERT_EQUAL(touch(0x401000 + i * 0x2000, true), VIEW_BARE_SHOWN);
    run_for(300, 1);
    CU_ASSERT_EQUAL(touch(0x401000, true), VIEW_BARE_SHOWN);
    run_for(300, 0);
    CU_ASSERT_TRUE(used_at_once());
    CHECK_SHOWS(0x401000, 3);
    run_for(300, 1);
    set_pte(0x403000, 0x99000 | P | W | U | D); /* one page of many has moved */
    run_for(300, 0);
    CU_ASSERT_TRUE(used_at_once());
    CHECK_SHOWS(0x403000, 0);
    CHECK_SHOWS(0x405000, 3);
    run_for(300, 1);
    for (unsigned i = 0; i < 8; i++)
        set_pte(0x401000 + i * 0x2000, (0x98000 + i * 0x1000) | P | W | U | D); /* all: another process */
    run_for(300, 0);
    CU_ASSERT_FALSE(used_at_once());
    run_for(300, 1);
    run_for(300, 0);
    CU_ASSERT_FALSE(used_at_once());
    for (unsigned i = 0; i < 60; i++)
        run_for(300, i % 2 ? 0 : 1);
    CU_ASSERT_FALSE(used_at_once()); /* its window still shows the other's pages */
    cpu->views->loaded_at = __rdtsc() - 1100ull * (cpu->tsc_khz / 1000);
    view_bare_review(cpu); /* until it has run for a millisecond at last */
    CU_ASSERT_TRUE(used_at_once());
    CHECK_SHOWS(0x401000, 0);
    for (unsigned i = 0; i < 60; i++)
        run_for(300, i % 2 ? 0 : 1);
    CU_ASSERT_TRUE(used_at_once());
    for (unsigned i = 0; i < 60; i++)
        run_for(5, i % 2 ? 0 : 1);
    CU_ASSERT_FALSE(used_at_once());
}

/* More address spaces than are known. */
static void test_many_slices(void)
{
    stop_time();
    cpu->views->bare_eager = false;
    cpu->views->view[VIEW_USER].bare_credit = 100;
    for (unsigned i = 0; i < 60; i++)
        run_for(300, i % 2 ? 0 : 1);
    CU_ASSERT_TRUE(used_at_once());
    for (unsigned i = 0; i < 2 * SPACES_KNOWN; i++) {
        cpu->views->loaded_at = __rdtsc() - cpu->tsc_khz / 1000;
        cpu->cr3 = 0x100000 + i * 0x1000;
        view_flush_nonglobal(cpu);
        view_bare_review(cpu);
        CU_ASSERT_FALSE(used_at_once());
    }
    run_for(5, 0);
    CU_ASSERT_FALSE(used_at_once());
}

/* Time earns what mappings cost. */
static void test_credit(void)
{
    struct view *view = view_of(cpu->views, true);

    cpu->views->bare_eager = false;
    stop_time();
    view->bare_credit = 0;
    view->bare_counted = __builtin_ia32_rdtsc();
    set_pte(FIRST + 0x1f000, 0x90000 | P | W | U | D);
    if (touch(FIRST + 0x1f000, true) != VIEW_BARE_SHOWN) {
        CU_ASSERT_FALSE(view_bare_used(cpu));
        view->bare_credit = 400;
        cpu->views->loaded_at = 0;
        view_bare_review(cpu);
        CU_ASSERT_TRUE(view_bare_used(cpu));
        CU_ASSERT_EQUAL(touch(FIRST + 0x1f000, true), VIEW_BARE_SHOWN);
        view->bare_credit = 5;
        set_pte(FIRST + 0x1e000, 0x91000 | P | W | U | A | D);
        view_bare_expect(cpu, FIRST + 0x1e000, true); /* what the guest's kernel has just put there is free */
        CHECK_SHOWS(FIRST + 0x1e000, 3);
        CU_ASSERT_EQUAL(view->bare_credit, 5);
        set_pte(FIRST + 0x1d000, 0x92000 | P | W | U | A | D | G); /* a user's window shows none that is global */
        view_bare_expect(cpu, FIRST + 0x1d000, true);
        CHECK_SHOWS(FIRST + 0x1d000, 0);
        CU_ASSERT_EQUAL(view->bare_credit, 5);
    }
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "address spaces", test_address_spaces },
        { "hidden together", test_hidden_together },
        { "pages that are kept", test_kept },
        { "global ones that come and go", test_fickle },
        { "more of them than can be", test_kept_many },
        { "who runs for long", test_slices },
        { "more of them than are known", test_many_slices },
        { "credit", test_credit },
        CU_TEST_INFO_NULL,
    };

    if (!bare_fixture_possible())
        return 0;
    return unit_run_each("bare windows of address spaces", tests, bare_setup, bare_teardown);
}
