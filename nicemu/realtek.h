/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What Realtek added to the NE2000 in both its chips: ID bytes in page 0, the
 * configuration registers of page 3, and a 93C46 that they are loaded from.
 * realtek.c is the common part, rtl8019.c and rtl8029.c are the boards.
 */
#ifndef NICEMU_REALTEK_H
#define NICEMU_REALTEK_H

#include "nicemu/dp8390.h"
#include "nicemu/eeprom93c46.h"
#include "nicemu/isa_pnp.h"

/* Page 3. */
enum {
    REALTEK_9346CR = 0x1, REALTEK_BPAGE = 0x2, REALTEK_CONFIG0 = 0x3, REALTEK_CONFIG1 = 0x4, REALTEK_CONFIG2 = 0x5,
    REALTEK_CONFIG3 = 0x6, REALTEK_CSNSAV = 0x8, REALTEK_HLTCLK = 0x9, REALTEK_INTR = 0xb, REALTEK_CONFIG4 = 0xd, REALTEK_ID0 = 0xe,
    REALTEK_ID1 = 0xf, REALTEK_PAGE3 = 0x10,
};

/* CONFIG3 of both: either bit switches the network side off. They are clear after power-on. */
#define REALTEK_PWRDN 0x02u
#define REALTEK_SLEEP 0x04u

struct realtek;

/* What a chip is made of. */
struct realtek_chip {
    uint8_t id[2];                          /* page 0, 0a and 0b */
    uint8_t tsr_ones;                       /* bits of TSR that always read as one */
    uint8_t stored[REALTEK_PAGE3];          /* bits of page 3 that may be written, CONFIG only while unlocked */
    void (*fill)(struct realtek *r);        /* the EEPROM as it leaves the factory */
    void (*load)(struct realtek *r);        /* from the EEPROM into registers */
    uint8_t (*read)(struct realtek *r, unsigned number); /* page 3 beyond what is stored; NULL: none */
};

struct realtek {
    struct dp8390 core; /* first */
    const struct realtek_chip *chip;
    struct eeprom93c46 eeprom;
    uint8_t page3[REALTEK_PAGE3];
    struct isa_pnp pnp; /* RTL8019AS */
};

/* The station address from three words of the EEPROM, into the PROM. */
void realtek_load_address(struct realtek *r, unsigned word);

/* For struct nic_ops. */
void realtek_init(struct nic *nic, const struct realtek_chip *chip);
void realtek_reset(struct nic *nic, uint64_t now);
uint32_t realtek_read(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint64_t now);
void realtek_write(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint32_t value, uint64_t now);
void realtek_state(struct nic *nic, struct nic_state *s);
struct eeprom93c46 *realtek_eeprom(struct nic *nic);

#endif
