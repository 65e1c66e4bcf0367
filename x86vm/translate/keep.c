/* SPDX-License-Identifier: BSD-2-Clause
 *
 * See keep.h.
 */
#include "x86vm/translate/keep.h"

#include <stdlib.h>

#include "x86vm/cpu/limits.h"
#include "x86vm/translate/cache.h"
#include "x86vm/translate/moves.h"

/* All that there was at one time. */
struct keep_mark {
    uint32_t blocks, copies, links, sites, calls, moves;
    struct code_map_end hot_rows, cold_rows;
    struct cache_end end;
};

enum { MARK_EVERY = X86VM_LIMIT(1024, 4) /* blocks */ };
/* To make a block anew takes some five times as long as to copy it, and to drop it again. */
enum { WORTH = 4 };
/* A quarter of each part must become free. */
enum { KEEP_SHARE = 3, SHARES = 4 };

void keep_note(struct translator *t)
{
    if (t->order.count % MARK_EVERY)
        return;
    TABLE_ADD(t->keep.marks, ((struct keep_mark){ .blocks = t->order.count, .copies = t->keep.copies, .links = t->links.count,
                                                  .sites = t->sites.count, .calls = t->calls.count, .moves = moves_count(t),
                                                  .hot_rows = t->hot_map.end, .cold_rows = t->cold_map.end, .end = cache_get_end(t) }));
}

void keep_clear(struct translator *t)
{
    t->keep.marks.count = t->keep.kept = t->keep.copies = 0;
}

void keep_free(struct translator *t)
{
    free(t->keep.marks.items);
    t->keep = (struct keep){ .kept = 0 };
}

/* --- how far back --- */

static bool within_share(const uint8_t *start, const uint8_t *p, const uint8_t *end)
{
    return p - start <= (end - start) / SHARES * KEEP_SHARE && end - p >= 2 * BLOCK_ROOM;
}

static bool leaves_room(const struct translator *t, const struct keep_mark *mark)
{
    return within_share(t->hot_start, mark->end.hot, t->hot.end) && within_share(t->cold_start, mark->end.cold, t->cold.end);
}

/* How many marks stay: the more blocks that are no copies the better, but each block that stays takes room. */
static uint32_t choose(const struct translator *t)
{
    const struct keep *k = &t->keep;
    uint32_t best = k->kept;
    int64_t worth = 0, most = 0;

    for (uint32_t i = k->kept; i < k->marks.count && leaves_room(t, &k->marks.items[i]); i++) {
        const struct keep_mark none = { 0 }, *before = i ? &k->marks.items[i - 1] : &none, *mark = &k->marks.items[i];
        uint32_t copies = mark->copies - before->copies, made = mark->blocks - before->blocks - copies;
        worth += (int64_t)made * WORTH - copies;
        if (worth > most) {
            most = worth;
            best = i + 1;
        }
    }
    return best;
}

/* --- going there --- */

/* Whether the code there goes. */
static bool goes(const struct translator *t, uint32_t place)
{
    const uint8_t *at = t->cache_rw + place;
    const struct cache_end *end = &t->keep.marks.items[t->keep.kept - 1].end;

    return at < t->hot.end ? at >= end->hot : at >= end->cold;
}

static void take_out(struct translator *t, const struct keep_mark *mark)
{
    for (uint32_t i = mark->blocks; i < t->order.count; i++)
        blocks_take_out(t, t->order.items[i], mark->links);
    for (uint32_t i = 0; i < mark->blocks; i++)
        blocks_forget_links(t, t->order.items[i], mark->links);
}

/* No jump is recalled: the dispatcher has put them back (clear_request()) before it makes a block. */
static void go_back(struct translator *t, const struct keep_mark *mark)
{
    take_out(t, mark);
    far_links_drop(t, goes);
    jumps_empty(t);
    moves_go_back(t, mark->moves);
    blocks_clear_lookup(t);
    t->order.count = mark->blocks;
    t->links.count = mark->links;
    t->sites.count = mark->sites;
    t->calls.count = mark->calls;
    t->keep.copies = mark->copies;
    code_map_rewind(&t->hot_map, &mark->hot_rows);
    code_map_rewind(&t->cold_map, &mark->cold_rows);
    cache_go_back(t, &mark->end);
}

bool keep_go_back(struct translator *t)
{
    uint32_t kept = choose(t);
    const struct keep_mark *mark = kept ? &t->keep.marks.items[kept - 1] : NULL;

    if (!mark || (t->keep.copies - mark->copies) * 2 < t->order.count - mark->blocks)
        return false;
    t->keep.kept = t->keep.marks.count = kept;
    go_back(t, mark);
    t->counters.copies_dropped++;
    return true;
}
