/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The machine that view_fixture.h describes.
 */
#include "tests/unit/view_fixture.h"

#include <stdlib.h>
#include <string.h>

struct cpu *cpu;

void poke32(uint32_t address, uint32_t value) { memcpy(phys_ram(cpu->phys) + address, &value, 4); }

uint32_t peek32(uint32_t address)
{
    uint32_t value;
    memcpy(&value, phys_ram(cpu->phys) + address, 4);
    return value;
}

void set_pte(uint32_t linear, uint32_t pte) { poke32(TABLE + (linear >> 12 & 1023) * 4, pte); }
uint32_t pte(uint32_t linear) { return peek32(TABLE + (linear >> 12 & 1023) * 4); }

void view_fixture_start(void)
{
    cpu = aligned_alloc(64, (sizeof *cpu + 63) / 64 * 64);
    memset(cpu, 0, sizeof *cpu);
    cpu->phys = phys_new(RAM);
    cpu->io = io_bus_new();
    cpu->views = view_set_new();
    cpu_reset(cpu);
    poke32(DIRECTORY + 4, TABLE | P | W | U);
    cpu->cr3 = DIRECTORY;
    cpu->cr0 = CR0_PE | CR0_PG | CR0_WP;
    cpu->cpl = 0;
    view_select(cpu);
}

void view_fixture_stop(void)
{
    view_set_free(cpu->views);
    io_bus_free(cpu->io);
    phys_free(cpu->phys);
    free(cpu);
}

uint64_t entry(bool user, uint32_t table, uint32_t linear)
{
    uint8_t saved = cpu->cpl;
    cpu->cpl = user ? 3 : 0;
    view_select(cpu);
    uint64_t value = cpu->tables[table / 8 + (linear >> 12)];
    cpu->cpl = saved;
    view_select(cpu);
    return value;
}

uint64_t fill(uint32_t linear, enum view_access access)
{
    uint32_t physical;
    return view_fill(cpu, linear, access, &physical);
}

uint64_t expected(uint32_t physical, uint32_t linear)
{
    return (uint64_t)(uintptr_t)phys_ram(cpu->phys) + physical - linear;
}
