/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A port: where frames enter and leave the switch. Two sides use this header.
 *
 * Implementers (port_tap.c, port_vhost_user.c, tests/fake/fake_port.c) embed
 * struct port as the first member of their own, fill it with port_init(), and
 * provide struct port_ops. They watch their own descriptors with the event
 * loop, and say what happened through port_readable(), port_writable() and
 * port_link_changed(); they hand over frames only inside ops->receive().
 *
 * The data path (datapath.c) calls port_receive(), port_send(), port_flush(). A
 * port that cannot take a frame now gets it from its bounded queue later.
 *
 * Everything runs on the event loop's thread. No function here blocks.
 */
#ifndef VSWITCHD_PORTS_PORT_H
#define VSWITCHD_PORTS_PORT_H

#include "vswitchd/core/counters.h"
#include "vswitchd/core/frame.h"

#define PORT_NAME_SIZE 32u   /* with its NUL */
#define PORT_ERROR_SIZE 256u /* for the text of what went wrong at creation */
#define PORT_BATCH 64u       /* frames taken from one port before others get their turn … */
#define PORT_BATCH_BYTES (256u * 1024u) /* … or fewer, when super-frames make up this much */
#define PORT_BATCH_SMALL 128u           /* … or more, where so many wait and are small, up to */
#define PORT_BATCH_SMALL_BYTES (16u * 1024u)

/* What the peer of this port takes beyond plain frames of up to max_frame bytes. */
struct port_capabilities {
    bool csum;          /* FRAME_NEEDS_CSUM */
    bool tso4;          /* FRAME_GSO_TCPV4 (then csum, too) */
    bool tso6;          /* FRAME_GSO_TCPV6 (then csum, too) */
    bool tso_ecn;       /* FRAME_GSO_ECN with one of them */
    uint32_t max_frame; /* bytes of a frame that is not segmented later, without a VLAN tag; 0: as the MTU says */
};

enum port_send_result {
    PORT_SEND_OK,      /* taken: its bytes are not needed any more */
    PORT_SEND_BLOCKED, /* not taken, no room: port_writable() will be called when there is */
    PORT_SEND_TOO_BIG, /* never fits */
    PORT_SEND_DOWN,    /* no link */
    PORT_SEND_ERROR,   /* refused for another reason */
    PORT_SEND_LATER,   /* taken: port_sent() will say at the next flush what became of it */
};

struct port;

struct port_ops {
    const char *type; /* "tap", "vhost-user"; part of the control protocol */

    /* Hands up to `budget` frames, one at a time, to port_deliver(). True: more are
     * waiting which no descriptor will announce; it is called again soon, after the others' turn. */
    bool (*receive)(struct port *port, unsigned budget);

    /* Sends one frame. May write into its headroom, but changes no byte of the frame, and needs none of them afterwards.
     * LATER only while nothing waits in the port's queue. */
    enum port_send_result (*send)(struct port *port, const struct frame *frame);

    /* A burst of sends is over: what was held back goes out, the peer may be woken, once. NULL: nothing to do. */
    void (*flush)(struct port *port);

    /* The port's MTU (configured): it may pass it on to its peer. NULL: nothing to do. 0 or errno. */
    int (*set_mtu)(struct port *port, uint32_t mtu);

    /* A short text of what is behind it ("connected, 2 queues"), for people. NULL: none. */
    void (*describe)(const struct port *port, char *text, size_t size);

    /* Closes everything and frees the port. */
    void (*destroy)(struct port *port);
};

/* Who hears of a port: the data path. */
struct port_listener {
    void *context;
    void (*readable)(void *context, struct port *port);
    void (*deliver)(void *context, struct port *port, struct frame *frame);
    void (*link_changed)(void *context, struct port *port);
};

struct port_queue;

struct port {
    const struct port_ops *ops;
    struct port_capabilities capabilities; /* may change while running (feature negotiation) */
    bool link;                             /* read it; changed by port_link_changed() */
    bool gone;                             /* what it leads to was deleted: there will be no link again */
    unsigned number;                       /* in its switch; set by the data path */
    char name[PORT_NAME_SIZE];
    struct port_counters counters;
    struct port_listener listener;
    struct port_queue *queue;
};

/* ---- for implementers ---- */

/* True for 1–31 characters of a-z A-Z 0-9 . _ - that do not start with '.' or '-'. */
bool port_name_valid(const char *name);
/* EINVAL (name), ENOMEM. The port starts without link and with no capabilities. */
int port_init(struct port *port, const struct port_ops *ops, const char *name);
/* Frees what port_init() made: the last thing but free() in ops->destroy. */
void port_fini(struct port *port);

/* There is something to receive: leads to ops->receive(), at once or soon. */
void port_readable(struct port *port);
/* One frame, from inside ops->receive(). The switch may rewrite its bytes and its headroom. The offload metadata
 * may be hostile; a port whose peer is no kernel clears FRAME_DATA_VALID. Sizes from 0 to FRAME_MAX + 1 are allowed. */
void port_deliver(struct port *port, struct frame *frame);
/* There is room again after PORT_SEND_BLOCKED: sends what waits in the queue, then flushes. */
void port_writable(struct port *port);
/* From inside ops->flush or ops->send, in the frames' order: what became of one for which send answered LATER. One that is
 * BLOCKED goes to the queue, like any other. */
void port_sent(struct port *port, const struct frame *frame, enum port_send_result result);
/* The same of several frames that all went out. */
void port_sent_all(struct port *port, unsigned frames, uint64_t bytes);
/* The peer came or went. Going down empties the queue. */
void port_link_changed(struct port *port, bool up);

/* ---- for the data path ---- */

void port_set_listener(struct port *port, const struct port_listener *listener);
bool port_receive(struct port *port);
/* Sends, or queues, or drops with a counted reason. True unless dropped. */
bool port_send(struct port *port, const struct frame *frame);
void port_flush(struct port *port);
void port_drop(struct port *port, enum drop_reason reason);
uint32_t port_queued(const struct port *port); /* frames that wait */
void port_destroy(struct port *port);

#endif
