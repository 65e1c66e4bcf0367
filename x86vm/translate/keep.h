/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What stays when the code cache is full. A program that is started again and again
 * has its code copied for each time (moves.h); most of the cache are then copies for
 * processes that have ended, and what these were copied from is needed at the next
 * start. Code and tables only ever grow, so the cache can go back to what it was at
 * any earlier time. All blocks made since then go, all made before stay, with what
 * their jumps have led to and what their sites have learnt.
 *
 * It goes back to where most of what would go are copies. Where there is no such
 * place, all goes: blocks_flush().
 */
#ifndef X86VM_TRANSLATE_KEEP_H
#define X86VM_TRANSLATE_KEEP_H

#include <stdbool.h>
#include <stdint.h>

#include "x86vm/translate/table.h"

struct translator;
struct keep_mark;

struct keep {
    TABLE(struct keep_mark) marks; /* times that it can go back to */
    uint32_t kept;                 /* how many of them it went back to last */
    uint32_t copies;               /* of the blocks that there are, with dead ones */
};

/* A block was added. */
void keep_note(struct translator *t);
/* Only from the dispatcher. False: nothing was done, and all should go. */
bool keep_go_back(struct translator *t);
/* All blocks are gone. */
void keep_clear(struct translator *t);
void keep_free(struct translator *t);

#endif
