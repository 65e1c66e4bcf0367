/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Published attacks on other models of these chips, rebuilt from their descriptions,
 * where no test of a part of the model is their place. The classes A to M and where
 * their other tests are:
 *
 *   A ring geometry            test_e1000_tx_hostile, test_e1000_rx, test_dp8390
 *   B descriptors of nothing   test_e1000_tx_hostile, test_e1000_rx, test_virtio_hostile
 *   C segmentation contexts    test_e1000_tx_hostile
 *   D checksum offsets         test_e1000_tx_hostile, test_virtio_tx, test_offload
 *   E frame sizes              test_e1000_tx_hostile, test_e1000_rx, test_dp8390_rx, test_dp8390_tx
 *   F decoding of addresses    test_dp8390, test_virtio
 *   G loopback                 test_e1000_tx_hostile, test_virtio_hostile
 *   H DMA to what is no memory test_e1000_tx_hostile, test_e1000_rx, test_virtio_hostile, test_phys
 *   I assertions               test_e1000_tx_hostile
 *   J, K virtqueues, sockets   test_virtio*, test_virtqueue, test_vhost_hostile
 *   L saved states             test_nic_state, test_virtio_state
 *   M offload handed on        test_virtio_tx, test_virtio_rx, test_offload, test_vhost_hostile
 */
#include "tests/unit/e1000_fixture.h"
#include "tests/unit/unit.h"

#include <string.h>

static uint32_t rd(uint32_t offset) { return fake_read(&host, offset); }
static void wr(uint32_t offset, uint32_t value) { fake_write(&host, offset, value); }

static void put_data(uint8_t byte, size_t size) { memset(host.memory + TX_DATA, byte, size); }

#define LOOPBACK 0x40u /* RCTL.LBM */

/* Head and tail anywhere, length 0, both rings; work is bounded and the chip goes on
 * afterwards (CVE-2016-1981, CVE-2017-9310). */
static void heads_and_tails(void)
{
    static const uint32_t values[] = { 0, 1, 7, 8, 9, 63, 64, 65, 4095, 4096, 0xfffe, 0xffff };
    const unsigned count = sizeof values / sizeof *values;
    for (unsigned length = 0; length < 3; length++)
        for (unsigned head = 0; head < count; head++)
            for (unsigned tail = 0; tail < count; tail++) {
                e1000_open(RCTL_EN | RCTL_UPE);
                wr(E1000_TDLEN, length * 128);
                wr(E1000_RDLEN, length * 128);
                host.dma_calls = 0;
                wr(E1000_TDH, values[head]);
                wr(E1000_TDT, values[tail]);
                wr(E1000_RDH, values[head]);
                wr(E1000_RDT, values[tail]);
                for (unsigned i = 0; i < 3; i++)
                    nic_receive(host.nic, make_frame(1514), 1514, NULL, host.now);
                fake_nic_host_advance(&host, 1000000);
                CU_ASSERT_TRUE(host.dma_calls < 200);
            }
    e1000_open(RCTL_EN | RCTL_UPE);
    CU_ASSERT_EQUAL(nic_receive(host.nic, make_frame(60), 60, NULL, host.now), NIC_RX_TAKEN);
}

/* A ring full of descriptors that make no packet, turned again and again (CVE-2015-6815, -2021-20257). */
static void nothing_for_ever(void)
{
    e1000_open(0);
    for (unsigned i = 0; i < RING; i++)
        tx_put(0, i & 1 ? TYPE_DATA | CMD_TSE : CMD_DEXT, 0);
    host.dma_calls = 0;
    for (unsigned i = 0; i < 100; i++) {
        wr(E1000_TDT, (rd(E1000_TDH) + RING - 1) % RING);
        CU_ASSERT_EQUAL(rd(E1000_TDH), rd(E1000_TDT));
    }
    CU_ASSERT_TRUE(host.dma_calls < 100 * 10);
    CU_ASSERT_EQUAL(host.frame_count, 0);
}

/* Segments longer than any frame, where the model has to cut them itself (CVE-2017-10235):
 * nothing leaves, and the next packet does. */
static void segments_beyond_a_frame(void)
{
    static const uint16_t sizes[] = { 0xffff, 16300, 16288, 16288 - 54 };
    for (unsigned i = 0; i < 4; i++) {
        e1000_open(RCTL_EN | RCTL_UPE | RCTL_LPE | LOOPBACK);
        put_data(0x22, 70000);
        tx_context(14, 24, 33, 34, 50, 0, 0x07000000, 54, sizes[i]);
        tx_put(TX_DATA, 60000 | TYPE_DATA | CMD_TSE | CMD_EOP, POPTS_IP | POPTS_L4);
        tx_put(TX_DATA, 100 | CMD_EOP, 0);
        tx_ring();
        CU_ASSERT_EQUAL(rd(E1000_GPRC), i < 3 ? 1 : 1 + 4);
        CU_ASSERT_EQUAL(rd(E1000_TDH), 3);
    }
}

/* A checksum over more than there is, read back in loopback, tells nothing of what the
 * model's memory held before (ZDI-20-581; CVE-2022-23087). */
static void checksum_tells_nothing(void)
{
    uint8_t seen[2][256];
    for (unsigned round = 0; round < 2; round++) {
        e1000_open(RCTL_EN | RCTL_UPE | LOOPBACK);
        put_data(round ? 0xa6 : 0x3c, 4000);
        tx_put(TX_DATA, 1500 | CMD_EOP, 0); /* leaves its bytes in the buffer */
        tx_ring();
        memcpy(host.memory + TX_DATA, make_frame(100), 100);
        tx_context(14, 24, 0xfff0, 34, 50, 0xfff0, 0, 0, 0);
        tx_put(TX_DATA, 100 | TYPE_DATA | CMD_EOP, POPTS_IP | POPTS_L4);
        tx_put(TX_DATA, 100 | CMD_EOP | CMD_IC | 98u << 16, 99 << 8);
        tx_ring();
        CU_ASSERT_EQUAL(rx_get(1).size, 104);
        memcpy(seen[round], rx_buffer(1), 104);
        memcpy(seen[round] + 104, rx_buffer(2), 104);
    }
    CU_ASSERT_EQUAL(memcmp(seen[0], seen[1], 208), 0);
}

/* A frame too long for RCTL.LPE = 0, into buffers of 256 bytes, also by loopback (CVE-2012-6075, -2025-12464). */
static void long_without_lpe(void)
{
    e1000_open(RCTL_EN | RCTL_UPE | 0x00030000);
    memset(host.memory + RX_BUFFERS, 0xee, RING * 2048);
    CU_ASSERT_EQUAL(nic_receive(host.nic, make_frame(9000), 9000, NULL, host.now), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(rd(E1000_RDH), 0);
    CU_ASSERT_EQUAL(rx_buffer(0)[0], 0xee);
    e1000_open(RCTL_EN | RCTL_UPE | LOOPBACK | 0x00030000);
    memset(host.memory + RX_BUFFERS, 0xee, RING * 2048);
    put_data(0x22, 9000);
    tx_put(TX_DATA, 9000 | CMD_EOP, 0);
    tx_put(TX_DATA, 14 | CMD_EOP, 0); /* and one that is shorter than frames are */
    tx_ring();
    CU_ASSERT_EQUAL(rd(E1000_RDH), 1);
    CU_ASSERT_EQUAL(rx_get(0).size, 64);
    CU_ASSERT_EQUAL(rx_buffer(0)[64], 0xee);
}

/* Every register at every width, and beyond the windows (CVE-2015-8743's kind). */
static void every_register(void)
{
    e1000_open(RCTL_EN);
    for (uint32_t offset = 0; offset < 0x20000 + 8; offset++)
        for (unsigned size = 1; size <= 4; size *= 2) {
            nic_read(host.nic, 0, offset, size, host.now);
            nic_write(host.nic, 0, offset, size, 0xffffffff, host.now);
        }
    for (uint32_t address = 0; address < 0x100000; address += 0x3fc) {
        nic_write(host.nic, 2, 0, 4, address, host.now);
        nic_write(host.nic, 2, 4, 4, 0xffffffff, host.now);
        nic_read(host.nic, 2, 4, 4, host.now);
    }
    CU_ASSERT_EQUAL(nic_read(host.nic, 0, 0x1fffe, 4, host.now), UINT32_MAX);
    CU_ASSERT_EQUAL(nic_read(host.nic, 5, 0, 4, host.now), UINT32_MAX);
}

/* Loopback whose receiver writes into the transmitter's own ring, each frame making
 * the next descriptors (CVE-2021-3416; H's overlap): one write of TDT is bounded work. */
static void loopback_feeds_itself(void)
{
    e1000_open(RCTL_EN | RCTL_UPE | LOOPBACK);
    for (unsigned i = 0; i < RING; i++) {
        uint64_t ring = TX_RING;
        memcpy(host.memory + RX_RING + 16 * i, &ring, 8);
    }
    for (unsigned i = 0; i < 64; i++) { /* the frame is a ring of descriptors that send it again */
        uint64_t address = TX_DATA;
        uint32_t lower = 1024 | CMD_EOP | CMD_RS;
        memcpy(host.memory + TX_DATA + 16 * i, &address, 8);
        memcpy(host.memory + TX_DATA + 16 * i + 8, &lower, 4);
    }
    memcpy(host.memory + TX_RING, host.memory + TX_DATA, 1024);
    host.dma_calls = 0;
    wr(E1000_TDT, RING - 1);
    CU_ASSERT_TRUE(host.dma_calls < 1000);
    CU_ASSERT_EQUAL(rd(E1000_TDH), RING - 1);
    CU_ASSERT_EQUAL(host.frame_count, 0);
}

/* Rings that lie on the NIC's registers or on nothing: the fake machine, like the real
 * one, lets DMA reach memory only (CVE-2021-3750, CVE-2023-3019). */
static void rings_on_registers(void)
{
    static const uint64_t places[] = { 0xfebc0000, FAKE_MEMORY_SIZE - 8, UINT64_MAX - 15, 1ull << 40 };
    for (unsigned i = 0; i < 4; i++) {
        e1000_open(RCTL_EN | RCTL_UPE);
        wr(E1000_RDBAL, (uint32_t)places[i]), wr(E1000_RDBAH, (uint32_t)(places[i] >> 32));
        wr(E1000_TDBAL, (uint32_t)places[i]), wr(E1000_TDBAH, (uint32_t)(places[i] >> 32));
        wr(E1000_TDT, 5);
        nic_receive(host.nic, make_frame(60), 60, NULL, host.now);
        CU_ASSERT_EQUAL(host.frame_count, 0);
        CU_ASSERT_TRUE(host.errors > 0);
        wr(E1000_CTRL, CTRL_RST);
        CU_ASSERT_EQUAL(rd(E1000_TDBAL), 0);
    }
}

/* Delays changed while they run, causes set and cleared by hand: where others had left
 * assertions (e1000e's delayed causes). The line is cause and mask in the end. */
static void timers_in_disorder(void)
{
    e1000_open(RCTL_EN | RCTL_UPE);
    for (unsigned i = 0; i < 4000; i++) {
        static const uint32_t registers[] = { E1000_RDTR, E1000_RADV, E1000_TIDV, E1000_TADV, E1000_ITR, E1000_ICS,
                                              E1000_IMS, E1000_IMC, E1000_ICR };
        uint32_t dice = i * 2654435761u;
        wr(registers[(dice >> 8) % 9], dice & 1 ? dice >> 16 : 0);
        if (dice & 16)
            nic_receive(host.nic, make_frame(60), 60, NULL, host.now);
        if (dice & 32)
            rx_give((rd(E1000_RDH) + RING - 1) % RING);
        fake_nic_host_advance(&host, dice & 64 ? 1000 : 100000);
        CU_ASSERT_TRUE(!host.irq || (rd(E1000_ICS) & rd(E1000_IMS)));
    }
    wr(E1000_ITR, 0);
    fake_nic_host_advance(&host, 1000000000);
    CU_ASSERT_EQUAL(host.irq, (rd(E1000_ICS) & rd(E1000_IMS)) != 0);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "cve class A: heads and tails", heads_and_tails },
        { "cve class B: nothing for ever", nothing_for_ever },
        { "cve class C: segments beyond a frame", segments_beyond_a_frame },
        { "cve class D: a checksum tells nothing", checksum_tells_nothing },
        { "cve class E: long without LPE", long_without_lpe },
        { "cve class F: every register", every_register },
        { "cve class G: loopback that feeds itself", loopback_feeds_itself },
        { "cve class H: rings on registers", rings_on_registers },
        { "cve class I: timers in disorder", timers_in_disorder },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("nic_cve", tests, e1000_fixture_start, e1000_fixture_stop);
}
