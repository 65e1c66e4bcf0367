/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Privileged and sensitive instructions: operands here, meaning in protection/.
 */
#include "x86vm/protection/protection.h"
#include "x86vm/translate/calls.h"
#include "x86vm/translate/operand.h"
#include "x86vm/translate/transition.h"

static enum call_result leave_after(struct cpu *cpu, const struct insn *insn)
{
    cpu->eip = operand_next(cpu, insn);
    return CALL_EXIT;
}

enum call_result calls_cli(struct cpu *cpu, const struct insn *insn)
{
    (void)insn;
    protection_cli(cpu);
    return CALL_NEXT;
}

enum call_result calls_sti(struct cpu *cpu, const struct insn *insn)
{
    protection_sti(cpu);
    /* A pending interrupt comes after exactly one more instruction: STI; NOP; CLI lets it in. */
    return calls_interrupt_due(cpu) ? leave_after(cpu, insn) : CALL_NEXT;
}

enum call_result calls_hlt(struct cpu *cpu, const struct insn *insn)
{
    protection_hlt(cpu);
    return leave_after(cpu, insn);
}

static uint16_t port_of(const struct cpu *cpu, const struct insn *insn)
{
    return insn->opcode >= 0xec ? cpu->regs[CPU_EDX] & 0xffff : insn->imm & 0xff;
}

enum call_result calls_in(struct cpu *cpu, const struct insn *insn)
{
    unsigned size = insn->opcode & 1 ? insn->opsize : 1;
    operand_set_reg(cpu, CPU_EAX, size, protection_in(cpu, port_of(cpu, insn), size));
    return CALL_NEXT;
}

enum call_result calls_out(struct cpu *cpu, const struct insn *insn)
{
    unsigned size = insn->opcode & 1 ? insn->opsize : 1;
    protection_out(cpu, port_of(cpu, insn), size, operand_reg(cpu, CPU_EAX, size));
    return CALL_NEXT;
}

#define SIMPLE(name) \
    enum call_result calls_##name(struct cpu *cpu, const struct insn *insn) \
    { \
        (void)insn; \
        protection_##name(cpu); \
        return CALL_NEXT; \
    }
SIMPLE(cpuid)
SIMPLE(rdtsc)
SIMPLE(rdpmc)
SIMPLE(rdmsr)
SIMPLE(invd)
#undef SIMPLE

enum call_result calls_wrmsr(struct cpu *cpu, const struct insn *insn)
{
    protection_wrmsr(cpu);
    transition_forget(translator_current);
    return leave_after(cpu, insn);
}

enum call_result calls_mov_from_cr(struct cpu *cpu, const struct insn *insn)
{
    cpu->regs[insn_rm(insn)] = protection_read_cr(cpu, insn_reg(insn));
    return CALL_NEXT;
}

enum call_result calls_mov_to_cr(struct cpu *cpu, const struct insn *insn)
{
    protection_write_cr(cpu, insn_reg(insn), cpu->regs[insn_rm(insn)]);
    return leave_after(cpu, insn);
}

enum call_result calls_mov_from_dr(struct cpu *cpu, const struct insn *insn)
{
    cpu->regs[insn_rm(insn)] = protection_read_dr(cpu, insn_reg(insn));
    return CALL_NEXT;
}

enum call_result calls_mov_to_dr(struct cpu *cpu, const struct insn *insn)
{
    protection_write_dr(cpu, insn_reg(insn), cpu->regs[insn_rm(insn)]);
    return CALL_NEXT;
}

enum call_result calls_clts(struct cpu *cpu, const struct insn *insn)
{
    protection_clts(cpu);
    return leave_after(cpu, insn);
}

/* Privilege comes before the memory operand. */
static void need_cpl0(struct cpu *cpu)
{
    if (cpu->cpl != 0)
        cpu_fault_error(cpu, VEC_GP, 0);
}

enum call_result calls_lmsw(struct cpu *cpu, const struct insn *insn)
{
    need_cpl0(cpu);
    protection_lmsw(cpu, (uint16_t)operand_rm(cpu, insn, 2));
    return leave_after(cpu, insn);
}

enum call_result calls_smsw(struct cpu *cpu, const struct insn *insn)
{
    operand_set_rm(cpu, insn, insn->has_mem ? 2 : insn->opsize, protection_smsw(cpu));
    return CALL_NEXT;
}

enum call_result calls_store_table(struct cpu *cpu, const struct insn *insn)
{
    struct cpu_table table = protection_store_table(cpu, insn->kind == INSN_SIDT);

    operand_linear(cpu, insn, 0, 6, true);
    operand_store(cpu, insn, 0, 2, table.limit);
    operand_store(cpu, insn, 2, 4, table.base);
    return CALL_NEXT;
}

enum call_result calls_load_table(struct cpu *cpu, const struct insn *insn)
{
    uint32_t limit, base;

    need_cpl0(cpu);
    limit = operand_load(cpu, insn, 0, 2);
    base = operand_load(cpu, insn, 2, 4);
    protection_load_table(cpu, insn->kind == INSN_LIDT, insn->opsize == 2 ? base & 0xffffff : base, (uint16_t)limit);
    transition_forget(translator_current);
    return CALL_NEXT;
}

enum call_result calls_store_selector(struct cpu *cpu, const struct insn *insn)
{
    operand_set_rm(cpu, insn, insn->has_mem ? 2 : insn->opsize, protection_store_selector(cpu, insn->kind == INSN_STR));
    return CALL_NEXT;
}

enum call_result calls_lldt(struct cpu *cpu, const struct insn *insn)
{
    calls_need_selectors(cpu);
    need_cpl0(cpu);
    protection_lldt(cpu, (uint16_t)operand_rm(cpu, insn, 2));
    return CALL_NEXT;
}

enum call_result calls_ltr(struct cpu *cpu, const struct insn *insn)
{
    calls_need_selectors(cpu);
    need_cpl0(cpu);
    protection_ltr(cpu, (uint16_t)operand_rm(cpu, insn, 2));
    return CALL_NEXT;
}

enum call_result calls_invlpg(struct cpu *cpu, const struct insn *insn)
{
    protection_invlpg(cpu, cpu->seg_base[insn->mem.seg] + operand_offset(cpu, insn));
    return leave_after(cpu, insn);
}
