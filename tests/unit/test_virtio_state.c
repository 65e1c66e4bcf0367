/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Saving and restoring of the paravirtual card, at every step of a driver's life, and
 * states that no card has saved (class L of test_nic_cve.c).
 */
#include "tests/unit/unit.h"
#include "tests/unit/virtio_fixture.h"

#include <errno.h>
#include <string.h>

#define ALL (F(CTRL_VQ) | F(CTRL_RX) | F(CTRL_MAC_ADDR) | F(MRG_RXBUF) | F(EVENT_IDX) | F(GUEST_CSUM) | F(INDIRECT_DESC))

static uint8_t image[16384], again[16384];

/* Another machine with the same memory, a clock and a past of its own goes on in the place of this one. */
static void move(void)
{
    struct fake_nic_host other;
    size_t size = nic_save(host.nic, host.now, image, sizeof image);
    CU_ASSERT_FATAL(size <= sizeof image);
    fake_nic_host_start(&other, "virtio-net");
    other.now = 77000000000 + host.now;
    nic_write(other.nic, 1, QUEUE_SELECT, 2, 2, other.now);
    nic_set_link(other.nic, false, other.now);
    memcpy(other.memory, host.memory, FAKE_MEMORY_SIZE);
    other.no_room = host.no_room;
    CU_ASSERT_EQUAL(nic_restore(other.nic, other.now, image, size), 0);
    CU_ASSERT_EQUAL(nic_save(other.nic, other.now, again, sizeof again), size);
    CU_ASSERT_EQUAL(memcmp(image, again, size), 0);
    CU_ASSERT_EQUAL(other.irq, host.irq);
    CU_ASSERT_EQUAL(other.deadline ? other.deadline - other.now : 0, host.deadline ? host.deadline - host.now : 0);
    CU_ASSERT_EQUAL(other.accepts_changed, 1);
    CU_ASSERT_TRUE(other.ready >= 1);
    fake_nic_host_stop(&host);
    host = other;
    /* the models' way to their host leads to where it was made */
    host.nic->host.opaque = &host;
}

static void setting_up(void)
{
    virtio_fixture_restart();
    set_status(3);
    mw(DEVICE_SELECT, 4, 1);
    mw(DRIVER_SELECT, 4, 1);
    mw(DRIVER_FEATURE, 4, 1);
    for (unsigned i = 0; i < 10; i++)
        nic_set_link(host.nic, i % 2, host.now);
    move();
    CU_ASSERT_EQUAL(mr(GENERATION, 1), 10);
    CU_ASSERT_EQUAL(mr(STATUS, 1), 3);
    CU_ASSERT_EQUAL(mr(DEVICE_FEATURE, 4), 1);
    CU_ASSERT_EQUAL(mr(DRIVER_FEATURE, 4), 1);
    CU_ASSERT_EQUAL(mr(VNET_CONFIG + 6, 1), 1); /* the link is the state's */
    mw(DRIVER_SELECT, 4, 0);
    mw(DRIVER_FEATURE, 4, (uint32_t)ALL);
    set_status(11);
    move();
    CU_ASSERT_EQUAL(card()->features, ALL | F(VERSION_1));
    mw(QUEUE_SELECT, 2, 1);
    mw(QUEUE_SIZE, 2, 64);
    mw(DESC + 4, 4, 0x12345);
    mw(AVAIL, 4, 0x1230);
    move();
    CU_ASSERT_EQUAL(mr(QUEUE_SELECT, 2), 1);
    CU_ASSERT_EQUAL(mr(QUEUE_SIZE, 2), 64);
    CU_ASSERT_EQUAL(mr(DESC + 4, 4), 0x12345);
    CU_ASSERT_EQUAL(mr(AVAIL, 4), 0x1230);
    CU_ASSERT_EQUAL(mr(QUEUE_ENABLE, 2), 0);
    mw(QUEUE_ENABLE, 2, 1);
    move();
    CU_ASSERT_EQUAL(mr(QUEUE_ENABLE, 2), 1);
}

/* At work: a move between any two accesses, and nothing is lost, doubled or called for twice. */
static void at_work(void)
{
    open_modern(ALL, 16);
    memset(host.memory + COMMAND, 0, 12);
    for (unsigned turn = 0; turn < 40; turn++) {
        memcpy(host.memory + COMMAND + 12, make_frame(60), 60);
        fake_nic_host_advance(&host, 50000); /* to the end of what is quiet */
        set_used_event(VNET_TX, (uint16_t)(turn - turn % 2)); /* passed now, or before */
        set_used_event(VNET_RX, (uint16_t)(2 * turn + 1));
        desc_at(TABLE, 0, COMMAND, 72, 0, 0);
        desc(VNET_TX, turn % 16, turn % 3 ? COMMAND : TABLE, turn % 3 ? 72 : 16, turn % 3 ? 0 : INDIRECT, 0);
        offer(VNET_TX, turn % 16);
        move();
        fake_nic_host_forget_frames(&host);
        notify(VNET_TX);
        CU_ASSERT_EQUAL(host.frame_count, 1);
        CU_ASSERT_EQUAL(used(VNET_TX), turn + 1);
        move();
        CU_ASSERT_EQUAL(host.irq, turn % 2 == 0);
        rx_give(2 * turn, 2, 100);
        move();
        CU_ASSERT_EQUAL(rx(150), NIC_RX_TAKEN);
        CU_ASSERT_EQUAL(used(VNET_RX), 2 * turn + 2);
        move();
        CU_ASSERT_EQUAL(isr(), 1);
        CU_ASSERT_FALSE(host.irq);
    }
    CU_ASSERT_EQUAL(host.errors, 0);
}

static void filter_and_address(void)
{
    uint8_t frame[60], table[] = { 1, 0, 0, 0, 2, 2, 2, 2, 2, 9, 0, 0, 0, 0 };
    open_modern(ALL, 16);
    command(0, 0, "\0", 1);
    command(1, 0, table, sizeof table);
    command(1, 1, "\2\2\2\2\2\10", 6);
    struct vnet_filter before = card()->filter;
    move();
    CU_ASSERT_EQUAL(memcmp(&before, &card()->filter, sizeof before), 0);
    rx_give(0, 4, 2048);
    memcpy(frame, make_frame(60), 60);
    for (unsigned last = 7; last < 11; last++) {
        memcpy(frame, "\2\2\2\2\2", 5);
        frame[5] = (uint8_t)last;
        nic_receive(host.nic, frame, 60, NULL, host.now);
    }
    CU_ASSERT_EQUAL(used(VNET_RX), 2); /* its own 8, and 9 of the table */
    CU_ASSERT_EQUAL(mr(VNET_CONFIG + 5, 1), 8);
}

static void waiting_frame(void)
{
    open_modern(ALL, 16);
    CU_ASSERT_EQUAL(rx(60), NIC_RX_FULL);
    move();
    unsigned ready = host.ready;
    rx_give(0, 1, 100);
    notify(VNET_RX);
    CU_ASSERT_EQUAL(host.ready, ready + 1);
    CU_ASSERT_EQUAL(rx(60), NIC_RX_TAKEN);
}

static void waiting_transmission(void)
{
    open_modern(ALL, 16);
    host.no_room = true;
    tx_fill(make_frame(60), 60);
    tx_send(0, 60);
    fake_nic_host_advance(&host, NIC_NO_ROOM_NS / 2);
    move();
    host.no_room = false;
    fake_nic_host_advance(&host, NIC_NO_ROOM_NS / 2 - 1);
    CU_ASSERT_EQUAL(host.frame_count, 0);
    fake_nic_host_advance(&host, 1);
    CU_ASSERT_EQUAL(host.frame_count, 1);
}

/* An interrupt that is to come, and the quiet before it. */
static void waiting_interrupt(void)
{
    for (unsigned untold = 0; untold < 2; untold++) {
        open_modern(0, 16);
        tx_fill(make_frame(60), 60);
        tx_send(0, 60);
        isr();
        fake_nic_host_advance(&host, 20000);
        if (untold)
            tx_send(2, 60);
        move();
        if (!untold)
            tx_send(2, 60);
        fake_nic_host_advance(&host, 29999);
        CU_ASSERT_FALSE(host.irq);
        fake_nic_host_advance(&host, 1);
        CU_ASSERT_TRUE(host.irq);
    }
}

/* Back in the machine that it was saved in: a timer is armed again, or is off. */
static void in_place(void)
{
    size_t size;
    open_modern(0, 16);
    tx_fill(make_frame(60), 60);
    size = nic_save(host.nic, host.now, image, sizeof image);
    host.no_room = true;
    tx_send(0, 60);
    uint64_t deadline = host.deadline;
    CU_ASSERT_TRUE(deadline > 0);
    size_t waiting = nic_save(host.nic, host.now, again, sizeof again);
    CU_ASSERT_EQUAL(nic_restore(host.nic, host.now, again, waiting), 0);
    CU_ASSERT_EQUAL(host.deadline, deadline);
    CU_ASSERT_EQUAL(nic_restore(host.nic, host.now, image, size), 0);
    CU_ASSERT_EQUAL(host.deadline, 0);
}

/* What a driver has left is gone: a card that was reset is as a new one. */
static void as_new(void)
{
    enum { COUNTERS_END = 28 + 11 * 8 };
    virtio_fixture_restart();
    size_t size = nic_save(host.nic, host.now, image, sizeof image);
    open_modern(ALL, 16);
    command(0, 0, "\0", 1);
    command(0, 1, "\1", 1);
    command(1, 0, "\0\0\0\0\1\0\0\0\3\0\0\0\0\1", 14);
    command(1, 1, "\2\2\2\2\2\10", 6);
    tx_fill(make_frame(60), 60);
    tx_send(0, 60);
    tx_send(2, 60);
    host.no_room = true;
    fake_nic_host_advance(&host, 10000);
    tx_send(4, 60);
    mw(DEVICE_SELECT, 4, 1);
    set_status(0);
    CU_ASSERT_EQUAL(nic_save(host.nic, host.now, again, sizeof again), size);
    CU_ASSERT_EQUAL(memcmp(image + COUNTERS_END, again + COUNTERS_END, size - COUNTERS_END), 0);
}

static void broken_queue(void)
{
    open_modern(ALL, 16);
    offer(VNET_TX, 99);
    notify(VNET_TX);
    move();
    CU_ASSERT_TRUE(mr(STATUS, 1) & VNET_S_NEEDS_RESET);
    CU_ASSERT_EQUAL(isr(), 2);
    tx_fill(make_frame(60), 60);
    tx_send(0, 60);
    CU_ASSERT_EQUAL(host.frame_count, 0);
}

/* --- what no card saves -------------------------------------------------------- */

static void size_odd(void) { card()->ring[0].size = 15; }
static void size_zero(void) { card()->ring[1].size = 0; }
static void size_large(void) { card()->ring[2].size = 512; }
static void more_than_it_holds(void) { card()->ring[0].seen_avail = (uint16_t)(card()->ring[0].next_avail + 17); }
static void odd_desc(void) { card()->ring[1].desc += 8; }
static void odd_avail(void) { card()->ring[1].avail += 1; }
static void odd_used(void) { card()->ring[1].used += 2; }
static void wrapping_desc(void) { card()->ring[1].desc = UINT64_MAX - 15; }
static void wrapping_avail(void) { card()->ring[1].avail = UINT64_MAX - 7; }
static void wrapping_used(void) { card()->ring[2].used = UINT64_MAX - 7; }
static void broken_in_silence(void) { card()->ring[1].broken = true; }
static void many_addresses(void) { card()->filter.count = VNET_ADDRESSES + 1; }
static void most_addresses(void) { card()->filter.count = 255; }
static void status_unknown(void) { card()->status |= 0x20; }
static void cause_unknown(void) { card()->isr = 4; card()->nic.irq_level = true; }
static void cause_without_line(void) { card()->isr = 1; }
static void line_without_cause(void) { card()->nic.irq_level = true; }
static void timer_far(void) { card()->tx_again = host.now + 50001; }
static void quiet_for_long(void) { card()->tx_quiet = host.now + 50001; }
static void commands_far(void) { card()->control_again = host.now + 50001; }

static void refused(void)
{
#define CASE(name) { #name, name }
    static const struct { const char *what; void (*spoil)(void); } cases[] = {
        CASE(size_odd), CASE(size_zero), CASE(size_large), CASE(more_than_it_holds), CASE(odd_desc), CASE(odd_avail), CASE(odd_used),
        CASE(wrapping_desc), CASE(wrapping_avail), CASE(wrapping_used), CASE(broken_in_silence), CASE(many_addresses),
        CASE(most_addresses), CASE(status_unknown), CASE(cause_unknown), CASE(cause_without_line), CASE(line_without_cause),
        CASE(timer_far), CASE(quiet_for_long), CASE(commands_far),
    };
    static uint8_t spoilt[16384];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        open_modern(ALL, 16);
        cases[i].spoil();
        if (card()->filter.count > VNET_ADDRESSES)
            card()->filter.count = VNET_ADDRESSES; /* and by hand below: a walk would look behind the table */
        size_t size = nic_save(host.nic, host.now, spoilt, sizeof spoilt);
        if (cases[i].spoil == many_addresses || cases[i].spoil == most_addresses) {
            size_t at = size - 1 - 8 - 1 - 1 - 1 - 6 * VNET_ADDRESSES - 1; /* its count: before the table and what is behind it */
            CU_ASSERT_EQUAL_FATAL(spoilt[at], VNET_ADDRESSES);
            spoilt[at] = cases[i].spoil == many_addresses ? VNET_ADDRESSES + 1 : 255;
        }
        open_modern(ALL, 16);
        size_t before = nic_save(host.nic, host.now, image, sizeof image);
        int result = nic_restore(host.nic, host.now, spoilt, size);
        if (result != EINVAL)
            fprintf(stderr, "accepted: %s\n", cases[i].what);
        CU_ASSERT_EQUAL(result, EINVAL);
        CU_ASSERT_EQUAL(nic_save(host.nic, host.now, again, sizeof again), before);
        CU_ASSERT_EQUAL(memcmp(image, again, before), 0);
    }
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "setting up", setting_up },
        { "at work", at_work },
        { "filter and address", filter_and_address },
        { "a waiting frame", waiting_frame },
        { "a transmission that waits", waiting_transmission },
        { "an interrupt that waits", waiting_interrupt },
        { "in place", in_place },
        { "after a reset", as_new },
        { "a broken queue", broken_queue },
        { "cve class L: states refused", refused },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("virtio_state", tests, virtio_fixture_start, virtio_fixture_stop);
}
