/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A random driver for the whole PC without its CPU: ports, PCI configuration,
 * the NICs' windows wherever the guest put them, frames, time, interrupts and
 * failed boots, in any order. The sanitizers watch the memory; checked here is
 * that each call does bounded work, that a deadline which was served moves on,
 * and that frames and lines are what they may be.
 *
 *   fuzz_ports [--seed S] [--operations N] [--seconds N] [--trace]
 */
#include "tests/fuzz/fuzz_random.h"

#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/phys.h"
#include "x86vm/pc/boot_linux.h"
#include "x86vm/pc/chipset.h"
#include "x86vm/pc/pc.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { RAM = 8 << 20, NICS = 8, FRAME_MAX = 70000, SERVED_MAX = 4 };
#define SLOW_NS 250000000ull /* CPU time of one call, with sanitizers */

struct machine {
    struct fuzz_random random;
    struct cpu cpu;
    struct phys *phys;
    struct io_bus *io;
    struct pc *pc;
    struct pc_nic *nic[NICS];
    uint64_t now, operation, frames, sum, worst_ns;
    bool intr, trace;
    char what[96];
};

static uint64_t clock_ns(clockid_t which)
{
    struct timespec t;
    clock_gettime(which, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void check(const struct machine *m, bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "fuzz_ports: operation %" PRIu64 " (%s): %s\n", m->operation, m->what, what);
    abort();
}

/* --- what the machine calls --- */

static uint64_t on_clock(void *opaque) { return ((struct machine *)opaque)->now; }
static void on_intr(void *opaque, bool level) { ((struct machine *)opaque)->intr = level; }
static void on_attention(void *opaque) { (void)opaque; }

static void on_serial(void *opaque, unsigned port, uint8_t byte)
{
    struct machine *m = opaque;
    check(m, port < PC_SERIAL_PORTS, "output of a serial port that does not exist");
    m->sum += byte;
}

static bool on_frame(void *opaque, const void *frame, size_t size, const struct nic_offload *offload)
{
    struct machine *m = opaque;
    const uint8_t *bytes = frame;

    check(m, size > 0 && size <= 65536 + 64, "a frame of impossible size");
    for (size_t i = 0; i < size; i++)
        m->sum += bytes[i];
    if (offload)
        m->sum += offload->flags + offload->csum_start;
    m->frames++;
    return !fuzz_one_in(&m->random, 8);
}

/* --- what the guest does --- */

static uint16_t pick_port(struct machine *m)
{
    static const uint16_t ports[] = { 0x20, 0x21, 0xa0, 0xa1, 0x40, 0x41, 0x42, 0x43, 0x60, 0x61, 0x64, 0x70, 0x71, 0x92,
                                      0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x3ff, 0x2f8, 0x2fb, 0x4d0, 0x4d1,
                                      0xcf8, 0xcf9, 0xcfa, 0xcfc, 0xcfe, 0xf4, 0x80, 0x300, 0x310, 0x31f, 0x320, 0x279, 0xa79, 0x273 };
    if (fuzz_one_in(&m->random, 10))
        return (uint16_t)fuzz_value(&m->random);
    if (fuzz_one_in(&m->random, 4))
        return (uint16_t)(0x300 + fuzz_below(&m->random, 0x60));
    if (fuzz_one_in(&m->random, 4)) /* where pci_bus_assign() starts */
        return (uint16_t)(0xc000 + fuzz_below(&m->random, 0x200));
    return ports[fuzz_below(&m->random, sizeof ports / sizeof ports[0])];
}

static void access_port(struct machine *m, uint16_t port)
{
    unsigned size = 1u << fuzz_below(&m->random, 3);
    uint32_t value = fuzz_value(&m->random);

    if (fuzz_one_in(&m->random, 2)) {
        snprintf(m->what, sizeof m->what, "in %u from %#x", size, port);
        value = io_port_read(m->io, port, size);
        check(m, size == 4 || value < 1u << 8 * size, "a wide answer");
    } else {
        snprintf(m->what, sizeof m->what, "out %u to %#x: %#x", size, port, value);
        io_port_write(m->io, port, size, value);
    }
}

static uint32_t config_address(struct machine *m)
{
    static const uint8_t hot[] = { 0, 4, 6, 8, 0xc, 0x10, 0x14, 0x18, 0x24, 0x28, 0x30, 0x34, 0x3c, 0x40, 0x60, 0x64, 0x88, 0x8c, 0x90, 0x94, 0xdc };
    uint32_t reg = fuzz_one_in(&m->random, 4) ? fuzz_below(&m->random, 256) : hot[fuzz_below(&m->random, sizeof hot)];
    uint32_t slot = fuzz_one_in(&m->random, 8) ? fuzz_below(&m->random, 32) : fuzz_below(&m->random, 6);

    return (fuzz_one_in(&m->random, 16) ? fuzz_draw(&m->random) : 0x80000000u) | slot << 11 | reg;
}

static void access_config(struct machine *m)
{
    static const uint32_t bars[] = { 0xffffffff, 0, 0xfe000000, 0xfebc0000, 0xc001, 0xc101, 0x20, 0xa0000, 0x100000, 0xfffff000, 0x3f1, 0x301 };
    uint32_t address = config_address(m), value = fuzz_one_in(&m->random, 2) ? bars[fuzz_below(&m->random, 12)] : fuzz_value(&m->random);
    unsigned size = 1u << fuzz_below(&m->random, 3), offset = fuzz_below(&m->random, 4);

    io_port_write(m->io, 0xcf8, 4, address);
    if (fuzz_one_in(&m->random, 2)) {
        snprintf(m->what, sizeof m->what, "config read %u at %#x+%u", size, address, offset);
        m->sum += io_port_read(m->io, (uint16_t)(0xcfc + offset), size);
        return;
    }
    if ((address & 0xfc) == 4 && !fuzz_one_in(&m->random, 4))
        value |= 7; /* decoding and bus mastering on */
    snprintf(m->what, sizeof m->what, "config write %u at %#x+%u: %#x", size, address, offset, value);
    io_port_write(m->io, (uint16_t)(0xcfc + offset), size, value);
}

/* The window of a device: its first memory BAR as the guest can read it. */
static uint32_t window(struct machine *m)
{
    uint32_t slot = 2 + fuzz_below(&m->random, 4), bar;
    unsigned which = fuzz_one_in(&m->random, 4) ? 0x14 : 0x10; /* virtio's is the second */

    io_port_write(m->io, 0xcf8, 4, 0x80000000u | slot << 11 | which);
    bar = io_port_read(m->io, 0xcfc, 4);
    return bar & 1 || bar == UINT32_MAX ? 0xfe000000 : bar & ~15u;
}

static void access_memory(struct machine *m)
{
    static const uint16_t hot[] = { 0x0000, 0x0014, 0x0020, 0x00c0, 0x00c8, 0x00d0, 0x0100, 0x0400, 0x2800, 0x2808, 0x2810,
                                    0x2818, 0x3800, 0x3808, 0x3810, 0x3818, 0x5400 };
    uint32_t offset = fuzz_one_in(&m->random, 4) ? fuzz_below(&m->random, 0x20010) : hot[fuzz_below(&m->random, 17)];
    uint32_t base = fuzz_one_in(&m->random, 12) ? fuzz_value(&m->random) : window(m), size = fuzz_one_in(&m->random, 4) ? 1 + fuzz_below(&m->random, 16) : 4;
    uint8_t bytes[16];
    uint32_t value = fuzz_one_in(&m->random, 3) ? fuzz_below(&m->random, RAM) & ~15u : fuzz_value(&m->random);

    fuzz_bytes(&m->random, bytes, sizeof bytes);
    memcpy(bytes, &value, sizeof value);
    snprintf(m->what, sizeof m->what, "memory %u at %#x+%#x: %#x", size, base, offset, value);
    if (fuzz_one_in(&m->random, 3))
        io_mmio_read(m->io, base + offset, bytes, size);
    else
        io_mmio_write(m->io, base + offset, bytes, size);
}

/* --- what the world does --- */

static void receive(struct machine *m)
{
    static const uint32_t sizes[] = { 0, 13, 14, 60, 64, 1514, 1518, 1519, 9000, FRAME_MAX };
    size_t size = fuzz_one_in(&m->random, 2) ? sizes[fuzz_below(&m->random, 10)] : fuzz_below(&m->random, 1600);
    uint8_t *frame = malloc(size ? size : 1);
    struct nic_offload offload = { .flags = (uint8_t)fuzz_draw(&m->random), .csum_start = (uint16_t)fuzz_value(&m->random),
                                   .csum_offset = (uint16_t)fuzz_value(&m->random) };

    snprintf(m->what, sizeof m->what, "frame of %zu bytes", size);
    fuzz_bytes(&m->random, frame, size);
    if (size >= 6 && fuzz_one_in(&m->random, 2))
        memset(frame, 0xff, 6);
    pc_nic_receive(m->nic[fuzz_below(&m->random, NICS)], frame, size, fuzz_one_in(&m->random, 2) ? &offload : NULL);
    free(frame);
}

static void advance(struct machine *m)
{
    uint64_t by = fuzz_one_in(&m->random, 100) ? (uint64_t)fuzz_draw(&m->random) << 10 : fuzz_draw(&m->random) >> fuzz_below(&m->random, 30);
    uint64_t deadline = 0;

    snprintf(m->what, sizeof m->what, "%" PRIu64 " ns pass", by);
    m->now += by;
    for (unsigned i = 0; i < SERVED_MAX; i++) {
        pc_service(m->pc, m->now);
        deadline = pc_next_deadline(m->pc, true);
        if (deadline > m->now)
            return;
    }
    check(m, false, "a deadline stays in the past however often it is served");
}

static void fail_to_boot(struct machine *m)
{
    uint8_t file[1024];
    const struct boot_linux_files files = { .kernel = file, .kernel_size = sizeof file, .command_line = "" };
    char error[256] = "";

    snprintf(m->what, sizeof m->what, "boot of garbage");
    fuzz_bytes(&m->random, file, sizeof file);
    check(m, !pc_boot_linux(m->pc, &files, error, sizeof error), "garbage boots");
    check(m, error[0] != 0, "no reason given");
}

/* --- a driver that knows its card, so that frames flow --- */

static void put32(struct machine *m, uint32_t address, uint32_t value)
{
    io_mmio_write(m->io, address, &value, sizeof value);
}

static void enable_device(struct machine *m, unsigned slot)
{
    io_port_write(m->io, 0xcf8, 4, 0x80000000u | slot << 11 | 4);
    io_port_write(m->io, 0xcfc, 2, 7);
}

static void drive_e1000(struct machine *m)
{
    uint32_t base = window(m), count = 8u << fuzz_below(&m->random, 6);

    for (unsigned slot = 2; slot < 6; slot++)
        enable_device(m, slot);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t descriptor[4] = { fuzz_below(&m->random, RAM), 0, fuzz_below(&m->random, 3000) | (fuzz_draw(&m->random) & 0x6d) << 24 | 3u << 24, fuzz_below(&m->random, 256) << 8 };
        if (fuzz_one_in(&m->random, 3))
            descriptor[2] |= fuzz_one_in(&m->random, 2) ? 0x20100000 : 0x20000000;
        phys_dma_write(m->phys, 0x100000 + i * 16, descriptor, sizeof descriptor);
        descriptor[2] = 0;
        phys_dma_write(m->phys, 0x110000 + i * 16, descriptor, sizeof descriptor);
    }
    put32(m, base + 0x3800, 0x100000);
    put32(m, base + 0x3804, 0);
    put32(m, base + 0x3808, count * 16);
    put32(m, base + 0x2800, 0x110000);
    put32(m, base + 0x2804, 0);
    put32(m, base + 0x2808, count * 16);
    put32(m, base + 0x2818, count - 1);
    put32(m, base + 0x0100, 0x0000801au | (fuzz_one_in(&m->random, 2) ? 0x20 : 0));
    put32(m, base + 0x00d0, fuzz_draw(&m->random));
    put32(m, base + 0x0400, 0x0103f0fa);
    put32(m, base + 0x3810, 0);
    put32(m, base + 0x3818, fuzz_below(&m->random, count));
}

static void drive_ne2000(struct machine *m)
{
    static const uint8_t rows[][2] = { { 0, 0x21 }, { 0xe, 0x49 }, { 0xa, 0 }, { 0xb, 0 }, { 0xc, 0x1f }, { 0xd, 0 },
                                       { 1, 0x46 }, { 2, 0x80 }, { 3, 0x46 }, { 4, 0x40 }, { 5, 0xea }, { 6, 5 }, { 7, 0xff },
                                       { 0xf, 0x3f }, { 0, 0x61 }, { 7, 0x47 }, { 0, 0x22 }, { 0, 0x26 } };
    uint16_t base = fuzz_one_in(&m->random, 2) ? 0x300 : (uint16_t)(0xc000 + 0x20 * fuzz_below(&m->random, 16));

    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
        io_port_write(m->io, (uint16_t)(base + rows[i][0]), 1, rows[i][1]);
}

/* --- the paravirtual card: its registers by its ports, or by the window in configuration space --- */

enum { VIRTIO_SLOT = CHIPSET_FIRST_FREE_SLOT + 3, VIRTIO_QUEUES = 0x200000, VIRTIO_DATA = 0x300000 };

static void put_config(struct machine *m, unsigned reg, uint32_t value)
{
    io_port_write(m->io, 0xcf8, 4, 0x80000000u | VIRTIO_SLOT << 11 | reg);
    io_port_write(m->io, 0xcfc, 4, value);
}

static void put_by_window(struct machine *m, unsigned bar, uint32_t offset, unsigned size, uint32_t value)
{
    put_config(m, 0x88, bar);
    put_config(m, 0x8c, offset);
    put_config(m, 0x90, size);
    put_config(m, 0x94, value);
}

static void put_virtio(struct machine *m, uint32_t offset, unsigned size, uint32_t value)
{
    uint32_t bar;

    io_port_write(m->io, 0xcf8, 4, 0x80000000u | VIRTIO_SLOT << 11 | 0x10);
    bar = io_port_read(m->io, 0xcfc, 4);
    if (fuzz_one_in(&m->random, 3) || !(bar & 1))
        put_by_window(m, 0, offset, size, value);
    else
        io_port_write(m->io, (uint16_t)((bar & 0xfffc) + offset), size, value);
}

/* Buffers that are good for what the queue does, but for a few. */
static void fill_queue(struct machine *m, uint32_t at, bool writable)
{
    uint16_t ring[2 + 256] = { 0, (uint16_t)(fuzz_one_in(&m->random, 30) ? fuzz_draw(&m->random) : 1 + fuzz_below(&m->random, 256)) };

    for (uint32_t i = 0; i < 256; i++) {
        uint32_t flags = fuzz_one_in(&m->random, 300) ? fuzz_below(&m->random, 8) : writable ? 2 : 0;
        uint32_t descriptor[4] = { fuzz_one_in(&m->random, 300) ? fuzz_draw(&m->random) : VIRTIO_DATA + i * 2048, 0,
                                   fuzz_one_in(&m->random, 30) ? fuzz_draw(&m->random) : 1600, flags | fuzz_draw(&m->random) << 16 };
        phys_dma_write(m->phys, at + i * 16, descriptor, sizeof descriptor);
        ring[2 + i] = (uint16_t)(fuzz_one_in(&m->random, 3000) ? fuzz_draw(&m->random) : i);
    }
    phys_dma_write(m->phys, at + 0x1000, ring, sizeof ring);
}

static void drive_virtio(struct machine *m)
{
    enable_device(m, VIRTIO_SLOT);
    put_virtio(m, 18, 1, 0);
    put_virtio(m, 18, 1, 3);
    put_virtio(m, 4, 4, fuzz_draw(&m->random) | fuzz_draw(&m->random));
    for (unsigned queue = 0; queue < 3; queue++) {
        fill_queue(m, VIRTIO_QUEUES + queue * 0x4000, queue == 0);
        put_virtio(m, 14, 2, queue);
        put_virtio(m, 8, 4, (VIRTIO_QUEUES + queue * 0x4000) >> 12);
    }
    put_virtio(m, 18, 1, 7);
    for (unsigned i = 0; i < 8; i++)
        put_virtio(m, 16, 2, fuzz_below(&m->random, 4));
}

/* Plug and Play: the key, and boards that are moved to and fro, also onto each other. */
static void drive_pnp(struct machine *m)
{
    static const uint8_t registers[] = { 0x03, 0x00, 0x06, 0x30, 0x31, 0x60, 0x61, 0x70, 0x07, 0x02 };
    uint8_t key = 0x6a;

    io_port_write(m->io, 0x279, 1, 0);
    for (unsigned i = 0; i < 32; i++, key = (uint8_t)(key >> 1 | ((key ^ key >> 1) & 1) << 7))
        io_port_write(m->io, 0x279, 1, key);
    for (unsigned i = 0; i < 20; i++) {
        io_port_write(m->io, 0x279, 1, registers[fuzz_below(&m->random, sizeof registers)]);
        io_port_write(m->io, 0xa79, 1, fuzz_one_in(&m->random, 2) ? fuzz_below(&m->random, 4) : fuzz_draw(&m->random));
        m->sum += io_port_read(m->io, (uint16_t)(0x203 + 4 * fuzz_below(&m->random, 0x7f)), 1);
    }
}

static void rarely(struct machine *m)
{
    uint8_t bytes[112], code;

    switch (fuzz_below(&m->random, 10)) {
    case 9:
        snprintf(m->what, sizeof m->what, "virtio driver");
        drive_virtio(m);
        break;
    case 8:
        snprintf(m->what, sizeof m->what, "Plug and Play");
        drive_pnp(m);
        break;
    case 6:
        snprintf(m->what, sizeof m->what, "e1000 driver");
        drive_e1000(m);
        break;
    case 7:
        snprintf(m->what, sizeof m->what, "ne2000 driver");
        drive_ne2000(m);
        break;
    case 0:
        snprintf(m->what, sizeof m->what, "serial input");
        fuzz_bytes(&m->random, bytes, sizeof bytes);
        size_t taken = pc_serial_input(m->pc, fuzz_below(&m->random, 2), bytes, fuzz_below(&m->random, sizeof bytes + 1));
        check(m, taken <= sizeof bytes, "more taken than given");
        break;
    case 1:
        pc_take_event(m->pc, &code);
        break;
    case 2:
        snprintf(m->what, sizeof m->what, "link");
        pc_nic_set_link(m->nic[fuzz_below(&m->random, NICS)], fuzz_one_in(&m->random, 2));
        break;
    case 3:
        if (fuzz_one_in(&m->random, 200))
            fail_to_boot(m);
        break;
    case 4: /* rings of random descriptors */
        snprintf(m->what, sizeof m->what, "memory changes");
        fuzz_bytes(&m->random, bytes, sizeof bytes);
        for (unsigned i = 2; i + 6 <= sizeof bytes; i += 16)
            memset(bytes + i, 0, 6);
        phys_dma_write(m->phys, fuzz_below(&m->random, RAM) & ~15u, bytes, sizeof bytes);
        break;
    default:
        snprintf(m->what, sizeof m->what, "acknowledge");
        if (m->intr || fuzz_one_in(&m->random, 4))
            m->sum += pc_acknowledge(m->pc);
    }
}

static void step(struct machine *m)
{
    switch (fuzz_below(&m->random, 16)) {
    case 0: receive(m); break;
    case 1: advance(m); break;
    case 2: case 3: case 4: access_config(m); break;
    case 5: case 6: case 7: case 8: access_memory(m); break;
    case 9: rarely(m); break;
    default: access_port(m, pick_port(m));
    }
}

static bool make_machine(struct machine *m)
{
    static const char *const models[NICS] = { "e1000", "rtl8029", "ne2000", "e1000-82545em", "rtl8019as", "rtl8019as", "ne1000", "virtio-net" };
    const struct pc_link link = { .opaque = m, .send = on_frame };
    struct pc_config config = { .cpu = &m->cpu, .wall_seconds = 1700000000, .debug_exit = true, .opaque = m,
                                .clock = on_clock, .set_intr = on_intr, .attention = on_attention, .serial_output = on_serial };
    struct pc_nic_config nic = { .mac = { 0x52, 0x54, 0, 0, 0, 0 } };
    char error[256] = "";

    m->now = 1000000000;
    cpu_reset(&m->cpu);
    config.phys = m->phys = phys_new(RAM);
    config.io = m->io = io_bus_new();
    m->pc = m->phys && m->io ? pc_new(&config) : NULL;
    if (!m->pc)
        return false;
    for (unsigned i = 0; i < NICS; i++) {
        nic.model = models[i];
        nic.mac[5] = (uint8_t)i;
        nic.line_rate = i == 1 || i == 5 ? 10 : 0; /* an RTL8029 and an RTL8019AS whose frames take time */
        m->nic[i] = pc_add_nic(m->pc, &nic, &link, error, sizeof error);
        check(m, m->nic[i], error);
    }
    fail_to_boot(m); /* resets, and gives the devices their addresses */
    return true;
}

static void run(uint64_t seed, uint64_t operations, bool trace)
{
    struct machine *m = calloc(1, sizeof *m);

    if (!m)
        abort();
    m->random = fuzz_random_of(seed, 0);
    m->trace = trace;
    check(m, make_machine(m), "no machine");
    for (m->operation = 0; m->operation < operations; m->operation++) {
        uint64_t start = clock_ns(CLOCK_PROCESS_CPUTIME_ID), took;
        step(m);
        took = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start;
        m->worst_ns = took > m->worst_ns ? took : m->worst_ns;
        if (m->trace)
            printf("%" PRIu64 ": %s (%" PRIu64 " us)\n", m->operation, m->what, took / 1000);
        check(m, took < SLOW_NS, "unbounded work in one call");
    }
    printf("fuzz_ports: seed %" PRIu64 ", %" PRIu64 " operations, %" PRIu64 " frames sent, %.1f ms at most for one\n", seed,
           operations, m->frames, (double)m->worst_ns / 1e6);
    pc_free(m->pc);
    io_bus_free(m->io);
    phys_free(m->phys);
    free(m);
}

int main(int argc, char **argv)
{
    uint64_t seed = 1, operations = 200000, seconds = 0, start = clock_ns(CLOCK_MONOTONIC);
    bool trace = false;

    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;
        if (strcmp(argv[i], "--trace") == 0)
            trace = true;
        else if (strcmp(argv[i], "--seed") == 0 && more)
            seed = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--operations") == 0 && more)
            operations = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--seconds") == 0 && more)
            seconds = strtoull(argv[++i], NULL, 0);
        else
            return 64;
    }
    do {
        printf("fuzz_ports: seed %" PRIu64 "\n", seed);
        fflush(stdout);
        run(seed++, operations, trace);
    } while (clock_ns(CLOCK_MONOTONIC) - start < seconds * 1000000000u);
    return 0;
}
