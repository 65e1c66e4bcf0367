/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Direct branches whose target lies beyond the code segment's limit: #GP(0) of
 * the branch itself, with nothing changed (SDM vol. 2, JMP, Jcc, LOOP, CALL).
 * The limit is part of a block's key, so this is known at translation.
 */
#include "x86vm/protection/protection.h"
#include "x86vm/translate/calls.h"
#include "x86vm/translate/operand.h"
#include "x86vm/translate/rewrite.h"

static enum call_result out_of_segment(struct cpu *cpu, const struct insn *insn)
{
    (void)insn;
    cpu_fault_error(cpu, VEC_GP, 0);
}

/* LOOP, LOOPE, LOOPNE, JCXZ: the fault comes before the count is changed. */
static enum call_result loop_out_of_segment(struct cpu *cpu, const struct insn *insn)
{
    bool jcxz = insn->opcode == 0xe3, zf = cpu->eflags & FLAG_ZF;
    uint32_t count = operand_reg(cpu, CPU_ECX, insn->addrsize) - !jcxz;
    bool zero = insn->addrsize == 2 ? !(count & 0xffff) : !count;

    if (jcxz ? zero : !zero && !(insn->opcode == 0xe0 && zf) && !(insn->opcode == 0xe1 && !zf))
        cpu_fault_error(cpu, VEC_GP, 0);
    operand_set_reg(cpu, CPU_ECX, insn->addrsize, count);
    return CALL_NEXT;
}

bool rewrite_leaves_segment(const struct build *b, const struct insn *insn)
{
    switch (insn->kind) {
    case INSN_JMP: case INSN_JCC: case INSN_LOOP:
        return insn->target > b->block->cs_limit;
    default:
        return false;
    }
}

void rewrite_out_of_segment(struct build *b, const struct insn *insn)
{
    uint8_t *taken;

    if (insn->kind == INSN_JMP) {
        rewrite_c_call(b, insn, out_of_segment);
    } else if (insn->kind == INSN_LOOP) {
        rewrite_c_call(b, insn, loop_out_of_segment);
        rewrite_jump(b, insn->eip + insn->length);
    } else {
        access_island(b, false);
        rewrite_settle_esp(b);
        taken = emit_jcc_later(b->hot, insn->condition);
        emit_patch32(taken, b->hot->to_exec, emit_pc(b->cold));
        rewrite_cold_call(b, insn, out_of_segment);
    }
}
