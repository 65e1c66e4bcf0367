/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A vhost-user port: the peer is a guest's process (vswitch-guest, QEMU) or a
 * DPDK program that shares memory with us. As a client it connects to the
 * peer's socket, and tries again for as long as the port exists; as a server
 * it listens. The link is up while both queues of the peer run.
 */
#ifndef VSWITCHD_PORTS_PORT_VHOST_USER_H
#define VSWITCHD_PORTS_PORT_VHOST_USER_H

#include "vswitchd/os/event_loop.h"
#include "vswitchd/ports/port.h"

struct port_vhost_user_config {
    const char *name;  /* of the port */
    const char *path;  /* of the socket */
    bool server;       /* listen there, instead of connecting */
    bool unsealed;     /* admit memory that is not sealed against shrinking (DPDK, QEMU's memory-backend-file) */
    bool offload;      /* leave checksums and TSO to peers that take them; true is the useful value */
    unsigned mode;     /* of the socket file, as a server; 0: 0600 */
};

void port_vhost_user_config_init(struct port_vhost_user_config *config, const char *name, const char *path);
/* 0 or errno, with a text for people in `error`. A peer that is not there yet is no error. */
int port_vhost_user_create(struct event_loop *loop, const struct port_vhost_user_config *config, struct port **port,
                           char error[PORT_ERROR_SIZE]);
/* The peer's socket has come: a client tries at once instead of when its time comes. */
void port_vhost_user_retry(struct port *port);
/* A server's socket is made again where somebody has removed it; a peer that is connected stays. */
void port_vhost_user_listen_again(struct port *port);

#endif
