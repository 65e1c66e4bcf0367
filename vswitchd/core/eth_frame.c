/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Reading Ethernet headers, and MAC addresses as text (eth_frame.h).
 */
#include "vswitchd/core/eth_frame.h"

#include <stdio.h>

#define RESERVED_PREFIX UINT64_C(0x0180c2000000)

bool eth_header_read(const uint8_t *data, size_t size, struct eth_header *header)
{
    if (size < ETH_HEADER_SIZE)
        return false;
    header->destination = eth_mac_number(data);
    header->source = eth_mac_number(data + ETH_MAC_SIZE);
    header->type = eth_get16(data + 2 * ETH_MAC_SIZE);
    header->tagged = header->type == ETH_TYPE_VLAN;
    header->tci = 0;
    header->next = header->type;
    if (!header->tagged)
        return true;
    if (size < ETH_HEADER_SIZE + ETH_TAG_SIZE)
        return false;
    header->tci = eth_get16(data + ETH_HEADER_SIZE);
    header->next = eth_get16(data + ETH_HEADER_SIZE + 2);
    return true;
}

int eth_mac_reserved(uint64_t mac)
{
    return (mac & ~UINT64_C(0xf)) == RESERVED_PREFIX ? (int)(mac & 0xf) : -1;
}

void eth_mac_bytes(uint64_t mac, uint8_t bytes[ETH_MAC_SIZE])
{
    for (unsigned i = 0; i < ETH_MAC_SIZE; i++)
        bytes[i] = (uint8_t)(mac >> 8 * (ETH_MAC_SIZE - 1 - i));
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool eth_mac_parse(const char *text, uint64_t *mac)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < ETH_MAC_SIZE; i++, text += 3) {
        int high = hex_digit(text[0]);
        int low = high < 0 ? -1 : hex_digit(text[1]);
        if (low < 0 || text[2] != (i == ETH_MAC_SIZE - 1 ? '\0' : ':'))
            return false;
        value = value << 8 | (unsigned)high << 4 | (unsigned)low;
    }
    *mac = value;
    return true;
}

void eth_mac_format(uint64_t mac, char text[ETH_MAC_TEXT_SIZE])
{
    uint8_t b[ETH_MAC_SIZE];
    eth_mac_bytes(mac, b);
    snprintf(text, ETH_MAC_TEXT_SIZE, "%02x:%02x:%02x:%02x:%02x:%02x", b[0], b[1], b[2], b[3], b[4], b[5]);
}
