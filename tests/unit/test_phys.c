/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Guest RAM: bounds, ROM, holes, A20, and that the translator hears of every
 * change to a code page, in pieces that stay inside a page.
 */
#include "tests/unit/unit.h"
#include "x86vm/memory/phys.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#define RAM (16u << 20)

static struct phys *phys;
static unsigned calls;
static uint32_t last_address, last_size, first_address;
static uint8_t seen_before; /* the byte at the address when the call came */

static void on_code(void *opaque, uint32_t address, uint32_t size)
{
    CU_ASSERT_PTR_EQUAL(opaque, &calls);
    if (!calls)
        first_address = address;
    calls++;
    last_address = address;
    last_size = size;
    seen_before = phys_ram(phys)[address];
}

static void setup(void)
{
    phys = phys_new(RAM);
    calls = 0;
    phys_on_code_written(phys, on_code, &calls);
}

static void teardown(void) { phys_free(phys); }

static void test_sizes(void)
{
    errno = 0;
    CU_ASSERT_PTR_NULL(phys_new(0));
    CU_ASSERT_EQUAL(errno, EINVAL);
    CU_ASSERT_PTR_NULL(phys_new(4097));
    CU_ASSERT_PTR_NULL(phys_new((uint64_t)PHYS_RAM_MAX + 4096));
    struct phys *big = phys_new(PHYS_RAM_MAX);
    CU_ASSERT_PTR_NOT_NULL_FATAL(big);
    phys_ram(big)[PHYS_RAM_MAX - 1] = 1;
    CU_ASSERT_EQUAL(phys_ram_size(big), PHYS_RAM_MAX);
    phys_free(big);
    phys_free(NULL);
}

static void test_dma_bounds(void)
{
    uint8_t buffer[64] = { 1, 2, 3 };
    CU_ASSERT_TRUE(phys_dma_write(phys, RAM - 64, buffer, 64));
    CU_ASSERT_FALSE(phys_dma_write(phys, RAM - 63, buffer, 64));
    CU_ASSERT_FALSE(phys_dma_write(phys, RAM, buffer, 1));
    CU_ASSERT_FALSE(phys_dma_write(phys, UINT64_MAX - 3, buffer, 64));
    CU_ASSERT_FALSE(phys_dma_read(phys, 0x100000000, buffer, 1));
    CU_ASSERT_FALSE(phys_dma_read(phys, 8, buffer, SIZE_MAX));
    uint8_t back[3];
    CU_ASSERT_TRUE(phys_dma_read(phys, RAM - 64, back, 3));
    CU_ASSERT_EQUAL(memcmp(back, buffer, 3), 0);
    CU_ASSERT_TRUE(phys_dma_read(phys, RAM, back, 0));
}

static void test_rom_and_hole(void)
{
    uint8_t byte = 0x55, out = 0;
    phys_ram(phys)[0xc0000] = 0x11;
    phys_set_readonly(phys, 0xc0000, 0x40000, true);
    phys_set_hole(phys, 0xa0000, 0x20000, true);
    CU_ASSERT_TRUE(phys_is_ram(phys, 0xc0000));
    CU_ASSERT_FALSE(phys_is_writable(phys, 0xc0000));
    CU_ASSERT_TRUE(phys_is_writable(phys, 0x100000));
    CU_ASSERT_FALSE(phys_is_ram(phys, 0xa0000));
    CU_ASSERT_FALSE(phys_is_ram(phys, 0xbffff));
    CU_ASSERT_TRUE(phys_is_ram(phys, 0x9ffff));
    CU_ASSERT_FALSE(phys_is_ram(phys, RAM));
    CU_ASSERT_FALSE(phys_is_ram(phys, UINT64_MAX));
    CU_ASSERT_FALSE(phys_dma_write(phys, 0xc0000, &byte, 1));
    CU_ASSERT_TRUE(phys_dma_read(phys, 0xc0000, &out, 1));
    CU_ASSERT_EQUAL(out, 0x11);
    phys_write(phys, 0xc0000, &byte, 1);
    CU_ASSERT_EQUAL(phys_ram(phys)[0xc0000], 0x11);
    uint8_t two[2] = { 9, 9 };
    CU_ASSERT_FALSE(phys_dma_write(phys, 0x9ffff, two, 2)); /* nothing of it is written */
    CU_ASSERT_EQUAL(phys_ram(phys)[0x9ffff], 0);
    phys_set_readonly(phys, 0xc0000, 0x40000, false);
    CU_ASSERT_TRUE(phys_dma_write(phys, 0xc0000, &byte, 1));
    phys_set_hole(phys, 0xa0000, 0x20000, false);
    CU_ASSERT_TRUE(phys_is_writable(phys, 0xa0000));
    phys_set_hole(phys, 0xfffff000, 0x1000, true); /* past RAM: no effect */
}

static void test_marks(void)
{
    phys_set_readonly(phys, 0x3000, 1, true);
    phys_mark(phys, 3, PHYS_CODE);
    CU_ASSERT_EQUAL(phys_marks(phys, 3), PHYS_CODE);
    CU_ASSERT_EQUAL(phys_marks(phys, 2), 0);
    phys_unmark(phys, 3, PHYS_CODE);
    CU_ASSERT_EQUAL(phys_marks(phys, 3), 0);
    CU_ASSERT_FALSE(phys_is_writable(phys, 0x3000)); /* marks are independent */
}

static void test_code_written(void)
{
    uint8_t buffer[3 * PAGE_SIZE];
    memset(buffer, 0xaa, sizeof buffer);
    phys_write(phys, 0x5000, buffer, 4);
    CU_ASSERT_EQUAL(calls, 0);
    phys_mark(phys, 5, PHYS_CODE);
    phys_ram(phys)[0x5010] = 0x77;
    phys_write(phys, 0x5010, buffer, 4);
    CU_ASSERT_EQUAL(calls, 1);
    CU_ASSERT_EQUAL(last_address, 0x5010);
    CU_ASSERT_EQUAL(last_size, 4);
    CU_ASSERT_EQUAL(seen_before, 0x77); /* told before the bytes change */
    CU_ASSERT_EQUAL(phys_ram(phys)[0x5013], 0xaa);

    calls = 0;
    phys_mark(phys, 6, PHYS_CODE);
    CU_ASSERT_TRUE(phys_dma_write(phys, 0x4ff0, buffer, sizeof buffer));
    CU_ASSERT_EQUAL(calls, 2); /* 5 and 6; 4 and 7 hold no code */
    CU_ASSERT_EQUAL(first_address, 0x5000);
    CU_ASSERT_EQUAL(last_address, 0x6000);
    CU_ASSERT_EQUAL(last_size, PAGE_SIZE);

    calls = 0;
    phys_write(phys, 0x5fff, buffer, 2); /* a caller's mistake: refused whole */
    CU_ASSERT_EQUAL(calls, 0);
}

static bool is_resident(uint32_t address)
{
    unsigned char there = 0;
    CU_ASSERT_EQUAL(mincore(phys_ram(phys) + address, PAGE_SIZE, &there), 0);
    return there & 1;
}

static void test_clear(void)
{
    enum { FROM = 0x200ffe, TO = 0x204003 };
    static const uint8_t zeros[TO - FROM];

    memset(phys_ram(phys) + 0x200000, 0xaa, 6 * PAGE_SIZE);
    phys_mark(phys, 0x202, PHYS_CODE);
    CU_ASSERT_TRUE(phys_dma_clear(phys, FROM, TO - FROM));
    CU_ASSERT_FALSE(is_resident(0x201000));
    CU_ASSERT_FALSE(is_resident(0x203000));
    CU_ASSERT_EQUAL(calls, 1); /* and heard of the page before it was zeroed */
    CU_ASSERT_EQUAL(last_address, 0x202000);
    CU_ASSERT_EQUAL(seen_before, 0xaa);
    CU_ASSERT_EQUAL(memcmp(phys_ram(phys) + FROM, zeros, TO - FROM), 0);
    CU_ASSERT_EQUAL(phys_ram(phys)[FROM - 1], 0xaa);
    CU_ASSERT_EQUAL(phys_ram(phys)[TO], 0xaa);
    CU_ASSERT_FALSE(phys_dma_clear(phys, RAM - 1, 2));
    CU_ASSERT_FALSE(phys_dma_clear(phys, UINT64_MAX, 2));
    phys_set_readonly(phys, 0x203000, PAGE_SIZE, true);
    memset(phys_ram(phys) + 0x200000, 0xaa, PAGE_SIZE);
    CU_ASSERT_FALSE(phys_dma_clear(phys, 0x200000, 4 * PAGE_SIZE)); /* nothing of it */
    CU_ASSERT_EQUAL(phys_ram(phys)[0x200000], 0xaa);
}

static void test_a20(void)
{
    CU_ASSERT_TRUE(phys_a20(phys));
    phys_set_a20(phys, false);
    CU_ASSERT_FALSE(phys_a20(phys));
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "sizes", test_sizes },
        { "cve class H: DMA bounds", test_dma_bounds },
        { "cve class H: ROM and holes", test_rom_and_hole },
        { "marks", test_marks },
        { "code pages tell the translator", test_code_written },
        { "clearing gives pages back", test_clear },
        { "A20", test_a20 },
        CU_TEST_INFO_NULL,
    };

    return unit_run_each("phys", tests, setup, teardown);
}
