/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What is inside struct eth_switch: for switch.c, which changes it, and
 * forward.c, which only reads it (and learns). Nobody else includes this.
 */
#ifndef VSWITCHD_CORE_SWITCH_STATE_H
#define VSWITCHD_CORE_SWITCH_STATE_H

#include "vswitchd/core/switch.h"

struct switch_port {
    bool used;
    bool link;
    struct switch_port_config config;
};

/* Ports that frames of a VLAN may leave through: enabled, and with link. */
struct vlan_members {
    struct port_set untagged;
    struct port_set tagged;
};

struct eth_switch {
    struct switch_config config;
    struct fdb *fdb;
    struct port_set no_flood; /* ports that do not get unicast to unknown addresses */
    struct port_set trunks;
    struct switch_port ports[PORT_SET_MAX];
    struct vlan_members vlans[VLAN_COUNT];
};

#endif
