/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files rewrite*.c lend each other.
 */
#ifndef X86VM_TRANSLATE_REWRITE_H
#define X86VM_TRANSLATE_REWRITE_H

#include "x86vm/translate/build.h"

/* rewrite_system.c: whether the sensitive instruction is done in line in this mode, and doing it. */
bool rewrite_system_inline(const struct build *b, const struct insn *insn);
void rewrite_system(struct build *b, const struct insn *insn);

/* rewrite_flow.c: stack and control flow. */
void rewrite_jmp(struct build *b, const struct insn *insn);
void rewrite_jcc(struct build *b, const struct insn *insn);
void rewrite_loop(struct build *b, const struct insn *insn);
void rewrite_push(struct build *b, const struct insn *insn);
void rewrite_pop(struct build *b, const struct insn *insn);
void rewrite_leave(struct build *b, const struct insn *insn);
void rewrite_call(struct build *b, const struct insn *insn);
void rewrite_jmp_indirect(struct build *b, const struct insn *insn);
void rewrite_call_indirect(struct build *b, const struct insn *insn);
void rewrite_ret(struct build *b, const struct insn *insn);
/* rewrite_flow.c: PUSH of a host register and a load of the stack's top on the flat
 * 32-bit stack; ESP of the load is not moved. */
void rewrite_push_register(struct build *b, enum host_reg from);
/* Moves ESP by 4 and stores 16 bits, as Intel's later CPUs push a segment register. */
void rewrite_push_selector(struct build *b, enum host_reg from);
void rewrite_load_stack_top(struct build *b, enum host_reg to);
/* rewrite_string.c: the same for a string instruction. */
bool rewrite_string_inline(const struct build *b, const struct insn *insn);
void rewrite_string(struct build *b, const struct insn *insn);
/* rewrite_repeat.c: REP in a bare window. */
bool rewrite_repeat_is_bare(const struct build *b, const struct insn *insn);
void rewrite_repeat_bare(struct build *b, const struct insn *insn);

/* The segment that its prefix names, or DS. */
uint8_t rewrite_data_segment(const struct insn *insn);
/* A zero-extended load of the 16-bit memory operand. */
void rewrite_load_word(struct build *b, const struct insn *insn, enum host_reg to);
/* A jump out of the block placed in the cold part, to a translation without groups. */
void rewrite_cold_jump(struct build *b, uint32_t target);
/* Makes R8 the guest's ESP. */
void rewrite_settle_esp(struct build *b);
/* A call into C; the second is placed in the cold part and returns to the hot part's present end. */
void rewrite_c_call(struct build *b, const struct insn *insn, call_function *function);
void rewrite_cold_call(struct build *b, const struct insn *insn, call_function *function);

/* rewrite_bounds.c: a direct branch (CALL apart) to beyond CS's limit. */
bool rewrite_leaves_segment(const struct build *b, const struct insn *insn);
void rewrite_out_of_segment(struct build *b, const struct insn *insn);

#endif
