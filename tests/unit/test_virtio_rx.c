/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The paravirtual card's receive queue: buffers merged and not, too few of them, work still
 * to be done to frames, interrupts.
 */
#include "nicemu/inet_checksum.h"
#include "tests/unit/unit.h"
#include "tests/unit/virtio_fixture.h"

#include <string.h>

#define MERGED F(MRG_RXBUF)

static struct nic_counters counters(void)
{
    struct nic_counters c;
    nic_get_counters(host.nic, &c);
    return c;
}

/* One buffer, of exactly what is needed and of more; headers of 10 and of 12 bytes. */
static void one_buffer(void)
{
    static const size_t sizes[] = { 14, 60, 1514, 2036 };
    for (unsigned interface = 0; interface < 4; interface++)
        for (unsigned i = 0; i < 4; i++)
            for (unsigned more = 0; more < 2; more++) {
                if (interface < 2)
                    open_modern(interface ? MERGED : 0, 256);
                else
                    open_legacy(interface == 3 ? (uint32_t)MERGED : 0);
                unsigned header = interface == 2 ? 10 : 12;
                memset(host.memory + RX_BUFFERS, 0xee, 4096);
                rx_give(0, 1, (uint32_t)(header + sizes[i]) + more * 100);
                CU_ASSERT_EQUAL(rx(sizes[i]), NIC_RX_TAKEN);
                CU_ASSERT_EQUAL(used(VNET_RX), 1);
                CU_ASSERT_EQUAL(used_head(VNET_RX, 0), 0);
                CU_ASSERT_EQUAL(used_size(VNET_RX, 0), header + sizes[i]);
                CU_ASSERT_EQUAL(memcmp(rx_buffer(0), "\0\0\0\0\0\0\0\0\0\0\1\0", header), 0);
                CU_ASSERT_EQUAL(memcmp(rx_buffer(0) + header, make_frame(sizes[i]), sizes[i]), 0);
                CU_ASSERT_EQUAL(rx_buffer(0)[header + sizes[i]], 0xee);
                CU_ASSERT_TRUE(host.irq);
                CU_ASSERT_EQUAL(host.errors, 0);
                CU_ASSERT_EQUAL(counters().rx_frames, 1);
                CU_ASSERT_EQUAL(counters().rx_bytes, sizes[i]);
            }
}

/* Header in one piece, frame in another, and cut anywhere. */
static void pieces(void)
{
    for (unsigned cut = 0; cut <= 72; cut++) {
        open_legacy(0);
        desc(VNET_RX, 5, RX_BUFFERS, cut, WRITE | NEXT, 7);
        desc(VNET_RX, 7, RX_BUFFERS + 4096, 72 - cut, WRITE, 0);
        offer(VNET_RX, 5);
        CU_ASSERT_EQUAL(rx(62), NIC_RX_TAKEN);
        uint8_t all[72];
        memcpy(all, host.memory + RX_BUFFERS, cut);
        memcpy(all + cut, host.memory + RX_BUFFERS + 4096, 72 - cut);
        CU_ASSERT_EQUAL(memcmp(all + 10, make_frame(62), 62), 0);
        CU_ASSERT_EQUAL(used_head(VNET_RX, 0), 5);
        CU_ASSERT_EQUAL(used_size(VNET_RX, 0), 72);
    }
}

/* A frame over several buffers: all sizes around where one is full exactly. */
static void merged(void)
{
    enum { SIZE = 100 };
    for (size_t size = 14; size <= 3 * SIZE + 40; size++) {
        unsigned needs = (unsigned)((12 + size + SIZE - 1) / SIZE);
        open_modern(MERGED, 256);
        memset(host.memory + RX_BUFFERS, 0xee, 16384);
        rx_give(0, 5, SIZE);
        CU_ASSERT_EQUAL(rx(size), NIC_RX_TAKEN);
        CU_ASSERT_EQUAL_FATAL(used(VNET_RX), needs);
        CU_ASSERT_EQUAL(rx_header(0).num_buffers, needs);
        uint8_t all[4 * SIZE];
        for (unsigned i = 0; i < needs; i++) {
            size_t here = i < needs - 1 ? SIZE : 12 + size - i * SIZE;
            CU_ASSERT_EQUAL(used_head(VNET_RX, i), i);
            CU_ASSERT_EQUAL(used_size(VNET_RX, i), here);
            CU_ASSERT_EQUAL(rx_buffer(i)[here], 0xee);
            memcpy(all + i * SIZE, rx_buffer(i), SIZE);
        }
        CU_ASSERT_EQUAL(memcmp(all + 12, make_frame(size), size), 0);
        CU_ASSERT_EQUAL(host.irq_raised, 1);
        CU_ASSERT_EQUAL(host.errors, 0);
    }
}

/* The largest frame, into all of a queue; and each buffer in pieces of its own. */
static void largest(void)
{
    for (unsigned two = 0; two < 2; two++) {
        open_modern(MERGED | F(INDIRECT_DESC), 256);
        for (unsigned i = 0; i < 128; i++) {
            uint64_t address = RX_BUFFERS + 1024 * i;
            desc_at(TABLE, 2 * i, address, 500, WRITE | NEXT, 1);
            desc_at(TABLE, 2 * i + 1, address + 500, 524, WRITE, 0);
            if (two)
                desc(VNET_RX, i, TABLE + 32 * i, 32, INDIRECT, 0);
            else
                desc(VNET_RX, i, address, 1024, WRITE, 0);
            offer(VNET_RX, i);
        }
        CU_ASSERT_EQUAL(rx(NIC_FRAME_MAX), NIC_RX_TAKEN);
        CU_ASSERT_EQUAL(used(VNET_RX), (NIC_FRAME_MAX + 12 + 1023) / 1024);
        CU_ASSERT_EQUAL(memcmp(host.memory + RX_BUFFERS + 12, make_frame(NIC_FRAME_MAX), NIC_FRAME_MAX), 0);
    }
}

/* Too few: the frame waits, nothing is used; the driver is to say when there are more, and the machine is told. */
static void too_few(void)
{
    for (unsigned events = 0; events < 2; events++) {
        open_modern(MERGED | (events ? F(EVENT_IDX) : 0), 16);
        CU_ASSERT_EQUAL(events ? avail_event(VNET_RX) : used_flags(VNET_RX), events ? 0xffff : 1);
        rx_give(0, 2, 100);
        notify(VNET_RX);
        CU_ASSERT_EQUAL(host.ready, 0);
        CU_ASSERT_EQUAL(rx(300), NIC_RX_FULL);
        CU_ASSERT_EQUAL(used(VNET_RX), 0);
        CU_ASSERT_FALSE(host.irq);
        CU_ASSERT_EQUAL(events ? avail_event(VNET_RX) : used_flags(VNET_RX), events ? 2 : 0);
        rx_give(2, 1, 100);
        notify(VNET_RX);
        CU_ASSERT_EQUAL(host.ready, 1);
        CU_ASSERT_EQUAL(rx(300), NIC_RX_FULL); /* still too few */
        CU_ASSERT_EQUAL(events ? avail_event(VNET_RX) : used_flags(VNET_RX), events ? 3 : 0);
        rx_give(3, 1, 12);
        notify(VNET_RX);
        CU_ASSERT_EQUAL(host.ready, 2);
        CU_ASSERT_EQUAL(events ? avail_event(VNET_RX) : used_flags(VNET_RX), events ? 2 : 1); /* none waits now */
        CU_ASSERT_EQUAL(rx(300), NIC_RX_TAKEN);
        CU_ASSERT_EQUAL(used(VNET_RX), 4);
        CU_ASSERT_EQUAL(used_size(VNET_RX, 3), 12);
        notify(VNET_RX);
        CU_ASSERT_EQUAL(host.ready, 2);
        CU_ASSERT_EQUAL(counters().rx_dropped_full, 0);
        nic_receive_lost(host.nic, 60, host.now);
        CU_ASSERT_EQUAL(counters().rx_dropped_full, 1);
    }
}

/* A frame that waits outlives the driver: the machine has been told to keep it. */
static void waits_over_reset(void)
{
    open_modern(0, 16);
    CU_ASSERT_EQUAL(rx(60), NIC_RX_FULL);
    set_status(0);
    CU_ASSERT_EQUAL(host.ready, 0);
    set_status(3);
    offer_features(F(VERSION_1));
    set_status(11);
    set_queue(VNET_RX, 16);
    notify(VNET_RX);
    CU_ASSERT_EQUAL(host.ready, 0);
    set_status(15);
    CU_ASSERT_EQUAL(host.ready, 1);
}

/* All that a queue holds is not enough: no driver can give more, and the frame is lost. */
static void queue_too_small(void)
{
    for (unsigned size = 2; size <= 16; size *= 2) {
        open_modern(MERGED, size);
        rx_give(0, size, 20);
        CU_ASSERT_EQUAL(rx(20 * size - 12 + 1), NIC_RX_TAKEN);
        CU_ASSERT_EQUAL(counters().rx_dropped_full, 1);
        CU_ASSERT_EQUAL(used(VNET_RX), 0);
        size_t fits = 20 * size - 12;
        CU_ASSERT_EQUAL(rx(fits), NIC_RX_TAKEN);
        CU_ASSERT_EQUAL(used(VNET_RX), size);
        CU_ASSERT_EQUAL(host.errors, 0);
    }
}

/* The same where each buffer takes two of its descriptors: half as many chains are all. */
static void queue_of_pairs_too_small(void)
{
    open_modern(MERGED, 16);
    for (unsigned i = 0; i < 16; i += 2) {
        desc(VNET_RX, i, RX_BUFFERS + 2048 * i, 20, NEXT | WRITE, i + 1);
        desc(VNET_RX, i + 1, RX_BUFFERS + 2048 * (i + 1), 20, WRITE, 0);
        if (i == 14) { /* one is still to come */
            CU_ASSERT_EQUAL(rx(20 * 16 - 12 + 1), NIC_RX_FULL);
            CU_ASSERT_EQUAL(counters().rx_dropped_full, 0);
        }
        offer(VNET_RX, i);
    }
    CU_ASSERT_EQUAL(rx(20 * 16 - 12 + 1), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(counters().rx_dropped_full, 1);
    CU_ASSERT_EQUAL(rx(20 * 16 - 12), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(used(VNET_RX), 8);
}

/* One that does not hold the frame where buffers are not merged, or not a header: given back empty, and the next
 * frame goes into the next buffer. */
static void buffer_too_small(void)
{
    static const uint32_t sizes[] = { 0, 9, 11, 71 };
    for (unsigned i = 0; i < 4; i++)
        for (unsigned merge = 0; merge < 2; merge++) {
            bool good = merge && sizes[i] >= 12;
            open_modern(merge ? MERGED : 0, 16);
            rx_give(0, 1, sizes[i]);
            rx_give(1, 2, 2048);
            CU_ASSERT_EQUAL(rx(60), NIC_RX_TAKEN);
            CU_ASSERT_EQUAL(used(VNET_RX), good ? 2 : 1);
            CU_ASSERT_EQUAL(used_size(VNET_RX, 0), good ? 71 : 0);
            CU_ASSERT_EQUAL(counters().rx_frames, good);
            CU_ASSERT_EQUAL(counters().rx_dropped_full, !good);
            CU_ASSERT_EQUAL(host.errors, !good);
            CU_ASSERT_TRUE(host.irq);
            CU_ASSERT_EQUAL(rx(61), NIC_RX_TAKEN);
            CU_ASSERT_EQUAL(used_head(VNET_RX, 1), 1);
        }
    open_modern(MERGED, 16); /* in the middle of a frame: the first is given back */
    rx_give(0, 1, 100);
    rx_give(1, 1, 5);
    rx_give(2, 3, 100);
    CU_ASSERT_EQUAL(rx(200), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(used(VNET_RX), 1);
    CU_ASSERT_EQUAL(used_head(VNET_RX, 0), 0);
    CU_ASSERT_EQUAL(used_size(VNET_RX, 0), 0);
}

/* A few bytes each, in more pieces than a frame may lie in. */
static void too_many_pieces(void)
{
    open_modern(MERGED | F(INDIRECT_DESC), 256);
    for (unsigned i = 0; i < 200; i++) {
        desc_at(TABLE, i, RX_BUFFERS + i, 1, i < 199 ? WRITE | NEXT : WRITE, i + 1);
        desc(VNET_RX, i, TABLE, 200 * 16, INDIRECT, 0);
        offer(VNET_RX, i);
    }
    CU_ASSERT_EQUAL(rx(188), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(used_size(VNET_RX, 0), 200);
    CU_ASSERT_EQUAL(rx(300), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(counters().rx_dropped_full, 1);
    CU_ASSERT_EQUAL(used(VNET_RX), 2);
    CU_ASSERT_EQUAL(used_size(VNET_RX, 1), 0);
    CU_ASSERT_EQUAL(rx(188), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(used_size(VNET_RX, 2), 200);
}

/* As many as it may, and one more. */
static void just_too_many_pieces(void)
{
    for (unsigned more = 0; more < 2; more++) {
        open_modern(MERGED | F(INDIRECT_DESC), 256);
        for (unsigned i = 0; i < 2; i++) {
            unsigned pieces = 128 + i * more;
            for (unsigned k = 0; k < pieces; k++)
                desc_at(TABLE + 4096 * i, k, RX_BUFFERS + 300 * i + k, 1, k < pieces - 1 ? WRITE | NEXT : WRITE, k + 1);
            desc(VNET_RX, i, TABLE + 4096 * i, pieces * 16, INDIRECT, 0);
            offer(VNET_RX, i);
        }
        CU_ASSERT_EQUAL(rx(244), NIC_RX_TAKEN);
        CU_ASSERT_EQUAL(counters().rx_frames, !more);
        CU_ASSERT_EQUAL(used(VNET_RX), more ? 1 : 2);
        CU_ASSERT_TRUE(more || memcmp(host.memory + RX_BUFFERS + 12, make_frame(244), 116) == 0);
        CU_ASSERT_TRUE(more || memcmp(host.memory + RX_BUFFERS + 300, make_frame(244) + 116, 128) == 0);
    }
}

/* What the card may only read is none of the buffer. */
static void read_only_piece(void)
{
    open_modern(MERGED, 16);
    memset(host.memory + COMMAND, 0xee, 100);
    desc(VNET_RX, 0, COMMAND, 100, NEXT, 1);
    desc(VNET_RX, 1, RX_BUFFERS, 100, WRITE, 0);
    desc(VNET_RX, 2, COMMAND, 100, 0, 0); /* nothing to write to: refused */
    offer(VNET_RX, 0);
    offer(VNET_RX, 2);
    CU_ASSERT_EQUAL(rx(60), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(used_size(VNET_RX, 0), 72);
    CU_ASSERT_EQUAL(memcmp(host.memory + RX_BUFFERS + 12, make_frame(60), 60), 0);
    CU_ASSERT_EQUAL(rx(60), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(used(VNET_RX), 2);
    CU_ASSERT_EQUAL(used_size(VNET_RX, 1), 0);
    for (unsigned i = 0; i < 100; i++)
        CU_ASSERT_EQUAL(host.memory[COMMAND + i], 0xee);
}

static void off(void)
{
    virtio_fixture_restart();
    CU_ASSERT_EQUAL(rx(60), NIC_RX_OFF);
    set_queue(VNET_RX, 16); /* not at work yet */
    rx_give(0, 1, 2048);
    notify(VNET_RX);
    CU_ASSERT_EQUAL(used_flags(VNET_RX), 0); /* nor says anything */
    CU_ASSERT_EQUAL(rx(60), NIC_RX_OFF);
    CU_ASSERT_EQUAL(counters().rx_dropped_off, 2);
    virtio_fixture_restart();
    set_status(7); /* at work, without a queue */
    CU_ASSERT_EQUAL(rx(60), NIC_RX_OFF);
    notify(VNET_RX);
    notify(VNET_TX);
    CU_ASSERT_EQUAL(host.frame_count, 0);
}

/* --- what is still to be done ------------------------------------------------- */

static enum nic_rx_result rx_offload(size_t size, struct nic_offload offload)
{
    return nic_receive(host.nic, make_frame(size), size, &offload, host.now);
}

static void told_to_the_driver(void)
{
    static const struct nic_offload cases[] = {
        { .flags = NIC_OFFLOAD_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16 }, { .flags = NIC_OFFLOAD_DATA_VALID },
        { NIC_OFFLOAD_NEEDS_CSUM, NIC_GSO_TCPV4, 54, 1448, 34, 16 }, { NIC_OFFLOAD_NEEDS_CSUM, NIC_GSO_TCPV6, 74, 1428, 54, 16 },
    };
    for (unsigned i = 0; i < 4; i++) {
        open_modern(MERGED | F(GUEST_CSUM) | F(GUEST_TSO4) | F(GUEST_TSO6), 64);
        rx_give(0, 2, 2048);
        CU_ASSERT_EQUAL(rx_offload(3000, cases[i]), NIC_RX_TAKEN);
        struct vnet_header h = rx_header(0);
        CU_ASSERT_EQUAL(h.flags, cases[i].flags);
        CU_ASSERT_EQUAL(h.gso_type, cases[i].gso_type);
        CU_ASSERT_EQUAL(h.hdr_len, cases[i].hdr_len);
        CU_ASSERT_EQUAL(h.gso_size, cases[i].gso_size);
        CU_ASSERT_EQUAL(h.csum_start, cases[i].csum_start);
        CU_ASSERT_EQUAL(h.csum_offset, cases[i].csum_offset);
        CU_ASSERT_EQUAL(h.num_buffers, 2);
        CU_ASSERT_EQUAL(memcmp(rx_buffer(0) + 12, make_frame(3000), 2036), 0); /* untouched */
    }
}

/* A driver without GUEST_CSUM gets the sum, and a header that says nothing. */
static void completed_here(void)
{
    for (unsigned interface = 0; interface < 2; interface++) {
        unsigned header = interface ? 10 : 12;
        if (interface)
            open_legacy(0);
        else
            open_modern(0, 16);
        rx_give(0, 3, 2048);
        CU_ASSERT_EQUAL(rx_offload(100, (struct nic_offload){ .flags = NIC_OFFLOAD_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16 }), NIC_RX_TAKEN);
        uint8_t expected[100];
        memcpy(expected, make_frame(100), 100);
        uint16_t sum = (uint16_t)~inet_sum(expected + 34, 66);
        expected[50] = (uint8_t)(sum >> 8);
        expected[51] = (uint8_t)sum;
        CU_ASSERT_EQUAL(memcmp(rx_buffer(0) + header, expected, 100), 0);
        CU_ASSERT_EQUAL(memcmp(rx_buffer(0), "\0\0\0\0\0\0\0\0\0\0", 10), 0);
        CU_ASSERT_EQUAL(rx_offload(100, (struct nic_offload){ .flags = NIC_OFFLOAD_DATA_VALID }), NIC_RX_TAKEN);
        CU_ASSERT_EQUAL(rx_buffer(1)[0], 0);
        CU_ASSERT_EQUAL(memcmp(rx_buffer(1) + header, make_frame(100), 100), 0);
        /* a sum that goes nowhere */
        CU_ASSERT_EQUAL(rx_offload(100, (struct nic_offload){ .flags = NIC_OFFLOAD_NEEDS_CSUM, .csum_start = 90, .csum_offset = 9 }), NIC_RX_TAKEN);
        CU_ASSERT_EQUAL(counters().rx_filtered, 1);
        CU_ASSERT_EQUAL(used(VNET_RX), 2);
    }
}

/* Super-frames that this driver, or none, can have accepted. */
static void not_negotiated(void)
{
    static const struct { uint64_t features; uint8_t gso; bool good; } cases[] = {
        { F(GUEST_CSUM) | F(GUEST_TSO4), NIC_GSO_TCPV4, false }, { F(GUEST_CSUM), NIC_GSO_TCPV4, false }, { 0, NIC_GSO_TCPV4, false },
        { F(GUEST_CSUM) | F(GUEST_TSO4) | F(GUEST_TSO6), NIC_GSO_TCPV4, true },
        { F(GUEST_CSUM) | F(GUEST_TSO4) | F(GUEST_TSO6), NIC_GSO_TCPV4 | NIC_GSO_ECN, false },
        { F(GUEST_CSUM) | F(GUEST_TSO4) | F(GUEST_TSO6), NIC_GSO_UDP, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        open_modern(MERGED | cases[i].features, 16);
        rx_give(0, 4, 2048);
        CU_ASSERT_EQUAL(rx_offload(3000, (struct nic_offload){ NIC_OFFLOAD_NEEDS_CSUM, cases[i].gso, 54, 1448, 34, 16 }), NIC_RX_TAKEN);
        CU_ASSERT_EQUAL(counters().rx_filtered, !cases[i].good);
        CU_ASSERT_EQUAL(used(VNET_RX), cases[i].good ? 2 : 0);
    }
}

/* --- interrupts --------------------------------------------------------------- */

static void suppressed(void)
{
    open_modern(0, 16);
    rx_give(0, 8, 2048);
    set_avail_flags(VNET_RX, 1);
    rx(60);
    CU_ASSERT_FALSE(host.irq);
    set_avail_flags(VNET_RX, 0);
    rx(60);
    CU_ASSERT_TRUE(host.irq);
    CU_ASSERT_EQUAL(used(VNET_RX), 2);
    rx(60);
    CU_ASSERT_EQUAL(host.irq_raised, 1); /* it is a level */
    CU_ASSERT_EQUAL(isr(), 1);
}

/* The event index around its 16 bits, with frames of several buffers stepping over it. */
static void event_index(void)
{
    open_modern(MERGED | F(EVENT_IDX), 16);
    unsigned wrong = 0, expected = 0;
    for (unsigned turn = 0; turn < 50000; turn++) {
        unsigned buffers = 1 + turn % 4;
        uint16_t before = used(VNET_RX), event = (uint16_t)(before + turn % 13 - 4);
        set_used_event(VNET_RX, event);
        rx_give(before, buffers, 40);
        rx(40 * buffers - 12);
        bool passed = (uint16_t)(event - before) < buffers;
        expected += passed;
        wrong += (uint16_t)(used(VNET_RX) - before) != buffers || host.irq != passed;
        isr();
    }
    CU_ASSERT_EQUAL(wrong, 0);
    CU_ASSERT_TRUE(expected > 1000 && host.errors == 0);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "one buffer", one_buffer },
        { "pieces", pieces },
        { "merged buffers", merged },
        { "the largest frame", largest },
        { "too few buffers", too_few },
        { "a frame waits over a reset", waits_over_reset },
        { "a queue too small", queue_too_small },
        { "a queue too small, of pairs", queue_of_pairs_too_small },
        { "a buffer too small", buffer_too_small },
        { "too many pieces", too_many_pieces },
        { "just too many pieces", just_too_many_pieces },
        { "a piece that is only read", read_only_piece },
        { "off", off },
        { "offloads told to the driver", told_to_the_driver },
        { "checksums completed here", completed_here },
        { "cve class M: offloads not negotiated", not_negotiated },
        { "interrupts suppressed", suppressed },
        { "event index", event_index },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("virtio_rx", tests, virtio_fixture_start, virtio_fixture_stop);
}
