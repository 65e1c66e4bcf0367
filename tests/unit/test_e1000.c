/* SPDX-License-Identifier: BSD-2-Clause
 *
 * e1000's registers, resets, EEPROM and PHY, as Linux's driver and its
 * `ethtool -t` use them.
 */
#include "tests/unit/e1000_fixture.h"
#include "tests/unit/unit.h"

#include <string.h>

static uint32_t rd(uint32_t offset) { return fake_read(&host, offset); }
static void wr(uint32_t offset, uint32_t value) { fake_write(&host, offset, value); }

static void identity(void)
{
    const struct nic_identity *id = nic_identity(host.nic);
    CU_ASSERT_EQUAL(id->vendor_id, 0x8086);
    CU_ASSERT_EQUAL(id->device_id, 0x100e);
    CU_ASSERT_EQUAL(id->bar[0].size, 0x20000);
    CU_ASSERT_EQUAL(id->bar[2].kind, NIC_BAR_IO);
    CU_ASSERT_TRUE(nic_accepts(host.nic) == NIC_ACCEPTS_CSUM);
    CU_ASSERT_PTR_NULL(nic_new("e1001", fake_mac, &(struct nic_host){ 0 }));
}

static void after_reset(void)
{
    e1000_fixture_restart();
    CU_ASSERT_EQUAL(rd(E1000_STATUS) & (STATUS_FD | STATUS_LU | STATUS_SPEED_1000), 0x83);
    CU_ASSERT_EQUAL(rd(E1000_RAL), 0x12005452);
    CU_ASSERT_EQUAL(rd(E1000_RAH), 0x80005634);
    CU_ASSERT_EQUAL(rd(E1000_VET), 0x8100);
    CU_ASSERT_EQUAL(rd(E1000_PBA), 0x00100030);
    CU_ASSERT_TRUE(rd(E1000_ICR) & ICR_LSC);
    CU_ASSERT_EQUAL(rd(E1000_ICR), 0);
}

static void pattern(uint32_t offset, uint32_t mask, uint32_t write)
{
    static const uint32_t patterns[] = { 0x5a5a5a5a, 0xa5a5a5a5, 0x00000000, 0xffffffff };
    for (int i = 0; i < 4; i++) {
        wr(offset, patterns[i] & write);
        if (rd(offset) != (write & patterns[i] & mask))
            fprintf(stderr, "register %05x\n", offset);
        CU_ASSERT_EQUAL(rd(offset), write & patterns[i] & mask);
    }
}

/* The very list that ethtool's offline test goes through. */
static void ethtool_list(void)
{
    uint32_t status = rd(E1000_STATUS);
    wr(E1000_STATUS, ~status);
    CU_ASSERT_EQUAL(rd(E1000_STATUS), status);
    pattern(E1000_FCAL, 0xffffffff, 0xffffffff);
    pattern(E1000_FCAH, 0xffff, 0xffffffff);
    pattern(E1000_FCT, 0xffff, 0xffffffff);
    pattern(E1000_VET, 0xffff, 0xffffffff);
    pattern(E1000_RDTR, 0xffff, 0xffffffff);
    pattern(E1000_RDBAH, 0xffffffff, 0xffffffff);
    pattern(E1000_RDLEN, 0x000fff80, 0x000fffff);
    pattern(E1000_RDH, 0xffff, 0xffff);
    pattern(E1000_RDT, 0xffff, 0xffff);
    pattern(E1000_FCRTH, 0xfff8, 0xfff8);
    pattern(E1000_FCTTV, 0xffff, 0xffff);
    pattern(E1000_TIPG, 0x3fffffff, 0x3fffffff);
    pattern(E1000_TDBAH, 0xffffffff, 0xffffffff);
    pattern(E1000_TDLEN, 0x000fff80, 0x000fffff);
    wr(E1000_RCTL, 0);
    CU_ASSERT_EQUAL(rd(E1000_RCTL), 0);
    wr(E1000_RCTL, 0x003ffffb);
    CU_ASSERT_EQUAL(rd(E1000_RCTL) & 0x06dfb3fe, 0x003ffffb & 0x06dfb3fe);
    wr(E1000_TCTL, 0);
    CU_ASSERT_EQUAL(rd(E1000_TCTL), 0);
    wr(E1000_RCTL, 0xffffffff);
    CU_ASSERT_EQUAL(rd(E1000_RCTL), 0x06dfb3fe);
    pattern(E1000_RDBAL, 0xfffffff0, 0xffffffff);
    pattern(E1000_TXCW, 0xc000ffff, 0x0000ffff);
    pattern(E1000_TDBAL, 0xfffffff0, 0xffffffff);
    pattern(E1000_TIDV, 0xffff, 0xffff);
    for (uint32_t i = 0; i < 15; i++)
        pattern(E1000_RAH + 8 * i, 0x8003ffff, 0xffffffff);
    for (uint32_t i = 0; i < 128; i++)
        pattern(E1000_MTA + 4 * i, 0xffffffff, 0xffffffff);
}

static void restart_as(const char *model)
{
    fake_nic_host_stop(&host);
    fake_nic_host_start(&host, model);
}

static void ethtool_registers(void)
{
    static const char *const variants[] = { "e1000-82545em", "e1000" };
    for (unsigned i = 0; i < 2; i++) {
        restart_as(variants[i]);
        ethtool_list();
    }
}

static void variant(void)
{
    restart_as("e1000-82545em");
    CU_ASSERT_EQUAL(nic_identity(host.nic)->device_id, 0x100f);
    CU_ASSERT_EQUAL(nic_identity(host.nic)->subsystem_id, 0x1001);
    wr(E1000_EERD, 0x0d01);
    CU_ASSERT_EQUAL(rd(E1000_EERD) >> 16, 0x100f);
    CU_ASSERT_EQUAL(rd(E1000_RAL), 0x12005452);
    restart_as("e1000");
}

static void odd_accesses(void)
{
    e1000_fixture_restart();
    CU_ASSERT_EQUAL(nic_read(host.nic, 0, E1000_RAL, 1, 0), 0x52);
    CU_ASSERT_EQUAL(nic_read(host.nic, 0, E1000_RAL + 2, 2, 0), 0x1200);
    CU_ASSERT_EQUAL(nic_read(host.nic, 0, 0x20000, 4, 0), 0xffffffff);
    CU_ASSERT_EQUAL(nic_read(host.nic, 0, 0x1fffd, 4, 0), 0xffffffff);
    CU_ASSERT_EQUAL(nic_read(host.nic, 5, 0, 4, 0), 0xffffffff);
    CU_ASSERT_EQUAL(nic_read(host.nic, 9, 0, 4, 0), 0xffffffff);
    unsigned errors = host.errors;
    nic_write(host.nic, 0, E1000_RCTL, 1, 2, 0);
    CU_ASSERT_EQUAL(rd(E1000_RCTL), 0);
    CU_ASSERT_EQUAL(rd(0x0f000), 0);
    CU_ASSERT_EQUAL(host.errors, errors + 2);
    wr(0x1fffc, 0x12345678);
    CU_ASSERT_EQUAL(rd(0x1fffc), 0x12345678);
    wr(0x0108, 77); /* the 82542's address of RDTR */
    CU_ASSERT_EQUAL(rd(E1000_RDTR), 77);
}

/* Where the 82542 had them (table 13-2): the same registers. */
static void second_addresses(void)
{
    static const struct { uint32_t second, first, count, written; } pairs[] = {
        { 0x0040, E1000_RAL, 32, 0x0002a5a5 }, { 0x0108, E1000_RDTR, 1, 0x55 }, { 0x0110, E1000_RDBAL, 1, 0x1230 },
        { 0x0114, E1000_RDBAH, 1, 7 }, { 0x0118, E1000_RDLEN, 1, 0x180 }, { 0x0120, E1000_RDH, 1, 3 },
        { 0x0128, E1000_RDT, 1, 5 }, { 0x0160, E1000_FCRTL, 1, 0x800 }, { 0x0168, E1000_FCRTH, 1, 0x900 },
        { 0x0200, E1000_MTA, 128, 0x12345678 }, { 0x0420, E1000_TDBAL, 1, 0x4560 }, { 0x0424, E1000_TDBAH, 1, 9 },
        { 0x0428, E1000_TDLEN, 1, 0x200 }, { 0x0430, E1000_TDH, 1, 2 }, { 0x0438, E1000_TDT, 1, 4 },
        { 0x0440, E1000_TIDV, 1, 0x66 }, { 0x0600, E1000_VFTA, 128, 0x87654321 },
    };
    e1000_fixture_restart();
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        for (uint32_t n = 0; n < pairs[i].count; n++) {
            uint32_t second = pairs[i].second + 4 * n, first = pairs[i].first + 4 * n;
            wr(second, pairs[i].written);
            CU_ASSERT_EQUAL(rd(first), pairs[i].written);
            CU_ASSERT_EQUAL(rd(second), pairs[i].written);
            wr(first, 0);
            CU_ASSERT_EQUAL(rd(second), 0);
        }
    CU_ASSERT_EQUAL(host.errors, 0);
}

static void io_window(void)
{
    e1000_fixture_restart();
    nic_write(host.nic, 2, 0, 4, E1000_TIDV, 0);
    nic_write(host.nic, 2, 4, 4, 1234, 0);
    CU_ASSERT_EQUAL(nic_read(host.nic, 2, 0, 4, 0), E1000_TIDV);
    CU_ASSERT_EQUAL(nic_read(host.nic, 2, 4, 4, 0), 1234);
    CU_ASSERT_EQUAL(rd(E1000_TIDV), 1234);
    nic_write(host.nic, 2, 0, 4, 0xffffffff, 0); /* beyond the registers: no harm */
    nic_write(host.nic, 2, 4, 4, 1, 0);
    CU_ASSERT_EQUAL(nic_read(host.nic, 2, 4, 4, 0), 0);
}

static void device_reset(bool through_io)
{
    e1000_open(RCTL_EN);
    wr(E1000_RAL, 0);
    wr(E1000_VFTA, 5);
    wr(E1000_TADV, 5);
    if (through_io) {
        nic_write(host.nic, 2, 0, 4, E1000_CTRL, host.now);
        nic_write(host.nic, 2, 4, 4, rd(E1000_CTRL) | CTRL_RST, host.now);
    } else {
        wr(E1000_CTRL, rd(E1000_CTRL) | CTRL_RST);
    }
    CU_ASSERT_EQUAL(rd(E1000_CTRL) & CTRL_RST, 0);
    CU_ASSERT_EQUAL(rd(E1000_RCTL), 0);
    CU_ASSERT_EQUAL(rd(E1000_TDBAL), 0);
    CU_ASSERT_EQUAL(rd(E1000_IMS), 0);
    CU_ASSERT_EQUAL(rd(E1000_VFTA), 0);
    CU_ASSERT_EQUAL(rd(E1000_TADV), 0);
    CU_ASSERT_EQUAL(rd(E1000_RAL), 0x12005452);
    CU_ASSERT_FALSE(host.irq);
    CU_ASSERT_TRUE(rd(E1000_STATUS) & STATUS_LU);
    CU_ASSERT_EQUAL(rd(E1000_ICR), ICR_LSC);
}

static void reset_both_ways(void)
{
    device_reset(false);
    device_reset(true);
}

/* --- EEPROM -------------------------------------------------------------- */

static void clock_bits(uint32_t base, unsigned bits, unsigned count)
{
    while (count--) {
        uint32_t level = base | (bits >> count & 1 ? 4 : 0);
        wr(E1000_EECD, level);
        wr(E1000_EECD, level | 1);
        wr(E1000_EECD, level);
    }
}

static uint16_t bit_bang(unsigned address)
{
    const uint32_t base = 0x40 | 2;
    uint16_t value = 0;
    wr(E1000_EECD, 0x40);
    CU_ASSERT_TRUE(rd(E1000_EECD) & 0x80);
    wr(E1000_EECD, base);
    clock_bits(base, 6, 3);
    clock_bits(base, address, 6);
    for (int i = 0; i < 16; i++) {
        wr(E1000_EECD, base | 1);
        value = (uint16_t)(value << 1 | (rd(E1000_EECD) >> 3 & 1));
        wr(E1000_EECD, base);
    }
    wr(E1000_EECD, 0);
    return value;
}

static void eeprom(void)
{
    e1000_fixture_restart();
    uint16_t sum = 0;
    for (unsigned i = 0; i < 64; i++) {
        uint16_t word = bit_bang(i);
        sum = (uint16_t)(sum + word);
        wr(E1000_EERD, i << 8 | 1);
        CU_ASSERT_EQUAL(rd(E1000_EERD), (uint32_t)word << 16 | i << 8 | 0x10);
    }
    CU_ASSERT_EQUAL(sum, 0xbaba);
    CU_ASSERT_EQUAL(bit_bang(0), 0x5452);
    CU_ASSERT_FALSE(rd(E1000_EECD) & 0x80);
    CU_ASSERT_FALSE(rd(E1000_EECD) & 0x200); /* 6 bits of address */
    wr(E1000_EERD, 0xff01);
    CU_ASSERT_EQUAL(rd(E1000_EERD) >> 16, 0xffff);
}

/* Written by the driver, and kept for another machine's life. */
static void eeprom_outlives(void)
{
    uint8_t image[NIC_EEPROM_SIZE];
    e1000_fixture_restart();
    CU_ASSERT_EQUAL(nic_get_eeprom(host.nic, image), NIC_EEPROM_SIZE);
    CU_ASSERT_EQUAL(memcmp(image, fake_mac, 6), 0);
    image[5] = 0x99;
    image[0x7e] ^= 0xff; /* the checksum is the driver's matter */
    CU_ASSERT_FALSE(nic_set_eeprom(host.nic, image, 127));
    CU_ASSERT_TRUE(nic_set_eeprom(host.nic, image, sizeof image));
    nic_reset(host.nic, host.now);
    CU_ASSERT_EQUAL(rd(E1000_RAH), 0x80009934);
    CU_ASSERT_EQUAL(bit_bang(2), 0x9934);
    restart_as("ne2000");
    CU_ASSERT_EQUAL(nic_get_eeprom(host.nic, image), 0);
    CU_ASSERT_FALSE(nic_set_eeprom(host.nic, image, sizeof image));
    restart_as("rtl8029");
    CU_ASSERT_TRUE(nic_get_eeprom(host.nic, image));
    image[2] = 0x02;
    CU_ASSERT_TRUE(nic_set_eeprom(host.nic, image, sizeof image));
    nic_reset(host.nic, host.now);
    static const uint8_t read[][2] = { { 0, 0x21 }, { 0xe, 0x48 }, { 0xa, 1 }, { 0xb, 0 }, { 8, 0 }, { 9, 0 }, { 0, 0xa } };
    for (size_t i = 0; i < sizeof read / sizeof *read; i++)
        fake_out(&host, read[i][0], read[i][1]);
    CU_ASSERT_EQUAL(fake_in(&host, 0x10), 0x02);
    restart_as("e1000");
}

/* --- PHY ----------------------------------------------------------------- */

static uint16_t phy(unsigned number)
{
    wr(E1000_MDIC, 0x08000000 | 1u << 21 | number << 16 | 0x5555); /* data of a read is not looked at */
    CU_ASSERT_TRUE(rd(E1000_MDIC) & 0x10000000);
    return (uint16_t)rd(E1000_MDIC);
}

static void phy_set(unsigned number, uint16_t value)
{
    wr(E1000_MDIC, 0x04000000 | 1u << 21 | number << 16 | value);
}

static void phy_registers(void)
{
    e1000_fixture_restart();
    CU_ASSERT_EQUAL(phy(2), 0x0141);
    CU_ASSERT_EQUAL(phy(3), 0x0c20);
    CU_ASSERT_EQUAL(phy(1) & 0x24, 0x24);
    CU_ASSERT_EQUAL(phy(17) & 0xec00, 0xac00);
    phy_set(4, 0x01e1);
    CU_ASSERT_EQUAL(phy(4), 0x01e1);
    phy_set(2, 0xffff);
    CU_ASSERT_EQUAL(phy(2), 0x0141);
    phy_set(0, 0x8000 | 0x1140);
    CU_ASSERT_EQUAL(phy(0), 0x1140);
    wr(E1000_MDIC, 0x08000000 | 2u << 21 | 2u << 16); /* another PHY */
    CU_ASSERT_TRUE(rd(E1000_MDIC) & 0x40000000);
    rd(E1000_ICR);
    wr(E1000_MDIC, 0x28000000 | 1u << 21);
    CU_ASSERT_TRUE(rd(E1000_ICR) & ICR_MDAC);
}

static void link_changes(void)
{
    e1000_open(RCTL_EN | RCTL_UPE);
    nic_set_link(host.nic, false, host.now);
    CU_ASSERT_TRUE(host.irq);
    CU_ASSERT_EQUAL(rd(E1000_ICR), ICR_LSC);
    CU_ASSERT_FALSE(rd(E1000_STATUS) & STATUS_LU);
    CU_ASSERT_EQUAL(phy(1) & 0x24, 0);
    CU_ASSERT_EQUAL(nic_receive(host.nic, make_frame(60), 60, NULL, host.now), NIC_RX_OFF);
    nic_set_link(host.nic, false, host.now); /* no change, no cause */
    CU_ASSERT_EQUAL(rd(E1000_ICR), 0);
    nic_set_link(host.nic, true, host.now);
    CU_ASSERT_EQUAL(rd(E1000_ICR), ICR_LSC);
    CU_ASSERT_TRUE(rd(E1000_STATUS) & STATUS_LU);
    CU_ASSERT_EQUAL(phy(1) & 4, 0); /* latched low until read */
    CU_ASSERT_EQUAL(phy(1) & 4, 4);
    wr(E1000_CTRL, rd(E1000_CTRL) & ~CTRL_SLU);
    CU_ASSERT_FALSE(rd(E1000_STATUS) & STATUS_LU);
    wr(E1000_CTRL, rd(E1000_CTRL) | CTRL_SLU);
    CU_ASSERT_TRUE(rd(E1000_STATUS) & STATUS_LU);
    CU_ASSERT_EQUAL(rd(E1000_ICR), ICR_LSC);
}

static void statistics(void)
{
    e1000_open(RCTL_EN);
    for (int i = 0; i < 3; i++)
        nic_receive(host.nic, make_frame(100), 100, NULL, host.now);
    CU_ASSERT_EQUAL(rd(E1000_GPRC), 3);
    CU_ASSERT_EQUAL(rd(E1000_GPRC), 0);
    CU_ASSERT_EQUAL(rd(E1000_PRC64 + 4), 3);
    CU_ASSERT_EQUAL(rd(E1000_GORCL), 312);
    CU_ASSERT_EQUAL(rd(E1000_GORCL), 312); /* the upper half's read clears both */
    CU_ASSERT_EQUAL(rd(E1000_GORCL + 4), 0);
    CU_ASSERT_EQUAL(rd(E1000_GORCL), 0);
    wr(E1000_TPR, 99); /* read-only */
    CU_ASSERT_EQUAL(rd(E1000_TPR), 3);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "identity", identity },
        { "state after reset", after_reset },
        { "register patterns of ethtool -t", ethtool_registers },
        { "narrow, unknown and outside accesses", odd_accesses },
        { "second addresses", second_addresses },
        { "I/O window", io_window },
        { "CTRL.RST through both BARs", reset_both_ways },
        { "EEPROM by EECD and EERD", eeprom },
        { "82545EM", variant },
        { "the EEPROM outlives the machine", eeprom_outlives },
        { "PHY by MDIC", phy_registers },
        { "link changes", link_changes },
        { "statistics", statistics },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("e1000", tests, e1000_fixture_start, e1000_fixture_stop);
}
