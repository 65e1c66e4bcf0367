/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ACPI's place in the machine: ports, interrupt line, and the tables put where
 * kernels look for them. The hardware is in acpi_pm.c, the tables in acpi_tables.c.
 */
#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/phys.h"
#include "x86vm/pc/acpi_tables.h"
#include "x86vm/pc/boot_cpu.h"
#include "x86vm/pc/pc_internal.h"

enum { PM_PORT = 0x600, SCI_IRQ = 9 };

_Static_assert(ACPI_TABLES_FACS >= BOOT_LOW_END && ACPI_TABLES_FACS + ACPI_TABLES_FACS_SIZE <= 0xa0000,
               "memory maps must not give the FACS away");

static uint32_t pm_read(void *device, uint32_t offset, unsigned size)
{
    struct pc *pc = device;

    return acpi_pm_read(pc->pm, offset, size, pc_now(pc));
}

static void pm_write(void *device, uint32_t offset, unsigned size, uint32_t value)
{
    struct pc *pc = device;

    acpi_pm_write(pc->pm, offset, size, value, pc_now(pc));
    if (acpi_pm_is_asleep(pc->pm))
        pc->config.attention(pc->config.opaque);
    pc_deadline_moved(pc, acpi_pm_deadline(pc->pm));
}

bool pc_acpi_map_ports(struct pc *pc)
{
    static const struct io_ops ops = { .read = pm_read, .write = pm_write };

    return io_bus_map_ports(pc->config.io, PM_PORT, ACPI_PM_PORTS, &ops, pc) == 0;
}

/* An ISA card cannot share its input; a PCI input takes the SCI as well. */
static uint8_t choose_sci(const struct pc *pc, const uint8_t pirq_irq[PCI_PIRQS])
{
    for (unsigned i = 0; i < pc->nic_count; i++)
        if (pc_nic_isa_irq(pc->nic[i]) == SCI_IRQ)
            return pirq_irq[1];
    return SCI_IRQ;
}

bool pc_acpi_power_on(struct pc *pc, const struct irq_line *to_pic, const uint8_t pirq_irq[PCI_PIRQS])
{
    struct acpi_tables_config config = { .pm_port = PM_PORT, .sci_irq = choose_sci(pc, pirq_irq) };
    struct irq_line sci = *to_pic;
    uint8_t rom[ACPI_TABLES_ROM_MAX], facs[ACPI_TABLES_FACS_SIZE];
    size_t size;
    bool ok;

    for (unsigned i = 0; i < PCI_PIRQS; i++)
        config.pirq_irq[i] = pirq_irq[i];
    sci.number = config.sci_irq;
    acpi_pm_reset(pc->pm, &sci, pc_now(pc));
    size = acpi_tables_build(&config, rom, facs);
    phys_set_readonly(pc->config.phys, ACPI_TABLES_ROM, sizeof rom, false);
    ok = size && phys_dma_write(pc->config.phys, ACPI_TABLES_ROM, rom, sizeof rom) &&
         phys_dma_write(pc->config.phys, ACPI_TABLES_FACS, facs, sizeof facs);
    phys_set_readonly(pc->config.phys, ACPI_TABLES_ROM, sizeof rom, true);
    return ok;
}

bool pc_press_power_button(struct pc *pc)
{
    return acpi_pm_press_power_button(pc->pm);
}

bool pc_is_asleep(const struct pc *pc)
{
    return acpi_pm_is_asleep(pc->pm);
}
