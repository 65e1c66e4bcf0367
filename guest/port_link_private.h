/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What port_link.c (frames) and port_link_handshake.c (connection) share.
 * Nobody else includes this.
 */
#ifndef GUEST_PORT_LINK_PRIVATE_H
#define GUEST_PORT_LINK_PRIVATE_H

#include "guest/port_link.h"
#include "proto/vhost_user.h"
#include "proto/virtio_net.h"
#include "proto/virtqueue.h"

#define PORT_LINK_QUEUE_SIZE PORT_LINK_RECEIVE_QUEUE
#define PORT_LINK_BUFFER_SIZE 2048u      /* of one receive buffer; longer frames are merged from several */
#define PORT_LINK_ARENA_SIZE 0x200000u   /* for frames on their way out */

/* Offsets in the shared memory, which are also the addresses that descriptors use. */
#define PORT_LINK_QUEUE(n) ((n) * 0x4000u)
#define PORT_LINK_DESC 0u
#define PORT_LINK_AVAIL 0x1000u
#define PORT_LINK_USED 0x2000u
#define PORT_LINK_BUFFERS PORT_LINK_QUEUE(VIRTIO_NET_QUEUES)
#define PORT_LINK_ARENA (PORT_LINK_BUFFERS + PORT_LINK_QUEUE_SIZE * PORT_LINK_BUFFER_SIZE)
#define PORT_LINK_MEMORY_SIZE (PORT_LINK_ARENA + PORT_LINK_ARENA_SIZE)

enum port_link_phase {
    PHASE_LISTENING,
    PHASE_FEATURES, /* asked for them */
    PHASE_PROTOCOL, /* asked for those of the protocol */
    PHASE_SETTLING, /* told it everything; a last question is on its way */
    PHASE_UP,
};

struct tx_piece {
    uint32_t start; /* in the arena */
    bool done;
};

struct tx_arena {
    struct tx_piece pieces[PORT_LINK_QUEUE_SIZE]; /* a ring, oldest first */
    uint16_t piece_of[PORT_LINK_QUEUE_SIZE];      /* by descriptor */
    uint16_t first;
    uint16_t count;
    uint32_t end; /* behind the newest piece */
    uint32_t unreaped_frames; /* sent since we looked what has come back */
    uint32_t unreaped_bytes;
};

struct port_link {
    struct port_link_options options;
    enum port_link_phase phase;
    int listener;
    int connection; /* -1: none */
    int memfd;
    int kicks[VIRTIO_NET_QUEUES]; /* eventfds, the same for every connection */
    int calls[VIRTIO_NET_QUEUES];
    uint8_t *memory;
    uint64_t features; /* negotiated */
    uint64_t deadline; /* ns, for the handshake to end; 0: to be set */
    bool suppressed;
    bool anew;            /* port_link_accept() has ended the connection, and the next one is not up yet */
    bool owed;            /* the switch asked to be woken, and has not been yet */
    uint32_t owed_frames; /* sent since it was woken */
    uint32_t owed_bytes;
    uint32_t unshown_bytes; /* posted, and not shown yet */
    struct vhost_user_receiver receiver;
    struct virtq_driver queues[VIRTIO_NET_QUEUES];
    struct tx_arena arena;
    struct port_link_counters counters;
    const char *error;
    size_t held; /* bytes of a frame in `frame` that was not taken yet, header not counted; 0: none */
    uint8_t frame[VIRTIO_NET_HEADER_SIZE + NIC_FRAME_MAX];
};

/* Ends the connection because of `why` (a string that stays). */
void port_link_disconnect(struct port_link *link, const char *why);
/* Gives all receive buffers to the device. */
void port_link_post_buffers(struct port_link *link);

#endif
