/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The DP8390's transmitter. A frame is on its way the moment that TXP is set:
 * TXP reads back as clear, PTX is set. On a board with a line rate TXP stays set
 * as long as the frame is on the wire, and it leaves when that is over. In loopback
 * it goes to the FIFO instead, where the driver reads the last of it back; it
 * does not reach the ring.
 */
#include "nicemu/dp8390.h"

#include "nicemu/ethernet_crc.h"
#include "nicemu/mac_filter.h"

#define FCS 4u
#define PREAMBLE 8u
#define GAP 12u /* to the next frame: 9.6 us at 10 Mbit/s */

/* The frame's bytes: in place where memory has them in one piece. */
static const uint8_t *gather(struct dp8390 *d, size_t size)
{
    uint16_t start = (uint16_t)(d->sending_page << 8);
    size_t offset = start & (d->ram_size - 1u);
    if ((start & d->ram_size) && offset + size <= d->ram_size)
        return &d->ram[offset];
    for (size_t i = 0; i < size; i++)
        d->scratch[i] = dp8390_memory_read(d, (uint16_t)(start + i));
    return d->scratch;
}

/* Loopback moves bytes only: in word mode one of each pair (DCR.BOS says which),
 * and TBCR counts both. */
static size_t take_one_lane(struct dp8390 *d, const uint8_t *frame, size_t size)
{
    for (size_t i = 0; i < size / 2; i++)
        d->scratch[i] = frame[2 * i + (d->dcr & DCR_BOS ? 0 : 1)];
    return size / 2;
}

/* The FIFO is a ring of eight bytes: frame and FCS run through it, and behind
 * them the receiver puts the count: low byte, high byte twice. */
static void fill_fifo(struct dp8390 *d, const uint8_t *frame, size_t size, bool appended)
{
    uint32_t fcs = ethernet_fcs(frame, size);
    size_t total = size + (appended ? FCS : 0);
    for (size_t i = total > DP8390_FIFO_SIZE ? total - DP8390_FIFO_SIZE : 0; i < total; i++)
        d->fifo[i % DP8390_FIFO_SIZE] = i < size ? frame[i] : (uint8_t)(fcs >> 8 * (i - size));
    d->fifo[total % DP8390_FIFO_SIZE] = (uint8_t)total;
    d->fifo[(total + 1) % DP8390_FIFO_SIZE] = (uint8_t)(total >> 8);
    d->fifo[(total + 2) % DP8390_FIFO_SIZE] = (uint8_t)(total >> 8);
    d->fifo_read = 0;
}

/* Whether the frame ends with its own FCS, made by the driver. */
static bool has_fcs(const uint8_t *frame, size_t size)
{
    uint32_t fcs = ethernet_fcs(frame, size - FCS);
    for (unsigned i = 0; i < FCS; i++)
        if (frame[size - FCS + i] != (uint8_t)(fcs >> 8 * i))
            return false;
    return true;
}

/* Results as AN-937 tabulates them: carrier and heartbeat are missing in mode 1,
 * the heartbeat in mode 2; PRX is never set, since no status goes to memory. */
static void loop_back(struct dp8390 *d, const uint8_t *frame, size_t size)
{
    static const uint8_t missing[4] = { 0, TSR_CRS | TSR_CDH, TSR_CDH, 0 };
    bool appended = !(d->tcr & TCR_CRC), good = true, group = false;
    d->tsr |= missing[(d->tcr & TCR_LB) >> 1];
    if (d->dcr & DCR_WTS) {
        size = take_one_lane(d, frame, size);
        frame = d->scratch;
    }
    fill_fifo(d, frame, size, appended);
    /* One CRC unit serves both ways: with it sending, what comes back looks wrong. */
    if (size >= NIC_ETH_HEADER && dp8390_address_passes(d, frame)) {
        good = !appended && has_fcs(frame, size);
        group = mac_is_multicast(frame);
    }
    d->rsr = (good ? RSR_PRX : RSR_CRC) | (group ? RSR_PHY : 0);
    if (!good)
        dp8390_raise(d, ISR_RXE);
}

static void send(struct dp8390 *d, const uint8_t *frame, size_t size)
{
    const struct nic_host *host = &d->nic.host;
    d->nic.counters.tx_frames++;
    d->nic.counters.tx_bytes += size;
    if (!d->link || d->off)
        return;
    if (!host->send_frame(host->opaque, frame, size, NULL))
        d->nic.counters.tx_errors++;
    host->send_flush(host->opaque);
}

static void finish(struct dp8390 *d)
{
    size_t size = d->sending_size;
    d->tsr = TSR_PTX;
    if (dp8390_is_looped_back(d))
        loop_back(d, gather(d, size), size);
    else
        send(d, gather(d, size), size);
    d->address = (uint16_t)((d->sending_page << 8) + size);
    dp8390_raise(d, ISR_PTX);
}

static void stay_on_wire(struct dp8390 *d, uint32_t ns)
{
    d->cr |= CR_TXP;
    d->on_wire_until = d->now + ns;
    d->nic.host.set_timer(d->nic.host.opaque, d->on_wire_until);
}

/* The network takes no more for the moment: as a wire would be, it is busy. */
static bool must_wait(const struct dp8390 *d)
{
    return !dp8390_is_looped_back(d) && !nic_has_room(&d->nic);
}

void dp8390_transmit(struct dp8390 *d)
{
    uint32_t rate = d->nic.line_rate;
    d->ncr = 0;
    d->sending_page = d->tpsr;
    d->sending_size = d->tbcr;
    if (d->tbcr < NIC_ETH_HEADER || d->tbcr > DP8390_TX_MAX) {
        nic_guest_error(&d->nic, "transmission of a frame of %u bytes", d->tbcr);
        d->nic.counters.tx_errors++;
        d->tsr = TSR_PTX;
        dp8390_raise(d, ISR_PTX); /* the driver is not left waiting */
    } else if (rate) {
        stay_on_wire(d, (PREAMBLE + d->tbcr + FCS + GAP) * 8000u / rate);
    } else if (must_wait(d)) {
        stay_on_wire(d, NIC_NO_ROOM_NS);
    } else {
        finish(d);
    }
}

/* The frame is through; what was stopped meanwhile is so now. */
void dp8390_transmit_timer(struct dp8390 *d)
{
    if (!d->on_wire_until || d->now < d->on_wire_until)
        return;
    if (must_wait(d)) {
        stay_on_wire(d, NIC_NO_ROOM_NS);
        return;
    }
    d->on_wire_until = 0;
    d->cr &= (uint8_t)~CR_TXP;
    finish(d);
    if (d->cr & CR_STP)
        dp8390_raise(d, ISR_RST);
}

/* The reset pin does not wait: what is on the wire is cut off. */
void dp8390_transmit_reset(struct dp8390 *d)
{
    if (!d->on_wire_until)
        return;
    d->on_wire_until = 0;
    d->nic.counters.tx_errors++;
    d->nic.host.set_timer(d->nic.host.opaque, 0);
}
