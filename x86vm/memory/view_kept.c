/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Pages of the supervisor's bare window that are not global: see view.h and
 * view_bare.c.
 *
 * A kernel has more to reach than global pages: parts of its own memory that it
 * mapped anew in small pages, and its user's. A load of CR3 would drop them, and
 * showing one costs some ten microseconds. So the entries that led to each are
 * remembered, and after a load compared with those of the new tables, some ten
 * nanoseconds a page. Where they are the same nothing is dropped. Where they are
 * not, the page is hidden, and not shown again for up to a second: a user's, mostly,
 * whom the next one of the same address followed.
 */
#include "x86vm/memory/view_internal.h"

#include <string.h>

#include "x86vm/cpu/cpu.h"

/* What a page that is not global may never do, a global one may do so often: code that
 * is loaded, or let go, changes an address once. A kernel's few addresses for pages that
 * it has none for change all the time. */
enum { FICKLE_TIMES = 4 };

static void note_fickle(struct view_set *set, uint32_t page, uint32_t times)
{
    struct kept_pages *kept = &set->kept;
    uint32_t place = page % FICKLE_PAGES;

    kept->fickle[place].times = kept->fickle[place].page == page + 1 ? kept->fickle[place].times + times : times;
    kept->fickle[place].page = page + 1;
}

bool view_kept_may(struct cpu *cpu, uint32_t page, uint64_t now)
{
    struct kept_pages *kept = &cpu->views->kept;

    if ((now - kept->forgiven) / 1000 > cpu->tsc_khz) {
        memset(kept->fickle, 0, sizeof kept->fickle);
        kept->forgiven = now;
    }
    return kept->fickle[page % FICKLE_PAGES].page != page + 1 || kept->fickle[page % FICKLE_PAGES].times < FICKLE_TIMES;
}

void view_kept_flushed(struct cpu *cpu, uint32_t page)
{
    note_fickle(cpu->views, page, 1);
}

static struct view *supervisor(struct view_set *set)
{
    return &set->view[VIEW_SUPERVISOR];
}

static void hide(struct view *view, uint32_t page)
{
    if (view->state[page] & IN_BARE)
        view_bare_dropped(view, page);
    view->state[page] &= (uint8_t)~(IN_BARE | KEPT);
}

/* The place that the page has, or one for it. */
static uint32_t find_place(struct view_set *set, uint32_t page)
{
    struct kept_pages *kept = &set->kept;
    uint32_t place = 0;

    while (place < kept->count && kept->at[place].page != page)
        place++;
    if (place < KEPT_MAX) {
        kept->count += place == kept->count;
        return place;
    }
    place = kept->oldest++ % KEPT_MAX;
    hide(supervisor(set), kept->at[place].page);
    return place;
}

/* Whether the tables still lead to what the entries say. A guest may have changed
 * them since and not flushed the page, as its load of CR3 will. */
static bool entries_hold(struct cpu *cpu, const struct view *view, uint32_t page)
{
    uint32_t linear = page << PAGE_SHIFT, error;
    struct paging_result walk;

    return paging_walk(cpu, linear, VIEW_FOR_READ, false, false, &walk, &error) && walk.accessed
        && view->read[page] + linear == (uint64_t)(uintptr_t)phys_ram(cpu->phys) + (walk.physical & ~(PAGE_SIZE - 1))
        && (!view->write[page] || (view->write[page] == view->read[page] && walk.writable && walk.dirty));
}

bool view_kept_add(struct cpu *cpu, uint32_t page)
{
    struct view_set *set = cpu->views;
    struct paging_way way;
    uint32_t place;

    if (!entries_hold(cpu, supervisor(set), page) || !paging_find_way(cpu, page << PAGE_SHIFT, &way))
        return false;
    place = find_place(set, page);
    set->kept.at[place].page = page;
    set->kept.at[place].way = way;
    supervisor(set)->state[page] |= KEPT;
    return true;
}

void view_kept_review(struct cpu *cpu)
{
    struct kept_pages *kept = &cpu->views->kept;
    struct view *view = supervisor(cpu->views);
    uint32_t count = kept->count;

    kept->count = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t page = kept->at[i].page;
        if (!(view->state[page] & KEPT))
            continue; /* dropped since */
        if (paging_way_holds(cpu, page << PAGE_SHIFT, &kept->at[i].way)) {
            kept->at[kept->count++] = kept->at[i];
            continue;
        }
        note_fickle(cpu->views, page, FICKLE_TIMES);
        hide(view, page);
    }
}

void view_kept_forget(struct view_set *set)
{
    for (uint32_t i = 0; i < set->kept.count; i++)
        supervisor(set)->state[set->kept.at[i].page] &= (uint8_t)~KEPT;
    set->kept.count = 0;
}
