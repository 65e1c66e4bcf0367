/* SPDX-License-Identifier: BSD-2-Clause
 * The PC around the CPU: PCI configuration, a memory-mapped device (an e1000 where
 * the machine has one), the clock chip, port reads where nobody is. */
#include "guest.h"

static bool pci(void)
{
    CHECK(pci_read(0, 0) == 0x12378086);
    CHECK(pci_read(31, 0) == 0xffffffff);
    outl(0xcf8, 0x80000000);
    CHECK(inb(0xcfc) == 0x86 && inb(0xcfd) == 0x80);
    return true;
}

/* Maps the first BAR of the e1000; 0 where there is none. */
static volatile uint32_t *e1000_registers(void)
{
    int d = pci_find(0x100e8086);
    if (d < 0)
        return NULL;
    uint32_t bar = pci_read((unsigned)d, 0x10);
    pci_write((unsigned)d, 4, pci_read((unsigned)d, 4) | 6);
    if (!(bar & ~15u)) {
        bar = 0xfeb80000;
        pci_write((unsigned)d, 0x10, bar);
    }
    for (uint32_t page = 0; page < 0x20000; page += 4096)
        pages_map(0x30000000 + page, ((bar & ~15u) + page) | PTE_P | PTE_W | 0x10);
    return (volatile uint32_t *)0x30000000;
}

static bool memory_mapped(void)
{
    volatile uint32_t *r = e1000_registers();
    if (!r) {
        print("(no e1000) ");
        return true;
    }
    r[0x38 / 4] = 0x12345678; /* VET, read and write: only 16 bits count */
    CHECK((r[0x38 / 4] & 0xffff) == 0x5678);
    for (uint32_t i = 0; i < 2000; i++) {
        r[0x5200 / 4 + i % 128] = i * 0x9e3779b9;
        CHECK(r[0x5200 / 4 + i % 128] == i * 0x9e3779b9);
    }
    r[0x5200 / 4] = 0x0f0f0f0f;
    __asm__ volatile("orl $0xf0000000, %0" : "+m"(r[0x5200 / 4])::"cc");
    CHECK(r[0x5200 / 4] == 0xff0f0f0f);
    uint32_t got;
    __asm__ volatile("xorl %0, %0; addl %1, %0" : "=&r"(got) : "m"(r[0x5200 / 4]) : "cc");
    CHECK(got == 0xff0f0f0f);
    /* A string copy out of the device. */
    uint32_t copy[8], ecx = 8;
    void *edi = copy;
    const volatile void *esi = &r[0x5200 / 4];
    __asm__ volatile("cld; rep movsl" : "+c"(ecx), "+S"(esi), "+D"(edi)::"memory");
    CHECK(copy[0] == 0xff0f0f0f && copy[1] == r[0x5200 / 4 + 1]);
    return true;
}

static bool nobody_there(void)
{
    CHECK(inb(0x2f8 + 0x1000) == 0xff && inl(0x5550) == 0xffffffff);
    return true;
}

static uint8_t cmos(uint8_t reg)
{
    outb(0x70, reg);
    return inb(0x71);
}

static bool clock_chip(void)
{
    CHECK(cmos(0x0d) & 0x80);
    uint8_t b = cmos(0x0b);
    uint8_t month = cmos(8);
    if (!(b & 4))
        month = (uint8_t)((month >> 4) * 10 + (month & 15));
    CHECK(month >= 1 && month <= 12);
    return true;
}

static bool serial_loopback(void)
{
    outb(0x3fc, 0x10 | 3);
    CHECK((inb(0x3fe) & 0x30) == 0x30);
    outb(0x3fc, 3);
    outb(0x3ff, 0xa7);
    CHECK(inb(0x3ff) == 0xa7);
    return true;
}

static const struct test tests[] = {
    { "pci", pci, NULL }, { "memory_mapped", memory_mapped, NULL }, { "nobody_there", nobody_there, NULL },
    { "clock_chip", clock_chip, NULL }, { "serial_loopback", serial_loopback, NULL }, { NULL, NULL, NULL },
};
const struct test_group group_device = { "device", tests, pages_on };
