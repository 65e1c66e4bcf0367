/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Memory for translated code, and for what is known of it. The code cache is one
 * memfd mapped twice, writable and executable at different addresses; nothing is
 * ever both. Hot code grows from its start, what is left for seldom from further
 * up; both begin anew, behind the stubs, when one of them is full.
 */
#ifndef X86VM_TRANSLATE_CACHE_H
#define X86VM_TRANSLATE_CACHE_H

#include "x86vm/translate/translator.h"

enum { BLOCK_ROOM = 64 << 10 /* that a block may take of each part */ };

bool cache_map(struct translator *t, uint32_t size); /* bytes; false: the host will not */
void cache_unmap(struct translator *t);
/* Empty but for the stubs; the second gives the memory back to the host as well. */
void cache_rewind(struct translator *t);
void cache_forget(struct translator *t);
uint32_t cache_used(const struct translator *t); /* bytes of blocks' code */
bool cache_full(struct translator *t);           /* the next block might not fit; puts in pages for it */
void cache_let_writable_go(struct translator *t);

/* A piece of the memory of blocks, sites and calls; the newest is first. */
struct arena {
    struct arena *next;
    size_t used;
    _Alignas(8) uint8_t bytes[];
};

struct cache_end { uint8_t *hot, *cold; struct arena *arena; size_t arena_used; };
/* Where code and memory end now; what was made since then is not needed any more. */
struct cache_end cache_get_end(const struct translator *t);
void cache_go_back(struct translator *t, const struct cache_end *end);

/* Memory of blocks, sites and calls, which lives until all of it is freed. */
void *cache_alloc(struct translator *t, size_t size);
void cache_free_blocks(struct translator *t);

#endif
