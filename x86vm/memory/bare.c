/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The host mappings of a bare window: see bare.h.
 */
#include "x86vm/memory/bare.h"

#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>

#include "x86vm/cpu/limits.h"
#include "x86vm/memory/view.h"

#define WINDOW_SIZE (4ull << 30)
#define ALIGNMENT (2ull << 20)
#define SHOWS_SIZE (VIEW_PAGES * sizeof(uint32_t))
#define LIST_SIZE (PAGES_MAX * sizeof(uint32_t))
#define MAP_SIZE (ALIGNMENT + WINDOW_SIZE + BARE_ABOVE + SHOWS_SIZE + LIST_SIZE)

/* Of 65530 that Linux gives a process; five windows, and see window.c for its share. Where
 * they are not open, holes count as well. */
enum { MAPPINGS_OPEN = X86VM_LIMIT(8000, 24), MAPPINGS_CLOSED = X86VM_LIMIT(4000, 24), PAGES_MAX = X86VM_LIMIT(1 << 17, 1 << 8) };

/* Where a window's holes can be left without any mapping: below all places where
 * Linux puts what it is not told a place for, which is from the top down, or with
 * an unlimited stack from a third of the 128 TiB up. It would come here when the
 * 40 TiB above were used up. */
#define OPEN_FIRST (16ull << 40)
#define OPEN_RANGE (8ull << 40)
#define OPEN_STEP (16ull << 30)
enum { OPEN_TRIES = 64 };

#define LISTED (1u << 30) /* a mark in `shows`, while the list is worked on */

/* More entries are dropped with their table. */
enum { CLEAR_ALONE_MAX = X86VM_LIMIT(1 << 14, 8) };

/* Pages that were shown are hidden together where they are no farther apart. */
enum { GAP_MAX = X86VM_LIMIT(256, 3) };

/* Runs no longer than this are made resident at once: they were asked for. */
enum { POPULATE_MAX = 4 };

#ifndef HWCAP2_FSGSBASE
#define HWCAP2_FSGSBASE (1u << 1)
#endif

bool bare_possible(void)
{
    return getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE;
}

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/* Differs from process to process, as where the kernel puts things does. */
static uint64_t random_offset(void)
{
    const void *bytes = (const void *)(uintptr_t)getauxval(AT_RANDOM);
    uint64_t value = 0;

    if (bytes)
        memcpy(&value, bytes, sizeof value);
    return value % OPEN_RANGE & ~(ALIGNMENT - 1);
}

/* NULL: such a place is not to be had. */
static uint8_t *reserve_open(void)
{
    const int how = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
    uint64_t at = OPEN_FIRST + random_offset();

    for (unsigned i = 0; i < OPEN_TRIES; i++, at += OPEN_STEP) {
        uint8_t *map = mmap((void *)(uintptr_t)at, MAP_SIZE, PROT_NONE, how, -1, 0);
        if (map == (uint8_t *)(uintptr_t)at)
            return map;
        if (map != MAP_FAILED)
            munmap(map, MAP_SIZE); /* Linux before 4.17 took the address for a wish */
    }
    return NULL;
}

static bool make_inaccessible(struct bare_window *window, uint32_t page, uint64_t size)
{
    uint8_t *at = window->base + ((uint64_t)page << PAGE_SHIFT);

    if (window->open)
        return munmap(at, size) == 0;
    return mmap(at, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != MAP_FAILED;
}

static uint8_t *reserve_closed(void)
{
    uint8_t *map = mmap(NULL, MAP_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return map == MAP_FAILED ? NULL : map;
}

bool bare_reserve(struct bare_window *window)
{
    uint8_t *map = getenv("X86VM_CLOSED_BARE") ? NULL : reserve_open(), *behind;

    window->open = map != NULL;
    if (!map)
        map = reserve_closed();
    if (!map)
        return false;
    window->base = (uint8_t *)(((uintptr_t)map + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1));
    behind = window->base + WINDOW_SIZE + BARE_ABOVE;
    if (mprotect(behind, SHOWS_SIZE + LIST_SIZE, PROT_READ | PROT_WRITE) != 0
        || !make_inaccessible(window, 0, WINDOW_SIZE)) {
        munmap(map, MAP_SIZE);
        window->base = NULL;
        return false;
    }
    /* Sparse: huge pages would make it all resident. Not what is never touched: it
     * becomes one mapping with the holes that pages leave behind. */
    madvise(behind, SHOWS_SIZE + LIST_SIZE, MADV_NOHUGEPAGE);
    window->map = map;
    window->shows = (uint32_t *)(void *)behind;
    window->pages = (uint32_t *)(void *)(behind + SHOWS_SIZE);
    return true;
}

void bare_release(struct bare_window *window)
{
    if (window->base)
        munmap(window->map, MAP_SIZE);
    window->base = NULL;
}

/* Whether a mapping of the host's begins with the page: it makes one of pages that
 * follow each other in RAM with the same rights. */
static bool begins_at(const struct bare_window *window, uint32_t page)
{
    uint32_t here = page < VIEW_PAGES ? window->shows[page] : 0, below = page ? window->shows[page - 1] : 0;

    return here && !(below && here == below + 1);
}

static uint32_t begin_about(const struct bare_window *window, uint32_t page, uint32_t count)
{
    uint32_t begin = 0;

    for (uint32_t i = page; i <= page + count; i++)
        begin += begins_at(window, i);
    return begin;
}

void bare_tidy_list(struct bare_window *window)
{
    uint32_t kept = 0;

    for (uint32_t i = 0; i < window->count; i++) {
        uint32_t page = window->pages[i], shown = window->shows[page];
        if (!shown || shown & LISTED)
            continue;
        window->shows[page] |= LISTED;
        window->pages[kept++] = page;
    }
    for (uint32_t i = 0; i < kept; i++)
        window->shows[window->pages[i]] &= ~LISTED;
    window->count = kept;
}

bool bare_show(struct bare_window *window, const struct phys *phys, uint32_t page, uint32_t physical_page,
               uint32_t count, bool writable)
{
    uint8_t *at = window->base + ((uint64_t)page << PAGE_SHIFT);
    enum phys_mapping how = (writable ? PHYS_MAP_WRITABLE : 0) | (count <= POPULATE_MAX ? PHYS_MAP_RESIDENT : 0);

    if (window->count + count > PAGES_MAX)
        bare_tidy_list(window);
    if (window->mappings >= (window->open ? MAPPINGS_OPEN : MAPPINGS_CLOSED) || window->count + count > PAGES_MAX
        || !phys_map(phys, at, physical_page << PAGE_SHIFT, (uint64_t)count << PAGE_SHIFT, how))
        return false;
    window->mappings -= begin_about(window, page, count);
    for (uint32_t i = 0; i < count; i++) {
        if (!window->shows[page + i])
            window->pages[window->count++] = page + i;
        window->shows[page + i] = (physical_page + i + 1) | (writable ? BARE_WRITABLE : 0);
    }
    window->mappings += begin_about(window, page, count);
    return true;
}

void bare_hide(struct bare_window *window, uint32_t page)
{
    bare_hide_run(window, page, 1);
}

void bare_hide_run(struct bare_window *window, uint32_t page, uint32_t count)
{
    uint32_t shown = 0;

    for (uint32_t i = page; i < page + count; i++)
        shown += window->shows[i] != 0;
    if (!shown)
        return;
    if (!make_inaccessible(window, page, (uint64_t)count << PAGE_SHIFT)) {
        bare_clear(window); /* which needs no more mappings than there are */
        return;
    }
    window->mappings -= begin_about(window, page, count);
    memset(window->shows + page, 0, count * sizeof *window->shows);
    window->mappings += begin_about(window, page, count);
}

/* The last page from `page` on, by steps up or down, with nothing but such that are
 * marked or not shown before it. */
static uint32_t last_marked(const struct bare_window *window, uint32_t page, uint32_t step)
{
    uint32_t last = page;

    for (uint32_t gap = 0; gap < GAP_MAX; gap++) {
        page += step;
        if (page >= VIEW_PAGES || (window->shows[page] && !(window->shows[page] & LISTED)))
            break;
        if (window->shows[page]) {
            last = page;
            gap = 0;
        }
    }
    return last;
}

void bare_hide_listed(struct bare_window *window, uint32_t first)
{
    uint32_t count = window->count;

    if (first >= count)
        return;
    for (uint32_t i = first; i < count; i++)
        window->shows[window->pages[i]] |= LISTED;
    for (uint32_t i = first; i < count && window->mappings; i++) {
        uint32_t page = window->pages[i], low, high;
        if (!window->shows[page])
            continue;
        low = last_marked(window, page, UINT32_MAX);
        high = last_marked(window, page, 1);
        for (uint32_t k = low; k <= high; k++)
            window->shows[k] &= ~LISTED;
        bare_hide_run(window, low, high - low + 1);
    }
    window->count = window->mappings ? first : 0;
}

void bare_clear(struct bare_window *window)
{
    if (!window->mappings)
        return;
    if (!make_inaccessible(window, 0, WINDOW_SIZE))
        abort(); /* the guest would keep rights that it has lost */
    if (window->count > CLEAR_ALONE_MAX)
        madvise(window->shows, SHOWS_SIZE, MADV_DONTNEED);
    else
        for (uint32_t i = 0; i < window->count; i++)
            window->shows[window->pages[i]] = 0;
    window->count = window->mappings = 0;
}
