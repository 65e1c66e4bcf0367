/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What one notification of the paravirtual card may have it do: a driver that gives all the
 * descriptors that its queues and their tables hold at once has them done bit by bit, from the
 * timer, and no chain is lost, nor done twice, nor a word of it.
 */
#include "tests/unit/unit.h"
#include "tests/unit/virtio_fixture.h"

#include <string.h>

#define ALL (F(CTRL_VQ) | F(CTRL_RX) | F(INDIRECT_DESC) | F(MRG_RXBUF))
#define CHAIN_MOST (2 * VIRTIO_RING_MAX)                 /* descriptors that a chain can have, with its table */
#define CALLS_MOST (2 * (VNET_RUN_DESCRIPTORS + CHAIN_MOST) + 2000) /* each is read, and what it names; and the rings */

static void count_anew(void) { host.dma_calls = host.dma_bytes = 0; }

/* 256 chains of one and the same 255 descriptors of nothing, and a table of 255 more with `size` bytes at `data` behind them. */
static void offer_long_chains(unsigned queue, uint64_t data, uint32_t size, unsigned flags)
{
    for (unsigned i = 0; i < 255; i++) {
        desc(queue, i, 0, 0, NEXT | flags, i + 1);
        desc_at(TABLE, i, 0, 0, NEXT | flags, i + 1);
    }
    desc(queue, 255, TABLE, 4096, INDIRECT, 0);
    desc_at(TABLE, 255, data, size, flags, 0);
    for (unsigned i = 0; i < 256; i++)
        offer(queue, 0);
}

/* The timer's calls until nothing waits any more, each of which is bounded too. */
static unsigned timer_calls(void)
{
    unsigned calls = 0;
    for (; host.deadline && calls < 1000; calls++) {
        CU_ASSERT_TRUE(host.deadline > host.now && host.deadline <= host.now + VNET_BREAK);
        count_anew();
        fake_nic_host_advance(&host, host.deadline - host.now);
        CU_ASSERT_TRUE(host.dma_calls < CALLS_MOST);
    }
    return calls;
}

/* --- transmission ----------------------------------------------------------------- */

static void sends_bit_by_bit(void)
{
    open_modern(ALL, 256);
    tx_fill(make_frame(60), 60);
    memset(host.memory + COMMAND, 0, 12);
    memcpy(host.memory + COMMAND + 12, make_frame(60), 60);
    offer_long_chains(VNET_TX, COMMAND, 72, 0);
    count_anew();
    notify(VNET_TX);
    CU_ASSERT_TRUE(host.dma_calls < CALLS_MOST);
    CU_ASSERT_TRUE(host.frame_count >= 3 && host.frame_count < 256);
    CU_ASSERT_EQUAL(used(VNET_TX), host.frame_count);
    CU_ASSERT_TRUE(host.irq);
    CU_ASSERT_TRUE(timer_calls() >= 60);
    CU_ASSERT_EQUAL(host.frame_count, 256);
    CU_ASSERT_EQUAL(used(VNET_TX), 256);
    CU_ASSERT_EQUAL(used_flags(VNET_TX), 0); /* notified of the next one */
    tx_send(0, 60);
    CU_ASSERT_EQUAL(host.frame_count, 257);
}

/* What drivers have under way goes at once: super-frames in pages as many as the bytes allow. */
static void sends_super_frames_at_once(void)
{
    enum { FRAMES = VNET_RUN_BYTES / 66048 };
    open_modern(ALL | F(CSUM) | F(HOST_TSO4), 256);
    memset(host.memory + COMMAND, 0, 12);
    for (unsigned i = 0; i < 18; i++)
        desc_at(TABLE, i, i ? TX_DATA : COMMAND, i ? 3800 : 12, i < 17 ? NEXT : 0, i + 1);
    for (unsigned i = 0; i < FRAMES; i++) {
        desc(VNET_TX, i, TABLE, 18 * 16, INDIRECT, 0);
        offer(VNET_TX, i);
    }
    notify(VNET_TX);
    CU_ASSERT_EQUAL(host.frame_count, FRAMES);
}

/* --- commands ------------------------------------------------------------------- */

static void offer_long_commands(void)
{
    memcpy(host.memory + COMMAND, "\0\1\1", 3);
    offer_long_chains(VNET_CONTROL, COMMAND, 3, 0);
}

static void answers_bit_by_bit(void)
{
    open_modern(ALL, 256);
    offer_long_commands();
    count_anew();
    notify(VNET_CONTROL);
    CU_ASSERT_TRUE(host.dma_calls < CALLS_MOST);
    unsigned done = used(VNET_CONTROL);
    CU_ASSERT_TRUE(done >= 3 && done < 256);
    CU_ASSERT_EQUAL(used_flags(VNET_CONTROL), 1); /* no reminder is needed, */
    count_anew();
    notify(VNET_CONTROL); /* nor heeded */
    notify(VNET_TX);
    CU_ASSERT_TRUE(host.dma_calls < 10);
    CU_ASSERT_EQUAL(used(VNET_CONTROL), done);
    CU_ASSERT_TRUE(timer_calls() >= 60);
    CU_ASSERT_EQUAL(used(VNET_CONTROL), 256);
    CU_ASSERT_EQUAL(used_flags(VNET_CONTROL), 0);
    CU_ASSERT_EQUAL(command(0, 1, "\0", 1), 0);
    CU_ASSERT_EQUAL(used(VNET_CONTROL), 257);
}

/* Bytes are counted, too. */
static void large_commands(void)
{
    open_modern(ALL, 256);
    for (unsigned i = 0; i < 256; i++) {
        desc(VNET_CONTROL, i, RX_BUFFERS, 65000, 0, 0);
        offer(VNET_CONTROL, i);
    }
    count_anew();
    notify(VNET_CONTROL);
    CU_ASSERT_TRUE(host.dma_bytes < VNET_RUN_BYTES + 100000);
    CU_ASSERT_TRUE(timer_calls() >= 3);
    CU_ASSERT_EQUAL(used(VNET_CONTROL), 256);
}

/* A driver of the legacy interface sends commands before it is at work. */
static void legacy_before_its_work(void)
{
    open_legacy((uint32_t)ALL);
    lw(L_STATUS, 1, 0);
    lw(L_STATUS, 1, 3);
    lw(L_FEATURES, 4, (uint32_t)ALL);
    lw(L_SELECT, 2, VNET_CONTROL);
    lw(L_PFN, 4, QUEUE(VNET_CONTROL) >> 12);
    offer_long_commands();
    notify(VNET_CONTROL);
    CU_ASSERT_TRUE(used(VNET_CONTROL) < 256);
    timer_calls();
    CU_ASSERT_EQUAL(used(VNET_CONTROL), 256);
}

static void wait_with_commands(void)
{
    open_modern(ALL, 256);
    offer_long_commands();
    notify(VNET_CONTROL);
    CU_ASSERT_NOT_EQUAL(host.deadline, 0);
}

static void ends_with_a_reset(void)
{
    wait_with_commands();
    set_status(0);
    CU_ASSERT_EQUAL(host.deadline, 0);
    CU_ASSERT_EQUAL(card()->control_again, 0);
}

static void ends_with_a_broken_queue(void)
{
    wait_with_commands();
    unsigned done = used(VNET_CONTROL);
    offer(VNET_TX, 300);
    notify(VNET_TX);
    CU_ASSERT_TRUE(timer_calls() <= 1);
    CU_ASSERT_EQUAL(used(VNET_CONTROL), done);
}

/* Saved and restored while commands wait, they are answered when they would have been. */
static void waits_on_when_restored(void)
{
    uint8_t image[8192];
    wait_with_commands();
    uint64_t before = host.deadline - host.now;
    size_t size = nic_save(host.nic, host.now, image, sizeof image);
    CU_ASSERT_FATAL(size <= sizeof image);
    host.now += 5000000000;
    CU_ASSERT_EQUAL(nic_restore(host.nic, host.now, image, size), 0);
    CU_ASSERT_EQUAL(host.deadline - host.now, before);
    timer_calls();
    CU_ASSERT_EQUAL(used(VNET_CONTROL), 256);
}

/* --- reception ------------------------------------------------------------------- */

/* Chains of 500 descriptors for 12 bytes: no frame is worth that; their buffers go back, one a frame. */
static void room_of_nothing(void)
{
    open_modern(ALL, 256);
    offer_long_chains(VNET_RX, RX_BUFFERS, 12, WRITE);
    for (unsigned i = 1; i <= 3; i++) {
        count_anew();
        CU_ASSERT_EQUAL(rx(1500), NIC_RX_TAKEN);
        CU_ASSERT_TRUE(host.dma_calls < 4 * CHAIN_MOST);
        CU_ASSERT_EQUAL(used(VNET_RX), i);
        CU_ASSERT_EQUAL(used_size(VNET_RX, i - 1), 0);
    }
    CU_ASSERT_EQUAL(host.nic->counters.rx_frames, 0);
}

/* Of 256 buffers, each in a table of its own, a frame is made as of any. */
static void room_in_many_tables(void)
{
    open_modern(ALL, 256);
    for (unsigned i = 0; i < 256; i++) {
        desc_at(TABLE, i, RX_BUFFERS + 12 * i, 12, WRITE, 0);
        desc(VNET_RX, i, TABLE + 16 * i, 16, INDIRECT, 0);
        offer(VNET_RX, i);
    }
    CU_ASSERT_EQUAL(rx(255 * 12), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(used(VNET_RX), 256);
    CU_ASSERT_EQUAL(memcmp(host.memory + RX_BUFFERS + 12, make_frame(255 * 12), 255 * 12), 0);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "chains that are long are sent bit by bit", sends_bit_by_bit },
        { "super-frames are sent at once", sends_super_frames_at_once },
        { "commands that are long are answered bit by bit", answers_bit_by_bit },
        { "commands that are large, too", large_commands },
        { "so are those before a legacy driver's work", legacy_before_its_work },
        { "a reset ends it", ends_with_a_reset },
        { "a broken queue ends it", ends_with_a_broken_queue },
        { "it is saved and restored", waits_on_when_restored },
        { "receive buffers of nothing cost little", room_of_nothing },
        { "receive buffers in tables of one", room_in_many_tables },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("virtio_bounds", tests, virtio_fixture_start, virtio_fixture_stop);
}
