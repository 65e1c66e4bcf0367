/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A random driver for the boards around a DP8390: registers of all pages, the data port
 * in single accesses and in blocks, transmissions, and Plug and Play.
 */
#include "tests/fuzz/fuzz_nic.h"

#include <stdlib.h>

/* Realtek's sleep and power-down; other boards have no page 3. */
static void set_config3(struct fake_nic_host *host, uint8_t value)
{
    fake_out(host, 0, 0xe2);
    fake_out(host, 1, 0xc0);
    fake_out(host, 6, value);
    fake_out(host, 1, 0);
}

void dp8390_start(struct fake_nic_host *host)
{
    static const uint8_t set_up[][2] = { { 0, 0x21 }, { 0xe, 0x49 }, { 0xa, 0 }, { 0xb, 0 }, { 0xc, 0x1f }, { 0xd, 0 },
                                         { 1, 0x46 }, { 2, 0x80 }, { 3, 0x46 }, { 7, 0xff }, { 0xf, 0x3f },
                                         { 0, 0x61 }, { 1, 0x52 }, { 2, 0x54 }, { 3, 0 }, { 4, 0x12 }, { 5, 0x34 },
                                         { 6, 0x56 }, { 8, 0xff }, { 7, 0x47 }, { 0, 0x22 } };
    nic_set_link(host->nic, below(8), host->now);
    fake_out(host, 9, 'R'); /* a Realtek chip whose clock stands still */
    set_config3(host, 0);
    for (size_t i = 0; i < sizeof set_up / sizeof *set_up; i++)
        fake_out(host, set_up[i][0], set_up[i][1]);
}

/* A driver's own transmission, of a length that mostly is allowed: random pokes
 * alone, which have to hit both halves of TBCR, sent nothing at all with some seeds. */
static void send_dp8390(struct fake_nic_host *host)
{
    uint32_t size = below(8) ? 14 + below(1505) : value();
    fake_out(host, 0, 0x22);
    if (below(4))
        fake_out(host, 0xd, 0); /* no loopback */
    fake_out(host, 4, (uint8_t)(below(4) ? 0x40 : value()));
    fake_out(host, 5, (uint8_t)size);
    fake_out(host, 6, (uint8_t)(size >> 8));
    fake_out(host, 0, 0x26);
    if (below(2))
        fake_nic_host_advance(host, 1300000); /* as long as the longest is on the wire */
}

/* What is in the ring has been read. */
static void drain_dp8390(struct fake_nic_host *host)
{
    fake_out(host, 0, 0x62);
    uint8_t curr = fake_in(host, 7);
    fake_out(host, 0, 0x22);
    fake_out(host, 3, curr == 0x46 ? 0x7f : curr - 1);
    fake_out(host, 7, 0xff);
}

/* A string instruction; its buffer has just the size that it needs. */
static void block(struct fake_nic_host *host, uint32_t port, unsigned size)
{
    uint32_t count = below(800);
    uint8_t *buffer = calloc(count ? count : 1, size);
    if (below(2))
        nic_read_block(host->nic, 0, port, size, count, buffer, host->now);
    else
        nic_write_block(host->nic, 0, port, size, count, buffer, host->now);
    free(buffer);
}

/* Each other time by the quick call, which may decline. */
static void read_port(struct fake_nic_host *host, uint32_t port, unsigned size)
{
    if (below(2) || nic_quick_read(host->nic, 0, port, size) < 0)
        nic_read(host->nic, 0, port, size, host->now);
}

static void write_port(struct fake_nic_host *host, uint32_t port, unsigned size, uint32_t written)
{
    if (below(2) || nic_quick_write(host->nic, 0, port, size, written) < 0)
        nic_write(host->nic, 0, port, size, written, host->now);
}

void dp8390_poke(struct fake_nic_host *host)
{
    unsigned size = 1u << below(3);
    uint8_t byte;
    if (below(16) == 0) { /* ISA Plug and Play, past the key */
        nic_pnp_write(host->nic, below(3) ? 0x279 : 0xa79, (uint8_t)(below(2) ? below(8) : value()), host->now);
        nic_pnp_read(host->nic, 0x203, &byte, host->now);
    }
    if (below(500) == 0) {
        uint8_t key = 0x6a;
        for (unsigned i = 0; i < 32; i++, key = (uint8_t)(key >> 1 | ((key ^ key >> 1) & 1) << 7))
            nic_pnp_write(host->nic, 0x279, key, host->now);
    }
    uint32_t limit = nic_identity(host->nic)->bar[0].size;
    uint32_t port = below(3) == 0 ? 0 : below(4) == 0 ? 0x10 : below(limit == 0x20 || below(4) ? 0x20 : limit);
    if (port + size > limit)
        size = 1;
    if (port >= 0x18 && below(8))
        port = 7;
    if (below(8) == 0)
        block(host, port, size);
    else if (below(2))
        read_port(host, port, size);
    else
        write_port(host, port, size, value());
    if (below(50) == 0)
        dp8390_start(host);
    if (below(12) == 0)
        send_dp8390(host);
    if (below(12) == 0)
        drain_dp8390(host);
    if (below(200) == 0) {
        set_config3(host, (uint8_t)value());
        fake_out(host, 9, below(2) ? 'H' : 'R');
    }
    if (fake_in(host, 0) == 0xff) /* halted: nothing can be seen of it */
        return;
    /* Look at ISR and IMR from pages 0 and 2, without TXP or a DMA command. */
    fake_out(host, 0, 0x20);
    uint8_t isr = fake_in(host, 7);
    fake_out(host, 0, 0xa0);
    uint8_t imr = fake_in(host, 0xf) & 0x7f;
    fake_out(host, 0, (uint8_t)(below(4) << 6 | 0x22));
    check(host->irq == ((isr & imr) != 0), "line is not cause and mask");
}
