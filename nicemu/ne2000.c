/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Novell's ISA boards, a DP8390 (dp8390.c) behind 32 ports each: the NE2000 in
 * a 16-bit slot, the same in an 8-bit slot, and the NE1000 with half the memory.
 */
#include "nicemu/dp8390.h"
#include "nicemu/trace.h"

#define WORD_SIGNATURE 0x57 /* 'W': a word slot; also the NE1000's */
#define BYTE_SIGNATURE 0x42 /* 'B': the other half of the PROM, which a byte slot selects */
#define NE1000_RAM 0x2000u

static void init_ne2000(struct nic *nic)
{
    struct dp8390 *d = (struct dp8390 *)nic;
    dp8390_init(d, DP8390_RAM_MAX);
    dp8390_fill_prom(d, nic->mac, WORD_SIGNATURE, true);
}

static void init_ne2000_8bit(struct nic *nic)
{
    struct dp8390 *d = (struct dp8390 *)nic;
    dp8390_init(d, DP8390_RAM_MAX);
    dp8390_fill_prom(d, nic->mac, BYTE_SIGNATURE, true);
    d->widest = 1;
}

static void init_ne1000(struct nic *nic)
{
    struct dp8390 *d = (struct dp8390 *)nic;
    dp8390_init(d, NE1000_RAM);
    dp8390_fill_prom(d, nic->mac, WORD_SIGNATURE, false);
    d->widest = 1;
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

#define IDENTITY(name, irq)                                                                               \
    .identity = { .model = name, .bus = NIC_BUS_ISA, .bar = { [0] = { NIC_BAR_IO, 0x20 } },              \
                  .isa_port = 0x300, .isa_irq = irq }
#define CALLS                                                                                             \
    .size = sizeof(struct dp8390), .reset = reset, .read = read, .write = write,                          \
    .quick_read = dp8390_quick_read, .quick_write = dp8390_quick_write,                                   \
    .read_block = dp8390_read_block, .write_block = dp8390_write_block,                                   \
    .receive = dp8390_receive, .lost = dp8390_lost, .timer = dp8390_timer, .set_link = dp8390_set_link,   \
    .state = dp8390_state, .restored = dp8390_restored, .has_line_rate = true, .decoder = &nic_trace_dp8390

const struct nic_ops ne2000_ops = { IDENTITY("ne2000", 9), .init = init_ne2000, CALLS };
const struct nic_ops ne2000_8bit_ops = { IDENTITY("ne2000-8bit", 3), .init = init_ne2000_8bit, CALLS };
const struct nic_ops ne1000_ops = { IDENTITY("ne1000", 3), .init = init_ne1000, CALLS };
