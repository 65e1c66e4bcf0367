/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Remote DMA: how a driver reaches the board's memory through its data port.
 * The chip counts bytes or words (DCR.WTS) whatever the width of the port
 * access; an access of 32 bits is two of 16, and in byte mode a wide one is as
 * many of 8.
 */
#include "nicemu/dp8390.h"

#include <string.h>

#define BYTES_PER_PAGE 256u

uint8_t dp8390_memory_read(const struct dp8390 *d, uint16_t address)
{
    if (address & d->ram_size)
        return d->ram[address & (d->ram_size - 1u)];
    return d->prom[address % DP8390_PROM_SIZE];
}

void dp8390_memory_write(struct dp8390 *d, uint16_t address, uint8_t value)
{
    if (address & d->ram_size)
        d->ram[address & (d->ram_size - 1u)] = value;
}

/* Send packet: a remote read of the frame at BNRY, length from its header. */
static void start_send_packet(struct dp8390 *d)
{
    uint16_t header = (uint16_t)(d->bnry << 8);
    d->crda = header;
    d->rnpp = dp8390_memory_read(d, (uint16_t)(header + 1));
    d->remaining = (uint16_t)(dp8390_memory_read(d, (uint16_t)(header + 2)) |
                              dp8390_memory_read(d, (uint16_t)(header + 3)) << 8);
}

static void finish(struct dp8390 *d)
{
    if ((d->cr & CR_RD) == CR_RD_SEND) {
        d->bnry = d->rnpp;
        dp8390_ring_moved(d);
    }
    dp8390_raise(d, ISR_RDC);
}

/* A write to CR has named a remote DMA command. */
void dp8390_dma_start(struct dp8390 *d)
{
    uint8_t rd = d->cr & CR_RD;
    if (rd & CR_RD_ABORT)
        return;
    if (rd == CR_RD_SEND)
        start_send_packet(d);
    if (d->remaining == 0)
        finish(d); /* Linux finds the interrupt line of a card so */
}

/* Moves the address and the count on by `step`; the ring's end leads to its start. */
static void advance(struct dp8390 *d, unsigned step)
{
    d->crda = (uint16_t)(d->crda + step);
    if (d->crda == d->pstop * BYTES_PER_PAGE)
        d->crda = (uint16_t)(d->pstart * BYTES_PER_PAGE);
    d->address = d->crda;
    d->remaining = (uint16_t)(d->remaining > step ? d->remaining - step : 0);
    if (d->remaining == 0)
        finish(d);
}

/* How many of `count` accesses of `size` bytes move what lies in one piece of RAM:
 * up to where the address turns, at PSTOP or at the RAM's end, or the count runs
 * out. 0: not even one, so that it is to be made unit by unit. */
static uint32_t accesses_in_piece(const struct dp8390 *d, unsigned size, uint32_t count)
{
    unsigned unit = d->dcr & DCR_WTS ? 2 : 1;
    uint32_t stop = d->pstop * BYTES_PER_PAGE, room = d->ram_size - (d->crda & (d->ram_size - 1u));

    if (size < unit || (d->crda & (unit - 1)) || !(d->crda & d->ram_size))
        return 0;
    if (d->crda < stop && stop - d->crda < room)
        room = stop - d->crda;
    if (d->remaining < room)
        room = d->remaining;
    room /= size;
    return room < count ? room : count;
}

static uint8_t *at_address(struct dp8390 *d)
{
    return &d->ram[d->crda & (d->ram_size - 1u)];
}

static bool is_reading(const struct dp8390 *d)
{
    uint8_t rd = d->cr & CR_RD;
    return (rd == CR_RD_READ || rd == CR_RD_SEND) && d->remaining;
}

static bool is_writing(const struct dp8390 *d)
{
    return (d->cr & CR_RD) == CR_RD_WRITE && d->remaining;
}

/* One transfer of the chip: a word (a byte port sees its lower half) or a byte. */
static uint16_t read_unit(struct dp8390 *d)
{
    if (!is_reading(d))
        return 0xffff;
    if (!(d->dcr & DCR_WTS)) {
        uint8_t byte = dp8390_memory_read(d, d->crda);
        advance(d, 1);
        return byte;
    }
    uint16_t even = d->crda & 0xfffe;
    uint16_t word = (uint16_t)(dp8390_memory_read(d, even) | dp8390_memory_read(d, even + 1) << 8);
    advance(d, 2);
    return word;
}

static void write_unit(struct dp8390 *d, uint16_t value, bool both)
{
    if (!is_writing(d))
        return;
    if (!(d->dcr & DCR_WTS)) {
        dp8390_memory_write(d, d->crda, (uint8_t)value);
        advance(d, 1);
        return;
    }
    uint16_t even = d->crda & 0xfffe;
    dp8390_memory_write(d, even, (uint8_t)value);
    if (both)
        dp8390_memory_write(d, even + 1, (uint8_t)(value >> 8));
    advance(d, 2);
}

uint32_t dp8390_data_read(struct dp8390 *d, unsigned size)
{
    unsigned unit = d->dcr & DCR_WTS ? 2 : 1;
    uint32_t value = 0;

    if (is_reading(d) && accesses_in_piece(d, size, 1)) {
        const uint8_t *bytes = at_address(d);
        for (unsigned i = 0; i < size; i++)
            value |= (uint32_t)bytes[i] << 8 * i;
        advance(d, size);
        return value;
    }
    for (unsigned i = 0; i < size; i += unit)
        value |= (uint32_t)read_unit(d) << 8 * i;
    return size == 1 ? value & 0xff : value;
}

void dp8390_data_write(struct dp8390 *d, unsigned size, uint32_t value)
{
    unsigned unit = d->dcr & DCR_WTS ? 2 : 1;

    if (is_writing(d) && accesses_in_piece(d, size, 1)) {
        uint8_t *bytes = at_address(d);
        for (unsigned i = 0; i < size; i++)
            bytes[i] = (uint8_t)(value >> 8 * i);
        advance(d, size);
        return;
    }
    for (unsigned i = 0; i < size; i += unit)
        write_unit(d, (uint16_t)(value >> 8 * i), size > 1);
}

/* --- blocks: a driver's string instruction --------------------------------- */

static bool is_data_port(const struct dp8390 *d, uint32_t offset, unsigned size)
{
    return offset >= PORT_DATA && offset < PORT_RESET && size <= d->widest;
}

void dp8390_read_block(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint32_t count, uint8_t *to,
                       uint64_t now)
{
    struct dp8390 *d = (struct dp8390 *)nic;

    while (count) {
        uint32_t run = is_data_port(d, offset, size) && is_reading(d) ? accesses_in_piece(d, size, count) : 0;
        uint32_t bytes = (run ? run : 1) * size;

        if (run) {
            memcpy(to, at_address(d), bytes);
            advance(d, bytes);
        } else {
            uint32_t value = nic->ops->read(nic, bar, offset, size, now);
            for (unsigned i = 0; i < size; i++)
                to[i] = (uint8_t)(value >> 8 * i);
        }
        count -= run ? run : 1;
        to += bytes;
    }
}

void dp8390_write_block(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint32_t count,
                        const uint8_t *from, uint64_t now)
{
    struct dp8390 *d = (struct dp8390 *)nic;

    while (count) {
        uint32_t run = is_data_port(d, offset, size) && is_writing(d) ? accesses_in_piece(d, size, count) : 0;
        uint32_t bytes = (run ? run : 1) * size, value = 0;

        if (run) {
            memcpy(at_address(d), from, bytes);
            advance(d, bytes);
        } else {
            for (unsigned i = 0; i < size; i++)
                value |= (uint32_t)from[i] << 8 * i;
            nic->ops->write(nic, bar, offset, size, value, now);
        }
        count -= run ? run : 1;
        from += bytes;
    }
}
