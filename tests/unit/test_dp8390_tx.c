/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Frames that a DP8390 sends: at once, at a line rate, into a busy network, and
 * back to itself by loopback.
 */
#include "nicemu/ethernet_crc.h"
#include "tests/unit/dp8390_fixture.h"
#include "tests/unit/unit.h"

#include <string.h>

static void send_frame(void)
{
    restart("ne2000");
    open_card(0x04);
    write_memory(0x4000, make_frame(200), 200);
    out(7, 0xff);
    transmit(0x40, 200);
    CU_ASSERT_EQUAL_FATAL(host.frame_count, 1);
    CU_ASSERT_EQUAL(host.frames[0].size, 200);
    CU_ASSERT_EQUAL(memcmp(host.frames[0].bytes, make_frame(200), 200), 0);
    CU_ASSERT_EQUAL(in(7), ISR_PTX);
    CU_ASSERT_EQUAL(in(4), TSR_PTX);
    CU_ASSERT_FALSE(in(CR) & CR_TXP);
    CU_ASSERT_EQUAL(host.flushed, 1);
}

static void strange_transmissions(void)
{
    restart("ne2000");
    open_card(0x04);
    static const uint16_t refused[] = { 0, 1, 13, 1519, 0x4000, 0xffff };
    for (size_t i = 0; i < 6; i++) {
        out(7, 0xff);
        transmit(0x40, refused[i]);
        CU_ASSERT_EQUAL(in(7), ISR_PTX); /* the driver is not left waiting */
    }
    CU_ASSERT_EQUAL(host.frame_count, 0);
    transmit(0x7f, 1518); /* around the end of memory */
    transmit(0x00, 1518); /* from the PROM */
    transmit(0xff, 1518);
    CU_ASSERT_EQUAL(host.frame_count, 3);
    CU_ASSERT_EQUAL(host.frames[1].bytes[0], fake_mac[0]);
}

/* With a line rate: TXP is set, and the frame not gone, until it has been on the wire. */
static void on_the_wire(void)
{
    static uint8_t image[40000];
    const uint64_t time = (8 + 1000 + 4 + 12) * 800; /* at 10 Mbit/s */
    restart("ne2000");
    CU_ASSERT_TRUE(nic_set_line_rate(host.nic, 10));
    open_card(0x04);
    write_memory(0x4000, make_frame(1000), 1000);
    out(7, 0xff);
    transmit(0x40, 1000);
    CU_ASSERT_TRUE(in(CR) & CR_TXP);
    CU_ASSERT_EQUAL(in(7), 0);
    out(CR, 0x26); /* not sent twice */
    out(4, 0x50); /* the next one is prepared meanwhile */
    out(5, 60);
    fake_nic_host_advance(&host, time - 1);
    CU_ASSERT_EQUAL(host.frame_count, 0);
    size_t size = nic_save(host.nic, host.now, image, sizeof image);
    host.now += 5000000;
    CU_ASSERT_EQUAL(nic_restore(host.nic, host.now, image, size), 0); /* time between the two does not count */
    CU_ASSERT_TRUE(in(CR) & CR_TXP);
    fake_nic_host_advance(&host, 1);
    CU_ASSERT_EQUAL_FATAL(host.frame_count, 1);
    CU_ASSERT_EQUAL(host.frames[0].size, 1000);
    CU_ASSERT_EQUAL(memcmp(host.frames[0].bytes, make_frame(1000), 1000), 0);
    CU_ASSERT_EQUAL(in(7), ISR_PTX);
    CU_ASSERT_FALSE(in(CR) & CR_TXP);
    CU_ASSERT_TRUE(host.irq);
    restart("e1000");
    CU_ASSERT_FALSE(nic_set_line_rate(host.nic, 10));
    restart("ne2000");
}

/* Stopped while it sends: the frame goes out, only then the chip is in its reset
 * state. lib8390's recovery waits 10 ms and asks then whether it was sent. */
static void stopped_on_the_wire(void)
{
    restart("rtl8029");
    nic_set_line_rate(host.nic, 10);
    open_card(0x04);
    write_memory(0x4000, make_frame(1000), 1000);
    out(7, 0xff);
    transmit(0x40, 1000);
    CU_ASSERT_TRUE(in(CR) & CR_TXP);
    out(CR, 0x21);
    CU_ASSERT_EQUAL(in(7), 0);
    CU_ASSERT_EQUAL(give(60), NIC_RX_OFF);
    fake_nic_host_advance(&host, 10000000);
    CU_ASSERT_EQUAL(in(7), ISR_PTX | ISR_RST);
    CU_ASSERT_EQUAL(host.frame_count, 1);
    out(CR, 0x22);
    transmit(0x40, 1000);
    in(RESET); /* cuts it off */
    CU_ASSERT_EQUAL(in(CR), 0x21);
    fake_nic_host_advance(&host, 10000000);
    CU_ASSERT_EQUAL(host.frame_count, 1);
    CU_ASSERT_EQUAL(in(7), ISR_RST);
    restart("ne2000");
}

/* What Realtek's chip on ISA has besides. */
/* The network is busy: TXP stays set, as while the wire is. */
static void busy_network(void)
{
    restart("ne2000");
    open_card(0x04);
    write_memory(0x4000, make_frame(60), 60);
    fake_nic_host_forget_frames(&host);
    host.no_room = true;
    transmit(0x40, 60);
    CU_ASSERT_EQUAL(in(CR) & 4, 4);
    CU_ASSERT_EQUAL(host.frame_count, 0);
    fake_nic_host_advance(&host, 1000000);
    CU_ASSERT_EQUAL(in(CR) & 4, 4);
    host.no_room = false;
    fake_nic_host_advance(&host, NIC_NO_ROOM_NS);
    CU_ASSERT_EQUAL(in(CR) & 4, 0);
    CU_ASSERT_EQUAL(host.frame_count, 1);
    CU_ASSERT_TRUE(in(7) & 2);
    CU_ASSERT_EQUAL(in(4) & 1, 1);
}

/* The tables of AN-937, by mode: a matching address, another, a CRC of our own. */
static void loopback(void)
{
    static const uint8_t tsr[4] = { 0, 0x51, 0x41, 0x01 };
    for (uint8_t mode = 1; mode < 4; mode++) {
        restart("ne2000");
        open_card(0x00);
        out(0xe, 0x40);
        write_memory(0x4000, make_frame(60), 60);
        out(0xd, (uint8_t)(mode << 1));
        out(7, 0xff);
        transmit(0x40, 60);
        CU_ASSERT_EQUAL(host.frame_count, 0);
        CU_ASSERT_EQUAL(curr(), 0x46); /* the FIFO, not the ring */
        CU_ASSERT_EQUAL(in(4), tsr[mode]);
        CU_ASSERT_EQUAL(in(0xc), RSR_CRC);
        CU_ASSERT_EQUAL(in(7), ISR_PTX | ISR_RXE);
        uint32_t fcs = ethernet_fcs(make_frame(60), 60);
        CU_ASSERT_EQUAL(in(6), 64);
        CU_ASSERT_EQUAL(in(6), 0);
        CU_ASSERT_EQUAL(in(6), 0);
        CU_ASSERT_EQUAL(in(6), make_frame(60)[59]);
        for (int i = 0; i < 4; i++)
            CU_ASSERT_EQUAL(in(6), (fcs >> 8 * i) & 0xff);
        out(0xc, RCR_AB);
        write_memory(0x4000, (const uint8_t *)"\xff\xff\xff\xff\xff\xff", 6);
        transmit(0x40, 60);
        CU_ASSERT_EQUAL(in(0xc), RSR_CRC | RSR_PHY); /* 22 in the datasheet's table */
        write_memory(0x4000, make_frame(60), 60);
        page1(1, 0x99); /* no longer our address */
        out(7, 0xff);
        transmit(0x40, 60);
        CU_ASSERT_EQUAL(in(4), tsr[mode]);
        CU_ASSERT_EQUAL(in(0xc), RSR_PRX);
        CU_ASSERT_EQUAL(in(7), ISR_PTX);
    }
}

static void loopback_without_crc(void)
{
    uint8_t frame[64];
    restart("ne2000");
    open_card(0x00);
    out(0xe, 0x40);
    memcpy(frame, make_frame(60), 60);
    uint32_t fcs = ethernet_fcs(frame, 60);
    for (int i = 0; i < 4; i++)
        frame[60 + i] = (uint8_t)(fcs >> 8 * i);
    write_memory(0x4000, frame, 64);
    out(0xd, 0x03); /* inhibited: the receiver checks ours */
    out(7, 0xff);
    transmit(0x40, 64);
    CU_ASSERT_EQUAL(in(0xc), RSR_PRX);
    CU_ASSERT_EQUAL(in(7), ISR_PTX);
    frame[63] ^= 1;
    write_memory(0x4000, frame, 64);
    out(7, 0xff);
    transmit(0x40, 64);
    CU_ASSERT_EQUAL(in(0xc), RSR_CRC);
    CU_ASSERT_EQUAL(in(7), ISR_PTX | ISR_RXE);
    transmit(0x40, 14); /* shorter than an FCS and an address: no harm */
}

/* Word mode: half of the bytes, the upper ones or (BOS) the lower ones. */
static void loopback_of_words(void)
{
    uint8_t frame[120];
    restart("ne2000");
    open_card(0x00);
    for (int lane = 0; lane < 2; lane++) {
        for (unsigned i = 0; i < 120; i++)
            frame[i] = i % 2 == (unsigned)lane ? make_frame(60)[i / 2] : 0xee;
        out(0xe, 0x49);
        out(0xd, 0x00);
        write_memory(0x4000, frame, 120);
        out(0xe, lane ? 0x41 : 0x43);
        out(0xd, 0x02);
        out(7, 0xff);
        transmit(0x40, 120);
        CU_ASSERT_EQUAL(in(0xc), RSR_CRC); /* the address matched */
        CU_ASSERT_EQUAL(in(6), 64);
        in(6);
        in(6);
        CU_ASSERT_EQUAL(in(6), make_frame(60)[59]);
    }
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "transmission", send_frame },
        { "cve class E: strange transmissions", strange_transmissions },
        { "a frame on the wire", on_the_wire },
        { "a busy network", busy_network },
        { "stopped with a frame on the wire", stopped_on_the_wire },
        { "loopback to the FIFO", loopback },
        { "loopback with the driver's FCS", loopback_without_crc },
        { "loopback of words", loopback_of_words },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("dp8390_tx", tests, dp8390_fixture_start, dp8390_fixture_stop);
}
