/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Counting what the guest has executed, for recording and replaying a run: a
 * place in it is a number of steps. A step is an instruction retired, an
 * exception delivered, or COUNT_REP elements of a repeated string instruction.
 *
 * Only a translator with t->counting set does any of this, and all its blocks
 * do. A block is charged for whole on entry, which it refuses when less is left;
 * every way out of its middle gives back what was not executed: emitted code
 * where a jump leaves, count_leave() where C takes over.
 */
#ifndef X86VM_TRANSLATE_COUNT_H
#define X86VM_TRANSLATE_COUNT_H

#include "x86vm/translate/build.h"

enum { COUNT_REP = 65536 };

/* Emits the charge at the block's entry, in the hot part. */
void count_emit_charge(struct build *b);
/* Emits, in the cold part, the return of what lies behind the first `retired` instructions. */
void count_emit_refund(struct build *b, unsigned retired);

/* Translated code was left in `block` at the instruction at `eip`; `retired`: 1 when it was executed. */
void count_leave(struct translator *t, const struct block *block, uint32_t eip, unsigned retired);
/* The same for the block that was running, before the instruction at cpu->eip. */
void count_leave_running(struct translator *t);
/* One step that no block is charged for. */
void count_step(struct translator *t);

uint64_t count_position(const struct translator *t);
/* Before a block: false when the position to stop at is reached. */
bool count_go_on(struct translator *t);
void count_stop_at(struct translator *t, uint64_t position);

#endif
