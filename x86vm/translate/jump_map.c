/* SPDX-License-Identifier: BSD-2-Clause
 *
 * See jump_map.h.
 */
#include "x86vm/translate/jump_map.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "x86vm/cpu/limits.h"
#include "x86vm/translate/translator.h"

/* Entries of a guest page fill eight of the host's; most have a few. */
enum { PAGES_MOST = X86VM_LIMIT(512, 6), PAGE_ENTRIES = PAGE_SIZE };
/* A miss brings in a page of entries, and one of the host's tables where the guest jumps far:
 * 8 KiB. So all maps together, of all modes and address spaces, take no more than 64 MiB. */
enum { MISSES_OF_ALL = X86VM_LIMIT(8192, 150) };
#define MAP_SIZE (sizeof(uint64_t) << 32)

/* None of it is the host's memory before it is touched. */
static uint64_t *reserve(int protection)
{
    void *map = mmap(NULL, MAP_SIZE, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return map == MAP_FAILED ? NULL : map;
}

/* With the host's tables of pages for it. False: it is gone. */
static bool empty(uint64_t *map, int protection)
{
    return mmap(map, MAP_SIZE, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) == map;
}

void jumps_init(struct translator *t)
{
    t->jumps.possible = t->bare && t->bmi2 && !getenv("X86VM_NO_JUMP_MAPS");
    t->jumps.eager = getenv("X86VM_EAGER_JUMPS") != NULL;
    sites_init(t);
}

void jumps_free(struct translator *t)
{
    for (struct jump_slot *slot = t->jumps.slots; slot < t->jumps.slots + JUMP_SLOTS; slot++)
        for (struct jump_map *map = slot->maps; map < slot->maps + JUMP_SPACES; map++) {
            if (map->entries)
                munmap(map->entries, MAP_SIZE);
            free(map->pages.items);
        }
    if (t->jumps.nothing)
        munmap(t->jumps.nothing, MAP_SIZE);
}

/* A host that will not even do that has no memory left to go on with. */
static void empty_map(struct jump_map *map)
{
    if (map->misses && !empty(map->entries, PROT_READ | PROT_WRITE))
        abort();
    map->misses = map->pages.count = 0;
}

static void empty_all(struct translator *t)
{
    for (struct jump_slot *slot = t->jumps.slots; slot < t->jumps.slots + JUMP_SLOTS; slot++)
        for (struct jump_map *map = slot->maps; map < slot->maps + JUMP_SPACES; map++)
            empty_map(map);
    t->jumps.misses = 0;
}

void jumps_clear(struct translator *t)
{
    for (struct jump_slot *slot = t->jumps.slots; slot < t->jumps.slots + JUMP_SLOTS; slot++) {
        slot->mode = 0;
        slot->now = NULL;
    }
    jumps_empty(t);
}

void jumps_empty(struct translator *t)
{
    empty_all(t);
    t->jumps.sampled_count = 0;
    t->jumps.missed = false;
    jumps_select(t);
}

void jumps_forbid(struct translator *t)
{
    for (unsigned i = 0; i < JUMP_SLOTS; i++)
        t->area->jumps[i] = t->jumps.nothing;
}

void jumps_select(struct translator *t)
{
    if (t->jumps.nothing_misses > JUMP_MISSES_MOST) {
        t->jumps.nothing_misses = 0;
        if (!empty(t->jumps.nothing, PROT_READ))
            abort();
    }
    for (unsigned i = 0; i < JUMP_SLOTS; i++) {
        const struct jump_map *now = t->jumps.slots[i].now;
        t->area->jumps[i] = now ? now->entries : t->jumps.nothing;
    }
}

/* --- which map --- */

/* The map of the present address space, or the one that was not used longest. */
static struct jump_map *choose(struct jump_slot *slot, uint32_t cr3)
{
    struct jump_map *oldest = &slot->maps[0];

    for (struct jump_map *map = slot->maps; map < slot->maps + JUMP_SPACES; map++) {
        if (map->entries && map->cr3 == cr3)
            return map;
        if (map->used < oldest->used)
            oldest = map;
    }
    empty_map(oldest);
    oldest->cr3 = cr3;
    if (!oldest->entries)
        oldest->entries = reserve(PROT_READ | PROT_WRITE);
    if (oldest->entries)
        return oldest;
    empty_map(&slot->maps[0]);
    slot->maps[0].cr3 = cr3;
    return &slot->maps[0];
}

static bool is_users(const struct translator *t, const struct jump_slot *slot)
{
    return slot >= t->jumps.slots + JUMP_SLOTS_EACH;
}

static void drop_page(struct jump_map *map, uint32_t linear)
{
    if (madvise(map->entries + (size_t)linear * PAGE_ENTRIES, PAGE_ENTRIES * sizeof *map->entries, MADV_DONTNEED) != 0)
        abort();
}

static void check_pages(struct translator *t, struct jump_map *map, bool user)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < map->pages.count; i++) {
        struct jump_page page = map->pages.items[i];
        if (view_is_code(translator_cpu(t), user, page.linear, page.physical))
            map->pages.items[kept++] = page;
        else
            drop_page(map, page.linear);
    }
    map->pages.count = kept;
}

static void check_slot(struct translator *t, struct jump_slot *slot)
{
    bool user = is_users(t, slot);

    slot->now = choose(slot, user ? translator_cpu(t)->cr3 : 0);
    slot->now->used = ++t->jumps.uses;
    if (slot->now->misses > JUMP_MISSES_MOST)
        empty_map(slot->now);
    if (t->jumps.misses > MISSES_OF_ALL)
        empty_all(t);
    check_pages(t, slot->now, user);
}

/* While a user's code runs with checks, none of its sites is used. */
void jumps_check(struct translator *t, bool user)
{
    struct jump_slot *first = t->jumps.slots + (user ? JUMP_SLOTS_EACH : 0);

    if (user && !view_bare_used_of(translator_cpu(t), user))
        return;
    for (struct jump_slot *slot = first; slot < first + JUMP_SLOTS_EACH; slot++)
        if (slot->mode)
            check_slot(t, slot);
    jumps_select(t);
}

static uint32_t slot_mode(const struct block *block)
{
    return (block->mode & MODE_USER ? block->mode : block->mode & ~MODE_GS) & ~MODE_UNGROUPED;
}

static bool may_have_slot(const struct block *block)
{
    return block->mode & MODE_BARE && block->mode & (MODE_USER | MODE_CPL0) && !(block->mode & (MODE_SINGLE | MODE_PARTIAL))
           && block->cs_base == 0 && block->cs_limit == UINT32_MAX;
}

static unsigned find_slot(const struct translator *t, const struct block *block, uint32_t mode)
{
    unsigned first = block->mode & MODE_USER ? JUMP_SLOTS_EACH : 0;

    for (unsigned i = first; i < first + JUMP_SLOTS_EACH; i++)
        if (t->jumps.slots[i].mode == mode)
            return i;
    return JUMP_SLOTS;
}

/* With a map at least. */
static bool make_slot(struct translator *t, struct jump_slot *slot, const struct block *block)
{
    if (!t->jumps.nothing && !(t->jumps.nothing = reserve(PROT_READ)))
        return false;
    if (!slot->maps[0].entries && !(slot->maps[0].entries = reserve(PROT_READ | PROT_WRITE)))
        return false;
    slot->mode = slot_mode(block);
    jumps_check(t, block->mode & MODE_USER);
    jumps_select(t);
    return true;
}

unsigned jumps_slot(struct translator *t, const struct block *block)
{
    unsigned number;

    if (!t->jumps.possible || !may_have_slot(block))
        return JUMP_SLOTS;
    number = find_slot(t, block, slot_mode(block));
    if (number < JUMP_SLOTS)
        return number;
    number = find_slot(t, block, 0);
    if (number < JUMP_SLOTS)
        t->jumps.possible = make_slot(t, &t->jumps.slots[number], block);
    return t->jumps.possible ? number : JUMP_SLOTS;
}

/* --- entries --- */

static bool leads_to(const struct jump_map *map, uint32_t linear)
{
    for (uint32_t i = 0; i < map->pages.count; i++)
        if (map->pages.items[i].linear == linear)
            return true;
    return false;
}

/* Whether the map may lead to the block itself; notes its page. */
static bool qualifies(struct translator *t, struct jump_map *map, const struct block *block)
{
    const struct jump_page page = { block->eip >> PAGE_SHIFT, block->physical >> PAGE_SHIFT };
    bool user = block->mode & MODE_USER;

    if ((!user && block->mode_mask & MODE_GS) || !view_is_code(translator_cpu(t), user, page.linear, page.physical))
        return false;
    if (leads_to(map, page.linear))
        return true;
    if (map->pages.count == PAGES_MOST)
        return false;
    TABLE_ADD(map->pages, page);
    return true;
}

void jumps_add(struct translator *t, uint32_t eip, const struct block *block)
{
    unsigned number = may_have_slot(block) ? find_slot(t, block, slot_mode(block)) : JUMP_SLOTS;
    struct jump_map *map = number < JUMP_SLOTS ? t->jumps.slots[number].now : NULL;

    if (!map || eip != block->eip)
        return;
    if (map->misses > JUMP_MISSES_MOST)
        empty_map(map);
    if (t->jumps.misses > MISSES_OF_ALL)
        empty_all(t);
    map->entries[eip] = qualifies(t, map, block) ? block->entry : t->stubs.dispatch;
    map->misses += map->misses == 0; /* it was emptied just now, and is not empty */
}

void jumps_forget(struct translator *t, const struct block *block)
{
    unsigned number = may_have_slot(block) ? find_slot(t, block, slot_mode(block)) : JUMP_SLOTS;

    if (number == JUMP_SLOTS)
        return;
    for (struct jump_map *map = t->jumps.slots[number].maps; map < t->jumps.slots[number].maps + JUMP_SPACES; map++)
        if (leads_to(map, block->eip >> PAGE_SHIFT) && map->entries[block->eip] == block->entry)
            map->entries[block->eip] = t->stubs.dispatch; /* what is written often is not worth a fault each time */
}

bool jumps_note_miss(struct translator *t, uint64_t map, uint32_t eip)
{
    if (t->jumps.nothing && map == (uint64_t)(uintptr_t)t->jumps.nothing) {
        t->jumps.nothing_misses++;
        return true;
    }
    for (struct jump_slot *slot = t->jumps.slots; slot < t->jumps.slots + JUMP_SLOTS; slot++)
        if (slot->now && map == (uint64_t)(uintptr_t)slot->now->entries) {
            slot->now->misses++;
            t->jumps.misses++;
            t->counters.jump_misses++;
            t->jumps.missed = true;
            t->jumps.missed_eip = eip;
            return true;
        }
    return false;
}
