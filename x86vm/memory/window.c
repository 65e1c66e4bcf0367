/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The window's host mappings: see window.h.
 */
#include "x86vm/memory/window.h"

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

#include "x86vm/cpu/limits.h"

#define WINDOW_SIZE (4ull << 30)
#define BELOW (2ull * VIEW_STRIDE)
#define ABOVE (1ull << 20) /* an access that begins on the last page must not reach what comes next */
#define SHOWS_SIZE (VIEW_PAGES * sizeof(uint32_t))
#define ALIGNMENT (2ull << 20)
#define MAP_SIZE (ALIGNMENT + BELOW + WINDOW_SIZE + ABOVE + SHOWS_SIZE)

/* Each scattered page is one mapping, of 65530 that Linux gives a process. */
enum { MAPPINGS_MAX = X86VM_LIMIT(16000, 20) };

bool window_reserve(struct window *window)
{
    const int how = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    uint8_t *shows;

    window->map = mmap(NULL, MAP_SIZE, PROT_NONE, how, -1, 0);
    if (window->map == MAP_FAILED) {
        window->map = NULL;
        return false;
    }
    window->base = (uint8_t *)(((uintptr_t)window->map + BELOW + ALIGNMENT - 1) & ~(uintptr_t)(ALIGNMENT - 1));
    shows = window->base + WINDOW_SIZE + ABOVE;
    if (mprotect(window->base - BELOW, BELOW - VIEW_GAP, PROT_READ | PROT_WRITE) != 0
        || mprotect(shows, SHOWS_SIZE, PROT_READ | PROT_WRITE) != 0) {
        window_release(window);
        return false;
    }
    /* sparse: huge pages would make it all resident */
    madvise(window->map, MAP_SIZE, MADV_NOHUGEPAGE);
    window->shows = (uint32_t *)(void *)shows;
    return true;
}

void window_release(struct window *window)
{
    if (window->map)
        munmap(window->map, MAP_SIZE);
    window->map = NULL;
}

static bool make_inaccessible(struct window *window, uint32_t page, uint64_t size)
{
    return mmap(window->base + ((uint64_t)page << PAGE_SHIFT), size, PROT_NONE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0) != MAP_FAILED;
}

static void count_mapping(struct window *window, uint32_t page)
{
    window->mappings++;
    window->in_slice[page / WINDOW_SLICE]++;
}

bool window_map(struct window *window, const struct phys *phys, uint32_t page, uint32_t physical_page, uint32_t count)
{
    uint8_t *at = window->base + ((uint64_t)page << PAGE_SHIFT);

    if (window->refused || !phys_map(phys, at, physical_page << PAGE_SHIFT, (uint64_t)count << PAGE_SHIFT, PHYS_MAP_WRITABLE)) {
        window->refused = true;
        return false;
    }
    for (uint32_t i = 0; i < count; i++)
        window->shows[page + i] = physical_page + i + 1;
    count_mapping(window, page);
    return true;
}

void window_unmap(struct window *window, uint32_t page)
{
    if (make_inaccessible(window, page, PAGE_SIZE))
        window->shows[page] = 0;
    count_mapping(window, page); /* a hole splits what is around it */
}

bool window_is_full(const struct window *window)
{
    return window->mappings >= MAPPINGS_MAX || (window->refused && window->mappings);
}

bool window_clear_slice(struct window *window, uint32_t slice)
{
    uint32_t first = slice * WINDOW_SLICE, behind = first + WINDOW_SLICE;
    bool runs_on = behind < VIEW_PAGES && window->shows[behind] && window->shows[behind] == window->shows[behind - 1] + 1;

    if (!make_inaccessible(window, first, (uint64_t)WINDOW_SLICE << PAGE_SHIFT))
        return false;
    memset(window->shows + first, 0, WINDOW_SLICE * sizeof *window->shows);
    window->mappings -= window->in_slice[slice];
    window->in_slice[slice] = 0;
    if (runs_on)
        count_mapping(window, behind); /* what is left of one */
    return true;
}

void window_clear(struct window *window)
{
    if (!make_inaccessible(window, 0, WINDOW_SIZE))
        return;
    madvise(window->shows, SHOWS_SIZE, MADV_DONTNEED);
    window->refused = window->refused && window->mappings == 0;
    window->mappings = 0;
    memset(window->in_slice, 0, sizeof window->in_slice);
}
