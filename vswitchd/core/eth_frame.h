/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Ethernet headers: the one place that knows their layout, and the text form of
 * MAC addresses. Everything in core/ reads frame bytes through here.
 */
#ifndef VSWITCHD_CORE_ETH_FRAME_H
#define VSWITCHD_CORE_ETH_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define ETH_MAC_SIZE 6u
#define ETH_HEADER_SIZE 14u
#define ETH_TAG_SIZE 4u
#define ETH_TYPE_IPV4 0x0800u
#define ETH_TYPE_IPV6 0x86ddu
#define ETH_TYPE_VLAN 0x8100u
#define ETH_TYPE_QINQ 0x88a8u
#define ETH_TYPE_MAC_CONTROL 0x8808u /* PAUSE and the like: for the other end of the link */
#define ETH_MAC_TEXT_SIZE 18u /* "00:11:22:33:44:55" and its NUL */

static inline uint16_t eth_get16(const uint8_t *bytes)
{
    return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static inline void eth_put16(uint8_t *bytes, uint16_t value)
{
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
}

static inline uint32_t eth_get32(const uint8_t *bytes)
{
    return (uint32_t)eth_get16(bytes) << 16 | eth_get16(bytes + 2);
}

static inline void eth_put32(uint8_t *bytes, uint32_t value)
{
    eth_put16(bytes, (uint16_t)(value >> 16));
    eth_put16(bytes + 2, (uint16_t)value);
}

/* A MAC address as a number, first byte most significant. */
static inline uint64_t eth_mac_number(const uint8_t *mac)
{
    return (uint64_t)eth_get32(mac) << 16 | eth_get16(mac + 4);
}

static inline bool eth_mac_is_group(const uint8_t *mac)
{
    return mac[0] & 1;
}

/* What the switch needs of a frame's header; valid only after eth_header_read(). */
struct eth_header {
    uint64_t destination; /* eth_mac_number() */
    uint64_t source;
    uint16_t type; /* outer type field: ETH_TYPE_VLAN when tagged */
    bool tagged;   /* has an outer 802.1Q tag */
    uint16_t tci;  /* the tag's priority, drop bit and VLAN ID, when tagged */
    uint16_t next; /* the type field that is first once the tag is gone; ETH_TYPE_VLAN: another tag */
};

/* False for a frame too short for its header (and for its tag, if it announces one). */
bool eth_header_read(const uint8_t *data, size_t size, struct eth_header *header);

/* The low four bits of 01:80:c2:00:00:0x, the addresses reserved for the link; -1 for any other. */
int eth_mac_reserved(uint64_t mac);

void eth_mac_bytes(uint64_t mac, uint8_t bytes[ETH_MAC_SIZE]);
/* Accepts "00:11:22:aa:bb:cc" in either case, and nothing else. */
bool eth_mac_parse(const char *text, uint64_t *mac);
void eth_mac_format(uint64_t mac, char text[ETH_MAC_TEXT_SIZE]);

#endif
