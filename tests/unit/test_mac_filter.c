/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Ethernet CRC against published values and against itself, and the hashes that
 * the two chips' multicast filters are made of.
 */
#include "nicemu/ethernet_crc.h"
#include "nicemu/mac_filter.h"
#include "tests/unit/unit.h"

static void crc_of_known_strings(void)
{
    CU_ASSERT_EQUAL(ethernet_fcs("123456789", 9), 0xcbf43926);
    CU_ASSERT_EQUAL(ethernet_fcs("", 0), 0);
    CU_ASSERT_EQUAL(ethernet_fcs("a", 1), 0xe8b7be43);
}

/* The folded way for long inputs must agree with the table at every length. */
static void crc_long_equals_short(void)
{
    uint8_t data[2000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 131 + (i >> 3));
    for (size_t size = 0; size <= 700; size++) {
        uint32_t crc = ETHERNET_CRC_START;
        for (size_t i = 0; i < size; i++)
            crc = ethernet_crc_update(crc, data + i, 1);
        CU_ASSERT_EQUAL_FATAL(ethernet_crc_update(ETHERNET_CRC_START, data, size), crc);
    }
}

/* Addresses and hashes as drivers compute them for their tables. */
static void dp8390_hash(void)
{
    static const uint8_t all_hosts[6] = { 0x01, 0x00, 0x5e, 0x00, 0x00, 0x01 };
    static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    /* ether_crc(address) >> 26 with the CRC taken most significant bit first. */
    for (int which = 0; which < 2; which++) {
        const uint8_t *mac = which ? broadcast : all_hosts;
        uint32_t crc = 0xffffffff;
        for (int i = 0; i < 6; i++)
            for (int bit = 0; bit < 8; bit++) {
                uint32_t carry = (crc >> 31) ^ (mac[i] >> bit & 1);
                crc = crc << 1 ^ (carry ? 0x04c11db7 : 0);
            }
        CU_ASSERT_EQUAL(mac_hash_crc6(mac), crc >> 26);
    }
}

static void e1000_hash(void)
{
    static const uint8_t mac[6] = { 0x01, 0x00, 0x5e, 0x00, 0x12, 0x34 };
    CU_ASSERT_EQUAL(mac_hash_table12(mac, 0), 0x341);
    CU_ASSERT_EQUAL(mac_hash_table12(mac, 1), 0x682);
    CU_ASSERT_EQUAL(mac_hash_table12(mac, 2), 0xd04);
    CU_ASSERT_EQUAL(mac_hash_table12(mac, 3), 0x412);
}

static void pair(void)
{
    static const uint8_t mac[6] = { 0x52, 0x54, 0x00, 0x12, 0x34, 0x56 };
    CU_ASSERT_TRUE(mac_equals_pair(mac, 0x12005452, 0x80005634));
    CU_ASSERT_FALSE(mac_equals_pair(mac, 0x12005452, 0x80005635));
    CU_ASSERT_FALSE(mac_equals_pair(mac, 0x12005453, 0x80005634));
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "CRC of known strings", crc_of_known_strings },
        { "CRC: folded equals byte by byte", crc_long_equals_short },
        { "DP8390 hash", dp8390_hash },
        { "e1000 hash and its offsets", e1000_hash },
        { "register pair", pair },
        CU_TEST_INFO_NULL,
    };

    return unit_run("mac_filter", tests);
}
