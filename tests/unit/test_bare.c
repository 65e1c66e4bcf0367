/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Bare windows: what they show follows the entries of the view, whatever takes
 * an entry away, and what lies in one that was laid aside is looked up again.
 * `check()` compares all that the host has mapped with all that is allowed.
 */
#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/phys.h"
#include "x86vm/memory/view.h"
#include "x86vm/memory/view_internal.h"
#include "x86vm/memory/watch.h"

#include <CUnit/Basic.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <x86intrin.h>

#define RAM (32u << 20)
enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80, G = 0x100 };
enum { SPACES = 7, PAGES = 48, FIRST = 0x400000 };

static struct cpu *cpu;
static int file;
static uint32_t refused_by; /* error code of the page fault */

static void poke32(uint32_t address, uint32_t value) { memcpy(phys_ram(cpu->phys) + address, &value, 4); }
static uint32_t peek32(uint32_t address)
{
    uint32_t value;
    memcpy(&value, phys_ram(cpu->phys) + address, 4);
    return value;
}
/* Address space n: its directory, and one table for linear 0x400000..0x7fffff. */
static uint32_t directory(unsigned n) { return 0x10000 + n * 0x2000; }
static uint32_t pte_at(unsigned n, uint32_t linear) { return directory(n) + 0x1000 + (linear >> 12 & 1023) * 4; }
static void set_pte(uint32_t linear, uint32_t pte) { poke32(pte_at(0, linear), pte); }

static void setup(void)
{
    setenv("X86VM_EAGER_BARE", "1", 1);
    cpu = aligned_alloc(64, (sizeof *cpu + 63) / 64 * 64);
    memset(cpu, 0, sizeof *cpu);
    cpu->phys = phys_new(RAM);
    cpu->io = io_bus_new();
    cpu->views = view_set_new();
    unsetenv("X86VM_EAGER_BARE");
    cpu_reset(cpu);
    cpu->tsc_khz = 1000000;
    for (unsigned n = 0; n < SPACES; n++)
        poke32(directory(n) + 4, (directory(n) + 0x1000) | P | W | U);
    cpu->cr3 = directory(0);
    cpu->cr0 = CR0_PE | CR0_PG | CR0_WP;
    cpu->cr4 = CR4_PSE | CR4_PGE;
    cpu->cpl = 3;
    view_select(cpu);
    view_bare_review(cpu);
}

static void teardown(void)
{
    view_set_free(cpu->views);
    io_bus_free(cpu->io);
    phys_free(cpu->phys);
    free(cpu);
}

static void become(bool user)
{
    cpu->cpl = user ? 3 : 0;
    view_select(cpu);
}

static void load_cr3(unsigned n)
{
    cpu->cr3 = directory(n);
    view_flush_nonglobal(cpu);
    view_bare_review(cpu);
}

static enum view_bare_answer touch(uint32_t linear, bool write)
{
    return view_bare_fault(cpu, (uint64_t)(uintptr_t)cpu->bare + linear, write, &refused_by);
}

/* What the host lets be done there, as shows(): asked by system calls, which fail instead of faulting. */
static int host_rights(uint8_t *at)
{
    if (pwrite(file, at, 1, 0) != 1)
        return 0;
    return pread(file, at, 1, 0) == 1 ? 3 : 1; /* the byte that was there */
}

/* Bit 0: the present window shows the page, bit 1: for writing. */
static int shows(uint32_t linear)
{
    uint32_t shown = view_of(cpu->views, cpu->cpl == 3)->bare->shows[linear >> 12];
    return shown ? 1 | (shown & BARE_WRITABLE ? 2 : 0) : 0;
}

static bool page_is_right(const struct view *view, uint32_t page)
{
    uint32_t shown = view->bare->shows[page];
    uint8_t *at = view->bare->base + ((uint64_t)page << 12), *ram = phys_ram(cpu->phys);
    int rights = host_rights(at);

    if (!shown)
        return rights == 0;
    ram += (uint64_t)bare_physical_page(view->bare, page) << 12;
    return view->read[page] + ((uint64_t)page << 12) == (uint64_t)(uintptr_t)ram && rights == (shown & BARE_WRITABLE ? 3 : 1)
        && (!(shown & BARE_WRITABLE) || view->write[page] == view->read[page]) && memcmp(at, ram, 64) == 0;
}

/* The views' windows show what their entries allow and no more, and the host agrees. */
static bool all_is_right(void)
{
    for (unsigned u = 0; u < VIEW_COUNT; u++)
        for (uint32_t page = FIRST >> 12; cpu->views->view[u].bare && page < (FIRST >> 12) + PAGES; page++)
            if (!page_is_right(&cpu->views->view[u], page))
                return false;
    return true;
}

#define CHECK_SHOWS(linear, rights) do { CU_ASSERT_EQUAL(shows(linear), rights); CU_ASSERT_TRUE(all_is_right()); } while (0)

/* How many mappings the host has in a window. */
static unsigned host_mappings(const struct bare_window *window)
{
    uint64_t first = (uint64_t)(uintptr_t)window->base, from, to;
    unsigned count = 0;
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");

    while (maps && fgets(line, sizeof line, maps))
        if (sscanf(line, "%" SCNx64 "-%" SCNx64, &from, &to) == 2)
            count += to > first && from < first + (1ull << 32);
    if (maps)
        fclose(maps);
    return count;
}

/* As many mappings as are counted; inaccessible ones in a window that is not open. */
static bool counted_right(const struct bare_window *window)
{
    unsigned count = host_mappings(window);

    return window->open ? count == window->mappings : count >= window->mappings && count <= 2 * window->mappings + 1;
}

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
    enum { TABLES = 0x100000, MANY = 4096 };
    unsigned refused = 0;

    for (unsigned i = 0; i < 2 * MANY / 1024; i++)
        poke32(directory(0) + 8 + 4 * i, (TABLES + i * 0x1000) | P | W | U);
    for (unsigned i = 0; i < 3 * MANY; i++) {
        uint32_t n = i % MANY * 2; /* every other page: a hole beside each */
        poke32(TABLES + n * 4, (0x200000 + i * 2957u % MANY * 0x1000) | P | W | U | D);
        view_flush_page(cpu, 0x800000 + n * 0x1000);
        view_bare_review(cpu);
        refused += touch(0x800000 + n * 0x1000, true) != VIEW_BARE_SHOWN;
    }
    CU_ASSERT(refused > 0 && refused < 10);
    CU_ASSERT_TRUE(all_is_right());
    for (unsigned i = 0; i < 2 * MANY / 1024; i++)
        poke32(directory(0) + 8 + 4 * i, 0);
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
    cpu->views->bare_eager = false;
    cpu->views->view[VIEW_USER].bare_credit = 100;
    for (unsigned i = 0; i < 60; i++)
        run_for(300, i % 2 ? 0 : 1);
    CU_ASSERT_TRUE(used_at_once());
    for (unsigned i = 0; i < 2 * SPACES_KNOWN; i++) {
        cpu->views->loaded_at = __rdtsc() - 1000ull;
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
    cpu->tsc_khz = UINT32_MAX; /* little is earned between two lines */
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
    }
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

    switch (any(16)) {
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
    file = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    if (file < 0 || !bare_possible()) {
        puts("skip: no FSGSBASE");
        return 0;
    }
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite_with_setup_and_teardown("bare windows", NULL, NULL, setup, teardown);
    CU_add_test(suite, "rights", test_rights);
    CU_add_test(suite, "what drops a page", test_drops);
    CU_add_test(suite, "address spaces", test_address_spaces);
    CU_add_test(suite, "hidden together", test_hidden_together);
    CU_add_test(suite, "where a refused access began", test_began_at);
    CU_add_test(suite, "the first page of RAM", test_first_page);
    CU_add_test(suite, "the supervisor's", test_supervisor);
    CU_add_test(suite, "a page that makes room for its neighbours", test_crowded);
    CU_add_test(suite, "pages that are kept", test_kept);
    CU_add_test(suite, "more of them than can be", test_kept_many);
    CU_add_test(suite, "pages come and go", test_pages_come_and_go);
    CU_add_test(suite, "many mappings", test_many_mappings);
    CU_add_test(suite, "who runs for long", test_slices);
    CU_add_test(suite, "more of them than are known", test_many_slices);
    CU_add_test(suite, "credit", test_credit);
    CU_add_test(suite, "anything in any order", test_anything);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures ? 1 : 0;
}
