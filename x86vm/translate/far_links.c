/* SPDX-License-Identifier: BSD-2-Clause
 *
 * See far_links.h. A link is known by what its jump leads to: one that was
 * linked to another block since, or not at all, is none of ours any more.
 */
#include "x86vm/translate/far_links.h"

#include <stdlib.h>
#include <string.h>
#include <x86intrin.h>

#include "x86vm/cpu/limits.h"
#include "x86vm/translate/translator.h"

/* A kernel's code has some thousand pages, as cc1's has, most programs' some hundred. Looking at more would take too long in one step. */
static const uint32_t direct_most[] = { X86VM_LIMIT(8192, 6), X86VM_LIMIT(4096, 4) };
enum { PAGES_MOST = X86VM_LIMIT(16384, 9) };
/* A page that is looked at again costs one, and each link to it that goes without a guard again. */
enum { EARNED_IN_US = 2, CREDIT_MAX = X86VM_LIMIT(8192, 30), KHZ_ANYHOW = 1000000 };

/* --- pages --- */

static bool init(struct far_set *far)
{
    if (far->first)
        return true;
    far->pages = malloc(PAGES_MOST * sizeof *far->pages);
    far->first = calloc(VIEW_PAGES, sizeof *far->first);
    far->credit = CREDIT_MAX;
    if (far->pages && far->first)
        return true;
    free(far->pages);
    free(far->first);
    far->pages = NULL;
    far->first = NULL;
    return false;
}

static struct far_page *find(const struct far_set *far, uint32_t linear, uint32_t physical)
{
    for (uint32_t next = far->first[linear]; next; next = far->pages[next - 1].same)
        if (far->pages[next - 1].physical == physical)
            return &far->pages[next - 1];
    return NULL;
}

static void enlist(struct far_set *far, struct far_page *page, bool direct)
{
    uint32_t number = (uint32_t)(page - far->pages);

    page->direct = direct;
    page->at = direct ? far->direct.count : far->away.count;
    if (direct)
        TABLE_ADD(far->direct, number);
    else
        TABLE_ADD(far->away, number);
}

static void delist(struct far_set *far, const struct far_page *page)
{
    uint32_t *items = page->direct ? far->direct.items : far->away.items;
    uint32_t *count = page->direct ? &far->direct.count : &far->away.count;

    items[page->at] = items[--*count];
    far->pages[items[page->at]].at = page->at;
}

static void free_link(struct far_set *far, uint32_t number)
{
    far->links.items[number].next = far->free_links;
    far->free_links = number + 1;
}

/* One that leads elsewhere; its links keep their guards. NULL: there is none. */
static struct far_page *forget_one(struct far_set *far)
{
    struct far_page *page;
    uint32_t *same, next;

    if (!far->away.count)
        return NULL;
    page = &far->pages[far->away.items[far->forget++ % far->away.count]];
    for (uint32_t link = page->links; link; link = next) {
        next = far->links.items[link - 1].next;
        free_link(far, link - 1);
    }
    for (same = &far->first[page->linear]; &far->pages[*same - 1] != page; same = &far->pages[*same - 1].same)
        continue;
    *same = page->same;
    delist(far, page);
    return page;
}

static struct far_page *new_page(struct far_set *far, uint32_t linear, uint32_t physical)
{
    struct far_page *page = far->count < PAGES_MOST ? &far->pages[far->count++] : forget_one(far);

    if (!page)
        return NULL;
    *page = (struct far_page){ .linear = linear, .physical = physical, .same = far->first[linear] };
    far->first[linear] = (uint32_t)(page - far->pages) + 1;
    enlist(far, page, false);
    return page;
}

/* --- links --- */

static void add_link(struct far_set *far, struct far_page *page, struct far_link link)
{
    uint32_t number = far->free_links;

    link.next = page->links;
    if (number) {
        far->free_links = far->links.items[number - 1].next;
        far->links.items[number - 1] = link;
        page->links = number;
    } else {
        TABLE_ADD(far->links, link);
        page->links = far->links.count;
    }
    page->link_count++;
}

/* The jump leads elsewhere instead, if that is where it leads. */
static bool lead(struct translator *t, uint32_t place, uint32_t from, uint32_t to)
{
    uint64_t base = (uint64_t)(uintptr_t)t->cache_rx, *recalled = recall_target(t, place);
    uint8_t *at = t->cache_rw + place;

    if (recalled && *recalled == base + from)
        *recalled = base + to;
    else if (emit_target32(at, t->hot.to_exec) == base + from)
        emit_patch32(at, t->hot.to_exec, base + to);
    else
        return false;
    return true;
}

static void set_direct(struct translator *t, struct far_set *far, struct far_page *page, bool direct)
{
    uint32_t *next = &page->links;

    while (*next) {
        uint32_t number = *next - 1;
        struct far_link *l = &far->links.items[number];
        if (lead(t, l->place, direct ? l->guard_entry : l->entry, direct ? l->entry : l->guard_entry)) {
            next = &l->next;
            continue;
        }
        *next = l->next;
        free_link(far, number);
        page->link_count--;
    }
    delist(far, page);
    enlist(far, page, direct);
}

/* The page shows again what the links were made for, as its caller has seen. */
static void come_back(struct translator *t, bool user, struct far_page *page)
{
    struct far_set *far = &t->far[user];

    if (far->direct.count == direct_most[user] || far->credit < page->link_count)
        return;
    far->credit -= page->link_count;
    t->counters.far_links_back += page->link_count;
    set_direct(t, far, page, true);
}

uint32_t far_links_add_jump(struct translator *t, uint32_t mode, uint32_t linear, uint32_t physical, struct far_link link)
{
    bool user = mode & MODE_USER;
    struct far_set *far = &t->far[user];
    bool shows = view_is_code(translator_cpu(t), user, linear, physical); /* a user's pages come as they are run */
    struct far_page *page;

    if ((user ? !(mode & MODE_BARE) : !shows) || !init(far))
        return link.guard_entry;
    page = find(far, linear, physical);
    if (!page)
        page = new_page(far, linear, physical);
    if (!page)
        return link.guard_entry;
    if (!page->direct && shows)
        come_back(t, user, page);
    add_link(far, page, link);
    return page->direct ? link.entry : link.guard_entry;
}

uint64_t far_links_add(struct translator *t, uint32_t place, const struct block *to)
{
    uint64_t base = (uint64_t)(uintptr_t)t->cache_rx;
    struct far_link link = { .place = place, .entry = (uint32_t)(to->entry - base), .guard_entry = (uint32_t)(to->guard_entry - base) };

    if (!to->guard_entry)
        return 0;
    return base + far_links_add_jump(t, to->mode, (to->cs_base + to->eip) >> PAGE_SHIFT, to->physical >> PAGE_SHIFT, link);
}

/* --- looking again --- */

static void earn(const struct translator *t, struct far_set *far)
{
    uint32_t khz = t->area->cpu.tsc_khz ? t->area->cpu.tsc_khz : KHZ_ANYHOW;
    uint64_t now = __rdtsc(), step = (uint64_t)khz * EARNED_IN_US / 1000 + 1, earned = (now - far->counted_at) / step;

    if (!earned)
        return;
    far->credit = far->credit + earned < CREDIT_MAX ? far->credit + (uint32_t)earned : CREDIT_MAX;
    far->counted_at = now;
}

static bool shows(struct translator *t, bool user, const struct far_page *page)
{
    return view_is_code(translator_cpu(t), user, page->linear, page->physical);
}

/* Those that lead elsewhere now. */
static void leave(struct translator *t, bool user)
{
    struct far_set *far = &t->far[user];

    for (uint32_t i = 0; i < far->direct.count;) {
        struct far_page *page = &far->pages[far->direct.items[i]];
        if (shows(t, user, page))
            i++;
        else
            set_direct(t, far, page, false); /* another is in its place */
    }
}

/* Those that are there again, once all around. */
static void look_again(struct translator *t, bool user)
{
    struct far_set *far = &t->far[user];

    earn(t, far);
    for (uint32_t left = far->away.count; left && far->credit && far->away.count; left--) {
        struct far_page *page = &far->pages[far->away.items[far->look %= far->away.count]];
        far->credit--;
        if (shows(t, user, page))
            come_back(t, user, page);
        far->look += !page->direct;
    }
}

/* While a user's code runs with checks, none of its far links is used. */
void far_links_check(struct translator *t, bool user)
{
    struct far_set *far = &t->far[user];
    bool rests = user && !view_bare_used_of(translator_cpu(t), user), again = !user || far->rested;

    far->rested = rests;
    if (rests)
        return;
    leave(t, user);
    if (again)
        look_again(t, user);
}

void far_links_filled(struct translator *t, uint32_t linear, uint32_t physical)
{
    bool user = translator_cpu(t)->cpl == 3;
    struct far_set *far = &t->far[user];
    struct far_page *page = far->first ? find(far, linear, physical) : NULL;

    if (!page || page->direct || (user && !view_bare_used_of(translator_cpu(t), user)) || !shows(t, user, page))
        return;
    earn(t, far);
    come_back(t, user, page);
}

static void drop_links(const struct translator *t, struct far_set *far, struct far_page *page, bool (*goes)(const struct translator *t, uint32_t place))
{
    uint32_t *next = &page->links;

    while (*next) {
        uint32_t number = *next - 1;
        struct far_link *l = &far->links.items[number];
        if (!goes(t, l->place) && !goes(t, l->entry)) {
            next = &l->next;
            continue;
        }
        *next = l->next;
        free_link(far, number);
        page->link_count--;
    }
}

void far_links_drop(struct translator *t, bool (*goes)(const struct translator *t, uint32_t place))
{
    for (int user = 0; user < 2; user++)
        for (uint32_t i = 0; i < t->far[user].count; i++)
            drop_links(t, &t->far[user], &t->far[user].pages[i], goes);
}

void far_links_clear(struct translator *t)
{
    for (int user = 0; user < 2; user++) {
        struct far_set *far = &t->far[user];
        for (uint32_t i = 0; i < far->count; i++)
            far->first[far->pages[i].linear] = 0;
        far->direct.count = far->away.count = far->links.count = far->count = far->free_links = 0;
    }
}

void far_links_free(struct translator *t)
{
    for (int user = 0; user < 2; user++) {
        free(t->far[user].pages);
        free(t->far[user].first);
        free(t->far[user].direct.items);
        free(t->far[user].away.items);
        free(t->far[user].links.items);
    }
    memset(t->far, 0, sizeof t->far);
}
