/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The blocks: lookup by physical address and mode, linking of direct jumps, and
 * invalidation when guest code changes. Their code and memory are cache.c's. See
 * translator.h.
 */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "x86vm/cpu/limits.h"
#include "x86vm/translate/cache.h"
#include "x86vm/translate/moves.h"
#include "x86vm/translate/patience.h"
#include "x86vm/translate/pc_calls.h"
#include "x86vm/translate/transition.h"

enum { PAGE_BLOCKS_MOST = X86VM_LIMIT(1 << 14, 300) }; /* bounds what one store to a page of code takes */

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

static void code_written(void *opaque, uint32_t address, uint32_t size);

bool blocks_init(struct translator *t, uint32_t cache_size)
{
    if (!cache_map(t, cache_size))
        return false;
    t->hash = mmap(NULL, HASH_BUCKETS * sizeof *t->hash, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    t->page_blocks = calloc(phys_ram_size(t->phys) >> PAGE_SHIFT, sizeof *t->page_blocks);
    t->page_count = calloc(phys_ram_size(t->phys) >> PAGE_SHIFT, sizeof *t->page_count);
    if (t->hash == MAP_FAILED || !t->page_blocks || !t->page_count || !moves_init(t))
        return false;
    cache_rewind(t);
    phys_on_code_written(t->phys, code_written, t);
    return true;
}

static void drop_tables(struct translator *t)
{
    free(t->links.items);
    free(t->sites.items);
    free(t->calls.items);
    free(t->order.items);
    keep_free(t);
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
    cache_unmap(t);
    cache_free_blocks(t);
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
    translator_keep_nothing(t); /* keys begin to mean other things */
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
    patience_renew(t);
    moves_forget(t);
    t->links.count = t->sites.count = t->calls.count = t->order.count = t->recall.count = 0;
    keep_clear(t);
    far_links_clear(t);
    jumps_clear(t);
    code_map_clear(&t->hot_map);
    code_map_clear(&t->cold_map);
    cache_free_blocks(t);
    cache_rewind(t);
    t->counters.cache_flushes++;
}

/* --- an idle guest --- */

enum { STALE_SHARE = 16 }; /* of the cache */
#define BETWEEN_DROPS (600ull * 1000000000)

/* Most code that a guest has run by the time it first rests is never run again:
 * its boot. All goes, and what is needed is made again. A recording's and its
 * replay's translations must not depend on time. */
static bool drop_stale(struct translator *t, uint64_t now)
{
    if (t->counting || cache_used(t) < t->cache_size / STALE_SHARE || now < t->next_drop)
        return false;
    t->next_drop = now + BETWEEN_DROPS;
    blocks_flush(t);
    drop_tables(t);
    cache_forget(t);
    malloc_trim(0);
    return true;
}

void blocks_rest(struct translator *t, uint64_t now)
{
    uint64_t changes = t->counters.blocks_translated + t->counters.links;

    if (!drop_stale(t, now) && changes == t->rested_changes)
        return;
    t->rested_changes = changes;
    cache_let_writable_go(t);
}

bool blocks_page_full(const struct translator *t, uint32_t page)
{
    return t->page_count[page] >= PAGE_BLOCKS_MOST;
}

bool blocks_full(struct translator *t, uint32_t physical)
{
    return cache_full(t) || blocks_page_full(t, physical >> PAGE_SHIFT);
}

/* All of the key but the mode: a guest that runs the same bytes by many segments
 * must not make one long list of them. Those of a page are near each other, a line of the
 * host's caches to 128 bytes of code: what is looked for next is most likely there. */
static uint32_t bucket_of(uint32_t physical, uint32_t eip, uint32_t cs_base, uint32_t cs_limit)
{
    uint64_t page = physical >> PAGE_SHIFT ^ (uint64_t)((eip + cs_base) >> PAGE_SHIFT) << 20 ^ (uint64_t)cs_limit << 32 ^ (uint64_t)cs_base << 9;
    uint32_t in_page = physical % PAGE_SIZE / 16;

    return ((uint32_t)(page * UINT64_C(0x9e3779b97f4a7c15) >> 40) + in_page) & (HASH_BUCKETS - 1);
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
    if (block->other_page != first)
        watch_page(t, block, block->other_page, 1);
    pc_calls_added(t, block);
    keep_note(t);
    t->counters.blocks_translated++;
    t->counters.bytes_translated += block->length;
    if (t->jumps.eager)
        jumps_upgrade(t, t->order.count - 1);
    if (cache_used(t) >= t->let_go_at && !t->counters.cache_flushes) /* once it has been full, it will be again */
        cache_let_writable_go(t);
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

/* Links to it, of those before that number, lead to their stubs. */
static void unlink_before(struct translator *t, struct block *block, uint32_t end)
{
    for (uint32_t next = block->incoming; next; next = t->links.items[next - 1].next_incoming) {
        struct link *l = &t->links.items[next - 1];
        if (next - 1 >= end)
            continue;
        emit_patch32(t->cache_rw + l->place, t->hot.to_exec, (uint64_t)(uintptr_t)t->cache_rx + l->stub);
        l->linked = false;
    }
    block->incoming = 0;
}

static void unlist(struct translator *t, struct block *block)
{
    uint32_t first = block->physical >> PAGE_SHIFT;

    unhash(block);
    unwatch_page(t, block, first);
    if (block->other_page != first)
        unwatch_page(t, block, block->other_page);
}

void blocks_kill(struct translator *t, struct block *block)
{
    unlink_before(t, block, UINT32_MAX);
    block->dead = true;
    translator_forget_returns(t);
    forget(t, block);
    jumps_forget(t, block);
    unlist(t, block);
    t->counters.invalidations++;
}

void blocks_take_out(struct translator *t, struct block *block, uint32_t first_link)
{
    if (block->dead)
        return; /* it was taken out then */
    unlink_before(t, block, first_link);
    unlist(t, block);
}

void blocks_forget_links(struct translator *t, struct block *block, uint32_t first_link)
{
    uint32_t *next = &block->incoming;

    while (*next) {
        struct link *l = &t->links.items[*next - 1];
        if (*next > first_link)
            *next = l->next_incoming;
        else
            next = &l->next_incoming;
    }
}

bool blocks_made_from(const struct block *block, uint32_t physical, uint32_t size)
{
    uint32_t page = physical >> PAGE_SHIFT, low = physical & (PAGE_SIZE - 1), high = low + size;

    if (block->physical >> PAGE_SHIFT == page)
        return low < block->depends_end && high > block->depends_start;
    return block->other_page == page && low < block->other_end && high > block->other_start;
}

static void code_written(void *opaque, uint32_t address, uint32_t size)
{
    struct translator *t = opaque;
    uint32_t page = address >> PAGE_SHIFT;
    struct block *next;

    for (struct block *b = t->page_blocks[page]; b; b = next) {
        next = b->page_next[list_of(b, page)];
        if (blocks_made_from(b, address, size))
            blocks_kill(t, b);
    }
}

/* What is often started has copies of its code for each time: that must not cost all others theirs. */
void blocks_make_room(struct translator *t, uint32_t physical)
{
    const uint32_t page = physical >> PAGE_SHIFT;

    if (!blocks_page_full(t, page) || cache_full(t)) {
        if (!keep_go_back(t))
            blocks_flush(t);
        return;
    }
    while (t->page_blocks[page])
        blocks_kill(t, t->page_blocks[page]);
    t->counters.pages_dropped++;
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
    if (!link->near)
        entry = far_links_add(t, link->place, to);
    if (!entry)
        return;
    emit_patch32(t->cache_rw + link->place, t->hot.to_exec, entry);
    link->linked = true;
    link->move = to->move;
    link->next_incoming = to->incoming;
    to->incoming = number + 1;
    t->counters.links++;
}

void blocks_unlink(struct translator *t, uint32_t number)
{
    struct link *link = &t->links.items[number];
    uint32_t block = recall_block_at(t, emit_target32(t->cache_rw + link->place, t->hot.to_exec));
    uint32_t *next = &t->order.items[block]->incoming;

    while (*next && *next != number + 1)
        next = &t->links.items[*next - 1].next_incoming;
    *next = link->next_incoming;
    link->linked = false;
    emit_patch32(t->cache_rw + link->place, t->hot.to_exec, (uint64_t)(uintptr_t)t->cache_rx + link->stub);
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
    *out = cache_alloc(t, sizeof **out);
    TABLE_ADD(t->sites, *out);
    return t->sites.count - 1;
}

uint32_t blocks_new_call(struct translator *t, struct call **out)
{
    *out = cache_alloc(t, sizeof **out);
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
