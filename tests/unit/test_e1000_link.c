/* SPDX-License-Identifier: BSD-2-Clause
 *
 * e1000's link: negotiation in the PHY and what the MAC makes of it, and flow
 * control in both directions. Then the quirks that real drivers rely on, which
 * no manual tells.
 */
#include "tests/unit/e1000_fixture.h"
#include "tests/unit/unit.h"

#include <string.h>

static uint32_t rd(uint32_t offset) { return fake_read(&host, offset); }
static void wr(uint32_t offset, uint32_t value) { fake_write(&host, offset, value); }

static enum nic_rx_result give(size_t size)
{
    return nic_receive(host.nic, make_frame(size), size, NULL, host.now);
}

static uint16_t phy(unsigned number)
{
    wr(E1000_MDIC, 0x08000000 | 1u << 21 | number << 16);
    return (uint16_t)rd(E1000_MDIC);
}

static void phy_set(unsigned number, uint16_t value)
{
    wr(E1000_MDIC, 0x04000000 | 1u << 21 | number << 16 | value);
}

#define SPEED_FD 0xc1u /* of STATUS */

/* The best of what is advertised. */
static void negotiation(void)
{
    static const struct { uint16_t anar, gigabit, specific; uint32_t status; } cases[] = {
        { 0x0de1, 0x0e00, 0xac00, 0x81 }, { 0x0de1, 0x0100, 0x8c00, 0x80 }, { 0x0de1, 0x0000, 0x6c00, 0x41 },
        { 0x00e1, 0x0000, 0x4c00, 0x40 }, { 0x0061, 0x0000, 0x2c00, 0x01 }, { 0x0021, 0x0000, 0x0c00, 0x00 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        e1000_open(RCTL_EN);
        phy_set(4, cases[i].anar);
        phy_set(9, cases[i].gigabit);
        CU_ASSERT_EQUAL(rd(E1000_STATUS) & SPEED_FD, 0x81); /* nothing before it is restarted */
        rd(E1000_ICR);
        phy_set(0, 0x1340);
        CU_ASSERT_EQUAL(phy(0), 0x1140);
        CU_ASSERT_EQUAL(phy(17) & 0xec00, cases[i].specific);
        CU_ASSERT_EQUAL(rd(E1000_STATUS) & SPEED_FD, cases[i].status);
        CU_ASSERT_TRUE(rd(E1000_STATUS) & STATUS_LU);
        CU_ASSERT_TRUE(rd(E1000_ICR) & ICR_LSC);
        CU_ASSERT_TRUE(phy(1) & 0x20);
        CU_ASSERT_TRUE(phy(5) & 0x4000);
        CU_ASSERT_EQUAL(phy(6) & 1, 1);
    }
    e1000_open(RCTL_EN);
    phy_set(4, 0x0001); /* nothing in common */
    phy_set(9, 0);
    phy_set(0, 0x1340);
    CU_ASSERT_FALSE(rd(E1000_STATUS) & STATUS_LU);
    CU_ASSERT_EQUAL(phy(1) & 0x24, 0);
    CU_ASSERT_EQUAL(give(60), NIC_RX_OFF);
}

/* Forced speeds, as `ethtool -s speed 100 autoneg off`. */
static void forced(void)
{
    e1000_open(RCTL_EN);
    phy_set(0, 0x2100);
    CU_ASSERT_EQUAL(phy(17) & 0xec00, 0x6c00);
    CU_ASSERT_EQUAL(phy(1) & 0x24, 0x04); /* up, nothing negotiated */
    CU_ASSERT_EQUAL(phy(5), 0);
    CU_ASSERT_EQUAL(rd(E1000_STATUS) & SPEED_FD, 0x41);
    CU_ASSERT_TRUE(phy(19) & 0x4000); /* the speed has changed; read off */
    CU_ASSERT_EQUAL(phy(19), 0);
    phy_set(0, 0x0000);
    CU_ASSERT_EQUAL(rd(E1000_STATUS) & SPEED_FD, 0x00);
    wr(E1000_CTRL, rd(E1000_CTRL) | CTRL_FRCSPD | CTRL_FRCDPX); /* the MAC's own idea */
    CU_ASSERT_EQUAL(rd(E1000_STATUS) & SPEED_FD, 0x81);
    wr(E1000_CTRL, (rd(E1000_CTRL) & ~(CTRL_SPEED | CTRL_FD)) | 0x100);
    CU_ASSERT_EQUAL(rd(E1000_STATUS) & SPEED_FD, 0x40);
}

static void power_down(void)
{
    e1000_open(RCTL_EN);
    phy_set(0, 0x1940);
    CU_ASSERT_FALSE(rd(E1000_STATUS) & STATUS_LU);
    CU_ASSERT_EQUAL(rd(E1000_ICR) & ICR_LSC, ICR_LSC);
    phy_set(0, 0x1140);
    CU_ASSERT_TRUE(rd(E1000_STATUS) & STATUS_LU);
    CU_ASSERT_EQUAL(rd(E1000_ICR) & ICR_LSC, ICR_LSC);
    wr(E1000_CTRL, rd(E1000_CTRL) | CTRL_PHY_RST);
    CU_ASSERT_EQUAL(phy(0), 0x1140);
    CU_ASSERT_EQUAL(phy(4), 0x0de1);
}

/* Down and up a thousand times under traffic: each change an LSC, no frame twice. */
static void flapping(void)
{
    e1000_open(RCTL_EN);
    memcpy(host.memory + TX_DATA, make_frame(60), 60);
    for (unsigned i = 0; i < 1000; i++) {
        nic_set_link(host.nic, false, host.now);
        CU_ASSERT_EQUAL(rd(E1000_ICR) & ICR_LSC, ICR_LSC);
        tx_put(TX_DATA, 60 | CMD_EOP | CMD_RS, 0);
        tx_ring();
        CU_ASSERT_EQUAL(host.frame_count, i);
        nic_set_link(host.nic, true, host.now);
        CU_ASSERT_EQUAL(rd(E1000_ICR) & ICR_LSC, ICR_LSC);
        CU_ASSERT_EQUAL(host.frame_count, i + 1);
    }
}

/* --- flow control ---------------------------------------------------------- */

static void open_flow_control(uint32_t fcrtl)
{
    e1000_open(RCTL_EN);
    wr(E1000_CTRL, rd(E1000_CTRL) | CTRL_TFCE | CTRL_RFCE);
    wr(E1000_FCTTV, 0x1000);
    wr(E1000_FCRTH, 0xa000);
    wr(E1000_FCRTL, fcrtl);
}

/* The queue outside holds `waiting` frames of 256: in a FIFO of 48 KiB, 192 bytes each. */
static void backlog(uint32_t waiting)
{
    nic_receive_backlog(host.nic, waiting, 256, host.now);
}

static void xoff_and_xon(void)
{
    open_flow_control(0x80009000);
    for (unsigned i = 0; i < RING; i++)
        give(60);
    backlog(213);
    CU_ASSERT_EQUAL(host.frame_count, 0);
    backlog(214); /* 0xa000 / 192 is 213.3 */
    CU_ASSERT_EQUAL_FATAL(host.frame_count, 1);
    const struct fake_frame *f = &host.frames[0];
    CU_ASSERT_EQUAL(f->size, 60);
    CU_ASSERT_EQUAL(memcmp(f->bytes, "\x01\x80\xc2\x00\x00\x01", 6), 0);
    CU_ASSERT_EQUAL(memcmp(f->bytes + 6, fake_mac, 6), 0);
    CU_ASSERT_EQUAL(memcmp(f->bytes + 12, "\x88\x08\x00\x01\x10\x00", 6), 0);
    CU_ASSERT_EQUAL(give(60), NIC_RX_FULL); /* not with every frame */
    backlog(220);
    fake_nic_host_advance(&host, 0x1000 * 512 + 1);
    backlog(256); /* nor when the time has run out */
    backlog(200); /* between the thresholds: nothing, in either direction */
    backlog(230);
    CU_ASSERT_EQUAL(host.frame_count, 1);
    backlog(192); /* 0x9000 */
    CU_ASSERT_EQUAL_FATAL(host.frame_count, 2);
    CU_ASSERT_EQUAL(memcmp(host.frames[1].bytes + 12, "\x88\x08\x00\x01\x00\x00", 6), 0);
    backlog(0);
    CU_ASSERT_EQUAL(host.frame_count, 2);
    backlog(256); /* and again */
    CU_ASSERT_EQUAL(host.frame_count, 3);
    CU_ASSERT_EQUAL(rd(E1000_XOFFTXC), 2);
    CU_ASSERT_EQUAL(rd(E1000_XONTXC), 1);
    CU_ASSERT_EQUAL(rd(E1000_GPTC), 0);
    CU_ASSERT_EQUAL(rd(E1000_TPT), 3);
}

/* A FIFO that overflows all the same: one more XOFF, however many frames are lost. */
static void xoff_repeated(void)
{
    open_flow_control(0x80009000);
    nic_receive_lost(host.nic, 60, host.now); /* none was sent yet */
    CU_ASSERT_EQUAL(host.frame_count, 0);
    backlog(256);
    for (unsigned i = 0; i < 20; i++)
        nic_receive_lost(host.nic, 60, host.now);
    CU_ASSERT_EQUAL(host.frame_count, 2);
    CU_ASSERT_EQUAL(rd(E1000_XOFFTXC), 2);
    CU_ASSERT_EQUAL(rd(E1000_MPC), 21);
    wr(E1000_PBA, 0x20); /* 32 KiB: the threshold is never reached */
    backlog(0);
    backlog(256);
    CU_ASSERT_EQUAL(host.frame_count, 3); /* the XON */
    wr(E1000_FCRTH, 0x8000);
    backlog(256);
    CU_ASSERT_EQUAL(host.frame_count, 4);
}

static void no_xoff(void)
{
    open_flow_control(0x9000); /* without XONE */
    backlog(256);
    CU_ASSERT_EQUAL(host.frame_count, 1);
    backlog(0);
    CU_ASSERT_EQUAL(host.frame_count, 1);
    backlog(256);
    CU_ASSERT_EQUAL(host.frame_count, 2);
    open_flow_control(0x80009000);
    wr(E1000_FCRTH, 0); /* no threshold */
    backlog(256);
    CU_ASSERT_EQUAL(host.frame_count, 0);
    open_flow_control(0x80009000);
    wr(E1000_CTRL, rd(E1000_CTRL) & ~CTRL_TFCE);
    backlog(256);
    CU_ASSERT_EQUAL(host.frame_count, 0);
    open_flow_control(0x80009000);
    phy_set(0, 0x2000); /* half duplex */
    backlog(256);
    backlog(0);
    CU_ASSERT_EQUAL(host.frame_count, 0);
    nic_receive_backlog(host.nic, 5, 0, host.now); /* no queue at all */
    CU_ASSERT_EQUAL(host.frame_count, 0);
}

static void software_xoff(void)
{
    open_flow_control(0);
    wr(E1000_TCTL, TCTL_EN | TCTL_SWXOFF);
    CU_ASSERT_EQUAL(host.frame_count, 1);
    CU_ASSERT_EQUAL(rd(E1000_TCTL), TCTL_EN); /* clears itself */
    CU_ASSERT_EQUAL(rd(E1000_XOFFTXC), 1);
}

/* STATUS.TXOFF, and a pause that takes longer at a lower speed. */
static void paused(void)
{
    uint8_t frame[60] = { 0x01, 0x80, 0xc2, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x88, 0x08, 0, 1, 0x00, 0x64 };
    open_flow_control(0);
    wr(E1000_RCTL, RCTL_EN | RCTL_DPF);
    phy_set(0, 0x2100); /* 100 Mbit/s: 5.12 us a quantum */
    nic_receive(host.nic, frame, 60, NULL, host.now);
    CU_ASSERT_TRUE(rd(E1000_STATUS) & STATUS_TXOFF);
    memcpy(host.memory + TX_DATA, make_frame(60), 60);
    tx_put(TX_DATA, 60 | CMD_EOP, 0);
    tx_ring();
    fake_nic_host_advance(&host, 511000);
    CU_ASSERT_EQUAL(host.frame_count, 0);
    fake_nic_host_advance(&host, 2000);
    CU_ASSERT_EQUAL(host.frame_count, 1);
    CU_ASSERT_FALSE(rd(E1000_STATUS) & STATUS_TXOFF);
    frame[15] = 2; /* no such opcode */
    nic_receive(host.nic, frame, 60, NULL, host.now);
    CU_ASSERT_EQUAL(rd(E1000_FCRUC), 1);
    CU_ASSERT_EQUAL(rd(E1000_TPR), 2);
    CU_ASSERT_EQUAL(rd(E1000_GPRC), 0);
}

/* RCTL.DPF and PMCF: which control frames the driver sees. */
static void control_frames(void)
{
    uint8_t frame[60] = { 0x01, 0x80, 0xc2, 0, 0, 1, 2, 0, 0, 0, 0, 1, 0x88, 0x08, 0, 1, 0, 1 };
    static const struct { uint32_t rctl; uint8_t opcode; bool seen; } cases[] = {
        { RCTL_MPE, 1, true }, { RCTL_MPE | RCTL_DPF, 1, false }, { 0, 1, false }, { RCTL_MPE, 2, false },
        { RCTL_MPE | RCTL_PMCF, 2, true }, { RCTL_PMCF, 2, false },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        open_flow_control(0);
        wr(E1000_RCTL, RCTL_EN | cases[i].rctl);
        frame[15] = cases[i].opcode;
        nic_receive(host.nic, frame, 60, NULL, host.now);
        CU_ASSERT_EQUAL(rd(E1000_RDH), cases[i].seen);
        CU_ASSERT_EQUAL(rd(E1000_XOFFRXC), cases[i].opcode == 1);
        CU_ASSERT_EQUAL(rd(E1000_FCRUC), cases[i].opcode == 2);
        CU_ASSERT_EQUAL(rd(E1000_TPR), 1); /* once, seen or not */
    }
    open_flow_control(0);
    memcpy(frame, fake_mac, 6); /* to the station itself */
    frame[15] = 1;
    nic_receive(host.nic, frame, 60, NULL, host.now);
    CU_ASSERT_EQUAL(rd(E1000_XOFFRXC), 1);
}

static void frames_lost_outside(void)
{
    e1000_open(RCTL_EN);
    nic_receive_lost(host.nic, 60, host.now);
    CU_ASSERT_EQUAL(rd(E1000_MPC), 1);
    CU_ASSERT_EQUAL(rd(E1000_TPR), 1);
    CU_ASSERT_EQUAL(rd(E1000_TORL), 64);
    CU_ASSERT_EQUAL(rd(E1000_TORL + 4), 0);
    CU_ASSERT_EQUAL(rd(E1000_ICR), ICR_RXO);
    wr(E1000_RCTL, 0);
    nic_receive_lost(host.nic, 60, host.now);
    CU_ASSERT_EQUAL(rd(E1000_MPC), 0);
    CU_ASSERT_EQUAL(rd(E1000_TPR), 0);
}

/* The PHY's own interrupt: on CTRL_EXT's bit, and in ICR where GPI_EN lets it. */
static void phy_interrupt(void)
{
    e1000_open(RCTL_EN);
    wr(E1000_IMS, ICR_PHYINT);
    phy_set(18, 0x0400); /* link */
    nic_set_link(host.nic, false, host.now);
    CU_ASSERT_EQUAL(rd(E1000_ICR), ICR_LSC);
    CU_ASSERT_EQUAL(rd(E1000_CTRL_EXT), 0x20);
    CU_ASSERT_EQUAL(phy(19) & 0x0400, 0x0400);
    CU_ASSERT_EQUAL(rd(E1000_CTRL_EXT), 0);
    wr(E1000_CTRL_EXT, 2);
    nic_set_link(host.nic, true, host.now);
    CU_ASSERT_TRUE(host.irq);
    CU_ASSERT_EQUAL(rd(E1000_ICR), ICR_LSC | ICR_PHYINT);
    CU_ASSERT_EQUAL(rd(E1000_CTRL_EXT), 0x22);
    nic_set_link(host.nic, false, host.now); /* it is asserted still: no new edge */
    CU_ASSERT_EQUAL(rd(E1000_ICR), ICR_LSC);
    phy_set(18, 0);
    CU_ASSERT_EQUAL(rd(E1000_CTRL_EXT), 2);
    phy_set(18, 0x0400); /* what is there already */
    CU_ASSERT_EQUAL(rd(E1000_ICR), ICR_PHYINT);
    phy(19);
    nic_set_link(host.nic, true, host.now);
    wr(E1000_CTRL_EXT, 0x1000); /* ASDCHK is over before it can be read */
    CU_ASSERT_EQUAL(rd(E1000_CTRL_EXT) & 0x1000, 0);
}

/* --- quirks ---------------------------------------------------------------- */

/* Mac OS X: the address is there after each reset, and LSC tells of the link. */
static void quirk_mac_os(void)
{
    e1000_open(RCTL_EN);
    wr(E1000_RAL, 0);
    wr(E1000_RAH, 0);
    wr(E1000_CTRL, CTRL_RST);
    CU_ASSERT_EQUAL(rd(E1000_RAL), 0x12005452);
    CU_ASSERT_EQUAL(rd(E1000_RAH), 0x80005634);
    CU_ASSERT_TRUE(rd(E1000_ICR) & ICR_LSC);
    wr(E1000_CTRL, 0);
    rd(E1000_ICR);
    wr(E1000_CTRL, CTRL_SLU);
    CU_ASSERT_TRUE(rd(E1000_ICR) & ICR_LSC);
}

/* Phar Lap ETS: the tail is moved up to the head, and frames still come in. */
static void quirk_phar_lap(void)
{
    e1000_open(RCTL_EN);
    for (unsigned i = 0; i < 40; i++)
        give(60);
    wr(E1000_RDT, 40);
    CU_ASSERT_EQUAL(rd(E1000_RDT), 39);
    for (unsigned i = 0; i < RING - 1; i++)
        CU_ASSERT_EQUAL(give(60), NIC_RX_TAKEN);
    e1000_open(0); /* Linux writes the same to both while it sets up: that is an empty ring */
    wr(E1000_RDT, 0);
    CU_ASSERT_EQUAL(rd(E1000_RDT), 0);
    wr(E1000_RCTL, RCTL_EN);
    wr(E1000_RDT, 0);
    CU_ASSERT_EQUAL(give(60), NIC_RX_FULL);
}

/* Windows XP gives back fifteen at a time; Windows' largest TSO takes 45 descriptors. */
static void quirk_windows(void)
{
    static uint8_t frame[70000];
    e1000_open(RCTL_EN);
    unsigned tail = RING - 1;
    for (unsigned i = 0; i < 300; i++) {
        CU_ASSERT_EQUAL(give(60), NIC_RX_TAKEN);
        if (i % 15 == 14)
            wr(E1000_RDT, tail = (tail + 15) % RING);
    }
    e1000_open(0);
    size_t size = make_tcp(frame, false, 60000), at = 0;
    memcpy(host.memory + TX_DATA, frame, size);
    tx_context(14, 24, 33, 34, 50, 0, 0x07000000, 54, 1460);
    for (unsigned i = 0; i < 45; i++) {
        size_t part = i < 44 ? 1364 : size - at;
        tx_put(TX_DATA + at, (uint32_t)part | TYPE_DATA | CMD_TSE | (i == 44 ? CMD_EOP | CMD_RS : 0),
               POPTS_IP | POPTS_L4);
        at += part;
    }
    tx_ring();
    CU_ASSERT_EQUAL_FATAL(host.frame_count, 1);
    CU_ASSERT_EQUAL(host.frames[0].size, size);
}

/* Windows' handler masks all, and its later half writes IMS with causes still pending: the
 * line goes up again at once, once a write, and not at all where nothing is pending. With
 * ITR it waits its turn there as well, so that a handler that clears nothing is no storm. */
static void quirk_windows_ims(void)
{
    e1000_open(RCTL_EN);
    give(60);
    for (unsigned i = 1; i <= 5; i++) {
        CU_ASSERT_EQUAL(host.irq_raised, i);
        wr(E1000_IMC, 0xffffffff);
        CU_ASSERT_FALSE(host.irq);
        wr(E1000_IMS, ICR_RXT0 | ICR_LSC);
        CU_ASSERT_TRUE(host.irq);
        wr(E1000_IMS, ICR_RXT0 | ICR_LSC); /* while it is high: no second edge */
        CU_ASSERT_EQUAL(host.irq_raised, i + 1);
    }
    wr(E1000_IMC, 0xffffffff);
    CU_ASSERT_EQUAL(rd(E1000_ICR), ICR_RXT0);
    wr(E1000_IMS, ICR_RXT0 | ICR_LSC);
    CU_ASSERT_FALSE(host.irq);
    wr(E1000_ITR, 1000); /* 256 us */
    fake_nic_host_advance(&host, 1000000);
    give(60);
    unsigned raised = host.irq_raised;
    for (unsigned i = 0; i < 100; i++) { /* in 1 ms */
        wr(E1000_IMC, 0xffffffff);
        wr(E1000_IMS, ICR_RXT0);
        fake_nic_host_advance(&host, 10000);
    }
    CU_ASSERT_TRUE(host.irq_raised > raised && host.irq_raised - raised <= 4);
}

/* VxWorks' driver reads the causes in ICS, which does not clear them. */
static void quirk_vxworks(void)
{
    e1000_open(RCTL_EN);
    give(60);
    CU_ASSERT_EQUAL(rd(E1000_ICS), ICR_RXT0);
    CU_ASSERT_EQUAL(rd(E1000_ICS), ICR_RXT0);
    CU_ASSERT_TRUE(host.irq);
    CU_ASSERT_EQUAL(rd(E1000_ICR), ICR_RXT0);
    CU_ASSERT_EQUAL(rd(E1000_ICS), 0);
}

/* Linux: VET is zero until VLANs are used; the reset value is that of 802.1Q. */
static void quirk_vet(void)
{
    uint8_t frame[64];
    memcpy(frame, make_frame(64), 64);
    memcpy(frame + 12, "\x81\x00\x00\x64\x08\x00", 6);
    e1000_open(RCTL_EN);
    CU_ASSERT_EQUAL(rd(E1000_VET), 0x8100);
    wr(E1000_CTRL, rd(E1000_CTRL) | CTRL_VME);
    wr(E1000_VET, 0);
    nic_receive(host.nic, frame, 64, NULL, host.now);
    CU_ASSERT_FALSE(rx_get(0).status & 8);
    wr(E1000_VET, 0x8100);
    nic_receive(host.nic, frame, 64, NULL, host.now);
    CU_ASSERT_TRUE(rx_get(1).status & 8);
}

/* The read that flushes writes is everywhere: it touches nothing. */
static void quirk_flush(void)
{
    e1000_open(RCTL_EN);
    host.dma_calls = host.timers_set = 0;
    unsigned errors = host.errors;
    for (int i = 0; i < 1000; i++)
        rd(E1000_STATUS);
    CU_ASSERT_EQUAL(host.dma_calls + host.timers_set + (host.errors - errors), 0);
}

/* Linux resets later chips at the second address of CTRL. */
static void quirk_second_ctrl(void)
{
    e1000_open(RCTL_EN);
    CU_ASSERT_EQUAL(rd(0x0004), rd(E1000_CTRL));
    wr(0x0004, CTRL_RST);
    CU_ASSERT_EQUAL(rd(E1000_RCTL), 0);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "negotiation", negotiation },
        { "forced speed", forced },
        { "power down and reset of the PHY", power_down },
        { "a flapping link", flapping },
        { "the PHY's interrupt", phy_interrupt },
        { "XOFF and XON", xoff_and_xon },
        { "XOFF repeated", xoff_repeated },
        { "no XOFF", no_xoff },
        { "XOFF by the driver", software_xoff },
        { "paused", paused },
        { "control frames", control_frames },
        { "frames lost outside", frames_lost_outside },
        { "quirk: Mac OS X", quirk_mac_os },
        { "quirk: Phar Lap ETS", quirk_phar_lap },
        { "quirk: Windows", quirk_windows },
        { "quirk: Windows and IMS", quirk_windows_ims },
        { "quirk: VxWorks", quirk_vxworks },
        { "quirk: VET", quirk_vet },
        { "quirk: STATUS to flush", quirk_flush },
        { "quirk: the second CTRL", quirk_second_ctrl },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("e1000_link", tests, e1000_fixture_start, e1000_fixture_stop);
}
