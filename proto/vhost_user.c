/* SPDX-License-Identifier: BSD-2-Clause
 *
 * vhost-user messages: their table, their checks and their transport, see
 * vhost_user.h.
 */
#include "proto/vhost_user.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "proto/unix_socket.h"

#define U64 sizeof(uint64_t)
#define STATE sizeof(struct vhost_user_ring_state)

/* What each request looks like. Where descriptors depend on the payload, the maximum is here and the rest in
 * check_fds(). */
static const struct request_form {
    const char *name; /* NULL: unknown */
    uint16_t size;    /* of the request's payload */
    uint16_t size_min;
    uint8_t fds_max;
    bool reply;          /* answered with a payload of its own */
    uint16_t reply_size; /* of that payload */
} forms[VHOST_USER_REQUEST_MAX] = {
    [VHOST_USER_GET_FEATURES] = { "GET_FEATURES", .reply = true, .reply_size = U64 },
    [VHOST_USER_SET_FEATURES] = { "SET_FEATURES", U64, U64 },
    [VHOST_USER_SET_OWNER] = { "SET_OWNER" },
    [VHOST_USER_RESET_OWNER] = { "RESET_OWNER" },
    [VHOST_USER_SET_MEM_TABLE] = { "SET_MEM_TABLE", sizeof(struct vhost_user_memory), 8, VHOST_USER_TABLE_REGIONS },
    [VHOST_USER_SET_VRING_NUM] = { "SET_VRING_NUM", STATE, STATE },
    [VHOST_USER_SET_VRING_ADDR] = { "SET_VRING_ADDR", sizeof(struct vhost_user_ring_address),
                                    sizeof(struct vhost_user_ring_address) },
    [VHOST_USER_SET_VRING_BASE] = { "SET_VRING_BASE", STATE, STATE },
    [VHOST_USER_GET_VRING_BASE] = { "GET_VRING_BASE", STATE, STATE, .reply = true, .reply_size = STATE },
    [VHOST_USER_SET_VRING_KICK] = { "SET_VRING_KICK", U64, U64, 1 },
    [VHOST_USER_SET_VRING_CALL] = { "SET_VRING_CALL", U64, U64, 1 },
    [VHOST_USER_SET_VRING_ERR] = { "SET_VRING_ERR", U64, U64, 1 },
    [VHOST_USER_GET_PROTOCOL_FEATURES] = { "GET_PROTOCOL_FEATURES", .reply = true, .reply_size = U64 },
    [VHOST_USER_SET_PROTOCOL_FEATURES] = { "SET_PROTOCOL_FEATURES", U64, U64 },
    [VHOST_USER_GET_QUEUE_NUM] = { "GET_QUEUE_NUM", .reply = true, .reply_size = U64 },
    [VHOST_USER_SET_VRING_ENABLE] = { "SET_VRING_ENABLE", STATE, STATE },
    [VHOST_USER_NET_SET_MTU] = { "NET_SET_MTU", U64, U64 },
    [VHOST_USER_GET_MAX_MEM_SLOTS] = { "GET_MAX_MEM_SLOTS", .reply = true, .reply_size = U64 },
    [VHOST_USER_ADD_MEM_REG] = { "ADD_MEM_REG", sizeof(struct vhost_user_memory_slot),
                                 sizeof(struct vhost_user_memory_slot), 1 },
    /* The specification lets a front-end send the descriptor here, too. */
    [VHOST_USER_REM_MEM_REG] = { "REM_MEM_REG", sizeof(struct vhost_user_memory_slot),
                                 sizeof(struct vhost_user_memory_slot), 1 },
    [VHOST_USER_SET_STATUS] = { "SET_STATUS", U64, U64 },
    [VHOST_USER_GET_STATUS] = { "GET_STATUS", .reply = true, .reply_size = U64 },
};

static const struct request_form *form_of(uint32_t request)
{
    return request < VHOST_USER_REQUEST_MAX && forms[request].name ? &forms[request] : NULL;
}

void vhost_user_message_init(struct vhost_user_message *message, uint32_t request, uint32_t flags, uint32_t size)
{
    memset(message, 0, sizeof(*message));
    message->header = (struct vhost_user_header){ request, flags | VHOST_USER_VERSION, size };
}

const char *vhost_user_request_name(uint32_t request)
{
    const struct request_form *form = form_of(request);

    return form ? form->name : "unknown";
}

bool vhost_user_has_reply(uint32_t request)
{
    const struct request_form *form = form_of(request);

    return form && form->reply;
}

static const char *check_fds(const struct vhost_user_message *message)
{
    switch (message->header.request) {
    case VHOST_USER_SET_MEM_TABLE: {
        const struct vhost_user_memory *memory = &message->payload.memory;

        if (memory->count > VHOST_USER_TABLE_REGIONS)
            return "more regions than a table has";
        if (message->header.size < 8 + memory->count * sizeof(memory->regions[0]))
            return "regions missing";
        return message->fd_count == memory->count ? NULL : "as many descriptors as regions expected";
    }
    case VHOST_USER_SET_VRING_KICK:
    case VHOST_USER_SET_VRING_CALL:
    case VHOST_USER_SET_VRING_ERR:
        return message->fd_count == (message->payload.number & VHOST_USER_RING_NO_FD ? 0 : 1)
                   ? NULL
                   : "bit 8 and the descriptor contradict each other";
    case VHOST_USER_ADD_MEM_REG:
        return message->fd_count == 1 ? NULL : "a descriptor expected";
    default:
        return NULL;
    }
}

const char *vhost_user_check_request(const struct vhost_user_message *message)
{
    const struct request_form *form = form_of(message->header.request);

    if (message->header.flags & VHOST_USER_REPLY)
        return "a reply that nobody asked for";
    if (!form)
        return "unknown request";
    if (message->header.size < form->size_min || message->header.size > form->size)
        return "wrong size";
    if (message->fd_count > form->fds_max)
        return "more descriptors than expected";
    return check_fds(message);
}

const char *vhost_user_check_reply(const struct vhost_user_message *message, uint32_t request)
{
    const struct request_form *form = form_of(request);

    if (!(message->header.flags & VHOST_USER_REPLY))
        return "a request where a reply was expected";
    if (message->header.request != request)
        return "the reply to another request";
    if (message->header.size != (form && form->reply ? form->reply_size : U64))
        return "wrong size";
    return message->fd_count == 0 ? NULL : "descriptors in a reply";
}

int vhost_user_take_fd(struct vhost_user_message *message, unsigned index)
{
    int fd;

    if (index >= message->fd_count)
        return -1;
    fd = message->fds[index];
    message->fds[index] = -1;
    return fd;
}

void vhost_user_receiver_init(struct vhost_user_receiver *receiver)
{
    memset(receiver, 0, sizeof(*receiver));
}

static void discard(const struct vhost_user_receiver *receiver, int fd)
{
    if (receiver->discard)
        receiver->discard(fd);
    else
        close(fd);
}

void vhost_user_receiver_clear(struct vhost_user_receiver *receiver)
{
    void (*discarder)(int fd) = receiver->discard;
    bool takes_none = receiver->takes_none;

    for (unsigned i = 0; i < receiver->message.fd_count; i++)
        if (receiver->message.fds[i] >= 0)
            discard(receiver, receiver->message.fds[i]);
    vhost_user_receiver_init(receiver);
    receiver->discard = discarder;
    receiver->takes_none = takes_none;
}

/* Keeps the descriptors that came along. False when there are too many; those are discarded. */
static bool keep_fds(struct vhost_user_receiver *receiver, struct msghdr *msg)
{
    struct vhost_user_message *message = &receiver->message;
    bool fit = !(msg->msg_flags & MSG_CTRUNC);

    for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
        size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        for (size_t i = 0; i < count; i++) {
            int fd;

            memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(fd));
            if (message->fd_count < VHOST_USER_FDS_MAX) {
                message->fds[message->fd_count++] = fd;
            } else {
                discard(receiver, fd);
                fit = false;
            }
        }
    }
    return fit;
}

/* As recvmsg(); EPROTO where too many descriptors come along, or where any are too many; EMFILE where they are left in
 * the socket, as some might find no room here. */
static ssize_t receive_bytes(struct vhost_user_receiver *receiver, int socket, uint8_t *to, size_t size)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * UNIX_SOCKET_FDS_MAX)];
    } control;
    struct iovec iov = { .iov_base = to, .iov_len = size };
    struct msghdr msg = {
        .msg_iov = &iov,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    ssize_t got;

    got = unix_socket_recv(socket, to, size);
    if (got >= 0 || errno != EBADMSG)
        return got;
    if (receiver->takes_none || !unix_socket_has_room()) {
        errno = receiver->takes_none ? EPROTO : EMFILE;
        return -1;
    }
    got = recvmsg(socket, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got >= 0 && !keep_fds(receiver, &msg)) {
        errno = EPROTO;
        return -1;
    }
    return got;
}

/* Some of what this message still lacks. 0 or errno. */
static int receive_piece(struct vhost_user_receiver *receiver, int socket, uint8_t *to, size_t size)
{
    ssize_t got;

    do {
        got = receive_bytes(receiver, socket, to, size);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return errno == EWOULDBLOCK ? EAGAIN : errno;
    if (got == 0)
        return ECONNRESET;
    receiver->have += (size_t)got;
    return 0;
}

int vhost_user_receive(struct vhost_user_receiver *receiver, int socket)
{
    struct vhost_user_message *message = &receiver->message;

    if (receiver->complete)
        vhost_user_receiver_clear(receiver);
    for (;;) {
        size_t have = receiver->have;
        bool in_header = have < VHOST_USER_HEADER_SIZE;
        uint8_t *to = in_header ? (uint8_t *)&message->header + have
                                : message->payload.bytes + (have - VHOST_USER_HEADER_SIZE);
        size_t end = VHOST_USER_HEADER_SIZE + (in_header ? 0 : message->header.size);
        int error;

        if (!in_header) {
            if ((message->header.flags & VHOST_USER_VERSION_MASK) != VHOST_USER_VERSION)
                return EPROTO;
            if (message->header.size > sizeof(message->payload))
                return EMSGSIZE;
            if (have == end) {
                receiver->complete = true;
                return 0;
            }
        }
        error = receive_piece(receiver, socket, to, end - have);
        if (error)
            return error;
    }
}

int vhost_user_send(int socket, const struct vhost_user_message *message)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(int) * VHOST_USER_FDS_MAX)];
    } control;
    struct iovec iov[2] = {
        { .iov_base = (void *)&message->header, .iov_len = VHOST_USER_HEADER_SIZE },
        { .iov_base = (void *)&message->payload, .iov_len = message->header.size },
    };
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
    size_t total = VHOST_USER_HEADER_SIZE + message->header.size;
    ssize_t sent;

    if (message->header.size > sizeof(message->payload) || message->fd_count > VHOST_USER_FDS_MAX)
        return EMSGSIZE;
    if (message->fd_count) {
        struct cmsghdr *c = &control.align;

        memset(&control, 0, sizeof(control));
        msg.msg_control = &control;
        msg.msg_controllen = CMSG_SPACE(sizeof(int) * message->fd_count);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * message->fd_count);
        memcpy(CMSG_DATA(c), message->fds, sizeof(int) * message->fd_count);
    }
    do {
        sent = sendmsg(socket, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent < 0)
        return errno == EWOULDBLOCK ? EAGAIN : errno;
    return (size_t)sent == total ? 0 : EAGAIN; /* messages are far smaller than a socket's buffer */
}
