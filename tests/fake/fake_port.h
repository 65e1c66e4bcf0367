/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A port without anything behind it: the test puts frames in and looks at what
 * came out. The second implementation of ports/port.h.
 */
#ifndef TESTS_FAKE_FAKE_PORT_H
#define TESTS_FAKE_FAKE_PORT_H

#include "vswitchd/ports/port.h"

struct fake_port {
    struct port port;
    /* What send answers; OK after `room` frames have been taken becomes BLOCKED. */
    enum port_send_result answer;
    unsigned room; /* UINT32_MAX: endless */
    bool more;     /* what receive answers while frames are left and the budget is used up */
    unsigned sent, flushed, receive_calls;
    bool *destroyed; /* set at destruction, when not NULL */
    uint32_t mtu;

    uint8_t *last; /* the last frame sent, and its metadata */
    uint32_t last_size;
    struct frame_offload last_offload;
    /* Called for each frame sent, when set. */
    void (*on_send)(struct fake_port *fake, const struct frame *frame);
    void *context;

    unsigned pending; /* how many times receive hands over the frame below */
    uint8_t *in;      /* FRAME_BUFFER_SIZE */
    uint32_t in_size;
    struct frame_offload in_offload;
};

/* With link; takes everything; accepts all offloads if `offloads`. NULL: bad name. */
struct fake_port *fake_port_create(const char *name, bool offloads);
/* The next `count` frames to be received: copies of these bytes, each with this metadata (may be NULL). */
void fake_port_put(struct fake_port *fake, const void *bytes, uint32_t size, const struct frame_offload *offload,
                   unsigned count);

#endif
