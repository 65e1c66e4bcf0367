/* SPDX-License-Identifier: BSD-2-Clause
 *
 * SYSENTER, SYSEXIT and loads of DS, ES and FS as they went the last time, for
 * emitted code to do the same again without C: a system call is made of them.
 * C carries one out, notes what came of it, and the code compares what it
 * depends on: the lookup key (mode, code segment, epoch, and that nobody wants
 * the run loop), for a segment the selector and the descriptor's bytes, for a
 * change of privilege the whole mode and the epoch of what is entered. The MSRs
 * of SYSENTER and the GDT register are not compared: their writers forget.
 */
#ifndef X86VM_TRANSLATE_TRANSITION_H
#define X86VM_TRANSLATE_TRANSITION_H

#include "x86vm/translate/build.h"

/* C did the instruction, and the mode is not derived anew yet. */
void transition_note(struct translator *t, int which);
void transition_note_load(struct translator *t, enum cpu_seg seg);
/* The mode is derived anew: keeps what was noted for emitted code. */
void transition_complete(struct translator *t);
void transition_forget(struct translator *t);

/* Whether emitted code may do it in this mode; kinds other than these: false. */
bool transition_inline(const struct build *b, const struct insn *insn);
/* A load of FS leads to another block, of another mode. */
bool transition_ends_block(const struct build *b, const struct insn *insn);
void transition_emit(struct build *b, const struct insn *insn);

#endif
