/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the control plane asks the data path for (datapath.h): ports and their
 * counters, and the MAC table by names of ports.
 */
#include <errno.h>
#include <string.h>

#include "vswitchd/datapath_private.h"

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
    if (port->ops->describe) {
        port->ops->describe(port, info->description, sizeof(info->description));
    }
}

bool datapath_get_port(const struct datapath *dp, const char *name, struct datapath_port_info *info)
{
    int number = datapath_find_number(dp, name);
    if (number < 0) {
        return false;
    }
    fill_info(dp, (unsigned)number, info);
    return true;
}

void datapath_each_port(const struct datapath *dp, bool (*visit)(void *context, const struct datapath_port_info *info),
                        void *context)
{
    for (unsigned i = 0; i < PORT_SET_MAX; i++) {
        struct datapath_port_info info;
        if (!dp->slots[i].port) {
            continue;
        }
        fill_info(dp, i, &info);
        if (!visit(context, &info)) {
            return;
        }
    }
}

unsigned datapath_port_count(const struct datapath *dp)
{
    return dp->count;
}

struct port *datapath_find_port(const struct datapath *dp, const char *name)
{
    int number = datapath_find_number(dp, name);
    return number < 0 ? NULL : dp->slots[number].port;
}

void datapath_clear_counters(struct datapath *dp, const char *name)
{
    for (unsigned i = 0; i < PORT_SET_MAX; i++) {
        if (dp->slots[i].port && (!name || strcmp(dp->slots[i].port->name, name) == 0)) {
            memset(&dp->slots[i].port->counters, 0, sizeof(dp->slots[i].port->counters));
        }
    }
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
    int number = datapath_find_number(dp, port);
    if (number < 0) {
        return ENOENT;
    }
    if (vlan < VLAN_ID_MIN || vlan > VLAN_ID_MAX) {
        return EINVAL;
    }
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
        filter.port = datapath_find_number(dp, port);
        if (filter.port < 0) {
            return ENOENT;
        }
    }
    uint32_t removed = fdb_flush(switch_fdb(dp->sw), &filter);
    if (count) {
        *count = removed;
    }
    return 0;
}

uint32_t datapath_fdb_count(const struct datapath *dp)
{
    return fdb_count(switch_fdb((struct eth_switch *)dp->sw));
}
