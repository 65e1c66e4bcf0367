/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Page walks, as views make them: rights by privilege and WP, accessed and dirty bits,
 * error codes and CR2, large pages, PAE, no paging, and tables that mean harm.
 */
#include "tests/unit/unit.h"
#include "tests/unit/view_fixture.h"
#include "x86vm/memory/paging.h"

#include <stdlib.h>

/* Error code of the page fault that the access raises, -1 for none, -2 for any other. */
static int fault_of(uint32_t linear, enum view_access access, bool user)
{
    jmp_buf env;
    cpu->fault_env = &env;
    cpu->cr2 = 0xdeadbeef;
    if (setjmp(env))
        return cpu->fault_vector == VEC_PF && cpu->fault_has_error ? (int)cpu->fault_error : -2;
    view_translate(cpu, linear, access, user);
    return -1;
}

static void test_rights(void)
{
    static const struct { uint32_t pde, pte; int user_read, user_write, super_write, super_write_nowp; } cases[] = {
        { P | W | U, P | W | U, -1, -1, -1, -1 },
        { P | W | U, P | U, -1, 7, 3, -1 },
        { P | U, P | W | U, -1, 7, 3, -1 },
        { P | W, P | W | U, 5, 7, -1, -1 },
        { P | W | U, P | W, 5, 7, -1, -1 },
        { P | W | U, P, 5, 7, 3, -1 },
        { P | W | U, W | U, 4, 6, 2, 2 },
        { W | U, P | W | U, 4, 6, 2, 2 },
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        poke32(DIRECTORY + 4, TABLE | cases[i].pde);
        set_pte(0x401000, 0x9000 | cases[i].pte);
        cpu->cr0 |= CR0_WP;
        CU_ASSERT_EQUAL(fault_of(0x401234, VIEW_FOR_READ, true), cases[i].user_read);
        CU_ASSERT_EQUAL(fault_of(0x401234, VIEW_FOR_EXEC, true), cases[i].user_read);
        CU_ASSERT_EQUAL(fault_of(0x401234, VIEW_FOR_WRITE, true), cases[i].user_write);
        CU_ASSERT_EQUAL(fault_of(0x401234, VIEW_FOR_WRITE, false), cases[i].super_write);
        if (cases[i].super_write != -1)
            CU_ASSERT_EQUAL(cpu->cr2, 0x401234);
        cpu->cr0 &= ~CR0_WP;
        CU_ASSERT_EQUAL(fault_of(0x401234, VIEW_FOR_WRITE, false), cases[i].super_write_nowp);
        CU_ASSERT_EQUAL(fault_of(0x401234, VIEW_FOR_WRITE, true), cases[i].user_write);
    }
}

static void test_accessed_dirty(void)
{
    set_pte(0x401000, 0x9000 | P | W | U);
    uint32_t physical;
    CU_ASSERT_TRUE(view_probe(cpu, 0x401004, VIEW_FOR_WRITE, true, &physical));
    CU_ASSERT_EQUAL(physical, 0x9004);
    CU_ASSERT_EQUAL(pte(0x401000), 0x9000 | P | W | U); /* a probe leaves no trace */
    CU_ASSERT_EQUAL(view_translate(cpu, 0x401004, VIEW_FOR_READ, true), 0x9004);
    CU_ASSERT_EQUAL(pte(0x401000), 0x9000 | P | W | U | A);
    CU_ASSERT_EQUAL(peek32(DIRECTORY + 4), TABLE | P | W | U | A);
    /* Reading a clean page gives no write entry, so the first write comes here for the dirty bit. */
    CU_ASSERT_NOT_EQUAL(fill(0x401000, VIEW_FOR_READ), 0);
    CU_ASSERT_EQUAL(entry(false, VIEW_WRITE, 0x401000), 0);
    CU_ASSERT_EQUAL(fill(0x401000, VIEW_FOR_WRITE), expected(0x9000, 0x401000));
    CU_ASSERT_EQUAL(pte(0x401000), 0x9000 | P | W | U | A | D);
    CU_ASSERT_EQUAL(entry(false, VIEW_WRITE, 0x401000), expected(0x9000, 0x401000));
    CU_ASSERT_EQUAL(entry(true, VIEW_WRITE, 0x401000), 0);
    /* No bits are set by an access that faults. */
    set_pte(0x402000, 0xa000 | P);
    fault_of(0x402000, VIEW_FOR_WRITE, true);
    CU_ASSERT_EQUAL(pte(0x402000), 0xa000 | P);
}

static void test_large_page(void)
{
    poke32(DIRECTORY + 8, 0x01000000 | PS | P | W);
    poke32(0x01000000 + 3 * 4, 0x00f00000 | P | W); /* what it means as a table without PSE */
    CU_ASSERT_EQUAL(view_translate(cpu, 0x803456, VIEW_FOR_READ, false), 0xf00456);
    cpu->cr4 = CR4_PSE;
    view_flush_all(cpu);
    poke32(DIRECTORY + 8, 0x01000000 | PS | P | W);
    CU_ASSERT_EQUAL(view_translate(cpu, 0x803456, VIEW_FOR_READ, false), 0x1003456);
    CU_ASSERT_EQUAL(peek32(DIRECTORY + 8), 0x01000000 | PS | P | W | A);
    CU_ASSERT_EQUAL(view_translate(cpu, 0xbfffff, VIEW_FOR_WRITE, false), 0x13fffff);
    CU_ASSERT_EQUAL(peek32(DIRECTORY + 8), 0x01000000 | PS | P | W | A | D);
    CU_ASSERT_EQUAL(fault_of(0x803456, VIEW_FOR_READ, true), PF_PRESENT | PF_USER);
    poke32(DIRECTORY + 8, 0x01002000 | PS | P | W); /* bit 13 is reserved */
    CU_ASSERT_EQUAL(fault_of(0x803456, VIEW_FOR_WRITE, false), PF_PRESENT | PF_WRITE | PF_RESERVED);
}

static void test_pae(void)
{
    cpu->cr4 = CR4_PAE;
    cpu->cr3 = 0x3020; /* 32-byte aligned is enough */
    poke32(0x3020 + 8, 0x4000 | P); /* 0x40000000.. */
    poke32(0x4000 + 2 * 8, 0x5000 | P | W | U);
    CU_ASSERT_TRUE(paging_load_pointers(cpu, cpu->cr3));
    poke32(0x5000 + 511 * 8, 0x7000 | P | W | U);
    poke32(0x4000 + 3 * 8, 0x00400000 | PS | P | W);
    CU_ASSERT_EQUAL(view_translate(cpu, 0x405ff123, VIEW_FOR_WRITE, true), 0x7123);
    CU_ASSERT_EQUAL(peek32(0x5000 + 511 * 8), 0x7000 | P | W | U | A | D);
    CU_ASSERT_EQUAL(peek32(0x4000 + 2 * 8), 0x5000 | P | W | U | A);
    CU_ASSERT_EQUAL(peek32(0x3020 + 8), 0x4000 | P);
    CU_ASSERT_EQUAL(view_translate(cpu, 0x40612345, VIEW_FOR_READ, false), 0x412345);
    CU_ASSERT_EQUAL(fault_of(0x80000000, VIEW_FOR_READ, true), PF_USER);
    poke32(0x5000 + 511 * 8 + 4, 0x80000000); /* NX without EFER.NXE is reserved */
    CU_ASSERT_EQUAL(fault_of(0x405ff123, VIEW_FOR_READ, true), PF_PRESENT | PF_USER | PF_RESERVED);
    poke32(0x5000 + 511 * 8 + 4, 1); /* above 4 GiB */
    CU_ASSERT_EQUAL(fault_of(0x405ff123, VIEW_FOR_READ, true), PF_PRESENT | PF_USER | PF_RESERVED);
}

static void test_no_paging(void)
{
    cpu->cr0 = CR0_PE;
    view_flush_all(cpu);
    CU_ASSERT_EQUAL(fill(0x123456, VIEW_FOR_WRITE), expected(0, 0));
    CU_ASSERT_EQUAL(view_translate(cpu, 0xfe000004, VIEW_FOR_READ, true), 0xfe000004);
    poke32(0x56, 0xabcdef01);
    CU_ASSERT_EQUAL(view_read32(cpu, 0x56, false), 0xabcdef01);
    phys_set_a20(cpu->phys, false);
    view_flush_all(cpu);
    CU_ASSERT_EQUAL(view_read32(cpu, 0x100056, false), 0xabcdef01);
    CU_ASSERT_EQUAL(view_translate(cpu, 0xfffff0, VIEW_FOR_READ, false), 0xeffff0);
    uint32_t wrapped = 0;
    poke32(0, 0x00443322);
    view_read(cpu, 0xffffffff, &wrapped, 4, false); /* from the last byte on to the first */
    CU_ASSERT_EQUAL(wrapped, 0x443322ff);
}

/* CR3 into MMIO, tables into nothing: garbage from the guest, never a crash. */
static void test_hostile_tables(void)
{
    cpu->cr3 = 0xfffff000;
    CU_ASSERT_EQUAL(fault_of(0, VIEW_FOR_READ, false), -1); /* all ones: present everywhere */
    cpu->cr4 = CR4_PSE;
    CU_ASSERT_EQUAL(fault_of(0, VIEW_FOR_READ, false), PF_PRESENT | PF_RESERVED);
    cpu->cr4 = CR4_PAE;
    CU_ASSERT_FALSE(paging_load_pointers(cpu, cpu->cr3));
    CU_ASSERT_EQUAL(fault_of(0, VIEW_FOR_READ, false), 0); /* as before: none */
    srand(1);
    for (int i = 0; i < 200000; i++) {
        uint32_t r = (uint32_t)rand() * 2654435761u;
        poke32((uint32_t)rand() % 64 * 4096 + (uint32_t)rand() % 1024 * 4, i & 1 ? r : r & 0x3ffff);
        cpu->cr3 = r % 96 * 4096;
        cpu->cr4 = (uint32_t)rand() & (CR4_PSE | CR4_PAE | CR4_PGE);
        paging_load_pointers(cpu, cpu->cr3);
        cpu->cpl = rand() & 1 ? 3 : 0;
        jmp_buf env;
        cpu->fault_env = &env;
        if (setjmp(env) == 0)
            view_write(cpu, (uint32_t)rand() * 2, &i, 4, cpu->cpl == 3);
        if (i % 64 == 0)
            view_flush_nonglobal(cpu);
    }
    struct view_counters counters;
    view_get_counters(cpu, &counters);
    CU_ASSERT(counters.page_faults > 0 && counters.fills > 0 && counters.flushes > 0);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "rights and error codes", test_rights },
        { "accessed and dirty", test_accessed_dirty },
        { "4 MiB pages", test_large_page },
        { "PAE", test_pae },
        { "no paging, A20", test_no_paging },
        { "hostile tables", test_hostile_tables },
        CU_TEST_INFO_NULL,
    };

    return unit_run_each("paging", tests, view_fixture_start, view_fixture_stop);
}
