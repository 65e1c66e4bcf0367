/* SPDX-License-Identifier: BSD-2-Clause
 *
 * e1000's statistics (13.7): for each thing that can happen on our wire, which of the
 * 64 words count it, and by how much; what is not named must stay at zero. Then
 * reading, which clears, and the ends of the counters.
 */
#include "tests/unit/e1000_fixture.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

static uint32_t rd(uint32_t offset) { return fake_read(&host, offset); }
static void wr(uint32_t offset, uint32_t value) { fake_write(&host, offset, value); }

static const uint8_t everyone[6] = { 255, 255, 255, 255, 255, 255 }, group[6] = { 1, 0, 0x5e, 1, 2, 3 },
                     stranger[6] = { 2, 9, 9, 9, 9, 9 }, control[6] = { 1, 0x80, 0xc2, 0, 0, 1 };

static void give(const uint8_t *to, size_t size)
{
    uint8_t *frame = make_frame(size);
    memcpy(frame, to, 6);
    nic_receive(host.nic, frame, size, NULL, host.now);
}

static void give_control(uint16_t opcode, uint16_t quanta)
{
    uint8_t *frame = make_frame(60);
    memcpy(frame, control, 6);
    memcpy(frame + 12, "\x88\x08", 2);
    frame[14] = (uint8_t)(opcode >> 8);
    frame[15] = (uint8_t)opcode;
    frame[16] = (uint8_t)(quanta >> 8);
    frame[17] = (uint8_t)quanta;
    nic_receive(host.nic, frame, 60, NULL, host.now);
}

static void send(const uint8_t *to, size_t size)
{
    uint8_t *frame = make_frame(size);
    memcpy(frame, to, 6);
    memcpy(host.memory + TX_DATA, frame, size);
    tx_put(TX_DATA, (uint32_t)size | CMD_EOP, 0);
    tx_ring();
}

static void send_tcp(uint8_t hdrlen)
{
    static uint8_t frame[8192];
    size_t size = make_tcp(frame, false, 3000);
    memcpy(host.memory + TX_DATA, frame, size);
    tx_context(14, 24, 33, 34, 50, 0, 0x07000000, hdrlen, 1448);
    tx_put(TX_DATA, (uint32_t)size | TYPE_DATA | CMD_TSE | CMD_EOP, POPTS_IP | POPTS_L4);
    tx_ring();
}

static void rx_60(void) { give(fake_mac, 60); }
static void rx_42(void) { give(fake_mac, 42); }
static void rx_61(void) { give(fake_mac, 61); }
static void rx_123(void) { give(fake_mac, 123); }
static void rx_124(void) { give(fake_mac, 124); }
static void rx_252(void) { give(fake_mac, 252); }
static void rx_508(void) { give(fake_mac, 508); }
static void rx_1020(void) { give(fake_mac, 1020); }
static void rx_1518(void) { give(fake_mac, 1518); }
static void rx_long(void) { give(fake_mac, 1519); }
static void rx_jumbo(void) { wr(E1000_RCTL, rd(E1000_RCTL) | RCTL_LPE); give(fake_mac, 9014); }
static void rx_all(void) { give(everyone, 60); }
static void rx_group(void) { wr(E1000_RCTL, rd(E1000_RCTL) | RCTL_MPE); give(group, 60); }
static void rx_stranger(void) { give(stranger, 60); }
static void rx_no_group(void) { give(group, 60); }
static void rx_off(void) { wr(E1000_RCTL, 0); give(fake_mac, 60); }
static void rx_none(void) { wr(E1000_RDT, rd(E1000_RDH)); wr(E1000_RDLEN, 0); give(fake_mac, 60); }
static void rx_lost(void) { nic_receive_lost(host.nic, 60, host.now); }
static void rx_xoff(void) { wr(E1000_CTRL, rd(E1000_CTRL) | CTRL_RFCE); give_control(1, 5); }
static void rx_xon(void) { wr(E1000_CTRL, rd(E1000_CTRL) | CTRL_RFCE); give_control(1, 0); }
static void rx_control(void) { give_control(2, 0); }
static void tx_60(void) { send(fake_mac, 60); }
static void tx_42(void) { send(fake_mac, 42); }
static void tx_61(void) { send(fake_mac, 61); }
static void tx_124(void) { send(fake_mac, 124); }
static void tx_252(void) { send(fake_mac, 252); }
static void tx_508(void) { send(fake_mac, 508); }
static void tx_1020(void) { send(fake_mac, 1020); }
static void tx_all(void) { send(everyone, 60); }
static void tx_group(void) { send(group, 60); }
static void tx_tso(void) { send_tcp(54); }
static void tx_tso_bad(void) { send_tcp(0); }
static void tx_xoff(void) { wr(E1000_FCTTV, 100); wr(E1000_TCTL, rd(E1000_TCTL) | TCTL_SWXOFF); }
static void tx_xon(void)
{
    wr(E1000_CTRL, rd(E1000_CTRL) | CTRL_TFCE);
    wr(E1000_FCRTL, 0x80000008);
    wr(E1000_FCRTH, 0x8000);
    wr(E1000_FCTTV, 100);
    nic_receive_backlog(host.nic, 256, 256, host.now);
    nic_receive_backlog(host.nic, 0, 256, host.now);
}

enum { PRC64 = 0x405c, PTC64 = 0x40d8 };

static const struct {
    const char *what;
    void (*happens)(void);
    struct { uint16_t at; uint32_t value; } counts[7];
} cases[] = {
#define SEEN(n) { E1000_TPR, 1 }, { E1000_TORL, n }
#define GOOD(n, bin) SEEN(n), { E1000_GPRC, 1 }, { E1000_GORCL, n }, { PRC64 + 4 * (bin), 1 }
#define SENT(n, bin) { E1000_TPT, 1 }, { E1000_TOTL, n }, { E1000_GPTC, 1 }, { E1000_GOTCL, n }, { PTC64 + 4 * (bin), 1 }
    { "60 bytes in", rx_60, { GOOD(64, 0) } },
    { "42 bytes in, padded by the sender", rx_42, { GOOD(64, 0) } },
    { "61 bytes in", rx_61, { GOOD(65, 1) } },
    { "123 bytes in", rx_123, { GOOD(127, 1) } },
    { "124 bytes in", rx_124, { GOOD(128, 2) } },
    { "252 bytes in", rx_252, { GOOD(256, 3) } },
    { "508 bytes in", rx_508, { GOOD(512, 4) } },
    { "1020 bytes in", rx_1020, { GOOD(1024, 5) } },
    { "1518 bytes in, the longest with a tag", rx_1518, { GOOD(1522, 5) } },
    { "too long", rx_long, { SEEN(1523), { E1000_ROC, 1 }, { E1000_RLEC, 1 } } },
    { "a jumbo frame", rx_jumbo, { GOOD(9018, 5) } },
    { "broadcast in", rx_all, { GOOD(64, 0), { E1000_BPRC, 1 } } },
    { "multicast in", rx_group, { GOOD(64, 0), { E1000_MPRC, 1 } } },
    { "somebody else's", rx_stranger, { SEEN(64) } },
    { "a group that nobody joined", rx_no_group, { SEEN(64) } },
    { "receiver off", rx_off, { { 0, 0 } } },
    { "no descriptor", rx_none, { { E1000_RNBC, 1 } } },
    { "lost in front of the card", rx_lost, { SEEN(64), { E1000_MPC, 1 } } },
    { "XOFF in", rx_xoff, { SEEN(64), { E1000_XOFFRXC, 1 } } },
    { "XON in", rx_xon, { SEEN(64), { E1000_XONRXC, 1 } } },
    { "another control frame in", rx_control, { SEEN(64), { E1000_FCRUC, 1 } } },
    { "60 bytes out", tx_60, { SENT(64, 0) } },
    { "42 bytes out", tx_42, { SENT(64, 0) } },
    { "61 bytes out", tx_61, { SENT(65, 1) } },
    { "124 bytes out", tx_124, { SENT(128, 2) } },
    { "252 bytes out", tx_252, { SENT(256, 3) } },
    { "508 bytes out", tx_508, { SENT(512, 4) } },
    { "1020 bytes out", tx_1020, { SENT(1024, 5) } },
    { "broadcast out", tx_all, { SENT(64, 0), { E1000_BPTC, 1 } } },
    { "multicast out", tx_group, { SENT(64, 0), { E1000_MPTC, 1 } } },
    { "3000 bytes in segments of 1448", tx_tso,
      { { E1000_TPT, 3 }, { E1000_TOTL, 3174 }, { E1000_GPTC, 3 }, { E1000_GOTCL, 3174 }, { PTC64 + 8, 1 },
        { PTC64 + 20, 2 }, { E1000_TSCTC, 1 } } },
    { "segmentation without a header", tx_tso_bad, { { E1000_TSCTFC, 1 } } },
    { "XOFF out", tx_xoff, { { E1000_TPT, 1 }, { E1000_TOTL, 64 }, { E1000_XOFFTXC, 1 } } },
    { "XOFF and XON out", tx_xon, { { E1000_TPT, 2 }, { E1000_TOTL, 128 }, { E1000_XOFFTXC, 1 }, { E1000_XONTXC, 1 } } },
};

static uint32_t expected(size_t number, uint32_t at)
{
    for (size_t k = 0; k < 7; k++)
        if (cases[number].counts[k].at == at)
            return cases[number].counts[k].value;
    return 0;
}

static void each_counter(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        e1000_open(RCTL_EN | RCTL_BAM | RCTL_DPF);
        cases[i].happens();
        for (uint32_t at = E1000_STATISTICS; at < E1000_STATISTICS + 0x100; at += 4) {
            uint32_t value = rd(at);
            if (value != expected(i, at))
                fprintf(stderr, "%s: %05x is %u, not %u\n", cases[i].what, at, value, expected(i, at));
            CU_ASSERT_EQUAL(value, expected(i, at));
        }
        for (uint32_t at = E1000_STATISTICS; at < E1000_STATISTICS + 0x100; at += 4)
            CU_ASSERT_EQUAL(rd(at), 0);
    }
}

static uint32_t *word(uint32_t at) { return &((struct e1000 *)host.nic)->reg[at / 4]; }

/* At their ends they stay (13.7); the octets carry into their upper word before. */
static void ends(void)
{
    e1000_open(RCTL_EN);
    *word(E1000_GPRC) = *word(PRC64) = 0xfffffffe;
    *word(E1000_GORCL) = 0xffffffe0;
    *word(E1000_TORL) = 0xffffffe0;
    *word(E1000_TORL + 4) = 0xffffffff;
    for (int i = 0; i < 3; i++)
        rx_60();
    CU_ASSERT_EQUAL(rd(E1000_GPRC), 0xffffffff);
    CU_ASSERT_EQUAL(rd(PRC64), 0xffffffff);
    CU_ASSERT_EQUAL(rd(E1000_GORCL), 0x000000a0);
    CU_ASSERT_EQUAL(rd(E1000_GORCL + 4), 1);
    CU_ASSERT_EQUAL(rd(E1000_TORL), 0xffffffff);
    CU_ASSERT_EQUAL(rd(E1000_TORL + 4), 0xffffffff);
    CU_ASSERT_EQUAL(rd(E1000_GORCL) | rd(E1000_TORL) | rd(E1000_GPRC), 0);
}

static void reading(void)
{
    static const uint32_t wide[] = { E1000_GORCL, E1000_GOTCL, E1000_TORL, E1000_TOTL };
    e1000_open(RCTL_EN);
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++) {
        *word(wide[i]) = 5;
        *word(wide[i] + 4) = 6;
        CU_ASSERT_EQUAL(rd(wide[i]), 5);
        CU_ASSERT_EQUAL(rd(wide[i]), 5); /* the lower word alone clears nothing */
        CU_ASSERT_EQUAL(rd(wide[i] + 4), 6);
        CU_ASSERT_EQUAL(rd(wide[i]) | rd(wide[i] + 4), 0);
    }
    for (uint32_t at = E1000_STATISTICS; at < E1000_STATISTICS + 0x100; at += 4) {
        *word(at) = 7;
        wr(at, 1234); /* read-only */
        CU_ASSERT_EQUAL(rd(at), 7);
    }
}

/* SMBUS_EN and ASF_EN are the EEPROM's, and off: whatever filters a driver sets in MANC, management
 * takes no frame away from it, and counts none. */
static void management(void)
{
    uint8_t frame[60] = { 0 };
    e1000_open(RCTL_EN | RCTL_BAM);
    wr(E1000_MANC, 0xffffffff);
    CU_ASSERT_EQUAL(rd(E1000_MANC), 0x31feff04);
    memcpy(frame, everyone, 6);
    memcpy(frame + 12, "\x08\x06\0\x01\x08\0\x06\x04\0\x01", 10); /* an ARP request */
    nic_receive(host.nic, frame, 60, NULL, host.now);
    memcpy(frame, fake_mac, 6);
    memcpy(frame + 12, "\x08\0\x45\0\0\x2c\0\0\0\0\x40\x11", 12); /* RMCP: UDP to port 26f */
    memcpy(frame + 34, "\x10\0\x02\x6f\0\x18", 6);
    nic_receive(host.nic, frame, 60, NULL, host.now);
    CU_ASSERT_EQUAL(rd(E1000_RDH), 2);
    CU_ASSERT_EQUAL(rd(E1000_GPRC), 2);
    CU_ASSERT_EQUAL(rd(0x40b4) | rd(0x40b8) | rd(0x40bc), 0);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "each counter", each_counter },
        { "the ends of counters", ends },
        { "reading clears", reading },
        { "management is off", management },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("e1000_stats", tests, e1000_fixture_start, e1000_fixture_stop);
}
