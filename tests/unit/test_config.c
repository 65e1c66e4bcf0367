/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tests of vswitchd/config: what a file may say, what is refused with which
 * line and column, and that what is written is read again the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/json/json_read.h"
#include "tests/unit/unit.h"
#include "vswitchd/config.h"

static struct config config;
static struct config_error error;

static bool parses(const char *text)
{
    if (config_parse(text, strlen(text), "f", &config, &error) != 0) {
        printf("\n    %s", error.text);
        return false;
    }
    return true;
}

/* Refused with a message that starts with the place and holds the words. */
static bool refuses(const char *text, const char *place, const char *words)
{
    if (config_parse(text, strlen(text), "f", &config, &error) == 0) {
        config_free(&config);
        printf("\n    taken: %s", text);
        return false;
    }
    if (strncmp(error.text, place, strlen(place)) != 0 || !strstr(error.text, words)) {
        printf("\n    %s", error.text);
        return false;
    }
    return true;
}

static void test_empty(void)
{
    CU_ASSERT_TRUE_FATAL(parses("{}"));
    CU_ASSERT_EQUAL(config.port_count, 0);
    CU_ASSERT_EQUAL(config.guest_count, 0);
    CU_ASSERT_EQUAL(config.eth_switch.fdb_ageing, FDB_AGEING_DEFAULT);
    CU_ASSERT_STRING_EQUAL(config.group, "vswitch");
    config_free(&config);
}

static const char whole[] =
    "{\n"
    "  \"switch\": {\"ageing_s\": 60, \"fdb_size\": 1024, \"mtu\": 9000, \"forward_reserved\": [\"lldp\", \"stp\"]},\n"
    "  \"control\": {\"group\": \"staff\"},\n"
    "  \"ports\": [\n"
    "    {\"name\": \"tap0\", \"type\": \"tap\", \"addresses\": [\"10.9.0.1/24\", \"fd00::1/64\"], \"interface\": \"vs0\", \"mac\": \"02:00:00:00:00:07\",\n"
    "     \"vlan\": {\"mode\": \"trunk\", \"allowed\": \"10,20-29\", \"native\": 5}},\n"
    "    {\"name\": \"qemu\", \"type\": \"vhost-user\", \"path\": \"/run/q.sock\", \"role\": \"server\", \"unsealed\": true,\n"
    "     \"mtu\": 1500, \"vlan\": {\"access\": 20}, \"flood\": false, \"max_macs\": 4, \"offload\": false}\n"
    "  ],\n"
    "  \"guests\": [{\"name\": \"bob\", \"memory_mib\": 64, \"idle_slack_ms\": 0, \"kernel\": \"/k\", \"initrd\": \"/i\", \"cmdline\": \"quiet\", \"autostart\": true,\n"
    "    \"nics\": [{\"model\": \"e1000\", \"mac\": \"52:54:00:00:00:0A\", \"vlan\": {\"access\": 20}}, {\"model\": \"ne2000\",\n"
    "     \"io\": \"0x320\", \"irq\": 5, \"slot\": 8, \"speed\": 10, \"link\": false}]}]\n"
    "}\n";

static void test_whole(void)
{
    const struct config_port *tap, *vhost;
    const struct config_guest *bob;

    CU_ASSERT_TRUE_FATAL(parses(whole));
    CU_ASSERT_EQUAL(config.eth_switch.fdb_ageing, UINT64_C(60000000000));
    CU_ASSERT_EQUAL(config.eth_switch.forward_reserved, 1 << 14 | 1);
    CU_ASSERT_STRING_EQUAL(config.group, "staff");
    CU_ASSERT_EQUAL_FATAL(config.port_count, 2);
    tap = &config.ports[0];
    vhost = &config.ports[1];
    CU_ASSERT_EQUAL(tap->address_count, 2);
    CU_ASSERT_STRING_EQUAL(tap->addresses[1], "fd00::1/64");
    CU_ASSERT_STRING_EQUAL(tap->interface, "vs0");
    CU_ASSERT_TRUE(tap->has_mac && tap->mac[5] == 7 && !vhost->has_mac);
    CU_ASSERT_EQUAL(tap->policy.mtu, 9000); /* From the switch. */
    CU_ASSERT_EQUAL(tap->policy.vlan.mode, VLAN_TRUNK);
    CU_ASSERT_EQUAL(tap->policy.vlan.pvid, 5);
    CU_ASSERT_TRUE(vlan_set_has(&tap->policy.vlan.allowed, 25) && !vlan_set_has(&tap->policy.vlan.allowed, 30));
    CU_ASSERT_TRUE(vhost->listen && vhost->unsealed && !vhost->offload && !vhost->policy.flood);
    CU_ASSERT_EQUAL(vhost->policy.mtu, 1500);
    CU_ASSERT_EQUAL(vhost->policy.max_macs, 4);
    CU_ASSERT_EQUAL(vhost->policy.vlan.pvid, 20);
    CU_ASSERT_EQUAL_FATAL(config.guest_count, 1);
    bob = &config.guests[0];
    CU_ASSERT_TRUE(bob->autostart && bob->memory_mib == 64 && bob->idle_slack_ms == 0 && bob->nic_count == 2);
    CU_ASSERT_EQUAL(bob->nics[0].mac[5], 0x0a);
    CU_ASSERT_STRING_EQUAL(bob->nics[0].port, "bob");
    CU_ASSERT_TRUE(bob->nics[1].isa_port == 0x320 && bob->nics[1].isa_irq == 5 && bob->nics[1].slot == 8 && bob->nics[1].speed == 10);
    CU_ASSERT_TRUE(bob->nics[1].unplugged && !bob->nics[0].unplugged && bob->nics[0].isa_port == 0);
    CU_ASSERT_STRING_EQUAL(bob->nics[1].port, "bob.1");
    CU_ASSERT_TRUE(bob->nics[1].mac[0] == 0x52 && memcmp(bob->nics[0].mac, bob->nics[1].mac, 6) != 0);
    config_free(&config);
}

static void test_there_and_back(void)
{
    struct jv *first, *second;
    char *text;

    CU_ASSERT_TRUE_FATAL(parses(whole));
    first = config_to_json(&config);
    config_free(&config);
    text = jv_print(first, true);
    CU_ASSERT_TRUE_FATAL(parses(text));
    second = config_to_json(&config);
    CU_ASSERT_TRUE(jv_equal(first, second));
    free(text);
    jv_unref(first);
    jv_unref(second);
    config_free(&config);
}

static void test_syntax_errors(void)
{
    CU_ASSERT_TRUE(refuses("", "f:1:1:", "ends"));
    CU_ASSERT_TRUE(refuses("[]", "f:1:1:", "must be an object"));
    CU_ASSERT_TRUE(refuses("{\n \"ports\": [\n {,}\n ]\n}", "f:3:3:", "','"));
    CU_ASSERT_TRUE(refuses("{\n \"ports\": [],\n \"ports\": []\n}", "f:3:2:", "given twice"));
    CU_ASSERT_TRUE(refuses("{\"swich\": {}}", "f:1:2: /swich:", "did you mean \"switch\"?"));
    CU_ASSERT_TRUE(refuses("{\"switch\": {\"ageing\": 1}}", "f:1:13: /switch/ageing:", "did you mean \"ageing_s\"?"));
}

#define TAP(more) "{\"ports\":[\n{\"name\":\"a\",\"type\":\"tap\"" more "}]}"

static void test_port_errors(void)
{
    CU_ASSERT_TRUE(refuses("{\"ports\":[{\"type\":\"tap\"}]}", "f:1:11: /ports/0:", "\"name\" is missing"));
    CU_ASSERT_TRUE(refuses("{\"ports\":[{\"name\":\"a\"}]}", "f:1:11: /ports/0:", "\"type\" is missing"));
    CU_ASSERT_TRUE(refuses("{\"ports\":[{\"name\":\"a b\",\"type\":\"tap\"}]}", "f:1:19: /ports/0/name:", "a port's name"));
    CU_ASSERT_TRUE(refuses("{\"ports\":[{\"name\":\"\",\"type\":\"tap\"}]}", "f:1:19:", "a port's name"));
    CU_ASSERT_TRUE(refuses("{\"ports\":[{\"name\":\"../x\",\"type\":\"tap\"}]}", "f:1:19:", "a port's name"));
    CU_ASSERT_TRUE(refuses("{\"ports\":[{\"name\":\"a\",\"type\":\"tun\"}]}", "f:1:30: /ports/0/type:", "tap, vhost-user"));
    CU_ASSERT_TRUE(refuses(TAP(",\"vlan\":{\"access\":5000}"), "f:2:43: /ports/0/vlan/access:", "1 to 4094, not 5000"));
    CU_ASSERT_TRUE(refuses(TAP(",\"vlan\":{\"access\":0}"), "f:2:43:", "1 to 4094"));
    CU_ASSERT_TRUE(refuses(TAP(",\"vlan\":{\"mode\":\"trunk\",\"allowed\":\"20-10\"}"), "f:2:", "10,20-29"));
    CU_ASSERT_TRUE(refuses(TAP(",\"vlan\":{\"mode\":\"trunk\",\"access\":5}"), "f:2:", "\"access\" only"));
    CU_ASSERT_TRUE(refuses(TAP(",\"vlan\":{\"native\":5}"), "f:2:43: /ports/0/vlan/native:", "\"trunk\" only"));
    CU_ASSERT_TRUE(refuses(TAP(",\"path\":\"/x\""), "f:2:33: /ports/0/path:", "\"vhost-user\" only"));
    CU_ASSERT_TRUE(refuses(TAP(",\"mtu\":9000000"), "f:2:32: /ports/0/mtu:", "68 to"));
    CU_ASSERT_TRUE(refuses(TAP(",\"interface\":\"a/b\""), "f:2:38:", "interface's name"));
    CU_ASSERT_TRUE(refuses("{\"ports\":[{\"name\":\"a-name-for-a-long-port\",\"type\":\"tap\"}]}", "f:1:19:", "15 characters"));
    CU_ASSERT_TRUE(refuses("{\"ports\":[{\"name\":\"q\",\"type\":\"vhost-user\"}]}", "f:1:11:", "needs the member \"path\""));
    CU_ASSERT_TRUE(refuses("{\"ports\":[{\"name\":\"q\",\"type\":\"vhost-user\",\"path\":\"/q\",\"addresses\":[\"1.2.3.4/8\"]}]}",
                           "f:1:67:", "\"tap\" only"));
}

static void test_duplicate_names(void)
{
    CU_ASSERT_TRUE(refuses("{\"ports\":[\n{\"name\":\"a\",\"type\":\"tap\"},\n{\"name\":\"a\",\"type\":\"tap\"}]}",
                           "f:3:9: /ports/1/name:", "used twice"));
    CU_ASSERT_TRUE(refuses("{\"guests\":[{\"name\":\"g\",\"kernel\":\"/k\"},\n{\"name\":\"g\",\"kernel\":\"/k\"}]}",
                           "f:2:9: /guests/1/name:", "used twice"));
    CU_ASSERT_TRUE(refuses("{\"ports\":[{\"name\":\"g\",\"type\":\"tap\"}],\n"
                           "\"guests\":[{\"name\":\"g\",\"kernel\":\"/k\",\"nics\":[{\"model\":\"e1000\"}]}]}",
                           "f:2:45: /guests/0/nics:", "used twice"));
    CU_ASSERT_TRUE(refuses("{\"guests\":[{\"name\":\"g\",\"kernel\":\"/k\",\"nics\":[{\"model\":\"e1000\",\"port\":\"x\"},"
                           "{\"model\":\"e1000\",\"port\":\"x\"}]}]}", "f:1:", "used twice"));
}

static void test_address_errors(void)
{
    CU_ASSERT_TRUE(refuses("{\"ports\":[{\"name\":\"a\",\"type\":\"tap\",\"addresses\":[\"10.0.0.1\"]}]}", "f:1:49:", "10.9.0.254/24"));
    CU_ASSERT_TRUE(refuses("{\"ports\":[{\"name\":\"a\",\"type\":\"tap\",\"addresses\":[\"10.0.0.1/33\"]}]}", "f:1:49:", "10.9.0.254/24"));
    CU_ASSERT_TRUE(refuses("{\"ports\":[{\"name\":\"a\",\"type\":\"tap\",\"addresses\":[\"10.0.0.1/ 8\"]}]}", "f:1:49:", "10.9.0.254/24"));
    CU_ASSERT_TRUE(refuses("{\"ports\":[{\"name\":\"a\",\"type\":\"tap\",\"addresses\":[\"10.0.0.1/8x\"]}]}", "f:1:49:", "10.9.0.254/24"));
    CU_ASSERT_TRUE(refuses("{\"ports\":[{\"name\":\"a\",\"type\":\"tap\",\"addresses\":[\"fd00::1/129\"]}]}", "f:1:49:", "10.9.0.254/24"));
    CU_ASSERT_TRUE(refuses("{\"ports\":[{\"name\":\"a\",\"type\":\"tap\",\"addresses\":[\"/64\"]}]}", "f:1:49:", "10.9.0.254/24"));
}

static void test_guest_errors(void)
{
    CU_ASSERT_TRUE(refuses("{\"guests\":[{\"name\":\"g\"}]}", "f:1:12:", "\"kernel\" is missing"));
    CU_ASSERT_TRUE(refuses("{\"guests\":[{\"name\":\"g\",\"kernel\":\"k\"}]}", "f:1:33:", "absolute path"));
    CU_ASSERT_TRUE(refuses("{\"guests\":[{\"name\":\"g\",\"kernel\":\"/k\",\"memory_mib\":0}]}", "f:1:51:", "4 to 3072"));
    CU_ASSERT_TRUE(refuses("{\"guests\":[{\"name\":\"g\",\"kernel\":\"/k\",\"idle_slack_ms\":201}]}", "f:1:54:", "0 to 200"));
    CU_ASSERT_TRUE(refuses("{\"guests\":[{\"name\":\"g/../x\",\"kernel\":\"/k\"}]}", "f:1:20:", "a guest's name"));
    CU_ASSERT_TRUE(refuses("{\"guests\":[{\"name\":\"abcdefghijklmnopqrstuvwxy\",\"kernel\":\"/k\"}]}", "f:1:20:", "24"));
    CU_ASSERT_TRUE(refuses("{\"guests\":[{\"name\":\"g\",\"kernel\":\"/k\",\"cmdline\":\"a\\nb\"}]}", "f:1:48:", "one line"));
    CU_ASSERT_TRUE(refuses("{\"guests\":[{\"name\":\"g\",\"kernel\":\"/k\",\"nics\":[{\"model\":\"rtl8139\"}]}]}",
                           "f:1:55: /guests/0/nics/0/model:",
                           "e1000, e1000-82545em, rtl8029, rtl8019as, ne2000, ne1000"));
#define NIC(members) "{\"guests\":[{\"name\":\"g\",\"kernel\":\"/k\",\"nics\":[{" members "}]}]}"
    CU_ASSERT_TRUE(refuses(NIC("\"model\":\"e1000\",\"io\":\"0x300\""), "f:1:", "rtl8019as, which are on ISA"));
    CU_ASSERT_TRUE(refuses(NIC("\"model\":\"rtl8029\",\"irq\":9"), "f:1:", "rtl8019as, which are on ISA"));
    CU_ASSERT_TRUE(refuses(NIC("\"model\":\"ne2000\",\"io\":\"0x310\""), "f:1:", "steps of 0x20"));
    CU_ASSERT_TRUE(refuses(NIC("\"model\":\"ne2000\",\"io\":\"0x300\"},{\"model\":\"ne1000\",\"io\":\"0x300\""), "f:1:",
                           "nics/1/io: there is an ISA card at 0x300 already"));
    CU_ASSERT_TRUE(refuses(NIC("\"model\":\"ne2000\",\"irq\":9},{\"model\":\"e1000\"},{\"model\":\"ne1000\",\"irq\":9"), "f:1:",
                           "nics/2/irq: there is an ISA card with interrupt 9 already"));
    CU_ASSERT_TRUE(refuses(NIC("\"model\":\"ne2000\",\"io\":\"here\""), "f:1:", "steps of 0x20"));
    CU_ASSERT_TRUE(refuses(NIC("\"model\":\"ne2000\",\"irq\":10"), "f:1:", "3, 5, 7, 9, 12 or 15"));
    CU_ASSERT_TRUE(refuses(NIC("\"model\":\"ne1000\",\"slot\":8"), "f:1:", "ne2000 only"));
    CU_ASSERT_TRUE(refuses(NIC("\"model\":\"ne2000\",\"slot\":9"), "f:1:", "8 or 16"));
    CU_ASSERT_TRUE(refuses(NIC("\"model\":\"e1000-82545em\",\"speed\":10"), "f:1:", "ne2000 and ne1000 only"));
    CU_ASSERT_TRUE(refuses("{\"guests\":[{\"name\":\"g\",\"kernel\":\"/k\",\"nics\":[{\"model\":\"e1000\",\"mac\":\"01:00:00:00:00:01\"}]}]}",
                           "f:1:69:", "no group address"));
}

static void test_mac(void)
{
    uint8_t mac[6];

    CU_ASSERT_TRUE(config_mac_parse("52:54:00:aB:cD:09", mac) && mac[3] == 0xab && mac[5] == 9);
    CU_ASSERT_FALSE(config_mac_parse("", mac));
    CU_ASSERT_FALSE(config_mac_parse("52", mac));
    CU_ASSERT_FALSE(config_mac_parse("52:54:00:12:34", mac));
    CU_ASSERT_FALSE(config_mac_parse("52:54:00:12:34:5", mac));
    CU_ASSERT_FALSE(config_mac_parse("52:54:00:12:34:567", mac));
    CU_ASSERT_FALSE(config_mac_parse("52-54-00-12-34-56", mac));
    CU_ASSERT_FALSE(config_mac_parse("5g:54:00:12:34:56", mac));
}

static void test_reserved(void)
{
    struct jv *list = config_reserved_to_json(0xffff);

    CU_ASSERT_EQUAL(jv_length(list), 1);
    CU_ASSERT_STRING_EQUAL(jv_as_string(jv_at(list, 0)), "all");
    jv_unref(list);
    list = config_reserved_to_json(0);
    CU_ASSERT_EQUAL(jv_length(list), 0);
    jv_unref(list);
}

/* A VLAN's settings replace the former ones as a whole; a port's policy changes only where it is mentioned. */
static void test_policy(void)
{
    struct switch_port_config policy;
    struct json_mismatch mismatch;
    struct json_error syntax;
    struct jv *v;

    switch_port_config_init(&policy);
    policy.max_macs = 7;
    CU_ASSERT_EQUAL_FATAL(json_read("{\"name\":\"a\",\"vlan\":{\"access\":9},\"enabled\":false}", 48, &v, &syntax), 0);
    CU_ASSERT_TRUE(json_check(config_port_set_spec, v, &mismatch));
    CU_ASSERT_TRUE(config_policy_read(v, &policy, &mismatch));
    CU_ASSERT_TRUE(policy.max_macs == 7 && !policy.enabled && policy.vlan.pvid == 9 && policy.learning);
    jv_unref(v);
}

static void test_files(void)
{
    char name[] = "/tmp/vswitch-test-config.XXXXXX";
    int fd = mkstemp(name);

    CU_ASSERT_FATAL(fd >= 0);
    CU_ASSERT_EQUAL(write(fd, "{\"x\":1}", 7), 7);
    close(fd);
    CU_ASSERT_EQUAL(config_load(AT_FDCWD, name, name, &config, &error), EINVAL);
    CU_ASSERT_PTR_NOT_NULL(strstr(error.text, ":1:2: /x: unknown"));
    CU_ASSERT_EQUAL(truncate(name, 0), 0);
    CU_ASSERT_EQUAL(config_load(AT_FDCWD, name, name, &config, &error), EINVAL);
    unlink(name);
    CU_ASSERT_EQUAL(config_load(AT_FDCWD, name, name, &config, &error), ENOENT);
    CU_ASSERT_NOT_EQUAL(config_load(AT_FDCWD, "/tmp", "/tmp", &config, &error), 0);
    CU_ASSERT_NOT_EQUAL(config_load(AT_FDCWD, "/dev/zero", "/dev/zero", &config, &error), 0);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "nothing said", test_empty },
        { "everything said", test_whole },
        { "there and back", test_there_and_back },
        { "syntax", test_syntax_errors },
        { "ports", test_port_errors },
        { "names used twice", test_duplicate_names },
        { "addresses of taps", test_address_errors },
        { "guests", test_guest_errors },
        { "MAC addresses", test_mac },
        { "reserved protocols", test_reserved },
        { "a policy changes in part", test_policy },
        { "files", test_files },
        CU_TEST_INFO_NULL,
    };

    return unit_run("config", tests);
}
