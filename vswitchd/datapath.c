/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The data path (datapath.h): its ports, bound to the event loop. One burst of
 * a port at a time; the clock is read once a burst. What becomes of a frame is
 * in datapath_frame.c.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vswitchd/datapath_private.h"

#define EXPIRE_BUDGET 4096u /* aged addresses removed a round */

void datapath_tell(struct datapath *dp, enum datapath_event_type type, const struct port *port, uint64_t mac,
                   uint16_t vlan)
{
    if (!dp->listener) {
        return;
    }
    struct datapath_event event = {.type = type, .time = dp->now, .port = port->name, .mac = mac, .vlan = vlan};
    dp->listener(dp->listener_context, &event);
}

/* ---- bursts ---- */

static void flush_dirty(struct datapath *dp)
{
    PORT_SET_EACH(number, &dp->dirty) {
        if (dp->slots[number].port) {
            port_flush(dp->slots[number].port);
        }
    }
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
    if (!port_set_has(&dp->pending, port->number)) {
        receive_burst(dp, port);
    }
}

static void receive_again(void *context)
{
    struct datapath *dp = context;
    struct port_set turn = dp->pending;
    port_set_clear(&dp->pending);
    PORT_SET_EACH(number, &turn) {
        if (dp->slots[number].port) {
            receive_burst(dp, dp->slots[number].port);
        }
    }
}

static void link_changed(void *context, struct port *port)
{
    struct datapath *dp = context;
    dp->now = event_loop_now(dp->loop);
    switch_set_link(dp->sw, port->number, port->link);
    datapath_tell(dp, port->link ? DATAPATH_PORT_UP : DATAPATH_PORT_DOWN, port, 0, 0);
}

static void tell_aged(void *context, const struct fdb_entry_info *entry)
{
    struct datapath *dp = context;
    datapath_tell(dp, DATAPATH_FDB_AGED, dp->slots[entry->port].port, entry->mac, entry->vlan);
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
    if (!dp) {
        return NULL;
    }
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
    if (slot->capture) {
        slot->capture(slot->capture_context, NULL, false, dp->now);
    }
    switch_remove_port(dp->sw, number);
    *slot = (struct slot){0};
    port_set_remove(&dp->pending, number);
    port_set_remove(&dp->dirty, number);
    dp->count--;
    port_set_listener(port, &(struct port_listener){0});
    datapath_tell(dp, DATAPATH_PORT_REMOVED, port, 0, 0);
    port_destroy(port);
}

void datapath_destroy(struct datapath *dp)
{
    if (!dp) {
        return;
    }
    dp->listener = NULL;
    for (unsigned i = 0; i < PORT_SET_MAX; i++) {
        if (dp->slots[i].port) {
            release_slot(dp, i);
        }
    }
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

int datapath_find_number(const struct datapath *dp, const char *name)
{
    for (unsigned i = 0; i < PORT_SET_MAX; i++) {
        if (dp->slots[i].port && strcmp(dp->slots[i].port->name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

int datapath_add_port(struct datapath *dp, struct port *port, const struct switch_port_config *config)
{
    unsigned number = 0;
    if (datapath_find_number(dp, port->name) >= 0) {
        return EEXIST;
    }
    while (number < PORT_SET_MAX && dp->slots[number].port) {
        number++;
    }
    if (number == PORT_SET_MAX) {
        return ENOSPC;
    }
    int result = switch_add_port(dp->sw, number, config);
    if (result) {
        return result;
    }
    dp->now = event_loop_now(dp->loop);
    dp->slots[number] = (struct slot){.port = port};
    dp->count++;
    port->number = number;
    port_set_listener(port, &(struct port_listener){.context = dp,
                                                    .readable = readable,
                                                    .deliver = datapath_deliver,
                                                    .link_changed = link_changed});
    datapath_tell(dp, DATAPATH_PORT_ADDED, port, 0, 0);
    if (port->link) {
        link_changed(dp, port);
    }
    return 0;
}

int datapath_remove_port(struct datapath *dp, const char *name)
{
    int number = datapath_find_number(dp, name);
    if (number < 0) {
        return ENOENT;
    }
    dp->now = event_loop_now(dp->loop);
    release_slot(dp, (unsigned)number);
    return 0;
}

int datapath_set_port(struct datapath *dp, const char *name, const struct switch_port_config *config)
{
    int number = datapath_find_number(dp, name);
    if (number < 0) {
        return ENOENT;
    }
    if (switch_port_config_check(config)) {
        return EINVAL;
    }
    struct port *port = dp->slots[number].port;
    if (config->mtu != switch_get_port(dp->sw, (unsigned)number)->mtu && port->ops->set_mtu) {
        int result = port->ops->set_mtu(port, config->mtu);
        if (result) {
            return result;
        }
    }
    int result = switch_set_port(dp->sw, (unsigned)number, config);
    dp->now = event_loop_now(dp->loop);
    if (result == 0) {
        datapath_tell(dp, DATAPATH_PORT_CHANGED, port, 0, 0);
    }
    return result;
}

int datapath_set_capture(struct datapath *dp, const char *name, datapath_capture_function *function, void *context)
{
    int number = datapath_find_number(dp, name);
    if (number < 0) {
        return ENOENT;
    }
    struct slot *slot = &dp->slots[number];
    if (function && slot->capture) {
        return EBUSY;
    }
    slot->capture = function;
    slot->capture_context = context;
    return 0;
}
