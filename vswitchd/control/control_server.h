/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The control sockets: accepts clients, knows who they are (SO_PEERCRED),
 * carries their lines to control_dispatch() and the answers and events back.
 * A client that does not read is held up and in the end cut off; it never
 * holds up anybody else.
 */
#ifndef VSWITCHD_CONTROL_CONTROL_SERVER_H
#define VSWITCHD_CONTROL_CONTROL_SERVER_H

#include "vswitchd/control/control_dispatch.h"
#include "vswitchd/os/event_loop.h"

struct control_server;

enum { CONTROL_CLIENTS_MAX = 64 };      /* Of each of the two sockets. */

struct control_server_config {
    int run_dir_fd;                     /* Where the sockets are made. */
    const char *run_dir;                /* Its name, for messages. */
    const char *group;                  /* Its members are operators; "" for none. */
};

/* 0 or errno with a text in `error`. Replaces sockets that were left behind; the caller holds the run directory's lock, so
 * nobody listens there. `dispatch` is used for as long as the server lives. */
int control_server_create(struct event_loop *loop, const struct control_server_config *config,
                          const struct control_dispatch *dispatch, struct control_server **server, char *error,
                          size_t error_size);
/* Makes the sockets again where somebody has removed them; clients stay. */
void control_server_again(struct control_server *server);
void control_server_destroy(struct control_server *server);     /* Takes the sockets away. */

/* Whether somebody wants events of this type; making the others would be wasted. */
bool control_server_wanted(const struct control_server *server, const char *type);
/* To all who subscribed: {"method": "event", "params": {seq, time, type, data}}. Takes over `data`. */
void control_server_event(struct control_server *server, const char *type, struct jv *data);

unsigned control_server_client_count(const struct control_server *server);
/* Sends what is queued, as far as that goes without waiting: the last thing before the end. */
void control_server_flush(struct control_server *server);

#endif
