/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tests of core/vlan: sets and their text, policies, tags at every size.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "vswitchd/core/eth_frame.h"
#include "vswitchd/core/vlan.h"

static void test_set_text(void)
{
    static const struct {
        const char *in, *out;
    } good[] = {
        {"1", "1"},           {"4094", "4094"},           {"10,20-29", "10,20-29"}, {"all", "all"},
        {"1-4094", "all"},    {"5,4,3", "3-5"},           {"7-7", "7"},             {"1,3,5", "1,3,5"},
        {"2-4094", "2-4094"}, {"1-10,5-20,30", "1-20,30"}, {"63,64,65", "63-65"},
    };
    static const char *const wrong[] = {"",    "0",    "4095", "99999", "10-",  "-10", "10,", ",10", "20-10",
                                        "10;", "1 ,2", "a",    "01",    "1--2", "1-2-3", "All", "10-0"};
    struct vlan_set set;
    char text[64];
    for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        CU_ASSERT_TRUE_FATAL(vlan_set_parse(&set, good[i].in));
        CU_ASSERT_EQUAL(vlan_set_format(&set, text, sizeof(text)), strlen(good[i].out));
        CU_ASSERT_STRING_EQUAL(text, good[i].out);
    }
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        CU_ASSERT_FALSE(vlan_set_parse(&set, wrong[i]));
}

static void test_set_truncated(void)
{
    struct vlan_set set;
    char text[8];
    vlan_set_parse(&set, "1000,2000,3000-3002");
    CU_ASSERT_EQUAL(vlan_set_format(&set, text, sizeof(text)), strlen("1000,2000,3000-3002"));
    CU_ASSERT_EQUAL(strlen(text), sizeof(text) - 1);
    CU_ASSERT_EQUAL(strncmp(text, "1000,20", 7), 0);
    CU_ASSERT_EQUAL(vlan_set_format(&set, NULL, 0), strlen("1000,2000,3000-3002"));
    vlan_set_clear(&set);
    CU_ASSERT_TRUE(vlan_set_empty(&set));
    CU_ASSERT_EQUAL(vlan_set_format(&set, text, sizeof(text)), 0);
    CU_ASSERT_STRING_EQUAL(text, "");
    vlan_set_fill(&set);
    CU_ASSERT_FALSE(vlan_set_has(&set, 0));
    CU_ASSERT_TRUE(vlan_set_has(&set, 1));
    CU_ASSERT_TRUE(vlan_set_has(&set, 4094));
    CU_ASSERT_FALSE(vlan_set_has(&set, 4095));
}

static struct vlan_config config_of(enum vlan_mode mode, unsigned pvid, const char *allowed, bool native_tagged)
{
    struct vlan_config config;
    vlan_config_init(&config);
    config.mode = mode;
    config.pvid = (uint16_t)pvid;
    config.native_tagged = native_tagged;
    if (allowed)
        vlan_set_parse(&config.allowed, allowed);
    return config;
}

static void test_config(void)
{
    static const struct {
        enum vlan_mode mode;
        unsigned pvid;
        const char *allowed;
        bool native_tagged, valid;
    } rows[] = {
        {VLAN_ACCESS, 1, NULL, false, true},      {VLAN_ACCESS, 4094, NULL, false, true},
        {VLAN_ACCESS, 0, NULL, false, false},     {VLAN_ACCESS, 4095, NULL, false, false},
        {VLAN_ACCESS, 1, "2", false, false},      {VLAN_ACCESS, 1, NULL, true, false},
        {VLAN_TRUNK, 0, "all", false, true},      {VLAN_TRUNK, 0, NULL, false, false},
        {VLAN_TRUNK, 5, NULL, false, true},       {VLAN_TRUNK, 5, "1-9", true, true},
        {VLAN_TRUNK, 0, "10", true, false},       {VLAN_TRUNK, 4095, "10", false, false},
        {(enum vlan_mode)7, 1, NULL, false, false},
    };
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct vlan_config config = config_of(rows[i].mode, rows[i].pvid, rows[i].allowed, rows[i].native_tagged);
        CU_ASSERT_EQUAL(vlan_config_check(&config) == NULL, rows[i].valid);
    }
    struct vlan_config config = config_of(VLAN_TRUNK, 1, "10", false);
    vlan_set_add(&config.allowed, 0);
    CU_ASSERT_PTR_NOT_NULL(vlan_config_check(&config));
    enum vlan_mode mode;
    CU_ASSERT_TRUE(vlan_mode_parse("trunk", &mode));
    CU_ASSERT_EQUAL(mode, VLAN_TRUNK);
    CU_ASSERT_FALSE(vlan_mode_parse("hybrid", &mode));
    CU_ASSERT_STRING_EQUAL(vlan_mode_name(VLAN_ACCESS), "access");
}

static void test_egress(void)
{
    struct vlan_config access = config_of(VLAN_ACCESS, 10, NULL, false);
    struct vlan_config trunk = config_of(VLAN_TRUNK, 0, "10,20", false);
    struct vlan_config native = config_of(VLAN_TRUNK, 30, "10", false);
    struct vlan_config native_tagged = config_of(VLAN_TRUNK, 30, "10", true);
    CU_ASSERT_EQUAL(vlan_config_egress(&access, 10), VLAN_UNTAGGED);
    CU_ASSERT_EQUAL(vlan_config_egress(&access, 20), VLAN_NOT_MEMBER);
    CU_ASSERT_EQUAL(vlan_config_egress(&trunk, 10), VLAN_TAGGED);
    CU_ASSERT_EQUAL(vlan_config_egress(&trunk, 30), VLAN_NOT_MEMBER);
    CU_ASSERT_EQUAL(vlan_config_egress(&trunk, 0), VLAN_NOT_MEMBER);
    CU_ASSERT_EQUAL(vlan_config_egress(&native, 30), VLAN_UNTAGGED);
    CU_ASSERT_EQUAL(vlan_config_egress(&native, 10), VLAN_TAGGED);
    CU_ASSERT_EQUAL(vlan_config_egress(&native_tagged, 30), VLAN_TAGGED);
    CU_ASSERT_EQUAL(vlan_config_egress(&native_tagged, 4095), VLAN_NOT_MEMBER);
}

/* Adds a tag, changes it, removes it; the rest must come back bit by bit. */
static void round_trip(uint32_t size, struct frame_offload offload)
{
    uint8_t *memory = malloc(FRAME_HEADROOM + size);
    uint8_t *copy = malloc(size);
    for (uint32_t i = 0; i < size; i++)
        copy[i] = (uint8_t)(i * 7 + i / 251);
    memcpy(memory + FRAME_HEADROOM, copy, size);
    struct frame frame = {.data = memory + FRAME_HEADROOM, .size = size, .offload = offload};

    vlan_push(&frame, 0xa00b);
    CU_ASSERT_EQUAL(frame.size, size + 4);
    CU_ASSERT_EQUAL(memcmp(frame.data, copy, 12), 0);
    CU_ASSERT_EQUAL(eth_get16(frame.data + 12), 0x8100);
    CU_ASSERT_EQUAL(eth_get16(frame.data + 14), 0xa00b);
    CU_ASSERT_EQUAL(memcmp(frame.data + 16, copy + 12, size - 12), 0);
    bool csum = offload.flags & FRAME_NEEDS_CSUM;
    CU_ASSERT_EQUAL(frame.offload.csum_start, offload.csum_start + (csum ? 4 : 0));
    CU_ASSERT_EQUAL(frame.offload.csum_offset, offload.csum_offset);
    CU_ASSERT_EQUAL(frame.offload.hdr_len, offload.hdr_len + (offload.gso_type ? 4 : 0));
    CU_ASSERT_EQUAL(frame.offload.gso_size, offload.gso_size);

    vlan_set_tci(&frame, 0x0fff);
    CU_ASSERT_EQUAL(eth_get16(frame.data + 14), 0x0fff);
    vlan_pop(&frame);
    CU_ASSERT_EQUAL(frame.size, size);
    CU_ASSERT_PTR_EQUAL(frame.data, memory + FRAME_HEADROOM);
    CU_ASSERT_EQUAL(memcmp(frame.data, copy, size), 0);
    CU_ASSERT_EQUAL(memcmp(&frame.offload, &offload, sizeof(offload)), 0);
    free(memory);
    free(copy);
}

static void test_tags(void)
{
    const struct frame_offload none = {0};
    const struct frame_offload csum = {.flags = FRAME_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};
    const struct frame_offload gso = {.flags = FRAME_NEEDS_CSUM, .gso_type = FRAME_GSO_TCPV4, .hdr_len = 54,
                                      .gso_size = 1460, .csum_start = 34, .csum_offset = 16};
    static const uint32_t sizes[] = {14, 15, 60, 1514, 1518, 9014, FRAME_MAX - 4, FRAME_MAX};
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        round_trip(sizes[i], none);
    round_trip(1514, csum);
    round_trip(FRAME_MAX, gso);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "set text", test_set_text },
        { "truncated text", test_set_truncated },
        { "configurations", test_config },
        { "egress", test_egress },
        { "tags", test_tags },
        CU_TEST_INFO_NULL,
    };

    return unit_run("vlan", tests);
}
