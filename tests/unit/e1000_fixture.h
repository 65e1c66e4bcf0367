/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A small driver for e1000's tests: rings in the fake host's memory, one
 * descriptor at a time.
 */
#ifndef TESTS_UNIT_E1000_FIXTURE_H
#define TESTS_UNIT_E1000_FIXTURE_H

#include "nicemu/e1000.h"
#include "tests/fake/fake_nic_host.h"

#define TX_RING 0x1000u
#define RX_RING 0x10000u
#define RX_BUFFERS 0x40000u /* 2048 bytes each */
#define TX_DATA 0x80000u
#define RING 64u            /* descriptors in each ring */

/* Upper byte of a transmit descriptor's lower word. */
#define CMD_EOP 0x01000000u
#define CMD_IC 0x04000000u
#define CMD_TSE 0x04000000u
#define CMD_RS 0x08000000u
#define CMD_DEXT 0x20000000u
#define CMD_VLE 0x40000000u
#define CMD_IDE 0x80000000u
#define TYPE_DATA (CMD_DEXT | 0x00100000u)
#define POPTS_IP 0x100u
#define POPTS_L4 0x200u

extern struct fake_nic_host host;

int e1000_fixture_start(void); /* CUnit's suite set-up form */
int e1000_fixture_stop(void);
void e1000_fixture_restart(void);

/* Both rings on, interrupts LSC/RXT0/TXDW/RXDMT0/RXO enabled, causes read off. */
void e1000_open(uint32_t rctl);

/* Puts a descriptor at the software tail; ring() tells the chip. */
void tx_put(uint64_t address, uint32_t lower, uint32_t upper);
void tx_context(uint8_t ipcss, uint8_t ipcso, uint16_t ipcse, uint8_t tucss, uint8_t tucso, uint16_t tucse,
                uint32_t command, uint8_t hdrlen, uint16_t mss);
void tx_ring(void);
bool tx_done(unsigned index);

struct rx_descriptor {
    uint64_t address;
    uint16_t size, checksum;
    uint8_t status, errors;
    uint16_t special;
};
struct rx_descriptor rx_get(unsigned index);
const uint8_t *rx_buffer(unsigned index);
void rx_give(unsigned tail);

/* A frame to fake_mac of `size` bytes, type 0x88b5, counting bytes. */
uint8_t *make_frame(size_t size);

/* A TCP segment of `payload` bytes with a zero L4 checksum field: IPv4 or IPv6. */
size_t make_tcp(uint8_t *frame, bool v6, size_t payload);

/* At TX_DATA: bytes; a driver's TSO frame (zero IP length, pseudo header sum without length), with its size. */
void tx_fill(const uint8_t *frame, size_t size);
size_t tx_fill_tso(bool v6, size_t payload);
/* The data descriptors of one of `size` bytes, 16 KiB each. */
void tx_put_tso(size_t size, uint32_t extra, uint32_t popts);

#endif
