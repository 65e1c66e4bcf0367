/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Sites: the indirect jumps and calls in emitted code. Each has a direct jump (a
 * struct link) to where it has mostly led, behind a comparison of EIP. That jump is
 * unlinked when its target dies, has its guard where the target is on another page
 * and is recalled as any direct jump, and all address spaces share it. At
 * first it leads to the stub that counts (t->stubs.learn), as whatever the comparison
 * does not find goes there. When a site has used up its patience there, jumps_learn() sees to it:
 *
 *   SITE_NEW       not known yet: the next target is taken
 *   SITE_CACHED    compares. Many misses: what it mostly means is sampled
 *   SITE_SAMPLED   each use is looked at, some times: by majority
 *   SITE_MAPPED    leads to many places: by a map (jump_map.h)
 *   SITE_LOOKED_UP the same where there is no map: by the table of indirect jumps
 *
 * A copy of a block (moves.h) begins anew.
 */
#ifndef X86VM_TRANSLATE_JUMP_SITES_H
#define X86VM_TRANSLATE_JUMP_SITES_H

#include <stdbool.h>
#include <stdint.h>

#include "x86vm/cpu/limits.h"

struct build;
struct cpu;
struct link;
struct translator;

enum jump_site_kind { SITE_NONE, SITE_JUMP, SITE_CALL };
enum jump_site_state { SITE_NEW, SITE_CACHED, SITE_SAMPLED, SITE_LOOKED_UP, SITE_MAPPED };

enum { JUMP_SITE_COUNTS = 1 << 16 };

void sites_init(struct translator *t);
/* To the guest address in R9. */
void jumps_emit_site(struct build *b, enum jump_site_kind kind);
/* A copy of a site, whose link this is and will have that number, is new again. */
void jumps_renew(struct translator *t, struct link *link, uint32_t number);
/* Compares with the target's EIP from now on. Its link is made. */
void jumps_put_cache(const struct translator *t, struct link *link);
/* No longer: to the table of indirect jumps. */
void jumps_put_lookup(const struct translator *t, struct link *link);

/* jump_learn.c. The stub's: the site has no patience left, and goes to EIP. */
void jumps_learn(struct cpu *cpu, uint32_t number, uint32_t eip);

#endif
