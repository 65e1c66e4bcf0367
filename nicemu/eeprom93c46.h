/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The 93C46 serial EEPROM: 64 words of 16 bits behind the four Microwire pins
 * that e1000's EECD and RTL8029AS's 9346CR give a driver.
 */
#ifndef NICEMU_EEPROM93C46_H
#define NICEMU_EEPROM93C46_H

#include "nicemu/nic_state.h"

#include <stdbool.h>
#include <stdint.h>

#define EEPROM93C46_WORDS 64u

struct eeprom93c46 {
    uint16_t words[EEPROM93C46_WORDS];
    uint16_t shift;      /* command bits in, then data bits in or out */
    uint8_t count;       /* bits shifted in the present phase */
    uint8_t phase;       /* enum in eeprom93c46.c */
    uint8_t command;     /* start bit, opcode and address once complete */
    uint8_t address;     /* of the word being read */
    bool write_enabled;  /* EWEN was given; off at power-on */
    bool cs, sk, out;    /* pin levels as last seen */
    bool changed;        /* words were written since somebody last looked; no part of the state */
};

/* Power-on; the words stay. */
void eeprom93c46_reset(struct eeprom93c46 *eeprom);

/* The driver has put these levels on chip select, clock and data in. */
void eeprom93c46_set_pins(struct eeprom93c46 *eeprom, bool cs, bool sk, bool di);

void eeprom93c46_state(struct eeprom93c46 *eeprom, struct nic_state *s);

/* Level of data out. */
static inline bool eeprom93c46_out(const struct eeprom93c46 *eeprom)
{
    return eeprom->out;
}

#endif
