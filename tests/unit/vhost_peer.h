/* SPDX-License-Identifier: BSD-2-Clause
 *
 * For tests of the switch's end of the port protocol: a peer that says and does what the
 * test wants, good or bad, to a vhost_backend in the same process.
 */
#ifndef TESTS_UNIT_VHOST_PEER_H
#define TESTS_UNIT_VHOST_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/vhost_user.h"
#include "proto/virtio_net.h"
#include "proto/virtqueue.h"
#include "vswitchd/ports/vhost_backend.h"

#define MEMORY_SIZE 0x100000u
#define GUEST 0x40000000u /* its guest address; the peer's own is 0 */
#define QUEUE_SIZE 64
#define DESC(q) ((q) * 0x4000u)
#define AVAIL(q) (DESC(q) + 0x1000u)
#define USED(q) (DESC(q) + 0x2000u)
#define DATA 0x10000u

#define FEATURES                                                                                     \
    (VIRTIO_F_VERSION_1 | VIRTIO_NET_F_MRG_RXBUF | VIRTIO_F_INDIRECT_DESC | VIRTIO_NET_F_CSUM |      \
     VIRTIO_NET_F_HOST_TSO4)

/* Between open_session() and close_session(). */
extern struct vhost_backend *back;
extern int peer;        /* our end of the socket */
extern int memfd;       /* of MEMORY_SIZE */
extern uint8_t *memory; /* the same */
extern int events[2];   /* that kicks come by, and calls */
extern uint8_t buffer[FRAME_BUFFER_SIZE];

void open_session(bool unsealed); /* the switch takes unsealed memory, and gets it */
void close_session(void);
unsigned count_fds(void); /* of the process */
int make_memfd(size_t size, int seals);

/* Sends a message and lets the back-end handle it: 0 or errno, and so for what follows. */
int say(struct vhost_user_message *message);
int say_number(uint32_t request, uint64_t number, int fd); /* fd -1: none */
int say_state(uint32_t request, uint32_t index, uint32_t number);
int say_memory(int fd, uint64_t size, uint64_t offset);
int say_address(uint32_t queue, uint64_t desc, uint64_t avail, uint64_t used);

/* Everything up to running queues, as a well-behaved peer would. */
void start_queues(uint64_t features);
void put(unsigned queue, unsigned index, uint64_t address, uint32_t length, uint16_t flags, uint16_t next); /* a descriptor */
void offer(unsigned queue, uint16_t head);
void send_frame(uint32_t size, const struct virtio_net_header *header); /* with its header; NULL: one of zeros */
int take(struct frame *frame, enum drop_reason *reason);                /* as the switch does */

#endif
