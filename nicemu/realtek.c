/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The common part of Realtek's boards: see realtek.h.
 */
#include "nicemu/realtek.h"

#include <string.h>

#define SIGNATURE 0x57
#define EEM 0xc0u          /* 9346CR, mode: 00 normal, 40 auto-load, 80 program the EEPROM, c0 write CONFIG */
#define EEM_LOAD 0x40u
#define EEM_PROGRAM 0x80u
#define EEM_CONFIG 0xc0u
#define EE_CS 0x08u
#define EE_SK 0x04u
#define EE_DI 0x02u
#define EE_DO 0x01u
#define CONFIG0_BNC 0x04u
#define HALT 'H' /* to HLTCLK; 'R' lets the clock run */

static struct realtek *from_core(struct dp8390 *d)
{
    return (struct realtek *)d;
}

void realtek_load_address(struct realtek *r, unsigned word)
{
    uint8_t mac[6];
    for (unsigned i = 0; i < 6; i++)
        mac[i] = (uint8_t)(r->eeprom.words[word + i / 2] >> 8 * (i % 2));
    dp8390_fill_prom(&r->core, mac, SIGNATURE, true);
}

/* CONFIG2.PL: 0 takes the thin cable where the twisted pair's link test fails, 3 takes it always. */
static bool on_thin_cable(const struct realtek *r)
{
    unsigned medium = r->page3[REALTEK_CONFIG2] >> 6;
    return medium == 3 || (medium == 0 && !r->core.link);
}

/* In power-down the clock can be stopped, and then HLTCLK alone answers. */
static bool is_halted(const struct realtek *r)
{
    return r->page3[REALTEK_HLTCLK] == HALT;
}

/* As CONFIG3 and HLTCLK say. */
static void follow(struct realtek *r)
{
    r->core.off = r->page3[REALTEK_CONFIG3] & (REALTEK_PWRDN | REALTEK_SLEEP);
    r->core.widest = is_halted(r) ? 0 : DP8390_WIDEST;
}

/* CONFIG3 has changed: what waits in front of a network side that is off is not kept. */
static void power(struct realtek *r)
{
    struct dp8390 *d = &r->core;
    if (!(r->page3[REALTEK_CONFIG3] & REALTEK_PWRDN))
        r->page3[REALTEK_HLTCLK] = 0;
    follow(r);
    if (d->off && d->waiting) {
        d->waiting = false;
        d->nic.host.receive_ready(d->nic.host.opaque);
    }
}

static void load(struct realtek *r)
{
    r->chip->load(r);
    r->page3[REALTEK_CONFIG3] &= (uint8_t)~(REALTEK_PWRDN | REALTEK_SLEEP);
    power(r);
}

static void write_hltclk(struct realtek *r, uint8_t value)
{
    if (!(r->page3[REALTEK_CONFIG3] & REALTEK_PWRDN))
        nic_guest_error(&r->core.nic, "write of %02x to HLTCLK while CONFIG3.PWRDN is clear", value);
    else if (value == HALT || value == 'R')
        r->page3[REALTEK_HLTCLK] = value == HALT ? HALT : 0;
    follow(r);
}

static bool extra_read(struct dp8390 *d, unsigned page, unsigned number, uint8_t *value)
{
    struct realtek *r = from_core(d);
    if (page == 0 && (number == 0xa || number == 0xb)) {
        *value = r->chip->id[number - 0xa];
        return true;
    }
    if (page == 0 && number == 0x4) {
        *value = d->tsr | r->chip->tsr_ones;
        return true;
    }
    if (page != 3)
        return false;
    *value = number == REALTEK_HLTCLK ? 0 : r->page3[number]; /* HLTCLK is only written */
    if (number == REALTEK_9346CR && eeprom93c46_out(&r->eeprom))
        *value |= EE_DO;
    if (number == REALTEK_CONFIG0 && on_thin_cable(r))
        *value |= CONFIG0_BNC;
    if (r->chip->read)
        *value |= r->chip->read(r, number);
    return true;
}

static void write_9346cr(struct realtek *r, uint8_t value)
{
    r->page3[REALTEK_9346CR] = value & (EEM | EE_CS | EE_SK | EE_DI);
    if ((value & EEM) == EEM_PROGRAM) {
        eeprom93c46_set_pins(&r->eeprom, value & EE_CS, value & EE_SK, value & EE_DI);
        nic_eeprom_accessed(&r->core.nic, &r->eeprom);
    }
    if ((value & EEM) == EEM_LOAD) {
        load(r);
        r->page3[REALTEK_9346CR] = 0; /* the load is over at once */
    }
}

static bool is_config(unsigned number)
{
    return (number >= REALTEK_CONFIG0 && number <= REALTEK_CONFIG3) || number == REALTEK_CONFIG4;
}

static void extra_write(struct dp8390 *d, unsigned page, unsigned number, uint8_t value)
{
    struct realtek *r = from_core(d);
    uint8_t stored = r->chip->stored[number];
    (void)page;
    if (is_halted(r) && number != REALTEK_HLTCLK)
        return;
    if (number == REALTEK_9346CR)
        write_9346cr(r, value);
    else if (number == REALTEK_HLTCLK)
        write_hltclk(r, value);
    else if (is_config(number) && (r->page3[REALTEK_9346CR] & EEM) != EEM_CONFIG)
        nic_guest_error(&d->nic, "write to page 3 register %x without configuration write enable", number);
    else
        r->page3[number] = (uint8_t)((r->page3[number] & ~stored) | (value & stored));
    if (number == REALTEK_CONFIG3)
        power(r);
}

void realtek_init(struct nic *nic, const struct realtek_chip *chip)
{
    struct realtek *r = (struct realtek *)nic;
    dp8390_init(&r->core, DP8390_RAM_MAX);
    r->core.extra_read = extra_read;
    r->core.extra_write = extra_write;
    r->chip = chip;
    for (unsigned i = 0; i < EEPROM93C46_WORDS; i++)
        r->eeprom.words[i] = 0xffff;
    chip->fill(r);
}

void realtek_reset(struct nic *nic, uint64_t now)
{
    struct realtek *r = (struct realtek *)nic;
    r->core.now = now;
    eeprom93c46_reset(&r->eeprom);
    isa_pnp_reset(&r->pnp);
    memset(r->page3, 0, sizeof r->page3);
    load(r);
    dp8390_power_on(&r->core);
}

uint32_t realtek_read(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint64_t now)
{
    struct realtek *r = (struct realtek *)nic;
    (void)bar;
    r->core.now = now;
    return dp8390_port_read(&r->core, offset, size);
}

void realtek_write(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint32_t value, uint64_t now)
{
    struct realtek *r = (struct realtek *)nic;
    (void)bar;
    r->core.now = now;
    dp8390_port_write(&r->core, offset, size, value);
}

void realtek_state(struct nic *nic, struct nic_state *s)
{
    struct realtek *r = (struct realtek *)nic;
    dp8390_state(nic, s);
    eeprom93c46_state(&r->eeprom, s);
    nic_state_bytes(s, r->page3, sizeof r->page3);
    nic_state_check(s, !(r->page3[REALTEK_9346CR] & ~(EEM | EE_CS | EE_SK | EE_DI)));
    nic_state_check(s, r->page3[REALTEK_HLTCLK] == 0 || (is_halted(r) && (r->page3[REALTEK_CONFIG3] & REALTEK_PWRDN)));
    if (nic->ops->identity.bus == NIC_BUS_ISA)
        isa_pnp_state(&r->pnp, s);
    if (s->restoring)
        follow(r);
}

struct eeprom93c46 *realtek_eeprom(struct nic *nic)
{
    return &((struct realtek *)nic)->eeprom;
}
