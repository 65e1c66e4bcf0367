/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Names of what is counted: see counters.h.
 */
#include "x86vm/counters.h"

#include <stddef.h>

#include "x86vm/translate/translator.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

_Static_assert(INSN_KIND_COUNT <= (int)X86VM_CALL_KINDS, "a counter for each kind of instruction");
_Static_assert(EXIT_COUNT < (int)X86VM_EXIT_REASONS, "a counter for each reason");

static const char *const exit_names[] = {
    [EXIT_NEXT] = "next", [EXIT_LINK] = "link", [EXIT_INDIRECT] = "indirect", [EXIT_POLL] = "poll", [EXIT_CALL] = "call",
    [EXIT_HOST_FAULT] = "host_fault", [EXIT_COUNT] = "count",
};

static const char *const slow_names[] = {
    [X86VM_SLOW_DEVICE] = "device", [X86VM_SLOW_CROSSING] = "crossing", [X86VM_SLOW_PAGE] = "page",
};

static const char *const call_names[INSN_KIND_COUNT] = {
    [INSN_UNDEFINED] = "undefined", [INSN_PLAIN] = "plain", [INSN_NOP] = "nop", [INSN_LEA] = "lea", [INSN_MOFFS] = "moffs",
    [INSN_XLAT] = "xlat", [INSN_BIT_STRING] = "bit_string", [INSN_PUSH] = "push", [INSN_POP] = "pop",
    [INSN_LEAVE] = "leave", [INSN_JCC] = "jcc", [INSN_LOOP] = "loop", [INSN_JMP] = "jmp",
    [INSN_JMP_INDIRECT] = "jmp_indirect", [INSN_CALL] = "call", [INSN_CALL_INDIRECT] = "call_indirect",
    [INSN_RET] = "ret", [INSN_CLD] = "cld", [INSN_STD] = "std", [INSN_CLI] = "cli", [INSN_STI] = "sti",
    [INSN_PUSHF] = "pushf", [INSN_POPF] = "popf", [INSN_MASKMOV] = "maskmov", [INSN_PUSHA] = "pusha",
    [INSN_POPA] = "popa", [INSN_ENTER] = "enter", [INSN_STRING] = "string", [INSN_INS] = "ins", [INSN_OUTS] = "outs",
    [INSN_PUSH_SEG] = "push_seg", [INSN_POP_SEG] = "pop_seg", [INSN_MOV_FROM_SEG] = "mov_from_seg",
    [INSN_MOV_TO_SEG] = "mov_to_seg", [INSN_LOAD_FAR_POINTER] = "load_far_pointer", [INSN_FAR_JMP] = "far_jmp",
    [INSN_FAR_CALL] = "far_call", [INSN_FAR_RET] = "far_ret", [INSN_INT] = "int", [INSN_INT3] = "int3",
    [INSN_INT1] = "int1", [INSN_INTO] = "into", [INSN_IRET] = "iret", [INSN_SYSENTER] = "sysenter",
    [INSN_SYSEXIT] = "sysexit", [INSN_HLT] = "hlt", [INSN_IN] = "in", [INSN_OUT] = "out", [INSN_CPUID] = "cpuid",
    [INSN_RDTSC] = "rdtsc", [INSN_RDPMC] = "rdpmc", [INSN_RDMSR] = "rdmsr", [INSN_WRMSR] = "wrmsr",
    [INSN_MOV_FROM_CR] = "mov_from_cr", [INSN_MOV_TO_CR] = "mov_to_cr", [INSN_MOV_FROM_DR] = "mov_from_dr",
    [INSN_MOV_TO_DR] = "mov_to_dr", [INSN_CLTS] = "clts", [INSN_LMSW] = "lmsw", [INSN_SMSW] = "smsw",
    [INSN_SGDT] = "sgdt", [INSN_SIDT] = "sidt", [INSN_LGDT] = "lgdt", [INSN_LIDT] = "lidt", [INSN_SLDT] = "sldt",
    [INSN_STR] = "str", [INSN_LLDT] = "lldt", [INSN_LTR] = "ltr", [INSN_LAR] = "lar", [INSN_LSL] = "lsl",
    [INSN_VERR] = "verr", [INSN_VERW] = "verw", [INSN_ARPL] = "arpl", [INSN_INVLPG] = "invlpg", [INSN_INVD] = "invd",
    [INSN_BOUND] = "bound", [INSN_BCD] = "bcd", [INSN_FXSAVE] = "fxsave", [INSN_FXRSTOR] = "fxrstor",
    [INSN_FNSAVE] = "fnsave", [INSN_FRSTOR] = "frstor", [INSN_FNSTENV] = "fnstenv", [INSN_FLDENV] = "fldenv", [INSN_LDMXCSR] = "ldmxcsr",
};

const char *x86vm_exit_name(unsigned reason)
{
    return reason < COUNT(exit_names) ? exit_names[reason] : NULL;
}

const char *x86vm_slow_name(unsigned kind)
{
    return kind < COUNT(slow_names) ? slow_names[kind] : NULL;
}

const char *x86vm_call_name(unsigned kind)
{
    return kind < COUNT(call_names) ? call_names[kind] : NULL;
}
