/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A driver for the 82540EM, in the order of docs/e1000.md.
 */
#include "driver.h"

enum { CTRL = 0x0, STATUS = 0x8, EERD = 0x14, MDIC = 0x20, ICR = 0xc0, ITR = 0xc4, IMS = 0xd0, IMC = 0xd8, RCTL = 0x100,
       TCTL = 0x400, TIPG = 0x410, RDBAL = 0x2800, RDBAH = 0x2804, RDLEN = 0x2808, RDH = 0x2810, RDT = 0x2818,
       TDBAL = 0x3800, TDBAH = 0x3804, TDLEN = 0x3808, TDH = 0x3810, TDT = 0x3818, GPRC = 0x4074, GPTC = 0x4080,
       MTA = 0x5200, RAL = 0x5400, RAH = 0x5404 };
enum { COUNT = 8, BUFFER = 2048 };
#define EOP 0x01000000u
#define IFCS 0x02000000u
#define TSE 0x04000000u
#define RS 0x08000000u
#define DEXT 0x20000000u
#define TYPE_DATA 0x00100000u
#define DD 1u

struct descriptor {
    uint32_t address, upper_address, command, status;
};
/* Behind the image, at addresses that no compiler moves: the trace shows some. */
static volatile struct descriptor *const tx_ring = (void *)0x200000, *const rx_ring = (void *)0x201000;
static uint8_t (*const rx_data)[BUFFER] = (void *)0x210000, *const tx_data = (void *)0x220000;
static unsigned rx_next, tx_next;
static volatile uint32_t *registers;
static uint8_t station[6];

static uint32_t rd(uint32_t offset) { return registers[offset / 4]; }
static void wr(uint32_t offset, uint32_t value) { registers[offset / 4] = value; }

static void reset(void)
{
    wr(IMC, 0xffffffff);
    wr(CTRL, 0x04000000);
    pause_us(10000);
    wr(IMC, 0xffffffff);
    rd(ICR);
    for (uint32_t word = 0; word < 3; word++) {
        uint32_t value;
        wr(EERD, word << 8 | 1);
        while (!((value = rd(EERD)) & 0x10))
            ;
        station[2 * word] = (uint8_t)(value >> 16);
        station[2 * word + 1] = (uint8_t)(value >> 24);
    }
    wr(RAL, station[0] | (uint32_t)station[1] << 8 | (uint32_t)station[2] << 16 | (uint32_t)station[3] << 24);
    wr(RAH, station[4] | (uint32_t)station[5] << 8 | 0x80000000);
    for (unsigned i = 0; i < 128; i++)
        wr(MTA + 4 * i, 0);
}

static void link(void)
{
    wr(CTRL, 0x60); /* SLU, ASDE */
    pause_us(20000);
    wr(MDIC, 0x08000000 | 1u << 21 | 1u << 16); /* BMSR */
    while (!(rd(MDIC) & 0x10000000))
        ;
    rd(STATUS);
}

static void give_buffer(unsigned index)
{
    rx_ring[index] = (struct descriptor){ (uint32_t)rx_data[index], 0, 0, 0 };
}

static void rings(void)
{
    for (unsigned i = 0; i < COUNT; i++)
        give_buffer(i);
    wr(RDBAL, (uint32_t)rx_ring);
    wr(RDBAH, 0);
    wr(RDLEN, COUNT * sizeof *rx_ring);
    wr(RDH, 0);
    wr(RDT, COUNT - 1);
    wr(RCTL, 0x04008002); /* on, broadcasts, without the FCS */
    wr(TDBAL, (uint32_t)tx_ring);
    wr(TDBAH, 0);
    wr(TDLEN, COUNT * sizeof *tx_ring);
    wr(TDH, 0);
    wr(TDT, 0);
    wr(TIPG, 0x00602008);
    wr(TCTL, 0x000400fa); /* on, padding, collision threshold and distance */
    wr(ITR, 500);
    wr(IMS, 0x95); /* TXDW LSC RXDMT0 RXT0 */
}

static volatile struct descriptor *put(uint32_t address, uint32_t upper, uint32_t command, uint32_t status)
{
    volatile struct descriptor *d = &tx_ring[tx_next];
    *d = (struct descriptor){ address, upper, command, status };
    tx_next = (tx_next + 1) % COUNT;
    return d;
}

static void wait_for(volatile struct descriptor *d)
{
    while (!(d->status & DD))
        ;
}

static void send(void)
{
    make_frame(tx_data, 60, station);
    volatile struct descriptor *d = put((uint32_t)tx_data, 0, 60 | EOP | IFCS | RS, 0);
    wr(TDT, tx_next);
    wait_for(d);
    rd(ICR);
}

static bool receive(void)
{
    rd(ICR);
    if ((rx_ring[rx_next].status & 3) != 3)
        return false;
    give_buffer(rx_next);
    wr(RDT, rx_next); /* the tail stays one behind what the driver reads next */
    rx_next = (rx_next + 1) % COUNT;
    return true;
}

/* 4000 bytes of TCP from 10.0.0.1 to 10.0.0.2: IP's length and checksum are the chip's, and
 * TCP's, for which the sum of the pseudo header without the length stands there. */
static void segment(void)
{
    static const uint8_t headers[] = {
        0x45, 0, 0, 0, 0, 1, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
        0x04, 0, 0, 80, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0x20, 0, 0x14, 0x09, 0, 0 };
    make_frame(tx_data, 54 + 4000, station);
    tx_data[12] = 0x08;
    tx_data[13] = 0x00;
    for (unsigned i = 0; i < sizeof headers; i++)
        tx_data[14 + i] = headers[i];
    put(14 | 24 << 8 | 33 << 16, 34 | 50 << 8, DEXT | 0x07000000 | 4000, 54 << 8 | 1460u << 16);
    volatile struct descriptor *d = put((uint32_t)tx_data, 0, (54 + 4000) | TYPE_DATA | DEXT | TSE | EOP | IFCS | RS, 0x300);
    wr(TDT, tx_next);
    wait_for(d);
    rd(ICR);
}

bool drive_e1000(void)
{
    int device = pci_find(0x100e8086);
    if (device < 0)
        return false;
    registers = (volatile uint32_t *)pci_bar((unsigned)device, 0);
    pci_command((unsigned)device, 6);
    reset();
    link();
    rings();
    send();
    wait_for_key("e1000: a frame for this station, then a key");
    if (!receive())
        return false;
    pause_us(1000);
    segment();
    wr(IMC, 0xffffffff);
    wr(RCTL, 0);
    wr(TCTL, 0);
    return rd(GPRC) == 1 && rd(GPTC) == 4;
}
