/* SPDX-License-Identifier: BSD-2-Clause
 *
 * See operand.h.
 */
#include "x86vm/translate/operand.h"

#include "x86vm/memory/view.h"
#include "x86vm/protection/protection.h"

uint32_t operand_reg(const struct cpu *cpu, unsigned reg, unsigned size)
{
    if (size == 1)
        return reg < 4 ? cpu->regs[reg] & 0xff : cpu->regs[reg - 4] >> 8 & 0xff;
    return size == 2 ? cpu->regs[reg] & 0xffff : cpu->regs[reg];
}

void operand_set_reg(struct cpu *cpu, unsigned reg, unsigned size, uint32_t value)
{
    if (size == 4)
        cpu->regs[reg] = value;
    else if (size == 2)
        cpu->regs[reg] = (cpu->regs[reg] & 0xffff0000) | (value & 0xffff);
    else if (reg < 4)
        cpu->regs[reg] = (cpu->regs[reg] & 0xffffff00) | (value & 0xff);
    else
        cpu->regs[reg - 4] = (cpu->regs[reg - 4] & 0xffff00ff) | (value & 0xff) << 8;
}

uint32_t operand_offset(const struct cpu *cpu, const struct insn *insn)
{
    const struct insn_mem *mem = &insn->mem;
    uint32_t offset = (uint32_t)mem->disp;

    if (mem->base != INSN_NO_REG)
        offset += cpu->regs[mem->base];
    if (mem->index != INSN_NO_REG)
        offset += cpu->regs[mem->index] << mem->scale;
    return insn->addrsize == 2 ? offset & 0xffff : offset;
}

/* A part of an operand `delta` behind its start: its address has 16 bits, too. */
uint32_t operand_linear(struct cpu *cpu, const struct insn *insn, uint32_t delta, uint32_t size, bool write)
{
    uint32_t offset = operand_offset(cpu, insn) + delta;

    return protection_program_address(cpu, insn->mem.seg, insn->addrsize == 2 ? offset & 0xffff : offset, size, write);
}

uint32_t operand_load(struct cpu *cpu, const struct insn *insn, uint32_t delta, unsigned size)
{
    uint32_t value = 0;
    view_read(cpu, operand_linear(cpu, insn, delta, size, false), &value, size, cpu->cpl == 3);
    return value;
}

void operand_store(struct cpu *cpu, const struct insn *insn, uint32_t delta, unsigned size, uint32_t value)
{
    view_write(cpu, operand_linear(cpu, insn, delta, size, true), &value, size, cpu->cpl == 3);
}

uint32_t operand_rm(struct cpu *cpu, const struct insn *insn, unsigned size)
{
    return insn->has_mem ? operand_load(cpu, insn, 0, size) : operand_reg(cpu, insn_rm(insn), size);
}

void operand_set_rm(struct cpu *cpu, const struct insn *insn, unsigned size, uint32_t value)
{
    if (insn->has_mem)
        operand_store(cpu, insn, 0, size, value);
    else
        operand_set_reg(cpu, insn_rm(insn), size, value);
}
