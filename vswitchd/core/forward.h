/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The decision: (switch, in port, frame, now) → out ports and rewrite. It does
 * no I/O, is the same for the same input, and changes nothing but the MAC
 * table. datapath_frame.c carries it out.
 */
#ifndef VSWITCHD_CORE_FORWARD_H
#define VSWITCHD_CORE_FORWARD_H

#include "vswitchd/core/counters.h"
#include "vswitchd/core/frame.h"
#include "vswitchd/core/switch.h"

struct forward_decision {
    enum drop_reason drop;    /* not DROP_NONE: to nobody, and counted at the in port */
    enum fdb_learned learned; /* what became of its source address; FDB_KNOWN when not learning */
    bool tagged;              /* the frame as it came in has an 802.1Q tag */
    bool to_group;            /* multicast or broadcast */
    bool flooded;             /* to all of the VLAN */
    uint16_t vlan;
    uint16_t tci;                 /* the tag it carries where it leaves tagged */
    uint64_t source;              /* its MAC addresses as numbers */
    int out_port;                 /* the only target, when it is one (known unicast); else -1 and the sets below */
    bool out_tagged;              /* how it leaves through out_port */
    struct port_set out_untagged; /* set only when out_port is -1 */
    struct port_set out_with_tag;
};

void forward_frame(struct eth_switch *sw, unsigned in_port, const struct frame *frame, uint64_t now,
                   struct forward_decision *decision);

#endif
