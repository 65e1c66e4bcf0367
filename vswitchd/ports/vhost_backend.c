/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The vhost-user back-end, see vhost_backend.h. Each request of the front-end
 * has a handler in the table at the end; a handler answers NULL, or what the
 * peer did wrong, which ends the session.
 */
#include "vswitchd/ports/vhost_backend.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "proto/vhost_user.h"
#include "vswitchd/ports/vhost_memory.h"

#define MESSAGES_A_CALL 32 /* of vhost_backend_service(): others get their turn */

/* What a driver sends is taken with all its offloads; what it is sent depends on the port's options. */
#define FEATURES_TO_DRIVER                                                                        \
    (VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6 | VIRTIO_NET_F_GUEST_ECN)
#define FEATURES_BASE                                                                                       \
    (VIRTIO_NET_F_CSUM | VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_HOST_TSO6 | VIRTIO_NET_F_HOST_ECN |          \
     VIRTIO_NET_F_MRG_RXBUF | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX | VIRTIO_F_VERSION_1 |            \
     VHOST_USER_F_PROTOCOL_FEATURES)
#define PROTOCOL_FEATURES                                                                               \
    (VHOST_USER_PROTOCOL_MQ | VHOST_USER_PROTOCOL_REPLY_ACK | VHOST_USER_PROTOCOL_MEM_SLOTS |           \
     VHOST_USER_PROTOCOL_STATUS)

struct ring {
    uint16_t size; /* 0: not told yet */
    uint16_t base;
    bool has_address;
    bool has_kick; /* started by SET_VRING_KICK, with a descriptor or without */
    bool enabled;
    int kick;
    int call;
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

typedef const char *request_handler(struct vhost_backend *backend, struct vhost_user_message *message);

/* ---- rings ---- */

static void stop_ring(struct vhost_backend *backend, unsigned index)
{
    if (!backend->net.running[index])
        return;
    backend->net.running[index] = false;
    virtq_device_show(&backend->net.queues[index]);
    backend->rings[index].base = backend->net.queues[index].next_avail;
}

static const char *resolve(struct vhost_backend *backend, const struct ring *ring, struct virtq_parts *parts)
{
    const struct virtq_memory *table = &backend->memory.table;

    parts->desc = virtq_memory_user(table, ring->address.descriptor, virtq_desc_bytes(ring->size));
    parts->avail = virtq_memory_user(table, ring->address.available, virtq_avail_bytes(ring->size));
    parts->used = virtq_memory_user(table, ring->address.used, virtq_used_bytes(ring->size));
    if (!parts->desc || !parts->avail || !parts->used)
        return "queue outside memory";
    if ((uintptr_t)parts->desc % VIRTQ_DESC_ALIGN || (uintptr_t)parts->avail % VIRTQ_AVAIL_ALIGN ||
        (uintptr_t)parts->used % VIRTQ_USED_ALIGN)
        return "queue not aligned";
    return NULL;
}

/* Starts the ring when nothing is missing any more. */
static const char *start_ring(struct vhost_backend *backend, unsigned index)
{
    struct ring *ring = &backend->rings[index];
    struct virtq_device *queue = &backend->net.queues[index];
    struct virtq_parts parts;
    const char *error;

    if (backend->net.running[index] || !ring->size || !ring->has_address || !ring->has_kick || !ring->enabled)
        return NULL;
    error = resolve(backend, ring, &parts);
    if (error)
        return error;
    virtq_device_init(queue, &backend->memory.table, ring->size, &parts, ring->base);
    queue->event_index = backend->net.features & VIRTIO_F_EVENT_IDX;
    queue->indirect = backend->net.features & VIRTIO_F_INDIRECT_DESC;
    /* Nothing is held back here between two calls: where an unclean end left the indices apart, those
     * buffers count as used. */
    queue->next_avail = queue->seen_avail = queue->used_index;
    if (index == VIRTIO_NET_RX)
        virtq_device_suppress(queue);
    else
        virtq_device_arm(queue);
    backend->net.running[index] = true;
    return NULL;
}

static void set_kick(struct vhost_backend *backend, unsigned index, int fd)
{
    struct ring *ring = &backend->rings[index];

    backend->events.watch_kick(backend->events.context, index, fd);
    if (ring->kick >= 0)
        close(ring->kick);
    ring->kick = fd;
}

static void set_call(struct ring *ring, int fd)
{
    if (ring->call >= 0)
        close(ring->call);
    ring->call = fd;
}

static void reset_rings(struct vhost_backend *backend)
{
    for (unsigned i = 0; i < VIRTIO_NET_QUEUES; i++) {
        stop_ring(backend, i);
        set_kick(backend, i, -1);
        set_call(&backend->rings[i], -1);
        backend->rings[i] = (struct ring){ .kick = -1, .call = -1 };
    }
}

/* The ring that a request names, while it may be changed. */
static struct ring *idle_ring(struct vhost_backend *backend, uint32_t index, const char **error)
{
    if (index >= VIRTIO_NET_QUEUES) {
        *error = "no such queue";
        return NULL;
    }
    if (backend->net.running[index]) {
        *error = "queue is running";
        return NULL;
    }
    return &backend->rings[index];
}

/* An eventfd is the only thing whose reads and writes cannot hang or hurt us. */
static bool is_eventfd(int fd)
{
    char path[32], target[32];
    ssize_t size;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    size = readlink(path, target, sizeof(target) - 1);
    if (size < 0)
        return errno != EINVAL; /* no /proc here: reading shows it */
    target[size] = '\0';
    return strcmp(target, "anon_inode:[eventfd]") == 0;
}

static const char *take_eventfd(struct vhost_user_message *message, int *fd)
{
    *fd = vhost_user_take_fd(message, 0);
    if (*fd < 0)
        return NULL;
    if (is_eventfd(*fd) && fcntl(*fd, F_SETFL, O_NONBLOCK) == 0)
        return NULL;
    close(*fd);
    *fd = -1;
    return "descriptor is not an eventfd";
}

/* ---- requests ---- */

static void set_features(struct vhost_backend *backend, uint64_t features)
{
    backend->net.features = features;
    for (unsigned i = 0; i < VIRTIO_NET_QUEUES; i++)
        if (!(features & VHOST_USER_F_PROTOCOL_FEATURES))
            backend->rings[i].enabled = true;
}

static uint64_t offered(const struct vhost_backend *backend)
{
    return FEATURES_BASE | (backend->options.offload ? FEATURES_TO_DRIVER : 0);
}

static const char *on_get_features(struct vhost_backend *backend, struct vhost_user_message *message)
{
    message->payload.number = offered(backend);
    return NULL;
}

static const char *on_set_features(struct vhost_backend *backend, struct vhost_user_message *message)
{
    if (message->payload.number & ~offered(backend))
        return "feature that was not offered";
    if (backend->net.running[0] || backend->net.running[1]) {
        /* QEMU repeats the same features when it turns on logging, which we do not offer. */
        return message->payload.number == backend->net.features ? NULL : "features changed while a queue runs";
    }
    set_features(backend, message->payload.number);
    return NULL;
}

static const char *on_nothing(struct vhost_backend *backend, struct vhost_user_message *message)
{
    (void)backend;
    (void)message;
    return NULL;
}

static const char *on_reset_owner(struct vhost_backend *backend, struct vhost_user_message *message)
{
    (void)message;
    reset_rings(backend);
    return NULL;
}

static const char *restart_rings(struct vhost_backend *backend, const bool was_running[VIRTIO_NET_QUEUES])
{
    const char *error = NULL;

    for (unsigned i = 0; i < VIRTIO_NET_QUEUES && !error; i++)
        if (was_running[i])
            error = start_ring(backend, i);
    return error;
}

static const char *on_set_mem_table(struct vhost_backend *backend, struct vhost_user_message *message)
{
    const struct vhost_user_memory *memory = &message->payload.memory;
    bool running[VIRTIO_NET_QUEUES] = { backend->net.running[0], backend->net.running[1] };
    const char *error = NULL;

    for (unsigned i = 0; i < VIRTIO_NET_QUEUES; i++)
        stop_ring(backend, i);
    vhost_memory_clear(&backend->memory);
    for (unsigned i = 0; i < memory->count && !error; i++)
        error = vhost_memory_add(&backend->memory, &memory->regions[i], message->fds[i], backend->options.unsealed);
    return error ? error : restart_rings(backend, running);
}

static const char *on_add_mem_reg(struct vhost_backend *backend, struct vhost_user_message *message)
{
    return vhost_memory_add(&backend->memory, &message->payload.slot.region, message->fds[0], backend->options.unsealed);
}

static const char *on_rem_mem_reg(struct vhost_backend *backend, struct vhost_user_message *message)
{
    bool running[VIRTIO_NET_QUEUES] = { backend->net.running[0], backend->net.running[1] };
    const char *error;

    for (unsigned i = 0; i < VIRTIO_NET_QUEUES; i++)
        stop_ring(backend, i);
    error = vhost_memory_remove(&backend->memory, &message->payload.slot.region);
    return error ? error : restart_rings(backend, running);
}

static const char *on_get_max_mem_slots(struct vhost_backend *backend, struct vhost_user_message *message)
{
    (void)backend;
    message->payload.number = VIRTQ_REGIONS_MAX;
    return NULL;
}

static const char *on_set_vring_num(struct vhost_backend *backend, struct vhost_user_message *message)
{
    const char *error = NULL;
    struct ring *ring = idle_ring(backend, message->payload.state.index, &error);

    if (!ring)
        return error;
    if (!virtq_size_valid(message->payload.state.number))
        return "queue of a wrong size";
    ring->size = (uint16_t)message->payload.state.number;
    return NULL;
}

static const char *on_set_vring_addr(struct vhost_backend *backend, struct vhost_user_message *message)
{
    const char *error = NULL;
    struct ring *ring = idle_ring(backend, message->payload.address.index, &error);

    if (!ring)
        return error;
    if (message->payload.address.flags & 1)
        return "logging was not offered";
    ring->address = message->payload.address;
    ring->has_address = true;
    return NULL;
}

static const char *on_set_vring_base(struct vhost_backend *backend, struct vhost_user_message *message)
{
    const char *error = NULL;
    struct ring *ring = idle_ring(backend, message->payload.state.index, &error);

    if (!ring)
        return error;
    if (message->payload.state.number > UINT16_MAX)
        return "queue index too large";
    ring->base = (uint16_t)message->payload.state.number;
    return NULL;
}

static const char *on_get_vring_base(struct vhost_backend *backend, struct vhost_user_message *message)
{
    uint32_t index = message->payload.state.index;

    if (index >= VIRTIO_NET_QUEUES)
        return "no such queue";
    stop_ring(backend, index);
    backend->rings[index].has_kick = false;
    set_kick(backend, index, -1);
    set_call(&backend->rings[index], -1);
    message->payload.state.number = backend->rings[index].base;
    return NULL;
}

static const char *on_set_vring_kick(struct vhost_backend *backend, struct vhost_user_message *message)
{
    uint64_t index = message->payload.number & VHOST_USER_RING_MASK;
    const char *error;
    int fd;

    if (index >= VIRTIO_NET_QUEUES)
        return "no such queue";
    error = take_eventfd(message, &fd);
    if (error)
        return error;
    set_kick(backend, (unsigned)index, fd);
    backend->rings[index].has_kick = true;
    return start_ring(backend, (unsigned)index);
}

static const char *on_set_vring_call(struct vhost_backend *backend, struct vhost_user_message *message)
{
    uint64_t index = message->payload.number & VHOST_USER_RING_MASK;
    const char *error;
    int fd;

    if (index >= VIRTIO_NET_QUEUES)
        return "no such queue";
    error = take_eventfd(message, &fd);
    if (!error)
        set_call(&backend->rings[index], fd);
    return error;
}

static const char *on_get_protocol_features(struct vhost_backend *backend, struct vhost_user_message *message)
{
    (void)backend;
    message->payload.number = PROTOCOL_FEATURES;
    return NULL;
}

static const char *on_set_protocol_features(struct vhost_backend *backend, struct vhost_user_message *message)
{
    if (message->payload.number & ~PROTOCOL_FEATURES)
        return "protocol feature that was not offered";
    backend->protocol_features = message->payload.number;
    return NULL;
}

static const char *on_get_queue_num(struct vhost_backend *backend, struct vhost_user_message *message)
{
    (void)backend;
    message->payload.number = 1;
    return NULL;
}

static const char *on_set_vring_enable(struct vhost_backend *backend, struct vhost_user_message *message)
{
    uint32_t index = message->payload.state.index;

    if (index >= VIRTIO_NET_QUEUES)
        return "no such queue";
    backend->rings[index].enabled = message->payload.state.number != 0;
    if (!backend->rings[index].enabled)
        stop_ring(backend, index);
    return start_ring(backend, index);
}

static const char *on_set_status(struct vhost_backend *backend, struct vhost_user_message *message)
{
    backend->status = (uint8_t)message->payload.number;
    if (backend->status == 0) /* reset of the device */
        for (unsigned i = 0; i < VIRTIO_NET_QUEUES; i++)
            stop_ring(backend, i);
    return NULL;
}

static const char *on_get_status(struct vhost_backend *backend, struct vhost_user_message *message)
{
    message->payload.number = backend->status;
    return NULL;
}

static request_handler *const handlers[VHOST_USER_REQUEST_MAX] = {
    [VHOST_USER_GET_FEATURES] = on_get_features,
    [VHOST_USER_SET_FEATURES] = on_set_features,
    [VHOST_USER_SET_OWNER] = on_nothing,
    [VHOST_USER_RESET_OWNER] = on_reset_owner,
    [VHOST_USER_SET_MEM_TABLE] = on_set_mem_table,
    [VHOST_USER_SET_VRING_NUM] = on_set_vring_num,
    [VHOST_USER_SET_VRING_ADDR] = on_set_vring_addr,
    [VHOST_USER_SET_VRING_BASE] = on_set_vring_base,
    [VHOST_USER_GET_VRING_BASE] = on_get_vring_base,
    [VHOST_USER_SET_VRING_KICK] = on_set_vring_kick,
    [VHOST_USER_SET_VRING_CALL] = on_set_vring_call,
    [VHOST_USER_SET_VRING_ERR] = on_nothing,
    [VHOST_USER_GET_PROTOCOL_FEATURES] = on_get_protocol_features,
    [VHOST_USER_SET_PROTOCOL_FEATURES] = on_set_protocol_features,
    [VHOST_USER_GET_QUEUE_NUM] = on_get_queue_num,
    [VHOST_USER_SET_VRING_ENABLE] = on_set_vring_enable,
    [VHOST_USER_GET_MAX_MEM_SLOTS] = on_get_max_mem_slots,
    [VHOST_USER_ADD_MEM_REG] = on_add_mem_reg,
    [VHOST_USER_REM_MEM_REG] = on_rem_mem_reg,
    [VHOST_USER_SET_STATUS] = on_set_status,
    [VHOST_USER_GET_STATUS] = on_get_status,
};

/* ---- the session ---- */

static int fail(struct vhost_backend *backend, int error, const char *where, const char *what)
{
    if (!backend->error[0])
        snprintf(backend->error, sizeof(backend->error), "%s%s%s", where, *where ? ": " : "", what);
    return error;
}

static int reply(struct vhost_backend *backend, uint32_t request, const union vhost_user_payload *payload, uint32_t size)
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

    for (unsigned i = 0; i < MESSAGES_A_CALL; i++) {
        int error = vhost_user_receive(&backend->receiver, backend->socket);
        const char *refused;

        if (error == EAGAIN)
            return 0;
        if (error == ECONNRESET)
            return fail(backend, error, "", "the peer closed the connection");
        if (error)
            return fail(backend, error, "message", strerror(error));
        refused = vhost_user_check_request(message);
        if (!refused)
            refused = handlers[message->header.request] ? handlers[message->header.request](backend, message)
                                                        : "not supported";
        error = answer(backend, message, refused);
        if (error)
            return error;
    }
    return 0;
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
    reset_rings(backend);
    vhost_memory_clear(&backend->memory);
    vhost_user_receiver_clear(&backend->receiver);
    close(backend->socket);
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

/* RWF_NOWAIT: the peer shares the file description and may have cleared O_NONBLOCK. */
int vhost_backend_read_kick(struct vhost_backend *backend, unsigned queue)
{
    uint64_t count;
    struct iovec iov = { .iov_base = &count, .iov_len = sizeof(count) };

    if (preadv2(backend->rings[queue].kick, &iov, 1, -1, RWF_NOWAIT) >= 0 || errno == EAGAIN || errno == EINTR)
        return 0;
    return fail(backend, errno, "kick", strerror(errno));
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
        if (!vhost_net_show(&backend->net, i) || backend->rings[i].call < 0)
            continue;
        if (write(backend->rings[i].call, &one, sizeof(one)) < 0 && errno != EAGAIN && errno != EINTR)
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
