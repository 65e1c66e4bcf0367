/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The CRC of IEEE 802.3: frame check sequences, and the hash of multicast
 * addresses in mac_filter.c.
 */
#ifndef NICEMU_ETHERNET_CRC_H
#define NICEMU_ETHERNET_CRC_H

#include <stddef.h>
#include <stdint.h>

/* Continues a CRC over `size` bytes. Start with ETHERNET_CRC_START; the FCS is
 * the complement of the result, sent least significant byte first. */
#define ETHERNET_CRC_START 0xffffffffu
uint32_t ethernet_crc_update(uint32_t crc, const void *data, size_t size);

static inline uint32_t ethernet_fcs(const void *data, size_t size)
{
    return ~ethernet_crc_update(ETHERNET_CRC_START, data, size);
}

#endif
