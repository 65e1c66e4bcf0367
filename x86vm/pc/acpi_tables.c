/* SPDX-License-Identifier: BSD-2-Clause
 *
 * ACPI tables: see acpi_tables.h; layouts by the ACPI specification 1.0b,
 * chapters 5.2 (tables), 6.4 (resources) and 15 (AML). The DSDT has names and packages,
 * and one method, for PME#: its constant parts are AML bytes, its lengths are filled in here.
 */
#include "x86vm/pc/acpi_tables.h"

#include "x86vm/pc/acpi_pm.h"

#include <string.h>

enum { HEADER_SIZE = 36, RSDP_SIZE = 20, RSDT_SIZE = HEADER_SIZE + 4, FADT_SIZE = 116 };
enum { AT_RSDT = 0x20, AT_FADT = 0x60, AT_DSDT = 0x100 }; /* in the ROM area */
enum { CENTURY_IN_CMOS = 0x32 };
enum { FLAG_WBINVD = 0x01, FLAG_PROC_C1 = 0x04, FLAG_NO_SLEEP_BUTTON = 0x20, FLAG_NO_RTC_WAKE = 0x40 };
enum { NO_C2 = 0x65, NO_C3 = 0x3e9 }; /* latencies that say so */

static void put16(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)value;
    p[1] = (uint8_t)(value >> 8);
}

static void put32(uint8_t *p, uint32_t value)
{
    put16(p, value);
    put16(p + 2, value >> 16);
}

static uint8_t checksum(const uint8_t *p, size_t size)
{
    uint8_t sum = 0;

    while (size--)
        sum = (uint8_t)(sum + *p++);
    return (uint8_t)-sum;
}

/* Last of all: the sum covers everything. */
static void finish_table(uint8_t *table, const char *signature, uint32_t size)
{
    memcpy(table, signature, 4);
    put32(table + 4, size);
    table[8] = 1; /* revision */
    memcpy(table + 10, "VSWTCH" "VSWITCH ", 14);
    put32(table + 24, 1);
    memcpy(table + 28, "VSWT", 4);
    put32(table + 32, 1);
    table[9] = 0;
    table[9] = checksum(table, size);
}

/* --- AML --- */

struct aml {
    uint8_t *bytes;
    size_t used, size;
};

static void emit(struct aml *aml, const void *bytes, size_t size)
{
    if (aml->used + size <= aml->size)
        memcpy(aml->bytes + aml->used, bytes, size);
    aml->used += size;
}

/* A term with a PkgLength, of two bytes: `opcode` before it, `after` behind. */
static size_t open_term(struct aml *aml, const char *opcode, size_t opcode_size, const char *after, size_t after_size)
{
    size_t at;

    emit(aml, opcode, opcode_size);
    at = aml->used;
    emit(aml, "\0", 2);
    emit(aml, after, after_size);
    return at;
}

static void close_term(struct aml *aml, size_t at)
{
    size_t length = aml->used - at;

    if (at + 2 > aml->size || length >= 1u << 12)
        aml->used = SIZE_MAX / 2; /* does not fit */
    else
        put16(aml->bytes + at, (uint32_t)(0x40 | (length & 15) | (length >> 4) << 8));
}

#define OPEN(aml, opcode, after) open_term(aml, opcode, sizeof opcode - 1, after, sizeof after - 1)
#define EMIT(aml, literal) emit(aml, literal, sizeof literal - 1)

#define OP_SCOPE "\x10"
#define OP_DEVICE "\x5b\x82"
#define OP_PACKAGE "\x12"
#define OP_NAME "\x08"
#define OP_METHOD "\x14"
#define OP_NOTIFY "\x86"
#define HID(code) OP_NAME "_HID" "\x0c" "\x41\xd0" code /* EISA identity "PNP" and four digits */

/* Name(_CRS, Buffer): resources shorter than 60 bytes. */
static void emit_resources(struct aml *aml, const char *resources, size_t size)
{
    uint8_t head[] = { 0x11, (uint8_t)(size + 5), 0x0a, (uint8_t)(size + 2) };

    EMIT(aml, OP_NAME "_CRS");
    emit(aml, head, sizeof head);
    emit(aml, resources, size);
    EMIT(aml, "\x79\0");
}

#define IO(low, high, count) "\x47\x01" low high low high "\x01" count
#define IRQ(low, high) "\x22" low high
#define RESOURCES(aml, literal) emit_resources(aml, literal, sizeof literal - 1)

/* What the bridge passes on: buses, ports but its own, the VGA window, the PCI hole. */
static void emit_bridge_resources(struct aml *aml)
{
    static const char windows[] =
        "\x88\x0d\0\x02\x0c\0" "\0\0" "\0\0" "\xff\0" "\0\0" "\0\x01"
        "\x47\x01\xf8\x0c\xf8\x0c\x01\x08"
        "\x88\x0d\0\x01\x0c\x03" "\0\0" "\0\0" "\xf7\x0c" "\0\0" "\xf8\x0c"
        "\x88\x0d\0\x01\x0c\x03" "\0\0" "\0\x0d" "\xff\xff" "\0\0" "\0\xf3"
        "\x87\x17\0\0\x0c\x03" "\0\0\0\0" "\0\0\x0a\0" "\xff\xff\x0b\0" "\0\0\0\0" "\0\0\x02\0"
        "\x87\x17\0\0\x0c\x01" "\0\0\0\0" "\0\0\0\xe0" "\xff\xff\xbf\xfe" "\0\0\0\0" "\0\0\xc0\x1e"
        "\x79";
    const uint8_t size = sizeof windows; /* with its terminator: the end tag's checksum 0 */
    size_t buffer;

    EMIT(aml, OP_NAME "_CRS");
    buffer = OPEN(aml, "\x11", "\x0a");
    emit(aml, &size, 1);
    emit(aml, windows, size);
    close_term(aml, buffer);
}

static void emit_serial(struct aml *aml, const char *name, uint8_t number, uint16_t port, uint8_t irq)
{
    uint8_t uid[] = { 8, '_', 'U', 'I', 'D', 0x0a, number };
    uint8_t resources[] = { 0x47, 1, (uint8_t)port, (uint8_t)(port >> 8), (uint8_t)port, (uint8_t)(port >> 8), 1, 8,
                            0x22, (uint8_t)(1u << irq), 0 };
    size_t device = open_term(aml, OP_DEVICE, 2, name, 4);

    EMIT(aml, HID("\x05\x01"));
    emit(aml, uid, sizeof uid);
    emit_resources(aml, (const char *)resources, sizeof resources);
    close_term(aml, device);
}

static void emit_board(struct aml *aml, uint16_t pm_port)
{
    uint8_t board[] = { 0x47, 1, (uint8_t)pm_port, (uint8_t)(pm_port >> 8), (uint8_t)pm_port, (uint8_t)(pm_port >> 8),
                        1, ACPI_PM_PORTS, 0x47, 1, 0xd0, 4, 0xd0, 4, 1, 2 };
    size_t bridge = OPEN(aml, OP_DEVICE, "ISA_"), device;

    EMIT(aml, OP_NAME "_ADR" "\x0c\0\0\x01\0"); /* device 1, function 0 */
    device = OPEN(aml, OP_DEVICE, "KBD_");
    EMIT(aml, HID("\x03\x03"));
    RESOURCES(aml, IO("\x60", "\0", "\x01") IO("\x64", "\0", "\x01") IRQ("\x02", "\0"));
    close_term(aml, device);
    emit_serial(aml, "COM1", 1, 0x3f8, 4);
    emit_serial(aml, "COM2", 2, 0x2f8, 3);
    device = OPEN(aml, OP_DEVICE, "RTC_");
    EMIT(aml, HID("\x0b\0"));
    RESOURCES(aml, IO("\x70", "\0", "\x02") IRQ("\0", "\x01"));
    close_term(aml, device);
    device = OPEN(aml, OP_DEVICE, "MBRD");
    EMIT(aml, HID("\x0c\x02"));
    emit_resources(aml, (const char *)board, sizeof board);
    close_term(aml, device);
    close_term(aml, bridge);
}

/* INTA of every slot, as the PIIX3's routes are set at power-on: { slot << 16 | any function, pin, 0, input }. */
static void emit_routing(struct aml *aml, const uint8_t pirq_irq[PCI_PIRQS])
{
    static const char count[] = { PCI_SLOTS };
    size_t table;

    EMIT(aml, OP_NAME "_PRT");
    table = open_term(aml, OP_PACKAGE, 1, count, 1);
    for (unsigned slot = 0; slot < PCI_SLOTS; slot++) {
        uint8_t entry[] = { 0x12, 0x0b, 4, 0x0c, 0xff, 0xff, (uint8_t)slot, 0, 0, 0, 0x0a,
                            pirq_irq[pci_bus_pirq(slot)] };
        emit(aml, entry, sizeof entry);
    }
    close_term(aml, table);
}

/* PME# is an event of the bridge: whoever drives it looks which card it was. */
static void emit_pme(struct aml *aml)
{
    static const char head[] = { '_', 'L', '0', 'B', 0 }; /* a level; the digits are the event's, no arguments */
    size_t scope = OPEN(aml, OP_SCOPE, "\\_GPE"), method = open_term(aml, OP_METHOD, 1, head, sizeof head);

    EMIT(aml, OP_NOTIFY "\\\x2e_SB_PCI0" "\x0a\x02"); /* 2: a device wake */
    close_term(aml, method);
    close_term(aml, scope);
}

static void emit_dsdt(struct aml *aml, const struct acpi_tables_config *config)
{
    static const uint8_t off[] = { 8, '_', 'S', '5', '_', 0x12, 8, 4, 0x0a, ACPI_PM_SLEEP_TYPE_OFF, 0x0a,
                                   ACPI_PM_SLEEP_TYPE_OFF, 0, 0 };
    static const uint8_t standby[] = { 8, '_', 'S', '1', '_', 0x12, 8, 4, 0x0a, ACPI_PM_SLEEP_TYPE_S1, 0x0a,
                                       ACPI_PM_SLEEP_TYPE_S1, 0, 0 };
    static const uint8_t wake[] = { 8, '_', 'P', 'R', 'W', 0x12, 6, 2, 0x0a, ACPI_PM_GPE_PME, 0x0a, 1 /* from S1 */ };
    size_t scope, bridge;

    emit(aml, standby, sizeof standby);
    emit(aml, off, sizeof off);
    scope = OPEN(aml, OP_SCOPE, "_SB_");
    bridge = OPEN(aml, OP_DEVICE, "PCI0");
    EMIT(aml, HID("\x0a\x03") OP_NAME "_ADR\0" OP_NAME "_BBN\0");
    emit_bridge_resources(aml);
    emit(aml, wake, sizeof wake);
    emit_routing(aml, config->pirq_irq);
    emit_board(aml, config->pm_port);
    close_term(aml, bridge);
    close_term(aml, scope);
    emit_pme(aml);
}

_Static_assert(ACPI_PM_GPE_PME == 0x0b, "the method's name");

/* --- tables --- */

static void build_fadt(const struct acpi_tables_config *config, uint8_t *fadt)
{
    put32(fadt + 36, ACPI_TABLES_FACS);
    put32(fadt + 40, ACPI_TABLES_ROM + AT_DSDT);
    put16(fadt + 46, config->sci_irq);
    put32(fadt + 56, config->pm_port + ACPI_PM_EVENT);
    put32(fadt + 64, config->pm_port + ACPI_PM_CONTROL);
    put32(fadt + 76, config->pm_port + ACPI_PM_TIMER);
    put32(fadt + 80, config->pm_port + ACPI_PM_GPE);
    fadt[88] = 4; /* lengths of the four */
    fadt[89] = 2;
    fadt[91] = 4;
    fadt[92] = ACPI_PM_GPE_SIZE;
    put16(fadt + 96, NO_C2);
    put16(fadt + 98, NO_C3);
    fadt[108] = CENTURY_IN_CMOS;
    put32(fadt + 112, FLAG_WBINVD | FLAG_PROC_C1 | FLAG_NO_SLEEP_BUTTON | FLAG_NO_RTC_WAKE);
    finish_table(fadt, "FACP", FADT_SIZE);
}

size_t acpi_tables_build(const struct acpi_tables_config *config, uint8_t rom[ACPI_TABLES_ROM_MAX],
                         uint8_t facs[ACPI_TABLES_FACS_SIZE])
{
    struct aml dsdt = { rom + AT_DSDT, HEADER_SIZE, ACPI_TABLES_ROM_MAX - AT_DSDT };

    memset(rom, 0, ACPI_TABLES_ROM_MAX);
    memset(facs, 0, ACPI_TABLES_FACS_SIZE);
    emit_dsdt(&dsdt, config);
    if (dsdt.used > dsdt.size)
        return 0;
    finish_table(dsdt.bytes, "DSDT", (uint32_t)dsdt.used);
    build_fadt(config, rom + AT_FADT);
    put32(rom + AT_RSDT + HEADER_SIZE, ACPI_TABLES_ROM + AT_FADT);
    finish_table(rom + AT_RSDT, "RSDT", RSDT_SIZE);
    memcpy(rom, "RSD PTR " "\0" "VSWTCH", 15);
    put32(rom + 16, ACPI_TABLES_ROM + AT_RSDT);
    rom[8] = checksum(rom, RSDP_SIZE);
    memcpy(facs, "FACS", 4);
    put32(facs + 4, ACPI_TABLES_FACS_SIZE);
    return AT_DSDT + dsdt.used;
}
