/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A small driver for the DP8390's tests, as lib8390 would do it: word mode, the
 * receive ring in pages 46 to 7f, frames sent from 40.
 */
#ifndef TESTS_UNIT_DP8390_FIXTURE_H
#define TESTS_UNIT_DP8390_FIXTURE_H

#include "nicemu/dp8390.h"
#include "tests/fake/fake_nic_host.h"

#define CR 0x00u
#define DATA 0x10u
#define RESET 0x1fu

extern struct fake_nic_host host;

int dp8390_fixture_start(void); /* CUnit's suite set-up form; the card of the last restart() */
int dp8390_fixture_stop(void);
void restart(const char *name); /* as another card, powered on */

uint8_t in(uint32_t port);
void out(uint32_t port, uint8_t value);
void page1(uint32_t port, uint8_t value); /* writes to page 1, and goes back to page 0 */
uint8_t curr(void);

/* As NS8390_init() and dev_open() leave the chip. */
void open_card(uint8_t rcr);

/* Remote DMA: the command alone, or with its words. */
void dma(uint8_t command, uint16_t address, uint16_t count);
void read_memory(uint16_t address, uint8_t *to, uint16_t size);
void write_memory(uint16_t address, const uint8_t *from, uint16_t size);

/* A frame to fake_mac of `size` bytes, type 0x88b5. */
uint8_t *make_frame(size_t size);
enum nic_rx_result give(size_t size);
void transmit(uint8_t page, uint16_t size);

#endif
