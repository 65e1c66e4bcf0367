/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The way of a frame (datapath.h): checked at its port, decided on by core/,
 * rewritten if need be, sent. datapath.c has the bursts that frames come in.
 */
#include "vswitchd/core/eth_frame.h"
#include "vswitchd/core/forward.h"
#include "vswitchd/core/offload.h"
#include "vswitchd/datapath_private.h"

/* ---- out ---- */

static void capture(struct datapath *dp, const struct port *port, const struct frame *frame, bool out)
{
    const struct slot *slot = &dp->slots[port->number];
    if (slot->capture) {
        slot->capture(slot->capture_context, frame, out, dp->now);
    }
}

static bool takes_gso(const struct port_capabilities *capabilities, unsigned gso_type)
{
    if (gso_type & FRAME_GSO_ECN && !capabilities->tso_ecn) {
        return false;
    }
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
    if (!port->capabilities.csum) {
        segment->offload = (struct frame_offload){0};
    }
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
    if (capabilities->max_frame && capabilities->max_frame < limit) {
        limit = capabilities->max_frame;
    }
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
    if (tagged && *is_tagged) {
        vlan_set_tci(frame, tci);
    } else if (tagged) {
        vlan_push(frame, tci);
    } else if (*is_tagged) {
        vlan_pop(frame);
    }
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
        if (port_set_empty(set)) {
            continue;
        }
        retag(frame, &tagged, form == 1, decision->tci);
        PORT_SET_EACH(number, set) {
            send_to(dp, number, frame, tagged);
        }
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
        datapath_tell(dp, DATAPATH_FDB_MOVED, port, decision->source, decision->vlan);
        return;
    case FDB_NEW:
        datapath_tell(dp, DATAPATH_FDB_LEARNED, port, decision->source, decision->vlan);
        return;
    case FDB_REPLACED:
    case FDB_REFUSED:
        if (slot->limit_told && dp->now - slot->limit_told < EVENT_LOOP_SECOND) {
            return;
        }
        slot->limit_told = dp->now;
        datapath_tell(dp, DATAPATH_FDB_LIMIT, port, decision->source, decision->vlan);
        return;
    }
}

/* What can be said against a frame without the switch: its size and its metadata. */
static enum drop_reason check_frame(const struct datapath *dp, const struct port *port, struct frame *frame)
{
    if (frame->size < ETH_HEADER_SIZE) {
        return DROP_RUNT;
    }
    if (frame->size > FRAME_MAX) {
        return DROP_OVERSIZE;
    }
    if (!offload_check(frame)) {
        return DROP_BAD_OFFLOAD;
    }
    bool tagged = eth_get16(frame->data + 2 * ETH_MAC_SIZE) == ETH_TYPE_VLAN;
    if (offload_wire_size(frame) > switch_get_port(dp->sw, port->number)->mtu + header_size(tagged)) {
        return DROP_OVERSIZE;
    }
    return DROP_NONE;
}

void datapath_deliver(void *context, struct port *port, struct frame *frame)
{
    struct datapath *dp = context;
    struct forward_decision decision;
    enum drop_reason reason = check_frame(dp, port, frame);
    /* Not shown: metadata that lies, which who reads a capture may believe, and what no buffer holds. */
    if (reason != DROP_BAD_OFFLOAD && frame->size <= FRAME_MAX) {
        capture(dp, port, frame, false);
    }
    if (reason != DROP_NONE) {
        port_drop(port, reason);
        return;
    }
    forward_frame(dp->sw, port->number, frame, dp->now, &decision);
    port->counters.in_group += decision.to_group;
    tell_learned(dp, port, &decision);
    if (decision.drop != DROP_NONE) {
        port_drop(port, decision.drop);
    } else {
        send_all(dp, frame, &decision);
    }
}
