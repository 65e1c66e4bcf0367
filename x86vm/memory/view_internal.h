/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What view.c (filling and flushing), view_access.c (C's own accesses),
 * view_window.c (which pages translated code may reach through the window),
 * view_bare.c (which without a check) and view_kept.c (which of these outlive a
 * load of CR3) share: the views themselves.
 */
#ifndef X86VM_MEMORY_VIEW_INTERNAL_H
#define X86VM_MEMORY_VIEW_INTERNAL_H

#include "x86vm/cpu/limits.h"
#include "x86vm/memory/bare.h"
#include "x86vm/memory/paging.h"
#include "x86vm/memory/window.h"

enum { LOGGED = 1, LOGGED_GLOBAL = 2, FILLED_READ = 4, FILLED_WRITE = 8, FILLED_EXEC = 16, IN_WINDOW = 32, IN_BARE = 64, KEPT = 128,
       FILLED = FILLED_READ | FILLED_WRITE | FILLED_EXEC };

struct page_log {
    uint32_t *page; /* VIEW_LOGGED_MOST of room: a page is in at most once */
    uint32_t count;
};

/* The last walks that led to device memory, which no table entry can stand for:
 * a driver's registers are read and written over and over. */
enum { DEVICE_PAGES = X86VM_LIMIT(32, 1) };
struct device_page {
    uint32_t linear;   /* page number */
    uint32_t physical; /* page number */
    uint64_t stamp;    /* view_set.stamp when it was walked */
    bool writable;
};

enum { DIRECT_READ, DIRECT_WRITE, DIRECT_COUNT };

struct view {
    uint64_t *read, *write, *exec; /* the entry tables, `read` the start of the mapping */
    uint8_t *in[DIRECT_COUNT];     /* VIEW_READ_IN, VIEW_WRITE_IN */
    uint8_t *pair[DIRECT_COUNT];   /* VIEW_READ_PAIR, VIEW_WRITE_PAIR */
    uint8_t *state;                /* LOGGED.. and FILLED.., one byte a page */
    struct page_log local, global;
    struct device_page device[DEVICE_PAGES];
    uint64_t generation; /* of what code may be fetched from where */
    bool local_code;     /* an entry for fetches of a page that is not global was filled */
    struct bare_window *bare; /* what it shows follows the entries; NULL: none does */
    bool bare_used;      /* translated code goes there */
    uint64_t bare_credit, bare_counted; /* mappings that it may ask for now, and when that was worked out */
};

enum { VIEW_SUPERVISOR, VIEW_USER, VIEW_COUNT };

/* Linear pages (plus one; 0 is none) whose write entry leads to a physical page. */
struct writers { uint32_t a, b; };
#define WRITERS_MANY UINT32_MAX

enum { BARE_WINDOWS = X86VM_LIMIT(5, 2) };

/* Pages that are not global, which the supervisor's bare window shows all the same. */
enum { KEPT_MAX = X86VM_LIMIT(256, 4), FICKLE_PAGES = X86VM_LIMIT(64, 2) };
struct kept_pages {
    struct { uint32_t page; struct paging_way way; } at[KEPT_MAX];
    uint32_t count, oldest;        /* when all places are taken, `oldest` is the next to be given away */
    struct { uint32_t page, times; } fickle[FICKLE_PAGES]; /* pages plus one that came to lead elsewhere; by page, the last one of each remainder */
    uint64_t forgiven;             /* when that was last forgotten; TSC */
};

struct wanted { uint32_t page; bool user; };

/* An address space that ran lately: view_slices.c. */
struct space {
    uint32_t cr3;
    uint64_t ran;   /* in all, of late; TSC ticks */
    uint64_t refused; /* page faults meanwhile */
    int64_t slice;  /* from one load of CR3 to the next, the later ones counting more */
    uint64_t used;
};
enum { SPACES_KNOWN = 8 };

/* The largest that one entry of the guest's tables maps. */
enum { LARGE_PAGES = 1024, LARGE_AREAS = VIEW_PAGES / LARGE_PAGES };

struct view_set {
    void *map;
    struct window window;
    struct bare_window bare[BARE_WINDOWS]; /* the supervisor's, and some for address spaces of users */
    struct kept_pages kept;
    bool bare_possible, bare_eager;
    uint64_t loaded_at;  /* when the address space was last changed; TSC */
    struct space spaces[SPACES_KNOWN], *space; /* the present one, once CR3 was loaded */
    uint64_t refused;    /* page faults since then */
    bool stays;          /* it is expected to run for long enough now */
    struct view view[VIEW_COUNT];
    struct writers *writers; /* by physical page */
    bool large[LARGE_AREAS]; /* an entry there was filled from a large page; by linear address */
    uint64_t stamp;          /* advances with every flush */
    struct wanted wanted[WINDOW_WANTED]; /* pages to be mapped in the window */
    uint32_t wanted_count;
    struct view_counters counters;
};

static inline struct view *view_of(struct view_set *set, bool user)
{
    return &set->view[user ? VIEW_USER : VIEW_SUPERVISOR];
}

/* --- view.c --- */

/* Whether the access goes to a device page walked since the last flush. */
bool view_find_device(struct cpu *cpu, const struct view *view, uint32_t linear, enum view_access access, uint32_t *physical);
/* Sets accessed and dirty bits, or raises the page fault. */
void view_walk_or_fault(struct cpu *cpu, uint32_t linear, enum view_access access, bool user, struct paging_result *walk);

/* --- view_window.c --- */

/* The page's entries were filled and lead to that physical page: translated
 * code may use the window if it shows just that. */
void view_window_filled(struct cpu *cpu, struct view *view, uint32_t page, uint32_t physical_page);
/* The page's entries, or its entry for writes alone, are being dropped. */
void view_window_dropped(struct view *view, uint32_t page);
void view_window_protected(struct view *view, uint32_t page);

/* --- view_bare.c --- */

/* A host that will not reserve the addresses leaves the checks. */
void view_bare_reserve(struct view_set *set);
void view_bare_release(struct view_set *set);
/* The view's entries for the page, or its entry for writes alone, are being dropped. */
void view_bare_dropped(struct view *view, uint32_t page);
/* ... for all of these pages: at once, not one by one. */
void view_bare_area_dropped(struct view *view, uint32_t first, uint32_t count);
void view_bare_protected(struct cpu *cpu, struct view *view, uint32_t page);
/* The page's entries lead to that physical page now. */
void view_bare_filled(struct view *view, uint32_t page, uint32_t physical_page);
/* All entries are being dropped, or all that are not global. */
void view_bare_flushed(struct cpu *cpu, bool global_too);
/* Many global entries are being dropped. */
void view_bare_crowded(struct cpu *cpu, struct view *view);

/* --- view_slices.c --- */

/* CR3 was loaded. */
void view_slices_loaded(struct cpu *cpu, uint64_t now);
/* Whether the present address space, as far as it is known, will run long enough to look at a window's pages. */
bool view_slices_long(const struct cpu *cpu);
/* It is another than it was. */
void view_slices_forget(struct cpu *cpu);

/* --- view_kept.c --- */

/* Whether the supervisor's window may show the page: it has not led elsewhere too often of late. */
bool view_kept_may(struct cpu *cpu, uint32_t page, uint64_t now);
/* INVLPG took it out of that window. */
void view_kept_flushed(struct cpu *cpu, uint32_t page);
/* It does from now on; the entries stay when CR3 is loaded, until one finds other entries on the way. */
bool view_kept_add(struct cpu *cpu, uint32_t page);
/* CR3 was loaded, and entries that are not global are about to be dropped: all but those with KEPT. */
void view_kept_review(struct cpu *cpu);
/* None is kept any more. */
void view_kept_forget(struct view_set *set);

/* --- view.c --- */

/* Fills entries from a walk for that access: see view_fill(). */
uint64_t view_fill_walked(struct cpu *cpu, struct view *view, uint32_t linear, enum view_access access,
                          const struct paging_result *walk);

#endif
