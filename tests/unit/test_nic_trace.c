/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The teacher: what a trace prints, that it changes nothing, and every rule of
 * strict mode, each broken once. A good driver breaks none.
 */
#include "nicemu/dp8390.h"
#include "nicemu/nic_model.h"
#include "tests/unit/e1000_fixture.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

static char book[200000];
static size_t used;

static void line(void *opaque, const char *text)
{
    (void)opaque;
    used += (size_t)snprintf(book + used, sizeof book - used, "%s\n", text);
}

static void begin(bool strict)
{
    used = 0;
    book[0] = 0;
    CU_ASSERT_EQUAL(nic_set_trace(host.nic, line, NULL, strict), 0);
}

static unsigned occurrences(const char *what)
{
    unsigned count = 0;
    for (const char *at = book; (at = strstr(at, what)); at += strlen(what))
        count++;
    return count;
}

#define CHECK_HAS(what)                                       \
    do {                                                      \
        if (!strstr(book, what))                              \
            fprintf(stderr, "not in the trace: %s\n%s", what, book); \
        CU_ASSERT_PTR_NOT_NULL(strstr(book, what));           \
    } while (0)

static void wr(uint32_t offset, uint32_t value) { fake_write(&host, offset, value); }

/* --- what is printed ------------------------------------------------------- */

static void registers(void)
{
    e1000_fixture_restart();
    host.now = 1234567890;
    begin(false);
    wr(E1000_TCTL, 0x0103f0fa);
    fake_read(&host, E1000_STATUS);
    wr(E1000_RAH + 8 * 3, 0x80001234);
    wr(E1000_MDIC, 0x08220000);
    fake_read(&host, E1000_GPRC);
    nic_write(host.nic, 2, 0, 4, E1000_TIDV, host.now);
    nic_write(host.nic, 2, 4, 4, 8, host.now);
    nic_read(host.nic, 0, E1000_RAL, 1, host.now);
    fake_read(&host, 0x0f000);
    wr(0x05008, 0x8000);
    nic_set_trace(host.nic, NULL, NULL, false);
    wr(E1000_TCTL, 0);
    CHECK_HAS("   1.234567890 write TCTL   = 0103f0fa EN PSP CT=0xf COLD=0x3f RTLC\n");
    CHECK_HAS("read  STATUS = 00000283 FD LU SPEED=2 ASDV=2\n");
    CHECK_HAS("write RAH[3] = 80001234 ADDR=0x1234 AV\n");
    CHECK_HAS("write MDIC   = 08220000 read PHY 1 register 2 (ID1): 0000\n");
    CHECK_HAS("read  GPRC   = 00000000\n");
    CHECK_HAS("write IOADDR = 00003820\n");
    CHECK_HAS("write IODATA: TIDV   = 00000008 DELAY=8\n");
    CHECK_HAS("read  RAL[0] = 52 (1 bytes at 05400)\n");
    CHECK_HAS("read  unknown 0f000 = 00000000\n");
    CHECK_HAS("ERROR read of unknown register 0f000\n");
    CHECK_HAS("write RFCTL  = 00008000\n");
    CHECK_HAS("ERROR write to RFCTL (05008), which only others of the family have\n");
    CU_ASSERT_EQUAL(occurrences("write TCTL"), 1);
}

static void events(void)
{
    e1000_open(RCTL_EN);
    begin(false);
    memcpy(host.memory + TX_DATA, make_frame(60), 60);
    tx_put(TX_DATA, 60 | CMD_EOP | CMD_RS, 0);
    tx_ring();
    for (int i = 0; i < 100; i++)
        fake_read(&host, E1000_ICS);
    fake_read(&host, E1000_ICR);
    nic_receive(host.nic, make_frame(64), 64, NULL, host.now);
    nic_set_trace(host.nic, NULL, NULL, false);
    CHECK_HAS("write TDT    = 00000001 TAIL=1\n");
    CHECK_HAS("TX[0] legacy 80000+60 EOP RS\n");
    CHECK_HAS("send  60 bytes to 52:54:00:12:34:56 from 02:00:00:00:00:01 type 88b5\n");
    CHECK_HAS("irq   high\n");
    CHECK_HAS("... the same 99 times more\n");
    const char *icr = strstr(book, "read  ICR"), *low = strstr(book, "irq   low");
    CU_ASSERT_TRUE(icr && low && icr < low); /* cause before effect */
    CHECK_HAS("frame 64 bytes to");
}

/* A traced chip does the same as one that is not. */
static void changes_nothing(void)
{
    static uint8_t images[2][200000];
    size_t sizes[2];
    for (int traced = 0; traced < 2; traced++) {
        e1000_open(RCTL_EN | RCTL_BAM);
        if (traced)
            begin(true);
        memcpy(host.memory + TX_DATA, make_frame(200), 200);
        for (int i = 0; i < 70; i++) {
            tx_put(TX_DATA, 200 | CMD_EOP | CMD_RS, 0);
            tx_ring();
            nic_receive(host.nic, make_frame(100), 100, NULL, host.now);
            fake_read(&host, E1000_ICR);
        }
        sizes[traced] = nic_save(host.nic, host.now, images[traced], sizeof images[traced]);
        CU_ASSERT_EQUAL(host.frame_count, 70);
        CU_ASSERT_TRUE(host.irq_raised >= 70);
    }
    CU_ASSERT_EQUAL(sizes[0], sizes[1]);
    CU_ASSERT_EQUAL(memcmp(images[0], images[1], sizes[0]), 0);
}

/* --- rules of e1000 -------------------------------------------------------- */

static void early_tdt(void) { wr(E1000_TCTL, 0); begin(true); wr(E1000_TDT, 1); }
static void odd_rdlen(void) { wr(E1000_RDLEN, 1000); }
static void odd_tdlen(void) { wr(E1000_TDLEN, 1000); }
static void odd_base(void) { wr(E1000_TDBAL, 0x1008); }
static void live_ring(void) { wr(E1000_RDBAL, 0x20000); }
static void live_head(void) { wr(E1000_TDH, 0); }
static void outside(void) { wr(E1000_TDT, RING); }
static void rdt_outside(void) { wr(E1000_RDT, RING + 1); }
static void reuse(void) { nic_set_link(host.nic, false, host.now); wr(E1000_TDT, 10); wr(E1000_TDT, 5); }
static void rx_reuse(void) { wr(E1000_RDT, 5); }
static void dd_kept(void)
{
    for (int i = 0; i < 3; i++)
        nic_receive(host.nic, make_frame(60), 60, NULL, host.now);
    wr(E1000_RDT, 1); /* RX[63] and RX[0], whose DD is still there */
}
static void dd_sent(void) { tx_put(TX_DATA, 60 | CMD_EOP, 1); tx_ring(); }
static void no_fcs(void) { tx_put(TX_DATA, 60 | CMD_EOP, 0); tx_ring(); }
static void ide_alone(void) { tx_put(TX_DATA, 60 | CMD_EOP | CMD_IDE, 0); tx_ring(); }
static void middle(void) { tx_put(TX_DATA, 60, 0); tx_ring(); tx_context(0, 0, 0, 0, 0, 0, 0, 0, 0); tx_ring(); }
static void type_7(void) { tx_put(TX_DATA, 60 | CMD_DEXT | 0x700000, 0); tx_ring(); }
static void reserved(void) { wr(E1000_RCTL, RCTL_EN | 1); }
static void read_only(void) { wr(E1000_GPRC, 0); }
static void narrow(void) { nic_write(host.nic, 0, E1000_RCTL, 2, 2, host.now); }
static void bsex(void) { wr(E1000_RCTL, RCTL_EN | RCTL_BSEX); }
static void no_ring(void) { wr(E1000_RCTL, 0); wr(E1000_RDLEN, 0); wr(E1000_RCTL, RCTL_EN); }
static void no_collision(void) { wr(E1000_TCTL, 0); wr(E1000_TCTL, TCTL_EN); }
static void no_gap(void) { wr(E1000_TCTL, 0); wr(E1000_TIPG, 0); wr(E1000_TCTL, TCTL_EN | 0x400f0); }
static void no_request(void) { wr(E1000_EECD, 3); }
static void no_word(void) { wr(E1000_EERD, 64 << 8 | 1); }
static void no_phy(void) { wr(E1000_MDIC, 0x08400000); }
static void no_op(void) { wr(E1000_MDIC, 0x00200000); }
static void impatient(void) { wr(E1000_CTRL, CTRL_RST); fake_read(&host, E1000_CTRL); }

static void sleep_now(void) { nic_power_write(host.nic, 4, 3, host.now); }
static void sleep_sending(void) { sleep_now(); }
static void sleep_deaf(void) { wr(E1000_WUC, 2); sleep_now(); }
static void sleep_woken(void) { wr(E1000_WUC, 2); wr(E1000_WUFC, 1); nic_set_link(host.nic, false, host.now); sleep_now(); }

struct rule_case {
    const char *expected;
    void (*act)(void);
};

static void break_rules(const struct rule_case *cases, size_t count, void (*prepare)(void))
{
    for (size_t i = 0; i < count; i++) {
        prepare();
        begin(true);
        cases[i].act();
        CHECK_HAS(cases[i].expected);
        prepare();
        begin(false);
        cases[i].act();
        nic_set_trace(host.nic, NULL, NULL, false);
        if (cases[i].act != early_tdt)
            CU_ASSERT_EQUAL(occurrences("RULE"), 0); /* only in strict mode */
    }
}

static void open_receiving(void) { e1000_open(RCTL_EN); }

static void rules_e1000(void)
{
    static const struct rule_case cases[] = {
        { "RULE  14.5: TDT written before TCTL.EN", early_tdt },
        { "RULE  13.4.27: RDLEN 1000 is not a multiple of 128", odd_rdlen },
        { "RULE  13.4.38: TDLEN 1000 is not a multiple of 128", odd_tdlen },
        { "RULE  13.4.36: TDBAL 00001008 is not aligned", odd_base },
        { "RULE  13.4.25: RDBAL changed while the ring is enabled", live_ring },
        { "RULE  13.4.39: TDH written while TCTL.EN", live_head },
        { "RULE  13.4.40: TDT 64 lies outside", outside },
        { "RULE  13.4.29: RDT 65 lies outside", rdt_outside },
        { "RULE  3.4: TDT 5 passes TDH 0: descriptors are reused before DD", reuse },
        { "RULE  3.2.6: RDT 5 passes RDH 0: descriptors are reused before DD", rx_reuse },
        { "RULE  3.2.3.1: RX[0] is given to the chip with DD", dd_kept },
        { "RULE  3.3.3.2: TX[0] is given to the chip with DD", dd_sent },
        { "RULE  3.3.3.1: TX[0] without IFCS", no_fcs },
        { "RULE  13.4.41: TX[0] has IDE while TIDV is 0", ide_alone },
        { "RULE  3.3.6: TX[1] is a context in the middle", middle },
        { "RULE  3.3.5: TX[0] has the reserved type 7", type_7 },
        { "RULE  13.4.22: reserved bits 00000001 set", reserved },
        { "RULE  13.7: a register that is only read is written", read_only },
        { "RULE  13.2: 2 bytes at 00100", narrow },
        { "RULE  13.4.22: RCTL.BSIZE 0 with BSEX", bsex },
        { "RULE  14.4: RCTL.EN set before RDBAL and RDLEN", no_ring },
        { "RULE  14.5: TCTL.EN set without collision threshold", no_collision },
        { "RULE  14.5: TCTL.EN set with TIPG 0", no_gap },
        { "RULE  13.4.3: EEPROM pins driven without EECD.REQ", no_request },
        { "RULE  13.4.4: EEPROM word 64 of 64", no_word },
        { "RULE  13.4.7: MDIC names PHY 2", no_phy },
        { "RULE  13.4.7: MDIC.OP 0", no_op },
        { "RULE  13.4.1: a register is touched less than 1 us after CTRL.RST", impatient },
        { "RULE  6.3.1.4: D3 while TCTL.EN is set", sleep_sending },
        { "RULE  6.4.2: D3 with PME_EN, and no filter in WUFC", sleep_deaf },
        { "RULE  6.4.2: D3 with PME_EN while WUS is 00001", sleep_woken },
    };
    break_rules(cases, sizeof cases / sizeof *cases, open_receiving);
}

/* --- rules of the DP8390 --------------------------------------------------- */

static void out(uint32_t port, uint8_t value) { fake_out(&host, port, value); }

static void set_ports(const uint8_t (*pairs)[2], size_t count)
{
    for (size_t i = 0; i < count; i++)
        out(pairs[i][0], pairs[i][1]);
}

static void open_board(void)
{
    static const uint8_t pairs[][2] = { { 0, 0x21 }, { 0xe, 0x49 }, { 0xc, 4 }, { 0xd, 0 }, { 1, 0x46 }, { 2, 0x80 },
                                        { 3, 0x46 }, { 7, 0xff }, { 0xf, 0x3f }, { 0, 0x61 }, { 7, 0x47 }, { 0, 0x22 } };
    fake_nic_host_stop(&host);
    fake_nic_host_start(&host, "ne2000");
    set_ports(pairs, sizeof pairs / sizeof *pairs);
}

static void dma(uint8_t command, uint16_t address, uint16_t count)
{
    const uint8_t pairs[][2] = { { 0xa, (uint8_t)count }, { 0xb, (uint8_t)(count >> 8) }, { 8, (uint8_t)address },
                                 { 9, (uint8_t)(address >> 8) }, { 0, (uint8_t)(command | 2) } };
    set_ports(pairs, 5);
}

static void wrong_page_read(void) { out(0, 0x22); fake_in(&host, 0xa); }
static void wrong_page_write(void) { out(0, 0xa2); out(0xc, 4); }
static void odd_count(void) { dma(0x08, 0x4000, 33); }
static void odd_address(void) { dma(0x08, 0x4001, 32); }
static void abandoned(void) { dma(0x08, 0x4000, 32); nic_read(host.nic, 0, 0x10, 2, host.now); out(0, 0x0a); }
static void no_dma(void) { out(0, 0x22); nic_read(host.nic, 0, 0x10, 2, host.now); }
static void beyond(void) { dma(0x08, 0x4000, 2); for (int i = 0; i < 2; i++) nic_read(host.nic, 0, 0x10, 2, host.now); }
static void rd_0(void) { out(0, 0x02); }
static void both(void) { out(0, 0x23); }
static void runt(void) { out(4, 0x40); out(5, 20); out(6, 0); out(0, 0x26); }
static void giant(void) { out(4, 0x40); out(5, 0xff); out(6, 0xff); out(0, 0x26); }
static void from_ring(void) { out(4, 0x50); out(5, 60); out(6, 0); out(0, 0x26); }
static void busy_tx(void)
{
    const uint8_t twice[][2] = { { 4, 0x40 }, { 5, 60 }, { 6, 0 }, { 0, 0x26 }, { 0, 0x26 } };
    nic_set_line_rate(host.nic, 10);
    set_ports(twice, 5);
}
static void stopped_tx(void) { out(0, 0x21); out(5, 60); out(0, 0x25); }
static void bnry_out(void) { out(3, 0x45); }
static void ring_backwards(void) { out(0, 0x21); out(1, 0x80); out(0, 0x22); }
static void curr_out(void) { out(0, 0x61); out(7, 0x10); out(0, 0x22); }
static void live_pstart(void) { out(1, 0x50); }
static void rcr_reserved(void) { out(0xc, 0x44); }
static void wide(void) { nic_read(host.nic, 0, 4, 2, host.now); }
static void half_loopback(void) { out(0, 0x21); out(0xe, 0x41); out(0, 0x22); }
static void overflow(void)
{
    const uint8_t small_ring[][2] = { { 0, 0x21 }, { 2, 0x4a }, { 0, 0x22 }, { 0xc, 0x14 } };
    set_ports(small_ring, 4);
    nic_receive(host.nic, make_frame(1514), 1514, NULL, host.now);
    fake_in(&host, 7);
    out(7, 0x10);
}

static void rules_dp8390(void)
{
    static const struct rule_case cases[] = {
        { "RULE  10.2: page 0 has no register a to read: the wrong page", wrong_page_read },
        { "RULE  10.2: page 2 is for diagnostics", wrong_page_write },
        { "RULE  9.0: remote read of an odd count, 33, in word mode", odd_count },
        { "RULE  9.0: remote read from an odd address, 4001", odd_address },
        { "RULE  9.0: remote DMA started with 30 bytes", abandoned },
        { "RULE  9.0: data port read without a remote read", no_dma },
        { "RULE  9.0: data port read after the remote byte count ran out", beyond },
        { "RULE  10.3: RD 0 is not allowed", rd_0 },
        { "RULE  10.3: STP and STA set at once", both },
        { "RULE  8.0: a frame of 20 bytes: the driver pads", runt },
        { "RULE  8.0: a frame of 65535 bytes is longer", giant },
        { "RULE  8.0: TPSR 50 lies in the receive ring", from_ring },
        { "RULE  8.0: TXP set while the chip is stopped", stopped_tx },
        { "RULE  8.0: TXP set while the last frame is on the wire", busy_tx },
        { "RULE  7.0: BNRY 45 lies outside of the ring 46-7f", bnry_out },
        { "RULE  7.0: started with PSTART 80 not below PSTOP 80", ring_backwards },
        { "RULE  7.0: started with CURR 10 outside", curr_out },
        { "RULE  11.0: PSTART is written while the chip runs", live_pstart },
        { "RULE  10.3: reserved bits 40 set in RCR", rcr_reserved },
        { "RULE  10.0: registers are accessed a byte at a time", wide },
        { "RULE  10.3: started with DCR.LS clear", half_loopback },
        { "RULE  7.0: OVW acknowledged without the recovery", overflow },
    };
    break_rules(cases, sizeof cases / sizeof *cases, open_board);
    CHECK_HAS("write CR     = 21 STP RD=4\n");
    CHECK_HAS("read  ISR    = 94 RXE OVW RST\n");
    e1000_fixture_restart();
}

/* --- good drivers break no rule -------------------------------------------- */

static void good_dp8390(void)
{
    static const uint8_t open[][2] = {
        { 0, 0x21 }, { 0xe, 0x49 }, { 0xa, 0 }, { 0xb, 0 }, { 0xc, 0x20 }, { 0xd, 0x02 }, { 1, 0x46 }, { 2, 0x80 },
        { 3, 0x46 }, { 7, 0xff }, { 0xf, 0x3f }, { 0, 0x61 }, { 1, 0x52 }, { 7, 0x47 }, { 0, 0x22 }, { 0xd, 0 },
        { 0xc, 4 } };
    open_board();
    begin(true);
    set_ports(open, sizeof open / sizeof *open);
    dma(0x10, 0x4000, 60);
    for (int i = 0; i < 30; i++)
        nic_write(host.nic, 0, 0x10, 2, 0x1234, host.now);
    out(7, 0x40);
    out(4, 0x40);
    out(5, 60);
    out(6, 0);
    out(0, 0x26);
    if (occurrences("RULE"))
        fprintf(stderr, "%s", book);
    CU_ASSERT_EQUAL(occurrences("RULE"), 0);
    CHECK_HAS("... the same 29 times more");
    CHECK_HAS("send  60 bytes");
    e1000_fixture_restart();
}

static void good_e1000(void)
{
    e1000_fixture_restart();
    begin(true);
    wr(E1000_IMC, 0xffffffff);
    wr(E1000_CTRL, CTRL_RST);
    host.now += 2000;
    wr(E1000_CTRL, 0x00000041 | 0x20);
    for (unsigned i = 0; i < RING; i++) {
        uint64_t address = RX_BUFFERS + i * 2048;
        memcpy(host.memory + RX_RING + 16 * i, &address, 8);
    }
    wr(E1000_RDBAL, RX_RING);
    wr(E1000_RDBAH, 0);
    wr(E1000_RDLEN, RING * 16);
    wr(E1000_RDH, 0);
    wr(E1000_RDT, RING - 1);
    wr(E1000_RCTL, RCTL_EN | RCTL_BAM | RCTL_SECRC);
    wr(E1000_TDBAL, TX_RING);
    wr(E1000_TDBAH, 0);
    wr(E1000_TDLEN, RING * 16);
    wr(E1000_TDH, 0);
    wr(E1000_TDT, 0);
    wr(E1000_TIPG, 0x00602008);
    wr(E1000_TCTL, 0x000400fa);
    memcpy(host.memory + TX_DATA, make_frame(60), 60);
    uint64_t address = TX_DATA;
    uint32_t lower = 60 | CMD_EOP | 0x02000000 | CMD_RS;
    memcpy(host.memory + TX_RING, &address, 8);
    memcpy(host.memory + TX_RING + 8, &lower, 4);
    wr(E1000_TDT, 1);
    nic_receive(host.nic, make_frame(60), 60, NULL, host.now);
    memset(host.memory + RX_RING + 8, 0, 8);
    wr(E1000_RDT, 0);
    if (occurrences("RULE"))
        fprintf(stderr, "%s", book);
    CU_ASSERT_EQUAL(occurrences("RULE"), 0);
    CU_ASSERT_EQUAL(host.frame_count, 1);
}

/* Off, a trace costs nothing: accesses go straight to the model, and its calls straight to the machine. */
static void off_is_not_there(void)
{
    const char *name;
    for (unsigned i = 0; (name = nic_model_name(i)); i++) {
        fake_nic_host_stop(&host);
        fake_nic_host_start(&host, name);
        struct nic *nic = host.nic;
        struct nic_host own = nic->host;
        for (unsigned strict = 0; strict < 2; strict++) {
            CU_ASSERT_TRUE(nic->read == nic->ops->read && nic->write == nic->ops->write && !nic->trace);
            begin(strict);
            CU_ASSERT_TRUE(nic->read != nic->ops->read && nic->write != nic->ops->write && nic->trace);
            CU_ASSERT_TRUE(nic->host.dma_read != own.dma_read);
            nic_set_trace(nic, NULL, NULL, false);
            CU_ASSERT_EQUAL(memcmp(&nic->host, &own, sizeof own), 0);
        }
        CU_ASSERT_TRUE(nic->read == nic->ops->read && nic->write == nic->ops->write && !nic->trace);
    }
    fake_nic_host_stop(&host);
    fake_nic_host_start(&host, "e1000");
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "registers and fields", registers },
        { "interrupts, frames, descriptors, repeats", events },
        { "a trace changes nothing", changes_nothing },
        { "a trace that is off", off_is_not_there },
        { "rules of e1000", rules_e1000 },
        { "rules of the DP8390", rules_dp8390 },
        { "a good e1000 driver", good_e1000 },
        { "a good NE2000 driver", good_dp8390 },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("nic_trace", tests, e1000_fixture_start, e1000_fixture_stop);
}
