/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The DP8390 on its two boards: the probes of Linux's ne and ne2k-pci, remote
 * DMA at every width, the receive ring, and what hostile drivers do to it.
 */
#include "nicemu/ethernet_crc.h"
#include "nicemu/dp8390.h"
#include "nicemu/mac_filter.h"
#include "tests/fake/fake_nic_host.h"

#include <CUnit/Basic.h>
#include <stdlib.h>
#include <string.h>

#define CR 0x00u
#define DATA 0x10u
#define RESET 0x1fu

static struct fake_nic_host host;
static const char *board = "ne2000";

static uint8_t in(uint32_t port) { return fake_in(&host, port); }
static void out(uint32_t port, uint8_t value) { fake_out(&host, port, value); }

static int set_up(void)
{
    fake_nic_host_start(&host, board);
    return 0;
}

static int tear_down(void)
{
    fake_nic_host_stop(&host);
    return 0;
}

static void restart(const char *name)
{
    tear_down();
    board = name;
    set_up();
}

static void page1(uint32_t port, uint8_t value)
{
    uint8_t cr = in(CR);
    out(CR, (uint8_t)((cr & 3) | 0x60));
    out(port, value);
    out(CR, (uint8_t)((cr & 3) | 0x20));
}

static uint8_t curr(void)
{
    uint8_t cr = in(CR);
    out(CR, (uint8_t)((cr & 3) | 0x60));
    uint8_t value = in(7);
    out(CR, (uint8_t)((cr & 3) | 0x20));
    return value;
}

/* As NS8390_init() and dev_open() leave the chip: word mode, ring 0x46-0x7f. */
static void open_card(uint8_t rcr)
{
    out(CR, 0x21);
    out(0xe, 0x49);
    out(0xa, 0);
    out(0xb, 0);
    out(0xc, 0x20);
    out(0xd, 0x02);
    out(4, 0x40);
    out(1, 0x46);
    out(3, 0x7f);
    out(2, 0x80);
    out(7, 0xff);
    for (unsigned i = 0; i < 6; i++)
        page1(1 + i, fake_mac[i]);
    page1(7, 0x46);
    out(CR, 0x22);
    out(0xd, 0x00);
    out(0xc, rcr);
    out(7, 0xff);
    out(0xf, 0x3f);
}

static void dma(uint8_t command, uint16_t address, uint16_t count)
{
    out(0xa, (uint8_t)count);
    out(0xb, (uint8_t)(count >> 8));
    out(8, (uint8_t)address);
    out(9, (uint8_t)(address >> 8));
    out(CR, (uint8_t)(command | 2));
}

static void read_memory(uint16_t address, uint8_t *to, uint16_t size)
{
    dma(0x08, address, size);
    for (uint16_t i = 0; i < size; i += 2) {
        uint32_t word = nic_read(host.nic, 0, DATA, 2, host.now);
        memcpy(to + i, &word, 2);
    }
}

static void write_memory(uint16_t address, const uint8_t *from, uint16_t size)
{
    dma(0x10, address, size);
    for (uint16_t i = 0; i < size; i += 2)
        nic_write(host.nic, 0, DATA, 2, from[i] | (uint32_t)from[i + 1] << 8, host.now);
}

static uint8_t *make_frame(size_t size)
{
    static uint8_t frame[2000];
    for (size_t i = 0; i < size; i++)
        frame[i] = (uint8_t)(i * 11);
    memcpy(frame, fake_mac, 6);
    memcpy(frame + 6, "\x02\x00\x00\x00\x00\x01\x88\xb5", 8);
    return frame;
}

static enum nic_rx_result give(size_t size)
{
    return nic_receive(host.nic, make_frame(size), size, NULL, host.now);
}

/* --- probes -------------------------------------------------------------- */

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

/* --- remote DMA ---------------------------------------------------------- */

static void dma_widths(void)
{
    restart("rtl8029");
    open_card(0x04);
    uint8_t data[600], back[600];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + 1);
    write_memory(0x4000, data, 600);
    CU_ASSERT_TRUE(in(7) & ISR_RDC);
    read_memory(0x4000, back, 600);
    CU_ASSERT_EQUAL(memcmp(data, back, 600), 0);
    dma(0x08, 0x4000, 600);
    for (int i = 0; i < 600; i += 4) {
        uint32_t v = nic_read(host.nic, 0, DATA, 4, 0);
        CU_ASSERT_EQUAL(memcmp(&v, data + i, 4), 0);
    }
    CU_ASSERT_EQUAL(nic_read(host.nic, 0, DATA, 2, 0), 0xffff); /* the count has run out */
    out(0xe, 0x48); /* byte mode */
    dma(0x08, 0x4001, 5);
    CU_ASSERT_EQUAL(in(DATA), data[1]);
    CU_ASSERT_EQUAL(nic_read(host.nic, 0, DATA, 2, 0), (uint32_t)(data[2] | data[3] << 8));
    CU_ASSERT_EQUAL(in(8), 0x04);
    CU_ASSERT_EQUAL(in(9), 0x40);
    out(0xe, 0x49);
    out(7, 0xff);
    dma(0x10, 0x4000, 1); /* an odd count in word mode ends all the same */
    nic_write(host.nic, 0, DATA, 2, 0xaabb, 0);
    CU_ASSERT_TRUE(in(7) & ISR_RDC);
    restart("ne2000");
}

static void dma_wraps_at_stop(void)
{
    uint8_t data[512], back[512];
    restart("ne2000");
    open_card(0x04);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i ^ 0x5a);
    write_memory(0x7f00, data, 512);
    read_memory(0x4600, back, 256);
    CU_ASSERT_EQUAL(memcmp(back, data + 256, 256), 0);
    read_memory(0x7f00, back, 512);
    CU_ASSERT_EQUAL(memcmp(back, data, 512), 0);
}

static void prom_is_read_only(void)
{
    uint8_t zeros[32] = { 0 }, back[32];
    restart("ne2000");
    open_card(0x04);
    write_memory(0, zeros, 32);
    read_memory(0, back, 32);
    CU_ASSERT_EQUAL(back[0], fake_mac[0]);
    write_memory(0x2000, zeros, 32); /* iPXE looks for 8-bit cards' memory there */
    read_memory(0x2000, back, 32);
    CU_ASSERT_NOT_EQUAL(back[0], 0);
}

/* What drivers of old look at: Novell's ODI driver 2.12 at CRDA after a write of RSAR,
 * OS/2's for the NE1000 at a read that goes on where the last one ended. */
static void current_addresses(void)
{
    uint8_t data[64];
    restart("ne2000");
    open_card(0x04);
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i + 1);
    write_memory(0x4000, data, 64);
    out(8, 0x34);
    out(9, 0x52);
    CU_ASSERT_EQUAL(in(8), 0x34);
    CU_ASSERT_EQUAL(in(9), 0x52);
    dma(0x08, 0x4000, 32);
    for (int i = 0; i < 16; i++)
        nic_read(host.nic, 0, DATA, 2, 0);
    CU_ASSERT_EQUAL(in(8), 0x20);
    out(0xa, 32);
    out(CR, 0x0a); /* the address as it stands */
    CU_ASSERT_EQUAL(nic_read(host.nic, 0, DATA, 2, 0), (uint32_t)(data[32] | data[33] << 8));
    out(CR, 0x22);
    give(300);
    CU_ASSERT_EQUAL(in(1) | in(2) << 8, 0x4600 + 4 + 300 + 4); /* CLDA: behind the FCS */
}

/* Page 2, for diagnostics. */
static void page_2(void)
{
    restart("ne2000");
    open_card(0x0c);
    give(300);
    out(3, 0x46);
    out(CR, 0x1a); /* send-packet */
    nic_read(host.nic, 0, DATA, 2, 0);
    out(CR, 0xa2);
    CU_ASSERT_EQUAL(in(1), 0x46);
    CU_ASSERT_EQUAL(in(2), 0x80);
    CU_ASSERT_EQUAL(in(3), 0x48); /* the next page of the frame at BNRY */
    CU_ASSERT_EQUAL(in(4), 0x40);
    CU_ASSERT_EQUAL(in(5), 0x48); /* and behind the last one received */
    CU_ASSERT_EQUAL(in(6), 0x46); /* the address counter, upper byte first */
    CU_ASSERT_EQUAL(in(7), 0x02);
    CU_ASSERT_EQUAL(in(8), 0xff);
    CU_ASSERT_EQUAL(in(0xc), 0xcc);
    CU_ASSERT_EQUAL(in(0xd), 0xe0);
    CU_ASSERT_EQUAL(in(0xe), 0xc9);
    CU_ASSERT_EQUAL(in(0xf), 0xbf);
    out(1, 0x55); /* CLDA */
    out(2, 0x66);
    for (uint32_t port = 3; port < 8; port++)
        out(port, (uint8_t)(0x10 + port));
    CU_ASSERT_EQUAL(in(1), 0x46); /* not PSTART */
    CU_ASSERT_EQUAL(in(3), 0x13);
    CU_ASSERT_EQUAL(in(4), 0x40); /* not written */
    CU_ASSERT_EQUAL(in(5), 0x15);
    CU_ASSERT_EQUAL(in(6) << 8 | in(7), 0x1617);
    out(CR, 0x22);
    CU_ASSERT_EQUAL(in(1) | in(2) << 8, 0x6655);
}

/* --- receiving ----------------------------------------------------------- */

static void receive_one(void)
{
    uint8_t back[512];
    restart("ne2000");
    open_card(0x04);
    CU_ASSERT_EQUAL(give(300), NIC_RX_TAKEN);
    CU_ASSERT_TRUE(host.irq);
    CU_ASSERT_EQUAL(in(7), ISR_PRX);
    CU_ASSERT_EQUAL(curr(), 0x48);
    read_memory(0x4600, back, 308);
    CU_ASSERT_EQUAL(back[0], RSR_PRX);
    CU_ASSERT_EQUAL(back[1], 0x48);
    CU_ASSERT_EQUAL(back[2] | back[3] << 8, 304); /* with the FCS, without the header */
    CU_ASSERT_EQUAL(memcmp(back + 4, make_frame(300), 300), 0);
    uint32_t fcs;
    memcpy(&fcs, back + 304, 4);
    CU_ASSERT_EQUAL(fcs, ethernet_fcs(make_frame(300), 300));
    CU_ASSERT_EQUAL(give(20), NIC_RX_TAKEN);
    read_memory(0x4800, back, 64);
    CU_ASSERT_EQUAL(back[2], 64); /* padded to 60 */
}

/* Reads frames as lib8390 does and gives their pages back. */
static unsigned drain(unsigned most)
{
    unsigned count = 0;
    uint8_t header[4], frame[1600];
    while (count < most) {
        uint8_t now_page = curr(), page = (uint8_t)(in(3) + 1);
        if (page >= 0x80)
            page = 0x46;
        if (page == now_page)
            break;
        read_memory((uint16_t)(page << 8), header, 4);
        size_t size = (header[2] | (size_t)header[3] << 8) - 4;
        unsigned expected = page + 1u + (unsigned)((size + 4) >> 8); /* lib8390 also takes the page after it */
        CU_ASSERT_TRUE(header[1] == expected || header[1] == expected + 1 || header[1] == expected - 0x3a ||
                       header[1] == expected + 1 - 0x3a);
        read_memory((uint16_t)((page << 8) + 4), frame, (uint16_t)((size + 1) & ~1u));
        CU_ASSERT_EQUAL(memcmp(frame, make_frame(size), size), 0);
        out(3, (uint8_t)(header[1] - 1)); /* not wrapped: PSTART - 1 for the first page */
        count++;
    }
    return count;
}

static void ring_fills_and_drains(void)
{
    restart("ne2000");
    open_card(0x04);
    unsigned sent = 0, got = 0;
    for (int round = 0; round < 40; round++) {
        while (give(900) == NIC_RX_TAKEN)
            sent++;
        unsigned ready = host.ready;
        got += drain(3);
        CU_ASSERT_EQUAL(host.ready, ready); /* not for each frame that would find room, */
        got += drain(6);
        CU_ASSERT_EQUAL(host.ready, ready + 1); /* once, when half of the ring is free */
    }
    got += drain(100);
    CU_ASSERT_TRUE(sent > 120);
    CU_ASSERT_EQUAL(got, sent);
    CU_ASSERT_EQUAL(in(7) & ISR_OVW, 0); /* nothing was lost, so nothing overflowed */
}

/* A ring that has not much room at its best: told when it is empty. */
static void small_ring(void)
{
    restart("ne2000");
    open_card(0x04);
    out(CR, 0x21);
    out(2, 0x4d); /* seven pages */
    out(3, 0x4c);
    out(CR, 0x22);
    CU_ASSERT_EQUAL(give(1100), NIC_RX_TAKEN); /* five of them */
    CU_ASSERT_EQUAL(give(1100), NIC_RX_FULL);
    unsigned ready = host.ready;
    out(3, 0x46);
    CU_ASSERT_EQUAL(host.ready, ready);
    out(3, 0x4a);
    CU_ASSERT_EQUAL(host.ready, ready + 1);
    CU_ASSERT_EQUAL(give(1100), NIC_RX_TAKEN);
}

/* Every length, among them those that end with a page. */
static void lengths_agree_with_lib8390(void)
{
    restart("ne2000");
    open_card(0x04);
    for (unsigned size = 60; size <= 1514; size++) {
        CU_ASSERT_EQUAL(give(size), NIC_RX_TAKEN);
        CU_ASSERT_EQUAL(drain(2), 1);
    }
}

/* lib8390 acknowledges after draining: what came in between must not be forgotten. */
static void acknowledged_too_early(void)
{
    restart("ne2000");
    open_card(0x04);
    give(100);
    give(100);
    drain(1);
    out(7, ISR_PRX);
    CU_ASSERT_TRUE(in(7) & ISR_PRX);
    CU_ASSERT_TRUE(host.irq);
    drain(10);
    out(7, 0xff);
    CU_ASSERT_EQUAL(in(7), 0);
    CU_ASSERT_FALSE(host.irq);
}

/* lib8390 while it is being closed: acknowledges and takes nothing out. */
static void acknowledged_only(void)
{
    unsigned times = 0;
    restart("ne2000");
    open_card(0x04);
    for (unsigned i = 0; i < 200; i++)
        give(1514); /* more than the ring holds */
    while (host.irq && times < 20) {
        out(7, in(7));
        times++;
    }
    CU_ASSERT_FALSE(host.irq);
    CU_ASSERT_TRUE(times > 1 && times < 10);
    CU_ASSERT_EQUAL(drain(1), 1);
    drain(5);
    CU_ASSERT_EQUAL(give(100), NIC_RX_TAKEN);
    CU_ASSERT_TRUE(host.irq);
}

/* By the book: acknowledged, then drained; nothing of it is left. */
static void acknowledged_first(void)
{
    restart("ne2000");
    open_card(0x04);
    give(100);
    give(100);
    out(7, ISR_PRX);
    CU_ASSERT_EQUAL(drain(1), 1);
    CU_ASSERT_TRUE(host.irq);
    CU_ASSERT_EQUAL(drain(10), 1);
    CU_ASSERT_EQUAL(in(7) & ISR_PRX, 0);
    CU_ASSERT_FALSE(host.irq);
    give(100);
    out(7, ISR_PRX);
    give(100); /* comes in after the acknowledgement: a cause of its own */
    CU_ASSERT_EQUAL(drain(10), 2);
    CU_ASSERT_TRUE(in(7) & ISR_PRX);
    out(7, ISR_PRX);
    CU_ASSERT_EQUAL(in(7) & ISR_PRX, 0);
}

static bool passes(const char *mac)
{
    uint8_t frame[60], before = curr();
    memcpy(frame, make_frame(60), 60);
    memcpy(frame, mac, 6);
    nic_receive(host.nic, frame, 60, NULL, host.now);
    return curr() != before;
}

static void filter(void)
{
    static const char group[] = "\x01\x00\x5e\x00\x00\x01", other[] = "\x02\x00\x00\x00\x00\x09";
    static const char broadcast[] = "\xff\xff\xff\xff\xff\xff";
    restart("ne2000");
    open_card(0x00);
    CU_ASSERT_TRUE(passes((const char *)fake_mac));
    CU_ASSERT_FALSE(passes(other) || passes(group) || passes(broadcast));
    out(0xc, RCR_AB);
    CU_ASSERT_TRUE(passes(broadcast));
    CU_ASSERT_FALSE(passes(group));
    out(0xc, RCR_PRO); /* physical addresses only, by the datasheet */
    CU_ASSERT_TRUE(passes(other));
    CU_ASSERT_FALSE(passes(group) || passes(broadcast));
    out(0xc, RCR_AM);
    CU_ASSERT_FALSE(passes(group));
    for (unsigned bit = 0; bit < 64; bit++) { /* one bit of the hash alone, and no other */
        page1(8 + bit / 8, (uint8_t)(1u << bit % 8));
        CU_ASSERT_EQUAL(passes(group), bit == mac_hash_crc6((const uint8_t *)group));
        page1(8 + bit / 8, 0);
    }
    for (unsigned i = 0; i < 8; i++)
        page1(8 + i, 0xff);
    CU_ASSERT_TRUE(passes(group));
    page1(6, 0x77); /* PAR decides, not the PROM */
    CU_ASSERT_FALSE(passes((const char *)fake_mac));
    page1(6, fake_mac[5]);
    uint8_t header[4];
    read_memory((uint16_t)((curr() - 1) << 8), header, 4);
    CU_ASSERT_EQUAL(header[0], RSR_PRX | RSR_PHY);
}

static void monitor_and_tallies(void)
{
    restart("ne2000");
    open_card(RCR_MON);
    for (int i = 0; i < 127; i++)
        give(60);
    CU_ASSERT_EQUAL(curr(), 0x46);
    CU_ASSERT_EQUAL(in(7) & ISR_CNT, 0);
    give(60);
    CU_ASSERT_TRUE(in(7) & ISR_CNT);
    for (int i = 0; i < 100; i++)
        give(60);
    CU_ASSERT_EQUAL(in(0xf), 192);
    CU_ASSERT_EQUAL(in(0xf), 0);
}

static void stopped_receiver(void)
{
    restart("ne2000");
    CU_ASSERT_EQUAL(give(60), NIC_RX_OFF);
    open_card(0x04);
    nic_set_link(host.nic, false, 0);
    CU_ASSERT_EQUAL(give(60), NIC_RX_OFF);
    nic_set_link(host.nic, true, 0);
    out(0xd, 0x02);
    CU_ASSERT_EQUAL(give(60), NIC_RX_OFF);
    out(0xd, 0x00);
    CU_ASSERT_EQUAL(give(60), NIC_RX_TAKEN);
    out(CR, 0x21);
    CU_ASSERT_TRUE(in(7) & ISR_RST);
    CU_ASSERT_EQUAL(give(60), NIC_RX_OFF);
    out(CR, 0x22);
    CU_ASSERT_FALSE(in(7) & ISR_RST);
}

/* --- transmitting -------------------------------------------------------- */

static void transmit(uint8_t page, uint16_t size)
{
    out(4, page);
    out(5, (uint8_t)size);
    out(6, (uint8_t)(size >> 8));
    out(CR, 0x26);
}

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

static void send_packet_command(void)
{
    uint8_t frame[64];
    restart("ne2000");
    open_card(0x04);
    give(60);
    out(3, 0x46);
    out(7, 0xff);
    out(CR, 0x1a);
    for (int i = 0; i < 68; i += 2) {
        uint32_t word = nic_read(host.nic, 0, DATA, 2, 0);
        if (i >= 4 && i < 64)
            memcpy(frame + i - 4, &word, 2);
    }
    CU_ASSERT_EQUAL(memcmp(frame, make_frame(60), 60), 0);
    CU_ASSERT_TRUE(in(7) & ISR_RDC);
    CU_ASSERT_EQUAL(in(3), 0x47);
}

/* lib8390's recovery from an overflow. */
static void overrun_recovery(void)
{
    restart("ne2000");
    open_card(0x04);
    give(60);
    out(CR, 0x21);
    out(0xa, 0);
    out(0xb, 0);
    out(0xd, 0x02);
    out(CR, 0x22);
    CU_ASSERT_EQUAL(drain(10), 1);
    out(7, ISR_OVW);
    out(0xd, 0x00);
    CU_ASSERT_EQUAL(give(60), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(drain(10), 1);
}

/* The machine lost a frame: OVW, RST and the tally, until pages are given back. */
static void lost_frames(void)
{
    restart("ne2000");
    open_card(0x04);
    give(60);
    nic_receive_lost(host.nic, 60, host.now);
    CU_ASSERT_EQUAL(in(7) & (ISR_OVW | ISR_RST | ISR_PRX), ISR_OVW | ISR_RST | ISR_PRX);
    CU_ASSERT_EQUAL(in(0xc) & RSR_MPA, RSR_MPA);
    CU_ASSERT_EQUAL(in(0xf), 1);
    out(7, 0xff); /* RST is not acknowledged by writing */
    CU_ASSERT_TRUE(in(7) & ISR_RST);
    CU_ASSERT_EQUAL(drain(10), 1);
    CU_ASSERT_FALSE(in(7) & ISR_RST);
    out(CR, 0x21);
    nic_receive_lost(host.nic, 60, host.now); /* stopped: nobody misses it */
    CU_ASSERT_EQUAL(in(0xf), 0);
}

/* --- 8-bit boards -------------------------------------------------------- */

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

/* Once started, the chip runs until STP whatever is written to CR, and shows STA
 * until the reset pin; lib8390 changes pages without either bit. */
static void start_is_kept(void)
{
    restart("ne2000");
    open_card(0x04);
    out(CR, 0x60);
    CU_ASSERT_EQUAL(in(CR), 0x62);
    out(CR, 0x20);
    CU_ASSERT_EQUAL(give(100), NIC_RX_TAKEN);
    CU_ASSERT_TRUE(in(7) & ISR_PRX);
    out(CR, 0x21);
    CU_ASSERT_EQUAL(in(CR), 0x23);
    CU_ASSERT_TRUE(in(7) & ISR_RST);
    CU_ASSERT_EQUAL(give(100), NIC_RX_OFF);
    out(CR, 0x22);
    CU_ASSERT_FALSE(in(7) & ISR_RST);
    CU_ASSERT_EQUAL(give(100), NIC_RX_TAKEN);
    in(RESET);
    CU_ASSERT_EQUAL(in(CR), 0x21);
    out(CR, 0x20); /* never started since: neither receives nor sends */
    CU_ASSERT_EQUAL(give(100), NIC_RX_OFF);
    unsigned sent = host.frame_count;
    out(5, 100);
    out(6, 0);
    out(CR, 0x24);
    CU_ASSERT_EQUAL(host.frame_count, sent);
}

/* --- hostile drivers ----------------------------------------------------- */

/* A: page registers of every kind; the sanitizers watch memory. */
static void page_registers(void)
{
    static const uint8_t values[] = { 0x00, 0x01, 0x3f, 0x40, 0x46, 0x7f, 0x80, 0x81, 0xfe, 0xff };
    restart("ne2000");
    for (unsigned a = 0; a < 10; a++)
        for (unsigned b = 0; b < 10; b++)
            for (unsigned c = 0; c < 10; c++) {
                open_card(0x14);
                out(1, values[a]);
                out(2, values[b]);
                page1(7, values[c]);
                for (unsigned d = 0; d < 10; d++) {
                    out(3, values[d]);
                    give(1514);
                }
            }
    struct nic_counters counters;
    nic_get_counters(host.nic, &counters);
    CU_ASSERT_TRUE(counters.rx_frames > 0);
}

static void frame_larger_than_ring(void)
{
    restart("ne2000");
    open_card(0x04);
    out(1, 0x46);
    out(2, 0x4a); /* four pages */
    page1(7, 0x46);
    CU_ASSERT_EQUAL(give(1514), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(in(7) & (ISR_OVW | ISR_RXE), ISR_OVW | ISR_RXE);
    CU_ASSERT_EQUAL(in(0xf), 1);
    CU_ASSERT_EQUAL(give(1519), NIC_RX_TAKEN); /* no frame is as long */
    CU_ASSERT_EQUAL(curr(), 0x46);
}

/* Blocks are as many single accesses: two boards, the same life but for that. */
static void blocks(void)
{
    static const char *const boards[] = { "ne2000", "ne2000-8bit", "ne1000", "rtl8019as", "rtl8029" };
    static uint8_t block[4 * 700], single[4 * 700], image[2][65536];
    struct fake_nic_host first = host;

    srand(5);
    for (size_t which = 0; which < sizeof boards / sizeof *boards; which++) {
        restart(boards[which]);
        fake_nic_host_start(&first, boards[which]);
        for (unsigned round = 0; round < 1500; round++) {
            struct fake_nic_host *const both[2] = { &host, &first };
            uint8_t registers[] = { 0xe, rand() & 1, 1, 0x40 + rand() % 4, 2, 0x46 + rand() % 0x40, 8, rand() & 0xff, 9,
                                    rand() & 0x7f, 0xa, rand() & 0xff, 0xb, rand() & 7, 0, rand() & 1 ? 0x0a : 0x12 };
            unsigned size = 1u << rand() % 3, count = (unsigned)rand() % 700, port = rand() % 20 ? DATA : (unsigned)rand() % 0x20;
            bool write = rand() & 1;

            if (port + size > 0x20)
                continue;
            for (unsigned n = 0; n < 2; n++) {
                fake_out(both[n], 0, 0x22);
                for (unsigned i = 0; i < sizeof registers; i += 2)
                    fake_out(both[n], registers[i], registers[i + 1]);
            }
            for (unsigned i = 0; i < sizeof block; i++)
                block[i] = single[i] = (uint8_t)rand();
            if (write)
                nic_write_block(host.nic, 0, port, size, count, block, 0);
            else
                nic_read_block(host.nic, 0, port, size, count, block, 0);
            for (unsigned i = 0; i < count; i++) {
                uint32_t value = 0;
                memcpy(&value, single + i * size, size);
                if (write)
                    nic_write(first.nic, 0, port, size, value, 0);
                else
                    value = nic_read(first.nic, 0, port, size, 0);
                memcpy(single + i * size, &value, size);
            }
            if (memcmp(block, single, sizeof block) != 0) {
                CU_FAIL("a block read something else");
                break;
            }
            if (round % 16 == 0) {
                size_t length = nic_save(host.nic, 0, image[0], sizeof image[0]);
                CU_ASSERT_TRUE_FATAL(length <= sizeof image[0]);
                CU_ASSERT_EQUAL(nic_save(first.nic, 0, image[1], sizeof image[1]), length);
                CU_ASSERT_EQUAL(memcmp(image[0], image[1], length), 0);
            }
        }
        fake_nic_host_stop(&first);
    }
    restart("ne2000");
    nic_read_block(host.nic, 0, 0x1f, 4, 3, block, 0); /* beyond the window: all ones, as single ones are */
    CU_ASSERT_EQUAL(block[0] & block[11], 0xff);
}

/* F: every port at every width. */
static void every_port(void)
{
    static const char *const boards[] = { "ne2000", "ne2000-8bit", "ne1000", "rtl8019as", "rtl8029" };
    for (size_t which = 0; which < sizeof boards / sizeof *boards; which++) {
        restart(boards[which]);
        uint32_t limit = nic_identity(host.nic)->bar[0].size;
        for (uint32_t port = 0; port < limit + 4; port++)
            for (unsigned size = 1; size <= 4; size *= 2)
                for (unsigned page = 0; page < 4; page++) {
                    out(CR, (uint8_t)(page << 6 | 0x22));
                    nic_read(host.nic, 0, port, size, 0);
                    nic_write(host.nic, 0, port, size, 0xffffffff, 0);
                }
    }
    restart("ne2000");
    CU_ASSERT_EQUAL(nic_read(host.nic, 0, 0x1e, 4, 0), 0xffffffff);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "probe of ne", probe_ne },
        { "probe of ne2k-pci", probe_ne2k_pci },
        { "remote DMA at every width", dma_widths },
        { "remote DMA wraps at PSTOP", dma_wraps_at_stop },
        { "the PROM is read-only", prom_is_read_only },
        { "current addresses", current_addresses },
        { "page 2", page_2 },
        { "a frame in the ring", receive_one },
        { "the ring fills and drains", ring_fills_and_drains },
        { "a small ring fills and drains", small_ring },
        { "every length", lengths_agree_with_lib8390 },
        { "acknowledged too early", acknowledged_too_early },
        { "acknowledged and not drained", acknowledged_only },
        { "acknowledged first", acknowledged_first },
        { "address filter", filter },
        { "monitor mode and tallies", monitor_and_tallies },
        { "stopped, no link, loopback", stopped_receiver },
        { "transmission", send_frame },
        { "cve class E: strange transmissions", strange_transmissions },
        { "a frame on the wire", on_the_wire },
        { "a busy network", busy_network },
        { "stopped with a frame on the wire", stopped_on_the_wire },
        { "RTL8019AS registers", rtl8019_registers },
        { "sleep and power-down", power_down },
        { "loopback to the FIFO", loopback },
        { "loopback with the driver's FCS", loopback_without_crc },
        { "loopback of words", loopback_of_words },
        { "STA is kept", start_is_kept },
        { "send packet", send_packet_command },
        { "recovery from an overflow", overrun_recovery },
        { "frames lost outside", lost_frames },
        { "NE1000", ne1000 },
        { "NE2000 in an 8-bit slot", ne2000_in_a_byte_slot },
        { "cve class A: page registers", page_registers },
        { "cve class E: a frame larger than the ring", frame_larger_than_ring },
        { "blocks are as many single accesses", blocks },
        { "cve class F: every port at every width", every_port },
        CU_TEST_INFO_NULL,
    };
    CU_initialize_registry();
    CU_pSuite suite = CU_add_suite("dp8390", set_up, tear_down);
    for (const CU_TestInfo *t = tests; t->pName; t++)
        CU_add_test(suite, t->pName, t->pTestFunc);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
