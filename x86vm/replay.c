/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The reader of recordings: see replay.h. replay_open() walks over every record
 * once, so that all later reading is of bytes known to be there.
 */
#include "x86vm/replay.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/phys.h"
#include "x86vm/protection/protection.h"
#include "x86vm/translate/translator.h"

enum { COM1 = 0x3f8, COM1_LCR = 0x3fb, LCR_DLAB = 0x80 };

struct replay {
    const uint8_t *bytes;
    size_t size;              /* up to the last whole record */
    size_t pages, records;    /* offsets: page descriptors, first record */
    uint32_t page_count;
    size_t at;                /* the record that the guest gets next */
    uint32_t part_left;       /* of the record at `at`: elements not asked for yet; 0: all */
    size_t ahead;             /* the record behind the one in `next` */
    struct replay_event next;
    uint64_t tsc;             /* as last read */
    uint64_t last_position;   /* of a record, for a recording without an end */
    struct cpu *cpu;
    struct phys *phys;
    struct replay_watcher watcher;
    bool divisor_latch;       /* COM1: its first port is not for data */
    char message[200];        /* diverged */
};

/* --- bytes --- */

static uint64_t get(const uint8_t *bytes, unsigned size)
{
    uint64_t value = 0;
    memcpy(&value, bytes, size);
    return value;
}

/* One record, taken apart. */
struct item {
    enum record_kind kind;
    uint64_t position;
    uint32_t address;         /* or port */
    uint32_t size, count;
    const uint8_t *data;
    uint32_t data_size;
    size_t length;            /* of the whole record */
};

enum parsed { PARSED, TRUNCATED, GARBLED };

/* Bytes behind the kind and before the data. */
static unsigned head_of(unsigned kind)
{
    static const uint8_t heads[] = { [RECORD_PORT_READ] = 5, [RECORD_PORT_WRITE] = 5, [RECORD_MMIO_READ] = 6,
        [RECORD_MMIO_WRITE] = 6, [RECORD_TSC] = 8, [RECORD_DMA_INSIDE] = 8, [RECORD_LINES_INSIDE] = 1, [RECORD_DMA] = 16,
        [RECORD_INTERRUPT] = 15, [RECORD_END] = 21,
        [RECORD_EXCEPTION] = 3 };
    if (kind >= RECORD_TSC_NEAR)
        return 1;
    return kind < sizeof heads ? heads[kind] : 0;
}

static bool take_apart(struct item *i, const uint8_t *head)
{
    switch (i->kind) {
    case RECORD_PORT_READ: case RECORD_PORT_WRITE:
        i->address = (uint32_t)get(head, 2);
        i->size = head[2];
        i->count = (uint32_t)get(head + 3, 2);
        i->data_size = i->kind == RECORD_PORT_WRITE && i->count > 1 ? RECORD_HASH_SIZE : i->size * i->count;
        return i->count && (i->size == 1 || i->size == 2 || i->size == 4);
    case RECORD_MMIO_READ: case RECORD_MMIO_WRITE:
        i->address = (uint32_t)get(head, 4);
        i->data_size = i->size = (uint32_t)get(head + 4, 2);
        i->count = 1;
        return i->size && i->size <= PAGE_SIZE;
    case RECORD_DMA: case RECORD_INTERRUPT: case RECORD_END:
        i->position = get(head, 8);
        if (i->kind != RECORD_DMA)
            return true;
        head += 8;
        /* fall through */
    case RECORD_DMA_INSIDE:
        i->address = (uint32_t)get(head, 4);
        i->data_size = (uint32_t)get(head + 4, 4);
        return i->data_size && i->data_size <= RECORD_DATA_MOST;
    default:
        return true;
    }
}

static enum parsed parse(const uint8_t *bytes, size_t left, struct item *i)
{
    unsigned head = left ? head_of(bytes[0]) : 0;

    *i = (struct item){ .kind = left ? bytes[0] : 0 };
    if (!left)
        return TRUNCATED;
    if (!head)
        return GARBLED;
    if (left < 1 + head)
        return TRUNCATED;
    if (!take_apart(i, bytes + 1))
        return GARBLED;
    if ((unsigned)i->kind >= RECORD_TSC_NEAR)
        i->kind = RECORD_TSC;
    i->data = bytes + 1 + head;
    i->length = 1 + head + i->data_size;
    return i->length <= left ? PARSED : TRUNCATED;
}

/* --- opening --- */

__attribute__((format(printf, 3, 4))) static bool refuse(char *error, size_t size, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(error, size, format, args);
    va_end(args);
    return false;
}

enum { HEADER_SIZE = RECORD_MAGIC_SIZE + 13 };

static bool check_header(struct replay *r, char *error, size_t error_size)
{
    if (r->size < HEADER_SIZE || memcmp(r->bytes, RECORD_MAGIC, RECORD_MAGIC_SIZE))
        return refuse(error, error_size, "this is not a recording");
    if (get(r->bytes + RECORD_MAGIC_SIZE, 4) != RECORD_VERSION || get(r->bytes + RECORD_MAGIC_SIZE + 4, 4) != record_cpu_size())
        return refuse(error, error_size, "the recording is of another version");
    r->page_count = (uint32_t)get(r->bytes + RECORD_MAGIC_SIZE + 8, 4);
    if (r->page_count == 0 || r->page_count > PHYS_RAM_MAX >> PAGE_SHIFT)
        return refuse(error, error_size, "the recording is of a machine with %u pages of RAM", r->page_count);
    r->pages = HEADER_SIZE + record_cpu_size();
    if (r->size < r->pages || r->size - r->pages < r->page_count)
        return refuse(error, error_size, "the recording ends in its header");
    return true;
}

bool replay_peek(const uint8_t *bytes, size_t size, uint64_t *ram_size, char *error, size_t error_size)
{
    struct replay r = { .bytes = bytes, .size = size };

    if (!check_header(&r, error, error_size))
        return false;
    *ram_size = (uint64_t)r.page_count << PAGE_SHIFT;
    return true;
}

/* Finds the end of the pages of RAM. */
static bool check_pages(struct replay *r, char *error, size_t error_size)
{
    size_t at = r->pages + r->page_count;
    uint64_t least = 0;

    for (;;) {
        uint32_t page;
        if (r->size - at < 4)
            return refuse(error, error_size, "the recording ends within the machine's RAM");
        page = (uint32_t)get(r->bytes + at, 4);
        at += 4;
        if (page == UINT32_MAX)
            break;
        if (page < least || page >= r->page_count)
            return refuse(error, error_size, "byte %zu: page %u is out of order", at - 4, page);
        if (r->size - at < PAGE_SIZE)
            return refuse(error, error_size, "the recording ends within the machine's RAM");
        least = page + 1ull;
        at += PAGE_SIZE;
    }
    r->records = at;
    return true;
}

static bool has_position(enum record_kind kind)
{
    return kind == RECORD_DMA || kind == RECORD_INTERRUPT || kind == RECORD_END;
}

static bool check_records(struct replay *r, char *error, size_t error_size)
{
    size_t at = r->records;
    struct item item;

    while (at < r->size) {
        enum parsed result = parse(r->bytes + at, r->size - at, &item);
        if (result == TRUNCATED)
            break;
        if (result == GARBLED || (has_position(item.kind) && item.position < r->last_position))
            return refuse(error, error_size, "byte %zu: no record can be like this (kind %u)", at, item.kind);
        if (has_position(item.kind))
            r->last_position = item.position;
        at += item.length;
        if (item.kind == RECORD_END)
            break;
    }
    r->size = at;
    return true;
}

/* Reads on to the next record with a position. */
static void look_ahead(struct replay *r)
{
    struct item item;

    while (r->ahead < r->size && parse(r->bytes + r->ahead, r->size - r->ahead, &item) == PARSED) {
        const uint8_t *head = r->bytes + r->ahead + 9;
        r->ahead += item.length;
        if (!has_position(item.kind))
            continue;
        r->next = (struct replay_event){ .kind = item.kind, .position = item.position };
        if (item.kind == RECORD_INTERRUPT) {
            r->next.vector = head[0];
            r->next.check = (uint32_t)get(head + 1, 4);
            r->next.flags = (uint16_t)get(head + 5, 2) & FLAGS_ARITH;
        } else if (item.kind == RECORD_END) {
            r->next.check = (uint32_t)get(head, 4);
            r->next.ram_hash = get(head + 4, 8);
            r->next.last_exit = head[12];
        }
        return;
    }
    r->next = (struct replay_event){ .kind = RECORD_END, .position = r->last_position, .cut = true };
}

struct replay *replay_open(const uint8_t *bytes, size_t size, char *error, size_t error_size)
{
    struct replay *r = calloc(1, sizeof *r);

    if (!r) {
        snprintf(error, error_size, "no memory");
        return NULL;
    }
    r->bytes = bytes;
    r->size = size;
    if (!check_header(r, error, error_size) || !check_pages(r, error, error_size) || !check_records(r, error, error_size)) {
        free(r);
        return NULL;
    }
    r->at = r->ahead = r->records;
    look_ahead(r);
    return r;
}

void replay_free(struct replay *r)
{
    free(r);
}

const struct replay_event *replay_next(const struct replay *r) { return &r->next; }
const char *replay_diverged(const struct replay *r) { return r->message[0] ? r->message : NULL; }
void replay_watch(struct replay *r, const struct replay_watcher *watcher) { r->watcher = *watcher; }

struct replay_place replay_tell(const struct replay *r)
{
    return (struct replay_place){ r->at, r->ahead, r->part_left, r->tsc, r->next };
}

void replay_seek(struct replay *r, const struct replay_place *place)
{
    r->at = place->at;
    r->ahead = place->ahead;
    r->part_left = place->part_left;
    r->tsc = place->tsc;
    r->next = place->next;
    r->message[0] = 0;
}

void replay_set_diverged(struct replay *r, const char *format, ...)
{
    va_list args;

    if (r->message[0])
        return;
    va_start(args, format);
    vsnprintf(r->message, sizeof r->message, format, args);
    va_end(args);
    if (r->watcher.diverged)
        r->watcher.diverged(r->watcher.opaque);
}

/* --- feeding --- */

static bool current(struct replay *r, struct item *item)
{
    return parse(r->bytes + r->at, r->size - r->at, item) == PARSED;
}

static void set_lines(struct replay *r, uint8_t lines)
{
    phys_set_a20(r->phys, lines & RECORD_A20);
    if (!(lines & RECORD_IGNNE))
        return;
    r->cpu->ignne = true;
    translator_request(r->cpu); /* as the PC has it: the engine looks after each instruction now */
}

/* What devices did to RAM while they carried out the access that comes now. */
static void apply_inside(struct replay *r)
{
    struct item item;

    while (current(r, &item) && (item.kind == RECORD_DMA_INSIDE || item.kind == RECORD_LINES_INSIDE)) {
        const uint8_t *head = r->bytes + r->at + 1;
        if (item.kind == RECORD_DMA_INSIDE)
            phys_dma_write(r->phys, item.address, item.data, item.data_size);
        else
            set_lines(r, head[0]);
        r->at += item.length;
    }
}

static enum record_kind kind_of(const struct io_access *a)
{
    if (a->port)
        return a->write ? RECORD_PORT_WRITE : RECORD_PORT_READ;
    return a->write ? RECORD_MMIO_WRITE : RECORD_MMIO_READ;
}

static const char *name_of(enum record_kind kind)
{
    static const char *const names[] = { [RECORD_PORT_READ] = "port read", [RECORD_PORT_WRITE] = "port write",
        [RECORD_MMIO_READ] = "memory-mapped read", [RECORD_MMIO_WRITE] = "memory-mapped write", [RECORD_TSC] = "RDTSC",
        [RECORD_DMA_INSIDE] = "DMA", [RECORD_LINES_INSIDE] = "a line", [RECORD_DMA] = "DMA", [RECORD_INTERRUPT] = "interrupt",
        [RECORD_END] = "end", [RECORD_EXCEPTION] = "exception" };
    return kind < sizeof names / sizeof names[0] && names[kind] ? names[kind] : "end of the file";
}

/* The record that stands for elements of this access; false: diverged. */
static bool expect(struct replay *r, const struct io_access *a, struct item *item)
{
    enum record_kind kind = kind_of(a);

    if (!r->part_left)
        apply_inside(r);
    if (!current(r, item))
        item->kind = 0;
    if (item->kind == kind && item->address == a->address && item->size == a->size)
        return true;
    replay_set_diverged(r, "%s of %u bytes at %x, recorded was: %s of %u bytes at %x", name_of(kind), a->size, a->address,
                        name_of(item->kind), item->size, item->address);
    return false;
}

static void check_written(struct replay *r, const struct io_access *a, const struct item *item)
{
    bool same;

    if (item->count != a->count)
        return; /* block by block another way */
    same = a->count > 1 ? get(item->data, 8) == record_hash(a->data, (size_t)a->size * a->count)
                        : memcmp(item->data, a->data, a->size) == 0;
    if (!same)
        replay_set_diverged(r, "%s at %x of %llx, recorded was %llx", name_of(item->kind), a->address,
                            (unsigned long long)get(a->data, a->size < 8 ? a->size : 8),
                            (unsigned long long)get(item->data, a->size < 8 ? a->size : 8));
}

static void listen_to_serial(struct replay *r, const struct io_access *a)
{
    const uint8_t *byte = a->data;

    if (!a->port || a->size != 1)
        return;
    if (a->address == COM1_LCR)
        r->divisor_latch = byte[0] & LCR_DLAB;
    if (a->address == COM1 && !r->divisor_latch && r->watcher.serial_output)
        for (uint32_t i = 0; i < a->count; i++)
            r->watcher.serial_output(r->watcher.opaque, byte[i]);
}

static bool access_tapped(void *opaque, struct io_access *a)
{
    struct replay *r = opaque;
    uint32_t done = 0;
    struct item item;

    while (done < a->count && !r->message[0] && expect(r, a, &item)) {
        uint32_t left = r->part_left ? r->part_left : item.count, part = a->count - done < left ? a->count - done : left;
        if (a->write)
            check_written(r, a, &item);
        else
            memcpy((uint8_t *)a->data + (size_t)done * a->size, item.data + (size_t)(item.count - left) * a->size, (size_t)part * a->size);
        done += part;
        r->part_left = left - part;
        if (!r->part_left)
            r->at += item.length;
    }
    if (a->write)
        listen_to_serial(r, a);
    return true;
}

static void never_after(void *opaque, const struct io_access *a)
{
    (void)opaque, (void)a;
}

static uint64_t tsc(void *opaque)
{
    struct replay *r = opaque;
    const uint8_t *near;
    struct item item;

    if (!current(r, &item) || item.kind != RECORD_TSC) {
        replay_set_diverged(r, "RDTSC, recorded was: %s", name_of(item.kind));
        return 0;
    }
    near = r->bytes + r->at;
    r->tsc = near[0] >= RECORD_TSC_NEAR ? r->tsc + (uint64_t)((near[0] & ~RECORD_TSC_NEAR) << 8 | near[1]) : get(near + 1, 8);
    r->at += item.length;
    return r->tsc;
}

static void on_exception(void *opaque)
{
    struct replay *r = opaque;
    const uint8_t *head = r->bytes + r->at + 1;
    struct item item;

    if (!current(r, &item) || item.kind != RECORD_EXCEPTION || head[0] != r->cpu->fault_vector) {
        replay_set_diverged(r, "exception %d at %08x, recorded was: %s %u", r->cpu->fault_vector, r->cpu->eip, name_of(item.kind),
                            item.kind == RECORD_EXCEPTION ? head[0] : 0u);
        return;
    }
    r->cpu->eflags = (r->cpu->eflags & ~(uint32_t)FLAGS_ARITH) | ((uint32_t)get(head + 1, 2) & FLAGS_ARITH);
    r->at += item.length;
}

bool replay_load(struct replay *r, struct cpu *cpu, struct phys *phys, struct io_bus *io, char *error, size_t error_size)
{
    const struct io_tap tap = { r, access_tapped, never_after };
    size_t at = r->pages + r->page_count;

    if (!record_cpu_load(cpu, r->bytes + HEADER_SIZE))
        return refuse(error, error_size, "no CPU has such a state as the recording says");
    if (cpu->features & ~protection_host_features())
        return refuse(error, error_size, "the recorded guest had instructions that this machine's CPU has not (CPUID.1:ECX %08x)",
                      cpu->features & ~protection_host_features());
    insn_init(cpu->features);
    for (; at < r->records - 4; at += 4 + PAGE_SIZE)
        memcpy(phys_ram(phys) + (get(r->bytes + at, 4) << PAGE_SHIFT), r->bytes + at + 4, PAGE_SIZE);
    for (uint32_t page = 0; page < r->page_count; page++) {
        uint8_t is = r->bytes[r->pages + page];
        if (!(is & 2))
            phys_set_hole(phys, page << PAGE_SHIFT, PAGE_SIZE, true);
        else if (!(is & 1))
            phys_set_readonly(phys, page << PAGE_SHIFT, PAGE_SIZE, true);
    }
    phys_set_a20(phys, r->bytes[HEADER_SIZE - 1] & RECORD_A20);
    r->phys = phys;
    io_bus_tap(io, &tap);
    cpu->tsc_source = tsc;
    cpu->tsc_opaque = r;
    cpu->exception_tap = on_exception;
    cpu->exception_opaque = r;
    r->cpu = cpu;
    return true;
}

bool replay_take(struct replay *r)
{
    struct item item;

    if (r->next.cut)
        return true;
    if (!current(r, &item) || item.kind != r->next.kind || item.position != r->next.position) {
        replay_set_diverged(r, "%s is due, but before it the recorded guest asked for: %s at %x", name_of(r->next.kind),
                            name_of(item.kind), item.address);
        return false;
    }
    if (item.kind == RECORD_DMA)
        phys_dma_write(r->phys, item.address, item.data, item.data_size);
    r->at += item.length;
    look_ahead(r);
    return true;
}
