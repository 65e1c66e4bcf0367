/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A random driver for the NIC models: pokes registers, rings, frames, timers and
 * link, with guest memory that changes under the model's reads, and checks what
 * must hold whatever a guest does: bounded work in every call, the interrupt
 * line equal to cause and mask, states that can be saved and restored at any
 * moment, a restored NIC that behaves as the one that was saved, and (by the
 * sanitizers) no byte touched outside of what is the model's.
 *
 *   fuzz_nic [operations [seed [model]]]      libc only; the same seed does the same
 */
#include "tests/fuzz/fuzz_nic.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What a single call may cost: see the run limits in e1000_tx.c. */
#define CALLS_MAX 300000u
#define BYTES_MAX (64u << 20)

#define STATE_BEGIN 116u /* of an image: behind its header of 28 bytes and the counters */

uint64_t fuzz_nic_state;

/* What drives a family of models. */
struct driver {
    void (*start)(struct fake_nic_host *host);
    void (*poke)(struct fake_nic_host *host);
    void (*check_progress)(struct fake_nic_host *host); /* NULL: nothing to check */
    void (*change_memory)(struct fake_nic_host *host, uint64_t address, size_t size);
};

static const char *model;
static const struct driver *driver;
static uint64_t operation, restores, trace_lines, twins;
static uint32_t line_rate; /* of the boards that have one: 0, or frames take time */
static bool comparing;     /* a NIC and its twin: no states are exchanged meanwhile */

/* Another thread of the guest rewrites what is being read. */
static void change_memory(struct fake_nic_host *host, uint64_t address, size_t size)
{
    if (address >= FAKE_MEMORY_SIZE || below(4))
        return;
    size_t room = FAKE_MEMORY_SIZE - address;
    if (size > room)
        size = room;
    for (size_t i = 0; i + 16 <= size && i < 512; i += 16)
        e1000_put_descriptor(host->memory + address + i);
}

static const struct driver e1000_driver = { e1000_start, e1000_poke, e1000_check_progress, change_memory },
                           dp8390_driver = { dp8390_start, dp8390_poke, NULL, change_memory },
                           virtio_driver = { virtio_start, virtio_poke, virtio_check_progress, virtio_change_memory };

void check(bool good, const char *what)
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

/* A super-frame, for those who take them; its size. */
static size_t ask_for_segments(struct nic_offload *offload)
{
    *offload = (struct nic_offload){ NIC_OFFLOAD_NEEDS_CSUM, below(2) ? NIC_GSO_TCPV4 : NIC_GSO_TCPV6, 54, (uint16_t)(1 + below(1448)), 34, 16 };
    return 60 + below(NIC_FRAME_MAX - 60 + 1);
}

static void receive(struct fake_nic_host *host)
{
    static const uint16_t sizes[] = { 0, 13, 14, 17, 18, 59, 60, 64, 1514, 1518, 1519, 9000, 16380, 16381 };
    size_t size = below(3) ? below(1600) : sizes[below(14)];
    uint8_t *frame;
    struct nic_offload offload = { .flags = (uint8_t)below(4), .csum_start = (uint16_t)below(80),
                                   .csum_offset = (uint16_t)below(32) };
    struct nic_counters before, after;
    if ((nic_accepts(host->nic) & NIC_ACCEPTS_TSO) && below(3) == 0)
        size = ask_for_segments(&offload);
    frame = malloc(size + 1);
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

static void step(struct fake_nic_host *host);

static void steps(struct fake_nic_host *host, unsigned count)
{
    fake_nic_host_forget_frames(host);
    host->irq_raised = 0;
    for (unsigned i = 0; i < count; i++) {
        host->record = below(4) == 0;
        host->refuse_frames = below(16) == 0;
        host->no_room = below(8) == 0;
        step(host);
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
static void compare_with_twin(struct fake_nic_host *host)
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
    steps(&twin, 200);
    nic_set_trace(twin.nic, NULL, NULL, false); /* a trace looks at descriptors, too, which change when looked at */
    nic_set_trace(host->nic, NULL, NULL, false);
    memcpy(twin.memory, host->memory, FAKE_MEMORY_SIZE);
    twin.now = host->now;
    check(nic_restore(twin.nic, twin.now, image, size) == 0, "an image refused by another machine");
    uint64_t from_here = fuzz_nic_state;
    steps(host, count);
    uint64_t after = fuzz_nic_state;
    fuzz_nic_state = from_here;
    steps(&twin, count);
    check(fuzz_nic_state == after, "a restored NIC answers differently");
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

static void step(struct fake_nic_host *host)
{
    host->dma_calls = host->dma_bytes = 0;
    switch (below(16)) {
    case 0: case 1: case 2:
        receive(host);
        break;
    case 3:
        fake_nic_host_advance(host, below(200000));
        check(!host->deadline || host->deadline > host->now, "a timer that fires without end");
        if (driver->check_progress && below(50) == 0)
            driver->check_progress(host);
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
            compare_with_twin(host);
        break;
    case 8:
        if (below(100) == 0)
            nic_set_trace(host->nic, below(2) ? trace_line : NULL, &trace_lines, below(2));
        break;
    case 6:
        e1000_put_descriptor(host->memory + 0x1000 + 16 * below(256));
        break;
    default:
        driver->poke(host);
    }
    if (host->frame_count >= FAKE_FRAMES)
        fake_nic_host_forget_frames(host);
    check(host->dma_calls < CALLS_MAX && host->dma_bytes < BYTES_MAX, "unbounded work in one call");
}

static const struct driver *driver_of(const char *name)
{
    return strncmp(name, "e1000", 5) == 0 ? &e1000_driver : strcmp(name, "virtio-net") == 0 ? &virtio_driver : &dp8390_driver;
}

static void run(const char *name, uint64_t operations, uint64_t seed)
{
    struct fake_nic_host host;
    model = name;
    driver = driver_of(name);
    restores = trace_lines = twins = 0;
    memset(&fate, 0, sizeof fate);
    fuzz_nic_state = seed;
    for (const char *c = name; *c; c++) /* boards of one chip shall not all live the same life */
        fuzz_nic_state = fuzz_nic_state * 31 + (uint8_t)*c;
    fuzz_nic_state = fuzz_nic_state * 0x9e3779b97f4a7c15u | 1;
    fake_nic_host_start(&host, name);
    line_rate = below(2) ? 10 : 0;
    nic_set_line_rate(host.nic, line_rate);
    host.before_dma_read = driver->change_memory;
    driver->start(&host);
    for (operation = 0; operation < operations; operation++) {
        host.record = below(8) == 0;
        host.refuse_frames = below(16) == 0;
        host.no_room = below(8) == 0;
        step(&host);
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

/* The boards of one chip differ in little. */
static const struct { const char *model; unsigned part; } lives[] = {
    { "e1000", 1 }, { "e1000-82545em", 4 }, { "rtl8029", 1 }, { "ne2000", 1 }, { "rtl8019as", 1 }, { "ne2000-8bit", 4 }, { "ne1000", 4 },
    { "virtio-net", 1 },
};

int main(int argc, char **argv)
{
    uint64_t operations = argc > 1 ? strtoull(argv[1], NULL, 0) : 100000;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    for (size_t i = 0; i < sizeof lives / sizeof *lives; i++)
        if (argc <= 3 || strcmp(argv[3], lives[i].model) == 0)
            run(lives[i].model, operations / lives[i].part, seed);
    return 0;
}
