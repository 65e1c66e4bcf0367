/* SPDX-License-Identifier: BSD-2-Clause
 *
 * See cache.h.
 */
#include "x86vm/translate/cache.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "x86vm/cpu/limits.h"

enum { ARENA_CHUNK = 256 << 10 /* put in at once, which costs a third of a fault for each page */ };
enum { AHEAD = 128 << 10 }; /* of the code cache's pages that are put in at once */
enum { LET_GO_SHARE = X86VM_LIMIT(32, 4096) }; /* of the cache, between two times that its writable mapping is let go */

void *cache_alloc(struct translator *t, size_t size)
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

/* Chunks newer than that one. */
static void free_until(struct translator *t, const struct arena *last)
{
    while (t->arena != last) {
        struct arena *next = t->arena->next;
        munmap(t->arena, ARENA_CHUNK);
        t->arena = next;
    }
}

void cache_free_blocks(struct translator *t)
{
    free_until(t, NULL);
}

uint32_t cache_used(const struct translator *t)
{
    return (uint32_t)(t->hot.p - t->hot_start) + (uint32_t)(t->cold.p - t->cold_start);
}

bool cache_map(struct translator *t, uint32_t size)
{
    t->cache_fd = memfd_create("x86vm-code", MFD_CLOEXEC);
    if (t->cache_fd < 0 || ftruncate(t->cache_fd, size) != 0)
        return false;
    t->cache_rw = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, t->cache_fd, 0);
    t->cache_rx = mmap(NULL, size, PROT_READ | PROT_EXEC, MAP_SHARED, t->cache_fd, 0);
    t->cache_size = size;
    return t->cache_rw != MAP_FAILED && t->cache_rx != MAP_FAILED;
}

void cache_unmap(struct translator *t)
{
    if (t->cache_rw && t->cache_rw != MAP_FAILED)
        munmap(t->cache_rw, t->cache_size);
    if (t->cache_rx && t->cache_rx != MAP_FAILED)
        munmap(t->cache_rx, t->cache_size);
    if (t->cache_fd >= 0)
        close(t->cache_fd);
}

/* The host counts what is in the code cache at both of its mappings, and keeps
 * tables of pages for both. The writable one's come back as they are touched. */
void cache_let_writable_go(struct translator *t)
{
    t->let_go_at = cache_used(t) + t->cache_size / LET_GO_SHARE;
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
    uint32_t hot = (uint32_t)(t->hot.p - t->hot_start), size = cache_used(t), share;

    if (size < t->cache_size / 2)
        return FIRST_SHARE;
    share = (uint32_t)(((uint64_t)hot * SHARES + size / 2) / size);
    return share < LEAST_SHARE ? LEAST_SHARE : share > SHARES - LEAST_SHARE ? SHARES - LEAST_SHARE : share;
}

void cache_rewind(struct translator *t)
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

struct cache_end cache_get_end(const struct translator *t)
{
    return (struct cache_end){ t->hot.p, t->cold.p, t->arena, t->arena ? t->arena->used : 0 };
}

void cache_go_back(struct translator *t, const struct cache_end *end)
{
    t->hot = (struct emit){ .p = end->hot, .end = t->hot.end, .to_exec = t->hot.to_exec };
    t->cold = (struct emit){ .p = end->cold, .end = t->cold.end, .to_exec = t->cold.to_exec };
    free_until(t, end->arena);
    if (t->arena)
        t->arena->used = end->arena_used;
}

void cache_forget(struct translator *t)
{
    madvise(t->cache_rw, t->cache_size, MADV_REMOVE); /* the file's pages, the stubs' among them */
    cache_rewind(t);
}

bool cache_full(struct translator *t)
{
    t->hot_ready = put_in(&t->hot, t->hot_ready);
    t->cold_ready = put_in(&t->cold, t->cold_ready);
    return t->hot.end - t->hot.p < BLOCK_ROOM || t->cold.end - t->cold.p < BLOCK_ROOM;
}
