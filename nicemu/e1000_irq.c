/* SPDX-License-Identifier: BSD-2-Clause
 *
 * e1000's interrupt causes and everything that delays them: the line is high
 * while ICR & IMS is not zero, except that a rising edge waits for ITR; RDTR,
 * RADV, TIDV and TADV delay the causes themselves (13.4.17-20, 3.2.7, 3.4.3).
 */
#include "nicemu/e1000.h"

#define DELAY_UNIT 1024u /* ns: RDTR, RADV, TIDV, TADV */
#define ITR_UNIT 256u    /* ns */

/* The host's timer is moved only when it would be late: an early call finds
 * nothing to do and sets it anew. That saves a call a frame where a delay is
 * restarted by every one. */
void e1000_timer_start(struct e1000 *e, enum e1000_timer timer, uint64_t deadline)
{
    e->deadline[timer] = deadline ? deadline : 1;
    if (!e->armed || e->deadline[timer] < e->armed) {
        e->armed = e->deadline[timer];
        e->nic.host.set_timer(e->nic.host.opaque, e->armed);
    }
}

void e1000_timer_stop(struct e1000 *e, enum e1000_timer timer)
{
    e->deadline[timer] = 0;
}

static bool expire(struct e1000 *e, enum e1000_timer timer)
{
    if (!e->deadline[timer] || e->deadline[timer] > e->now)
        return false;
    e->deadline[timer] = 0;
    return true;
}

static void arm_next(struct e1000 *e)
{
    uint64_t next = 0;
    for (unsigned timer = 0; timer < E1000_TIMERS; timer++)
        if (e->deadline[timer] && (!next || e->deadline[timer] < next))
            next = e->deadline[timer];
    if (next != e->armed) {
        e->armed = next;
        e->nic.host.set_timer(e->nic.host.opaque, next);
    }
}

/* After a restore: whatever the host's timer is set to is not ours. */
void e1000_timers_rearm(struct e1000 *e)
{
    e->armed = 0;
    e->nic.host.set_timer(e->nic.host.opaque, 0);
    arm_next(e);
}

static void stop_receive_timers(struct e1000 *e)
{
    e1000_timer_stop(e, E1000_TIMER_RX_PACKET);
    e1000_timer_stop(e, E1000_TIMER_RX_ABSOLUTE);
}

static void stop_transmit_timers(struct e1000 *e)
{
    e1000_timer_stop(e, E1000_TIMER_TX_PACKET);
    e1000_timer_stop(e, E1000_TIMER_TX_ABSOLUTE);
}

void e1000_timers_run(struct e1000 *e)
{
    uint32_t causes = 0;
    e->armed = 0; /* it has gone off */
    if (expire(e, E1000_TIMER_RX_PACKET) | expire(e, E1000_TIMER_RX_ABSOLUTE)) {
        causes |= ICR_RXT0;
        stop_receive_timers(e);
    }
    if (expire(e, E1000_TIMER_TX_PACKET) | expire(e, E1000_TIMER_TX_ABSOLUTE)) {
        causes |= ICR_TXDW;
        stop_transmit_timers(e);
    }
    expire(e, E1000_TIMER_THROTTLE); /* e1000_irq_raise() below sees to it */
    if (expire(e, E1000_TIMER_TRANSMIT)) {
        e1000_pause_until(e, e->tx.pause_until);
        e1000_tx_run(e);
    }
    e1000_irq_raise(e, causes);
    arm_next(e);
}

/* Puts the line where causes, mask and throttle want it. */
void e1000_irq_update(struct e1000 *e)
{
    if (!(REG(e, ICR) & REG(e, IMS))) {
        e1000_timer_stop(e, E1000_TIMER_THROTTLE);
        nic_irq(&e->nic, false);
        return;
    }
    if (e->nic.irq_level)
        return;
    if (e->throttle_until > e->now) {
        e1000_timer_start(e, E1000_TIMER_THROTTLE, e->throttle_until);
        return;
    }
    e1000_timer_stop(e, E1000_TIMER_THROTTLE);
    e->throttle_until = e->now + (uint64_t)REG(e, ITR) * ITR_UNIT;
    nic_irq(&e->nic, true);
}

static void set_causes(struct e1000 *e, uint32_t causes)
{
    REG(e, ICR) = causes;
    REG(e, ICS) = causes; /* readable: VxWorks' driver looks there */
}

void e1000_irq_raise(struct e1000 *e, uint32_t causes)
{
    set_causes(e, REG(e, ICR) | (causes & ICR_ALL));
    e1000_irq_update(e);
}

void e1000_irq_after_receive(struct e1000 *e, uint32_t causes)
{
    uint32_t delay = REG(e, RDTR), absolute = REG(e, RADV);
    if (delay == 0) {
        stop_receive_timers(e);
        e1000_irq_raise(e, causes | ICR_RXT0);
        return;
    }
    e1000_timer_start(e, E1000_TIMER_RX_PACKET, e->now + (uint64_t)delay * DELAY_UNIT);
    if (absolute && !e->deadline[E1000_TIMER_RX_ABSOLUTE])
        e1000_timer_start(e, E1000_TIMER_RX_ABSOLUTE, e->now + (uint64_t)absolute * DELAY_UNIT);
    if (causes)
        e1000_irq_raise(e, causes);
}

void e1000_irq_after_transmit(struct e1000 *e, uint32_t causes, bool delayed)
{
    uint32_t delay = REG(e, TIDV), absolute = REG(e, TADV);
    if (causes & ICR_TXDW) {
        stop_transmit_timers(e);
    } else if (delayed && delay == 0) {
        causes |= ICR_TXDW;
    } else if (delayed) {
        e1000_timer_start(e, E1000_TIMER_TX_PACKET, e->now + (uint64_t)delay * DELAY_UNIT);
        if (absolute && !e->deadline[E1000_TIMER_TX_ABSOLUTE])
            e1000_timer_start(e, E1000_TIMER_TX_ABSOLUTE, e->now + (uint64_t)absolute * DELAY_UNIT);
    }
    if (causes)
        e1000_irq_raise(e, causes);
}

uint32_t e1000_read_icr(struct e1000 *e, uint32_t index)
{
    uint32_t value = e->reg[index];
    set_causes(e, 0);
    e1000_irq_update(e);
    return value;
}

void e1000_write_icr(struct e1000 *e, uint32_t index, uint32_t value)
{
    set_causes(e, e->reg[index] & ~value);
    e1000_irq_update(e);
}

void e1000_write_ics(struct e1000 *e, uint32_t index, uint32_t value)
{
    (void)index;
    e1000_irq_raise(e, value);
}

void e1000_write_ims(struct e1000 *e, uint32_t index, uint32_t value)
{
    e->reg[index] |= value & ICR_ALL;
    e1000_irq_update(e);
}

void e1000_write_imc(struct e1000 *e, uint32_t index, uint32_t value)
{
    (void)index;
    REG(e, IMS) &= ~value;
    e1000_irq_update(e);
}

/* A shorter interval takes effect at once, even in the middle of a longer one. */
void e1000_write_itr(struct e1000 *e, uint32_t index, uint32_t value)
{
    e->reg[index] = value & 0xffff;
    uint64_t latest = e->now + (uint64_t)e->reg[index] * ITR_UNIT;
    if (e->throttle_until > latest)
        e->throttle_until = latest;
    e1000_irq_update(e);
}

/* FPD: what the packet timer holds back is due now. */
void e1000_write_rdtr(struct e1000 *e, uint32_t index, uint32_t value)
{
    e->reg[index] = value & 0xffff;
    if ((value & RDTR_FPD) && (e->deadline[E1000_TIMER_RX_PACKET] || e->deadline[E1000_TIMER_RX_ABSOLUTE])) {
        stop_receive_timers(e);
        e1000_irq_raise(e, ICR_RXT0);
    }
}
