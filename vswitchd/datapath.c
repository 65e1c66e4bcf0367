/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The way of a frame (datapath.h): checked at its port, decided on by core/,
 * rewritten if need be, sent. One burst of a port at a time; the clock is read
 * once a burst.
 */
#include "vswitchd/datapath.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vswitchd/core/eth_frame.h"
#include "vswitchd/core/forward.h"
#include "vswitchd/core/offload.h"

#define EXPIRE_BUDGET 4096u /* aged addresses removed a round */

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

static void tell(struct datapath *dp, enum datapath_event_type type, const struct port *port, uint64_t mac, uint16_t vlan)
{
    if (!dp->listener)
        return;
    struct datapath_event event = {.type = type, .time = dp->now, .port = port->name, .mac = mac, .vlan = vlan};
    dp->listener(dp->listener_context, &event);
}

/* ---- out ---- */

static void capture(struct datapath *dp, const struct port *port, const struct frame *frame, bool out)
{
    const struct slot *slot = &dp->slots[port->number];
    if (slot->capture)
        slot->capture(slot->capture_context, frame, out, dp->now);
}

static bool takes_gso(const struct port_capabilities *capabilities, unsigned gso_type)
{
    if (gso_type & FRAME_GSO_ECN && !capabilities->tso_ecn)
        return false;
    return (gso_type & ~(unsigned)FRAME_GSO_ECN) == FRAME_GSO_TCPV4 ? capabilities->tso4 : capabilities->tso6;
}

/* Bytes of a frame beside its payload. */
static uint32_t header_size(bool tagged)
{
    return ETH_HEADER_SIZE + (tagged ? ETH_TAG_SIZE : 0);
}

static bool send_segment(void *context, struct frame *segment)
{
    struct port *port = context;
    if (!port->capabilities.csum)
        segment->offload = (struct frame_offload){0};
    bool sent = port_send(port, segment);
    port->counters.out_segments += sent;
    return port->link;
}

/* Sends a frame in its final form to one port, finishing what the port cannot take unfinished. */
static void send_to(struct datapath *dp, unsigned number, struct frame *frame, bool tagged)
{
    struct port *port = dp->slots[number].port;
    const struct port_capabilities *capabilities = &port->capabilities;
    uint32_t limit = switch_get_port(dp->sw, number)->mtu + ETH_HEADER_SIZE;
    if (capabilities->max_frame && capabilities->max_frame < limit)
        limit = capabilities->max_frame;
    if (offload_wire_size(frame) > limit + (tagged ? ETH_TAG_SIZE : 0)) {
        port_drop(port, DROP_MTU);
        return;
    }
    capture(dp, port, frame, true);
    port_set_add(&dp->dirty, number);
    if (frame->offload.gso_type != FRAME_GSO_NONE && !takes_gso(capabilities, frame->offload.gso_type)) {
        offload_segment(frame, dp->scratch, send_segment, port);
        return;
    }
    if (capabilities->csum) {
        port_send(port, frame);
        return;
    }
    if (frame->offload.flags & FRAME_NEEDS_CSUM) {
        /* In place, on bytes that others may still get: for them it is only a frame with less left to do. */
        offload_complete_csum(frame);
        port->counters.out_checksums++;
    }
    struct frame out = {.data = frame->data, .size = frame->size};
    port_send(port, &out);
}

/* Gives the frame the form that it leaves in. */
static void retag(struct frame *frame, bool *is_tagged, bool tagged, uint16_t tci)
{
    if (tagged && *is_tagged)
        vlan_set_tci(frame, tci);
    else if (tagged)
        vlan_push(frame, tci);
    else if (*is_tagged)
        vlan_pop(frame);
    *is_tagged = tagged;
}

static void send_all(struct datapath *dp, struct frame *frame, const struct forward_decision *decision)
{
    bool tagged = decision->tagged;
    if (decision->out_port >= 0) {
        retag(frame, &tagged, decision->out_tagged, decision->tci);
        send_to(dp, (unsigned)decision->out_port, frame, tagged);
        return;
    }
    for (unsigned form = 0; form < 2; form++) {
        const struct port_set *set = form ? &decision->out_with_tag : &decision->out_untagged;
        if (port_set_empty(set))
            continue;
        retag(frame, &tagged, form == 1, decision->tci);
        PORT_SET_EACH(number, set)
            send_to(dp, number, frame, tagged);
    }
}

/* ---- in ---- */

static void tell_learned(struct datapath *dp, struct port *port, const struct forward_decision *decision)
{
    struct slot *slot = &dp->slots[port->number];
    switch (decision->learned) {
    case FDB_KNOWN:
        return;
    case FDB_MOVED:
        tell(dp, DATAPATH_FDB_MOVED, port, decision->source, decision->vlan);
        return;
    case FDB_NEW:
        tell(dp, DATAPATH_FDB_LEARNED, port, decision->source, decision->vlan);
        return;
    case FDB_REPLACED:
    case FDB_REFUSED:
        if (slot->limit_told && dp->now - slot->limit_told < EVENT_LOOP_SECOND)
            return;
        slot->limit_told = dp->now;
        tell(dp, DATAPATH_FDB_LIMIT, port, decision->source, decision->vlan);
        return;
    }
}

/* What can be said against a frame without the switch: its size and its metadata. */
static enum drop_reason check_frame(const struct datapath *dp, const struct port *port, struct frame *frame)
{
    if (frame->size < ETH_HEADER_SIZE)
        return DROP_RUNT;
    if (frame->size > FRAME_MAX)
        return DROP_OVERSIZE;
    if (!offload_check(frame))
        return DROP_BAD_OFFLOAD;
    bool tagged = eth_get16(frame->data + 2 * ETH_MAC_SIZE) == ETH_TYPE_VLAN;
    if (offload_wire_size(frame) > switch_get_port(dp->sw, port->number)->mtu + header_size(tagged))
        return DROP_OVERSIZE;
    return DROP_NONE;
}

static void deliver(void *context, struct port *port, struct frame *frame)
{
    struct datapath *dp = context;
    struct forward_decision decision;
    enum drop_reason reason = check_frame(dp, port, frame);
    /* Not shown: metadata that lies, which who reads a capture may believe, and what no buffer holds. */
    if (reason != DROP_BAD_OFFLOAD && frame->size <= FRAME_MAX)
        capture(dp, port, frame, false);
    if (reason != DROP_NONE) {
        port_drop(port, reason);
        return;
    }
    forward_frame(dp->sw, port->number, frame, dp->now, &decision);
    port->counters.in_group += decision.to_group;
    tell_learned(dp, port, &decision);
    if (decision.drop != DROP_NONE)
        port_drop(port, decision.drop);
    else
        send_all(dp, frame, &decision);
}

static void flush_dirty(struct datapath *dp)
{
    PORT_SET_EACH(number, &dp->dirty)
        if (dp->slots[number].port)
            port_flush(dp->slots[number].port);
    port_set_clear(&dp->dirty);
}

/* One burst of one port. */
static void receive_burst(struct datapath *dp, struct port *port)
{
    dp->now = event_loop_now(dp->loop);
    if (port_receive(port)) {
        port_set_add(&dp->pending, port->number);
        event_call_schedule(dp->again);
    }
    flush_dirty(dp);
}

static void readable(void *context, struct port *port)
{
    struct datapath *dp = context;
    /* A port that is waiting for its turn does not get a second one by its descriptor. */
    if (!port_set_has(&dp->pending, port->number))
        receive_burst(dp, port);
}

static void receive_again(void *context)
{
    struct datapath *dp = context;
    struct port_set turn = dp->pending;
    port_set_clear(&dp->pending);
    PORT_SET_EACH(number, &turn)
        if (dp->slots[number].port)
            receive_burst(dp, dp->slots[number].port);
}

static void link_changed(void *context, struct port *port)
{
    struct datapath *dp = context;
    dp->now = event_loop_now(dp->loop);
    switch_set_link(dp->sw, port->number, port->link);
    tell(dp, port->link ? DATAPATH_PORT_UP : DATAPATH_PORT_DOWN, port, 0, 0);
}

static void tell_aged(void *context, const struct fdb_entry_info *entry)
{
    struct datapath *dp = context;
    tell(dp, DATAPATH_FDB_AGED, dp->slots[entry->port].port, entry->mac, entry->vlan);
}

static void age(void *context)
{
    struct datapath *dp = context;
    dp->now = event_loop_now(dp->loop);
    uint32_t removed = fdb_expire(switch_fdb(dp->sw), dp->now, EXPIRE_BUDGET, tell_aged, dp);
    /* Where there is more, soon again; the frames come first. */
    event_timer_set(dp->ageing, dp->now + (removed == EXPIRE_BUDGET ? EVENT_LOOP_SECOND / 1000 : EVENT_LOOP_SECOND));
}

/* ---- the data path and its ports ---- */

struct datapath *datapath_create(struct event_loop *loop, const struct switch_config *config)
{
    struct datapath *dp = calloc(1, sizeof(*dp));
    if (!dp)
        return NULL;
    dp->loop = loop;
    dp->now = event_loop_now(loop);
    dp->sw = switch_create(config);
    dp->scratch = malloc(FRAME_BUFFER_SIZE);
    dp->again = event_call_create(loop, receive_again, dp);
    dp->ageing = event_timer_create(loop, age, dp);
    if (!dp->sw || !dp->scratch || !dp->again || !dp->ageing ||
        event_timer_set(dp->ageing, dp->now + EVENT_LOOP_SECOND) != 0) {
        datapath_destroy(dp);
        return NULL;
    }
    return dp;
}

static void release_slot(struct datapath *dp, unsigned number)
{
    struct slot *slot = &dp->slots[number];
    struct port *port = slot->port;
    if (slot->capture)
        slot->capture(slot->capture_context, NULL, false, dp->now);
    switch_remove_port(dp->sw, number);
    *slot = (struct slot){0};
    port_set_remove(&dp->pending, number);
    port_set_remove(&dp->dirty, number);
    dp->count--;
    port_set_listener(port, &(struct port_listener){0});
    tell(dp, DATAPATH_PORT_REMOVED, port, 0, 0);
    port_destroy(port);
}

void datapath_destroy(struct datapath *dp)
{
    if (!dp)
        return;
    dp->listener = NULL;
    for (unsigned i = 0; i < PORT_SET_MAX; i++)
        if (dp->slots[i].port)
            release_slot(dp, i);
    event_call_destroy(dp->again);
    event_timer_destroy(dp->ageing);
    switch_destroy(dp->sw);
    free(dp->scratch);
    free(dp);
}

void datapath_set_listener(struct datapath *dp, datapath_event_function *function, void *context)
{
    dp->listener = function;
    dp->listener_context = context;
}

void datapath_set_config(struct datapath *dp, const struct switch_config *config)
{
    switch_set_config(dp->sw, config);
}

const struct switch_config *datapath_get_config(const struct datapath *dp)
{
    return switch_get_config(dp->sw);
}

static int find_number(const struct datapath *dp, const char *name)
{
    for (unsigned i = 0; i < PORT_SET_MAX; i++)
        if (dp->slots[i].port && strcmp(dp->slots[i].port->name, name) == 0)
            return (int)i;
    return -1;
}

int datapath_add_port(struct datapath *dp, struct port *port, const struct switch_port_config *config)
{
    unsigned number = 0;
    if (find_number(dp, port->name) >= 0)
        return EEXIST;
    while (number < PORT_SET_MAX && dp->slots[number].port)
        number++;
    if (number == PORT_SET_MAX)
        return ENOSPC;
    int result = switch_add_port(dp->sw, number, config);
    if (result)
        return result;
    dp->now = event_loop_now(dp->loop);
    dp->slots[number] = (struct slot){.port = port};
    dp->count++;
    port->number = number;
    port_set_listener(port, &(struct port_listener){
                                .context = dp, .readable = readable, .deliver = deliver, .link_changed = link_changed});
    tell(dp, DATAPATH_PORT_ADDED, port, 0, 0);
    if (port->link)
        link_changed(dp, port);
    return 0;
}

int datapath_remove_port(struct datapath *dp, const char *name)
{
    int number = find_number(dp, name);
    if (number < 0)
        return ENOENT;
    dp->now = event_loop_now(dp->loop);
    release_slot(dp, (unsigned)number);
    return 0;
}

int datapath_set_port(struct datapath *dp, const char *name, const struct switch_port_config *config)
{
    int number = find_number(dp, name);
    if (number < 0)
        return ENOENT;
    if (switch_port_config_check(config))
        return EINVAL;
    struct port *port = dp->slots[number].port;
    if (config->mtu != switch_get_port(dp->sw, (unsigned)number)->mtu && port->ops->set_mtu) {
        int result = port->ops->set_mtu(port, config->mtu);
        if (result)
            return result;
    }
    int result = switch_set_port(dp->sw, (unsigned)number, config);
    dp->now = event_loop_now(dp->loop);
    if (result == 0)
        tell(dp, DATAPATH_PORT_CHANGED, port, 0, 0);
    return result;
}

/* ---- asking ---- */

static void fill_info(const struct datapath *dp, unsigned number, struct datapath_port_info *info)
{
    const struct port *port = dp->slots[number].port;
    *info = (struct datapath_port_info){
        .name = port->name,
        .type = port->ops->type,
        .link = port->link,
        .queued = port_queued(port),
        .macs = fdb_port_count(switch_fdb(dp->sw), number),
        .capabilities = &port->capabilities,
        .config = switch_get_port(dp->sw, number),
        .counters = &port->counters,
    };
    if (port->ops->describe)
        port->ops->describe(port, info->description, sizeof(info->description));
}

bool datapath_get_port(const struct datapath *dp, const char *name, struct datapath_port_info *info)
{
    int number = find_number(dp, name);
    if (number < 0)
        return false;
    fill_info(dp, (unsigned)number, info);
    return true;
}

void datapath_each_port(const struct datapath *dp, bool (*visit)(void *context, const struct datapath_port_info *info),
                        void *context)
{
    for (unsigned i = 0; i < PORT_SET_MAX; i++) {
        struct datapath_port_info info;
        if (!dp->slots[i].port)
            continue;
        fill_info(dp, i, &info);
        if (!visit(context, &info))
            return;
    }
}

unsigned datapath_port_count(const struct datapath *dp)
{
    return dp->count;
}

struct port *datapath_find_port(const struct datapath *dp, const char *name)
{
    int number = find_number(dp, name);
    return number < 0 ? NULL : dp->slots[number].port;
}

void datapath_clear_counters(struct datapath *dp, const char *name)
{
    for (unsigned i = 0; i < PORT_SET_MAX; i++)
        if (dp->slots[i].port && (!name || strcmp(dp->slots[i].port->name, name) == 0))
            memset(&dp->slots[i].port->counters, 0, sizeof(dp->slots[i].port->counters));
}

struct fdb_visit {
    const struct datapath *dp;
    bool (*visit)(void *context, const struct datapath_fdb_entry *entry);
    void *context;
};

static bool visit_entry(void *context, const struct fdb_entry_info *info)
{
    const struct fdb_visit *walk = context;
    struct datapath_fdb_entry entry = {
        .mac = info->mac,
        .vlan = info->vlan,
        .port = walk->dp->slots[info->port].port->name,
        .is_static = info->is_static,
        .age = info->age,
    };
    return walk->visit(walk->context, &entry);
}

void datapath_fdb_each(const struct datapath *dp, bool (*visit)(void *context, const struct datapath_fdb_entry *entry),
                       void *context)
{
    struct fdb_visit walk = {.dp = dp, .visit = visit, .context = context};
    fdb_each(switch_fdb(dp->sw), event_loop_now(dp->loop), visit_entry, &walk);
}

int datapath_fdb_add(struct datapath *dp, uint64_t mac, unsigned vlan, const char *port)
{
    int number = find_number(dp, port);
    if (number < 0)
        return ENOENT;
    if (vlan < VLAN_ID_MIN || vlan > VLAN_ID_MAX)
        return EINVAL;
    return fdb_add_static(switch_fdb(dp->sw), vlan, mac, (unsigned)number);
}

int datapath_fdb_delete(struct datapath *dp, uint64_t mac, unsigned vlan)
{
    return fdb_delete(switch_fdb(dp->sw), vlan, mac);
}

int datapath_fdb_flush(struct datapath *dp, const char *port, int vlan, bool include_static, uint32_t *count)
{
    struct fdb_filter filter = {.port = -1, .vlan = vlan, .include_static = include_static};
    if (port) {
        filter.port = find_number(dp, port);
        if (filter.port < 0)
            return ENOENT;
    }
    uint32_t removed = fdb_flush(switch_fdb(dp->sw), &filter);
    if (count)
        *count = removed;
    return 0;
}

uint32_t datapath_fdb_count(const struct datapath *dp)
{
    return fdb_count(switch_fdb((struct eth_switch *)dp->sw));
}

int datapath_set_capture(struct datapath *dp, const char *name, datapath_capture_function *function, void *context)
{
    int number = find_number(dp, name);
    if (number < 0)
        return ENOENT;
    struct slot *slot = &dp->slots[number];
    if (function && slot->capture)
        return EBUSY;
    slot->capture = function;
    slot->capture_context = context;
    return 0;
}
