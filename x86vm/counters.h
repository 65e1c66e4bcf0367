/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Where a guest's time goes, counted: only on paths through C, never in
 * translated code, so counting costs nothing that can be measured.
 */
#ifndef X86VM_COUNTERS_H
#define X86VM_COUNTERS_H

#include <stdint.h>

enum {
    X86VM_EXIT_REASONS = 8, /* why translated code came back to the run loop */
    X86VM_CALL_KINDS = 128, /* instructions carried out in C, by kind */
    X86VM_EXCEPTIONS = 32,
    X86VM_VECTORS = 256,
};

/* Memory accesses that no table entry let through, but C carried out. The other
 * slow accesses went on directly: their entry was missing, and made. */
enum x86vm_slow {
    X86VM_SLOW_DEVICE,   /* a device's memory, or nobody's */
    X86VM_SLOW_CROSSING, /* lies in two pages */
    X86VM_SLOW_PAGE,     /* a write to a page with translated code; a page that is ROM or watched */
    X86VM_SLOW_KINDS
};

struct x86vm_counters {
    uint64_t blocks_translated, bytes_translated, blocks_moved, cache_flushes, copies_dropped, invalidations, pages_dropped;
    uint64_t jump_caches, jump_lookups; /* indirect jumps that compare with where they mostly lead, again each time; that lead to many places */
    uint64_t jump_sites, jump_misses; /* indirect jumps that were led through a map, and found nothing there */
    uint64_t far_links_back; /* jumps between pages that had got guards and lost them again */
    uint64_t dispatches, links, indirect_misses, slow_accesses, helper_calls;
    uint64_t bare_faults, bare_mappings, bare_pages; /* accesses without a check that faulted; what they had mapped */
    uint64_t exceptions, interrupts, page_faults, view_fills, view_flushes, page_flushes;
    uint64_t translate_ns, code_bytes;
    uint64_t translate_ticks; /* the engine's own: TSC */
    uint64_t exit[X86VM_EXIT_REASONS], slow[X86VM_SLOW_KINDS], call[X86VM_CALL_KINDS];
    uint64_t exception[X86VM_EXCEPTIONS], interrupt[X86VM_VECTORS];
};

/* For people and scripts; NULL: no such thing. */
const char *x86vm_exit_name(unsigned reason);
const char *x86vm_slow_name(unsigned kind);
const char *x86vm_call_name(unsigned kind);

#endif
