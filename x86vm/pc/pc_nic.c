/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The board of a NIC model: puts any nicemu model on PCI (BARs, INTA) or on
 * ISA (ports, IRQ), and is its struct nic_host on one side (guest memory,
 * interrupt line, timer) and its struct pc_link on the other.
 */
#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/phys.h"
#include "x86vm/pc/boot_error.h"
#include "x86vm/pc/pc_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { LOGGED_ERRORS = 20 }; /* of the guest's driver, each NIC */

struct nic_bar_binding {
    struct pc_nic *nic;
    unsigned bar;
};

struct pc_nic {
    struct pc *pc;
    struct nic *model;
    const struct nic_identity *identity;
    struct pc_link link;
    struct pci_device *pci;   /* NULL on ISA */
    uint16_t isa_port;
    uint8_t isa_irq;
    bool irq_level;
    uint64_t deadline;        /* of the model's timer; 0: none */
    bool needs_no_time;       /* only ports: a driver moves every word through them, and no model there has timers */
    unsigned errors;
    struct nic_bar_binding binding[PCI_BARS];
};

/* --- what the model calls --- */

static bool may_reach_memory(const struct pc_nic *n)
{
    return !n->pci || pci_device_is_master(n->pci);
}

static bool dma_read(void *opaque, uint64_t address, void *buffer, size_t size)
{
    const struct pc_nic *n = opaque;

    return may_reach_memory(n) && phys_dma_read(n->pc->config.phys, address, buffer, size);
}

static bool dma_write(void *opaque, uint64_t address, const void *buffer, size_t size)
{
    const struct pc_nic *n = opaque;

    return may_reach_memory(n) && phys_dma_write(n->pc->config.phys, address, buffer, size);
}

static void set_irq(void *opaque, bool level)
{
    struct pc_nic *n = opaque;

    if (level == n->irq_level)
        return;
    n->irq_level = level;
    if (n->pci)
        pci_device_set_interrupt(n->pci, level);
    else
        i8259_set_irq(n->pc->pic, n->isa_irq, level);
}

static bool send_frame(void *opaque, const void *frame, size_t size, const struct nic_offload *offload)
{
    struct pc_nic *n = opaque;

    return n->link.send && n->link.send(n->link.opaque, frame, size, offload);
}

static void send_flush(void *opaque)
{
    struct pc_nic *n = opaque;

    if (n->link.flush)
        n->link.flush(n->link.opaque);
}

static void receive_ready(void *opaque)
{
    struct pc_nic *n = opaque;

    if (n->link.receive_ready)
        n->link.receive_ready(n->link.opaque);
}

static void set_timer(void *opaque, uint64_t deadline)
{
    struct pc_nic *n = opaque;

    n->deadline = deadline;
    if (deadline)
        pc_deadline_moved(n->pc, deadline);
}

__attribute__((format(printf, 2, 3))) static void guest_error(void *opaque, const char *format, ...)
{
    struct pc_nic *n = opaque;
    char text[160], line[224];
    va_list args;

    if (!n->pc->config.log || n->errors >= LOGGED_ERRORS)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    snprintf(line, sizeof line, "%s: guest driver: %s%s", n->identity->model, text,
             ++n->errors == LOGGED_ERRORS ? " (no more of these will be logged)" : "");
    n->pc->config.log(n->pc->config.opaque, line);
}

/* --- what the bus calls --- */

static uint64_t access_time(const struct pc_nic *n)
{
    return n->needs_no_time ? n->pc->serviced_at : pc_now(n->pc);
}

static uint32_t bar_read(void *device, uint32_t offset, unsigned size)
{
    const struct nic_bar_binding *b = device;

    return nic_read(b->nic->model, b->bar, offset, size, access_time(b->nic));
}

static void bar_write(void *device, uint32_t offset, unsigned size, uint32_t value)
{
    const struct nic_bar_binding *b = device;

    nic_write(b->nic->model, b->bar, offset, size, value, access_time(b->nic));
}

static void bar_read_block(void *device, uint32_t offset, unsigned size, uint32_t count, void *buffer)
{
    const struct nic_bar_binding *b = device;

    nic_read_block(b->nic->model, b->bar, offset, size, count, buffer, access_time(b->nic));
}

static void bar_write_block(void *device, uint32_t offset, unsigned size, uint32_t count, const void *buffer)
{
    const struct nic_bar_binding *b = device;

    nic_write_block(b->nic->model, b->bar, offset, size, count, buffer, access_time(b->nic));
}

static const struct io_ops bar_ops = { .read = bar_read, .write = bar_write, .read_block = bar_read_block,
                                       .write_block = bar_write_block };

static void map_bar(void *opaque, unsigned bar, bool mapped, uint32_t base)
{
    struct pc_nic *n = opaque;
    struct io_bus *io = n->pc->config.io;
    uint32_t size = n->identity->bar[bar].size;
    bool is_io = n->identity->bar[bar].kind == NIC_BAR_IO;

    if (!mapped)
        is_io ? io_bus_unmap_ports(io, (uint16_t)base, size) : io_bus_unmap_mmio(io, base, &n->binding[bar]);
    else if (is_io)
        io_bus_map_ports(io, (uint16_t)base, size, &bar_ops, &n->binding[bar]);
    else /* refused where the guest moved it onto RAM or another device: then nobody answers there */
        io_bus_map_mmio(io, base, size, &bar_ops, &n->binding[bar]);
}

/* --- creation --- */

static bool attach_pci(struct pc_nic *n)
{
    static const struct pci_device_ops ops = { .map_bar = map_bar };
    const struct nic_identity *id = n->identity;
    struct pci_identity pci = {
        .vendor_id = id->vendor_id, .device_id = id->device_id, .subsystem_vendor_id = id->subsystem_vendor_id,
        .subsystem_id = id->subsystem_id, .revision = id->revision, .class_code = id->class_code,
        .has_interrupt = true,
    };

    for (unsigned i = 0; i < PCI_BARS; i++) {
        pci.bar[i].kind = id->bar[i].kind == NIC_BAR_MEMORY ? PCI_BAR_MEMORY
                        : id->bar[i].kind == NIC_BAR_IO ? PCI_BAR_IO : PCI_BAR_NONE;
        pci.bar[i].size = id->bar[i].size;
    }
    for (unsigned slot = CHIPSET_FIRST_FREE_SLOT; slot < PCI_SLOTS && !n->pci; slot++)
        n->pci = pci_bus_add(n->pc->pci, slot, &pci, &ops, n);
    return n->pci;
}

/* The first ISA NIC is where its model says, further ones at the next port
 * and at lines that nothing else here uses. */
static bool attach_isa(struct pc_nic *n)
{
    static const uint8_t further_irq[] = { 5, 7, 12 };
    unsigned index = n->pc->isa_nic_count;

    if (index > sizeof further_irq)
        return false;
    n->isa_port = (uint16_t)(n->identity->isa_port + 0x20 * index);
    n->isa_irq = index ? further_irq[index - 1] : n->identity->isa_irq;
    if (io_bus_map_ports(n->pc->config.io, n->isa_port, n->identity->bar[0].size, &bar_ops, &n->binding[0]))
        return false;
    n->pc->isa_nic_count++;
    return true;
}

struct pc_nic *pc_add_nic(struct pc *pc, const char *model, const uint8_t mac[6], const struct pc_link *link,
                          char *error, size_t error_size)
{
    struct pc_nic *n = calloc(1, sizeof *n);
    const struct nic_host host = { n, dma_read, dma_write, set_irq, send_frame, send_flush, receive_ready, set_timer,
                                   guest_error };

    if (!n) {
        boot_error(error, error_size, "no memory for a NIC");
        return NULL;
    }
    n->pc = pc;
    n->link = *link;
    for (unsigned i = 0; i < PCI_BARS; i++)
        n->binding[i] = (struct nic_bar_binding){ n, i };
    n->model = pc->nic_count < PC_NICS_MAX ? nic_new(model, mac, &host) : NULL;
    if (!n->model) {
        boot_error(error, error_size, pc->nic_count < PC_NICS_MAX
                   ? "there is no NIC model \"%s\" (e1000, rtl8029, ne2000)" : "too many NICs at \"%s\"", model);
        free(n);
        return NULL;
    }
    n->identity = nic_identity(n->model);
    n->needs_no_time = true;
    for (unsigned i = 0; i < PCI_BARS; i++)
        n->needs_no_time &= n->identity->bar[i].kind != NIC_BAR_MEMORY;
    if (n->identity->bus == NIC_BUS_PCI ? !attach_pci(n) : !attach_isa(n)) {
        boot_error(error, error_size, "no slot left for the NIC \"%s\"", model);
        pc_nic_free(n);
        return NULL;
    }
    pc->nic[pc->nic_count++] = n;
    return n;
}

void pc_nic_free(struct pc_nic *n)
{
    nic_free(n->model);
    free(n);
}

/* --- the machine's side --- */

unsigned pc_nic_isa_irq(const struct pc_nic *n)
{
    return n->pci ? 0 : n->isa_irq;
}

uint64_t pc_nic_deadline(const struct pc_nic *n)
{
    return n->deadline ? n->deadline : PC_NEVER;
}

void pc_nic_service(struct pc_nic *n, uint64_t now)
{
    if (!n->deadline || now < n->deadline)
        return;
    n->deadline = 0;
    nic_timer(n->model, now);
}

void pc_nic_reset(struct pc_nic *n, uint64_t now)
{
    n->deadline = 0;
    nic_reset(n->model, now);
}

enum nic_rx_result pc_nic_receive(struct pc_nic *n, const void *frame, size_t size, const struct nic_offload *offload)
{
    return nic_receive(n->model, frame, size, offload, pc_now(n->pc));
}

void pc_nic_set_link(struct pc_nic *n, bool up)
{
    nic_set_link(n->model, up, pc_now(n->pc));
}

const struct nic *pc_nic_model(const struct pc_nic *n)
{
    return n->model;
}
