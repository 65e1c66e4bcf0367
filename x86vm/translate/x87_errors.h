/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Unmasked x87 exceptions where CR0.NE is clear (SDM vol. 1, 8.7.2; vol. 3, 2.5): the
 * CPU says so by FERR#, which a PC makes IRQ 13 of, and waits in front of the
 * next instruction that waits for the unit until an interrupt comes. While the
 * PC answers by IGNNE#, that instruction is executed as if all were masked.
 */
#ifndef X86VM_TRANSLATE_X87_ERRORS_H
#define X86VM_TRANSLATE_X87_ERRORS_H

#include "x86vm/translate/translator.h"

/* #MF was raised. True: it is not the guest's, who finds EIP at its instruction. */
bool x87_error_is_external(struct translator *t);

/* Around a pass over one instruction, whichever way it ends; the second is harmless without the first. */
void x87_ignore_begin(struct translator *t);
void x87_ignore_end(struct translator *t);

#endif
