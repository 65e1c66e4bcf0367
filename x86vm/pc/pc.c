/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The machine: see pc.h. Creates the devices, wires their lines, puts them on
 * the io_bus, and keeps their deadlines. The devices' behaviour is in their files.
 */
#include "x86vm/pc/pc.h"

#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/phys.h"
#include "x86vm/pc/boot_error.h"
#include "x86vm/pc/boot_linux.h"
#include "x86vm/pc/boot_multiboot.h"
#include "x86vm/pc/pc_internal.h"

#include <stdlib.h>
#include <time.h>

#define NS_PER_S 1000000000u
#define VGA_WINDOW 0xa0000u
#define ROM_AREA 0xc0000u
#define ROM_AREA_END 0x100000u

enum { IRQ_TIMER = 0, IRQ_KEYBOARD = 1, IRQ_COM2 = 3, IRQ_COM1 = 4, IRQ_RTC = 8 };
enum { PORT_CONFIG = 0xcf8, PORT_CONFIG_COUNT = 8, RESET_CONTROL = 1 /* 0xCF9 */, RESET_CPU = 0x04 };

/* Without firmware we choose: PCI on inputs that nothing on ISA uses by custom. */
static const uint8_t pirq_routes[PCI_PIRQS] = { 11, 10, 11, 10 };

static uint64_t monotonic_clock(void *opaque)
{
    struct timespec ts;

    (void)opaque;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t pc_now(const struct pc *pc)
{
    return pc->config.clock(pc->config.opaque);
}

/* --- events and deadlines --- */

static void raise_event(struct pc *pc, enum pc_event event, uint8_t code)
{
    if (pc->event == PC_EVENT_NONE) {
        pc->event = event;
        pc->exit_code = code;
    }
    pc->config.attention(pc->config.opaque);
}

enum pc_event pc_take_event(struct pc *pc, uint8_t *code)
{
    enum pc_event event = pc->event;

    if (code)
        *code = pc->exit_code;
    pc->event = PC_EVENT_NONE;
    return event;
}

void pc_deadline_moved(struct pc *pc, uint64_t deadline)
{
    if (deadline >= pc->announced)
        return;
    pc->announced = deadline;
    pc->config.attention(pc->config.opaque);
}

static uint64_t next_deadline(struct pc *pc, bool halted, uint64_t slack)
{
    uint64_t deadline = slack ? i8254_idle_deadline(pc->pit, slack) : i8254_deadline(pc->pit), other = rtc_deadline(pc->rtc);

    if (other < deadline)
        deadline = other;
    other = acpi_pm_deadline(pc->pm);
    if (other < deadline)
        deadline = other;
    for (unsigned i = 0; i < pc->nic_count; i++) {
        other = pc_nic_deadline(pc->nic[i], halted);
        if (other < deadline)
            deadline = other;
    }
    pc->announced = deadline;
    return deadline;
}

uint64_t pc_next_deadline(struct pc *pc, bool halted) { return next_deadline(pc, halted, 0); }
uint64_t pc_idle_deadline(struct pc *pc, uint64_t slack) { return next_deadline(pc, true, slack); }

void pc_serviced_by(struct pc *pc, uint64_t at)
{
    pc->announced = at;
}

void pc_attend_from(struct pc *pc, uint64_t at)
{
    pc->attend_from = at;
}

void pc_service(struct pc *pc, uint64_t now)
{
    pc->serviced_at = now;
    i8254_service(pc->pit, now, i8259_is_busy(pc->pic, IRQ_TIMER));
    rtc_service(pc->rtc, now);
    acpi_pm_service(pc->pm, now);
    for (unsigned i = 0; i < pc->nic_count; i++)
        pc_nic_service(pc->nic[i], now);
}

/* --- lines between devices --- */

static void on_intr(void *opaque, bool level)
{
    struct pc *pc = opaque;

    pc->config.set_intr(pc->config.opaque, level);
}

static void set_irq(void *opaque, unsigned irq, bool level)
{
    struct pc *pc = opaque;

    i8259_set_irq(pc->pic, irq, level);
}

uint8_t pc_acknowledge(void *opaque)
{
    struct pc *pc = opaque;

    uint8_t vector = i8259_acknowledge(pc->pic);

    if (vector != i8259_vector(pc->pic, IRQ_TIMER))
        pc->stirred = true;
    return vector;
}

bool pc_take_stirred(struct pc *pc)
{
    bool stirred = pc->stirred;

    pc->stirred = false;
    return stirred;
}

static void on_a20(void *opaque, bool enabled)
{
    struct pc *pc = opaque;

    phys_set_a20(pc->config.phys, enabled);
}

static void on_reset_line(void *opaque)
{
    raise_event(opaque, PC_EVENT_RESET, 0);
}

static void on_power_off(void *opaque)
{
    raise_event(opaque, PC_EVENT_POWER_OFF, 0);
}

static void on_serial(void *opaque, uint8_t byte)
{
    struct pc_serial *serial = opaque;

    if (serial->pc->config.serial_output)
        serial->pc->config.serial_output(serial->pc->config.opaque, serial->port, byte);
}

size_t pc_serial_input(struct pc *pc, unsigned port, const void *bytes, size_t size)
{
    return uart16550_input(pc->uart[port % PC_SERIAL_PORTS], bytes, size);
}

size_t pc_serial_room(const struct pc *pc, unsigned port)
{
    return uart16550_input_room(pc->uart[port % PC_SERIAL_PORTS]);
}

/* --- ports: devices that are a byte wide; wider accesses are split --- */

struct byte_ports {
    uint16_t first;
    uint8_t count;
    uint8_t (*read)(struct pc *pc, unsigned offset);
    void (*write)(struct pc *pc, unsigned offset, uint8_t value);
};

static uint8_t pic_master_read(struct pc *pc, unsigned offset) { return i8259_read(pc->pic, 0, offset); }

static void pic_master_write(struct pc *pc, unsigned offset, uint8_t value)
{
    i8259_write(pc->pic, 0, offset, value);
    if (!i8259_is_busy(pc->pic, IRQ_TIMER))
        i8254_end_of_interrupt(pc->pit);
}

static uint8_t pic_slave_read(struct pc *pc, unsigned offset) { return i8259_read(pc->pic, 1, offset); }
static void pic_slave_write(struct pc *pc, unsigned offset, uint8_t v) { i8259_write(pc->pic, 1, offset, v); }
static uint8_t elcr_read(struct pc *pc, unsigned offset) { return i8259_read_elcr(pc->pic, offset); }
static void elcr_write(struct pc *pc, unsigned offset, uint8_t v) { i8259_write_elcr(pc->pic, offset, v); }
static uint8_t pit_read(struct pc *pc, unsigned offset) { return i8254_read(pc->pit, offset, pc_now(pc)); }

static void pit_write(struct pc *pc, unsigned offset, uint8_t value)
{
    i8254_write(pc->pit, offset, value, pc_now(pc));
    pc_deadline_moved(pc, i8254_deadline(pc->pit));
}

static uint8_t p61_read(struct pc *pc, unsigned offset)
{
    (void)offset;
    return i8254_read_port61(pc->pit, pc_now(pc));
}

static void p61_write(struct pc *pc, unsigned offset, uint8_t value)
{
    (void)offset;
    i8254_write_port61(pc->pit, value, pc_now(pc));
}

static uint8_t kbc_data_read(struct pc *pc, unsigned offset) { (void)offset; return i8042_read(pc->kbc, 0); }
static void kbc_data_write(struct pc *pc, unsigned offset, uint8_t v) { (void)offset; i8042_write(pc->kbc, 0, v); }
static uint8_t kbc_status_read(struct pc *pc, unsigned offset) { (void)offset; return i8042_read(pc->kbc, 1); }
static void kbc_command_write(struct pc *pc, unsigned offset, uint8_t v) { (void)offset; i8042_write(pc->kbc, 1, v); }
static uint8_t p92_read(struct pc *pc, unsigned offset) { (void)offset; return i8042_read_port92(pc->kbc); }
static void p92_write(struct pc *pc, unsigned offset, uint8_t v) { (void)offset; i8042_write_port92(pc->kbc, v); }
static uint8_t rtc_port_read(struct pc *pc, unsigned offset) { return rtc_read(pc->rtc, offset, pc_now(pc)); }

static void rtc_port_write(struct pc *pc, unsigned offset, uint8_t value)
{
    rtc_write(pc->rtc, offset, value, pc_now(pc));
    pc_deadline_moved(pc, rtc_deadline(pc->rtc));
}

static uint8_t com1_read(struct pc *pc, unsigned offset) { return uart16550_read(pc->uart[0], offset); }
static void com1_write(struct pc *pc, unsigned offset, uint8_t v) { uart16550_write(pc->uart[0], offset, v); }
static uint8_t com2_read(struct pc *pc, unsigned offset) { return uart16550_read(pc->uart[1], offset); }
static void com2_write(struct pc *pc, unsigned offset, uint8_t v) { uart16550_write(pc->uart[1], offset, v); }

static uint8_t exit_read(struct pc *pc, unsigned offset)
{
    (void)pc;
    (void)offset;
    return 0;
}

static void exit_write(struct pc *pc, unsigned offset, uint8_t value)
{
    (void)offset;
    raise_event(pc, PC_EVENT_EXIT, value);
}

static const struct byte_ports byte_ports[PC_BYTE_DEVICES] = {
    { 0x020, 2, pic_master_read, pic_master_write },
    { 0x0a0, 2, pic_slave_read, pic_slave_write },
    { 0x4d0, 2, elcr_read, elcr_write },
    { 0x040, 4, pit_read, pit_write },
    { 0x061, 1, p61_read, p61_write },
    { 0x060, 1, kbc_data_read, kbc_data_write },
    { 0x064, 1, kbc_status_read, kbc_command_write },
    { 0x092, 1, p92_read, p92_write },
    { 0x070, 2, rtc_port_read, rtc_port_write },
    { 0x3f8, 8, com1_read, com1_write },
    { 0x2f8, 8, com2_read, com2_write },
    { 0x0f0, 2, pc_fpu_read, pc_fpu_write },
    { 0x0f4, 1, exit_read, exit_write }, /* last: only with debug_exit */
};

static uint32_t read_bytes(void *device, uint32_t offset, unsigned size)
{
    const struct pc_port_binding *b = device;
    uint32_t value = 0;

    for (unsigned i = 0; i < size; i++)
        value |= (uint32_t)b->ports->read(b->pc, offset + i) << 8 * i;
    return value;
}

static void write_bytes(void *device, uint32_t offset, unsigned size, uint32_t value)
{
    const struct pc_port_binding *b = device;

    for (unsigned i = 0; i < size; i++)
        b->ports->write(b->pc, offset + i, (uint8_t)(value >> 8 * i));
}

/* 0xCF8..0xCFF, with the PIIX3's reset control among them at 0xCF9. */
static uint32_t read_pci(void *device, uint32_t offset, unsigned size)
{
    struct pc *pc = device;

    if (offset == RESET_CONTROL && size == 1)
        return pc->reset_control;
    return pci_bus_read(pc->pci, offset, size);
}

static void write_pci(void *device, uint32_t offset, unsigned size, uint32_t value)
{
    struct pc *pc = device;

    if (offset == RESET_CONTROL && size == 1) {
        if ((value & RESET_CPU) && !(pc->reset_control & RESET_CPU))
            raise_event(pc, PC_EVENT_RESET, 0);
        pc->reset_control = value & 0x02;
        return;
    }
    pci_bus_write(pc->pci, offset, size, value);
}

static bool map_ports(struct pc *pc)
{
    static const struct io_ops byte_ops = { .read = read_bytes, .write = write_bytes };
    static const struct io_ops pci_ops = { .read = read_pci, .write = write_pci };
    unsigned count = PC_BYTE_DEVICES - (pc->config.debug_exit ? 0 : 1);

    if (!pc_isa_map_ports(pc))
        return false;
    for (unsigned i = 0; i < count; i++) {
        pc->binding[i] = (struct pc_port_binding){ pc, &byte_ports[i] };
        if (io_bus_map_ports(pc->config.io, byte_ports[i].first, byte_ports[i].count, &byte_ops, &pc->binding[i]))
            return false;
    }
    return io_bus_map_ports(pc->config.io, PORT_CONFIG, PORT_CONFIG_COUNT, &pci_ops, pc) == 0 && pc_acpi_map_ports(pc);
}

/* --- creation --- */

static bool create_devices(struct pc *pc)
{
    static const unsigned serial_irq[PC_SERIAL_PORTS] = { IRQ_COM1, IRQ_COM2 };
    const struct irq_line timer = { set_irq, pc, IRQ_TIMER }, rtc = { set_irq, pc, IRQ_RTC },
                          keyboard = { set_irq, pc, IRQ_KEYBOARD };
    const struct i8042_host kbc_host = { pc, on_a20, on_reset_line };
    uint64_t now = pc_now(pc);

    pc->pic = i8259_new(on_intr, pc);
    if (!pc->pic)
        return false;
    pc->pit = i8254_new(&timer, now);
    pc->rtc = rtc_new(&rtc, phys_ram_size(pc->config.phys), pc->config.wall_seconds, now);
    pc->kbc = i8042_new(&keyboard, &kbc_host);
    for (unsigned i = 0; i < PC_SERIAL_PORTS; i++) {
        const struct irq_line irq = { set_irq, pc, serial_irq[i] };
        pc->serial[i] = (struct pc_serial){ pc, i };
        pc->uart[i] = uart16550_new(&irq, on_serial, &pc->serial[i]);
    }
    pc->pci = pci_bus_new(set_irq, pc);
    pc->chipset = pc->pci ? chipset_new(pc->pci) : NULL;
    pc->pm = acpi_pm_new(on_power_off, pc);
    return pc->pit && pc->rtc && pc->kbc && pc->uart[0] && pc->uart[1] && pc->chipset && pc->pm;
}

struct pc *pc_new(const struct pc_config *config)
{
    struct pc *pc = calloc(1, sizeof *pc);

    if (!pc)
        return NULL;
    pc->config = *config;
    pc->has_near_clock = !pc->config.clock;
    if (!pc->config.clock)
        pc->config.clock = monotonic_clock;
    pc->announced = pc->attend_from = PC_NEVER;
    pc->serviced_at = pc_now(pc);
    if (!create_devices(pc) || !map_ports(pc)) {
        pc_free(pc);
        return NULL;
    }
    for (unsigned i = 0; i < PCI_PIRQS; i++)
        pc->elcr[pirq_routes[i] >> 3] |= (uint8_t)(1u << (pirq_routes[i] & 7));
    phys_set_hole(config->phys, VGA_WINDOW, ROM_AREA - VGA_WINDOW, true);
    phys_set_readonly(config->phys, ROM_AREA, ROM_AREA_END - ROM_AREA, true);
    return pc;
}

void pc_free(struct pc *pc)
{
    if (!pc)
        return;
    for (unsigned i = 0; i < pc->nic_count; i++)
        pc_nic_free(pc->nic[i]);
    acpi_pm_free(pc->pm);
    chipset_free(pc->chipset);
    pci_bus_free(pc->pci);
    for (unsigned i = 0; i < PC_SERIAL_PORTS; i++)
        uart16550_free(pc->uart[i]);
    i8042_free(pc->kbc);
    rtc_free(pc->rtc);
    i8254_free(pc->pit);
    i8259_free(pc->pic);
    free(pc);
}

/* --- boots --- */

/* Power-on, and then what firmware leaves behind for an operating system. */
static bool power_on(struct pc *pc, char *error, size_t error_size)
{
    const struct irq_line to_pic = { set_irq, pc, 0 };
    uint64_t now = pc_now(pc);

    i8259_reset(pc->pic);
    i8254_reset(pc->pit, now);
    rtc_reset(pc->rtc, now);
    i8042_reset(pc->kbc);
    pc_fpu_reset(pc);
    for (unsigned i = 0; i < PC_SERIAL_PORTS; i++)
        uart16550_reset(pc->uart[i]);
    pci_bus_reset(pc->pci);
    for (unsigned i = 0; i < pc->nic_count; i++)
        pc_nic_reset(pc->nic[i], now);
    pc->event = PC_EVENT_NONE;
    pc->reset_control = 0;

    chipset_route(pc->chipset, pirq_routes);
    for (unsigned chip = 0; chip < 2; chip++)
        i8259_write_elcr(pc->pic, chip, pc->elcr[chip]);
    if (!pc_acpi_power_on(pc, &to_pic, pirq_routes)) {
        boot_error(error, error_size, "the guest has too little RAM");
        return false;
    }
    if (pci_bus_assign(pc->pci))
        return true;
    boot_error(error, error_size, "the PCI devices need more address space than there is");
    return false;
}

bool pc_boot_linux(struct pc *pc, const struct boot_linux_files *files, char *error, size_t error_size)
{
    cpu_reset(pc->config.cpu);
    return power_on(pc, error, error_size) && boot_linux_load(pc->config.phys, pc->config.cpu, files, error, error_size);
}

bool pc_boot_multiboot(struct pc *pc, const struct boot_multiboot_files *files, char *error, size_t error_size)
{
    cpu_reset(pc->config.cpu);
    return power_on(pc, error, error_size) &&
           boot_multiboot_load(pc->config.phys, pc->config.cpu, files, error, error_size);
}
