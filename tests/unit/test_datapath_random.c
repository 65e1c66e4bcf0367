/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The data path against a switch written down as plainly as possible: random
 * frames, tags, port policies, links and static entries; every frame must leave
 * where, and as, the model says, and each frame that came in is accounted for.
 *
 *   test_datapath_random [SEED [STEPS]]
 */
#include <stdlib.h>
#include <string.h>

#include "tests/fake/fake_port.h"
#include "tests/unit/unit.h"
#include "vswitchd/core/eth_frame.h"
#include "vswitchd/datapath.h"

#define PORTS 6u
#define HOSTS 12u
#define SIZE_MAX_USED 1600u
#define MAC(n) (UINT64_C(0x020000000000) + (n))

static unsigned long seed = 20260101, steps = 60000;
static uint64_t state;

static unsigned pick(unsigned below)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(state >> 33) % below;
}

/* ---- the model: tables searched from end to end ---- */

static struct {
    struct switch_port_config config;
    bool link;
} model_ports[PORTS];

static struct {
    bool used, is_static;
    unsigned vlan, port;
    uint64_t mac;
} model_fdb[4096];
static unsigned fdb_size;

static struct datapath *dp;
static struct fake_port *fakes[PORTS];
static uint8_t expected[PORTS][SIZE_MAX_USED + 8];
static int expected_size[PORTS]; /* -1: nothing */

static int model_find(unsigned vlan, uint64_t mac)
{
    for (unsigned i = 0; i < fdb_size; i++)
        if (model_fdb[i].used && model_fdb[i].vlan == vlan && model_fdb[i].mac == mac)
            return (int)i;
    return -1;
}

static void model_enter(unsigned vlan, uint64_t mac, unsigned port, bool is_static)
{
    int i = model_find(vlan, mac);
    if (i < 0) {
        for (i = 0; model_fdb[i].used; i++) {
        }
        fdb_size = (unsigned)i >= fdb_size ? (unsigned)i + 1 : fdb_size;
    } else if (model_fdb[i].is_static) {
        return;
    }
    model_fdb[i].used = true;
    model_fdb[i].is_static = is_static;
    model_fdb[i].vlan = vlan;
    model_fdb[i].mac = mac;
    model_fdb[i].port = port;
}

static void model_forget(unsigned port)
{
    for (unsigned i = 0; i < fdb_size; i++)
        if (model_fdb[i].port == port && !model_fdb[i].is_static)
            model_fdb[i].used = false;
}

static bool carries(unsigned port, unsigned vlan)
{
    const struct vlan_config *config = &model_ports[port].config.vlan;
    return config->pvid == vlan || (config->mode == VLAN_TRUNK && vlan_set_has(&config->allowed, vlan));
}

static bool sends_tag(unsigned port, unsigned vlan, bool tag_in_tag)
{
    const struct vlan_config *config = &model_ports[port].config.vlan;
    return config->mode == VLAN_TRUNK && (vlan != config->pvid || config->native_tagged || tag_in_tag);
}

static void model_leave(unsigned port, const uint8_t *frame, uint32_t size, bool tagged, unsigned vlan)
{
    uint8_t *out = expected[port];
    unsigned priority = tagged ? eth_get16(frame + 14) & 0xf000 : 0;
    const uint8_t *rest = frame + (tagged ? 16 : 12);
    uint32_t rest_size = size - (tagged ? 16 : 12);
    uint32_t at = 12;
    if (!carries(port, vlan) || !model_ports[port].link || !model_ports[port].config.enabled)
        return;
    if (rest_size - 2 > model_ports[port].config.mtu)
        return;
    memcpy(out, frame, 12);
    if (sends_tag(port, vlan, tagged && eth_get16(rest) == 0x8100)) {
        eth_put16(out + 12, 0x8100);
        eth_put16(out + 14, (uint16_t)(priority | vlan));
        at = 16;
    }
    memcpy(out + at, rest, rest_size);
    expected_size[port] = (int)(at + rest_size);
}

/* The VLAN of a frame, or 0 where it is to be dropped. */
static unsigned model_vlan(unsigned port, const uint8_t *frame, bool tagged)
{
    unsigned id = tagged ? eth_get16(frame + 14) & 0xfff : 0;
    if (id == 0)
        return model_ports[port].config.vlan.pvid;
    if (model_ports[port].config.vlan.mode == VLAN_ACCESS || id == 4095)
        return 0;
    return carries(port, id) ? id : 0;
}

static void model_frame(unsigned port, const uint8_t *frame, uint32_t size)
{
    const struct switch_port_config *config = &model_ports[port].config;
    bool tagged = size >= 14 && eth_get16(frame + 12) == 0x8100;
    for (unsigned i = 0; i < PORTS; i++)
        expected_size[i] = -1;
    if (size < (tagged ? 18 : 14) || size > config->mtu + (tagged ? 18 : 14) || !config->enabled)
        return;
    uint64_t destination = eth_mac_number(frame), source = eth_mac_number(frame + 6);
    bool group = frame[0] & 1;
    if (frame[6] & 1 || source == 0 || destination >> 4 == UINT64_C(0x0180c200000))
        return;
    if (eth_get16(frame + (tagged ? 16 : 12)) == 0x8808)
        return;
    unsigned vlan = model_vlan(port, frame, tagged);
    if (vlan == 0)
        return;
    if (config->learning)
        model_enter(vlan, source, port, false);
    int known = group ? -1 : model_find(vlan, destination);
    for (unsigned i = 0; i < PORTS; i++) {
        bool target = known >= 0 ? model_fdb[known].port == i : group || model_ports[i].config.flood;
        if (target && i != port)
            model_leave(i, frame, size, tagged, vlan);
    }
}

/* ---- random actions ---- */

static const char *name_of(unsigned port)
{
    static const char *const names[PORTS] = {"p0", "p1", "p2", "p3", "p4", "p5"};
    return names[port];
}

static void change_port(unsigned port)
{
    struct switch_port_config config;
    switch_port_config_init(&config);
    config.mtu = pick(3) ? 1500 : 1000;
    config.enabled = pick(8) != 0;
    config.learning = pick(6) != 0;
    config.flood = pick(4) != 0;
    config.vlan.pvid = (uint16_t)(1 + pick(4));
    if (pick(2)) {
        config.vlan.mode = VLAN_TRUNK;
        config.vlan.native_tagged = pick(2);
        for (unsigned vlan = 1; vlan <= 5; vlan++)
            if (pick(2))
                vlan_set_add(&config.vlan.allowed, vlan);
        if (pick(3) == 0 && !vlan_set_empty(&config.vlan.allowed)) {
            config.vlan.pvid = 0;
            config.vlan.native_tagged = false;
        }
    }
    CU_ASSERT_EQUAL(datapath_set_port(dp, name_of(port), &config), 0);
    bool same = memcmp(&config.vlan, &model_ports[port].config.vlan, sizeof(config.vlan)) == 0;
    if (!same || !config.enabled || !config.learning)
        model_forget(port);
    model_ports[port].config = config;
}

static void change_link(unsigned port)
{
    bool up = !model_ports[port].link;
    port_link_changed(&fakes[port]->port, up);
    model_ports[port].link = up;
    if (!up)
        model_forget(port);
}

static void change_static(unsigned port)
{
    unsigned vlan = 1 + pick(5);
    uint64_t mac = MAC(pick(HOSTS));
    int i = model_find(vlan, mac);
    if (i >= 0 && model_fdb[i].is_static) {
        CU_ASSERT_EQUAL(datapath_fdb_delete(dp, mac, vlan), 0);
        model_fdb[i].used = false;
    } else {
        CU_ASSERT_EQUAL(datapath_fdb_add(dp, mac, vlan, name_of(port)), 0);
        model_enter(vlan, mac, port, true);
    }
}

static uint32_t make_frame(uint8_t *frame)
{
    static const uint32_t sizes[] = {0, 13, 14, 17, 18, 60, 1013, 1014, 1015, 1018, 1019, 1513, 1514, 1515, 1518, 1519};
    uint32_t size = pick(3) ? 14 + pick(1500) : sizes[pick(sizeof(sizes) / sizeof(sizes[0]))];
    for (uint32_t i = 0; i < size; i++)
        frame[i] = (uint8_t)(i * 37 + size);
    uint64_t destination = pick(6) ? MAC(pick(HOSTS)) : pick(4) ? UINT64_C(0xffffffffffff) : UINT64_C(0x0180c2000000) + pick(18);
    eth_mac_bytes(destination, frame);
    eth_mac_bytes(pick(40) ? MAC(pick(HOSTS)) : pick(2) ? 0 : UINT64_C(0x030000000000), frame + 6);
    eth_put16(frame + 12, pick(3) ? 0x88b5 : pick(20) ? 0x8100 : 0x8808);
    eth_put16(frame + 14, (uint16_t)(pick(16) << 12 | (pick(20) ? pick(6) : 4095)));
    if (pick(4) == 0)
        eth_put16(frame + 16, pick(20) ? 0x8100 : 0x8808); /* perhaps behind a tag */
    return size;
}

static uint64_t drops_of(const struct port_counters *counters, enum drop_reason first, enum drop_reason last)
{
    uint64_t sum = 0;
    for (unsigned i = first; i <= (unsigned)last; i++)
        sum += counters->drops[i];
    return sum;
}

static bool send_frame(unsigned port)
{
    uint8_t frame[SIZE_MAX_USED + 64];
    unsigned sent_before[PORTS], sent = 0;
    uint32_t size = make_frame(frame);
    uint64_t before = drops_of(&fakes[port]->port.counters, DROP_NONE, DROP_NO_DESTINATION);
    uint64_t egress_before = 0, egress = 0;
    bool right = true;
    for (unsigned i = 0; i < PORTS; i++) {
        sent_before[i] = fakes[i]->sent;
        egress_before += drops_of(&fakes[i]->port.counters, DROP_MTU, DROP_SEND_ERROR);
    }
    model_frame(port, frame, size);
    fake_port_put(fakes[port], frame, size, NULL, 1);
    port_readable(&fakes[port]->port);
    for (unsigned i = 0; i < PORTS; i++) {
        bool left = fakes[i]->sent != sent_before[i];
        sent += left;
        egress += drops_of(&fakes[i]->port.counters, DROP_MTU, DROP_SEND_ERROR);
        right &= left == (expected_size[i] >= 0);
        if (left && right)
            right = fakes[i]->last_size == (uint32_t)expected_size[i] &&
                    memcmp(fakes[i]->last, expected[i], fakes[i]->last_size) == 0;
    }
    /* Sent somewhere, or dropped for a reason that is counted at one end. */
    uint64_t dropped = drops_of(&fakes[port]->port.counters, DROP_NONE, DROP_NO_DESTINATION) - before;
    return right && (sent + (egress - egress_before) > 0) == (dropped == 0) && dropped <= 1;
}

static void test_random(void)
{
    struct switch_config config;
    switch_config_init(&config);
    config.fdb_ageing = 0;
    struct event_loop *loop = event_loop_create();
    dp = datapath_create(loop, &config);
    state = seed;
    for (unsigned i = 0; i < PORTS; i++) {
        switch_port_config_init(&model_ports[i].config);
        model_ports[i].link = true;
        fakes[i] = fake_port_create(name_of(i), true);
        CU_ASSERT_EQUAL_FATAL(datapath_add_port(dp, &fakes[i]->port, &model_ports[i].config), 0);
        change_port(i);
    }
    for (unsigned long step = 0; step < steps; step++) {
        unsigned port = pick(PORTS), what = pick(400);
        if (what < 4)
            change_port(port);
        else if (what < 6)
            change_link(port);
        else if (what < 9)
            change_static(port);
        else if (!send_frame(port)) {
            printf("\n    seed %lu, step %lu, port %u\n", seed, step, port);
            CU_FAIL("the data path and the model differ");
            break;
        }
    }
    unsigned entries = 0;
    for (unsigned i = 0; i < fdb_size; i++)
        entries += model_fdb[i].used;
    CU_ASSERT_EQUAL(datapath_fdb_count(dp), entries);
    datapath_destroy(dp);
    event_loop_destroy(loop);
}

int main(int argc, char **argv)
{
    static const CU_TestInfo tests[] = {
        { "against a model", test_random },
        CU_TEST_INFO_NULL,
    };

    if (argc > 1)
        seed = strtoul(argv[1], NULL, 0);
    if (argc > 2)
        steps = strtoul(argv[2], NULL, 0);
    return unit_run("datapath_random", tests);
}
