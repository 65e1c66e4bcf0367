/* SPDX-License-Identifier: BSD-2-Clause
 *
 * See watch.h.
 */
#include "x86vm/memory/watch.h"

#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/phys.h"
#include "x86vm/memory/view.h"

enum { CONDITION_EXECUTE = 0, CONDITION_WRITE = 1, CONDITION_IO = 2, CONDITION_ACCESS = 3 };

static unsigned condition(const struct cpu *cpu, unsigned i)
{
    return cpu->dr[7] >> (16 + 4 * i) & 3;
}

static uint32_t length(const struct cpu *cpu, unsigned i)
{
    static const uint8_t lengths[] = { 1, 2, 8, 4 };
    return lengths[cpu->dr[7] >> (18 + 4 * i) & 3];
}

void watch_update(struct cpu *cpu)
{
    bool had_data = cpu->watch_data;

    cpu->watch_data = cpu->watch_code = cpu->watch_io = 0;
    for (unsigned i = 0; i < 4; i++) {
        if (!(cpu->dr[7] >> (2 * i) & 3))
            continue;
        if (condition(cpu, i) == CONDITION_EXECUTE)
            cpu->watch_code |= (uint8_t)(1u << i);
        else if (condition(cpu, i) != CONDITION_IO)
            cpu->watch_data |= (uint8_t)(1u << i);
        else if (cpu->cr4 & CR4_DE)
            cpu->watch_io |= (uint8_t)(1u << i);
    }
    if (had_data || cpu->watch_data)
        view_flush_all(cpu);
}

static bool overlaps(const struct cpu *cpu, unsigned i, uint32_t linear, uint32_t size)
{
    uint32_t start = cpu->dr[i] & ~(length(cpu, i) - 1);
    return linear - start < length(cpu, i) || start - linear < size;
}

uint32_t watch_data_hits(const struct cpu *cpu, uint32_t linear, uint32_t size, bool write)
{
    uint32_t hits = 0;

    for (unsigned i = 0; i < 4; i++)
        if (cpu->watch_data >> i & 1 && (write || condition(cpu, i) == CONDITION_ACCESS) && overlaps(cpu, i, linear, size))
            hits |= 1u << i;
    return hits;
}

uint32_t watch_io_hits(const struct cpu *cpu, uint16_t port, uint32_t size)
{
    uint32_t hits = 0;

    for (unsigned i = 0; i < 4; i++)
        if (cpu->watch_io >> i & 1 && overlaps(cpu, i, port, size))
            hits |= 1u << i;
    return hits;
}

bool watch_page(const struct cpu *cpu, uint32_t linear)
{
    for (unsigned i = 0; i < 4; i++)
        if (cpu->watch_data >> i & 1 && overlaps(cpu, i, linear & ~(PAGE_SIZE - 1), PAGE_SIZE))
            return true;
    return false;
}

uint32_t watch_code_hits(const struct cpu *cpu, uint32_t linear)
{
    uint32_t hits = 0;

    for (unsigned i = 0; i < 4; i++)
        if (cpu->watch_code >> i & 1 && cpu->dr[i] == linear)
            hits |= 1u << i;
    return hits;
}
