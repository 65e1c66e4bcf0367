/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The board of a NIC model, on PCI (BARs, INTA) or on ISA (ports, IRQ): is its struct
 * nic_host on one side (guest memory, interrupt line, timer) and its struct pc_link on
 * the other. pc_nic_add.c puts it there.
 */
#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/phys.h"
#include "x86vm/pc/pc_nic_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { LOGGED_ERRORS = 20 }; /* of the guest's driver, each NIC */

/* A driver that is at work looks at its registers every few microseconds, and with each
 * access the model sees the time. The vCPU is interrupted for a timer of the model only
 * where that has not happened for this long; it costs more than many frames do. */
enum { TIMER_SLACK = 150000 /* ns */ };

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

static void drive_isa(const struct pc_nic *n, const struct nic_isa_place *place, bool level)
{
    if (place->active && place->irq)
        i8259_set_irq(n->pc->pic, place->irq, level);
}

/* A message that finds neither memory nor anybody else is lost, as on a bus. */
static void send_message(struct pc_nic *n)
{
    uint64_t address;
    uint32_t data;

    if (nic_caps_message(&n->caps, &address, &data))
        dma_write(n, address, &data, sizeof data);
}

static void set_irq(void *opaque, bool level)
{
    struct pc_nic *n = opaque;

    if (level == n->irq_level)
        return;
    n->irq_level = level;
    if (n->pci) {
        pci_device_set_interrupt(n->pci, level);
        if (level)
            send_message(n);
    } else {
        drive_isa(n, &n->place, level);
    }
}

static bool send_frame(void *opaque, const void *frame, size_t size, const struct nic_offload *offload)
{
    struct pc_nic *n = opaque;

    return n->link.send && n->link.send(n->link.opaque, frame, size, offload);
}

static bool has_room(void *opaque)
{
    struct pc_nic *n = opaque;

    return !n->link.has_room || n->link.has_room(n->link.opaque);
}

static void accepts_changed(void *opaque)
{
    struct pc_nic *n = opaque;

    if (n->link.accepts_changed)
        n->link.accepts_changed(n->link.opaque);
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

    n->ready = n->accessing;
    if (!n->ready && n->link.receive_ready)
        n->link.receive_ready(n->link.opaque);
}

static void eeprom_changed(void *opaque)
{
    struct pc_nic *n = opaque;

    if (n->link.eeprom_changed)
        n->link.eeprom_changed(n->link.opaque);
}

/* PME# is one line for all cards. */
static void set_pme(void *opaque, bool level)
{
    struct pc_nic *n = opaque;
    bool any = false;

    n->pme = level;
    for (unsigned i = 0; i < n->pc->nic_count; i++)
        any |= n->pc->nic[i]->pme;
    acpi_pm_set_pme(n->pc->pm, any);
}

static void set_timer(void *opaque, uint64_t deadline)
{
    struct pc_nic *n = opaque;

    n->deadline = deadline;
    if (deadline)
        pc_deadline_moved(n->pc, deadline + TIMER_SLACK);
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

struct nic_host pc_nic_host(struct pc_nic *n)
{
    return (struct nic_host){ n, dma_read, dma_write, set_irq, send_frame, send_flush, receive_ready, set_timer,
                              guest_error, eeprom_changed, set_pme, has_room, accepts_changed };
}

/* --- what the bus calls --- */

static uint64_t access_time(const struct pc_nic *n)
{
    uint64_t now;

    if (n->needs_no_time && !n->traced)
        return n->pc->serviced_at;
    if (!n->pc->has_near_clock)
        return pc_now(n->pc);
    now = near_clock_now(&n->pc->near_clock);
    return now > n->pc->serviced_at ? now : n->pc->serviced_at;
}

/* The run loop wants to be called when somebody comes by. Cards that need no time call it often enough. */
static void __attribute__((noinline, cold)) attend(struct pc *pc)
{
    pc->attend_from = PC_NEVER;
    pc->config.attention(pc->config.opaque);
}

/* The time of an access; what the model's timer was set to is served first, when it is due. */
static inline uint64_t begin_access(struct pc_nic *n)
{
    uint64_t now = access_time(n);

    if (now >= n->pc->attend_from)
        attend(n->pc);
    if (n->deadline)
        pc_nic_service(n, now);
    return now;
}

static uint32_t bar_read(void *device, uint32_t offset, unsigned size)
{
    const struct nic_bar_binding *b = device;
    uint64_t now = begin_access(b->nic);

    return nic_read(b->nic->model, b->bar, offset, size, now);
}

/* The driver has made room, and is not left for what waits for it. */
static void bring_frames(struct pc_nic *n)
{
    n->ready = false;
    if (n->link.receive_now)
        n->link.receive_now(n->link.opaque);
    else
        receive_ready(n);
}

static void bar_write(void *device, uint32_t offset, unsigned size, uint32_t value)
{
    const struct nic_bar_binding *b = device;

    uint64_t now = begin_access(b->nic);

    b->nic->accessing = true;
    nic_write(b->nic->model, b->bar, offset, size, value, now);
    b->nic->accessing = false;
    if (b->nic->may_move)
        pc_nic_follow_place(b->nic);
    if (b->nic->ready)
        bring_frames(b->nic);
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

/* What concerns the card alone needs no time, and makes no room for frames. */
static int64_t bar_quick_read(void *device, uint32_t offset, unsigned size)
{
    const struct nic_bar_binding *b = device;

    return nic_quick_read(b->model, b->bar, offset, size);
}

static int bar_quick_write(void *device, uint32_t offset, unsigned size, uint32_t value)
{
    const struct nic_bar_binding *b = device;

    return nic_quick_write(b->model, b->bar, offset, size, value);
}

static bool own_read(void *opaque, unsigned offset, uint8_t *value)
{
    struct pc_nic *n = opaque;

    return nic_caps_read(&n->caps, offset, value, pc_now(n->pc));
}

static bool own_write(void *opaque, unsigned offset, uint8_t value)
{
    struct pc_nic *n = opaque;

    return nic_caps_write(&n->caps, offset, value, pc_now(n->pc));
}

static const struct io_ops bar_ops = { .read = bar_read, .write = bar_write, .read_block = bar_read_block,
                                       .write_block = bar_write_block,
                                       .quick_read = bar_quick_read, .quick_write = bar_quick_write };

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

const struct pci_device_ops pc_nic_pci_ops = { .map_bar = map_bar, .own_read = own_read, .own_write = own_write };

/* Two boards at the same ports: the one that was there first answers. */
void pc_nic_follow_place(struct pc_nic *n)
{
    struct nic_isa_place before = n->place;

    if (n->pci)
        return;
    nic_isa_place(n->model, &n->place);
    if (n->place.active == before.active && n->place.port == before.port && n->place.irq == before.irq)
        return;
    if (n->at_place)
        pc_isa_release(n->pc, before.port);
    n->at_place = n->place.active && pc_isa_claim(n->pc, n->place.port, n, &bar_ops, &n->binding[0]);
    if (!n->irq_level)
        return;
    drive_isa(n, &before, false);
    drive_isa(n, &n->place, true);
}

/* --- the machine's side --- */

void pc_nic_free(struct pc_nic *n)
{
    nic_free(n->model);
    free(n);
}

unsigned pc_nic_isa_irq(const struct pc_nic *n)
{
    return n->pci || !n->place.active ? 0 : n->place.irq;
}

uint64_t pc_nic_deadline(const struct pc_nic *n, bool halted)
{
    uint64_t slack = halted ? 0 : TIMER_SLACK;

    return n->deadline ? n->deadline + slack : PC_NEVER;
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
    nic_caps_reset(&n->caps);
    pc_nic_follow_place(n);
}

struct nic *pc_nic_board(struct pc_nic *n)
{
    return n->model;
}

int pc_nic_set_trace(struct pc_nic *n, nic_trace_line *line, void *opaque, bool strict)
{
    n->traced = line;
    return nic_set_trace(n->model, line, opaque, strict);
}

size_t pc_nic_save(const struct pc_nic *n, void *image, size_t size)
{
    return nic_save(n->model, pc_now(n->pc), image, size);
}

int pc_nic_restore(struct pc_nic *n, const void *image, size_t size)
{
    int result = nic_restore(n->model, pc_now(n->pc), image, size);

    if (result == 0)
        pc_nic_follow_place(n);
    return result;
}

enum nic_rx_result pc_nic_receive(struct pc_nic *n, const void *frame, size_t size, const struct nic_offload *offload)
{
    return nic_receive(n->model, frame, size, offload, access_time(n));
}

void pc_nic_receive_lost(struct pc_nic *n, size_t size)
{
    nic_receive_lost(n->model, size, pc_now(n->pc));
}

void pc_nic_receive_backlog(struct pc_nic *n, uint32_t waiting, uint32_t capacity)
{
    nic_receive_backlog(n->model, waiting, capacity, pc_now(n->pc));
}

void pc_nic_set_link(struct pc_nic *n, bool up)
{
    nic_set_link(n->model, up, pc_now(n->pc));
}

const struct nic *pc_nic_model(const struct pc_nic *n)
{
    return n->model;
}
