/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The egress queue of a port: copies of frames that it could not take at once,
 * in a byte ring of fixed size. Used by port.c only.
 */
#ifndef VSWITCHD_PORTS_PORT_QUEUE_H
#define VSWITCHD_PORTS_PORT_QUEUE_H

#include "vswitchd/core/frame.h"

#define PORT_QUEUE_BYTES (1024u * 1024u)
#define PORT_QUEUE_FRAMES 1024u

struct port_queue;

/* NULL: no memory. At most `frames` frames in `bytes` bytes. */
struct port_queue *port_queue_create(uint32_t bytes, uint32_t frames);
void port_queue_destroy(struct port_queue *queue);

bool port_queue_push(struct port_queue *queue, const struct frame *frame); /* copies it; false: full */
/* The oldest frame, with its headroom, where it lies; false: empty. Valid until the next push or pop. */
bool port_queue_peek(struct port_queue *queue, struct frame *frame);
void port_queue_pop(struct port_queue *queue);
uint32_t port_queue_count(const struct port_queue *queue);

#endif
