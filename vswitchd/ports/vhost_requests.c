/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a vhost-user front-end asks for, request by request: each has a handler
 * in the table at the end, which answers NULL, or what the peer did wrong. The
 * forms of the messages have been checked before (proto/vhost_user.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vswitchd/os/foreign.h"
#include "vswitchd/ports/vhost_backend_private.h"

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

typedef const char *request_handler(struct vhost_backend *backend, struct vhost_user_message *message);

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

static const char *take_eventfd(struct vhost_user_message *message, int *fd)
{
    *fd = vhost_user_take_fd(message, 0);
    if (*fd < 0)
        return NULL;
    if (foreign_is_eventfd(*fd) && fcntl(*fd, F_SETFL, O_NONBLOCK) == 0)
        return NULL;
    foreign_close(*fd, FOREIGN_PORTS);
    *fd = -1;
    return "descriptor is not an eventfd";
}

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
    vhost_rings_reset(backend);
    return NULL;
}

static const char *restart_rings(struct vhost_backend *backend, const bool was_running[VIRTIO_NET_QUEUES])
{
    const char *error = NULL;

    for (unsigned i = 0; i < VIRTIO_NET_QUEUES && !error; i++)
        if (was_running[i])
            error = vhost_ring_start(backend, i);
    return error;
}

static const char *on_set_mem_table(struct vhost_backend *backend, struct vhost_user_message *message)
{
    const struct vhost_user_memory *memory = &message->payload.memory;
    bool running[VIRTIO_NET_QUEUES] = { backend->net.running[0], backend->net.running[1] };
    const char *error = NULL;

    for (unsigned i = 0; i < VIRTIO_NET_QUEUES; i++)
        vhost_ring_stop(backend, i);
    vhost_memory_clear(&backend->memory);
    for (unsigned i = 0; i < memory->count && !error; i++)
        error = vhost_memory_add(&backend->memory, &memory->regions[i], message->fds[i], backend->options.unsealed);
    return error ? error : restart_rings(backend, running);
}

static const char *on_add_mem_reg(struct vhost_backend *backend, struct vhost_user_message *message)
{
    return vhost_memory_add(&backend->memory, &message->payload.slot.region, message->fds[0],
                            backend->options.unsealed);
}

static const char *on_rem_mem_reg(struct vhost_backend *backend, struct vhost_user_message *message)
{
    bool running[VIRTIO_NET_QUEUES] = { backend->net.running[0], backend->net.running[1] };
    const char *error;

    for (unsigned i = 0; i < VIRTIO_NET_QUEUES; i++)
        vhost_ring_stop(backend, i);
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
    vhost_ring_stop(backend, index);
    backend->rings[index].has_kick = false;
    vhost_ring_set_kick(backend, index, -1);
    vhost_ring_set_call(backend, index, -1);
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
    vhost_ring_set_kick(backend, (unsigned)index, fd);
    backend->rings[index].has_kick = true;
    return vhost_ring_start(backend, (unsigned)index);
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
        vhost_ring_set_call(backend, (unsigned)index, fd);
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
        vhost_ring_stop(backend, index);
    return vhost_ring_start(backend, index);
}

static const char *on_set_status(struct vhost_backend *backend, struct vhost_user_message *message)
{
    backend->status = (uint8_t)message->payload.number;
    if (backend->status == 0) /* reset of the device */
        for (unsigned i = 0; i < VIRTIO_NET_QUEUES; i++)
            vhost_ring_stop(backend, i);
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

const char *vhost_request(struct vhost_backend *backend, struct vhost_user_message *message)
{
    request_handler *handler = handlers[message->header.request];

    return handler ? handler(backend, message) : "not supported";
}
