/* SPDX-License-Identifier: BSD-2-Clause
 *
 * e1000's transmitter: descriptors, offloads and their hand-over. Drivers that
 * mean harm are in test_e1000_tx_hostile.c.
 */
#include "nicemu/inet_checksum.h"
#include "tests/unit/e1000_fixture.h"
#include "tests/unit/unit.h"

#include <string.h>

static uint32_t rd(uint32_t offset) { return fake_read(&host, offset); }
static void wr(uint32_t offset, uint32_t value) { fake_write(&host, offset, value); }

static uint16_t be16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static void legacy(void)
{
    e1000_open(0);
    tx_fill(make_frame(200), 200);
    tx_put(TX_DATA, 50 | CMD_RS, 0);
    tx_put(TX_DATA + 50, 100, 0);
    tx_put(TX_DATA + 150, 50 | CMD_EOP | CMD_RS, 0);
    tx_ring();
    CU_ASSERT_EQUAL_FATAL(host.frame_count, 1);
    CU_ASSERT_EQUAL(host.frames[0].size, 200);
    CU_ASSERT_EQUAL(memcmp(host.frames[0].bytes, make_frame(200), 200), 0);
    CU_ASSERT_EQUAL(host.frames[0].offload.flags, 0);
    CU_ASSERT_TRUE(tx_done(0) && !tx_done(1) && tx_done(2));
    CU_ASSERT_EQUAL(rd(E1000_TDH), 3);
    CU_ASSERT_EQUAL(host.flushed, 1);
    CU_ASSERT_EQUAL(rd(E1000_ICR) & (ICR_TXDW | ICR_TXQE), ICR_TXDW | ICR_TXQE);
    CU_ASSERT_EQUAL(rd(E1000_GPTC), 1);
    CU_ASSERT_EQUAL(rd(E1000_TPT), 1);
}

static void many_and_wrap(void)
{
    e1000_open(0);
    tx_fill(make_frame(60), 60);
    for (int round = 0; round < 5; round++) {
        for (unsigned i = 0; i < RING - 1; i++)
            tx_put(TX_DATA, 60 | CMD_EOP | CMD_RS, 0);
        tx_ring();
    }
    CU_ASSERT_EQUAL(host.frame_count, 5 * (RING - 1));
    CU_ASSERT_EQUAL(host.flushed, 5);
}

static void padding(void)
{
    e1000_open(0);
    tx_fill(make_frame(20), 20);
    memset(host.memory + TX_DATA + 20, 0xee, 60);
    tx_put(TX_DATA, 20 | CMD_EOP, 0);
    tx_ring();
    CU_ASSERT_EQUAL_FATAL(host.frame_count, 1);
    CU_ASSERT_EQUAL(host.frames[0].size, 60);
    CU_ASSERT_EQUAL(host.frames[0].bytes[20], 0);
    CU_ASSERT_EQUAL(host.frames[0].bytes[59], 0);
}

static void legacy_checksum(void)
{
    e1000_open(0);
    tx_fill(make_frame(100), 100);
    tx_put(TX_DATA, 100 | CMD_EOP | CMD_IC | 50 << 16, 34 << 8);
    tx_ring();
    CU_ASSERT_EQUAL_FATAL(host.frame_count, 1);
    CU_ASSERT_EQUAL(host.frames[0].offload.flags, NIC_OFFLOAD_NEEDS_CSUM);
    CU_ASSERT_EQUAL(host.frames[0].offload.csum_start, 34);
    CU_ASSERT_EQUAL(host.frames[0].offload.csum_offset, 16);
}

static void data_checksum_is_handed_on(void)
{
    uint8_t frame[200];
    e1000_open(0);
    size_t size = make_tcp(frame, false, 100);
    tx_fill(frame, size);
    tx_context(14, 24, 33, 34, 50, 0, 0x03000000, 0, 0);
    tx_put(TX_DATA, (uint32_t)size | TYPE_DATA | CMD_EOP | CMD_RS, POPTS_IP | POPTS_L4);
    tx_ring();
    CU_ASSERT_EQUAL_FATAL(host.frame_count, 1);
    struct fake_frame *f = &host.frames[0];
    CU_ASSERT_EQUAL(f->offload.flags, NIC_OFFLOAD_NEEDS_CSUM);
    CU_ASSERT_EQUAL(f->offload.csum_start, 34);
    CU_ASSERT_EQUAL(f->offload.csum_offset, 16);
    CU_ASSERT_EQUAL(f->offload.gso_type, NIC_GSO_NONE);
    CU_ASSERT_EQUAL(inet_sum(f->bytes + 14, 20), 0xffff); /* IP's own is done */
    CU_ASSERT_TRUE(tx_done(1));
}

/* TUCSE inside of the packet: nobody behind us can say that, so it is done here. */
static void partial_checksum_is_done(void)
{
    e1000_open(0);
    tx_fill(make_frame(100), 100);
    host.memory[TX_DATA + 40] = host.memory[TX_DATA + 41] = 0;
    tx_context(0, 0, 0, 34, 40, 69, 0, 0, 0);
    tx_put(TX_DATA, 100 | TYPE_DATA | CMD_EOP, POPTS_L4);
    tx_ring();
    CU_ASSERT_EQUAL_FATAL(host.frame_count, 1);
    CU_ASSERT_EQUAL(host.frames[0].offload.flags, 0);
    CU_ASSERT_EQUAL(inet_sum(host.frames[0].bytes + 34, 36), 0xffff);
}

static void check_super_frame(bool v6, size_t size)
{
    const struct fake_frame *f = &host.frames[0];
    size_t l4 = v6 ? 54 : 34;
    CU_ASSERT_EQUAL(f->size, size);
    CU_ASSERT_EQUAL(f->offload.flags, NIC_OFFLOAD_NEEDS_CSUM);
    CU_ASSERT_EQUAL(f->offload.gso_type, v6 ? NIC_GSO_TCPV6 : NIC_GSO_TCPV4);
    CU_ASSERT_EQUAL(f->offload.gso_size, 1448);
    CU_ASSERT_EQUAL(f->offload.hdr_len, l4 + 20);
    CU_ASSERT_EQUAL(f->offload.csum_start, l4);
    CU_ASSERT_EQUAL(f->offload.csum_offset, 16);
    if (v6) {
        CU_ASSERT_EQUAL(be16(f->bytes + 18), size - 54);
    } else {
        CU_ASSERT_EQUAL(be16(f->bytes + 16), size - 14);
        CU_ASSERT_EQUAL(be16(f->bytes + 18), 0x1234);
        CU_ASSERT_EQUAL(inet_sum(f->bytes + 14, 20), 0xffff);
    }
    uint64_t pseudo = (v6 ? inet_sum(f->bytes + 22, 32) : inet_sum(f->bytes + 26, 8)) + 6u + (size - l4);
    CU_ASSERT_EQUAL(be16(f->bytes + l4 + 16), inet_fold(pseudo));
    CU_ASSERT_EQUAL(f->bytes[l4 + 13], 0x19);
}

static void tso_v4_super_frame(void)
{
    e1000_open(0);
    size_t size = tx_fill_tso(false, 60000);
    tx_context(14, 24, 33, 34, 50, 0, 0x07000000, 54, 1448);
    tx_put_tso(size, 0, POPTS_IP | POPTS_L4);
    tx_ring();
    CU_ASSERT_EQUAL_FATAL(host.frame_count, 1);
    check_super_frame(false, size);
    CU_ASSERT_EQUAL(rd(E1000_GPTC), 42); /* frames on the wire */
    CU_ASSERT_EQUAL(rd(E1000_TSCTC), 1);
}

static void tso_v6_super_frame(void)
{
    e1000_open(0);
    size_t size = tx_fill_tso(true, 30000);
    tx_context(14, 0, 0, 54, 70, 0, 0x05000000, 74, 1448);
    tx_put_tso(size, 0, POPTS_L4);
    tx_ring();
    CU_ASSERT_EQUAL_FATAL(host.frame_count, 1);
    check_super_frame(true, size);
}

static void tso_with_vlan(void)
{
    e1000_open(0);
    wr(E1000_CTRL, rd(E1000_CTRL) | CTRL_VME);
    size_t size = tx_fill_tso(false, 5000);
    tx_context(14, 24, 33, 34, 50, 0, 0x07000000, 54, 1448);
    tx_put_tso(size, CMD_VLE, POPTS_IP | POPTS_L4 | 0x0064u << 16);
    tx_ring();
    CU_ASSERT_EQUAL_FATAL(host.frame_count, 1);
    const struct fake_frame *f = &host.frames[0];
    CU_ASSERT_EQUAL(f->size, size + 4);
    CU_ASSERT_EQUAL(be16(f->bytes + 12), 0x8100);
    CU_ASSERT_EQUAL(be16(f->bytes + 14), 0x0064);
    CU_ASSERT_EQUAL(be16(f->bytes + 16), 0x0800);
    CU_ASSERT_EQUAL(be16(f->bytes + 20), size - 14);
    CU_ASSERT_EQUAL(f->offload.csum_start, 38);
    CU_ASSERT_EQUAL(f->offload.hdr_len, 58);
}

static void tso_of_one_segment(void)
{
    e1000_open(0);
    size_t size = tx_fill_tso(false, 1000);
    tx_context(14, 24, 33, 34, 50, 0, 0x07000000, 54, 1448);
    tx_put_tso(size, 0, POPTS_IP | POPTS_L4);
    tx_ring();
    CU_ASSERT_EQUAL_FATAL(host.frame_count, 1);
    CU_ASSERT_EQUAL(host.frames[0].offload.gso_type, NIC_GSO_NONE);
    CU_ASSERT_EQUAL(host.frames[0].offload.flags, NIC_OFFLOAD_NEEDS_CSUM);
    CU_ASSERT_EQUAL(host.frames[0].size, size);
}

/* More than one IP packet can name: several super-frames, sequence and ID going on. */
static void tso_beyond_64k(void)
{
    e1000_open(0);
    size_t size = tx_fill_tso(false, 150000);
    tx_context(14, 24, 33, 34, 50, 0, 0x07000000, 54, 1000);
    tx_put_tso(size, 0, POPTS_IP | POPTS_L4);
    tx_ring();
    CU_ASSERT_EQUAL_FATAL(host.frame_count, 3);
    CU_ASSERT_EQUAL(host.frames[0].size, 65054);
    CU_ASSERT_EQUAL(be16(host.frames[1].bytes + 18), 0x1234 + 65);
    CU_ASSERT_EQUAL(be16(host.frames[1].bytes + 40), (0x10000 + 65000) & 0xffff);
    CU_ASSERT_EQUAL(be16(host.frames[1].bytes + 38), 1);
    CU_ASSERT_EQUAL(host.frames[2].size, 20054);
    CU_ASSERT_EQUAL(host.frames[1].bytes[47], 0x10); /* PSH and FIN only in the last */
    CU_ASSERT_EQUAL(host.frames[2].bytes[47], 0x19);
}

/* UDP segmentation has no name in the network's terms: single frames, sums done later. */
static void udp_segments(void)
{
    uint8_t frame[3100];
    e1000_open(0);
    size_t size = make_tcp(frame, false, 3000 - 12);
    frame[23] = 17;
    tx_fill(frame, size); /* 42 bytes of header, 3000 of payload */
    tx_context(14, 24, 33, 34, 40, 0, 0x06000000, 42, 1400);
    tx_put(TX_DATA, (uint32_t)size | TYPE_DATA | CMD_TSE | CMD_EOP, POPTS_IP | POPTS_L4);
    tx_ring();
    CU_ASSERT_EQUAL_FATAL(host.frame_count, 3);
    for (unsigned i = 0; i < 3; i++) {
        const struct fake_frame *f = &host.frames[i];
        size_t payload = i < 2 ? 1400 : 200;
        CU_ASSERT_EQUAL(f->size, 42 + payload);
        CU_ASSERT_EQUAL(f->offload.gso_type, NIC_GSO_NONE);
        CU_ASSERT_EQUAL(be16(f->bytes + 38), 8 + payload);
        CU_ASSERT_EQUAL(be16(f->bytes + 18), 0x1234 + i);
        CU_ASSERT_EQUAL(memcmp(f->bytes + 42, frame + 42 + 1400 * i, payload), 0);
    }
}

static void disabled_and_down(void)
{
    e1000_open(0);
    wr(E1000_TCTL, 0);
    tx_fill(make_frame(60), 60);
    tx_put(TX_DATA, 60 | CMD_EOP, 0);
    tx_ring();
    CU_ASSERT_EQUAL(host.frame_count, 0);
    nic_set_link(host.nic, false, host.now);
    wr(E1000_TCTL, TCTL_EN);
    CU_ASSERT_EQUAL(host.frame_count, 0);
    nic_set_link(host.nic, true, host.now);
    CU_ASSERT_EQUAL(host.frame_count, 1);
}

static void network_refuses(void)
{
    e1000_open(0);
    host.refuse_frames = true;
    tx_fill(make_frame(60), 60);
    tx_put(TX_DATA, 60 | CMD_EOP | CMD_RS, 0);
    tx_ring();
    struct nic_counters c;
    nic_get_counters(host.nic, &c);
    CU_ASSERT_EQUAL(c.tx_errors, 1);
    CU_ASSERT_TRUE(tx_done(0));
}

/* A network that is busy holds the driver back by TDH: nothing is lost, and all goes out when there is room. */
static void network_is_busy(void)
{
    e1000_open(0);
    memcpy(host.memory + TX_DATA, make_frame(100), 100);
    host.no_room = true;
    for (unsigned i = 0; i < 40; i++)
        tx_put(TX_DATA, 100 | CMD_EOP | CMD_RS, 0);
    tx_ring();
    CU_ASSERT_EQUAL(host.frame_count, 0);
    CU_ASSERT_EQUAL(rd(E1000_TDH), 0);
    CU_ASSERT_FALSE(tx_done(0));
    fake_nic_host_advance(&host, 1000000);
    CU_ASSERT_EQUAL(host.frame_count, 0);
    host.no_room = false;
    fake_nic_host_advance(&host, NIC_NO_ROOM_NS);
    CU_ASSERT_EQUAL(host.frame_count, 40);
    CU_ASSERT_EQUAL(rd(E1000_TDH), rd(E1000_TDT));
    CU_ASSERT_TRUE(tx_done(39));
    struct nic_counters counters;
    nic_get_counters(host.nic, &counters);
    CU_ASSERT_EQUAL(counters.tx_errors, 0);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "legacy descriptors", legacy },
        { "bursts around the ring", many_and_wrap },
        { "padding of short packets", padding },
        { "checksum of a legacy descriptor", legacy_checksum },
        { "checksum handed on", data_checksum_is_handed_on },
        { "checksum of a part", partial_checksum_is_done },
        { "TSO v4", tso_v4_super_frame },
        { "TSO v6", tso_v6_super_frame },
        { "TSO with VLAN insertion", tso_with_vlan },
        { "TSO of one segment", tso_of_one_segment },
        { "TSO beyond 64 KiB", tso_beyond_64k },
        { "UDP segmentation", udp_segments },
        { "transmitter off, link down", disabled_and_down },
        { "the network refuses a frame", network_refuses },
        { "the network is busy", network_is_busy },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("e1000_tx", tests, e1000_fixture_start, e1000_fixture_stop);
}
