/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Page walks and views, with page tables built in guest RAM: rights by
 * privilege and WP, accessed and dirty bits, error codes and CR2, large pages,
 * PAE, what a flush drops and keeps, code pages, ROM, MMIO, page crossings.
 */
#include "tests/unit/unit.h"
#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/paging.h"
#include "x86vm/memory/phys.h"
#include "x86vm/memory/view.h"

#include <stdlib.h>
#include <string.h>

#define RAM (32u << 20)
#define DIRECTORY 0x1000u
#define TABLE 0x2000u
enum { P = 1, W = 2, U = 4, A = 0x20, D = 0x40, PS = 0x80, G = 0x100 };

static struct cpu *cpu;
static unsigned code_calls;
static uint32_t mmio_value;

static uint32_t mmio_read(void *device, uint32_t offset, unsigned size)
{
    (void)device;
    return offset << 8 | size;
}
static void mmio_write(void *device, uint32_t offset, unsigned size, uint32_t value)
{
    (void)device;
    (void)offset;
    (void)size;
    mmio_value = value;
}
static const struct io_ops mmio = { .read = mmio_read, .write = mmio_write };

static void on_code(void *opaque, uint32_t address, uint32_t size)
{
    (void)opaque;
    (void)address;
    (void)size;
    code_calls++;
}

static void poke32(uint32_t address, uint32_t value) { memcpy(phys_ram(cpu->phys) + address, &value, 4); }
static uint32_t peek32(uint32_t address)
{
    uint32_t value;
    memcpy(&value, phys_ram(cpu->phys) + address, 4);
    return value;
}
static void set_pte(uint32_t linear, uint32_t pte) { poke32(TABLE + (linear >> 12 & 1023) * 4, pte); }
static uint32_t pte(uint32_t linear) { return peek32(TABLE + (linear >> 12 & 1023) * 4); }

/* Linear 0x400000..0x7fffff goes through TABLE. */
static void setup(void)
{
    cpu = aligned_alloc(64, (sizeof *cpu + 63) / 64 * 64);
    memset(cpu, 0, sizeof *cpu);
    cpu->phys = phys_new(RAM);
    cpu->io = io_bus_new();
    cpu->views = view_set_new();
    cpu_reset(cpu);
    phys_on_code_written(cpu->phys, on_code, NULL);
    io_bus_map_mmio(cpu->io, 0xfe000000, 0x2000, &mmio, NULL);
    poke32(DIRECTORY + 4, TABLE | P | W | U);
    cpu->cr3 = DIRECTORY;
    cpu->cr0 = CR0_PE | CR0_PG | CR0_WP;
    cpu->cpl = 0;
    code_calls = 0;
    view_select(cpu);
}

static void teardown(void)
{
    view_set_free(cpu->views);
    io_bus_free(cpu->io);
    phys_free(cpu->phys);
    free(cpu);
}

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

static int write_fault(uint32_t linear, const void *buffer, uint32_t size, bool user)
{
    jmp_buf env;
    cpu->fault_env = &env;
    if (setjmp(env))
        return (int)cpu->fault_error;
    view_write(cpu, linear, buffer, size, user);
    return -1;
}

static uint64_t entry(bool user, uint32_t table, uint32_t linear)
{
    uint8_t saved = cpu->cpl;
    cpu->cpl = user ? 3 : 0;
    view_select(cpu);
    uint64_t value = cpu->tables[table / 8 + (linear >> 12)];
    cpu->cpl = saved;
    view_select(cpu);
    return value;
}

static uint64_t fill(uint32_t linear, enum view_access access)
{
    uint32_t physical;
    return view_fill(cpu, linear, access, &physical);
}

static uint64_t expected(uint32_t physical, uint32_t linear)
{
    return (uint64_t)(uintptr_t)phys_ram(cpu->phys) + physical - linear;
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

static void test_flush(void)
{
    cpu->cr4 = CR4_PGE;
    set_pte(0x401000, 0x9000 | P | W | U | G);
    set_pte(0x402000, 0xa000 | P | W | U);
    fill(0x401000, VIEW_FOR_WRITE);
    fill(0x402000, VIEW_FOR_WRITE);
    fill(0x402000, VIEW_FOR_EXEC);
    cpu->cpl = 3;
    fill(0x402000, VIEW_FOR_EXEC);
    uint64_t generation = view_generation(cpu);
    set_pte(0x402000, 0); /* a TLB does not notice */
    CU_ASSERT_EQUAL(view_read32(cpu, 0x402000, false), 0);
    view_flush_nonglobal(cpu);
    CU_ASSERT_NOT_EQUAL(view_generation(cpu), generation);
    CU_ASSERT_EQUAL(entry(false, VIEW_WRITE, 0x402000), 0);
    CU_ASSERT_EQUAL(entry(false, VIEW_EXEC, 0x402000), 0);
    CU_ASSERT_EQUAL(entry(false, 0, 0x402000), 0);
    CU_ASSERT_EQUAL(entry(true, 0, 0x402000), 0);
    CU_ASSERT_NOT_EQUAL(entry(false, VIEW_WRITE, 0x401000), 0);
    generation = view_generation(cpu);
    view_flush_nonglobal(cpu); /* no code was filled since the last one */
    CU_ASSERT_EQUAL(view_generation(cpu), generation);
    view_flush_page(cpu, 0x401fff); /* data only */
    CU_ASSERT_EQUAL(view_generation(cpu), generation);
    fill(0x401000, VIEW_FOR_EXEC);
    view_flush_nonglobal(cpu);
    CU_ASSERT_EQUAL(view_generation(cpu), generation);
    view_flush_page(cpu, 0x401fff);
    CU_ASSERT_NOT_EQUAL(view_generation(cpu), generation);
    CU_ASSERT_EQUAL(entry(false, VIEW_WRITE, 0x401000), 0);

    set_pte(0x401000, 0x9000 | P | W | U); /* no longer global */
    cpu->cpl = 0;
    fill(0x401000, VIEW_FOR_READ);
    view_flush_nonglobal(cpu);
    CU_ASSERT_EQUAL(entry(false, 0, 0x401000), 0);

    set_pte(0x401000, 0x9000 | P | W | U | G);
    fill(0x401000, VIEW_FOR_READ);
    view_flush_all(cpu);
    CU_ASSERT_EQUAL(entry(false, 0, 0x401000), 0);
    cpu->cr4 = 0; /* G means nothing without PGE */
    fill(0x401000, VIEW_FOR_READ);
    view_flush_nonglobal(cpu);
    CU_ASSERT_EQUAL(entry(false, 0, 0x401000), 0);
}

/* Filling and INVLPG of one page for ever must not make the log grow. */
static void test_log_is_bounded(void)
{
    set_pte(0x401000, 0x9000 | P | W | U);
    for (int i = 0; i < 3000000; i++) {
        fill(0x401000, VIEW_FOR_WRITE);
        view_flush_page(cpu, 0x401000);
    }
    fill(0x401000, VIEW_FOR_READ);
    view_flush_nonglobal(cpu);
    CU_ASSERT_EQUAL(entry(false, 0, 0x401000), 0);
}

static void test_code_page(void)
{
    const uint32_t value = 0x12345678;
    /* Five linear pages lead to one physical page: more than are remembered singly. */
    for (uint32_t i = 0; i < 5; i++) {
        set_pte(0x401000 + i * 0x1000, 0x9000 | P | W | U);
        fill(0x401000 + i * 0x1000, VIEW_FOR_WRITE);
    }
    cpu->cpl = 3;
    fill(0x402000, VIEW_FOR_WRITE);
    set_pte(0x410000, 0xa000 | P | W | U);
    fill(0x410000, VIEW_FOR_WRITE);
    phys_mark(cpu->phys, 9, PHYS_CODE);
    view_protect_page(cpu, 9);
    for (uint32_t i = 0; i < 5; i++) {
        CU_ASSERT_EQUAL(entry(false, VIEW_WRITE, 0x401000 + i * 0x1000), 0);
        CU_ASSERT_NOT_EQUAL(entry(false, 0, 0x401000 + i * 0x1000), 0);
    }
    CU_ASSERT_EQUAL(entry(true, VIEW_WRITE, 0x402000), 0);
    CU_ASSERT_NOT_EQUAL(entry(true, VIEW_WRITE, 0x410000), 0);
    CU_ASSERT_EQUAL(fill(0x402000, VIEW_FOR_WRITE), 0);
    CU_ASSERT_EQUAL(entry(true, VIEW_WRITE, 0x402000), 0);
    view_write(cpu, 0x402010, &value, 4, true);
    CU_ASSERT_EQUAL(code_calls, 1);
    CU_ASSERT_EQUAL(peek32(0x9010), value);
    CU_ASSERT_EQUAL(view_read32(cpu, 0x403010, true), value);

    phys_unmark(cpu->phys, 9, PHYS_CODE);
    CU_ASSERT_EQUAL(fill(0x402000, VIEW_FOR_WRITE), expected(0x9000, 0x402000));
    phys_mark(cpu->phys, 9, PHYS_CODE);
    view_protect_page(cpu, 9); /* again, after the flood: a single writer */
    CU_ASSERT_EQUAL(entry(true, VIEW_WRITE, 0x402000), 0);
}

/* The remembered writers of a page are overwritten only when they are stale. */
static void test_writers_after_remapping(void)
{
    for (uint32_t i = 0; i < 64; i++) {
        uint32_t linear = 0x401000 + i * 0x1000;
        set_pte(linear, 0x9000 | P | W | U);
        fill(linear, VIEW_FOR_WRITE);
        if (i % 3 == 0) {
            set_pte(linear, 0xb000 | P | W | U);
            view_flush_page(cpu, linear);
            fill(linear, VIEW_FOR_WRITE);
        }
        if (i % 7 == 0)
            view_flush_nonglobal(cpu);
    }
    phys_mark(cpu->phys, 9, PHYS_CODE);
    view_protect_page(cpu, 9);
    for (uint32_t i = 0; i < 64; i++) {
        uint32_t linear = 0x401000 + i * 0x1000;
        CU_ASSERT_NOT_EQUAL(entry(false, VIEW_WRITE, linear), expected(0x9000, linear));
    }
    CU_ASSERT_EQUAL(entry(false, VIEW_WRITE, 0x401000 + 63 * 0x1000), 0);
}

/* A page table in a code page: the accessed bit is a write the translator hears of. */
static void test_table_in_code_page(void)
{
    set_pte(0x401000, 0x9000 | P | W | U);
    phys_mark(cpu->phys, TABLE >> 12, PHYS_CODE);
    fill(0x401000, VIEW_FOR_WRITE);
    CU_ASSERT_EQUAL(code_calls, 1);
    fill(0x401000, VIEW_FOR_WRITE); /* bits set already: no write */
    CU_ASSERT_EQUAL(code_calls, 1);
}

static void test_rom_and_mmio(void)
{
    uint32_t value = 0x11223344, physical = 0;
    phys_set_readonly(cpu->phys, 0xc0000, 0x1000, true);
    set_pte(0x401000, 0xc0000 | P | W | U);
    CU_ASSERT_EQUAL(fill(0x401000, VIEW_FOR_WRITE), 0);
    CU_ASSERT_EQUAL(fill(0x401000, VIEW_FOR_READ), expected(0xc0000, 0x401000));
    CU_ASSERT_EQUAL(entry(false, VIEW_WRITE, 0x401000), 0);
    view_write(cpu, 0x401000, &value, 4, false);
    CU_ASSERT_EQUAL(view_read32(cpu, 0x401000, false), 0);

    set_pte(0x402000, 0xfe001000 | P | W | U);
    CU_ASSERT_EQUAL(view_fill(cpu, 0x402044, VIEW_FOR_READ, &physical), 0);
    CU_ASSERT_EQUAL(physical, 0xfe001044);
    CU_ASSERT_EQUAL(view_read32(cpu, 0x402008, false), 0x1008 << 8 | 4);
    CU_ASSERT_EQUAL(view_read16(cpu, 0x402008, false), (0x1008 << 8 | 2) & 0xffff);
    view_write(cpu, 0x402008, &value, 4, false);
    CU_ASSERT_EQUAL(mmio_value, 0x11223344);
    set_pte(0x403000, 0xf0000000 | P | W | U); /* nobody */
    CU_ASSERT_EQUAL(view_read8(cpu, 0x403000, false), 0xff);

    phys_set_hole(cpu->phys, 0xa0000, 0x20000, true);
    io_bus_map_mmio(cpu->io, 0xa0000, 0x20000, &mmio, NULL);
    set_pte(0x404000, 0xa0000 | P | W | U);
    CU_ASSERT_EQUAL(fill(0x404000, VIEW_FOR_READ), 0);
    CU_ASSERT_EQUAL(view_read32(cpu, 0x404010, false), 0x1004);
}

static void test_crossing(void)
{
    uint8_t bytes[8] = { 1, 2, 3, 4, 5, 6, 7, 8 }, back[8] = { 0 };
    set_pte(0x401000, 0x9000 | P | W | U);
    set_pte(0x402000, 0x5000 | P | W | U); /* not the physically next page */
    view_write(cpu, 0x401ffd, bytes, 8, true);
    CU_ASSERT_EQUAL(phys_ram(cpu->phys)[0x9fff], 3);
    CU_ASSERT_EQUAL(phys_ram(cpu->phys)[0x5000], 4);
    CU_ASSERT_EQUAL(phys_ram(cpu->phys)[0xa000], 0);
    view_read(cpu, 0x401ffd, back, 8, true);
    CU_ASSERT_EQUAL(memcmp(bytes, back, 8), 0);

    /* The second page faults: nothing of the first is written. */
    set_pte(0x403000, 0x6000 | P | U);
    memset(bytes, 0xee, sizeof bytes);
    CU_ASSERT_EQUAL(write_fault(0x402ffc, bytes, 8, true), PF_PRESENT | PF_WRITE | PF_USER);
    CU_ASSERT_EQUAL(cpu->cr2, 0x403000);
    CU_ASSERT_EQUAL(peek32(0x5ffc), 0);
    CU_ASSERT_EQUAL(write_fault(0x402ffc, bytes, 4, true), -1);
    CU_ASSERT_EQUAL(peek32(0x5ffc), 0xeeeeeeee);

    jmp_buf env;
    cpu->fault_env = &env;
    if (setjmp(env) == 0) {
        view_check_write(cpu, 0x402fff, 2, true);
        CU_FAIL("must fault");
    }
    CU_ASSERT_EQUAL(cpu->cr2, 0x403000);
    if (setjmp(env) == 0) {
        view_read(cpu, 0x404ffe, back, 4, true);
        CU_FAIL("must fault");
    }
    CU_ASSERT_EQUAL(cpu->cr2, 0x404ffe); /* the first page comes first */
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

/* Every page of 4 GiB, all by one page table: the entries stay bounded, and whatever
 * is dropped for that can be had again and is noticed by INVLPG. */
static void test_many_pages(void)
{
    const uint64_t generation = view_generation(cpu);
    uint32_t physical, entries = 0, astray = 0;

    for (uint32_t i = 0; i < 1024; i++) {
        poke32(DIRECTORY + 4 * i, TABLE | P | W | U);
        poke32(TABLE + 4 * i, (0x100000 + (i << PAGE_SHIFT)) | P | W | U | A | D);
    }
    CU_ASSERT_NOT_EQUAL(view_fill(cpu, 0, VIEW_FOR_EXEC, &physical), 0);
    for (uint32_t page = 1; page < VIEW_PAGES; page++)
        astray += !view_fill(cpu, page << PAGE_SHIFT, VIEW_FOR_WRITE, &physical) ||
                  physical != 0x100000 + ((page & 1023) << PAGE_SHIFT);
    CU_ASSERT_EQUAL(astray, 0);
    for (uint32_t page = 0; page < VIEW_PAGES; page++)
        entries += cpu->tables[VIEW_WRITE / 8 + page] != 0;
    CU_ASSERT(entries > 0 && entries <= VIEW_LOGGED_MOST);
    CU_ASSERT_EQUAL(cpu->tables[VIEW_EXEC / 8], 0);
    CU_ASSERT(view_generation(cpu) > generation); /* what was fetched through it is forgotten */
    const uint32_t value = 0x1234567;
    view_write(cpu, 0x80001000, &value, sizeof value, false);
    CU_ASSERT_EQUAL(view_read32(cpu, 0x1000, false), value);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "rights and error codes", test_rights },
        { "accessed and dirty", test_accessed_dirty },
        { "4 MiB pages", test_large_page },
        { "PAE", test_pae },
        { "flushes", test_flush },
        { "the log is bounded", test_log_is_bounded },
        { "every page", test_many_pages },
        { "code pages", test_code_page },
        { "writers after remapping", test_writers_after_remapping },
        { "page table in a code page", test_table_in_code_page },
        { "ROM and MMIO", test_rom_and_mmio },
        { "page crossings", test_crossing },
        { "no paging, A20", test_no_paging },
        { "hostile tables", test_hostile_tables },
        CU_TEST_INFO_NULL,
    };

    return unit_run_each("view", tests, setup, teardown);
}
