/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Far links: direct jumps to another page, without the guard that other such
 * jumps have (blocks_link()). That is right as long as the linear page of the
 * target shows the physical page that the target was made from. So each change
 * of what code is fetched from where looks at all of them again, and links to a
 * page that leads elsewhere by then get their guards back. To be rare enough
 * for that, it must be
 *
 *   of a kernel   a global page, which is hardly ever mapped anew;
 *   of a user     any, but jumped to by a program that has settled in its address
 *                 space: code of MODE_BARE. A load of CR3 ends that mode, and
 *                 when the next begins, they are looked at with the tables in use.
 */
#ifndef X86VM_TRANSLATE_FAR_LINKS_H
#define X86VM_TRANSLATE_FAR_LINKS_H

#include <stdbool.h>
#include <stdint.h>

#include "x86vm/translate/table.h"

struct block;
struct translator;

struct far_link {
    uint32_t place;  /* of the jump's rel32, in the cache */
    uint32_t linear; /* page of the target */
    uint64_t entry, guard_entry; /* of the target: what it jumps to, and what it would with a guard */
};

/* A privilege's. */
struct far_set {
    TABLE(uint32_t) pages;         /* linear pages that they lead to */
    TABLE(struct far_link) links;
    uint32_t *shows;               /* by linear page in `pages`: the physical page, plus one */
};

/* Whether a jump to the block needs no guard at present. */
bool far_links_allow(struct translator *t, const struct block *to);
/* Such a jump was made, to that entry of the block. */
void far_links_add(struct translator *t, uint32_t place, const struct block *to, uint64_t entry);
/* That privilege's code may be fetched from elsewhere now. Not while a block runs. */
void far_links_check(struct translator *t, bool user);
/* All blocks are gone. */
void far_links_clear(struct translator *t);
void far_links_free(struct translator *t);

#endif
