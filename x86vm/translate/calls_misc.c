/* SPDX-License-Identifier: BSD-2-Clause
 *
 * BOUND and the decimal adjustments, which 64-bit mode has dropped; and the
 * table from kinds to functions. Vol. 2, the instructions' pages.
 */
#include "x86vm/translate/calls.h"
#include "x86vm/translate/operand.h"

static int32_t bound_of(uint32_t value, unsigned size)
{
    return size == 2 ? (int16_t)value : (int32_t)value;
}

/* The lower bound decides before the upper one is read. */
enum call_result calls_bound(struct cpu *cpu, const struct insn *insn)
{
    unsigned size = insn->opsize;
    int32_t index = bound_of(operand_reg(cpu, insn_reg(insn), size), size);

    if (index < bound_of(operand_load(cpu, insn, 0, size), size) || index > bound_of(operand_load(cpu, insn, size, size), size))
        cpu_fault(cpu, VEC_BR);
    return CALL_NEXT;
}

static void put_flag(struct cpu *cpu, uint32_t flag, bool set)
{
    cpu->eflags = set ? cpu->eflags | flag : cpu->eflags & ~flag;
}

static void result_flags(struct cpu *cpu, uint8_t value)
{
    put_flag(cpu, FLAG_ZF, value == 0);
    put_flag(cpu, FLAG_SF, value >> 7);
    put_flag(cpu, FLAG_PF, !(__builtin_popcount(value) & 1));
}

/* ADD of bytes, with all its flags. */
static uint8_t add_bytes(struct cpu *cpu, uint8_t a, uint8_t b)
{
    uint64_t flags;

    __asm__("addb %2, %1; pushfq; popq %0" : "=&r"(flags), "+&q"(a) : "q"(b) : "cc");
    cpu->eflags = (cpu->eflags & ~(uint32_t)FLAGS_ARITH) | ((uint32_t)flags & FLAGS_ARITH);
    return a;
}

static void decimal_adjust(struct cpu *cpu, bool subtract)
{
    uint8_t al = (uint8_t)cpu->regs[CPU_EAX], old = al;
    bool carry = cpu->eflags & FLAG_CF, new_carry = false;
    bool low = (al & 15) > 9 || cpu->eflags & FLAG_AF;

    if (low) {
        new_carry = carry || (subtract ? al < 6 : al > 0xf9);
        al = (uint8_t)(subtract ? al - 6 : al + 6);
    }
    if (old > 0x99 || carry) {
        al = (uint8_t)(subtract ? al - 0x60 : al + 0x60);
        new_carry = true;
    }
    put_flag(cpu, FLAG_AF, low);
    put_flag(cpu, FLAG_CF, new_carry);
    operand_set_reg(cpu, CPU_EAX, 1, al);
    result_flags(cpu, al);
}

static void ascii_adjust(struct cpu *cpu, bool subtract)
{
    uint32_t ax = cpu->regs[CPU_EAX] & 0xffff;
    bool adjust = (ax & 15) > 9 || cpu->eflags & FLAG_AF;

    if (adjust)
        ax = subtract ? ax - 6 - 0x100 : ax + 0x106;
    put_flag(cpu, FLAG_AF, adjust);
    put_flag(cpu, FLAG_CF, adjust);
    ax &= 0xff0f;
    operand_set_reg(cpu, CPU_EAX, 2, ax);
    result_flags(cpu, (uint8_t)ax); /* undefined; what processors do */
}

enum call_result calls_bcd(struct cpu *cpu, const struct insn *insn)
{
    uint8_t al = (uint8_t)cpu->regs[CPU_EAX], ah = (uint8_t)(cpu->regs[CPU_EAX] >> 8), base = (uint8_t)insn->imm;

    switch (insn->opcode) {
    case 0x27: decimal_adjust(cpu, false); break;
    case 0x2f: decimal_adjust(cpu, true); break;
    case 0x37: ascii_adjust(cpu, false); break;
    case 0x3f: ascii_adjust(cpu, true); break;
    case 0xd4: /* AAM */
        if (base == 0)
            cpu_fault(cpu, VEC_DE);
        operand_set_reg(cpu, CPU_EAX, 2, (uint32_t)(al / base) << 8 | al % base);
        cpu->eflags &= ~(uint32_t)FLAGS_ARITH; /* some undefined; what processors do */
        result_flags(cpu, al % base);
        break;
    case 0xd5: /* AAD */
        operand_set_reg(cpu, CPU_EAX, 2, add_bytes(cpu, al, (uint8_t)(ah * base)));
        break;
    default: /* D6: SALC */
        operand_set_reg(cpu, CPU_EAX, 1, cpu->eflags & FLAG_CF ? 0xff : 0);
        break;
    }
    return CALL_NEXT;
}

call_function *calls_function(enum insn_kind kind)
{
    static call_function *const functions[INSN_KIND_COUNT] = {
        [INSN_PUSH] = calls_push, [INSN_POP] = calls_pop, [INSN_LEAVE] = calls_leave, [INSN_CALL] = calls_near_call,
        [INSN_CALL_INDIRECT] = calls_near_call, [INSN_RET] = calls_near_ret, [INSN_JMP_INDIRECT] = calls_near_jmp,
        [INSN_CLI] = calls_cli, [INSN_STI] = calls_sti, [INSN_PUSHF] = calls_pushf, [INSN_POPF] = calls_popf,
        [INSN_PUSHA] = calls_pusha, [INSN_POPA] = calls_popa, [INSN_ENTER] = calls_enter,
        [INSN_STRING] = calls_string, [INSN_INS] = calls_ins, [INSN_OUTS] = calls_outs,
        [INSN_PUSH_SEG] = calls_push_segment, [INSN_POP_SEG] = calls_pop_segment,
        [INSN_MOV_FROM_SEG] = calls_mov_from_segment, [INSN_MOV_TO_SEG] = calls_mov_to_segment,
        [INSN_LOAD_FAR_POINTER] = calls_load_far_pointer,
        [INSN_FAR_JMP] = calls_far_jmp, [INSN_FAR_CALL] = calls_far_call, [INSN_FAR_RET] = calls_far_ret,
        [INSN_INT] = calls_int, [INSN_INT3] = calls_int3, [INSN_INT1] = calls_int1, [INSN_INTO] = calls_into,
        [INSN_IRET] = calls_iret, [INSN_SYSENTER] = calls_sysenter, [INSN_SYSEXIT] = calls_sysexit,
        [INSN_HLT] = calls_hlt, [INSN_IN] = calls_in, [INSN_OUT] = calls_out,
        [INSN_CPUID] = calls_cpuid, [INSN_RDTSC] = calls_rdtsc, [INSN_RDPMC] = calls_rdpmc,
        [INSN_RDMSR] = calls_rdmsr, [INSN_WRMSR] = calls_wrmsr,
        [INSN_MOV_FROM_CR] = calls_mov_from_cr, [INSN_MOV_TO_CR] = calls_mov_to_cr,
        [INSN_MOV_FROM_DR] = calls_mov_from_dr, [INSN_MOV_TO_DR] = calls_mov_to_dr,
        [INSN_CLTS] = calls_clts, [INSN_LMSW] = calls_lmsw, [INSN_SMSW] = calls_smsw,
        [INSN_SGDT] = calls_store_table, [INSN_SIDT] = calls_store_table,
        [INSN_LGDT] = calls_load_table, [INSN_LIDT] = calls_load_table,
        [INSN_SLDT] = calls_store_selector, [INSN_STR] = calls_store_selector,
        [INSN_LLDT] = calls_lldt, [INSN_LTR] = calls_ltr, [INSN_LAR] = calls_lar, [INSN_LSL] = calls_lsl,
        [INSN_VERR] = calls_verify, [INSN_VERW] = calls_verify, [INSN_ARPL] = calls_arpl,
        [INSN_INVLPG] = calls_invlpg, [INSN_INVD] = calls_invd,
        [INSN_BOUND] = calls_bound, [INSN_BCD] = calls_bcd,
        [INSN_FXSAVE] = calls_fxsave, [INSN_FXRSTOR] = calls_fxrstor, [INSN_FNSAVE] = calls_fnsave,
        [INSN_FRSTOR] = calls_frstor, [INSN_FNSTENV] = calls_fnstenv, [INSN_FLDENV] = calls_fldenv,
        [INSN_LDMXCSR] = calls_ldmxcsr,
    };
    return functions[kind];
}
