/* SPDX-License-Identifier: BSD-2-Clause
 *
 * e1000's power states: PMCSR and what of it is mirrored in WUC, D3 and the way back,
 * what the EEPROM has to say, and the state as it is saved in each.
 */
#include "tests/unit/e1000_fixture.h"
#include "tests/unit/unit.h"

#include <string.h>

static uint32_t rd(uint32_t offset) { return fake_read(&host, offset); }
static void wr(uint32_t offset, uint32_t value) { fake_write(&host, offset, value); }

static unsigned word_at(unsigned offset)
{
    return nic_power_read(host.nic, offset) | (unsigned)nic_power_read(host.nic, offset + 1) << 8;
}

static unsigned pmcsr(void) { return word_at(4); }
static void set_state(uint8_t state) { nic_power_write(host.nic, 4, state, host.now); }
static void set_upper(uint8_t value) { nic_power_write(host.nic, 5, value, host.now); }

/* Other words in the EEPROM, as after `ethtool -E` and a power cycle. */
static void reset_with(unsigned word, uint16_t value)
{
    uint8_t image[NIC_EEPROM_SIZE];
    nic_get_eeprom(host.nic, image);
    image[2 * word] = (uint8_t)value;
    image[2 * word + 1] = (uint8_t)(value >> 8);
    nic_set_eeprom(host.nic, image, sizeof image);
    nic_reset(host.nic, host.now);
}

static void registers(void)
{
    static const char *const models[] = { "e1000-82545em", "e1000" };
    for (unsigned i = 0; i < 2; i++) {
        fake_nic_host_stop(&host);
        fake_nic_host_start(&host, models[i]);
        CU_ASSERT_EQUAL(nic_identity(host.nic)->power_at, 0xdc);
        CU_ASSERT_EQUAL(nic_identity(host.nic)->msi_at, 0xf0);
        CU_ASSERT_EQUAL(word_at(2), 0x4822); /* PME# from D0 and D3hot, version 1.1, DSI */
        CU_ASSERT_EQUAL(pmcsr(), 0x2000);
        CU_ASSERT_EQUAL(nic_power_read(host.nic, 6), 0);
        CU_ASSERT_EQUAL(nic_power_read(host.nic, 1), 0);  /* not of the model's */
        CU_ASSERT_EQUAL(nic_power_read(host.nic, 8), 0);
        nic_power_write(host.nic, 2, 0xff, host.now);     /* read-only */
        nic_power_write(host.nic, 7, 0xff, host.now);
        CU_ASSERT_EQUAL(word_at(2), 0x4822);
    }
    fake_nic_host_stop(&host);
    fake_nic_host_start(&host, "rtl8029");
    CU_ASSERT_EQUAL(nic_identity(host.nic)->power_at, 0);
    CU_ASSERT_EQUAL(word_at(2) | pmcsr(), 0);
    set_state(3);
    CU_ASSERT_FALSE(nic_is_asleep(host.nic));
    e1000_fixture_restart();
}

/* The two ways to the same bits. */
static void mirrored(void)
{
    e1000_fixture_restart();
    set_upper(1);
    CU_ASSERT_EQUAL(rd(E1000_WUC), 2);
    wr(E1000_WUC, 0);
    CU_ASSERT_EQUAL(pmcsr() & 0x100, 0);
    wr(E1000_WUC, 2);
    CU_ASSERT_EQUAL(pmcsr() & 0x100, 0x100);
    wr(E1000_WUFC, 1);
    nic_set_link(host.nic, false, host.now);
    CU_ASSERT_EQUAL(pmcsr() & 0x8100, 0x8100);
    CU_ASSERT_EQUAL(rd(E1000_WUC), 6);
    CU_ASSERT_TRUE(host.pme);
    set_upper(0); /* not enabled: the status stays */
    CU_ASSERT_FALSE(host.pme);
    CU_ASSERT_EQUAL(rd(E1000_WUC), 4);
    set_upper(1);
    CU_ASSERT_TRUE(host.pme);
    wr(E1000_CTRL, CTRL_RST); /* is no reset of these (14.7) */
    CU_ASSERT_EQUAL(pmcsr() & 0x8100, 0x8100);
    CU_ASSERT_TRUE(host.pme);
    set_upper(0x81);
    CU_ASSERT_EQUAL(pmcsr() & 0x8100, 0x0100);
    CU_ASSERT_FALSE(host.pme);
    wr(E1000_WUFC, 1);
    nic_set_link(host.nic, true, host.now); /* LNKC is set already: no new event */
    CU_ASSERT_FALSE(host.pme);
    wr(E1000_WUS, 1);
    nic_set_link(host.nic, false, host.now);
    CU_ASSERT_TRUE(host.pme);
    nic_reset(host.nic, host.now); /* RST#, without auxiliary power */
    CU_ASSERT_FALSE(host.pme);
    CU_ASSERT_EQUAL(pmcsr(), 0x2000);
    nic_set_link(host.nic, true, host.now);
}

static void data(void)
{
    e1000_fixture_restart();
    reset_with(0x22, 0x1c08);
    static const uint8_t expected[16] = { [0] = 0x1c, [3] = 0x08, [4] = 0x1c, [7] = 0x08 };
    for (unsigned select = 0; select < 16; select++) {
        set_upper((uint8_t)(select << 1));
        CU_ASSERT_EQUAL(nic_power_read(host.nic, 7), expected[select]);
        CU_ASSERT_EQUAL(pmcsr(), select << 9 | (expected[select] ? 0x2000 : 0));
    }
}

static void sleeps_and_wakes(void)
{
    static uint8_t magic[130];
    e1000_open(RCTL_EN | RCTL_UPE);
    set_state(1); /* D1 and D2: there are none */
    set_state(2);
    CU_ASSERT_FALSE(nic_is_asleep(host.nic));
    wr(E1000_WUFC, 2);
    set_upper(1);
    set_state(3);
    CU_ASSERT_TRUE(nic_is_asleep(host.nic));
    CU_ASSERT_EQUAL(pmcsr() & 3, 3);
    tx_put(TX_DATA, 60 | CMD_EOP | CMD_RS, 0);
    tx_ring(); /* a bus would not bring that here */
    CU_ASSERT_EQUAL(host.frame_count, 0);
    wr(E1000_CTRL, rd(E1000_CTRL) | CTRL_TFCE | CTRL_RFCE);
    wr(E1000_FCRTH, 0x8);
    nic_receive_backlog(host.nic, 256, 256, host.now);
    CU_ASSERT_EQUAL(host.frame_count, 0);
    CU_ASSERT_EQUAL(nic_receive(host.nic, make_frame(60), 60, NULL, host.now), NIC_RX_OFF);
    CU_ASSERT_FALSE(host.pme);
    memset(magic + 24, 0xff, 6);
    memcpy(magic, fake_mac, 6);
    for (unsigned i = 0; i < 16; i++)
        memcpy(magic + 30 + 6 * i, fake_mac, 6);
    CU_ASSERT_EQUAL(nic_receive(host.nic, magic, sizeof magic, NULL, host.now), NIC_RX_OFF);
    CU_ASSERT_TRUE(host.pme);
    CU_ASSERT_EQUAL(rd(E1000_RDH), 0);
    set_state(0);
    CU_ASSERT_FALSE(nic_is_asleep(host.nic));
    CU_ASSERT_EQUAL(rd(E1000_RCTL) | rd(E1000_TDBAL) | rd(E1000_WUFC) | rd(E1000_IMS), 0);
    CU_ASSERT_EQUAL(rd(E1000_WUS), 2);
    CU_ASSERT_EQUAL(rd(E1000_WUPL), sizeof magic);
    CU_ASSERT_EQUAL(rd(E1000_RAL), 0x12005452);
    CU_ASSERT_EQUAL(pmcsr(), 0xa100);
    CU_ASSERT_TRUE(host.pme);
    set_upper(0x80);
    CU_ASSERT_FALSE(host.pme);
    set_state(0); /* from D0 to D0 is nothing */
    wr(E1000_TDBAL, 0x1230);
    set_state(0);
    CU_ASSERT_EQUAL(rd(E1000_TDBAL), 0x1230);
}

/* Frames that wait for a driver's buffers do not wait for one that sleeps. */
static void queue_is_let_go(void)
{
    e1000_open(0);
    rx_give(0);
    wr(E1000_RCTL, RCTL_EN);
    CU_ASSERT_EQUAL(nic_receive(host.nic, make_frame(60), 60, NULL, host.now), NIC_RX_FULL);
    unsigned ready = host.ready;
    set_state(3);
    CU_ASSERT_EQUAL(host.ready, ready + 1);
    CU_ASSERT_EQUAL(nic_receive(host.nic, make_frame(60), 60, NULL, host.now), NIC_RX_OFF);
}

/* Words 0A, 0F and 24. */
static void by_eeprom(void)
{
    e1000_fixture_restart();
    CU_ASSERT_EQUAL(rd(E1000_WUC), 0);
    reset_with(0x24, 0x0400);
    CU_ASSERT_EQUAL(rd(E1000_WUC), 1);
    reset_with(0x0f, 0xb040);
    CU_ASSERT_EQUAL(rd(E1000_WUC), 9);
    wr(E1000_WUC, 0);
    wr(E1000_CTRL_EXT, CTRL_EXT_EE_RST);
    CU_ASSERT_EQUAL(rd(E1000_WUC), 9);
    wr(E1000_WUC, 2);
    set_state(3);
    set_state(0);
    CU_ASSERT_EQUAL(rd(E1000_WUC), 0xb);
    wr(E1000_WUC, 2);
    wr(E1000_CTRL, CTRL_RST);
    CU_ASSERT_EQUAL(rd(E1000_WUC), 0xb);
    reset_with(0x0a, 0x6402); /* no power management: read-only, and no D3 */
    CU_ASSERT_EQUAL(word_at(2), 0x0022);
    CU_ASSERT_EQUAL(pmcsr(), 0);
    set_state(3);
    set_upper(0xff);
    CU_ASSERT_FALSE(nic_is_asleep(host.nic));
    CU_ASSERT_EQUAL(pmcsr(), 0);
    wr(E1000_WUC, 0xf);
    CU_ASSERT_EQUAL(rd(E1000_WUC), 9); /* APM is its own affair */
    e1000_fixture_restart();
}

/* Asleep, with PME# asserted, into another machine; and what no card saves. */
static void state(void)
{
    static uint8_t image[200000], again[200000];
    struct fake_nic_host other;
    e1000_open(RCTL_EN);
    wr(E1000_WUFC, 4);
    set_upper(1 | 7 << 1);
    set_state(3);
    nic_receive(host.nic, make_frame(60), 60, NULL, host.now);
    CU_ASSERT_TRUE(host.pme);
    size_t size = nic_save(host.nic, host.now, image, sizeof image);
    fake_nic_host_start(&other, "e1000");
    CU_ASSERT_EQUAL(nic_restore(other.nic, other.now, image, size), 0);
    CU_ASSERT_EQUAL(nic_save(other.nic, other.now, again, sizeof again), size);
    CU_ASSERT_EQUAL(memcmp(image, again, size), 0);
    CU_ASSERT_TRUE(other.pme);
    CU_ASSERT_TRUE(nic_is_asleep(other.nic));
    CU_ASSERT_EQUAL(nic_power_read(other.nic, 5), 0xaf);
    nic_reset(other.nic, other.now);
    CU_ASSERT_EQUAL(nic_restore(other.nic, other.now, image, size), 0); /* over an awake one, again */
    CU_ASSERT_TRUE(other.pme);
    struct e1000_power *power = &((struct e1000 *)host.nic)->power;
    power->data_select = 16;
    size = nic_save(host.nic, host.now, image, sizeof image);
    CU_ASSERT_NOT_EQUAL(nic_restore(other.nic, other.now, image, size), 0);
    power->data_select = 0;
    power->managed = false; /* asleep, and not to be woken */
    nic_save(host.nic, host.now, image, size);
    CU_ASSERT_NOT_EQUAL(nic_restore(other.nic, other.now, image, size), 0);
    power->asleep = false; /* PME_EN is still set */
    nic_save(host.nic, host.now, image, size);
    CU_ASSERT_NOT_EQUAL(nic_restore(other.nic, other.now, image, size), 0);
    CU_ASSERT_TRUE(nic_is_asleep(other.nic));
    fake_nic_host_stop(&other);
}

static char seen[4096];
static void line(void *opaque, const char *text)
{
    (void)opaque;
    if (strlen(seen) + strlen(text) + 2 < sizeof seen)
        strcat(strcat(seen, text), "\n");
}

static void traced(void)
{
    e1000_open(RCTL_EN);
    CU_ASSERT_EQUAL(nic_set_trace(host.nic, line, NULL, true), 0);
    wr(E1000_WUFC, 4);
    set_upper(1);
    set_state(3);
    nic_receive(host.nic, make_frame(60), 60, NULL, host.now);
    set_state(0);
    set_upper(0x80);
    nic_set_trace(host.nic, NULL, NULL, false);
    const char *d3 = strstr(seen, "power D3"), *pme = strstr(seen, "pme   asserted"), *d0 = strstr(seen, "power D0");
    CU_ASSERT_TRUE_FATAL(d3 && pme && d0);
    CU_ASSERT_TRUE(d3 < pme && pme < d0);
    CU_ASSERT_PTR_NOT_NULL(strstr(d0, "pme   off"));
    CU_ASSERT_PTR_NULL(strstr(d0, "pme   asserted"));
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "power management registers", registers },
        { "PME bits in PMCSR and in WUC", mirrored },
        { "power data", data },
        { "D3 and back", sleeps_and_wakes },
        { "a queue that is let go", queue_is_let_go },
        { "what the EEPROM enables", by_eeprom },
        { "state of a sleeping card", state },
        { "power states in a trace", traced },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("e1000_power", tests, e1000_fixture_start, e1000_fixture_stop);
}
