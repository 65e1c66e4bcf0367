/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The card's side of ISA Plug and Play (Microsoft and Intel, version 1.0a), for
 * one logical device with an I/O window and an interrupt: initiation key,
 * isolation, resource data, configuration. The board (rtl8019.c) brings the
 * identifier and the resource data, from its EEPROM.
 */
#ifndef NICEMU_ISA_PNP_H
#define NICEMU_ISA_PNP_H

#include "nicemu/nic_state.h"

#include <stdbool.h>
#include <stdint.h>

#define ISA_PNP_ADDRESS 0x279u
#define ISA_PNP_WRITE_DATA 0xa79u
#define ISA_PNP_DATA_SIZE 110u /* serial identifier of 9 bytes, then the resources */

struct isa_pnp {
    uint8_t data[ISA_PNP_DATA_SIZE];
    uint8_t state;         /* enum in isa_pnp.c */
    uint8_t key_position;  /* bytes of the initiation key seen */
    uint8_t own_position;  /* and of the maker's own, which a board that is not in Plug and Play mode knows, too */
    uint8_t address;       /* register selected */
    uint8_t csn;           /* card select number, 0: none yet */
    uint8_t device;        /* logical device selected: there is number 0 */
    uint16_t read_port;
    uint8_t position;      /* next byte of data[] */
    uint8_t pair;          /* isolation reads done: two a bit */
    bool active;           /* register 30 */
    uint8_t range_check;   /* register 31 */
    uint16_t port;         /* registers 60, 61 */
    uint8_t irq;           /* register 70 */
};

/* Power-on: waits for the key. The place is the board's matter. */
void isa_pnp_reset(struct isa_pnp *pnp);

/* `own_key_only`: the key of the specification is not for this board as it is set. */
void isa_pnp_write(struct isa_pnp *pnp, uint16_t port, uint8_t value, bool own_key_only);

/* False where the card leaves the bus alone. */
bool isa_pnp_read(struct isa_pnp *pnp, uint16_t port, uint8_t *value);

/* Another card has driven the bus in a read that this one left alone. */
void isa_pnp_outvoted(struct isa_pnp *pnp);

/* What a read of the I/O window gives instead, while the range is checked. */
bool isa_pnp_range_check(const struct isa_pnp *pnp, uint8_t *value);

/* The checksum of the first eight bytes of a serial identifier. */
uint8_t isa_pnp_checksum(const uint8_t identifier[8]);

void isa_pnp_state(struct isa_pnp *pnp, struct nic_state *s);

#endif
