/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One walk of the guest's page tables, for view.c alone: which physical page a
 * linear page leads to, and what may be done with it. Knows no views.
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

/* True and *result, or false and *error, the page fault's error code. With
 * `effects` the accessed and dirty bits of the way are set. */
bool paging_walk(struct cpu *cpu, uint32_t linear, enum view_access access, bool user, bool effects,
                 struct paging_result *result, uint32_t *error);

#endif
