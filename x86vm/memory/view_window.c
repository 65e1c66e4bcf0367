/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Which pages of a view translated code may reach through the window, and which
 * pages get into it: see view.h and window.h.
 *
 * A page comes into the window when accesses have missed it often; then as many
 * neighbours as the guest maps to the neighbouring physical pages come with it
 * (all of a kernel's direct map of RAM, a file in the page cache). It stays
 * mapped when its entries are dropped: when they are filled again and lead to
 * the same physical page, it is back without a system call.
 */
#include "x86vm/cpu/limits.h"
#include "x86vm/memory/view_internal.h"

#include "x86vm/cpu/cpu.h"

/* Pages that one mapping may bring in on either side of the one wanted. */
enum { RUN_MAX = X86VM_LIMIT(1024, 8) };
/* Mappings that are given up at once where no more may be made: the host takes some 3 us
 * for each, and all of them would hold up an interrupt for 40 ms. */
enum { GIVEN_UP = X86VM_LIMIT(512, 4) };

/* --- the bytes that emitted code tests --- */

static void derive_pair(struct view_set *set, struct view *view, uint32_t page)
{
    bool nothing_below = !set->window.shows[page - 1];

    for (int kind = 0; kind < DIRECT_COUNT; kind++) {
        const uint8_t *in = view->in[kind];
        uint8_t value = in[page] && (in[page - 1] || nothing_below) ? VIEW_DIRECT : 0;
        if (view->pair[kind][page] != value) /* an unchanged byte leaves a page of zeros alone */
            view->pair[kind][page] = value;
    }
}

static void set_in(struct view *view, uint32_t page, bool read, bool write)
{
    if (read || view->in[DIRECT_READ][page])
        view->in[DIRECT_READ][page] = read ? VIEW_DIRECT : 0;
    if (write || view->in[DIRECT_WRITE][page])
        view->in[DIRECT_WRITE][page] = write ? VIEW_DIRECT : 0;
    if (read || write)
        view->state[page] |= IN_WINDOW;
    else
        view->state[page] &= (uint8_t)~IN_WINDOW;
}

void view_window_filled(struct cpu *cpu, struct view *view, uint32_t page, uint32_t physical_page)
{
    struct view_set *set = cpu->views;

    if (!window_shows(&set->window, page, physical_page)) {
        if (view->state[page] & IN_WINDOW) {
            view_window_dropped(view, page);
            view->state[page] &= (uint8_t)~IN_WINDOW;
        }
        return;
    }
    set_in(view, page, true, view->write[page] == view->read[page]);
    derive_pair(set, view, page);
    derive_pair(set, view, page + 1);
}

void view_window_dropped(struct view *view, uint32_t page)
{
    for (int kind = 0; kind < DIRECT_COUNT; kind++) {
        if (!view->in[kind][page])
            continue;
        view->in[kind][page] = view->pair[kind][page] = 0;
        if (view->pair[kind][page + 1])
            view->pair[kind][page + 1] = 0;
    }
}

void view_window_protected(struct view *view, uint32_t page)
{
    if (!view->in[DIRECT_WRITE][page])
        return;
    view->in[DIRECT_WRITE][page] = view->pair[DIRECT_WRITE][page] = view->pair[DIRECT_WRITE][page + 1] = 0;
}

/* --- mapping --- */

static bool in_use(const struct view_set *set, uint32_t page)
{
    for (int i = 0; i < VIEW_COUNT; i++)
        if (set->view[i].state[page] & IN_WINDOW)
            return true;
    return false;
}

/* Whether the guest maps `page` to `physical_page`, and it may join a run. */
static bool joins(struct cpu *cpu, uint32_t page, uint32_t physical_page, bool user)
{
    const struct view_set *set = cpu->views;
    uint32_t physical;

    return window_may_hold(page) && !in_use(set, page) && !window_shows(&set->window, page, physical_page)
        && view_probe(cpu, page << PAGE_SHIFT, VIEW_FOR_READ, user, &physical) && physical >> PAGE_SHIFT == physical_page
        && phys_is_ram(cpu->phys, physical);
}

static uint64_t addend_of(struct cpu *cpu, uint32_t page, uint32_t physical_page)
{
    return (uint64_t)(uintptr_t)phys_ram(cpu->phys) + ((uint64_t)physical_page << PAGE_SHIFT) - ((uint64_t)page << PAGE_SHIFT);
}

/* The window shows the pages from now on: entries that lead there may use it. */
static void derive_run(struct cpu *cpu, uint32_t first, uint32_t count, uint32_t physical_page)
{
    struct view_set *set = cpu->views;

    for (int i = 0; i < VIEW_COUNT; i++) {
        struct view *view = &set->view[i];
        for (uint32_t k = 0; k < count; k++) {
            uint64_t addend = addend_of(cpu, first + k, physical_page + k);
            set_in(view, first + k, view->read[first + k] == addend, view->write[first + k] == addend);
        }
        for (uint32_t k = 0; k <= count; k++)
            derive_pair(set, view, first + k);
    }
}

static void bring_in(struct cpu *cpu, uint32_t page, uint32_t physical_page, bool user)
{
    struct view_set *set = cpu->views;
    uint32_t below = 0, above = 0;

    while (below < RUN_MAX && joins(cpu, page - below - 1, physical_page - below - 1, user))
        below++;
    while (above < RUN_MAX && joins(cpu, page + above + 1, physical_page + above + 1, user))
        above++;
    if (!window_map(&set->window, cpu->phys, page - below, physical_page - below, below + above + 1))
        return;
    set->counters.window_mappings++;
    set->counters.window_pages += below + above + 1;
    derive_run(cpu, page - below, below + above + 1, physical_page - below);
}

/* What the window shows below a page may be of no use to anyone, and keeps
 * operands that could begin there on the slow way. */
static void make_room_below(struct cpu *cpu, uint32_t page)
{
    struct view_set *set = cpu->views;

    if (!set->window.shows[page - 1] || in_use(set, page - 1))
        return;
    window_unmap(&set->window, page - 1);
    for (int i = 0; i < VIEW_COUNT; i++) {
        derive_pair(set, &set->view[i], page - 1);
        derive_pair(set, &set->view[i], page);
    }
}

static void settle_page(struct cpu *cpu, uint32_t page, bool user)
{
    struct view_set *set = cpu->views;
    const struct view *view = view_of(set, user);
    uint64_t addend = view->read[page] ? view->read[page] : view->write[page];
    uint32_t physical_page = (uint32_t)((addend + ((uint64_t)page << PAGE_SHIFT) - (uint64_t)(uintptr_t)phys_ram(cpu->phys)) >> PAGE_SHIFT);

    if (!addend)
        return;
    if (!window_shows(&set->window, page, physical_page))
        bring_in(cpu, page, physical_page, user);
    make_room_below(cpu, page);
}

/* Everything in the window goes: its entries stay, as addends. */
static void clear(struct view_set *set)
{
    for (int i = 0; i < VIEW_COUNT; i++) {
        struct view *view = &set->view[i];
        const struct page_log *logs[] = { &view->local, &view->global };
        for (int l = 0; l < 2; l++)
            for (uint32_t k = 0; k < logs[l]->count; k++) {
                view_window_dropped(view, logs[l]->page[k]);
                view->state[logs[l]->page[k]] &= (uint8_t)~IN_WINDOW;
            }
    }
    window_clear(&set->window);
}

/* The same of one slice; false: the host refuses that. */
static bool clear_slice(struct view_set *set, uint32_t slice)
{
    uint32_t first = slice * WINDOW_SLICE, behind = first + WINDOW_SLICE;

    for (int i = 0; i < VIEW_COUNT; i++)
        for (uint32_t page = first; page < behind; page++)
            if (set->view[i].state[page] & IN_WINDOW) {
                view_window_dropped(&set->view[i], page);
                set->view[i].state[page] &= (uint8_t)~IN_WINDOW;
            }
    if (!window_clear_slice(&set->window, slice))
        return false;
    for (int i = 0; i < VIEW_COUNT && behind < VIEW_PAGES; i++)
        derive_pair(set, &set->view[i], behind);
    return true;
}

/* Room for further mappings, slice after slice around the window. */
static void make_room(struct view_set *set)
{
    struct window *window = &set->window;
    uint32_t enough = window->mappings > GIVEN_UP ? window->mappings - GIVEN_UP : 0;

    set->counters.window_clears++;
    for (uint32_t n = 0; n < WINDOW_SLICES && window->mappings > enough; n++) {
        uint32_t slice = window->next_slice++ % WINDOW_SLICES;
        if (window->in_slice[slice] && !clear_slice(set, slice)) {
            clear(set);
            return;
        }
    }
    window->refused = false;
}

bool view_heated(struct cpu *cpu, uint32_t linear)
{
    struct view_set *set = cpu->views;
    uint32_t page = linear >> PAGE_SHIFT;

    if (!window_may_hold(page) || (set->window.refused && !set->window.mappings))
        return false;
    if (set->wanted_count == WINDOW_WANTED)
        return true;
    set->wanted[set->wanted_count++] = (struct wanted){ page, cpu->cpl == 3 };
    return true;
}

void view_settle(struct cpu *cpu)
{
    struct view_set *set = cpu->views;

    if (!set->wanted_count)
        return;
    if (window_is_full(&set->window))
        make_room(set);
    for (uint32_t i = 0; i < set->wanted_count; i++)
        settle_page(cpu, set->wanted[i].page, set->wanted[i].user);
    set->wanted_count = 0;
}
