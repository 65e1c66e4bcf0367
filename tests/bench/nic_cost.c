/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a NIC model costs by itself, without engine, guest and switch: a 64-byte
 * frame (60 and its FCS) through e1000 in either direction with a driver's own
 * register writes and descriptors in batches as Linux makes them, and through an
 * RTL8029AS with its remote DMA in string instructions; beside a native getppid().
 *
 * Prints `row NAME VALUE UNIT`, one a line: the best of several rounds.
 */
#include "nicemu/nic.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MEMORY = 1 << 20, FRAMES = 200000, ROUNDS = 7, RING = 256, BATCH = 16, SIZE = 60,
       TX_RING = 0x1000, RX_RING = 0x4000, BUFFERS = 0x10000 };

static uint8_t memory[MEMORY];
static uint64_t sent, now = 1000000;
static struct nic *nic;
static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };

static bool dma_read(void *opaque, uint64_t address, void *buffer, size_t size)
{
    (void)opaque;
    if (address > MEMORY || size > MEMORY - address)
        return false;
    memcpy(buffer, memory + address, size);
    return true;
}

static bool dma_write(void *opaque, uint64_t address, const void *buffer, size_t size)
{
    (void)opaque;
    if (address > MEMORY || size > MEMORY - address)
        return false;
    memcpy(memory + address, buffer, size);
    return true;
}

static bool send_frame(void *opaque, const void *frame, size_t size, const struct nic_offload *offload)
{
    static uint8_t last[2048];
    (void)opaque;
    (void)offload;
    memcpy(last, frame, size < sizeof last ? size : sizeof last);
    sent++;
    return true;
}

static void set_irq(void *opaque, bool level) { (void)opaque; (void)level; }
static void nothing(void *opaque) { (void)opaque; }
static void set_timer(void *opaque, uint64_t deadline) { (void)opaque; (void)deadline; }

__attribute__((format(printf, 2, 3))) static void guest_error(void *opaque, const char *format, ...)
{
    va_list args;
    (void)opaque;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    exit(1);
}

static const struct nic_host host = { .dma_read = dma_read, .dma_write = dma_write, .set_irq = set_irq,
                                      .send_frame = send_frame, .send_flush = nothing, .receive_ready = nothing,
                                      .set_timer = set_timer, .guest_error = guest_error, .eeprom_changed = nothing };

static uint64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void put(uint32_t offset, uint32_t value) { nic_write(nic, 0, offset, 4, value, now); }
static uint32_t get(uint32_t offset) { return nic_read(nic, 0, offset, 4, now); }
static void out(uint32_t port, uint8_t value) { nic_write(nic, 0, port, 1, value, now); }
static uint8_t in(uint32_t port) { return (uint8_t)nic_read(nic, 0, port, 1, now); }

static void make_frame(uint8_t *frame)
{
    memset(frame, 0x5a, SIZE);
    memcpy(frame, mac, 6);
    memcpy(frame + 6, "\x02\x00\x00\x00\x00\x02\x08\x00\x45\x00\x00\x2e", 12);
}

static void open_e1000(void)
{
    nic = nic_new("e1000", mac, &host);
    for (unsigned i = 0; i < RING; i++) {
        uint64_t address = BUFFERS + i * 2048;
        memcpy(memory + RX_RING + 16 * i, &address, 8);
        memcpy(memory + TX_RING + 16 * i, &address, 8);
        memcpy(memory + TX_RING + 16 * i + 8, &(uint32_t){ 0x8b000000u | SIZE }, 4); /* IDE, RS, IFCS, EOP */
        make_frame(memory + address);
    }
    put(0x3800, TX_RING), put(0x3808, RING * 16), put(0x2800, RX_RING), put(0x2808, RING * 16);
    put(0x3820, 8), put(0x382c, 32), put(0x282c, 8), put(0x00c4, 195);
    put(0x5000, 0x300), put(0x00d0, 0x9d), put(0x0400, 0x0103f0fa), put(0x0100, 0x04008002);
    put(0x2818, RING - 1);
}

/* A batch: the tail, then the interrupt that tells of it. */
static void e1000_tx(void)
{
    static uint32_t tail;
    for (unsigned done = 0; done < FRAMES; done += BATCH) {
        tail = (tail + BATCH) % RING;
        now += 2000;
        put(0x3818, tail);
        get(0x00c0);
    }
}

static void e1000_rx(void)
{
    static uint32_t tail = RING - 1;
    uint8_t frame[SIZE];
    make_frame(frame);
    for (unsigned done = 0; done < FRAMES; done += BATCH) {
        for (unsigned i = 0; i < BATCH; i++, now += 100)
            if (nic_receive(nic, frame, SIZE, NULL, now) != NIC_RX_TAKEN)
                exit(1);
        get(0x00c0);
        tail = (tail + BATCH) % RING;
        put(0x2818, tail);
    }
}

static void open_rtl8029(void)
{
    static const uint8_t set_up[][2] = { { 0, 0x21 }, { 0xe, 0x49 }, { 0xa, 0 }, { 0xb, 0 }, { 0xc, 0x04 }, { 0xd, 0 },
                                         { 1, 0x46 }, { 2, 0x80 }, { 3, 0x7f }, { 7, 0xff }, { 0xf, 0x3f },
                                         { 0, 0x61 }, { 7, 0x46 } };
    nic = nic_new("rtl8029", mac, &host);
    for (size_t i = 0; i < sizeof set_up / sizeof *set_up; i++)
        out(set_up[i][0], set_up[i][1]);
    for (unsigned i = 0; i < 6; i++)
        out(1 + i, mac[i]);
    out(0, 0x22);
}

static void remote(uint8_t command, uint16_t address, uint16_t size, void *bytes)
{
    out(0xa, (uint8_t)size), out(0xb, (uint8_t)(size >> 8)), out(8, (uint8_t)address), out(9, (uint8_t)(address >> 8));
    out(0, command);
    if (command == 0x12)
        nic_write_block(nic, 0, 0x10, 4, size / 4u, bytes, now);
    else
        nic_read_block(nic, 0, 0x10, 4, size / 4u, bytes, now);
    out(7, 0x40);
}

/* As Linux's driver: CURR, the header, the frame, BNRY, and the acknowledgement. */
static void ne2000_rx(void)
{
    static uint8_t page = 0x46;
    uint8_t frame[SIZE], header[4], copy[64];
    make_frame(frame);
    for (unsigned done = 0; done < FRAMES; done += 8) {
        for (unsigned i = 0; i < 8; i++)
            if (nic_receive(nic, frame, SIZE, NULL, now) != NIC_RX_TAKEN)
                exit(1);
        in(7);
        for (unsigned i = 0; i < 8; i++) {
            out(0, 0x62), in(7), out(0, 0x22);
            remote(0x0a, (uint16_t)(page << 8), 4, header);
            remote(0x0a, (uint16_t)(page << 8 | 4), 60, copy);
            page = header[1];
            out(3, (uint8_t)(page == 0x46 ? 0x7f : page - 1));
        }
        out(7, 0x05);
    }
}

static void ne2000_tx(void)
{
    uint8_t frame[SIZE];
    make_frame(frame);
    for (unsigned done = 0; done < FRAMES; done++) {
        remote(0x12, 0x4000, SIZE, frame);
        out(4, 0x40), out(5, SIZE), out(6, 0), out(0, 0x26);
        in(7), in(4), out(7, 0x0a);
    }
}

static void getppid_calls(void)
{
    for (unsigned i = 0; i < FRAMES; i++)
        syscall(SYS_getppid);
}

static void measure(const char *name, void (*run)(void))
{
    uint64_t best = UINT64_MAX;
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint64_t began = clock_ns();
        run();
        uint64_t took = clock_ns() - began;
        best = took < best ? took : best;
    }
    printf("row %s %.1f ns\n", name, (double)best / FRAMES);
}

int main(void)
{
    measure("native.getppid", getppid_calls);
    open_e1000();
    measure("e1000.tx", e1000_tx);
    measure("e1000.rx", e1000_rx);
    nic_free(nic);
    open_rtl8029();
    measure("ne2000.tx", ne2000_tx);
    measure("ne2000.rx", ne2000_rx);
    nic_free(nic);
    if (sent < 2 * (uint64_t)FRAMES * ROUNDS) {
        fprintf(stderr, "nic_cost: only %llu frames came out\n", (unsigned long long)sent);
        return 1;
    }
    return 0;
}
