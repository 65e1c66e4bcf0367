/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The Novell NE2000 in a 16-bit ISA slot: a DP8390 (dp8390.c) behind 32 ports.
 */
#include "nicemu/dp8390.h"
#include "nicemu/trace.h"

#define SIGNATURE 0x57 /* 'W', twice: a 16-bit card */

static void init(struct nic *nic)
{
    struct dp8390 *d = (struct dp8390 *)nic;
    dp8390_init(d);
    dp8390_fill_prom(d, nic->mac, SIGNATURE);
}

static void reset(struct nic *nic, uint64_t now)
{
    struct dp8390 *d = (struct dp8390 *)nic;
    d->now = now;
    dp8390_power_on(d);
}

static uint32_t read(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint64_t now)
{
    struct dp8390 *d = (struct dp8390 *)nic;
    (void)bar;
    d->now = now;
    return dp8390_port_read(d, offset, size);
}

static void write(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint32_t value, uint64_t now)
{
    struct dp8390 *d = (struct dp8390 *)nic;
    (void)bar;
    d->now = now;
    dp8390_port_write(d, offset, size, value);
}

const struct nic_ops ne2000_ops = {
    .identity = {
        .model = "ne2000",
        .bus = NIC_BUS_ISA,
        .bar = { [0] = { NIC_BAR_IO, 0x20 } },
        .isa_port = 0x300,
        .isa_irq = 9,
    },
    .size = sizeof(struct dp8390),
    .init = init,
    .reset = reset,
    .read = read,
    .write = write,
    .receive = dp8390_receive,
    .timer = dp8390_timer,
    .set_link = dp8390_set_link,
    .state = dp8390_state,
    .decoder = &nic_trace_dp8390,
};
