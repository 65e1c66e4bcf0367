/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ACPI's fixed hardware, as in a PIIX4: the PM timer, the PM1 event and control
 * registers with the power button, soft-off, the SCI, and a block of general-purpose
 * events of which one is there: PCI's PME#. The tables that tell
 * a kernel of it are in acpi_tables.h. There is no SMI: SCI_EN is always set.
 */
#ifndef X86VM_PC_ACPI_PM_H
#define X86VM_PC_ACPI_PM_H

#include "x86vm/pc/irq_line.h"

#include <stdbool.h>
#include <stdint.h>

struct acpi_pm;

/* Offsets in the block of ports, which the tables repeat. */
enum { ACPI_PM_EVENT = 0x00, ACPI_PM_CONTROL = 0x04, ACPI_PM_TIMER = 0x08, ACPI_PM_GPE = 0x0c,
       ACPI_PM_GPE_SIZE = 4, ACPI_PM_PORTS = 0x10 };
enum { ACPI_PM_GPE_PME = 11 }; /* its bit, as in Intel's ICH */
enum { ACPI_PM_SLEEP_TYPE_OFF = 0, ACPI_PM_SLEEP_TYPE_S1 = 1 }; /* SLP_TYP */
#define ACPI_PM_TIMER_HZ 3579545u

/* `power_off` is called when the guest enters S5. NULL: no memory. */
struct acpi_pm *acpi_pm_new(void (*power_off)(void *opaque), void *opaque);
void acpi_pm_free(struct acpi_pm *pm);
void acpi_pm_reset(struct acpi_pm *pm, const struct irq_line *sci, uint64_t now);

/* `offset` < ACPI_PM_PORTS; 1, 2 or 4 bytes. */
uint32_t acpi_pm_read(struct acpi_pm *pm, unsigned offset, unsigned size, uint64_t now);
void acpi_pm_write(struct acpi_pm *pm, unsigned offset, unsigned size, uint32_t value, uint64_t now);

/* False, and nothing was pressed: the guest has not asked to be told. */
bool acpi_pm_press_power_button(struct acpi_pm *pm);

/* A level: as long as PME# is asserted, its event's status cannot be cleared. */
void acpi_pm_set_pme(struct acpi_pm *pm, bool level);

/* In S1: the CPU stands still, where it is, until a button or PME# wakes the machine. */
bool acpi_pm_is_asleep(const struct acpi_pm *pm);

uint64_t acpi_pm_deadline(const struct acpi_pm *pm); /* UINT64_MAX: none */
void acpi_pm_service(struct acpi_pm *pm, uint64_t now);

#endif
