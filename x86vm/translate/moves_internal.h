/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What moves.c (copies) and moves_follow.c (which are made ahead) share.
 */
#ifndef X86VM_TRANSLATE_MOVES_INTERNAL_H
#define X86VM_TRANSLATE_MOVES_INTERNAL_H

#include "x86vm/cpu/limits.h"
#include "x86vm/translate/moves.h"

enum { MOVE_SLOTS = X86VM_LIMIT(1 << 17, 32) };
struct move_slot { uint32_t tag, number; };

struct moves {
    struct move_slot slots[MOVE_SLOTS]; /* by physical address and mode; whole pages, first in a mapping */
    struct emit_marks hot, cold;     /* of the block being made */
    struct move now;                 /* and where it begins */
    bool marking, check;
    uint32_t source;                 /* of the block made last, if it is a copy */
    uint32_t wanted;                 /* the only one that may be the source of the next; 0: any */
    TABLE(struct move) all;          /* by number; the first is none */
};

static inline const struct block *moves_original(const struct translator *t, uint32_t number) { return t->moves->all.items[number].block; }
/* Whether a block with that EIP and mode is one that is copied, or copied from, at all. */
bool moves_may(const struct translator *t, const struct block *block);
/* Whether a copy of that one, at that EIP, would be what would be made there. */
bool moves_fit(const struct translator *t, uint32_t number, uint32_t eip);

#endif
