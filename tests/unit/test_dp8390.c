/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The DP8390 itself: remote DMA at every width, its pages of registers, and what
 * hostile drivers do to it. Frames are in test_dp8390_rx.c and test_dp8390_tx.c,
 * what a board adds in test_dp8390_boards.c.
 */
#include "tests/unit/dp8390_fixture.h"
#include "tests/unit/unit.h"

#include <stdlib.h>
#include <string.h>

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
        { "remote DMA at every width", dma_widths },
        { "remote DMA wraps at PSTOP", dma_wraps_at_stop },
        { "the PROM is read-only", prom_is_read_only },
        { "current addresses", current_addresses },
        { "page 2", page_2 },
        { "STA is kept", start_is_kept },
        { "cve class A: page registers", page_registers },
        { "blocks are as many single accesses", blocks },
        { "cve class F: every port at every width", every_port },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("dp8390", tests, dp8390_fixture_start, dp8390_fixture_stop);
}
