/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One walk of the guest's page tables, for the views: which physical page a linear
 * page leads to, and what may be done with it. Knows no views itself. And PAE's top
 * entries, which the CPU loads with CR3.
 */
#ifndef X86VM_MEMORY_PAGING_H
#define X86VM_MEMORY_PAGING_H

#include "x86vm/memory/view.h"

struct paging_result {
    uint32_t physical;  /* of the byte asked for, A20 applied */
    bool global;        /* survives a CR3 load */
    bool writable;      /* a write with the same privilege is allowed ... */
    bool dirty;         /* ... and its dirty bit is set already */
    bool executable;
    bool accessed;      /* the accessed bits of the way were set before */
    bool large;         /* by an entry for 2 or 4 MiB */
};

/* Loads the four top entries of PAE's tables at `cr3` (SDM vol. 3, 4.4.1); false, having
 * changed nothing, where one that is present has a reserved bit. */
bool paging_load_pointers(struct cpu *cpu, uint32_t cr3);

/* True and *result, or false and *error, the page fault's error code. With
 * `effects` the accessed and dirty bits of the way are set. */
bool paging_walk(struct cpu *cpu, uint32_t linear, enum view_access access, bool user, bool effects,
                 struct paging_result *result, uint32_t *error);

/* The entries by which a page is reached, to be compared later. */
enum { PAGING_LEVELS_MAX = 3 };
struct paging_way {
    uint32_t levels;
    uint64_t entry[PAGING_LEVELS_MAX];
};

/* False where the page is not present, or a table is not in RAM. */
bool paging_find_way(struct cpu *cpu, uint32_t linear, struct paging_way *way);
/* Whether the present tables have the very same entries there: the same page
 * with the same rights, as long as CR0, CR4 and EFER are what they were. */
bool paging_way_holds(struct cpu *cpu, uint32_t linear, const struct paging_way *way);

#endif
