/* SPDX-License-Identifier: BSD-2-Clause
 *
 * SYSENTER and SYSEXIT (SDM vol. 2): fixed flat segments, no descriptor is read.
 */
#include "x86vm/protection/descriptor.h"
#include "x86vm/protection/protection.h"

static void set_flat(struct cpu *cpu, enum cpu_seg which, uint16_t selector, unsigned type)
{
    const struct cpu_segment s = {
        .limit = 0xffffffff, .selector = selector,
        .access = SEG_G | SEG_DB | SEG_P | SEG_S | SEG_TYPE_RW | SEG_TYPE_ACCESSED | type |
                  (selector & SELECTOR_RPL) << SEG_DPL_SHIFT,
    };
    cpu_set_segment(cpu, which, &s);
}

void protection_sysenter(struct cpu *cpu)
{
    const uint16_t selector = cpu->sysenter_cs & 0xfffc;

    if (!cpu_protected(cpu) || !selector)
        cpu_fault_error(cpu, VEC_GP, 0);
    cpu->eflags &= ~(uint32_t)(FLAG_VM | FLAG_IF | FLAG_RF);
    set_flat(cpu, CPU_CS, selector, SEG_TYPE_CODE);
    set_flat(cpu, CPU_SS, selector + 8, 0);
    cpu->regs[CPU_ESP] = cpu->sysenter_esp;
    cpu->eip = cpu->sysenter_eip;
    privilege_set(cpu, 0);
}

void protection_sysexit(struct cpu *cpu)
{
    const uint16_t selector = cpu->sysenter_cs & 0xfffc;

    if (!cpu_protected(cpu) || !selector || cpu->cpl)
        cpu_fault_error(cpu, VEC_GP, 0);
    set_flat(cpu, CPU_CS, (selector + 16) | 3, SEG_TYPE_CODE);
    set_flat(cpu, CPU_SS, (selector + 24) | 3, 0);
    cpu->eip = cpu->regs[CPU_EDX];
    cpu->regs[CPU_ESP] = cpu->regs[CPU_ECX];
    privilege_set(cpu, 3);
}
