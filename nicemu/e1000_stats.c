/* SPDX-License-Identifier: BSD-2-Clause
 *
 * e1000's statistics (13.7): they stay at their maximum rather than wrap, and
 * a read clears. The octet counters are 64 bits wide in two words; a read of
 * the upper word clears both.
 */
#include "nicemu/e1000.h"
#include "nicemu/mac_filter.h"

void e1000_count(struct e1000 *e, enum e1000_statistic statistic, uint32_t amount)
{
    uint32_t *word = &e->reg[statistic / 4];
    *word = amount > UINT32_MAX - *word ? UINT32_MAX : *word + amount;
}

static void count_octets(struct e1000 *e, enum e1000_statistic statistic, uint64_t amount)
{
    uint32_t *word = &e->reg[statistic / 4];
    uint64_t value = word[0] | (uint64_t)word[1] << 32;
    value = amount > UINT64_MAX - value ? UINT64_MAX : value + amount;
    word[0] = (uint32_t)value;
    word[1] = (uint32_t)(value >> 32);
}

/* PRC64..PRC1522 and PTC64..PTC1522: six words by size of the frame with FCS. */
static void count_size(struct e1000 *e, enum e1000_statistic first, size_t size, uint32_t frames)
{
    static const uint16_t upper[] = { 64, 127, 255, 511, 1023 };
    unsigned bin = 0;
    while (bin < 5 && size > upper[bin])
        bin++;
    e1000_count(e, first + 4 * bin, frames);
}

/* A frame on the wire, whether for us or not. */
void e1000_count_seen(struct e1000 *e, size_t size)
{
    e1000_count(e, E1000_TPR, 1);
    count_octets(e, E1000_TORL, (size < NIC_MIN_FRAME ? NIC_MIN_FRAME : size) + 4);
}

/* The same in the other direction: PAUSE frames are no "good packets". */
void e1000_count_sent(struct e1000 *e, size_t size, uint32_t frames)
{
    e1000_count(e, E1000_TPT, frames);
    count_octets(e, E1000_TOTL, (uint64_t)((size < NIC_MIN_FRAME ? NIC_MIN_FRAME : size) + 4) * frames);
}

/* Of a frame that passed the filter: it is no "good packet", and in no bin of sizes. */
void e1000_count_oversize(struct e1000 *e)
{
    e1000_count(e, E1000_ROC, 1);
    e1000_count(e, E1000_RLEC, 1);
}

void e1000_count_received(struct e1000 *e, const uint8_t *frame, size_t size)
{
    size_t wire = (size < NIC_MIN_FRAME ? NIC_MIN_FRAME : size) + 4;
    e1000_count_seen(e, size);
    e1000_count(e, E1000_GPRC, 1);
    count_octets(e, E1000_GORCL, wire);
    count_size(e, E1000_PRC64, wire, 1);
    if (mac_is_broadcast(frame))
        e1000_count(e, E1000_BPRC, 1);
    else if (mac_is_multicast(frame))
        e1000_count(e, E1000_MPRC, 1);
    e->nic.counters.rx_frames++;
    e->nic.counters.rx_bytes += size;
}

void e1000_count_transmitted(struct e1000 *e, const uint8_t *frame, size_t size, uint32_t frames)
{
    size_t wire = (size < NIC_MIN_FRAME ? NIC_MIN_FRAME : size) + 4;
    e1000_count_sent(e, size, frames);
    e1000_count(e, E1000_GPTC, frames);
    count_octets(e, E1000_GOTCL, (uint64_t)wire * frames);
    count_size(e, E1000_PTC64, wire, frames);
    if (mac_is_broadcast(frame))
        e1000_count(e, E1000_BPTC, frames);
    else if (mac_is_multicast(frame))
        e1000_count(e, E1000_MPTC, frames);
    e->nic.counters.tx_frames += frames;
    e->nic.counters.tx_bytes += (uint64_t)size * frames;
}

static bool is_low_half(uint32_t offset)
{
    return offset == E1000_GORCL || offset == E1000_GOTCL || offset == E1000_TORL || offset == E1000_TOTL;
}

uint32_t e1000_read_statistic(struct e1000 *e, uint32_t index)
{
    uint32_t value = e->reg[index];
    if (is_low_half(index * 4))
        return value;
    if (is_low_half(index * 4 - 4))
        e->reg[index - 1] = 0;
    e->reg[index] = 0;
    return value;
}
