/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Pure functions on station addresses that the receive filters of both chips
 * are made of. The filters' own state lies in the chips' registers.
 */
#ifndef NICEMU_MAC_FILTER_H
#define NICEMU_MAC_FILTER_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline bool mac_is_multicast(const uint8_t *mac)
{
    return mac[0] & 1;
}

static inline bool mac_is_broadcast(const uint8_t *mac)
{
    static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    return memcmp(mac, broadcast, 6) == 0;
}

/* DP8390: bit number (0-63) in MAR0-7, the top six bits of the address's CRC. */
unsigned mac_hash_crc6(const uint8_t mac[6]);

/* 8254x: bit number (0-4095) in the multicast table array. `offset` is
 * RCTL.MO, which twelve of the last sixteen bits of the address are taken. */
unsigned mac_hash_table12(const uint8_t mac[6], unsigned offset);

/* Whether `mac` equals the address in a pair of 8254x registers (RAL, RAH). */
bool mac_equals_pair(const uint8_t mac[6], uint32_t low, uint32_t high);

#endif
