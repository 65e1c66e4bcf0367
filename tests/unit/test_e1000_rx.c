/* SPDX-License-Identifier: BSD-2-Clause
 *
 * e1000's receiver: filters, buffers of every size, status bits, and what
 * happens when there is no room or the ring makes no sense.
 */
#include "nicemu/ethernet_crc.h"
#include "nicemu/inet_checksum.h"
#include "tests/unit/e1000_fixture.h"
#include "tests/unit/unit.h"

#include <string.h>

#define DD_EOP 3

static uint32_t rd(uint32_t offset) { return fake_read(&host, offset); }
static void wr(uint32_t offset, uint32_t value) { fake_write(&host, offset, value); }

static enum nic_rx_result give(const uint8_t *frame, size_t size)
{
    return nic_receive(host.nic, frame, size, NULL, host.now);
}

static uint64_t filtered(void)
{
    struct nic_counters c;
    nic_get_counters(host.nic, &c);
    return c.rx_filtered;
}

static void simple(void)
{
    e1000_open(RCTL_EN);
    CU_ASSERT_EQUAL(give(make_frame(200), 200), NIC_RX_TAKEN);
    struct rx_descriptor d = rx_get(0);
    CU_ASSERT_EQUAL(d.status & DD_EOP, DD_EOP);
    CU_ASSERT_EQUAL(d.size, 204);
    CU_ASSERT_EQUAL(d.errors, 0);
    CU_ASSERT_EQUAL(memcmp(rx_buffer(0), make_frame(200), 200), 0);
    uint32_t fcs = ethernet_fcs(make_frame(200), 200), stored;
    memcpy(&stored, rx_buffer(0) + 200, 4);
    CU_ASSERT_EQUAL(stored, fcs);
    CU_ASSERT_EQUAL(rd(E1000_RDH), 1);
    CU_ASSERT_TRUE(host.irq);
    CU_ASSERT_EQUAL(rd(E1000_ICR), ICR_RXT0);
    CU_ASSERT_FALSE(host.irq);
}

static void short_frame_is_padded(void)
{
    e1000_open(RCTL_EN | RCTL_SECRC);
    memset(host.memory + RX_BUFFERS, 0xee, 100);
    give(make_frame(42), 42);
    CU_ASSERT_EQUAL(rx_get(0).size, 60);
    CU_ASSERT_EQUAL(rx_buffer(0)[42], 0);
    CU_ASSERT_EQUAL(rx_buffer(0)[59], 0);
    CU_ASSERT_EQUAL(rx_buffer(0)[60], 0xee);
}

/* Every buffer size; a frame of an exact multiple, one more, one less. */
static void buffer_sizes(void)
{
    static const struct { uint32_t rctl, size; } cases[] = {
        { 0x00000000, 2048 }, { 0x00010000, 1024 }, { 0x00020000, 512 }, { 0x00030000, 256 },
        { 0x02010000, 16384 }, { 0x02020000, 8192 }, { 0x02030000, 4096 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t buffer = cases[i].size;
        for (int delta = -1; delta <= 1; delta++) {
            size_t size = (buffer < 2048 ? buffer * 3 : buffer) + (size_t)delta - 4;
            if (size + 4 > 16384)
                continue;
            e1000_open(RCTL_EN | RCTL_LPE | cases[i].rctl);
            for (unsigned k = 0; k < 16; k++) {
                uint64_t address = RX_BUFFERS + k * 16384;
                memcpy(host.memory + RX_RING + 16 * k, &address, 8);
            }
            CU_ASSERT_EQUAL(give(make_frame(size), size), NIC_RX_TAKEN);
            unsigned used = rd(E1000_RDH);
            CU_ASSERT_EQUAL(used, (size + 4 + buffer - 1) / buffer);
            size_t sum = 0;
            for (unsigned k = 0; k < used; k++) {
                struct rx_descriptor d = rx_get(k);
                CU_ASSERT_EQUAL(d.status & DD_EOP, k + 1 == used ? DD_EOP : 1);
                const uint8_t *bytes = host.memory + RX_BUFFERS + k * 16384;
                size_t part = d.size < size - sum ? d.size : size - sum;
                CU_ASSERT_EQUAL(memcmp(bytes, make_frame(size) + sum, sum < size ? part : 0), 0);
                sum += d.size;
            }
            CU_ASSERT_EQUAL(sum, size + 4);
        }
    }
}

static void length_limits(void)
{
    e1000_open(RCTL_EN);
    CU_ASSERT_EQUAL(give(make_frame(1518), 1518), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(give(make_frame(1519), 1519), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(rd(E1000_RDH), 1);
    CU_ASSERT_EQUAL(rd(E1000_ROC), 1);
    CU_ASSERT_EQUAL(rd(E1000_RLEC), 1);
    wr(E1000_RCTL, RCTL_EN | RCTL_LPE);
    give(make_frame(16380), 16380);
    give(make_frame(16381), 16381);
    CU_ASSERT_EQUAL(rd(E1000_ROC), 1);
    CU_ASSERT_EQUAL(rd(E1000_RDH), 9);
    CU_ASSERT_EQUAL(give(make_frame(13), 13), NIC_RX_TAKEN); /* no frame at all */
    CU_ASSERT_EQUAL(give(make_frame(0), 0), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(give(make_frame(70000), 70000), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(rd(E1000_RDH), 9);
    struct nic_offload gso = { .gso_type = NIC_GSO_TCPV4, .gso_size = 1000 };
    CU_ASSERT_EQUAL(nic_receive(host.nic, make_frame(3000), 3000, &gso, 0), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(rd(E1000_RDH), 9);
}

/* RCTL.SBP: what is too long is stored all the same, up to what the chip can hold,
 * but is no good packet; the filter comes first. */
static void bad_packets_stored(void)
{
    e1000_open(RCTL_EN | RCTL_SBP);
    CU_ASSERT_EQUAL(give(make_frame(1600), 1600), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(rd(E1000_RDH), 1);
    CU_ASSERT_EQUAL(rx_get(0).size, 1604);
    CU_ASSERT_EQUAL(rx_get(0).errors, 0);
    CU_ASSERT_EQUAL(memcmp(rx_buffer(0), make_frame(1600), 1600), 0);
    CU_ASSERT_EQUAL(rd(E1000_ROC), 1);
    CU_ASSERT_EQUAL(rd(E1000_RLEC), 1);
    CU_ASSERT_EQUAL(rd(E1000_GPRC), 0);
    CU_ASSERT_EQUAL(rd(E1000_PRC64 + 20), 0);
    CU_ASSERT_EQUAL(rd(E1000_TPR), 1);
    give(make_frame(16380), 16380);
    CU_ASSERT_EQUAL(rd(E1000_RDH), 9);
    give(make_frame(16381), 16381); /* too long for that, too */
    CU_ASSERT_EQUAL(rd(E1000_RDH), 9);
    CU_ASSERT_EQUAL(rd(E1000_ROC), 2);
    uint8_t stranger[1600] = { 0x02, 9, 9, 9, 9, 9 };
    give(stranger, sizeof stranger); /* not ours: neither stored nor counted as too long */
    CU_ASSERT_EQUAL(rd(E1000_RDH), 9);
    CU_ASSERT_EQUAL(rd(E1000_ROC), 0);
    CU_ASSERT_EQUAL(rd(E1000_TPR), 3);
}

static bool passes(const char *mac)
{
    uint8_t frame[60];
    uint32_t head = rd(E1000_RDH);
    memcpy(frame, make_frame(60), 60);
    memcpy(frame, mac, 6);
    CU_ASSERT_EQUAL(give(frame, 60), NIC_RX_TAKEN);
    return rd(E1000_RDH) != head;
}

static void address_filter(void)
{
    static const char broadcast[] = "\xff\xff\xff\xff\xff\xff", group[] = "\x01\x00\x5e\x00\x12\x34";
    static const char other[] = "\x02\x00\x00\x00\x00\x09";
    e1000_open(RCTL_EN);
    CU_ASSERT_TRUE(passes((const char *)fake_mac));
    CU_ASSERT_FALSE(passes(other));
    CU_ASSERT_FALSE(passes(group));
    CU_ASSERT_FALSE(passes(broadcast));
    CU_ASSERT_EQUAL(filtered(), 3);
    wr(E1000_RCTL, RCTL_EN | RCTL_BAM);
    CU_ASSERT_TRUE(passes(broadcast));
    CU_ASSERT_FALSE(passes(group));
    wr(E1000_RCTL, RCTL_EN | RCTL_MPE);
    CU_ASSERT_TRUE(passes(group) && passes(broadcast));
    CU_ASSERT_FALSE(passes(other));
    wr(E1000_RCTL, RCTL_EN | RCTL_UPE);
    CU_ASSERT_TRUE(passes(other));
    CU_ASSERT_FALSE(passes(group));
    wr(E1000_RCTL, RCTL_EN);
    wr(E1000_RAL + 8 * 15, 0x00000002); /* the last of sixteen addresses */
    wr(E1000_RAH + 8 * 15, 0x80000900);
    CU_ASSERT_TRUE(passes(other));
    wr(E1000_RAH + 8 * 15, 0x00000900);
    CU_ASSERT_FALSE(passes(other));
}

static void multicast_table(void)
{
    static const char group[] = "\x01\x00\x5e\x00\x12\x34";
    static const unsigned bits[] = { 0x341, 0x682, 0xd04, 0x412 };
    for (uint32_t mo = 0; mo < 4; mo++) {
        e1000_open(RCTL_EN | mo << 12);
        CU_ASSERT_FALSE(passes(group));
        wr(E1000_MTA + (bits[mo] >> 5) * 4, 1u << (bits[mo] & 31));
        uint32_t head = rd(E1000_RDH);
        CU_ASSERT_TRUE(passes(group));
        CU_ASSERT_TRUE(rx_get(head).status & 0x80); /* PIF: the driver must look again */
    }
}

static const uint8_t *tagged(uint16_t tag)
{
    uint8_t *frame = make_frame(100);
    frame[12] = 0x81;
    frame[13] = 0x00;
    frame[14] = (uint8_t)(tag >> 8);
    frame[15] = (uint8_t)tag;
    return frame;
}

static void vlan(void)
{
    e1000_open(RCTL_EN | RCTL_VFE);
    CU_ASSERT_EQUAL(give(tagged(100), 100), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(rd(E1000_RDH), 0);
    wr(E1000_VFTA + (100 >> 5) * 4, 1u << (100 & 31));
    give(tagged(100), 100);
    CU_ASSERT_EQUAL(rd(E1000_RDH), 1);
    CU_ASSERT_EQUAL(rx_get(0).size, 104); /* not stripped */
    CU_ASSERT_FALSE(rx_get(0).status & 8);
    give(make_frame(100), 100); /* untagged frames are not the filter's matter */
    CU_ASSERT_EQUAL(rd(E1000_RDH), 2);
    wr(E1000_CTRL, rd(E1000_CTRL) | CTRL_VME);
    give(tagged(0x6000 | 100), 100);
    CU_ASSERT_EQUAL(rx_get(2).size, 100);
    CU_ASSERT_TRUE(rx_get(2).status & 8);
    CU_ASSERT_EQUAL(rx_get(2).special, 0x6000 | 100);
    CU_ASSERT_EQUAL(memcmp(rx_buffer(2), make_frame(100), 12), 0);
    CU_ASSERT_EQUAL(memcmp(rx_buffer(2) + 12, make_frame(100) + 16, 84), 0);
    wr(E1000_RCTL, RCTL_EN | RCTL_VFE | RCTL_CFIEN);
    give(tagged(0x1000 | 100), 100);
    CU_ASSERT_EQUAL(rd(E1000_RDH), 3);
    wr(E1000_RCTL, RCTL_EN | RCTL_VFE | RCTL_CFIEN | RCTL_CFI);
    give(tagged(0x1000 | 100), 100);
    CU_ASSERT_EQUAL(rd(E1000_RDH), 4);
}

static void checksum_status(void)
{
    uint8_t frame[200];
    size_t size = make_tcp(frame, false, 100);
    inet_checksum_insert(frame, 34, 14, 24, 0);
    e1000_open(RCTL_EN);
    give(frame, size);
    CU_ASSERT_EQUAL(rx_get(0).status & 0x64, 4); /* off: "ignore" */
    wr(E1000_RXCSUM, RXCSUM_IPOFLD | RXCSUM_TUOFLD);
    give(frame, size);
    CU_ASSERT_EQUAL(rx_get(1).status & 0x64, 0x60);
    CU_ASSERT_EQUAL(rx_get(1).errors, 0x20); /* TCP sum was never filled in */
    uint32_t pseudo = inet_fold((uint64_t)inet_sum(frame + 26, 8) + 6 + 120);
    frame[50] = (uint8_t)(pseudo >> 8);
    frame[51] = (uint8_t)pseudo;
    uint8_t open[200];
    memcpy(open, frame, size);
    inet_checksum_insert(frame, size, 34, 50, 0);
    give(frame, size);
    CU_ASSERT_EQUAL(rx_get(2).errors, 0);
    CU_ASSERT_EQUAL(rx_get(2).checksum, inet_sum(frame, size));
    frame[25] ^= 1;
    give(frame, size);
    CU_ASSERT_EQUAL(rx_get(3).errors, 0x40);
    give(make_frame(100), 100);
    CU_ASSERT_EQUAL(rx_get(4).status & 0x64, 4); /* not IP */
    /* A checksum left open by the sender is completed on the way. */
    frame[25] ^= 1;
    struct nic_offload offload = { .flags = NIC_OFFLOAD_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16 };
    CU_ASSERT_EQUAL(nic_receive(host.nic, open, size, &offload, host.now), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(rx_get(5).status & 0x64, 0x60);
    CU_ASSERT_EQUAL(rx_get(5).errors, 0);
    CU_ASSERT_EQUAL(memcmp(rx_buffer(5), frame, size), 0);
    wr(E1000_RXCSUM, RXCSUM_IPOFLD); /* each of the two bits for its own */
    give(frame, size);
    CU_ASSERT_EQUAL(rx_get(6).status & 0x64, 0x40);
    wr(E1000_RXCSUM, RXCSUM_TUOFLD);
    give(frame, size);
    CU_ASSERT_EQUAL(rx_get(7).status & 0x64, 0x20);
    offload.csum_start = 5000; /* nonsense from the network: no harm */
    CU_ASSERT_EQUAL(nic_receive(host.nic, open, size, &offload, host.now), NIC_RX_TAKEN);
}

static void full_ring(void)
{
    e1000_open(RCTL_EN);
    for (unsigned i = 0; i < RING - 1; i++)
        CU_ASSERT_EQUAL(give(make_frame(60), 60), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(give(make_frame(60), 60), NIC_RX_FULL);
    CU_ASSERT_EQUAL(host.ready, 0);
    CU_ASSERT_EQUAL(rd(E1000_RNBC), 1);
    CU_ASSERT_EQUAL(rd(E1000_MPC), 0);
    CU_ASSERT_TRUE(rd(E1000_ICR) & ICR_RXDMT0);
    rx_give(3);
    CU_ASSERT_EQUAL(host.ready, 1);
    CU_ASSERT_EQUAL(give(make_frame(60), 60), NIC_RX_TAKEN);
    rx_give(4);
    CU_ASSERT_EQUAL(host.ready, 1); /* nobody was waiting */
}

static void whole_frame_or_nothing(void)
{
    e1000_open(RCTL_EN | RCTL_LPE);
    rx_give(4);
    CU_ASSERT_EQUAL(give(make_frame(9000), 9000), NIC_RX_FULL); /* needs five */
    CU_ASSERT_EQUAL(rd(E1000_RDH), 0);
    CU_ASSERT_EQUAL(rx_get(0).status, 0);
    rx_give(5);
    CU_ASSERT_EQUAL(host.ready, 1);
    CU_ASSERT_EQUAL(give(make_frame(9000), 9000), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(rd(E1000_RDH), 5);
}

/* A frame whose descriptors lie on both sides of the ring's end. */
static void around_the_end(void)
{
    e1000_open(RCTL_EN | RCTL_LPE);
    for (unsigned i = 0; i < RING - 2; i++)
        give(make_frame(60), 60);
    rx_give(10);
    CU_ASSERT_EQUAL(give(make_frame(5000), 5000), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(rd(E1000_RDH), 1);
    CU_ASSERT_EQUAL(rx_get(RING - 2).status & DD_EOP, 1);
    CU_ASSERT_EQUAL(rx_get(RING - 1).status & DD_EOP, 1);
    CU_ASSERT_EQUAL(rx_get(0).status & DD_EOP, DD_EOP);
    CU_ASSERT_EQUAL(rx_get(0).size, 5004 - 4096);
    CU_ASSERT_EQUAL(memcmp(rx_buffer(RING - 1), make_frame(5000) + 2048, 2048), 0);
    CU_ASSERT_EQUAL(memcmp(rx_buffer(0), make_frame(5000) + 4096, 5000 - 4096), 0);
}

static void never_fits(void)
{
    e1000_open(RCTL_EN | RCTL_LPE | 0x00030000);
    wr(E1000_RDLEN, 128); /* 8 descriptors of 256 bytes */
    wr(E1000_RDT, 7);
    rd(E1000_ICR);
    CU_ASSERT_EQUAL(give(make_frame(4000), 4000), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(rd(E1000_MPC), 1);
    CU_ASSERT_EQUAL(rd(E1000_ICR), ICR_RXO);
}

static void waiting_ends_with_reset(void)
{
    e1000_open(0);
    rx_give(0); /* none */
    wr(E1000_RCTL, RCTL_EN);
    CU_ASSERT_EQUAL(give(make_frame(60), 60), NIC_RX_FULL);
    wr(E1000_CTRL, CTRL_RST);
    CU_ASSERT_EQUAL(host.ready, 1); /* so that the machine asks again, and drops */
    CU_ASSERT_EQUAL(give(make_frame(60), 60), NIC_RX_OFF);
}

/* Descriptors are read once: what a driver does to one it no longer owns is its affair. */
static void prefetch(void)
{
    e1000_open(RCTL_EN);
    give(make_frame(60), 60);
    memset(host.memory + RX_RING + 16, 0xff, 16 * 8);
    CU_ASSERT_EQUAL(give(make_frame(60), 60), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(memcmp(rx_buffer(1), make_frame(60), 60), 0);
    wr(E1000_RDH, 0); /* a moved head forgets them */
    CU_ASSERT_EQUAL(give(make_frame(60), 60), NIC_RX_TAKEN);
}

static void null_buffers(void)
{
    e1000_open(RCTL_EN);
    memset(host.memory + RX_RING, 0, 32);
    CU_ASSERT_EQUAL(give(make_frame(60), 60), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(rx_get(0).status & DD_EOP, 1);
    CU_ASSERT_EQUAL(rx_get(0).size, 0);
    CU_ASSERT_EQUAL(rx_get(2).status & DD_EOP, DD_EOP);
    CU_ASSERT_EQUAL(host.memory[0], 0);
    e1000_open(RCTL_EN);
    memset(host.memory + RX_RING, 0, 16 * RING);
    CU_ASSERT_EQUAL(give(make_frame(60), 60), NIC_RX_FULL); /* all null: none holds a byte */
}

/* OS/2's driver gives the ring's size as tail. */
static void tail_at_size(void)
{
    e1000_open(RCTL_EN);
    rx_give(RING);
    for (unsigned i = 0; i < RING; i++)
        CU_ASSERT_EQUAL(give(make_frame(60), 60), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(rd(E1000_RDH), 0);
}

/* A, H: rings and buffers that make no sense. */
static void bad_rings(void)
{
    static const uint32_t cases[][3] = { { 0, 0, 5 }, { 128, 8, 3 }, { 128, 0, 9 }, { 128, 0xffff, 0xffff } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        e1000_open(RCTL_EN);
        wr(E1000_RDLEN, cases[i][0]);
        wr(E1000_RDH, cases[i][1]);
        wr(E1000_RDT, cases[i][2]);
        CU_ASSERT_EQUAL(give(make_frame(60), 60), NIC_RX_FULL);
    }
    e1000_open(RCTL_EN);
    wr(E1000_RDBAH, 0xffffffff);
    wr(E1000_RDBAL, 0xfffffff0);
    CU_ASSERT_EQUAL(give(make_frame(60), 60), NIC_RX_FULL);
    e1000_open(RCTL_EN);
    memset(host.memory + RX_RING, 0xff, 8);
    CU_ASSERT_EQUAL(give(make_frame(60), 60), NIC_RX_TAKEN); /* goes to nowhere */
    CU_ASSERT_EQUAL(rx_get(0).status & DD_EOP, DD_EOP);
    e1000_open(RCTL_EN); /* the ring as its own buffer */
    uint64_t address = RX_RING;
    memcpy(host.memory + RX_RING, &address, 8);
    CU_ASSERT_EQUAL(give(make_frame(1000), 1000), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(give(make_frame(1000), 1000), NIC_RX_TAKEN);
}

static void pause_frames(void)
{
    uint8_t frame[60] = { 0x01, 0x80, 0xc2, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x88, 0x08, 0, 1, 0x10, 0 };
    e1000_open(RCTL_EN | RCTL_MPE | RCTL_DPF);
    wr(E1000_CTRL, rd(E1000_CTRL) | CTRL_RFCE);
    give(frame, 60);
    CU_ASSERT_EQUAL(rd(E1000_RDH), 0);
    CU_ASSERT_EQUAL(rd(E1000_XOFFRXC), 1);
    memcpy(host.memory + TX_DATA, make_frame(60), 60);
    tx_put(TX_DATA, 60 | CMD_EOP, 0);
    tx_ring();
    CU_ASSERT_EQUAL(host.frame_count, 0);
    fake_nic_host_advance(&host, 4096 * 512 - 1000);
    CU_ASSERT_EQUAL(host.frame_count, 0);
    fake_nic_host_advance(&host, 2000);
    CU_ASSERT_EQUAL(host.frame_count, 1);
    give(frame, 60);
    tx_put(TX_DATA, 60 | CMD_EOP, 0);
    tx_ring();
    frame[16] = 0; /* a time of zero ends the pause */
    give(frame, 60);
    CU_ASSERT_EQUAL(host.frame_count, 2);
    CU_ASSERT_EQUAL(rd(E1000_XONRXC), 1);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "a frame, its FCS and its interrupt", simple },
        { "short frames are padded", short_frame_is_padded },
        { "every buffer size", buffer_sizes },
        { "cve class E: length limits", length_limits },
        { "bad packets stored", bad_packets_stored },
        { "address filter", address_filter },
        { "multicast table", multicast_table },
        { "VLAN filter and strip", vlan },
        { "checksum status", checksum_status },
        { "full ring", full_ring },
        { "a frame whole or not at all", whole_frame_or_nothing },
        { "a frame around the ring's end", around_the_end },
        { "a frame that never fits", never_fits },
        { "waiting ends with a reset", waiting_ends_with_reset },
        { "cve class H, quirk: Intel's DOS driver: descriptors are read once", prefetch },
        { "cve class B: null buffers", null_buffers },
        { "quirk: OS/2, a tail equal to the ring's size", tail_at_size },
        { "cve class A, H: rings that make no sense", bad_rings },
        { "PAUSE", pause_frames },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("e1000_rx", tests, e1000_fixture_start, e1000_fixture_stop);
}
