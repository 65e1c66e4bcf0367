/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Jump maps: where indirect jumps to many places lead, by the guest's EIP alone. A map
 * is an array of 2^32 host addresses, reserved and mostly never touched, so that an
 * indirect jump is a load of the map's address and a jump through it: nothing to
 * compare, and no flags to keep. An entry that is not there is 0, and the host faults
 * where nothing is mapped (host_fault.c): the run loop then finds the block and
 * puts it in. That costs some microseconds, so only sites that nothing better is known of go through a map (jump_sites.h).
 *
 * An entry must mean the right code by itself. So a map is for one mode (a slot)
 * and, of a user, for one address space, as a bare window is; it has entries only for
 * bare code. Each change of what code is fetched from where looks at all of the pages that it leads
 * to, as for far links (far_links.h), and a dead block's entries go. What does not qualify has the
 * lookup of other indirect jumps as its entry.
 *
 * While the run loop is wanted (recall.h) all sites find a map without any entries.
 */
#ifndef X86VM_TRANSLATE_JUMP_MAP_H
#define X86VM_TRANSLATE_JUMP_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "x86vm/cpu/limits.h"
#include "x86vm/translate/table.h"

struct block;
struct cpu;
struct translator;

enum { JUMP_MISSES_MOST = X86VM_LIMIT(4096, 64) /* then a map is emptied */ };
enum { JUMP_SLOTS_EACH = X86VM_LIMIT(4, 1), JUMP_SLOTS = 2 * JUMP_SLOTS_EACH /* of the supervisor, of the user */, JUMP_SPACES = X86VM_LIMIT(4, 2), JUMP_SAMPLES = X86VM_LIMIT(16, 2) };

struct jump_page { uint32_t linear, physical; };

struct jump_map {
    uint64_t *entries;              /* by EIP; NULL: not reserved yet */
    uint32_t cr3;                   /* a user's: whose it is */
    uint32_t misses;                /* since it was empty */
    uint64_t used;                  /* when it was chosen last: a number that grows */
    TABLE(struct jump_page) pages;  /* that entries lead to */
};

/* A mode whose code may go through maps. */
struct jump_slot {
    uint32_t mode;                  /* 0: free */
    struct jump_map *now;           /* NULL: none */
    struct jump_map maps[JUMP_SPACES]; /* of the supervisor, the first alone */
};

struct jumps {
    bool possible, eager;           /* eager: every site at once, for tests */
    bool no_caches;                 /* jump_sites.h: no site compares */
    uint8_t first_uses, misses_most; /* patience of a site: new; that compares */
    struct jump_slot slots[JUMP_SLOTS];
    uint32_t misses;                /* of all maps, since they were empty */
    uint64_t *nothing;              /* a map without entries */
    uint32_t nothing_misses;
    uint64_t uses;
    bool missed;                    /* a site found no entry */
    uint32_t missed_eip;
    uint32_t sampled[JUMP_SAMPLES], sampled_count; /* blocks that were running: their index in t->order */
};

void jumps_init(struct translator *t);
void jumps_free(struct translator *t);
/* All blocks are gone. */
void jumps_clear(struct translator *t);
/* Many are. */
void jumps_empty(struct translator *t);
/* The slot for code of that mode, which is made if need be; JUMP_SLOTS: none. */
unsigned jumps_slot(struct translator *t, const struct block *block);
/* That privilege's code may be fetched from elsewhere now. Not while a block runs. */
void jumps_check(struct translator *t, bool user);
/* Sites find their maps again, or while the run loop is wanted nothing. */
void jumps_select(struct translator *t);
void jumps_forbid(struct translator *t);
/* A site jumped to EIP, where this block is. */
void jumps_add(struct translator *t, uint32_t eip, const struct block *block);
/* The block is dead. */
void jumps_forget(struct translator *t, const struct block *block);
/* The host fetches from nowhere, and R11 is this: whether a site found no entry for EIP. */
bool jumps_note_miss(struct translator *t, uint64_t map, uint32_t eip);

/* --- jump_sites.c --- */

/* That block was running when the run loop was wanted, or has a site that leads to many places. From C that it called, or a signal handler. */
void jumps_sample(struct translator *t, uint32_t index);
/* Makes sites of the sampled blocks, or of a new one, go through maps where they lead to many places; only from the run loop. */
void jumps_upgrade_sampled(struct translator *t);
void jumps_upgrade(struct translator *t, uint32_t index);
/* Whether the host's next instruction is a site's jump: R11 is loaded. */
bool jumps_at_jump(const uint8_t *pc);

#endif
