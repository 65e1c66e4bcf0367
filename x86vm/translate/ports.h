/* SPDX-License-Identifier: BSD-2-Clause
 *
 * IN and OUT of a kernel: a driver moves every word and every register through
 * them, so they have stubs of their own instead of the general call into C
 * (runtime_call()), which is for instructions that may do anything to the CPU.
 * At CPL 0 of protected mode a port access cannot fault, and it changes nothing
 * of the CPU but EAX. The site CALLs the stub, whose RET the host predicts; the
 * guest's registers that C preserves stay where they are, and the flags are kept
 * only where they are live.
 *
 * What a device may have done beside that is asked behind it: an interrupt or the
 * run loop's wish (cpu->exit_request), a breakpoint on the port, a change of the
 * mode, code that was overwritten (then the shadow stack has been emptied). In each
 * case the block is left behind the instruction.
 */
#ifndef X86VM_TRANSLATE_PORTS_H
#define X86VM_TRANSLATE_PORTS_H

#include "x86vm/translate/build.h"

/* Whether this IN or OUT goes by a stub, and emitting it. */
bool ports_inline(const struct build *b);
void ports_emit(struct build *b, const struct insn *insn);
/* The stubs themselves, behind those that they lead to. */
void ports_emit_stubs(struct translator *t);

#endif
