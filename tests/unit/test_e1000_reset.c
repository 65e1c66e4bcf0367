/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Every register of e1000 after each kind of reset, against the manual's tables
 * (chapter 13) as they are written down here a second time. A register that the
 * chip has and this list has not is a failure, too.
 */
#include "tests/unit/e1000_fixture.h"
#include "tests/unit/unit.h"

#include <stdio.h>

static uint32_t rd(uint32_t offset) { return fake_read(&host, offset); }
static void wr(uint32_t offset, uint32_t value) { fake_write(&host, offset, value); }

enum kept { NO, PHY_TOO, OVER_RESETS };

/* first, number of words, distance, value, what a reset leaves alone */
static const struct { uint32_t at, count, stride, value; enum kept kept; } expected[] = {
    { 0x0000, 1, 4, 0x00140241, NO },      /* CTRL: FD, SLU, 1000 Mbit/s, SWDPIN 0 and 2 */
    { 0x0008, 1, 4, 0x00000283, NO },      /* STATUS: FD, LU, SPEED and ASDV of the link */
    { 0x0010, 1, 4, 0x00000118, NO },      /* EECD: there is one, DO floats high, no flash writes */
    { 0x0014, 1, 4, 0x00000000, NO },      /* EERD */
    { 0x0018, 1, 4, 0x00000000, NO },      /* CTRL_EXT */
    { 0x0020, 1, 4, 0x10000000, NO },      /* MDIC: ready */
    { 0x0028, 1, 4, 0x00c28001, NO },      /* FCAL */
    { 0x002c, 1, 4, 0x00000100, NO },      /* FCAH */
    { 0x0030, 1, 4, 0x00008808, NO },      /* FCT */
    { 0x0038, 1, 4, 0x00008100, NO },      /* VET */
    { 0x00c0, 1, 4, 0x00000004, NO },      /* ICR: LSC, as the link is up. Read: cleared */
    { 0x00c4, 1, 4, 0x00000000, NO },      /* ITR */
    { 0x00c8, 1, 4, 0x00000000, NO },      /* ICS, after ICR */
    { 0x00d0, 1, 4, 0x00000000, NO },      /* IMS */
    { 0x00d8, 1, 4, 0x00000000, NO },      /* IMC */
    { 0x0100, 1, 4, 0x00000000, NO },      /* RCTL */
    { 0x0170, 1, 4, 0x00000000, NO },      /* FCTTV */
    { 0x0178, 1, 4, 0x00000000, NO },      /* TXCW */
    { 0x0180, 1, 4, 0x00000000, NO },      /* RXCW */
    { 0x0400, 1, 4, 0x00000000, NO },      /* TCTL */
    { 0x0410, 1, 4, 0x00602008, NO },      /* TIPG: copper */
    { 0x0458, 1, 4, 0x00000000, NO },      /* AIT */
    { 0x0e00, 1, 4, 0x07068302, NO },      /* LEDCTL (table 13-60): LINK_UP, ACTIVITY blinking, LINK_100, LINK_1000 */
    { 0x1000, 1, 4, 0x00100030, NO },      /* PBA: 48 and 16 KiB */
    { 0x2160, 1, 4, 0x00000000, NO },      /* FCRTL */
    { 0x2168, 1, 4, 0x00000000, NO },      /* FCRTH */
    { 0x2410, 5, 8, 0x00000000, NO },      /* RDFH, RDFT, RDFHS, RDFTS, RDFPC */
    { 0x2800, 1, 4, 0x00000000, NO },      /* RDBAL */
    { 0x2804, 1, 4, 0x00000000, NO },      /* RDBAH */
    { 0x2808, 1, 4, 0x00000000, NO },      /* RDLEN */
    { 0x2810, 1, 4, 0x00000000, NO },      /* RDH */
    { 0x2818, 1, 4, 0x00000000, NO },      /* RDT */
    { 0x2820, 1, 4, 0x00000000, NO },      /* RDTR */
    { 0x2828, 1, 4, 0x01010000, NO },      /* RXDCTL: by descriptors, written back one by one */
    { 0x282c, 1, 4, 0x00000000, NO },      /* RADV */
    { 0x2c00, 1, 4, 0x00000000, NO },      /* RSRPD */
    { 0x3000, 1, 4, 0x00000000, NO },      /* TXDMAC */
    { 0x3410, 5, 8, 0x00000000, NO },      /* TDFH, TDFT, TDFHS, TDFTS, TDFPC */
    { 0x3800, 1, 4, 0x00000000, NO },      /* TDBAL */
    { 0x3804, 1, 4, 0x00000000, NO },      /* TDBAH */
    { 0x3808, 1, 4, 0x00000000, NO },      /* TDLEN */
    { 0x3810, 1, 4, 0x00000000, NO },      /* TDH */
    { 0x3818, 1, 4, 0x00000000, NO },      /* TDT */
    { 0x3820, 1, 4, 0x00000000, NO },      /* TIDV */
    { 0x3828, 1, 4, 0x00000000, NO },      /* TXDCTL */
    { 0x382c, 1, 4, 0x00000000, NO },      /* TADV */
    { 0x3830, 1, 4, 0x01000400, NO },      /* TSPMT */
    { 0x4000, 64, 4, 0x00000000, NO },     /* statistics */
    { 0x5000, 1, 4, 0x00000000, NO },      /* RXCSUM */
    { 0x5200, 128, 4, 0x00000000, NO },    /* MTA: not defined by the manual */
    { 0x5400, 1, 8, 0x12005452, NO },      /* RAL 0: the EEPROM's address */
    { 0x5404, 1, 8, 0x80005634, NO },      /* RAH 0: the same, valid */
    { 0x5408, 15, 8, 0x00000000, NO },     /* RAL 1 to 15 */
    { 0x540c, 15, 8, 0x00000000, NO },     /* RAH: AV is zero */
    { 0x5600, 128, 4, 0x00000000, NO },    /* VFTA */
    { 0x5800, 1, 4, 0x00000000, PHY_TOO }, /* WUC: by RST# alone but for what the EEPROM says */
    { 0x5808, 1, 4, 0x00000000, NO },      /* WUFC */
    { 0x5810, 1, 4, 0x00000000, OVER_RESETS }, /* WUS */
    { 0x5820, 1, 4, 0x00000000, NO },      /* MANC: no management controller */
    { 0x5838, 1, 4, 0x00000000, NO },      /* IPAV */
    { 0x5840, 4, 8, 0x00000000, NO },      /* IP4AT */
    { 0x5880, 4, 4, 0x00000000, NO },      /* IP6AT */
    { 0x5900, 1, 4, 0x00000fff, OVER_RESETS }, /* WUPL */
    { 0x5a00, 32, 4, 0xffffffff, OVER_RESETS }, /* WUPM */
    { 0x5f00, 4, 8, 0x00000000, NO },      /* FFLT */
    { 0x9000, 128, 8, 0x00000000, NO },    /* FFMT */
    { 0x9800, 128, 8, 0x00000000, NO },    /* FFVT */
};

/* Every register holds something else than what a reset leaves. */
static void spoil(void)
{
    e1000_open(RCTL_EN | RCTL_BAM);
    nic_receive(host.nic, make_frame(60), 60, NULL, host.now);
    tx_put(TX_DATA, 60 | CMD_EOP | CMD_RS, 0);
    tx_ring();
    wr(E1000_CTRL_EXT, 0x00e3cccf);
    wr(E1000_CTRL, 0x58fc1be8 & ~0x00140241u);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        for (uint32_t n = 0; n < expected[i].count; n++)
            if (expected[i].at != E1000_CTRL && expected[i].at != E1000_CTRL_EXT && expected[i].at != E1000_IMC)
                wr(expected[i].at + n * expected[i].stride, 0xffffffff);
    wr(E1000_RCTL, 0x06dfb3fc);
    wr(E1000_TCTL, 0x013ffff8);
}

static uint32_t wuc; /* what is left of it */

static void compare(const char *how)
{
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        for (uint32_t n = 0; n < expected[i].count; n++) {
            uint32_t at = expected[i].at + n * expected[i].stride, value = rd(at);
            uint32_t wanted = expected[i].kept == PHY_TOO ? wuc : expected[i].value;
            if (value != wanted)
                fprintf(stderr, "%s: register %05x is %08x, not %08x\n", how, at, value, wanted);
            CU_ASSERT_EQUAL(value, wanted);
        }
}

static void power_on(void)
{
    e1000_fixture_restart();
    CU_ASSERT_EQUAL(rd(E1000_WUPL) | rd(E1000_WUPM), 0);
    wr(E1000_WUPL, 0xfff);
    for (unsigned i = 0; i < 32; i++)
        wr(E1000_WUPM + 4 * i, 0xffffffff);
    wuc = 0;
    compare("power-on");
}

/* The spoiling is one: a register that keeps its reset value would hide a reset that leaves it alone. */
static void spoilt(void)
{
    static const uint32_t fixed[] = { 0x0008, 0x0020, 0x00d8, 0x0180, 0x5810, 0x0014, 0x00c0, 0x00c8, 0x1000 };
    unsigned same = 0;
    spoil();
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        bool is_fixed = expected[i].at == E1000_STATISTICS || expected[i].kept == OVER_RESETS;
        for (size_t k = 0; k < sizeof fixed / sizeof *fixed; k++)
            is_fixed |= fixed[k] == expected[i].at;
        if (!is_fixed && rd(expected[i].at) == expected[i].value) {
            fprintf(stderr, "register %05x is not spoilt\n", expected[i].at);
            same++;
        }
    }
    CU_ASSERT_EQUAL(same, 0);
}

/* Reserved bits: what a register holds after ones and after zeros were written to all of it. Those whose bits
 * do something else (EERD, MDIC, ICR to IMC) have tests of their own. */
static const struct { uint32_t at, count, stride, written, ones, zeros; } bits[] = {
    { 0x0000, 1, 4, 0x7bffffff, 0x58fc1be9, 0 },          /* CTRL, without RST and PHY_RST */
    { 0x0008, 1, 4, 0xffffffff, 0x00000281, 0x00000281 }, /* STATUS is read; CTRL.SLU is clear by now */
    { 0x0018, 1, 4, 0xffffdfff, 0x00e3cccf, 0 },          /* CTRL_EXT, without EE_RST; ASDCHK ends at once */
    { 0x0028, 1, 4, 0xffffffff, 0xffffffff, 0 },          /* FCAL */
    { 0x002c, 1, 4, 0xffffffff, 0x0000ffff, 0 },          /* FCAH */
    { 0x0030, 1, 4, 0xffffffff, 0x0000ffff, 0 },          /* FCT */
    { 0x0038, 1, 4, 0xffffffff, 0x0000ffff, 0 },          /* VET */
    { 0x00c4, 1, 4, 0xffffffff, 0x0000ffff, 0 },          /* ITR */
    { 0x0100, 1, 4, 0xffffffff, 0x06dfb3fe, 0 },          /* RCTL */
    { 0x0170, 1, 4, 0xffffffff, 0x0000ffff, 0 },          /* FCTTV */
    { 0x0178, 1, 4, 0xffffffff, 0xc000ffff, 0 },          /* TXCW */
    { 0x0180, 1, 4, 0xffffffff, 0, 0 },                   /* RXCW is read */
    { 0x0400, 1, 4, 0xffffffff, 0x013ffffa, 0 },          /* TCTL: SWXOFF ends at once; NRTU is the 82544's */
    { 0x0410, 1, 4, 0xffffffff, 0x3fffffff, 0 },          /* TIPG */
    { 0x0458, 1, 4, 0xffffffff, 0x0000ffff, 0 },          /* AIT */
    { 0x0e00, 1, 4, 0xffffffff, 0xcfcfcfcf, 0 },          /* LEDCTL */
    { 0x1000, 1, 4, 0xffffffff, 0x0000007f, 0x00400000 }, /* PBA: the transmitter has the rest of 64 */
    { 0x2160, 1, 4, 0xffffffff, 0x8000fff8, 0 },          /* FCRTL */
    { 0x2168, 1, 4, 0xffffffff, 0x8000fff8, 0 },          /* FCRTH */
    { 0x2410, 5, 8, 0xffffffff, 0x00001fff, 0 },          /* RDFH.. */
    { 0x2800, 1, 4, 0xffffffff, 0xfffffff0, 0 },          /* RDBAL */
    { 0x2804, 1, 4, 0xffffffff, 0xffffffff, 0 },          /* RDBAH */
    { 0x2808, 1, 4, 0xffffffff, 0x000fff80, 0 },          /* RDLEN */
    { 0x2810, 1, 4, 0xffffffff, 0x0000ffff, 0 },          /* RDH */
    { 0x2818, 1, 4, 0xffffffff, 0x0000ffff, 0 },          /* RDT */
    { 0x2820, 1, 4, 0xffffffff, 0x0000ffff, 0 },          /* RDTR: FPD reads as zero */
    { 0x2828, 1, 4, 0xffffffff, 0x013f3f3f, 0 },          /* RXDCTL */
    { 0x282c, 1, 4, 0xffffffff, 0x0000ffff, 0 },          /* RADV */
    { 0x2c00, 1, 4, 0xffffffff, 0x00000fff, 0 },          /* RSRPD */
    { 0x3000, 1, 4, 0xffffffff, 0x00000001, 0 },          /* TXDMAC */
    { 0x3410, 5, 8, 0xffffffff, 0x00001fff, 0 },          /* TDFH.. */
    { 0x3800, 1, 4, 0xffffffff, 0xfffffff0, 0 },          /* TDBAL */
    { 0x3804, 1, 4, 0xffffffff, 0xffffffff, 0 },          /* TDBAH */
    { 0x3808, 1, 4, 0xffffffff, 0x000fff80, 0 },          /* TDLEN */
    { 0x3810, 1, 4, 0xffffffff, 0x0000ffff, 0 },          /* TDH */
    { 0x3818, 1, 4, 0xffffffff, 0x0000ffff, 0 },          /* TDT */
    { 0x3820, 1, 4, 0xffffffff, 0x0000ffff, 0 },          /* TIDV */
    { 0x3828, 1, 4, 0xffffffff, 0xff3f3f3f, 0 },          /* TXDCTL */
    { 0x382c, 1, 4, 0xffffffff, 0x0000ffff, 0 },          /* TADV */
    { 0x3830, 1, 4, 0xffffffff, 0xffffffff, 0 },          /* TSPMT */
    { 0x4000, 64, 4, 0xffffffff, 0, 0 },                  /* statistics are read */
    { 0x5000, 1, 4, 0xffffffff, 0x000007ff, 0 },          /* RXCSUM */
    { 0x5200, 128, 4, 0xffffffff, 0xffffffff, 0 },        /* MTA */
    { 0x5400, 16, 8, 0xffffffff, 0xffffffff, 0 },         /* RAL */
    { 0x5404, 16, 8, 0xffffffff, 0x8003ffff, 0 },         /* RAH */
    { 0x5600, 128, 4, 0xffffffff, 0xffffffff, 0 },        /* VFTA */
    { 0x5800, 1, 4, 0xffffffff, 0x0000000b, 0 },          /* WUC: PME_STATUS is cleared by a one */
    { 0x5808, 1, 4, 0xffffffff, 0x000f80ff, 0 },          /* WUFC */
    { 0x5810, 1, 4, 0xffffffff, 0, 0 },                   /* WUS: its ones are cleared by ones */
    { 0x5820, 1, 4, 0xffffffff, 0x31feff04, 0 },          /* MANC */
    { 0x5838, 1, 4, 0xffffffff, 0x0001000f, 0 },          /* IPAV */
    { 0x5840, 4, 8, 0xffffffff, 0xffffffff, 0 },          /* IP4AT */
    { 0x5880, 4, 4, 0xffffffff, 0xffffffff, 0 },          /* IP6AT */
    { 0x5900, 1, 4, 0xffffffff, 0x00000fff, 0 },          /* WUPL */
    { 0x5a00, 32, 4, 0xffffffff, 0xffffffff, 0 },         /* WUPM */
    { 0x5f00, 4, 8, 0xffffffff, 0x000007ff, 0 },          /* FFLT */
    { 0x9000, 128, 8, 0xffffffff, 0x0000000f, 0 },        /* FFMT */
    { 0x9800, 128, 8, 0xffffffff, 0xffffffff, 0 },        /* FFVT */
};

static void holds(uint32_t at, uint32_t written, uint32_t wanted)
{
    wr(at, written);
    uint32_t value = rd(at);
    if (value != wanted)
        fprintf(stderr, "register %05x is %08x, not %08x, after %08x\n", at, value, wanted, written);
    CU_ASSERT_EQUAL(value, wanted);
}

static void reserved_bits(void)
{
    static const uint32_t others[] = { 0x0010, 0x0014, 0x0020, 0x00c0, 0x00c8, 0x00d0, 0x00d8 };
    e1000_fixture_restart();
    wr(E1000_CTRL, 0);
    for (size_t i = 0; i < sizeof bits / sizeof *bits; i++)
        for (uint32_t n = 0; n < bits[i].count; n++) {
            uint32_t at = bits[i].at + n * bits[i].stride;
            holds(at, bits[i].written, bits[i].ones);
            holds(at, 0, bits[i].zeros);
        }
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) { /* none is left out */
        bool found = false;
        for (size_t k = 0; k < sizeof bits / sizeof *bits; k++)
            found |= (bits[k].at & ~4u) == (expected[i].at & ~12u) || bits[k].at == expected[i].at;
        for (size_t k = 0; k < sizeof others / sizeof *others; k++)
            found |= others[k] == expected[i].at;
        CU_ASSERT_TRUE(found);
    }
    wr(E1000_EECD, 0xffffffff); /* SK, CS, DI, FWE, REQ; GNT and PRES are read, and DO is the EEPROM's */
    CU_ASSERT_EQUAL(rd(E1000_EECD) & ~8u, 0x1f7);
    wr(E1000_EECD, 0);
    CU_ASSERT_EQUAL(rd(E1000_EECD) & ~8u, 0x100);
}

static void by_mmio(void)
{
    spoil();
    wuc = rd(E1000_WUC) & 6;
    CU_ASSERT_EQUAL(wuc, 2);
    wr(E1000_CTRL, CTRL_RST);
    compare("CTRL.RST");
}

static void by_io_window(void)
{
    spoil();
    wuc = 2;
    nic_write(host.nic, 2, 0, 4, E1000_CTRL, host.now);
    nic_write(host.nic, 2, 4, 4, CTRL_RST, host.now);
    compare("CTRL.RST through the I/O window");
}

static void by_second_address(void)
{
    spoil();
    wuc = 2;
    wr(0x0004, CTRL_RST);
    compare("CTRL.RST at its second address");
}

static void by_d3(void)
{
    spoil();
    wuc = 2;
    nic_power_write(host.nic, 4, 3, host.now);
    nic_power_write(host.nic, 4, 0, host.now);
    compare("D3 and back");
}

static void by_pci(void)
{
    spoil();
    wuc = 0;
    nic_reset(host.nic, host.now);
    compare("RST#");
}

/* Nothing else is there. */
static void complete(void)
{
    static uint8_t listed[E1000_REGISTERS_END / 4];
    e1000_fixture_restart();
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        for (uint32_t n = 0; n < expected[i].count; n++)
            listed[(expected[i].at + n * expected[i].stride) / 4] = 1;
    for (uint32_t at = 0; at < E1000_REGISTERS_END; at += 4) {
        uint32_t index;
        const struct e1000_register *r = e1000_register_at((struct e1000 *)host.nic, at, &index);
        bool is_alias = r && index != at / 4;
        if (!is_alias && (r != NULL) != listed[at / 4])
            fprintf(stderr, "register %05x: %s\n", at, r ? "not in the list" : "is not there");
        CU_ASSERT_TRUE(is_alias || (r != NULL) == listed[at / 4]);
    }
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "the list is complete", complete },
        { "values at power-on", power_on },
        { "registers can be spoilt", spoilt },
        { "reserved bits", reserved_bits },
        { "reset by CTRL.RST", by_mmio },
        { "reset through the I/O window", by_io_window },
        { "reset at CTRL's second address", by_second_address },
        { "reset by D3", by_d3 },
        { "reset by RST#", by_pci },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("e1000_reset", tests, e1000_fixture_start, e1000_fixture_stop);
}
