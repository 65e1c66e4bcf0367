/* SPDX-License-Identifier: BSD-2-Clause
 *
 * See far_links.h. A link is known by what its jump leads to: one that was
 * linked to another block since, or not at all, is none of ours any more.
 */
#include "x86vm/translate/far_links.h"

#include <stdlib.h>
#include <string.h>

#include "x86vm/cpu/limits.h"
#include "x86vm/translate/translator.h"

/* A kernel's code has some thousand pages, and a program's some hundred. Looking at more would take too long in one step. */
static const uint32_t pages_most[] = { X86VM_LIMIT(8192, 6), X86VM_LIMIT(1024, 4) };

static uint32_t linear_page(const struct block *block)
{
    return (block->cs_base + block->eip) >> PAGE_SHIFT;
}

bool far_links_allow(struct translator *t, const struct block *to)
{
    uint32_t linear = linear_page(to), physical = to->physical >> PAGE_SHIFT;
    bool user = to->mode & MODE_USER;
    struct far_set *far = &t->far[user];

    if ((user && !(to->mode & MODE_BARE)) || !to->guard_entry || !view_is_code(translator_cpu(t), user, linear, physical))
        return false;
    if (!far->shows)
        far->shows = calloc(VIEW_PAGES, sizeof *far->shows);
    if (!far->shows)
        return false;
    return far->shows[linear] ? far->shows[linear] == physical + 1 : far->pages.count < pages_most[user];
}

void far_links_add(struct translator *t, uint32_t place, const struct block *to, uint64_t entry)
{
    struct far_set *far = &t->far[(to->mode & MODE_USER) != 0];
    uint32_t linear = linear_page(to);

    if (!far->shows[linear])
        TABLE_ADD(far->pages, linear);
    far->shows[linear] = (to->physical >> PAGE_SHIFT) + 1;
    TABLE_ADD(far->links, ((struct far_link){ place, linear, entry, to->guard_entry }));
}

/* Those to pages that do not qualify any more, all in one pass. */
static void guard_again(struct translator *t, struct far_set *far)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < far->links.count; i++) {
        const struct far_link *l = &far->links.items[i];
        uint8_t *place = t->cache_rw + l->place;
        uint64_t *recalled = recall_target(t, l->place);
        if (far->shows[l->linear])
            far->links.items[kept++] = *l;
        else if (recalled && *recalled == l->entry)
            *recalled = l->guard_entry;
        else if (emit_target32(place, t->hot.to_exec) == l->entry)
            emit_patch32(place, t->hot.to_exec, l->guard_entry);
    }
    far->links.count = kept;
}

/* While a user's code runs with checks, none of its far links is used. */
void far_links_check(struct translator *t, bool user)
{
    struct far_set *far = &t->far[user];
    uint32_t count = far->pages.count, kept = 0;

    if (user && !view_bare_used_of(translator_cpu(t), user))
        return;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t linear = far->pages.items[i];
        if (view_is_code(translator_cpu(t), user, linear, far->shows[linear] - 1))
            far->pages.items[kept++] = linear;
        else
            far->shows[linear] = 0;
    }
    far->pages.count = kept;
    if (kept < count)
        guard_again(t, far);
}

void far_links_clear(struct translator *t)
{
    for (int user = 0; user < 2; user++) {
        struct far_set *far = &t->far[user];
        for (uint32_t i = 0; i < far->pages.count; i++)
            far->shows[far->pages.items[i]] = 0;
        far->pages.count = far->links.count = 0;
    }
}

void far_links_free(struct translator *t)
{
    for (int user = 0; user < 2; user++) {
        free(t->far[user].pages.items);
        free(t->far[user].links.items);
        free(t->far[user].shows);
    }
    memset(t->far, 0, sizeof t->far);
}
