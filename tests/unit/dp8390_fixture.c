/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The tests' own driver of a DP8390: see dp8390_fixture.h.
 */
#include "tests/unit/dp8390_fixture.h"

#include <string.h>

struct fake_nic_host host;
static const char *board = "ne2000";

uint8_t in(uint32_t port) { return fake_in(&host, port); }
void out(uint32_t port, uint8_t value) { fake_out(&host, port, value); }

int dp8390_fixture_start(void)
{
    fake_nic_host_start(&host, board);
    return 0;
}

int dp8390_fixture_stop(void)
{
    fake_nic_host_stop(&host);
    return 0;
}

void restart(const char *name)
{
    dp8390_fixture_stop();
    board = name;
    dp8390_fixture_start();
}

void page1(uint32_t port, uint8_t value)
{
    uint8_t cr = in(CR);
    out(CR, (uint8_t)((cr & 3) | 0x60));
    out(port, value);
    out(CR, (uint8_t)((cr & 3) | 0x20));
}

uint8_t curr(void)
{
    uint8_t cr = in(CR);
    out(CR, (uint8_t)((cr & 3) | 0x60));
    uint8_t value = in(7);
    out(CR, (uint8_t)((cr & 3) | 0x20));
    return value;
}

void open_card(uint8_t rcr)
{
    out(CR, 0x21);
    out(0xe, 0x49);
    out(0xa, 0);
    out(0xb, 0);
    out(0xc, 0x20);
    out(0xd, 0x02);
    out(4, 0x40);
    out(1, 0x46);
    out(3, 0x7f);
    out(2, 0x80);
    out(7, 0xff);
    for (unsigned i = 0; i < 6; i++)
        page1(1 + i, fake_mac[i]);
    page1(7, 0x46);
    out(CR, 0x22);
    out(0xd, 0x00);
    out(0xc, rcr);
    out(7, 0xff);
    out(0xf, 0x3f);
}

void dma(uint8_t command, uint16_t address, uint16_t count)
{
    out(0xa, (uint8_t)count);
    out(0xb, (uint8_t)(count >> 8));
    out(8, (uint8_t)address);
    out(9, (uint8_t)(address >> 8));
    out(CR, (uint8_t)(command | 2));
}

void read_memory(uint16_t address, uint8_t *to, uint16_t size)
{
    dma(0x08, address, size);
    for (uint16_t i = 0; i < size; i += 2) {
        uint32_t word = nic_read(host.nic, 0, DATA, 2, host.now);
        memcpy(to + i, &word, 2);
    }
}

void write_memory(uint16_t address, const uint8_t *from, uint16_t size)
{
    dma(0x10, address, size);
    for (uint16_t i = 0; i < size; i += 2)
        nic_write(host.nic, 0, DATA, 2, from[i] | (uint32_t)from[i + 1] << 8, host.now);
}

uint8_t *make_frame(size_t size)
{
    static uint8_t frame[2000];
    for (size_t i = 0; i < size; i++)
        frame[i] = (uint8_t)(i * 11);
    memcpy(frame, fake_mac, 6);
    memcpy(frame + 6, "\x02\x00\x00\x00\x00\x01\x88\xb5", 8);
    return frame;
}

enum nic_rx_result give(size_t size)
{
    return nic_receive(host.nic, make_frame(size), size, NULL, host.now);
}

void transmit(uint8_t page, uint16_t size)
{
    out(4, page);
    out(5, (uint8_t)size);
    out(6, (uint8_t)(size >> 8));
    out(CR, 0x26);
}
