/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Guests: processes of vswitch-guest, each with a directory RUN_DIR/guests/NAME
 * that holds its sockets, its pid and guest.json, what it was started with. The
 * processes outlive the daemon; the next one finds them by their directories.
 * Ports of a guest are there while it runs. Processes are started by the
 * launcher (guests_launcher.h), which keeps the right to do so out of the
 * daemon.
 */
#ifndef VSWITCHD_GUESTS_H
#define VSWITCHD_GUESTS_H

#include "vswitchd/config_apply.h"
#include "vswitchd/guests_launcher.h"

struct guests;

enum guest_state { GUEST_STOPPED, GUEST_STARTING, GUEST_RUNNING, GUEST_STOPPING };
const char *guest_state_name(enum guest_state state);

/* What happened: "guest.started", "guest.exited" …, with data for the event, which the listener takes over. */
typedef void guests_event_function(void *context, const char *type, struct jv *data);

struct guests_config {
    struct event_loop *loop;
    struct config_apply *apply;
    struct guests_launcher *launcher;   /* NULL: no guests can be started here. */
    int run_dir_fd;
    const char *run_dir;                /* Absolute. */
    const char *state_dir;              /* Absolute; made when it is needed. */
    guests_event_function *event;
    void *context;
};

struct guests *guests_create(const struct guests_config *config);       /* NULL: no memory or no directory */
void guests_destroy(struct guests *guests);                             /* The processes go on. */

/* Makes RUN_DIR/guests again where somebody has removed it. Whether it did. */
bool guests_directory_again(struct guests *guests);
/* Takes up guests that run already and are not known, at the start; clears away what dead ones left. */
void guests_adopt(struct guests *guests);
/* The same for one that somebody else has started. ESRCH: nothing runs there, yet. */
int guests_adopt_one(struct guests *guests, const char *name, struct config_apply_error *error);

/* Guests of a configuration file: defines, changes and forgets them; those that run go on as they were started. */
void guests_set_config(struct guests *guests, const struct config *config);
/* Starts those that are to start by themselves and have come since the last call. */
void guests_autostart(struct guests *guests);

/* 0 or errno with *error. A definition replaces one of that name while the guest is stopped (EALREADY). */
int guests_define(struct guests *guests, const struct config_guest *guest, struct config_apply_error *error);
/* A definition from before a restart, where there is none by now. */
void guests_restore(struct guests *guests, const struct config_guest *guest);
int guests_undefine(struct guests *guests, const char *name, struct config_apply_error *error);
/* It runs then; or it is starting, where the launcher is slow: "guest.started" or "guest.exited" tells what came of it. */
int guests_start(struct guests *guests, const char *name, struct config_apply_error *error);
/* Asks it to end, and kills it `timeout` ns later. */
int guests_stop(struct guests *guests, const char *name, uint64_t timeout, struct config_apply_error *error);
int guests_kill(struct guests *guests, const char *name, struct config_apply_error *error);
/* Stops all of them; `done` is called when the last one is gone. */
void guests_stop_all(struct guests *guests, uint64_t timeout, void (*done)(void *context), void *context);

unsigned guests_running(const struct guests *guests);
struct jv *guests_list(const struct guests *guests);                    /* Array. */
struct jv *guests_get(const struct guests *guests, const char *name);   /* NULL: no such guest. */
/* Their definitions, as a configuration has them; all, or those alone that are not from the configuration file. */
struct jv *guests_config(const struct guests *guests, bool requested_only);
/* Plugs a card's cable in or out. 0 or errno with *error. */
int guests_set_link(struct guests *guests, const char *name, unsigned nic, bool link, struct config_apply_error *error);
/* A card's register accesses as lines: the socket `path` gives them to the one reader that connects within ten seconds.
 * The first line is JSON: {"ok": true}, or {"error": …} and no more follow. 0 or errno with *error. */
struct guests_trace_options {
    unsigned nic;
    bool strict;                        /* Also the rules that the driver breaks, */
    bool rules;                         /* or these alone. */
};
int guests_trace(struct guests *guests, const char *name, const struct guests_trace_options *options, char *path,
                 size_t size, struct config_apply_error *error);
/* A port's policy was changed: remembered with the guest it belongs to, if any. */
void guests_port_changed(struct guests *guests, const char *port, const struct switch_port_config *policy);

#endif
