/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The paravirtual card's control queue, and the frames that its driver asks for with it.
 */
#include "tests/unit/unit.h"
#include "tests/unit/virtio_fixture.h"

#include <string.h>

enum { OK = 0, ERROR = 1 };
#define ALL (F(CTRL_VQ) | F(CTRL_RX) | F(CTRL_MAC_ADDR))

static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

static void address(uint8_t *mac, unsigned number, bool multicast)
{
    const uint8_t made[6] = { multicast ? 0x33 : 0x32, 0x33, 0, 0, (uint8_t)(number >> 8), (uint8_t)number };
    memcpy(mac, made, 6);
}

/* Whether a frame to it gets through. */
static bool arrives(const uint8_t *mac)
{
    uint8_t frame[60];
    uint16_t before = used(VNET_RX);
    memcpy(frame, make_frame(60), 60);
    memcpy(frame, mac, 6);
    rx_give(before % 16, 1, 2048);
    CU_ASSERT_EQUAL(nic_receive(host.nic, frame, 60, NULL, host.now), NIC_RX_TAKEN);
    return used(VNET_RX) != before;
}

static bool number_arrives(unsigned number, bool multicast)
{
    uint8_t mac[6];
    address(mac, number, multicast);
    return arrives(mac);
}

/* A table of addresses from `first` on; what is answered. */
static uint8_t set_table(unsigned unicast, unsigned multicast)
{
    uint8_t data[8 + 6 * 600];
    uint32_t counts[2] = { unicast, multicast };
    size_t size = 0;
    for (unsigned half = 0; half < 2; half++) {
        memcpy(data + size, &counts[half], 4);
        size += 4;
        for (unsigned i = 0; i < counts[half]; i++, size += 6)
            address(data + size, 100 + i, half);
    }
    return command(1, 0, data, size);
}

static void open_quiet(void)
{
    open_modern(ALL, 16);
    CU_ASSERT_EQUAL(command(0, 0, "\0", 1), OK);
}

/* Until a driver says otherwise, and where it cannot, all frames are its. */
static void promiscuous(void)
{
    open_modern(0, 16);
    CU_ASSERT_TRUE(number_arrives(1, false) && number_arrives(1, true));
    open_modern(F(CTRL_VQ), 16);
    CU_ASSERT_EQUAL(command(0, 0, "\0", 1), ERROR); /* not negotiated */
    CU_ASSERT_TRUE(number_arrives(1, false));
    open_modern(ALL, 16);
    CU_ASSERT_TRUE(number_arrives(1, false) && number_arrives(1, true));
    CU_ASSERT_EQUAL(command(0, 0, "\0", 1), OK);
    CU_ASSERT_FALSE(number_arrives(1, false) || number_arrives(1, true));
    CU_ASSERT_TRUE(arrives(fake_mac) && arrives(broadcast));
    CU_ASSERT_EQUAL(command(0, 1, "\1", 1), OK); /* all multicast */
    CU_ASSERT_TRUE(!number_arrives(1, false) && number_arrives(1, true));
    CU_ASSERT_EQUAL(command(0, 1, "\0", 1), OK);
    CU_ASSERT_FALSE(number_arrives(1, true));
    CU_ASSERT_EQUAL(command(0, 0, "\1", 1), OK);
    CU_ASSERT_TRUE(number_arrives(1, false) && number_arrives(1, true));
    struct nic_counters c;
    nic_get_counters(host.nic, &c);
    CU_ASSERT_EQUAL(c.rx_filtered, 4);
}

static void table(void)
{
    open_quiet();
    CU_ASSERT_EQUAL(set_table(2, 3), OK);
    for (unsigned i = 98; i < 106; i++) {
        CU_ASSERT_EQUAL(number_arrives(i, false), i >= 100 && i < 102);
        CU_ASSERT_EQUAL(number_arrives(i, true), i >= 100 && i < 103);
    }
    CU_ASSERT_TRUE(arrives(fake_mac) && arrives(broadcast));
    CU_ASSERT_EQUAL(set_table(0, 1), OK); /* takes the other's place */
    CU_ASSERT_TRUE(!number_arrives(100, false) && number_arrives(100, true) && !number_arrives(101, true));
    CU_ASSERT_EQUAL(set_table(0, 0), OK);
    CU_ASSERT_FALSE(number_arrives(100, true));
    CU_ASSERT_EQUAL(command(0, 1, "\1", 1), OK);
    CU_ASSERT_EQUAL(set_table(1, 0), OK); /* flags stay */
    CU_ASSERT_TRUE(number_arrives(7, true) && !number_arrives(7, false));
    CU_ASSERT_EQUAL(command(0, 0, "\1", 1), OK);
    CU_ASSERT_EQUAL(set_table(1, 0), OK);
    CU_ASSERT_TRUE(number_arrives(7, false));
}

/* More than the card holds: it lets all of their kind through (VirtualBox's and QEMU's tables, CVE-2013-4149). */
static void overflow(void)
{
    open_quiet();
    CU_ASSERT_EQUAL(set_table(64, 0), OK);
    CU_ASSERT_TRUE(number_arrives(163, false) && !number_arrives(164, false) && !number_arrives(7, true));
    CU_ASSERT_EQUAL(set_table(65, 0), OK);
    CU_ASSERT_TRUE(number_arrives(7, false) && !number_arrives(7, true));
    CU_ASSERT_EQUAL(set_table(0, 64), OK);
    CU_ASSERT_TRUE(number_arrives(163, true) && !number_arrives(164, true) && !number_arrives(7, false));
    CU_ASSERT_EQUAL(set_table(60, 5), OK);
    CU_ASSERT_TRUE(number_arrives(7, true) && !number_arrives(7, false) && number_arrives(159, false));
    CU_ASSERT_EQUAL(set_table(300, 300), OK);
    CU_ASSERT_TRUE(number_arrives(7, true) && number_arrives(7, false));
    CU_ASSERT_EQUAL(set_table(65, 2), OK); /* of the other kind it still knows which */
    CU_ASSERT_TRUE(number_arrives(101, true) && !number_arrives(102, true));
}

/* Counts that are not what comes: nothing is changed. */
static void bad_tables(void)
{
    static const struct { uint8_t bytes[24]; size_t size; } cases[] = {
        { { 0 }, 0 }, { { 0 }, 3 }, { { 0 }, 4 }, { { 0 }, 7 }, { { 0 }, 9 }, { { 1 }, 8 }, { { 1 }, 13 }, { { 1 }, 10 },
        { { 0xff, 0xff, 0xff, 0xff }, 20 }, { { 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff }, 20 }, { { 0xab, 0xaa, 0xaa, 0x2a }, 10 },
        { { 0, 0, 0, 0, 0xab, 0xaa, 0xaa, 0xaa }, 10 }, { { 0, 0, 0, 0, 2 }, 19 }, { { 0, 0, 0, 0, 1 }, 20 },
    };
    open_quiet();
    CU_ASSERT_EQUAL(set_table(1, 1), OK);
    struct vnet_filter before = card()->filter;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CU_ASSERT_EQUAL(command(1, 0, cases[i].bytes, cases[i].size), ERROR);
        CU_ASSERT_EQUAL(memcmp(&before, &card()->filter, sizeof before), 0);
    }
    CU_ASSERT_EQUAL(host.errors, sizeof cases / sizeof *cases);
}

static void station_address(void)
{
    static const uint8_t other[6] = { 0x02, 1, 2, 3, 4, 5 }, group[6] = { 0x03, 1, 2, 3, 4, 5 };
    open_quiet();
    CU_ASSERT_FALSE(arrives(other));
    CU_ASSERT_EQUAL(command(1, 1, other, 6), OK);
    CU_ASSERT_TRUE(arrives(other) && !arrives(fake_mac));
    CU_ASSERT_EQUAL(mr(VNET_CONFIG + 1, 1), 1);
    CU_ASSERT_EQUAL(command(1, 1, group, 6), ERROR);
    CU_ASSERT_EQUAL(command(1, 1, other, 5), ERROR);
    CU_ASSERT_EQUAL(command(1, 1, "\2\2\2\2\2\2\2", 7), ERROR);
    CU_ASSERT_TRUE(arrives(other));
    open_modern(F(CTRL_VQ) | F(CTRL_RX), 16);
    CU_ASSERT_EQUAL(command(1, 1, other, 6), ERROR);
}

static void bad_commands(void)
{
    open_quiet();
    unsigned errors = host.errors;
    struct vnet_filter before = card()->filter;
    CU_ASSERT_EQUAL(command(0, 0, "\2", 1), ERROR);
    CU_ASSERT_EQUAL(command(0, 0, "\1\0", 2), ERROR);
    CU_ASSERT_EQUAL(command(0, 0, "", 0), ERROR);
    for (unsigned class = 0; class < 8; class++)
        for (unsigned code = 2; code < 8; code++)
            CU_ASSERT_EQUAL(command((uint8_t)class, (uint8_t)code, "\1", 1), ERROR);
    CU_ASSERT_EQUAL(command(2, 0, "\1\0", 2), ERROR); /* VLANs */
    CU_ASSERT_EQUAL(command(4, 0, "\1\0", 2), ERROR); /* queues */
    CU_ASSERT_EQUAL(memcmp(&before, &card()->filter, sizeof before), 0);
    CU_ASSERT_TRUE(host.errors > errors + 40);
    CU_ASSERT_EQUAL(card()->status & VNET_S_NEEDS_RESET, 0); /* the queue goes on */
    CU_ASSERT_EQUAL(command(0, 0, "\1", 1), OK);
}

/* Commands in one piece, in bytes, with data behind the answer's place missing, too long, or not memory. */
static void layouts(void)
{
    open_quiet();
    memcpy(host.memory + COMMAND, "\0\0\1", 3);
    for (unsigned i = 0; i < 3; i++)
        desc(VNET_CONTROL, i, COMMAND + i, 1, NEXT, i + 1);
    desc(VNET_CONTROL, 3, ANSWER, 8, WRITE, 0);
    memset(host.memory + ANSWER, 0xee, 8);
    offer(VNET_CONTROL, 0);
    notify(VNET_CONTROL);
    CU_ASSERT_EQUAL(memcmp(host.memory + ANSWER, "\0\xee\xee", 3), 0);
    CU_ASSERT_EQUAL(used_size(VNET_CONTROL, 1), 1);
    CU_ASSERT_TRUE(card()->filter.promiscuous);
    desc(VNET_CONTROL, 0, COMMAND, 3, 0, 0); /* nowhere to answer to: it is run all the same */
    host.memory[COMMAND + 2] = 0;
    offer(VNET_CONTROL, 0);
    notify(VNET_CONTROL);
    CU_ASSERT_EQUAL(used_size(VNET_CONTROL, 2), 0);
    CU_ASSERT_FALSE(card()->filter.promiscuous);
    static const struct { uint64_t address; uint32_t size; } bad[] = { { COMMAND, 1 }, { COMMAND, 70000 }, { COMMAND, 0xffffffff },
                                                                       { FAKE_MEMORY_SIZE - 1, 3 }, { UINT64_MAX, 3 }, { COMMAND, 0 } };
    for (unsigned i = 0; i < 6; i++) {
        host.memory[ANSWER] = 0xee;
        desc(VNET_CONTROL, 0, bad[i].address, bad[i].size, NEXT, 3);
        offer(VNET_CONTROL, 0);
        notify(VNET_CONTROL);
        CU_ASSERT_EQUAL(host.memory[ANSWER], ERROR);
        CU_ASSERT_EQUAL(used(VNET_CONTROL), 4 + i);
    }
    desc(VNET_CONTROL, 0, COMMAND, 3, NEXT, 3); /* the answer is to go where no memory is */
    desc(VNET_CONTROL, 3, FAKE_MEMORY_SIZE, 1, WRITE, 0);
    offer(VNET_CONTROL, 0);
    notify(VNET_CONTROL);
    CU_ASSERT_EQUAL(used_size(VNET_CONTROL, 9), 0);
}

/* A legacy driver sends commands before it is at work; one of virtio 1.0 has them run when it is. */
static void before_driver_ok(void)
{
    virtio_fixture_restart();
    lw(L_STATUS, 1, 3);
    lw(L_FEATURES, 4, (uint32_t)ALL);
    lw(L_SELECT, 2, VNET_CONTROL);
    lw(L_PFN, 4, QUEUE(VNET_CONTROL) >> 12);
    memcpy(host.memory + COMMAND, "\0\0\0", 3);
    desc(VNET_CONTROL, 0, COMMAND, 3, NEXT, 1);
    desc(VNET_CONTROL, 1, ANSWER, 1, WRITE, 0);
    offer(VNET_CONTROL, 0);
    lw(L_NOTIFY, 2, VNET_CONTROL);
    CU_ASSERT_EQUAL(used(VNET_CONTROL), 1);
    CU_ASSERT_FALSE(card()->filter.promiscuous);
    virtio_fixture_restart();
    set_status(3);
    offer_features(ALL | F(VERSION_1));
    set_status(11);
    set_queue(VNET_CONTROL, 16);
    CU_ASSERT_EQUAL(command(0, 0, "\0", 1), 0xee);
    CU_ASSERT_FALSE(host.irq);
    set_status(15);
    CU_ASSERT_EQUAL(host.memory[ANSWER], OK);
    CU_ASSERT_EQUAL(used(VNET_CONTROL), 1);
    CU_ASSERT_TRUE(host.irq);
}

/* Each is answered with an interrupt, if wanted, and the next one notified of. */
static void interrupts(void)
{
    for (unsigned events = 0; events < 2; events++) {
        open_modern(ALL | (events ? F(EVENT_IDX) : 0), 16);
        set_used_event(VNET_CONTROL, 1);
        set_avail_flags(VNET_CONTROL, 1);
        command(0, 0, "\0", 1);
        CU_ASSERT_FALSE(host.irq);
        CU_ASSERT_EQUAL(events ? avail_event(VNET_CONTROL) : used_flags(VNET_CONTROL), events);
        set_avail_flags(VNET_CONTROL, 0);
        command(0, 0, "\0", 1);
        CU_ASSERT_TRUE(host.irq);
        CU_ASSERT_EQUAL(events ? avail_event(VNET_CONTROL) : used_flags(VNET_CONTROL), events ? 2 : 0);
    }
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "promiscuous and all multicast", promiscuous },
        { "the table", table },
        { "cve class J: more addresses than the table holds", overflow },
        { "cve class J: tables that are cut off", bad_tables },
        { "the station address", station_address },
        { "bad commands", bad_commands },
        { "layouts", layouts },
        { "before DRIVER_OK", before_driver_ok },
        { "interrupts", interrupts },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("virtio_control", tests, virtio_fixture_start, virtio_fixture_stop);
}
