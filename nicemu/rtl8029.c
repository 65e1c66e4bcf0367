/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The Realtek RTL8029AS: an NE2000 (dp8390.c) on a PCI board, with ID bytes in
 * page 0, and configuration and a 93C46 EEPROM in page 3.
 */
#include "nicemu/dp8390.h"
#include "nicemu/eeprom93c46.h"
#include "nicemu/trace.h"

#include <stddef.h>

#define SIGNATURE 0x57

/* Page 3. */
enum { CR9346 = 0x1, CONFIG0 = 0x3, CONFIG2 = 0x5, CONFIG3 = 0x6, ID0 = 0xe, ID1 = 0xf };
#define EEM 0xc0u          /* mode: 00 normal, 40 auto-load, 80 program the EEPROM, c0 write CONFIG */
#define EEM_LOAD 0x40u
#define EEM_PROGRAM 0x80u
#define EEM_CONFIG 0xc0u
#define EE_CS 0x08u
#define EE_SK 0x04u
#define EE_DI 0x02u
#define EE_DO 0x01u
#define CONFIG2_STORED 0xe0u
#define CONFIG3_STORED 0x46u /* full duplex, sleep, power down */

struct rtl8029 {
    struct dp8390 core; /* first */
    struct eeprom93c46 eeprom;
    uint8_t cr9346, config2, config3;
};

static struct rtl8029 *from_core(struct dp8390 *d)
{
    return (struct rtl8029 *)d;
}

/* EEPROM words: configuration, station address; the PCI identifiers at the end. */
static void fill_eeprom(struct rtl8029 *r)
{
    uint16_t *words = r->eeprom.words;
    const uint8_t *mac = r->core.nic.mac;
    for (unsigned i = 0; i < EEPROM93C46_WORDS; i++)
        words[i] = 0xffff;
    words[0] = 0x0000; /* CONFIG2, CONFIG3 */
    for (unsigned i = 0; i < 3; i++)
        words[1 + i] = (uint16_t)(mac[2 * i] | mac[2 * i + 1] << 8);
    words[0x3b] = 0x8029; /* device, vendor and their subsystem counterparts */
    words[0x3c] = 0x10ec;
    words[0x3d] = 0x8029;
    words[0x3e] = 0x10ec;
    words[0x3f] = 0x0000;
}

static void load_eeprom(struct rtl8029 *r)
{
    const uint16_t *words = r->eeprom.words;
    uint8_t mac[6];
    for (unsigned i = 0; i < 3; i++) {
        mac[2 * i] = (uint8_t)words[1 + i];
        mac[2 * i + 1] = (uint8_t)(words[1 + i] >> 8);
    }
    r->config2 = words[0] & CONFIG2_STORED;
    r->config3 = words[0] >> 8 & CONFIG3_STORED;
    dp8390_fill_prom(&r->core, mac, SIGNATURE, true);
}

static bool extra_read(struct dp8390 *d, unsigned page, unsigned number, uint8_t *value)
{
    struct rtl8029 *r = from_core(d);
    if (page == 0 && (number == 0xa || number == 0xb)) {
        *value = number == 0xa ? 'P' : 'C';
        return true;
    }
    if (page != 3)
        return false;
    switch (number) {
    case CR9346:
        *value = (uint8_t)((r->cr9346 & ~EE_DO) | (eeprom93c46_out(&r->eeprom) ? EE_DO : 0));
        break;
    case CONFIG0:
        *value = 0;
        break;
    case CONFIG2:
        *value = r->config2;
        break;
    case CONFIG3:
        *value = r->config3;
        break;
    case ID0:
        *value = 0x29;
        break;
    case ID1:
        *value = 0x80;
        break;
    default:
        *value = 0;
    }
    return true;
}

static void write_cr9346(struct rtl8029 *r, uint8_t value)
{
    r->cr9346 = value & (EEM | EE_CS | EE_SK | EE_DI);
    if ((value & EEM) == EEM_PROGRAM)
        eeprom93c46_set_pins(&r->eeprom, value & EE_CS, value & EE_SK, value & EE_DI);
    if ((value & EEM) == EEM_LOAD) {
        load_eeprom(r);
        r->cr9346 = 0; /* the load is over at once */
    }
}

static void extra_write(struct dp8390 *d, unsigned page, unsigned number, uint8_t value)
{
    struct rtl8029 *r = from_core(d);
    (void)page;
    if (number == CR9346)
        write_cr9346(r, value);
    else if ((number == CONFIG2 || number == CONFIG3) && (r->cr9346 & EEM) != EEM_CONFIG)
        nic_guest_error(&d->nic, "write to page 3 register %x without configuration write enable", number);
    else if (number == CONFIG2)
        r->config2 = value & CONFIG2_STORED;
    else if (number == CONFIG3)
        r->config3 = value & CONFIG3_STORED;
}

static void init(struct nic *nic)
{
    struct rtl8029 *r = (struct rtl8029 *)nic;
    dp8390_init(&r->core, DP8390_RAM_MAX);
    r->core.extra_read = extra_read;
    r->core.extra_write = extra_write;
    fill_eeprom(r);
}

static void reset(struct nic *nic, uint64_t now)
{
    struct rtl8029 *r = (struct rtl8029 *)nic;
    r->core.now = now;
    eeprom93c46_reset(&r->eeprom);
    r->cr9346 = 0;
    load_eeprom(r);
    dp8390_power_on(&r->core);
}

static uint32_t read(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint64_t now)
{
    struct rtl8029 *r = (struct rtl8029 *)nic;
    (void)bar;
    r->core.now = now;
    return dp8390_port_read(&r->core, offset, size);
}

static void write(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint32_t value, uint64_t now)
{
    struct rtl8029 *r = (struct rtl8029 *)nic;
    (void)bar;
    r->core.now = now;
    dp8390_port_write(&r->core, offset, size, value);
}

static void state(struct nic *nic, struct nic_state *s)
{
    struct rtl8029 *r = (struct rtl8029 *)nic;
    dp8390_state(nic, s);
    eeprom93c46_state(&r->eeprom, s);
    nic_state_u8(s, &r->cr9346, EEM | EE_CS | EE_SK | EE_DI);
    nic_state_u8(s, &r->config2, CONFIG2_STORED);
    nic_state_u8(s, &r->config3, CONFIG3_STORED);
}

static struct eeprom93c46 *eeprom(struct nic *nic)
{
    return &((struct rtl8029 *)nic)->eeprom;
}

const struct nic_ops rtl8029_ops = {
    .identity = {
        .model = "rtl8029",
        .bus = NIC_BUS_PCI,
        .vendor_id = 0x10ec,
        .device_id = 0x8029,
        .subsystem_vendor_id = 0x10ec,
        .subsystem_id = 0x8029,
        .class_code = 0x020000,
        .bar = { [0] = { NIC_BAR_IO, 0x100 } },
    },
    .size = sizeof(struct rtl8029),
    .init = init,
    .reset = reset,
    .read = read,
    .write = write,
    .receive = dp8390_receive,
    .lost = dp8390_lost,
    .timer = dp8390_timer,
    .set_link = dp8390_set_link,
    .state = state,
    .eeprom = eeprom,
    .decoder = &nic_trace_dp8390,
};
