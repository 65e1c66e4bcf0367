/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The methods capture.*.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "vswitchd/captures.h"
#include "vswitchd/control/control_commands.h"
#include "vswitchd/os/capture.h"

static struct jv *capture_start(void *context, struct control_session *session, const struct jv *params,
                                struct control_error *error)
{
    struct control_context *c = context;
    const char *direction = jv_member_string(params, "direction", "both");
    struct capture_options options = {
        .port = jv_member_string(params, "port", ""),
        .filter = jv_as_string(jv_get(params, "filter")),
        .file = jv_as_string(jv_get(params, "file")),
        .in = strcmp(direction, "out") != 0,
        .out = strcmp(direction, "in") != 0,
        .snaplen = (unsigned)jv_member_int(params, "snaplen", CAPTURE_SNAPLEN_MAX),
        .count = (uint64_t)jv_member_int(params, "count", 0),
    };
    char text[CAPTURES_ERROR_SIZE];
    unsigned id;
    int result;

    if (options.file && session->role < CONTROL_ADMIN) {
        return control_fail(error, CONTROL_PERMISSION, "permission.path",
                            "naming a file needs the role admin; the role of this connection is %s",
                            control_role_name(session->role));
    }
    if (!datapath_find_port(c->dp, options.port)) {
        return control_fail_no_port(c, options.port, error);
    }
    result = captures_start(c->captures, &options, &id, text);
    if (result != 0) {
        if (result == EINVAL) {
            snprintf(error->path, sizeof error->path, "/filter");
            snprintf(error->hint, sizeof error->hint, "filters are written as for tcpdump: \"icmp\", \"tcp port 80\"");
        }
        return control_fail_errno(error, "capture", result, text);
    }
    return captures_get(c->captures, id);
}

static struct jv *capture_stop(void *context, struct control_session *session, const struct jv *params,
                               struct control_error *error)
{
    struct control_context *c = context;
    unsigned id = (unsigned)jv_member_int(params, "id", 0);
    struct jv *result = captures_stop(c->captures, id);
    char text[80];

    (void)session;
    if (!result) {
        snprintf(text, sizeof text, "there is no capture %u", id);
        return control_fail_errno(error, "capture", ENOENT, text);
    }
    return result;
}

static struct jv *capture_list(void *context, struct control_session *session, const struct jv *params,
                               struct control_error *error)
{
    struct control_context *c = context;

    (void)session;
    (void)params;
    (void)error;
    return captures_list(c->captures);
}

static const char *check_file(const char *text)
{
    return text[0] == '/' ? NULL : "an absolute path is needed";
}

static const char *const directions[] = {"in", "out", "both", NULL};
static const struct json_spec start_params[] = {
    {.name = "port", .kind = JSON_SPEC_STRING, .required = true},
    {.name = "filter", .kind = JSON_SPEC_STRING, .max = CAPTURE_FILTER_MAX, .help = "as for tcpdump"},
    {.name = "direction", .kind = JSON_SPEC_ENUM, .choices = directions, .help = "in = from the port into the switch"},
    {.name = "snaplen", .kind = JSON_SPEC_INT, .min = 14, .max = CAPTURE_SNAPLEN_MAX},
    {.name = "count", .kind = JSON_SPEC_INT, .min = 1, .max = INT64_MAX, .help = "ends after so many packets"},
    {.name = "file", .kind = JSON_SPEC_STRING, .max = 4095, .check = check_file,
     .help = "written by the daemon; otherwise the answer names a socket that gives the bytes"},
    {0},
};
static const struct json_spec stop_params[] = {
    {.name = "id", .kind = JSON_SPEC_INT, .required = true, .min = 1, .max = UINT32_MAX},
    {0},
};

const struct control_method control_capture_methods[] = {
    {"capture.start", CONTROL_OPERATOR, start_params, capture_start, "captures a port's frames as pcap"},
    {"capture.stop", CONTROL_OPERATOR, stop_params, capture_stop, "ends a capture; the answer is what it has counted"},
    {"capture.list", CONTROL_VIEWER, NULL, capture_list, "captures that run"},
    {0},
};
