/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The window: 4 GiB of host addresses in which guest pages that are used much
 * are mapped at base + guest-linear address, so that translated code reaches
 * them without loading an addend. This file knows which physical page each
 * linear page of the window shows and makes the host map it; that something is
 * mapped gives nobody a right to it: view.h's tables say who may use it.
 *
 * The tables of the views lie below the base in the same reservation, at
 * constant distances, so emitted code needs one register for all of it.
 */
#ifndef X86VM_MEMORY_WINDOW_H
#define X86VM_MEMORY_WINDOW_H

#include <stdbool.h>
#include <stdint.h>

#include "x86vm/memory/phys.h"
#include "x86vm/memory/view.h"

/* [base + register + small displacement] is not wrapped at 4 GiB: pages so near
 * to either end that it could have been are never in the window. */
enum { WINDOW_MARGIN_PAGES = 4, WINDOW_WANTED = 64 };
/* Pages that are given up together, and how many slices there are. */
enum { WINDOW_SLICE = 1024, WINDOW_SLICES = VIEW_PAGES / WINDOW_SLICE };

struct window {
    uint8_t *map;      /* the whole reservation */
    uint8_t *base;     /* linear 0 */
    uint32_t *shows;   /* by linear page: physical page + 1, 0: inaccessible */
    uint32_t mappings; /* made since it was last empty: what the host's limit counts */
    uint32_t in_slice[WINDOW_SLICES]; /* ... each where it begins */
    uint32_t next_slice; /* to be given up */
    bool refused;      /* the host will not map (more) */
};

bool window_reserve(struct window *window);
void window_release(struct window *window);

static inline bool window_may_hold(uint32_t page)
{
    return page - WINDOW_MARGIN_PAGES < VIEW_PAGES - 2 * WINDOW_MARGIN_PAGES;
}

static inline bool window_shows(const struct window *window, uint32_t page, uint32_t physical_page)
{
    return window->shows[page] == physical_page + 1;
}

/* `count` pages from linear page `page` show RAM from physical page `physical_page`. */
bool window_map(struct window *window, const struct phys *phys, uint32_t page, uint32_t physical_page, uint32_t count);
void window_unmap(struct window *window, uint32_t page);

/* More mappings were made than the host should be asked to keep. */
bool window_is_full(const struct window *window);
/* Nothing of the slice is mapped any more; false: the host refuses, and nothing has changed. */
bool window_clear_slice(struct window *window, uint32_t slice);
/* ... nor of the whole, which takes 3 us a mapping. */
void window_clear(struct window *window);

#endif
