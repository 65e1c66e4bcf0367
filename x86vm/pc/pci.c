/* SPDX-License-Identifier: BSD-2-Clause
 *
 * PCI bus: see pci.h; facts from the PCI Local Bus Specification 2.2 and the
 * PIIX3 data sheet.
 */
#include "x86vm/pc/pci.h"

#include <stdlib.h>
#include <string.h>

#define MEMORY_BASE 0xe0000000u /* of the BARs that we assign */
#define MEMORY_END 0xfec00000u
#define IO_BASE 0xc000u
#define IO_END 0x10000u
#define CONFIG_ENABLE 0x80000000u

enum { VENDOR_ID = 0x00, DEVICE_ID = 0x02, COMMAND = 0x04, STATUS = 0x06, REVISION = 0x08, CLASS = 0x09,
       CACHE_LINE = 0x0c, LATENCY = 0x0d, BAR0 = 0x10, SUBSYSTEM_VENDOR = 0x2c, SUBSYSTEM = 0x2e,
       INTERRUPT_LINE = 0x3c, INTERRUPT_PIN = 0x3d, MIN_GRANT = 0x3e, OWN = 0x40 };
enum { COMMAND_IO = 0x001, COMMAND_MEMORY = 0x002, COMMAND_MASTER = 0x004, COMMAND_WRITABLE = 0x547,
       COMMAND_NO_INTX = 0x400, COMMAND_INVALIDATE = 0x010 };
enum { STATUS_INTX = 0x08, STATUS_CAPABILITIES = 0x10, CAPABILITIES = 0x34 };

struct pci_device {
    struct pci_bus *bus;
    unsigned slot;
    struct pci_identity identity;
    struct pci_device_ops ops;
    void *opaque;
    uint8_t config[256];
    uint8_t writable[256];     /* bits that the guest may change */
    bool mapped[PCI_BARS];
    uint32_t mapped_at[PCI_BARS];
    bool asleep, messages;     /* in D3; interrupts by messages */
    bool interrupt;            /* what the device drives */
    bool asserted;             /* what reaches the PIRQ */
};

struct pci_bus {
    struct pci_device *slot[PCI_SLOTS];
    uint32_t address;          /* CONFIG_ADDRESS */
    unsigned pirq_users[PCI_PIRQS]; /* devices asserting it */
    uint8_t route[PCI_PIRQS];
    void (*set_irq)(void *opaque, unsigned irq, bool level);
    void *opaque;
};

static void put(uint8_t *p, uint32_t value, unsigned size)
{
    for (unsigned i = 0; i < size; i++)
        p[i] = (uint8_t)(value >> 8 * i);
}

static uint32_t get(const uint8_t *p, unsigned size)
{
    uint32_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)p[i] << 8 * i;
    return value;
}

/* --- interrupts --- */

unsigned pci_bus_pirq(unsigned slot)
{
    return (slot + PCI_PIRQS - 1) % PCI_PIRQS;
}

static void drive_irq(struct pci_bus *bus, uint8_t irq)
{
    bool level = false;

    if (irq >= 16)
        return;
    for (unsigned i = 0; i < PCI_PIRQS; i++)
        level |= bus->route[i] == irq && bus->pirq_users[i];
    bus->set_irq(bus->opaque, irq, level);
}

static void update_interrupt(struct pci_device *d)
{
    unsigned pirq = pci_bus_pirq(d->slot);
    bool level = d->interrupt && !d->asleep && !d->messages && !(get(d->config + COMMAND, 2) & COMMAND_NO_INTX);

    put(d->config + STATUS, (get(d->config + STATUS, 2) & ~(uint32_t)STATUS_INTX) |
        (d->interrupt ? STATUS_INTX : 0), 2);
    if (level == d->asserted)
        return;
    d->asserted = level;
    d->bus->pirq_users[pirq] += level ? 1 : -1u;
    drive_irq(d->bus, d->bus->route[pirq]);
}

void pci_device_set_interrupt(struct pci_device *d, bool level)
{
    if (level == d->interrupt)
        return;
    d->interrupt = level;
    update_interrupt(d);
}

void pci_bus_set_route(struct pci_bus *bus, unsigned pirq, uint8_t irq)
{
    uint8_t old = bus->route[pirq % PCI_PIRQS];

    bus->route[pirq % PCI_PIRQS] = irq & PCI_ROUTE_OFF ? PCI_ROUTE_OFF : irq & 15;
    drive_irq(bus, old);
    drive_irq(bus, bus->route[pirq % PCI_PIRQS]);
}

bool pci_device_is_master(const struct pci_device *d)
{
    return !d->asleep && (get(d->config + COMMAND, 2) & COMMAND_MASTER);
}

void pci_device_set_messages(struct pci_device *d, bool on)
{
    d->messages = on;
    update_interrupt(d);
}

/* --- BARs --- */

static uint32_t bar_base(const struct pci_device *d, unsigned bar)
{
    uint32_t size = d->identity.bar[bar].size;

    return get(d->config + BAR0 + 4 * bar, 4) & ~(size - 1);
}

static bool wants_mapping(const struct pci_device *d, unsigned bar)
{
    uint32_t command = get(d->config + COMMAND, 2), size = d->identity.bar[bar].size, base = bar_base(d, bar);

    if (d->asleep)
        return false;
    switch (d->identity.bar[bar].kind) {
    case PCI_BAR_MEMORY: /* address 0 and the top are what sizing leaves behind: never decoded */
        return (command & COMMAND_MEMORY) && base && base + (size - 1) < MEMORY_END;
    case PCI_BAR_IO:
        return (command & COMMAND_IO) && base && base + (size - 1) < IO_END && base < IO_END;
    default:
        return false;
    }
}

static void update_bars(struct pci_device *d)
{
    for (unsigned i = 0; i < PCI_BARS; i++) {
        bool want = wants_mapping(d, i);
        uint32_t base = want ? bar_base(d, i) : 0;

        if (want == d->mapped[i] && base == d->mapped_at[i])
            continue;
        if (d->mapped[i] && d->ops.map_bar)
            d->ops.map_bar(d->opaque, i, false, d->mapped_at[i]);
        d->mapped[i] = want;
        d->mapped_at[i] = base;
        if (want && d->ops.map_bar)
            d->ops.map_bar(d->opaque, i, true, base);
    }
}

/* --- configuration space --- */

static void init_bar(struct pci_device *d, unsigned bar)
{
    uint32_t size = d->identity.bar[bar].size;

    if (d->identity.bar[bar].kind == PCI_BAR_NONE)
        return;
    put(d->writable + BAR0 + 4 * bar, ~(size - 1), 4);
    put(d->config + BAR0 + 4 * bar, d->identity.bar[bar].kind == PCI_BAR_IO ? 1 : 0, 4);
}

static void init_config(struct pci_device *d)
{
    const struct pci_identity *id = &d->identity;

    put(d->config + VENDOR_ID, id->vendor_id, 2);
    put(d->config + DEVICE_ID, id->device_id, 2);
    put(d->config + REVISION, id->revision, 1);
    put(d->config + CLASS, id->class_code, 3);
    put(d->config + SUBSYSTEM_VENDOR, id->subsystem_vendor_id, 2);
    put(d->config + SUBSYSTEM, id->subsystem_id, 2);
    put(d->config + INTERRUPT_PIN, id->has_interrupt, 1);
    put(d->config + STATUS, id->status, 2);
    put(d->config + MIN_GRANT, id->min_grant, 1);
    put(d->writable + COMMAND, COMMAND_WRITABLE | (id->invalidates ? COMMAND_INVALIDATE : 0), 2);
    put(d->writable + CACHE_LINE, 0xffff, 2); /* and LATENCY */
    put(d->writable + INTERRUPT_LINE, 0xff, 1);
    for (unsigned i = 0; i < PCI_BARS; i++)
        init_bar(d, i);
}

static bool bar_is_sane(enum pci_bar_kind kind, uint32_t size)
{
    uint32_t least = kind == PCI_BAR_IO ? 4 : 16, most = kind == PCI_BAR_IO ? 256 : 16u << 20;

    return kind == PCI_BAR_NONE || (size >= least && size <= most && (size & (size - 1)) == 0);
}

struct pci_device *pci_bus_add(struct pci_bus *bus, unsigned slot, const struct pci_identity *identity,
                               const struct pci_device_ops *ops, void *opaque)
{
    struct pci_device *d;

    if (slot >= PCI_SLOTS || bus->slot[slot])
        return NULL;
    for (unsigned i = 0; i < PCI_BARS; i++)
        if (!bar_is_sane(identity->bar[i].kind, identity->bar[i].size))
            return NULL;
    d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->bus = bus;
    d->slot = slot;
    d->identity = *identity;
    if (ops)
        d->ops = *ops;
    d->opaque = opaque;
    init_config(d);
    bus->slot[slot] = d;
    return d;
}

void pci_device_allow_writes(struct pci_device *d, unsigned offset, unsigned size)
{
    if (offset >= OWN && offset < 256 && size <= 256 - offset)
        memset(d->writable + offset, 0xff, size);
}

void pci_device_set_config(struct pci_device *d, unsigned offset, uint8_t value)
{
    d->config[offset & 0xff] = value;
}

void pci_device_add_capability(struct pci_device *d, unsigned offset, uint8_t id)
{
    d->config[offset & 0xff] = id;
    d->config[(offset + 1) & 0xff] = d->config[CAPABILITIES];
    d->config[CAPABILITIES] = (uint8_t)offset;
    d->config[STATUS] |= STATUS_CAPABILITIES;
}

void pci_device_rename(struct pci_device *d, uint16_t vendor_id, uint16_t device_id, uint16_t subsystem_vendor_id,
                       uint16_t subsystem_id)
{
    put(d->config + VENDOR_ID, vendor_id, 2);
    put(d->config + DEVICE_ID, device_id, 2);
    put(d->config + SUBSYSTEM_VENDOR, subsystem_vendor_id, 2);
    put(d->config + SUBSYSTEM, subsystem_id, 2);
}

static void reset_header(struct pci_device *d)
{
    put(d->config + COMMAND, 0, 2);
    put(d->config + CACHE_LINE, 0, 2);
    for (unsigned bar = 0; bar < PCI_BARS; bar++)
        init_bar(d, bar);
    update_bars(d);
    update_interrupt(d);
}

void pci_device_set_asleep(struct pci_device *d, bool asleep)
{
    if (asleep == d->asleep)
        return;
    d->asleep = asleep;
    if (!asleep) {
        d->config[INTERRUPT_LINE] = 0;
        reset_header(d);
        return;
    }
    put(d->config + COMMAND, get(d->config + COMMAND, 2) & ~(uint32_t)(COMMAND_IO | COMMAND_MEMORY), 2);
    update_bars(d);
    update_interrupt(d);
}

static uint32_t read_config(const struct pci_device *d, unsigned offset, unsigned size)
{
    uint8_t bytes[4];

    for (unsigned i = 0; i < size; i++)
        if (offset + i < OWN || !d->ops.own_read || !d->ops.own_read(d->opaque, offset + i, &bytes[i]))
            bytes[i] = d->config[offset + i];
    return get(bytes, size);
}

static void write_config(struct pci_device *d, unsigned offset, unsigned size, uint32_t value)
{
    for (unsigned i = 0; i < size; i++) {
        uint8_t mask = d->writable[offset + i], byte = (uint8_t)(value >> 8 * i);
        if (offset + i >= OWN && d->ops.own_write && d->ops.own_write(d->opaque, offset + i, byte))
            continue;
        d->config[offset + i] = (uint8_t)((d->config[offset + i] & ~mask) | (byte & mask));
        if (offset + i >= OWN && mask && d->ops.config_written)
            d->ops.config_written(d->opaque, offset + i, d->config[offset + i]);
    }
    if (offset < BAR0 + 4 * PCI_BARS && offset + size > COMMAND)
        update_bars(d);
    if (offset < STATUS && offset + size > COMMAND)
        update_interrupt(d);
}

/* --- mechanism #1 --- */

static struct pci_device *addressed(struct pci_bus *bus)
{
    if (!(bus->address & CONFIG_ENABLE) || (bus->address & 0x00ff0000) || (bus->address & 0x700))
        return NULL; /* off, another bus, or a second function: none of ours has one */
    return bus->slot[bus->address >> 11 & 31];
}

static uint32_t ones(unsigned size)
{
    return size >= 4 ? 0xffffffff : (1u << 8 * size) - 1;
}

uint32_t pci_bus_read(struct pci_bus *bus, unsigned offset, unsigned size)
{
    struct pci_device *d;

    if (offset < 4)
        return offset == 0 && size == 4 ? bus->address : ones(size);
    d = addressed(bus);
    if (!d || (offset & 3) + size > 4)
        return ones(size);
    return read_config(d, (bus->address & 0xfc) + (offset & 3), size);
}

void pci_bus_write(struct pci_bus *bus, unsigned offset, unsigned size, uint32_t value)
{
    struct pci_device *d;

    if (offset < 4) { /* only a whole doubleword reaches the register */
        if (offset == 0 && size == 4)
            bus->address = value & 0x80fffffc;
        return;
    }
    d = addressed(bus);
    if (d && (offset & 3) + size <= 4)
        write_config(d, (bus->address & 0xfc) + (offset & 3), size, value);
}

/* --- what a BIOS does --- */

static bool place(uint32_t *next, uint32_t end, uint32_t size, uint32_t *base)
{
    uint32_t at = (*next + size - 1) & ~(size - 1);

    if (at < *next || end - at < size || at > end)
        return false;
    *base = at;
    *next = at + size;
    return true;
}

static bool assign_device(struct pci_device *d, uint32_t *memory, uint32_t *io)
{
    uint32_t command = 0, base;

    for (unsigned i = 0; i < PCI_BARS; i++) {
        enum pci_bar_kind kind = d->identity.bar[i].kind;

        if (kind == PCI_BAR_NONE)
            continue;
        if (kind == PCI_BAR_MEMORY ? !place(memory, MEMORY_END, d->identity.bar[i].size, &base)
                                   : !place(io, IO_END, d->identity.bar[i].size, &base))
            return false;
        put(d->config + BAR0 + 4 * i, base | (kind == PCI_BAR_IO), 4);
        command |= kind == PCI_BAR_IO ? COMMAND_IO : COMMAND_MEMORY;
    }
    if (d->identity.has_interrupt) {
        d->config[INTERRUPT_LINE] = d->bus->route[pci_bus_pirq(d->slot)];
        command |= COMMAND_MASTER;
    }
    put(d->config + COMMAND, command, 2);
    update_bars(d);
    return true;
}

bool pci_bus_assign(struct pci_bus *bus)
{
    uint32_t memory = MEMORY_BASE, io = IO_BASE;
    bool ok = true;

    for (unsigned i = 0; i < PCI_SLOTS; i++)
        if (bus->slot[i])
            ok &= assign_device(bus->slot[i], &memory, &io);
    return ok;
}

void pci_bus_reset(struct pci_bus *bus)
{
    for (unsigned i = 0; i < PCI_SLOTS; i++) {
        struct pci_device *d = bus->slot[i];
        if (!d)
            continue;
        d->asleep = d->messages = false;
        reset_header(d);
        pci_device_set_interrupt(d, false);
    }
    bus->address = 0;
    for (unsigned i = 0; i < PCI_PIRQS; i++)
        pci_bus_set_route(bus, i, PCI_ROUTE_OFF);
}

struct pci_bus *pci_bus_new(void (*set_irq)(void *opaque, unsigned irq, bool level), void *opaque)
{
    struct pci_bus *bus = calloc(1, sizeof *bus);

    if (!bus)
        return NULL;
    bus->set_irq = set_irq;
    bus->opaque = opaque;
    memset(bus->route, PCI_ROUTE_OFF, sizeof bus->route);
    return bus;
}

void pci_bus_free(struct pci_bus *bus)
{
    if (!bus)
        return;
    for (unsigned i = 0; i < PCI_SLOTS; i++)
        free(bus->slot[i]);
    free(bus);
}
