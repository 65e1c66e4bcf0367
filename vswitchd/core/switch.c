/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Keeping a switch's ports, VLAN members and MAC table consistent (switch.h).
 * The members of a VLAN are only those ports that are enabled and have link,
 * so that forward.c has nothing left to ask.
 */
#include "vswitchd/core/switch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vswitchd/core/switch_state.h"

void switch_config_init(struct switch_config *config)
{
    *config = (struct switch_config){.fdb_capacity = FDB_CAPACITY_DEFAULT, .fdb_ageing = FDB_AGEING_DEFAULT};
}

void switch_port_config_init(struct switch_port_config *config)
{
    memset(config, 0, sizeof(*config));
    vlan_config_init(&config->vlan);
    config->mtu = SWITCH_MTU_DEFAULT;
    config->max_macs = FDB_PORT_CAP_DEFAULT;
    config->enabled = true;
    config->learning = true;
    config->flood = true;
}

const char *switch_port_config_check(const struct switch_port_config *config)
{
    if (config->mtu < SWITCH_MTU_MIN || config->mtu > SWITCH_MTU_MAX)
        return "the MTU goes from 68 to 65521";
    return vlan_config_check(&config->vlan);
}

struct eth_switch *switch_create(const struct switch_config *config)
{
    struct eth_switch *sw = calloc(1, sizeof(*sw));
    if (!sw)
        return NULL;
    sw->config = *config;
    sw->fdb = fdb_create(config->fdb_capacity, config->fdb_ageing, config->hash_key);
    if (!sw->fdb) {
        free(sw);
        return NULL;
    }
    return sw;
}

void switch_destroy(struct eth_switch *sw)
{
    if (!sw)
        return;
    fdb_destroy(sw->fdb);
    free(sw);
}

void switch_set_config(struct eth_switch *sw, const struct switch_config *config)
{
    sw->config.fdb_ageing = config->fdb_ageing;
    sw->config.forward_reserved = config->forward_reserved;
    fdb_set_ageing(sw->fdb, config->fdb_ageing);
}

const struct switch_config *switch_get_config(const struct eth_switch *sw)
{
    return &sw->config;
}

/* Enters the port into the members of its VLANs, or takes it out of all. */
static void update_members(struct eth_switch *sw, unsigned number)
{
    const struct switch_port *port = &sw->ports[number];
    bool active = port->used && port->link && port->config.enabled;
    for (unsigned vlan = VLAN_ID_MIN; vlan <= VLAN_ID_MAX; vlan++) {
        struct vlan_members *members = &sw->vlans[vlan];
        port_set_remove(&members->untagged, number);
        port_set_remove(&members->tagged, number);
        enum vlan_egress egress = active ? vlan_config_egress(&port->config.vlan, vlan) : VLAN_NOT_MEMBER;
        if (egress == VLAN_UNTAGGED)
            port_set_add(&members->untagged, number);
        else if (egress == VLAN_TAGGED)
            port_set_add(&members->tagged, number);
    }
    port_set_remove(&sw->trunks, number);
    if (port->used && port->config.vlan.mode == VLAN_TRUNK)
        port_set_add(&sw->trunks, number);
    port_set_remove(&sw->no_flood, number);
    if (port->used && !port->config.flood)
        port_set_add(&sw->no_flood, number);
}

static void forget_learned(struct eth_switch *sw, unsigned number)
{
    fdb_flush(sw->fdb, &(struct fdb_filter){.port = (int)number, .vlan = -1});
}

int switch_add_port(struct eth_switch *sw, unsigned port, const struct switch_port_config *config)
{
    if (port >= PORT_SET_MAX || switch_port_config_check(config))
        return EINVAL;
    if (sw->ports[port].used)
        return EEXIST;
    sw->ports[port] = (struct switch_port){.used = true, .config = *config};
    fdb_set_port_cap(sw->fdb, port, config->max_macs);
    update_members(sw, port);
    return 0;
}

int switch_set_port(struct eth_switch *sw, unsigned port, const struct switch_port_config *config)
{
    if (!switch_get_port(sw, port))
        return ENOENT;
    if (switch_port_config_check(config))
        return EINVAL;
    struct switch_port_config *current = &sw->ports[port].config;
    if (!config->enabled || !config->learning || memcmp(&current->vlan, &config->vlan, sizeof(config->vlan)) != 0)
        forget_learned(sw, port);
    *current = *config;
    fdb_set_port_cap(sw->fdb, port, config->max_macs);
    update_members(sw, port);
    return 0;
}

void switch_remove_port(struct eth_switch *sw, unsigned port)
{
    if (!switch_get_port(sw, port))
        return;
    sw->ports[port].used = false;
    fdb_flush(sw->fdb, &(struct fdb_filter){.port = (int)port, .vlan = -1, .include_static = true});
    update_members(sw, port);
}

const struct switch_port_config *switch_get_port(const struct eth_switch *sw, unsigned port)
{
    return port < PORT_SET_MAX && sw->ports[port].used ? &sw->ports[port].config : NULL;
}

void switch_set_link(struct eth_switch *sw, unsigned port, bool up)
{
    if (!switch_get_port(sw, port) || sw->ports[port].link == up)
        return;
    sw->ports[port].link = up;
    if (!up)
        forget_learned(sw, port);
    update_members(sw, port);
}

struct fdb *switch_fdb(struct eth_switch *sw)
{
    return sw->fdb;
}
