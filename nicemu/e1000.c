/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The Intel 82540EM gigabit Ethernet controller, and the 82545EM, which is the
 * same to a driver but for its identity: reset, link state,
 * and access to its registers through the memory BAR and the I/O window.
 */
#include "nicemu/e1000.h"
#include "nicemu/trace.h"

#include <string.h>

#define BAR_MEMORY 0u
#define BAR_IO 2u
#define IO_IOADDR 0u
#define IO_IODATA 4u

static struct e1000 *from_nic(struct nic *nic)
{
    return (struct e1000 *)nic;
}

/* STATUS as CTRL and the PHY make it. */
uint32_t e1000_status(const struct e1000 *e)
{
    uint32_t phy = e1000_phy_status(e), ctrl = REG(e, CTRL);
    uint32_t status = ctrl & CTRL_FRCDPX ? ctrl & CTRL_FD : phy & STATUS_FD;
    status |= ctrl & CTRL_FRCSPD ? (ctrl & CTRL_SPEED) >> 2 : phy & STATUS_SPEED;
    status |= (phy & STATUS_SPEED) << 2; /* ASDV: what the MAC has found out itself */
    if (e->tx.pause_until > e->now)
        status |= STATUS_TXOFF;
    if (e1000_phy_link(e) && (REG(e, CTRL) & CTRL_SLU))
        status |= STATUS_LU;
    return status;
}

/* STATUS is recomputed when the link changes, and only read afterwards: it is
 * what drivers read to flush writes. */
void e1000_update_link(struct e1000 *e)
{
    uint32_t old = REG(e, STATUS), status = e1000_status(e);
    REG(e, STATUS) = status;
    if ((old ^ status) & STATUS_LU) {
        e1000_irq_raise(e, ICR_LSC);
        e1000_wake_link(e);
        e1000_tx_run(e);
    }
}

/* CTRL.RST (4.6.2): all but the PHY and the EEPROM's contents. */
void e1000_device_reset(struct e1000 *e)
{
    for (unsigned timer = 0; timer < E1000_TIMERS; timer++)
        e1000_timer_stop(e, timer);
    e->throttle_until = 0;
    e1000_tx_reset(e);
    e1000_regs_reset(e);
    e->rx.xoff = E1000_XOFF_NONE;
    e1000_rx_forget_prefetched(e);
    e1000_nvm_load(e);
    e1000_irq_update(e);
    e1000_update_link(e); /* STATUS was zero: raises LSC where the link is up */
    e1000_rx_ring_moved(e);
}

/* From D3 to D0, not yet initialized (6.3.1.2): all but the EEPROM's contents, what has
 * woken the machine, and the PME bits. */
void e1000_wake_up(struct e1000 *e)
{
    e->io_address = 0;
    e1000_phy_reset(e);
    e1000_device_reset(e);
}

static void init(struct nic *nic)
{
    struct e1000 *e = from_nic(nic);
    e1000_regs_init(e);
    e1000_nvm_init(e);
    e->phy.cable = true;
}

static void reset(struct nic *nic, uint64_t now)
{
    struct e1000 *e = from_nic(nic);
    e->now = now;
    eeprom93c46_reset(&e->eeprom);
    memset(e->packet_buffer, 0, sizeof e->packet_buffer);
    REG(e, IMS) = 0;
    e1000_power_reset(e);
    e1000_wake_up(e);
    if (e->armed)
        nic->host.set_timer(nic->host.opaque, 0);
    e->armed = 0;
}

static uint32_t read_io(struct e1000 *e, uint32_t offset)
{
    return offset == IO_IOADDR ? e->io_address : e1000_reg_read(e, e->io_address);
}

static uint32_t read(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint64_t now)
{
    struct e1000 *e = from_nic(nic);
    if (offset == E1000_STATUS && bar == BAR_MEMORY && size == 4)
        return REG(e, STATUS);
    e->now = now;
    uint32_t value = bar == BAR_IO ? read_io(e, offset & ~3u) : e1000_reg_read(e, offset);
    if (size == 4)
        return value;
    value >>= (offset & 3) * 8;
    return value & (size == 1 ? 0xff : 0xffff);
}

static void write(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint32_t value, uint64_t now)
{
    struct e1000 *e = from_nic(nic);
    e->now = now;
    if (size != 4 || (offset & 3)) {
        nic_guest_error(nic, "write of %u bytes at %05x: registers are written 32 bits at a time", size, offset);
        return;
    }
    if (bar == BAR_MEMORY)
        e1000_reg_write(e, offset, value);
    else if (offset == IO_IOADDR)
        e->io_address = value & 0xfffff;
    else
        e1000_reg_write(e, e->io_address, value);
}

static enum nic_rx_result receive(struct nic *nic, const uint8_t *frame, size_t size,
                                  const struct nic_offload *offload, uint64_t now)
{
    struct e1000 *e = from_nic(nic);
    e->now = now;
    if (e1000_is_looped_back(e) || !e1000_link_is_up(e))
        return NIC_RX_OFF;
    return e1000_rx_frame(e, frame, size, offload);
}

static void lost(struct nic *nic, size_t size, uint64_t now)
{
    struct e1000 *e = from_nic(nic);
    e->now = now;
    if (REG(e, RCTL) & RCTL_EN)
        e1000_count_seen(e, size); /* missed packets are in the totals, too (13.7.5) */
    e1000_rx_missed(e);
    e1000_pause_overflow(e);
}

static void backlog(struct nic *nic, uint32_t waiting, uint32_t capacity, uint64_t now)
{
    struct e1000 *e = from_nic(nic);
    e->now = now;
    e1000_pause_backlog(e, waiting, capacity);
}

static void timer(struct nic *nic, uint64_t now)
{
    struct e1000 *e = from_nic(nic);
    e->now = now;
    e1000_timers_run(e);
}

static void set_link(struct nic *nic, bool up, uint64_t now)
{
    struct e1000 *e = from_nic(nic);
    e->now = now;
    e->phy.cable = up;
    e1000_phy_update(e);
    e1000_update_link(e);
    e1000_rx_ring_moved(e);
}

static struct eeprom93c46 *eeprom(struct nic *nic)
{
    return &from_nic(nic)->eeprom;
}

/* Its driver is told of checksums by RXCSUM. */
static unsigned accepts(const struct nic *nic)
{
    (void)nic;
    return NIC_ACCEPTS_CSUM;
}

/* The variants differ in what they call themselves. */
#define IDENTITY(name, device, subsystem, rev)                                                            \
    .identity = { .model = name, .bus = NIC_BUS_PCI, .vendor_id = 0x8086, .device_id = device,           \
                  .subsystem_vendor_id = 0x8086, .subsystem_id = subsystem, .revision = rev,             \
                  .class_code = 0x020000,                                                                 \
                  .power_at = 0xdc, .msi_at = 0xf0, .pci_status = 0x0220 /* 66 MHz, medium DEVSEL */,     \
                  .pci_invalidates = true, .min_grant = 0xff,                                             \
                  .bar = { [BAR_MEMORY] = { NIC_BAR_MEMORY, 0x20000 }, [BAR_IO] = { NIC_BAR_IO, 8 } } }
#define CALLS                                                                                             \
    .size = sizeof(struct e1000), .accepts = accepts, .init = init, .reset = reset,        \
    .read = read, .write = write, .receive = receive, .lost = lost, .backlog = backlog, .timer = timer,       \
    .set_link = set_link,                                                                                 \
    .state = e1000_state, .restored = e1000_restored, .eeprom = eeprom, .pci_ids = e1000_pci_ids, .power = &e1000_power_ops, .decoder = &nic_trace_e1000

const struct nic_ops e1000_ops = { IDENTITY("e1000", 0x100e, 0x001e, 3), CALLS };
const struct nic_ops e1000_82545em_ops = { IDENTITY("e1000-82545em", 0x100f, 0x1001, 1), CALLS };
