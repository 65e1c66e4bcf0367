/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The walk over the paravirtual card's state (nic_state.h). A chain is never in hand between two
 * calls, so what the queues' places in the guest's memory say is all that there is of them.
 */
#include "nicemu/virtio_net.h"

static void ring(struct nic_state *s, struct virtio_ring *r)
{
    nic_state_u64(s, &r->desc);
    nic_state_u64(s, &r->avail);
    nic_state_u64(s, &r->used);
    nic_state_u16(s, &r->size, UINT16_MAX);
    nic_state_bool(s, &r->enabled);
    nic_state_bool(s, &r->broken);
    nic_state_bool(s, &r->event_index);
    nic_state_bool(s, &r->indirect);
    nic_state_u16(s, &r->next_avail, UINT16_MAX);
    nic_state_u16(s, &r->seen_avail, UINT16_MAX);
    nic_state_u16(s, &r->used_index, UINT16_MAX);
    nic_state_u16(s, &r->signalled, UINT16_MAX);
    nic_state_check(s, r->size && r->size <= VIRTIO_RING_MAX && !(r->size & (r->size - 1)));
    nic_state_check(s, (uint16_t)(r->seen_avail - r->next_avail) <= r->size);
    nic_state_check(s, !r->enabled || virtio_ring_is_placed(r));
}

static void filter(struct nic_state *s, struct vnet_filter *f)
{
    nic_state_bool(s, &f->promiscuous);
    nic_state_bool(s, &f->all_multicast);
    nic_state_bool(s, &f->many_unicast);
    nic_state_bool(s, &f->many_multicast);
    nic_state_u8(s, &f->count, UINT8_MAX);
    nic_state_check(s, f->count <= VNET_ADDRESSES);
    for (unsigned i = 0; i < f->count && !s->bad; i++)
        nic_state_bytes(s, f->address[i], sizeof f->address[i]);
}

void vnet_state(struct nic *nic, struct nic_state *s)
{
    struct virtio_net *v = (struct virtio_net *)nic;
    nic_state_bool(s, &v->cable);
    nic_state_bytes(s, v->mac, sizeof v->mac);
    nic_state_u64(s, &v->features);
    nic_state_u8(s, &v->status, VNET_S_WRITABLE | VNET_S_NEEDS_RESET);
    nic_state_u8(s, &v->isr, VNET_ISR_QUEUE | VNET_ISR_CONFIG);
    nic_state_check(s, nic->irq_level == (v->isr != 0));
    nic_state_u8(s, &v->generation, UINT8_MAX);
    nic_state_u16(s, &v->queue_select, UINT16_MAX);
    nic_state_u32(s, &v->device_select, UINT32_MAX);
    nic_state_u32(s, &v->driver_select, UINT32_MAX);
    for (unsigned i = 0; i < VNET_QUEUES; i++)
        ring(s, &v->ring[i]);
    filter(s, &v->filter);
    for (unsigned i = 0; i < VNET_QUEUES; i++)
        nic_state_check(s, !v->ring[i].broken || v->status & VNET_S_NEEDS_RESET);
    nic_state_bool(s, &v->rx_waiting);
    nic_state_deadline(s, &v->tx_again);
    nic_state_bool(s, &v->tx_untold);
    nic_state_moment(s, &v->tx_quiet);
    nic_state_deadline(s, &v->control_again);
    nic_state_check(s, v->control_again <= s->now + VNET_BREAK);
    nic_state_check(s, v->tx_again <= s->now + VNET_BREAK && v->tx_quiet <= s->now + VNET_BREAK);
}

void vnet_restored(struct nic *nic, uint64_t now)
{
    struct virtio_net *v = (struct virtio_net *)nic;
    v->now = now;
    v->timer = 0;
    nic->host.set_timer(nic->host.opaque, 0);
    vnet_set_timer(v);
    if (nic->host.accepts_changed)
        nic->host.accepts_changed(nic->host.opaque);
}
