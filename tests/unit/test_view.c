/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Views of a guest's address space: what a flush drops and keeps, how many entries
 * there can be, code pages, ROM, MMIO, page crossings. Page walks are test_paging.c's.
 */
#include "tests/unit/unit.h"
#include "tests/unit/view_fixture.h"

#include <string.h>

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

static void setup(void)
{
    view_fixture_start();
    phys_on_code_written(cpu->phys, on_code, NULL);
    io_bus_map_mmio(cpu->io, 0xfe000000, 0x2000, &mmio, NULL);
    code_calls = 0;
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
        { "flushes", test_flush },
        { "the log is bounded", test_log_is_bounded },
        { "every page", test_many_pages },
        { "code pages", test_code_page },
        { "writers after remapping", test_writers_after_remapping },
        { "page table in a code page", test_table_in_code_page },
        { "ROM and MMIO", test_rom_and_mmio },
        { "page crossings", test_crossing },
        CU_TEST_INFO_NULL,
    };

    return unit_run_each("view", tests, setup, view_fixture_stop);
}
