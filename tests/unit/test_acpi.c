/* SPDX-License-Identifier: BSD-2-Clause
 * ACPI's fixed hardware, and the tables: their sums and links, and what ACPICA's
 * disassembler (where it is installed) makes of the DSDT.
 */
#include "tests/unit/unit.h"
#include "x86vm/pc/acpi_pm.h"
#include "x86vm/pc/acpi_tables.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define S 1000000000ull

enum { STATUS = 0, ENABLE = 2, CONTROL = 4, TIMER = 8, BUTTON = 0x100 };

static struct acpi_pm *pm;
static bool sci;
static unsigned off;

static void on_sci(void *opaque, unsigned number, bool level)
{
    (void)opaque;
    CU_ASSERT_EQUAL(number, 9);
    sci = level;
}

static void on_power_off(void *opaque) { (void)opaque; off++; }

static void setup(void)
{
    const struct irq_line line = { on_sci, NULL, 9 };

    off = 0;
    sci = false;
    pm = acpi_pm_new(on_power_off, NULL);
    acpi_pm_reset(pm, &line, 5 * S);
}

static void test_timer(void)
{
    setup();
    CU_ASSERT_EQUAL(acpi_pm_read(pm, TIMER, 4, 5 * S), 0);
    CU_ASSERT_EQUAL(acpi_pm_read(pm, TIMER, 4, 6 * S), ACPI_PM_TIMER_HZ);
    CU_ASSERT_EQUAL(acpi_pm_read(pm, TIMER + 1, 1, 6 * S), ACPI_PM_TIMER_HZ >> 8 & 0xff);
    CU_ASSERT_EQUAL(acpi_pm_read(pm, TIMER, 4, 15 * S), (10ull * ACPI_PM_TIMER_HZ) & 0xffffff);
    /* years later it still counts without overflow */
    CU_ASSERT_EQUAL(acpi_pm_read(pm, TIMER, 4, 5 * S + 1000000000ull * S), (1000000000ull * ACPI_PM_TIMER_HZ) & 0xffffff);
    acpi_pm_write(pm, TIMER, 4, 0, 6 * S);
    CU_ASSERT_EQUAL(acpi_pm_read(pm, TIMER, 4, 6 * S), ACPI_PM_TIMER_HZ);
    acpi_pm_free(pm);
}

static void test_timer_event(void)
{
    uint64_t at;

    setup();
    CU_ASSERT_EQUAL(acpi_pm_deadline(pm), UINT64_MAX);
    CU_ASSERT_EQUAL(acpi_pm_read(pm, STATUS, 2, 7 * S), 0);
    acpi_pm_write(pm, ENABLE, 2, 1, 7 * S);
    at = acpi_pm_deadline(pm); /* bit 23 is set 2^23 ticks after the reset: 2.34 s */
    CU_ASSERT_TRUE(at > 5 * S + 2343 * (S / 1000) && at < 5 * S + 2344 * (S / 1000));
    acpi_pm_service(pm, at - 1);
    CU_ASSERT_FALSE(sci);
    acpi_pm_service(pm, at);
    CU_ASSERT_TRUE(sci);
    CU_ASSERT_EQUAL(acpi_pm_read(pm, STATUS, 2, at), 1);
    acpi_pm_write(pm, STATUS, 2, 1, at);
    CU_ASSERT_FALSE(sci);
    CU_ASSERT_TRUE(acpi_pm_deadline(pm) > at + 2 * S);
    acpi_pm_free(pm);
}

static void test_button(void)
{
    setup();
    CU_ASSERT_FALSE(acpi_pm_press_power_button(pm));
    CU_ASSERT_EQUAL(acpi_pm_read(pm, STATUS, 2, 5 * S), 0);
    acpi_pm_write(pm, ENABLE, 2, 0xffff, 5 * S);
    CU_ASSERT_EQUAL(acpi_pm_read(pm, ENABLE, 2, 5 * S), 0x0721);
    acpi_pm_write(pm, ENABLE + 1, 1, 1, 5 * S); /* a byte leaves the other as it is */
    CU_ASSERT_EQUAL(acpi_pm_read(pm, ENABLE, 2, 5 * S), 0x0121);
    CU_ASSERT_TRUE(acpi_pm_press_power_button(pm));
    CU_ASSERT_TRUE(sci);
    CU_ASSERT_EQUAL(acpi_pm_read(pm, STATUS, 4, 5 * S), 0x01210000 | BUTTON);
    acpi_pm_write(pm, STATUS, 2, 1, 5 * S);
    CU_ASSERT_TRUE(sci); /* another bit was cleared */
    acpi_pm_write(pm, STATUS, 2, BUTTON, 5 * S);
    CU_ASSERT_FALSE(sci);
    acpi_pm_press_power_button(pm);
    acpi_pm_write(pm, ENABLE, 2, 0, 5 * S);
    CU_ASSERT_FALSE(sci); /* masked, and still there */
    CU_ASSERT_EQUAL(acpi_pm_read(pm, STATUS, 2, 5 * S), BUTTON);
    acpi_pm_free(pm);
}

static void test_power_off(void)
{
    setup();
    CU_ASSERT_EQUAL(acpi_pm_read(pm, CONTROL, 2, 5 * S), 1); /* SCI_EN: ACPI is on from the start */
    acpi_pm_write(pm, CONTROL, 2, 0x1c00, 5 * S);
    CU_ASSERT_EQUAL(acpi_pm_read(pm, CONTROL, 2, 5 * S), 0x1c01);
    acpi_pm_write(pm, CONTROL, 2, 0x3c00, 5 * S); /* a sleep that we do not have */
    CU_ASSERT_EQUAL(off, 0);
    acpi_pm_write(pm, CONTROL, 2, 0x0000, 5 * S);
    CU_ASSERT_EQUAL(off, 0);
    acpi_pm_write(pm, CONTROL, 2, 0x2000, 5 * S);
    CU_ASSERT_EQUAL(off, 1);
    CU_ASSERT_EQUAL(acpi_pm_read(pm, CONTROL, 2, 5 * S), 1); /* SLP_EN reads as 0 */
    acpi_pm_free(pm);
}

enum { GPE_STATUS = 0x0c, GPE_ENABLE = 0x0e, PME = 0x800, WAKE = 0x8000 };

/* PME# is a level: its status stays while it is asserted, and the SCI with it. */
static void test_pme(void)
{
    setup();
    acpi_pm_set_pme(pm, true);
    CU_ASSERT_FALSE(sci);
    CU_ASSERT_EQUAL(acpi_pm_read(pm, GPE_STATUS, 2, 5 * S), PME);
    acpi_pm_write(pm, GPE_ENABLE, 2, 0xffff, 5 * S);
    CU_ASSERT_EQUAL(acpi_pm_read(pm, GPE_ENABLE, 2, 5 * S), PME);
    CU_ASSERT_TRUE(sci);
    acpi_pm_write(pm, GPE_STATUS + 1, 1, PME >> 8, 5 * S);
    CU_ASSERT_TRUE(sci);
    acpi_pm_set_pme(pm, false);
    CU_ASSERT_TRUE(sci); /* latched */
    acpi_pm_write(pm, GPE_STATUS, 1, 0xff, 5 * S);
    CU_ASSERT_TRUE(sci);
    acpi_pm_write(pm, GPE_STATUS, 2, PME, 5 * S);
    CU_ASSERT_FALSE(sci);
    acpi_pm_free(pm);
}

/* S1: what is enabled wakes, at once where it is there already; what is not does not. */
static void test_standby(void)
{
    setup();
    acpi_pm_write(pm, CONTROL, 2, 0x2400, 5 * S);
    CU_ASSERT_TRUE(acpi_pm_is_asleep(pm));
    CU_ASSERT_EQUAL(off, 0);
    CU_ASSERT_EQUAL(acpi_pm_read(pm, STATUS, 2, 5 * S) & WAKE, 0);
    acpi_pm_set_pme(pm, true);
    CU_ASSERT_FALSE(acpi_pm_press_power_button(pm));
    CU_ASSERT_TRUE(acpi_pm_is_asleep(pm));
    acpi_pm_write(pm, GPE_ENABLE, 2, PME, 5 * S);
    CU_ASSERT_FALSE(acpi_pm_is_asleep(pm));
    CU_ASSERT_EQUAL(acpi_pm_read(pm, STATUS, 2, 5 * S) & WAKE, WAKE);
    acpi_pm_write(pm, STATUS, 2, WAKE, 5 * S);
    CU_ASSERT_EQUAL(acpi_pm_read(pm, STATUS, 2, 5 * S) & WAKE, 0);
    acpi_pm_write(pm, CONTROL, 2, 0x2400, 5 * S); /* PME# is still there */
    CU_ASSERT_FALSE(acpi_pm_is_asleep(pm));
    acpi_pm_set_pme(pm, false);
    acpi_pm_write(pm, GPE_STATUS, 2, PME, 5 * S);
    acpi_pm_write(pm, ENABLE, 2, BUTTON | 1, 5 * S);
    acpi_pm_write(pm, CONTROL, 2, 0x2400, 5 * S);
    acpi_pm_service(pm, 50 * S); /* the timer wakes nobody */
    CU_ASSERT_TRUE(acpi_pm_is_asleep(pm));
    CU_ASSERT_TRUE(acpi_pm_press_power_button(pm));
    CU_ASSERT_FALSE(acpi_pm_is_asleep(pm));
    acpi_pm_free(pm);
}

static void test_odd_accesses(void)
{
    setup();
    for (unsigned offset = 0; offset < ACPI_PM_PORTS; offset++)
        for (unsigned size = 1; size <= 4; size *= 2) {
            acpi_pm_write(pm, offset, size, 0xffffffff, 6 * S);
            CU_ASSERT_TRUE(size == 4 || acpi_pm_read(pm, offset, size, 6 * S) < 1u << 8 * size);
        }
    CU_ASSERT_EQUAL(acpi_pm_read(pm, 6, 4, 6 * S), (uint32_t)ACPI_PM_TIMER_HZ << 16); /* across two registers */
    acpi_pm_free(pm);
}

/* --- tables --- */

static const struct acpi_tables_config config = { .pm_port = 0x600, .sci_irq = 9, .pirq_irq = { 11, 10, 11, 10 } };
static uint8_t rom[ACPI_TABLES_ROM_MAX], facs[ACPI_TABLES_FACS_SIZE];

static uint8_t sum(const uint8_t *p, size_t size)
{
    uint8_t total = 0;

    while (size--)
        total = (uint8_t)(total + *p++);
    return total;
}

static uint32_t get(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, 4);
    return v;
}

static const uint8_t *table_at(uint32_t address, const char *signature, size_t size)
{
    const uint8_t *table = rom + (address - ACPI_TABLES_ROM);

    CU_ASSERT_TRUE_FATAL(address >= ACPI_TABLES_ROM && address + 36 <= ACPI_TABLES_ROM + size);
    CU_ASSERT_EQUAL(memcmp(table, signature, 4), 0);
    CU_ASSERT_TRUE_FATAL(get(table + 4) <= ACPI_TABLES_ROM + size - address);
    CU_ASSERT_EQUAL(sum(table, get(table + 4)), 0);
    return table;
}

static const uint8_t *build_and_find_dsdt(void)
{
    size_t size = acpi_tables_build(&config, rom, facs);
    const uint8_t *rsdt, *fadt;

    CU_ASSERT_TRUE_FATAL(size > 256 && size <= sizeof rom);
    CU_ASSERT_EQUAL(ACPI_TABLES_ROM % 16, 0);
    CU_ASSERT_EQUAL(memcmp(rom, "RSD PTR ", 8), 0);
    CU_ASSERT_EQUAL(sum(rom, 20), 0);
    rsdt = table_at(get(rom + 16), "RSDT", size);
    fadt = table_at(get(rsdt + 36), "FACP", size);
    CU_ASSERT_EQUAL(get(fadt + 4), 116);
    CU_ASSERT_EQUAL(get(fadt + 36), ACPI_TABLES_FACS);
    CU_ASSERT_EQUAL(fadt[46], 9);
    CU_ASSERT_EQUAL(get(fadt + 48), 0); /* no SMI */
    CU_ASSERT_EQUAL(get(fadt + 56), 0x600);
    CU_ASSERT_EQUAL(get(fadt + 64), 0x604);
    CU_ASSERT_EQUAL(get(fadt + 76), 0x608);
    CU_ASSERT_EQUAL(memcmp(facs, "FACS", 4), 0);
    CU_ASSERT_EQUAL(get(facs + 4), 64);
    CU_ASSERT_EQUAL(ACPI_TABLES_FACS % 64, 0);
    return table_at(get(fadt + 40), "DSDT", size);
}

static void test_tables(void)
{
    build_and_find_dsdt();
}

static bool disassemble(const char *folder, const uint8_t *dsdt, char *text, size_t size)
{
    char path[128], command[512];
    FILE *f;

    snprintf(path, sizeof path, "%s/dsdt.aml", folder);
    f = fopen(path, "wb");
    fwrite(dsdt, 1, get(dsdt + 4), f);
    fclose(f);
    /* and back again: the compiler checks what the disassembler lets pass */
    snprintf(command, sizeof command, "cd %s && iasl -d dsdt.aml >/dev/null 2>&1 && iasl -p again dsdt.dsl >log 2>&1", folder);
    CU_ASSERT_EQUAL(system(command), 0);
    snprintf(path, sizeof path, "%s/dsdt.dsl", folder);
    f = fopen(path, "rb");
    CU_ASSERT_PTR_NOT_NULL(f);
    if (!f)
        return false;
    text[fread(text, 1, size - 1, f)] = 0;
    fclose(f);
    return true;
}

static void test_disassembly(void)
{
    static const char *const wanted[] = { "Device (PCI0)", "EisaId (\"PNP0A03\")", "EisaId (\"PNP0303\")",
        "EisaId (\"PNP0501\")", "EisaId (\"PNP0B00\")", "EisaId (\"PNP0C02\")", "0x0002FFFF", "0xFEBFFFFF",
        "IRQNoFlags", "0x000BFFFF", "0x02F8", "Scope (\\_GPE)", "Method (_L0B, 0, NotSerialized)",
        "Notify (\\_SB.PCI0, 0x02)", "_PRW" };
    char folder[] = "/tmp/test_acpi.XXXXXX", command[64];
    static char text[65536];
    const uint8_t *dsdt = build_and_find_dsdt();

    if (system("command -v iasl >/dev/null") != 0 || !mkdtemp(folder))
        return;
    if (disassemble(folder, dsdt, text, sizeof text))
        for (unsigned i = 0; i < sizeof wanted / sizeof *wanted; i++)
            CU_ASSERT_PTR_NOT_NULL(strstr(text, wanted[i]));
    CU_ASSERT_PTR_NULL(strstr(text, "Unknown"));
    snprintf(command, sizeof command, "rm -r %s", folder);
    CU_ASSERT_EQUAL(system(command), 0);
}

/* The routing table, read back from the bytes: slot n's INTA arrives where the PIIX3 leads it. */
static void test_routing(void)
{
    const uint8_t *dsdt = build_and_find_dsdt();
    const uint8_t *prt = memmem(dsdt, get(dsdt + 4), "_PRT\x12", 5);

    CU_ASSERT_PTR_NOT_NULL_FATAL(prt);
    prt += 8;
    for (unsigned slot = 0; slot < PCI_SLOTS; slot++, prt += 12) {
        CU_ASSERT_EQUAL(get(prt + 4), slot << 16 | 0xffff);
        CU_ASSERT_EQUAL(prt[11], config.pirq_irq[pci_bus_pirq(slot)]);
    }
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "timer", test_timer },
        { "timer event", test_timer_event },
        { "button", test_button },
        { "power off", test_power_off },
        { "pme", test_pme },
        { "standby", test_standby },
        { "odd accesses", test_odd_accesses },
        { "tables", test_tables },
        { "disassembly", test_disassembly },
        { "routing", test_routing },
        CU_TEST_INFO_NULL,
    };

    return unit_run("acpi", tests);
}
