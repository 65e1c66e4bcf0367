/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tests of core/eth_frame: headers of every length, reserved addresses, MAC text.
 */
#include <stdlib.h>

#include "tests/unit/unit.h"
#include "vswitchd/core/eth_frame.h"

static const uint8_t tagged_frame[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0,    0,    0,
                                       0,    1,    0x81, 0x00, 0x60, 0x0a, 0x08, 0x00, 0x45, 0x00};

/* A frame in memory of exactly its size, so that a sanitizer sees a byte too many being read. */
static bool read_exactly(size_t size, struct eth_header *header)
{
    uint8_t *bytes = malloc(size ? size : 1);
    memcpy(bytes, tagged_frame, size);
    bool ok = eth_header_read(bytes, size, header);
    free(bytes);
    return ok;
}

static void test_lengths(void)
{
    struct eth_header header;
    for (size_t size = 0; size < 18; size++)
        CU_ASSERT_FALSE(read_exactly(size, &header));
    CU_ASSERT_TRUE(read_exactly(18, &header));
    CU_ASSERT_TRUE(header.tagged);
    CU_ASSERT_EQUAL(header.tci, 0x600a);
    CU_ASSERT_EQUAL(header.type, ETH_TYPE_VLAN);
    CU_ASSERT_EQUAL(header.destination, UINT64_C(0xffffffffffff));
    CU_ASSERT_EQUAL(header.source, UINT64_C(0x020000000001));

    uint8_t untagged[14];
    memcpy(untagged, tagged_frame, 12);
    eth_put16(untagged + 12, ETH_TYPE_IPV4);
    CU_ASSERT_TRUE(eth_header_read(untagged, 14, &header));
    CU_ASSERT_FALSE(header.tagged);
    CU_ASSERT_EQUAL(header.tci, 0);
    eth_put16(untagged + 12, ETH_TYPE_QINQ); /* an S-tag is payload to us */
    CU_ASSERT_TRUE(eth_header_read(untagged, 14, &header));
    CU_ASSERT_FALSE(header.tagged);
}

static void test_reserved(void)
{
    CU_ASSERT_EQUAL(eth_mac_reserved(UINT64_C(0x0180c2000000)), 0);
    CU_ASSERT_EQUAL(eth_mac_reserved(UINT64_C(0x0180c200000e)), 14);
    CU_ASSERT_EQUAL(eth_mac_reserved(UINT64_C(0x0180c200000f)), 15);
    CU_ASSERT_EQUAL(eth_mac_reserved(UINT64_C(0x0180c2000010)), -1);
    CU_ASSERT_EQUAL(eth_mac_reserved(UINT64_C(0x0180c2000100)), -1);
    CU_ASSERT_EQUAL(eth_mac_reserved(UINT64_C(0x01000ccccccc)), -1);
    CU_ASSERT_EQUAL(eth_mac_reserved(0), -1);
}

static void test_text(void)
{
    static const char *const wrong[] = {
        "",                   "00:11:22:33:44",    "00:11:22:33:44:5",   "00:11:22:33:44:556", "00-11-22-33-44-55",
        "00:11:22:33:44:5g",  "0:11:22:33:44:55",  " 00:11:22:33:44:55", "00:11:22:33:44:55 ", "001122334455",
        "00:11:22:33:44:55:", "00:11:22:33:44:+5", "::::::",
    };
    uint64_t mac = 7;
    char text[ETH_MAC_TEXT_SIZE];
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        CU_ASSERT_FALSE(eth_mac_parse(wrong[i], &mac));
    CU_ASSERT_EQUAL(mac, 7);
    CU_ASSERT_TRUE(eth_mac_parse("00:1A:2b:Ff:00:99", &mac));
    CU_ASSERT_EQUAL(mac, UINT64_C(0x001a2bff0099));
    eth_mac_format(mac, text);
    CU_ASSERT_STRING_EQUAL(text, "00:1a:2b:ff:00:99");
}

static void test_bytes(void)
{
    uint8_t bytes[6];
    eth_mac_bytes(UINT64_C(0x010203040506), bytes);
    CU_ASSERT_EQUAL(memcmp(bytes, "\1\2\3\4\5\6", 6), 0);
    CU_ASSERT_EQUAL(eth_mac_number(bytes), UINT64_C(0x010203040506));
    CU_ASSERT_TRUE(eth_mac_is_group(bytes));
    eth_put32(bytes, 0xfedcba98);
    CU_ASSERT_EQUAL(eth_get32(bytes), 0xfedcba98);
    CU_ASSERT_FALSE(eth_mac_is_group(bytes));
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "lengths", test_lengths },
        { "reserved addresses", test_reserved },
        { "MAC text", test_text },
        { "bytes", test_bytes },
        CU_TEST_INFO_NULL,
    };

    return unit_run("eth_frame", tests);
}
