/* SPDX-License-Identifier: BSD-2-Clause
 *
 * e1000's power states and PME# (chapter 6): the PCI power management registers,
 * which exist whole where the EEPROM says so, and the bits of WUC that mirror
 * them. In D3 the wake-up filters go on and nothing else does. There is no
 * auxiliary power: D3cold is not offered, and a PCI reset clears the PME bits.
 */
#include "nicemu/e1000.h"

#define WORD_CONTROL_1 0x0a /* EEPROM */
#define CONTROL_1_POWER_MANAGEMENT 0x0008u
#define WORD_CONTROL_2 0x0f
#define CONTROL_2_APM_PME 0x8000u
#define WORD_POWER 0x22 /* of D0 and D3, in 0.1 W */
#define WORD_CONTROL_3 0x24
#define CONTROL_3_APM 0x0400u

/* Offsets from the capability's beginning (6.3.3). */
enum { PMC = 2, PMCSR = 4, DATA = 7 };
#define PMC_ALWAYS 0x0022u   /* version 1.1, to be initialized by its driver */
#define PMC_PME_D0_D3 0x4800u
#define STATE_D0 0u
#define STATE_D3 3u
#define PMCSR_PME_EN 0x0100u
#define PMCSR_SELECT_SHIFT 9
#define PMCSR_SCALE_TENTHS 0x2000u
#define PMCSR_PME_STATUS 0x8000u

static struct e1000 *from_nic(struct nic *nic)
{
    return (struct e1000 *)nic;
}

/* The line's level, for the host; the same again is harmless. */
void e1000_pme_tell(struct e1000 *e)
{
    uint32_t wuc = REG(e, WUC);
    bool by_apm = (wuc & WUC_APME) && (wuc & WUC_APMPME);
    if (e->nic.host.set_pme)
        e->nic.host.set_pme(e->nic.host.opaque, (wuc & WUC_PME_STATUS) && ((wuc & WUC_PME_EN) || by_apm));
}

/* What the EEPROM says of APM wake-up; its reload takes back what a driver has said. */
void e1000_power_load(struct e1000 *e)
{
    const uint16_t *words = e->eeprom.words;
    REG(e, WUC) &= WUC_PME_EN | WUC_PME_STATUS;
    if (!e->power.asleep) /* who is asleep can be woken */
        e->power.managed = words[WORD_CONTROL_1] & CONTROL_1_POWER_MANAGEMENT;
    if (words[WORD_CONTROL_3] & CONTROL_3_APM)
        REG(e, WUC) |= WUC_APME;
    if (words[WORD_CONTROL_2] & CONTROL_2_APM_PME)
        REG(e, WUC) |= WUC_APMPME;
    if (!e->power.managed) {
        REG(e, WUC) &= ~WUC_PME_EN;
        e->power.data_select = 0;
    }
    e1000_pme_tell(e);
}

/* RST#, before the rest is reset. */
void e1000_power_reset(struct e1000 *e)
{
    e->power.asleep = false;
    e->power.data_select = 0;
    REG(e, WUC) = 0;
}

static void set_asleep(struct e1000 *e, bool asleep)
{
    if (asleep == e->power.asleep)
        return;
    e->power.asleep = asleep;
    if (asleep)
        e1000_rx_ring_moved(e); /* the machine's queue does not wait for a driver that sleeps */
    else
        e1000_wake_up(e);
}

/* --- registers ------------------------------------------------------------ */

static bool has_data(const struct e1000 *e)
{
    return e->power.managed && e->power.data_select < 8 && e->power.data_select % 4 % 3 == 0;
}

static uint16_t read_pmcsr(const struct e1000 *e)
{
    uint32_t value = e->power.asleep ? STATE_D3 : STATE_D0;
    value |= REG(e, WUC) & WUC_PME_EN ? PMCSR_PME_EN : 0;
    value |= REG(e, WUC) & WUC_PME_STATUS ? PMCSR_PME_STATUS : 0;
    value |= (uint32_t)e->power.data_select << PMCSR_SELECT_SHIFT;
    return (uint16_t)(value | (has_data(e) ? PMCSR_SCALE_TENTHS : 0));
}

/* Data_Select 0 and 4: the power of D0; 3 and 7: of D3. */
static uint8_t read_data(const struct e1000 *e)
{
    uint16_t power = e->eeprom.words[WORD_POWER];
    if (!has_data(e))
        return 0;
    return (uint8_t)(e->power.data_select % 4 ? power : power >> 8);
}

static uint8_t power_read(const struct nic *nic, unsigned offset)
{
    const struct e1000 *e = (const struct e1000 *)nic;
    uint16_t pmc = PMC_ALWAYS | (e->power.managed ? PMC_PME_D0_D3 : 0);
    switch (offset & ~1u) {
    case PMC:
        return (uint8_t)(pmc >> 8 * (offset & 1));
    case PMCSR:
        return (uint8_t)(read_pmcsr(e) >> 8 * (offset & 1));
    default:
        return offset == DATA ? read_data(e) : 0;
    }
}

static void write_upper(struct e1000 *e, uint32_t value)
{
    uint32_t wuc = REG(e, WUC);
    wuc = value & PMCSR_PME_EN ? wuc | WUC_PME_EN : wuc & ~WUC_PME_EN;
    if (value & PMCSR_PME_STATUS)
        wuc &= ~WUC_PME_STATUS;
    REG(e, WUC) = wuc;
    e->power.data_select = (uint8_t)(value >> PMCSR_SELECT_SHIFT & 15);
    e1000_pme_tell(e);
}

/* A state that there is not changes nothing. */
static void power_write(struct nic *nic, unsigned offset, uint8_t value, uint64_t now)
{
    struct e1000 *e = from_nic(nic);
    unsigned power_state = value & 3;
    e->now = now;
    if (!e->power.managed)
        return;
    if (offset != PMCSR)
        write_upper(e, (uint32_t)value << 8);
    else if (power_state == STATE_D0 || power_state == STATE_D3)
        set_asleep(e, power_state == STATE_D3);
}

static bool power_is_asleep(const struct nic *nic)
{
    return ((const struct e1000 *)nic)->power.asleep;
}

const struct nic_power_ops e1000_power_ops = { power_read, power_write, power_is_asleep };

/* --- state ---------------------------------------------------------------- */

void e1000_power_state(struct e1000 *e, struct nic_state *s)
{
    nic_state_bool(s, &e->power.managed);
    nic_state_bool(s, &e->power.asleep);
    nic_state_u8(s, &e->power.data_select, 15);
    nic_state_check(s, e->power.managed || (!e->power.asleep && !e->power.data_select && !(REG(e, WUC) & WUC_PME_EN)));
}
