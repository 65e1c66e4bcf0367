/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The paravirtual network card: what it is on PCI and offers to drivers, its status,
 * its interrupt, and what each of its queues' notifications leads to. A transitional
 * device (virtio 1.1, 4.1): drivers of the legacy interface and of virtio 1.0 find theirs.
 */
#include "nicemu/virtio_net.h"
#include "nicemu/trace.h"

#include <string.h>

#define BIT(feature) (UINT64_C(1) << VNET_F_##feature)

const uint64_t vnet_offered = BIT(CSUM) | BIT(GUEST_CSUM) | BIT(MAC) | BIT(GUEST_TSO4) | BIT(GUEST_TSO6) | BIT(HOST_TSO4) |
                              BIT(HOST_TSO6) | BIT(HOST_ECN) | BIT(MRG_RXBUF) | BIT(STATUS) | BIT(CTRL_VQ) | BIT(CTRL_RX) |
                              BIT(CTRL_MAC_ADDR) | BIT(ANY_LAYOUT) | BIT(INDIRECT_DESC) | BIT(EVENT_IDX) | BIT(VERSION_1);

/* Features that mean nothing without another one (5.1.3.1). */
static const struct { uint64_t feature, needs; } needs[] = {
    { BIT(GUEST_TSO4), BIT(GUEST_CSUM) }, { BIT(GUEST_TSO6), BIT(GUEST_CSUM) }, { BIT(HOST_TSO4), BIT(CSUM) },
    { BIT(HOST_TSO6), BIT(CSUM) }, { BIT(HOST_ECN), BIT(HOST_TSO4) | BIT(HOST_TSO6) }, { BIT(CTRL_RX), BIT(CTRL_VQ) },
    { BIT(CTRL_MAC_ADDR), BIT(CTRL_VQ) },
};

static struct virtio_net *from_nic(struct nic *nic)
{
    return (struct virtio_net *)nic;
}

/* --- interrupt ----------------------------------------------------------- */

void vnet_raise(struct virtio_net *v, uint8_t cause)
{
    v->isr |= cause;
    nic_irq(&v->nic, true);
}

uint8_t vnet_take_isr(struct virtio_net *v)
{
    uint8_t isr = v->isr;
    v->isr = 0;
    nic_irq(&v->nic, false);
    return isr;
}

void vnet_call(struct virtio_net *v, unsigned queue)
{
    if (virtio_ring_call_due(&v->ring[queue], &v->nic))
        vnet_raise(v, VNET_ISR_QUEUE);
}

void vnet_used(struct virtio_net *v, unsigned queue)
{
    virtio_ring_show(&v->ring[queue], &v->nic);
    vnet_call(v, queue);
    vnet_check(v, queue);
}

/* Of two moments; 0 is none. */
static uint64_t earlier(uint64_t a, uint64_t b)
{
    return !a || (b && b < a) ? b : a;
}

void vnet_set_timer(struct virtio_net *v)
{
    uint64_t next = earlier(v->tx_again, v->tx_untold ? v->tx_quiet : 0);
    next = earlier(next, v->control_again);
    if (next == v->timer)
        return;
    v->timer = next;
    v->nic.host.set_timer(v->nic.host.opaque, next);
}

static void configuration_changed(struct virtio_net *v)
{
    v->generation++;
    if (v->status & VNET_S_DRIVER_OK)
        vnet_raise(v, VNET_ISR_CONFIG);
}

void vnet_check(struct virtio_net *v, unsigned queue)
{
    if (!v->ring[queue].broken || v->status & VNET_S_NEEDS_RESET)
        return;
    v->status |= VNET_S_NEEDS_RESET;
    configuration_changed(v);
}

/* --- status -------------------------------------------------------------- */

/* A frame that waits goes on waiting: the machine has it, and is told when the next driver has buffers. */
static void device_reset(struct virtio_net *v)
{
    v->features = 0;
    v->status = v->isr = 0;
    v->queue_select = 0;
    v->device_select = v->driver_select = 0;
    for (unsigned i = 0; i < VNET_QUEUES; i++)
        v->ring[i] = (struct virtio_ring){ .size = VIRTIO_RING_MAX };
    memcpy(v->mac, v->nic.mac, sizeof v->mac);
    v->filter = (struct vnet_filter){ .promiscuous = true }; /* until the driver says what it wants */
    v->tx_again = v->tx_quiet = v->control_again = 0;
    v->tx_untold = false;
    vnet_set_timer(v);
    nic_irq(&v->nic, false);
}

static bool features_are_good(const struct virtio_net *v)
{
    bool good = vnet_has(v, VNET_F_VERSION_1) && !(v->features & ~vnet_offered);
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++)
        good &= !(v->features & needs[i].feature) || v->features & needs[i].needs;
    return good;
}

/* The features, when the driver says that it has chosen; one that begins without having said so, and with some
 * that no legacy driver can have, is held to them then. */
static bool are_to_be_weighed(const struct virtio_net *v, uint8_t status)
{
    bool legacy = !(v->features & ~(uint64_t)(uint32_t)vnet_offered);
    return !(v->status & VNET_S_FEATURES_OK) && (status & (legacy ? VNET_S_FEATURES_OK : VNET_S_FEATURES_OK | VNET_S_DRIVER_OK));
}

static void start(struct virtio_net *v)
{
    if (v->nic.host.accepts_changed)
        v->nic.host.accepts_changed(v->nic.host.opaque);
    vnet_receive_buffers(v);
    vnet_transmit(v);
    vnet_control(v); /* what was notified before is not taken before */
}

void vnet_set_status(struct virtio_net *v, uint8_t status)
{
    uint8_t before = v->status;
    if (status == 0) {
        device_reset(v);
        return;
    }
    status &= VNET_S_WRITABLE;
    if (before & ~status & VNET_S_WRITABLE)
        nic_guest_error(&v->nic, "status %02x takes back bits of %02x: only a reset does", status, before);
    if (are_to_be_weighed(v, status) && !features_are_good(v)) {
        nic_guest_error(&v->nic, "features %llx are not what the card can have", (unsigned long long)v->features);
        status &= (uint8_t)~(VNET_S_FEATURES_OK | VNET_S_DRIVER_OK); /* which the driver reads back */
    }
    v->status |= status;
    if (v->status & ~before & VNET_S_DRIVER_OK)
        start(v);
}

void vnet_notified(struct virtio_net *v, unsigned queue)
{
    switch (queue) {
    case VNET_RX:
        vnet_receive_buffers(v);
        break;
    case VNET_TX:
        vnet_transmit(v);
        break;
    case VNET_CONTROL:
        vnet_control(v);
        break;
    default:
        nic_guest_error(&v->nic, "queue %u is notified, the card has %u", queue, VNET_QUEUES);
    }
}

/* The station address, and whether the link is up. */
uint8_t vnet_config_byte(const struct virtio_net *v, unsigned at)
{
    return at < sizeof v->mac ? v->mac[at] : at == sizeof v->mac ? v->cable : 0;
}

/* --- struct nic_ops ------------------------------------------------------ */

static void init(struct nic *nic)
{
    from_nic(nic)->cable = true;
}

static void reset(struct nic *nic, uint64_t now)
{
    from_nic(nic)->now = now;
    device_reset(from_nic(nic));
}

static void lost(struct nic *nic, size_t size, uint64_t now)
{
    (void)size, (void)now;
    nic->counters.rx_dropped_full++;
}

static void timer(struct nic *nic, uint64_t now)
{
    struct virtio_net *v = from_nic(nic);
    v->now = now;
    v->timer = 0;
    vnet_transmit_timer(v);
    vnet_control_timer(v);
    vnet_set_timer(v);
}

static void set_link(struct nic *nic, bool up, uint64_t now)
{
    struct virtio_net *v = from_nic(nic);
    v->now = now;
    if (v->cable == up)
        return;
    v->cable = up;
    configuration_changed(v);
}

/* Where a driver of virtio 1.0 finds what it needs (4.1.4): the structure's kind, BAR, offset and size. */
#define STRUCTURE(where, kind, offset, length) \
    { .at = where, .size = 14, .bytes = { 16, kind, VNET_BAR_MODERN, 0, 0, 0, (offset) & 0xff, (offset) >> 8, 0, 0, (length), 0, 0, 0 } }
#define NOTIFY_SIZE (VNET_QUEUES * VNET_NOTIFY_STEP)

static const struct nic_vendor_cap caps[] = {
    { .at = VNET_WINDOW_AT, .size = 2, .bytes = { 20, 5 } }, /* the rest is the window's own */
    STRUCTURE(0x74, 4, VNET_CONFIG, VNET_CONFIG_SIZE),
    STRUCTURE(0x64, 3, VNET_ISR, 1),
    { .at = 0x50, .size = 18, .bytes = { 20, 2, VNET_BAR_MODERN, 0, 0, 0, VNET_NOTIFY & 0xff, VNET_NOTIFY >> 8, 0, 0,
                                         NOTIFY_SIZE, 0, 0, 0, VNET_NOTIFY_STEP, 0, 0, 0 } },
    STRUCTURE(0x40, 1, VNET_COMMON, VNET_COMMON_SIZE),
};

const struct nic_ops virtio_net_ops = {
    .identity = {
        .model = "virtio-net",
        .bus = NIC_BUS_PCI,
        .vendor_id = 0x1af4,
        .device_id = 0x1000,           /* a transitional network card */
        .subsystem_vendor_id = 0x1af4,
        .subsystem_id = 0x0001,
        .class_code = 0x020000,
        .bar = { [VNET_BAR_LEGACY] = { NIC_BAR_IO, VNET_LEGACY_SIZE },
                 [VNET_BAR_MODERN] = { NIC_BAR_MEMORY, VNET_MODERN_SIZE } },
        .vendor_caps = caps,
        .vendor_cap_count = sizeof caps / sizeof *caps,
        .window_at = VNET_WINDOW_AT,
    },
    .size = sizeof(struct virtio_net),
    .init = init,
    .reset = reset,
    .read = vnet_read,
    .write = vnet_write,
    .receive = vnet_receive,
    .lost = lost,
    .timer = timer,
    .set_link = set_link,
    .accepts = vnet_accepts,
    .state = vnet_state,
    .restored = vnet_restored,
    .decoder = &nic_trace_virtio,
};
