/* SPDX-License-Identifier: BSD-2-Clause
 *
 * e1000's transmitter and the ways in which drivers have broken other models of
 * this chip (classes A to I of known weaknesses: ring geometry, zero progress,
 * context changed mid-packet, checksum offsets, sizes, decoding, loopback, DMA to
 * nowhere, assertions).
 */
#include "tests/unit/e1000_fixture.h"
#include "tests/unit/unit.h"

#include <string.h>

static uint32_t rd(uint32_t offset) { return fake_read(&host, offset); }
static void wr(uint32_t offset, uint32_t value) { fake_write(&host, offset, value); }

static uint64_t errors(void)
{
    struct nic_counters c;
    nic_get_counters(host.nic, &c);
    return c.guest_errors;
}

/* A: head or tail outside of the ring, no ring. */
static void ring_geometry(void)
{
    static const uint32_t cases[][3] = { { 0, 0, 5 }, { 128, 8, 3 }, { 128, 0, 8 }, { 128, 0xffff, 0xffff },
                                         { 128, 0xffff, 2 }, { 0xfff80, 0, 0xffff } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        e1000_open(0);
        wr(E1000_TDLEN, cases[i][0]);
        wr(E1000_TDH, cases[i][1]);
        host.dma_calls = 0;
        wr(E1000_TDT, cases[i][2]);
        CU_ASSERT_TRUE(host.dma_calls < 10000);
    }
    e1000_open(0);
    wr(E1000_TDLEN, 128);
    wr(E1000_TDT, 8);
    CU_ASSERT_EQUAL(errors(), 1);
    CU_ASSERT_EQUAL(host.dma_calls, 0);
}

/* B: descriptors that make no progress. */
static void zero_progress(void)
{
    e1000_open(0);
    tx_put(TX_DATA, CMD_EOP | CMD_RS, 0);
    tx_put(0, TYPE_DATA | CMD_EOP | CMD_RS, 0);
    tx_context(0, 0, 0, 0, 0, 0, 0x04000000, 0, 0); /* no header, no MSS */
    tx_put(TX_DATA, 1000 | TYPE_DATA | CMD_TSE | CMD_EOP | CMD_RS, 0);
    tx_context(0, 0, 0, 0, 0, 0, 0x04000000, 0, 1);
    tx_put(TX_DATA, 1000 | TYPE_DATA | CMD_TSE | CMD_EOP | CMD_RS, 0);
    tx_context(0, 0, 0, 0, 0, 0, 0x04000000, 60, 0);
    tx_put(TX_DATA, 1000 | TYPE_DATA | CMD_TSE | CMD_EOP | CMD_RS, 0);
    tx_ring();
    CU_ASSERT_EQUAL(host.frame_count, 0);
    CU_ASSERT_EQUAL(rd(E1000_TDH), 8);
    CU_ASSERT_TRUE(tx_done(0) && tx_done(1) && tx_done(7)); /* given back all the same */
    struct nic_counters c;
    nic_get_counters(host.nic, &c);
    CU_ASSERT_TRUE(c.tx_errors >= 3);
}

/* C: a context in the middle of a packet is for the next packet. */
static void context_mid_packet(void)
{
    e1000_open(0);
    size_t size = tx_fill_tso(false, 4000);
    tx_context(14, 24, 33, 34, 50, 0, 0x07000000, 54, 1448);
    tx_put(TX_DATA, 2000 | TYPE_DATA | CMD_TSE, POPTS_IP | POPTS_L4);
    tx_context(14, 24, 33, 34, 50, 0, 0x07000000, 255, 15);
    tx_put(TX_DATA + 2000, (uint32_t)(size - 2000) | TYPE_DATA | CMD_TSE | CMD_EOP, POPTS_IP | POPTS_L4);
    tx_ring();
    CU_ASSERT_EQUAL_FATAL(host.frame_count, 1);
    CU_ASSERT_EQUAL(host.frames[0].offload.gso_size, 1448);
    CU_ASSERT_EQUAL(host.frames[0].size, size);
    CU_ASSERT_EQUAL(errors(), 1);
}

/* C: the published sequence [context, data, data EOP of length 0, context, data]. */
static void header_longer_than_payload(void)
{
    e1000_open(0);
    tx_fill_tso(false, 1000);
    tx_context(14, 24, 33, 34, 50, 0, 0x07000000, 200, 1448);
    tx_put(TX_DATA, 100 | TYPE_DATA | CMD_TSE, POPTS_IP | POPTS_L4);
    tx_put(TX_DATA, TYPE_DATA | CMD_TSE | CMD_EOP, POPTS_IP | POPTS_L4);
    tx_context(14, 24, 33, 34, 50, 0, 0x07000000, 54, 15);
    tx_put(TX_DATA, 100 | TYPE_DATA | CMD_TSE | CMD_EOP, POPTS_IP | POPTS_L4);
    tx_ring();
    CU_ASSERT_EQUAL(host.frame_count, 1); /* the first had less than a header: dropped */
    CU_ASSERT_EQUAL(host.frames[0].offload.gso_size, 15);
    CU_ASSERT_EQUAL(host.frames[0].size, 100);
}

/* C: headers that do not lie where the context says leave as single segments. */
static void context_that_lies(void)
{
    static const uint8_t cases[][4] = { { 250, 251, 252, 253 }, { 14, 24, 34, 53 }, { 0, 10, 20, 36 },
                                        { 60, 61, 62, 63 }, { 14, 53, 54, 10 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        e1000_open(0);
        tx_fill_tso(false, 4000);
        tx_context(cases[i][0], cases[i][1], 0xffff, cases[i][2], cases[i][3], 0, 0x07000000, 54, 1448);
        tx_put(TX_DATA, 4054 | TYPE_DATA | CMD_TSE | CMD_EOP, POPTS_IP | POPTS_L4);
        tx_ring();
        CU_ASSERT_EQUAL(host.frame_count, 3);
        for (unsigned f = 0; f < 3; f++)
            CU_ASSERT_EQUAL(host.frames[f].offload.gso_type, NIC_GSO_NONE);
    }
}

static void tiny_segments_are_bounded(void)
{
    e1000_open(0);
    tx_fill_tso(false, 100000);
    tx_context(14, 24, 33, 34, 40, 0, 0x06000000, 54, 1); /* UDP, one byte each */
    tx_put(TX_DATA, 100000 | TYPE_DATA | CMD_TSE | CMD_EOP, POPTS_IP | POPTS_L4);
    tx_ring();
    CU_ASSERT_TRUE(host.frame_count <= 4096);
    CU_ASSERT_TRUE(errors() > 0);
}

/* D: checksum start and field beyond the packet. */
static void checksum_outside(void)
{
    e1000_open(0);
    tx_fill(make_frame(60), 60);
    tx_put(TX_DATA, 60 | CMD_EOP | CMD_IC | 255u << 16, 255 << 8);
    tx_put(TX_DATA, 60 | CMD_EOP | CMD_IC | 59 << 16, 0);
    tx_context(255, 255, 0xffff, 255, 255, 0xffff, 0, 0, 0);
    tx_put(TX_DATA, 60 | TYPE_DATA | CMD_EOP, POPTS_IP | POPTS_L4);
    tx_context(20, 10, 5, 30, 10, 20, 0, 0, 0); /* ends before they start */
    tx_put(TX_DATA, 60 | TYPE_DATA | CMD_EOP, POPTS_IP | POPTS_L4);
    tx_ring();
    CU_ASSERT_EQUAL_FATAL(host.frame_count, 4);
    CU_ASSERT_EQUAL(memcmp(host.frames[2].bytes, make_frame(60), 60), 0);
    for (unsigned i = 0; i < 4; i++)
        CU_ASSERT_EQUAL(host.frames[i].offload.flags, 0);
    CU_ASSERT_TRUE(errors() >= 4);
}

/* E: frames larger and smaller than frames are. */
static void sizes(void)
{
    e1000_open(0);
    tx_fill(make_frame(20000), 20000);
    tx_put(TX_DATA, 16288 | CMD_EOP, 0);
    tx_put(TX_DATA, 16289 | CMD_EOP, 0);
    tx_put(TX_DATA, 13 | CMD_EOP, 0);
    tx_put(TX_DATA, 0xfffff | TYPE_DATA, 0);
    tx_put(TX_DATA, 0xfffff | TYPE_DATA | CMD_EOP | CMD_RS, 0);
    tx_put(TX_DATA, 60 | CMD_EOP, 0);
    tx_ring();
    CU_ASSERT_EQUAL_FATAL(host.frame_count, 2);
    CU_ASSERT_EQUAL(host.frames[0].size, 16288);
    CU_ASSERT_EQUAL(host.frames[1].size, 60);
    CU_ASSERT_TRUE(tx_done(4));
}

/* G: transmit in loopback reaches the receiver once, and does not come back. */
static void loopback(uint32_t rctl_lbm, bool phy)
{
    e1000_open(RCTL_EN | RCTL_BAM | rctl_lbm);
    if (phy)
        wr(E1000_MDIC, 0x04000000 | 1u << 21 | 0x4140);
    tx_fill(make_frame(1024), 1024);
    for (unsigned i = 0; i < RING - 1; i++)
        tx_put(TX_DATA, 1024 | CMD_EOP | CMD_RS, 0);
    tx_ring();
    CU_ASSERT_EQUAL(host.frame_count, 0);
    CU_ASSERT_EQUAL(rd(E1000_GPRC), RING - 1);
    CU_ASSERT_EQUAL(memcmp(rx_buffer(5), make_frame(1024), 1024), 0);
    CU_ASSERT_EQUAL(rx_get(5).size, 1028);
    CU_ASSERT_EQUAL(host.ready, 0);
    tx_put(TX_DATA, 1024 | CMD_EOP, 0); /* no descriptor left: missed, not kept */
    tx_ring();
    CU_ASSERT_EQUAL(rd(E1000_MPC), 1);
    CU_ASSERT_TRUE(rd(E1000_ICR) & ICR_RXO);
    CU_ASSERT_TRUE(rd(E1000_STATUS) & STATUS_LU);
    CU_ASSERT_EQUAL(nic_receive(host.nic, make_frame(60), 60, NULL, host.now), NIC_RX_OFF);
}

static void loopback_modes(void)
{
    loopback(0x40, false);
    loopback(0xc0, false);
    loopback(0, true);
}

static void loopback_of_tso_is_segmented(void)
{
    e1000_open(RCTL_EN | 0xc0);
    size_t size = tx_fill_tso(false, 4000);
    wr(E1000_RXCSUM, RXCSUM_IPOFLD | RXCSUM_TUOFLD);
    tx_context(14, 24, 33, 34, 50, 0, 0x07000000, 54, 1448);
    tx_put_tso(size, 0, POPTS_IP | POPTS_L4);
    tx_ring();
    CU_ASSERT_EQUAL(rd(E1000_GPRC), 3);
    for (unsigned i = 0; i < 3; i++) {
        CU_ASSERT_EQUAL(rx_get(i).status & 0x67, 0x63); /* checksums looked at */
        CU_ASSERT_EQUAL(rx_get(i).errors, 0);           /* and good */
    }
}

/* E, G: a frame shorter than Ethernet's, not padded by the transmitter, in loopback. */
static void loopback_of_a_short_frame(void)
{
    for (uint32_t size = 14; size < 64; size++) {
        e1000_open(RCTL_EN | 0xc0 | RCTL_VFE);
        wr(E1000_TCTL, TCTL_EN); /* no PSP */
        tx_fill(make_frame(size), size);
        host.memory[TX_DATA + 12] = 0x81; /* a VLAN tag that may lie beyond its end */
        host.memory[TX_DATA + 13] = 0x00;
        wr(E1000_VFTA, 0xffffffff);
        wr(E1000_CTRL, rd(E1000_CTRL) | CTRL_VME);
        tx_put(TX_DATA, size | CMD_EOP | CMD_RS, 0);
        tx_ring();
        CU_ASSERT_TRUE(tx_done(0));
        CU_ASSERT_TRUE(rx_get(0).size == 0 || rx_get(0).size >= 60);
    }
}

/* H: rings and buffers that are not memory. */
static void dma_to_nowhere(void)
{
    e1000_open(0);
    tx_put(0xfebc0000, 100 | CMD_EOP | CMD_RS, 0);
    tx_put(UINT64_MAX - 5, 100 | CMD_EOP | CMD_RS, 0);
    tx_put(TX_DATA, 100 | CMD_EOP | CMD_RS, 0);
    tx_ring();
    CU_ASSERT_EQUAL(host.frame_count, 1);
    CU_ASSERT_TRUE(tx_done(0) && tx_done(1) && tx_done(2));
    e1000_open(0);
    wr(E1000_TDBAH, 0xffffffff);
    wr(E1000_TDBAL, 0xfffffff0);
    wr(E1000_TDT, 5);
    CU_ASSERT_EQUAL(host.frame_count, 0);
    CU_ASSERT_EQUAL(rd(E1000_TDH), 0);
    CU_ASSERT_EQUAL(errors(), 1);
}

/* I: descriptor types that do not exist, or change inside of a packet. */
static void strange_types(void)
{
    e1000_open(0);
    tx_fill(make_frame(100), 100);
    tx_put(TX_DATA, 100 | CMD_DEXT | 0x00f00000 | CMD_EOP | CMD_RS, 0);
    tx_put(TX_DATA, 50, 0);
    tx_put(TX_DATA + 50, 50 | TYPE_DATA | CMD_TSE | CMD_EOP | CMD_RS, POPTS_L4);
    tx_ring();
    CU_ASSERT_EQUAL(host.frame_count, 1);
    CU_ASSERT_EQUAL(host.frames[0].size, 100);
    CU_ASSERT_TRUE(tx_done(0) && tx_done(2));
}

/* A ring that is all work is done in bounded runs, with the rest left to the timer. */
static void long_runs_are_cut(void)
{
    e1000_open(0);
    wr(E1000_TDLEN, 0x8000); /* 2048 descriptors over most of memory */
    host.record = false;
    for (unsigned i = 0; i < 2047; i++) {
        uint64_t address = TX_DATA;
        uint32_t lower = 16000 | CMD_EOP;
        memcpy(host.memory + TX_RING + 16 * i, &address, 8);
        memcpy(host.memory + TX_RING + 16 * i + 8, &lower, 4);
    }
    wr(E1000_TDT, 2047);
    CU_ASSERT_TRUE(host.frame_count < 400);
    CU_ASSERT_TRUE(host.deadline > host.now);
    fake_nic_host_advance(&host, 10000000);
    CU_ASSERT_EQUAL(host.frame_count, 2047);
    CU_ASSERT_EQUAL(rd(E1000_TDH), 2047);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "cve class A: ring geometry", ring_geometry },
        { "cve class B: zero progress", zero_progress },
        { "cve class C: context inside of a packet", context_mid_packet },
        { "cve class C: header longer than the packet", header_longer_than_payload },
        { "cve class C: context that does not fit the headers", context_that_lies },
        { "cve class C: tiny segments", tiny_segments_are_bounded },
        { "cve class D: checksum offsets outside", checksum_outside },
        { "cve class E: sizes", sizes },
        { "cve class G: loopback", loopback_modes },
        { "cve class G: loopback of segments", loopback_of_tso_is_segmented },
        { "cve class E, G: loopback of a short frame", loopback_of_a_short_frame },
        { "cve class H: DMA to nowhere", dma_to_nowhere },
        { "cve class I: strange descriptor types", strange_types },
        { "long runs are cut", long_runs_are_cut },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("e1000_tx_hostile", tests, e1000_fixture_start, e1000_fixture_stop);
}
