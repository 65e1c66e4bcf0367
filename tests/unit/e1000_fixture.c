/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The tests' own e1000 driver: see e1000_fixture.h.
 */
#include "nicemu/inet_checksum.h"
#include "tests/unit/e1000_fixture.h"

#include <string.h>

struct fake_nic_host host;
static unsigned tail;

int e1000_fixture_start(void)
{
    fake_nic_host_start(&host, "e1000");
    tail = 0;
    return 0;
}

int e1000_fixture_stop(void)
{
    fake_nic_host_stop(&host);
    return 0;
}

void e1000_fixture_restart(void)
{
    e1000_fixture_stop();
    e1000_fixture_start();
}

void e1000_open(uint32_t rctl)
{
    e1000_fixture_restart();
    for (unsigned i = 0; i < RING; i++) {
        uint64_t address = RX_BUFFERS + i * 2048;
        memcpy(host.memory + RX_RING + 16 * i, &address, 8);
    }
    fake_write(&host, E1000_TDBAL, TX_RING);
    fake_write(&host, E1000_TDLEN, RING * 16);
    fake_write(&host, E1000_RDBAL, RX_RING);
    fake_write(&host, E1000_RDLEN, RING * 16);
    fake_write(&host, E1000_RDT, RING - 1);
    fake_write(&host, E1000_TCTL, TCTL_EN | TCTL_PSP);
    fake_write(&host, E1000_RCTL, rctl);
    fake_read(&host, E1000_ICR);
    fake_write(&host, E1000_IMS, ICR_TXDW | ICR_LSC | ICR_RXT0 | ICR_RXDMT0 | ICR_RXO);
}

void tx_put(uint64_t address, uint32_t lower, uint32_t upper)
{
    uint8_t *d = host.memory + TX_RING + 16 * tail;
    memcpy(d, &address, 8);
    memcpy(d + 8, &lower, 4);
    memcpy(d + 12, &upper, 4);
    tail = (tail + 1) % RING;
}

void tx_context(uint8_t ipcss, uint8_t ipcso, uint16_t ipcse, uint8_t tucss, uint8_t tucso, uint16_t tucse,
                uint32_t command, uint8_t hdrlen, uint16_t mss)
{
    uint64_t low = ipcss | (uint64_t)ipcso << 8 | (uint64_t)ipcse << 16 | (uint64_t)tucss << 32 |
                   (uint64_t)tucso << 40 | (uint64_t)tucse << 48;
    tx_put(low, CMD_DEXT | command, (uint32_t)hdrlen << 8 | (uint32_t)mss << 16);
}

void tx_ring(void)
{
    fake_write(&host, E1000_TDT, tail);
}

bool tx_done(unsigned index)
{
    return host.memory[TX_RING + 16 * index + 12] & 1;
}

struct rx_descriptor rx_get(unsigned index)
{
    struct rx_descriptor d;
    memcpy(&d, host.memory + RX_RING + 16 * index, sizeof d);
    return d;
}

const uint8_t *rx_buffer(unsigned index)
{
    return host.memory + RX_BUFFERS + 2048 * index;
}

void rx_give(unsigned to)
{
    fake_write(&host, E1000_RDT, to);
}

uint8_t *make_frame(size_t size)
{
    static uint8_t frame[70000];
    for (size_t i = 0; i < size; i++)
        frame[i] = (uint8_t)(i * 3);
    memcpy(frame, fake_mac, 6);
    memcpy(frame + 6, "\x02\x00\x00\x00\x00\x01\x88\xb5", 8);
    return frame;
}

size_t make_tcp(uint8_t *frame, bool v6, size_t payload)
{
    size_t l4 = v6 ? 54 : 34;
    memset(frame, 0, l4 + 20);
    memcpy(frame, fake_mac, 6);
    memcpy(frame + 6, "\x02\x00\x00\x00\x00\x01", 6);
    if (v6) {
        memcpy(frame + 12, "\x86\xdd\x60", 3);
        frame[18] = (uint8_t)((20 + payload) >> 8);
        frame[19] = (uint8_t)(20 + payload);
        frame[20] = 6;
        frame[21] = 64;
        frame[22] = frame[38] = 0xfd;
        frame[37] = 1;
        frame[53] = 2;
    } else {
        memcpy(frame + 12, "\x08\x00\x45", 3);
        frame[16] = (uint8_t)((40 + payload) >> 8);
        frame[17] = (uint8_t)(40 + payload);
        frame[18] = 0x12;
        frame[19] = 0x34;
        frame[22] = 64;
        frame[23] = 6;
        memcpy(frame + 26, "\x0a\x00\x00\x01\x0a\x00\x00\x02", 8);
    }
    memcpy(frame + l4, "\x04\x00\x00\x50\x00\x01\x00\x00", 8); /* ports, sequence 0x10000 */
    frame[l4 + 12] = 0x50;
    frame[l4 + 13] = 0x19; /* ACK, PSH, FIN */
    for (size_t i = 0; i < payload; i++)
        frame[l4 + 20 + i] = (uint8_t)(i * 5 + 1);
    return l4 + 20 + payload;
}

void tx_fill(const uint8_t *frame, size_t size)
{
    memcpy(host.memory + TX_DATA, frame, size);
}

size_t tx_fill_tso(bool v6, size_t payload)
{
    static uint8_t frame[200000];
    size_t size = make_tcp(frame, v6, payload), l4 = v6 ? 54 : 34;
    frame[v6 ? 18 : 16] = frame[v6 ? 19 : 17] = 0;
    uint32_t sum = v6 ? inet_sum(frame + 22, 32) + 6u : inet_sum(frame + 26, 8) + 6u;
    sum = inet_fold(sum);
    frame[l4 + 16] = (uint8_t)(sum >> 8);
    frame[l4 + 17] = (uint8_t)sum;
    tx_fill(frame, size);
    return size;
}

void tx_put_tso(size_t size, uint32_t extra, uint32_t popts)
{
    for (size_t at = 0; at < size; at += 16384) {
        size_t part = size - at < 16384 ? size - at : 16384;
        bool last = at + part == size;
        tx_put(TX_DATA + at, (uint32_t)part | TYPE_DATA | CMD_TSE | extra | (last ? CMD_EOP | CMD_RS : 0), popts);
    }
}
