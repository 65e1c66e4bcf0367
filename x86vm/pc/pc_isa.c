/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The ISA bus: which board is at which ports, and Plug and Play, by which boards
 * are told where to be (Plug and Play ISA specification 1.0a). Boards sit in
 * windows of 32 ports from 200 to 3ff; a read there that no board and no device
 * of the machine answers reaches the Plug and Play boards, one of which may have
 * its read port there.
 */
#include "x86vm/memory/io_bus.h"
#include "x86vm/pc/pc_internal.h"

enum { PNP_ADDRESS = 0x279, PNP_WRITE_DATA = 0xa79 };

/* `port`: one for which pc_isa_is_window() holds. */
static struct pc_isa_window *window_of(struct pc *pc, uint16_t port)
{
    return &pc->isa[(port - ISA_FIRST) / ISA_WINDOW];
}

/* Every board hears every byte. */
static void pnp_write(struct pc *pc, uint16_t port, uint8_t value)
{
    for (unsigned i = 0; i < pc->nic_count; i++) {
        nic_pnp_write(pc_nic_board(pc->nic[i]), port, value, pc_now(pc));
        pc_nic_follow_place(pc->nic[i]);
    }
}

/* In isolation a board with a one bit drives the bus, and those with a zero see that they have lost. */
static uint8_t pnp_read(struct pc *pc, uint16_t port)
{
    bool drives[PC_NICS_MAX], driven = false;
    uint8_t bus = 0xff, value;

    for (unsigned i = 0; i < pc->nic_count; i++) {
        drives[i] = nic_pnp_read(pc_nic_board(pc->nic[i]), port, &value, pc_now(pc));
        driven |= drives[i];
        if (drives[i])
            bus &= value;
    }
    for (unsigned i = 0; driven && i < pc->nic_count; i++)
        if (!drives[i])
            nic_pnp_outvoted(pc_nic_board(pc->nic[i]));
    return bus;
}

static uint32_t window_read(void *device, uint32_t offset, unsigned size)
{
    const struct pc_isa_window *w = device;
    uint32_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)pnp_read(w->pc, (uint16_t)(w->first + offset + i)) << 8 * i;
    return value;
}

static void window_write(void *device, uint32_t offset, unsigned size, uint32_t value)
{
    const struct pc_isa_window *w = device;

    for (unsigned i = 0; i < size; i++)
        if (w->first + offset + i == PNP_ADDRESS)
            pnp_write(w->pc, PNP_ADDRESS, (uint8_t)(value >> 8 * i));
}

static uint32_t data_read(void *device, uint32_t offset, unsigned size)
{
    (void)device;
    (void)offset;
    (void)size;
    return UINT32_MAX;
}

static void data_write(void *device, uint32_t offset, unsigned size, uint32_t value)
{
    (void)offset;
    (void)size;
    pnp_write(device, PNP_WRITE_DATA, (uint8_t)value);
}

static const struct io_ops window_ops = { .read = window_read, .write = window_write };

bool pc_isa_map_ports(struct pc *pc)
{
    static const struct io_ops data_ops = { .read = data_read, .write = data_write };

    for (unsigned i = 0; i < ISA_WINDOWS; i++) {
        pc->isa[i] = (struct pc_isa_window){ pc, (uint16_t)(ISA_FIRST + i * ISA_WINDOW), NULL };
        if (io_bus_map_ports(pc->config.io, pc->isa[i].first, ISA_WINDOW, &window_ops, &pc->isa[i]))
            return false;
    }
    return io_bus_map_ports(pc->config.io, PNP_WRITE_DATA, 1, &data_ops, pc) == 0;
}

/* Not where Plug and Play's address port, COM2 and COM1 are. */
bool pc_isa_is_window(uint16_t port)
{
    return port >= ISA_FIRST && port < ISA_FIRST + ISA_WINDOWS * ISA_WINDOW && port % ISA_WINDOW == 0 && port != 0x260 &&
           port != 0x2e0 && port != 0x3e0;
}

const struct pc_nic *pc_isa_owner(const struct pc *pc, uint16_t port)
{
    return window_of((struct pc *)pc, port)->owner; /* nothing is changed there */
}

bool pc_isa_claim(struct pc *pc, uint16_t port, struct pc_nic *nic, const struct io_ops *ops, void *device)
{
    struct pc_isa_window *w = pc_isa_is_window(port) ? window_of(pc, port) : NULL;

    if (!w || w->owner || io_bus_map_ports(pc->config.io, port, ISA_WINDOW, ops, device))
        return false;
    w->owner = nic;
    return true;
}

void pc_isa_release(struct pc *pc, uint16_t port)
{
    struct pc_isa_window *w = window_of(pc, port);

    w->owner = NULL;
    io_bus_map_ports(pc->config.io, w->first, ISA_WINDOW, &window_ops, w);
}
