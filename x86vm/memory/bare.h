/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Bare windows: 4 GiB of host addresses each, in which a guest-linear page is
 * mapped just as the guest may use it at that moment, for reading alone or for
 * both, or not at all. Translated code needs no check there: what it may not do
 * faults in the host (translate/host_fault.c). The window of window.h, whose
 * tables are asked first, shows the same pages to whoever may see any of them.
 *
 * This file makes the host map and unmap; view_bare.c decides what, and when a
 * window may be used. Emitted code reaches a window through the GS segment,
 * whose base a program can set by itself where the host has FSGSBASE (SDM vol. 2,
 * WRGSBASE): [GS: 32-bit address] is the window's base plus an address that
 * wraps at 4 GiB as the guest's does.
 */
#ifndef X86VM_MEMORY_BARE_H
#define X86VM_MEMORY_BARE_H

#include <stdbool.h>
#include <stdint.h>

#include "x86vm/memory/phys.h"

#define BARE_WRITABLE (1u << 31)
#define BARE_ABOVE (2ull << 20) /* inaccessible: where an access ends that begins on the last page */

struct bare_window {
    uint8_t *base;     /* linear 0; NULL before bare_reserve() */
    uint8_t *map;      /* the whole reservation */
    uint32_t *shows;   /* by linear page: physical page + 1, and BARE_WRITABLE; 0: inaccessible */
    uint32_t *pages;   /* shown since the window was last empty, some perhaps twice or hidden again */
    uint32_t count;    /* of them */
    uint32_t mappings; /* that the host has of what is shown */
    bool open;         /* what shows nothing is left without a mapping; else it is an inaccessible one, which costs more */
    uint32_t cr3;      /* whose pages they are */
    uint64_t used;     /* when it was last chosen; TSC */
    bool stale;        /* laid aside, and to be emptied before anybody uses it again */
};

/* Whether the host lets a program set the base of GS. */
bool bare_possible(void);

bool bare_reserve(struct bare_window *window);
void bare_release(struct bare_window *window);

/* `count` pages from linear page `page` show RAM from physical page
 * `physical_page`, and nothing else any more. False: no more should be mapped
 * in this window, or the host will not. */
bool bare_show(struct bare_window *window, const struct phys *phys, uint32_t page, uint32_t physical_page,
               uint32_t count, bool writable);
void bare_hide(struct bare_window *window, uint32_t page);
void bare_hide_run(struct bare_window *window, uint32_t page, uint32_t count);
void bare_clear(struct bare_window *window);

/* Leaves in the list what is shown, once. */
void bare_tidy_list(struct bare_window *window);
/* Hides what is in the tidy list from place `first` on, and takes it out. */
void bare_hide_listed(struct bare_window *window, uint32_t first);

static inline uint32_t bare_physical_page(const struct bare_window *window, uint32_t page)
{
    return (window->shows[page] & ~BARE_WRITABLE) - 1;
}

#endif
