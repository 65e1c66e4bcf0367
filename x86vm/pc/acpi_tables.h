/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The ACPI tables of this machine, where a BIOS would leave them: RSDP, RSDT,
 * FADT and DSDT in the ROM area, the FACS (which the kernel writes) in the
 * extended BIOS data area. They describe the fixed hardware of acpi_pm.h, the
 * devices on the board, and where the PCI slots' interrupts arrive.
 */
#ifndef X86VM_PC_ACPI_TABLES_H
#define X86VM_PC_ACPI_TABLES_H

#include "x86vm/pc/pci.h"

#include <stddef.h>
#include <stdint.h>

#define ACPI_TABLES_ROM 0xf0000u  /* the RSDP; the others follow */
#define ACPI_TABLES_FACS 0x9ff00u /* reserved for the kernel by the memory map: see boot_cpu.h */
enum { ACPI_TABLES_ROM_MAX = 4096, ACPI_TABLES_FACS_SIZE = 64 };

struct acpi_tables_config {
    uint16_t pm_port;                 /* of the ACPI_PM_PORTS */
    uint8_t sci_irq;                  /* 8259 input */
    uint8_t pirq_irq[PCI_PIRQS];      /* 8259 input of each PIRQ */
};

/* Fills both areas; returns the size used in `rom`, or 0: it does not fit. */
size_t acpi_tables_build(const struct acpi_tables_config *config, uint8_t rom[ACPI_TABLES_ROM_MAX],
                         uint8_t facs[ACPI_TABLES_FACS_SIZE]);

#endif
