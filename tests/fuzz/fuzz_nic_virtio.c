/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A random driver for the paravirtual card, by both of its interfaces: queues that mostly
 * make sense, whose indexes and descriptors are bent now and then, registers poked at will,
 * and a transmit queue that may run must come to an end.
 */
#include "nicemu/virtio_net.h"
#include "tests/fuzz/fuzz_nic.h"

#include <string.h>

#define PLACE(q) (0x10000u * ((q) + 1u)) /* as a legacy driver's 256 descriptors have to lie */
#define AVAIL 0x1000u
#define USED 0x2000u
#define TABLES 0x8000u                   /* behind each queue: of indirect descriptors, 256 bytes a head */
#define DATA 0x48000u

/* Of one call, which may be one that starts all queues: each has a run, and reads descriptors and what they name. */
#define CALLS_MOST (VNET_QUEUES * (2 * VNET_RUN_DESCRIPTORS + 2000))

enum { NEXT = 1, WRITE = 2, INDIRECT = 4 };

static const struct virtio_net *card(const struct fake_nic_host *host) { return (const struct virtio_net *)host->nic; }
static void mw(struct fake_nic_host *host, uint32_t at, unsigned size, uint32_t v) { nic_write(host->nic, 1, at, size, v, host->now); }
static void lw(struct fake_nic_host *host, uint32_t at, unsigned size, uint32_t v) { nic_write(host->nic, 0, at, size, v, host->now); }

static uint16_t get16(const struct fake_nic_host *host, uint32_t at)
{
    uint16_t v;
    memcpy(&v, host->memory + at, 2);
    return v;
}

static void put16(struct fake_nic_host *host, uint32_t at, uint32_t v)
{
    uint16_t half = (uint16_t)v;
    memcpy(host->memory + at, &half, 2);
}

/* Another thread of the guest writes where the card reads. */
void virtio_change_memory(struct fake_nic_host *host, uint64_t address, size_t size)
{
    if (address >= FAKE_MEMORY_SIZE - 16 || size < 2 || size > 4096 || below(1000))
        return;
    uint32_t at = (uint32_t)address + (below((uint32_t)size) & ~1u);
    if (at < FAKE_MEMORY_SIZE - 2)
        put16(host, at, below(2) ? get16(host, at) + below(5) - 2 : value());
}

/* --- chains ------------------------------------------------------------------- */

static uint64_t somewhere(void)
{
    return below(100) ? DATA + below(FAKE_MEMORY_SIZE - DATA - 70000) : (uint64_t)draw() << (below(2) ? 0 : 32) | draw();
}

static void put_desc(struct fake_nic_host *host, uint32_t table, uint32_t index, uint64_t address, uint32_t size, uint32_t flags)
{
    uint32_t at = table + 16 * index;
    if (below(500) == 0)
        flags ^= 1u << below(4);
    memcpy(host->memory + at, &address, 8);
    memcpy(host->memory + at + 8, &size, 4);
    put16(host, at + 12, flags);
    put16(host, at + 14, below(500) ? index + 1 : below(300));
}

/* At `address`, ahead of a frame of `size`. */
static void put_header(struct fake_nic_host *host, uint64_t address, uint32_t size)
{
    struct vnet_header h = { .num_buffers = 0 };
    if (address > FAKE_MEMORY_SIZE - 12)
        return;
    if (below(2)) {
        h = (struct vnet_header){ .flags = (uint8_t)(below(4) ? 1 : draw()), .csum_start = (uint16_t)below(60), .csum_offset = (uint16_t)below(20) };
        if (size > 200 && below(2)) {
            h.gso_type = (uint8_t)(below(8) ? (below(2) ? 1 : 4) | (below(4) ? 0 : 0x80) : draw());
            h.hdr_len = (uint16_t)(below(8) ? 54 : draw());
            h.gso_size = (uint16_t)(below(8) ? 100 + below(1400) : draw());
        }
    }
    memcpy(host->memory + address, &h, vnet_header_size(card(host)));
}

static void put_command(struct fake_nic_host *host, uint64_t address)
{
    uint8_t command[2 + 6 * 80] = { (uint8_t)below(3), (uint8_t)below(3), (uint8_t)below(2) };
    if (address > FAKE_MEMORY_SIZE - sizeof command)
        return;
    if (command[0] == 1 && command[1] == 0)
        command[2] = (uint8_t)below(80), command[6 + 6 * command[2] <= 400 ? 6 + 6 * command[2] : 6] = (uint8_t)below(80);
    memcpy(host->memory + address, command, sizeof command);
}

static uint32_t total_of(unsigned queue)
{
    switch (queue) {
    case VNET_RX: return below(4) ? 1600 : below(20) ? below(4000) : 70000;
    case VNET_TX: return below(8) ? 26 + below(1600) : below(70000);
    default: return below(2) ? 3 : below(8) ? below(500) : below(70000);
    }
}

/* One chain of a few pieces, most of which make sense; its first descriptor. Chains of one queue lie over each other. */
static uint32_t put_chain(struct fake_nic_host *host, unsigned queue, uint32_t size_of_queue)
{
    uint32_t pieces = 1 + below(queue == VNET_RX ? 2 : 4), head = below(size_of_queue), total = total_of(queue);
    bool indirect = card(host)->ring[queue].indirect ? below(2) : below(300) == 0;
    uint32_t table = PLACE(queue), index = head, flags = queue == VNET_RX ? WRITE : 0;
    uint64_t address = somewhere();
    if (indirect) {
        table += TABLES + 256 * (head % 64);
        index = 0;
        put_desc(host, PLACE(queue), head, below(300) ? table : somewhere(), 16 * (below(300) ? pieces + (queue == VNET_CONTROL) : below(300)), INDIRECT);
    } else if (index + pieces + 1 > size_of_queue) {
        pieces = 1;
    }
    if (queue == VNET_TX)
        put_header(host, address, total);
    else if (queue == VNET_CONTROL)
        put_command(host, address);
    for (uint32_t i = 0; i < pieces; i++) {
        bool last = i + 1 == pieces;
        uint32_t part = last ? total : below(3) ? below(total + 1) : i == 0 && total > 12 ? vnet_header_size(card(host)) : 0;
        put_desc(host, table, index + i, address, part, flags | (last && queue != VNET_CONTROL ? 0 : NEXT));
        address += part;
        total -= part;
    }
    if (queue == VNET_CONTROL)
        put_desc(host, table, index + pieces, somewhere(), 1, WRITE);
    return head;
}

static void notify(struct fake_nic_host *host, unsigned queue)
{
    if (below(2))
        lw(host, 16, 2, queue);
    else
        mw(host, VNET_NOTIFY + VNET_NOTIFY_STEP * queue, 2, queue);
}

/* Some chains, as many as the queue has room for, mostly. */
static void give(struct fake_nic_host *host, unsigned queue, uint32_t count)
{
    uint32_t size = card(host)->ring[queue].size, avail = PLACE(queue) + AVAIL, used = PLACE(queue) + USED;
    uint16_t index = get16(host, avail + 2);
    for (; count && (uint16_t)(index - get16(host, used + 2)) < size; count--)
        put16(host, avail + 4 + 2 * (index++ % size), below(500) ? put_chain(host, queue, size) : value());
    put16(host, avail + 2, below(2000) ? index : value());
    if (below(4) == 0)
        put16(host, avail, below(2));
    if (below(2))
        put16(host, avail + 4 + 2 * size, get16(host, used + 2) + below(8) - 2);
    if (below(4) || queue != VNET_RX)
        notify(host, queue);
}

/* --- set-up ------------------------------------------------------------------- */

static uint64_t choose_features(void)
{
    uint64_t all = vnet_offered & ~(UINT64_C(1) << VNET_F_CTRL_RX);
    if (below(2))
        all |= UINT64_C(1) << VNET_F_CTRL_RX;
    if (below(3) == 0)
        all &= ~(UINT64_C(1) << below(30));
    if (below(3) == 0)
        all &= ~(UINT64_C(1) << VNET_F_MRG_RXBUF);
    if (below(4) == 0)
        all &= draw() | UINT64_C(1) << VNET_F_VERSION_1;
    return below(30) ? all : all ^ UINT64_C(1) << below(64);
}

static void start_legacy(struct fake_nic_host *host)
{
    lw(host, 18, 1, 0);
    lw(host, 18, 1, 3);
    lw(host, 4, 4, (uint32_t)choose_features());
    for (unsigned q = 0; q < VNET_QUEUES; q++) {
        lw(host, 14, 2, q);
        lw(host, 8, 4, PLACE(q) >> 12);
    }
    lw(host, 18, 1, 7);
}

static void start_modern(struct fake_nic_host *host)
{
    static const uint32_t parts[] = { 0, AVAIL, USED };
    uint64_t features = choose_features();
    mw(host, 0x14, 1, 0);
    mw(host, 0x14, 1, 3);
    for (unsigned half = 0; half < 2; half++) {
        mw(host, 0x08, 4, half);
        mw(host, 0x0c, 4, (uint32_t)(features >> 32 * half));
    }
    mw(host, 0x14, 1, 11);
    for (unsigned q = 0; q < VNET_QUEUES; q++) {
        mw(host, 0x16, 2, q);
        mw(host, 0x18, 2, below(30) ? 1u << below(9) : value());
        for (unsigned i = 0; i < 3; i++) {
            mw(host, 0x20 + 8 * i, 4, below(300) ? PLACE(q) + parts[i] : value());
            mw(host, 0x24 + 8 * i, 4, below(300) ? 0 : value());
        }
        mw(host, 0x1c, 2, 1);
    }
    mw(host, 0x14, 1, 15);
}

void virtio_start(struct fake_nic_host *host)
{
    nic_set_link(host->nic, below(16), host->now);
    for (unsigned q = 0; q < VNET_QUEUES; q++)
        memset(host->memory + PLACE(q) + AVAIL, 0, 0x2000);
    if (below(2))
        start_legacy(host);
    else
        start_modern(host);
    give(host, VNET_RX, 256);
}

/* --- pokes -------------------------------------------------------------------- */

static void poke_register(struct fake_nic_host *host)
{
    static const uint16_t common[] = { 0x00, 0x04, 0x08, 0x0c, 0x10, 0x12, 0x14, 0x15, 0x16, 0x18, 0x1a, 0x1c, 0x1e, 0x20, 0x24,
                                       0x28, 0x2c, 0x30, 0x34, 0x40, 0x80, 0x84, 0x86, 0x800, 0x804, 0x808, 0x80c };
    unsigned bar = below(2), size = 1u << below(3);
    uint32_t offset = bar == 0 ? below(32) : below(4) ? common[below(sizeof common / sizeof *common)] : below(0x1000);
    if (bar == 1 && below(2) && offset < 0x38)
        size = offset >= 0x20 || offset < 0x10 ? 4 : offset == 0x14 || offset == 0x15 ? 1 : 2;
    if (below(3))
        nic_read(host->nic, bar, offset, size, host->now);
    else if (below(4) || !(offset == 18 || offset == 0x14 || (bar == 0 && offset == 8))) /* resets are seldom */
        nic_write(host->nic, bar, offset, size, value() | (offset == 18 || offset == 0x14), host->now);
}

static void check_state(const struct fake_nic_host *host)
{
    const struct virtio_net *v = card(host);
    check(host->irq == (v->isr != 0), "line and cause differ");
    for (unsigned q = 0; q < VNET_QUEUES; q++) {
        const struct virtio_ring *r = &v->ring[q];
        check((uint16_t)(r->seen_avail - r->next_avail) <= r->size, "more to come than the queue holds");
        check(!r->broken || (v->status & VNET_S_NEEDS_RESET), "a broken queue that the driver is not told of");
    }
    check(v->filter.count <= VNET_ADDRESSES && !v->tx_running, "impossible state");
    check(host->dma_calls < CALLS_MOST, "too much work in one call");
}

void virtio_poke(struct fake_nic_host *host)
{
    const struct virtio_net *v = card(host);
    switch (below(8)) {
    case 0: poke_register(host); break;
    case 1: case 2: give(host, VNET_TX, 1 + below(20)); break;
    case 3: give(host, VNET_CONTROL, 1 + below(2)); break;
    case 4: nic_read(host->nic, below(2), 19 + below(2) * 45, 1, host->now); break; /* ISR, of either */
    default: give(host, VNET_RX, 1 + below(256));
    }
    if (below(v->status & VNET_S_NEEDS_RESET || !(v->status & VNET_S_DRIVER_OK) ? 5 : 2000) == 0)
        virtio_start(host);
    check_state(host);
}

/* What is in a transmit queue that may run is taken in a while; what the timer does needs no notification. */
void virtio_check_progress(struct fake_nic_host *host)
{
    const struct virtio_net *v = card(host);
    const struct virtio_ring *r = &v->ring[VNET_TX];
    uint32_t avail = (uint32_t)r->avail;
    if (!vnet_is_on(v) || !r->enabled || r->avail > FAKE_MEMORY_SIZE - 4096)
        return;
    host->no_room = false;
    notify(host, VNET_TX);
    for (unsigned i = 0; i < 20; i++) {
        host->dma_calls = host->dma_bytes = 0;
        fake_nic_host_advance(host, 1000000);
    }
    host->dma_calls = host->dma_bytes = 0;
    check(r->broken || v->tx_again || r->next_avail == get16(host, avail + 2), "a transmit queue that stands still");
    check(!v->tx_again && !v->tx_untold, "a timer that never ends");
}
