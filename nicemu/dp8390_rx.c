/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The DP8390's receiver: address filter, and the ring of 256-byte pages between
 * PSTART and PSTOP. The chip walks the ring page by page and stops where the
 * next page is BNRY; so does this, which needs no other check of what a driver
 * has put into those registers. A frame that does not fit waits in the
 * machine's queue until BNRY moves; one that never can is an overflow.
 */
#include "nicemu/dp8390.h"

#include "nicemu/ethernet_crc.h"
#include "nicemu/mac_filter.h"

#include <string.h>

#define PAGE 256u
#define HEADER 4u
#define FCS 4u
#define FRAME_MAX 1518u /* without FCS, with a VLAN tag */

bool dp8390_address_passes(const struct dp8390 *d, const uint8_t *mac)
{
    if (mac_is_broadcast(mac))
        return d->rcr & RCR_AB;
    if (mac_is_multicast(mac)) {
        unsigned bit = mac_hash_crc6(mac);
        return (d->rcr & RCR_AM) && (d->mar[bit >> 3] >> (bit & 7) & 1);
    }
    return (d->rcr & RCR_PRO) || memcmp(mac, d->par, 6) == 0;
}

static uint8_t next_page(const struct dp8390 *d, uint8_t page)
{
    page++;
    return page == d->pstop ? d->pstart : page;
}

/* Whether unread frames lie in the ring, by either way drivers keep BNRY: at the
 * next page to read, or one before it. */
bool dp8390_ring_has_frames(const struct dp8390 *d)
{
    return d->bnry != d->curr && next_page(d, d->bnry) != d->curr;
}

/* Whether the ring is at least half empty: by its pages between CURR and BNRY. */
static bool has_much_room(const struct dp8390 *d)
{
    int size = d->pstop - d->pstart, used = d->curr - d->bnry;

    return !dp8390_ring_has_frames(d) || (used < 0 ? used + size : used) <= size / 2;
}

/* Something that stands in a waiting frame's way may be gone. The machine leaves the
 * guest's code to bring what waits: for several frames at once, not for each page that
 * a driver gives back. */
void dp8390_ring_moved(struct dp8390 *d)
{
    if (!d->waiting || !has_much_room(d))
        return;
    d->waiting = false;
    d->nic.host.receive_ready(d->nic.host.opaque);
}

/* The page where the receiver stops. Linux's lib8390 writes the page before the
 * one it reads next without wrapping, PSTART - 1 for the first: a page that the
 * walk never meets. It means the ring's last. */
static uint8_t stop_page(const struct dp8390 *d)
{
    return d->bnry >= d->pstart && d->bnry < d->pstop ? d->bnry : (uint8_t)(d->pstop - 1);
}

enum room { ROOM, FULL, NEVER };

static enum room look_for_room(const struct dp8390 *d, unsigned pages)
{
    uint8_t page = d->curr, stop = stop_page(d);
    if (d->pstart >= d->pstop || pages >= (unsigned)(d->pstop - d->pstart))
        return NEVER;
    for (unsigned i = 0; i < pages; i++) {
        page = next_page(d, page);
        if (page == stop)
            return FULL;
    }
    return ROOM;
}

/* Copies to the ring, page after page; *page and *offset are where the next byte goes. */
static void put(struct dp8390 *d, uint8_t *page, unsigned *offset, const uint8_t *bytes, size_t size)
{
    while (size) {
        if (*offset == PAGE) {
            *page = next_page(d, *page);
            *offset = 0;
        }
        size_t part = PAGE - *offset < size ? PAGE - *offset : size;
        unsigned address = *page * PAGE + *offset;
        if (address & d->ram_size)
            memcpy(&d->ram[address & (d->ram_size - 1u)], bytes, part);
        *offset += (unsigned)part;
        bytes += part;
        size -= part;
    }
}

static void store(struct dp8390 *d, const uint8_t *frame, size_t size, unsigned pages)
{
    uint32_t fcs = ethernet_fcs(frame, size);
    uint8_t tail[FCS] = { (uint8_t)fcs, (uint8_t)(fcs >> 8), (uint8_t)(fcs >> 16), (uint8_t)(fcs >> 24) };
    uint8_t next = d->curr, page = d->curr;
    unsigned offset = 0;
    uint16_t count = (uint16_t)(size + FCS); /* the chip does not count the header */

    for (unsigned i = 0; i < pages; i++)
        next = next_page(d, next);
    d->rsr = RSR_PRX | (mac_is_multicast(frame) ? RSR_PHY : 0);
    uint8_t header[HEADER] = { d->rsr, next, (uint8_t)count, (uint8_t)(count >> 8) };
    put(d, &page, &offset, header, HEADER);
    put(d, &page, &offset, frame, size);
    put(d, &page, &offset, tail, FCS);
    d->clda = d->address = (uint16_t)(page * PAGE + offset);
    d->curr = d->lnpp = next;
}

/* The ring has overflowed: RST shows it too, until pages are given back or the
 * driver's recovery starts the chip anew. */
static void miss(struct dp8390 *d, uint8_t causes)
{
    d->rsr = RSR_MPA;
    d->nic.counters.rx_dropped_full++;
    dp8390_count(d, DP8390_MISSED);
    dp8390_raise(d, causes | ISR_OVW | ISR_RST);
}

static bool is_receiving(const struct dp8390 *d)
{
    return !(d->cr & CR_STP) && (d->cr & CR_STA) && !dp8390_is_looped_back(d) && d->link && !d->off;
}

void dp8390_lost(struct nic *nic, size_t size, uint64_t now)
{
    struct dp8390 *d = (struct dp8390 *)nic;
    (void)size;
    d->now = now;
    if (is_receiving(d))
        miss(d, 0);
}

static enum nic_rx_result deliver(struct dp8390 *d, const uint8_t *frame, size_t size)
{
    if (size < NIC_MIN_FRAME) {
        memcpy(d->scratch, frame, size);
        memset(d->scratch + size, 0, NIC_MIN_FRAME - size);
        frame = d->scratch;
        size = NIC_MIN_FRAME;
    }
    unsigned pages = (unsigned)(size + HEADER + FCS + PAGE - 1) / PAGE;
    switch (look_for_room(d, pages)) {
    case NEVER:
        miss(d, ISR_RXE);
        return NIC_RX_TAKEN;
    case FULL:
        d->waiting = true;
        return NIC_RX_FULL;
    case ROOM:
        break;
    }
    store(d, frame, size, pages);
    d->nic.counters.rx_frames++;
    d->nic.counters.rx_bytes += size;
    d->prx_kept = false;
    dp8390_raise(d, ISR_PRX);
    return NIC_RX_TAKEN;
}

enum nic_rx_result dp8390_receive(struct nic *nic, const uint8_t *frame, size_t size,
                                  const struct nic_offload *offload, uint64_t now)
{
    struct dp8390 *d = (struct dp8390 *)nic;
    (void)offload;
    d->now = now;
    if (!is_receiving(d))
        return NIC_RX_OFF;
    if (size > FRAME_MAX || !dp8390_address_passes(d, frame)) {
        nic->counters.rx_filtered++;
        return NIC_RX_TAKEN;
    }
    if (d->rcr & RCR_MON) { /* looked at and counted, not stored */
        d->rsr = RSR_PRX | RSR_DIS | (mac_is_multicast(frame) ? RSR_PHY : 0);
        dp8390_count(d, DP8390_MISSED);
        nic->counters.rx_filtered++;
        return NIC_RX_TAKEN;
    }
    return deliver(d, frame, size);
}
