/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The walk over e1000's state (nic_state.h). What follows from other members is
 * not in the image but made anew: STATUS and ICS, the register map, a packet's
 * limit. What a packet being gathered holds is checked against the very rules
 * that the transmitter follows, because it relies on them.
 */
#include "nicemu/e1000.h"

#include <string.h>

static void context(struct nic_state *s, struct e1000_context *c)
{
    nic_state_u8(s, &c->ipcss, 0xff);
    nic_state_u8(s, &c->ipcso, 0xff);
    nic_state_u16(s, &c->ipcse, 0xffff);
    nic_state_u8(s, &c->tucss, 0xff);
    nic_state_u8(s, &c->tucso, 0xff);
    nic_state_u16(s, &c->tucse, 0xffff);
    nic_state_u8(s, &c->hdrlen, 0xff);
    nic_state_u16(s, &c->mss, 0xffff);
    nic_state_bool(s, &c->tcp);
    nic_state_bool(s, &c->ipv4);
}

/* The payload already sent, and the header that each segment begins with. */
static void segmentation(struct nic_state *s, struct e1000_tx *tx)
{
    nic_state_u32(s, &tx->chunk, UINT32_MAX);
    nic_state_u32(s, &tx->sent_payload, UINT32_MAX);
    nic_state_u32(s, &tx->frames, UINT32_MAX);
    nic_state_u16(s, &tx->sent_segments, 0xffff);
    nic_state_check(s, tx->frames <= E1000_TX_SEGMENTS_MAX + 1);
    if (tx->chunk)
        nic_state_bytes(s, tx->header, tx->context.hdrlen);
    if (s->restoring && tx->chunk)
        nic_state_check(s, e1000_segment_chunk_is_valid(tx));
}

/* The packet that a driver has begun and not ended. */
static void packet(struct nic_state *s, struct e1000 *e)
{
    struct e1000_tx *tx = &e->tx;
    context(s, &tx->context);
    nic_state_bool(s, &tx->bad);
    nic_state_bool(s, &tx->segment);
    nic_state_bool(s, &tx->insert_ip);
    nic_state_bool(s, &tx->insert_l4);
    nic_state_bool(s, &tx->legacy_insert);
    nic_state_bool(s, &tx->vlan);
    if (tx->vlan)
        nic_state_u16(s, &tx->vlan_tag, 0xffff); /* otherwise an earlier packet's */
    if (tx->segment)
        segmentation(s, tx);
    if (s->restoring) {
        tx->limit = tx->segment ? tx->context.hdrlen + tx->chunk : E1000_TX_MAX;
        bool sound = tx->context.hdrlen >= NIC_ETH_HEADER && tx->context.mss != 0;
        nic_state_check(s, tx->bad || !tx->segment || sound);
    }
    nic_state_u32(s, &tx->size, UINT32_MAX);
    nic_state_check(s, tx->size <= tx->limit);
    nic_state_check(s, !tx->chunk || tx->size >= tx->context.hdrlen);
    if (!s->bad)
        nic_state_bytes(s, e1000_tx_frame(e), tx->size);
}

static void transmitter(struct nic_state *s, struct e1000 *e)
{
    struct e1000_tx *tx = &e->tx;
    if (s->restoring)
        memset(tx, 0, sizeof *tx); /* what a closed packet has left there is not used again */
    context(s, &tx->normal);
    context(s, &tx->segmenting);
    nic_state_moment(s, &tx->pause_until);
    nic_state_bool(s, &tx->open);
    if (tx->open && !s->bad)
        packet(s, e);
}

static void receiver(struct nic_state *s, struct e1000 *e)
{
    struct e1000_rx *rx = &e->rx;
    nic_state_u32(s, &rx->cache_count, UINT32_MAX);
    nic_state_check(s, rx->cache_count <= E1000_PREFETCH);
    nic_state_bool(s, &rx->waiting);
    nic_state_u8(s, &rx->xoff, 3);
    nic_state_check(s, rx->xoff <= E1000_XOFF_REPEATED);
    if (!rx->cache_count || s->bad)
        return;
    nic_state_u32(s, &rx->cache_first, 0xffff);
    nic_state_check(s, rx->cache_first + rx->cache_count <= REG(e, RDLEN) / sizeof *rx->cache);
    for (uint32_t i = 0; i < rx->cache_count; i++) {
        nic_state_u64(s, &rx->cache[i].address);
        if (s->restoring)
            rx->cache[i].lower = rx->cache[i].upper = 0; /* of a fetched descriptor only the address is used */
    }
}

/* The line is high only for a cause, and low with one only where ITR holds it back. */
static void interrupt(struct nic_state *s, struct e1000 *e)
{
    for (unsigned timer = 0; timer < E1000_TIMERS; timer++)
        nic_state_deadline(s, &e->deadline[timer]);
    nic_state_moment(s, &e->throttle_until);
    bool cause = REG(e, ICR) & REG(e, IMS);
    bool held = e->deadline[E1000_TIMER_THROTTLE];
    nic_state_check(s, e->nic.irq_level ? cause && !held : cause == held);
}

void e1000_state(struct nic *nic, struct nic_state *s)
{
    struct e1000 *e = (struct e1000 *)nic;
    e1000_regs_state(e, s);
    nic_state_u32(s, &e->io_address, 0xfffff);
    e1000_phy_state(e, s);
    e1000_power_state(e, s);
    eeprom93c46_state(&e->eeprom, s);
    interrupt(s, e);
    transmitter(s, e);
    receiver(s, e);
    for (size_t i = 0; i < sizeof e->packet_buffer / sizeof *e->packet_buffer; i++)
        nic_state_u32(s, &e->packet_buffer[i], UINT32_MAX);
    if (s->restoring) {
        e->now = s->now;
        REG(e, ICS) = REG(e, ICR);
        REG(e, STATUS) = e1000_status(e);
    }
}

void e1000_restored(struct nic *nic, uint64_t now)
{
    struct e1000 *e = (struct e1000 *)nic;
    e->now = now;
    e1000_timers_rearm(e);
    e1000_pme_tell(e);
}
