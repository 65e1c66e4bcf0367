/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The registers of the paravirtual card: those of the legacy interface in its ports
 * (virtio 1.1, 4.1.4.8), those of virtio 1.0 in its memory (4.1.4.3 to 4.1.4.6), as one
 * table each. Both say the same to the same device; a driver uses one of them.
 */
#include "nicemu/virtio_net.h"

#define NO_VECTOR 0xffffu /* interrupts are not messages */
#define LEGACY_CONFIG 20u
#define LEGACY_PFN_SHIFT 12

struct reg {
    uint8_t offset, size;
    const char *name;
    uint32_t (*read)(struct virtio_net *v);
    void (*write)(struct virtio_net *v, uint32_t value); /* NULL: it is not written */
};

static struct virtio_ring *selected(struct virtio_net *v)
{
    return v->queue_select < VNET_QUEUES ? &v->ring[v->queue_select] : NULL;
}

/* Where a queue is, is said before it runs. */
static struct virtio_ring *selected_to_set(struct virtio_net *v)
{
    struct virtio_ring *ring = selected(v);
    if (ring && !ring->enabled)
        return ring;
    nic_guest_error(&v->nic, "queue %u is %s", v->queue_select, ring ? "set while it runs" : "none of the card's");
    return NULL;
}

/* --- common to both ------------------------------------------------------ */

static uint32_t read_zero(struct virtio_net *v)
{
    (void)v;
    return 0;
}

static uint32_t read_status(struct virtio_net *v)
{
    return v->status;
}

static void write_status(struct virtio_net *v, uint32_t value)
{
    vnet_set_status(v, (uint8_t)value);
}

static uint32_t read_isr(struct virtio_net *v)
{
    return vnet_take_isr(v);
}

static uint32_t read_queue_select(struct virtio_net *v)
{
    return v->queue_select;
}

static void write_queue_select(struct virtio_net *v, uint32_t value)
{
    v->queue_select = (uint16_t)value;
}

static uint32_t read_queue_size(struct virtio_net *v)
{
    const struct virtio_ring *ring = selected(v);
    return ring ? ring->size : 0;
}

static void write_notify(struct virtio_net *v, uint32_t value)
{
    vnet_notified(v, value & 0xffff);
}

/* --- legacy -------------------------------------------------------------- */

static uint32_t read_legacy_offered(struct virtio_net *v)
{
    (void)v;
    return (uint32_t)vnet_offered;
}

static uint32_t read_legacy_features(struct virtio_net *v)
{
    return (uint32_t)v->features;
}

static void write_legacy_features(struct virtio_net *v, uint32_t value)
{
    if (v->status & (VNET_S_FEATURES_OK | VNET_S_DRIVER_OK))
        nic_guest_error(&v->nic, "features %08x are accepted while the driver is at work", value);
    else
        v->features = value & (uint32_t)vnet_offered;
}

static uint32_t read_pfn(struct virtio_net *v)
{
    const struct virtio_ring *ring = selected(v);
    return ring && ring->enabled ? (uint32_t)(ring->desc >> LEGACY_PFN_SHIFT) : 0;
}

/* Page 0 takes the queue away. */
static void write_pfn(struct virtio_net *v, uint32_t value)
{
    struct virtio_ring *ring = value ? selected_to_set(v) : selected(v);
    if (!ring)
        return;
    *ring = (struct virtio_ring){ .size = VIRTIO_RING_MAX };
    if (!value)
        return;
    virtio_ring_place(ring, (uint64_t)value << LEGACY_PFN_SHIFT);
    virtio_ring_enable(ring, vnet_has(v, VNET_F_EVENT_IDX), vnet_has(v, VNET_F_INDIRECT_DESC));
}

static const struct reg legacy[] = {
    { 0, 4, "DEVICE_FEATURES", read_legacy_offered, NULL },
    { 4, 4, "DRIVER_FEATURES", read_legacy_features, write_legacy_features },
    { 8, 4, "QUEUE_PFN", read_pfn, write_pfn },
    { 12, 2, "QUEUE_SIZE", read_queue_size, NULL },
    { 14, 2, "QUEUE_SELECT", read_queue_select, write_queue_select },
    { 16, 2, "QUEUE_NOTIFY", read_zero, write_notify },
    { 18, 1, "STATUS", read_status, write_status },
    { 19, 1, "ISR", read_isr, NULL },
};

/* --- virtio 1.0 ---------------------------------------------------------- */

static uint32_t half(uint64_t features, uint32_t which)
{
    return which < 2 ? (uint32_t)(features >> 32 * which) : 0;
}

static uint32_t read_device_select(struct virtio_net *v)
{
    return v->device_select;
}

static void write_device_select(struct virtio_net *v, uint32_t value)
{
    v->device_select = value;
}

static uint32_t read_offered(struct virtio_net *v)
{
    return half(vnet_offered, v->device_select);
}

static uint32_t read_driver_select(struct virtio_net *v)
{
    return v->driver_select;
}

static void write_driver_select(struct virtio_net *v, uint32_t value)
{
    v->driver_select = value;
}

static uint32_t read_features(struct virtio_net *v)
{
    return half(v->features, v->driver_select);
}

/* What is accepted is weighed when the driver sets FEATURES_OK. */
static void write_features(struct virtio_net *v, uint32_t value)
{
    if (v->status & (VNET_S_FEATURES_OK | VNET_S_DRIVER_OK))
        nic_guest_error(&v->nic, "features %08x are accepted after FEATURES_OK", value);
    else if (v->driver_select < 2)
        v->features = v->driver_select ? (uint32_t)v->features | (uint64_t)value << 32
                                       : (v->features & ~(uint64_t)UINT32_MAX) | value;
}

static uint32_t read_no_vector(struct virtio_net *v)
{
    (void)v;
    return NO_VECTOR;
}

static void ignore(struct virtio_net *v, uint32_t value)
{
    (void)v, (void)value;
}

static uint32_t read_queues(struct virtio_net *v)
{
    (void)v;
    return VNET_QUEUES;
}

static uint32_t read_generation(struct virtio_net *v)
{
    return v->generation;
}

static void write_queue_size(struct virtio_net *v, uint32_t value)
{
    struct virtio_ring *ring = selected_to_set(v);
    if (!ring)
        return;
    if (value == 0 || value > VIRTIO_RING_MAX || value & (value - 1))
        nic_guest_error(&v->nic, "queue %u of %u descriptors: it has up to %u, a power of two", v->queue_select, value,
                        VIRTIO_RING_MAX);
    else
        ring->size = (uint16_t)value;
}

static uint32_t read_queue_enable(struct virtio_net *v)
{
    const struct virtio_ring *ring = selected(v);
    return ring && ring->enabled;
}

static void write_queue_enable(struct virtio_net *v, uint32_t value)
{
    struct virtio_ring *ring = value == 1 ? selected_to_set(v) : NULL;
    if (ring && !virtio_ring_enable(ring, vnet_has(v, VNET_F_EVENT_IDX), vnet_has(v, VNET_F_INDIRECT_DESC)))
        nic_guest_error(&v->nic, "queue %u is not aligned, or has no end: descriptors %llx, available %llx, used %llx", v->queue_select,
                        (unsigned long long)ring->desc, (unsigned long long)ring->avail, (unsigned long long)ring->used);
}

static uint32_t read_notify_place(struct virtio_net *v)
{
    return v->queue_select < VNET_QUEUES ? v->queue_select : 0;
}

static void set_half(uint64_t *address, uint32_t value, bool high)
{
    *address = high ? (uint32_t)*address | (uint64_t)value << 32 : (*address & ~(uint64_t)UINT32_MAX) | value;
}

/* Both halves of the addresses of a queue's three parts. */
#define ADDRESS(part)                                            \
    static uint32_t read_##part##_low(struct virtio_net *v)      \
    {                                                            \
        const struct virtio_ring *ring = selected(v);            \
        return ring ? (uint32_t)ring->part : 0;                  \
    }                                                            \
    static uint32_t read_##part##_high(struct virtio_net *v)     \
    {                                                            \
        const struct virtio_ring *ring = selected(v);            \
        return ring ? (uint32_t)(ring->part >> 32) : 0;          \
    }                                                            \
    static void write_##part##_low(struct virtio_net *v, uint32_t value)  \
    {                                                            \
        struct virtio_ring *ring = selected_to_set(v);           \
        if (ring)                                                \
            set_half(&ring->part, value, false);                 \
    }                                                            \
    static void write_##part##_high(struct virtio_net *v, uint32_t value) \
    {                                                            \
        struct virtio_ring *ring = selected_to_set(v);           \
        if (ring)                                                \
            set_half(&ring->part, value, true);                  \
    }
ADDRESS(desc)
ADDRESS(avail)
ADDRESS(used)

static const struct reg common[] = {
    { 0x00, 4, "DEVICE_FEATURE_SELECT", read_device_select, write_device_select },
    { 0x04, 4, "DEVICE_FEATURE", read_offered, NULL },
    { 0x08, 4, "DRIVER_FEATURE_SELECT", read_driver_select, write_driver_select },
    { 0x0c, 4, "DRIVER_FEATURE", read_features, write_features },
    { 0x10, 2, "CONFIG_MSIX_VECTOR", read_no_vector, ignore },
    { 0x12, 2, "NUM_QUEUES", read_queues, NULL },
    { 0x14, 1, "DEVICE_STATUS", read_status, write_status },
    { 0x15, 1, "CONFIG_GENERATION", read_generation, NULL },
    { 0x16, 2, "QUEUE_SELECT", read_queue_select, write_queue_select },
    { 0x18, 2, "QUEUE_SIZE", read_queue_size, write_queue_size },
    { 0x1a, 2, "QUEUE_MSIX_VECTOR", read_no_vector, ignore },
    { 0x1c, 2, "QUEUE_ENABLE", read_queue_enable, write_queue_enable },
    { 0x1e, 2, "QUEUE_NOTIFY_OFF", read_notify_place, NULL },
    { 0x20, 4, "QUEUE_DESC", read_desc_low, write_desc_low },
    { 0x24, 4, "QUEUE_DESC_HIGH", read_desc_high, write_desc_high },
    { 0x28, 4, "QUEUE_DRIVER", read_avail_low, write_avail_low },
    { 0x2c, 4, "QUEUE_DRIVER_HIGH", read_avail_high, write_avail_high },
    { 0x30, 4, "QUEUE_DEVICE", read_used_low, write_used_low },
    { 0x34, 4, "QUEUE_DEVICE_HIGH", read_used_high, write_used_high },
};

/* --- the BARs ------------------------------------------------------------ */

#define COUNT(table) (sizeof(table) / sizeof *(table))

static const struct reg *find(const struct reg *table, size_t count, uint32_t offset)
{
    for (size_t i = 0; i < count; i++)
        if (offset >= table[i].offset && offset < table[i].offset + (uint32_t)table[i].size)
            return &table[i];
    return NULL;
}

static const struct reg *reg_at(unsigned bar, uint32_t offset)
{
    return bar == VNET_BAR_LEGACY ? find(legacy, COUNT(legacy), offset) : find(common, COUNT(common), offset);
}

/* Where the device's own configuration begins, in either BAR. */
static bool is_config(unsigned bar, uint32_t offset, uint32_t *at)
{
    *at = offset - (bar == VNET_BAR_LEGACY ? LEGACY_CONFIG : VNET_CONFIG);
    return *at < VNET_CONFIG_SIZE;
}

static bool is_notify(unsigned bar, uint32_t offset)
{
    return bar == VNET_BAR_MODERN && offset >= VNET_NOTIFY && offset < VNET_NOTIFY + VNET_QUEUES * VNET_NOTIFY_STEP;
}

const char *vnet_register_name(unsigned bar, uint32_t offset)
{
    const struct reg *reg = reg_at(bar, offset);
    uint32_t at;
    if (reg)
        return reg->name;
    if (is_config(bar, offset, &at))
        return at < 6 ? "MAC" : "LINK";
    if (bar == VNET_BAR_MODERN && offset == VNET_ISR)
        return "ISR";
    return is_notify(bar, offset) ? "NOTIFY" : NULL;
}

static uint32_t read_bytes(const struct virtio_net *v, uint32_t at, unsigned size)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)vnet_config_byte(v, at + i) << 8 * i;
    return value;
}

uint32_t vnet_read(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint64_t now)
{
    struct virtio_net *v = (struct virtio_net *)nic;
    const struct reg *reg = reg_at(bar, offset);
    uint32_t at, value = 0;

    v->now = now;
    if (reg)
        value = reg->read(v) >> 8 * (offset - reg->offset);
    else if (is_config(bar, offset, &at))
        value = read_bytes(v, at, size);
    else if (bar == VNET_BAR_MODERN && offset == VNET_ISR)
        value = vnet_take_isr(v);
    return size == 4 ? value : value & (size == 1 ? 0xff : 0xffff);
}

/* A legacy driver may name its card by writing the address; one of virtio 1.0 has a command for it. */
static void write_config(struct virtio_net *v, unsigned bar, uint32_t at, unsigned size, uint32_t value)
{
    if (bar != VNET_BAR_LEGACY || at + size > sizeof v->mac) {
        nic_guest_error(&v->nic, "write of %u bytes at %u of the configuration, which is read", size, at);
        return;
    }
    for (unsigned i = 0; i < size; i++)
        v->mac[at + i] = (uint8_t)(value >> 8 * i);
}

void vnet_write(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint32_t value, uint64_t now)
{
    struct virtio_net *v = (struct virtio_net *)nic;
    const struct reg *reg = reg_at(bar, offset);
    uint32_t at;

    v->now = now;
    if (is_notify(bar, offset))
        vnet_notified(v, (offset - VNET_NOTIFY) / VNET_NOTIFY_STEP);
    else if (is_config(bar, offset, &at))
        write_config(v, bar, at, size, value);
    else if (!reg || !reg->write || offset != reg->offset || size != reg->size)
        nic_guest_error(nic, "write of %u bytes at %03x (%s)", size, offset, reg ? reg->name : "nothing is there");
    else
        reg->write(v, size == 4 ? value : value & ((1u << 8 * size) - 1));
}
