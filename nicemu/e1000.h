/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The Intel 82540EM as its own files see it: register offsets and bits, the
 * state, and what each file offers the others. Section numbers in these files
 * are those of Intel's software developer's manual 317453.
 *
 *   e1000.c        identity, reset, link, access through the two BARs
 *   e1000_regs.c   the register table: reset value, stored bits, handlers
 *   e1000_tx.c     descriptors to frames      e1000_segment.c  frames to the network (offloads)
 *   e1000_rx.c     filter, and frames to descriptors
 *   e1000_phy.c    MDIC and the PHY           e1000_nvm.c  EECD, EERD and the EEPROM's contents
 *   e1000_irq.c    causes, masks, timers      e1000_stats.c  statistics
 *   e1000_pause.c  flow control               e1000_state.c  saving and restoring
 *   e1000_wake.c   wake-up filters            e1000_power.c  power states, PME#
 */
#ifndef NICEMU_E1000_H
#define NICEMU_E1000_H

#include "nicemu/eeprom93c46.h"
#include "nicemu/nic_model.h"

enum e1000_offset {
    E1000_CTRL = 0x0000, E1000_STATUS = 0x0008, E1000_EECD = 0x0010, E1000_EERD = 0x0014,
    E1000_CTRL_EXT = 0x0018, E1000_MDIC = 0x0020, E1000_FCAL = 0x0028,
    E1000_FCAH = 0x002c, E1000_FCT = 0x0030, E1000_VET = 0x0038, E1000_ICR = 0x00c0,
    E1000_ITR = 0x00c4, E1000_ICS = 0x00c8, E1000_IMS = 0x00d0, E1000_IMC = 0x00d8,
    E1000_RCTL = 0x0100, E1000_FCTTV = 0x0170, E1000_TXCW = 0x0178, E1000_RXCW = 0x0180,
    E1000_TCTL = 0x0400, E1000_TIPG = 0x0410, E1000_AIT = 0x0458, E1000_LEDCTL = 0x0e00,
    E1000_PBA = 0x1000, E1000_FCRTL = 0x2160, E1000_FCRTH = 0x2168, E1000_RDFH = 0x2410,
    E1000_RDBAL = 0x2800, E1000_RDBAH = 0x2804, E1000_RDLEN = 0x2808, E1000_RDH = 0x2810,
    E1000_RDT = 0x2818, E1000_RDTR = 0x2820, E1000_RXDCTL = 0x2828, E1000_RADV = 0x282c,
    E1000_RSRPD = 0x2c00, E1000_TXDMAC = 0x3000, E1000_TDFH = 0x3410, E1000_TDBAL = 0x3800,
    E1000_TDBAH = 0x3804, E1000_TDLEN = 0x3808, E1000_TDH = 0x3810, E1000_TDT = 0x3818,
    E1000_TIDV = 0x3820, E1000_TXDCTL = 0x3828, E1000_TADV = 0x382c, E1000_TSPMT = 0x3830,
    E1000_STATISTICS = 0x4000, E1000_RXCSUM = 0x5000, E1000_MTA = 0x5200, E1000_RAL = 0x5400,
    E1000_RAH = 0x5404, E1000_VFTA = 0x5600, E1000_WUC = 0x5800, E1000_WUFC = 0x5808,
    E1000_WUS = 0x5810, E1000_MANC = 0x5820, E1000_IPAV = 0x5838, E1000_IP4AT = 0x5840,
    E1000_IP6AT = 0x5880, E1000_WUPL = 0x5900, E1000_WUPM = 0x5a00, E1000_FFLT = 0x5f00,
    E1000_FFMT = 0x9000, E1000_FFVT = 0x9800, E1000_REGISTERS_END = 0xa000,
    E1000_PBM = 0x10000, E1000_PBM_END = 0x20000,
};

/* Statistics, 13.7; the 64-bit ones have their upper half in the next word. */
enum e1000_statistic {
    E1000_MPC = 0x4010, E1000_RLEC = 0x4040, E1000_XONRXC = 0x4048, E1000_XOFFRXC = 0x4050,
    E1000_XONTXC = 0x404c, E1000_XOFFTXC = 0x4054, E1000_FCRUC = 0x4058, E1000_PRC64 = 0x405c, E1000_GPRC = 0x4074, E1000_BPRC = 0x4078,
    E1000_MPRC = 0x407c, E1000_GPTC = 0x4080, E1000_GORCL = 0x4088, E1000_GOTCL = 0x4090,
    E1000_RNBC = 0x40a0, E1000_RUC = 0x40a4, E1000_ROC = 0x40ac, E1000_TORL = 0x40c0,
    E1000_TOTL = 0x40c8, E1000_TPR = 0x40d0, E1000_TPT = 0x40d4, E1000_PTC64 = 0x40d8,
    E1000_MPTC = 0x40f0, E1000_BPTC = 0x40f4, E1000_TSCTC = 0x40f8, E1000_TSCTFC = 0x40fc,
};

#define CTRL_FD 0x00000001u
#define CTRL_SLU 0x00000040u
#define CTRL_SPEED 0x00000300u
#define CTRL_SPEED_1000 0x00000200u
#define CTRL_FRCSPD 0x00000800u
#define CTRL_FRCDPX 0x00001000u
#define CTRL_RST 0x04000000u
#define CTRL_RFCE 0x08000000u
#define CTRL_TFCE 0x10000000u
#define CTRL_VME 0x40000000u
#define CTRL_PHY_RST 0x80000000u
#define CTRL_EXT_PHYINT_EN 0x00000002u /* of GPI_EN */
#define CTRL_EXT_PHYINT 0x00000020u
#define CTRL_EXT_EE_RST 0x00002000u
#define STATUS_FD 0x00000001u
#define STATUS_LU 0x00000002u
#define STATUS_TXOFF 0x00000010u
#define STATUS_SPEED 0x000000c0u
#define STATUS_SPEED_1000 0x00000080u
#define RCTL_EN 0x00000002u
#define RCTL_SBP 0x00000004u
#define RCTL_UPE 0x00000008u
#define RCTL_MPE 0x00000010u
#define RCTL_LPE 0x00000020u
#define RCTL_LBM 0x000000c0u
#define RCTL_BAM 0x00008000u
#define RCTL_VFE 0x00040000u
#define RCTL_CFIEN 0x00080000u
#define RCTL_CFI 0x00100000u
#define RCTL_DPF 0x00400000u
#define RCTL_PMCF 0x00800000u
#define RCTL_BSEX 0x02000000u
#define RCTL_SECRC 0x04000000u
#define TCTL_EN 0x00000002u
#define TCTL_PSP 0x00000008u
#define TCTL_SWXOFF 0x00400000u
#define RXCSUM_IPOFLD 0x00000100u
#define RXCSUM_TUOFLD 0x00000200u
#define RAH_AV 0x80000000u
#define WUC_APME 0x00000001u
#define WUC_PME_EN 0x00000002u
#define WUC_PME_STATUS 0x00000004u
#define WUC_APMPME 0x00000008u
#define RDTR_FPD 0x80000000u

/* Interrupt causes: ICR, ICS, IMS, IMC (13.4.17). */
#define ICR_TXDW 0x00000001u
#define ICR_TXQE 0x00000002u
#define ICR_LSC 0x00000004u
#define ICR_RXDMT0 0x00000010u
#define ICR_RXO 0x00000040u
#define ICR_RXT0 0x00000080u
#define ICR_MDAC 0x00000200u
#define ICR_PHYINT 0x00001000u
#define ICR_TXD_LOW 0x00008000u
#define ICR_SRPD 0x00010000u
#define ICR_ALL 0x0001ffffu

/* Timers, multiplexed on the host's one (e1000_irq.c). */
enum e1000_timer {
    E1000_TIMER_RX_PACKET, /* RDTR */
    E1000_TIMER_RX_ABSOLUTE, /* RADV */
    E1000_TIMER_TX_PACKET, /* TIDV */
    E1000_TIMER_TX_ABSOLUTE, /* TADV */
    E1000_TIMER_THROTTLE, /* ITR */
    E1000_TIMER_TRANSMIT, /* goes on transmitting: end of a PAUSE, or of a bounded run */
    E1000_TIMERS,
};

struct e1000_descriptor {
    uint64_t address;
    uint32_t lower, upper;
};

#define E1000_BATCH 32u      /* transmit descriptors fetched at once */
#define E1000_PREFETCH 64u   /* receive descriptors held at once */
#define E1000_TX_MAX 16288u  /* longest frame without segmentation, 3.3.1 */
#define E1000_TX_SEGMENTS_MAX 4096u /* frames that one packet becomes */
#define E1000_TX_FRAME_WORK 512u /* what sending a frame counts in a run's work */
#define E1000_HEADER_MAX 255u
#define E1000_VLAN_TAG 4u

/* What a context descriptor carries (3.3.6). */
struct e1000_context {
    uint8_t ipcss, ipcso, tucss, tucso, hdrlen;
    bool tcp, ipv4;
    uint16_t ipcse, tucse, mss;
};

struct e1000_tx {
    struct e1000_context normal, segmenting; /* as last loaded, TSE clear and set */

    /* The packet being gathered. Its context is copied when it begins, so that a
     * later context descriptor cannot change it half-way. */
    struct e1000_context context;
    bool open;             /* a descriptor of it has been seen */
    bool bad;              /* to be dropped at its end */
    bool segment;          /* TSE */
    bool insert_ip, insert_l4;
    bool legacy_insert;    /* checksum of a legacy descriptor: context.tucss, .tucso */
    bool vlan;
    uint16_t vlan_tag;
    uint32_t size;         /* bytes at frame() */
    uint32_t limit;        /* size at which a segment is full, or the frame too long */
    uint32_t chunk;        /* payload of a segment given on; 0 until the header is complete */
    uint32_t sent_payload; /* of the segments before this one */
    uint32_t frames;        /* that it has become so far */
    uint16_t sent_segments; /* of MSS size, before this one */
    uint8_t header[E1000_HEADER_MAX]; /* as the driver made it */

    uint32_t work;         /* done in this run, see e1000_tx.c */
    bool running;          /* a run is under way: no second one inside it */
    bool flush;            /* frames were handed on since the last send_flush */
    uint64_t pause_until;
    uint8_t buffer[E1000_VLAN_TAG + NIC_FRAME_MAX]; /* room for a tag, then the frame */
};

enum e1000_xoff {
    E1000_XOFF_NONE,     /* since the FIFO was last at its low threshold */
    E1000_XOFF_SENT,
    E1000_XOFF_REPEATED, /* for an overflow */
};

struct e1000_rx {
    struct e1000_descriptor cache[E1000_PREFETCH];
    uint32_t cache_first, cache_count; /* ring indices held in cache[] */
    bool waiting;                      /* NIC_RX_FULL was answered */
    uint8_t xoff;                      /* enum e1000_xoff */
    uint8_t scratch[E1000_VLAN_TAG + 16384 + 4];
};

struct e1000_phy {
    uint16_t reg[32];
    bool cable;          /* the network's side of the link */
};

/* PMCSR but for its PME bits, which are WUC's. */
struct e1000_power {
    bool managed;        /* by the EEPROM, when it was last loaded; otherwise PMCSR is read-only, and there is no D3 */
    bool asleep;         /* D3 */
    uint8_t data_select;
};

struct e1000_register;

struct e1000 {
    struct nic nic; /* first: the model's public part */
    uint32_t reg[E1000_REGISTERS_END / 4];
    uint8_t row[E1000_REGISTERS_END / 4]; /* index into e1000_registers[] of each word */
    uint32_t io_address;                  /* IOADDR */
    uint64_t deadline[E1000_TIMERS];      /* 0: not running */
    uint64_t armed;                       /* what the host's timer is set to; 0: off */
    uint64_t throttle_until;              /* no rising edge of the line before */
    uint64_t now;                         /* of the access under way */
    struct e1000_tx tx;
    struct e1000_rx rx;
    struct e1000_phy phy;
    struct e1000_power power;
    struct eeprom93c46 eeprom;
    uint32_t packet_buffer[(E1000_PBM_END - E1000_PBM) / 4];
};

/* A register by name: REG(e, CTRL). */
#define REG(e, name) ((e)->reg[E1000_##name / 4])

/* e1000_regs.c */
struct e1000_register {
    uint32_t offset;
    uint16_t count, stride;  /* of an array: words, and bytes from one to the next */
    const char *name;
    uint32_t reset;
    uint32_t stored;         /* bits that a write changes */
    uint32_t (*read)(struct e1000 *e, uint32_t index);                /* NULL: the word stored */
    void (*write)(struct e1000 *e, uint32_t index, uint32_t value);   /* NULL: the stored bits */
};
void e1000_regs_init(struct e1000 *e);
void e1000_regs_reset(struct e1000 *e);
void e1000_regs_state(struct e1000 *e, struct nic_state *s);
const struct e1000_register *e1000_register_at(struct e1000 *e, uint32_t offset, uint32_t *index); /* or NULL */
const char *e1000_register_elsewhere(uint32_t offset); /* of the family's other chips; or NULL */
uint32_t e1000_reg_read(struct e1000 *e, uint32_t offset);
void e1000_reg_write(struct e1000 *e, uint32_t offset, uint32_t value);

/* e1000.c */
void e1000_device_reset(struct e1000 *e);
void e1000_wake_up(struct e1000 *e);
void e1000_update_link(struct e1000 *e);
uint32_t e1000_status(const struct e1000 *e);
static inline bool e1000_link_is_up(const struct e1000 *e)
{
    return REG(e, STATUS) & STATUS_LU;
}

/* e1000_irq.c */
void e1000_irq_raise(struct e1000 *e, uint32_t causes);
void e1000_irq_update(struct e1000 *e);
void e1000_timer_start(struct e1000 *e, enum e1000_timer timer, uint64_t deadline);
void e1000_timer_stop(struct e1000 *e, enum e1000_timer timer);
void e1000_timers_run(struct e1000 *e);
void e1000_timers_rearm(struct e1000 *e);
void e1000_irq_after_receive(struct e1000 *e, uint32_t causes);
void e1000_irq_after_transmit(struct e1000 *e, uint32_t causes, bool delayed);
uint32_t e1000_read_icr(struct e1000 *e, uint32_t index);
void e1000_write_icr(struct e1000 *e, uint32_t index, uint32_t value);
void e1000_write_ics(struct e1000 *e, uint32_t index, uint32_t value);
void e1000_write_ims(struct e1000 *e, uint32_t index, uint32_t value);
void e1000_write_imc(struct e1000 *e, uint32_t index, uint32_t value);
void e1000_write_itr(struct e1000 *e, uint32_t index, uint32_t value);
void e1000_write_rdtr(struct e1000 *e, uint32_t index, uint32_t value);

/* e1000_tx.c */
void e1000_tx_reset(struct e1000 *e);
void e1000_tx_run(struct e1000 *e);

/* e1000_segment.c: the end of a packet, or of a full segment of it */
bool e1000_segment_begin(struct e1000 *e);
void e1000_segment_send(struct e1000 *e, bool last);
bool e1000_segment_chunk_is_valid(const struct e1000_tx *tx);
static inline uint8_t *e1000_tx_frame(struct e1000 *e)
{
    return e->tx.buffer + E1000_VLAN_TAG;
}

/* e1000_rx.c */
void e1000_rx_forget_prefetched(struct e1000 *e);
void e1000_rx_ring_moved(struct e1000 *e);
enum nic_rx_result e1000_rx_frame(struct e1000 *e, const uint8_t *frame, size_t size,
                                  const struct nic_offload *offload);
void e1000_rx_missed(struct e1000 *e);
void e1000_rx_loop_back(struct e1000 *e, const uint8_t *frame, size_t size);
bool e1000_is_looped_back(const struct e1000 *e);
bool e1000_rx_address_passes(const struct e1000 *e, const uint8_t *mac, bool *exact, bool *inexact);

/* e1000_wake.c */
void e1000_wake_frame(struct e1000 *e, const uint8_t *frame, size_t size);
void e1000_wake_link(struct e1000 *e);
void e1000_write_wuc(struct e1000 *e, uint32_t index, uint32_t value);
void e1000_write_wus(struct e1000 *e, uint32_t index, uint32_t value);

/* e1000_power.c */
extern const struct nic_power_ops e1000_power_ops;
void e1000_pme_tell(struct e1000 *e);
void e1000_power_reset(struct e1000 *e);
void e1000_power_load(struct e1000 *e);
void e1000_power_state(struct e1000 *e, struct nic_state *s);

/* e1000_pause.c */
void e1000_pause_until(struct e1000 *e, uint64_t until);
bool e1000_pause_receive(struct e1000 *e, const uint8_t *frame, size_t size); /* true: done with */
void e1000_pause_backlog(struct e1000 *e, uint32_t waiting, uint32_t capacity);
void e1000_pause_overflow(struct e1000 *e);
void e1000_pause_by_software(struct e1000 *e);

/* e1000_phy.c */
void e1000_phy_reset(struct e1000 *e);
bool e1000_phy_link(const struct e1000 *e);
bool e1000_phy_interrupts(const struct e1000 *e);
bool e1000_phy_loopback(const struct e1000 *e);
uint32_t e1000_phy_status(const struct e1000 *e); /* speed and duplex as STATUS has them */
void e1000_phy_update(struct e1000 *e);
void e1000_phy_state(struct e1000 *e, struct nic_state *s);
void e1000_write_mdic(struct e1000 *e, uint32_t index, uint32_t value);

/* e1000_nvm.c */
void e1000_nvm_init(struct e1000 *e);
void e1000_nvm_load(struct e1000 *e);
void e1000_pci_ids(const struct nic *nic, struct nic_pci_ids *ids);
uint32_t e1000_read_eecd(struct e1000 *e, uint32_t index);
void e1000_write_eecd(struct e1000 *e, uint32_t index, uint32_t value);
void e1000_write_eerd(struct e1000 *e, uint32_t index, uint32_t value);

/* e1000_stats.c: sizes without the FCS, which is added here */
void e1000_count(struct e1000 *e, enum e1000_statistic statistic, uint32_t amount);
void e1000_count_seen(struct e1000 *e, size_t size);
void e1000_count_sent(struct e1000 *e, size_t size, uint32_t frames);
void e1000_count_oversize(struct e1000 *e);
void e1000_count_received(struct e1000 *e, const uint8_t *frame, size_t size);
void e1000_count_transmitted(struct e1000 *e, const uint8_t *frame, size_t size, uint32_t frames);
uint32_t e1000_read_statistic(struct e1000 *e, uint32_t index);

/* e1000_state.c: functions of struct nic_ops */
void e1000_state(struct nic *nic, struct nic_state *s);
void e1000_restored(struct nic *nic, uint64_t now);

#endif
