/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Segment registers, descriptor queries, far transfers and software
 * interrupts: operands here, meaning in protection/.
 */
#include "x86vm/protection/protection.h"
#include "x86vm/translate/calls.h"
#include "x86vm/translate/operand.h"
#include "x86vm/translate/transition.h"

enum call_result calls_mov_from_segment(struct cpu *cpu, const struct insn *insn)
{
    if (insn_reg(insn) >= CPU_SEG_COUNT)
        cpu_fault(cpu, VEC_UD);
    operand_set_rm(cpu, insn, insn->has_mem ? 2 : insn->opsize, cpu->seg[insn_reg(insn)].selector);
    return CALL_NEXT;
}

enum call_result calls_mov_to_segment(struct cpu *cpu, const struct insn *insn)
{
    if (insn_reg(insn) >= CPU_SEG_COUNT || insn_reg(insn) == CPU_CS)
        cpu_fault(cpu, VEC_UD);
    protection_load_segment(cpu, insn_reg(insn), (uint16_t)operand_rm(cpu, insn, 2));
    transition_note_load(translator_current, insn_reg(insn));
    return CALL_NEXT;
}

enum call_result calls_load_far_pointer(struct cpu *cpu, const struct insn *insn)
{
    static const struct { uint8_t opcode, seg; } rows[] = { { 0xc4, CPU_ES }, { 0xc5, CPU_DS }, { 0xb2, CPU_SS },
        { 0xb4, CPU_FS }, { 0xb5, CPU_GS } };
    uint32_t offset = operand_load(cpu, insn, 0, insn->opsize), selector = operand_load(cpu, insn, insn->opsize, 2);

    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].opcode == insn->opcode)
            protection_load_segment(cpu, rows[i].seg, (uint16_t)selector);
    cpu->interrupt_shadow = false; /* LSS needs none: it loads ESP as well */
    cpu->debug_delay = DEBUG_AT_ONCE;
    operand_set_reg(cpu, insn_reg(insn), insn->opsize, offset);
    return CALL_NEXT;
}

static void far_pointer(struct cpu *cpu, const struct insn *insn, uint16_t *selector, uint32_t *offset)
{
    if (insn->has_mem) {
        *offset = operand_load(cpu, insn, 0, insn->opsize);
        *selector = (uint16_t)operand_load(cpu, insn, insn->opsize, 2);
    } else {
        *offset = insn->opsize == 2 ? insn->imm & 0xffff : insn->imm;
        *selector = (uint16_t)insn->imm2;
    }
}

enum call_result calls_far_jmp(struct cpu *cpu, const struct insn *insn)
{
    uint16_t selector;
    uint32_t offset;

    far_pointer(cpu, insn, &selector, &offset);
    protection_far_jump(cpu, selector, offset, insn->opsize, operand_next(cpu, insn));
    return CALL_EXIT;
}

enum call_result calls_far_call(struct cpu *cpu, const struct insn *insn)
{
    uint16_t selector;
    uint32_t offset;

    far_pointer(cpu, insn, &selector, &offset);
    protection_far_call(cpu, selector, offset, insn->opsize, operand_next(cpu, insn));
    return CALL_EXIT;
}

enum call_result calls_far_ret(struct cpu *cpu, const struct insn *insn)
{
    protection_far_return(cpu, insn->opsize, (uint16_t)insn->imm);
    return CALL_EXIT;
}

enum call_result calls_iret(struct cpu *cpu, const struct insn *insn)
{
    protection_iret(cpu, insn->opsize, operand_next(cpu, insn));
    return CALL_EXIT;
}

enum call_result calls_sysenter(struct cpu *cpu, const struct insn *insn)
{
    bool user = cpu->cpl == 3;

    (void)insn;
    protection_sysenter(cpu);
    if (user)
        transition_note(translator_current, TRANSITION_SYSENTER);
    return CALL_EXIT;
}

enum call_result calls_sysexit(struct cpu *cpu, const struct insn *insn)
{
    (void)insn;
    protection_sysexit(cpu);
    transition_note(translator_current, TRANSITION_SYSEXIT);
    return CALL_EXIT;
}

enum call_result calls_int(struct cpu *cpu, const struct insn *insn)
{
    protection_int(cpu, (uint8_t)insn->imm, operand_next(cpu, insn));
    return CALL_EXIT;
}

enum call_result calls_int3(struct cpu *cpu, const struct insn *insn)
{
    protection_interrupt(cpu, VEC_BP, INTERRUPT_SOFTWARE, false, 0, operand_next(cpu, insn));
    return CALL_EXIT;
}

/* A trap by its own opcode: no DPL check, returns behind it. */
enum call_result calls_int1(struct cpu *cpu, const struct insn *insn)
{
    cpu->eip = operand_next(cpu, insn);
    protection_interrupt(cpu, VEC_DB, INTERRUPT_EXCEPTION, false, 0, cpu->eip);
    cpu->watch_hits = 0;
    cpu->debug_delay = DEBUG_NO_STEP;
    return CALL_EXIT;
}

enum call_result calls_into(struct cpu *cpu, const struct insn *insn)
{
    if (!(cpu->eflags & FLAG_OF))
        return CALL_NEXT;
    protection_interrupt(cpu, VEC_OF, INTERRUPT_SOFTWARE, false, 0, operand_next(cpu, insn));
    return CALL_EXIT;
}

static void set_zf(struct cpu *cpu, bool set)
{
    cpu->eflags = set ? cpu->eflags | FLAG_ZF : cpu->eflags & ~(uint32_t)FLAG_ZF;
}

enum call_result calls_lar(struct cpu *cpu, const struct insn *insn)
{
    uint32_t value;
    bool ok;

    calls_need_selectors(cpu);
    ok = protection_lar(cpu, (uint16_t)operand_rm(cpu, insn, 2), &value);
    if (ok)
        operand_set_reg(cpu, insn_reg(insn), insn->opsize, value);
    set_zf(cpu, ok);
    return CALL_NEXT;
}

enum call_result calls_lsl(struct cpu *cpu, const struct insn *insn)
{
    uint32_t value;
    bool ok;

    calls_need_selectors(cpu);
    ok = protection_lsl(cpu, (uint16_t)operand_rm(cpu, insn, 2), &value);
    if (ok)
        operand_set_reg(cpu, insn_reg(insn), insn->opsize, value);
    set_zf(cpu, ok);
    return CALL_NEXT;
}

enum call_result calls_verify(struct cpu *cpu, const struct insn *insn)
{
    calls_need_selectors(cpu);
    set_zf(cpu, protection_verify(cpu, (uint16_t)operand_rm(cpu, insn, 2), insn->kind == INSN_VERW));
    return CALL_NEXT;
}

enum call_result calls_arpl(struct cpu *cpu, const struct insn *insn)
{
    uint32_t old_flags = cpu->eflags, new_flags;
    uint16_t before, after;

    calls_need_selectors(cpu);
    before = after = (uint16_t)operand_rm(cpu, insn, 2);
    protection_arpl(cpu, &after, (uint16_t)operand_reg(cpu, insn_reg(insn), 2));
    new_flags = cpu->eflags;
    cpu->eflags = old_flags; /* which a fault of the store leaves */
    if (after != before)
        operand_set_rm(cpu, insn, 2, after);
    cpu->eflags = new_flags;
    return CALL_NEXT;
}
