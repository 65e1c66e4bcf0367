/* SPDX-License-Identifier: BSD-2-Clause
 *
 * e1000's flow control (3.7.5, 802.3 annex 31B). PAUSE frames that come in stop
 * the transmitter; frames that find the receive ring full wait in the machine's
 * queue, which takes the part of the receive FIFO: as full as the queue is, so
 * full is the FIFO of PBA's size, for the thresholds that XOFF and XON go by.
 */
#include "nicemu/e1000.h"
#include "nicemu/mac_filter.h"

#define PAUSE_OPCODE 1u
#define PAUSE_QUANTUM 512u /* bit times */
#define PAUSE_SIZE NIC_MIN_FRAME
#define FCRTL_XONE 0x80000000u
#define THRESHOLD 0xfff8u

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

/* The time of `quanta` at the link's speed. */
static uint64_t pause_time(const struct e1000 *e, uint32_t quanta)
{
    static const uint16_t ns_a_bit[] = { 100, 10, 1, 1 };
    return (uint64_t)quanta * PAUSE_QUANTUM * ns_a_bit[REG(e, STATUS) >> 6 & 3];
}

/* STATUS.TXOFF says that the transmitter is held back. */
void e1000_pause_until(struct e1000 *e, uint64_t until)
{
    e->tx.pause_until = until;
    if (until > e->now) {
        REG(e, STATUS) |= STATUS_TXOFF;
        e1000_timer_start(e, E1000_TIMER_TRANSMIT, until);
    } else {
        REG(e, STATUS) &= ~STATUS_TXOFF;
    }
}

/* Control frames come to the address of FCAL and FCAH, or to the station's own. */
static bool is_control_frame(const struct e1000 *e, const uint8_t *frame, size_t size)
{
    return size >= 18 && get16(frame + 12) == REG(e, FCT) &&
           (mac_equals_pair(frame, REG(e, FCAL), REG(e, FCAH)) || mac_equals_pair(frame, REG(e, RAL), REG(e, RAH)));
}

/* RCTL.DPF keeps PAUSE frames from the driver, PMCF lets other control frames
 * through to it; what is not kept back goes to the address filter as any frame. */
bool e1000_pause_receive(struct e1000 *e, const uint8_t *frame, size_t size)
{
    if (!is_control_frame(e, frame, size))
        return false;
    bool is_pause = get16(frame + 14) == PAUSE_OPCODE;
    bool consumed = is_pause ? REG(e, RCTL) & RCTL_DPF : !(REG(e, RCTL) & RCTL_PMCF);
    if (consumed)
        e1000_count_seen(e, size);
    if (!is_pause) {
        e1000_count(e, E1000_FCRUC, 1);
    } else if (REG(e, CTRL) & CTRL_RFCE) {
        uint32_t quanta = get16(frame + 16);
        e1000_count(e, quanta ? E1000_XOFFRXC : E1000_XONRXC, 1);
        e1000_pause_until(e, e->now + pause_time(e, quanta));
        if (!quanta)
            e1000_tx_run(e);
    }
    return consumed;
}

static void put16(uint8_t *p, uint32_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
}

static void put_address(uint8_t *p, uint32_t low, uint32_t high)
{
    for (unsigned i = 0; i < 6; i++)
        p[i] = (uint8_t)(i < 4 ? low >> 8 * i : high >> 8 * (i - 4));
}

static void send(struct e1000 *e, uint32_t quanta)
{
    const struct nic_host *host = &e->nic.host;
    uint8_t frame[PAUSE_SIZE] = { 0 };
    put_address(frame, REG(e, FCAL), REG(e, FCAH));
    put_address(frame + 6, REG(e, RAL), REG(e, RAH));
    put16(frame + 12, REG(e, FCT));
    put16(frame + 14, PAUSE_OPCODE);
    put16(frame + 16, quanta);
    e1000_count(e, quanta ? E1000_XOFFTXC : E1000_XONTXC, 1);
    e1000_count_sent(e, PAUSE_SIZE, 1);
    if (!host->send_frame(host->opaque, frame, PAUSE_SIZE, NULL))
        e->nic.counters.tx_errors++;
    host->send_flush(host->opaque);
}

static bool may_send(const struct e1000 *e)
{
    return (REG(e, TCTL) & TCTL_EN) && (REG(e, STATUS) & STATUS_FD) && e1000_link_is_up(e) && !e1000_is_looped_back(e) &&
           !e->power.asleep;
}

static bool may_hold_back(const struct e1000 *e)
{
    return (REG(e, CTRL) & CTRL_TFCE) && may_send(e);
}

/* One XOFF each time that the high threshold is reached, which counts anew only
 * once the FIFO has drained to the low one (8.7.5, 13.4.23): FCTTV is no more
 * than what the frame says, nothing is repeated when it has run out. */
void e1000_pause_backlog(struct e1000 *e, uint32_t waiting, uint32_t capacity)
{
    uint32_t fifo = (REG(e, PBA) & 0x7f) * 1024;
    uint32_t level = capacity ? (uint32_t)((uint64_t)fifo * (waiting < capacity ? waiting : capacity) / capacity) : 0;
    uint32_t high = REG(e, FCRTH) & THRESHOLD;

    if (high && level >= high) {
        if (e->rx.xoff != E1000_XOFF_NONE || !may_hold_back(e))
            return;
        e->rx.xoff = E1000_XOFF_SENT;
        send(e, REG(e, FCTTV));
    } else if (e->rx.xoff != E1000_XOFF_NONE && level <= (REG(e, FCRTL) & THRESHOLD)) {
        e->rx.xoff = E1000_XOFF_NONE;
        if ((REG(e, FCRTL) & FCRTL_XONE) && may_hold_back(e))
            send(e, 0);
    }
}

/* "One more", in case that the first has not reached its target. */
void e1000_pause_overflow(struct e1000 *e)
{
    if (e->rx.xoff != E1000_XOFF_SENT || !may_hold_back(e))
        return;
    e->rx.xoff = E1000_XOFF_REPEATED;
    send(e, REG(e, FCTTV));
}

/* TCTL.SWXOFF: the driver asks for an XOFF itself. */
void e1000_pause_by_software(struct e1000 *e)
{
    if (may_send(e))
        send(e, REG(e, FCTTV));
}
