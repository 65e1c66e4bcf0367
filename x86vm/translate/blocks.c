/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The code cache and the blocks in it: allocation, lookup by physical address
 * and mode, linking of direct jumps, and invalidation when guest code changes.
 * The cache is one memfd mapped twice, writable and executable at different
 * addresses; nothing is ever both. See translator.h.
 */
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "x86vm/cpu/limits.h"
#include "x86vm/translate/moves.h"
#include "x86vm/translate/transition.h"

enum { ARENA_CHUNK = 256 << 10 /* put in at once, which costs a third of a fault for each page */, BLOCK_ROOM = 64 << 10 };
enum { AHEAD = 128 << 10 }; /* of the code cache's pages that are put in at once */
enum { LET_GO_SHARE = X86VM_LIMIT(16, 4096) }; /* of the cache, between two times that its writable mapping is let go */
enum { PAGE_BLOCKS_MOST = X86VM_LIMIT(1 << 14, 300) }; /* bounds what one store to a page of code takes */

struct arena {
    struct arena *next;
    size_t used;
    _Alignas(8) uint8_t bytes[];
};

void *translator_grow(void *items, uint32_t count, uint32_t *capacity, size_t item_size)
{
    if (count < *capacity)
        return items;
    *capacity = *capacity ? *capacity * 2 : 1024;
    items = realloc(items, *capacity * item_size);
    if (!items)
        abort(); /* host out of memory: nothing sensible can go on */
    return items;
}

void *blocks_alloc(struct translator *t, size_t size)
{
    void *memory;

    size = (size + 7) & ~(size_t)7;
    if (!t->arena || t->arena->used + size > ARENA_CHUNK - sizeof(struct arena)) {
        struct arena *chunk = mmap(NULL, ARENA_CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        if (chunk == MAP_FAILED)
            abort();
        chunk->next = t->arena;
        t->arena = chunk;
    }
    memory = t->arena->bytes + t->arena->used;
    t->arena->used += size;
    return memory;
}

static void free_arena(struct translator *t)
{
    while (t->arena) {
        struct arena *next = t->arena->next;
        munmap(t->arena, ARENA_CHUNK);
        t->arena = next;
    }
}

static uint32_t code_size(const struct translator *t)
{
    return (uint32_t)(t->hot.p - t->hot_start) + (uint32_t)(t->cold.p - t->cold_start);
}

static bool map_cache(struct translator *t, uint32_t size)
{
    t->cache_fd = memfd_create("x86vm-code", MFD_CLOEXEC);
    if (t->cache_fd < 0 || ftruncate(t->cache_fd, size) != 0)
        return false;
    t->cache_rw = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, t->cache_fd, 0);
    t->cache_rx = mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_SHARED, t->cache_fd, 0);
    t->cache_size = size;
    return t->cache_rw != MAP_FAILED && t->cache_rx != MAP_FAILED;
}

/* The host counts what is in the code cache at both of its mappings, and keeps
 * tables of pages for both. The writable one's come back as they are touched. */
static void let_writable_go(struct translator *t)
{
    t->let_go_at = code_size(t) + t->cache_size / LET_GO_SHARE;
    madvise(t->cache_rw, t->cache_size, MADV_DONTNEED);
    t->hot_ready = t->hot.p;
    t->cold_ready = t->cold.p;
}

/* A page put in with its neighbours costs a quarter of one that is put in by a fault of its own. */
static uint8_t *put_in(const struct emit *e, uint8_t *ready)
{
    uint8_t *from = (uint8_t *)((uintptr_t)ready & ~(uintptr_t)(PAGE_SIZE - 1));
    size_t size = e->end - from < AHEAD ? (size_t)(e->end - from) : AHEAD;

    if (e->p + BLOCK_ROOM <= ready)
        return ready;
#ifdef MADV_POPULATE_WRITE /* Linux 5.14; before, each page by a fault */
    madvise(from, size, MADV_POPULATE_WRITE);
#endif
    return from + size;
}

enum { SHARES = 16, LEAST_SHARE = 6, FIRST_SHARE = 8 };

/* Sixteenths of the cache for the hot part: as it was used until now. Without checks cold code is shorter, with them longer. */
static uint32_t hot_share(const struct translator *t)
{
    uint32_t hot = (uint32_t)(t->hot.p - t->hot_start), size = code_size(t), share;

    if (size < t->cache_size / 2)
        return FIRST_SHARE;
    share = (uint32_t)(((uint64_t)hot * SHARES + size / 2) / size);
    return share < LEAST_SHARE ? LEAST_SHARE : share > SHARES - LEAST_SHARE ? SHARES - LEAST_SHARE : share;
}

static void rewind_cache(struct translator *t)
{
    intptr_t to_exec = t->cache_rx - t->cache_rw;
    uint8_t *split = t->cache_rw + t->cache_size / SHARES * hot_share(t);

    t->hot = (struct emit){ .p = t->cache_rw, .end = split, .to_exec = to_exec };
    t->cold = (struct emit){ .p = split, .end = t->cache_rw + t->cache_size, .to_exec = to_exec };
    stubs_emit(t);
    t->hot_start = t->hot_ready = t->hot.p;
    t->cold_start = t->cold_ready = t->cold.p;
    t->let_go_at = t->cache_size / LET_GO_SHARE;
}

static void code_written(void *opaque, uint32_t address, uint32_t size);

bool blocks_init(struct translator *t, uint32_t cache_size)
{
    if (!map_cache(t, cache_size))
        return false;
    t->hash = mmap(NULL, HASH_BUCKETS * sizeof *t->hash, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    t->page_blocks = calloc(phys_ram_size(t->phys) >> PAGE_SHIFT, sizeof *t->page_blocks);
    t->page_count = calloc(phys_ram_size(t->phys) >> PAGE_SHIFT, sizeof *t->page_count);
    if (t->hash == MAP_FAILED || !t->page_blocks || !t->page_count || !moves_init(t))
        return false;
    rewind_cache(t);
    phys_on_code_written(t->phys, code_written, t);
    return true;
}

static void drop_tables(struct translator *t)
{
    free(t->links.items);
    free(t->sites.items);
    free(t->calls.items);
    free(t->order.items);
    far_links_free(t);
    code_map_free(&t->hot_map);
    code_map_free(&t->cold_map);
    memset(&t->links, 0, sizeof t->links);
    memset(&t->sites, 0, sizeof t->sites);
    memset(&t->calls, 0, sizeof t->calls);
    memset(&t->order, 0, sizeof t->order);
}

void blocks_free(struct translator *t)
{
    if (t->cache_rw && t->cache_rw != MAP_FAILED)
        munmap(t->cache_rw, t->cache_size);
    if (t->cache_rx && t->cache_rx != MAP_FAILED)
        munmap(t->cache_rx, t->cache_size);
    if (t->cache_fd >= 0)
        close(t->cache_fd);
    free_arena(t);
    if (t->hash && t->hash != MAP_FAILED)
        munmap(t->hash, HASH_BUCKETS * sizeof *t->hash);
    free(t->page_blocks);
    free(t->page_count);
    drop_tables(t);
    jumps_free(t);
    moves_free(t);
}

void blocks_clear_lookup(struct translator *t)
{
    for (unsigned i = 0; i < LOOKUP_ENTRIES; i++)
        t->area->lookup[i].negated_key = 1; /* no key of a valid mode sums to zero with it */
    transition_forget(t);
}

/* Drops everything: the cache is full. Only from the dispatcher. */
void blocks_flush(struct translator *t)
{
    uint32_t pages = (uint32_t)(phys_ram_size(t->phys) >> PAGE_SHIFT);

    for (uint32_t page = 0; page < pages; page++) {
        if (!t->page_blocks[page])
            continue;
        phys_unmark(t->phys, page, PHYS_CODE);
        t->page_blocks[page] = NULL;
        t->page_count[page] = 0;
    }
    madvise(t->hash, HASH_BUCKETS * sizeof *t->hash, MADV_DONTNEED);
    blocks_clear_lookup(t);
    memset(t->group_failures, 0, sizeof t->group_failures);
    memset(t->bare_failures, 0, sizeof t->bare_failures);
    memset(t->bare_useless, 0, sizeof t->bare_useless);
    moves_forget(t);
    t->links.count = t->sites.count = t->calls.count = t->order.count = t->recall.count = 0;
    far_links_clear(t);
    jumps_clear(t);
    code_map_clear(&t->hot_map);
    code_map_clear(&t->cold_map);
    free_arena(t);
    rewind_cache(t);
    translator_cpu(t)->user_negated_key = 1;
    t->counters.cache_flushes++;
}

/* --- an idle guest --- */

enum { STALE_SHARE = 8 }; /* of the cache */
#define BETWEEN_DROPS (600ull * 1000000000)

/* Most code that a guest has run by the time it first rests is never run again:
 * its boot. All goes, and what is needed is made again. A recording's and its
 * replay's translations must not depend on time. */
static bool drop_stale(struct translator *t, uint64_t now)
{
    if (t->counting || code_size(t) < t->cache_size / STALE_SHARE || now < t->next_drop)
        return false;
    t->next_drop = now + BETWEEN_DROPS;
    blocks_flush(t);
    drop_tables(t);
    madvise(t->cache_rw, t->cache_size, MADV_REMOVE); /* the file's pages, the stubs' among them */
    rewind_cache(t);
    malloc_trim(0);
    return true;
}

void blocks_rest(struct translator *t, uint64_t now)
{
    uint64_t changes = t->counters.blocks_translated + t->counters.links;

    if (!drop_stale(t, now) && changes == t->rested_changes)
        return;
    t->rested_changes = changes;
    let_writable_go(t);
}

bool blocks_full(struct translator *t, uint32_t physical)
{
    t->hot_ready = put_in(&t->hot, t->hot_ready);
    t->cold_ready = put_in(&t->cold, t->cold_ready);
    return t->hot.end - t->hot.p < BLOCK_ROOM || t->cold.end - t->cold.p < BLOCK_ROOM ||
           t->page_count[physical >> PAGE_SHIFT] >= PAGE_BLOCKS_MOST;
}

/* All of the key but the mode: a guest that runs the same bytes by many segments
 * must not make one long list of them. */
static uint32_t bucket_of(uint32_t physical, uint32_t eip, uint32_t cs_base, uint32_t cs_limit)
{
    uint64_t key = physical ^ (uint64_t)(eip + cs_base) << 20 ^ (uint64_t)cs_limit << 32 ^ (uint64_t)cs_base << 9;

    return (uint32_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 40) & (HASH_BUCKETS - 1);
}

static uint32_t bucket_of_block(const struct block *block)
{
    return bucket_of(block->physical, block->eip, block->cs_base, block->cs_limit);
}

struct block *blocks_find(struct translator *t, uint32_t eip, uint32_t physical, uint32_t mode)
{
    const struct cpu_segment *cs = &translator_cpu(t)->seg[CPU_CS];

    for (struct block *b = t->hash[bucket_of(physical, eip, cs->base, cs->limit)]; b; b = b->hash_next)
        if (b->physical == physical && b->eip == eip && !((b->mode ^ mode) & b->mode_mask) && b->cs_base == cs->base
            && b->cs_limit == cs->limit)
            return b;
    return NULL;
}

void blocks_prefetch(const struct translator *t, uint32_t eip, uint32_t physical)
{
    __builtin_prefetch(&t->hash[bucket_of(physical, eip, 0, UINT32_MAX)]);
}

/* In which of a block's two lists a page is. */
static unsigned list_of(const struct block *block, uint32_t page)
{
    return block->physical >> PAGE_SHIFT == page ? 0 : 1;
}

static void watch_page(struct translator *t, struct block *block, uint32_t page, unsigned list)
{
    struct block *next = t->page_blocks[page];

    block->page_next[list] = next;
    block->page_at[list] = &t->page_blocks[page];
    if (next)
        next->page_at[list_of(next, page)] = &block->page_next[list];
    t->page_blocks[page] = block;
    t->page_count[page]++;
    if (!(phys_marks(t->phys, page) & PHYS_CODE)) {
        phys_mark(t->phys, page, PHYS_CODE);
        view_protect_page(translator_cpu(t), page);
    }
}

void blocks_add(struct translator *t, struct block *block)
{
    uint32_t first = block->physical >> PAGE_SHIFT;
    struct block **bucket = &t->hash[bucket_of_block(block)];

    TABLE_ADD(t->order, block);
    block->hash_next = *bucket;
    block->hash_at = bucket;
    if (*bucket)
        (*bucket)->hash_at = &block->hash_next;
    *bucket = block;
    watch_page(t, block, first, 0);
    if (block->last_page != first)
        watch_page(t, block, block->last_page, 1);
    t->counters.blocks_translated++;
    t->counters.bytes_translated += block->length;
    if (t->jumps.eager)
        jumps_upgrade(t, t->order.count - 1);
    if (code_size(t) >= t->let_go_at && !t->counters.cache_flushes) /* once it has been full, it will be again */
        let_writable_go(t);
}

/* --- invalidation --- */

static void unhash(struct block *block)
{
    *block->hash_at = block->hash_next;
    if (block->hash_next)
        block->hash_next->hash_at = block->hash_at;
}

static void unwatch_page(struct translator *t, struct block *block, uint32_t page)
{
    unsigned list = list_of(block, page);
    struct block *next = block->page_next[list];

    *block->page_at[list] = next;
    if (next)
        next->page_at[list_of(next, page)] = block->page_at[list];
    t->page_count[page]--;
    if (!t->page_blocks[page])
        phys_unmark(t->phys, page, PHYS_CODE);
}

static void forget(struct translator *t, const struct block *block)
{
    struct lookup_entry *first = &t->area->lookup[lookup_first(block->eip)], *second = &t->area->lookup[lookup_second(block->eip)];

    if (first->code == block->entry)
        first->negated_key = 1;
    if (second->code == block->entry)
        second->negated_key = 1;
}

void blocks_kill(struct translator *t, struct block *block)
{
    uint32_t first = block->physical >> PAGE_SHIFT;

    for (uint32_t next = block->incoming; next; next = t->links.items[next - 1].next_incoming) {
        struct link *l = &t->links.items[next - 1];
        emit_patch32(t->cache_rw + l->place, t->hot.to_exec, (uint64_t)(uintptr_t)t->cache_rx + l->stub);
        l->linked = false;
    }
    block->incoming = 0;
    block->dead = true;
    translator_forget_returns(t);
    forget(t, block);
    jumps_forget(t, block);
    unhash(block);
    unwatch_page(t, block, first);
    if (block->last_page != first)
        unwatch_page(t, block, block->last_page);
    t->counters.invalidations++;
}

/* Whether the block was made from (or depends on) the bytes. */
static bool made_from(const struct block *block, uint32_t page, uint32_t address, uint32_t size)
{
    uint32_t low = address & (PAGE_SIZE - 1), high = low + size;

    if (block->physical >> PAGE_SHIFT == page)
        return low < block->depends_end && high > block->depends_start;
    return low < ((block->physical + block->length) & (PAGE_SIZE - 1));
}

static void code_written(void *opaque, uint32_t address, uint32_t size)
{
    struct translator *t = opaque;
    uint32_t page = address >> PAGE_SHIFT;
    struct block *next;

    for (struct block *b = t->page_blocks[page]; b; b = next) {
        next = b->page_next[list_of(b, page)];
        if (made_from(b, page, address, size))
            blocks_kill(t, b);
    }
}

/* --- links, sites, calls --- */

void blocks_link(struct translator *t, uint32_t number, struct block *to)
{
    struct link *link = &t->links.items[number];
    uint64_t entry = to->entry;

    if (link->from->dead || link->linked || to->mode & MODE_SINGLE)
        return;
    if (to->mode_mask & ~link->from->mode_mask)
        return;
    if (!link->near && far_links_allow(t, to))
        far_links_add(t, link->place, to, entry);
    else if (!link->near)
        entry = to->guard_entry;
    if (!entry)
        return;
    emit_patch32(t->cache_rw + link->place, t->hot.to_exec, entry);
    link->linked = true;
    link->move = to->move;
    link->next_incoming = to->incoming;
    to->incoming = number + 1;
    t->counters.links++;
}

void blocks_remember(struct translator *t, uint32_t eip, const struct block *block)
{
    struct lookup_entry *entry = &t->area->lookup[lookup_first(eip)];
    const struct cpu *cpu = translator_cpu(t);
    uint64_t key = cpu->lookup_key & ~LOOKUP_POISON;
    uint32_t other = (uint32_t)-entry->negated_key; /* EIP is the lower half of what was negated */

    if (block->mode_mask & MODE_GS && cpu->cpl < 3)
        return; /* the key does not tell GS apart there */
    if (entry->negated_key != 1 && other != eip)
        t->area->lookup[lookup_second(other)] = *entry;
    entry->negated_key = -(key + eip);
    entry->code = block->entry;
}

uint64_t blocks_remembered(const struct translator *t, uint32_t eip)
{
    const struct lookup_entry *first = &t->area->lookup[lookup_first(eip)], *second = &t->area->lookup[lookup_second(eip)];
    uint64_t key = (t->area->cpu.lookup_key & ~LOOKUP_POISON) + eip;

    return first->negated_key + key == 0 ? first->code : second->negated_key + key == 0 ? second->code : 0;
}

uint32_t blocks_new_link(struct translator *t, struct link **out)
{
    TABLE_ADD(t->links, (struct link){ 0 });
    *out = &t->links.items[t->links.count - 1];
    return t->links.count - 1;
}

uint32_t blocks_new_site(struct translator *t, struct site **out)
{
    *out = blocks_alloc(t, sizeof **out);
    TABLE_ADD(t->sites, *out);
    return t->sites.count - 1;
}

uint32_t blocks_new_call(struct translator *t, struct call **out)
{
    *out = blocks_alloc(t, sizeof **out);
    TABLE_ADD(t->calls, *out);
    return t->calls.count - 1;
}

/* --- host address -> guest EIP --- */

static uint32_t place_of(const struct translator *t, const struct emit *e) { return (uint32_t)(e->p - t->cache_rw); }

uint32_t blocks_map_hot_begin(struct translator *t, uint32_t eip)
{
    return code_map_begin(&t->hot_map, place_of(t, &t->hot), eip);
}

uint32_t blocks_map_cold_begin(struct translator *t, uint32_t eip)
{
    return code_map_begin(&t->cold_map, place_of(t, &t->cold), eip);
}

void blocks_map_hot(struct translator *t, uint32_t eip, int32_t esp_delta)
{
    code_map_add(&t->hot_map, &(struct code_row){ place_of(t, &t->hot), eip, esp_delta });
}

void blocks_map_cold(struct translator *t, uint32_t eip, int32_t esp_delta)
{
    code_map_add(&t->cold_map, &(struct code_row){ place_of(t, &t->cold), eip, esp_delta });
}

bool blocks_locate(const struct translator *t, uint64_t pc, struct code_row *out)
{
    const uint8_t *at = (const uint8_t *)(uintptr_t)pc - t->hot.to_exec;
    uint32_t offset = (uint32_t)(at - t->cache_rw);

    if (at >= t->hot_start && at < t->hot.p)
        return code_map_find(&t->hot_map, offset, out);
    if (at >= t->cold_start && at < t->cold.p)
        return code_map_find(&t->cold_map, offset, out);
    return false;
}

/* --- groups that keep failing (device registers, stacks at a page's edge) --- */

enum { GROUP_PATIENCE = X86VM_LIMIT(32, 3) };

static uint32_t group_slot(const struct translator *t, uint32_t physical)
{
    return (physical ^ physical >> 12) % sizeof t->group_failures;
}

bool blocks_group_failed(struct translator *t, uint32_t physical)
{
    uint8_t *failures = &t->group_failures[group_slot(t, physical)];
    if (*failures < GROUP_PATIENCE)
        (*failures)++;
    return *failures == GROUP_PATIENCE;
}

bool blocks_groups_useless(const struct translator *t, uint32_t physical)
{
    return t->group_failures[group_slot(t, physical)] == GROUP_PATIENCE;
}

/* --- accesses without a check that keep faulting --- */

enum { BARE_PATIENCE = X86VM_LIMIT(24, 8), BARE_BADLY = 8, BARE_ODDLY = 2 };

_Static_assert(sizeof(((struct translator *)0)->bare_failures) == 65536, "a slot in 16 bits");

/* Neighbours in a group of 64 are neighbours in one here. */
static uint32_t bare_slot(uint32_t physical) { return (physical ^ physical >> 16) & 0xffff; }

bool blocks_bare_failed(struct translator *t, uint32_t eip, bool badly)
{
    struct cpu *cpu = translator_cpu(t);
    uint32_t linear = cpu->seg_base[CPU_CS] + eip, slot;
    uint64_t addend = cpu->tables[VIEW_EXEC / 8 + (linear >> PAGE_SHIFT)];
    uint8_t *failures;

    if (!addend)
        return false;
    slot = bare_slot((uint32_t)(addend + linear - (uint64_t)(uintptr_t)t->ram));
    failures = &t->bare_failures[slot];
    if (*failures < BARE_PATIENCE) {
        *failures += badly ? BARE_BADLY : BARE_ODDLY;
        t->bare_useless[slot / 64] += *failures >= BARE_PATIENCE;
    }
    return *failures >= BARE_PATIENCE;
}

bool blocks_bare_useless(const struct translator *t, uint32_t physical)
{
    return t->bare_failures[bare_slot(physical)] >= BARE_PATIENCE;
}

uint32_t blocks_bare_useless_in(const struct translator *t, uint32_t physical, uint32_t length)
{
    uint32_t count = 0;

    for (uint32_t at = physical; at - physical < length;) {
        if (!t->bare_useless[bare_slot(at) / 64]) {
            at = (at | 63) + 1;
            continue;
        }
        count += blocks_bare_useless(t, at++);
    }
    return count;
}

void blocks_kill_bare(struct translator *t, uint32_t eip)
{
    struct cpu *cpu = translator_cpu(t);
    uint32_t physical;
    struct block *next;

    if (!view_probe(cpu, cpu->seg_base[CPU_CS] + eip, VIEW_FOR_EXEC, cpu->cpl == 3, &physical) || !phys_is_ram(t->phys, physical))
        return;
    for (struct block *b = t->page_blocks[physical >> PAGE_SHIFT]; b; b = next) {
        next = b->page_next[list_of(b, physical >> PAGE_SHIFT)];
        if (b->mode & MODE_BARE && eip - b->eip < b->length)
            blocks_kill(t, b);
    }
}
