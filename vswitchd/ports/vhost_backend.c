/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A session of the vhost-user back-end, see vhost_backend.h: receives the
 * front-end's messages and answers them (vhost_requests.c carries them out),
 * passes frames on to vhost_net, and keeps the reason of the end.
 */
#include "vswitchd/ports/vhost_backend.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "vswitchd/os/foreign.h"
#include "vswitchd/os/stall_guard.h"
#include "vswitchd/ports/vhost_backend_private.h"

#define MESSAGES_A_CALL 32     /* of vhost_backend_service(): others get their turn; one with descriptors is the last */
#define SINGLE_KICKS_MAX 1024u /* kicks in a row, none with another before it was read: then it is looked at, */
#define SINGLE_KICKS_READ 16u  /* by so many reads */

static int fail(struct vhost_backend *backend, int error, const char *where, const char *what)
{
    if (!backend->error[0])
        snprintf(backend->error, sizeof(backend->error), "%s%s%s", where, *where ? ": " : "", what);
    return error;
}

static int reply(struct vhost_backend *backend, uint32_t request, const union vhost_user_payload *payload,
                 uint32_t size)
{
    struct vhost_user_message answer;
    int error;

    vhost_user_message_init(&answer, request, VHOST_USER_REPLY, size);
    memcpy(answer.payload.bytes, payload->bytes, size);
    error = vhost_user_send(backend->socket, &answer);
    return error ? fail(backend, error, "reply", strerror(error)) : 0;
}

static int answer(struct vhost_backend *backend, struct vhost_user_message *message, const char *refused)
{
    uint32_t request = message->header.request;
    bool acknowledge = (backend->protocol_features & VHOST_USER_PROTOCOL_REPLY_ACK) &&
                       (message->header.flags & VHOST_USER_NEED_REPLY);
    union vhost_user_payload payload = { .number = refused != NULL };
    int error = 0;

    if (!refused && vhost_user_has_reply(request))
        error = reply(backend, request, &message->payload,
                      request == VHOST_USER_GET_VRING_BASE ? sizeof(message->payload.state) : sizeof(uint64_t));
    else if (acknowledge)
        error = reply(backend, request, &payload, sizeof(uint64_t));
    return refused ? fail(backend, EPROTO, vhost_user_request_name(request), refused) : error;
}

int vhost_backend_service(struct vhost_backend *backend)
{
    struct vhost_user_message *message = &backend->receiver.message;
    bool had_descriptors = false;

    for (unsigned i = 0; i < MESSAGES_A_CALL && !had_descriptors; i++) {
        int error = vhost_user_receive(&backend->receiver, backend->socket);
        const char *refused;

        had_descriptors = message->fd_count > 0; /* whose room is looked for, at 40 µs a time */
        if (error == EAGAIN)
            return 0;
        if (error == ECONNRESET)
            return fail(backend, error, "", "the peer closed the connection");
        if (error == EMSGSIZE)
            return fail(backend, error, "", "message is too large");
        if (error == EPROTO)
            return fail(backend, error, "", "message of another version, or with too many descriptors");
        if (error == EMFILE)
            return fail(backend, error, "", "too few descriptors are free to take in those that it sends: "
                        "a higher limit gives room (LimitNOFILE=, ulimit -Hn)");
        if (error)
            return fail(backend, error, "message", strerror(error));
        refused = vhost_user_check_request(message);
        if (!refused)
            refused = vhost_request(backend, message);
        error = answer(backend, message, refused);
        if (error)
            return error;
    }
    return 0;
}

static void discard(int fd)
{
    foreign_close(fd, FOREIGN_PORTS);
}

struct vhost_backend *vhost_backend_create(const struct vhost_backend_options *options,
                                           const struct vhost_backend_events *events)
{
    struct vhost_backend *backend = calloc(1, sizeof(*backend));

    if (!backend)
        return NULL;
    backend->options = *options;
    backend->events = *events;
    backend->socket = -1;
    for (unsigned i = 0; i < VIRTIO_NET_QUEUES; i++)
        backend->rings[i].kick = backend->rings[i].call = -1;
    vhost_memory_init(&backend->memory);
    vhost_user_receiver_init(&backend->receiver);
    backend->receiver.discard = discard;
    return backend;
}

void vhost_backend_destroy(struct vhost_backend *backend)
{
    if (!backend)
        return;
    vhost_backend_close(backend);
    free(backend);
}

void vhost_backend_open(struct vhost_backend *backend, int socket)
{
    vhost_backend_close(backend);
    backend->socket = socket;
    backend->error[0] = '\0';
    backend->protocol_features = 0;
    backend->status = 0;
    memset(&backend->net, 0, sizeof(backend->net));
}

void vhost_backend_close(struct vhost_backend *backend)
{
    if (backend->socket < 0)
        return;
    vhost_rings_reset(backend);
    vhost_memory_clear(&backend->memory);
    vhost_user_receiver_clear(&backend->receiver);
    foreign_close_socket(backend->socket, FOREIGN_PORTS);
    backend->socket = -1;
}

bool vhost_backend_is_open(const struct vhost_backend *backend)
{
    return backend->socket >= 0;
}

bool vhost_backend_ready(const struct vhost_backend *backend)
{
    return backend->net.running[VIRTIO_NET_RX] && backend->net.running[VIRTIO_NET_TX];
}

uint64_t vhost_backend_features(const struct vhost_backend *backend)
{
    return backend->net.features;
}

bool vhost_backend_needs_polling(const struct vhost_backend *backend)
{
    return vhost_backend_ready(backend) &&
           (backend->rings[VIRTIO_NET_RX].kick < 0 || backend->rings[VIRTIO_NET_TX].kick < 0);
}

/* Reads an eventfd. RWF_NOWAIT: the peer shares the file description and may have cleared O_NONBLOCK. */
static ssize_t read_eventfd(int fd, uint64_t *count)
{
    struct iovec iov = { .iov_base = count, .iov_len = sizeof(*count) };

    return preadv2(fd, &iov, 1, -1, RWF_NOWAIT);
}

/* An eventfd of the kind that each read makes less by one would keep us busy for ever with what was written once: whether
 * it is one shows in that reads in a row all bring 1. */
static bool counts_down(struct ring *ring)
{
    uint64_t count = 1;

    if (++ring->single_kicks < SINGLE_KICKS_MAX)
        return false;
    ring->single_kicks = 0;
    for (unsigned i = 0; i < SINGLE_KICKS_READ; i++)
        if (read_eventfd(ring->kick, &count) < 0 || count != 1)
            return false;
    return true;
}

int vhost_backend_read_kick(struct vhost_backend *backend, unsigned queue)
{
    struct ring *ring = &backend->rings[queue];
    uint64_t count = 0;

    if (read_eventfd(ring->kick, &count) < 0 && errno != EAGAIN && errno != EINTR)
        return fail(backend, errno, "kick", strerror(errno));
    if (count != 1)
        ring->single_kicks = 0;
    else if (counts_down(ring))
        return fail(backend, EPROTO, "kick", "its eventfd is a semaphore");
    return 0;
}

static int breach(struct vhost_backend *backend, int error)
{
    if (error != EPROTO)
        return error;
    if (vhost_memory_broken(&backend->memory))
        return fail(backend, EFAULT, "memory", "the peer took it away");
    return fail(backend, error, "queue", vhost_net_error(&backend->net));
}

int vhost_backend_receive(struct vhost_backend *backend, struct frame *frame, enum drop_reason *reason)
{
    if (!vhost_backend_ready(backend))
        return EAGAIN;
    return breach(backend, vhost_net_receive(&backend->net, frame, reason));
}

unsigned vhost_backend_waiting(const struct vhost_backend *backend)
{
    return vhost_backend_ready(backend) ? virtq_device_seen(&backend->net.queues[VIRTIO_NET_TX]) : 0;
}

int vhost_backend_send(struct vhost_backend *backend, const struct frame *frame)
{
    if (!vhost_backend_ready(backend))
        return EAGAIN;
    return breach(backend, vhost_net_send(&backend->net, frame));
}

int vhost_backend_flush(struct vhost_backend *backend)
{
    static const uint64_t one = 1;

    for (unsigned i = 0; i < VIRTIO_NET_QUEUES; i++) {
        ssize_t written;

        if (!vhost_net_show(&backend->net, i) || backend->rings[i].call < 0)
            continue;
        /* Non-blocking since it was received. A guest of ours cannot change that, by its sandbox; another peer can. */
        stall_guard_enter();
        written = write(backend->rings[i].call, &one, sizeof(one));
        stall_guard_leave();
        if (written < 0 && errno == EINTR)
            return fail(backend, ETIMEDOUT, "call", "the peer made its descriptor block");
        if (written < 0 && errno != EAGAIN)
            return fail(backend, errno, "call", strerror(errno));
    }
    if (vhost_memory_broken(&backend->memory))
        return fail(backend, EFAULT, "memory", "the peer took it away");
    return 0;
}

const char *vhost_backend_error(const struct vhost_backend *backend)
{
    return backend->error[0] ? backend->error : "closed";
}
