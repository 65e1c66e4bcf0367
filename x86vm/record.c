/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The writing side of recordings: see record.h. Taps on the I/O bus, on the
 * devices' way to RAM, on the time-stamp counter and on the interrupt line
 * append records to a buffer.
 */
#include "x86vm/record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/phys.h"
#include "x86vm/x86vm.h"

enum { BUFFER_SIZE = 256 << 10 };
#define WRITE_EVERY 100000000u /* ns */

struct record {
    struct x86vm *vm;
    struct cpu *cpu;
    int fd;
    bool failed;
    bool inside;   /* a device is carrying out an access of the CPU */
    bool had_ignne; /* when it began */
    uint64_t written_at, last_tsc;
    uint8_t (*intr_ack)(void *opaque);
    void *intr_opaque;
    void (*log)(const char *line);
    size_t used;
    uint8_t buffer[BUFFER_SIZE];
};

/* --- bytes --- */

static void write_out(struct record *r, const uint8_t *bytes, size_t size)
{
    char line[160];

    while (size && !r->failed) {
        ssize_t done = write(r->fd, bytes, size);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            snprintf(line, sizeof line, "the recording ends here: %s", strerror(done ? errno : ENOSPC));
            r->log(line);
            r->failed = true;
            return;
        }
        bytes += done;
        size -= (size_t)done;
    }
}

static void flush(struct record *r)
{
    write_out(r, r->buffer, r->used);
    r->used = 0;
}

static void put(struct record *r, const void *bytes, size_t size)
{
    if (size > BUFFER_SIZE - r->used)
        flush(r);
    if (size > BUFFER_SIZE) {
        write_out(r, bytes, size);
        return;
    }
    memcpy(r->buffer + r->used, bytes, size);
    r->used += size;
}

#define PUT(type, name)                                      \
    static void put_##name(struct record *r, type value)     \
    {                                                        \
        put(r, &value, sizeof value);                        \
    }
PUT(uint8_t, u8)
PUT(uint16_t, u16)
PUT(uint32_t, u32)
PUT(uint64_t, u64)
#undef PUT

/* --- what happens --- */

static bool before_access(void *opaque, struct io_access *a)
{
    struct record *r = opaque;

    (void)a;
    r->inside = true;
    r->had_ignne = r->cpu->ignne;
    return false;
}

static void put_data(struct record *r, const struct io_access *a)
{
    size_t size = (size_t)a->size * a->count;

    if (a->write && a->count > 1)
        put_u64(r, record_hash(a->data, size));
    else
        put(r, a->data, size);
}

static void put_lines(struct record *r, bool a20, bool ignne)
{
    put_u8(r, RECORD_LINES_INSIDE);
    put_u8(r, (uint8_t)((a20 ? RECORD_A20 : 0) | (ignne ? RECORD_IGNNE : 0)));
}

static void after_access(void *opaque, const struct io_access *a)
{
    struct record *r = opaque;

    r->inside = false;
    if (a->count == 0)
        return;
    if (r->cpu->ignne && !r->had_ignne)
        put_lines(r, phys_a20(x86vm_phys(r->vm)), true);
    if (a->port) {
        put_u8(r, a->write ? RECORD_PORT_WRITE : RECORD_PORT_READ);
        put_u16(r, (uint16_t)a->address);
        put_u8(r, (uint8_t)a->size);
        put_u16(r, (uint16_t)a->count);
    } else {
        put_u8(r, a->write ? RECORD_MMIO_WRITE : RECORD_MMIO_READ);
        put_u32(r, a->address);
        put_u16(r, (uint16_t)a->size);
    }
    put_data(r, a);
}

static void on_dma(void *opaque, uint32_t address, const void *bytes, size_t size)
{
    struct record *r = opaque;

    for (const uint8_t *from = bytes; size;) {
        uint32_t part = size < RECORD_DATA_MOST ? (uint32_t)size : RECORD_DATA_MOST;

        put_u8(r, r->inside ? RECORD_DMA_INSIDE : RECORD_DMA);
        if (!r->inside)
            put_u64(r, x86vm_position(r->vm));
        put_u32(r, address);
        put_u32(r, part);
        put(r, from, part);
        address += part;
        from += part;
        size -= part;
    }
}

/* The gate is a device's: it moves inside an access. */
static void on_a20(void *opaque, bool enabled)
{
    struct record *r = opaque;

    put_lines(r, enabled, false);
}

static uint64_t tsc(void *opaque)
{
    struct record *r = opaque;
    uint64_t now = __builtin_ia32_rdtsc();

    if (now - r->last_tsc <= RECORD_TSC_NEAR_MOST) {
        put_u8(r, (uint8_t)(RECORD_TSC_NEAR | (now - r->last_tsc) >> 8));
        put_u8(r, (uint8_t)(now - r->last_tsc));
    } else {
        put_u8(r, RECORD_TSC);
        put_u64(r, now);
    }
    r->last_tsc = now;
    return now;
}

static void on_exception(void *opaque)
{
    struct record *r = opaque;

    put_u8(r, RECORD_EXCEPTION);
    put_u8(r, (uint8_t)r->cpu->fault_vector);
    put_u16(r, (uint16_t)(r->cpu->eflags & FLAGS_ARITH));
}

static uint8_t acknowledge(void *opaque)
{
    struct record *r = opaque;
    uint8_t vector = r->intr_ack(r->intr_opaque);

    put_u8(r, RECORD_INTERRUPT);
    put_u64(r, x86vm_position(r->vm));
    put_u8(r, vector);
    put_u32(r, record_check(r->cpu));
    put_u16(r, (uint16_t)(r->cpu->eflags & FLAGS_ARITH));
    return vector;
}

/* --- the header --- */

static bool is_zero(const uint8_t *page)
{
    return page[0] == 0 && memcmp(page, page + 1, PAGE_SIZE - 1) == 0;
}

static void put_header(struct record *r)
{
    struct phys *phys = x86vm_phys(r->vm);
    uint32_t pages = (uint32_t)(phys_ram_size(phys) >> PAGE_SHIFT);
    uint8_t state[RECORD_CPU_MOST];

    put(r, RECORD_MAGIC, RECORD_MAGIC_SIZE);
    put_u32(r, RECORD_VERSION);
    put_u32(r, (uint32_t)record_cpu_size());
    put_u32(r, pages);
    put_u8(r, phys_a20(phys) ? RECORD_A20 : 0);
    record_cpu_store(r->cpu, state);
    put(r, state, record_cpu_size());
    for (uint32_t page = 0; page < pages; page++) {
        uint64_t address = (uint64_t)page << PAGE_SHIFT;
        put_u8(r, (uint8_t)(phys_is_ram(phys, address) << 1 | phys_is_writable(phys, address)));
    }
    for (uint32_t page = 0; page < pages; page++) {
        const uint8_t *bytes = phys_ram(phys) + ((size_t)page << PAGE_SHIFT);
        if (is_zero(bytes))
            continue;
        put_u32(r, page);
        put(r, bytes, PAGE_SIZE);
    }
    put_u32(r, UINT32_MAX);
}

/* --- its life --- */

struct record *record_start(struct x86vm *vm, int fd, void (*log)(const char *line))
{
    struct record *r = calloc(1, sizeof *r);
    const struct io_tap io = { r, before_access, after_access };
    const struct phys_tap memory = { r, on_dma, on_a20 };

    if (!r)
        return NULL;
    r->vm = vm;
    r->cpu = x86vm_cpu(vm);
    r->fd = fd;
    r->log = log;
    x86vm_count(vm);
    put_header(r);
    flush(r);
    r->intr_ack = r->cpu->intr_ack;
    r->intr_opaque = r->cpu->intr_opaque;
    x86vm_set_intr_ack(vm, acknowledge, r);
    io_bus_tap(x86vm_io(vm), &io);
    phys_tap(x86vm_phys(vm), &memory);
    r->cpu->tsc_source = tsc;
    r->cpu->tsc_opaque = r;
    r->cpu->exception_tap = on_exception;
    r->cpu->exception_opaque = r;
    return r;
}

void record_service(struct record *r, uint64_t now)
{
    if (now - r->written_at < WRITE_EVERY)
        return;
    r->written_at = now;
    flush(r);
}

void record_finish(struct record *r, unsigned last_exit)
{
    put_u8(r, RECORD_END);
    put_u64(r, x86vm_position(r->vm));
    put_u32(r, record_check(r->cpu));
    put_u64(r, record_ram_hash(r->vm));
    put_u8(r, (uint8_t)last_exit);
    flush(r);
}

void record_free(struct record *r)
{
    free(r);
}
