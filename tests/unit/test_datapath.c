/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tests of vswitchd/datapath with fake ports: what leaves where and in which
 * form, sizes, a stalled port, fair turns, captures and events.
 */
#include <errno.h>
#include <string.h>

#include "tests/fake/fake_port.h"
#include "tests/unit/unit.h"
#include "vswitchd/core/eth_frame.h"
#include "vswitchd/core/offload.h"
#include "vswitchd/datapath.h"

#define MAC(n) (UINT64_C(0x020000000000) + (n))
#define BROADCAST UINT64_C(0xffffffffffff)
#define PORTS 5u

static struct event_loop *loop;
static struct datapath *dp;
static struct fake_port *ports[PORTS];
static uint8_t bytes[FRAME_BUFFER_SIZE];

static void setup(void)
{
    struct switch_config config;
    switch_config_init(&config);
    loop = event_loop_create();
    dp = datapath_create(loop, &config);
    CU_ASSERT_PTR_NOT_NULL_FATAL(dp);
    memset(ports, 0, sizeof(ports));
}

static void teardown(void)
{
    datapath_destroy(dp);
    event_loop_destroy(loop);
}

static struct fake_port *add(unsigned i, bool offloads, const struct switch_port_config *config)
{
    static const char *const names[PORTS] = {"p0", "p1", "p2", "p3", "p4"};
    struct switch_port_config plain;
    switch_port_config_init(&plain);
    ports[i] = fake_port_create(names[i], offloads);
    CU_ASSERT_EQUAL_FATAL(datapath_add_port(dp, &ports[i]->port, config ? config : &plain), 0);
    return ports[i];
}

static void add_trunk(unsigned i, bool offloads)
{
    struct switch_port_config config;
    switch_port_config_init(&config);
    config.vlan.mode = VLAN_TRUNK;
    config.vlan.pvid = 0;
    vlan_set_fill(&config.vlan.allowed);
    add(i, offloads, &config);
}

static void write_header(uint64_t destination, uint64_t source)
{
    eth_mac_bytes(destination, bytes);
    eth_mac_bytes(source, bytes + 6);
    eth_put16(bytes + 12, 0x88b5);
}

/* Lets `count` such frames come in at a port. */
static void inject(unsigned port, uint64_t destination, uint64_t source, uint32_t size, unsigned count)
{
    write_header(destination, source);
    fake_port_put(ports[port], bytes, size, NULL, count);
    port_readable(&ports[port]->port);
}

/* ---- forwarding ---- */

static void test_unicast(void)
{
    for (unsigned i = 0; i < 3; i++)
        add(i, false, NULL);
    inject(0, MAC(2), MAC(1), 60, 1); /* unknown: to both */
    CU_ASSERT_EQUAL(ports[1]->sent, 1);
    CU_ASSERT_EQUAL(ports[2]->sent, 1);
    inject(1, MAC(1), MAC(2), 61, 1);
    CU_ASSERT_EQUAL(ports[0]->sent, 1);
    CU_ASSERT_EQUAL(ports[0]->last_size, 61);
    CU_ASSERT_EQUAL(memcmp(ports[0]->last, bytes, 61), 0);
    inject(0, MAC(2), MAC(1), 60, 10);
    CU_ASSERT_EQUAL(ports[1]->sent, 11);
    CU_ASSERT_EQUAL(ports[2]->sent, 1);
    CU_ASSERT_EQUAL(ports[1]->flushed, 2); /* once a burst, not once a frame */
    CU_ASSERT_EQUAL(ports[0]->port.counters.in_frames, 11);
    CU_ASSERT_EQUAL(ports[0]->port.counters.in_bytes, 660);
    CU_ASSERT_EQUAL(ports[1]->port.counters.out_frames, 11);
    CU_ASSERT_EQUAL(datapath_fdb_count(dp), 2);
    inject(2, BROADCAST, MAC(3), 60, 1);
    CU_ASSERT_EQUAL(ports[2]->port.counters.in_group, 1);
}

static void test_tags_in_one_flood(void)
{
    add(0, false, NULL);
    add_trunk(1, false);
    add(2, false, NULL);
    add_trunk(3, false);
    inject(0, BROADCAST, MAC(1), 100, 1);
    CU_ASSERT_EQUAL(ports[2]->last_size, 100);
    CU_ASSERT_EQUAL(memcmp(ports[2]->last, bytes, 100), 0);
    for (unsigned i = 1; i < 4; i += 2) {
        CU_ASSERT_EQUAL_FATAL(ports[i]->last_size, 104);
        CU_ASSERT_EQUAL(memcmp(ports[i]->last, bytes, 12), 0);
        CU_ASSERT_EQUAL(eth_get32(ports[i]->last + 12), 0x81000001);
        CU_ASSERT_EQUAL(memcmp(ports[i]->last + 16, bytes + 12, 88), 0);
    }
    /* And from a trunk: the tag goes for the access ports, and stays, with its priority, for the other trunk. */
    write_header(BROADCAST, MAC(2));
    memmove(bytes + 16, bytes + 12, 84);
    eth_put32(bytes + 12, 0x8100a001);
    fake_port_put(ports[1], bytes, 100, NULL, 1);
    port_readable(&ports[1]->port);
    CU_ASSERT_EQUAL(ports[3]->last_size, 100);
    CU_ASSERT_EQUAL(memcmp(ports[3]->last, bytes, 100), 0);
    CU_ASSERT_EQUAL(ports[0]->last_size, 96);
    CU_ASSERT_EQUAL(memcmp(ports[0]->last + 12, bytes + 16, 84), 0);
    CU_ASSERT_EQUAL(ports[2]->last_size, 96);
}

/* ---- sizes ---- */

static void test_sizes(void)
{
    static const struct {
        uint32_t size;
        enum drop_reason in, out;
    } rows[] = {
        {0, DROP_RUNT, DROP_NONE},
        {13, DROP_RUNT, DROP_NONE},
        {14, DROP_NONE, DROP_NONE},
        {1514, DROP_NONE, DROP_NONE},
        {1515, DROP_NONE, DROP_MTU},
        {1519, DROP_NONE, DROP_MTU},
        {9014, DROP_NONE, DROP_MTU},
        {9015, DROP_OVERSIZE, DROP_NONE},
        {FRAME_MAX, DROP_OVERSIZE, DROP_NONE},
        {FRAME_MAX + 1, DROP_OVERSIZE, DROP_NONE},
        {70000, DROP_OVERSIZE, DROP_NONE},
    };
    struct switch_port_config jumbo;
    switch_port_config_init(&jumbo);
    jumbo.mtu = 9000;
    add(0, false, &jumbo);
    add(1, false, NULL);
    add(2, false, &jumbo);
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        datapath_clear_counters(dp, NULL);
        unsigned sent = ports[1]->sent, sent2 = ports[2]->sent;
        inject(0, BROADCAST, MAC(1), rows[i].size, 1);
        CU_ASSERT_EQUAL(ports[0]->port.counters.drops[rows[i].in], rows[i].in != DROP_NONE);
        CU_ASSERT_EQUAL(ports[1]->port.counters.drops[rows[i].out], rows[i].out != DROP_NONE);
        CU_ASSERT_EQUAL(ports[1]->sent - sent, rows[i].in == DROP_NONE && rows[i].out == DROP_NONE);
        CU_ASSERT_EQUAL(ports[2]->sent - sent2, rows[i].in == DROP_NONE);
    }
    /* The tag does not count against the MTU; a port's own limit does. */
    add_trunk(3, false);
    ports[2]->port.capabilities.max_frame = 1000;
    datapath_clear_counters(dp, NULL);
    inject(0, BROADCAST, MAC(1), 1514, 1);
    CU_ASSERT_EQUAL(ports[3]->last_size, 1518);
    CU_ASSERT_EQUAL(ports[2]->port.counters.drops[DROP_MTU], 1);
}

/* ---- offloads ---- */

static unsigned checked_segments;

static void check_plain(struct fake_port *fake, const struct frame *frame)
{
    const uint8_t *ip = frame->data + (eth_get16(frame->data + 12) == ETH_TYPE_VLAN ? 18 : 14);
    uint32_t tcp_size = (uint32_t)(frame->data + frame->size - ip) - 20;
    uint8_t pseudo[4];
    (void)fake;
    eth_put16(pseudo, 6);
    eth_put16(pseudo + 2, (uint16_t)tcp_size);
    uint32_t sum = (uint32_t)offload_sum(0, ip + 12, 8) + offload_sum(0, pseudo, 4) + offload_sum(0, ip + 20, tcp_size);
    CU_ASSERT_EQUAL(offload_fold(sum), 0xffff);
    CU_ASSERT_EQUAL(offload_sum(0, ip, 20), 0xffff);
    CU_ASSERT_EQUAL(memcmp(&frame->offload, &(struct frame_offload){0}, sizeof(frame->offload)), 0);
    checked_segments++;
}

static void build_tcp(uint32_t payload)
{
    write_header(BROADCAST, MAC(1));
    eth_put16(bytes + 12, ETH_TYPE_IPV4);
    memcpy(bytes + 14, "\x45\0\0\0\0\1\x40\0\x40\6\0\0\x0a\0\0\1\x0a\0\0\2", 20);
    eth_put16(bytes + 16, (uint16_t)(40 + payload));
    eth_put16(bytes + 24, (uint16_t)~offload_sum(0, bytes + 14, 20));
    memset(bytes + 34, 0, 20);
    bytes[46] = 0x50;
    for (uint32_t i = 0; i < payload; i++)
        bytes[54 + i] = (uint8_t)(i * 3);
    /* As a sender leaves it: the pseudo-header's sum in the field. */
    eth_put16(bytes + 50, offload_fold(offload_sum(0, bytes + 26, 8) + 6 + 20 + payload));
}

static void test_offloads(void)
{
    struct frame_offload super = {.flags = FRAME_NEEDS_CSUM, .gso_type = FRAME_GSO_TCPV4, .hdr_len = 54,
                                  .gso_size = 1460, .csum_start = 34, .csum_offset = 16};
    add(0, true, NULL);
    add(1, true, NULL);
    add(2, false, NULL)->on_send = check_plain;
    add_trunk(3, false);
    ports[3]->on_send = check_plain;
    add_trunk(4, true);

    build_tcp(14600);
    checked_segments = 0;
    fake_port_put(ports[0], bytes, 14654, &super, 1);
    port_readable(&ports[0]->port);
    CU_ASSERT_EQUAL(ports[1]->sent, 1); /* whole, and untouched though others came between */
    CU_ASSERT_EQUAL(ports[1]->last_size, 14654);
    CU_ASSERT_EQUAL(memcmp(ports[1]->last, bytes, 14654), 0);
    CU_ASSERT_EQUAL(ports[1]->last_offload.gso_size, 1460);
    CU_ASSERT_EQUAL(ports[4]->sent, 1);
    CU_ASSERT_EQUAL(ports[4]->last_size, 14658);
    CU_ASSERT_EQUAL(ports[4]->last_offload.csum_start, 38);
    CU_ASSERT_EQUAL(ports[4]->last_offload.hdr_len, 58);
    CU_ASSERT_EQUAL(eth_get16(ports[4]->last + 54), eth_get16(bytes + 50));
    CU_ASSERT_EQUAL(ports[2]->sent, 10);
    CU_ASSERT_EQUAL(ports[3]->sent, 10);
    CU_ASSERT_EQUAL(ports[3]->last_size, 1518);
    CU_ASSERT_EQUAL(checked_segments, 20);
    CU_ASSERT_EQUAL(ports[2]->port.counters.out_segments, 10);

    /* A single frame with its checksum to complete. */
    struct frame_offload csum = {.flags = FRAME_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};
    build_tcp(100);
    fake_port_put(ports[0], bytes, 154, &csum, 1);
    port_readable(&ports[0]->port);
    CU_ASSERT_EQUAL(checked_segments, 22);
    CU_ASSERT_EQUAL(ports[2]->port.counters.out_checksums, 1);
    CU_ASSERT_EQUAL(ports[1]->last_size, 154);

    /* Lies are dropped at the door. */
    super.csum_start = 33;
    build_tcp(14600);
    fake_port_put(ports[0], bytes, 14654, &super, 1);
    port_readable(&ports[0]->port);
    CU_ASSERT_EQUAL(ports[0]->port.counters.drops[DROP_BAD_OFFLOAD], 1);
    CU_ASSERT_EQUAL(ports[1]->sent, 2);
    /* Segments too large for the port they came from, or go to. */
    super.csum_start = 34;
    super.gso_size = 1461;
    fake_port_put(ports[0], bytes, 14654, &super, 1);
    port_readable(&ports[0]->port);
    CU_ASSERT_EQUAL(ports[0]->port.counters.drops[DROP_OVERSIZE], 1);
}

/* ---- slow ports and fair turns ---- */

static void test_stalled_port(void)
{
    for (unsigned i = 0; i < 4; i++)
        add(i, false, NULL);
    for (unsigned i = 1; i < 4; i++)
        inject(i, BROADCAST, MAC(i), 60, 1);
    unsigned before = ports[2]->sent;
    ports[1]->room = 0;
    for (unsigned i = 0; i < 100; i++) {
        inject(0, MAC(1), MAC(10), 1514, 50);
        inject(0, MAC(2), MAC(10), 1514, 50);
    }
    CU_ASSERT_EQUAL(ports[2]->sent - before, 5000); /* every frame */
    uint64_t waiting = port_queued(&ports[1]->port);
    CU_ASSERT_TRUE(waiting > 0);
    CU_ASSERT_EQUAL(ports[1]->port.counters.drops[DROP_QUEUE_FULL], 5000 - waiting);
    unsigned sent = ports[1]->sent;
    ports[1]->room = UINT32_MAX;
    port_writable(&ports[1]->port);
    CU_ASSERT_EQUAL(ports[1]->sent, sent + waiting);
}

static unsigned turns[2];
static unsigned longest_run;

static void watch_turns(struct fake_port *fake, const struct frame *frame)
{
    unsigned who = frame->data[11] == 1;
    (void)fake;
    turns[who]++;
    turns[!who] = 0;
    if (turns[who] > longest_run)
        longest_run = turns[who];
}

static void test_fair_turns(void)
{
    for (unsigned i = 0; i < 3; i++)
        add(i, false, NULL);
    ports[2]->on_send = watch_turns;
    inject(2, BROADCAST, MAC(9), 60, 1);
    longest_run = 0;
    for (unsigned i = 0; i < 2; i++) {
        ports[i]->more = true;
        inject(i, MAC(9), MAC(i), 60, 6400);
    }
    /* Further announcements give no second turn. */
    port_readable(&ports[0]->port);
    CU_ASSERT_EQUAL(ports[0]->receive_calls, 1);
    for (unsigned i = 0; i < 120; i++)
        event_loop_once(loop, false);
    CU_ASSERT_EQUAL(ports[2]->sent, 12800);
    CU_ASSERT_EQUAL(longest_run, PORT_BATCH);
}

/* ---- captures, events, management ---- */

static unsigned captured[2], capture_ends;
static uint32_t captured_size;

static void capture(void *context, const struct frame *frame, bool out, uint64_t now)
{
    CU_ASSERT_PTR_EQUAL(context, captured);
    CU_ASSERT_TRUE(now > 0);
    if (!frame) {
        capture_ends++;
        return;
    }
    captured[out]++;
    captured_size = frame->size;
}

static void test_capture(void)
{
    add(0, false, NULL);
    add_trunk(1, false);
    memset(captured, 0, sizeof(captured));
    capture_ends = 0;
    CU_ASSERT_EQUAL(datapath_set_capture(dp, "nobody", capture, captured), ENOENT);
    CU_ASSERT_EQUAL(datapath_set_capture(dp, "p1", capture, captured), 0);
    CU_ASSERT_EQUAL(datapath_set_capture(dp, "p1", capture, captured), EBUSY);
    inject(0, BROADCAST, MAC(1), 100, 3);
    CU_ASSERT_EQUAL(captured[1], 3);
    CU_ASSERT_EQUAL(captured_size, 104); /* as it leaves */
    inject(1, BROADCAST, MAC(2), 90, 2); /* untagged on a trunk: dropped, yet seen */
    CU_ASSERT_EQUAL(captured[0], 2);
    CU_ASSERT_EQUAL(captured_size, 90);
    CU_ASSERT_EQUAL(datapath_set_capture(dp, "p1", NULL, NULL), 0);
    inject(0, BROADCAST, MAC(1), 100, 3);
    CU_ASSERT_EQUAL(captured[1], 3);
    CU_ASSERT_EQUAL(capture_ends, 0);
    datapath_set_capture(dp, "p0", capture, captured);
    CU_ASSERT_EQUAL(datapath_remove_port(dp, "p0"), 0);
    CU_ASSERT_EQUAL(capture_ends, 1);
}

static unsigned events[DATAPATH_FDB_LIMIT + 1];
static char last_port[PORT_NAME_SIZE];

static void note_event(void *context, const struct datapath_event *event)
{
    (void)context;
    events[event->type]++;
    strcpy(last_port, event->port);
}

static void test_events(void)
{
    struct switch_port_config config;
    switch_port_config_init(&config);
    config.max_macs = 2;
    memset(events, 0, sizeof(events));
    datapath_set_listener(dp, note_event, NULL);
    add(0, false, &config);
    add(1, false, NULL);
    CU_ASSERT_EQUAL(events[DATAPATH_PORT_ADDED], 2);
    CU_ASSERT_EQUAL(events[DATAPATH_PORT_UP], 2);
    inject(0, BROADCAST, MAC(1), 60, 5);
    inject(1, BROADCAST, MAC(1), 60, 5);
    CU_ASSERT_EQUAL(events[DATAPATH_FDB_LEARNED], 1);
    CU_ASSERT_EQUAL(events[DATAPATH_FDB_MOVED], 1);
    CU_ASSERT_STRING_EQUAL(last_port, "p1");
    for (unsigned i = 10; i < 40; i++)
        inject(0, BROADCAST, MAC(i), 60, 1);
    CU_ASSERT_EQUAL(events[DATAPATH_FDB_LEARNED], 3);
    CU_ASSERT_EQUAL(events[DATAPATH_FDB_LIMIT], 1); /* told once, not 28 times */
    port_link_changed(&ports[1]->port, false);
    CU_ASSERT_EQUAL(events[DATAPATH_PORT_DOWN], 1);
    CU_ASSERT_EQUAL(datapath_fdb_count(dp), 2);
    inject(0, MAC(1), MAC(39), 60, 1);
    CU_ASSERT_EQUAL(ports[0]->port.counters.drops[DROP_NO_DESTINATION], 1);
    config.mtu = 4000;
    CU_ASSERT_EQUAL(datapath_set_port(dp, "p1", &config), 0);
    CU_ASSERT_EQUAL(ports[1]->mtu, 4000);
    CU_ASSERT_EQUAL(events[DATAPATH_PORT_CHANGED], 1);
    bool destroyed = false;
    ports[1]->destroyed = &destroyed;
    CU_ASSERT_EQUAL(datapath_remove_port(dp, "p1"), 0);
    CU_ASSERT_EQUAL(events[DATAPATH_PORT_REMOVED], 1);
    CU_ASSERT_TRUE(destroyed);
}

static bool note_entry(void *context, const struct datapath_fdb_entry *entry)
{
    *(struct datapath_fdb_entry *)context = *entry;
    return true;
}

static void test_management(void)
{
    struct switch_port_config config;
    struct datapath_port_info info;
    uint32_t count;
    add(0, false, NULL);
    add(1, false, NULL);
    switch_port_config_init(&config);
    struct fake_port *twin = fake_port_create("p1", false);
    CU_ASSERT_EQUAL(datapath_add_port(dp, &twin->port, &config), EEXIST);
    port_destroy(&twin->port);
    config.vlan.pvid = 0;
    struct fake_port *other = fake_port_create("other", false);
    CU_ASSERT_EQUAL(datapath_add_port(dp, &other->port, &config), EINVAL);
    port_destroy(&other->port);
    CU_ASSERT_EQUAL(datapath_set_port(dp, "p1", &config), EINVAL);
    CU_ASSERT_EQUAL(datapath_set_port(dp, "nobody", &config), ENOENT);
    CU_ASSERT_EQUAL(datapath_remove_port(dp, "nobody"), ENOENT);
    CU_ASSERT_FALSE(datapath_get_port(dp, "nobody", &info));
    CU_ASSERT_TRUE(datapath_get_port(dp, "p1", &info));
    CU_ASSERT_STRING_EQUAL(info.type, "fake");
    CU_ASSERT_STRING_EQUAL(info.description, "fake");
    CU_ASSERT_EQUAL(info.config->vlan.pvid, 1);
    CU_ASSERT_PTR_EQUAL(datapath_find_port(dp, "p1"), &ports[1]->port);
    CU_ASSERT_EQUAL(datapath_port_count(dp), 2);

    CU_ASSERT_EQUAL(datapath_fdb_add(dp, MAC(7), 1, "nobody"), ENOENT);
    CU_ASSERT_EQUAL(datapath_fdb_add(dp, MAC(7), 0, "p1"), EINVAL);
    CU_ASSERT_EQUAL(datapath_fdb_add(dp, MAC(7), 4095, "p1"), EINVAL);
    CU_ASSERT_EQUAL(datapath_fdb_add(dp, MAC(7), 1, "p1"), 0);
    CU_ASSERT_EQUAL(datapath_fdb_add(dp, MAC(7), 1, "p0"), EEXIST);
    struct datapath_fdb_entry entry = {0};
    datapath_fdb_each(dp, note_entry, &entry);
    CU_ASSERT_EQUAL(entry.mac, MAC(7));
    CU_ASSERT_STRING_EQUAL(entry.port, "p1");
    CU_ASSERT_TRUE(entry.is_static);
    CU_ASSERT_EQUAL(datapath_fdb_flush(dp, "nobody", -1, false, NULL), ENOENT);
    CU_ASSERT_EQUAL(datapath_fdb_flush(dp, NULL, -1, false, &count), 0);
    CU_ASSERT_EQUAL(count, 0);
    CU_ASSERT_EQUAL(datapath_fdb_flush(dp, "p1", 1, true, &count), 0);
    CU_ASSERT_EQUAL(count, 1);
    CU_ASSERT_EQUAL(datapath_fdb_delete(dp, MAC(7), 1), ENOENT);
}

static void test_many_ports(void)
{
    struct switch_port_config config;
    char name[16];
    switch_port_config_init(&config);
    for (unsigned i = 0; i < PORT_SET_MAX; i++) {
        snprintf(name, sizeof(name), "m%u", i);
        CU_ASSERT_EQUAL_FATAL(datapath_add_port(dp, &fake_port_create(name, false)->port, &config), 0);
    }
    struct fake_port *extra = fake_port_create("extra", false);
    CU_ASSERT_EQUAL(datapath_add_port(dp, &extra->port, &config), ENOSPC);
    /* Broadcast from the last one reaches all others. */
    ports[0] = (struct fake_port *)datapath_find_port(dp, "m255");
    inject(0, BROADCAST, MAC(1), 60, 1);
    unsigned reached = 0;
    for (unsigned i = 0; i < PORT_SET_MAX; i++) {
        snprintf(name, sizeof(name), "m%u", i);
        reached += ((struct fake_port *)datapath_find_port(dp, name))->sent;
    }
    CU_ASSERT_EQUAL(reached, 255);
    CU_ASSERT_EQUAL(datapath_remove_port(dp, "m100"), 0);
    CU_ASSERT_EQUAL(datapath_add_port(dp, &extra->port, &config), 0); /* the number is free again */
    CU_ASSERT_EQUAL(extra->port.number, 100);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "unicast", test_unicast },
        { "tags in one flood", test_tags_in_one_flood },
        { "sizes", test_sizes },
        { "offloads", test_offloads },
        { "a stalled port", test_stalled_port },
        { "fair turns", test_fair_turns },
        { "capture", test_capture },
        { "events", test_events },
        { "management", test_management },
        { "256 ports", test_many_ports },
        CU_TEST_INFO_NULL,
    };

    return unit_run_each("datapath", tests, setup, teardown);
}
