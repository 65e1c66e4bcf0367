/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Adds a NIC to the machine: makes the model and finds its place, a slot on PCI, ports
 * and an interrupt on ISA. What it does there is pc_nic.c's.
 */
#include "x86vm/pc/boot_error.h"
#include "x86vm/pc/pc_nic_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- on ISA --- */

static bool irq_is_taken(const struct pc *pc, unsigned irq)
{
    bool taken = false;

    for (unsigned i = 0; i < pc->nic_count; i++)
        taken |= pc_nic_isa_irq(pc->nic[i]) == irq;
    return taken;
}

/* Where nothing is said: what the board comes with, or the next that is free. */
static bool choose_place(struct pc_nic *n, uint16_t *port, uint8_t *irq)
{
    const uint16_t ports[] = { n->identity->isa_port, 0x300, 0x320, 0x340, 0x360, 0x240, 0x280, 0x2a0, 0x200, 0x220 };
    const uint8_t irqs[] = { n->identity->isa_irq, 9, 5, 3, 12, 15, 7 };

    for (size_t i = 0; !*port && i < sizeof ports / sizeof ports[0]; i++)
        if (!pc_isa_owner(n->pc, ports[i]))
            *port = ports[i];
    for (size_t i = 0; !*irq && i < sizeof irqs; i++)
        if (!irq_is_taken(n->pc, irqs[i]) && nic_set_isa_place(n->model, *port, irqs[i]))
            *irq = irqs[i];
    return *port && *irq;
}

/* Lines of the machine itself, and those that PCI is routed to. */
static bool irq_is_ours(unsigned irq)
{
    return irq < 16 && (1u << irq & (1 << 0 | 1 << 1 | 1 << 2 | 1 << 4 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11 | 1 << 13 | 1 << 14));
}

static bool attach_isa(struct pc_nic *n, const struct pc_nic_config *config, char *error, size_t error_size)
{
    uint16_t port = config->isa_port;
    uint8_t irq = config->isa_irq;
    bool has_own = config->eeprom && nic_set_eeprom(n->model, config->eeprom, NIC_EEPROM_SIZE);

    if (port && !pc_isa_is_window(port))
        return boot_error(error, error_size, "io=0x%x is no place for an ISA card: 0x200 to 0x3c0 in steps of 0x20, but "
                          "0x260 and 0x2e0, which are the machine's own", port);
    if (!has_own && port && pc_isa_owner(n->pc, port))
        return boot_error(error, error_size, "two ISA cards at io=0x%x", port);
    if (irq && irq_is_ours(irq))
        return boot_error(error, error_size, "irq=%u is the machine's own: an ISA card can have 3, 5, 7, 9, 12 or 15", irq);
    if (!has_own && irq && irq_is_taken(n->pc, irq))
        return boot_error(error, error_size, "two ISA cards with irq=%u", irq);
    if (!has_own && !choose_place(n, &port, &irq))
        return boot_error(error, error_size, "no ports or no interrupt left for the ISA card \"%s\"", n->identity->model);
    if (!has_own && !nic_set_isa_place(n->model, port, irq))
        return boot_error(error, error_size, "the ISA card \"%s\" cannot have io=0x%x with irq=%u: an RTL8019AS has "
                          "3, 5, 9, 12 or 15, other cards also 7", n->identity->model, port, irq);
    nic_reset(n->model, 0); /* the EEPROM is loaded */
    pc_nic_follow_place(n);
    n->may_move = true;
    return true;
}

/* --- on PCI --- */

static bool attach_pci(struct pc_nic *n, const struct pc_nic_config *config, char *error, size_t error_size)
{
    const struct nic_identity *id = n->identity;
    struct pci_identity pci = {
        .vendor_id = id->vendor_id, .device_id = id->device_id, .subsystem_vendor_id = id->subsystem_vendor_id,
        .subsystem_id = id->subsystem_id, .revision = id->revision, .class_code = id->class_code,
        .has_interrupt = true, .invalidates = id->pci_invalidates, .status = id->pci_status, .min_grant = id->min_grant,
    };

    if (config->isa_port || config->isa_irq)
        return boot_error(error, error_size, "io= and irq= are for ISA cards (ne2000, ne1000, rtl8019as): \"%s\" is on PCI",
                          id->model);
    if (config->eeprom)
        nic_set_eeprom(n->model, config->eeprom, NIC_EEPROM_SIZE);
    for (unsigned i = 0; i < PCI_BARS; i++) {
        pci.bar[i].kind = id->bar[i].kind == NIC_BAR_MEMORY ? PCI_BAR_MEMORY
                        : id->bar[i].kind == NIC_BAR_IO ? PCI_BAR_IO : PCI_BAR_NONE;
        pci.bar[i].size = id->bar[i].size;
    }
    for (unsigned slot = CHIPSET_FIRST_FREE_SLOT; slot < PCI_SLOTS && !n->pci; slot++)
        n->pci = pci_bus_add(n->pc->pci, slot, &pci, &pc_nic_pci_ops, n);
    if (!n->pci)
        return boot_error(error, error_size, "no slot left for the NIC \"%s\"", id->model);
    nic_caps_init(&n->caps, n->pci, n->model);
    return true;
}

/* --- a NIC --- */

static bool unknown_model(const char *model, char *error, size_t error_size)
{
    char names[160] = "";
    const char *name;

    for (unsigned i = 0; (name = nic_model_name(i)); i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "", name);
    return boot_error(error, error_size, "there is no NIC model \"%s\" (%s)", model, names);
}

struct pc_nic *pc_add_nic(struct pc *pc, const struct pc_nic_config *config, const struct pc_link *link, char *error,
                          size_t error_size)
{
    struct pc_nic *n = calloc(1, sizeof *n);
    const struct nic_host host = pc_nic_host(n);

    if (!n) {
        boot_error(error, error_size, "no memory for a NIC");
        return NULL;
    }
    n->pc = pc;
    n->link = *link;
    n->model = pc->nic_count < PC_NICS_MAX ? nic_new(config->model, config->mac, &host) : NULL;
    if (!n->model) {
        if (pc->nic_count < PC_NICS_MAX)
            unknown_model(config->model, error, error_size);
        else
            boot_error(error, error_size, "too many NICs at \"%s\"", config->model);
        free(n);
        return NULL;
    }
    for (unsigned i = 0; i < PCI_BARS; i++)
        n->binding[i] = (struct nic_bar_binding){ n, n->model, i };
    n->identity = nic_identity(n->model);
    if (config->line_rate && !nic_set_line_rate(n->model, config->line_rate)) {
        boot_error(error, error_size, "speed= is for the cards around a DP8390: \"%s\" sends as fast as it can",
                   n->identity->model);
        pc_nic_free(n);
        return NULL;
    }
    n->needs_no_time = config->line_rate == 0;
    for (unsigned i = 0; i < PCI_BARS; i++)
        n->needs_no_time &= n->identity->bar[i].kind != NIC_BAR_MEMORY;
    if (n->identity->bus == NIC_BUS_PCI ? !attach_pci(n, config, error, error_size)
                                        : !attach_isa(n, config, error, error_size)) {
        pc_nic_free(n);
        return NULL;
    }
    pc->nic[pc->nic_count++] = n;
    return n;
}
