/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Whether a copied block is the very one that would have been made: see moves.h.
 * The copy is made where the block will be, kept aside and taken back; what is
 * made then at the same place with the same numbers must not differ.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "x86vm/translate/moves.h"

/* A copy with all that belongs to it. */
struct aside {
    struct block block;
    uint32_t hot_size, cold_size, links, sites, calls;
    uint32_t first_link, first_site, first_call;
    uint8_t *hot, *cold;
    struct code_row *hot_rows, *cold_rows; /* one a byte */
    struct link *link;
    struct site *site;
    struct call *call;
};

static struct aside aside;
static bool pending;

static void *keep(const void *from, size_t size)
{
    void *copy = malloc(size + 1);

    if (!copy)
        abort();
    memcpy(copy, from, size);
    return copy;
}

static struct code_row *keep_rows(const struct code_map *map, uint32_t from, uint32_t size)
{
    struct code_row *rows = calloc(size + 1, sizeof *rows);

    if (!rows)
        abort();
    for (uint32_t i = 0; i < size; i++)
        code_map_find(map, from + i, &rows[i]);
    return rows;
}

static void drop(void)
{
    free(aside.hot);
    free(aside.cold);
    free(aside.hot_rows);
    free(aside.cold_rows);
    free(aside.link);
    free(aside.site);
    free(aside.call);
    pending = false;
}

void moves_set_aside(struct translator *t, const struct block *copy, const struct move *source, const struct code_map_end before[2])
{
    struct aside *a = &aside;
    uint32_t hot = (uint32_t)(t->hot.p - t->cache_rw) - source->hot_size, cold = (uint32_t)(t->cold.p - t->cache_rw) - source->cold_size;

    if (pending) /* what should have been made raised a guest's exception */
        drop();
    *a = (struct aside){ .block = *copy, .hot_size = source->hot_size, .cold_size = source->cold_size, .links = source->links,
                         .sites = source->sites, .calls = source->calls, .first_link = t->links.count - source->links,
                         .first_site = t->sites.count - source->sites, .first_call = t->calls.count - source->calls };
    a->hot = keep(t->cache_rw + hot, a->hot_size);
    a->cold = keep(t->cache_rw + cold, a->cold_size);
    a->hot_rows = keep_rows(&t->hot_map, hot, a->hot_size);
    a->cold_rows = keep_rows(&t->cold_map, cold, a->cold_size);
    a->link = keep(&t->links.items[a->first_link], a->links * sizeof *a->link);
    a->site = calloc(a->sites + 1, sizeof *a->site);
    a->call = calloc(a->calls + 1, sizeof *a->call);
    for (uint32_t i = 0; i < a->sites; i++)
        a->site[i] = *t->sites.items[a->first_site + i];
    for (uint32_t i = 0; i < a->calls; i++)
        a->call[i] = *t->calls.items[a->first_call + i];
    t->hot.p -= a->hot_size;
    t->cold.p -= a->cold_size;
    t->links.count -= a->links;
    t->sites.count -= a->sites;
    t->calls.count -= a->calls;
    code_map_rewind(&t->hot_map, &before[0]);
    code_map_rewind(&t->cold_map, &before[1]);
    pending = true;
}

static void must(bool same, const char *what, const struct block *made)
{
    if (same)
        return;
    fprintf(stderr, "moves: another %s: block at %08x, physical %08x, mode %08x, %u bytes\n", what, made->eip, made->physical, made->mode,
            made->length);
    abort();
}

static bool same_link(const struct link *a, const struct link *b)
{
    return a->place == b->place && a->stub == b->stub && a->target == b->target && a->near == b->near && a->ungrouped == b->ungrouped
           && a->linked == b->linked && a->site == b->site && a->state == b->state;
}

static bool same_site(const struct site *a, const struct site *b)
{
    return a->eip == b->eip && a->size == b->size && a->read == b->read && a->write == b->write && a->seg == b->seg
           && a->checked == b->checked && a->must_align == b->must_align && a->may_not_write == b->may_not_write && a->waits == b->waits
           && a->alone == b->alone && a->stored == b->stored && a->estimated == b->estimated && a->esp_delta == b->esp_delta && a->hot == b->hot && a->bounce == b->bounce
           && a->after == b->after;
}

static bool same_call(const struct call *a, const struct call *b)
{
    const struct insn *x = &a->insn, *y = &b->insn;
    bool branch = x->kind == INSN_JCC || x->kind == INSN_LOOP || x->kind == INSN_JMP || x->kind == INSN_CALL;

    return x->eip == y->eip && x->length == y->length && !memcmp(x->bytes, y->bytes, x->length) && x->kind == y->kind && x->imm == y->imm
           && (!branch || x->target == y->target) && a->function == b->function && a->resume == b->resume;
}

static bool same_block(const struct block *a, const struct block *b)
{
    return a->eip == b->eip && a->physical == b->physical && a->other_page == b->other_page && a->mode == b->mode
           && a->mode_mask == b->mode_mask && a->length == b->length && a->insn_count == b->insn_count
           && a->depends_start == b->depends_start && a->depends_end == b->depends_end && a->entry == b->entry
           && a->guard_entry == b->guard_entry && a->cold_at == b->cold_at && a->first_link == b->first_link && a->link_count == b->link_count
           && a->other_start == b->other_start && a->other_end == b->other_end && !memcmp(&a->thunk, &b->thunk, sizeof a->thunk);
}

static bool same_rows(const struct code_map *map, const struct code_row *rows, uint32_t from, uint32_t size)
{
    struct code_row row;

    for (uint32_t i = 0; i < size; i++)
        if (!code_map_find(map, from + i, &row) || row.offset != rows[i].offset || row.eip != rows[i].eip || row.esp_delta != rows[i].esp_delta)
            return false;
    return true;
}

void moves_compare(struct translator *t, const struct block *made)
{
    const struct aside *a = &aside;
    const uint8_t *hot = t->hot.p - a->hot_size, *cold = t->cold.p - a->cold_size;

    if (!pending)
        return;
    must(same_block(&a->block, made), "block", made);
    must(t->links.count == a->first_link + a->links && t->sites.count == a->first_site + a->sites
         && t->calls.count == a->first_call + a->calls, "number", made);
    must(!memcmp(hot, a->hot, a->hot_size), "hot part", made);
    must(!memcmp(cold, a->cold, a->cold_size), "cold part", made);
    must(same_rows(&t->hot_map, a->hot_rows, (uint32_t)(hot - t->cache_rw), a->hot_size), "hot row", made);
    must(same_rows(&t->cold_map, a->cold_rows, (uint32_t)(cold - t->cache_rw), a->cold_size), "cold row", made);
    for (uint32_t i = 0; i < a->links; i++)
        must(same_link(&a->link[i], &t->links.items[a->first_link + i]), "link", made);
    for (uint32_t i = 0; i < a->sites; i++)
        must(same_site(&a->site[i], t->sites.items[a->first_site + i]), "site", made);
    for (uint32_t i = 0; i < a->calls; i++)
        must(same_call(&a->call[i], t->calls.items[a->first_call + i]), "call", made);
    drop();
    t->counters.blocks_moved++; /* would have been */
    t->keep.copies++;
}
