/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What e1000 makes of a packet byte by byte: the segments that it cuts itself (seen in
 * loopback), VLAN tags, packet checksums, and rings and buffers above 4 GiB.
 */
#include "nicemu/inet_checksum.h"
#include "tests/unit/e1000_fixture.h"
#include "tests/unit/unit.h"

#include <string.h>

#define MAC_LOOPBACK 0x40u
#define MSS 700u

static uint32_t rd(uint32_t offset) { return fake_read(&host, offset); }
static void wr(uint32_t offset, uint32_t value) { fake_write(&host, offset, value); }

static uint16_t get16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static uint32_t get32(const uint8_t *p) { return (uint32_t)get16(p) << 16 | get16(p + 2); }

/* The packet as a driver prepares it (3.5): lengths zero, the pseudo header's sum without the length. */
static size_t put_packet(bool v6, size_t payload)
{
    static uint8_t frame[8192];
    size_t size = make_tcp(frame, v6, payload), l4 = v6 ? 54 : 34;
    uint16_t sum = inet_fold((v6 ? inet_sum(frame + 22, 32) : inet_sum(frame + 26, 8)) + 6u);
    memset(frame + (v6 ? 18 : 16), 0, 2);
    frame[l4 + 16] = (uint8_t)(sum >> 8);
    frame[l4 + 17] = (uint8_t)sum;
    memcpy(host.memory + TX_DATA, frame, size);
    return size;
}

static void check_segment(bool v6, unsigned number, bool last, size_t payload)
{
    const uint8_t *f = rx_buffer(number);
    size_t l4 = v6 ? 54 : 34, size = l4 + 20 + payload;

    CU_ASSERT_EQUAL(rx_get(number).size, size < 60 ? 60 : size);
    CU_ASSERT_EQUAL(memcmp(f, fake_mac, 6), 0);
    if (v6) {
        CU_ASSERT_EQUAL(get16(f + 18), 20 + payload);
    } else {
        CU_ASSERT_EQUAL(get16(f + 16), size - 14);
        CU_ASSERT_EQUAL(get16(f + 18), 0x1234 + number); /* each has a number of its own */
        CU_ASSERT_EQUAL(inet_sum(f + 14, 20), 0xffff);
    }
    CU_ASSERT_EQUAL(get32(f + l4 + 4), 0x10000 + number * MSS);
    CU_ASSERT_EQUAL(f[l4 + 13], last ? 0x19 : 0x10); /* PSH and FIN in the last alone */
    for (size_t i = 0; i < payload; i++)
        CU_ASSERT_EQUAL(f[l4 + 20 + i], (uint8_t)((number * MSS + i) * 5 + 1));
    uint64_t sum = (v6 ? inet_sum(f + 22, 32) : inet_sum(f + 26, 8)) + 6u + (size - l4) + inet_sum(f + l4, size - l4);
    CU_ASSERT_EQUAL(inet_fold(sum), 0xffff);
}

static void segments(bool v6)
{
    static const size_t payloads[] = { MSS * 4, MSS * 4 + 1, MSS * 5 - 1, MSS, 1 };
    for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
        e1000_open(RCTL_EN | RCTL_SECRC | MAC_LOOPBACK);
        size_t size = put_packet(v6, payloads[i]), header = v6 ? 74 : 54;
        if (v6)
            tx_context(14, 0, 0, 54, 70, 0, 0x05000000, 74, MSS);
        else
            tx_context(14, 24, 33, 34, 50, 0, 0x07000000, 54, MSS);
        /* the header in two pieces, the payload in odd ones */
        tx_put(TX_DATA, 20 | TYPE_DATA | CMD_TSE, POPTS_IP * !v6 | POPTS_L4);
        tx_put(TX_DATA + 20, (uint32_t)(header - 20) | TYPE_DATA | CMD_TSE, 0);
        for (size_t at = header; at < size; at += 333) {
            uint32_t part = size - at < 333 ? (uint32_t)(size - at) : 333;
            tx_put(TX_DATA + at, part | TYPE_DATA | CMD_TSE | (at + part == size ? CMD_EOP | CMD_RS : 0), 0);
        }
        tx_ring();
        unsigned count = (unsigned)((payloads[i] + MSS - 1) / MSS);
        CU_ASSERT_EQUAL(rd(E1000_RDH), count);
        for (unsigned n = 0; n < count; n++)
            check_segment(v6, n, n + 1 == count, n + 1 < count ? MSS : payloads[i] - n * MSS);
    }
}

static void segments_v4(void) { segments(false); }
static void segments_v6(void) { segments(true); }

/* Linux spreads a packet over at most twenty descriptors, its pages cut where the ring ends. */
static void quirk_linux(void)
{
    static uint8_t frame[70000];
    for (unsigned before = 0; before < RING; before += 21) { /* also around the ring's end */
        e1000_open(0);
        for (unsigned i = 0; i < before; i++)
            tx_put(TX_DATA, 60 | CMD_EOP, 0);
        tx_ring();
        fake_nic_host_forget_frames(&host);
        size_t size = make_tcp(frame, false, 19 * 3400), at = 0;
        memcpy(host.memory + TX_DATA, frame, size);
        tx_context(14, 24, 33, 34, 50, 0, 0x07000000, 54, 1448);
        for (unsigned i = 0; i < 20; i++) {
            size_t part = i == 0 ? 54 : 3400;
            tx_put(TX_DATA + at, (uint32_t)part | TYPE_DATA | CMD_TSE | (i == 19 ? CMD_EOP | CMD_RS : 0),
                   POPTS_IP | POPTS_L4);
            at += part;
        }
        tx_ring();
        CU_ASSERT_EQUAL_FATAL(host.frame_count, 1);
        CU_ASSERT_EQUAL(host.frames[0].size, size);
        CU_ASSERT_EQUAL(memcmp(host.frames[0].bytes + 54, frame + 54, size - 54), 0);
        CU_ASSERT_EQUAL(host.frames[0].offload.gso_size, 1448);
        CU_ASSERT_TRUE(tx_done((before + 20) % RING));
        CU_ASSERT_EQUAL(rd(E1000_TDH), rd(E1000_TDT));
    }
}

/* CTRL.VME and VLE: the tag, with VET in front of it, behind the addresses; checksums as they were. */
static void tags(void)
{
    const uint8_t *f;
    e1000_open(0);
    memcpy(host.memory + TX_DATA, make_frame(100), 100);
    tx_put(TX_DATA, 100 | CMD_EOP | CMD_VLE, 0x20640000);
    tx_ring();
    CU_ASSERT_EQUAL(host.frames[0].size, 100); /* not without VME */
    wr(E1000_CTRL, rd(E1000_CTRL) | CTRL_VME);
    wr(E1000_VET, 0x88a8);
    tx_put(TX_DATA, 100 | CMD_EOP | CMD_VLE | CMD_IC | 40u << 16, 0x20640000 | 20 << 8);
    tx_put(TX_DATA, 100 | CMD_EOP, 0x20640000);
    tx_put(TX_DATA, 50, 0);
    tx_put(TX_DATA + 50, 50 | CMD_EOP | CMD_VLE, 0x00050000); /* the last descriptor's counts */
    tx_ring();
    CU_ASSERT_EQUAL_FATAL(host.frame_count, 4);
    f = host.frames[1].bytes;
    CU_ASSERT_EQUAL(host.frames[1].size, 104);
    CU_ASSERT_EQUAL(memcmp(f, make_frame(100), 12), 0);
    CU_ASSERT_EQUAL(get32(f + 12), 0x88a82064);
    CU_ASSERT_EQUAL(memcmp(f + 16, make_frame(100) + 12, 20), 0);
    CU_ASSERT_EQUAL(host.frames[1].offload.csum_start, 24);
    CU_ASSERT_EQUAL(host.frames[1].offload.csum_offset, 20);
    CU_ASSERT_EQUAL(host.frames[2].size, 100);
    CU_ASSERT_EQUAL(host.frames[3].size, 104);
    CU_ASSERT_EQUAL(get16(host.frames[3].bytes + 14), 5);
}

/* The packet checksum of every frame, from PCSS on; beyond its end it is zero (3.2.9). */
static void packet_checksum(void)
{
    uint8_t frame[200];
    memcpy(frame, make_frame(200), 200);
    e1000_open(RCTL_EN);
    for (unsigned start = 0; start < 256; start += 5) {
        wr(E1000_RXCSUM, start);
        unsigned n = rd(E1000_RDH);
        nic_receive(host.nic, frame, 199, NULL, host.now);
        rx_give((n + RING - 1) % RING);
        CU_ASSERT_EQUAL(rx_get(n).checksum, start < 199 ? inet_sum(frame + start, 199 - start) : 0);
        CU_ASSERT_EQUAL(rx_get(n).status & 4, 4); /* IXSM: the two bits are not asked for */
    }
}

/* All of memory lies at 5 GiB: rings, descriptors and buffers (RDBAH, TDBAH). */
static void above_4_gib(void)
{
    const uint64_t base = 5ull << 30;
    e1000_open(0);
    host.memory_at = base;
    wr(E1000_RDBAH, 1);
    wr(E1000_RDBAL, 0x40000000 + RX_RING);
    wr(E1000_TDBAH, 1);
    wr(E1000_TDBAL, 0x40000000 + TX_RING);
    for (unsigned i = 0; i < RING; i++) {
        uint64_t address = base + RX_BUFFERS + i * 2048;
        memcpy(host.memory + RX_RING + 16 * i, &address, 8);
    }
    wr(E1000_RCTL, RCTL_EN);
    CU_ASSERT_EQUAL(nic_receive(host.nic, make_frame(300), 300, NULL, host.now), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(memcmp(rx_buffer(0), make_frame(300), 300), 0);
    CU_ASSERT_EQUAL(rx_get(0).status & 3, 3);
    memcpy(host.memory + TX_DATA, make_frame(400), 400);
    tx_put(base + TX_DATA, 400 | CMD_EOP | CMD_RS, 0);
    tx_ring();
    CU_ASSERT_EQUAL_FATAL(host.frame_count, 1);
    CU_ASSERT_EQUAL(memcmp(host.frames[0].bytes, make_frame(400), 400), 0);
    CU_ASSERT_TRUE(tx_done(0));
    CU_ASSERT_EQUAL(host.errors, 0);
    wr(E1000_RDBAH, 0); /* the same address cut to 32 bits is not memory */
    nic_receive(host.nic, make_frame(300), 300, NULL, host.now);
    CU_ASSERT_TRUE(host.errors > 0);
    host.memory_at = 0;
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "IPv4 segments byte by byte", segments_v4 },
        { "IPv6 segments byte by byte", segments_v6 },
        { "quirk: Linux's twenty descriptors", quirk_linux },
        { "VLAN tags put in", tags },
        { "packet checksum", packet_checksum },
        { "above 4 GiB", above_4_gib },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("e1000_segment", tests, e1000_fixture_start, e1000_fixture_stop);
}
