/* SPDX-License-Identifier: BSD-2-Clause
 *
 * IN and OUT: who may use a port (SDM vol. 1, 19.5), then the bus.
 */
#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/watch.h"

#include "x86vm/protection/descriptor.h"
#include "x86vm/protection/protection.h"

/* The bit of each byte of the access must be 0 in the bitmap that the 32-bit
 * TSS points at. Two bytes are always read: the bitmap ends in one of ones. */
static bool bitmap_allows(struct cpu *cpu, uint16_t port, unsigned size)
{
    if (!(cpu->tr.access & SEG_P) || (cpu->tr.access & 0x1d) != SYS_TSS32 || cpu->tr.limit < 103)
        return false;
    const uint32_t at = view_read16(cpu, cpu->tr.base + 102, false) + port / 8u;
    if (at + 1 > cpu->tr.limit)
        return false;
    const uint16_t bits = view_read16(cpu, cpu->tr.base + at, false);
    return !(bits >> (port & 7) & ((1u << size) - 1));
}

static inline void check(struct cpu *cpu, uint16_t port, unsigned size)
{
    if (!cpu_protected(cpu) || (cpu->cpl <= cpu_iopl(cpu) && !cpu_v8086(cpu)))
        return;
    if (!bitmap_allows(cpu, port, size))
        cpu_fault_error(cpu, VEC_GP, 0);
}

void protection_check_io(struct cpu *cpu, uint16_t port, unsigned size)
{
    check(cpu, port, size);
}

uint32_t protection_in(struct cpu *cpu, uint16_t port, unsigned size)
{
    check(cpu, port, size);
    cpu->watch_hits |= cpu->watch_io ? watch_io_hits(cpu, port, size) : 0;
    return io_port_read(cpu->io, port, size);
}

void protection_out(struct cpu *cpu, uint16_t port, unsigned size, uint32_t value)
{
    check(cpu, port, size);
    cpu->watch_hits |= cpu->watch_io ? watch_io_hits(cpu, port, size) : 0;
    io_port_write(cpu->io, port, size, value);
}
