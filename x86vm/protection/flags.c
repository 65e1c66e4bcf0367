/* SPDX-License-Identifier: BSD-2-Clause
 *
 * PUSHF, POPF, CLI and STI: who may see and change IF, IOPL and the virtual
 * interrupt flag (SDM vol. 2; vol. 3, ch. 20 for VME and PVI).
 */
#include "x86vm/protection/flags.h"

#include "x86vm/protection/protection.h"

void flags_require_virtual(struct cpu *cpu, uint32_t image)
{
    if (image & FLAG_TF || (image & FLAG_IF && cpu->eflags & FLAG_VIP))
        cpu_fault_error(cpu, VEC_GP, 0);
}

void flags_write_virtual(struct cpu *cpu, uint32_t image)
{
    flags_write(cpu, image, FLAGS_WRITABLE & 0xffff & ~(uint32_t)(FLAG_IF | FLAG_IOPL));
    flags_write(cpu, image & FLAG_IF ? FLAG_VIF : 0, FLAG_VIF);
}

/* Virtual-8086 mode with IOPL < 3: true when VME lets `size` through on VIF, else #GP(0). */
static bool on_virtual_if(struct cpu *cpu, unsigned size)
{
    if (!cpu_v8086(cpu) || cpu_iopl(cpu) == 3)
        return false;
    if (size != 2 || !(cpu->cr4 & CR4_VME))
        cpu_fault_error(cpu, VEC_GP, 0);
    return true;
}

uint32_t protection_pushf_image(struct cpu *cpu, unsigned size)
{
    const uint32_t image = cpu->eflags & ~(uint32_t)(FLAG_VM | FLAG_RF);

    if (!on_virtual_if(cpu, size))
        return size == 2 ? image & 0xffff : image;
    return (image & 0xffff & ~(uint32_t)FLAG_IF) | FLAG_IOPL | (image & FLAG_VIF ? FLAG_IF : 0);
}

void protection_popf(struct cpu *cpu, uint32_t image, unsigned size)
{
    uint32_t mask = FLAGS_WRITABLE & ~(uint32_t)(FLAG_VIF | FLAG_VIP);

    if (on_virtual_if(cpu, size)) {
        flags_require_virtual(cpu, image);
        flags_write_virtual(cpu, image);
        return;
    }
    if (cpu->cpl)
        mask &= ~(uint32_t)FLAG_IOPL;
    if (cpu->cpl > cpu_iopl(cpu))
        mask &= ~(uint32_t)FLAG_IF;
    if (size == 2)
        mask &= 0xffff;
    flags_write(cpu, image & ~(uint32_t)FLAG_RF, mask); /* POPFD clears RF */
}

/* Which bit CLI and STI change: IF, VIF, or none (#GP). */
static uint32_t interrupt_flag(struct cpu *cpu)
{
    if (cpu->cpl <= cpu_iopl(cpu))
        return FLAG_IF;
    const uint32_t extension = cpu_v8086(cpu) ? CR4_VME : CR4_PVI;
    if (cpu->cpl != 3 || !(cpu->cr4 & extension))
        cpu_fault_error(cpu, VEC_GP, 0);
    return FLAG_VIF;
}

void protection_cli(struct cpu *cpu)
{
    cpu->eflags &= ~interrupt_flag(cpu);
}

void protection_sti(struct cpu *cpu)
{
    const uint32_t flag = interrupt_flag(cpu);

    if (flag == FLAG_VIF && cpu->eflags & FLAG_VIP)
        cpu_fault_error(cpu, VEC_GP, 0);
    if (flag == FLAG_IF && !(cpu->eflags & FLAG_IF))
        cpu->interrupt_shadow = true;
    cpu->eflags |= flag;
}
