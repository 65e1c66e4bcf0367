/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The methods fdb.*: the MAC table.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vswitchd/control/control_commands.h"
#include "vswitchd/core/eth_frame.h"

struct selection {
    struct jv *list;
    const char *port;       /* NULL: any */
    int64_t vlan;           /* -1: any */
};

static bool add_entry(void *context, const struct datapath_fdb_entry *entry)
{
    struct selection *s = context;
    char mac[ETH_MAC_TEXT_SIZE];
    struct jv *o;

    if ((s->port && strcmp(s->port, entry->port) != 0) || (s->vlan >= 0 && s->vlan != entry->vlan)) {
        return true;
    }
    o = jv_new_object();
    eth_mac_format(entry->mac, mac);
    jv_set_string(o, "mac", mac);
    jv_set_int(o, "vlan", entry->vlan);
    jv_set_string(o, "port", entry->port);
    jv_set_string(o, "type", entry->is_static ? "static" : "learned");
    if (!entry->is_static) {
        jv_set_uint(o, "age_s", entry->age / 1000000000u);
    }
    jv_append(s->list, o);
    return true;
}

static struct jv *fdb_list(void *context, struct control_session *session, const struct jv *params,
                           struct control_error *error)
{
    struct control_context *c = context;
    struct selection s = {
        .list = jv_new_array(), .port = jv_as_string(jv_get(params, "port")), .vlan = jv_member_int(params, "vlan", -1),
    };

    (void)session;
    if (s.port && !datapath_find_port(c->dp, s.port)) {
        jv_unref(s.list);
        return control_fail_no_port(c, s.port, error);
    }
    datapath_fdb_each(c->dp, add_entry, &s);
    return s.list;
}

static bool read_mac(const struct jv *params, uint64_t *mac, struct control_error *error)
{
    const char *text = jv_member_string(params, "mac", "");

    if (!eth_mac_parse(text, mac)) {
        snprintf(error->path, sizeof error->path, "/mac");
        control_fail(error, CONTROL_INVALID_PARAMS, "params.invalid",
                     "/mac: \"%.40s\" is not valid: a MAC address is written like 52:54:00:12:34:56", text);
        return false;
    }
    return true;
}

static struct jv *fdb_add_entry(void *context, struct control_session *session, const struct jv *params,
                                struct control_error *error)
{
    struct control_context *c = context;
    const char *port = jv_member_string(params, "port", "");
    char text[120];
    uint64_t mac;
    int result;

    (void)session;
    if (!read_mac(params, &mac, error)) {
        return NULL;
    }
    result = datapath_fdb_add(c->dp, mac, (unsigned)jv_member_int(params, "vlan", VLAN_DEFAULT), port);
    if (result == ENOENT) {
        return control_fail_no_port(c, port, error);
    }
    if (result != 0) {
        snprintf(text, sizeof text, "%s", result == EINVAL ? "only a station's address can be in the MAC table, no group address and "
                                                             "not 00:00:00:00:00:00"
                                          : result == EEXIST ? "the address is static at another port"
                                          : result == ENOSPC ? "the MAC table is full" : strerror(result));
        return control_fail_errno(error, "fdb", result, text);
    }
    return control_done();
}

static struct jv *fdb_delete_entry(void *context, struct control_session *session, const struct jv *params,
                                   struct control_error *error)
{
    struct control_context *c = context;
    uint64_t mac;
    unsigned vlan;
    char text[100];

    (void)session;
    if (!read_mac(params, &mac, error)) {
        return NULL;
    }
    vlan = (unsigned)jv_member_int(params, "vlan", VLAN_DEFAULT);
    if (datapath_fdb_delete(c->dp, mac, vlan) != 0) {
        snprintf(text, sizeof text, "the address %s is not in the MAC table of VLAN %u", jv_member_string(params, "mac", ""),
                 vlan);
        return control_fail_errno(error, "fdb", ENOENT, text);
    }
    return control_done();
}

static struct jv *fdb_flush_entries(void *context, struct control_session *session, const struct jv *params,
                                    struct control_error *error)
{
    struct control_context *c = context;
    const char *port = jv_as_string(jv_get(params, "port"));
    uint32_t count = 0;
    struct jv *o;

    (void)session;
    if (datapath_fdb_flush(c->dp, port, (int)jv_member_int(params, "vlan", -1),
                           jv_member_bool(params, "static", false), &count) != 0) {
        return control_fail_no_port(c, port, error);
    }
    o = jv_new_object();
    jv_set_int(o, "count", count);
    return o;
}

#define VLAN_MEMBER {.name = "vlan", .kind = JSON_SPEC_INT, .min = VLAN_ID_MIN, .max = VLAN_ID_MAX}

static const struct json_spec list_params[] = {
    {.name = "port", .kind = JSON_SPEC_STRING},
    VLAN_MEMBER,
    {0},
};
static const struct json_spec add_params[] = {
    {.name = "mac", .kind = JSON_SPEC_STRING, .required = true},
    {.name = "port", .kind = JSON_SPEC_STRING, .required = true},
    VLAN_MEMBER,
    {0},
};
static const struct json_spec delete_params[] = {
    {.name = "mac", .kind = JSON_SPEC_STRING, .required = true},
    VLAN_MEMBER,
    {0},
};
static const struct json_spec flush_params[] = {
    {.name = "port", .kind = JSON_SPEC_STRING},
    VLAN_MEMBER,
    {.name = "static", .kind = JSON_SPEC_BOOL, .help = "static entries, too"},
    {0},
};

const struct control_method control_fdb_methods[] = {
    {"fdb.list", CONTROL_VIEWER, list_params, fdb_list, "the MAC table, or what of it is at a port or in a VLAN"},
    {"fdb.add", CONTROL_OPERATOR, add_params, fdb_add_entry, "adds a static address; VLAN 1 unless given"},
    {"fdb.delete", CONTROL_OPERATOR, delete_params, fdb_delete_entry, "removes an address; VLAN 1 unless given"},
    {"fdb.flush", CONTROL_OPERATOR, flush_params, fdb_flush_entries, "forgets learned addresses"},
    {0},
};
