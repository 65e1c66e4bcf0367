/* SPDX-License-Identifier: BSD-2-Clause
 *
 * See moves.h: what blocks are made of, and their copies. Which copies are made
 * without being asked for is moves_follow.c.
 */
#include "x86vm/translate/moves_internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "x86vm/translate/cache.h"

/* A block's slot is one of MOVE_SLOTS, any of a few neighbours: two that are run in turns have room. */
enum { WAYS = 4 };
enum { KIND_BITS = 3, DISTANCE_MOST = (1 << (16 - KIND_BITS)) - 1 };
/* EIPs near 0 and 4 GiB, where constants have other encodings and segments end. */
enum { MARGIN = 64 << 10 };
/* What marks of branches have become: those within their part need no change. */
enum { MARK_OUT = MARK_REL, MARK_ACROSS = MARK_KINDS };

_Static_assert(MARK_ACROSS < 1 << KIND_BITS, "kinds of marks in a few bits");

bool moves_init(struct translator *t)
{
    t->moves = mmap(NULL, sizeof *t->moves, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (t->moves == MAP_FAILED) {
        t->moves = NULL;
        return false;
    }
    t->moves->check = getenv("X86VM_CHECK_MOVES") != NULL;
    return true;
}

void moves_free(struct translator *t)
{
    if (!t->moves)
        return;
    free(t->moves->all.items);
    munmap(t->moves, sizeof *t->moves);
}

void moves_forget(struct translator *t)
{
    madvise(t->moves->slots, sizeof t->moves->slots, MADV_DONTNEED);
    free(t->moves->all.items);
    memset(&t->moves->all, 0, sizeof t->moves->all);
    t->moves->source = t->moves->wanted = 0;
}

/* The first of the slots that the block may have. */
static struct move_slot *slots_of(struct translator *t, const struct block *block)
{
    uint32_t mode = block->mode * 0x9e3779b1u >> 16; /* neighbours in memory stay neighbours */

    return &t->moves->slots[(block->physical * WAYS ^ block->physical >> 14 ^ mode * WAYS) & (MOVE_SLOTS - WAYS)];
}

static uint32_t tag_of(const struct block *block) { return block->physical ^ block->mode * 0x9e3779b1u; }

static bool is_of(const struct translator *t, const struct move_slot *slot, const struct block *block)
{
    const struct block *from;

    if (!slot->number || slot->tag != tag_of(block))
        return false;
    from = moves_original(t, slot->number);
    return from->physical == block->physical && from->mode == block->mode;
}

/* Where a block's is kept: in the place of one of no use, or else of any. */
static struct move_slot *slot_for(struct translator *t, const struct block *block)
{
    struct move_slot *slots = slots_of(t, block);

    for (unsigned i = 0; i < WAYS; i++)
        if (!slots[i].number || is_of(t, &slots[i], block) || moves_original(t, slots[i].number)->dead)
            return &slots[i];
    return &slots[t->counters.blocks_translated % WAYS];
}

uint32_t moves_count(const struct translator *t) { return t->moves->all.count; }

/* Those that stay have the places again that others had taken from them. */
void moves_go_back(struct translator *t, uint32_t count)
{
    struct moves *m = t->moves;

    for (struct move_slot *slot = m->slots; slot < m->slots + MOVE_SLOTS; slot++)
        if (slot->number >= count)
            *slot = (struct move_slot){ 0, 0 };
    m->all.count = count;
    for (uint32_t i = 1; i < count; i++) {
        const struct block *block = m->all.items[i].block;
        struct move_slot *slot = slot_for(t, block);
        m->all.items[i].latest = NULL;
        if (!block->dead && !slot->number)
            *slot = (struct move_slot){ tag_of(block), i };
    }
    m->source = m->wanted = 0;
}

/* Of a page's addend a guard compares the low half (build.c): one of 0 is that of a page that is not there. */
static bool has_guard(const struct translator *t, const struct block *block)
{
    return (uint32_t)(uintptr_t)t->ram + block->physical != block->eip;
}

bool moves_may(const struct translator *t, const struct block *block)
{
    return (block->mode & (MODE_USER | MODE_CODE32 | MODE_PARTIAL)) == (MODE_USER | MODE_CODE32) && !t->counting
           && block->cs_base == 0 && block->cs_limit == UINT32_MAX && block->eip - MARGIN < UINT32_MAX - 2 * MARGIN
           && !patience_groups_useless(t, block->physical) && has_guard(t, block);
}

/* --- noting what a block is made of --- */

static void begin_part(struct emit *e, struct emit_marks *marks)
{
    marks->count = 0;
    marks->lost = false;
    e->marks = marks;
}

void moves_begin(struct build *b)
{
    struct translator *t = b->t;
    struct moves *m = t->moves;

    m->marking = moves_may(t, b->block) && b->block->physical % PAGE_SIZE + b->block->length <= PAGE_SIZE; /* not across two pages */
    t->hot.marks = t->cold.marks = NULL;
    if (!m->marking)
        return;
    begin_part(&t->hot, &m->hot);
    begin_part(&t->cold, &m->cold);
    m->now = (struct move){ .hot = (uint32_t)(t->hot.p - t->cache_rw), .cold = (uint32_t)(t->cold.p - t->cache_rw),
                            .first_link = t->links.count, .first_site = t->sites.count, .first_call = t->calls.count };
}

/* A target in 16 bits does not move along with EIP. */
static bool is_fixed(const struct insn *insn)
{
    bool branch = insn->kind == INSN_JCC || insn->kind == INSN_LOOP || insn->kind == INSN_JMP || insn->kind == INSN_CALL;

    return branch && insn->opsize != 4;
}

static bool within(const uint8_t *p, const uint8_t *begin, const uint8_t *end) { return p >= begin && p <= end; }

/* The marks of a part, without the branches that stay within it; how many, or -1. */
static int pack(const struct translator *t, const struct emit_marks *marks, const uint8_t *begin, const uint8_t *end,
                const uint8_t *other, const uint8_t *other_end, uint16_t *out)
{
    const uint8_t *last = begin;
    int count = 0;

    if (marks->lost)
        return -1;
    for (unsigned i = 0; i < marks->count; i++) {
        const struct emit_mark *mark = &marks->marks[i];
        unsigned kind = mark->kind;
        if (kind == MARK_REL) {
            const uint8_t *target = (const uint8_t *)(uintptr_t)emit_target32(mark->place, t->hot.to_exec) - t->hot.to_exec;
            if (within(target, begin, end))
                continue;
            kind = within(target, other, other_end) ? MARK_ACROSS : MARK_OUT;
        }
        if (mark->place - last > DISTANCE_MOST)
            return -1;
        out[count++] = (uint16_t)((mark->place - last) << KIND_BITS | kind);
        last = mark->place;
    }
    return count;
}

void moves_note(struct build *b, uint32_t hot_rows, uint32_t cold_rows)
{
    struct translator *t = b->t;
    struct moves *m = t->moves;
    const uint8_t *hot = t->cache_rw + m->now.hot, *cold = t->cache_rw + m->now.cold;
    uint16_t packed[2 * EMIT_MARKS_MAX], *marks;
    struct move *move = &m->now;
    int hot_count, cold_count;

    t->hot.marks = t->cold.marks = NULL;
    if (m->check)
        moves_compare(t, b->block);
    if (!m->marking)
        return;
    for (unsigned i = 0; i < b->count; i++)
        if (is_fixed(&b->insns[i]))
            return;
    hot_count = pack(t, &m->hot, hot, t->hot.p, cold, t->cold.p, packed);
    cold_count = hot_count < 0 ? -1 : pack(t, &m->cold, cold, t->cold.p, hot, t->hot.p, packed + hot_count);
    if (cold_count < 0)
        return;
    marks = cache_alloc(t, (size_t)(hot_count + cold_count) * sizeof *marks);
    memcpy(marks, packed, (size_t)(hot_count + cold_count) * sizeof *marks);
    move->block = b->block;
    move->physical = b->block->physical;
    move->hot_size = (uint32_t)(t->hot.p - hot);
    move->cold_size = (uint32_t)(t->cold.p - cold);
    move->hot_rows = hot_rows;
    move->bare_useless = patience_bare_useless_in(t, move->physical, b->block->length);
    move->cold_rows = cold_rows;
    move->links = t->links.count - move->first_link;
    move->sites = t->sites.count - move->first_site;
    move->calls = t->calls.count - move->first_call;
    move->hot_marks = (uint32_t)hot_count;
    move->cold_marks = (uint32_t)cold_count;
    move->marks = marks;
    if (!m->all.count)
        TABLE_ADD(m->all, (struct move){ 0 });
    b->block->move = m->all.count;
    TABLE_ADD(m->all, *move);
    *slot_for(t, b->block) = (struct move_slot){ tag_of(b->block), b->block->move };
}

/* --- the copy --- */

/* How far a copy is from what it was copied from. */
struct way {
    const struct move *from;
    uint32_t eip, page, hot, cold; /* differences */
    uint32_t links, sites, calls;
};

bool moves_fit(const struct translator *t, uint32_t number, uint32_t eip)
{
    const struct block *from = moves_original(t, number);

    return !from->dead && pc_calls_may_move(t, from, eip) && (!(from->mode & MODE_BARE)
           || patience_bare_useless_in(t, from->physical, from->length) == t->moves->all.items[number].bare_useless);
}

/* Its number; 0: there is none. */
static uint32_t find(struct translator *t, const struct block *draft)
{
    const struct move_slot *slots = slots_of(t, draft);

    if (t->moves->wanted)
        return t->moves->wanted;
    for (unsigned i = 0; i < WAYS; i++)
        if (is_of(t, &slots[i], draft))
            return moves_fit(t, slots[i].number, draft->eip) ? slots[i].number : 0;
    return 0;
}

/* Read where it runs: the writable mapping is let go now and then. */
static void copy_part(struct translator *t, struct emit *e, uint32_t from, uint32_t size, const uint16_t *marks, uint32_t count, const uint32_t *delta)
{
    uint8_t *at = e->p;

    memcpy(at, t->cache_rx + from, size);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t value;
        at += marks[i] >> KIND_BITS;
        memcpy(&value, at, sizeof value);
        value += delta[marks[i] & ((1 << KIND_BITS) - 1)];
        memcpy(at, &value, sizeof value);
    }
    e->p += size;
}

static void copy_code(struct translator *t, const struct way *w)
{
    const struct move *m = w->from;
    uint32_t delta[1 << KIND_BITS] = { [MARK_EIP] = w->eip, [MARK_MINUS_EIP] = -w->eip, [MARK_SITE] = w->sites, [MARK_CALL] = w->calls,
                                       [MARK_LINK] = w->links };

    delta[MARK_PAGE] = w->page * 8;
    delta[MARK_OUT] = -w->hot;
    delta[MARK_ACROSS] = w->cold - w->hot;
    copy_part(t, &t->hot, m->hot, m->hot_size, m->marks, m->hot_marks, delta);
    delta[MARK_OUT] = -w->cold;
    delta[MARK_ACROSS] = w->hot - w->cold;
    copy_part(t, &t->cold, m->cold, m->cold_size, m->marks + m->hot_marks, m->cold_marks, delta);
}

static bool in_hot(const struct move *m, uint32_t place) { return place - m->hot <= m->hot_size; }

/* An executable address in the block, or 0. */
static uint64_t moved(const struct translator *t, const struct way *w, uint64_t address)
{
    uint32_t place = (uint32_t)(address - (uint64_t)(uintptr_t)t->cache_rx);

    return address ? address + (uint64_t)(int32_t)(in_hot(w->from, place) ? w->hot : w->cold) : 0;
}

/* They lead to their stubs again. */
static void copy_links(struct translator *t, const struct way *w, struct block *copy)
{
    for (uint32_t i = 0; i < w->from->links; i++) {
        struct link link = t->links.items[w->from->first_link + i];
        link.place += in_hot(w->from, link.place) ? w->hot : w->cold;
        link.stub += w->cold;
        link.from = copy;
        link.target += w->eip;
        link.next_incoming = 0;
        link.linked = false;
        emit_patch32(t->cache_rw + link.place, t->hot.to_exec, (uint64_t)(uintptr_t)t->cache_rx + link.stub);
        if (link.site)
            jumps_renew(t, &link, t->links.count);
        TABLE_ADD(t->links, link);
    }
}

static void copy_sites(struct translator *t, const struct way *w, struct block *copy)
{
    struct site *sites = cache_alloc(t, w->from->sites * sizeof *sites);

    for (uint32_t i = 0; i < w->from->sites; i++) {
        struct site *site = &sites[i];
        *site = *t->sites.items[w->from->first_site + i];
        site->eip += w->eip;
        site->block = copy;
        site->hot = moved(t, w, site->hot);
        site->bounce = moved(t, w, site->bounce);
        site->after = moved(t, w, site->after);
        TABLE_ADD(t->sites, site);
    }
}

static void copy_calls(struct translator *t, const struct way *w, struct block *copy)
{
    struct call *calls = cache_alloc(t, w->from->calls * sizeof *calls);

    for (uint32_t i = 0; i < w->from->calls; i++) {
        struct call *call = &calls[i];
        *call = *t->calls.items[w->from->first_call + i];
        call->insn.eip += w->eip;
        call->insn.target += w->eip;
        call->block = copy;
        call->resume = moved(t, w, call->resume);
        TABLE_ADD(t->calls, call);
    }
}

static struct block *copy_block(struct translator *t, const struct way *w)
{
    struct block *copy = cache_alloc(t, sizeof *copy);

    *copy = *w->from->block;
    copy->eip += w->eip;
    copy->entry = moved(t, w, copy->entry);
    copy->cold_at += w->cold;
    copy->first_link = t->links.count;
    copy->guard_entry = moved(t, w, copy->guard_entry);
    if (copy->thunk.place) {
        copy->thunk.place += w->hot;
        copy->thunk.entry += w->hot;
        copy->thunk.guard_entry += w->cold;
        copy->thunk.linear += w->page;
    }
    copy->incoming = 0;
    copy->sites_tried = false;
    copy_code(t, w);
    pc_calls_moved(t, copy);
    copy_links(t, w, copy);
    copy_sites(t, w, copy);
    copy_calls(t, w, copy);
    return copy;
}

struct block *moves_make(struct translator *t, const struct block *draft)
{
    uint32_t number = moves_may(t, draft) ? find(t, draft) : 0;
    const struct move *from;
    uint32_t hot, cold = (uint32_t)(t->cold.p - t->cache_rw);
    const struct code_map_end before[2] = { t->hot_map.end, t->cold_map.end };
    struct block *copy;
    struct way way;

    t->moves->source = number;
    if (!number)
        return NULL;
    from = &t->moves->all.items[number];
    emit_align(&t->hot, BLOCK_ALIGN);
    hot = (uint32_t)(t->hot.p - t->cache_rw);
    way = (struct way){ from, draft->eip - from->block->eip, (draft->eip >> PAGE_SHIFT) - (from->block->eip >> PAGE_SHIFT), hot - from->hot, cold - from->cold,
                        t->links.count - from->first_link, t->sites.count - from->first_site, t->calls.count - from->first_call };
    code_map_begin_same(&t->hot_map, hot, draft->eip, from->hot_rows);
    code_map_begin_same(&t->cold_map, cold, draft->eip, from->cold_rows);
    copy = copy_block(t, &way);
    if (t->moves->check && pc_calls_alike(t, copy)) {
        moves_set_aside(t, copy, from, before);
        return NULL;
    }
    t->counters.blocks_moved++;
    t->keep.copies++;
    blocks_add(t, copy);
    return copy;
}
