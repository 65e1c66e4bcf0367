/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The 16-bit one's complement sum of the Internet protocols, over buffers and
 * at offsets that a guest or the network chose: every function checks them.
 */
#ifndef NICEMU_INET_CHECKSUM_H
#define NICEMU_INET_CHECKSUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sum of the big-endian 16-bit words of a buffer, folded to 16 bits; an odd
 * last byte counts as a word's upper half. */
uint16_t inet_sum(const void *data, size_t size);

/* Folds a sum of sums to 16 bits. */
static inline uint16_t inet_fold(uint64_t sum)
{
    sum = (sum >> 32) + (sum & 0xffffffff);
    sum = (sum >> 32) + (sum & 0xffffffff);
    sum = (sum >> 16) + (sum & 0xffff);
    sum = (sum >> 16) + (sum & 0xffff);
    return (uint16_t)sum;
}

/* Stores the checksum of bytes [start, end) of the frame at `field`, the sum
 * taken over the field's present contents too (zero or a pseudo header's sum).
 * `end` of 0 or beyond the frame means its end. False, and nothing written,
 * where start or field lies outside of the frame. */
bool inet_checksum_insert(uint8_t *frame, size_t size, size_t start, size_t field, size_t end);

/* What a receiver can tell of a frame's checksums. */
struct inet_check {
    bool ip_checked, ip_good;   /* IPv4 header */
    bool l4_checked, l4_good;   /* TCP or UDP, not of fragments */
};
/* `sum_l4` false: TCP and UDP are taken as good without summing them. */
struct inet_check inet_verify(const uint8_t *frame, size_t size, bool sum_l4);

#endif
