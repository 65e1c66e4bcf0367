/* SPDX-License-Identifier: BSD-2-Clause
 *
 * e1000's wake-up filters: what sets WUS and PME_STATUS, and what is kept of the frame.
 */
#include "tests/unit/e1000_fixture.h"
#include "tests/unit/unit.h"

#include <string.h>

static uint32_t rd(uint32_t offset) { return fake_read(&host, offset); }
static void wr(uint32_t offset, uint32_t value) { fake_write(&host, offset, value); }

static void wake_open(uint32_t wuc, uint32_t wufc)
{
    e1000_open(RCTL_EN);
    wr(E1000_WUS, 0xffffffff);
    wr(E1000_WUFC, wufc);
    wr(E1000_WUC, wuc | 4);
    CU_ASSERT_EQUAL(rd(E1000_WUC), wuc);
}

/* What a frame of `size` to `mac` sets in WUS, and PME_STATUS and PME# with it. */
static uint32_t wakes(const uint8_t *mac, uint8_t *frame, size_t size)
{
    memcpy(frame, mac, 6);
    nic_receive(host.nic, frame, size, NULL, host.now);
    uint32_t status = rd(E1000_WUS);
    CU_ASSERT_EQUAL(!(rd(E1000_WUC) & 4), !status);
    CU_ASSERT_EQUAL(host.pme, status != 0);
    if (status) {
        CU_ASSERT_EQUAL(rd(E1000_WUPL), size);
        for (unsigned i = 0; i < 128 / 4 && 4 * i + 4 <= size; i++)
            CU_ASSERT_EQUAL(rd(E1000_WUPM + 4 * i),
                            frame[4 * i] | frame[4 * i + 1] << 8 | frame[4 * i + 2] << 16 | (uint32_t)frame[4 * i + 3] << 24);
    }
    wr(E1000_WUS, status);
    wr(E1000_WUC, rd(E1000_WUC));
    CU_ASSERT_EQUAL(rd(E1000_WUS) | (rd(E1000_WUC) & 4), 0);
    CU_ASSERT_FALSE(host.pme);
    return status;
}

static const uint8_t everyone[6] = { 255, 255, 255, 255, 255, 255 }, stranger[6] = { 2, 9, 9, 9, 9, 9 };

static void wake_by_address(void)
{
    uint8_t frame[60] = { 0 }, group[6] = { 1, 0, 0x5e, 1, 2, 3 };
    wake_open(2, 0x1c);
    wr(E1000_RCTL, RCTL_EN | RCTL_BAM);
    CU_ASSERT_EQUAL(wakes(fake_mac, frame, 60), 0x04);
    CU_ASSERT_EQUAL(wakes(everyone, frame, 60), 0x10);
    CU_ASSERT_EQUAL(wakes(stranger, frame, 60), 0);
    CU_ASSERT_EQUAL(wakes(group, frame, 60), 0);
    for (unsigned i = 0; i < 128; i++)
        wr(E1000_MTA + 4 * i, 0xffffffff);
    CU_ASSERT_EQUAL(wakes(group, frame, 60), 0x08);
    wr(E1000_WUFC, 0x10);
    CU_ASSERT_EQUAL(wakes(fake_mac, frame, 60), 0); /* not asked for */
    wake_open(0, 0x1c);
    CU_ASSERT_EQUAL(wakes(fake_mac, frame, 60), 0); /* off */
    CU_ASSERT_EQUAL(rd(E1000_GPRC), 1);             /* and received as ever */
}

static void wake_by_magic(void)
{
    uint8_t frame[200] = { 0 };
    memset(frame + 30, 0xff, 7);
    for (unsigned i = 0; i < 16; i++)
        memcpy(frame + 37 + 6 * i, fake_mac, 6);
    wake_open(9, 0); /* APM, with PME# */
    CU_ASSERT_EQUAL(wakes(fake_mac, frame, 200), 2);
    CU_ASSERT_EQUAL(wakes(everyone, frame, 200), 2); /* whatever BAM says */
    CU_ASSERT_EQUAL(wakes(stranger, frame, 200), 0);
    CU_ASSERT_EQUAL(wakes(fake_mac, frame, 133), 2); /* all there is of it */
    CU_ASSERT_EQUAL(wakes(fake_mac, frame, 132), 0);
    wr(E1000_RCTL, 0);
    CU_ASSERT_EQUAL(wakes(fake_mac, frame, 200), 2); /* no driver is there */
    wake_open(1, 0); /* without: the status is all there is */
    memcpy(frame, fake_mac, 6);
    nic_receive(host.nic, frame, 200, NULL, host.now);
    CU_ASSERT_EQUAL(rd(E1000_WUS), 2);
    CU_ASSERT_EQUAL(rd(E1000_WUC), 1);
    CU_ASSERT_FALSE(host.pme);
    wake_open(9, 0);
    frame[37 + 95] ^= 1;
    CU_ASSERT_EQUAL(wakes(fake_mac, frame, 200), 0);
}

static void wake_by_protocol(void)
{
    static const uint8_t arp[] = { 0x08, 0x06, 0, 1, 8, 0, 6, 4, 0, 1 };
    uint8_t frame[80] = { 0 };
    wake_open(2, 0xe0);
    wr(E1000_RCTL, RCTL_EN | RCTL_BAM);
    wr(E1000_IP4AT + 8, 0x0100090a); /* 10.9.0.1, the second */
    wr(E1000_IPAV, 0x2);
    memcpy(frame + 12, arp, sizeof arp);
    memcpy(frame + 38, "\x0a\x09\x00\x01", 4);
    CU_ASSERT_EQUAL(wakes(everyone, frame, 60), 0x20);
    CU_ASSERT_EQUAL(wakes(fake_mac, frame, 60), 0);
    wr(E1000_IPAV, 0x1);
    CU_ASSERT_EQUAL(wakes(everyone, frame, 60), 0); /* not valid */
    wr(E1000_IPAV, 0x10002);
    memmove(frame + 16, frame + 12, 40); /* a tag in front */
    memcpy(frame + 12, "\x81\x00\x00\x05", 4);
    CU_ASSERT_EQUAL(wakes(everyone, frame, 60), 0x20);
    frame[25] = 2; /* a reply */
    CU_ASSERT_EQUAL(wakes(everyone, frame, 60), 0);
    memset(frame, 0, sizeof frame);
    memcpy(frame + 12, "\x08\x00\x45", 3);
    memcpy(frame + 30, "\x0a\x09\x00\x01", 4);
    CU_ASSERT_EQUAL(wakes(fake_mac, frame, 60), 0x40);
    frame[33] = 2;
    CU_ASSERT_EQUAL(wakes(fake_mac, frame, 60), 0);
    memcpy(frame + 12, "\x86\xdd\x60", 3);
    for (unsigned i = 0; i < 16; i++)
        frame[38 + i] = (uint8_t)(i + 1);
    for (unsigned i = 0; i < 4; i++)
        wr(E1000_IP6AT + 4 * i, 0x04030201 + 0x04040404 * i);
    CU_ASSERT_EQUAL(wakes(fake_mac, frame, 60), 0x80);
    CU_ASSERT_EQUAL(wakes(fake_mac, frame, 50), 0); /* cut short */
}

static void wake_by_pattern(void)
{
    uint8_t frame[60] = { 0 };
    wake_open(2, 0xf0000);
    wr(E1000_FFLT + 16, 40); /* the third: bytes 20 and 50 */
    wr(E1000_FFMT + 8 * 20, 4);
    wr(E1000_FFVT + 8 * 20, 0x00770000);
    wr(E1000_FFMT + 8 * 50, 4); /* beyond its length */
    wr(E1000_FFVT + 8 * 50, 0x00110000);
    CU_ASSERT_EQUAL(wakes(fake_mac, frame, 60), 0);
    frame[20] = 0x77;
    CU_ASSERT_EQUAL(wakes(fake_mac, frame, 60), 0x40000);
    CU_ASSERT_EQUAL(wakes(fake_mac, frame, 39), 0);
    CU_ASSERT_EQUAL(wakes(stranger, frame, 60), 0);
}

/* The first frame is kept, over a reset too, until it has been acknowledged; the link's change counts apart. */
static void wake_once(void)
{
    uint8_t frame[60] = { 0 };
    wake_open(2, 0x05);
    memcpy(frame, fake_mac, 6);
    frame[20] = 1;
    nic_receive(host.nic, frame, 60, NULL, host.now);
    frame[20] = 2;
    nic_receive(host.nic, frame, 50, NULL, host.now);
    CU_ASSERT_EQUAL(rd(E1000_WUPL), 60);
    CU_ASSERT_EQUAL(rd(E1000_WUPM + 20), 1);
    nic_set_link(host.nic, false, host.now);
    CU_ASSERT_EQUAL(rd(E1000_WUS), 5);
    wr(E1000_CTRL, CTRL_RST);
    CU_ASSERT_EQUAL(rd(E1000_WUS), 5);
    CU_ASSERT_EQUAL(rd(E1000_WUPM + 20), 1);
    wr(E1000_WUS, 1);
    CU_ASSERT_EQUAL(rd(E1000_WUS), 4);
    CU_ASSERT_TRUE(host.pme);
    wr(E1000_WUC, 6);
    CU_ASSERT_FALSE(host.pme);
    nic_set_link(host.nic, true, host.now);
    nic_set_link(host.nic, true, host.now);
}

/* Addresses, numbers and bits of the registers (13.6): what is not listed does not exist,
 * and bits that are not listed read as zero. */
static void wake_registers(void)
{
    static const struct { uint32_t at, count, stride, bits; } registers[] = {
        { 0x5800, 1, 4, 0x0000000b }, /* WUC; PME_STATUS is cleared by a one */
        { 0x5808, 1, 4, 0x000f80ff }, /* WUFC */
        { 0x5838, 1, 4, 0x0001000f }, /* IPAV */
        { 0x5840, 4, 8, 0xffffffff }, /* IP4AT */
        { 0x5880, 4, 4, 0xffffffff }, /* IP6AT */
        { 0x5900, 1, 4, 0x00000fff }, /* WUPL, for diagnosis */
        { 0x5a00, 32, 4, 0xffffffff }, /* WUPM, likewise */
        { 0x5f00, 4, 8, 0x000007ff }, /* FFLT */
        { 0x9000, 128, 8, 0x0000000f }, /* FFMT */
        { 0x9800, 128, 8, 0xffffffff }, /* FFVT */
    };
    e1000_open(0);
    for (size_t i = 0; i < sizeof registers / sizeof *registers; i++)
        for (uint32_t n = 0; n < registers[i].count; n++) {
            uint32_t at = registers[i].at + n * registers[i].stride;
            wr(at, 0xffffffff);
            CU_ASSERT_EQUAL(rd(at), registers[i].bits);
            wr(at, 0);
            CU_ASSERT_EQUAL(rd(at), 0);
        }
    wr(0x5810, 0xffffffff); /* WUS: ones clear */
    CU_ASSERT_EQUAL(rd(0x5810), 0);
    static const uint32_t none[] = { 0x5844, 0x5890, 0x5a80, 0x5f04, 0x5f20, 0x9004, 0x9400, 0x9804, 0x9c00 };
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        wr(none[i], 0xffffffff);
        CU_ASSERT_EQUAL(rd(none[i]), 0);
    }
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "wake-up registers", wake_registers },
        { "wake-up by address", wake_by_address },
        { "wake-up by magic packet", wake_by_magic },
        { "wake-up by protocol", wake_by_protocol },
        { "wake-up by pattern", wake_by_pattern },
        { "wake-up once", wake_once },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("e1000_wake", tests, e1000_fixture_start, e1000_fixture_stop);
}
