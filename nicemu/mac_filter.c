/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Hashes and comparison of station addresses, for the receive filters of
 * e1000_rx.c and dp8390_rx.c.
 */
#include "nicemu/mac_filter.h"

#include "nicemu/ethernet_crc.h"

/* The chip takes the CRC register as it stands after the last bit, whose most
 * significant bit is the first one sent: our reflected CRC, read backwards. */
unsigned mac_hash_crc6(const uint8_t mac[6])
{
    uint32_t crc = ethernet_crc_update(ETHERNET_CRC_START, mac, 6);
    unsigned hash = 0;
    for (unsigned bit = 0; bit < 6; bit++)
        hash = hash << 1 | (crc >> bit & 1);
    return hash;
}

unsigned mac_hash_table12(const uint8_t mac[6], unsigned offset)
{
    static const uint8_t shifts[4] = { 4, 3, 2, 0 };
    unsigned last16 = mac[4] | (unsigned)mac[5] << 8;
    return last16 >> shifts[offset & 3] & 0xfff;
}

bool mac_equals_pair(const uint8_t mac[6], uint32_t low, uint32_t high)
{
    uint32_t mac_low = mac[0] | (uint32_t)mac[1] << 8 | (uint32_t)mac[2] << 16 | (uint32_t)mac[3] << 24;
    uint32_t mac_high = mac[4] | (uint32_t)mac[5] << 8;
    return mac_low == low && mac_high == (high & 0xffff);
}
