/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The data path: binds ports (ports/), the decision (core/) and the event loop.
 * It owns the ports that were added to it, carries out what forward_frame()
 * decides, and tells the control plane what happened. The control plane
 * (control/, daemon_*.c) calls it; names are the key of a port.
 */
#ifndef VSWITCHD_DATAPATH_H
#define VSWITCHD_DATAPATH_H

#include "vswitchd/core/switch.h"
#include "vswitchd/os/event_loop.h"
#include "vswitchd/ports/port.h"

struct datapath;

enum datapath_event_type {
    DATAPATH_PORT_ADDED,
    DATAPATH_PORT_REMOVED,
    DATAPATH_PORT_CHANGED, /* its configuration */
    DATAPATH_PORT_UP,      /* link */
    DATAPATH_PORT_DOWN,
    DATAPATH_FDB_LEARNED, /* mac, vlan */
    DATAPATH_FDB_MOVED,   /* mac, vlan: now at this port */
    DATAPATH_FDB_AGED,
    DATAPATH_FDB_LIMIT, /* the port is at its limit of addresses; not more than once a second each */
};

struct datapath_event {
    enum datapath_event_type type;
    uint64_t time;    /* ns, CLOCK_MONOTONIC */
    const char *port; /* name */
    uint64_t mac;     /* eth_mac_number() */
    uint16_t vlan;
};

/* Called from inside the loop; must neither block nor change the data path. FDB_LEARNED, _MOVED and _AGED can come by
 * the ten thousand: the listener bounds what it keeps. */
typedef void datapath_event_function(void *context, const struct datapath_event *event);

/* Frames of one port as they pass: in = from the port, before any decision; out = as handed to the port. Super-frames
 * are shown whole. Called only while set; must not change the frame. */
typedef void datapath_capture_function(void *context, const struct frame *frame, bool out, uint64_t now);

struct datapath *datapath_create(struct event_loop *loop, const struct switch_config *config); /* NULL: no memory */
void datapath_destroy(struct datapath *dp); /* with its ports */
void datapath_set_listener(struct datapath *dp, datapath_event_function *function, void *context);

void datapath_set_config(struct datapath *dp, const struct switch_config *config);
const struct switch_config *datapath_get_config(const struct datapath *dp);

/* The port belongs to the data path afterwards (not on failure). EEXIST: the name is taken; ENOSPC: PORT_SET_MAX ports;
 * EINVAL: see switch_port_config_check(). */
int datapath_add_port(struct datapath *dp, struct port *port, const struct switch_port_config *config);
int datapath_remove_port(struct datapath *dp, const char *name); /* ENOENT */
int datapath_set_port(struct datapath *dp, const char *name, const struct switch_port_config *config);

/* A snapshot of a port; the pointers are valid until the port or its configuration changes. */
struct datapath_port_info {
    const char *name;
    const char *type;
    bool link;
    uint32_t queued; /* frames in the egress queue */
    uint32_t macs;   /* addresses learned or set there */
    const struct port_capabilities *capabilities;
    const struct switch_port_config *config;
    const struct port_counters *counters;
    char description[128];
};
bool datapath_get_port(const struct datapath *dp, const char *name, struct datapath_port_info *info);
/* In the order of their numbers, until visit answers false. Ports must not be added or removed meanwhile. */
void datapath_each_port(const struct datapath *dp, bool (*visit)(void *context, const struct datapath_port_info *info),
                        void *context);
unsigned datapath_port_count(const struct datapath *dp);
/* The port object itself, for functions of its type (port_vhost_user.h …). NULL: no such port. */
struct port *datapath_find_port(const struct datapath *dp, const char *name);
void datapath_clear_counters(struct datapath *dp, const char *name); /* NULL: of all ports */

/* The MAC table by port name. */
struct datapath_fdb_entry {
    uint64_t mac;
    uint16_t vlan;
    const char *port;
    bool is_static;
    uint64_t age; /* ns */
};
void datapath_fdb_each(const struct datapath *dp, bool (*visit)(void *context, const struct datapath_fdb_entry *entry),
                       void *context);
int datapath_fdb_add(struct datapath *dp, uint64_t mac, unsigned vlan, const char *port); /* static; ENOENT: port */
int datapath_fdb_delete(struct datapath *dp, uint64_t mac, unsigned vlan);               /* ENOENT */
/* port NULL: all; vlan -1: all. ENOENT: no such port. `count` (may be NULL) tells how many went. */
int datapath_fdb_flush(struct datapath *dp, const char *port, int vlan, bool include_static, uint32_t *count);
uint32_t datapath_fdb_count(const struct datapath *dp);

/* One capture a port; function NULL ends it. ENOENT, EBUSY. Removing the port ends it, too: function is called with
 * frame NULL then. */
int datapath_set_capture(struct datapath *dp, const char *name, datapath_capture_function *function, void *context);

#endif
