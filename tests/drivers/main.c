/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The guest with the drivers: finds its card, drives it once, and says how it went.
 */
#include "driver.h"

enum { COM1 = 0x3f8, PIT = 0x40, PORT_61 = 0x61, PIT_HZ = 1193182 };

void say(const char *text)
{
    for (; *text; text++) {
        while (!(inb(COM1 + 5) & 0x20))
            ;
        outb(COM1, (uint8_t)*text);
    }
}

void wait_for_key(const char *why)
{
    say(why);
    say("\n");
    while (!(inb(COM1 + 5) & 1))
        ;
    inb(COM1);
}

/* Channel 2 counts down once, its output shows in port 61. */
void pause_us(unsigned us)
{
    uint32_t count = (uint32_t)((uint64_t)us * PIT_HZ / 1000000) + 1;
    outb(PORT_61, (uint8_t)((inb(PORT_61) & ~2) | 1));
    outb(PIT + 3, 0xb0);
    outb(PIT + 2, (uint8_t)count);
    outb(PIT + 2, (uint8_t)(count >> 8));
    while (!(inb(PORT_61) & 0x20))
        ;
}

uint32_t pci_word(unsigned device, unsigned reg)
{
    outl(0xcf8, 0x80000000u | device << 11 | reg);
    return inl(0xcfc);
}

uint8_t pci_byte(unsigned device, unsigned at)
{
    return (uint8_t)(pci_word(device, at & ~3u) >> 8 * (at & 3));
}

int pci_find(uint32_t identity)
{
    for (unsigned device = 0; device < 32; device++)
        if (pci_word(device, 0) == identity)
            return (int)device;
    return -1;
}

uint32_t pci_bar(unsigned device, unsigned bar)
{
    uint32_t value = pci_word(device, 0x10 + 4 * bar);
    return value & (value & 1 ? ~3u : ~15u);
}

void pci_command(unsigned device, uint16_t command)
{
    uint32_t old = pci_word(device, 4);
    outl(0xcfc, (old & 0xffff) | command);
}

void make_frame(uint8_t *frame, size_t size, const uint8_t station[6])
{
    for (size_t i = 0; i < size; i++)
        frame[i] = i < 6 ? 0xff : i < 12 ? station[i - 6] : (uint8_t)i;
    frame[12] = 0x88;
    frame[13] = 0xb5;
}

static void end(const char *name, bool good)
{
    say(name);
    say(good ? ": all well\n" : ": something went wrong\n");
}

void drivers_main(void);
void drivers_main(void)
{
    wait_for_key("drivers: press a key");
    if (pci_find(0x802910ec) >= 0)
        end("ne2000", drive_ne2000());
    if (pci_find(0x100e8086) >= 0)
        end("e1000", drive_e1000());
    if (pci_find(0x10001af4) >= 0)
        end("virtio-net", drive_virtio());
    wait_for_key("drivers: at the end");
}
