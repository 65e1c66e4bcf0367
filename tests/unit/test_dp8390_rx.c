/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Frames that a DP8390 receives: the ring in its memory, acknowledgements in every
 * order that drivers use, the address filter, overflows.
 */
#include "nicemu/ethernet_crc.h"
#include "nicemu/mac_filter.h"
#include "tests/unit/dp8390_fixture.h"
#include "tests/unit/unit.h"

#include <string.h>

static void receive_one(void)
{
    uint8_t back[512];
    restart("ne2000");
    open_card(0x04);
    CU_ASSERT_EQUAL(give(300), NIC_RX_TAKEN);
    CU_ASSERT_TRUE(host.irq);
    CU_ASSERT_EQUAL(in(7), ISR_PRX);
    CU_ASSERT_EQUAL(curr(), 0x48);
    read_memory(0x4600, back, 308);
    CU_ASSERT_EQUAL(back[0], RSR_PRX);
    CU_ASSERT_EQUAL(back[1], 0x48);
    CU_ASSERT_EQUAL(back[2] | back[3] << 8, 304); /* with the FCS, without the header */
    CU_ASSERT_EQUAL(memcmp(back + 4, make_frame(300), 300), 0);
    uint32_t fcs;
    memcpy(&fcs, back + 304, 4);
    CU_ASSERT_EQUAL(fcs, ethernet_fcs(make_frame(300), 300));
    CU_ASSERT_EQUAL(give(20), NIC_RX_TAKEN);
    read_memory(0x4800, back, 64);
    CU_ASSERT_EQUAL(back[2], 64); /* padded to 60 */
}

/* Reads frames as lib8390 does and gives their pages back. */
static unsigned drain(unsigned most)
{
    unsigned count = 0;
    uint8_t header[4], frame[1600];
    while (count < most) {
        uint8_t now_page = curr(), page = (uint8_t)(in(3) + 1);
        if (page >= 0x80)
            page = 0x46;
        if (page == now_page)
            break;
        read_memory((uint16_t)(page << 8), header, 4);
        size_t size = (header[2] | (size_t)header[3] << 8) - 4;
        unsigned expected = page + 1u + (unsigned)((size + 4) >> 8); /* lib8390 also takes the page after it */
        CU_ASSERT_TRUE(header[1] == expected || header[1] == expected + 1 || header[1] == expected - 0x3a ||
                       header[1] == expected + 1 - 0x3a);
        read_memory((uint16_t)((page << 8) + 4), frame, (uint16_t)((size + 1) & ~1u));
        CU_ASSERT_EQUAL(memcmp(frame, make_frame(size), size), 0);
        out(3, (uint8_t)(header[1] - 1)); /* not wrapped: PSTART - 1 for the first page */
        count++;
    }
    return count;
}

static void ring_fills_and_drains(void)
{
    restart("ne2000");
    open_card(0x04);
    unsigned sent = 0, got = 0;
    for (int round = 0; round < 40; round++) {
        while (give(900) == NIC_RX_TAKEN)
            sent++;
        unsigned ready = host.ready;
        got += drain(3);
        CU_ASSERT_EQUAL(host.ready, ready); /* not for each frame that would find room, */
        got += drain(6);
        CU_ASSERT_EQUAL(host.ready, ready + 1); /* once, when half of the ring is free */
    }
    got += drain(100);
    CU_ASSERT_TRUE(sent > 120);
    CU_ASSERT_EQUAL(got, sent);
    CU_ASSERT_EQUAL(in(7) & ISR_OVW, 0); /* nothing was lost, so nothing overflowed */
}

/* A ring that has not much room at its best: told when it is empty. */
static void small_ring(void)
{
    restart("ne2000");
    open_card(0x04);
    out(CR, 0x21);
    out(2, 0x4d); /* seven pages */
    out(3, 0x4c);
    out(CR, 0x22);
    CU_ASSERT_EQUAL(give(1100), NIC_RX_TAKEN); /* five of them */
    CU_ASSERT_EQUAL(give(1100), NIC_RX_FULL);
    unsigned ready = host.ready;
    out(3, 0x46);
    CU_ASSERT_EQUAL(host.ready, ready);
    out(3, 0x4a);
    CU_ASSERT_EQUAL(host.ready, ready + 1);
    CU_ASSERT_EQUAL(give(1100), NIC_RX_TAKEN);
}

/* Every length, among them those that end with a page. */
static void lengths_agree_with_lib8390(void)
{
    restart("ne2000");
    open_card(0x04);
    for (unsigned size = 60; size <= 1514; size++) {
        CU_ASSERT_EQUAL(give(size), NIC_RX_TAKEN);
        CU_ASSERT_EQUAL(drain(2), 1);
    }
}

/* lib8390 acknowledges after draining: what came in between must not be forgotten. */
static void acknowledged_too_early(void)
{
    restart("ne2000");
    open_card(0x04);
    give(100);
    give(100);
    drain(1);
    out(7, ISR_PRX);
    CU_ASSERT_TRUE(in(7) & ISR_PRX);
    CU_ASSERT_TRUE(host.irq);
    drain(10);
    out(7, 0xff);
    CU_ASSERT_EQUAL(in(7), 0);
    CU_ASSERT_FALSE(host.irq);
}

/* lib8390 while it is being closed: acknowledges and takes nothing out. */
static void acknowledged_only(void)
{
    unsigned times = 0;
    restart("ne2000");
    open_card(0x04);
    for (unsigned i = 0; i < 200; i++)
        give(1514); /* more than the ring holds */
    while (host.irq && times < 20) {
        out(7, in(7));
        times++;
    }
    CU_ASSERT_FALSE(host.irq);
    CU_ASSERT_TRUE(times > 1 && times < 10);
    CU_ASSERT_EQUAL(drain(1), 1);
    drain(5);
    CU_ASSERT_EQUAL(give(100), NIC_RX_TAKEN);
    CU_ASSERT_TRUE(host.irq);
}

/* By the book: acknowledged, then drained; nothing of it is left. */
static void acknowledged_first(void)
{
    restart("ne2000");
    open_card(0x04);
    give(100);
    give(100);
    out(7, ISR_PRX);
    CU_ASSERT_EQUAL(drain(1), 1);
    CU_ASSERT_TRUE(host.irq);
    CU_ASSERT_EQUAL(drain(10), 1);
    CU_ASSERT_EQUAL(in(7) & ISR_PRX, 0);
    CU_ASSERT_FALSE(host.irq);
    give(100);
    out(7, ISR_PRX);
    give(100); /* comes in after the acknowledgement: a cause of its own */
    CU_ASSERT_EQUAL(drain(10), 2);
    CU_ASSERT_TRUE(in(7) & ISR_PRX);
    out(7, ISR_PRX);
    CU_ASSERT_EQUAL(in(7) & ISR_PRX, 0);
}

static bool passes(const char *mac)
{
    uint8_t frame[60], before = curr();
    memcpy(frame, make_frame(60), 60);
    memcpy(frame, mac, 6);
    nic_receive(host.nic, frame, 60, NULL, host.now);
    return curr() != before;
}

static void filter(void)
{
    static const char group[] = "\x01\x00\x5e\x00\x00\x01", other[] = "\x02\x00\x00\x00\x00\x09";
    static const char broadcast[] = "\xff\xff\xff\xff\xff\xff";
    restart("ne2000");
    open_card(0x00);
    CU_ASSERT_TRUE(passes((const char *)fake_mac));
    CU_ASSERT_FALSE(passes(other) || passes(group) || passes(broadcast));
    out(0xc, RCR_AB);
    CU_ASSERT_TRUE(passes(broadcast));
    CU_ASSERT_FALSE(passes(group));
    out(0xc, RCR_PRO); /* physical addresses only, by the datasheet */
    CU_ASSERT_TRUE(passes(other));
    CU_ASSERT_FALSE(passes(group) || passes(broadcast));
    out(0xc, RCR_AM);
    CU_ASSERT_FALSE(passes(group));
    for (unsigned bit = 0; bit < 64; bit++) { /* one bit of the hash alone, and no other */
        page1(8 + bit / 8, (uint8_t)(1u << bit % 8));
        CU_ASSERT_EQUAL(passes(group), bit == mac_hash_crc6((const uint8_t *)group));
        page1(8 + bit / 8, 0);
    }
    for (unsigned i = 0; i < 8; i++)
        page1(8 + i, 0xff);
    CU_ASSERT_TRUE(passes(group));
    page1(6, 0x77); /* PAR decides, not the PROM */
    CU_ASSERT_FALSE(passes((const char *)fake_mac));
    page1(6, fake_mac[5]);
    uint8_t header[4];
    read_memory((uint16_t)((curr() - 1) << 8), header, 4);
    CU_ASSERT_EQUAL(header[0], RSR_PRX | RSR_PHY);
}

static void monitor_and_tallies(void)
{
    restart("ne2000");
    open_card(RCR_MON);
    for (int i = 0; i < 127; i++)
        give(60);
    CU_ASSERT_EQUAL(curr(), 0x46);
    CU_ASSERT_EQUAL(in(7) & ISR_CNT, 0);
    give(60);
    CU_ASSERT_TRUE(in(7) & ISR_CNT);
    for (int i = 0; i < 100; i++)
        give(60);
    CU_ASSERT_EQUAL(in(0xf), 192);
    CU_ASSERT_EQUAL(in(0xf), 0);
}

static void stopped_receiver(void)
{
    restart("ne2000");
    CU_ASSERT_EQUAL(give(60), NIC_RX_OFF);
    open_card(0x04);
    nic_set_link(host.nic, false, 0);
    CU_ASSERT_EQUAL(give(60), NIC_RX_OFF);
    nic_set_link(host.nic, true, 0);
    out(0xd, 0x02);
    CU_ASSERT_EQUAL(give(60), NIC_RX_OFF);
    out(0xd, 0x00);
    CU_ASSERT_EQUAL(give(60), NIC_RX_TAKEN);
    out(CR, 0x21);
    CU_ASSERT_TRUE(in(7) & ISR_RST);
    CU_ASSERT_EQUAL(give(60), NIC_RX_OFF);
    out(CR, 0x22);
    CU_ASSERT_FALSE(in(7) & ISR_RST);
}

static void send_packet_command(void)
{
    uint8_t frame[64];
    restart("ne2000");
    open_card(0x04);
    give(60);
    out(3, 0x46);
    out(7, 0xff);
    out(CR, 0x1a);
    for (int i = 0; i < 68; i += 2) {
        uint32_t word = nic_read(host.nic, 0, DATA, 2, 0);
        if (i >= 4 && i < 64)
            memcpy(frame + i - 4, &word, 2);
    }
    CU_ASSERT_EQUAL(memcmp(frame, make_frame(60), 60), 0);
    CU_ASSERT_TRUE(in(7) & ISR_RDC);
    CU_ASSERT_EQUAL(in(3), 0x47);
}

/* lib8390's recovery from an overflow. */
static void overrun_recovery(void)
{
    restart("ne2000");
    open_card(0x04);
    give(60);
    out(CR, 0x21);
    out(0xa, 0);
    out(0xb, 0);
    out(0xd, 0x02);
    out(CR, 0x22);
    CU_ASSERT_EQUAL(drain(10), 1);
    out(7, ISR_OVW);
    out(0xd, 0x00);
    CU_ASSERT_EQUAL(give(60), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(drain(10), 1);
}

/* The machine lost a frame: OVW, RST and the tally, until pages are given back. */
static void lost_frames(void)
{
    restart("ne2000");
    open_card(0x04);
    give(60);
    nic_receive_lost(host.nic, 60, host.now);
    CU_ASSERT_EQUAL(in(7) & (ISR_OVW | ISR_RST | ISR_PRX), ISR_OVW | ISR_RST | ISR_PRX);
    CU_ASSERT_EQUAL(in(0xc) & RSR_MPA, RSR_MPA);
    CU_ASSERT_EQUAL(in(0xf), 1);
    out(7, 0xff); /* RST is not acknowledged by writing */
    CU_ASSERT_TRUE(in(7) & ISR_RST);
    CU_ASSERT_EQUAL(drain(10), 1);
    CU_ASSERT_FALSE(in(7) & ISR_RST);
    out(CR, 0x21);
    nic_receive_lost(host.nic, 60, host.now); /* stopped: nobody misses it */
    CU_ASSERT_EQUAL(in(0xf), 0);
}

static void frame_larger_than_ring(void)
{
    restart("ne2000");
    open_card(0x04);
    out(1, 0x46);
    out(2, 0x4a); /* four pages */
    page1(7, 0x46);
    CU_ASSERT_EQUAL(give(1514), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(in(7) & (ISR_OVW | ISR_RXE), ISR_OVW | ISR_RXE);
    CU_ASSERT_EQUAL(in(0xf), 1);
    CU_ASSERT_EQUAL(give(1519), NIC_RX_TAKEN); /* no frame is as long */
    CU_ASSERT_EQUAL(curr(), 0x46);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "a frame in the ring", receive_one },
        { "the ring fills and drains", ring_fills_and_drains },
        { "a small ring fills and drains", small_ring },
        { "every length", lengths_agree_with_lib8390 },
        { "acknowledged too early", acknowledged_too_early },
        { "acknowledged and not drained", acknowledged_only },
        { "acknowledged first", acknowledged_first },
        { "address filter", filter },
        { "monitor mode and tallies", monitor_and_tallies },
        { "stopped, no link, loopback", stopped_receiver },
        { "send packet", send_packet_command },
        { "recovery from an overflow", overrun_recovery },
        { "frames lost outside", lost_frames },
        { "cve class E: a frame larger than the ring", frame_larger_than_ring },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("dp8390_rx", tests, dp8390_fixture_start, dp8390_fixture_stop);
}
