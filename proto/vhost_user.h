/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Messages of the vhost-user protocol, and how they travel: a 12-byte header,
 * a payload, descriptors by SCM_RIGHTS, over a UNIX stream socket. Used by
 * vswitchd/ports/vhost_backend (answers) and guest/port_link (asks). The
 * checks are pure; only vhost_user_receive() and vhost_user_send() touch the
 * socket, and neither blocks.
 */
#ifndef PROTO_VHOST_USER_H
#define PROTO_VHOST_USER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum vhost_user_request {
    VHOST_USER_GET_FEATURES = 1,
    VHOST_USER_SET_FEATURES = 2,
    VHOST_USER_SET_OWNER = 3,
    VHOST_USER_RESET_OWNER = 4,
    VHOST_USER_SET_MEM_TABLE = 5,
    VHOST_USER_SET_VRING_NUM = 8,
    VHOST_USER_SET_VRING_ADDR = 9,
    VHOST_USER_SET_VRING_BASE = 10,
    VHOST_USER_GET_VRING_BASE = 11,
    VHOST_USER_SET_VRING_KICK = 12,
    VHOST_USER_SET_VRING_CALL = 13,
    VHOST_USER_SET_VRING_ERR = 14,
    VHOST_USER_GET_PROTOCOL_FEATURES = 15,
    VHOST_USER_SET_PROTOCOL_FEATURES = 16,
    VHOST_USER_GET_QUEUE_NUM = 17,
    VHOST_USER_SET_VRING_ENABLE = 18,
    VHOST_USER_NET_SET_MTU = 20,
    VHOST_USER_GET_MAX_MEM_SLOTS = 36,
    VHOST_USER_ADD_MEM_REG = 37,
    VHOST_USER_REM_MEM_REG = 38,
    VHOST_USER_SET_STATUS = 39,
    VHOST_USER_GET_STATUS = 40,
    VHOST_USER_REQUEST_MAX = 41,
};

/* Bits of the header's flags. */
#define VHOST_USER_VERSION 0x1u
#define VHOST_USER_VERSION_MASK 0x3u
#define VHOST_USER_REPLY 0x4u
#define VHOST_USER_NEED_REPLY 0x8u

/* The virtio feature bit that opens the protocol features, and those. */
#define VHOST_USER_F_PROTOCOL_FEATURES (UINT64_C(1) << 30)
#define VHOST_USER_PROTOCOL_MQ (UINT64_C(1) << 0)
#define VHOST_USER_PROTOCOL_REPLY_ACK (UINT64_C(1) << 3)
#define VHOST_USER_PROTOCOL_NET_MTU (UINT64_C(1) << 4)
#define VHOST_USER_PROTOCOL_MEM_SLOTS (UINT64_C(1) << 15)
#define VHOST_USER_PROTOCOL_STATUS (UINT64_C(1) << 16)

/* Payload of SET_VRING_KICK, _CALL and _ERR: the ring's index, and "no descriptor comes with this". */
#define VHOST_USER_RING_MASK 0xffu
#define VHOST_USER_RING_NO_FD 0x100u

#define VHOST_USER_TABLE_REGIONS 8u /* in one SET_MEM_TABLE */
#define VHOST_USER_FDS_MAX 8u

struct vhost_user_header {
    uint32_t request;
    uint32_t flags;
    uint32_t size; /* of the payload */
};

struct vhost_user_ring_state {
    uint32_t index;
    uint32_t number;
};

struct vhost_user_ring_address {
    uint32_t index;
    uint32_t flags;      /* bit 0: log writes */
    uint64_t descriptor; /* the front-end's own addresses */
    uint64_t used;
    uint64_t available;
    uint64_t log;
};

struct vhost_user_region {
    uint64_t guest_address;
    uint64_t size;
    uint64_t user_address;
    uint64_t mmap_offset;
};

struct vhost_user_memory {
    uint32_t count;
    uint32_t padding;
    struct vhost_user_region regions[VHOST_USER_TABLE_REGIONS];
};

struct vhost_user_memory_slot {
    uint64_t padding;
    struct vhost_user_region region;
};

union vhost_user_payload {
    uint64_t number;
    struct vhost_user_ring_state state;
    struct vhost_user_ring_address address;
    struct vhost_user_memory memory;
    struct vhost_user_memory_slot slot;
    uint8_t bytes[512]; /* room for larger messages of peers, refused by their request */
};

#define VHOST_USER_HEADER_SIZE sizeof(struct vhost_user_header)

/* `payload` follows the header on the wire; here it is aligned. */
struct vhost_user_message {
    struct vhost_user_header header;
    union vhost_user_payload payload;
    unsigned fd_count;
    int fds[VHOST_USER_FDS_MAX];
};

/* Builds a message; its payload is still to be filled. */
void vhost_user_message_init(struct vhost_user_message *message, uint32_t request, uint32_t flags, uint32_t size);

/* A readable name of a request, for logs; "unknown" for one we do not know. */
const char *vhost_user_request_name(uint32_t request);

/* NULL when the message is a well-formed request (the front-end's) or the
 * well-formed reply to `request`; otherwise what is wrong with it. */
const char *vhost_user_check_request(const struct vhost_user_message *message);
const char *vhost_user_check_reply(const struct vhost_user_message *message, uint32_t request);
/* Whether this request has a reply of its own, that is one without NEED_REPLY, too. */
bool vhost_user_has_reply(uint32_t request);

/* Takes a descriptor out of the message: whoever takes it closes it. -1: none there. */
int vhost_user_take_fd(struct vhost_user_message *message, unsigned index);

/* A message as it comes in, possibly in pieces. */
struct vhost_user_receiver {
    size_t have; /* bytes of header and payload */
    bool complete;
    bool takes_none; /* descriptors are an error, and left where they are */
    void (*discard)(int fd); /* closes a descriptor that nobody took, instead of close(); may be NULL */
    struct vhost_user_message message;
};

void vhost_user_receiver_init(struct vhost_user_receiver *receiver);
/* Closes descriptors that nobody took. */
void vhost_user_receiver_clear(struct vhost_user_receiver *receiver);
/* 0: receiver->message is complete, and valid until the next call, which closes
 * what was not taken from it. EAGAIN: more is to come. ECONNRESET: the peer is
 * gone. EMSGSIZE, EPROTO: too large, too many descriptors, or of another version.
 * EMFILE: descriptors come with it, for which there may be no room. */
int vhost_user_receive(struct vhost_user_receiver *receiver, int socket);
/* Sends all of the message or fails: 0 or errno. Its descriptors stay open here. */
int vhost_user_send(int socket, const struct vhost_user_message *message);

#endif
