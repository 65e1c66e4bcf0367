/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The paravirtual card in the words of virtio 1.1 (4.1.4, 5.1), and the rules of its manual
 * that a driver's register accesses can break.
 */
#include "nicemu/trace.h"
#include "nicemu/virtio_net.h"

#include <string.h>

#define STATUS_FIELDS "ACKNOWLEDGE:0 DRIVER:1 DRIVER_OK:2 FEATURES_OK:3 DEVICE_NEEDS_RESET:6 FAILED:7"
#define ISR_FIELDS "QUEUE:0 CONFIG:1"
#define FEATURE_FIELDS "CSUM:0 GUEST_CSUM:1 MAC:5 GUEST_TSO4:7 GUEST_TSO6:8 GUEST_ECN:9 HOST_TSO4:11 HOST_TSO6:12 " \
                       "HOST_ECN:13 MRG_RXBUF:15 STATUS:16 CTRL_VQ:17 CTRL_RX:18 CTRL_MAC_ADDR:23 ANY_LAYOUT:27 "  \
                       "INDIRECT_DESC:28 EVENT_IDX:29"
#define RULE(nic, ...) nic_trace_rule(nic, __VA_ARGS__)

static bool is_named(const char *name, const char *end)
{
    size_t size = strlen(name), tail = strlen(end);
    return size >= tail && strcmp(name + size - tail, end) == 0;
}

/* The fields of what has some. The upper half of the features is VERSION_1 alone. */
static const char *fields_of(const struct virtio_net *v, const char *name)
{
    bool upper = (strcmp(name, "DEVICE_FEATURE") == 0 && v->device_select == 1) ||
                 (strcmp(name, "DRIVER_FEATURE") == 0 && v->driver_select == 1);
    if (upper)
        return "VERSION_1:0";
    if (is_named(name, "STATUS"))
        return STATUS_FIELDS;
    if (is_named(name, "FEATURE") || is_named(name, "FEATURES"))
        return FEATURE_FIELDS;
    return strcmp(name, "ISR") == 0 ? ISR_FIELDS : NULL;
}

static void describe(struct nic *nic, const struct nic_access *a, struct nic_text *text)
{
    const char *name = vnet_register_name(a->bar, a->offset), *fields;
    if (!name) {
        nic_text_add(text, "nothing at %03x, %u bytes = %x", a->offset, a->size, a->value);
        return;
    }
    nic_text_add(text, "%-14s = %0*x", name, (int)(2 * a->size), a->value);
    if ((fields = fields_of((const struct virtio_net *)nic, name)))
        nic_text_add_fields(text, fields, a->value);
}

/* --- rules --------------------------------------------------------------- */

static void status_written(struct nic *nic, const struct virtio_net *v, uint8_t value)
{
    if (value == 0)
        return;
    if (v->status & ~value & ~VNET_S_NEEDS_RESET)
        RULE(nic, "2.1.1", "status %02x takes back bits of %02x", value, v->status);
    if ((value & VNET_S_DRIVER) && !((v->status | value) & VNET_S_ACKNOWLEDGE))
        RULE(nic, "3.1.1", "DRIVER without ACKNOWLEDGE");
    if ((value & VNET_S_DRIVER_OK) && !(value & VNET_S_DRIVER))
        RULE(nic, "3.1.1", "DRIVER_OK without DRIVER");
    if ((value & VNET_S_DRIVER_OK) && vnet_has(v, VNET_F_VERSION_1) && !(v->status & VNET_S_FEATURES_OK))
        RULE(nic, "3.1.1", "DRIVER_OK without FEATURES_OK");
    if ((value & ~v->status & VNET_S_DRIVER_OK) && !(v->ring[VNET_RX].enabled && v->ring[VNET_TX].enabled))
        RULE(nic, "3.1.1", "DRIVER_OK before the queues are set up");
}

static void features_written(struct nic *nic, const struct virtio_net *v, uint32_t value, unsigned half)
{
    uint32_t offered = (uint32_t)(vnet_offered >> 32 * half);
    if (!(v->status & VNET_S_DRIVER))
        RULE(nic, "3.1.1", "features are accepted before DRIVER is set");
    if (value & ~offered)
        RULE(nic, "2.2.1", "features %08x are accepted that were not offered", value & ~offered);
}

static void notified(struct nic *nic, const struct virtio_net *v, unsigned queue)
{
    if (!(v->status & VNET_S_DRIVER_OK))
        RULE(nic, "3.1.1", "queue %u is notified before DRIVER_OK", queue);
    else if (queue < VNET_QUEUES && !v->ring[queue].enabled)
        RULE(nic, "4.1.5.2", "queue %u is notified, which is not set up", queue);
}

static void check(struct nic *nic, const struct nic_access *a)
{
    const struct virtio_net *v = (const struct virtio_net *)nic;
    const char *name = vnet_register_name(a->bar, a->offset);
    if (!name || !a->is_write)
        return;
    if (is_named(name, "STATUS"))
        status_written(nic, v, (uint8_t)a->value);
    else if (strcmp(name, "DRIVER_FEATURES") == 0)
        features_written(nic, v, a->value, 0);
    else if (strcmp(name, "DRIVER_FEATURE") == 0 && v->driver_select < 2)
        features_written(nic, v, a->value, v->driver_select);
    else if (strcmp(name, "QUEUE_NOTIFY") == 0)
        notified(nic, v, a->value & 0xffff);
    else if (strcmp(name, "NOTIFY") == 0)
        notified(nic, v, (a->offset - VNET_NOTIFY) / VNET_NOTIFY_STEP);
}

const struct nic_decoder nic_trace_virtio = { .describe = describe, .check = check };
