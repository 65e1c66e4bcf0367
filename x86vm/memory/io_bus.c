/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Routing of port and memory-mapped accesses to devices: see io_bus.h. Ports
 * are found by one table look-up; MMIO ranges, of which a PC has a handful, by
 * a scan from the one mapped last.
 */
#include "x86vm/memory/io_bus.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PORTS 0x10000u
#define SLOTS_MAX 0xffffu

/* A registered port range. Slot 0 stands for "nobody"; a slot is free again
 * once later ranges have replaced it at every port. All that a quick access
 * needs is in one line of the cache: between two frames of a driver most lines
 * have been used for something else. */
struct port_slot {
    int64_t (*quick_read)(void *device, uint32_t offset, unsigned size); /* those of `ops`, or NULL */
    int (*quick_write)(void *device, uint32_t offset, unsigned size, uint32_t value);
    void *device;
    uint64_t reads, writes;
    uint16_t first;
    uint32_t live; /* ports that still lead here */
    const struct io_ops *ops;
} __attribute__((aligned(64)));

struct mmio_range {
    const struct io_ops *ops;
    void *device;
    uint32_t base, size;
    uint64_t reads, writes;
};

struct io_bus {
    uint16_t port[PORTS]; /* index into slots */
    struct port_slot *slots;
    struct io_counters counters;
    struct io_tap tap; /* before NULL: none */
    uint32_t slot_count;
    struct mmio_range *ranges; /* the last one mapped wins where two overlap */
    uint32_t range_count;
};

/* False: no memory. */
static bool add_slot(struct io_bus *bus)
{
    struct port_slot *slots = aligned_alloc(_Alignof(struct port_slot), (bus->slot_count + 1) * sizeof *slots);

    if (!slots)
        return false;
    if (bus->slot_count)
        memcpy(slots, bus->slots, bus->slot_count * sizeof *slots);
    slots[bus->slot_count++] = (struct port_slot){ .first = 0 };
    free(bus->slots);
    bus->slots = slots;
    return true;
}

struct io_bus *io_bus_new(void)
{
    struct io_bus *bus = calloc(1, sizeof *bus);
    if (!bus)
        return NULL;
    if (!add_slot(bus)) {
        free(bus);
        return NULL;
    }
    return bus;
}

void io_bus_free(struct io_bus *bus)
{
    if (!bus)
        return;
    free(bus->slots);
    free(bus->ranges);
    free(bus);
}

static void point_ports(struct io_bus *bus, uint16_t first, uint32_t count, uint16_t slot)
{
    for (uint32_t i = first; i < first + count; i++) {
        if (bus->port[i])
            bus->slots[bus->port[i]].live--;
        bus->port[i] = slot;
    }
}

/* Index of an unused slot, 0 when there is none to be had. */
static uint32_t find_slot(struct io_bus *bus)
{
    for (uint32_t i = 1; i < bus->slot_count; i++)
        if (bus->slots[i].live == 0)
            return i;
    return bus->slot_count < SLOTS_MAX && add_slot(bus) ? bus->slot_count - 1 : 0;
}

int io_bus_map_ports(struct io_bus *bus, uint16_t first, uint32_t count, const struct io_ops *ops, void *device)
{
    if (count == 0 || first + count > PORTS || !ops)
        return EINVAL;
    uint32_t slot = find_slot(bus);
    if (!slot)
        return ENOMEM;
    bus->slots[slot] = (struct port_slot){ .ops = ops, .device = device, .first = first, .quick_read = ops->quick_read,
                                           .quick_write = ops->quick_write };
    point_ports(bus, first, count, (uint16_t)slot);
    bus->slots[slot].live = count;
    return 0;
}

void io_bus_unmap_ports(struct io_bus *bus, uint16_t first, uint32_t count)
{
    if (count > PORTS - first)
        count = PORTS - first;
    point_ports(bus, first, count, 0);
}

int io_bus_map_mmio(struct io_bus *bus, uint32_t base, uint32_t size, const struct io_ops *ops, void *device)
{
    if (size == 0 || (uint64_t)base + size > UINT64_C(1) << 32 || !ops)
        return EINVAL;
    struct mmio_range *ranges = realloc(bus->ranges, (bus->range_count + 1) * sizeof *ranges);
    if (!ranges)
        return ENOMEM;
    bus->ranges = ranges;
    ranges[bus->range_count++] = (struct mmio_range){ .ops = ops, .device = device, .base = base, .size = size };
    return 0;
}

void io_bus_unmap_mmio(struct io_bus *bus, uint32_t base, const void *device)
{
    for (uint32_t i = bus->range_count; i-- > 0;) {
        if (bus->ranges[i].base != base || bus->ranges[i].device != device)
            continue;
        memmove(bus->ranges + i, bus->ranges + i + 1, (bus->range_count - i - 1) * sizeof *bus->ranges);
        bus->range_count--;
        return;
    }
}

/* --- ports --- */

static uint32_t all_ones(unsigned size)
{
    return size == 4 ? UINT32_MAX : (1u << 8 * size) - 1;
}

static bool same_slot(const struct io_bus *bus, uint16_t port, unsigned size)
{
    return (uint32_t)port + size <= PORTS && bus->port[port] == bus->port[port + size - 1];
}

static uint32_t port_read(struct io_bus *bus, uint16_t port, unsigned size)
{
    bus->counters.port_reads++;
    if (same_slot(bus, port, size)) {
        struct port_slot *slot = &bus->slots[bus->port[port]];
        slot->reads++;
        return slot->ops ? slot->ops->read(slot->device, port - slot->first, size) & all_ones(size) : all_ones(size);
    }
    uint32_t value = 0;
    for (unsigned i = 0; i < size; i++) {
        uint16_t at = (uint16_t)(port + i);
        const struct port_slot *slot = &bus->slots[bus->port[at]];
        uint32_t byte = slot->ops ? slot->ops->read(slot->device, at - slot->first, 1) & 0xff : 0xff;
        value |= byte << 8 * i;
    }
    return value;
}

static void port_write(struct io_bus *bus, uint16_t port, unsigned size, uint32_t value)
{
    bus->counters.port_writes++;
    if (same_slot(bus, port, size)) {
        struct port_slot *slot = &bus->slots[bus->port[port]];
        slot->writes++;
        if (slot->ops)
            slot->ops->write(slot->device, port - slot->first, size, value & all_ones(size));
        return;
    }
    for (unsigned i = 0; i < size; i++) {
        uint16_t at = (uint16_t)(port + i);
        const struct port_slot *slot = &bus->slots[bus->port[at]];
        if (slot->ops)
            slot->ops->write(slot->device, at - slot->first, 1, value >> 8 * i & 0xff);
    }
}

int64_t io_port_quick_read(struct io_bus *bus, uint16_t port, unsigned size)
{
    struct port_slot *slot = &bus->slots[bus->port[port]];
    int64_t value;

    if (!slot->quick_read || bus->tap.before || (size > 1 && !same_slot(bus, port, size))
        || (value = slot->quick_read(slot->device, port - slot->first, size)) < 0)
        return -1;
    bus->counters.port_reads++;
    slot->reads++;
    return value;
}

int io_port_quick_write(struct io_bus *bus, uint16_t port, unsigned size, uint32_t value)
{
    struct port_slot *slot = &bus->slots[bus->port[port]];

    if (!slot->quick_write || bus->tap.before || (size > 1 && !same_slot(bus, port, size))
        || slot->quick_write(slot->device, port - slot->first, size, value) < 0)
        return -1;
    bus->counters.port_writes++;
    slot->writes++;
    return 0;
}

static bool port_read_block(struct io_bus *bus, uint16_t port, unsigned size, uint32_t count, void *buffer)
{
    struct port_slot *slot = &bus->slots[bus->port[port]];

    if (!same_slot(bus, port, size) || !slot->ops || !slot->ops->read_block)
        return false;
    bus->counters.port_reads += count;
    slot->reads += count;
    slot->ops->read_block(slot->device, port - slot->first, size, count, buffer);
    return true;
}

static bool port_write_block(struct io_bus *bus, uint16_t port, unsigned size, uint32_t count, const void *buffer)
{
    struct port_slot *slot = &bus->slots[bus->port[port]];

    if (!same_slot(bus, port, size) || !slot->ops || !slot->ops->write_block)
        return false;
    bus->counters.port_writes += count;
    slot->writes += count;
    slot->ops->write_block(slot->device, port - slot->first, size, count, buffer);
    return true;
}

/* --- memory-mapped --- */

static bool in_range(const struct mmio_range *range, uint32_t address)
{
    return address - range->base < range->size;
}

static struct mmio_range *find_range(struct io_bus *bus, uint32_t address)
{
    for (uint32_t i = bus->range_count; i-- > 0;)
        if (in_range(&bus->ranges[i], address))
            return &bus->ranges[i];
    return NULL;
}

/* The largest piece of an access at `address` that one device takes at once. */
static unsigned piece(const struct mmio_range *range, uint32_t address, uint32_t size)
{
    unsigned part = size >= 4 ? 4 : size >= 2 ? 2 : 1;
    if (range && part > range->size - (address - range->base))
        part = 1;
    return part;
}

/* memcpy() of 1, 2 or 4 bytes without a call. */
static inline void copy(void *to, const void *from, unsigned size)
{
    if (size == 4)
        memcpy(to, from, 4);
    else if (size == 2)
        memcpy(to, from, 2);
    else
        memcpy(to, from, 1);
}

static void mmio_read(struct io_bus *bus, uint32_t address, void *buffer, uint32_t size)
{
    uint8_t *to = buffer;
    bus->counters.mmio_reads++;
    while (size) {
        struct mmio_range *range = find_range(bus, address);
        unsigned part = range ? piece(range, address, size) : 1;
        if (range)
            range->reads++;
        uint32_t value = range ? range->ops->read(range->device, address - range->base, part) : UINT32_MAX;
        copy(to, &value, part);
        to += part;
        address += part;
        size -= part;
    }
}

static void mmio_write(struct io_bus *bus, uint32_t address, const void *buffer, uint32_t size)
{
    const uint8_t *from = buffer;
    bus->counters.mmio_writes++;
    while (size) {
        struct mmio_range *range = find_range(bus, address);
        unsigned part = range ? piece(range, address, size) : 1;
        uint32_t value = 0;
        copy(&value, from, part);
        if (range) {
            range->writes++;
            range->ops->write(range->device, address - range->base, part, value); /* may move ranges */
        }
        from += part;
        address += part;
        size -= part;
    }
}

/* --- the front door --- */

void io_bus_tap(struct io_bus *bus, const struct io_tap *tap)
{
    bus->tap = *tap;
}

/* Carries out one access by way of the tap. False: the device takes no blocks. */
static bool tapped(struct io_bus *bus, struct io_access *a)
{
    uint32_t value = 0;
    bool done = true;

    if (bus->tap.before(bus->tap.opaque, a))
        return true;
    if (!a->port) {
        a->write ? mmio_write(bus, a->address, a->data, a->size) : mmio_read(bus, a->address, a->data, a->size);
    } else if (a->count > 1) {
        done = a->write ? port_write_block(bus, (uint16_t)a->address, a->size, a->count, a->data)
                        : port_read_block(bus, (uint16_t)a->address, a->size, a->count, a->data);
    } else if (a->write) {
        memcpy(&value, a->data, a->size);
        port_write(bus, (uint16_t)a->address, a->size, value);
    } else {
        value = port_read(bus, (uint16_t)a->address, a->size);
        memcpy(a->data, &value, a->size);
    }
    if (!done)
        a->count = 0; /* nothing happened */
    bus->tap.after(bus->tap.opaque, a);
    return done;
}

static uint32_t tapped_read(struct io_bus *bus, uint16_t port, unsigned size)
{
    uint32_t value = 0;
    struct io_access a = { .port = true, .address = port, .size = size, .count = 1, .data = &value };

    tapped(bus, &a);
    return value;
}

static void tapped_write(struct io_bus *bus, uint16_t port, unsigned size, uint32_t value)
{
    struct io_access a = { .port = true, .write = true, .address = port, .size = size, .count = 1, .data = &value };

    tapped(bus, &a);
}

uint32_t io_port_read(struct io_bus *bus, uint16_t port, unsigned size)
{
    return bus->tap.before ? tapped_read(bus, port, size) : port_read(bus, port, size);
}

void io_port_write(struct io_bus *bus, uint16_t port, unsigned size, uint32_t value)
{
    bus->tap.before ? tapped_write(bus, port, size, value) : port_write(bus, port, size, value);
}

bool io_port_read_block(struct io_bus *bus, uint16_t port, unsigned size, uint32_t count, void *buffer)
{
    struct io_access a = { .port = true, .address = port, .size = size, .count = count, .data = buffer };

    return bus->tap.before ? tapped(bus, &a) : port_read_block(bus, port, size, count, buffer);
}

bool io_port_write_block(struct io_bus *bus, uint16_t port, unsigned size, uint32_t count, const void *buffer)
{
    struct io_access a = { .port = true, .write = true, .address = port, .size = size, .count = count,
                           .data = (void *)(uintptr_t)buffer };

    return bus->tap.before ? tapped(bus, &a) : port_write_block(bus, port, size, count, buffer);
}

void io_mmio_read(struct io_bus *bus, uint32_t address, void *buffer, uint32_t size)
{
    struct io_access a = { .address = address, .size = size, .count = 1, .data = buffer };

    if (!bus->tap.before)
        mmio_read(bus, address, buffer, size);
    else
        tapped(bus, &a);
}

void io_mmio_write(struct io_bus *bus, uint32_t address, const void *buffer, uint32_t size)
{
    struct io_access a = { .write = true, .address = address, .size = size, .count = 1, .data = (void *)(uintptr_t)buffer };

    if (!bus->tap.before)
        mmio_write(bus, address, buffer, size);
    else
        tapped(bus, &a);
}

void io_bus_get_counters(const struct io_bus *bus, struct io_counters *out)
{
    *out = bus->counters;
}

bool io_bus_get_range_counters(const struct io_bus *bus, uint32_t number, struct io_range_counters *out)
{
    if (number < bus->slot_count) { /* slot 0: ports where nobody is */
        const struct port_slot *slot = &bus->slots[number];
        *out = (struct io_range_counters){ true, slot->first, slot->reads, slot->writes };
        return true;
    }
    number -= bus->slot_count;
    if (number >= bus->range_count)
        return false;
    const struct mmio_range *range = &bus->ranges[number];
    *out = (struct io_range_counters){ false, range->base, range->reads, range->writes };
    return true;
}
