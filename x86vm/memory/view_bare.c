/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the bare windows show, and when translated code uses them: see view.h
 * and bare.h.
 *
 * A window that a view points to shows no more than the view has entries for;
 * whatever drops an entry takes the page out of the window before it returns.
 * The supervisor's window outlives loads of CR3: it shows global pages, and a few
 * others while they stay where they are (view_kept.c). A user's window belongs to an
 * address space. A load of CR3 lays it aside as it is; when its address space
 * has been back for a while, each page is looked up again, as a TLB would have
 * to, and what leads elsewhere by now is taken out.
 *
 * A mapping costs the host some five microseconds. So a user's window is used
 * only while no CR3 was loaded for a millisecond, or at once where the address space is known to
 * run for long enough each time (view_slices.c), and mappings are paid from
 * a credit that time fills up: who touches new pages all the time is sent back
 * to translations with checks until there is credit again.
 */
#include "x86vm/cpu/limits.h"
#include "x86vm/memory/view_internal.h"

#include <stdlib.h>
#include <x86intrin.h>

#include "x86vm/cpu/cpu.h"

/* One mapping is earned in 50 us; 1000 may be saved up, 50 must be there to begin with. */
enum { EARNED_IN_US = 50, CREDIT_MAX = X86VM_LIMIT(1000, 40), CREDIT_BEGIN = X86VM_LIMIT(50, 2), SETTLED_US = X86VM_LIMIT(1000, 50) };
/* Pages that one mapping may bring in on either side of the one wanted. */
enum { RUN_MAX = X86VM_LIMIT(1024, 8) };
/* Pages looked at before all of a window's are. */
enum { SAMPLED = 16 };

void view_bare_reserve(struct view_set *set)
{
    set->bare_possible = bare_possible() && !getenv("X86VM_NO_BARE") && !getenv("X86VM_EAGER_WINDOW");
    set->bare_eager = getenv("X86VM_EAGER_BARE") != NULL || getenv("X86VM_EAGER_JUMPS") != NULL;
    for (unsigned i = 0; set->bare_possible && i < BARE_WINDOWS; i++)
        set->bare_possible = bare_reserve(&set->bare[i]);
    if (!set->bare_possible)
        view_bare_release(set);
    for (unsigned i = 0; i < VIEW_COUNT; i++)
        set->view[i].bare_credit = CREDIT_MAX;
}

void view_bare_release(struct view_set *set)
{
    for (unsigned i = 0; i < BARE_WINDOWS; i++)
        bare_release(&set->bare[i]);
}

/* --- entries that go --- */

void view_bare_dropped(struct view *view, uint32_t page)
{
    if (view->bare)
        bare_hide(view->bare, page);
}

void view_bare_area_dropped(struct view *view, uint32_t first, uint32_t count)
{
    if (view->bare)
        bare_hide_run(view->bare, first, count);
}

void view_bare_protected(struct cpu *cpu, struct view *view, uint32_t page)
{
    struct bare_window *window = view->bare;

    if (!window || !(window->shows[page] & BARE_WRITABLE))
        return;
    if (!bare_show(window, cpu->phys, page, bare_physical_page(window, page), 1, false))
        bare_hide(window, page);
}

void view_bare_filled(struct view *view, uint32_t page, uint32_t physical_page)
{
    if (view->bare && view->bare->shows[page] && bare_physical_page(view->bare, page) != physical_page)
        bare_hide(view->bare, page);
}

/* Translations depend on it: those made with the window are not found any more. */
static void set_used(struct cpu *cpu, struct view *view, bool used)
{
    if (view->bare_used == used)
        return;
    view->bare_used = used;
    view->generation++;
    cpu->mode_dirty = true;
    view_select(cpu);
}

static void clear(struct cpu *cpu, struct view *view)
{
    if (view == view_of(cpu->views, false))
        view_kept_forget(cpu->views);
    bare_clear(view->bare);
}

void view_bare_crowded(struct cpu *cpu, struct view *view)
{
    if (view->bare)
        clear(cpu, view);
}

void view_bare_flushed(struct cpu *cpu, bool global_too)
{
    struct view_set *set = cpu->views;
    struct view *user = &set->view[VIEW_USER], *supervisor = &set->view[VIEW_SUPERVISOR];
    uint64_t now = __rdtsc();

    if (!set->bare_possible)
        return;
    view_slices_loaded(cpu, now);
    set->loaded_at = now;
    set->stays = !global_too && view_slices_long(cpu);
    if (set->bare_eager || set->stays)
        cpu->exit_request = 1; /* view_bare_review() comes soon */
    set_used(cpu, user, false);
    user->bare = NULL;
    if (!global_too) {
        view_kept_review(cpu);
        return;
    }
    set_used(cpu, supervisor, false);
    if (supervisor->bare)
        clear(cpu, supervisor);
    supervisor->bare = NULL;
    for (unsigned i = 1; i < BARE_WINDOWS; i++)
        set->bare[i].stale = true; /* a change of CR0 or CR4 may mean other rights; one at a time, later: each takes the host ms */
}

/* --- credit --- */

static void earn(const struct cpu *cpu, struct view *view, uint64_t now)
{
    uint64_t step = (uint64_t)cpu->tsc_khz * EARNED_IN_US / 1000, earned = (now - view->bare_counted) / step;

    if (now < view->bare_counted || !earned)
        return;
    view->bare_credit = view->bare_credit + earned < CREDIT_MAX ? view->bare_credit + earned : CREDIT_MAX;
    view->bare_counted = now;
}

/* --- pages that come --- */

static uint32_t physical_of(const struct cpu *cpu, uint32_t page, uint64_t addend)
{
    return (uint32_t)((addend + ((uint64_t)page << PAGE_SHIFT) - (uint64_t)(uintptr_t)phys_ram(cpu->phys)) >> PAGE_SHIFT);
}

/* A load of CR3 drops what a user's window shows, and nothing that the supervisor's does. */
static bool may_show(const struct view *view, uint32_t page, bool user)
{
    bool global = view->state[page] & LOGGED_GLOBAL;

    return view->read[page] && global == !user;
}

/* ... unless it is kept. */
static bool must_be_kept(const struct view *view, uint32_t page, bool user)
{
    return !user && !(view->state[page] & LOGGED_GLOBAL);
}

static bool may_write(const struct view *view, uint32_t page)
{
    return view->write[page] == view->read[page];
}

/* What the guest maps by one large entry may be filled as a whole. */
static void fill_around(struct cpu *cpu, struct view *view, uint32_t page, bool user)
{
    struct paging_result walk;
    uint32_t error, first = page & ~(RUN_MAX - 1);

    if (!paging_walk(cpu, page << PAGE_SHIFT, VIEW_FOR_READ, user, false, &walk, &error) || !walk.large || !walk.dirty)
        return;
    for (uint32_t k = first; k < first + RUN_MAX; k++)
        if (!view->read[k] && paging_walk(cpu, k << PAGE_SHIFT, VIEW_FOR_READ, user, false, &walk, &error) && walk.large && walk.accessed)
            view_fill_walked(cpu, view, k << PAGE_SHIFT, VIEW_FOR_READ, &walk);
}

/* Shows the page and its neighbours that lead to the neighbouring physical
 * pages with the same rights. */
static bool show_run(struct cpu *cpu, struct view *view, uint32_t page, bool user)
{
    uint64_t addend = view->read[page];
    bool writable = may_write(view, page), alone = must_be_kept(view, page, user);
    uint32_t first = page, last = page;

    while (!alone && first > 0 && page - first < RUN_MAX && view->read[first - 1] == addend && !view->bare->shows[first - 1]
           && may_show(view, first - 1, user) && may_write(view, first - 1) == writable)
        first--;
    while (!alone && last + 1 < VIEW_PAGES && last - page < RUN_MAX && view->read[last + 1] == addend && !view->bare->shows[last + 1]
           && may_show(view, last + 1, user) && may_write(view, last + 1) == writable)
        last++;
    if (!bare_show(view->bare, cpu->phys, first, physical_of(cpu, first, addend), last - first + 1, writable))
        return false;
    for (uint32_t k = first; k <= last; k++)
        view->state[k] |= IN_BARE;
    cpu->views->counters.bare_mappings++;
    cpu->views->counters.bare_pages += last - first + 1;
    return true;
}

/* Fills the entries for an access that is about to happen. False: it is not allowed. */
static bool fill_quietly(struct cpu *cpu, struct view *view, uint32_t linear, enum view_access access, bool user, uint32_t *error)
{
    struct paging_result walk;

    cpu->views->counters.walks++;
    if (!paging_walk(cpu, linear, access, user, true, &walk, error))
        return false;
    view_fill_walked(cpu, view, linear, access, &walk);
    return true;
}

/* The window is full, or the host will not map: it may be tried again in a second. */
static void start_over(struct cpu *cpu, struct view *view)
{
    clear(cpu, view);
    set_used(cpu, view, false);
    view->bare_credit = 0;
    view->bare_counted = __rdtsc() + (uint64_t)cpu->tsc_khz * 1000;
}

/* A kept page takes the place of another when many are kept: only while mappings are to be had. */
static bool may_keep(struct cpu *cpu, const struct view *view, uint32_t page, uint64_t now)
{
    return view_kept_may(cpu, page, now) && (view->bare_credit >= CREDIT_BEGIN || cpu->views->bare_eager);
}

bool view_bare_began_at(const struct cpu *cpu, uint32_t linear, bool write)
{
    uint32_t page = linear >> PAGE_SHIFT;

    for (unsigned i = 0; i < CPU_SEG_COUNT; i++)
        if (linear - cpu->seg_base[i] >= 0u - PAGE_SIZE)
            return false;
    return linear & (PAGE_SIZE - 1) || cpu->tables[(write ? VIEW_WRITE / 8 : 0) + (page - 1) % VIEW_PAGES];
}

enum view_bare_answer view_bare_fault(struct cpu *cpu, uint64_t host, bool write, uint32_t *error)
{
    bool user = cpu->cpl == 3;
    struct view *view = view_of(cpu->views, user);
    uint64_t offset = host - (uint64_t)(uintptr_t)cpu->bare, now = __rdtsc();
    uint32_t page = (uint32_t)(offset >> PAGE_SHIFT);
    enum view_access access = write ? VIEW_FOR_WRITE : VIEW_FOR_READ;

    if (!cpu->bare || offset >= (1ull << 32) + BARE_ABOVE)
        return VIEW_BARE_NOT_THERE;
    if (offset >> 32 != 0 || !view->bare_used || cpu->bare != view->bare->base)
        return VIEW_BARE_NEVER;
    if ((!view->read[page] || (write && !may_write(view, page))) && !fill_quietly(cpu, view, page << PAGE_SHIFT, access, user, error)) {
        cpu->views->refused += user;
        return VIEW_BARE_REFUSED;
    }
    if (!view->read[page])
        return VIEW_BARE_NEVER;
    if (write && !may_write(view, page))
        return VIEW_BARE_SELDOM;
    earn(cpu, view, now);
    if (must_be_kept(view, page, user) ? !may_keep(cpu, view, page, now) : !may_show(view, page, user) || !(user || view_kept_may(cpu, page, now)))
        return VIEW_BARE_SELDOM;
    if (!user)
        fill_around(cpu, view, page, user);
    if (!view->read[page])
        return VIEW_BARE_NOT_NOW; /* it had to make room for its neighbours */
    if (!view->bare_credit && !cpu->views->bare_eager) {
        set_used(cpu, view, false);
        return VIEW_BARE_NOT_NOW;
    }
    if (!show_run(cpu, view, page, user)) {
        start_over(cpu, view);
        return VIEW_BARE_NOT_NOW;
    }
    if (must_be_kept(view, page, user))
        view_kept_add(cpu, page);
    view->bare_credit -= view->bare_credit != 0;
    return VIEW_BARE_SHOWN;
}

/* Costs no credit: the guest's page fault took longer, and bounds how often this is. */
void view_bare_expect(struct cpu *cpu, uint32_t linear, bool write)
{
    struct view *view = view_of(cpu->views, true);
    struct paging_result walk;
    uint32_t error;

    if (cpu->cpl != 3 || !view_bare_used(cpu) || !paging_walk(cpu, linear, write ? VIEW_FOR_WRITE : VIEW_FOR_READ, true, false, &walk, &error)
        || !walk.accessed || (write && !walk.dirty))
        return;
    view->bare_credit++;
    if (view_bare_fault(cpu, (uint64_t)(uintptr_t)cpu->bare + linear, write, &error) != VIEW_BARE_SHOWN)
        view->bare_credit -= view->bare_credit != 0;
}

/* --- when a window is used --- */

/* Whether the window shows what the guest's tables say now. */
static bool still_right(struct cpu *cpu, struct view *view, uint32_t page)
{
    uint32_t shown = view->bare->shows[page], error;
    struct paging_result walk;

    if (!view->read[page] && paging_walk(cpu, page << PAGE_SHIFT, VIEW_FOR_READ, true, false, &walk, &error) && walk.accessed)
        view_fill_walked(cpu, view, page << PAGE_SHIFT, VIEW_FOR_READ, &walk);
    return may_show(view, page, true) && physical_of(cpu, page, view->read[page]) == bare_physical_page(view->bare, page)
        && (!(shown & BARE_WRITABLE) || may_write(view, page));
}

/* Looks up again what the window shows: its address space is back, or one whose
 * directory has the same place. What is wrong goes to the list's end, and is
 * hidden together: neighbours cost one system call. */
static void renew(struct cpu *cpu, struct view *view)
{
    struct bare_window *window = view->bare;
    uint32_t right = 0, wrong;

    bare_tidy_list(window);
    wrong = window->count;
    while (right < wrong) {
        uint32_t page = window->pages[right];
        if (window->shows[page] && still_right(cpu, view, page)) {
            view->state[page] |= IN_BARE;
            right++;
        } else {
            window->pages[right] = window->pages[--wrong];
            window->pages[wrong] = page;
        }
    }
    bare_hide_listed(window, right);
}

/* The window of the present address space, or the one that was not used longest. */
static struct bare_window *choose(struct cpu *cpu)
{
    struct view_set *set = cpu->views;
    struct bare_window *oldest = &set->bare[1];

    for (unsigned i = 1; i < BARE_WINDOWS; i++) {
        if (!set->bare[i].stale && set->bare[i].mappings && set->bare[i].cr3 == cpu->cr3)
            return &set->bare[i];
        if (set->bare[i].used < oldest->used)
            oldest = &set->bare[i];
    }
    bare_clear(oldest);
    oldest->stale = false;
    oldest->cr3 = cpu->cr3;
    return oldest;
}

static bool ran_long(const struct cpu *cpu, uint64_t now)
{
    return (now - cpu->views->loaded_at) * 1000 >= (uint64_t)cpu->tsc_khz * SETTLED_US || cpu->views->bare_eager;
}

static bool is_settled(const struct cpu *cpu, uint64_t now)
{
    return cpu->views->stays || ran_long(cpu, now);
}

/* Whether most of what the window shows, as far as a few pages tell, is there; else it was another's. */
static bool looks_right(struct cpu *cpu, struct view *view)
{
    const struct bare_window *window = view->bare;
    uint32_t step = window->count / SAMPLED + 1, right = 0, wrong = 0;

    for (uint32_t i = 0; i < window->count; i += step) {
        uint32_t page = window->pages[i];
        if (!window->shows[page])
            continue;
        if (still_right(cpu, view, page))
            right++;
        else
            wrong++;
    }
    return wrong <= right / 4;
}

static bool is_paged(const struct cpu *cpu)
{
    return cpu->cr0 & CR0_PG;
}

/* A supervisor without paging has global pages, too: paging.c. It may go back and forth, as a boot loader does that calls a BIOS. */
static bool supervisor_may_begin(const struct cpu *cpu, uint64_t now)
{
    const struct view *view = &cpu->views->view[VIEW_SUPERVISOR];

    return !view->bare_used && view->bare_credit >= CREDIT_BEGIN && (is_paged(cpu) ? (cpu->cr4 & CR4_PGE) != 0 : ran_long(cpu, now));
}

bool view_bare_due(const struct cpu *cpu, uint64_t now)
{
    const struct view *user = &cpu->views->view[VIEW_USER];

    if (!cpu->views->bare_possible)
        return false;
    if (!is_paged(cpu))
        return cpu->cpl != 3 && supervisor_may_begin(cpu, now);
    return cpu->cpl == 3 && !user->bare_used && is_settled(cpu, now) && user->bare_credit >= CREDIT_BEGIN;
}

static void review_user(struct cpu *cpu, struct view *view, uint64_t now)
{
    if (!is_settled(cpu, now) || (view->bare_credit < CREDIT_BEGIN && !cpu->views->bare_eager))
        return;
    if (!view->bare) {
        view->bare = choose(cpu);
        if (!ran_long(cpu, now) && !looks_right(cpu, view)) {
            view->bare = NULL;
            cpu->views->stays = false;
            view_slices_forget(cpu);
            return;
        }
        view->bare->used = now;
        renew(cpu, view);
    }
    set_used(cpu, view, true);
}

void view_bare_review(struct cpu *cpu)
{
    struct view_set *set = cpu->views;
    struct view *user = &set->view[VIEW_USER], *supervisor = &set->view[VIEW_SUPERVISOR];
    uint64_t now = __rdtsc();

    if (!set->bare_possible || !cpu->tsc_khz)
        return;
    earn(cpu, user, now);
    earn(cpu, supervisor, now);
    if (!user->bare_used && is_paged(cpu))
        review_user(cpu, user, now);
    if (supervisor_may_begin(cpu, now) || (set->bare_eager && !supervisor->bare_used)) {
        supervisor->bare = &set->bare[0];
        set_used(cpu, supervisor, true);
    }
}

bool view_bare_used_of(const struct cpu *cpu, bool user)
{
    return view_of(cpu->views, user)->bare_used;
}

bool view_bare_used(const struct cpu *cpu)
{
    return view_bare_used_of(cpu, cpu->cpl == 3);
}

void view_bare_forbid(struct cpu *cpu)
{
    view_bare_flushed(cpu, true);
    cpu->views->bare_possible = false;
}
