/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What control_server.c, the two sockets, and control_client.c, those who have come
 * by them, share; nobody else includes it.
 */
#ifndef VSWITCHD_CONTROL_CONTROL_SERVER_PRIVATE_H
#define VSWITCHD_CONTROL_CONTROL_SERVER_PRIVATE_H

#include <sys/types.h>

#include "vswitchd/control/control_frame.h"
#include "vswitchd/control/control_server.h"
#include "vswitchd/os/foreign.h"
#include "vswitchd/os/log.h"

struct client {
    struct control_server *server;
    struct door *door;
    struct client *next, **link;
    int fd;
    struct event_watch *watch;
    struct event_timer *resume; /* Takes up lines that are buffered. */
    uint64_t not_before;        /* Its next turn, ns: who keeps the daemon busy waits longer. */
    struct control_session session;
    struct control_input input;
    struct control_output output;
    uint64_t awaits;            /* So many taps have to be closed (slow_close.h) before it is answered; 0: none */
    uint64_t events_dropped;    /* Since the client was last told. */
    uint64_t heard;             /* When it last sent something, ns. */
    bool ended;                 /* It sends no more. */
};

/* A listening socket. */
struct door {
    struct control_server *server;
    const char *name;           /* Of the socket, in the run directory. */
    bool read_only;
    ino_t inode;                /* Of its socket's name. */
    dev_t device;
    enum foreign_account account;
    struct listener *listener;
    unsigned clients;           /* Of this one. */
    struct log_limit refusals;
};

struct control_server {
    struct event_loop *loop;
    const struct control_dispatch *dispatch;
    int run_dir_fd;
    gid_t group;                /* (gid_t)-1: none */
    struct door doors[2];
    struct client *clients;
    uint64_t sequence;          /* Of the last event. */
};

/* NULL: no memory; `fd` is still the caller's. */
struct client *control_client_create(struct door *door, int fd, const struct control_session *session);
void control_client_close(struct client *c);
/* Sends what waits, as far as that goes now. False: the client is gone. */
bool control_client_write(struct client *c);
/* Queues an event, a line without its end; or counts it, where too much waits. */
void control_client_event(struct client *c, const char *text, size_t size);

#endif
