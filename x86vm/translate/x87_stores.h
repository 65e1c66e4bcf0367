/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The guest's x87 instruction and data pointers (cpu/x87.h) in translated code: each
 * non-control instruction has them stored behind it.
 */
#ifndef X86VM_TRANSLATE_X87_STORES_H
#define X86VM_TRANSLATE_X87_STORES_H

#include <stdbool.h>

struct build;
struct insn;

/* Before the instruction's own code. `executed`: it is not replaced by a fault. */
void x87_before(struct build *b, const struct insn *insn, bool executed);
/* Behind it: one that faults has not been executed, and one whose exception is pending has. */
void x87_behind(struct build *b, const struct insn *insn);

#endif
