/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Operands of instructions that are carried out in C: registers by size,
 * memory through the segment's checks and the guest's paging.
 */
#ifndef X86VM_TRANSLATE_OPERAND_H
#define X86VM_TRANSLATE_OPERAND_H

#include "x86vm/cpu/cpu.h"
#include "x86vm/decode/insn.h"

uint32_t operand_reg(const struct cpu *cpu, unsigned reg, unsigned size); /* size 1: AL..BL, AH..BH */
void operand_set_reg(struct cpu *cpu, unsigned reg, unsigned size, uint32_t value);

uint32_t operand_offset(const struct cpu *cpu, const struct insn *insn);
/* Memory operand at `delta` bytes behind its start. */
uint32_t operand_load(struct cpu *cpu, const struct insn *insn, uint32_t delta, unsigned size);
void operand_store(struct cpu *cpu, const struct insn *insn, uint32_t delta, unsigned size, uint32_t value);
/* ModRM.rm: register or memory. */
uint32_t operand_rm(struct cpu *cpu, const struct insn *insn, unsigned size);
void operand_set_rm(struct cpu *cpu, const struct insn *insn, unsigned size, uint32_t value);
/* Linear address of `size` bytes of the memory operand, checked for the access. */
uint32_t operand_linear(struct cpu *cpu, const struct insn *insn, uint32_t delta, uint32_t size, bool write);

static inline uint32_t operand_next(const struct cpu *cpu, const struct insn *insn)
{
    (void)cpu;
    return insn->eip + insn->length; /* not cut to 16 bits in 16-bit code either */
}

#endif
