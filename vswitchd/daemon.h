/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The daemon as a whole; for main.c and the daemon_*.c files, which have its
 * start and end (daemon_start.c), its configuration (daemon_config.c) and what it
 * does when something happens (daemon_events.c).
 */
#ifndef VSWITCHD_DAEMON_H
#define VSWITCHD_DAEMON_H

#include "vswitchd/captures.h"
#include "vswitchd/config_apply.h"
#include "vswitchd/control/control_commands.h"
#include "vswitchd/control/control_server.h"
#include "vswitchd/guests.h"
#include "vswitchd/options.h"
#include "vswitchd/os/log.h"
#include "vswitchd/os/write_batch.h"
#include "vswitchd/run_dir.h"
#include "vswitchd/state.h"

struct daemon {
    struct options options;
    struct run_dir dir;
    char config_file[4096];         /* Absolute; "": none. */
    char config_name[256];          /* Its last part, */
    int config_dir_fd;              /* in this directory: readable also when the rights to its parents are gone. */
    struct event_loop *loop;
    struct netlink *netlink;
    struct write_batch *writer;     /* NULL: frames to taps take a system call each. */
    struct datapath *dp;
    struct config_apply *apply;
    struct guests_launcher *launcher;
    struct guests *guests;
    struct captures *captures;
    struct state *state;
    struct event_call *save;        /* The state, after a request, */
    struct event_timer *save_again; /* and after a failure. */
    struct control_server *server;
    struct control_context context;
    char group[32];                 /* As in the configuration. */
    struct control_dispatch dispatch;
    struct event_signal *signals[3];
    struct event_timer *watchdog;
    struct log_limit fdb_events;    /* Addresses come by the ten thousand; subscribers get so many a second. */
    bool ending;
};

/* Functions that answer a status have logged what is wrong: 0 or one of sysexits.h. */

/* Makes everything, joins it to the event loop, lowers the rights, applies the configuration. After an error, too,
 * daemon_finish() is to be called. */
int daemon_start(struct daemon *d, const struct config *config);
/* `orderly`: what was asked for is forgotten with the last guest; otherwise the next daemon restores it. */
void daemon_finish(struct daemon *d, bool orderly);

/* Finds the configuration file and opens its directory. */
int daemon_open_config(struct daemon *d);
/* Without a file, the defaults. 0; otherwise *error says what is wrong. */
int daemon_load_config(struct daemon *d, struct config *config, struct config_error *error);
/* From the configuration to what runs; at the start an error ends the daemon. */
int daemon_apply_config(struct daemon *d, const struct config *config);
/* Reads the file again; on an error nothing is changed, and *error says why. `context` is the daemon here and below. */
int daemon_reload(void *context, struct config_error *error);
void daemon_reload_by_signal(void *context);

/* To the service manager; `ready`: also that the start, or a reload, is over. */
void daemon_say_status(struct daemon *d, bool ready);
void daemon_datapath_event(void *context, const struct datapath_event *event);
void daemon_guest_event(void *context, const char *type, struct jv *data);
void daemon_audit(void *context, const struct control_session *session, const char *method);
void daemon_save_state(void *context);
void daemon_watchdog(void *context);
/* Ends the loop; `guests`: once they have ended, too. */
void daemon_end(void *context, bool guests);
void daemon_end_by_signal(void *context);

#endif
