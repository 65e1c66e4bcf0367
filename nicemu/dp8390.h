/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The DP8390 network interface controller with the memory that the NE2000
 * family gives it: what ne2000.c, rtl8019.c (ISA) and rtl8029.c (PCI)
 * are built around.
 *
 *   dp8390.c     registers, interrupt, reset     dp8390_dma.c  remote DMA (the data port)
 *   dp8390_rx.c  filter and receive ring         dp8390_tx.c   transmission and loopback
 *   dp8390_state.c  saving and restoring         dp8390_quick.c  the most frequent accesses again
 *
 * The board's memory as the chip addresses it: the station address PROM at 0,
 * 16 KiB of RAM at 0x4000 or (NE1000) 8 KiB at 0x2000; the bits above are not
 * decoded.
 */
#ifndef NICEMU_DP8390_H
#define NICEMU_DP8390_H

#include "nicemu/nic_model.h"

#define DP8390_PROM_SIZE 32u
#define DP8390_WIDEST 4u
#define DP8390_RAM_MAX 0x4000u
#define DP8390_FIFO_SIZE 8u
#define DP8390_TALLY_MAX 192u
#define DP8390_IDLE_ACKS 4u /* acknowledgements that a PRX without effect outlives */
#define DP8390_TX_MAX 1518u /* without FCS: a full frame with a VLAN tag */

#define CR_STP 0x01u
#define CR_STA 0x02u
#define CR_TXP 0x04u
#define CR_RD 0x38u
#define CR_RD_READ 0x08u
#define CR_RD_WRITE 0x10u
#define CR_RD_SEND 0x18u
#define CR_RD_ABORT 0x20u
#define CR_PAGE_SHIFT 6
#define ISR_PRX 0x01u
#define ISR_PTX 0x02u
#define ISR_RXE 0x04u
#define ISR_TXE 0x08u
#define ISR_OVW 0x10u
#define ISR_CNT 0x20u
#define ISR_RDC 0x40u
#define ISR_RST 0x80u
#define DCR_WTS 0x01u
#define DCR_BOS 0x02u
#define DCR_LS 0x08u
#define DCR_AR 0x10u
#define TCR_CRC 0x01u
#define TCR_LB 0x06u
#define RCR_AB 0x04u
#define RCR_AM 0x08u
#define RCR_PRO 0x10u
#define RCR_MON 0x20u
#define RSR_PRX 0x01u
#define RSR_CRC 0x02u
#define RSR_MPA 0x10u
#define RSR_PHY 0x20u
#define RSR_DIS 0x40u
#define TSR_PTX 0x01u
#define TSR_CRS 0x10u
#define TSR_CDH 0x40u

enum dp8390_tally { DP8390_ALIGNMENT, DP8390_CRC, DP8390_MISSED, DP8390_TALLIES };

struct dp8390 {
    struct nic nic; /* first: a board's struct begins with its core */
    uint8_t cr, isr, imr, dcr, tcr, rcr, tsr, rsr;
    uint8_t pstart, pstop, bnry, curr, tpsr, ncr;
    uint8_t par[6], mar[8];
    uint8_t tally[DP8390_TALLIES];
    uint16_t tbcr;            /* bytes to transmit */
    uint16_t rsar, rbcr;      /* remote start and count as written */
    uint16_t crda, remaining; /* remote DMA: address and bytes to go */
    uint16_t clda;            /* local DMA address */
    uint8_t rnpp, lnpp;       /* page 2: the pages behind the frame that send-packet reads, and the last one received */
    uint16_t address;         /* page 2: the address counter that both DMA channels load */
    uint64_t on_wire_until;   /* a frame is being sent, CR.TXP is set; 0: none */
    uint8_t sending_page;     /* its TPSR */
    uint16_t sending_size;    /* and TBCR */
    uint8_t fifo[DP8390_FIFO_SIZE];
    uint8_t fifo_read;        /* next location a read of the FIFO register gives */
    bool waiting;             /* NIC_RX_FULL was answered */
    bool prx_kept;            /* ISR.PRX outlived its acknowledgement: write_isr() */
    uint8_t idle_acks;        /* of PRX, kept, since BNRY was written */
    bool link;
    bool off;                 /* the board has switched its network side off; not saved: realtek.c */
    uint64_t now;
    uint8_t prom[DP8390_PROM_SIZE];
    uint8_t ram[DP8390_RAM_MAX];
    uint16_t ram_size;        /* a power of two, and the address where it begins: fixed by the board */
    uint8_t widest;           /* access that the board takes as one: of a byte alone in an 8-bit slot, none while halted */
    uint8_t scratch[NIC_MIN_FRAME > DP8390_TX_MAX ? NIC_MIN_FRAME : DP8390_TX_MAX + 4];

    /* What the chip has beyond the DP8390: NULL, or Realtek's ID bytes and page 3. */
    bool (*extra_read)(struct dp8390 *d, unsigned page, unsigned number, uint8_t *value);
    void (*extra_write)(struct dp8390 *d, unsigned page, unsigned number, uint8_t value);
};

/* Ports of a board behind the registers: data up to the reset port. */
#define PORT_DATA 0x10u
#define PORT_RESET 0x18u

/* dp8390.c */
void dp8390_init(struct dp8390 *d, uint16_t ram_size);
void dp8390_fill_prom(struct dp8390 *d, const uint8_t mac[6], uint8_t signature, bool doubled);
void dp8390_power_on(struct dp8390 *d);
void dp8390_reset(struct dp8390 *d); /* the reset port */
uint8_t dp8390_read(struct dp8390 *d, unsigned number);
void dp8390_write(struct dp8390 *d, unsigned number, uint8_t value);
void dp8390_raise(struct dp8390 *d, uint8_t causes);
void dp8390_count(struct dp8390 *d, enum dp8390_tally tally);

/* The 32 ports of a board: registers, data port, reset port. */
uint32_t dp8390_port_read(struct dp8390 *d, uint32_t offset, unsigned size);
void dp8390_port_write(struct dp8390 *d, uint32_t offset, unsigned size, uint32_t value);

/* The functions of struct nic_ops that boards share. */
enum nic_rx_result dp8390_receive(struct nic *nic, const uint8_t *frame, size_t size,
                                  const struct nic_offload *offload, uint64_t now);
void dp8390_lost(struct nic *nic, size_t size, uint64_t now);
void dp8390_timer(struct nic *nic, uint64_t now);
void dp8390_set_link(struct nic *nic, bool up, uint64_t now);
void dp8390_restored(struct nic *nic, uint64_t now);

/* dp8390_quick.c: what a driver does most, for struct nic_ops */
int64_t dp8390_quick_read(struct nic *nic, uint32_t offset, unsigned size);
int dp8390_quick_write(struct nic *nic, uint32_t offset, unsigned size, uint32_t value);

/* dp8390_dma.c */
void dp8390_dma_start(struct dp8390 *d);
uint32_t dp8390_data_read(struct dp8390 *d, unsigned size);
void dp8390_data_write(struct dp8390 *d, unsigned size, uint32_t value);
void dp8390_read_block(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint32_t count, uint8_t *to,
                       uint64_t now);
void dp8390_write_block(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint32_t count,
                        const uint8_t *from, uint64_t now);
uint8_t dp8390_memory_read(const struct dp8390 *d, uint16_t address);
void dp8390_memory_write(struct dp8390 *d, uint16_t address, uint8_t value);

/* dp8390_rx.c */
void dp8390_ring_moved(struct dp8390 *d);
bool dp8390_ring_has_frames(const struct dp8390 *d);
bool dp8390_address_passes(const struct dp8390 *d, const uint8_t *mac);

/* dp8390_state.c: the function of struct nic_ops, and the core's part for a board's own */
void dp8390_state(struct nic *nic, struct nic_state *s);

/* dp8390_tx.c */
void dp8390_transmit(struct dp8390 *d);
void dp8390_transmit_timer(struct dp8390 *d);
void dp8390_transmit_reset(struct dp8390 *d);
static inline bool dp8390_is_looped_back(const struct dp8390 *d)
{
    return d->tcr & TCR_LB;
}

#endif
