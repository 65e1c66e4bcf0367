/* SPDX-License-Identifier: BSD-2-Clause
 *
 * C's own accesses to guest-linear memory: through the views, which get an entry
 * on the way, or else the slow way to what has none: code, watched data, ROM and
 * devices. Of an access across two pages both are looked up before either is
 * touched.
 */
#include "x86vm/memory/view_internal.h"

#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/phys.h"
#include "x86vm/memory/watch.h"

#include <string.h>

static uint32_t left_in_page(uint32_t linear, uint32_t size)
{
    uint32_t left = PAGE_SIZE - (linear & (PAGE_SIZE - 1));
    return size < left ? size : left;
}

/* Where an access inside one page goes: to `host`, or else the slow way to `physical`. */
struct place {
    uint8_t *host;
    uint32_t physical;
};

static struct place find_place(struct cpu *cpu, uint32_t linear, enum view_access access, bool user)
{
    struct view *view = view_of(cpu->views, user);
    uint64_t addend = (access == VIEW_FOR_WRITE ? view->write : view->read)[linear >> PAGE_SHIFT];
    struct place place = { NULL, 0 };
    if (!addend && !view_find_device(cpu, view, linear, access, &place.physical)) {
        struct paging_result walk;
        view_walk_or_fault(cpu, linear, access, user, &walk);
        place.physical = walk.physical;
        addend = view_fill_walked(cpu, view, linear, access, &walk);
    }
    if (addend)
        place.host = (uint8_t *)(uintptr_t)(addend + linear);
    return place;
}

/* memcpy() that needs no call for the sizes that C asks for all the time. */
static inline void copy(void *to, const void *from, uint32_t size)
{
    if (size == 4)
        memcpy(to, from, 4);
    else if (size == 8)
        memcpy(to, from, 8);
    else if (size == 2)
        memcpy(to, from, 2);
    else if (size == 1)
        memcpy(to, from, 1);
    else {
        __asm__("" : "+r"(size)); /* a size known to be small makes gcc emit REP MOVS, 20 times as slow */
        memcpy(to, from, size);
    }
}

static void read_place(struct cpu *cpu, const struct place *place, void *buffer, uint32_t size)
{
    if (place->host)
        copy(buffer, place->host, size);
    else if (phys_is_ram(cpu->phys, place->physical))
        phys_dma_read(cpu->phys, place->physical, buffer, size);
    else
        io_mmio_read(cpu->io, place->physical, buffer, size);
}

static void write_place(struct cpu *cpu, const struct place *place, const void *buffer, uint32_t size)
{
    if (place->host)
        copy(place->host, buffer, size);
    else if (phys_is_ram(cpu->phys, place->physical))
        phys_write(cpu->phys, place->physical, buffer, size);
    else
        io_mmio_write(cpu->io, place->physical, buffer, size);
}

void view_read(struct cpu *cpu, uint32_t linear, void *buffer, uint32_t size, bool user)
{
    uint32_t first_size = left_in_page(linear, size);
    if (cpu->watch_data)
        cpu->watch_hits |= watch_data_hits(cpu, linear, size, false);
    struct place first = find_place(cpu, linear, VIEW_FOR_READ, user);
    if (first_size == size) {
        read_place(cpu, &first, buffer, size);
        return;
    }
    struct place second = find_place(cpu, linear + first_size, VIEW_FOR_READ, user);
    read_place(cpu, &first, buffer, first_size);
    read_place(cpu, &second, (uint8_t *)buffer + first_size, size - first_size);
}

void view_write(struct cpu *cpu, uint32_t linear, const void *buffer, uint32_t size, bool user)
{
    uint32_t first_size = left_in_page(linear, size);
    if (cpu->watch_data)
        cpu->watch_hits |= watch_data_hits(cpu, linear, size, true);
    struct place first = find_place(cpu, linear, VIEW_FOR_WRITE, user);
    if (first_size == size) {
        write_place(cpu, &first, buffer, size);
        return;
    }
    struct place second = find_place(cpu, linear + first_size, VIEW_FOR_WRITE, user);
    write_place(cpu, &first, buffer, first_size);
    write_place(cpu, &second, (const uint8_t *)buffer + first_size, size - first_size);
}

void view_check_write(struct cpu *cpu, uint32_t linear, uint32_t size, bool user)
{
    uint32_t first_size = left_in_page(linear, size);
    find_place(cpu, linear, VIEW_FOR_WRITE, user);
    if (first_size < size)
        find_place(cpu, linear + first_size, VIEW_FOR_WRITE, user);
}
