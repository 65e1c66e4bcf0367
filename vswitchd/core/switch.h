/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The state of one switch: its ports' policies, the members of each VLAN and
 * the MAC table. Numbers, not port objects: what a port is made of is the
 * business of ports/. forward.h decides with it; datapath.c keeps it up to date.
 */
#ifndef VSWITCHD_CORE_SWITCH_H
#define VSWITCHD_CORE_SWITCH_H

#include "vswitchd/core/fdb.h"
#include "vswitchd/core/port_set.h"
#include "vswitchd/core/vlan.h"

#define SWITCH_MTU_DEFAULT 1500u
#define SWITCH_MTU_MIN 68u
#define SWITCH_MTU_MAX 65521u /* what a tap accepts */

struct eth_switch;

struct switch_config {
    uint32_t fdb_capacity;     /* fixed at creation */
    uint64_t fdb_ageing;       /* ns, 0: never */
    uint16_t forward_reserved; /* bit x: 01:80:c2:00:00:0x is forwarded like any group address */
    uint64_t hash_key[2];      /* random; fixed at creation */
};

struct switch_port_config {
    struct vlan_config vlan;
    uint32_t mtu;              /* payload bytes of an Ethernet frame, without header and tag */
    uint32_t max_macs;         /* learned addresses at most */
    uint16_t forward_reserved; /* as above, for frames from this port, in addition to the switch's */
    bool enabled;              /* administratively up */
    bool learning;             /* learns sources */
    bool flood;                /* receives unicast frames to unknown addresses */
};

void switch_config_init(struct switch_config *config);
void switch_port_config_init(struct switch_port_config *config);
/* NULL, or what is wrong with it and what would be right. */
const char *switch_port_config_check(const struct switch_port_config *config);

struct eth_switch *switch_create(const struct switch_config *config);
void switch_destroy(struct eth_switch *sw);
/* Takes over what can change while running. */
void switch_set_config(struct eth_switch *sw, const struct switch_config *config);
const struct switch_config *switch_get_config(const struct eth_switch *sw);

/* EINVAL (number or configuration), EEXIST, ENOENT. A port starts without link. */
int switch_add_port(struct eth_switch *sw, unsigned port, const struct switch_port_config *config);
int switch_set_port(struct eth_switch *sw, unsigned port, const struct switch_port_config *config);
void switch_remove_port(struct eth_switch *sw, unsigned port); /* its addresses, static ones too, are forgotten */
const struct switch_port_config *switch_get_port(const struct eth_switch *sw, unsigned port); /* NULL: no such port */
/* Without link a port is no target, and what was learned there is forgotten. */
void switch_set_link(struct eth_switch *sw, unsigned port, bool up);

struct fdb *switch_fdb(struct eth_switch *sw);

#endif
