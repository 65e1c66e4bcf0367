/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What vhost_backend.c (the session), vhost_requests.c (the messages) and
 * vhost_rings.c (the queues' life) share. Nobody else includes this.
 */
#ifndef VSWITCHD_PORTS_VHOST_BACKEND_PRIVATE_H
#define VSWITCHD_PORTS_VHOST_BACKEND_PRIVATE_H

#include "proto/vhost_user.h"
#include "vswitchd/ports/vhost_backend.h"
#include "vswitchd/ports/vhost_memory.h"

struct ring {
    uint16_t size; /* 0: not told yet */
    uint16_t base;
    bool has_address;
    bool has_kick; /* started by SET_VRING_KICK, with a descriptor or without */
    bool enabled;
    int kick;
    int call;
    unsigned single_kicks; /* in a row that were read as 1 */
    struct vhost_user_ring_address address;
};

struct vhost_backend {
    struct vhost_backend_options options;
    struct vhost_backend_events events;
    int socket; /* -1: no session */
    uint64_t protocol_features;
    uint8_t status;
    struct vhost_user_receiver receiver;
    struct vhost_memory memory;
    struct ring rings[VIRTIO_NET_QUEUES];
    struct vhost_net net;
    char error[160];
};

/* Carries out a request that has the right form, and leaves its answer in the message. NULL, or what the peer did
 * wrong. */
const char *vhost_request(struct vhost_backend *backend, struct vhost_user_message *message);

/* Starts a ring when nothing is missing any more. NULL, or what is wrong. */
const char *vhost_ring_start(struct vhost_backend *backend, unsigned index);
void vhost_ring_stop(struct vhost_backend *backend, unsigned index);
/* The descriptor (-1: none) belongs to the ring afterwards, the former one is closed. */
void vhost_ring_set_kick(struct vhost_backend *backend, unsigned index, int fd);
void vhost_ring_set_call(struct vhost_backend *backend, unsigned index, int fd);
/* Stops both and forgets what was told of them. */
void vhost_rings_reset(struct vhost_backend *backend);

#endif
