/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The paravirtual card's transmit queue: frames in every layout, what is still to be done
 * to them, a network without room, notifications and interrupts.
 */
#include "tests/unit/unit.h"
#include "tests/unit/virtio_fixture.h"

#include <string.h>

enum { QUIET = 50000 }; /* ns between two interrupts for what was sent */

static bool sent(unsigned index, size_t size)
{
    const struct fake_frame *f = &host.frames[index];
    return f->size == size && memcmp(f->bytes, make_frame(size), size) == 0;
}

/* Sizes up to the largest there is, shorter than any, and longer. */
static void sizes(void)
{
    static const struct { size_t size; bool good; } cases[] = {
        { 0, false }, { 13, false }, { 14, true }, { 60, true }, { 1514, true }, { 9000, true }, { NIC_FRAME_MAX, true },
        { NIC_FRAME_MAX + 1, false }, { 100000, false },
    };
    for (unsigned interface = 0; interface < 3; interface++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            if (interface)
                open_legacy(interface == 1 ? 0 : (uint32_t)F(MRG_RXBUF));
            else
                open_modern(0, 256);
            CU_ASSERT_EQUAL(vnet_header_size(card()), interface == 1 ? 10 : 12);
            memset(host.memory + TX_HEADER, 0, 12);
            memcpy(host.memory + TX_DATA, make_frame(cases[i].size <= NIC_FRAME_MAX ? cases[i].size : 0), cases[i].size <= NIC_FRAME_MAX ? cases[i].size : 0);
            tx_send(7, cases[i].size);
            CU_ASSERT_EQUAL_FATAL(host.frame_count, cases[i].good);
            CU_ASSERT_TRUE(!cases[i].good || sent(0, cases[i].size));
            CU_ASSERT_EQUAL(host.errors, !cases[i].good);
            CU_ASSERT_EQUAL(used(VNET_TX), 1); /* given back in any case */
            CU_ASSERT_EQUAL(used_head(VNET_TX, 0), 7);
            CU_ASSERT_EQUAL(used_size(VNET_TX, 0), 0);
            struct nic_counters c;
            nic_get_counters(host.nic, &c);
            CU_ASSERT_EQUAL(c.tx_frames, cases[i].good);
            CU_ASSERT_EQUAL(c.tx_bytes, cases[i].good ? cases[i].size : 0);
            CU_ASSERT_EQUAL(c.tx_errors, !cases[i].good);
        }
}

/* Header and frame in two pieces, cut anywhere; and three, with nothing between. */
static void splits(void)
{
    enum { TOTAL = 12 + 64 };
    for (unsigned indirect = 0; indirect < 2; indirect++)
        for (unsigned cut = 0; cut <= TOTAL; cut++) {
            open_modern(F(INDIRECT_DESC), 64);
            memset(host.memory + COMMAND, 0, 12);
            memcpy(host.memory + COMMAND + 12, make_frame(64), 64);
            uint64_t table = indirect ? TABLE : QUEUE(VNET_TX);
            desc_at(table, 3, COMMAND, cut, NEXT, 1);
            desc_at(table, 1, 0x5000000, 0, NEXT, 2); /* nothing, nowhere */
            desc_at(table, 2, COMMAND + cut, TOTAL - cut, 0, 0);
            if (indirect) {
                desc_at(TABLE, 0, COMMAND, cut, NEXT, 1);
                desc(VNET_TX, 3, TABLE, 16 * 4, INDIRECT, 0);
            }
            offer(VNET_TX, 3);
            notify(VNET_TX);
            CU_ASSERT_EQUAL_FATAL(host.frame_count, 1);
            CU_ASSERT_TRUE(sent(0, 64));
            CU_ASSERT_EQUAL(used_head(VNET_TX, 0), 3);
            CU_ASSERT_EQUAL(host.errors, 0);
        }
}

/* A byte each; as many as the queue holds, and what is behind a direct one in a table. */
static void many_pieces(void)
{
    for (unsigned direct = 0; direct <= 1; direct++) {
        open_modern(F(INDIRECT_DESC), 256);
        memset(host.memory + COMMAND, 0, 12);
        memcpy(host.memory + COMMAND + 12, make_frame(244), 244);
        uint64_t table = direct ? QUEUE(VNET_TX) : TABLE;
        for (unsigned i = 0; i < 256; i++)
            desc_at(table, i, COMMAND + i, 1, i < 255 ? NEXT : 0, i + 1);
        if (!direct)
            desc(VNET_TX, 0, TABLE, 256 * 16, INDIRECT | WRITE, 0); /* WRITE means nothing there */
        offer(VNET_TX, 0);
        notify(VNET_TX);
        CU_ASSERT_EQUAL_FATAL(host.frame_count, 1);
        CU_ASSERT_TRUE(sent(0, 244));
    }
    open_modern(F(INDIRECT_DESC), 256);
    tx_fill(make_frame(60), 60);
    desc(VNET_TX, 9, TX_HEADER, 12, NEXT, 4);
    desc(VNET_TX, 4, TABLE, 16, INDIRECT, 0);
    desc_at(TABLE, 0, TX_DATA, 60, 0, 0);
    offer(VNET_TX, 9);
    notify(VNET_TX);
    CU_ASSERT_EQUAL_FATAL(host.frame_count, 1);
    CU_ASSERT_TRUE(sent(0, 60));
    CU_ASSERT_EQUAL(used_head(VNET_TX, 0), 9);
}

/* Queues of all sizes, turned some times. */
static void ring_sizes(void)
{
    for (unsigned size = 1; size <= 256; size *= 2) {
        open_modern(0, size);
        memset(host.memory + COMMAND, 0, 12);
        memcpy(host.memory + COMMAND + 12, make_frame(60), 60);
        for (unsigned i = 0; i < 3 * size + 1; i++) {
            fake_nic_host_forget_frames(&host);
            desc(VNET_TX, i % size, COMMAND, 72, 0, 0);
            offer(VNET_TX, i % size);
            notify(VNET_TX);
            CU_ASSERT_EQUAL_FATAL(host.frame_count, 1);
            CU_ASSERT_TRUE(sent(0, 60));
            CU_ASSERT_EQUAL(used(VNET_TX), i + 1);
            CU_ASSERT_EQUAL(used_head(VNET_TX, i), i % size);
        }
        CU_ASSERT_EQUAL(host.errors, 0);
    }
}

/* --- offloads --------------------------------------------------------------- */

static const uint64_t needed[] = { F(CSUM), F(HOST_TSO4), F(HOST_TSO6), F(HOST_ECN) };

/* What may be asked for under which of the features; in the manual's words, by hand. */
static bool may_ask(uint64_t features, uint8_t flags, uint8_t gso)
{
    bool csum = features & F(CSUM), v4 = features & F(HOST_TSO4), v6 = features & F(HOST_TSO6), ecn = features & F(HOST_ECN);
    if ((flags & 1) && !csum)
        return false;
    if (gso == 0)
        return true;
    if (!(flags & 1) || ((gso & 0x80) && !ecn))
        return false;
    return ((gso & 0x7f) == 1 && v4) || ((gso & 0x7f) == 4 && v6);
}

/* Every combination of features, flags and kinds, as a legacy driver can have them without being weighed. */
static void offloads(void)
{
    static const uint8_t kinds[] = { 0, 1, 2, 3, 4, 5, 0x7f, 0x80, 0x81, 0x83, 0x84, 0xff };
    for (unsigned set = 0; set < 16; set++) {
        uint64_t features = 0;
        for (unsigned i = 0; i < 4; i++)
            features |= set >> i & 1 ? needed[i] : 0;
        for (unsigned flags = 0; flags < 8; flags++)
            for (size_t k = 0; k < sizeof kinds; k++) {
                open_legacy((uint32_t)features);
                tx_fill(make_frame(2000), 2000);
                *tx_header() = (struct vnet_header){ (uint8_t)flags, kinds[k], 54, 1448, 34, 16, 0 };
                tx_send(0, 2000);
                bool good = may_ask(features, (uint8_t)flags, kinds[k]);
                CU_ASSERT_EQUAL_FATAL(host.frame_count, good);
                CU_ASSERT_EQUAL(host.errors, !good);
                CU_ASSERT_EQUAL(used(VNET_TX), 1);
                if (!good)
                    continue;
                const struct nic_offload *o = &host.frames[0].offload;
                CU_ASSERT_EQUAL(o->flags, flags & 1);
                CU_ASSERT_EQUAL(o->gso_type, kinds[k]);
                CU_ASSERT_EQUAL(o->csum_start, flags & 1 ? 34 : 0);
                CU_ASSERT_EQUAL(o->csum_offset, flags & 1 ? 16 : 0);
                CU_ASSERT_EQUAL(o->gso_size, kinds[k] ? 1448 : 0);
                CU_ASSERT_EQUAL(o->hdr_len, kinds[k] ? 54 : 0);
            }
    }
}

/* Where the sum begins and goes, sizes of headers and segments: inside of the frame, or the frame is not sent. */
static void offload_limits(void)
{
    static const struct { uint16_t start, offset, header, segment; uint8_t gso; bool good; } cases[] = {
        { 34, 16, 0, 0, 0, true }, { 98, 0, 0, 0, 0, true }, { 99, 0, 0, 0, 0, false }, { 0, 98, 0, 0, 0, true }, { 0, 99, 0, 0, 0, false },
        { 50, 48, 0, 0, 0, true }, { 50, 49, 0, 0, 0, false }, { 0xffff, 0xffff, 0, 0, 0, false }, { 2, 0xfffe, 0, 0, 0, false },
        { 34, 16, 54, 1, 1, true }, { 34, 16, 54, 0, 1, false }, { 34, 16, 100, 9, 1, true }, { 34, 16, 101, 9, 1, false },
        { 34, 16, 0xffff, 9, 1, false }, { 34, 16, 0, 0xffff, 1, true },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        open_modern(F(CSUM) | F(HOST_TSO4), 16);
        tx_fill(make_frame(100), 100);
        *tx_header() = (struct vnet_header){ 1, cases[i].gso, cases[i].header, cases[i].segment, cases[i].start, cases[i].offset, 77 };
        tx_send(0, 100);
        if (host.frame_count != cases[i].good)
            fprintf(stderr, "case %zu\n", i);
        CU_ASSERT_EQUAL(host.frame_count, cases[i].good);
    }
}

/* --- the network's room ----------------------------------------------------- */

static void no_room(void)
{
    open_modern(0, 16);
    tx_fill(make_frame(60), 60);
    host.no_room = true;
    tx_send(0, 60);
    CU_ASSERT_EQUAL(host.frame_count, 0);
    CU_ASSERT_EQUAL(used(VNET_TX), 0);
    CU_ASSERT_FALSE(host.irq);
    CU_ASSERT_EQUAL(host.deadline, host.now + NIC_NO_ROOM_NS);
    CU_ASSERT_EQUAL(used_flags(VNET_TX), 1); /* the timer needs no reminder */
    unsigned timers = host.timers_set;
    tx_send(2, 60);
    CU_ASSERT_EQUAL(host.timers_set, timers);
    host.deadline = 0;
    nic_timer(host.nic, host.now); /* too early: it is armed again */
    CU_ASSERT_EQUAL(host.deadline, host.now + NIC_NO_ROOM_NS);
    fake_nic_host_advance(&host, NIC_NO_ROOM_NS - 1);
    host.no_room = false;
    notify(VNET_TX); /* no reason to ask before */
    CU_ASSERT_EQUAL(host.frame_count, 0);
    fake_nic_host_advance(&host, 1);
    CU_ASSERT_EQUAL(host.frame_count, 2);
    CU_ASSERT_EQUAL(host.flushed, 1);
    CU_ASSERT_EQUAL(used(VNET_TX), 2);
    CU_ASSERT_TRUE(host.irq);
    CU_ASSERT_EQUAL(used_flags(VNET_TX), 0);
    CU_ASSERT_EQUAL(host.deadline, 0);
    host.no_room = true; /* and again, as long as it takes */
    tx_send(4, 60);
    fake_nic_host_advance(&host, 20 * NIC_NO_ROOM_NS);
    CU_ASSERT_EQUAL(host.frame_count, 2);
    CU_ASSERT_TRUE(host.deadline > host.now);
    nic_set_link(host.nic, false, host.now); /* without a link nothing waits */
    fake_nic_host_advance(&host, NIC_NO_ROOM_NS);
    CU_ASSERT_EQUAL(used(VNET_TX), 3);
    CU_ASSERT_EQUAL(host.frame_count, 2);
}

static unsigned rooms, rooms_left;

static bool room_for_some(void *opaque)
{
    (void)opaque;
    rooms++;
    return rooms_left && rooms_left--;
}

/* The network is asked again before what it takes at once is exceeded, in frames and in bytes. */
static void room_is_asked_for(void)
{
    for (unsigned large = 0; large < 2; large++) {
        size_t size = large ? 65000 : 60;
        open_modern(0, 128);
        tx_fill(make_frame(size), size);
        host.nic->host.has_room = room_for_some;
        rooms = 0;
        rooms_left = 2;
        for (unsigned i = 0; i < 128; i += 2) {
            desc(VNET_TX, i, TX_HEADER, 12, NEXT, i + 1);
            desc(VNET_TX, i + 1, TX_DATA, (uint32_t)size, 0, 0);
            offer(VNET_TX, i);
        }
        notify(VNET_TX);
        CU_ASSERT_EQUAL(rooms, 3);
        CU_ASSERT_TRUE(host.frame_count >= 2 && host.frame_count <= NIC_BURST);
        CU_ASSERT_TRUE(host.frame_count * size <= (400u << 10));
        CU_ASSERT_EQUAL(used(VNET_TX), host.frame_count);
    }
}

static void refused_frames(void)
{
    struct nic_counters c;
    open_modern(0, 16);
    tx_fill(make_frame(60), 60);
    host.refuse_frames = true;
    tx_send(0, 60);
    nic_get_counters(host.nic, &c);
    CU_ASSERT_EQUAL(c.tx_frames, 0);
    CU_ASSERT_EQUAL(c.tx_errors, 1);
    CU_ASSERT_EQUAL(used(VNET_TX), 1);
}

/* A burst is flushed once, shown once, and one interrupt. */
static void burst(void)
{
    open_modern(0, 256);
    memset(host.memory + COMMAND, 0, 12);
    memcpy(host.memory + COMMAND + 12, make_frame(60), 60);
    for (unsigned i = 0; i < 100; i++) {
        desc(VNET_TX, i, COMMAND, 72, 0, 0);
        offer(VNET_TX, i);
    }
    host.dma_calls = 0;
    notify(VNET_TX);
    CU_ASSERT_EQUAL(host.frame_count, 100);
    CU_ASSERT_TRUE(host.dma_calls <= 100 * 4 + 5); /* each frame: its entry, descriptor, bytes, and that it is used */
    CU_ASSERT_EQUAL(host.flushed, 1);
    CU_ASSERT_EQUAL(host.irq_raised, 1);
    CU_ASSERT_EQUAL(used(VNET_TX), 100);
    notify(VNET_TX); /* nothing more */
    CU_ASSERT_EQUAL(host.flushed, 1);
}

/* What was made available before the driver is at work is sent when it is, and only then. */
static void sent_at_start(void)
{
    virtio_fixture_restart();
    set_status(3);
    offer_features(F(VERSION_1));
    set_status(11);
    set_queue(VNET_TX, 16);
    tx_fill(make_frame(60), 60);
    tx_send(0, 60);
    CU_ASSERT_EQUAL(host.frame_count, 0);
    CU_ASSERT_EQUAL(used(VNET_TX), 0);
    set_status(15);
    CU_ASSERT_EQUAL(host.frame_count, 1);
    set_status(15); /* as it is */
    CU_ASSERT_EQUAL(host.accepts_changed, 1);
}

/* A run ends after some MiB, and is gone on with by itself. */
static void long_run(void)
{
    open_modern(0, 256);
    tx_fill(make_frame(60000), 60000);
    for (unsigned i = 0; i < 128; i++) {
        desc(VNET_TX, 2 * i, TX_HEADER, 12, NEXT, 2 * i + 1);
        desc(VNET_TX, 2 * i + 1, TX_DATA, 60000, 0, 0);
        offer(VNET_TX, 2 * i);
    }
    host.dma_bytes = 0;
    host.record = false;
    notify(VNET_TX);
    CU_ASSERT_TRUE(host.frame_count >= 60 && host.frame_count < 80);
    CU_ASSERT_TRUE(host.dma_bytes < (5u << 20));
    CU_ASSERT_EQUAL(used(VNET_TX), host.frame_count);
    CU_ASSERT_TRUE(host.deadline > host.now && host.deadline < host.now + 1000000);
    fake_nic_host_advance(&host, 10000000);
    CU_ASSERT_EQUAL(host.frame_count, 128);
    CU_ASSERT_EQUAL(used(VNET_TX), 128);
}

/* --- interrupts and notifications ----------------------------------------------- */

static void interrupts(void)
{
    open_modern(0, 16);
    tx_fill(make_frame(60), 60);
    tx_send(0, 60);
    CU_ASSERT_TRUE(host.irq);
    CU_ASSERT_EQUAL(isr(), 1);
    CU_ASSERT_FALSE(host.irq);
    fake_nic_host_advance(&host, QUIET);
    set_avail_flags(VNET_TX, 1);
    tx_send(2, 60);
    CU_ASSERT_FALSE(host.irq);
    CU_ASSERT_EQUAL(isr(), 0);
    fake_nic_host_advance(&host, QUIET);
    CU_ASSERT_FALSE(host.irq);
    set_avail_flags(VNET_TX, 0xfffe); /* other bits mean nothing */
    tx_send(4, 60);
    CU_ASSERT_TRUE(host.irq);
    open_legacy(0);
    tx_fill(make_frame(60), 60);
    tx_send(0, 60);
    CU_ASSERT_TRUE(host.irq);
    CU_ASSERT_EQUAL(lr(L_STATUS, 2) >> 8, 0); /* reads STATUS alone */
    CU_ASSERT_TRUE(host.irq);
    CU_ASSERT_EQUAL(isr(), 1);
    CU_ASSERT_FALSE(host.irq);
}

/* Not every frame: the next interrupt comes a while later, for all that was sent meanwhile. */
static void now_and_then(void)
{
    open_modern(0, 16);
    tx_fill(make_frame(60), 60);
    tx_send(0, 60);
    CU_ASSERT_EQUAL(isr(), 1);
    CU_ASSERT_EQUAL(host.deadline, 0);
    tx_send(2, 60);
    fake_nic_host_advance(&host, QUIET / 2);
    unsigned timers = host.timers_set;
    tx_send(4, 60);
    CU_ASSERT_EQUAL(host.timers_set, timers);
    CU_ASSERT_EQUAL(used(VNET_TX), 3); /* seen at once by whoever looks */
    fake_nic_host_advance(&host, QUIET - QUIET / 2 - 1);
    CU_ASSERT_FALSE(host.irq);
    fake_nic_host_advance(&host, 1);
    CU_ASSERT_TRUE(host.irq);
    CU_ASSERT_EQUAL(isr(), 1);
    fake_nic_host_advance(&host, 10 * QUIET);
    CU_ASSERT_FALSE(host.irq);
    CU_ASSERT_EQUAL(host.deadline, 0);
    tx_send(6, 60);
    CU_ASSERT_TRUE(host.irq);
    isr();
    tx_send(8, 60);
    host.no_room = true; /* both wait: each for its moment */
    fake_nic_host_advance(&host, 1000);
    tx_send(10, 60);
    CU_ASSERT_EQUAL(host.deadline, host.now - 1000 + QUIET);
    fake_nic_host_advance(&host, QUIET - 1000);
    CU_ASSERT_TRUE(host.irq);
    CU_ASSERT_EQUAL(host.deadline, host.now + 1000);
    CU_ASSERT_EQUAL(used(VNET_TX), 5);
    host.no_room = false;
    fake_nic_host_advance(&host, 1000);
    CU_ASSERT_EQUAL(used(VNET_TX), 6);
    set_status(0);
    CU_ASSERT_EQUAL(host.deadline, 0);
}

/* The event index, all around its 16 bits: an interrupt exactly where the used index passes it. */
static void event_index(void)
{
    open_modern(F(EVENT_IDX), 16);
    memset(host.memory + COMMAND, 0, 12);
    memcpy(host.memory + COMMAND + 12, make_frame(60), 60);
    set_avail_flags(VNET_TX, 1); /* means nothing now */
    host.record = false;
    unsigned wrong = 0, expected = 0;
    uint16_t event = 3;
    for (unsigned turn = 0; turn < 140000 / 5; turn++) {
        unsigned burst = 1 + turn % 9;
        uint16_t before = used(VNET_TX);
        event = (uint16_t)(turn % 3 ? before + turn % 11 - 2 : event);
        set_used_event(VNET_TX, event);
        for (unsigned i = 0; i < burst; i++) {
            desc(VNET_TX, i, COMMAND, 72, 0, 0);
            offer(VNET_TX, i);
        }
        notify(VNET_TX);
        fake_nic_host_advance(&host, QUIET);
        uint16_t after = used(VNET_TX);
        bool passed = false;
        for (uint16_t at = before; at != after; at++)
            passed |= at == event;
        expected += passed;
        wrong += host.irq != passed || (uint16_t)(after - before) != burst;
        wrong += isr() != passed;
        wrong += avail_event(VNET_TX) != after; /* notified of the next one */
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_TRUE(expected > 1000 && host.frame_count > 2 * 65536 && host.errors == 0);
}

/* While the timer will go on by itself, the driver is not asked for notifications, by either means. */
static void notifications(void)
{
    for (unsigned events = 0; events < 2; events++) {
        open_modern(events ? F(EVENT_IDX) : 0, 16);
        tx_fill(make_frame(60), 60);
        CU_ASSERT_EQUAL(events ? avail_event(VNET_TX) : used_flags(VNET_TX), 0);
        tx_send(0, 60);
        CU_ASSERT_EQUAL(events ? avail_event(VNET_TX) : used_flags(VNET_TX), events);
        host.no_room = true;
        tx_send(2, 60);
        /* the index that the driver reaches last */
        CU_ASSERT_EQUAL(events ? avail_event(VNET_TX) : used_flags(VNET_TX), events ? 0 : 1);
        host.no_room = false;
        fake_nic_host_advance(&host, NIC_NO_ROOM_NS);
        CU_ASSERT_EQUAL(events ? avail_event(VNET_TX) : used_flags(VNET_TX), events ? 2 : 0);
        CU_ASSERT_EQUAL(host.frame_count, 2);
    }
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "sizes", sizes },
        { "header and frame cut anywhere", splits },
        { "many pieces", many_pieces },
        { "queues of all sizes", ring_sizes },
        { "offloads", offloads },
        { "cve class D, M: limits of offloads", offload_limits },
        { "no room in the network", no_room },
        { "room is asked for", room_is_asked_for },
        { "frames refused by the network", refused_frames },
        { "a burst", burst },
        { "sent at the start", sent_at_start },
        { "a long run", long_run },
        { "interrupts", interrupts },
        { "interrupts now and then", now_and_then },
        { "event index", event_index },
        { "notifications", notifications },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("virtio_tx", tests, virtio_fixture_start, virtio_fixture_stop);
}
