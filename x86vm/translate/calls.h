/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Instructions carried out by a call into C, by group. Each function has the
 * guest's complete state in struct cpu, cpu->eip at the instruction itself,
 * and says by its result whether the next instruction follows.
 */
#ifndef X86VM_TRANSLATE_CALLS_H
#define X86VM_TRANSLATE_CALLS_H

#include "x86vm/translate/translator.h"

/* calls_stack.c: stacks that are not flat and 32 bits wide, and the rare pushes */
call_function calls_push, calls_pop, calls_leave, calls_near_call, calls_near_ret, calls_near_jmp;
call_function calls_pusha, calls_popa, calls_enter, calls_pushf, calls_popf;
call_function calls_push_segment, calls_pop_segment;

/* calls_string.c */
call_function calls_string, calls_ins, calls_outs;

/* calls_system.c: privileged and sensitive */
call_function calls_cli, calls_sti, calls_hlt, calls_in, calls_out;
call_function calls_cpuid, calls_rdtsc, calls_rdpmc, calls_rdmsr, calls_wrmsr;
call_function calls_mov_from_cr, calls_mov_to_cr, calls_mov_from_dr, calls_mov_to_dr;
call_function calls_clts, calls_lmsw, calls_smsw, calls_store_table, calls_load_table;
call_function calls_store_selector, calls_lldt, calls_ltr, calls_invlpg, calls_invd;

/* calls_segment.c: segment registers, descriptors, far transfers, interrupts */
call_function calls_mov_from_segment, calls_mov_to_segment, calls_load_far_pointer;
call_function calls_far_jmp, calls_far_call, calls_far_ret, calls_iret, calls_sysenter, calls_sysexit;
call_function calls_int, calls_int3, calls_int1, calls_into;
call_function calls_lar, calls_lsl, calls_verify, calls_arpl;

/* calls_misc.c */
call_function calls_bound, calls_bcd;

/* calls_fpu.c */
call_function calls_fxsave, calls_fxrstor, calls_fnsave, calls_frstor, calls_fnstenv, calls_fldenv, calls_ldmxcsr;

/* Where selectors mean nothing, what is about descriptors is no instruction; before its operand is looked at. */
static inline void calls_need_selectors(struct cpu *cpu)
{
    if (!cpu_protected(cpu) || cpu_v8086(cpu))
        cpu_fault(cpu, VEC_UD);
}

static inline bool calls_interrupt_due(const struct cpu *cpu)
{
    return cpu_nmi_due(cpu) || (cpu->intr && cpu->eflags & FLAG_IF);
}

#endif
