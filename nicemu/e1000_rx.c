/* SPDX-License-Identifier: BSD-2-Clause
 *
 * e1000's receiver (3.2, 10.3.1): the address filter, then a frame into as many
 * descriptors as it needs, all at once or not at all. A frame that finds the
 * ring full is refused with NIC_RX_FULL: the machine's queue takes the part of
 * the chip's FIFO, and offers it again when the driver moves RDT.
 *
 * Descriptors are fetched ahead and not read again: a driver may recycle one as
 * soon as it is given back.
 */
#include "nicemu/e1000.h"
#include "nicemu/ethernet_crc.h"
#include "nicemu/inet_checksum.h"
#include "nicemu/mac_filter.h"

#include <string.h>

#define FRAME_SHORT_MAX 1522u  /* with FCS, LPE clear */
#define FRAME_LONG_MAX 16384u
#define DESCRIPTORS_MAX 128u   /* of a frame: 16384 / 256, and as many null ones */

/* Receive descriptor, write-back form: length 0-15, checksum 16-31 of the
 * lower word; status 0-7, errors 8-15, special 16-31 of the upper one. */
#define RXD_DD 0x01u
#define RXD_EOP 0x02u
#define RXD_IXSM 0x04u
#define RXD_VP 0x08u
#define RXD_TCPCS 0x20u
#define RXD_IPCS 0x40u
#define RXD_PIF 0x80u
#define RXD_TCPE 0x2000u
#define RXD_IPE 0x4000u

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

bool e1000_is_looped_back(const struct e1000 *e)
{
    uint32_t mode = REG(e, RCTL) & RCTL_LBM;
    return mode == 0x40 || mode == 0xc0 || e1000_phy_loopback(e);
}

/* --- filter -------------------------------------------------------------- */

static bool vlan_passes(const struct e1000 *e, const uint8_t *frame, size_t size)
{
    if (!(REG(e, RCTL) & RCTL_VFE) || size < 18 || get16(frame + 12) != REG(e, VET))
        return true;
    uint16_t tag = get16(frame + 14);
    if ((REG(e, RCTL) & RCTL_CFIEN) && !(tag & 0x1000) != !(REG(e, RCTL) & RCTL_CFI))
        return false;
    return e->reg[E1000_VFTA / 4 + (tag >> 5 & 127)] >> (tag & 31) & 1;
}

static bool matches_receive_address(const struct e1000 *e, const uint8_t *mac)
{
    for (unsigned i = 0; i < 16; i++) {
        const uint32_t *pair = &e->reg[E1000_RAL / 4 + 2 * i];
        if ((pair[1] & RAH_AV) && mac_equals_pair(mac, pair[0], pair[1]))
            return true;
    }
    return false;
}

/* Whether the address filter takes the frame; *exact: by a receive address, *inexact:
 * by the hash alone. */
bool e1000_rx_address_passes(const struct e1000 *e, const uint8_t *mac, bool *exact, bool *inexact)
{
    uint32_t rctl = REG(e, RCTL);
    *inexact = false;
    *exact = matches_receive_address(e, mac);
    if (*exact)
        return true;
    if (!mac_is_multicast(mac))
        return rctl & RCTL_UPE;
    if (mac_is_broadcast(mac) && (rctl & RCTL_BAM))
        return true;
    if (rctl & RCTL_MPE)
        return true;
    unsigned bit = mac_hash_table12(mac, rctl >> 12 & 3);
    *inexact = true;
    return e->reg[E1000_MTA / 4 + (bit >> 5)] >> (bit & 31) & 1;
}

/* --- ring ---------------------------------------------------------------- */

static uint32_t ring_size(const struct e1000 *e)
{
    return REG(e, RDLEN) / sizeof(struct e1000_descriptor);
}

static uint64_t ring_address(const struct e1000 *e, uint32_t index)
{
    uint64_t base = REG(e, RDBAL) | (uint64_t)REG(e, RDBAH) << 32;
    return base + index * sizeof(struct e1000_descriptor);
}

/* Descriptors that the driver has given the chip. RDT may equal the ring's size
 * (OS/2's driver): all of them from RDH to the end. */
static uint32_t available(struct e1000 *e)
{
    uint32_t count = ring_size(e), head = REG(e, RDH), tail = REG(e, RDT);
    if (count == 0)
        return 0;
    if (head >= count || tail > count) {
        nic_guest_error(&e->nic, "receive ring of %u descriptors with RDH %u, RDT %u", count, head, tail);
        return 0;
    }
    return tail >= head ? tail - head : tail + count - head;
}

void e1000_rx_forget_prefetched(struct e1000 *e)
{
    e->rx.cache_count = 0;
}

/* The address of descriptor `index`, which the chip owns together with the
 * `owned - 1` that follow it. */
static bool descriptor_address(struct e1000 *e, uint32_t index, uint32_t owned, uint64_t *address)
{
    struct e1000_rx *rx = &e->rx;
    if (index - rx->cache_first >= rx->cache_count) {
        uint32_t count = ring_size(e) - index; /* not around the end */
        if (count > owned)
            count = owned;
        if (count > E1000_PREFETCH)
            count = E1000_PREFETCH;
        rx->cache_count = 0;
        if (!e->nic.host.dma_read(e->nic.host.opaque, ring_address(e, index), rx->cache,
                                  count * sizeof *rx->cache)) {
            nic_guest_error(&e->nic, "receive ring at %llx is not memory",
                            (unsigned long long)ring_address(e, 0));
            return false;
        }
        rx->cache_first = index;
        rx->cache_count = count;
    }
    *address = rx->cache[index - rx->cache_first].address;
    return true;
}

static uint32_t buffer_size(const struct e1000 *e)
{
    uint32_t size = 2048u >> (REG(e, RCTL) >> 16 & 3);
    return (REG(e, RCTL) & RCTL_BSEX) && size != 2048 ? size * 16 : size;
}

/* RDT or the receiver's state has changed: what was refused may fit now. */
void e1000_rx_ring_moved(struct e1000 *e)
{
    if (!e->rx.waiting)
        return;
    bool on = (REG(e, RCTL) & RCTL_EN) && e1000_link_is_up(e) && !e->power.asleep;
    if (on && REG(e, RDH) == REG(e, RDT))
        return;
    e->rx.waiting = false;
    e->nic.host.receive_ready(e->nic.host.opaque);
}

/* --- one frame ----------------------------------------------------------- */

/* A frame as it goes to the buffers: up to two pieces, the FCS being the second. */
struct delivery {
    const uint8_t *bytes;
    uint32_t size;       /* of bytes */
    uint32_t total;      /* with the FCS, where it is stored */
    uint8_t fcs[4];
    uint32_t status;     /* status, errors and special of the last descriptor */
    uint16_t checksum;   /* one's complement sum from RXCSUM.PCSS on */
};

/* The descriptors that a delivery takes, in their order from RDH on. */
struct plan {
    uint64_t address[DESCRIPTORS_MAX];
    uint32_t count;
};

enum plan_result { PLAN_FITS, PLAN_FULL, PLAN_NEVER };

/* A null address stands for no buffer: the descriptor is given back unused. */
static enum plan_result make_plan(struct e1000 *e, uint32_t total, struct plan *plan)
{
    uint32_t size = buffer_size(e), owned = available(e), room = 0, index = REG(e, RDH);

    if ((uint64_t)size * (ring_size(e) ? ring_size(e) - 1 : 0) < total && ring_size(e))
        return PLAN_NEVER;
    for (plan->count = 0; room < total; plan->count++) {
        if (plan->count == owned)
            return PLAN_FULL;
        if (plan->count == DESCRIPTORS_MAX)
            return PLAN_NEVER;
        if (!descriptor_address(e, index, owned - plan->count, &plan->address[plan->count]))
            return PLAN_FULL;
        if (plan->address[plan->count])
            room += size;
        if (++index == ring_size(e))
            index = 0;
    }
    return PLAN_FITS;
}

/* Writes bytes [offset, offset + size) of the delivery to `address`. */
static bool write_buffer(struct e1000 *e, const struct delivery *d, uint64_t address, uint32_t offset, uint32_t size)
{
    const struct nic_host *host = &e->nic.host;
    bool good = true;
    uint32_t end = offset + size;
    if (offset < d->size) {
        uint32_t part = (end < d->size ? end : d->size) - offset;
        good = host->dma_write(host->opaque, address, d->bytes + offset, part);
        address += part;
        offset += part;
    }
    if (good && offset < end)
        good = host->dma_write(host->opaque, address, d->fcs + (offset - d->size), end - offset);
    return good;
}

/* Gives `count` descriptors from RDH on back to the driver, at most two writes. */
static void write_back(struct e1000 *e, const struct e1000_descriptor *done, uint32_t count)
{
    const struct nic_host *host = &e->nic.host;
    uint32_t head = REG(e, RDH), size = ring_size(e);
    uint32_t first = size - head < count ? size - head : count;
    host->dma_write(host->opaque, ring_address(e, head), done, first * sizeof *done);
    if (first < count)
        host->dma_write(host->opaque, ring_address(e, 0), done + first, (count - first) * sizeof *done);
    head += count;
    REG(e, RDH) = head >= size ? head - size : head;
}

static void fill(struct e1000 *e, const struct delivery *d, const struct plan *plan)
{
    struct e1000_descriptor done[DESCRIPTORS_MAX];
    uint32_t buffer = buffer_size(e), offset = 0;

    for (uint32_t i = 0; i < plan->count; i++) {
        bool last = i + 1 == plan->count;
        uint32_t size = 0;
        if (plan->address[i]) {
            size = d->total - offset < buffer ? d->total - offset : buffer;
            if (!write_buffer(e, d, plan->address[i], offset, size))
                nic_guest_error(&e->nic, "receive buffer of %u bytes at %llx is not memory", size,
                                (unsigned long long)plan->address[i]);
            offset += size;
        }
        done[i].address = plan->address[i];
        done[i].lower = size | (uint32_t)d->checksum << 16;
        done[i].upper = RXD_DD | (last ? d->status | RXD_EOP : d->status & RXD_PIF);
    }
    write_back(e, done, plan->count);
}

/* The driver's low-water mark, crossed by this frame (RCTL.RDMTS). */
static uint32_t low_descriptors(struct e1000 *e, uint32_t before, uint32_t after)
{
    uint32_t threshold = ring_size(e) >> (1 + (REG(e, RCTL) >> 8 & 3));
    return before > threshold && after <= threshold ? ICR_RXDMT0 : 0;
}

/* Status bits that tell of checksums, and the packet checksum (3.2.9). A
 * checksum that the sender left open is completed in rx.scratch: guests forward
 * and capture frames, and then what is in the field matters. */
static void check_sums(struct e1000 *e, struct delivery *d, bool trusted)
{
    uint32_t rxcsum = REG(e, RXCSUM), start = rxcsum & 0xff;
    if (start < d->size)
        d->checksum = inet_sum(d->bytes + start, d->size - start);
    if (!(rxcsum & (RXCSUM_IPOFLD | RXCSUM_TUOFLD))) {
        d->status |= RXD_IXSM;
        return;
    }
    struct inet_check check = inet_verify(d->bytes, d->size, !trusted);
    if (!check.ip_checked && !check.l4_checked)
        d->status |= RXD_IXSM;
    if (check.ip_checked && (rxcsum & RXCSUM_IPOFLD))
        d->status |= RXD_IPCS | (check.ip_good ? 0 : RXD_IPE);
    if (check.l4_checked && (rxcsum & RXCSUM_TUOFLD))
        d->status |= RXD_TCPCS | (check.l4_good ? 0 : RXD_TCPE);
}

/* Copies the frame to rx.scratch, where it may be changed. */
static uint8_t *own_copy(struct e1000 *e, struct delivery *d)
{
    if (d->bytes != e->rx.scratch) {
        memcpy(e->rx.scratch, d->bytes, d->size);
        d->bytes = e->rx.scratch;
    }
    return e->rx.scratch;
}

static void prepare(struct e1000 *e, struct delivery *d, const struct nic_offload *offload)
{
    bool trusted = offload && offload->flags;
    if (offload && (offload->flags & NIC_OFFLOAD_NEEDS_CSUM))
        inet_checksum_insert(own_copy(e, d), d->size, offload->csum_start,
                             (size_t)offload->csum_start + offload->csum_offset, 0);
    if (d->size < NIC_MIN_FRAME) {
        memset(own_copy(e, d) + d->size, 0, NIC_MIN_FRAME - d->size);
        d->size = NIC_MIN_FRAME;
    }
    check_sums(e, d, trusted);
    bool stored = !(REG(e, RCTL) & RCTL_SECRC);
    if (stored) {
        uint32_t fcs = ethernet_fcs(d->bytes, d->size);
        for (unsigned i = 0; i < 4; i++)
            d->fcs[i] = (uint8_t)(fcs >> 8 * i);
    }
    if ((REG(e, CTRL) & CTRL_VME) && d->size >= 18 && get16(d->bytes + 12) == REG(e, VET)) {
        uint8_t *frame = own_copy(e, d);
        d->status |= RXD_VP | (uint32_t)get16(frame + 14) << 16;
        memmove(frame + 12, frame + 16, d->size - 16);
        d->size -= E1000_VLAN_TAG;
    }
    d->total = d->size + (stored ? 4 : 0);
}

static enum nic_rx_result refuse(struct e1000 *e)
{
    e->rx.waiting = true;
    e1000_count(e, E1000_RNBC, 1);
    return NIC_RX_FULL;
}

void e1000_rx_missed(struct e1000 *e)
{
    e->nic.counters.rx_dropped_full++;
    if (!(REG(e, RCTL) & RCTL_EN))
        return;
    e1000_count(e, E1000_MPC, 1);
    e1000_irq_raise(e, ICR_RXO);
}

static enum nic_rx_result miss(struct e1000 *e, size_t size)
{
    e1000_count_seen(e, size);
    e1000_rx_missed(e);
    return NIC_RX_TAKEN;
}

/* A frame stored for RCTL.SBP alone. */
static void count_bad(struct e1000 *e, size_t size)
{
    e1000_count_seen(e, size);
    e1000_count_oversize(e);
    e->nic.counters.rx_frames++;
    e->nic.counters.rx_bytes += size;
}

static enum nic_rx_result deliver(struct e1000 *e, const uint8_t *frame, size_t size,
                                  const struct nic_offload *offload, uint32_t status, bool bad)
{
    struct delivery d = { .bytes = frame, .size = (uint32_t)size, .status = status };
    struct plan plan;
    uint32_t before = available(e);

    if (before == 0)
        return refuse(e); /* before any byte of the frame is looked at */
    prepare(e, &d, offload);
    switch (make_plan(e, d.total, &plan)) {
    case PLAN_FULL:
        return refuse(e);
    case PLAN_NEVER:
        return miss(e, size);
    case PLAN_FITS:
        break;
    }
    fill(e, &d, &plan);
    bad ? count_bad(e, size) : e1000_count_received(e, frame, size);
    uint32_t causes = low_descriptors(e, before, before - plan.count);
    if (d.total <= REG(e, RSRPD))
        causes |= ICR_SRPD;
    e1000_irq_after_receive(e, causes);
    return NIC_RX_TAKEN;
}

static enum nic_rx_result filter_out(struct e1000 *e, size_t size)
{
    e1000_count_seen(e, size);
    e->nic.counters.rx_filtered++;
    return NIC_RX_TAKEN;
}

enum nic_rx_result e1000_rx_frame(struct e1000 *e, const uint8_t *frame, size_t size,
                                  const struct nic_offload *offload)
{
    bool exact, inexact;
    if (REG(e, WUC) & (WUC_APME | WUC_PME_EN))
        e1000_wake_frame(e, frame, size);
    if (!(REG(e, RCTL) & RCTL_EN) || e->power.asleep)
        return NIC_RX_OFF;
    bool oversize = size + 4 > (REG(e, RCTL) & RCTL_LPE ? FRAME_LONG_MAX : FRAME_SHORT_MAX);
    if (get16(frame + 12) == REG(e, FCT) && !oversize && e1000_pause_receive(e, frame, size))
        return NIC_RX_TAKEN;
    if (!e1000_rx_address_passes(e, frame, &exact, &inexact) || !vlan_passes(e, frame, size))
        return filter_out(e, size);
    if (oversize && (!(REG(e, RCTL) & RCTL_SBP) || size + 4 > FRAME_LONG_MAX)) {
        e1000_count_oversize(e);
        return filter_out(e, size);
    }
    return deliver(e, frame, size, offload, inexact ? RXD_PIF : 0, oversize);
}

/* A frame of the transmitter's in loopback: nobody keeps it where there is no room. */
void e1000_rx_loop_back(struct e1000 *e, const uint8_t *frame, size_t size)
{
    bool waiting = e->rx.waiting;
    if (e1000_rx_frame(e, frame, size, NULL) == NIC_RX_FULL)
        miss(e, size);
    e->rx.waiting = waiting;
}
