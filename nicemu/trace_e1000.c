/* SPDX-License-Identifier: BSD-2-Clause
 *
 * e1000's registers in the manual's words (chapter 13), one row each, and
 * transmit descriptors as the driver hands them over.
 */
#include "nicemu/trace_e1000.h"

#include "nicemu/nic_model.h"

#define CAUSES "TXDW:0 TXQE:1 LSC:2 RXSEQ:3 RXDMT0:4 RXO:6 RXT0:7 MDAC:9 RXCFG:10 PHYINT:12 GPI:14-13 TXD_LOW:15 SRPD:16"

static const struct e1000_words words[] = {
    { E1000_CTRL, "13.4.1", "FD:0 LRST:3 ASDE:5 SLU:6 ILOS:7 SPEED:9-8 FRCSPD:11 FRCDPLX:12 SDP:19-18 ADVD3WUC:20 "
      "EN_PHY_PWR_MGMT:21 SDP_IODIR:23-22 RST:26 RFCE:27 TFCE:28 VME:30 PHY_RST:31", 0 },
    { E1000_STATUS, "13.4.2", "FD:0 LU:1 FUNCTION:3-2 TXOFF:4 TBIMODE:5 SPEED:7-6 ASDV:9-8 PCI66:11 BUS64:12 PCIX_MODE:13 "
      "PCIXSPD:15-14", 0xffffffff },
    { E1000_EECD, "13.4.3", "SK:0 CS:1 DI:2 DO:3 FWE:5-4 REQ:6 GNT:7 PRES:8 SIZE:9", 0x388 },
    { E1000_EERD, "13.4.4", "START:0 DONE:4 ADDR:15-8 DATA:31-16", 0xffff0010 },
    { E1000_CTRL_EXT, "13.4.6", "GPI_EN:3-0 PHYINT:5 SDP:7-6 SDP_IODIR:11-10 ASDCHK:12 EE_RST:13 IPS:14 SPD_BYPS:15 IPS1:16 "
      "RO_DIS:17 VREG:21 LINK_MODE:23-22", 0 },
    { E1000_MDIC, "13.4.7", "DATA:15-0 REG:20-16 PHY:25-21 OP:27-26 R:28 I:29 E:30", 0x50000000 },
    { E1000_FCAL, "13.4.8", NULL, 0 },
    { E1000_FCAH, "13.4.9", NULL, 0 },
    { E1000_FCT, "13.4.10", "TYPE:15-0", 0 },
    { E1000_VET, "13.4.11", "VET:15-0", 0 },
    { E1000_FCTTV, "13.4.12", "TTV:15-0", 0 },
    { E1000_TXCW, "13.4.13", "WORD:15-0 TXC:30 ANE:31", 0 },
    { E1000_RXCW, "13.4.14", "WORD:15-0 NC:26 IV:27 CC:28 C:29 SYNC:30 ANC:31", 0xffffffff },
    { E1000_LEDCTL, "13.4.15", "LED0:3-0 IVRT0:6 BLINK0:7 LED1:11-8 IVRT1:14 BLINK1:15 LED2:19-16 IVRT2:22 BLINK2:23 "
      "LED3:27-24 IVRT3:30 BLINK3:31", 0 },
    { E1000_PBA, "13.4.16", "RXA:6-0 TXA:22-16", 0x007f0000 },
    { E1000_ICR, "13.4.17", CAUSES, 0 },
    { E1000_ITR, "13.4.18", "INTERVAL:15-0", 0 },
    { E1000_ICS, "13.4.19", CAUSES, 0 },
    { E1000_IMS, "13.4.20", CAUSES, 0 },
    { E1000_IMC, "13.4.21", NULL, 0 },
    { E1000_RCTL, "13.4.22", "EN:1 SBP:2 UPE:3 MPE:4 LPE:5 LBM:7-6 RDMTS:9-8 MO:13-12 BAM:15 BSIZE:17-16 VFE:18 CFIEN:19 "
      "CFI:20 DPF:22 PMCF:23 BSEX:25 SECRC:26", 0 },
    { E1000_FCRTL, "13.4.23", "RTL:15-3 XONE:31", 0 },
    { E1000_FCRTH, "13.4.24", "RTH:15-3 FCE:31", 0 },
    { E1000_RDBAL, "13.4.25", NULL, 0 },
    { E1000_RDBAH, "13.4.26", NULL, 0 },
    { E1000_RDLEN, "13.4.27", "LEN:19-0", 0 },
    { E1000_RDH, "13.4.28", "HEAD:15-0", 0 },
    { E1000_RDT, "13.4.29", "TAIL:15-0", 0 },
    { E1000_RDTR, "13.4.30", "DELAY:15-0 FPD:31", 0 },
    { E1000_RADV, "13.4.31", "DELAY:15-0", 0 },
    { E1000_RSRPD, "13.4.32", "SIZE:11-0", 0 },
    { E1000_TCTL, "13.4.33", "EN:1 PSP:3 CT:11-4 COLD:21-12 SWXOFF:22 RTLC:24", 0 },
    { E1000_TIPG, "13.4.34", "IPGT:9-0 IPGR1:19-10 IPGR2:29-20", 0 },
    { E1000_AIT, "13.4.35", "AIFS:15-0", 0 },
    { E1000_TDBAL, "13.4.36", NULL, 0 },
    { E1000_TDBAH, "13.4.37", NULL, 0 },
    { E1000_TDLEN, "13.4.38", "LEN:19-0", 0 },
    { E1000_TDH, "13.4.39", "HEAD:15-0", 0 },
    { E1000_TDT, "13.4.40", "TAIL:15-0", 0 },
    { E1000_TIDV, "13.4.41", "DELAY:15-0", 0 },
    { E1000_TXDMAC, "13.4.42", "DPP:0", 0 },
    { E1000_TXDCTL, "13.4.43", "PTHRESH:5-0 HTHRESH:13-8 WTHRESH:21-16 GRAN:24 LWTHRESH:31-25", 0 },
    { E1000_TADV, "13.4.44", "DELAY:15-0", 0 },
    { E1000_TSPMT, "13.4.45", "TSMT:15-0 TSPBP:31-16", 0 },
    { E1000_RXDCTL, "13.4.46", "PTHRESH:5-0 HTHRESH:13-8 WTHRESH:21-16 GRAN:24", 0 },
    { E1000_RXCSUM, "13.4.47", "PCSS:7-0 IPOFLD:8 TUOFLD:9 IPV6OFL:10", 0 },
    { E1000_MTA, "13.5.1", NULL, 0 },
    { E1000_RAL, "13.5.2", NULL, 0 },
    { E1000_RAH, "13.5.3", "ADDR:15-0 AS:17-16 AV:31", 0 },
    { E1000_VFTA, "13.5.4", NULL, 0 },
    { E1000_WUC, "13.6.1", "APME:0 PME_EN:1 PME_STATUS:2 APMPME:3", 0 },
    { E1000_WUFC, "13.6.2", "LNKC:0 MAG:1 EX:2 MC:3 BC:4 ARP:5 IPV4:6 IPV6:7 NOTCO:15 FLX:19-16", 0 },
    { E1000_WUS, "13.6.3", NULL, 0 },
    { E1000_IPAV, "13.6.4", "V4:3-0 V60:16", 0 },
    { E1000_IP4AT, "13.6.5", NULL, 0 },
    { E1000_IP6AT, "13.6.6", NULL, 0 },
    { E1000_WUPL, "13.6.7", "LEN:11-0", 0 },
    { E1000_WUPM, "13.6.8", NULL, 0 },
    { E1000_FFLT, "13.6.9", "LEN:10-0", 0 },
    { E1000_FFMT, "13.6.10", "MASK:3-0", 0 },
    { E1000_FFVT, "13.6.11", NULL, 0 },
    { E1000_MANC, "13.2", "SMBUS_EN:0 ASF_EN:1 R_ON_FORCE:2 RMCP:9-8 IPV4:10 IPV6:11 SNAP:12 ARP:13 NEIGHBOR:14 ARP_RES:15 "
      "TCO_RESET:16 RCV_TCO:17 BLK_PHY_RST:18 RCV_ALL:19 MAC_FILTER:20 MNG2HOST:21 IP_FILTER:22 XSUM_FILTER:23 SMB_REQ:24 "
      "SMB_GNT:25 SMB_CLK_IN:26 SMB_DATA_IN:27 SMB_DATA_OUT:28 SMB_CLK_OUT:29", 0x0e010000 },
    { E1000_RDFH, "13.8", "WORD:12-0", 0 },
    { E1000_TDFH, "13.8", "WORD:12-0", 0 },
    { E1000_STATISTICS, "13.7", NULL, 0xffffffff },
};

/* Statistics by their distance from 0x4000. */
static const struct { uint16_t offset; const char *name; } statistic_names[] = {
    { 0x00, "CRCERRS" }, { 0x04, "ALGNERRC" }, { 0x08, "SYMERRS" }, { 0x0c, "RXERRC" }, { 0x10, "MPC" }, { 0x14, "SCC" },
    { 0x18, "ECOL" }, { 0x1c, "MCC" }, { 0x20, "LATECOL" }, { 0x28, "COLC" }, { 0x30, "DC" }, { 0x34, "TNCRS" },
    { 0x38, "SEC" }, { 0x3c, "CEXTERR" }, { 0x40, "RLEC" }, { 0x48, "XONRXC" }, { 0x4c, "XONTXC" }, { 0x50, "XOFFRXC" },
    { 0x54, "XOFFTXC" }, { 0x58, "FCRUC" }, { 0x5c, "PRC64" }, { 0x60, "PRC127" }, { 0x64, "PRC255" },
    { 0x68, "PRC511" }, { 0x6c, "PRC1023" }, { 0x70, "PRC1522" }, { 0x74, "GPRC" }, { 0x78, "BPRC" }, { 0x7c, "MPRC" },
    { 0x80, "GPTC" }, { 0x88, "GORCL" }, { 0x8c, "GORCH" }, { 0x90, "GOTCL" }, { 0x94, "GOTCH" }, { 0xa0, "RNBC" },
    { 0xa4, "RUC" }, { 0xa8, "RFC" }, { 0xac, "ROC" }, { 0xb0, "RJC" }, { 0xb4, "MGTPRC" }, { 0xb8, "MGTPDC" },
    { 0xbc, "MGTPTC" }, { 0xc0, "TORL" }, { 0xc4, "TORH" }, { 0xc8, "TOTL" }, { 0xcc, "TOTH" }, { 0xd0, "TPR" },
    { 0xd4, "TPT" }, { 0xd8, "PTC64" }, { 0xdc, "PTC127" }, { 0xe0, "PTC255" }, { 0xe4, "PTC511" }, { 0xe8, "PTC1023" },
    { 0xec, "PTC1522" }, { 0xf0, "MPTC" }, { 0xf4, "BPTC" }, { 0xf8, "TSCTC" }, { 0xfc, "TSCTFC" },
};

static const char *const phy_names[32] = {
    "BMCR", "BMSR", "ID1", "ID2", "ANAR", "ANLPAR", "ANER", "ANNPTR", "ANLPNPR", "1000T_CTRL", "1000T_STATUS",
    [15] = "EXT_STATUS", "PHY_CTRL", "PHY_STATUS", "PHY_INT_ENABLE", "PHY_INT_STATUS", "EXT_PHY_CTRL", "RX_ERR_CNTR",
    [29] = "PAGE_SELECT", "GEN_CONTROL",
};

const struct e1000_words *e1000_words_of(uint32_t offset)
{
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (words[i].offset == offset)
            return &words[i];
    return NULL;
}

bool e1000_trace_target(const struct e1000 *e, const struct nic_access *a, uint32_t *offset)
{
    if (a->bar == 0)
        *offset = a->offset;
    else if (a->offset >= 4)
        *offset = e->io_address;
    else
        return false;
    return true;
}

static void add_name(struct nic_text *text, const struct e1000_register *r, uint32_t index)
{
    if (r->offset == E1000_STATISTICS) {
        uint32_t distance = index * 4 - E1000_STATISTICS;
        for (size_t i = 0; i < sizeof statistic_names / sizeof *statistic_names; i++)
            if (statistic_names[i].offset == distance) {
                nic_text_add(text, "%-6s", statistic_names[i].name);
                return;
            }
        nic_text_add(text, "statistic %05x", index * 4);
    } else if (r->count > 1) {
        nic_text_add(text, "%s[%u]", r->name, (index * 4 - r->offset) / r->stride);
    } else {
        nic_text_add(text, "%-6s", r->name);
    }
}

static void add_mdic(struct nic_text *text, uint32_t value)
{
    static const char *const operations[] = { "nothing", "write", "read", "reserved" };
    unsigned number = value >> 16 & 31;
    nic_text_add(text, " %s PHY %u register %u", operations[value >> 26 & 3], value >> 21 & 31, number);
    if (phy_names[number])
        nic_text_add(text, " (%s)", phy_names[number]);
    nic_text_add(text, ": %04x%s%s%s", value & 0xffff, value & 0x10000000 ? " R" : "",
                 value & 0x20000000 ? " I" : "", value & 0x40000000 ? " E" : "");
}

static void describe(struct nic *nic, const struct nic_access *a, struct nic_text *text)
{
    struct e1000 *e = (struct e1000 *)nic;
    uint32_t offset, index;
    if (!e1000_trace_target(e, a, &offset)) {
        nic_text_add(text, "IOADDR = %08x", a->value);
        return;
    }
    if (a->bar != 0)
        nic_text_add(text, "IODATA: ");
    const struct e1000_register *r = e1000_register_at(e, offset, &index);
    const struct e1000_words *w = r ? e1000_words_of(r->offset) : NULL;
    const char *elsewhere = e1000_register_elsewhere(offset);
    if (r)
        add_name(text, r, index);
    else if (elsewhere)
        nic_text_add(text, "%-6s", elsewhere);
    else
        nic_text_add(text, offset >= E1000_PBM ? "PBM %05x" : "unknown %05x", offset);
    nic_text_add(text, a->size == 4 ? " = %08x" : " = %x", a->value);
    if (a->size != 4)
        nic_text_add(text, " (%u bytes at %05x)", a->size, offset);
    else if (r && r->offset == E1000_MDIC)
        add_mdic(text, a->value);
    else if (w && w->fields)
        nic_text_add_fields(text, w->fields, a->value);
}

/* --- transmit descriptors ------------------------------------------------ */

static void describe_descriptor(struct e1000 *e, uint32_t index, const struct e1000_descriptor *d)
{
    struct nic_text text = { .length = 0 };
    bool extended = d->lower & 0x20000000, context = extended && !(d->lower & 0x00f00000);
    nic_text_add(&text, "TX[%u] ", index);
    if (context) {
        nic_text_add(&text, "context IPCSS=%u IPCSO=%u IPCSE=%u TUCSS=%u TUCSO=%u "
                     "TUCSE=%u PAYLEN=%u HDRLEN=%u MSS=%u",
                     (unsigned)(d->address & 0xff), (unsigned)(d->address >> 8 & 0xff),
                     (unsigned)(d->address >> 16 & 0xffff), (unsigned)(d->address >> 32 & 0xff),
                     (unsigned)(d->address >> 40 & 0xff), (unsigned)(d->address >> 48), d->lower & 0xfffff,
                     d->upper >> 8 & 0xff, d->upper >> 16);
        nic_text_add_fields(&text, "TCP:24 IP:25 TSE:26 RS:27 DEXT:29 IDE:31", d->lower);
    } else if (extended) {
        nic_text_add(&text, "data %llx+%u", (unsigned long long)d->address, d->lower & 0xfffff);
        nic_text_add_fields(&text, "EOP:24 IFCS:25 TSE:26 RS:27 DEXT:29 VLE:30 IDE:31", d->lower);
        nic_text_add_fields(&text, "IXSM:8 TXSM:9 SPECIAL:31-16", d->upper);
    } else {
        nic_text_add(&text, "legacy %llx+%u", (unsigned long long)d->address, d->lower & 0xffff);
        nic_text_add_fields(&text, "CSO:23-16 EOP:24 IFCS:25 IC:26 RS:27 RPS:28 VLE:30 IDE:31", d->lower);
        nic_text_add_fields(&text, "CSS:15-8 SPECIAL:31-16", d->upper);
    }
    nic_trace_print(&e->nic, "  ", "%s", text.bytes);
}

#define DESCRIPTORS_SHOWN 64u

void e1000_trace_descriptors(struct e1000 *e, uint32_t new_tail)
{
    const struct nic_host *host = &e->nic.host;
    uint32_t count = REG(e, TDLEN) / 16, index = REG(e, TDT);
    uint64_t base = REG(e, TDBAL) | (uint64_t)REG(e, TDBAH) << 32;
    if (new_tail >= count || index >= count)
        return;
    for (unsigned shown = 0; index != new_tail && shown < DESCRIPTORS_SHOWN; shown++) {
        struct e1000_descriptor d;
        if (!host->dma_read(host->opaque, base + index * sizeof d, &d, sizeof d))
            return;
        describe_descriptor(e, index, &d);
        e1000_trace_descriptor_rules(e, index, &d);
        index = index + 1 == count ? 0 : index + 1;
    }
}

static void check(struct nic *nic, const struct nic_access *a)
{
    struct e1000 *e = (struct e1000 *)nic;
    uint32_t offset, index;
    if (!e1000_trace_target(e, a, &offset))
        return;
    const struct e1000_register *r = e1000_register_at(e, offset, &index);
    if (!r)
        return;
    if (nic->trace->strict)
        e1000_trace_rules(e, r->offset, a);
    if (a->is_write && r->offset == E1000_TDT && a->size == 4)
        e1000_trace_descriptors(e, a->value & 0xffff);
}

const struct nic_decoder nic_trace_e1000 = { describe, check, e1000_trace_sleep_rules };
