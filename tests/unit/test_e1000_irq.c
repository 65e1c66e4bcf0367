/* SPDX-License-Identifier: BSD-2-Clause
 *
 * e1000's interrupt causes, mask, throttle and delay timers, on a clock that
 * the test moves.
 */
#include "tests/unit/e1000_fixture.h"
#include "tests/unit/unit.h"

#include <string.h>

static uint32_t rd(uint32_t offset) { return fake_read(&host, offset); }
static void wr(uint32_t offset, uint32_t value) { fake_write(&host, offset, value); }

static void give(void)
{
    CU_ASSERT_EQUAL(nic_receive(host.nic, make_frame(60), 60, NULL, host.now), NIC_RX_TAKEN);
}

static void open_quiet(void)
{
    e1000_open(RCTL_EN);
    wr(E1000_IMC, 0xffffffff);
}

/* ethtool's interrupt test, cause by cause. */
static void every_cause(void)
{
    open_quiet();
    for (unsigned bit = 0; bit < 10; bit++) {
        uint32_t mask = 1u << bit;
        wr(E1000_IMC, mask);
        wr(E1000_ICS, mask);
        CU_ASSERT_FALSE(host.irq);
        wr(E1000_IMS, mask);
        CU_ASSERT_TRUE(host.irq);
        CU_ASSERT_EQUAL(rd(E1000_IMS), mask);
        CU_ASSERT_EQUAL(rd(E1000_ICR), mask);
        CU_ASSERT_FALSE(host.irq);
        wr(E1000_ICS, ~mask & 0x7fff); /* others, masked */
        CU_ASSERT_FALSE(host.irq);
        wr(E1000_IMC, 0xffffffff);
        rd(E1000_ICR);
    }
}

static void mask_and_clear(void)
{
    open_quiet();
    wr(E1000_IMS, ICR_RXT0 | ICR_LSC);
    wr(E1000_ICS, ICR_RXT0 | ICR_LSC | ICR_TXDW);
    CU_ASSERT_TRUE(host.irq);
    CU_ASSERT_EQUAL(rd(E1000_ICS), ICR_RXT0 | ICR_LSC | ICR_TXDW); /* VxWorks reads it */
    wr(E1000_ICR, ICR_RXT0); /* writing ones clears them */
    CU_ASSERT_TRUE(host.irq);
    wr(E1000_IMC, ICR_LSC);
    CU_ASSERT_FALSE(host.irq);
    wr(E1000_IMS, ICR_LSC);
    CU_ASSERT_TRUE(host.irq);
    CU_ASSERT_EQUAL(rd(E1000_IMC), 0);
    CU_ASSERT_EQUAL(rd(E1000_ICR), ICR_LSC | ICR_TXDW);
}

static void throttle(void)
{
    open_quiet();
    wr(E1000_ITR, 1000); /* 256 us */
    wr(E1000_IMS, ICR_RXT0);
    give();
    CU_ASSERT_TRUE(host.irq);
    rd(E1000_ICR);
    give();
    CU_ASSERT_FALSE(host.irq); /* too early */
    fake_nic_host_advance(&host, 200000);
    CU_ASSERT_FALSE(host.irq);
    fake_nic_host_advance(&host, 56000);
    CU_ASSERT_TRUE(host.irq);
    CU_ASSERT_EQUAL(host.irq_raised, 2);
    rd(E1000_ICR);
    give();
    wr(E1000_ITR, 0); /* unthrottled at once */
    CU_ASSERT_TRUE(host.irq);
    rd(E1000_ICR);
    wr(E1000_ITR, 1000);
    fake_nic_host_advance(&host, 1000000);
    CU_ASSERT_EQUAL(host.deadline, 0); /* an idle device asks for no timer */
    give();
    CU_ASSERT_TRUE(host.irq);
}

static void throttle_then_mask(void)
{
    open_quiet();
    wr(E1000_ITR, 1000);
    wr(E1000_IMS, ICR_RXT0);
    give();
    rd(E1000_ICR);
    give();
    wr(E1000_IMC, ICR_RXT0);
    fake_nic_host_advance(&host, 1000000);
    CU_ASSERT_FALSE(host.irq);
    CU_ASSERT_EQUAL(host.irq_raised, 1);
}

static void receive_delay(void)
{
    open_quiet();
    wr(E1000_IMS, ICR_RXT0);
    wr(E1000_RDTR, 10); /* 10.24 us after the last frame */
    wr(E1000_RADV, 40); /* 40.96 us after the first */
    give();
    CU_ASSERT_FALSE(host.irq);
    fake_nic_host_advance(&host, 10000);
    CU_ASSERT_FALSE(host.irq);
    fake_nic_host_advance(&host, 300);
    CU_ASSERT_TRUE(host.irq);
    rd(E1000_ICR);
    for (int i = 0; i < 4; i++) { /* each frame restarts RDTR, RADV goes on */
        give();
        fake_nic_host_advance(&host, 9000);
        CU_ASSERT_FALSE(host.irq);
    }
    give();
    fake_nic_host_advance(&host, 5000);
    CU_ASSERT_TRUE(host.irq);
    rd(E1000_ICR);
    fake_nic_host_advance(&host, 100000);
    CU_ASSERT_FALSE(host.irq); /* both timers ended together */
    give();
    wr(E1000_RDTR, 10 | RDTR_FPD); /* flush */
    CU_ASSERT_TRUE(host.irq);
    CU_ASSERT_EQUAL(rd(E1000_RDTR), 10);
}

static void transmit_delay(void)
{
    open_quiet();
    wr(E1000_IMS, ICR_TXDW);
    wr(E1000_TIDV, 8);
    wr(E1000_TADV, 32);
    memcpy(host.memory + TX_DATA, make_frame(60), 60);
    tx_put(TX_DATA, 60 | CMD_EOP | CMD_RS | CMD_IDE, 0);
    tx_ring();
    CU_ASSERT_FALSE(host.irq);
    CU_ASSERT_TRUE(tx_done(0));
    fake_nic_host_advance(&host, 8200);
    CU_ASSERT_TRUE(host.irq);
    rd(E1000_ICR);
    tx_put(TX_DATA, 60 | CMD_EOP | CMD_RS | CMD_IDE, 0);
    tx_ring();
    tx_put(TX_DATA, 60 | CMD_EOP | CMD_RS, 0); /* this one does not wait */
    tx_ring();
    CU_ASSERT_TRUE(host.irq);
    rd(E1000_ICR);
    fake_nic_host_advance(&host, 100000);
    CU_ASSERT_FALSE(host.irq);
    for (int i = 0; i < 10; i++) {
        tx_put(TX_DATA, 60 | CMD_EOP | CMD_RS | CMD_IDE, 0);
        tx_ring();
        fake_nic_host_advance(&host, 4000);
    }
    CU_ASSERT_TRUE(host.irq); /* TADV */
    wr(E1000_TIDV, 0);
    rd(E1000_ICR);
    tx_put(TX_DATA, 60 | CMD_EOP | CMD_RS | CMD_IDE, 0);
    tx_ring();
    CU_ASSERT_TRUE(host.irq);
}

static void thresholds(void)
{
    open_quiet();
    wr(E1000_RCTL, RCTL_EN | 1u << 8); /* RXDMT0 at a quarter */
    for (unsigned i = 0; i < RING - 1 - RING / 4 - 1; i++)
        give();
    CU_ASSERT_FALSE(rd(E1000_ICR) & ICR_RXDMT0);
    give();
    CU_ASSERT_TRUE(rd(E1000_ICR) & ICR_RXDMT0);
    give();
    CU_ASSERT_FALSE(rd(E1000_ICR) & ICR_RXDMT0); /* once */
    wr(E1000_RSRPD, 64);
    give();
    CU_ASSERT_TRUE(rd(E1000_ICR) & ICR_SRPD);
}

static void reset_clears_timers(void)
{
    open_quiet();
    wr(E1000_IMS, ICR_RXT0);
    wr(E1000_RDTR, 10);
    give();
    wr(E1000_CTRL, CTRL_RST);
    rd(E1000_ICR);
    wr(E1000_IMS, ICR_RXT0);
    fake_nic_host_advance(&host, 1000000);
    CU_ASSERT_FALSE(host.irq);
    CU_ASSERT_EQUAL(rd(E1000_ICR), 0);
}

/* A system reset in the middle of a delay: the next delay needs the timer again. */
static void power_reset_forgets_the_timer(void)
{
    open_quiet();
    wr(E1000_RDTR, 0xffff);
    give();
    CU_ASSERT_TRUE(host.deadline > 0);
    nic_reset(host.nic, host.now);
    CU_ASSERT_EQUAL(host.deadline, 0);
    wr(E1000_RDBAL, RX_RING);
    wr(E1000_RDLEN, RING * 16);
    wr(E1000_RDT, RING - 1);
    wr(E1000_RCTL, RCTL_EN);
    wr(E1000_RDTR, 0xffff);
    give();
    CU_ASSERT_TRUE(host.deadline > 0);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "every cause, as ethtool -t", every_cause },
        { "mask, set, clear", mask_and_clear },
        { "ITR", throttle },
        { "ITR, then masked", throttle_then_mask },
        { "RDTR, RADV, FPD", receive_delay },
        { "TIDV, TADV, IDE", transmit_delay },
        { "RXDMT0 and SRPD", thresholds },
        { "a reset ends the timers", reset_clears_timers },
        { "a system reset, too", power_reset_forgets_the_timer },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("e1000_irq", tests, e1000_fixture_start, e1000_fixture_stop);
}
