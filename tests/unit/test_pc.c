/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The machine put together, driven through its ports as a kernel would, with
 * a NIC that is none of nicemu's.
 */
#include "tests/fake/fake_nic.h"
#include "tests/unit/unit.h"
#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/phys.h"
#include "x86vm/pc/boot_multiboot.h"
#include "x86vm/pc/pc.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#define MS 1000000ull

/* --- the machine under test --- */

static struct cpu *cpu;
static struct phys *phys;
static struct io_bus *io;
static struct pc *pc;
static uint64_t now;
static bool intr;
static unsigned attentions;
static char output[64], log_line[256], error[256];
static size_t output_size, frames_sent;

static uint64_t on_clock(void *opaque) { (void)opaque; return now; }
static void on_intr(void *opaque, bool level) { (void)opaque; intr = level; }
static void on_attention(void *opaque) { (void)opaque; attentions++; }

static void on_output(void *opaque, unsigned port, uint8_t byte)
{
    (void)opaque;
    if (port == 0 && output_size < sizeof output - 1)
        output[output_size++] = (char)byte;
}

static void on_log(void *opaque, const char *line)
{
    (void)opaque;
    snprintf(log_line, sizeof log_line, "%s", line);
}

static bool on_send(void *opaque, const void *frame, size_t size, const struct nic_offload *offload)
{
    (void)opaque;
    (void)frame;
    (void)size;
    (void)offload;
    frames_sent++;
    return true;
}

static const struct pc_link link_ops = { .send = on_send };

static void boot(void)
{
    struct { Elf32_Ehdr header; Elf32_Phdr segment; uint32_t multiboot[3]; uint8_t text[16]; } image = {
        .header = { .e_type = ET_EXEC, .e_machine = EM_386, .e_entry = 0x100000, .e_phentsize = sizeof(Elf32_Phdr),
                    .e_phoff = sizeof(Elf32_Ehdr), .e_phnum = 1 },
        .segment = { .p_type = PT_LOAD, .p_offset = 96, .p_paddr = 0x100000, .p_filesz = 16, .p_memsz = 16 },
        .multiboot = { 0x1badb002, 0, -0x1badb002u },
    };
    memcpy(image.header.e_ident, ELFMAG "\1\1\1", 7);
    CU_ASSERT_TRUE_FATAL(pc_boot_multiboot(pc, &(struct boot_multiboot_files){ .image = (const uint8_t *)&image,
                                           .image_size = sizeof image }, error, sizeof error));
}

static void setup(bool debug_exit)
{
    struct pc_config config = { .debug_exit = debug_exit, .clock = on_clock, .set_intr = on_intr,
                                .attention = on_attention, .serial_output = on_output, .log = on_log };

    now = 1000 * MS;
    intr = false;
    attentions = 0;
    output_size = frames_sent = 0;
    memset(output, 0, sizeof output);
    config.cpu = cpu = calloc(1, sizeof *cpu);
    config.phys = phys = phys_new(16u << 20);
    config.io = io = io_bus_new();
    cpu_reset(cpu);
    pc = pc_new(&config);
}

static void teardown(void)
{
    pc_free(pc);
    io_bus_free(io);
    phys_free(phys);
    free(cpu);
}

static void out(uint16_t port, uint8_t value) { io_port_write(io, port, 1, value); }
static uint8_t in(uint16_t port) { return (uint8_t)io_port_read(io, port, 1); }

static void init_pics(void)
{
    static const uint8_t sequence[][4] = { { 0x11, 0x30, 4, 1 }, { 0x11, 0x38, 2, 1 } };

    for (unsigned chip = 0; chip < 2; chip++)
        for (unsigned i = 0; i < 4; i++)
            out((uint16_t)((chip ? 0xa0 : 0x20) + (i > 0)), sequence[chip][i]);
    out(0x21, 0);
    out(0xa1, 0);
}

static void test_timer_interrupt(void)
{
    setup(false);
    boot();
    init_pics();
    CU_ASSERT_EQUAL(pc_next_deadline(pc, true), PC_NEVER);
    attentions = 0;
    io_port_write(io, 0x43, 1, 0x34);
    io_port_write(io, 0x40, 1, 0xa4);
    io_port_write(io, 0x40, 1, 0x12);
    CU_ASSERT_EQUAL(attentions, 1); /* the deadline came nearer: the run loop is told, once */
    now = pc_next_deadline(pc, true);
    CU_ASSERT_TRUE(now > 1003 * MS && now < 1005 * MS);
    CU_ASSERT_FALSE(intr);
    pc_service(pc, now);
    CU_ASSERT_TRUE(intr);
    CU_ASSERT_EQUAL(pc_acknowledge(pc), 0x30);
    CU_ASSERT_FALSE(intr);
    out(0x20, 0x20);
    teardown();
}

/* FERR#, IRQ 13, port F0h, IGNNE#. */
static void test_fpu_error(void)
{
    setup(false);
    boot();
    init_pics();
    out(0xf0, 0);
    CU_ASSERT_FALSE(cpu->ignne); /* there is none */
    pc_fpu_error(pc);
    CU_ASSERT_TRUE(intr);
    CU_ASSERT_EQUAL(pc_acknowledge(pc), 0x38 + 5);
    out(0xa0, 0x20), out(0x20, 0x20);
    CU_ASSERT_FALSE(intr);
    pc_fpu_error(pc); /* an edge: as long as nobody has answered, it is the same */
    CU_ASSERT_FALSE(intr);
    out(0xf1, 0);
    CU_ASSERT_FALSE(cpu->ignne);
    attentions = 0;
    out(0xf0, 0);
    CU_ASSERT_TRUE(cpu->ignne && attentions == 1);
    cpu->ignne = false;
    out(0xf0, 0);
    CU_ASSERT_FALSE(cpu->ignne);
    pc_fpu_error(pc);
    CU_ASSERT_TRUE(intr);
    boot();
    init_pics();
    out(0xf0, 0);
    CU_ASSERT_FALSE(intr || cpu->ignne);
    teardown();
}

static void test_idle_timer(void)
{
    unsigned ticks = 0;

    setup(false);
    boot();
    init_pics();
    io_port_write(io, 0x43, 1, 0x34);
    io_port_write(io, 0x40, 1, 0xa4);
    io_port_write(io, 0x40, 1, 0x12);
    CU_ASSERT_FALSE(pc_take_stirred(pc));
    now = pc_idle_deadline(pc, 20 * MS);
    CU_ASSERT_TRUE(now > 1023 * MS && now < 1025 * MS);
    pc_service(pc, now);
    while (intr && ticks < 100) {
        CU_ASSERT_EQUAL(pc_acknowledge(pc), 0x30);
        CU_ASSERT_FALSE(intr);
        ticks++;
        if (ticks & 1) { /* as Linux: masked and acknowledged, then unmasked */
            out(0x21, 1);
            out(0x20, 0x60);
            CU_ASSERT_FALSE(intr);
            out(0x21, 0);
        } else {
            out(0x20, 0x20);
        }
    }
    CU_ASSERT_EQUAL(ticks, 6); /* each by itself */
    CU_ASSERT_FALSE(pc_take_stirred(pc));
    io_port_write(io, 0x70, 1, 0x0b); /* the RTC's periodic interrupt is not the timer's */
    io_port_write(io, 0x71, 1, 0x42);
    CU_ASSERT_TRUE(intr);
    CU_ASSERT_EQUAL(pc_acknowledge(pc), 0x38);
    CU_ASSERT_TRUE(pc_take_stirred(pc));
    CU_ASSERT_FALSE(pc_take_stirred(pc));
    teardown();
}

static void test_wide_port_access(void)
{
    setup(false);
    boot();
    io_port_write(io, 0x20, 2, 0x0011); /* both ports of the PIC in one go: ICW1, then ICW2 = 0 */
    CU_ASSERT_EQUAL(io_port_read(io, 0x64, 1) & 0x10, 0x10);
    CU_ASSERT_EQUAL(io_port_read(io, 0x999, 4), 0xffffffff);
    CU_ASSERT_EQUAL(in(0x3c0), 0xff); /* no VGA */
    out(0x80, 0x55);
    out(0xed, 0x55);
    teardown();
}

static void test_serial(void)
{
    setup(false);
    boot();
    out(0x3f8, 'o');
    out(0x3f8, 'k');
    out(0x2f8, '!');
    CU_ASSERT_STRING_EQUAL(output, "ok");
    CU_ASSERT_EQUAL(pc_serial_input(pc, 0, "x", 1), 1);
    CU_ASSERT_EQUAL(in(0x3fd) & 1, 1);
    CU_ASSERT_EQUAL(in(0x3f8), 'x');
    CU_ASSERT_TRUE(pc_serial_room(pc, 0) > 0);
    teardown();
}

static uint32_t config_read(unsigned slot, unsigned offset)
{
    io_port_write(io, 0xcf8, 4, 0x80000000 | slot << 11 | offset);
    return io_port_read(io, 0xcfc, 4);
}

static struct pc_nic *add_nic(const char *model)
{
    const struct pc_nic_config config = { .model = model, .mac = { 2, 0, 0, 0, 0, 1 } };

    return pc_add_nic(pc, &config, &link_ops, error, sizeof error);
}

static void test_pci_nic(void)
{
    struct pc_nic *nic;
    uint32_t bar0, bar1, value = 0x11223344;
    uint8_t irq, byte;

    setup(false);
    nic = add_nic("fake-pci");
    CU_ASSERT_PTR_NOT_NULL_FATAL(nic);
    boot();
    init_pics();
    CU_ASSERT_EQUAL(fake_nic_last->resets, 1);
    CU_ASSERT_EQUAL(config_read(2, 0), 0x56781234);
    bar0 = config_read(2, 0x10);
    bar1 = config_read(2, 0x14) & ~3u;
    irq = (uint8_t)config_read(2, 0x3c);
    io_mmio_write(io, bar0 + 0x40, &value, 4);
    CU_ASSERT_EQUAL(fake_nic_last->reg, 0x11223344);
    CU_ASSERT_EQUAL(fake_nic_last->last_offset, 0x40);
    CU_ASSERT_EQUAL(io_port_read(io, (uint16_t)(bar1 + 4), 2), 0x3344);
    CU_ASSERT_EQUAL(fake_nic_last->last_bar, 1);
    fake_nic_last->host.set_irq(fake_nic_last->host.opaque, true);
    fake_nic_last->host.set_irq(fake_nic_last->host.opaque, true);
    CU_ASSERT_TRUE(intr);
    CU_ASSERT_EQUAL(pc_acknowledge(pc), 0x30 + irq);
    out(0xa0, 0x20);
    out(0x20, 0x20);
    CU_ASSERT_TRUE(intr); /* level-triggered */
    fake_nic_last->host.set_irq(fake_nic_last->host.opaque, false);
    CU_ASSERT_FALSE(intr);

    CU_ASSERT_TRUE(fake_nic_last->host.dma_write(fake_nic_last->host.opaque, 0x5000, "x", 1));
    CU_ASSERT_TRUE(fake_nic_last->host.dma_read(fake_nic_last->host.opaque, 0x5000, &byte, 1));
    CU_ASSERT_FALSE(fake_nic_last->host.dma_write(fake_nic_last->host.opaque, bar0, "x", 1)); /* its own registers */
    CU_ASSERT_FALSE(fake_nic_last->host.dma_write(fake_nic_last->host.opaque, 0xf0000, "x", 1));
    CU_ASSERT_FALSE(fake_nic_last->host.dma_read(fake_nic_last->host.opaque, UINT64_MAX - 1, &byte, 1));
    io_port_write(io, 0xcf8, 4, 0x80000000 | 2 << 11 | 4);
    io_port_write(io, 0xcfc, 2, 0x0001); /* decoding of memory and bus mastering off */
    CU_ASSERT_FALSE(fake_nic_last->host.dma_write(fake_nic_last->host.opaque, 0x5000, "x", 1));
    value = 0;
    io_mmio_read(io, bar0 + 0x40, &value, 4);
    CU_ASSERT_EQUAL(value, 0xffffffff);

    CU_ASSERT_TRUE(fake_nic_last->host.send_frame(fake_nic_last->host.opaque, "frame", 5, NULL));
    fake_nic_last->host.send_flush(fake_nic_last->host.opaque);
    CU_ASSERT_EQUAL(frames_sent, 1);
    CU_ASSERT_EQUAL(pc_nic_receive(nic, "frame", 5, NULL), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(fake_nic_last->received, 5);
    fake_nic_last->host.guest_error(fake_nic_last->host.opaque, "bad %d", 7);
    CU_ASSERT_PTR_NOT_NULL(strstr(log_line, "bad 7"));
    teardown();
}

static void test_nic_timer(void)
{
    setup(false);
    CU_ASSERT_PTR_NOT_NULL_FATAL(add_nic("fake-pci"));
    boot();
    pc_next_deadline(pc, true);
    attentions = 0;
    fake_nic_last->host.set_timer(fake_nic_last->host.opaque, now + 50);
    CU_ASSERT_EQUAL(attentions, 1);
    CU_ASSERT_EQUAL(pc_next_deadline(pc, true), now + 50);
    uint64_t later = pc_next_deadline(pc, false); /* a running driver may come by itself */
    CU_ASSERT_TRUE(later > now + 50 && later < now + 1000000);
    pc_service(pc, now + 49);
    CU_ASSERT_EQUAL(fake_nic_last->timers, 0);
    pc_service(pc, now + 50);
    pc_service(pc, now + 60);
    CU_ASSERT_EQUAL(fake_nic_last->timers, 1);
    fake_nic_last->host.set_timer(fake_nic_last->host.opaque, now + 100);
    fake_nic_last->host.set_timer(fake_nic_last->host.opaque, 0);
    pc_service(pc, now + 200);
    CU_ASSERT_EQUAL(fake_nic_last->timers, 1);
    teardown();
}

static void test_isa_nics(void)
{
    struct nic *first;

    setup(false);
    CU_ASSERT_PTR_NOT_NULL_FATAL(add_nic("fake-isa"));
    first = fake_nic_last;
    CU_ASSERT_PTR_NOT_NULL_FATAL(add_nic("fake-isa"));
    boot();
    init_pics();
    out(0x305, 1);
    out(0x326, 2);
    CU_ASSERT_EQUAL(first->last_offset, 5);
    CU_ASSERT_EQUAL(first->reg, 1);
    CU_ASSERT_EQUAL(fake_nic_last->last_offset, 6);
    first->host.set_irq(first->host.opaque, true);
    CU_ASSERT_EQUAL(pc_acknowledge(pc), 0x39);
    fake_nic_last->host.set_irq(fake_nic_last->host.opaque, true);
    out(0xa0, 0x20);
    out(0x20, 0x20);
    CU_ASSERT_EQUAL(pc_acknowledge(pc), 0x35);
    CU_ASSERT_PTR_NULL(add_nic("tulip"));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "tulip"));
    teardown();
}

static void test_reset_requests(void)
{
    static const struct { uint16_t port; uint8_t value; } requests[] = { { 0x64, 0xfe }, { 0x92, 1 }, { 0xcf9, 6 } };
    uint8_t code;

    for (unsigned i = 0; i < 3; i++) {
        setup(false);
        boot();
        CU_ASSERT_EQUAL(pc_take_event(pc, &code), PC_EVENT_NONE);
        attentions = 0;
        out(requests[i].port, requests[i].value);
        CU_ASSERT_EQUAL(attentions, 1);
        CU_ASSERT_EQUAL(pc_take_event(pc, &code), PC_EVENT_RESET);
        CU_ASSERT_EQUAL(pc_take_event(pc, &code), PC_EVENT_NONE);
        teardown();
    }
}

static void test_debug_exit(void)
{
    uint8_t code = 0;

    setup(false);
    out(0xf4, 7);
    CU_ASSERT_EQUAL(pc_take_event(pc, &code), PC_EVENT_NONE);
    teardown();
    setup(true);
    out(0xf4, 7);
    CU_ASSERT_EQUAL(pc_take_event(pc, &code), PC_EVENT_EXIT);
    CU_ASSERT_EQUAL(code, 7);
    teardown();
}

/* ACPI: the SCI reaches the PIC where the FADT says, apart from an ISA card's input; S5 ends the machine. */
static void test_acpi(void)
{
    uint8_t fadt[48], code;

    for (unsigned isa = 0; isa < 2; isa++) {
        setup(false);
        if (isa)
            CU_ASSERT_PTR_NOT_NULL(add_nic("fake-isa"));
        boot();
        CU_ASSERT_TRUE(phys_dma_read(phys, 0xf0060, fadt, sizeof fadt));
        CU_ASSERT_EQUAL(memcmp(fadt, "FACP", 4), 0);
        CU_ASSERT_EQUAL(fadt[46], isa ? 10 : 9);
        CU_ASSERT_FALSE(phys_is_writable(phys, 0xf0000));
        init_pics();
        out(0x4d1, 0x0e);
        CU_ASSERT_FALSE(pc_press_power_button(pc));
        CU_ASSERT_FALSE(intr);
        io_port_write(io, 0x602, 2, 0x100);
        CU_ASSERT_TRUE(pc_press_power_button(pc));
        CU_ASSERT_TRUE(intr);
        CU_ASSERT_EQUAL(pc_acknowledge(pc), 0x38 + fadt[46] - 8);
        CU_ASSERT_EQUAL(pc_take_event(pc, &code), PC_EVENT_NONE);
        io_port_write(io, 0x604, 2, 0x2000);
        CU_ASSERT_EQUAL(pc_take_event(pc, &code), PC_EVENT_POWER_OFF);
        now += 1000 * MS;
        CU_ASSERT_EQUAL(io_port_read(io, 0x608, 4), 3579545);
        teardown();
    }
}

static void test_a20(void)
{
    setup(false);
    boot();
    CU_ASSERT_TRUE(phys_a20(phys));
    out(0x92, 0);
    CU_ASSERT_FALSE(phys_a20(phys));
    out(0x92, 2);
    CU_ASSERT_TRUE(phys_a20(phys));
    CU_ASSERT_FALSE(phys_is_ram(phys, 0xb8000));
    CU_ASSERT_FALSE(phys_is_writable(phys, 0xf0000));
    CU_ASSERT_TRUE(phys_is_ram(phys, 0xf0000));
    teardown();
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "timer interrupt", test_timer_interrupt },
        { "x87 errors", test_fpu_error },
        { "idle timer", test_idle_timer },
        { "wide port access", test_wide_port_access },
        { "serial", test_serial },
        { "pci nic", test_pci_nic },
        { "nic timer", test_nic_timer },
        { "isa nics", test_isa_nics },
        { "reset requests", test_reset_requests },
        { "debug exit", test_debug_exit },
        { "acpi", test_acpi },
        { "a20", test_a20 },
        CU_TEST_INFO_NULL,
    };

    return unit_run("pc", tests);
}
