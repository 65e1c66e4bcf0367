/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The boards around a DP8390: the probes of Linux's ne and ne2k-pci, Realtek's
 * registers and power-down, and boards and slots of 8 bits.
 */
#include "tests/unit/dp8390_fixture.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

static void common_probe(void)
{
    CU_ASSERT_NOT_EQUAL(in(CR), 0xff);
    out(CR, 0x61);
    uint8_t saved = in(0xd);
    out(0xd, 0xff);
    out(CR, 0x20);
    in(0xd);
    CU_ASSERT_EQUAL(in(0xd), 0);
    out(0xd, saved);
    out(RESET, in(RESET));
    CU_ASSERT_TRUE(in(7) & 0x80);
    out(7, 0xff);
    CU_ASSERT_EQUAL(in(7) & 0x7f, 0);
    out(CR, 0x21);
    out(0xa, 0);
    out(0xb, 0);
    out(0xf, 0);
    out(7, 0xff);
    out(0xc, 0x20);
    out(0xd, 0x02);
    out(0xe, 0x48);
}

static void probe_ne(void)
{
    restart("ne2000");
    CU_ASSERT_EQUAL(nic_identity(host.nic)->isa_port, 0x300);
    common_probe();
    dma(0x08, 0, 32);
    uint8_t prom[32];
    for (int i = 0; i < 32; i++)
        prom[i] = in(DATA);
    for (int i = 0; i < 32; i += 2)
        CU_ASSERT_EQUAL(prom[i], prom[i + 1]); /* doubled: a word card */
    for (int i = 0; i < 6; i++)
        CU_ASSERT_EQUAL(prom[2 * i], fake_mac[i]);
    CU_ASSERT_EQUAL(prom[28], 0x57);
    CU_ASSERT_EQUAL(prom[30], 0x57);
    CU_ASSERT_FALSE(in(0xa) == 0x50 && in(0xb) == 0x70); /* not an RTL8019AS */
    /* The interrupt line is found by a remote read of nothing. */
    out(7, 0xff);
    out(0xf, 0x50);
    dma(0x08, 0, 0);
    CU_ASSERT_TRUE(host.irq);
    out(0xf, 0);
    CU_ASSERT_FALSE(host.irq);
}

static void probe_ne2k_pci(void)
{
    restart("rtl8029");
    CU_ASSERT_EQUAL(nic_identity(host.nic)->vendor_id, 0x10ec);
    common_probe();
    out(0xe, 0x49);
    dma(0x08, 0, 32);
    for (int i = 0; i < 6; i++)
        CU_ASSERT_EQUAL(in(DATA), fake_mac[i]); /* bytes of words */
    CU_ASSERT_EQUAL(in(0xa), 'P');
    CU_ASSERT_EQUAL(in(0xb), 'C');
    out(CR, 0xe1);
    CU_ASSERT_EQUAL(in(0xe), 0x29);
    CU_ASSERT_EQUAL(in(0xf), 0x80);
    out(6, 0x40);
    CU_ASSERT_EQUAL(in(6), 0); /* locked */
    out(1, 0xc0);
    out(6, 0x40);
    CU_ASSERT_EQUAL(in(6), 0x40);
    out(1, 0x00);
    CU_ASSERT_EQUAL(nic_read(host.nic, 0, 0x20, 1, 0), 0xffffffff);
    restart("ne2000");
}

static void rtl8019_registers(void)
{
    restart("rtl8019as");
    open_card(0x04);
    CU_ASSERT_EQUAL(in(0xa) << 8 | in(0xb), 0x5070);
    write_memory(0x4000, make_frame(60), 60);
    transmit(0x40, 60);
    CU_ASSERT_EQUAL(in(4), TSR_PTX | 0x22); /* "always 1" */
    out(CR, 0xe2);
    out(2, 0x5a); /* BPAGE */
    CU_ASSERT_EQUAL(in(2), 0x5a);
    CU_ASSERT_EQUAL(in(4), 0x80); /* CONFIG1: IRQ 9, ports 300 */
    CU_ASSERT_EQUAL(in(6), 0x80); /* CONFIG3: Plug and Play */
    out(4, 0x00);
    CU_ASSERT_EQUAL(in(4), 0x80); /* locked */
    out(1, 0xc0);
    out(4, 0x00);
    CU_ASSERT_EQUAL(in(4), 0x00); /* IRQEN alone can be written */
    struct nic_isa_place place;
    nic_isa_place(host.nic, &place);
    CU_ASSERT_TRUE(place.active && place.port == 0x300 && place.irq == 0); /* it drives no line */
    out(4, 0x3f);
    CU_ASSERT_EQUAL(in(4), 0x00);
    out(1, 0x40); /* auto-load: as in the EEPROM */
    CU_ASSERT_EQUAL(in(4), 0x80);
    CU_ASSERT_EQUAL(in(1) & 0xc0, 0x00);
    nic_isa_place(host.nic, &place);
    CU_ASSERT_EQUAL(place.irq, 9);
    restart("ne2000");
}

static bool gets_a_frame(void)
{
    struct nic_counters before, after;
    nic_get_counters(host.nic, &before);
    enum nic_rx_result result = nic_receive(host.nic, make_frame(60), 60, NULL, host.now);
    nic_get_counters(host.nic, &after);
    CU_ASSERT_EQUAL(result, after.rx_frames > before.rx_frames ? NIC_RX_TAKEN : NIC_RX_OFF);
    return after.rx_frames > before.rx_frames;
}

static void config3(uint8_t value)
{
    out(CR, 0xe2);
    out(1, 0xc0);
    out(6, value);
    out(1, 0x00);
    CU_ASSERT_EQUAL(in(6) & 0x46, value);
    out(CR, 0x22);
}

/* CONFIG3.SLEEP and PWRDN switch the network side off; in power-down HLTCLK stops all but itself. */
static void power_down(void)
{
    static const char *const boards[] = { "rtl8029", "rtl8019as" };
    for (unsigned i = 0; i < 2; i++) {
        restart(boards[i]);
        open_card(0x1f);
        CU_ASSERT_TRUE(gets_a_frame());
        for (uint8_t bit = 0x02; bit <= 0x04; bit = (uint8_t)(bit << 1)) {
            config3(bit);
            CU_ASSERT_FALSE(gets_a_frame());
            fake_nic_host_forget_frames(&host);
            write_memory(0x4000, make_frame(60), 60); /* registers and memory are there */
            transmit(0x40, 60);
            CU_ASSERT_EQUAL(host.frame_count, 0);
            out(0x7, 0xff);
            config3(0);
            CU_ASSERT_TRUE(gets_a_frame());
        }
        unsigned errors = host.errors;
        out(CR, 0xe2);
        out(9, 'H'); /* not in power-down: nothing */
        CU_ASSERT_EQUAL(host.errors, errors + 1);
        CU_ASSERT_EQUAL(in(CR), 0xe2);
        config3(0x02);
        out(CR, 0xe2);
        out(9, 'H');
        CU_ASSERT_EQUAL(in(CR), 0xff);
        CU_ASSERT_EQUAL((uint16_t)nic_read(host.nic, 0, 0x10, 2, host.now), 0xffff);
        uint8_t block[4] = { 0 };
        nic_read_block(host.nic, 0, 0x10, 2, 2, block, host.now);
        CU_ASSERT_EQUAL(block[3], 0xff);
        out(1, 0xc0);
        out(6, 0);
        CU_ASSERT_EQUAL(nic_receive(host.nic, make_frame(60), 60, NULL, host.now), NIC_RX_OFF);
        size_t size = nic_save(host.nic, host.now, NULL, 0);
        uint8_t *image = malloc(size);
        nic_save(host.nic, host.now, image, size);
        nic_reset(host.nic, host.now);
        CU_ASSERT_EQUAL(in(CR), 0x21);
        CU_ASSERT_EQUAL(nic_restore(host.nic, host.now, image, size), 0);
        free(image);
        CU_ASSERT_EQUAL(in(CR), 0xff);
        CU_ASSERT_EQUAL(nic_receive(host.nic, make_frame(60), 60, NULL, host.now), NIC_RX_OFF);
        out(9, 'R');
        CU_ASSERT_EQUAL(in(CR), 0xe2);
        CU_ASSERT_EQUAL(in(1) & 0xfe, 0); /* what was written meanwhile had no effect */
        CU_ASSERT_EQUAL(in(6) & 0x46, 0x02);
        CU_ASSERT_EQUAL(in(9), 0);
        out(CR, 0x22);
        config3(0);
        CU_ASSERT_TRUE(gets_a_frame());
    }
    restart("ne2000");
}

static void read_prom(uint8_t prom[32])
{
    out(0xe, 0x48);
    dma(0x08, 0, 32);
    for (int i = 0; i < 32; i++)
        prom[i] = in(DATA);
}

/* As Linux's ne sees it: no byte twice, so 8 bits, and pages 20 to 3f. */
static void ne1000(void)
{
    uint8_t prom[32], frame[64];
    restart("ne1000");
    common_probe();
    read_prom(prom);
    CU_ASSERT_NOT_EQUAL(prom[0], prom[1]);
    CU_ASSERT_EQUAL(memcmp(prom, fake_mac, 6), 0);
    CU_ASSERT_TRUE(prom[14] == 0x57 && prom[15] == 0x57);
    open_card(0x04);
    out(CR, 0x21);
    out(0xe, 0x48);
    out(1, 0x26);
    out(2, 0x40);
    out(3, 0x3f);
    page1(7, 0x26);
    out(CR, 0x22);
    unsigned count = 0;
    while (give(1000) == NIC_RX_TAKEN)
        count++;
    CU_ASSERT_EQUAL(count, 6); /* of four pages each in twenty-six */
    dma(0x08, 0x2600, 64);
    for (int i = 0; i < 64; i++)
        frame[i] = in(DATA);
    CU_ASSERT_EQUAL(memcmp(frame + 4, make_frame(1000), 60), 0);
    dma(0x10, 0x2000, 64);
    for (int i = 0; i < 64; i += 2) /* the bus makes two bytes of it */
        nic_write(host.nic, 0, DATA, 2, make_frame(64)[i] | (uint32_t)make_frame(64)[i + 1] << 8, host.now);
    CU_ASSERT_TRUE(in(7) & ISR_RDC);
    out(4, 0x20);
    out(5, 64);
    out(6, 0);
    out(CR, 0x26);
    CU_ASSERT_EQUAL_FATAL(host.frame_count, 1);
    CU_ASSERT_EQUAL(memcmp(host.frames[0].bytes, make_frame(64), 64), 0);
    dma(0x08, 0x6000, 1); /* the upper bits are not decoded */
    CU_ASSERT_EQUAL(in(DATA), make_frame(64)[0]);
    restart("ne2000");
}

static void ne2000_in_a_byte_slot(void)
{
    uint8_t prom[32];
    restart("ne2000-8bit");
    common_probe();
    read_prom(prom);
    CU_ASSERT_EQUAL(prom[0], prom[1]);
    CU_ASSERT_EQUAL(prom[28], 0x42);
    CU_ASSERT_EQUAL(prom[30], 0x42);
    dma(0x10, 0x4000, 4);
    nic_write(host.nic, 0, DATA, 4, 0x44332211, host.now);
    dma(0x08, 0x4000, 4);
    CU_ASSERT_EQUAL(nic_read(host.nic, 0, DATA, 2, host.now), 0x2211);
    CU_ASSERT_EQUAL(in(DATA), 0x33);
    restart("ne2000");
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "probe of ne", probe_ne },
        { "probe of ne2k-pci", probe_ne2k_pci },
        { "RTL8019AS registers", rtl8019_registers },
        { "sleep and power-down", power_down },
        { "NE1000", ne1000 },
        { "NE2000 in an 8-bit slot", ne2000_in_a_byte_slot },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("dp8390_boards", tests, dp8390_fixture_start, dp8390_fixture_stop);
}
