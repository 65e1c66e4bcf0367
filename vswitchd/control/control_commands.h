/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The methods of the daemon (vswitch-rpc(7)): tables of handlers over what the
 * daemon is made of. One file a noun: control_daemon.c, control_port.c,
 * control_fdb.c, control_guest.c, control_capture.c.
 */
#ifndef VSWITCHD_CONTROL_CONTROL_COMMANDS_H
#define VSWITCHD_CONTROL_CONTROL_COMMANDS_H

#include "vswitchd/config_apply.h"
#include "vswitchd/control/control_dispatch.h"

struct captures;
struct control_server;
struct guests;

/* The context of every handler. */
struct control_context {
    struct event_loop *loop;
    struct datapath *dp;
    struct config_apply *apply;
    struct guests *guests;              /* NULL: no guests here. */
    struct captures *captures;          /* NULL: no captures here. */
    struct control_server *server;
    const struct control_dispatch *dispatch;
    const char *run_dir;
    const char *config_file;            /* "": none. */
    const char *group;                  /* Whose members are operators; "": nobody's. */
    uint64_t started;                   /* ns, CLOCK_MONOTONIC */
    bool io_uring;                      /* Frames to taps go in batches. */
    void *daemon;
    int (*reload)(void *daemon, struct config_error *error);
    void (*shutdown)(void *daemon, bool guests);
};

/* Ended by NULL. */
extern const struct control_method *const control_commands[];

extern const struct control_method control_daemon_methods[];
extern const struct control_method control_port_methods[];
extern const struct control_method control_fdb_methods[];
extern const struct control_method control_guest_methods[];
extern const struct control_method control_capture_methods[];

/* For the files above: from errno to the protocol's error; answers NULL. `noun` becomes the reason's first part. */
struct jv *control_fail_errno(struct control_error *error, const char *noun, int number, const char *text);
struct jv *control_fail_mismatch(struct control_error *error, const struct json_mismatch *mismatch);
/* There is no port, or guest, of that name: with the one that may be meant. Both answer NULL. */
struct jv *control_fail_no_port(const struct control_context *c, const char *name, struct control_error *error);
struct jv *control_fail_no_guest(const struct control_context *c, const char *name, struct control_error *error);
/* An empty object: done, nothing to say. */
struct jv *control_done(void);
/* A port as port.list shows it. */
struct jv *control_port_to_json(const struct control_context *c, const struct datapath_port_info *info);
/* What an event of the data path is called, and its data. */
const char *control_event_name(const struct datapath_event *event);
struct jv *control_event_data(const struct datapath_event *event);

#endif
