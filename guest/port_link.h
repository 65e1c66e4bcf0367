/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One plug of the guest process: the front-end of vhost-user. It listens on a
 * socket; the switch connects, is given the memfd in which the two queues and
 * their buffers lie, and from then on frames pass without system calls, but
 * for waking a side that sleeps. When the switch goes away it listens on.
 *
 * Everything is made in port_link_open(), before the sandbox closes; later it
 * calls only accept4, recvmsg, sendmsg, read, write and close. Neither side
 * trusts the other. One thread, no call blocks. The users: guest/nic glue
 * (struct nic_host's send_frame and nic_receive() in nicemu/) and guest/main's
 * poll loop.
 */
#ifndef GUEST_PORT_LINK_H
#define GUEST_PORT_LINK_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "nicemu/nic_host.h"

struct port_link;

struct port_link_options {
    bool accept_csum; /* the NIC takes received frames whose checksum is not completed */
    bool accept_tso;  /* ... and TCP super-frames; without accept_csum it means nothing */
    mode_t mode;      /* of the socket file; 0: 0600 */
};

struct port_link_counters {
    uint64_t sent_frames;
    uint64_t sent_bytes;
    uint64_t sent_drops; /* the queue was full, nobody connected, or more offload than the switch takes */
    uint64_t received_frames;
    uint64_t received_bytes;
    uint64_t received_drops; /* malformed */
    uint64_t kicks;          /* times the switch had to be woken */
    uint64_t connections;    /* that got as far as exchanging frames */
};

/* 0 or errno; EADDRINUSE when another process listens there. */
int port_link_open(const char *path, const struct port_link_options *options, struct port_link **link);
void port_link_close(struct port_link *link); /* leaves the socket file */

/* The NIC takes other frames from now on, as in the options: a connection that was made with others
 * ends, and the switch makes it anew at once. */
void port_link_accept(struct port_link *link, bool csum, bool tso);

#define PORT_LINK_FDS 3
/* Fills in what to wait for; returns how many. Whatever is ready, call port_link_service(). */
unsigned port_link_poll(const struct port_link *link, struct pollfd fds[PORT_LINK_FDS]);
/* Drives the connection. Call it when a descriptor is ready, and once a second while one is being made. `now` in ns. */
void port_link_service(struct port_link *link, uint64_t now);
/* `fd` is ready. True: it is no more than the switch's call for frames, and the connection needs no service for it. */
bool port_link_called(struct port_link *link, int fd);
bool port_link_connected(const struct port_link *link);

/* False: dropped (and counted). The switch sees the frame after port_link_flush(). Where it
 * sleeps it is woken then; while calls are suppressed, that is, while we look at the queues
 * ourselves, it may be left to port_link_wake(), to be called at every look. */
bool port_link_send(struct port_link *link, const void *frame, size_t size, const struct nic_offload *offload);
/* Whether a burst of NIC_BURST frames, or a few of the largest, would be taken; true where the switch is away,
 * as nothing is to wait for it, but not while port_link_accept() makes it connect anew. */
bool port_link_has_room(struct port_link *link);
void port_link_flush(struct port_link *link);
void port_link_wake(struct port_link *link);

enum port_link_answer {
    PORT_LINK_TAKEN, /* accepted, or dropped by the NIC: done with it */
    PORT_LINK_FULL,  /* keep it: it is offered again at the next port_link_receive() */
};
typedef enum port_link_answer port_link_function(void *opaque, const void *frame, size_t size,
                                                 const struct nic_offload *offload);
/* Hands over up to `max` frames. Returns how many were taken. After fewer than
 * `max`, and without a FULL, the switch will call (unless suppressed). */
unsigned port_link_receive(struct port_link *link, port_link_function *function, void *opaque, unsigned max);
/* How many of its PORT_LINK_RECEIVE_QUEUE buffers the switch has filled and port_link_receive() not
 * taken. All of them: what the switch would send now is lost. */
#define PORT_LINK_RECEIVE_QUEUE 256u
unsigned port_link_waiting(const struct port_link *link);
/* True: asks the switch not to call, because we look at the queue ourselves.
 * False: asks it to call again. Returns whether frames wait already. */
bool port_link_suppress(struct port_link *link, bool suppress);

const struct port_link_counters *port_link_counters(const struct port_link *link);
/* Why the last connection ended: a text for people; "" when none did. */
const char *port_link_error(const struct port_link *link);

#endif
