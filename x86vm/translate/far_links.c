/* SPDX-License-Identifier: BSD-2-Clause
 *
 * See far_links.h. A link is known by what its jump leads to: one that was
 * linked to another block since, or not at all, is none of ours any more.
 */
#include "x86vm/translate/far_links.h"

#include <stdlib.h>
#include <string.h>

#include "x86vm/translate/translator.h"

/* A kernel's code has some thousand pages. Looking at more would take too long in one step. */
enum { FAR_PAGES_MAX = 8192 };

static uint32_t linear_page(const struct block *block)
{
    return (block->cs_base + block->eip) >> PAGE_SHIFT;
}

bool far_links_allow(struct translator *t, const struct block *to)
{
    uint32_t linear = linear_page(to), physical = to->physical >> PAGE_SHIFT;

    if (to->mode & MODE_USER || !to->guard_entry || !view_is_global_code(translator_cpu(t), linear, physical))
        return false;
    if (!t->far_shows)
        t->far_shows = calloc(VIEW_PAGES, sizeof *t->far_shows);
    if (!t->far_shows)
        return false;
    return t->far_shows[linear] ? t->far_shows[linear] == physical + 1 : t->far_pages.count < FAR_PAGES_MAX;
}

void far_links_add(struct translator *t, uint32_t place, const struct block *to, uint64_t entry)
{
    uint32_t linear = linear_page(to);

    if (!t->far_shows[linear])
        TABLE_ADD(t->far_pages, linear);
    t->far_shows[linear] = (to->physical >> PAGE_SHIFT) + 1;
    TABLE_ADD(t->far_links, ((struct far_link){ place, linear, entry, to->guard_entry }));
}

/* Those to pages that do not qualify any more, all in one pass. */
static void guard_again(struct translator *t)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < t->far_links.count; i++) {
        const struct far_link *l = &t->far_links.items[i];
        uint8_t *place = t->cache_rw + l->place;
        if (t->far_shows[l->linear])
            t->far_links.items[kept++] = *l;
        else if (emit_target32(place, t->hot.to_exec) == l->entry)
            emit_patch32(place, t->hot.to_exec, l->guard_entry);
    }
    t->far_links.count = kept;
}

void far_links_check(struct translator *t)
{
    uint32_t count = t->far_pages.count, kept = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t linear = t->far_pages.items[i];
        if (view_is_global_code(translator_cpu(t), linear, t->far_shows[linear] - 1))
            t->far_pages.items[kept++] = linear;
        else
            t->far_shows[linear] = 0;
    }
    t->far_pages.count = kept;
    if (kept < count)
        guard_again(t);
}

void far_links_clear(struct translator *t)
{
    for (uint32_t i = 0; i < t->far_pages.count; i++)
        t->far_shows[t->far_pages.items[i]] = 0;
    t->far_pages.count = t->far_links.count = 0;
}

void far_links_free(struct translator *t)
{
    free(t->far_pages.items);
    free(t->far_links.items);
    free(t->far_shows);
    memset(&t->far_pages, 0, sizeof t->far_pages);
    memset(&t->far_links, 0, sizeof t->far_links);
    t->far_shows = NULL;
}
