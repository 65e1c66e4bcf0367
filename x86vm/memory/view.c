/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The views of guest-linear memory: filling and flushing. See view.h; C's own
 * accesses through them are view_access.c, the page walk itself is paging.c.
 *
 * A view keeps two logs of the linear pages it has entries for, one for global
 * pages and one for the others; a byte a page says which log it is in and which
 * of the three tables may hold an entry. To find the write entries that lead to
 * a physical page without a scan, the set remembers up to two linear pages for
 * each; a page written through more of them is looked for in the logs.
 *
 * The set holds one address space. Several kept alive over CR3 loads would be
 * an array of `struct view` pairs here: everything below works on one view.
 */
#include "x86vm/memory/view_internal.h"

#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/paging.h"
#include "x86vm/memory/phys.h"
#include "x86vm/memory/watch.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define LOG_SIZE (VIEW_LOGGED_MOST * sizeof(uint32_t))
#define ONE_VIEW_SIZE (VIEW_PAGES + 2 * LOG_SIZE)
#define WRITERS_SIZE (VIEW_PAGES * sizeof(struct writers))
#define MAP_SIZE (VIEW_COUNT * ONE_VIEW_SIZE + WRITERS_SIZE)

static void place_view(struct view *view, uint8_t *tables, uint8_t *at)
{
    view->read = (uint64_t *)(void *)tables;
    view->write = (uint64_t *)(void *)(tables + VIEW_WRITE);
    view->exec = (uint64_t *)(void *)(tables + VIEW_EXEC);
    view->in[DIRECT_READ] = tables + VIEW_READ_IN;
    view->in[DIRECT_WRITE] = tables + VIEW_WRITE_IN;
    view->pair[DIRECT_READ] = tables + VIEW_READ_PAIR;
    view->pair[DIRECT_WRITE] = tables + VIEW_WRITE_PAIR;
    view->local.page = (uint32_t *)(void *)at;
    view->global.page = (uint32_t *)(void *)(at + LOG_SIZE);
    view->state = at + 2 * LOG_SIZE;
}

struct view_set *view_set_new(void)
{
    struct view_set *set = calloc(1, sizeof *set);
    if (!set)
        return NULL;
    if (!window_reserve(&set->window))
        goto free_set;
    view_bare_reserve(set);
    set->map = mmap(NULL, MAP_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (set->map == MAP_FAILED)
        goto release;
    madvise(set->map, MAP_SIZE, MADV_NOHUGEPAGE); /* sparse: huge pages would make it all resident */
    for (int i = 0; i < VIEW_COUNT; i++)
        place_view(&set->view[i], set->window.base + VIEW_TABLES(i == VIEW_USER), (uint8_t *)set->map + i * ONE_VIEW_SIZE);
    set->writers = (struct writers *)(void *)((uint8_t *)set->map + VIEW_COUNT * ONE_VIEW_SIZE);
    return set;

release:
    view_bare_release(set);
    window_release(&set->window);
free_set:
    free(set);
    return NULL;
}

void view_set_free(struct view_set *set)
{
    if (!set)
        return;
    munmap(set->map, MAP_SIZE);
    view_bare_release(set);
    window_release(&set->window);
    free(set);
}

void view_select(struct cpu *cpu)
{
    const struct view *view = view_of(cpu->views, cpu->cpl == 3);

    cpu->tables = view->read;
    cpu->window = cpu->views->window.base;
    if (view->bare_used)
        cpu->bare = view->bare->base;
}

/* --- filling --- */

static uint64_t addend_of(struct cpu *cpu, uint32_t physical, uint32_t linear)
{
    return (uint64_t)(uintptr_t)phys_ram(cpu->phys) + (physical & ~(PAGE_SIZE - 1)) - (linear & ~(PAGE_SIZE - 1));
}

static void log_page(struct view *view, uint32_t page, uint8_t filled, bool global)
{
    uint8_t in = global ? LOGGED_GLOBAL : LOGGED;
    struct page_log *log = global ? &view->global : &view->local;
    if (!(view->state[page] & in))
        log->page[log->count++] = page;
    view->state[page] |= in | filled;
}

/* Whether a remembered writer still is one. */
static bool still_writes(struct cpu *cpu, uint32_t page_plus_1, uint32_t physical_page)
{
    uint32_t page = page_plus_1 - 1;
    uint64_t addend = addend_of(cpu, physical_page << PAGE_SHIFT, page << PAGE_SHIFT);
    for (int i = 0; i < VIEW_COUNT; i++)
        if (cpu->views->view[i].write[page] == addend)
            return true;
    return false;
}

static void remember_writer(struct cpu *cpu, uint32_t page, uint32_t physical_page)
{
    struct writers *writers = &cpu->views->writers[physical_page];
    uint32_t mine = page + 1;
    if (writers->a == mine || writers->b == mine || writers->a == WRITERS_MANY)
        return;
    if (!writers->a || !still_writes(cpu, writers->a, physical_page))
        writers->a = mine;
    else if (!writers->b || !still_writes(cpu, writers->b, physical_page))
        writers->b = mine;
    else
        writers->a = WRITERS_MANY;
}

static void remember_device(struct cpu *cpu, struct view *view, uint32_t linear, const struct paging_result *walk)
{
    uint32_t page = linear >> PAGE_SHIFT;
    view->device[page % DEVICE_PAGES] = (struct device_page){ page, walk->physical >> PAGE_SHIFT, cpu->views->stamp + 1,
                                                              walk->writable && walk->dirty };
}

bool view_find_device(struct cpu *cpu, const struct view *view, uint32_t linear, enum view_access access, uint32_t *physical)
{
    const struct device_page *d = &view->device[(linear >> PAGE_SHIFT) % DEVICE_PAGES];
    if (d->linear != linear >> PAGE_SHIFT || d->stamp != cpu->views->stamp + 1 || access == VIEW_FOR_EXEC
        || (access == VIEW_FOR_WRITE && !d->writable))
        return false;
    *physical = d->physical << PAGE_SHIFT | (linear & (PAGE_SIZE - 1));
    return true;
}

/* --- dropping --- */

static void drop_page(struct view *view, uint32_t page)
{
    uint8_t state = view->state[page];
    if (state & IN_WINDOW)
        view_window_dropped(view, page);
    if (state & IN_BARE)
        view_bare_dropped(view, page);
    if (state & FILLED_READ)
        view->read[page] = 0;
    if (state & FILLED_WRITE)
        view->write[page] = 0;
    if (state & FILLED_EXEC)
        view->exec[page] = 0;
    view->state[page] = state & (uint8_t)~(FILLED | IN_WINDOW | IN_BARE | KEPT);
}

/* Whoever fetched from a page that is kept has to ask again, as for any other. */
static void keep_page(struct view *view, uint32_t page)
{
    if (view->state[page] & FILLED_EXEC)
        view->exec[page] = 0;
    view->state[page] &= (uint8_t)~FILLED_EXEC;
}

static void flush_log(struct view *view, struct page_log *log, uint8_t in)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < log->count; i++) {
        uint32_t page = log->page[i];
        if (view->state[page] & KEPT) {
            keep_page(view, page);
            log->page[kept++] = page;
            continue;
        }
        drop_page(view, page);
        view->state[page] &= (uint8_t)~in;
    }
    log->count = kept;
}

/* A guest that touches all of its 4 GiB must not make one flush last long: a full
 * log is emptied, and its pages are filled again when they are wanted. What was
 * fetched through them is forgotten, since INVLPG would no longer notice it. */
static void make_room(struct cpu *cpu, struct view *view, bool global)
{
    struct page_log *log = global ? &view->global : &view->local;

    if (log->count < VIEW_LOGGED_MOST)
        return;
    view_bare_crowded(cpu, view);
    flush_log(view, log, global ? LOGGED_GLOBAL : LOGGED);
    view->generation++;
}

/* The entries for data; gives which they are. */
static uint8_t fill_data(struct cpu *cpu, struct view *view, uint32_t page, uint32_t physical_page, bool can_write)
{
    uint64_t addend = addend_of(cpu, physical_page << PAGE_SHIFT, page << PAGE_SHIFT);

    view->read[page] = addend;
    if (!can_write)
        return FILLED_READ;
    view->write[page] = addend;
    remember_writer(cpu, page, physical_page);
    return FILLED_READ | FILLED_WRITE;
}

/* Fills what the walk allows: the entry asked for, and beside it those that
 * need no further bit set in the guest's tables. Of a page with a watched datum none
 * but that for fetches, which may be run. */
uint64_t view_fill_walked(struct cpu *cpu, struct view *view, uint32_t linear, enum view_access access,
                          const struct paging_result *walk)
{
    if (!phys_is_ram(cpu->phys, walk->physical)) {
        remember_device(cpu, view, linear, walk);
        return 0;
    }
    bool watched = cpu->watch_data && watch_page(cpu, linear);
    if (watched && access != VIEW_FOR_EXEC)
        return 0;
    uint32_t page = linear >> PAGE_SHIFT, physical_page = walk->physical >> PAGE_SHIFT;
    uint64_t addend = addend_of(cpu, walk->physical, linear);
    make_room(cpu, view, walk->global);
    cpu->views->large[page / LARGE_PAGES] |= walk->large;
    view->state[page] &= (uint8_t)~KEPT; /* by that walk it might be by other entries */
    bool can_write = walk->writable && walk->dirty && phys_is_writable(cpu->phys, walk->physical) &&
                     !(phys_marks(cpu->phys, physical_page) & PHYS_CODE);
    uint8_t filled = watched ? 0 : fill_data(cpu, view, page, physical_page, can_write);
    if (access == VIEW_FOR_EXEC) {
        view->exec[page] = addend;
        filled |= FILLED_EXEC;
        view->local_code |= !walk->global;
    }
    log_page(view, page, filled, walk->global);
    if (!watched)
        view_window_filled(cpu, view, page, physical_page);
    if (view->state[page] & IN_BARE)
        view_bare_filled(view, page, physical_page);
    cpu->views->counters.fills++;
    return access == VIEW_FOR_WRITE && !can_write ? 0 : addend;
}

void view_walk_or_fault(struct cpu *cpu, uint32_t linear, enum view_access access, bool user, struct paging_result *walk)
{
    uint32_t error;
    cpu->views->counters.walks++;
    if (paging_walk(cpu, linear, access, user, true, walk, &error))
        return;
    cpu->views->counters.page_faults++;
    cpu->views->refused += user;
    cpu->cr2 = linear;
    cpu_fault_error(cpu, VEC_PF, error);
}

uint32_t view_translate(struct cpu *cpu, uint32_t linear, enum view_access access, bool user)
{
    struct paging_result walk;
    view_walk_or_fault(cpu, linear, access, user, &walk);
    return walk.physical;
}

bool view_probe(struct cpu *cpu, uint32_t linear, enum view_access access, bool user, uint32_t *physical)
{
    struct paging_result walk;
    uint32_t error;
    if (!paging_walk(cpu, linear, access, user, false, &walk, &error))
        return false;
    *physical = walk.physical;
    return true;
}

uint64_t view_fill(struct cpu *cpu, uint32_t linear, enum view_access access, uint32_t *physical)
{
    struct paging_result walk;
    bool user = cpu->cpl == 3;
    if (view_find_device(cpu, view_of(cpu->views, user), linear, access, physical))
        return 0;
    view_walk_or_fault(cpu, linear, access, user, &walk);
    *physical = walk.physical;
    return view_fill_walked(cpu, view_of(cpu->views, user), linear, access, &walk);
}

void view_fill_quietly(struct cpu *cpu, uint32_t linear)
{
    struct paging_result walk;
    uint32_t error;
    bool user = cpu->cpl == 3;
    cpu->views->counters.walks++;
    if (paging_walk(cpu, linear, VIEW_FOR_READ, user, true, &walk, &error))
        view_fill_walked(cpu, view_of(cpu->views, user), linear, VIEW_FOR_READ, &walk);
}

/* --- flushing --- */

static void count_flush(struct view_set *set)
{
    set->stamp++;
    set->counters.flushes++;
}

void view_flush_all(struct cpu *cpu)
{
    view_bare_flushed(cpu, true);
    for (int i = 0; i < VIEW_COUNT; i++) {
        struct view *view = &cpu->views->view[i];
        flush_log(view, &view->local, LOGGED);
        flush_log(view, &view->global, LOGGED_GLOBAL);
        view->generation++;
    }
    count_flush(cpu->views);
}

void view_flush_nonglobal(struct cpu *cpu)
{
    view_bare_flushed(cpu, false);
    for (int i = 0; i < VIEW_COUNT; i++) {
        struct view *view = &cpu->views->view[i];
        flush_log(view, &view->local, LOGGED);
        view->generation += view->local_code;
        view->local_code = false;
    }
    count_flush(cpu->views);
}

/* INVLPG takes the whole of a large page (SDM vol. 3, 4.10.4.1), which lies in
 * many entries here. Dropping what else is near by is no harm. */
void view_flush_page(struct cpu *cpu, uint32_t linear)
{
    uint32_t page = linear >> PAGE_SHIFT, first = page, count = 1;

    if (cpu->views->large[page / LARGE_PAGES]) {
        first = page & ~(uint32_t)(LARGE_PAGES - 1);
        count = LARGE_PAGES;
        cpu->views->large[page / LARGE_PAGES] = false;
    }
    if (cpu->views->view[VIEW_SUPERVISOR].state[page] & IN_BARE)
        view_kept_flushed(cpu, page);
    for (int i = 0; i < VIEW_COUNT; i++) {
        struct view *view = &cpu->views->view[i];
        if (count > 1)
            view_bare_area_dropped(view, first, count);
        for (uint32_t k = first; k < first + count; k++) {
            view->generation += (view->state[k] & FILLED_EXEC) != 0;
            if (k == page || view->state[k] & FILLED)
                drop_page(view, k);
        }
    }
    cpu->views->stamp++;
    cpu->views->counters.page_flushes++;
}

uint64_t view_generation_of(const struct cpu *cpu, bool user)
{
    return cpu->views->view[user ? VIEW_USER : VIEW_SUPERVISOR].generation;
}

uint64_t view_generation(const struct cpu *cpu)
{
    return view_generation_of(cpu, cpu->cpl == 3);
}

bool view_is_code(struct cpu *cpu, bool user, uint32_t page, uint32_t physical_page)
{
    struct view *view = view_of(cpu->views, user);
    uint32_t linear = page << PAGE_SHIFT, error;
    struct paging_result walk;

    if (!view->exec[page]) {
        if (!paging_walk(cpu, linear, VIEW_FOR_EXEC, user, false, &walk, &error) || !walk.accessed || !(walk.global || user))
            return false;
        view_fill_walked(cpu, view, linear, VIEW_FOR_EXEC, &walk);
    }
    return view->exec[page] == addend_of(cpu, physical_page << PAGE_SHIFT, linear)
        && (user || (view->state[page] & (LOGGED | LOGGED_GLOBAL)) == LOGGED_GLOBAL);
}

/* --- write protection of a physical page --- */

static void protect_linear(struct cpu *cpu, uint32_t page, uint32_t physical_page)
{
    uint64_t addend = addend_of(cpu, physical_page << PAGE_SHIFT, page << PAGE_SHIFT);
    for (int i = 0; i < VIEW_COUNT; i++)
        if (cpu->views->view[i].write[page] == addend) {
            cpu->views->view[i].write[page] = 0;
            view_window_protected(&cpu->views->view[i], page);
            view_bare_protected(cpu, &cpu->views->view[i], page);
        }
}

static void protect_logged(struct cpu *cpu, const struct page_log *log, uint32_t physical_page)
{
    for (uint32_t i = 0; i < log->count; i++)
        protect_linear(cpu, log->page[i], physical_page);
}

void view_protect_page(struct cpu *cpu, uint32_t physical_page)
{
    struct writers *writers = &cpu->views->writers[physical_page];
    if (writers->a == WRITERS_MANY) {
        for (int i = 0; i < VIEW_COUNT; i++) {
            protect_logged(cpu, &cpu->views->view[i].local, physical_page);
            protect_logged(cpu, &cpu->views->view[i].global, physical_page);
        }
    } else {
        if (writers->a)
            protect_linear(cpu, writers->a - 1, physical_page);
        if (writers->b)
            protect_linear(cpu, writers->b - 1, physical_page);
    }
    *writers = (struct writers){ 0, 0 };
}

void view_get_counters(const struct cpu *cpu, struct view_counters *out)
{
    *out = cpu->views->counters;
}
