/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tests of core/forward and core/switch: the matrix of VLAN policies, tags and
 * what must come out of them; learning, flooding, reserved addresses, link state.
 */
#include <errno.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "vswitchd/core/eth_frame.h"
#include "vswitchd/core/forward.h"

#define SECOND UINT64_C(1000000000)
#define MAC(n) (UINT64_C(0x020000000000) + (n))
#define BROADCAST UINT64_C(0xffffffffffff)
#define NO_TAG -1

static struct eth_switch *sw;
static uint8_t memory[256];
static uint64_t now;

static void setup(void)
{
    struct switch_config config;
    switch_config_init(&config);
    config.fdb_capacity = 1024;
    sw = switch_create(&config);
    now = SECOND;
    CU_ASSERT_PTR_NOT_NULL_FATAL(sw);
}

static void teardown(void)
{
    switch_destroy(sw);
}

static struct switch_port_config port_config(enum vlan_mode mode, unsigned pvid, const char *allowed, bool native_tagged)
{
    struct switch_port_config config;
    switch_port_config_init(&config);
    config.vlan.mode = mode;
    config.vlan.pvid = (uint16_t)pvid;
    config.vlan.native_tagged = native_tagged;
    if (allowed)
        CU_ASSERT_TRUE_FATAL(vlan_set_parse(&config.vlan.allowed, allowed));
    return config;
}

static void add_port(unsigned number, const struct switch_port_config *config)
{
    CU_ASSERT_EQUAL_FATAL(switch_add_port(sw, number, config), 0);
    switch_set_link(sw, number, true);
}

static void add_access(unsigned number, unsigned vlan)
{
    struct switch_port_config config = port_config(VLAN_ACCESS, vlan, NULL, false);
    add_port(number, &config);
}

static struct frame make_frame(uint64_t destination, uint64_t source, int tci)
{
    struct frame frame = {.data = memory + FRAME_HEADROOM, .size = 60};
    memset(frame.data, 0, 60);
    eth_mac_bytes(destination, frame.data);
    eth_mac_bytes(source, frame.data + 6);
    if (tci != NO_TAG) {
        eth_put16(frame.data + 12, ETH_TYPE_VLAN);
        eth_put16(frame.data + 14, (uint16_t)tci);
    }
    return frame;
}

static struct forward_decision forward(unsigned port, uint64_t destination, uint64_t source, int tci)
{
    struct forward_decision decision;
    struct frame frame = make_frame(destination, source, tci);
    memset(&decision, 0xa5, sizeof(decision));
    forward_frame(sw, port, &frame, now, &decision);
    return decision;
}

/* ---- VLANs ---- */

#define ACCESS(v) VLAN_ACCESS, v, NULL, false
#define TRUNK(list) VLAN_TRUNK, 0, list, false
#define NATIVE(v, list) VLAN_TRUNK, v, list, false
#define NATIVE_TAGGED(v, list) VLAN_TRUNK, v, list, true
#define NOWHERE -2 /* admitted, but not to this port */

static const struct {
    struct {
        enum vlan_mode mode;
        unsigned pvid;
        const char *allowed;
        bool native_tagged;
    } in, out;
    int tci;
    enum drop_reason drop;
    int out_tci; /* NO_TAG, or the tag it leaves with */
} matrix[] = {
    /* untagged */
    {{ACCESS(10)}, {ACCESS(10)}, NO_TAG, DROP_NONE, NO_TAG},
    {{ACCESS(10)}, {ACCESS(20)}, NO_TAG, DROP_NO_DESTINATION, NOWHERE},
    {{ACCESS(10)}, {TRUNK("10,20")}, NO_TAG, DROP_NONE, 10},
    {{ACCESS(10)}, {TRUNK("20")}, NO_TAG, DROP_NO_DESTINATION, NOWHERE},
    {{ACCESS(10)}, {NATIVE(10, "20")}, NO_TAG, DROP_NONE, NO_TAG},
    {{ACCESS(20)}, {NATIVE(10, "20")}, NO_TAG, DROP_NONE, 20},
    {{ACCESS(10)}, {NATIVE_TAGGED(10, "20")}, NO_TAG, DROP_NONE, 10},
    {{ACCESS(4094)}, {TRUNK("all")}, NO_TAG, DROP_NONE, 4094},
    {{TRUNK("10")}, {ACCESS(10)}, NO_TAG, DROP_VLAN_UNTAGGED, NOWHERE},
    {{NATIVE(10, "20")}, {ACCESS(10)}, NO_TAG, DROP_NONE, NO_TAG},
    {{NATIVE(10, "20")}, {ACCESS(20)}, NO_TAG, DROP_NO_DESTINATION, NOWHERE},
    {{NATIVE(10, "20")}, {TRUNK("10")}, NO_TAG, DROP_NONE, 10},
    {{NATIVE_TAGGED(10, "20")}, {ACCESS(10)}, NO_TAG, DROP_NONE, NO_TAG},
    /* tagged */
    {{ACCESS(10)}, {ACCESS(10)}, 10, DROP_VLAN_TAGGED, NOWHERE},
    {{ACCESS(10)}, {TRUNK("all")}, 20, DROP_VLAN_TAGGED, NOWHERE},
    {{TRUNK("10,20")}, {ACCESS(10)}, 10, DROP_NONE, NO_TAG},
    {{TRUNK("10,20")}, {ACCESS(20)}, 10, DROP_NO_DESTINATION, NOWHERE},
    {{TRUNK("10,20")}, {TRUNK("10")}, 10, DROP_NONE, 10},
    {{TRUNK("10,20")}, {TRUNK("all")}, 30, DROP_VLAN_NOT_ALLOWED, NOWHERE},
    {{TRUNK("all")}, {TRUNK("all")}, 4095, DROP_VLAN_NOT_ALLOWED, NOWHERE},
    {{NATIVE(10, "20")}, {ACCESS(10)}, 10, DROP_NONE, NO_TAG}, /* the native VLAN is welcome tagged, too */
    {{NATIVE(10, "20")}, {NATIVE(20, "10")}, 20, DROP_NONE, NO_TAG},
    {{NATIVE(10, "20")}, {NATIVE(20, "10")}, 10, DROP_NONE, 10},
    {{NATIVE(10, "20")}, {ACCESS(30)}, 30, DROP_VLAN_NOT_ALLOWED, NOWHERE},
    /* priority tags: VLAN ID 0 belongs to the port's VLAN and keeps its priority where a tag stays */
    {{ACCESS(10)}, {ACCESS(10)}, 0xa000, DROP_NONE, NO_TAG},
    {{ACCESS(10)}, {TRUNK("10")}, 0xa000, DROP_NONE, 0xa00a},
    {{ACCESS(10)}, {TRUNK("10")}, 0x1000, DROP_NONE, 0x100a},
    {{TRUNK("10")}, {TRUNK("10")}, 0xa000, DROP_VLAN_UNTAGGED, NOWHERE},
    {{NATIVE(10, "20")}, {TRUNK("10")}, 0xf000, DROP_NONE, 0xf00a},
    {{TRUNK("20")}, {TRUNK("20")}, 0xe014, DROP_NONE, 0xe014},
    {{TRUNK("20")}, {ACCESS(20)}, 0xe014, DROP_NONE, NO_TAG},
};

static void check_row(unsigned row, uint64_t destination)
{
    struct forward_decision d = forward(0, destination, MAC(1), matrix[row].tci);
    bool untagged = d.out_port == 1 ? !d.out_tagged : d.out_port < 0 && port_set_has(&d.out_untagged, 1);
    bool tagged = d.out_port == 1 ? d.out_tagged : d.out_port < 0 && port_set_has(&d.out_with_tag, 1);
    CU_ASSERT_EQUAL(d.drop, matrix[row].drop);
    if (d.drop != matrix[row].drop)
        printf("\n    matrix row %u: %s\n", row, drop_reason_name(d.drop));
    if (d.drop != DROP_NONE)
        return;
    CU_ASSERT_EQUAL(d.tagged, matrix[row].tci != NO_TAG);
    CU_ASSERT_EQUAL(untagged, matrix[row].out_tci == NO_TAG);
    CU_ASSERT_EQUAL(tagged, matrix[row].out_tci >= 0);
    if (tagged)
        CU_ASSERT_EQUAL(d.tci, matrix[row].out_tci);
}

static void test_matrix(void)
{
    for (unsigned row = 0; row < sizeof(matrix) / sizeof(matrix[0]); row++) {
        struct switch_port_config in =
            port_config(matrix[row].in.mode, matrix[row].in.pvid, matrix[row].in.allowed, matrix[row].in.native_tagged);
        struct switch_port_config out = port_config(matrix[row].out.mode, matrix[row].out.pvid, matrix[row].out.allowed,
                                                    matrix[row].out.native_tagged);
        teardown();
        setup();
        add_port(0, &in);
        add_port(1, &out);
        check_row(row, BROADCAST);
        check_row(row, MAC(2)); /* unknown: flooded the same way */
        for (unsigned vlan = 10; vlan <= 30; vlan += 10)
            fdb_learn(switch_fdb(sw), vlan, MAC(2), 1, now);
        fdb_learn(switch_fdb(sw), 4094, MAC(2), 1, now);
        check_row(row, MAC(2)); /* known */
    }
}

static void test_inner_tags(void)
{
    struct switch_port_config trunk = port_config(TRUNK("10"));
    add_port(0, &trunk);
    add_access(1, 10);
    struct forward_decision decision;
    struct frame frame = make_frame(BROADCAST, MAC(1), 10);
    eth_put16(frame.data + 16, ETH_TYPE_VLAN); /* an inner tag of VLAN 20 */
    eth_put16(frame.data + 18, 20);
    forward_frame(sw, 0, &frame, now, &decision);
    CU_ASSERT_EQUAL(decision.drop, DROP_NONE);
    CU_ASSERT_EQUAL(decision.vlan, 10);
    /* 802.1ad from an access port: payload like any other. */
    frame = make_frame(BROADCAST, MAC(1), NO_TAG);
    eth_put16(frame.data + 12, ETH_TYPE_QINQ);
    eth_put16(frame.data + 14, 20);
    forward_frame(sw, 1, &frame, now, &decision);
    CU_ASSERT_EQUAL(decision.drop, DROP_NONE);
    CU_ASSERT_EQUAL(decision.vlan, 10);
    CU_ASSERT_FALSE(decision.tagged);
}

/* Behind a tag that goes the inner one would be in front: a trunk's other end would take it for the VLAN. */
static void test_hopping(void)
{
    struct switch_port_config native = port_config(NATIVE(10, "20")), tagged = port_config(NATIVE_TAGGED(10, "20"));
    struct forward_decision d;
    struct frame frame = make_frame(MAC(2), MAC(1), 0xe000); /* a priority tag, which belongs to the port's VLAN */
    add_access(0, 10);
    add_port(1, &native);
    add_access(2, 10);
    add_port(3, &tagged);
    eth_put16(frame.data + 16, ETH_TYPE_VLAN);
    eth_put16(frame.data + 18, 20);
    forward_frame(sw, 0, &frame, now, &d);
    CU_ASSERT_EQUAL(d.drop, DROP_NONE);
    CU_ASSERT_EQUAL(d.out_untagged.words[0], 1u << 2);
    CU_ASSERT_EQUAL(d.out_with_tag.words[0], 1u << 1 | 1u << 3);
    CU_ASSERT_EQUAL(d.tci, 0xe00a);
    fdb_learn(switch_fdb(sw), 10, MAC(2), 1, now);
    forward_frame(sw, 0, &frame, now, &d);
    CU_ASSERT_EQUAL(d.out_port, 1);
    CU_ASSERT_TRUE(d.out_tagged);
    fdb_learn(switch_fdb(sw), 10, MAC(2), 2, now);
    forward_frame(sw, 0, &frame, now, &d);
    CU_ASSERT_EQUAL(d.out_port, 2);
    CU_ASSERT_FALSE(d.out_tagged);
    /* A port that is no trunk any more is none. */
    struct switch_port_config access = port_config(ACCESS(10));
    CU_ASSERT_EQUAL(switch_set_port(sw, 1, &access), 0);
    fdb_learn(switch_fdb(sw), 10, MAC(2), 1, now);
    forward_frame(sw, 0, &frame, now, &d);
    CU_ASSERT_EQUAL(d.out_port, 1);
    CU_ASSERT_FALSE(d.out_tagged);
}

/* ---- learning and flooding ---- */

static void test_learning(void)
{
    for (unsigned i = 0; i < 4; i++)
        add_access(i, 1);
    struct forward_decision d = forward(0, MAC(2), MAC(1), NO_TAG);
    CU_ASSERT_EQUAL(d.learned, FDB_NEW);
    CU_ASSERT_TRUE(d.flooded);
    CU_ASSERT_EQUAL(d.out_untagged.words[0], 0xe);
    CU_ASSERT_EQUAL(d.out_port, -1);
    d = forward(1, MAC(1), MAC(2), NO_TAG);
    CU_ASSERT_FALSE(d.flooded);
    CU_ASSERT_EQUAL(d.out_port, 0);
    d = forward(0, MAC(2), MAC(1), NO_TAG);
    CU_ASSERT_EQUAL(d.learned, FDB_KNOWN);
    CU_ASSERT_EQUAL(d.out_port, 1);
    /* The station moves; traffic for it where it came from stays there. */
    d = forward(2, BROADCAST, MAC(2), NO_TAG);
    CU_ASSERT_EQUAL(d.learned, FDB_MOVED);
    CU_ASSERT_TRUE(d.to_group);
    CU_ASSERT_EQUAL(forward(0, MAC(2), MAC(1), NO_TAG).out_port, 2);
    CU_ASSERT_EQUAL(forward(2, MAC(2), MAC(3), NO_TAG).drop, DROP_SAME_PORT);
    /* Ages away after 300 s. */
    now += 301 * SECOND;
    CU_ASSERT_TRUE(forward(0, MAC(2), MAC(1), NO_TAG).flooded);
    d = forward(3, BROADCAST, MAC(9), NO_TAG);
    CU_ASSERT_FALSE(port_set_has(&d.out_untagged, 3)); /* never to where it came from */
}

static void test_alone(void)
{
    add_access(0, 1);
    CU_ASSERT_EQUAL(forward(0, BROADCAST, MAC(1), NO_TAG).drop, DROP_NO_DESTINATION);
    CU_ASSERT_EQUAL(fdb_count(switch_fdb(sw)), 1); /* learned nevertheless */
}

static void test_bad_sources(void)
{
    add_access(0, 1);
    add_access(1, 1);
    CU_ASSERT_EQUAL(forward(0, MAC(2), BROADCAST, NO_TAG).drop, DROP_BAD_SOURCE);
    CU_ASSERT_EQUAL(forward(0, MAC(2), UINT64_C(0x010000000001), NO_TAG).drop, DROP_BAD_SOURCE);
    CU_ASSERT_EQUAL(forward(0, MAC(2), 0, NO_TAG).drop, DROP_BAD_SOURCE);
    CU_ASSERT_EQUAL(fdb_count(switch_fdb(sw)), 0);
    struct forward_decision decision;
    struct frame frame = make_frame(MAC(2), MAC(1), 10);
    for (frame.size = 0; frame.size < 18; frame.size++) { /* announces a tag that is not there */
        forward_frame(sw, 0, &frame, now, &decision);
        CU_ASSERT_EQUAL(decision.drop, DROP_RUNT);
    }
}

static void test_reserved(void)
{
    add_access(0, 1);
    add_access(1, 1);
    for (unsigned x = 0; x < 16; x++)
        CU_ASSERT_EQUAL(forward(0, UINT64_C(0x0180c2000000) + x, MAC(1), NO_TAG).drop, DROP_RESERVED);
    CU_ASSERT_EQUAL(fdb_count(switch_fdb(sw)), 0);
    CU_ASSERT_EQUAL(forward(0, UINT64_C(0x0180c2000010), MAC(1), NO_TAG).drop, DROP_NONE);
    CU_ASSERT_EQUAL(forward(0, UINT64_C(0x01000ccccccc), MAC(1), NO_TAG).drop, DROP_NONE);
    struct switch_config config = *switch_get_config(sw);
    config.forward_reserved = 1u << 14; /* LLDP, for all */
    switch_set_config(sw, &config);
    struct switch_port_config port = *switch_get_port(sw, 0);
    port.forward_reserved = 1u << 2; /* LACP, from port 0 */
    CU_ASSERT_EQUAL(switch_set_port(sw, 0, &port), 0);
    CU_ASSERT_TRUE(forward(0, UINT64_C(0x0180c200000e), MAC(1), NO_TAG).flooded);
    CU_ASSERT_TRUE(forward(0, UINT64_C(0x0180c2000002), MAC(1), NO_TAG).flooded);
    CU_ASSERT_EQUAL(forward(1, UINT64_C(0x0180c2000002), MAC(2), NO_TAG).drop, DROP_RESERVED);
    CU_ASSERT_EQUAL(forward(0, UINT64_C(0x0180c2000000), MAC(1), NO_TAG).drop, DROP_RESERVED);
}

/* MAC control frames are for the other end of the link, whatever address or tag they wear. */
static void test_mac_control(void)
{
    struct switch_port_config port;
    struct forward_decision d;
    struct frame frame = make_frame(MAC(2), MAC(1), NO_TAG);
    add_access(0, 1);
    add_access(1, 1);
    eth_put16(frame.data + 12, ETH_TYPE_MAC_CONTROL);
    forward_frame(sw, 0, &frame, now, &d);
    CU_ASSERT_EQUAL(d.drop, DROP_RESERVED);
    eth_mac_bytes(UINT64_C(0x0180c200000e), frame.data); /* not LLDP for that */
    port = *switch_get_port(sw, 0);
    port.forward_reserved = 1u << 14;
    CU_ASSERT_EQUAL(switch_set_port(sw, 0, &port), 0);
    forward_frame(sw, 0, &frame, now, &d);
    CU_ASSERT_EQUAL(d.drop, DROP_RESERVED);
    frame = make_frame(MAC(2), MAC(1), 0xa000);
    eth_put16(frame.data + 16, ETH_TYPE_MAC_CONTROL);
    forward_frame(sw, 0, &frame, now, &d);
    CU_ASSERT_EQUAL(d.drop, DROP_RESERVED);
    CU_ASSERT_EQUAL(fdb_count(switch_fdb(sw)), 0);
    port.forward_reserved = 1u << 1;
    CU_ASSERT_EQUAL(switch_set_port(sw, 0, &port), 0);
    forward_frame(sw, 0, &frame, now, &d);
    CU_ASSERT_EQUAL(d.drop, DROP_NONE);
}

static void test_port_options(void)
{
    for (unsigned i = 0; i < 3; i++)
        add_access(i, 1);
    struct switch_port_config config = *switch_get_port(sw, 1);
    config.flood = false;
    config.learning = false;
    CU_ASSERT_EQUAL(switch_set_port(sw, 1, &config), 0);
    CU_ASSERT_EQUAL(forward(0, MAC(9), MAC(1), NO_TAG).out_untagged.words[0], 4);  /* no unknown unicast */
    CU_ASSERT_EQUAL(forward(0, BROADCAST, MAC(1), NO_TAG).out_untagged.words[0], 6); /* but broadcasts */
    CU_ASSERT_EQUAL(forward(1, BROADCAST, MAC(2), NO_TAG).drop, DROP_NONE);
    CU_ASSERT_EQUAL(fdb_lookup(switch_fdb(sw), 1, MAC(2), now), -1);
    config.enabled = false;
    CU_ASSERT_EQUAL(switch_set_port(sw, 1, &config), 0);
    CU_ASSERT_EQUAL(forward(1, BROADCAST, MAC(2), NO_TAG).drop, DROP_PORT_DISABLED);
    CU_ASSERT_EQUAL(forward(0, BROADCAST, MAC(1), NO_TAG).out_untagged.words[0], 4);
}

static void test_link_and_removal(void)
{
    for (unsigned i = 0; i < 3; i++)
        add_access(i, 1);
    forward(1, BROADCAST, MAC(2), NO_TAG);
    fdb_add_static(switch_fdb(sw), 1, MAC(3), 1);
    switch_set_link(sw, 1, false);
    struct forward_decision d = forward(0, MAC(2), MAC(1), NO_TAG);
    CU_ASSERT_TRUE(d.flooded); /* forgotten, and the port itself is out */
    CU_ASSERT_EQUAL(d.out_untagged.words[0], 4);
    CU_ASSERT_EQUAL(forward(0, MAC(3), MAC(1), NO_TAG).drop, DROP_NO_DESTINATION);
    switch_set_link(sw, 1, true);
    CU_ASSERT_EQUAL(forward(0, MAC(3), MAC(1), NO_TAG).out_port, 1);
    switch_remove_port(sw, 1);
    switch_remove_port(sw, 1);
    CU_ASSERT_EQUAL(fdb_lookup(switch_fdb(sw), 1, MAC(3), now), -1);
    CU_ASSERT_PTR_NULL(switch_get_port(sw, 1));
    CU_ASSERT_PTR_NULL(switch_get_port(sw, PORT_SET_MAX));
    /* Moving a port to another VLAN makes its addresses unknown in the old one. */
    forward(2, BROADCAST, MAC(4), NO_TAG);
    struct switch_port_config config = *switch_get_port(sw, 2);
    config.vlan.pvid = 5;
    CU_ASSERT_EQUAL(switch_set_port(sw, 2, &config), 0);
    CU_ASSERT_EQUAL(fdb_lookup(switch_fdb(sw), 1, MAC(4), now), -1);
    CU_ASSERT_EQUAL(forward(0, BROADCAST, MAC(1), NO_TAG).drop, DROP_NO_DESTINATION);
}

static void test_errors(void)
{
    struct switch_port_config config = port_config(ACCESS(1));
    CU_ASSERT_EQUAL(switch_add_port(sw, PORT_SET_MAX, &config), EINVAL);
    CU_ASSERT_EQUAL(switch_add_port(sw, PORT_SET_MAX - 1, &config), 0);
    CU_ASSERT_EQUAL(switch_add_port(sw, PORT_SET_MAX - 1, &config), EEXIST);
    CU_ASSERT_EQUAL(switch_set_port(sw, 7, &config), ENOENT);
    config.vlan.pvid = 0;
    CU_ASSERT_EQUAL(switch_add_port(sw, 0, &config), EINVAL);
    CU_ASSERT_EQUAL(switch_set_port(sw, PORT_SET_MAX - 1, &config), EINVAL);
    CU_ASSERT_EQUAL(switch_get_port(sw, PORT_SET_MAX - 1)->vlan.pvid, 1); /* as it was */
    config = port_config(ACCESS(1));
    config.mtu = 67;
    CU_ASSERT_PTR_NOT_NULL(switch_port_config_check(&config));
    config.mtu = SWITCH_MTU_MAX + 1;
    CU_ASSERT_PTR_NOT_NULL(switch_port_config_check(&config));
    for (unsigned i = 0; i < DROP_REASON_COUNT; i++) {
        CU_ASSERT_PTR_NOT_NULL_FATAL(drop_reason_name((enum drop_reason)i));
        for (unsigned k = 0; k < i; k++)
            CU_ASSERT_STRING_NOT_EQUAL(drop_reason_name((enum drop_reason)i), drop_reason_name((enum drop_reason)k));
    }
}

static void test_deterministic(void)
{
    /* Two switches given the same frames decide the same, and only the MAC table differs from a fresh one. */
    uint64_t sums[2] = {0, 0};
    for (unsigned run = 0; run < 2; run++) {
        teardown();
        setup();
        for (unsigned i = 0; i < 8; i++)
            add_access(i, 1 + i % 2);
        unsigned seed = 5;
        for (unsigned i = 0; i < 2000; i++) {
            seed = seed * 1103515245u + 12345u;
            now += SECOND / 4;
            struct forward_decision d =
                forward((seed >> 8) % 8, MAC((seed >> 12) % 20), MAC((seed >> 18) % 20), NO_TAG);
            sums[run] = sums[run] * 31 + (uint64_t)d.drop * 7 + (uint64_t)d.learned * 3 + (uint64_t)(d.out_port + 1);
        }
    }
    CU_ASSERT_EQUAL(sums[0], sums[1]);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "VLAN matrix", test_matrix },
        { "inner tags", test_inner_tags },
        { "inner tags and native VLANs", test_hopping },
        { "learning", test_learning },
        { "alone", test_alone },
        { "bad sources and runts", test_bad_sources },
        { "reserved addresses", test_reserved },
        { "MAC control frames", test_mac_control },
        { "port options", test_port_options },
        { "link and removal", test_link_and_removal },
        { "errors", test_errors },
        { "deterministic", test_deterministic },
        CU_TEST_INFO_NULL,
    };

    return unit_run_each("forward", tests, setup, teardown);
}
