/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The walk over the DP8390's state (nic_state.h). The data path checks page
 * registers and addresses whenever it uses them, since a driver may write any
 * value; so only what a driver cannot write is checked here.
 */
#include "nicemu/dp8390.h"

static void registers(struct dp8390 *d, struct nic_state *s)
{
    const struct { uint8_t *byte, allowed; } bytes[] = {
        { &d->cr, 0xff }, { &d->isr, 0xff }, { &d->imr, 0x7f }, { &d->dcr, 0xff }, { &d->tcr, 0x1f },
        { &d->rcr, 0x3f }, { &d->tsr, 0xff }, { &d->rsr, 0xff }, { &d->pstart, 0xff }, { &d->pstop, 0xff },
        { &d->bnry, 0xff }, { &d->curr, 0xff }, { &d->tpsr, 0xff }, { &d->ncr, 0xff },
        { &d->rnpp, 0xff }, { &d->lnpp, 0xff }, { &d->sending_page, 0xff },
    };
    uint16_t *const words[] = { &d->tbcr, &d->rsar, &d->rbcr, &d->crda, &d->remaining, &d->clda,
                                &d->address, &d->sending_size };
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++)
        nic_state_u8(s, bytes[i].byte, bytes[i].allowed);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        nic_state_u16(s, words[i], 0xffff);
    nic_state_bytes(s, d->par, sizeof d->par);
    nic_state_bytes(s, d->mar, sizeof d->mar);
    nic_state_check(s, d->cr & CR_RD);
}

void dp8390_state(struct nic *nic, struct nic_state *s)
{
    struct dp8390 *d = (struct dp8390 *)nic;
    registers(d, s);
    for (unsigned i = 0; i < DP8390_TALLIES; i++) {
        nic_state_u8(s, &d->tally[i], 0xff);
        nic_state_check(s, d->tally[i] <= DP8390_TALLY_MAX);
    }
    nic_state_deadline(s, &d->on_wire_until);
    nic_state_check(s, !d->on_wire_until == !(d->cr & CR_TXP));
    nic_state_check(s, !d->on_wire_until || (d->sending_size >= NIC_ETH_HEADER && d->sending_size <= DP8390_TX_MAX));
    nic_state_bytes(s, d->fifo, sizeof d->fifo);
    nic_state_u8(s, &d->fifo_read, 0xff);
    nic_state_bool(s, &d->waiting);
    nic_state_bool(s, &d->prx_kept);
    nic_state_check(s, !d->prx_kept || (d->isr & ISR_PRX));
    nic_state_u8(s, &d->idle_acks, 0xff);
    nic_state_check(s, d->idle_acks <= DP8390_IDLE_ACKS);
    nic_state_bool(s, &d->link);
    nic_state_bytes(s, d->prom, sizeof d->prom);
    nic_state_bytes(s, d->ram, d->ram_size);
    nic_state_check(s, nic->irq_level == ((d->isr & d->imr) != 0));
    if (s->restoring)
        d->now = s->now;
}
