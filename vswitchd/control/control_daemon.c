/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The methods daemon.*, rpc.*, config.*, events.*, switch.* and stats.*.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vswitchd/control/control_commands.h"
#include "vswitchd/control/control_server.h"
#include "vswitchd/guests.h"

static struct jv *daemon_ping(void *context, struct control_session *session, const struct jv *params,
                              struct control_error *error)
{
    (void)context;
    (void)session;
    (void)params;
    (void)error;
    return control_done();
}

static struct jv *daemon_info(void *context, struct control_session *session, const struct jv *params,
                              struct control_error *error)
{
    static const char *const features[] = {"tap", "vhost-user", "vlan", "capture", "guests", "events"};
    struct control_context *c = context;
    struct jv *o = jv_new_object(), *list = jv_new_array();

    (void)params;
    (void)error;
    jv_set_string(o, "name", "vswitchd");
    jv_set_string(o, "version", CONTROL_VERSION);
    jv_set_int(o, "api_level", CONTROL_API_LEVEL);
    for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
        jv_append(list, jv_new_string(features[i]));
    }
    if (c->io_uring) {
        jv_append(list, jv_new_string("io_uring"));
    }
    jv_set(o, "features", list);
    jv_set_int(o, "pid", getpid());
    jv_set_uint(o, "uptime_s", (event_loop_now(c->loop) - c->started) / EVENT_LOOP_SECOND);
    jv_set_string(o, "run_dir", c->run_dir);
    jv_set_string(o, "config_file", c->config_file);
    jv_set_int(o, "ports", datapath_port_count(c->dp));
    jv_set_uint(o, "guests", c->guests ? guests_running(c->guests) : 0);
    jv_set_int(o, "clients", control_server_client_count(c->server));
    jv_set_string(o, "role", control_role_name(session->role));
    return o;
}

static struct jv *daemon_reload(void *context, struct control_session *session, const struct jv *params,
                                struct control_error *error)
{
    struct control_context *c = context;
    struct config_error wrong;
    int result = c->reload(c->daemon, &wrong);

    (void)session;
    (void)params;
    if (result != 0) {
        error->error_number = result;
        snprintf(error->hint, sizeof error->hint, "nothing was changed");
        return control_fail(error, CONTROL_INVALID_STATE, "config.invalid", "%s", wrong.text);
    }
    return control_done();
}

static struct jv *daemon_shutdown(void *context, struct control_session *session, const struct jv *params,
                                  struct control_error *error)
{
    struct control_context *c = context;

    (void)session;
    (void)error;
    c->shutdown(c->daemon, jv_member_bool(params, "guests", false));
    return control_done();
}

static struct jv *rpc_methods(void *context, struct control_session *session, const struct jv *params,
                              struct control_error *error)
{
    struct control_context *c = context;

    (void)session;
    (void)params;
    (void)error;
    return control_dispatch_describe(c->dispatch);
}

static struct jv *config_get(void *context, struct control_session *session, const struct jv *params,
                             struct control_error *error)
{
    struct control_context *c = context;
    struct jv *o = jv_new_object(), *ports = jv_new_array(), *control = jv_new_object();

    (void)session;
    (void)params;
    (void)error;
    jv_set_string(control, "group", c->group ? c->group : "");
    jv_set(o, "control", control);
    jv_set(o, "switch", config_switch_to_json(config_apply_switch(c->apply)));
    for (size_t i = 0; i < config_apply_count(c->apply); i++) {
        const struct config_apply_port *port = config_apply_at(c->apply, i);

        if (port->origin != CONFIG_ORIGIN_GUEST) {
            jv_append(ports, config_port_to_json(&port->config));
        }
    }
    jv_set(o, "ports", ports);
    jv_set(o, "guests", c->guests ? guests_config(c->guests, false) : jv_new_array());
    return o;
}

static struct jv *events_subscribe(void *context, struct control_session *session, const struct jv *params,
                                   struct control_error *error)
{
    const struct jv *types = jv_get(params, "types");

    (void)context;
    (void)error;
    session->topic_count = 0;
    for (size_t i = 0; i < jv_length(types); i++) {
        snprintf(session->topics[session->topic_count++], CONTROL_TOPIC_SIZE, "%s", jv_as_string(jv_at(types, i)));
    }
    if (!jv_has(params, "types")) {
        strcpy(session->topics[session->topic_count++], "*");
    }
    return control_done();
}

static struct jv *switch_get(void *context, struct control_session *session, const struct jv *params,
                             struct control_error *error)
{
    struct control_context *c = context;
    struct jv *o = config_switch_to_json(config_apply_switch(c->apply));

    (void)session;
    (void)params;
    (void)error;
    jv_set_int(o, "fdb_size", datapath_get_config(c->dp)->fdb_capacity);
    jv_set_int(o, "fdb_entries", datapath_fdb_count(c->dp));
    jv_set_int(o, "ports", datapath_port_count(c->dp));
    return o;
}

static struct jv *switch_set(void *context, struct control_session *session, const struct jv *params,
                             struct control_error *error)
{
    struct control_context *c = context;
    struct config_switch wanted = *config_apply_switch(c->apply);

    if (jv_has(params, "fdb_size")
        && jv_member_int(params, "fdb_size", 0) != datapath_get_config(c->dp)->fdb_capacity) {
        snprintf(error->path, sizeof error->path, "/fdb_size");
        snprintf(error->hint, sizeof error->hint, "set it in the configuration file and restart vswitchd");
        return control_fail(error, CONTROL_INVALID_STATE, "switch.fixed", "the MAC table's size is fixed while running");
    }
    config_switch_read(params, &wanted);
    config_apply_set_switch(c->apply, &wanted);
    return switch_get(context, session, params, error);
}

static bool add_port(void *context, const struct datapath_port_info *info)
{
    void **both = context;

    jv_append(both[1], control_port_to_json(both[0], info));
    return true;
}

static struct jv *stats_get(void *context, struct control_session *session, const struct jv *params,
                            struct control_error *error)
{
    struct control_context *c = context;
    struct jv *o = jv_new_object(), *ports = jv_new_array(), *list = jv_new_array();

    datapath_each_port(c->dp, add_port, (void *[]) {c, ports});
    for (size_t i = 0; i < jv_length(ports); i++) {
        struct jv *port = jv_at(ports, i), *one = jv_new_object();

        jv_set(one, "name", jv_ref(jv_get(port, "name")));
        jv_set(one, "counters", jv_ref(jv_get(port, "counters")));
        jv_append(list, one);
    }
    jv_unref(ports);
    jv_set(o, "switch", switch_get(context, session, params, error));
    jv_set(o, "ports", list);
    return o;
}

/* All of them, those that other files send as well. */
static const char *const events[] = {
    "port.added", "port.removed", "port.changed", "port.up", "port.down", "fdb.learned", "fdb.moved", "fdb.aged", "fdb.limit",
    "fdb.suppressed", "guest.started", "guest.exited", "config.applied", "daemon.ending", NULL,
};

static const char *check_topic(const char *text)
{
    size_t length = strlen(text);

    for (const char *const *e = events; *e; e++) {
        if (strncmp(text, *e, length) == 0 && ((*e)[length] == '\0' || (*e)[length] == '.')) {
            return NULL;
        }
    }
    return strcmp(text, "*") == 0 ? NULL : "types are port, fdb, guest, config, daemon, an event that vswitch-rpc(7) names, "
                                           "like \"port.added\", or \"*\"";
}

static const struct json_spec topic_element[] = {
    {.kind = JSON_SPEC_STRING, .min = 1, .max = CONTROL_TOPIC_SIZE - 1, .check = check_topic},
};
static const struct json_spec subscribe_params[] = {
    {.name = "types", .kind = JSON_SPEC_ARRAY, .max = CONTROL_TOPICS_MAX, .members = topic_element,
     .help = "\"port\", \"fdb.learned\" …; all unless given; [] ends the subscription"},
    {0},
};
static const struct json_spec shutdown_params[] = {
    {.name = "guests", .kind = JSON_SPEC_BOOL, .help = "stop the guests, too"},
    {0},
};

const struct control_method control_daemon_methods[] = {
    {"daemon.ping", CONTROL_VIEWER, NULL, daemon_ping, "answers"},
    {"daemon.info", CONTROL_VIEWER, NULL, daemon_info, "version, features, pid, what runs"},
    {"daemon.reload", CONTROL_OPERATOR, NULL, daemon_reload, "reads the configuration file again: all of it, or nothing"},
    {"daemon.shutdown", CONTROL_ADMIN, shutdown_params, daemon_shutdown, "ends the daemon"},
    {"rpc.methods", CONTROL_VIEWER, NULL, rpc_methods, "the methods, their parameters and who may call them"},
    {"config.get", CONTROL_VIEWER, NULL, config_get, "what runs, in the form of a configuration file"},
    {"events.subscribe", CONTROL_VIEWER, subscribe_params, events_subscribe, "sends events to this connection"},
    {"switch.get", CONTROL_VIEWER, NULL, switch_get, "the switch's settings"},
    {"switch.set", CONTROL_OPERATOR, config_switch_spec, switch_set, "changes the settings that are given"},
    {"stats.get", CONTROL_VIEWER, NULL, stats_get, "counters of the switch and its ports"},
    {0},
};
