/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Initial CPU state and low memory: see boot_cpu.h.
 */
#include "x86vm/pc/boot_cpu.h"

#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/phys.h"

enum { SELECTOR_CODE = 0x10, SELECTOR_DATA = 0x18 };

bool boot_flat_mode(struct phys *phys, struct cpu *cpu, uint32_t entry)
{
    static const uint64_t gdt[4] = { 0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff };
    static const struct cpu_segment code = { 0, 0xffffffff, SELECTOR_CODE,
        SEG_P | SEG_S | SEG_TYPE_CODE | SEG_TYPE_RW | SEG_TYPE_ACCESSED | SEG_DB | SEG_G };
    static const struct cpu_segment data = { 0, 0xffffffff, SELECTOR_DATA,
        SEG_P | SEG_S | SEG_TYPE_RW | SEG_TYPE_ACCESSED | SEG_DB | SEG_G };

    if (!phys_dma_write(phys, BOOT_GDT, gdt, sizeof gdt))
        return false;
    for (int i = 0; i < CPU_SEG_COUNT; i++)
        cpu_set_segment(cpu, i, i == CPU_CS ? &code : &data);
    cpu->gdtr = (struct cpu_table){ BOOT_GDT, sizeof gdt - 1 };
    cpu->idtr = (struct cpu_table){ 0, 0 };
    cpu->cr0 = CR0_PE | CR0_ET;
    cpu->eflags = FLAG_ONE;
    cpu->eip = entry;
    cpu->regs[CPU_ESP] = BOOT_STACK;
    cpu->mode_dirty = true;
    return true;
}

bool boot_bios_data(struct phys *phys)
{
    static const uint16_t serial_ports[2] = { 0x3f8, 0x2f8 };
    const uint16_t ebda_segment = BOOT_LOW_END >> 4, base_kib = BOOT_LOW_END >> 10, warm_boot = 0;

    return phys_dma_write(phys, 0x400, serial_ports, sizeof serial_ports) &&
           phys_dma_write(phys, 0x40e, &ebda_segment, 2) && phys_dma_write(phys, 0x413, &base_kib, 2) &&
           phys_dma_write(phys, 0x472, &warm_boot, 2);
}
