/* SPDX-License-Identifier: BSD-2-Clause
 *
 * config.h: from the structs back to JSON, as config.c reads it.
 */
#include <stdio.h>

#include "vswitchd/config.h"

const struct config_reserved config_reserved_table[] = {
    {"all", 0xffff}, {"stp", 1 << 0}, {"pause", 1 << 1}, {"lacp", 1 << 2}, {"eap", 1 << 3}, {"lldp", 1 << 14}, {NULL, 0},
};

struct jv *config_reserved_to_json(uint16_t reserved)
{
    struct jv *list = jv_new_array();

    for (size_t k = 0; config_reserved_table[k].name; k++) {
        if (reserved && (reserved & config_reserved_table[k].bits) == config_reserved_table[k].bits) {
            jv_append(list, jv_new_string(config_reserved_table[k].name));
            reserved &= (uint16_t)~config_reserved_table[k].bits;
        }
    }
    return list;
}

struct jv *config_vlan_to_json(const struct vlan_config *vlan)
{
    struct jv *o = jv_new_object();
    char text[2048];

    jv_set_string(o, "mode", vlan_mode_name(vlan->mode));
    if (vlan->mode == VLAN_ACCESS) {
        jv_set_int(o, "access", vlan->pvid);
        return o;
    }
    (void)vlan_set_format(&vlan->allowed, text, sizeof text);
    jv_set_string(o, "allowed", text);
    jv_set_int(o, "native", vlan->pvid);
    jv_set_bool(o, "native_tagged", vlan->native_tagged);
    return o;
}

void config_policy_to_json(const struct switch_port_config *policy, struct jv *object)
{
    jv_set(object, "vlan", config_vlan_to_json(&policy->vlan));
    jv_set_bool(object, "enabled", policy->enabled);
    jv_set_bool(object, "learning", policy->learning);
    jv_set_bool(object, "flood", policy->flood);
    jv_set_int(object, "max_macs", policy->max_macs);
    jv_set(object, "forward_reserved", config_reserved_to_json(policy->forward_reserved));
}

static void set_mac(struct jv *object, const uint8_t mac[6])
{
    char text[18];

    snprintf(text, sizeof text, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    jv_set_string(object, "mac", text);
}

struct jv *config_port_to_json(const struct config_port *port)
{
    struct jv *o = jv_new_object();

    jv_set_string(o, "name", port->name);
    jv_set_string(o, "type", port->type == CONFIG_PORT_TAP ? "tap" : "vhost-user");
    config_policy_to_json(&port->policy, o);
    if (port->mtu) {
        jv_set_int(o, "mtu", port->mtu);
    }
    jv_set_bool(o, "offload", port->offload);
    if (port->type == CONFIG_PORT_VHOST_USER) {
        jv_set_string(o, "path", port->path);
        jv_set_string(o, "role", port->listen ? "server" : "client");
        jv_set_bool(o, "unsealed", port->unsealed);
        return o;
    }
    if (port->interface[0]) {
        jv_set_string(o, "interface", port->interface);
    }
    if (port->has_mac) {
        set_mac(o, port->mac);
    }
    if (port->address_count) {
        struct jv *list = jv_new_array();

        for (unsigned i = 0; i < port->address_count; i++) {
            jv_append(list, jv_new_string(port->addresses[i]));
        }
        jv_set(o, "addresses", list);
    }
    return o;
}

static struct jv *nic_to_json(const struct config_nic *nic)
{
    struct jv *o = jv_new_object();
    char place[16];

    if (nic->model[0]) {
        jv_set_string(o, "model", nic->model);
        set_mac(o, nic->mac);
    }
    jv_set_string(o, "port", nic->port);
    if (nic->isa_port) {
        snprintf(place, sizeof place, "0x%x", nic->isa_port);
        jv_set_string(o, "io", place);
    }
    if (nic->isa_irq) {
        jv_set_int(o, "irq", nic->isa_irq);
    }
    if (nic->slot) {
        jv_set_int(o, "slot", nic->slot);
    }
    if (nic->speed) {
        jv_set_int(o, "speed", nic->speed);
    }
    jv_set_bool(o, "link", !nic->unplugged);
    config_policy_to_json(&nic->policy, o);
    if (nic->mtu) {
        jv_set_int(o, "mtu", nic->mtu);
    }
    return o;
}

struct jv *config_guest_to_json(const struct config_guest *guest)
{
    struct jv *o = jv_new_object();
    struct jv *nics = jv_new_array();

    jv_set_string(o, "name", guest->name);
    if (guest->kernel[0]) {     /* Of one that somebody else has started only the ports are known. */
        jv_set_int(o, "memory_mib", guest->memory_mib);
        jv_set_int(o, "idle_slack_ms", guest->idle_slack_ms);
        jv_set_string(o, "kernel", guest->kernel);
        jv_set_string(o, "cmdline", guest->cmdline);
    }
    if (guest->initrd[0]) {
        jv_set_string(o, "initrd", guest->initrd);
    }
    for (unsigned i = 0; i < guest->nic_count; i++) {
        jv_append(nics, nic_to_json(&guest->nics[i]));
    }
    jv_set(o, "nics", nics);
    jv_set_bool(o, "autostart", guest->autostart);
    return o;
}

struct jv *config_switch_to_json(const struct config_switch *eth_switch)
{
    struct jv *o = jv_new_object();

    jv_set_int(o, "fdb_size", eth_switch->fdb_capacity);
    jv_set_int(o, "ageing_s", (int64_t)(eth_switch->fdb_ageing / 1000000000u));
    jv_set_int(o, "mtu", eth_switch->mtu);
    jv_set(o, "forward_reserved", config_reserved_to_json(eth_switch->forward_reserved));
    return o;
}

struct jv *config_to_json(const struct config *config)
{
    struct jv *o = jv_new_object(), *ports = jv_new_array(), *guests = jv_new_array(), *control = jv_new_object();

    jv_set(o, "switch", config_switch_to_json(&config->eth_switch));
    jv_set_string(control, "group", config->group);
    jv_set(o, "control", control);
    for (size_t i = 0; i < config->port_count; i++) {
        jv_append(ports, config_port_to_json(&config->ports[i]));
    }
    for (size_t i = 0; i < config->guest_count; i++) {
        jv_append(guests, config_guest_to_json(&config->guests[i]));
    }
    jv_set(o, "ports", ports);
    jv_set(o, "guests", guests);
    return o;
}
