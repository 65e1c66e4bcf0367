/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The methods port.* and vlan.*.
 */
#include <stdio.h>
#include <string.h>

#include "vswitchd/control/control_commands.h"
#include "vswitchd/guests.h"

static struct jv *counters_to_json(const struct port_counters *counters)
{
    struct jv *o = jv_new_object(), *drops = jv_new_object();
    const struct { const char *name; uint64_t value; } members[] = {
        {"in_frames", counters->in_frames}, {"in_bytes", counters->in_bytes}, {"in_group", counters->in_group},
        {"out_frames", counters->out_frames}, {"out_bytes", counters->out_bytes},
        {"out_queued", counters->out_queued}, {"out_segments", counters->out_segments},
        {"out_checksums", counters->out_checksums},
    };
    uint64_t total = 0;

    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        jv_set_uint(o, members[i].name, members[i].value);
    }
    for (int reason = DROP_NONE + 1; reason < DROP_REASON_COUNT; reason++) {
        if (counters->drops[reason]) {
            jv_set_uint(drops, drop_reason_name((enum drop_reason)reason), counters->drops[reason]);
            total += counters->drops[reason];
        }
    }
    jv_set_uint(o, "dropped", total);
    jv_set(o, "drops", drops);
    return o;
}

struct jv *control_port_to_json(const struct control_context *c, const struct datapath_port_info *info)
{
    const struct config_apply_port *made = config_apply_find(c->apply, info->name);
    struct jv *o = made ? config_port_to_json(&made->config) : jv_new_object();

    jv_set_string(o, "name", info->name);
    jv_set_string(o, "type", info->type);
    if (made && made->config.type == CONFIG_PORT_TAP && !made->config.interface[0]) {
        jv_set_string(o, "interface", info->name);
    }
    jv_set_string(o, "origin", made ? config_origin_name(made->origin) : "request");
    jv_set_bool(o, "link", info->link);
    config_policy_to_json(info->config, o);
    jv_set_int(o, "mtu", info->config->mtu);
    jv_set_int(o, "macs", info->macs);
    jv_set_int(o, "queued", info->queued);
    jv_set_string(o, "description", info->description);
    jv_set(o, "counters", counters_to_json(info->counters));
    return o;
}

static struct jv *port_result(struct control_context *c, const char *name, struct control_error *error)
{
    struct datapath_port_info info;

    if (!datapath_get_port(c->dp, name, &info)) {
        return control_fail_no_port(c, name, error);
    }
    return control_port_to_json(c, &info);
}

static bool add_to_list(void *context, const struct datapath_port_info *info)
{
    void **both = context;

    jv_append(both[1], control_port_to_json(both[0], info));
    return true;
}

static struct jv *port_list(void *context, struct control_session *session, const struct jv *params,
                            struct control_error *error)
{
    struct control_context *c = context;
    struct jv *list = jv_new_array();

    (void)session;
    (void)params;
    (void)error;
    datapath_each_port(c->dp, add_to_list, (void *[]) {c, list});
    return list;
}

static struct jv *port_get(void *context, struct control_session *session, const struct jv *params,
                           struct control_error *error)
{
    (void)session;
    return port_result(context, jv_member_string(params, "name", ""), error);
}

static struct jv *port_add(void *context, struct control_session *session, const struct jv *params,
                           struct control_error *error)
{
    struct control_context *c = context;
    struct config_apply_error wrong;
    struct json_mismatch mismatch;
    struct config_port port;
    int result;

    config_port_init(&port);
    if (!config_port_read(params, &port, &mismatch)) {
        return control_fail_mismatch(error, &mismatch);
    }
    if (port.type == CONFIG_PORT_VHOST_USER && session->role < CONTROL_ADMIN) {
        return control_fail(error, CONTROL_PERMISSION, "permission.path",
                            "naming a socket's path needs the role admin; the role of this connection is %s",
                            control_role_name(session->role));
    }
    result = config_apply_add_port(c->apply, &port, CONFIG_ORIGIN_REQUEST, &wrong);
    if (result != 0) {
        return control_fail_errno(error, "port", result, wrong.text);
    }
    return port_result(c, port.name, error);
}

static struct jv *port_remove(void *context, struct control_session *session, const struct jv *params,
                              struct control_error *error)
{
    struct control_context *c = context;
    const char *name = jv_member_string(params, "name", "");
    const struct config_apply_port *port = config_apply_find(c->apply, name);

    (void)session;
    if (!port) {
        return port_result(c, name, error);
    }
    if (port->origin == CONFIG_ORIGIN_GUEST) {
        snprintf(error->hint, sizeof error->hint, "guest.stop ends it; port.set with \"enabled\": false disconnects it");
        return control_fail(error, CONTROL_INVALID_STATE, "port.of_guest", "port %s belongs to a running guest", name);
    }
    (void)config_apply_remove_port(c->apply, name);
    return control_done();
}

static struct jv *change_port(struct control_context *c, const char *name, const struct switch_port_config *policy,
                              struct control_error *error)
{
    struct config_apply_error wrong;
    int result = config_apply_set_port(c->apply, name, policy, &wrong);

    if (result != 0) {
        return control_fail_errno(error, "port", result, wrong.text);
    }
    if (c->guests) {
        guests_port_changed(c->guests, name, policy);
    }
    return port_result(c, name, error);
}

static struct jv *port_set(void *context, struct control_session *session, const struct jv *params,
                           struct control_error *error)
{
    struct control_context *c = context;
    const char *name = jv_member_string(params, "name", "");
    const struct config_apply_port *port = config_apply_find(c->apply, name);
    struct switch_port_config policy;
    struct json_mismatch mismatch;

    (void)session;
    if (!port) {
        return port_result(c, name, error);
    }
    policy = port->config.policy;
    if (!config_policy_read(params, &policy, &mismatch)) {
        return control_fail_mismatch(error, &mismatch);
    }
    return change_port(c, name, &policy, error);
}

static struct jv *vlan_entry(const char *name, const struct switch_port_config *config)
{
    struct jv *o = jv_new_object(), *vlan = config_vlan_to_json(&config->vlan);

    jv_set_string(o, "port", name);
    for (struct jv_member m = {0}; jv_next(vlan, &m);) {
        jv_set(o, m.key, jv_ref(m.value));
    }
    jv_unref(vlan);
    return o;
}

static bool add_vlan(void *context, const struct datapath_port_info *info)
{
    jv_append(context, vlan_entry(info->name, info->config));
    return true;
}

static struct jv *vlan_list(void *context, struct control_session *session, const struct jv *params,
                            struct control_error *error)
{
    struct control_context *c = context;
    struct jv *list = jv_new_array();

    (void)session;
    (void)params;
    (void)error;
    datapath_each_port(c->dp, add_vlan, list);
    return list;
}

static struct jv *vlan_set(void *context, struct control_session *session, const struct jv *params,
                           struct control_error *error)
{
    struct control_context *c = context;
    const char *name = jv_member_string(params, "port", "");
    const struct config_apply_port *port = config_apply_find(c->apply, name);
    struct switch_port_config policy;
    struct json_mismatch mismatch;
    struct jv *result;

    (void)session;
    if (!port) {
        return port_result(c, name, error);
    }
    policy = port->config.policy;
    if (!config_vlan_read(params, &policy.vlan, &mismatch)) {
        memmove(mismatch.path, mismatch.path + strlen("/vlan"), strlen(mismatch.path + strlen("/vlan")) + 1);
        return control_fail_mismatch(error, &mismatch);
    }
    result = change_port(c, name, &policy, error);
    if (!result) {
        return NULL;
    }
    jv_unref(result);
    return vlan_entry(name, &policy);
}

static struct jv *port_clear(void *context, struct control_session *session, const struct jv *params,
                             struct control_error *error)
{
    struct control_context *c = context;
    const char *name = jv_as_string(jv_get(params, "name"));

    (void)session;
    if (name && !datapath_find_port(c->dp, name)) {
        return port_result(c, name, error);
    }
    datapath_clear_counters(c->dp, name);
    return control_done();
}

static const struct json_spec name_params[] = {
    {.name = "name", .kind = JSON_SPEC_STRING, .required = true},
    {0},
};
static const struct json_spec clear_params[] = {
    {.name = "name", .kind = JSON_SPEC_STRING, .help = "all ports unless given"},
    {0},
};
static const struct json_spec vlan_params[] = {
    {.name = "port", .kind = JSON_SPEC_STRING, .required = true},
    CONFIG_VLAN_MEMBERS,
    {0},
};

const struct control_method control_port_methods[] = {
    {"port.list", CONTROL_VIEWER, NULL, port_list, "all ports"},
    {"port.get", CONTROL_VIEWER, name_params, port_get, "one port"},
    {"port.add", CONTROL_OPERATOR, config_port_spec, port_add, "makes a port; the answer is that port"},
    {"port.remove", CONTROL_OPERATOR, name_params, port_remove, "takes a port away"},
    {"port.set", CONTROL_OPERATOR, config_port_set_spec, port_set, "changes the members that are given"},
    {"port.clear", CONTROL_OPERATOR, clear_params, port_clear, "sets counters to 0"},
    {"vlan.list", CONTROL_VIEWER, NULL, vlan_list, "the VLANs of each port"},
    {"vlan.set", CONTROL_OPERATOR, vlan_params, vlan_set, "replaces the VLAN settings of a port"},
    {0},
};
