/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One vhost-user session, the back-end's side: answers the front-end's
 * messages, maps its memory, starts and stops the two queues, wakes it. Knows
 * neither ports nor the event loop: port_vhost_user watches the descriptors
 * and calls. After any error the session is over: close it, and read why.
 */
#ifndef VSWITCHD_PORTS_VHOST_BACKEND_H
#define VSWITCHD_PORTS_VHOST_BACKEND_H

#include "vswitchd/ports/vhost_net.h"

struct vhost_backend;

struct vhost_backend_options {
    bool offload; /* offer to leave checksums and TSO to the peer (the other way it is always offered) */
    bool unsealed; /* map memory that is not sealed, too */
};

struct vhost_backend_events {
    void *context;
    /* The kick descriptor of a queue is now `fd` (-1: none); the former one is closed after this. */
    void (*watch_kick)(void *context, unsigned queue, int fd);
};

struct vhost_backend *vhost_backend_create(const struct vhost_backend_options *options,
                                           const struct vhost_backend_events *events); /* NULL: no memory */
void vhost_backend_destroy(struct vhost_backend *backend);

/* Begins a session on a connected socket, which now belongs to the back-end. */
void vhost_backend_open(struct vhost_backend *backend, int socket);
void vhost_backend_close(struct vhost_backend *backend);
bool vhost_backend_is_open(const struct vhost_backend *backend);

/* The socket is readable. 0 or errno. */
int vhost_backend_service(struct vhost_backend *backend);
/* Both queues run: frames can pass. */
bool vhost_backend_ready(const struct vhost_backend *backend);
/* What was negotiated (virtio feature bits). */
uint64_t vhost_backend_features(const struct vhost_backend *backend);
/* A queue has no kick descriptor: look into it from time to time. */
bool vhost_backend_needs_polling(const struct vhost_backend *backend);
/* Reads away a kick. 0 or errno. Never blocks, whatever the peer made of the descriptor. */
int vhost_backend_read_kick(struct vhost_backend *backend, unsigned queue);

/* Frames, see vhost_net.h. EAGAIN also while the session is not ready. */
int vhost_backend_receive(struct vhost_backend *backend, struct frame *frame, enum drop_reason *reason);
/* How many frames wait to be received, as far as is known without looking at the peer's index again. */
unsigned vhost_backend_waiting(const struct vhost_backend *backend);
int vhost_backend_send(struct vhost_backend *backend, const struct frame *frame);
/* A burst is over: shows the peer what was done, and calls it if it asked. 0 or errno; ETIMEDOUT: it made us wait. */
int vhost_backend_flush(struct vhost_backend *backend);

/* Why the session ended: a text for people, until the next one is opened. */
const char *vhost_backend_error(const struct vhost_backend *backend);

#endif
