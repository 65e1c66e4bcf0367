/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Far links: a kernel's direct jumps to another page, without the guard that
 * other such jumps have (blocks_link()). That is right as long as the linear
 * page of the target shows the physical page that the target was made from. So
 * only global pages of the supervisor qualify, which a kernel hardly ever maps
 * anew, and each change of what code is fetched from where looks at all of them
 * again. Links to a page that leads elsewhere by then get their guards back.
 */
#ifndef X86VM_TRANSLATE_FAR_LINKS_H
#define X86VM_TRANSLATE_FAR_LINKS_H

#include <stdbool.h>
#include <stdint.h>

struct block;
struct translator;

struct far_link {
    uint32_t place;  /* of the jump's rel32, in the cache */
    uint32_t linear; /* page of the target */
    uint64_t entry, guard_entry; /* of the target: what it jumps to, and what it would with a guard */
};

/* Whether a jump to the block needs no guard at present. */
bool far_links_allow(struct translator *t, const struct block *to);
/* Such a jump was made, to that entry of the block. */
void far_links_add(struct translator *t, uint32_t place, const struct block *to, uint64_t entry);
/* The supervisor's code may be fetched from elsewhere now. Not while a block runs. */
void far_links_check(struct translator *t);
/* All blocks are gone. */
void far_links_clear(struct translator *t);
void far_links_free(struct translator *t);

#endif
