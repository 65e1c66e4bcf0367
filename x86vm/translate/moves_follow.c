/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What will most likely be run behind a copy (moves.h): where the jumps of its
 * original have led to. Those blocks are copied as well, theirs too, and the
 * jumps linked, before anybody has asked for them.
 */
#include "x86vm/translate/moves_internal.h"

/* A jump that is not linked, and where the same jump of the original led to. */
struct want { uint32_t link, move, eip; };
/* Copies, at most, that nobody has asked for; and jumps looked at. */
enum { FOLLOW_COPIES = X86VM_LIMIT(64, 3), FOLLOW_WANTS = X86VM_LIMIT(256, 5), FOLLOW_AHEAD = 2, LINE = 64 };

struct follow {
    uint32_t mode;
    unsigned count, copies;
    struct want wants[FOLLOW_WANTS];
};

/* All those of a block that have been taken from its original. */
static void want_targets(struct translator *t, struct follow *f, const struct block *made, uint32_t source)
{
    const struct move *from = &t->moves->all.items[source];
    uint32_t distance = made->eip - from->block->eip;

    for (uint32_t i = 0; i < from->links && f->count < FOLLOW_WANTS; i++) {
        const struct link *link = &t->links.items[from->first_link + i];
        if (!link->linked || !link->move || link->ungrouped || link->site)
            continue;
        f->wants[f->count++] = (struct want){ made->first_link + i, link->move, link->target + distance };
        __builtin_prefetch(&t->moves->all.items[link->move]);
        __builtin_prefetch(&t->moves->all.items[link->move].marks);
    }
}

static void prefetch(const void *at, uint32_t size)
{
    for (uint32_t i = 0; i <= size / LINE; i++)
        __builtin_prefetch((const uint8_t *)at + i * LINE);
}

/* Most of a copy's time would be waiting for memory: what it is made from was last looked at when another program began. */
static void want_soon(struct translator *t, const struct want *want)
{
    const struct move *m = &t->moves->all.items[want->move];

    if (m->latest && m->latest_eip == want->eip) {
        prefetch(m->latest, sizeof *m->latest);
        return;
    }
    prefetch(m->block, sizeof *m->block);
    prefetch(t->cache_rx + m->hot, m->hot_size);
    prefetch(t->cache_rx + m->cold, m->cold_size);
    prefetch(&t->links.items[m->first_link], m->links * sizeof(struct link));
    prefetch(m->marks, (m->hot_marks + m->cold_marks) * sizeof *m->marks);
    blocks_prefetch(t, want->eip, m->physical);
}

/* Whether the page of the target is the original's at present: nothing is walked for what may never run. */
static bool is_there(struct translator *t, uint32_t eip, const struct block *from)
{
    uint64_t addend = translator_cpu(t)->tables[VIEW_EXEC / 8 + (eip >> PAGE_SHIFT)];

    return addend && (uint32_t)(addend + eip - (uint64_t)(uintptr_t)t->ram) == from->physical;
}

static void note_latest(struct translator *t, uint32_t source, struct block *copy)
{
    struct move *m = &t->moves->all.items[source];

    m->latest = copy;
    m->latest_eip = copy->eip;
}

static struct block *copy_wanted(struct translator *t, struct follow *f, const struct want *want)
{
    const struct block *from = moves_original(t, want->move);
    struct block draft = { .eip = want->eip, .physical = from->physical, .cs_limit = UINT32_MAX, .mode = f->mode }, *made;

    if (from->dead || from->mode != f->mode || !is_there(t, want->eip, from))
        return NULL;
    if ((made = blocks_find(t, want->eip, from->physical, f->mode)))
        return made;
    if (f->copies == FOLLOW_COPIES || !moves_may(t, &draft) || !moves_fit(t, want->move, want->eip) || blocks_full(t, from->physical))
        return NULL;
    f->copies++;
    t->moves->wanted = want->move;
    made = t->moves->check ? build_one_block(t, want->eip, f->mode) : moves_make(t, &draft);
    t->moves->wanted = 0;
    if (made) {
        note_latest(t, want->move, made);
        want_targets(t, f, made, want->move);
    }
    return made;
}

void moves_follow(struct translator *t, struct block *made)
{
    uint32_t source = t->moves->source;
    struct follow f;

    if (!source)
        return;
    f.mode = made->mode;
    f.count = f.copies = 0;
    note_latest(t, source, made);
    want_targets(t, &f, made, source);
    for (unsigned i = 0; i < f.count; i++) {
        const struct want *want = &f.wants[i];
        const struct move *m = &t->moves->all.items[want->move];
        struct block *to;
        if (i + FOLLOW_AHEAD < f.count)
            want_soon(t, want + FOLLOW_AHEAD);
        to = m->latest && m->latest_eip == want->eip && !m->latest->dead ? m->latest : copy_wanted(t, &f, want);
        if (to)
            blocks_link(t, want->link, to);
    }
}
