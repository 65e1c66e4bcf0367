/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Who answers at an I/O port or at a memory-mapped address. Devices register
 * ranges; the CPU (through protection/ and translate/) reads and writes them.
 * Nobody there: reads give all ones, writes vanish.
 */
#ifndef X86VM_MEMORY_IO_BUS_H
#define X86VM_MEMORY_IO_BUS_H

#include <stdbool.h>
#include <stdint.h>

struct io_bus;

/* `offset` counts from the start of the registered range; size is 1, 2 or 4.
 * An access that crosses the end of a range is split into bytes by the bus. */
struct io_ops {
    uint32_t (*read)(void *device, uint32_t offset, unsigned size);
    void (*write)(void *device, uint32_t offset, unsigned size, uint32_t value);
    /* `count` accesses to the one offset (REP INS, REP OUTS), elements little-endian; may be NULL. */
    void (*read_block)(void *device, uint32_t offset, unsigned size, uint32_t count, void *buffer);
    void (*write_block)(void *device, uint32_t offset, unsigned size, uint32_t count, const void *buffer);
    /* The first two again, for accesses to ports that need nothing but the general registers: the guest's XMM
     * registers are still in the host's. Negative: not this one, and nothing was done. Both may be NULL. What they call
     * is compiled with -mgeneral-regs-only and calls no library (tests/check_quick.py). */
    int64_t (*quick_read)(void *device, uint32_t offset, unsigned size);
    int (*quick_write)(void *device, uint32_t offset, unsigned size, uint32_t value);
};

struct io_bus *io_bus_new(void);
void io_bus_free(struct io_bus *bus);

/* Registration; a port range that overlaps an existing one replaces it there
 * (later wins), removal restores nothing. 0 or a positive errno. */
int io_bus_map_ports(struct io_bus *bus, uint16_t first, uint32_t count, const struct io_ops *ops, void *device);
void io_bus_unmap_ports(struct io_bus *bus, uint16_t first, uint32_t count);
int io_bus_map_mmio(struct io_bus *bus, uint32_t base, uint32_t size, const struct io_ops *ops, void *device);
/* Only `device`'s own range: a guest may have put two devices at one address. */
void io_bus_unmap_mmio(struct io_bus *bus, uint32_t base, const void *device);

uint32_t io_port_read(struct io_bus *bus, uint16_t port, unsigned size);
void io_port_write(struct io_bus *bus, uint16_t port, unsigned size, uint32_t value);

/* By the device's quick calls; negative: nothing was done, the above are to be used. */
int64_t io_port_quick_read(struct io_bus *bus, uint16_t port, unsigned size);
int io_port_quick_write(struct io_bus *bus, uint16_t port, unsigned size, uint32_t value);

/* False, and nothing was done: the device at `port` takes no blocks. */
bool io_port_read_block(struct io_bus *bus, uint16_t port, unsigned size, uint32_t count, void *buffer);
bool io_port_write_block(struct io_bus *bus, uint16_t port, unsigned size, uint32_t count, const void *buffer);

/* Any size (wider than 4 is split); address and size may be unaligned. */
void io_mmio_read(struct io_bus *bus, uint32_t address, void *buffer, uint32_t size);
void io_mmio_write(struct io_bus *bus, uint32_t address, const void *buffer, uint32_t size);

/* One access of the CPU, for whoever listens in: a recording, or its replay. */
struct io_access {
    bool port, write;   /* else memory-mapped, a read */
    uint32_t address;
    uint32_t size;      /* of an element, bytes */
    uint32_t count;     /* elements, all at the one address */
    void *data;         /* size * count bytes; of a write: only to be read */
};
struct io_tap {
    void *opaque;
    /* True: the access has been carried out here, no device sees it. */
    bool (*before)(void *opaque, struct io_access *access);
    void (*after)(void *opaque, const struct io_access *access);
};
/* Until the bus is freed; the struct is copied. */
void io_bus_tap(struct io_bus *bus, const struct io_tap *tap);

struct io_counters { uint64_t port_reads, port_writes, mmio_reads, mmio_writes; };
void io_bus_get_counters(const struct io_bus *bus, struct io_counters *out);

/* Accesses to one registered range, as long as it is there. Ranges count from 0, ports
 * first; false: there is none of this number. */
struct io_range_counters {
    bool port;
    uint32_t first;
    uint64_t reads, writes;
};
bool io_bus_get_range_counters(const struct io_bus *bus, uint32_t number, struct io_range_counters *out);

#endif
