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
 *
 * Another address space has its turn, and a program's jumps have their guards when
 * it is back. So a page that leads elsewhere is kept in mind with the links to it,
 * and looked at again when bare code begins again, and when code is fetched from it: if it
 * shows again what they were made for, they go without guards again. That is paid from
 * a credit that time fills up, since programs may take turns all the time.
 */
#ifndef X86VM_TRANSLATE_FAR_LINKS_H
#define X86VM_TRANSLATE_FAR_LINKS_H

#include <stdbool.h>
#include <stdint.h>

#include "x86vm/translate/table.h"

struct block;
struct translator;

/* All in the cache. */
struct far_link {
    uint32_t place;              /* of the jump's rel32 */
    uint32_t entry, guard_entry; /* of the target: what it jumps to without a guard, and with one */
    uint32_t next;               /* to the same page: its number, plus one */
};

/* What such jumps lead to. */
struct far_page {
    uint32_t linear, physical;
    uint32_t links, link_count;  /* the first one's number, plus one */
    uint32_t same;               /* the next with this linear page: its number, plus one */
    uint32_t at;                 /* its place in one of the lists */
    bool direct;                 /* jumped to without guards: the linear page shows the physical one */
};

/* A privilege's. Pages are known by their number. */
struct far_set {
    struct far_page *pages;
    uint32_t *first;             /* by linear page: the first that has it, plus one */
    TABLE(uint32_t) direct, away;
    TABLE(struct far_link) links;
    uint32_t count, free_links;  /* pages; the first of the links that are not used, plus one */
    uint32_t look, forget;       /* where in `away` the next look begins, and what is forgotten next */
    uint32_t credit;
    bool rested;                 /* when it was checked last, none was used */
    uint64_t counted_at;         /* TSC */
};

/* Where a jump at that place has to lead so that it reaches the block: its entry, or that with a
 * guard. 0: no jump from another page may. */
uint64_t far_links_add(struct translator *t, uint32_t place, const struct block *to);
/* The same for a jump to code of that mode which holds as long as the linear page shows the physical one; `next` is not used. */
uint32_t far_links_add_jump(struct translator *t, uint32_t mode, uint32_t linear, uint32_t physical, struct far_link link);
/* That privilege's code may be fetched from elsewhere now. Not while a block runs. */
void far_links_check(struct translator *t, bool user);
/* The linear page turned out to show that physical page, for fetches at the present privilege. Not while a block runs. */
void far_links_filled(struct translator *t, uint32_t linear, uint32_t physical);
/* The code at places of which that is true is about to go. */
void far_links_drop(struct translator *t, bool (*goes)(const struct translator *t, uint32_t place));
/* All blocks are gone. */
void far_links_clear(struct translator *t);
void far_links_free(struct translator *t);

#endif
