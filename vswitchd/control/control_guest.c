/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The methods guest.*.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vswitchd/control/control_commands.h"
#include "vswitchd/guests.h"

enum { STOP_TIMEOUT_S = 10 };

static struct jv *fail(struct control_context *c, const char *name, int result, const struct config_apply_error *wrong,
                       struct control_error *error)
{
    struct jv *guest = guests_get(c->guests, name);
    bool unknown = !guest && result == ENOENT;

    jv_unref(guest);
    return unknown ? control_fail_no_guest(c, name, error) : control_fail_errno(error, "guest", result, wrong->text);
}

static struct jv *result_of(struct control_context *c, const char *name, int result,
                            const struct config_apply_error *wrong, struct control_error *error)
{
    return result == 0 ? guests_get(c->guests, name) : fail(c, name, result, wrong, error);
}

static struct jv *guest_list(void *context, struct control_session *session, const struct jv *params,
                             struct control_error *error)
{
    struct control_context *c = context;

    (void)session;
    (void)params;
    (void)error;
    return guests_list(c->guests);
}

static struct jv *guest_get(void *context, struct control_session *session, const struct jv *params,
                            struct control_error *error)
{
    struct control_context *c = context;
    const char *name = jv_member_string(params, "name", "");
    struct jv *guest = guests_get(c->guests, name);

    (void)session;
    return guest ? guest : control_fail_no_guest(c, name, error);
}

static struct jv *guest_define(void *context, struct control_session *session, const struct jv *params,
                               struct control_error *error)
{
    struct control_context *c = context;
    struct config_apply_error wrong;
    struct json_mismatch mismatch;
    struct config_guest guest;

    (void)session;
    if (!config_guest_read(params, &guest, &mismatch)) {
        return control_fail_mismatch(error, &mismatch);
    }
    return result_of(c, guest.name, guests_define(c->guests, &guest, &wrong), &wrong, error);
}

static struct jv *guest_undefine(void *context, struct control_session *session, const struct jv *params,
                                 struct control_error *error)
{
    struct control_context *c = context;
    struct config_apply_error wrong;
    const char *name = jv_member_string(params, "name", "");
    int result = guests_undefine(c->guests, name, &wrong);

    (void)session;
    return result == 0 ? control_done() : fail(c, name, result, &wrong, error);
}

static struct jv *guest_start(void *context, struct control_session *session, const struct jv *params,
                              struct control_error *error)
{
    struct control_context *c = context;
    const char *name = jv_member_string(params, "name", "");
    struct config_apply_error wrong;

    (void)session;
    return result_of(c, name, guests_start(c->guests, name, &wrong), &wrong, error);
}

static const char *check_name(const char *text)
{
    return port_name_valid(text) && strlen(text) < CONFIG_GUEST_NAME_SIZE ? NULL : "that is no guest's name";
}

static struct jv *guest_adopt(void *context, struct control_session *session, const struct jv *params,
                              struct control_error *error)
{
    struct control_context *c = context;
    const char *name = jv_member_string(params, "name", "");
    struct config_apply_error wrong;

    (void)session;
    return result_of(c, name, guests_adopt_one(c->guests, name, &wrong), &wrong, error);
}

static struct jv *guest_stop(void *context, struct control_session *session, const struct jv *params,
                             struct control_error *error)
{
    struct control_context *c = context;
    const char *name = jv_member_string(params, "name", "");
    uint64_t timeout = (uint64_t)jv_member_int(params, "timeout_s", STOP_TIMEOUT_S) * EVENT_LOOP_SECOND;
    struct config_apply_error wrong;

    (void)session;
    return result_of(c, name, guests_stop(c->guests, name, timeout, &wrong), &wrong, error);
}

static struct jv *guest_kill(void *context, struct control_session *session, const struct jv *params,
                             struct control_error *error)
{
    struct control_context *c = context;
    const char *name = jv_member_string(params, "name", "");
    struct config_apply_error wrong;

    (void)session;
    return result_of(c, name, guests_kill(c->guests, name, &wrong), &wrong, error);
}

static struct jv *guest_link(void *context, struct control_session *session, const struct jv *params,
                                struct control_error *error)
{
    struct control_context *c = context;
    const char *name = jv_member_string(params, "name", "");
    struct config_apply_error wrong;

    (void)session;
    return result_of(c, name, guests_set_link(c->guests, name, (unsigned)jv_member_int(params, "nic", 0),
                                              jv_member_bool(params, "up", true), &wrong), &wrong, error);
}

static struct jv *guest_trace(void *context, struct control_session *session, const struct jv *params,
                              struct control_error *error)
{
    struct control_context *c = context;
    const struct guests_trace_options options = {
        .nic = (unsigned)jv_member_int(params, "nic", 0), .strict = jv_member_bool(params, "strict", false),
        .rules = jv_member_bool(params, "rules", false),
    };
    struct config_apply_error wrong;
    char path[CONFIG_FILE_MAX];
    struct jv *o;
    const char *name = jv_member_string(params, "name", "");
    int result = guests_trace(c->guests, name, &options, path, sizeof path, &wrong);

    (void)session;
    if (result != 0) {
        return fail(c, name, result, &wrong, error);
    }
    o = jv_new_object();
    jv_set_string(o, "socket", path);
    return o;
}

static struct jv *guest_console(void *context, struct control_session *session, const struct jv *params,
                                struct control_error *error)
{
    const char *name = jv_member_string(params, "name", "");
    struct jv *guest = guest_get(context, session, params, error);
    struct jv *o;

    if (!guest) {
        return NULL;
    }
    if (!jv_has(guest, "console_socket")) {
        jv_unref(guest);
        snprintf(error->hint, sizeof error->hint, "guest.start starts it");
        return control_fail(error, CONTROL_INVALID_STATE, "guest.not_running", "guest %s is not running", name);
    }
    o = jv_new_object();
    jv_set(o, "socket", jv_ref(jv_get(guest, "console_socket")));
    jv_unref(guest);
    return o;
}

static const struct json_spec name_params[] = {
    {.name = "name", .kind = JSON_SPEC_STRING, .required = true},
    {0},
};
static const struct json_spec adopt_params[] = {
    {.name = "name", .kind = JSON_SPEC_STRING, .required = true, .check = check_name},
    {0},
};
static const struct json_spec stop_params[] = {
    {.name = "name", .kind = JSON_SPEC_STRING, .required = true},
    {.name = "timeout_s", .kind = JSON_SPEC_INT, .min = 0, .max = 3600, .help = "then it is killed; 10 unless given"},
    {0},
};
static const struct json_spec link_params[] = {
    {.name = "name", .kind = JSON_SPEC_STRING, .required = true},
    {.name = "nic", .kind = JSON_SPEC_INT, .min = 0, .max = CONFIG_NICS_MAX - 1, .help = "the first unless said"},
    {.name = "up", .kind = JSON_SPEC_BOOL, .required = true, .help = "whether the cable is plugged in"},
    {0},
};
static const struct json_spec trace_params[] = {
    {.name = "name", .kind = JSON_SPEC_STRING, .required = true},
    {.name = "nic", .kind = JSON_SPEC_INT, .min = 0, .max = CONFIG_NICS_MAX - 1, .help = "the first unless said"},
    {.name = "strict", .kind = JSON_SPEC_BOOL, .help = "also each rule of the chip's manual that the driver breaks"},
    {.name = "rules", .kind = JSON_SPEC_BOOL, .help = "these alone"},
    {0},
};

const struct control_method control_guest_methods[] = {
    {"guest.list", CONTROL_VIEWER, NULL, guest_list, "all guests"},
    {"guest.get", CONTROL_VIEWER, name_params, guest_get, "one guest"},
    {"guest.define", CONTROL_ADMIN, config_guest_spec, guest_define, "defines a guest, or a stopped one anew"},
    {"guest.undefine", CONTROL_ADMIN, name_params, guest_undefine, "forgets a stopped guest"},
    {"guest.start", CONTROL_OPERATOR, name_params, guest_start, "starts a guest's process"},
    {"guest.adopt", CONTROL_OPERATOR, adopt_params, guest_adopt, "takes up a guest that something else has started"},
    {"guest.stop", CONTROL_OPERATOR, stop_params, guest_stop, "asks a guest to end; guest.exited tells when it has"},
    {"guest.kill", CONTROL_OPERATOR, name_params, guest_kill, "ends a guest at once"},
    {"guest.link", CONTROL_OPERATOR, link_params, guest_link, "plugs a card's cable in or out"},
    {"guest.trace", CONTROL_OPERATOR, trace_params, guest_trace, "a socket that gives a card's register accesses as lines"},
    {"guest.console", CONTROL_OPERATOR, name_params, guest_console, "the socket of its serial console"},
    {0},
};
