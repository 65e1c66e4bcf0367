/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The run loop of the engine: what translated code comes back to, and what takes
 * interrupts between two blocks. x86vm.c calls it, with the guest's FPU loaded
 * and a place for longjmp() in cpu->fault_env.
 */
#ifndef X86VM_TRANSLATE_RUN_H
#define X86VM_TRANSLATE_RUN_H

#include "x86vm/translate/translator.h"

/* Runs the guest until its user is wanted. Does not return from an exception, or
 * from an instruction that is to be run again: these go to cpu->fault_env. */
enum x86vm_exit run_loop(struct translator *t);

/* To be called with what came there. The guest is then at the exception's handler,
 * or still at the instruction. */
void run_interrupted(struct translator *t, enum cpu_jump from);

#endif
