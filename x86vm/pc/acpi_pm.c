/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ACPI fixed hardware: see acpi_pm.h; registers by the ACPI specification 1.0,
 * 4.7, and the PIIX4 data sheet. The PM timer has 24 bits; its status bit is
 * set when the highest of them changes, which we notice when somebody looks.
 */
#include "x86vm/pc/acpi_pm.h"

#include <stdlib.h>

#define NS_PER_S 1000000000u
#define TIMER_MASK 0xffffffu
#define HALF_SHIFT 23 /* the timer's highest bit */

enum { STATUS = 0, ENABLE = 2, CONTROL = ACPI_PM_CONTROL, GPE_STATUS = ACPI_PM_GPE, GPE_ENABLE = ACPI_PM_GPE + 2 };
enum { GPE_PME = 1 << ACPI_PM_GPE_PME };
enum { TIMER_EVENT = 0x0001, GLOBAL_EVENT = 0x0020, POWER_BUTTON = 0x0100, SLEEP_BUTTON = 0x0200, RTC_EVENT = 0x0400,
       EVENTS = TIMER_EVENT | GLOBAL_EVENT | POWER_BUTTON | SLEEP_BUTTON | RTC_EVENT, WAKE = 0x8000,
       CLEARABLE = EVENTS | WAKE | 0x10, WAKING = POWER_BUTTON | SLEEP_BUTTON | RTC_EVENT };
enum { SCI_EN = 0x0001, SLEEP_TYPE_SHIFT = 10, SLEEP_TYPE = 0x1c00, SLEEP_EN = 0x2000,
       CONTROL_WRITABLE = 0x0002 | SLEEP_TYPE };

struct acpi_pm {
    struct irq_line sci;
    void (*power_off)(void *opaque);
    void *opaque;
    uint16_t status, enable, control;
    uint16_t gpe_status, gpe_enable;
    bool pme;
    bool asleep;     /* S1 */
    uint64_t started;
    uint64_t half;   /* how many times the highest bit had changed when last looked at */
};

/* --- time --- */

static uint64_t ticks(const struct acpi_pm *pm, uint64_t now)
{
    return (uint64_t)((unsigned __int128)(now - pm->started) * ACPI_PM_TIMER_HZ / NS_PER_S);
}

static uint64_t time_of_tick(const struct acpi_pm *pm, uint64_t tick)
{
    return pm->started + (uint64_t)(((unsigned __int128)tick * NS_PER_S + ACPI_PM_TIMER_HZ - 1) / ACPI_PM_TIMER_HZ);
}

/* What the SCI would tell of, the timer aside, ends S1. */
static void check_wake(struct acpi_pm *pm)
{
    if (!pm->asleep || !((pm->status & pm->enable & WAKING) || (pm->gpe_status & pm->gpe_enable)))
        return;
    pm->asleep = false;
    pm->status |= WAKE;
}

static void update_sci(struct acpi_pm *pm)
{
    check_wake(pm);
    irq_line_set(&pm->sci, (pm->status & pm->enable & EVENTS) || (pm->gpe_status & pm->gpe_enable));
}

void acpi_pm_service(struct acpi_pm *pm, uint64_t now)
{
    uint64_t half = ticks(pm, now) >> HALF_SHIFT;

    if (half == pm->half)
        return;
    pm->half = half;
    pm->status |= TIMER_EVENT;
    update_sci(pm);
}

uint64_t acpi_pm_deadline(const struct acpi_pm *pm)
{
    if (!(pm->enable & TIMER_EVENT))
        return UINT64_MAX;
    return time_of_tick(pm, (pm->half + 1) << HALF_SHIFT);
}

/* --- registers --- */

static uint32_t read_doubleword(const struct acpi_pm *pm, unsigned offset, uint64_t now)
{
    switch (offset) {
    case ACPI_PM_EVENT:
        return pm->status | (uint32_t)pm->enable << 16;
    case ACPI_PM_CONTROL:
        return pm->control | SCI_EN;
    case ACPI_PM_TIMER:
        return ticks(pm, now) & TIMER_MASK;
    case ACPI_PM_GPE:
        return pm->gpe_status | (uint32_t)pm->gpe_enable << 16;
    default:
        return 0;
    }
}

uint32_t acpi_pm_read(struct acpi_pm *pm, unsigned offset, unsigned size, uint64_t now)
{
    unsigned at = offset & ~3u;
    uint64_t both;

    acpi_pm_service(pm, now);
    both = read_doubleword(pm, at, now) | (uint64_t)read_doubleword(pm, at + 4, now) << 32;
    both >>= 8 * (offset & 3);
    return (uint32_t)both & (size >= 4 ? 0xffffffff : (1u << 8 * size) - 1);
}

static void write_control(struct acpi_pm *pm, uint16_t value)
{
    pm->control = value & CONTROL_WRITABLE;
    if (!(value & SLEEP_EN))
        return;
    if ((value & SLEEP_TYPE) >> SLEEP_TYPE_SHIFT == ACPI_PM_SLEEP_TYPE_OFF)
        pm->power_off(pm->opaque);
    else if ((value & SLEEP_TYPE) >> SLEEP_TYPE_SHIFT == ACPI_PM_SLEEP_TYPE_S1)
        pm->asleep = true;
}

static void write_byte(struct acpi_pm *pm, unsigned offset, uint8_t value)
{
    unsigned shift = 8 * (offset & 1);
    uint16_t bits = (uint16_t)(value << shift), others = (uint16_t)(0xff00 >> shift);

    switch (offset & ~1u) {
    case STATUS:
        pm->status &= (uint16_t)~(bits & CLEARABLE);
        break;
    case ENABLE:
        pm->enable = ((pm->enable & others) | bits) & EVENTS;
        break;
    case CONTROL:
        write_control(pm, (pm->control & others) | bits);
        break;
    case GPE_STATUS:
        pm->gpe_status &= (uint16_t)~bits;
        pm->gpe_status |= pm->pme ? GPE_PME : 0;
        break;
    case GPE_ENABLE:
        pm->gpe_enable = ((pm->gpe_enable & others) | bits) & GPE_PME;
        break;
    default: /* the timer is read-only */
        break;
    }
}

void acpi_pm_write(struct acpi_pm *pm, unsigned offset, unsigned size, uint32_t value, uint64_t now)
{
    acpi_pm_service(pm, now);
    for (unsigned i = 0; i < size; i++)
        write_byte(pm, offset + i, (uint8_t)(value >> 8 * i));
    update_sci(pm);
}

bool acpi_pm_press_power_button(struct acpi_pm *pm)
{
    if (!(pm->enable & POWER_BUTTON))
        return false;
    pm->status |= POWER_BUTTON;
    update_sci(pm);
    return true;
}

void acpi_pm_set_pme(struct acpi_pm *pm, bool level)
{
    pm->pme = level;
    if (level)
        pm->gpe_status |= GPE_PME;
    update_sci(pm);
}

bool acpi_pm_is_asleep(const struct acpi_pm *pm)
{
    return pm->asleep;
}

/* --- creation --- */

void acpi_pm_reset(struct acpi_pm *pm, const struct irq_line *sci, uint64_t now)
{
    pm->sci = *sci;
    pm->status = pm->enable = pm->control = 0;
    pm->gpe_status = pm->gpe_enable = 0;
    pm->pme = pm->asleep = false;
    pm->started = now;
    pm->half = 0;
    update_sci(pm);
}

struct acpi_pm *acpi_pm_new(void (*power_off)(void *opaque), void *opaque)
{
    struct acpi_pm *pm = calloc(1, sizeof *pm);

    if (!pm)
        return NULL;
    pm->power_off = power_off;
    pm->opaque = opaque;
    return pm;
}

void acpi_pm_free(struct acpi_pm *pm)
{
    free(pm);
}
