/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A random driver for the NIC models: pokes registers, rings, frames, timers and
 * link, with guest memory that changes under the model's reads, and checks what
 * must hold whatever a guest does: bounded work in every call, the interrupt
 * line equal to cause and mask, states that can be saved and restored at any
 * moment, a restored NIC that behaves as the one that was saved, and (by the sanitizers) no byte touched outside
 * of what is the model's.
 *
 *   fuzz_nic [operations [seed]]      libc only; the same seed does the same
 */
#include "nicemu/inet_checksum.h"
#include "tests/fake/fake_nic_host.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a single call may cost: see the run limits in e1000_tx.c. */
#define CALLS_MAX 300000u
#define BYTES_MAX (64u << 20)

#define STATE_BEGIN 116u /* of an image: behind its header of 28 bytes and the counters */

static uint64_t state;

static uint32_t draw(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 16);
}

static uint32_t below(uint32_t limit)
{
    return draw() % limit;
}

/* Values that mean something: small, powers of two and their neighbours, any. */
static uint32_t value(void)
{
    switch (below(5)) {
    case 0: return below(64);
    case 1: return (1u << below(32)) - below(2);
    case 2: return draw();
    case 3: return below(FAKE_MEMORY_SIZE) & ~15u;
    default: return ~0u >> below(32);
    }
}

/* A descriptor that a driver could have written, then bent a little. */
static void put_descriptor(uint8_t *at)
{
    static const uint32_t commands[] = { 0x00000000, 0x20100000, 0x20000000, 0x24100000, 0x24000000, 0x24000000 };
    uint64_t address = below(8) ? below(FAKE_MEMORY_SIZE) : ((uint64_t)draw() << 32 | draw());
    uint32_t lower = commands[below(6)] | (below(3) ? below(2000) : below(0x100000));
    uint32_t upper = (below(3000) << 16) | (below(256) << 8);
    lower |= (draw() & 0xd9u) << 24;
    if (below(6) == 0)
        address = below(64) | (uint64_t)below(64) << 8 | (uint64_t)below(64) << 32 | (uint64_t)below(64) << 40;
    memcpy(at, &address, 8);
    memcpy(at + 8, &lower, 4);
    memcpy(at + 12, &upper, 4);
}

/* Another thread of the guest rewrites what is being read. */
static void change_memory(struct fake_nic_host *host, uint64_t address, size_t size)
{
    if (address >= FAKE_MEMORY_SIZE || below(4))
        return;
    size_t room = FAKE_MEMORY_SIZE - address;
    if (size > room)
        size = room;
    for (size_t i = 0; i + 16 <= size && i < 512; i += 16)
        put_descriptor(host->memory + address + i);
}

static const char *model;
static uint64_t operation, restores, trace_lines, twins;
static uint32_t line_rate; /* of the boards that have one: 0, or frames take time */
static bool comparing; /* a NIC and its twin: no states are exchanged meanwhile */

static void check(bool good, const char *what)
{
    if (good)
        return;
    fprintf(stderr, "fuzz_nic: %s: operation %" PRIu64 ": %s\n", model, operation, what);
    abort();
}

/* Save, restore, save: the same bytes. A bent image is refused with nothing
 * changed, or is a state that the fuzzing goes on with. */
static void save_and_restore(struct fake_nic_host *host)
{
    size_t size = nic_save(host->nic, host->now, NULL, 0), bent = size;
    uint8_t *image = malloc(size), *again = malloc(size);
    check(nic_save(host->nic, host->now, image, size) == size, "image of another size");
    host->now += below(1000000);
    check(nic_restore(host->nic, host->now, image, size) == 0, "an image of our own refused");
    check(nic_save(host->nic, host->now, again, size) == size && memcmp(image, again, size) == 0,
          "another image after restoring");
    for (unsigned i = below(4); i < 4; i++) {
        uint32_t first = below(8) ? STATE_BEGIN : 0;
        uint32_t at = first + below(first == 0 ? 28 : below(2) ? (uint32_t)size - first : 600);
        if (at < size)
            image[at] = below(2) ? (uint8_t)draw() : image[at] ^ (uint8_t)(1u << below(8));
    }
    if (below(8) == 0)
        bent = below((uint32_t)size);
    uint8_t *exact = malloc(bent ? bent : 1); /* its own block: a sanitizer sees a step beyond */
    memcpy(exact, image, bent);
    int refused = nic_restore(host->nic, host->now, exact, bent);
    if (refused)
        check(nic_save(host->nic, host->now, image, size) == size && memcmp(image, again, size) == 0,
              "changed by an image that was refused");
    else
        restores++;
    free(exact);
    free(image);
    free(again);
}

/* The teacher looks on for a while: what it prints is bounded, and ends. */
static void trace_line(void *opaque, const char *text)
{
    uint64_t *lines = opaque;
    check(strlen(text) < 256, "a line of a trace too long");
    ++*lines;
}

/* What became of the frames that were offered, by nic_receive()'s answer and the counters. */
static struct { uint64_t stored, filtered, refused, off, long_ones; } fate;

static void put16(uint8_t *at, uint32_t v)
{
    at[0] = (uint8_t)(v >> 8);
    at[1] = (uint8_t)v;
}

/* Somebody that the filter mostly knows. */
static void put_destination(uint8_t *frame)
{
    static const uint8_t known[][6] = { { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff }, { 0x01, 0x00, 0x5e, 0x01, 0x02, 0x03 },
                                        { 0x33, 0x33, 0x00, 0x00, 0x00, 0x01 } };
    uint32_t which = below(12);
    if (which < 3)
        memcpy(frame, known[which], 6);
    else if (which < 11)
        memcpy(frame, fake_mac, 6);
}

/* IP with TCP or UDP behind the headers that are there; its checksums are right, or nearly, or not. */
static void put_ip(uint8_t *frame, size_t size, size_t at)
{
    bool v6 = below(3) == 0, udp = below(2);
    size_t l4 = at + (v6 ? 40 : 20 + 4 * below(3)), l4_size = size - l4;
    uint8_t protocol = udp ? 17 : 6;
    if (size < l4 + 20)
        return;
    put16(frame + at - 2, v6 ? 0x86dd : 0x0800);
    frame[at] = (uint8_t)(v6 ? 0x60 : 0x40 | (l4 - at) / 4);
    put16(frame + at + (v6 ? 4 : 2), (uint32_t)(v6 ? l4_size : size - at));
    frame[at + (v6 ? 6 : 9)] = protocol;
    if (!v6) {
        put16(frame + at + 6, below(8) ? 0x4000 : draw()); /* fragments are seldom */
        put16(frame + at + 10, 0);
        inet_checksum_insert(frame, size, at, at + 10, l4);
    }
    if (udp)
        put16(frame + l4 + 4, (uint32_t)l4_size);
    size_t field = l4 + (udp ? 6 : 16), addresses = v6 ? 32 : 8;
    put16(frame + field, inet_fold((uint64_t)inet_sum(frame + l4 - addresses, addresses) + protocol + l4_size));
    inet_checksum_insert(frame, size, l4, field, 0);
    if (below(4) == 0)
        frame[below((uint32_t)size)] ^= (uint8_t)(1u << below(8));
}

static void fill_frame(uint8_t *frame, size_t size)
{
    for (size_t i = 0; i < size; i++)
        frame[i] = (uint8_t)draw();
    if (size < 18 || below(16) == 0)
        return;
    size_t header = below(4) ? 14 : 18; /* with a tag */
    put_destination(frame);
    if (header == 18)
        put16(frame + 12, 0x8100);
    if (below(16) == 0)
        memcpy(memcpy(frame, "\x01\x80\xc2\x00\x00\x01", 6) + 12, "\x88\x08\x00\x01", 4); /* PAUSE */
    else if (below(4))
        put_ip(frame, size, header);
}

static void receive(struct fake_nic_host *host)
{
    static const uint16_t sizes[] = { 0, 13, 14, 17, 18, 59, 60, 64, 1514, 1518, 1519, 9000, 16380, 16381 };
    size_t size = below(3) ? below(1600) : sizes[below(14)];
    uint8_t *frame = malloc(size + 1);
    struct nic_offload offload = { .flags = (uint8_t)below(4), .csum_start = (uint16_t)below(80),
                                   .csum_offset = (uint16_t)below(32) };
    struct nic_counters before, after;
    fill_frame(frame, size);
    nic_get_counters(host->nic, &before);
    enum nic_rx_result result = nic_receive(host->nic, frame, size, below(2) ? &offload : NULL, host->now);
    nic_get_counters(host->nic, &after);
    fate.stored += after.rx_frames - before.rx_frames;
    fate.filtered += after.rx_filtered - before.rx_filtered;
    fate.refused += result == NIC_RX_FULL;
    fate.off += result == NIC_RX_OFF;
    fate.long_ones += after.rx_frames != before.rx_frames && size > 1518;
    free(frame);
}

/* A driver's own set-up, so that the random part starts from working rings. */
static void start_e1000(struct fake_nic_host *host)
{
    nic_set_link(host->nic, below(8), host->now);
    if (below(4))
        nic_power_write(host->nic, 4, 0, host->now); /* what sleeps is woken */
    fake_write(host, 0x0000, 0x80000041); /* the PHY's registers have been poked, too */
    fake_write(host, 0x5400, 0x12005452);
    fake_write(host, 0x5404, 0x80005634);
    fake_write(host, 0x3800, 0x1000);
    fake_write(host, 0x3804, 0);
    fake_write(host, 0x3808, 0x80u << below(8));
    fake_write(host, 0x3810, 0);
    fake_write(host, 0x2800, 0x10000);
    fake_write(host, 0x2804, 0);
    fake_write(host, 0x2808, 0x80u << below(8));
    fake_write(host, 0x2810, 0);
    fake_write(host, 0x2818, below(4) ? 7 : below(128));
    fake_write(host, 0x0030, 0x8808);
    fake_write(host, 0x5200 + 4 * below(128), draw());
    fake_write(host, 0x0400, 0x0103f0fa);
    fake_write(host, 0x0100, 0x00008002u | (below(4) ? 0x20u : 0) | (below(4) << 16) |
               (below(8) ? 0 : 0x02000000u) | (below(8) ? 0 : 0x40u));
    fake_write(host, 0x0000, 0x00000041u | (below(2) ? 0x40000000u : 0));
    fake_write(host, 0x5000, below(2) ? 0x300 : 0);
    fake_write(host, 0x00d0, draw());
    fake_write(host, 0x00c4, below(300));
    for (unsigned i = 0; i < 256; i++)
        put_descriptor(host->memory + 0x1000 + 16 * i);
    for (unsigned i = 0; i < 256; i++) {
        uint64_t address = 0x40000 + i * 2048;
        memcpy(host->memory + 0x10000 + 16 * i, &address, 8);
    }
}

/* All descriptors but one are the chip's again, and their addresses mostly what they were. */
static void give_back(struct fake_nic_host *host)
{
    uint32_t count = fake_read(host, 0x2808) / 16, head = fake_read(host, 0x2810);
    uint64_t base = fake_read(host, 0x2800) | (uint64_t)fake_read(host, 0x2804) << 32;
    if (!count || head >= count)
        return;
    for (unsigned i = 0; i < count && i < 256 && base + 16 * i < FAKE_MEMORY_SIZE - 16 && below(8); i++) {
        uint64_t address = 0x40000 + i * 2048;
        memcpy(host->memory + base + 16 * i, &address, 8);
    }
    fake_write(host, 0x2818, (head + count - 1) % count);
}

static void poke_e1000(struct fake_nic_host *host)
{
    static const uint16_t hot[] = { 0x0000, 0x0010, 0x0014, 0x0018, 0x0020, 0x0038, 0x00c0, 0x00c4, 0x00c8, 0x00d0,
                                    0x00d8, 0x0100, 0x0400, 0x2800, 0x2804, 0x2808, 0x2810, 0x2818, 0x2820, 0x282c,
                                    0x2c00, 0x3800, 0x3804, 0x3808, 0x3810, 0x3818, 0x3820, 0x3828, 0x382c, 0x5000,
                                    0x5400, 0x5404, 0x0030, 0x0428, 0x0438, 0x0128, 0x1000 };
    uint32_t offset = below(8) ? hot[below(sizeof hot / sizeof *hot)] : below(0x20000);
    static const unsigned sizes[] = { 4, 4, 4, 1, 2 };
    unsigned size = sizes[below(5)];
    if (below(16) == 0)
        nic_write(host->nic, 2, 4 * below(2), 4, below(2) ? offset : value(), host->now);
    else if (below(2))
        nic_read(host->nic, 0, offset & ~(size - 1), size, host->now);
    else
        nic_write(host->nic, 0, offset & ~(size - 1), size, offset == 0x3818 || offset == 0x2818 ? below(260) : value(),
                  host->now);
    if (below(8) == 0)
        fake_write(host, 0x3818, below(64));
    if (below(3) == 0) /* a well-behaved driver gives its buffers back */
        give_back(host);
    if (below(10) == 0)
        start_e1000(host);
    if (below(30) == 0) /* PMCSR; mostly back to D0 */
        nic_power_write(host->nic, below(8), (uint8_t)(below(4) ? 0 : value()), host->now);
    check(!host->pme || (nic_power_read(host->nic, 5) & 0x80), "PME# without a status");
    uint32_t ims = fake_read(host, 0x00d0), ics = fake_read(host, 0x00c8);
    check(!host->irq || (ims & ics), "line high without cause");
    if (!(host->deadline))
        check(host->irq == ((ims & ics) != 0), "line low with a cause and no timer");
}

/* A transmitter that may run, with a ring in memory, comes to the tail in a while: a
 * run is bounded and gone on with, never forgotten. */
static void check_progress(struct fake_nic_host *host)
{
    uint32_t status = fake_read(host, 0x0008), count = fake_read(host, 0x3808) / 16, head, tail;
    uint64_t base = fake_read(host, 0x3800) | (uint64_t)fake_read(host, 0x3804) << 32;
    bool may_run = (fake_read(host, 0x0400) & 2) && (status & 0x12) == 0x02; /* TCTL.EN, LU, not TXOFF */

    if (!may_run || nic_is_asleep(host->nic) || count == 0 || count > 128 || base > FAKE_MEMORY_SIZE - 16 * count)
        return;
    host->no_room = false;
    fake_write(host, 0x3818, fake_read(host, 0x3818)); /* what an error has stopped is tried again */
    for (unsigned i = 0; i < 20; i++) {
        host->dma_calls = host->dma_bytes = 0;
        fake_nic_host_advance(host, 1000000);
    }
    head = fake_read(host, 0x3810);
    tail = fake_read(host, 0x3818);
    host->dma_calls = host->dma_bytes = 0;
    check(head == tail || head >= count || tail >= count || (fake_read(host, 0x0008) & 0x12) != 0x02,
          "a transmitter that stands still");
}

/* Realtek's sleep and power-down; other boards have no page 3. */
static void set_config3(struct fake_nic_host *host, uint8_t value)
{
    fake_out(host, 0, 0xe2);
    fake_out(host, 1, 0xc0);
    fake_out(host, 6, value);
    fake_out(host, 1, 0);
}

static void start_dp8390(struct fake_nic_host *host)
{
    static const uint8_t set_up[][2] = { { 0, 0x21 }, { 0xe, 0x49 }, { 0xa, 0 }, { 0xb, 0 }, { 0xc, 0x1f }, { 0xd, 0 },
                                         { 1, 0x46 }, { 2, 0x80 }, { 3, 0x46 }, { 7, 0xff }, { 0xf, 0x3f },
                                         { 0, 0x61 }, { 1, 0x52 }, { 2, 0x54 }, { 3, 0 }, { 4, 0x12 }, { 5, 0x34 },
                                         { 6, 0x56 }, { 8, 0xff }, { 7, 0x47 }, { 0, 0x22 } };
    nic_set_link(host->nic, below(8), host->now);
    fake_out(host, 9, 'R'); /* a Realtek chip whose clock stands still */
    set_config3(host, 0);
    for (size_t i = 0; i < sizeof set_up / sizeof *set_up; i++)
        fake_out(host, set_up[i][0], set_up[i][1]);
}

/* A driver's own transmission, of a length that mostly is allowed: random pokes
 * alone, which have to hit both halves of TBCR, sent nothing at all with some seeds. */
static void send_dp8390(struct fake_nic_host *host)
{
    uint32_t size = below(8) ? 14 + below(1505) : value();
    fake_out(host, 0, 0x22);
    if (below(4))
        fake_out(host, 0xd, 0); /* no loopback */
    fake_out(host, 4, (uint8_t)(below(4) ? 0x40 : value()));
    fake_out(host, 5, (uint8_t)size);
    fake_out(host, 6, (uint8_t)(size >> 8));
    fake_out(host, 0, 0x26);
    if (below(2))
        fake_nic_host_advance(host, 1300000); /* as long as the longest is on the wire */
}

/* What is in the ring has been read. */
static void drain_dp8390(struct fake_nic_host *host)
{
    fake_out(host, 0, 0x62);
    uint8_t curr = fake_in(host, 7);
    fake_out(host, 0, 0x22);
    fake_out(host, 3, curr == 0x46 ? 0x7f : curr - 1);
    fake_out(host, 7, 0xff);
}

/* A string instruction; its buffer has just the size that it needs. */
static void block(struct fake_nic_host *host, uint32_t port, unsigned size)
{
    uint32_t count = below(800);
    uint8_t *buffer = calloc(count ? count : 1, size);
    if (below(2))
        nic_read_block(host->nic, 0, port, size, count, buffer, host->now);
    else
        nic_write_block(host->nic, 0, port, size, count, buffer, host->now);
    free(buffer);
}

/* Each other time by the quick call, which may decline. */
static void read_port(struct fake_nic_host *host, uint32_t port, unsigned size)
{
    if (below(2) || nic_quick_read(host->nic, 0, port, size) < 0)
        nic_read(host->nic, 0, port, size, host->now);
}

static void write_port(struct fake_nic_host *host, uint32_t port, unsigned size, uint32_t written)
{
    if (below(2) || nic_quick_write(host->nic, 0, port, size, written) < 0)
        nic_write(host->nic, 0, port, size, written, host->now);
}

static void poke_dp8390(struct fake_nic_host *host)
{
    unsigned size = 1u << below(3);
    uint8_t byte;
    if (below(16) == 0) { /* ISA Plug and Play, past the key */
        nic_pnp_write(host->nic, below(3) ? 0x279 : 0xa79, (uint8_t)(below(2) ? below(8) : value()), host->now);
        nic_pnp_read(host->nic, 0x203, &byte, host->now);
    }
    if (below(500) == 0) {
        uint8_t key = 0x6a;
        for (unsigned i = 0; i < 32; i++, key = (uint8_t)(key >> 1 | ((key ^ key >> 1) & 1) << 7))
            nic_pnp_write(host->nic, 0x279, key, host->now);
    }
    uint32_t limit = nic_identity(host->nic)->bar[0].size;
    uint32_t port = below(3) == 0 ? 0 : below(4) == 0 ? 0x10 : below(limit == 0x20 || below(4) ? 0x20 : limit);
    if (port + size > limit)
        size = 1;
    if (port >= 0x18 && below(8))
        port = 7;
    if (below(8) == 0)
        block(host, port, size);
    else if (below(2))
        read_port(host, port, size);
    else
        write_port(host, port, size, value());
    if (below(50) == 0)
        start_dp8390(host);
    if (below(12) == 0)
        send_dp8390(host);
    if (below(12) == 0)
        drain_dp8390(host);
    if (below(200) == 0) {
        set_config3(host, (uint8_t)value());
        fake_out(host, 9, below(2) ? 'H' : 'R');
    }
    if (fake_in(host, 0) == 0xff) /* halted: nothing can be seen of it */
        return;
    /* Look at ISR and IMR from pages 0 and 2, without TXP or a DMA command. */
    fake_out(host, 0, 0x20);
    uint8_t isr = fake_in(host, 7);
    fake_out(host, 0, 0xa0);
    uint8_t imr = fake_in(host, 0xf) & 0x7f;
    fake_out(host, 0, (uint8_t)(below(4) << 6 | 0x22));
    check(host->irq == ((isr & imr) != 0), "line is not cause and mask");
}

static void step(struct fake_nic_host *host, void (*poke)(struct fake_nic_host *));

static void steps(struct fake_nic_host *host, void (*poke)(struct fake_nic_host *), unsigned count)
{
    fake_nic_host_forget_frames(host);
    host->irq_raised = 0;
    for (unsigned i = 0; i < count; i++) {
        host->record = below(4) == 0;
        host->refuse_frames = below(16) == 0;
        host->no_room = below(8) == 0;
        step(host, poke);
    }
}

static void same_frames(const struct fake_nic_host *a, const struct fake_nic_host *b)
{
    check(a->frame_count == b->frame_count && a->irq == b->irq && a->irq_raised == b->irq_raised,
          "a restored NIC sends or interrupts differently");
    for (unsigned i = 0; i < a->frame_count && i < FAKE_FRAMES; i++)
        check(a->frames[i].size == b->frames[i].size &&
              (!a->frames[i].bytes || memcmp(a->frames[i].bytes, b->frames[i].bytes, a->frames[i].size) == 0),
              "a restored NIC sends other frames");
    check(memcmp(a->memory, b->memory, FAKE_MEMORY_SIZE) == 0, "a restored NIC writes other memory");
}

/* A NIC of another machine, with a past of its own, takes over the state: from then on the same
 * input has the same effect on both. What the state leaves out would show. */
static void compare_with_twin(struct fake_nic_host *host, void (*poke)(struct fake_nic_host *))
{
    struct fake_nic_host twin;
    unsigned count = 20 + below(400);
    size_t size = nic_save(host->nic, host->now, NULL, 0);
    uint8_t *image = malloc(size), *one, *other;
    comparing = true;
    nic_save(host->nic, host->now, image, size);
    fake_nic_host_start(&twin, model);
    nic_set_line_rate(twin.nic, line_rate);
    twin.before_dma_read = host->before_dma_read;
    steps(&twin, poke, 200);
    nic_set_trace(twin.nic, NULL, NULL, false); /* a trace looks at descriptors, too, which change when looked at */
    nic_set_trace(host->nic, NULL, NULL, false);
    memcpy(twin.memory, host->memory, FAKE_MEMORY_SIZE);
    twin.now = host->now;
    check(nic_restore(twin.nic, twin.now, image, size) == 0, "an image refused by another machine");
    uint64_t from_here = state;
    steps(host, poke, count);
    uint64_t after = state;
    state = from_here;
    steps(&twin, poke, count);
    check(state == after, "a restored NIC answers differently");
    same_frames(host, &twin);
    size = nic_save(host->nic, host->now, NULL, 0);
    one = malloc(size);
    other = malloc(size);
    check(nic_save(host->nic, host->now, one, size) == size && nic_save(twin.nic, twin.now, other, size) == size &&
          memcmp(one, other, size) == 0, "a restored NIC has gone another way");
    fake_nic_host_stop(&twin);
    free(image);
    free(one);
    free(other);
    comparing = false;
    twins++;
}

static void step(struct fake_nic_host *host, void (*poke)(struct fake_nic_host *))
{
    host->dma_calls = host->dma_bytes = 0;
    switch (below(16)) {
    case 0: case 1: case 2:
        receive(host);
        break;
    case 3:
        fake_nic_host_advance(host, below(200000));
        if (poke == poke_e1000 && below(50) == 0)
            check_progress(host);
        break;
    case 4:
        if (below(50) == 0)
            nic_set_link(host->nic, below(4), host->now);
        else if (below(50) == 0)
            nic_receive_lost(host->nic, 60, host->now);
        if (below(20) == 0)
            nic_receive_backlog(host->nic, below(300), below(2) ? 256 : below(300), host->now);
        break;
    case 5:
        if (below(500) == 0)
            nic_reset(host->nic, host->now);
        break;
    case 7:
        if (below(40) == 0 && !comparing)
            save_and_restore(host);
        else if (below(150) == 0 && !comparing)
            compare_with_twin(host, poke);
        break;
    case 8:
        if (below(100) == 0)
            nic_set_trace(host->nic, below(2) ? trace_line : NULL, &trace_lines, below(2));
        break;
    case 6:
        put_descriptor(host->memory + 0x1000 + 16 * below(256));
        break;
    default:
        poke(host);
    }
    if (host->frame_count >= FAKE_FRAMES)
        fake_nic_host_forget_frames(host);
    check(host->dma_calls < CALLS_MAX && host->dma_bytes < BYTES_MAX, "unbounded work in one call");
}

static void run(const char *name, uint64_t operations, uint64_t seed)
{
    struct fake_nic_host host;
    bool e1000 = strncmp(name, "e1000", 5) == 0;
    model = name;
    restores = trace_lines = twins = 0;
    memset(&fate, 0, sizeof fate);
    state = seed;
    for (const char *c = name; *c; c++) /* boards of one chip shall not all live the same life */
        state = state * 31 + (uint8_t)*c;
    state = state * 0x9e3779b97f4a7c15u | 1;
    fake_nic_host_start(&host, name);
    line_rate = below(2) ? 10 : 0;
    nic_set_line_rate(host.nic, line_rate);
    host.before_dma_read = change_memory;
    if (e1000)
        start_e1000(&host);
    else
        start_dp8390(&host);
    for (operation = 0; operation < operations; operation++) {
        host.record = below(8) == 0;
        host.refuse_frames = below(16) == 0;
        host.no_room = below(8) == 0;
        step(&host, e1000 ? poke_e1000 : poke_dp8390);
    }
    struct nic_counters c;
    nic_get_counters(host.nic, &c);
    printf("%s: %" PRIu64 " operations, seed %" PRIu64 ": %" PRIu64 " frames sent; of those offered %" PRIu64
           " stored (%" PRIu64 " beyond 1518), %" PRIu64 " filtered out, %" PRIu64 " told to wait, %" PRIu64 " while off; %" PRIu64
           " guest errors, %" PRIu64 " bent states restored, %" PRIu64 " twins, %" PRIu64 " lines of trace\n",
           name, operations, seed, c.tx_frames, fate.stored, fate.long_ones, fate.filtered, fate.refused, fate.off,
           c.guest_errors, restores, twins, trace_lines);
    fflush(stdout);
    check(operations < 10000 || (c.tx_frames > operations / 400 && fate.stored > operations / 100),
          "too little got through: the fuzzer tests too little");
    fake_nic_host_stop(&host);
}

int main(int argc, char **argv)
{
    uint64_t operations = argc > 1 ? strtoull(argv[1], NULL, 0) : 100000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    run("e1000", operations, seed);
    run("e1000-82545em", operations / 4, seed);
    run("rtl8029", operations, seed);
    run("ne2000", operations, seed);
    run("rtl8019as", operations, seed);
    run("ne2000-8bit", operations / 4, seed);
    run("ne1000", operations / 4, seed);
    return 0;
}
