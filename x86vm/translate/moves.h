/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Blocks that are copied instead of made. A program that is started again lies
 * at other addresses: the same bytes of the same physical pages, another EIP.
 * What emitted code depends on EIP with, and on its own place, is marked as it
 * is emitted (emit.h), so that a copy is some additions. Only code at CPL 3 in a
 * flat 32-bit segment, and nothing while counting.
 *
 * Starting a program that was started before mostly runs what ran then. So the
 * jumps of the original that have been made tell what is copied next, without
 * a pass of the run loop for each: moves_follow().
 *
 * A copy is the very translation that would have been made: with
 * X86VM_CHECK_MOVES in the environment each one is made, too, and compared
 * (moves_check.c).
 *
 * Whoever emits a constant that depends on EIP, or a number of the translator's,
 * marks it; whoever lets run-time code be changed elsewhere than at a link's
 * place puts that right in moves_make().
 */
#ifndef X86VM_TRANSLATE_MOVES_H
#define X86VM_TRANSLATE_MOVES_H

#include "x86vm/translate/build.h"

/* A block that can be copied, as it was when it was made. */
struct move {
    const struct block *block;
    struct block *latest;                    /* the copy made last, */
    uint32_t latest_eip, physical;           /* its EIP, and the physical address of both */
    uint32_t hot, cold, hot_size, cold_size; /* places in the cache */
    uint32_t hot_rows, cold_rows;            /* in the maps to guest instructions */
    uint32_t first_link, first_site, first_call;
    uint32_t links, sites, calls;            /* how many */
    uint32_t bare_useless;                   /* of its instructions when it was made: it would have another shape with more */
    uint32_t hot_marks, cold_marks;
    const uint16_t *marks;                   /* bytes since the last one, and what it is */
};

bool moves_init(struct translator *t);
void moves_free(struct translator *t);
void moves_forget(struct translator *t); /* all blocks */
uint32_t moves_count(const struct translator *t);
void moves_go_back(struct translator *t, uint32_t count); /* those from that number on, and all copies made since */

/* A copy for the draft's EIP and mode of a block of the same bytes, added; NULL: there is none. */
struct block *moves_make(struct translator *t, const struct block *draft);
/* Behind the making of a block: if it is a copy, where the original's jumps have led to is copied, too, and linked. */
void moves_follow(struct translator *t, struct block *made);
/* Before and behind the emission of a block. */
void moves_begin(struct build *b);
void moves_note(struct build *b, uint32_t hot_rows, uint32_t cold_rows);

/* moves_check.c: keeps the copy aside and takes it back; compares the block that was made instead. */
void moves_set_aside(struct translator *t, const struct block *copy, const struct move *source, const struct code_map_end before[2]);
void moves_compare(struct translator *t, const struct block *made);

#endif
