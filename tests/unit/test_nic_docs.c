/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The drivers of docs/e1000.md and docs/ne2000.md: two small polling drivers that
 * do everything by the book. Strict mode finds no rule broken, and the traces in
 * the documents are what they print, to the byte: a change of either that makes
 * them differ fails here. `test_nic_docs e1000` (or ne2000) prints the trace.
 */
#include "nicemu/dp8390.h"
#include "tests/unit/e1000_fixture.h"

#include <CUnit/Basic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char book[100000];
static size_t used;

static void line(void *opaque, const char *text)
{
    (void)opaque;
    used += (size_t)snprintf(book + used, sizeof book - used, "%s\n", text);
}

static void begin(const char *model)
{
    fake_nic_host_stop(&host);
    fake_nic_host_start(&host, model);
    used = 0;
    nic_set_trace(host.nic, line, NULL, true);
}

static void heading(const char *text)
{
    nic_set_trace(host.nic, NULL, NULL, true); /* ends a line of repeats */
    used += (size_t)snprintf(book + used, sizeof book - used, "%s# %s\n", used ? "\n" : "", text);
    nic_set_trace(host.nic, line, NULL, true);
}

static void pause_ns(uint64_t ns)
{
    fake_nic_host_advance(&host, ns);
}

/* An access takes a microsecond, as on a real bus. */
static uint32_t rd(uint32_t offset)
{
    pause_ns(1000);
    return fake_read(&host, offset);
}

static void wr(uint32_t offset, uint32_t value)
{
    pause_ns(1000);
    fake_write(&host, offset, value);
}

/* --- e1000 ----------------------------------------------------------------- */

#define COUNT 8u /* descriptors in each ring */

static unsigned rx_next, tx_next;

static void e1000_start(void)
{
    heading("reset, and the station address");
    wr(E1000_IMC, 0xffffffff);
    wr(E1000_CTRL, CTRL_RST);
    pause_ns(10000000);
    wr(E1000_IMC, 0xffffffff);
    rd(E1000_ICR);
    for (uint32_t word = 0; word < 3; word++) {
        wr(E1000_EERD, word << 8 | 1);
        while (!(rd(E1000_EERD) & 0x10))
            ;
    }
    wr(E1000_RAL, 0x12005452);
    wr(E1000_RAH, 0x80005634);
    nic_set_trace(host.nic, NULL, NULL, true);
    for (unsigned i = 0; i < 128; i++)
        wr(E1000_MTA + 4 * i, 0);
    heading("the link");
    wr(E1000_CTRL, CTRL_SLU | 0x20);
    wr(E1000_MDIC, 0x08000000 | 1u << 21 | 1u << 16);
    while (!(rd(E1000_MDIC) & 0x10000000))
        ;
    rd(E1000_STATUS);
}

static void give_buffer(unsigned index)
{
    uint64_t descriptor[2] = { RX_BUFFERS + 2048 * index, 0 };
    memcpy(host.memory + RX_RING + 16 * index, descriptor, 16);
}

static void e1000_rings(void)
{
    heading("the receive ring: base, length, head, tail, then RCTL.EN");
    for (unsigned i = 0; i < COUNT; i++)
        give_buffer(i);
    wr(E1000_RDBAL, RX_RING);
    wr(E1000_RDBAH, 0);
    wr(E1000_RDLEN, COUNT * 16);
    wr(E1000_RDH, 0);
    wr(E1000_RDT, COUNT - 1);
    wr(E1000_RCTL, RCTL_EN | RCTL_BAM | RCTL_SECRC);
    heading("the transmit ring, then TCTL.EN");
    wr(E1000_TDBAL, TX_RING);
    wr(E1000_TDBAH, 0);
    wr(E1000_TDLEN, COUNT * 16);
    wr(E1000_TDH, 0);
    wr(E1000_TDT, 0);
    wr(E1000_TIPG, 0x00602008);
    wr(E1000_TCTL, TCTL_EN | TCTL_PSP | 0x0f << 4 | 0x40 << 12);
    heading("interrupts");
    wr(E1000_ITR, 500);
    wr(E1000_IMS, ICR_TXDW | ICR_LSC | ICR_RXDMT0 | ICR_RXO | ICR_RXT0);
}

static void descriptor(uint64_t address, uint32_t lower, uint32_t upper)
{
    uint8_t *d = host.memory + TX_RING + 16 * tx_next;
    memcpy(d, &address, 8);
    memcpy(d + 8, &lower, 4);
    memcpy(d + 12, &upper, 4);
    tx_next = (tx_next + 1) % COUNT;
}

#define CMD_IFCS 0x02000000u

static void e1000_send(void)
{
    heading("a frame of 60 bytes");
    memcpy(host.memory + TX_DATA, make_frame(60), 60);
    descriptor(TX_DATA, 60 | CMD_EOP | CMD_IFCS | CMD_RS, 0);
    wr(E1000_TDT, tx_next);
    CU_ASSERT_EQUAL(host.memory[TX_RING + 12] & 1, 1); /* DD */
    rd(E1000_ICR);
    pause_ns(200000);
}

static void e1000_receive(void)
{
    heading("a frame comes in, and its descriptor goes back");
    pause_ns(1000);
    nic_receive(host.nic, make_frame(64), 64, NULL, host.now);
    rd(E1000_ICR);
    const uint8_t *d = host.memory + RX_RING + 16 * rx_next;
    CU_ASSERT_EQUAL(d[12] & 3, 3); /* DD, EOP */
    give_buffer(rx_next);
    wr(E1000_RDT, rx_next); /* the tail stays one behind what the driver reads next */
    rx_next = (rx_next + 1) % COUNT;
    pause_ns(200000);
}

static void e1000_segment(void)
{
    static uint8_t frame[8192];
    heading("4000 bytes of TCP, for the chip to segment and to sum");
    size_t size = make_tcp(frame, false, 4000);
    frame[16] = frame[17] = 0; /* IP's length and checksum are the chip's */
    frame[50] = 0x14; /* sum of the pseudo header without the length: 10.0.0.1, 10.0.0.2, 6 */
    frame[51] = 0x09;
    memcpy(host.memory + TX_DATA, frame, size);
    uint64_t context = 14 | 24 << 8 | 33 << 16 | (uint64_t)34 << 32 | (uint64_t)50 << 40;
    descriptor(context, CMD_DEXT | 0x07000000 | 4000, 54 << 8 | 1460u << 16);
    descriptor(TX_DATA, (uint32_t)size | TYPE_DATA | CMD_TSE | CMD_EOP | CMD_IFCS | CMD_RS, POPTS_IP | POPTS_L4);
    wr(E1000_TDT, tx_next);
    rd(E1000_ICR);
}

static void e1000_stop(void)
{
    heading("the end");
    wr(E1000_IMC, 0xffffffff);
    wr(E1000_RCTL, 0);
    wr(E1000_TCTL, 0);
    rd(E1000_GPRC);
    rd(E1000_GPTC);
    nic_set_trace(host.nic, NULL, NULL, false);
}

static void drive_e1000(void)
{
    begin("e1000");
    rx_next = tx_next = 0;
    e1000_start();
    e1000_rings();
    e1000_send();
    e1000_receive();
    e1000_segment();
    e1000_stop();
    CU_ASSERT_EQUAL(host.frame_count, 2);
}

/* --- NE2000 ---------------------------------------------------------------- */

#define DATA 0x10u

static uint8_t in(uint32_t port)
{
    pause_ns(1000);
    return fake_in(&host, port);
}

static void out(uint32_t port, uint8_t value)
{
    pause_ns(1000);
    fake_out(&host, port, value);
}

static void remote(uint8_t command, uint16_t address, uint16_t count)
{
    out(0xa, (uint8_t)count);
    out(0xb, (uint8_t)(count >> 8));
    out(8, (uint8_t)address);
    out(9, (uint8_t)(address >> 8));
    out(0, (uint8_t)(command | CR_STA));
}

static void remote_read(uint16_t address, uint8_t *to, uint16_t count)
{
    remote(CR_RD_READ, address, count);
    for (uint16_t i = 0; i < count; i += 2) {
        uint32_t word = nic_read(host.nic, 0, DATA, 2, host.now);
        memcpy(to + i, &word, 2);
    }
    while (!(in(7) & ISR_RDC))
        ;
    out(7, ISR_RDC);
}

static void ne2000_start(void)
{
    static const uint8_t page1[] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 0x47, 0, 0, 0, 0, 0, 0, 0, 0 };
    uint8_t prom[32];
    heading("reset, and the station address from the PROM");
    out(0x1f, in(0x1f));
    while (!(in(7) & ISR_RST))
        ;
    out(7, 0xff);
    out(0, CR_STP | CR_RD_ABORT);
    out(0xe, 0x49); /* words, normal operation, FIFO threshold 8 */
    remote_read(0, prom, 32);
    CU_ASSERT_EQUAL(prom[10], 0x56);
    heading("the chip is set up while it is stopped");
    out(0, CR_STP | CR_RD_ABORT);
    out(0xa, 0);
    out(0xb, 0);
    out(0xc, RCR_MON);
    out(0xd, 0x02);
    out(4, 0x40);
    out(1, 0x46);
    out(3, 0x46);
    out(2, 0x80);
    out(7, 0xff);
    out(0xf, 0x3f);
    out(0, 0x61);
    for (unsigned i = 0; i < 15; i++)
        out(1 + i, page1[i]);
    heading("and started");
    out(0, CR_STA | CR_RD_ABORT);
    out(0xd, 0x00);
    out(0xc, RCR_AB);
}

static void ne2000_send(void)
{
    heading("a frame of 60 bytes: into the board's memory, then on its way");
    remote(CR_RD_WRITE, 0x4000, 60);
    for (unsigned i = 0; i < 60; i += 2)
        nic_write(host.nic, 0, DATA, 2, make_frame(60)[i] | (uint32_t)make_frame(60)[i + 1] << 8, host.now);
    while (!(in(7) & ISR_RDC))
        ;
    out(7, ISR_RDC);
    out(4, 0x40);
    out(5, 60);
    out(6, 0);
    out(0, CR_STA | CR_TXP | CR_RD_ABORT);
    while (!(in(7) & ISR_PTX))
        ;
    in(4);
    out(7, ISR_PTX);
}

/* What lies between BNRY and CURR; BNRY is kept one page behind. */
static void drain(void)
{
    for (;;) {
        uint8_t header[4], frame[1520];
        out(0, 0x62);
        uint8_t end = in(7);
        out(0, CR_STA | CR_RD_ABORT);
        uint8_t page = (uint8_t)(in(3) + 1);
        page = page == 0x80 ? 0x46 : page;
        if (page == end)
            return;
        remote_read((uint16_t)(page << 8), header, 4);
        uint16_t size = (uint16_t)(header[2] | header[3] << 8);
        remote_read((uint16_t)((page << 8) + 4), frame, (uint16_t)((size - 4 + 1) & ~1));
        CU_ASSERT_EQUAL(memcmp(frame, make_frame(64), 64), 0);
        out(3, header[1] == 0x46 ? 0x7f : (uint8_t)(header[1] - 1));
    }
}

static void ne2000_receive(void)
{
    heading("a frame comes in");
    pause_ns(1000);
    nic_receive(host.nic, make_frame(64), 64, NULL, host.now);
    in(7);
    out(7, ISR_PRX);
    drain();
}

static void ne2000_overflow(void)
{
    heading("the ring has overflowed: the recovery of the datasheet");
    pause_ns(1000);
    nic_receive(host.nic, make_frame(64), 64, NULL, host.now);
    nic_receive_lost(host.nic, 60, host.now);
    in(7);
    uint8_t transmitting = in(0) & CR_TXP;
    out(0, CR_STP | CR_RD_ABORT);
    pause_ns(1600000);
    out(0xa, 0);
    out(0xb, 0);
    out(0xd, 0x02);
    out(0, CR_STA | CR_RD_ABORT);
    drain();
    out(7, ISR_OVW | ISR_PRX);
    out(0xd, 0x00);
    CU_ASSERT_EQUAL(transmitting, 0); /* else the frame would be sent again */
    in(0xf);
}

static void ne2000_stop(void)
{
    heading("the end");
    out(0xf, 0);
    out(0, CR_STP | CR_RD_ABORT);
    nic_set_trace(host.nic, NULL, NULL, false);
}

static void drive_ne2000(void)
{
    begin("ne2000");
    ne2000_start();
    ne2000_send();
    ne2000_receive();
    ne2000_overflow();
    ne2000_stop();
    CU_ASSERT_EQUAL(host.frame_count, 1);
}

/* --- documents -------------------------------------------------------------- */

static const char *wanted; /* of the two: to be printed */

static void check_document(const char *model, const char *path)
{
    static char document[200000];
    if (wanted && strcmp(wanted, model) == 0)
        fputs(book, stdout);
    if (strstr(book, "RULE") || strstr(book, "ERROR"))
        fprintf(stderr, "%s", book);
    CU_ASSERT_PTR_NULL(strstr(book, "RULE"));
    CU_ASSERT_PTR_NULL(strstr(book, "ERROR"));
    FILE *file = fopen(path, "r");
    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    document[fread(document, 1, sizeof document - 1, file)] = 0;
    fclose(file);
    CU_ASSERT_PTR_NOT_NULL(strstr(document, book)); /* run with the model's name, and paste */
}

static void e1000_document(void)
{
    drive_e1000();
    check_document("e1000", "docs/e1000.md");
}

static void ne2000_document(void)
{
    drive_ne2000();
    check_document("ne2000", "docs/ne2000.md");
}

int main(int argc, char **argv)
{
    CU_initialize_registry();
    wanted = argc > 1 ? argv[1] : NULL;
    if (wanted)
        CU_basic_set_mode(CU_BRM_SILENT);
    CU_pSuite suite = CU_add_suite("nic_docs", e1000_fixture_start, e1000_fixture_stop);
    CU_add_test(suite, "docs/e1000.md", e1000_document);
    CU_add_test(suite, "docs/ne2000.md", ne2000_document);
    CU_basic_run_tests();
    unsigned failures = CU_get_number_of_failures();
    CU_cleanup_registry();
    return failures != 0;
}
