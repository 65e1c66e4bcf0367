/* SPDX-License-Identifier: BSD-2-Clause
 *
 * e1000's transmitter: fetches descriptors in batches, gathers their buffers
 * into a packet, and writes their status back (3.3-3.4). What becomes of a
 * packet is in e1000_segment.c.
 *
 * A run is bounded twice, by descriptors and by bytes; a ring that asks for
 * more is gone on with from the timer, so that no register write takes long. It
 * also waits for the network, which takes the wire's part of holding a driver back.
 */
#include "nicemu/e1000.h"

#include <stddef.h>
#include <string.h>

#define RUN_DESCRIPTORS 4096u
#define RUN_WORK (4u << 20) /* bytes fetched, and E1000_TX_FRAME_WORK for each frame sent */
#define RUN_BREAK 50000u /* ns between two runs of one burst */

/* Lower word of a legacy or data descriptor; the upper byte is the command. */
#define TXD_TYPE 0x00f00000u
#define TXD_TYPE_DATA 0x00100000u
#define TXD_EOP 0x01000000u
#define TXD_IC 0x04000000u  /* legacy: insert checksum */
#define TXD_TSE 0x04000000u /* data and context: segment */
#define TXD_RS 0x08000000u
#define TXD_RPS 0x10000000u
#define TXD_DEXT 0x20000000u
#define TXD_VLE 0x40000000u
#define TXD_IDE 0x80000000u
#define TXD_DD 0x00000001u  /* upper word, */
#define STATUS_AT offsetof(struct e1000_descriptor, upper)
#define CONTEXT_TCP 0x01000000u
#define CONTEXT_IPV4 0x02000000u
#define POPTS_IXSM 0x00000100u
#define POPTS_TXSM 0x00000200u

void e1000_tx_reset(struct e1000 *e)
{
    struct e1000_tx *tx = &e->tx;
    memset(&tx->normal, 0, sizeof tx->normal);
    memset(&tx->segmenting, 0, sizeof tx->segmenting);
    tx->open = false;
    tx->size = 0;
    tx->pause_until = 0;
}

static void load_context(struct e1000 *e, const struct e1000_descriptor *d)
{
    struct e1000_context *c = d->lower & TXD_TSE ? &e->tx.segmenting : &e->tx.normal;
    if (e->tx.open)
        nic_guest_error(&e->nic, "context descriptor in the middle of a packet: it begins with the next one");
    c->ipcss = (uint8_t)d->address;
    c->ipcso = (uint8_t)(d->address >> 8);
    c->ipcse = (uint16_t)(d->address >> 16);
    c->tucss = (uint8_t)(d->address >> 32);
    c->tucso = (uint8_t)(d->address >> 40);
    c->tucse = (uint16_t)(d->address >> 48);
    c->tcp = d->lower & CONTEXT_TCP;
    c->ipv4 = d->lower & CONTEXT_IPV4;
    c->hdrlen = (uint8_t)(d->upper >> 8);
    c->mss = (uint16_t)(d->upper >> 16);
}

static void open_packet(struct e1000 *e, const struct e1000_descriptor *d)
{
    struct e1000_tx *tx = &e->tx;
    bool data = d->lower & TXD_DEXT;
    tx->open = true;
    tx->bad = false;
    tx->segment = data && (d->lower & TXD_TSE);
    tx->insert_ip = data && (d->upper & POPTS_IXSM);
    tx->insert_l4 = data && (d->upper & POPTS_TXSM);
    tx->legacy_insert = false;
    tx->vlan = false;
    tx->size = 0;
    tx->limit = E1000_TX_MAX;
    tx->chunk = 0;
    tx->sent_payload = 0;
    tx->frames = 0;
    tx->sent_segments = 0;
    tx->context = tx->segment ? tx->segmenting : tx->normal;
    if (tx->segment) {
        tx->limit = tx->context.hdrlen;
        if (tx->context.hdrlen < NIC_ETH_HEADER || tx->context.mss == 0) {
            nic_guest_error(&e->nic, "segmentation with header length %u and MSS %u", tx->context.hdrlen,
                            tx->context.mss);
            tx->bad = true;
        }
    }
}

/* The buffer is full and more is to come: the header is complete, or a segment. */
static void make_room(struct e1000 *e)
{
    struct e1000_tx *tx = &e->tx;
    if (!tx->segment) {
        nic_guest_error(&e->nic, "packet of more than %u bytes", tx->limit);
        tx->bad = true;
    } else if (!tx->chunk) {
        tx->bad = !e1000_segment_begin(e);
    } else if (++tx->frames > E1000_TX_SEGMENTS_MAX) {
        nic_guest_error(&e->nic, "more than %u segments of %u bytes in a packet", E1000_TX_SEGMENTS_MAX, tx->context.mss);
        tx->bad = true;
    } else {
        e1000_segment_send(e, false);
    }
}

static void append(struct e1000 *e, uint64_t address, uint32_t size)
{
    struct e1000_tx *tx = &e->tx;
    while (size && !tx->bad) {
        uint32_t room = tx->limit - tx->size;
        if (!room) {
            make_room(e); /* makes some, or the packet bad */
            continue;
        }
        uint32_t part = size < room ? size : room;
        if (!e->nic.host.dma_read(e->nic.host.opaque, address, e1000_tx_frame(e) + tx->size, part)) {
            nic_guest_error(&e->nic, "transmit buffer of %u bytes at %llx is not memory", part,
                            (unsigned long long)address);
            tx->bad = true;
            return;
        }
        tx->size += part;
        address += part;
        size -= part;
    }
}

static void close_packet(struct e1000 *e)
{
    struct e1000_tx *tx = &e->tx;
    tx->open = false;
    if (!tx->bad && tx->segment && !tx->chunk)
        tx->bad = tx->size < tx->limit || !e1000_segment_begin(e);
    if (tx->bad) {
        e->nic.counters.tx_errors++;
        e1000_count(e, E1000_TSCTFC, tx->segment);
        return;
    }
    e1000_segment_send(e, true);
}

static void packet_descriptor(struct e1000 *e, const struct e1000_descriptor *d)
{
    struct e1000_tx *tx = &e->tx;
    bool data = d->lower & TXD_DEXT;
    uint32_t size = d->lower & (data ? 0xfffff : 0xffff);

    if (!tx->open)
        open_packet(e, d);
    if ((d->lower & TXD_VLE) && (REG(e, CTRL) & CTRL_VME)) {
        tx->vlan = true;
        tx->vlan_tag = (uint16_t)(d->upper >> 16);
    }
    if (!data && (d->lower & TXD_IC) && (d->lower & TXD_EOP)) {
        tx->legacy_insert = true;
        tx->context.tucss = (uint8_t)(d->upper >> 8);
        tx->context.tucso = (uint8_t)(d->lower >> 16);
        tx->context.tucse = 0;
    }
    tx->work += tx->bad ? 0 : size;
    append(e, d->address, size);
    if (d->lower & TXD_EOP)
        close_packet(e);
}

static void process(struct e1000 *e, const struct e1000_descriptor *d)
{
    bool extended = d->lower & TXD_DEXT;
    if (extended && (d->lower & TXD_TYPE) == 0)
        load_context(e, d);
    else if (extended && (d->lower & TXD_TYPE) != TXD_TYPE_DATA)
        nic_guest_error(&e->nic, "descriptor of unknown type %u", d->lower >> 20 & 15);
    else
        packet_descriptor(e, d);
}

struct run {
    uint32_t descriptors;    /* done so far */
    bool reported, delayed;  /* a status was written: to interrupt at once, after TIDV */
};

/* Processes up to `count` descriptors from `head` on; the number done, 0 on an error. */
static uint32_t run_batch(struct e1000 *e, uint32_t head, uint32_t count, struct run *run)
{
    struct e1000_descriptor batch[E1000_BATCH];
    uint64_t base = REG(e, TDBAL) | (uint64_t)REG(e, TDBAH) << 32;
    uint32_t first = count, end = 0, done;

    if (!e->nic.host.dma_read(e->nic.host.opaque, base + head * sizeof *batch, batch, count * sizeof *batch)) {
        nic_guest_error(&e->nic, "transmit ring at %llx is not memory", (unsigned long long)base);
        return 0;
    }
    for (done = 0; done < count && e->tx.work < RUN_WORK; done++) {
        struct e1000_descriptor *d = &batch[done];
        process(e, d);
        if (!(d->lower & (TXD_RS | TXD_RPS)))
            continue;
        d->upper |= TXD_DD;
        first = first < done ? first : done;
        end = done + 1;
        if (d->lower & TXD_IDE)
            run->delayed = true;
        else
            run->reported = true;
    }
    if (end) /* from the first one's status to the last one's: of a single one, no more than has changed */
        e->nic.host.dma_write(e->nic.host.opaque, base + (head + first) * sizeof *batch + STATUS_AT, &batch[first].upper,
                              (end - first) * sizeof *batch - STATUS_AT);
    run->descriptors += done;
    return done;
}

static bool may_run(struct e1000 *e, uint32_t count)
{
    if (!(REG(e, TCTL) & TCTL_EN) || !e1000_link_is_up(e) || e->power.asleep || REG(e, TDH) == REG(e, TDT))
        return false;
    if (REG(e, TDH) >= count || REG(e, TDT) >= count) {
        nic_guest_error(&e->nic, "transmit ring of %u descriptors with TDH %u, TDT %u", count, REG(e, TDH),
                        REG(e, TDT));
        return false;
    }
    return e->tx.pause_until <= e->now; /* at its end the timer goes on with it */
}

static uint32_t end_of_run(struct e1000 *e, uint32_t before, uint32_t count, const struct run *run)
{
    uint32_t causes = 0, threshold = (REG(e, TXDCTL) >> 25) * 8;
    uint32_t left = (REG(e, TDT) + count - REG(e, TDH)) % count;
    if (run->reported)
        causes |= ICR_TXDW;
    if (left == 0)
        causes |= ICR_TXQE;
    if (threshold && before > threshold && left <= threshold)
        causes |= ICR_TXD_LOW;
    return causes;
}

void e1000_tx_run(struct e1000 *e)
{
    struct run run = { 0 };
    uint32_t count = REG(e, TDLEN) / sizeof(struct e1000_descriptor);

    if (e->tx.running || !may_run(e, count))
        return;
    uint32_t tail = REG(e, TDT), head = REG(e, TDH), before = (tail + count - head) % count;
    e->tx.running = true;
    e->tx.work = 0;
    while (head != tail) {
        if (run.descriptors >= RUN_DESCRIPTORS || e->tx.work >= RUN_WORK) {
            e1000_timer_start(e, E1000_TIMER_TRANSMIT, e->now + RUN_BREAK);
            break;
        }
        if (!nic_has_room(&e->nic) && !e1000_is_looped_back(e)) { /* the driver sees that by TDH */
            e1000_timer_start(e, E1000_TIMER_TRANSMIT, e->now + NIC_NO_ROOM_NS);
            break;
        }
        uint32_t batch = (tail > head ? tail : count) - head;
        uint32_t done = run_batch(e, head, batch < E1000_BATCH ? batch : E1000_BATCH, &run);
        if (!done)
            break;
        head += done;
        if (head == count)
            head = 0;
        REG(e, TDH) = head;
    }
    if (e->tx.flush)
        e->nic.host.send_flush(e->nic.host.opaque);
    e->tx.flush = false;
    e->tx.running = false;
    e1000_irq_after_transmit(e, end_of_run(e, before, count, &run), run.delayed);
}
