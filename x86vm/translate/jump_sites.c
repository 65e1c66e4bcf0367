/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The indirect jumps and calls in emitted code that go through a jump map: see
 * jump_map.h. Each is emitted as a lookup (emit_dispatch()). A block that was found
 * running some time when the run loop was wanted, which is a sample, gets other
 * instructions in their places: a load of the map's address and the jump, before a
 * call padding, so that the host's return address stays what it is. Nothing is between
 * load and jump: see jumps_at_jump(). The displacement in the middle of a lookup, which
 * copies of the block need, stays.
 */
#include "x86vm/translate/jump_map.h"

#include <string.h>

#include "x86vm/translate/translator.h"

enum { MISS_AT = 37, MISS_DISP = MISS_AT + 1, TAIL = MISS_AT + 5, GO_AT = TAIL + 3, GO_MODRM = GO_AT + 2, LENGTH = GO_AT + 8 };
enum { LOAD_OPCODE = 3, LOAD = LOAD_OPCODE + 4, JUMP = 4, CALL_AT = LENGTH - JUMP - LOAD };

_Static_assert((int)LENGTH == (int)JUMP_SITE_LENGTH, "what note_lookup() keeps");

static const uint8_t load_map[LOAD_OPCODE] = { 0x4d, 0x8b, 0x9f };          /* MOV R11, [R15 + disp32] */
static const uint8_t jump_code[JUMP] = { 0x43, 0xff, 0x24, 0xcb };          /* JMP [R11 + R9 * 8] */
static const uint8_t call_code[JUMP] = { 0x43, 0xff, 0x14, 0xcb };          /* CALL the same */
/* NOPs before a call's load; the four bytes at MISS_DISP are the displacement of the last. */
static const uint8_t padding[CALL_AT] = {
    0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0, 0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0, 0x66, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0,
    0x0f, 0x1f, 0x80, 0, 0, 0, 0, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0,
};
enum { GO_JMP = 0xa4, GO_CALL = 0x94 }; /* ModRM of JMP and CALL [R15 + R10 * 8 + disp32] */

bool jumps_at_jump(const uint8_t *pc)
{
    return memcmp(pc, jump_code, JUMP) == 0 || memcmp(pc, call_code, JUMP) == 0;
}

/* All but the displacement at MISS_DISP, and whether it is a call. */
static void put_lookup(const struct translator *t, uint8_t *site, bool call)
{
    memcpy(site, t->jump_site, MISS_DISP);
    memcpy(site + TAIL, t->jump_site + TAIL, LENGTH - TAIL);
    site[GO_MODRM] = call ? GO_CALL : GO_JMP;
}

static void put_load(uint8_t *at, unsigned slot)
{
    uint32_t disp = (uint32_t)(offsetof(struct cpu_area, jumps) + slot * sizeof(uint64_t));

    memcpy(at, load_map, LOAD_OPCODE);
    memcpy(at + LOAD_OPCODE, &disp, sizeof disp);
}

static void put_jump(uint8_t *site, unsigned slot, bool call)
{
    if (call) {
        memcpy(site, padding, MISS_DISP);
        site += CALL_AT;
    }
    put_load(site, slot);
    memcpy(site + LOAD, call ? call_code : jump_code, JUMP);
}

void jumps_note_site(struct translator *t, struct block *block, bool call)
{
    uint32_t offset = (uint32_t)(emit_pc(&t->hot) - block->entry);

    if (!block->jump_count)
        block->first_jump = t->jumps.sites.count;
    TABLE_ADD(t->jumps.sites, ((struct jump_site){ offset, call }));
    block->jump_count++;
}

static uint8_t *place_of(const struct translator *t, const struct block *block, const struct jump_site *site)
{
    return (uint8_t *)(uintptr_t)block->entry - t->hot.to_exec + site->offset;
}

void jumps_downgrade(const struct translator *t, const struct block *copy)
{
    for (uint32_t i = copy->first_jump; i < copy->first_jump + copy->jump_count; i++)
        put_lookup(t, place_of(t, copy, &t->jumps.sites.items[i]), t->jumps.sites.items[i].call);
}

/* --- hot blocks --- */

void jumps_sample(struct translator *t, uint32_t index)
{
    struct jumps *j = &t->jumps;

    if (j->sampled_count < JUMP_SAMPLES && !t->order.items[index]->sites_tried)
        j->sampled[j->sampled_count++] = index;
}

void jumps_upgrade(struct translator *t, uint32_t index)
{
    struct block *block = t->order.items[index];
    unsigned slot;

    if (block->dead || block->sites_tried)
        return;
    block->sites_tried = true;
    slot = jumps_slot(t, block);
    if (slot == JUMP_SLOTS)
        return;
    for (uint32_t i = block->first_jump; i < block->first_jump + block->jump_count; i++) {
        put_jump(place_of(t, block, &t->jumps.sites.items[i]), slot, t->jumps.sites.items[i].call);
        t->counters.jump_sites++;
    }
}

void jumps_upgrade_sampled(struct translator *t)
{
    uint32_t count = t->jumps.sampled_count;

    t->jumps.sampled_count = 0;
    for (uint32_t i = 0; i < count; i++)
        jumps_upgrade(t, t->jumps.sampled[i]);
}
