/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The engine that engine_fixture.h describes.
 */
#include "tests/unit/engine_fixture.h"

#include <CUnit/Basic.h>

#define FLAT_LIMIT 0xffffffffu

struct x86vm *vm;
struct cpu *cpu;
struct phys *phys;

void poke(uint32_t at, const void *bytes, uint32_t size)
{
    CU_ASSERT_TRUE(phys_dma_write(phys, at, bytes, size));
}

void poke32(uint32_t at, uint32_t value) { poke(at, &value, 4); }

void engine_start(uint32_t cache_size)
{
    const struct x86vm_config config = { .ram_size = RAM, .code_cache_size = cache_size };
    const struct cpu_segment code = { .limit = FLAT_LIMIT, .selector = 8, .access = 0x9b | SEG_G | SEG_DB },
                             data = { .limit = FLAT_LIMIT, .selector = 16, .access = 0x93 | SEG_G | SEG_DB };
    char error[200] = "";

    vm = x86vm_new(&config, error, sizeof error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(vm);
    cpu = x86vm_cpu(vm);
    phys = x86vm_phys(vm);
    for (unsigned i = 0; i < CPU_SEG_COUNT; i++)
        cpu_set_segment(cpu, i, i == CPU_CS ? &code : &data);
    cpu->cr0 = CR0_PE | CR0_ET | CR0_NE | CR0_MP;
    cpu->cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT;
    cpu->gdtr = (struct cpu_table){ GDT, 0x17 };
    cpu->idtr = (struct cpu_table){ IDT, 0x7ff };
    poke32(GDT + 8, 0xffff), poke32(GDT + 12, 0xcf9b00);
    poke32(GDT + 16, 0xffff), poke32(GDT + 20, 0xcf9300);
    for (uint32_t i = 0; i < 256; i++) {
        poke32(IDT + i * 8, 8 << 16 | (HANDLERS + i * 4));
        poke32(IDT + i * 8 + 4, 0x8e00);
        poke(HANDLERS + i * 4, "\xf4", 1);
    }
    cpu->eip = CODE;
    cpu->regs[CPU_ESP] = STACK;
    cpu->mode_dirty = true;
    view_select(cpu);
}

void engine_start_paged(uint32_t cache_size)
{
    engine_start(cache_size);
    poke32(DIRECTORY, TABLE | PTE_P | PTE_W);
    for (uint32_t page = 0; page < RAM >> PAGE_SHIFT; page++)
        poke32(TABLE + page * 4, page << PAGE_SHIFT | PTE_P | PTE_W | PTE_G);
    cpu->cr0 |= CR0_PG | CR0_WP;
    cpu->cr3 = DIRECTORY;
    cpu->cr4 |= CR4_PGE;
    view_flush_all(cpu);
    view_select(cpu);
}

void engine_map(uint32_t linear, uint32_t entry)
{
    poke32(TABLE + (linear >> PAGE_SHIFT) * 4, entry);
    view_flush_page(cpu, linear);
}

void engine_end(void)
{
    x86vm_free(vm);
    vm = NULL;
}

int engine_halted_in(void)
{
    uint32_t at = cpu->eip - 1 - HANDLERS;
    return at < 1024 && at % 4 == 0 ? (int)(at / 4) : -1;
}
