/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Translated code does not look whether the run loop is wanted. Whoever wants it
 * says so (translator_request()), and the vCPU's thread then sees to it that the
 * code which it is in the middle of comes back: the direct jumps out of the
 * running block lead to the run loop for that once, the table of indirect jumps
 * knows nothing, and the shadow stack is empty. So it is back after 64
 * instructions at most, and a loop costs nothing while nobody wants anything.
 *
 * That is done where nothing can come in between: in a signal handler that
 * interrupted the translated code (x86vm_interrupted(), and the signal that
 * x86vm_request_exit() sends), or on the way back from C, behind which the stubs
 * look at cpu->exit_request. clear_request() of the run loop puts the jumps back.
 */
#ifndef X86VM_TRANSLATE_RECALL_H
#define X86VM_TRANSLATE_RECALL_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "x86vm/cpu/limits.h"

struct translator;
struct cpu;

enum { RECALL_SIGNAL = SIGURG, RECALL_LINKS_MAX = X86VM_LIMIT(1024, 768) };

struct recall {
    uint32_t count;
    struct recalled_link { uint32_t number; uint64_t target; } links[RECALL_LINKS_MAX];
};

bool recall_install(void); /* the handler of RECALL_SIGNAL */
/* A signal handler interrupted this thread, which runs the guest, at `context`; all
 * signals whose handlers might want the run loop are blocked meanwhile, or nest. */
void recall_interrupted(struct translator *t, void *context);
/* Called by the stubs: C is about to go back to cpu->scratch[1]. */
void recall_returning(struct cpu *cpu);
/* Puts the jumps back; only from the run loop. */
void recall_end(struct translator *t);
/* The number, in t->order, of the block whose code is at `pc`; NOWHERE: none. */
uint32_t recall_block_at(const struct translator *t, uint64_t pc);
/* Where the jump led whose displacement lies at `place` in the cache, if it is one that was changed, else NULL. */
uint64_t *recall_target(struct translator *t, uint32_t place);

#endif
