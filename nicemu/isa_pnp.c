/* SPDX-License-Identifier: BSD-2-Clause
 *
 * See isa_pnp.h. Section numbers are those of the Plug and Play ISA
 * specification 1.0a.
 */
#include "nicemu/isa_pnp.h"

enum { WAIT_FOR_KEY, SLEEP, ISOLATION, CONFIG };
enum {
    SET_READ_PORT = 0x00, SERIAL_ISOLATION = 0x01, CONFIG_CONTROL = 0x02, WAKE = 0x03, RESOURCE_DATA = 0x04,
    STATUS = 0x05, CARD_SELECT = 0x06, LOGICAL_DEVICE = 0x07, ACTIVATE = 0x30, RANGE_CHECK = 0x31, IO_HIGH = 0x60,
    IO_LOW = 0x61, IRQ_LEVEL = 0x70, IRQ_TYPE = 0x71, DMA_0 = 0x74, DMA_1 = 0x75,
};
#define KEY_SIZE 32u
#define LFSR_START 0x6au
#define OWN_START 0xdau /* Realtek's initiation key (RTL8019AS 6.2.1): from here, with the bit fed back inverted */
#define IDENTIFIER_SIZE 9u
#define ISOLATION_READS (2u * 8u * IDENTIFIER_SIZE)
#define EDGE_HIGH 0x02u
#define NO_DMA 0x04u

static uint8_t shift(uint8_t lfsr, unsigned data)
{
    unsigned bit = (lfsr ^ lfsr >> 1 ^ data) & 1;
    return (uint8_t)(lfsr >> 1 | bit << 7);
}

/* The n-th byte of an initiation key: (appendix B) LFSR_START and 0, or OWN_START and 1. */
static uint8_t key_byte(uint8_t start, unsigned inverted, unsigned position)
{
    uint8_t lfsr = start;
    while (position--)
        lfsr = shift(lfsr, inverted);
    return lfsr;
}

uint8_t isa_pnp_checksum(const uint8_t identifier[8])
{
    uint8_t lfsr = LFSR_START;
    for (unsigned bit = 0; bit < 64; bit++)
        lfsr = shift(lfsr, identifier[bit / 8] >> bit % 8 & 1);
    return lfsr;
}

void isa_pnp_reset(struct isa_pnp *pnp)
{
    pnp->state = WAIT_FOR_KEY;
    pnp->key_position = pnp->own_position = pnp->address = pnp->csn = pnp->device = 0;
    pnp->read_port = 0;
    pnp->position = pnp->pair = 0;
    pnp->range_check = 0;
}

/* Two zeros before a key only make sure that it starts anew. */
static bool key_complete(uint8_t *position, uint8_t value, uint8_t start, unsigned inverted)
{
    if (value == key_byte(start, inverted, *position))
        ++*position;
    else
        *position = value == start;
    return *position == KEY_SIZE;
}

static void take_key(struct isa_pnp *pnp, uint8_t value, bool own_key_only)
{
    bool standard = key_complete(&pnp->key_position, value, LFSR_START, 0);
    bool own = key_complete(&pnp->own_position, value, OWN_START, 1);
    if (!standard && !own)
        return;
    pnp->key_position = pnp->own_position = 0;
    if (own || !own_key_only)
        pnp->state = SLEEP;
}

static void wake(struct isa_pnp *pnp, uint8_t csn)
{
    pnp->position = pnp->pair = 0;
    pnp->state = csn != pnp->csn ? SLEEP : csn == 0 ? ISOLATION : CONFIG;
}

static void control(struct isa_pnp *pnp, uint8_t value)
{
    if (value & 4)
        pnp->csn = 0;
    if (value & 2)
        pnp->state = WAIT_FOR_KEY;
    if (value & 1) {
        pnp->range_check = 0;
        pnp->active = false;
    }
}

static void configure(struct isa_pnp *pnp, uint8_t value)
{
    if (pnp->device != 0 && pnp->address >= ACTIVATE)
        return;
    switch (pnp->address) {
    case CARD_SELECT:
        pnp->csn = value;
        break;
    case LOGICAL_DEVICE:
        pnp->device = value;
        break;
    case ACTIVATE:
        pnp->active = value & 1;
        break;
    case RANGE_CHECK:
        pnp->range_check = value & 3;
        break;
    case IO_HIGH:
        pnp->port = (uint16_t)((pnp->port & 0xff) | (value & 3) << 8); /* ten bits are decoded */
        break;
    case IO_LOW:
        pnp->port = (uint16_t)((pnp->port & 0x300) | (value & 0xe0));
        break;
    case IRQ_LEVEL:
        pnp->irq = value & 15;
        break;
    }
}

static void write_data(struct isa_pnp *pnp, uint8_t value)
{
    if (pnp->address == CONFIG_CONTROL) {
        control(pnp, value);
    } else if (pnp->address == WAKE) {
        wake(pnp, value);
    } else if (pnp->state == ISOLATION && pnp->address == SET_READ_PORT) {
        pnp->read_port = (uint16_t)(value << 2 | 3);
    } else if (pnp->state == ISOLATION && pnp->address == CARD_SELECT) {
        pnp->csn = value;
        pnp->state = CONFIG;
    } else if (pnp->state == CONFIG) {
        configure(pnp, value);
    }
}

void isa_pnp_write(struct isa_pnp *pnp, uint16_t port, uint8_t value, bool own_key_only)
{
    if (port == ISA_PNP_ADDRESS && pnp->state == WAIT_FOR_KEY)
        take_key(pnp, value, own_key_only);
    else if (port == ISA_PNP_ADDRESS)
        pnp->address = value;
    else if (port == ISA_PNP_WRITE_DATA && pnp->state != WAIT_FOR_KEY)
        write_data(pnp, value);
}

/* Two reads a bit: 55 and AA for a one, nothing for a zero. */
static bool isolate(struct isa_pnp *pnp, uint8_t *value)
{
    if (pnp->pair >= ISOLATION_READS)
        return false;
    unsigned bit = pnp->pair / 2;
    bool one = pnp->data[bit / 8] >> bit % 8 & 1;
    *value = pnp->pair & 1 ? 0xaa : 0x55;
    if (++pnp->pair == ISOLATION_READS)
        pnp->position = IDENTIFIER_SIZE;
    return one;
}

static uint8_t resource(struct isa_pnp *pnp)
{
    return pnp->position < ISA_PNP_DATA_SIZE ? pnp->data[pnp->position++] : 0xff;
}

static uint8_t read_config(struct isa_pnp *pnp)
{
    if (pnp->device != 0 && pnp->address >= ACTIVATE)
        return 0;
    switch (pnp->address) {
    case RESOURCE_DATA:
        return resource(pnp);
    case STATUS:
        return 1; /* a byte of resource data is ready */
    case CARD_SELECT:
        return pnp->csn;
    case LOGICAL_DEVICE:
        return pnp->device;
    case ACTIVATE:
        return pnp->active;
    case RANGE_CHECK:
        return pnp->range_check;
    case IO_HIGH:
        return (uint8_t)(pnp->port >> 8);
    case IO_LOW:
        return (uint8_t)pnp->port;
    case IRQ_LEVEL:
        return pnp->irq;
    case IRQ_TYPE:
        return EDGE_HIGH;
    case DMA_0:
    case DMA_1:
        return NO_DMA;
    default:
        return 0;
    }
}

bool isa_pnp_read(struct isa_pnp *pnp, uint16_t port, uint8_t *value)
{
    if (pnp->read_port == 0 || port != pnp->read_port)
        return false;
    if (pnp->state == ISOLATION && pnp->address == SERIAL_ISOLATION)
        return isolate(pnp, value);
    if (pnp->state != CONFIG)
        return false;
    *value = read_config(pnp);
    return true;
}

void isa_pnp_outvoted(struct isa_pnp *pnp)
{
    if (pnp->state == ISOLATION)
        pnp->state = SLEEP;
}

bool isa_pnp_range_check(const struct isa_pnp *pnp, uint8_t *value)
{
    *value = pnp->range_check & 1 ? 0x55 : 0xaa;
    return (pnp->range_check & 2) && !pnp->active;
}

void isa_pnp_state(struct isa_pnp *pnp, struct nic_state *s)
{
    nic_state_bytes(s, pnp->data, sizeof pnp->data);
    nic_state_u8(s, &pnp->state, 3);
    nic_state_u8(s, &pnp->key_position, 0xff);
    nic_state_check(s, pnp->key_position < KEY_SIZE);
    nic_state_u8(s, &pnp->own_position, 0xff);
    nic_state_check(s, pnp->own_position < KEY_SIZE);
    nic_state_u8(s, &pnp->address, 0xff);
    nic_state_u8(s, &pnp->csn, 0xff);
    nic_state_u8(s, &pnp->device, 0xff);
    nic_state_u16(s, &pnp->read_port, 0x3ff);
    nic_state_u8(s, &pnp->position, 0xff);
    nic_state_check(s, pnp->position <= ISA_PNP_DATA_SIZE);
    nic_state_u8(s, &pnp->pair, 0xff);
    nic_state_check(s, pnp->pair <= ISOLATION_READS);
    nic_state_bool(s, &pnp->active);
    nic_state_u8(s, &pnp->range_check, 3);
    nic_state_u16(s, &pnp->port, 0x3e0);
    nic_state_u8(s, &pnp->irq, 15);
}
