/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of control_commands.h share: the list of tables, and errno in
 * the terms of the protocol.
 */
#include "vswitchd/control/control_commands.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vswitchd/core/eth_frame.h"
#include "vswitchd/guests.h"

enum { NAMES_MAX = 256 };

const struct control_method *const control_commands[] = {
    control_daemon_methods, control_port_methods, control_fdb_methods, control_guest_methods, control_capture_methods,
    NULL,
};

/* The reasons are whole strings, so that they can be found by searching for them. */
static const struct {
    int number;
    enum control_error_code code;
    const char *port, *guest, *fdb, *capture;
} errno_table[] = {
    {ENOENT, CONTROL_NOT_FOUND, "port.not_found", "guest.not_found", "fdb.not_found", "capture.not_found"},
    {EEXIST, CONTROL_EXISTS, "port.exists", "guest.exists", "fdb.exists", "capture.exists"},
    {ENODEV, CONTROL_NOT_FOUND, "port.not_found", "guest.no_nic", "fdb.not_found", "capture.not_found"},
    {EBUSY, CONTROL_BUSY, "port.busy", "guest.busy", "fdb.busy", "capture.busy"},
    {ENOSPC, CONTROL_LIMIT, "port.limit", "guest.limit", "fdb.limit", "capture.limit"},
    {EPERM, CONTROL_PERMISSION, "port.permission", "guest.permission", "fdb.permission", "capture.permission"},
    {EACCES, CONTROL_PERMISSION, "port.permission", "guest.permission", "fdb.permission", "capture.permission"},
    {EINVAL, CONTROL_INVALID_PARAMS, "port.invalid", "guest.invalid", "fdb.invalid", "capture.invalid"},
    {ENOTSUP, CONTROL_UNSUPPORTED, "port.unsupported", "guest.unsupported", "fdb.unsupported", "capture.unsupported"},
    {ESRCH, CONTROL_INVALID_STATE, "port.state", "guest.not_running", "fdb.state", "capture.state"},
    {EALREADY, CONTROL_INVALID_STATE, "port.state", "guest.running", "fdb.state", "capture.state"},
    {0, CONTROL_IO, "port.io", "guest.io", "fdb.io", "capture.io"},
};

struct jv *control_fail_errno(struct control_error *error, const char *noun, int number, const char *text)
{
    size_t i = 0;

    while (errno_table[i].number && errno_table[i].number != number) {
        i++;
    }
    error->error_number = number;
    if ((number == EPERM || number == EACCES) && strcmp(noun, "port") == 0) {
        snprintf(error->hint, sizeof error->hint, "taps need CAP_NET_ADMIN and /dev/net/tun: start vswitchd as root or "
                                                  "with that capability");
    }
    return control_fail(error, errno_table[i].code,
                        noun[0] == 'p' ? errno_table[i].port : noun[0] == 'g' ? errno_table[i].guest
                        : noun[0] == 'f' ? errno_table[i].fdb : errno_table[i].capture, "%s", text);
}

struct jv *control_fail_mismatch(struct control_error *error, const struct json_mismatch *mismatch)
{
    memcpy(error->path, mismatch->path, sizeof error->path);
    return control_fail(error, CONTROL_INVALID_PARAMS, "params.invalid", "%s%s%s", mismatch->path,
                        mismatch->path[0] ? ": " : "", mismatch->text);
}

/* `names`: room for one more than `count`. */
static struct jv *fail_no_name(const char *noun, const char *name, const char **names, size_t count, struct control_error *error)
{
    const char *meant;
    char text[80];

    names[count] = NULL;
    meant = json_did_you_mean(name, names);
    if (meant) {
        snprintf(error->hint, sizeof error->hint, "did you mean \"%s\"?", meant);
    } else {
        snprintf(error->hint, sizeof error->hint, count ? "%s.list lists those there are" : "there is none yet", noun);
    }
    snprintf(text, sizeof text, "there is no %s \"%.40s\"", noun, name);
    return control_fail_errno(error, noun, ENOENT, text);
}

struct jv *control_fail_no_port(const struct control_context *c, const char *name, struct control_error *error)
{
    const char *names[NAMES_MAX + 1];
    size_t count = 0;

    while (count < NAMES_MAX && count < config_apply_count(c->apply)) {
        names[count] = config_apply_at(c->apply, count)->config.name;
        count++;
    }
    return fail_no_name("port", name, names, count, error);
}

struct jv *control_fail_no_guest(const struct control_context *c, const char *name, struct control_error *error)
{
    const char *names[NAMES_MAX + 1];
    struct jv *list = guests_list(c->guests);
    size_t count = 0;

    while (count < NAMES_MAX && count < jv_length(list)) {
        names[count] = jv_member_string(jv_at(list, count), "name", "");
        count++;
    }
    fail_no_name("guest", name, names, count, error);
    jv_unref(list);
    return NULL;
}

struct jv *control_done(void)
{
    return jv_new_object();
}

const char *control_event_name(const struct datapath_event *event)
{
    static const char *const names[] = {
        [DATAPATH_PORT_ADDED] = "port.added", [DATAPATH_PORT_REMOVED] = "port.removed",
        [DATAPATH_PORT_CHANGED] = "port.changed", [DATAPATH_PORT_UP] = "port.up", [DATAPATH_PORT_DOWN] = "port.down",
        [DATAPATH_FDB_LEARNED] = "fdb.learned", [DATAPATH_FDB_MOVED] = "fdb.moved", [DATAPATH_FDB_AGED] = "fdb.aged",
        [DATAPATH_FDB_LIMIT] = "fdb.limit",
    };
    return names[event->type];
}

struct jv *control_event_data(const struct datapath_event *event)
{
    struct jv *data = jv_new_object();

    jv_set_string(data, "port", event->port);
    if (event->type == DATAPATH_FDB_LEARNED || event->type == DATAPATH_FDB_MOVED || event->type == DATAPATH_FDB_AGED) {
        char mac[ETH_MAC_TEXT_SIZE];

        eth_mac_format(event->mac, mac);
        jv_set_string(data, "mac", mac);
        jv_set_int(data, "vlan", event->vlan);
    }
    return data;
}
