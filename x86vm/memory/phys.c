/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Guest RAM and the marks of its pages: see phys.h. RAM is a memfd, so that its
 * pages can be mapped a second time where the guest sees them (window.h); on a
 * host without memfds it is anonymous memory, and phys_map() fails. The main
 * mapping has an inaccessible guard on either side, so an access that overshoots
 * RAM faults in the host instead of reaching other data.
 */
#include "x86vm/memory/phys.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ALIGNMENT (2ull << 20) /* for huge pages */
#define GUARD_SIZE ALIGNMENT

/* Marks of our own, beside enum phys_mark. */
enum { PAGE_READONLY = 0x80, PAGE_HOLE = 0x40, PAGE_OWN = PAGE_READONLY | PAGE_HOLE };

struct phys {
    uint8_t *map;      /* whole reservation, guards included */
    size_t map_size;
    uint8_t *ram;      /* guest-physical 0 */
    uint64_t ram_size;
    int fd;            /* of RAM; -1: anonymous */
    uint8_t *pages;    /* marks, one byte a page */
    bool a20;
    void (*code_written)(void *opaque, uint32_t address, uint32_t size);
    void *opaque;
    void (*remapped)(void *opaque);
    void *remapped_opaque;
    struct phys_tap tap;
};

/* RAM into the reservation, from a memfd if the host has them. */
static bool map_ram(struct phys *phys)
{
    const int how = MAP_FIXED | MAP_NORESERVE;

    phys->fd = memfd_create("x86vm-ram", MFD_CLOEXEC);
    if (phys->fd >= 0 && ftruncate(phys->fd, (off_t)phys->ram_size) == 0
        && mmap(phys->ram, phys->ram_size, PROT_READ | PROT_WRITE, MAP_SHARED | how, phys->fd, 0) != MAP_FAILED)
        return true;
    if (phys->fd >= 0)
        close(phys->fd);
    phys->fd = -1;
    return mmap(phys->ram, phys->ram_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | how, -1, 0) != MAP_FAILED;
}

struct phys *phys_new(uint64_t ram_size)
{
    if (ram_size == 0 || ram_size % PAGE_SIZE || ram_size > PHYS_RAM_MAX) {
        errno = EINVAL;
        return NULL;
    }
    struct phys *phys = calloc(1, sizeof *phys);
    if (!phys)
        return NULL;
    phys->a20 = true;
    phys->ram_size = ram_size;
    phys->map_size = ram_size + 2 * GUARD_SIZE;
    phys->pages = calloc(ram_size >> PAGE_SHIFT, 1);
    if (!phys->pages)
        goto free_phys;
    phys->map = mmap(NULL, phys->map_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (phys->map == MAP_FAILED)
        goto free_pages;
    uintptr_t start = ((uintptr_t)phys->map + GUARD_SIZE - 1) & ~(uintptr_t)(ALIGNMENT - 1);
    phys->ram = (uint8_t *)start;
    if (!map_ram(phys))
        goto unmap;
    madvise(phys->ram, ram_size, MADV_HUGEPAGE); /* only a wish */
    return phys;

unmap:
    munmap(phys->map, phys->map_size);
free_pages:
    free(phys->pages);
free_phys:
    free(phys);
    return NULL;
}

void phys_free(struct phys *phys)
{
    if (!phys)
        return;
    munmap(phys->map, phys->map_size);
    if (phys->fd >= 0)
        close(phys->fd);
    free(phys->pages);
    free(phys);
}

bool phys_map(const struct phys *phys, void *at, uint32_t physical, uint64_t size, enum phys_mapping how)
{
    const int protection = how & PHYS_MAP_WRITABLE ? PROT_READ | PROT_WRITE : PROT_READ;
    const int flags = MAP_SHARED | MAP_FIXED | (how & PHYS_MAP_RESIDENT ? MAP_POPULATE : 0);

    return phys->fd >= 0 && physical + size <= phys->ram_size
        && mmap(at, size, protection, flags, phys->fd, (off_t)physical) != MAP_FAILED;
}

uint64_t phys_ram_size(const struct phys *phys)
{
    return phys->ram_size;
}

uint8_t *phys_ram(struct phys *phys)
{
    return phys->ram;
}

void phys_on_remapped(struct phys *phys, void (*call)(void *opaque), void *opaque)
{
    phys->remapped = call;
    phys->remapped_opaque = opaque;
}

void phys_tap(struct phys *phys, const struct phys_tap *tap)
{
    phys->tap = *tap;
}

static void tell_remapped(struct phys *phys)
{
    if (phys->remapped)
        phys->remapped(phys->remapped_opaque);
}

/* Sets or clears one of our own marks on every page of RAM the range touches. */
static void set_own_mark(struct phys *phys, uint32_t address, uint32_t size, uint8_t mark, bool on)
{
    if (size == 0)
        return;
    uint64_t first = address >> PAGE_SHIFT, last = ((uint64_t)address + size - 1) >> PAGE_SHIFT;
    for (uint64_t page = first; page <= last && page < phys->ram_size >> PAGE_SHIFT; page++)
        phys->pages[page] = on ? phys->pages[page] | mark : phys->pages[page] & ~mark;
}

void phys_set_readonly(struct phys *phys, uint32_t address, uint32_t size, bool readonly)
{
    set_own_mark(phys, address, size, PAGE_READONLY, readonly);
    tell_remapped(phys);
}

void phys_set_hole(struct phys *phys, uint32_t address, uint32_t size, bool hole)
{
    set_own_mark(phys, address, size, PAGE_HOLE, hole);
    tell_remapped(phys);
}

bool phys_is_ram(const struct phys *phys, uint64_t address)
{
    return address < phys->ram_size && !(phys->pages[address >> PAGE_SHIFT] & PAGE_HOLE);
}

bool phys_is_writable(const struct phys *phys, uint64_t address)
{
    return address < phys->ram_size && !(phys->pages[address >> PAGE_SHIFT] & PAGE_OWN);
}

void phys_set_a20(struct phys *phys, bool enabled)
{
    phys->a20 = enabled;
    tell_remapped(phys);
    if (phys->tap.a20)
        phys->tap.a20(phys->tap.opaque, enabled);
}

bool phys_a20(const struct phys *phys)
{
    return phys->a20;
}

uint8_t phys_marks(const struct phys *phys, uint32_t page)
{
    return phys->pages[page] & (uint8_t)~PAGE_OWN;
}

void phys_mark(struct phys *phys, uint32_t page, enum phys_mark mark)
{
    phys->pages[page] |= (uint8_t)mark;
}

void phys_unmark(struct phys *phys, uint32_t page, enum phys_mark mark)
{
    phys->pages[page] &= (uint8_t)~mark;
}

void phys_on_code_written(struct phys *phys, void (*call)(void *opaque, uint32_t address, uint32_t size), void *opaque)
{
    phys->code_written = call;
    phys->opaque = opaque;
}

static bool range_is(const struct phys *phys, uint64_t address, size_t size,
                     bool (*test)(const struct phys *phys, uint64_t address))
{
    if (address > phys->ram_size || size > phys->ram_size - address)
        return false;
    for (uint64_t at = address & ~(uint64_t)(PAGE_SIZE - 1); at < address + size; at += PAGE_SIZE)
        if (!test(phys, at))
            return false;
    return true;
}

static uint32_t bytes_left_in_page(uint64_t address, size_t size)
{
    uint32_t left = PAGE_SIZE - (address & (PAGE_SIZE - 1));
    return size < left ? (uint32_t)size : left;
}

/* False of nothing, too. */
static bool in_one_page(uint64_t address, size_t size)
{
    return size - 1 < PAGE_SIZE - (address & (PAGE_SIZE - 1));
}

/* memcpy() of a size that gcc is not to know to be small: it would emit REP MOVS, 20 times as slow for a descriptor. */
static inline void copy(void *to, const void *from, size_t size)
{
    if (size == 16) { /* a descriptor, of most devices, */
        memcpy(to, from, 16);
    } else if (size == 4) { /* its status */
        memcpy(to, from, 4);
    } else {
        __asm__("" : "+r"(size));
        memcpy(to, from, size);
    }
}

bool phys_dma_read(struct phys *phys, uint64_t address, void *buffer, size_t size)
{
    if (in_one_page(address, size) ? !phys_is_ram(phys, address) : !range_is(phys, address, size, phys_is_ram))
        return false;
    copy(buffer, phys->ram + address, size);
    return true;
}

bool phys_dma_write(struct phys *phys, uint64_t address, const void *buffer, size_t size)
{
    if (in_one_page(address, size) ? !phys_is_writable(phys, address) : !range_is(phys, address, size, phys_is_writable))
        return false;
    const uint8_t *from = buffer;
    if (phys->tap.dma)
        phys->tap.dma(phys->tap.opaque, (uint32_t)address, buffer, size);
    while (size) {
        uint32_t part = bytes_left_in_page(address, size);
        phys_write(phys, (uint32_t)address, from, part);
        address += part;
        from += part;
        size -= part;
    }
    return true;
}

/* Whole pages from `address` on that nobody wants to hear of; how many bytes they were. */
static uint64_t give_back(struct phys *phys, uint64_t address, uint64_t size)
{
    uint64_t end = address;

    if (address % PAGE_SIZE != 0 || phys->tap.dma)
        return 0;
    while (address + size - end >= PAGE_SIZE && !(phys->pages[end >> PAGE_SHIFT] & PHYS_CODE))
        end += PAGE_SIZE;
    return end > address && madvise(phys->ram + address, end - address, MADV_REMOVE) == 0 ? end - address : 0;
}

bool phys_dma_clear(struct phys *phys, uint64_t address, uint64_t size)
{
    static const uint8_t zeros[PAGE_SIZE];

    if (!range_is(phys, address, size, phys_is_writable))
        return false;
    while (size) {
        uint64_t part = give_back(phys, address, size);
        if (!part) {
            part = bytes_left_in_page(address, size);
            phys_dma_write(phys, address, zeros, part);
        }
        address += part;
        size -= part;
    }
    return true;
}

void phys_write(struct phys *phys, uint32_t address, const void *buffer, uint32_t size)
{
    if (size == 0 || !phys_is_writable(phys, address) || size > PAGE_SIZE - (address & (PAGE_SIZE - 1)))
        return;
    if ((phys->pages[address >> PAGE_SHIFT] & PHYS_CODE) && phys->code_written)
        phys->code_written(phys->opaque, address, size);
    copy(phys->ram + address, buffer, size);
}
