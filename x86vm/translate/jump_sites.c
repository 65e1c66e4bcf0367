/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The indirect jumps and calls in emitted code: see jump_sites.h. A site is changed
 * in its place, from the run loop or from C that it called. In all forms a call
 * ends where the site does, or before a jump to there that all of them have: so a host's return address
 * stays right. Nothing is between a map's load and its jump: see jumps_at_jump().
 */
#include "x86vm/translate/jump_sites.h"

#include <stdlib.h>
#include <string.h>

#include "x86vm/translate/build.h"

/* Of a jump:                       Of a call:
 *    0  mov r11, rcx                  0  mov r11, rcx
 *    3  lea ecx, [r9 - target]        3  lea ecx, [r9 - target]
 *   10  jrcxz 20                     10  jrcxz 25
 *   12  mov rcx, r11                 12  mov rcx, r11
 *   15  jmp stub                     15  call stub
 *                                    20  jmp 33
 *                                    22  nop
 *   20  mov rcx, r11                 25  mov rcx, r11
 *   23  jmp block                    28  call block
 * Without a comparison it begins with a jump to the last instruction. A map's load and call are at 22, its jump at 0. */
enum { MINUS_TARGET = 6, MISS = 15, MISS_END = MISS + 5, LAST = 5, JUMP_LENGTH = 28, CALL_LENGTH = 33, SHORT_JUMP = 2, CALL_BY_MAP = MISS_END + SHORT_JUMP };
enum { LOAD_OPCODE = 3, LOAD = LOAD_OPCODE + 4, GO = 4 };

static const uint8_t jump_form[JUMP_LENGTH] = {
    0x49, 0x89, 0xcb, 0x41, 0x8d, 0x89, 0, 0, 0, 0, 0xe3, 8, 0x4c, 0x89, 0xd9, 0xe9, 0, 0, 0, 0, 0x4c, 0x89, 0xd9, 0xe9, 0, 0, 0, 0,
};
static const uint8_t call_form[CALL_LENGTH] = {
    0x49, 0x89, 0xcb, 0x41, 0x8d, 0x89, 0, 0, 0, 0, 0xe3, 13, 0x4c, 0x89, 0xd9, 0xe8, 0, 0, 0, 0, 0xeb, 11, 0x0f, 0x1f, 0,
    0x4c, 0x89, 0xd9, 0xe8, 0, 0, 0, 0,
};
/* Uses before something is made of a site: new (what a program links lazily leads elsewhere once); that compares, each of
 * another target. */
enum { USES_FIRST = 2, USES_EAGER = 1, MISSES_MOST = X86VM_LIMIT(255, 3), MISSES_EAGER = 2 };

static const uint8_t load_map[LOAD_OPCODE] = { 0x4d, 0x8b, 0x9f };          /* MOV R11, [R15 + disp32] */
static const uint8_t jump_code[GO] = { 0x43, 0xff, 0x24, 0xcb };            /* JMP [R11 + R9 * 8] */
static const uint8_t call_code[GO] = { 0x43, 0xff, 0x14, 0xcb };            /* CALL the same */

_Static_assert((int)CALL_LENGTH - LOAD - GO == (int)CALL_BY_MAP, "a map's call ends where the site does");

void sites_init(struct translator *t)
{
    bool eager = getenv("X86VM_EAGER_CACHES") != NULL;

    t->jumps.no_caches = getenv("X86VM_NO_JUMP_CACHES") != NULL;
    t->jumps.first_uses = eager ? USES_EAGER : USES_FIRST;
    t->jumps.misses_most = eager ? MISSES_EAGER : MISSES_MOST;
}

bool jumps_at_jump(const uint8_t *pc)
{
    return memcmp(pc, jump_code, GO) == 0 || memcmp(pc, call_code, GO) == 0;
}

static unsigned length_of(enum jump_site_kind kind) { return kind == SITE_CALL ? CALL_LENGTH : JUMP_LENGTH; }
static const uint8_t *form_of(enum jump_site_kind kind) { return kind == SITE_CALL ? call_form : jump_form; }

static uint8_t *start_of(const struct translator *t, const struct link *link)
{
    return t->cache_rw + link->place + sizeof(uint32_t) - length_of(link->site);
}

/* JMP rel8. */
static void put_short_jump(uint8_t *at, unsigned to)
{
    at[0] = 0xeb;
    at[1] = (uint8_t)(to - SHORT_JUMP);
}

static void begin_new(struct translator *t, struct link *link, uint32_t number)
{
    link->state = SITE_NEW;
    t->area->site_patience[number % JUMP_SITE_COUNTS] = t->jumps.first_uses;
    if (t->jumps.no_caches)
        jumps_put_lookup(t, link);
}

void jumps_emit_site(struct build *b, enum jump_site_kind kind)
{
    struct emit *e = b->hot, *cold = b->cold;
    const unsigned length = length_of(kind);
    uint8_t first[MISS], *miss, *place;
    uint64_t stub = emit_pc(cold);
    struct link *link;
    uint32_t number = blocks_new_link(b->t, &link);

    memcpy(first, form_of(kind), MISS);
    put_short_jump(first, length - LAST);
    emit_bytes(e, first, MISS);
    miss = kind == SITE_CALL ? emit_call_later(e) : emit_jmp_later(e);
    emit_bytes(e, form_of(kind) + MISS_END, length - LAST - MISS_END);
    place = kind == SITE_CALL ? emit_call_later(e) : emit_jmp_later(e);
    *link = (struct link){ .from = b->block, .place = (uint32_t)(place - b->t->cache_rw), .stub = (uint32_t)(stub - (uint64_t)(uintptr_t)b->t->cache_rx),
                           .site = (uint8_t)kind };
    emit_mov_imm32(cold, R11, number);
    emit_mark(cold, MARK_LINK, number);
    emit_jmp(cold, b->t->stubs.learn);
    emit_patch32(miss, e->to_exec, stub);
    emit_patch32(place, e->to_exec, stub);
    begin_new(b->t, link, number);
}

/* But for its rel32s; no comparison. */
static void put_plain(const struct translator *t, const struct link *link)
{
    uint8_t *site = start_of(t, link);
    const uint8_t *form = form_of(link->site);
    unsigned length = length_of(link->site);

    put_short_jump(site, length - LAST);
    memcpy(site + SHORT_JUMP, form + SHORT_JUMP, MISS - SHORT_JUMP);
    memcpy(site + MISS_END, form + MISS_END, length - sizeof(uint32_t) - MISS_END);
}

void jumps_put_cache(const struct translator *t, struct link *link)
{
    uint8_t *site = start_of(t, link);
    const uint32_t minus_target = -link->target;

    memcpy(site + MINUS_TARGET, &minus_target, sizeof minus_target);
    memcpy(site, form_of(link->site), SHORT_JUMP);
    link->state = SITE_CACHED;
}

void jumps_put_lookup(const struct translator *t, struct link *link)
{
    link->state = SITE_LOOKED_UP;
    put_plain(t, link);
    emit_patch32(t->cache_rw + link->place, t->hot.to_exec, t->stubs.dispatch);
}

void jumps_renew(struct translator *t, struct link *link, uint32_t number)
{
    put_plain(t, link);
    link->target = 0;
    link->move = link->samples = link->score = 0;
    link->near = false;
    begin_new(t, link, number);
}

/* --- through a map --- */

static void put_load(uint8_t *at, unsigned slot)
{
    uint32_t disp = (uint32_t)(offsetof(struct cpu_area, jumps) + slot * sizeof(uint64_t));

    memcpy(at, load_map, LOAD_OPCODE);
    memcpy(at + LOAD_OPCODE, &disp, sizeof disp);
}

/* What a map's call ends with does not look like a jump into the cache (far_links.c). */
static void put_map(const struct translator *t, struct link *link, unsigned slot)
{
    bool call = link->site == SITE_CALL;
    uint8_t *site = start_of(t, link);

    if (call) {
        put_short_jump(site, CALL_BY_MAP);
        site += CALL_BY_MAP;
    }
    put_load(site, slot);
    memcpy(site + LOAD, call ? call_code : jump_code, GO);
    link->state = SITE_MAPPED;
}

/* --- hot blocks --- */

void jumps_sample(struct translator *t, uint32_t index)
{
    struct jumps *j = &t->jumps;

    if (j->sampled_count < JUMP_SAMPLES && !t->order.items[index]->sites_tried)
        j->sampled[j->sampled_count++] = index;
}

/* Whether it goes through a map, or never will. */
static bool upgrade_site(struct translator *t, struct link *link, unsigned slot)
{
    if (!link->site || link->state == SITE_MAPPED)
        return true;
    if (link->state != SITE_LOOKED_UP && !t->jumps.eager)
        return false;
    put_map(t, link, slot);
    t->counters.jump_sites++;
    return true;
}

void jumps_upgrade(struct translator *t, uint32_t index)
{
    struct block *block = t->order.items[index];
    unsigned slot;

    if (block->dead || block->sites_tried)
        return;
    slot = jumps_slot(t, block);
    block->sites_tried = true;
    if (slot == JUMP_SLOTS)
        return;
    for (uint32_t i = block->first_link; i < block->first_link + block->link_count; i++)
        block->sites_tried &= upgrade_site(t, &t->links.items[i], slot);
}

void jumps_upgrade_sampled(struct translator *t)
{
    uint32_t count = t->jumps.sampled_count;

    t->jumps.sampled_count = 0;
    for (uint32_t i = 0; i < count; i++)
        jumps_upgrade(t, t->jumps.sampled[i]);
}
