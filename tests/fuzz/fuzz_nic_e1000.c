/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A random driver for e1000: its rings mostly make sense, its registers are poked at
 * will, and a transmitter that may run must come to an end.
 */
#include "tests/fuzz/fuzz_nic.h"

#include <string.h>

/* A descriptor that a driver could have written, then bent a little. */
void e1000_put_descriptor(uint8_t *at)
{
    static const uint32_t commands[] = { 0x00000000, 0x20100000, 0x20000000, 0x24100000, 0x24000000, 0x24000000 };
    uint64_t address = below(8) ? below(FAKE_MEMORY_SIZE) : ((uint64_t)draw() << 32 | draw());
    uint32_t lower = commands[below(6)] | (below(3) ? below(2000) : below(0x100000));
    uint32_t upper = (below(3000) << 16) | (below(256) << 8);
    lower |= (draw() & 0xd9u) << 24;
    if (below(6) == 0)
        address = below(64) | (uint64_t)below(64) << 8 | (uint64_t)below(64) << 32 | (uint64_t)below(64) << 40;
    memcpy(at, &address, 8);
    memcpy(at + 8, &lower, 4);
    memcpy(at + 12, &upper, 4);
}

/* A driver's own set-up, so that the random part starts from working rings. */
void e1000_start(struct fake_nic_host *host)
{
    nic_set_link(host->nic, below(8), host->now);
    if (below(4))
        nic_power_write(host->nic, 4, 0, host->now); /* what sleeps is woken */
    fake_write(host, 0x0000, 0x80000041); /* the PHY's registers have been poked, too */
    fake_write(host, 0x5400, 0x12005452);
    fake_write(host, 0x5404, 0x80005634);
    fake_write(host, 0x3800, 0x1000);
    fake_write(host, 0x3804, 0);
    fake_write(host, 0x3808, 0x80u << below(8));
    fake_write(host, 0x3810, 0);
    fake_write(host, 0x2800, 0x10000);
    fake_write(host, 0x2804, 0);
    fake_write(host, 0x2808, 0x80u << below(8));
    fake_write(host, 0x2810, 0);
    fake_write(host, 0x2818, below(4) ? 7 : below(128));
    fake_write(host, 0x0030, 0x8808);
    fake_write(host, 0x5200 + 4 * below(128), draw());
    fake_write(host, 0x0400, 0x0103f0fa);
    fake_write(host, 0x0100, 0x00008002u | (below(4) ? 0x20u : 0) | (below(4) << 16) |
               (below(8) ? 0 : 0x02000000u) | (below(8) ? 0 : 0x40u));
    fake_write(host, 0x0000, 0x00000041u | (below(2) ? 0x40000000u : 0));
    fake_write(host, 0x5000, below(2) ? 0x300 : 0);
    fake_write(host, 0x00d0, draw());
    fake_write(host, 0x00c4, below(300));
    for (unsigned i = 0; i < 256; i++)
        e1000_put_descriptor(host->memory + 0x1000 + 16 * i);
    for (unsigned i = 0; i < 256; i++) {
        uint64_t address = 0x40000 + i * 2048;
        memcpy(host->memory + 0x10000 + 16 * i, &address, 8);
    }
}

/* All descriptors but one are the chip's again, and their addresses mostly what they were. */
static void give_back(struct fake_nic_host *host)
{
    uint32_t count = fake_read(host, 0x2808) / 16, head = fake_read(host, 0x2810);
    uint64_t base = fake_read(host, 0x2800) | (uint64_t)fake_read(host, 0x2804) << 32;
    if (!count || head >= count)
        return;
    for (unsigned i = 0; i < count && i < 256 && base + 16 * i < FAKE_MEMORY_SIZE - 16 && below(8); i++) {
        uint64_t address = 0x40000 + i * 2048;
        memcpy(host->memory + base + 16 * i, &address, 8);
    }
    fake_write(host, 0x2818, (head + count - 1) % count);
}

void e1000_poke(struct fake_nic_host *host)
{
    static const uint16_t hot[] = { 0x0000, 0x0010, 0x0014, 0x0018, 0x0020, 0x0038, 0x00c0, 0x00c4, 0x00c8, 0x00d0,
                                    0x00d8, 0x0100, 0x0400, 0x2800, 0x2804, 0x2808, 0x2810, 0x2818, 0x2820, 0x282c,
                                    0x2c00, 0x3800, 0x3804, 0x3808, 0x3810, 0x3818, 0x3820, 0x3828, 0x382c, 0x5000,
                                    0x5400, 0x5404, 0x0030, 0x0428, 0x0438, 0x0128, 0x1000 };
    uint32_t offset = below(8) ? hot[below(sizeof hot / sizeof *hot)] : below(0x20000);
    static const unsigned sizes[] = { 4, 4, 4, 1, 2 };
    unsigned size = sizes[below(5)];
    if (below(16) == 0)
        nic_write(host->nic, 2, 4 * below(2), 4, below(2) ? offset : value(), host->now);
    else if (below(2))
        nic_read(host->nic, 0, offset & ~(size - 1), size, host->now);
    else
        nic_write(host->nic, 0, offset & ~(size - 1), size, offset == 0x3818 || offset == 0x2818 ? below(260) : value(),
                  host->now);
    if (below(8) == 0)
        fake_write(host, 0x3818, below(64));
    if (below(3) == 0) /* a well-behaved driver gives its buffers back */
        give_back(host);
    if (below(10) == 0)
        e1000_start(host);
    if (below(30) == 0) /* PMCSR; mostly back to D0 */
        nic_power_write(host->nic, below(8), (uint8_t)(below(4) ? 0 : value()), host->now);
    check(!host->pme || (nic_power_read(host->nic, 5) & 0x80), "PME# without a status");
    uint32_t ims = fake_read(host, 0x00d0), ics = fake_read(host, 0x00c8);
    check(!host->irq || (ims & ics), "line high without cause");
    if (!(host->deadline))
        check(host->irq == ((ims & ics) != 0), "line low with a cause and no timer");
}

/* A transmitter that may run, with a ring in memory, comes to the tail in a while: a
 * run is bounded and gone on with, never forgotten. */
void e1000_check_progress(struct fake_nic_host *host)
{
    uint32_t status = fake_read(host, 0x0008), count = fake_read(host, 0x3808) / 16, head, tail;
    uint64_t base = fake_read(host, 0x3800) | (uint64_t)fake_read(host, 0x3804) << 32;
    bool may_run = (fake_read(host, 0x0400) & 2) && (status & 0x12) == 0x02; /* TCTL.EN, LU, not TXOFF */

    if (!may_run || nic_is_asleep(host->nic) || count == 0 || count > 128 || base > FAKE_MEMORY_SIZE - 16 * count)
        return;
    host->no_room = false;
    fake_write(host, 0x3818, fake_read(host, 0x3818)); /* what an error has stopped is tried again */
    for (unsigned i = 0; i < 20; i++) {
        host->dma_calls = host->dma_bytes = 0;
        fake_nic_host_advance(host, 1000000);
    }
    head = fake_read(host, 0x3810);
    tail = fake_read(host, 0x3818);
    host->dma_calls = host->dma_bytes = 0;
    check(head == tail || head >= count || tail >= count || (fake_read(host, 0x0008) & 0x12) != 0x02,
          "a transmitter that stands still");
}
