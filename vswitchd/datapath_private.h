/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of the data path share; for nobody else. datapath.c has the
 * ports and their bursts, datapath_frame.c the way of one frame,
 * datapath_query.c what the control plane asks for.
 */
#ifndef VSWITCHD_DATAPATH_PRIVATE_H
#define VSWITCHD_DATAPATH_PRIVATE_H

#include "vswitchd/datapath.h"

struct slot {
    struct port *port; /* NULL: free */
    datapath_capture_function *capture;
    void *capture_context;
    uint64_t limit_told; /* when DATAPATH_FDB_LIMIT was last told */
};

struct datapath {
    struct event_loop *loop;
    struct eth_switch *sw;
    struct event_call *again;      /* receives from the ports in `pending` */
    struct event_timer *ageing;
    uint8_t *scratch;              /* FRAME_BUFFER_SIZE: segments of a super-frame */
    datapath_event_function *listener;
    void *listener_context;
    uint64_t now;                  /* of the current burst */
    struct port_set pending;       /* ports with more to receive */
    struct port_set dirty;         /* ports sent to, not yet flushed */
    unsigned count;
    struct slot slots[PORT_SET_MAX];
};

/* Tells the listener, if there is one, at dp->now. */
void datapath_tell(struct datapath *dp, enum datapath_event_type type, const struct port *port, uint64_t mac,
                   uint16_t vlan);

/* A frame that a port has received: checks it, asks core/, and sends it on or drops it. `context` is the data path
 * (struct port_listener), dp->now is of this burst. Ports that it was sent to are in dp->dirty afterwards. */
void datapath_deliver(void *context, struct port *port, struct frame *frame);

/* The port's number; -1: there is none of that name. */
int datapath_find_number(const struct datapath *dp, const char *name);

#endif
