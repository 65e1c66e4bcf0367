/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The PHY inside the 82540EM (Marvell 88E1011 registers, IEEE 802.3 clause 22)
 * and MDIC, the register through which a driver reaches it. Negotiation takes
 * no time; its result is the best that the driver advertises.
 */
#include "nicemu/e1000.h"

#define PHY_ADDRESS 1u

enum {
    BMCR = 0, BMSR = 1, ID1 = 2, ID2 = 3, ANAR = 4, ANLPAR = 5, ANER = 6, GIGABIT_CONTROL = 9,
    GIGABIT_STATUS = 10, EXTENDED_STATUS = 15, SPECIFIC_CONTROL = 16, SPECIFIC_STATUS = 17,
    INTERRUPT_ENABLE = 18, INTERRUPT_STATUS = 19, EXTENDED_CONTROL = 20,
};
#define BMCR_RESET 0x8000u
#define BMCR_LOOPBACK 0x4000u
#define BMCR_POWER_DOWN 0x0800u
#define BMCR_RESTART 0x0200u
#define BMSR_LINK 0x0004u
#define BMSR_NEGOTIATED 0x0020u
#define BMCR_SPEED_100 0x2000u /* not together with the next */
#define BMCR_SPEED_1000 0x0040u
#define BMCR_NEGOTIATE 0x1000u
#define BMCR_FULL 0x0100u
#define SPEED_MASK 0xc000u /* SPECIFIC_STATUS */
#define SPEED_1000 0x8000u
#define SPEED_100 0x4000u
#define SPEED_10 0x0000u
#define FULL_DUPLEX 0x2000u
#define RESOLVED 0x0800u
#define LINK 0x0400u
#define PAUSE_BOTH 0x000cu
#define INTERRUPT_SPEED 0x4000u
#define INTERRUPT_DUPLEX 0x2000u
#define INTERRUPT_LINK 0x0400u
#define INTERRUPT_NEGOTIATED 0x0800u

#define MDIC_ADDRESS_SHIFT 21
#define MDIC_READ 0x08000000u
#define MDIC_WRITE 0x04000000u
#define MDIC_READY 0x10000000u
#define MDIC_INTERRUPT 0x20000000u
#define MDIC_ERROR 0x40000000u

static const struct { uint16_t reset, stored; } phy_registers[32] = {
    [BMCR] = { 0x1140, 0x7dc0 },
    [BMSR] = { 0x7949, 0 },
    [ID1] = { 0x0141, 0 },
    [ID2] = { 0x0c20, 0 },
    [ANAR] = { 0x0de1, 0xffff },
    [ANLPAR] = { 0x0000, 0 },
    [ANER] = { 0x0004, 0 },
    [7] = { 0x2001, 0xffff },
    [GIGABIT_CONTROL] = { 0x0e00, 0xff00 },
    [GIGABIT_STATUS] = { 0x0000, 0 },
    [EXTENDED_STATUS] = { 0x3000, 0 },
    [SPECIFIC_CONTROL] = { 0x0360, 0xffff },
    [SPECIFIC_STATUS] = { 0x0000, 0 },
    [INTERRUPT_ENABLE] = { 0x0000, 0xffff },
    [EXTENDED_CONTROL] = { 0x0d60, 0xffff },
    [24] = { 0x4100, 0xffff },
    [29] = { 0x0000, 0xffff },
    [30] = { 0x0000, 0xffff },
};

bool e1000_phy_loopback(const struct e1000 *e)
{
    return e->phy.reg[BMCR] & BMCR_LOOPBACK;
}

/* The link as the MAC sees it: a PHY in loopback says that it is up. */
bool e1000_phy_link(const struct e1000 *e)
{
    if (e->phy.reg[BMCR] & BMCR_POWER_DOWN)
        return false;
    return (e->phy.reg[SPECIFIC_STATUS] & LINK) || e1000_phy_loopback(e);
}

/* What both ends can do, best first: bits of ANAR or GIGABIT_CONTROL, and what
 * they make of SPECIFIC_STATUS. The peer is a gigabit switch that can do all. */
static const struct { uint8_t reg; uint16_t advertised, result; } abilities[] = {
    { GIGABIT_CONTROL, 0x0200, SPEED_1000 | FULL_DUPLEX }, { GIGABIT_CONTROL, 0x0100, SPEED_1000 },
    { ANAR, 0x0100, SPEED_100 | FULL_DUPLEX }, { ANAR, 0x0080, SPEED_100 },
    { ANAR, 0x0040, SPEED_10 | FULL_DUPLEX }, { ANAR, 0x0020, SPEED_10 },
};
#define NO_ABILITY 0xffffu

static uint16_t resolve(const uint16_t *reg)
{
    if (!(reg[BMCR] & BMCR_NEGOTIATE)) {
        uint16_t speed = reg[BMCR] & BMCR_SPEED_1000 ? SPEED_1000 : reg[BMCR] & BMCR_SPEED_100 ? SPEED_100 : SPEED_10;
        return speed | (reg[BMCR] & BMCR_FULL ? FULL_DUPLEX : 0);
    }
    for (size_t i = 0; i < sizeof abilities / sizeof *abilities; i++)
        if (reg[abilities[i].reg] & abilities[i].advertised)
            return abilities[i].result;
    return NO_ABILITY;
}

uint32_t e1000_phy_status(const struct e1000 *e)
{
    uint16_t result = e->phy.reg[SPECIFIC_STATUS];
    if (!(result & LINK)) { /* loopback, or nothing to go by */
        result = resolve(e->phy.reg);
        if (result == NO_ABILITY)
            result = SPEED_1000 | FULL_DUPLEX;
    }
    return (result & FULL_DUPLEX ? STATUS_FD : 0) | (uint32_t)(result >> 14) << 6;
}

/* The PHY's interrupt line, which CTRL_EXT shows and, where it enables it, ICR tells of. */
bool e1000_phy_interrupts(const struct e1000 *e)
{
    return e->phy.reg[INTERRUPT_STATUS] & e->phy.reg[INTERRUPT_ENABLE];
}

static void interrupt_since(struct e1000 *e, bool before)
{
    if (!before && e1000_phy_interrupts(e) && (REG(e, CTRL_EXT) & CTRL_EXT_PHYINT_EN))
        e1000_irq_raise(e, ICR_PHYINT);
}

/* Recomputes the status registers after the cable or BMCR has changed, and after
 * a new negotiation: what is advertised counts only then. */
void e1000_phy_update(struct e1000 *e)
{
    uint16_t *reg = e->phy.reg, result = resolve(reg);
    bool up = e->phy.cable && !(reg[BMCR] & BMCR_POWER_DOWN) && result != NO_ABILITY;
    bool negotiates = reg[BMCR] & BMCR_NEGOTIATE;
    bool was_up = reg[SPECIFIC_STATUS] & LINK;
    uint16_t before = reg[SPECIFIC_STATUS];
    bool interrupted = e1000_phy_interrupts(e);

    reg[ANLPAR] = reg[GIGABIT_STATUS] = reg[SPECIFIC_STATUS] = 0;
    reg[ANER] = 0x0004;
    reg[BMSR] &= (uint16_t)~BMSR_NEGOTIATED;
    if (up) {
        reg[SPECIFIC_STATUS] = result | RESOLVED | LINK;
        if (negotiates) {
            reg[BMSR] |= BMSR_NEGOTIATED;
            reg[ANLPAR] = 0x45e1; /* acknowledged, PAUSE, 10 and 100 in both duplexes */
            reg[ANER] = 0x0007;
            reg[GIGABIT_STATUS] = 0x7c00;
            if (reg[ANAR] & 0x0400)
                reg[SPECIFIC_STATUS] |= PAUSE_BOTH;
        }
    } else {
        reg[BMSR] &= (uint16_t)~BMSR_LINK; /* latched low until it is read */
    }
    if (up != was_up)
        reg[INTERRUPT_STATUS] |= INTERRUPT_LINK | (up && negotiates ? INTERRUPT_NEGOTIATED : 0);
    if ((before ^ reg[SPECIFIC_STATUS]) & SPEED_MASK)
        reg[INTERRUPT_STATUS] |= INTERRUPT_SPEED;
    if ((before ^ reg[SPECIFIC_STATUS]) & FULL_DUPLEX)
        reg[INTERRUPT_STATUS] |= INTERRUPT_DUPLEX;
    interrupt_since(e, interrupted);
}

void e1000_phy_reset(struct e1000 *e)
{
    for (unsigned i = 0; i < 32; i++)
        e->phy.reg[i] = phy_registers[i].reset;
    if (e->phy.cable)
        e->phy.reg[BMSR] |= BMSR_LINK;
    e1000_phy_update(e);
    e->phy.reg[INTERRUPT_STATUS] = 0;
}

static uint16_t phy_read(struct e1000 *e, unsigned number)
{
    uint16_t value = e->phy.reg[number];
    if (number == BMSR && (e->phy.reg[SPECIFIC_STATUS] & LINK))
        e->phy.reg[BMSR] |= BMSR_LINK;
    if (number == INTERRUPT_STATUS)
        e->phy.reg[number] = 0;
    return value;
}

static void phy_write(struct e1000 *e, unsigned number, uint16_t value)
{
    uint16_t stored = phy_registers[number].stored;
    bool interrupted = e1000_phy_interrupts(e);
    if (number == BMCR && (value & BMCR_RESET)) {
        /* A software reset restarts negotiation; the driver's choices stay. */
        value &= (uint16_t)~BMCR_RESET;
    }
    e->phy.reg[number] = (uint16_t)((e->phy.reg[number] & ~stored) | (value & stored));
    if (number == INTERRUPT_ENABLE)
        interrupt_since(e, interrupted);
    if (number != BMCR)
        return;
    if (value & BMCR_RESTART) {
        e->phy.reg[INTERRUPT_STATUS] |= INTERRUPT_NEGOTIATED;
        interrupt_since(e, interrupted);
        e1000_irq_raise(e, ICR_LSC);
    }
    e->phy.reg[BMCR] &= (uint16_t)~BMCR_RESTART;
    e1000_phy_update(e);
    e1000_update_link(e);
}

void e1000_write_mdic(struct e1000 *e, uint32_t index, uint32_t value)
{
    unsigned number = value >> 16 & 31, address = value >> MDIC_ADDRESS_SHIFT & 31;
    uint32_t result = (value & 0x2fffffff) | MDIC_READY;

    if (address != PHY_ADDRESS) {
        result |= MDIC_ERROR;
        if (value & MDIC_READ)
            result |= 0xffff;
    } else if (value & MDIC_READ) {
        result = (result & ~0xffffu) | phy_read(e, number);
    } else if (value & MDIC_WRITE) {
        phy_write(e, number, (uint16_t)value);
    }
    e->reg[index] = result;
    if (value & MDIC_INTERRUPT)
        e1000_irq_raise(e, ICR_MDAC);
}

void e1000_phy_state(struct e1000 *e, struct nic_state *s)
{
    nic_state_bool(s, &e->phy.cable);
    for (unsigned i = 0; i < 32; i++)
        nic_state_u16(s, &e->phy.reg[i], 0xffff);
    for (unsigned i = ID1; i <= ID2; i++)
        nic_state_check(s, e->phy.reg[i] == phy_registers[i].reset);
}
