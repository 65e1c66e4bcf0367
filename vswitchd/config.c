/* SPDX-License-Identifier: BSD-2-Clause
 *
 * config.h: the file and its parts as structs, and back as JSON. What the
 * tables in config_schema.c cannot express is checked here: names used twice,
 * members that do not go together.
 */
#include "vswitchd/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/json/json_read.h"

enum { PORTS_MAX = PORT_SET_MAX, GUESTS_MAX = 128, CONFIG_SIZE_MAX = 4 << 20 };

void config_copy_string(char *to, size_t size, const struct jv *object, const char *key)
{
    const char *text = jv_as_string(jv_get(object, key));

    if (text) {
        snprintf(to, size, "%s", text);
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

bool config_mac_parse(const char *text, uint8_t mac[6])
{
    for (int i = 0; i < 6; i++, text += 3) {
        int high = hex_digit(text[0]), low = high < 0 ? -1 : hex_digit(text[1]);

        if (low < 0 || text[2] != (i < 5 ? ':' : '\0')) {
            return false;
        }
        mac[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static uint16_t read_reserved(const struct jv *list)
{
    uint16_t bits = 0;

    for (size_t i = 0; i < jv_length(list); i++) {
        for (size_t k = 0; config_reserved_table[k].name; k++) {
            if (strcmp(jv_as_string(jv_at(list, i)), config_reserved_table[k].name) == 0) {
                bits |= config_reserved_table[k].bits;
            }
        }
    }
    return bits;
}

/* ---- VLANs and the rest of a port's policy ---- */

/* Members of the other mode are refused: they would silently do nothing. */
static bool refuse_other_mode(const struct jv *value, enum vlan_mode mode, struct json_mismatch *mismatch)
{
    static const char *const of_trunk[] = {"allowed", "native", "native_tagged", NULL};
    static const char *const of_access[] = {"access", NULL};
    const char *const *others = mode == VLAN_ACCESS ? of_trunk : of_access;

    for (; *others; others++) {
        if (jv_has(value, *others)) {
            char path[40];

            snprintf(path, sizeof path, "/vlan/%s", *others);
            json_mismatch_set(mismatch, jv_get(value, *others), path, "goes with \"mode\": \"%s\" only",
                              vlan_mode_name(mode == VLAN_ACCESS ? VLAN_TRUNK : VLAN_ACCESS));
            return false;
        }
    }
    return true;
}

bool config_vlan_read(const struct jv *value, struct vlan_config *vlan, struct json_mismatch *mismatch)
{
    const char *mode = jv_as_string(jv_get(value, "mode"));
    const char *allowed = jv_as_string(jv_get(value, "allowed"));
    struct vlan_config fresh;
    const char *wrong;

    vlan_config_init(&fresh);
    if (mode) {
        (void)vlan_mode_parse(mode, &fresh.mode);
    }
    if (!refuse_other_mode(value, fresh.mode, mismatch)) {
        return false;
    }
    if (fresh.mode == VLAN_ACCESS) {
        fresh.pvid = (uint16_t)jv_member_int(value, "access", VLAN_DEFAULT);
    } else {
        fresh.pvid = (uint16_t)jv_member_int(value, "native", 0);
        fresh.native_tagged = jv_member_bool(value, "native_tagged", false);
        vlan_set_clear(&fresh.allowed);
        if (allowed) {
            (void)vlan_set_parse(&fresh.allowed, allowed);
        } else {
            vlan_set_fill(&fresh.allowed);
        }
    }
    wrong = vlan_config_check(&fresh);
    if (wrong) {
        json_mismatch_set(mismatch, value, "/vlan", "%s", wrong);
        return false;
    }
    *vlan = fresh;
    return true;
}

bool config_policy_read(const struct jv *value, struct switch_port_config *policy, struct json_mismatch *mismatch)
{
    struct switch_port_config fresh = *policy;
    const char *wrong;

    if (jv_has(value, "vlan") && !config_vlan_read(jv_get(value, "vlan"), &fresh.vlan, mismatch)) {
        return false;
    }
    fresh.mtu = (uint32_t)jv_member_int(value, "mtu", fresh.mtu);
    fresh.max_macs = (uint32_t)jv_member_int(value, "max_macs", fresh.max_macs);
    fresh.enabled = jv_member_bool(value, "enabled", fresh.enabled);
    fresh.learning = jv_member_bool(value, "learning", fresh.learning);
    fresh.flood = jv_member_bool(value, "flood", fresh.flood);
    if (jv_has(value, "forward_reserved")) {
        fresh.forward_reserved = read_reserved(jv_get(value, "forward_reserved"));
    }
    wrong = switch_port_config_check(&fresh);
    if (wrong) {
        json_mismatch_set(mismatch, value, "", "%s", wrong);
        return false;
    }
    *policy = fresh;
    return true;
}

/* ---- Ports ---- */

void config_port_init(struct config_port *port)
{
    memset(port, 0, sizeof *port);
    switch_port_config_init(&port->policy);
    port->offload = true;
}

static bool refuse_other_type(const struct jv *value, enum config_port_type type, struct json_mismatch *mismatch)
{
    static const char *const of_vhost[] = {"path", "role", "unsealed", NULL};
    static const char *const of_tap[] = {"interface", "mac", "addresses", NULL};
    const char *const *others = type == CONFIG_PORT_TAP ? of_vhost : of_tap;

    for (; *others; others++) {
        if (jv_has(value, *others)) {
            char path[40];

            snprintf(path, sizeof path, "/%s", *others);
            json_mismatch_set(mismatch, jv_get(value, *others), path, "goes with \"type\": \"%s\" only",
                              type == CONFIG_PORT_TAP ? "vhost-user" : "tap");
            return false;
        }
    }
    return true;
}

bool config_port_read(const struct jv *value, struct config_port *port, struct json_mismatch *mismatch)
{
    const struct jv *addresses = jv_get(value, "addresses");

    config_copy_string(port->name, sizeof port->name, value, "name");
    port->type = strcmp(jv_member_string(value, "type", "tap"), "tap") == 0 ? CONFIG_PORT_TAP : CONFIG_PORT_VHOST_USER;
    if (!refuse_other_type(value, port->type, mismatch) || !config_policy_read(value, &port->policy, mismatch)) {
        return false;
    }
    port->mtu = (uint32_t)jv_member_int(value, "mtu", port->mtu);
    config_copy_string(port->interface, sizeof port->interface, value, "interface");
    port->has_mac = jv_has(value, "mac");
    if (port->has_mac) {
        (void)config_mac_parse(jv_member_string(value, "mac", ""), port->mac);
    }
    port->offload = jv_member_bool(value, "offload", port->offload);
    for (size_t i = 0; i < jv_length(addresses); i++) {
        snprintf(port->addresses[i], sizeof port->addresses[i], "%s", jv_as_string(jv_at(addresses, i)));
        port->address_count = (unsigned)i + 1;
    }
    config_copy_string(port->path, sizeof port->path, value, "path");
    port->listen = strcmp(jv_member_string(value, "role", "client"), "server") == 0;
    port->unsealed = jv_member_bool(value, "unsealed", port->unsealed);
    if (port->type == CONFIG_PORT_VHOST_USER && port->path[0] == '\0') {
        json_mismatch_set(mismatch, value, "", "a vhost-user port needs the member \"path\", its socket");
        return false;
    }
    if (port->type == CONFIG_PORT_TAP && port->interface[0] == '\0' && strlen(port->name) >= CONFIG_INTERFACE_SIZE) {
        json_mismatch_set(mismatch, jv_get(value, "name"), "/name",
                          "is longer than the 15 characters of an interface's name; add \"interface\"");
        return false;
    }
    return true;
}

/* ---- The switch ---- */

void config_switch_init(struct config_switch *eth_switch)
{
    *eth_switch = (struct config_switch) {
        .fdb_capacity = FDB_CAPACITY_DEFAULT, .fdb_ageing = FDB_AGEING_DEFAULT, .mtu = SWITCH_MTU_DEFAULT,
    };
}

void config_switch_read(const struct jv *value, struct config_switch *eth_switch)
{
    int64_t ageing = jv_member_int(value, "ageing_s", (int64_t)(eth_switch->fdb_ageing / 1000000000u));

    eth_switch->fdb_capacity = (uint32_t)jv_member_int(value, "fdb_size", eth_switch->fdb_capacity);
    eth_switch->fdb_ageing = (uint64_t)ageing * 1000000000u;
    eth_switch->mtu = (uint32_t)jv_member_int(value, "mtu", eth_switch->mtu);
    if (jv_has(value, "forward_reserved")) {
        eth_switch->forward_reserved = read_reserved(jv_get(value, "forward_reserved"));
    }
}

/* ---- The whole file ---- */

static const struct json_spec port_element[] = {{.kind = JSON_SPEC_OBJECT, .members = config_port_spec}};
static const struct json_spec guest_element[] = {{.kind = JSON_SPEC_OBJECT, .members = config_guest_spec}};
static const struct json_spec control_members[] = {
    {.name = "group", .kind = JSON_SPEC_STRING, .max = 31},
    {0},
};
static const struct json_spec file_members[] = {
    {.name = "switch", .kind = JSON_SPEC_OBJECT, .members = config_switch_spec},
    {.name = "control", .kind = JSON_SPEC_OBJECT, .members = control_members},
    {.name = "ports", .kind = JSON_SPEC_ARRAY, .max = PORTS_MAX, .members = port_element},
    {.name = "guests", .kind = JSON_SPEC_ARRAY, .max = GUESTS_MAX, .members = guest_element},
    {0},
};

void config_init(struct config *config)
{
    memset(config, 0, sizeof *config);
    config_switch_init(&config->eth_switch);
    snprintf(config->group, sizeof config->group, "%s", CONFIG_DEFAULT_GROUP);
}

void config_free(struct config *config)
{
    free(config->ports);
    free(config->guests);
    memset(config, 0, sizeof *config);
}

/* Whether the name belongs to one of the first `ports` ports or to a NIC of the first `guests` guests. */
static bool port_name_used(const struct config *config, const char *name, size_t ports, size_t guests)
{
    for (size_t i = 0; i < ports; i++) {
        if (strcmp(config->ports[i].name, name) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < guests; i++) {
        for (unsigned k = 0; k < config->guests[i].nic_count; k++) {
            if (strcmp(config->guests[i].nics[k].port, name) == 0) {
                return true;
            }
        }
    }
    return false;
}

static bool prefix_path(struct json_mismatch *mismatch, const char *list, size_t index)
{
    char path[sizeof mismatch->path];

    snprintf(path, sizeof path, "/%s/%zu%.90s", list, index, mismatch->path);
    memcpy(mismatch->path, path, sizeof path);
    return false;
}

static bool read_ports(const struct jv *list, struct config *config, struct json_mismatch *mismatch)
{
    config->ports = calloc(jv_length(list) + 1, sizeof *config->ports);
    if (!config->ports) {
        json_mismatch_set(mismatch, list, "/ports", "out of memory");
        return false;
    }
    for (size_t i = 0; i < jv_length(list); i++) {
        struct config_port *port = &config->ports[i];

        config_port_init(port);
        port->policy.mtu = config->eth_switch.mtu;
        if (!config_port_read(jv_at(list, i), port, mismatch)) {
            return prefix_path(mismatch, "ports", i);
        }
        if (port_name_used(config, port->name, i, 0)) {
            json_mismatch_set(mismatch, jv_get(jv_at(list, i), "name"), "/name",
                              "the port name \"%s\" is used twice", port->name);
            return prefix_path(mismatch, "ports", i);
        }
        config->port_count = i + 1;
    }
    return true;
}

static bool read_guests(const struct jv *list, struct config *config, struct json_mismatch *mismatch)
{
    config->guests = calloc(jv_length(list) + 1, sizeof *config->guests);
    if (!config->guests) {
        json_mismatch_set(mismatch, list, "/guests", "out of memory");
        return false;
    }
    for (size_t i = 0; i < jv_length(list); i++) {
        struct config_guest *guest = &config->guests[i];

        if (!config_guest_read(jv_at(list, i), guest, mismatch)) {
            return prefix_path(mismatch, "guests", i);
        }
        for (size_t k = 0; k < i; k++) {
            if (strcmp(config->guests[k].name, guest->name) == 0) {
                json_mismatch_set(mismatch, jv_get(jv_at(list, i), "name"), "/name",
                                  "the guest name \"%s\" is used twice", guest->name);
                return prefix_path(mismatch, "guests", i);
            }
        }
        for (unsigned k = 0; k < guest->nic_count; k++) {
            if (port_name_used(config, guest->nics[k].port, config->port_count, i)) {
                json_mismatch_set(mismatch, jv_at(jv_get(jv_at(list, i), "nics"), k), "/nics",
                                  "the port name \"%s\" is used twice", guest->nics[k].port);
                return prefix_path(mismatch, "guests", i);
            }
        }
        config->guest_count = i + 1;
    }
    return true;
}

static bool read_file(const struct jv *root, struct config *config, struct json_mismatch *mismatch)
{
    if (!json_check(file_members, root, mismatch)) {
        return false;
    }
    config_switch_read(jv_get(root, "switch"), &config->eth_switch);
    config_copy_string(config->group, sizeof config->group, jv_get(root, "control"), "group");
    return read_ports(jv_get(root, "ports"), config, mismatch)
           && read_guests(jv_get(root, "guests"), config, mismatch);
}

int config_parse(const char *text, size_t size, const char *file_name, struct config *config,
                 struct config_error *error)
{
    struct json_mismatch mismatch = {0};
    struct json_error syntax;
    struct jv *root;

    if (json_read(text, size, &root, &syntax) != 0) {
        snprintf(error->text, sizeof error->text, "%.200s:%u:%u: %s", file_name, syntax.at.line, syntax.at.column,
                 syntax.text);
        return EINVAL;
    }
    config_init(config);
    if (!read_file(root, config, &mismatch)) {
        snprintf(error->text, sizeof error->text, "%.200s:%u:%u: %s%s%s", file_name, mismatch.at.line,
                 mismatch.at.column, mismatch.path, mismatch.path[0] ? ": " : "", mismatch.text);
        config_free(config);
        jv_unref(root);
        return EINVAL;
    }
    jv_unref(root);
    return 0;
}

static int read_all(int fd, char *text, size_t size)
{
    for (size_t done = 0; done < size;) {
        ssize_t n = read(fd, text + done, size - done);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n == 0 ? EIO : errno;
        }
        done += (size_t)n;
    }
    return 0;
}

int config_load(int directory_fd, const char *name, const char *file_name, struct config *config,
                struct config_error *error)
{
    struct stat st;
    char *text = NULL;
    int result = 0;
    int fd = openat(directory_fd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0 || fstat(fd, &st) != 0) {
        result = errno;
    } else if (!S_ISREG(st.st_mode) || st.st_size > CONFIG_SIZE_MAX) {
        result = EFBIG;
    } else if (!(text = malloc((size_t)st.st_size + 1))) {
        result = ENOMEM;
    } else {
        result = read_all(fd, text, (size_t)st.st_size);
    }
    if (result != 0) {
        snprintf(error->text, sizeof error->text, "%.200s: %s", file_name,
                 result == EFBIG ? "not a regular file of at most 4 MiB" : strerror(result));
    } else {
        result = config_parse(text, (size_t)st.st_size, file_name, config, error);
    }
    free(text);
    if (fd >= 0) {
        close(fd);
    }
    return result;
}
