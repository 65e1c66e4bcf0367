/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The Realtek RTL8019AS: an NE2000 (dp8390.c) on an ISA board that Plug and Play
 * configures (isa_pnp.c), or its EEPROM alone: it answers from power-on at the
 * place that the EEPROM names, and moves where Plug and Play puts it.
 *
 * The EEPROM by bytes (datasheet 6.3): 00 CONFIG1 to CONFIG4, 04 station address,
 * 12 Plug and Play identifier and resource data.
 */
#include "nicemu/realtek.h"
#include "nicemu/trace.h"

#define CONFIG1_IRQEN 0x80u
#define CONFIG2_STORED 0xe0u
#define CONFIG3_PNP 0x80u
#define CONFIG3_STORED 0x46u  /* full duplex, sleep, power down */
#define CONFIG3_ACTIVEB 0x01u /* not active at power-on */
#define PNP_BYTE 0x12u
#define ADDRESS_WORD 2u

static const uint8_t irqs[8] = { 9, 3, 4, 5, 10, 11, 12, 15 }; /* CONFIG1.IRQS */

/* CONFIG1.IOS: 300, 320 … 3e0, then 200 … 2e0. */
static uint16_t window(unsigned select)
{
    return (uint16_t)((select & 8 ? 0x200 : 0x300) + 0x20 * (select & 7));
}

static void put_byte(struct realtek *r, unsigned at, uint8_t value)
{
    uint16_t *word = &r->eeprom.words[at / 2];
    *word = (uint16_t)(at % 2 ? (*word & 0xff) | value << 8 : (*word & 0xff00) | value);
}

static uint8_t get_byte(const struct realtek *r, unsigned at)
{
    return (uint8_t)(r->eeprom.words[at / 2] >> 8 * (at % 2));
}

/* What the card can do, in the tags of the specification's chapter 6. */
static const uint8_t resources[] = {
    0x0a, 0x10, 0x10,                                   /* version 1.0 */
    0x82, 9, 0, 'R', 'T', 'L', '8', '0', '1', '9', 'A', 'S',
    0x15, 0x4a, 0x8c, 0x80, 0x19, 0x02,                 /* logical device RTL8019, may check its range */
    0x1c, 0x41, 0xd0, 0x80, 0xd6,                       /* compatible with PNP80D6, the NE2000 */
    0x47, 0x00, 0x00, 0x02, 0xe0, 0x03, 0x20, 0x20,     /* 32 ports at 200 to 3e0 */
    0x23, 0x38, 0x9e, 0x01,                             /* IRQ 3 4 5 9 10 11 12 15, edges */
    0x79,                                               /* end; the checksum follows */
};

static void fill(struct realtek *r)
{
    const uint8_t *mac = r->core.nic.mac;
    uint8_t identifier[8] = { 0x4a, 0x8c, 0x80, 0x19, mac[5], mac[4], mac[3], mac[2] };
    uint8_t sum = 0;
    unsigned at = PNP_BYTE;

    put_byte(r, 0, CONFIG1_IRQEN); /* IRQ 9, ports 300 */
    put_byte(r, 1, 0);
    put_byte(r, 2, CONFIG3_PNP);
    put_byte(r, 3, 0);
    for (unsigned i = 0; i < 6; i++)
        put_byte(r, 2 * ADDRESS_WORD + i, mac[i]);
    for (unsigned i = 0; i < 8; i++)
        put_byte(r, at++, identifier[i]);
    put_byte(r, at++, isa_pnp_checksum(identifier));
    for (size_t i = 0; i < sizeof resources; i++) {
        put_byte(r, at++, resources[i]);
        sum = (uint8_t)(sum + resources[i]);
    }
    put_byte(r, at, (uint8_t)-sum);
}

static void load(struct realtek *r)
{
    uint8_t config1 = get_byte(r, 0);
    r->page3[REALTEK_CONFIG1] = config1;
    r->page3[REALTEK_CONFIG2] = get_byte(r, 1);
    r->page3[REALTEK_CONFIG3] = get_byte(r, 2);
    r->page3[REALTEK_CONFIG4] = get_byte(r, 3) & 1;
    r->pnp.active = !(r->page3[REALTEK_CONFIG3] & CONFIG3_ACTIVEB);
    r->pnp.port = window(config1 & 15);
    r->pnp.irq = irqs[config1 >> 4 & 7];
    for (unsigned i = 0; i < ISA_PNP_DATA_SIZE; i++)
        r->pnp.data[i] = get_byte(r, PNP_BYTE + i);
    realtek_load_address(r, ADDRESS_WORD);
}

/* Page 3 shows what Plug and Play has changed. */
static uint8_t read_page3(struct realtek *r, unsigned number)
{
    if (number == REALTEK_CSNSAV)
        return r->pnp.csn;
    if (number == REALTEK_INTR && r->core.nic.irq_level)
        return (uint8_t)(1u << ((r->page3[REALTEK_CONFIG1] >> 4) & 7));
    return 0;
}

static const struct realtek_chip chip = {
    .id = { 'P', 'p' },
    .tsr_ones = 0x22, /* datasheet, TSR */
    .stored = { [REALTEK_BPAGE] = 0xff, [REALTEK_CONFIG1] = CONFIG1_IRQEN, [REALTEK_CONFIG2] = CONFIG2_STORED,
                [REALTEK_CONFIG3] = CONFIG3_STORED },
    .fill = fill,
    .load = load,
    .read = read_page3,
};

static void init(struct nic *nic)
{
    realtek_init(nic, &chip);
}

/* The new place goes to CONFIG1 and CONFIG3, too (datasheet 6.1). */
static void record_place(struct realtek *r)
{
    uint8_t *config1 = &r->page3[REALTEK_CONFIG1], *config3 = &r->page3[REALTEK_CONFIG3];
    unsigned select = 0, level = 0;
    while (select < 15 && window(select) != r->pnp.port)
        select++;
    while (level < 7 && irqs[level] != r->pnp.irq)
        level++;
    *config1 = (uint8_t)((*config1 & CONFIG1_IRQEN) | level << 4 | select);
    *config3 = (uint8_t)((*config3 & ~CONFIG3_ACTIVEB) | (r->pnp.active ? 0 : CONFIG3_ACTIVEB));
}

static void pnp_write(struct nic *nic, uint16_t port, uint8_t value)
{
    struct realtek *r = (struct realtek *)nic;
    struct isa_pnp before = r->pnp;
    isa_pnp_write(&r->pnp, port, value, !(r->page3[REALTEK_CONFIG3] & CONFIG3_PNP)); /* jumperless: Realtek's key alone */
    if (before.port != r->pnp.port || before.irq != r->pnp.irq || before.active != r->pnp.active)
        record_place(r);
}

static bool pnp_read(struct nic *nic, uint16_t port, uint8_t *value)
{
    return isa_pnp_read(&((struct realtek *)nic)->pnp, port, value);
}

static void pnp_outvoted(struct nic *nic)
{
    isa_pnp_outvoted(&((struct realtek *)nic)->pnp);
}

static void place(const struct nic *nic, struct nic_isa_place *out)
{
    const struct realtek *r = (const struct realtek *)nic;
    uint8_t ignored;
    out->active = r->pnp.active || isa_pnp_range_check(&r->pnp, &ignored);
    out->port = r->pnp.port;
    out->irq = r->page3[REALTEK_CONFIG1] & CONFIG1_IRQEN ? r->pnp.irq : 0;
}

static uint32_t read(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint64_t now)
{
    uint8_t pattern;
    if (isa_pnp_range_check(&((struct realtek *)nic)->pnp, &pattern))
        return pattern * 0x01010101u;
    return realtek_read(nic, bar, offset, size, now);
}

static bool set_place(struct nic *nic, uint16_t port, uint8_t irq)
{
    struct realtek *r = (struct realtek *)nic;
    unsigned select = 0, level = 0;
    while (select < 15 && window(select) != port)
        select++;
    while (level < 7 && irqs[level] != irq)
        level++;
    if (window(select) != port || irqs[level] != irq)
        return false;
    put_byte(r, 0, (uint8_t)(CONFIG1_IRQEN | level << 4 | select));
    return true;
}

static const struct nic_pnp_ops pnp_ops = { pnp_write, pnp_read, pnp_outvoted, place, set_place };

const struct nic_ops rtl8019_ops = {
    .identity = {
        .model = "rtl8019as",
        .bus = NIC_BUS_ISA,
        .bar = { [0] = { NIC_BAR_IO, 0x20 } },
        .isa_port = 0x300,
        .isa_irq = 9,
    },
    .size = sizeof(struct realtek),
    .init = init,
    .reset = realtek_reset,
    .read = read,
    .write = realtek_write,
    .read_block = dp8390_read_block,
    .write_block = dp8390_write_block,
    .receive = dp8390_receive,
    .lost = dp8390_lost,
    .timer = dp8390_timer,
    .set_link = dp8390_set_link,
    .state = realtek_state,
    .restored = dp8390_restored,
    .has_line_rate = true,
    .eeprom = realtek_eeprom,
    .eeprom_address = ADDRESS_WORD,
    .pnp = &pnp_ops,
    .decoder = &nic_trace_dp8390,
};
