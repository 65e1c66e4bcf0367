/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tests of vswitchd/os/capture: the bytes of a pcap file, filters, snap length.
 */
#include <string.h>

#include "tests/unit/unit.h"
#include "vswitchd/os/capture.h"

static char error[CAPTURE_ERROR_SIZE];

static uint32_t number(const void *bytes, size_t offset)
{
    uint32_t n;

    memcpy(&n, (const char *)bytes + offset, sizeof n);
    return n;
}

static void test_file(void)
{
    struct capture_writer *w = capture_writer_create(CAPTURE_SNAPLEN_MAX, NULL, error);
    uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x08, 0x06};
    const void *bytes;
    size_t size;

    CU_ASSERT_PTR_NOT_NULL_FATAL(w);
    bytes = capture_writer_header(w, &size);
    CU_ASSERT_EQUAL_FATAL(size, 24);
    CU_ASSERT_EQUAL(number(bytes, 0), 0xa1b23c4d); /* Nanoseconds. */
    CU_ASSERT_EQUAL(number(bytes, 20), 1);         /* Ethernet. */
    for (int i = 0; i < 3; i++) {
        bytes = capture_writer_record(w, frame, sizeof frame, UINT64_C(1700000000123456789), &size);
        CU_ASSERT_EQUAL_FATAL(size, 16 + sizeof frame);
        CU_ASSERT_EQUAL(number(bytes, 0), 1700000000);
        CU_ASSERT_EQUAL(number(bytes, 4), 123456789);
        CU_ASSERT_EQUAL(number(bytes, 8), sizeof frame);
        CU_ASSERT_EQUAL(memcmp((const char *)bytes + 16, frame, sizeof frame), 0);
    }
    capture_writer_destroy(w);
}

static void test_filter(void)
{
    struct capture_writer *w = capture_writer_create(CAPTURE_SNAPLEN_MAX, "arp", error);
    uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, 0x08, 0x06};
    size_t size;

    CU_ASSERT_PTR_NOT_NULL_FATAL(w);
    CU_ASSERT_PTR_NOT_NULL(capture_writer_record(w, frame, sizeof frame, 0, &size));
    frame[13] = 0;
    CU_ASSERT_PTR_NULL(capture_writer_record(w, frame, sizeof frame, 0, &size));
    CU_ASSERT_PTR_NULL(capture_writer_record(w, frame, 13, 0, &size)); /* Shorter than what the filter reads. */
    CU_ASSERT_PTR_NULL(capture_writer_record(w, frame, 0, 0, &size));
    capture_writer_destroy(w);
}

static void test_bad_filter(void)
{
    CU_ASSERT_PTR_NULL(capture_writer_create(100, "no such thing", error));
    CU_ASSERT(strlen(error) > 0);
    CU_ASSERT_PTR_NULL(capture_writer_create(100, "tcp port", error));
    CU_ASSERT_PTR_NULL(capture_writer_create(100, "((((", error));
}

static void test_snaplen(void)
{
    struct capture_writer *w = capture_writer_create(20, "len > 1000", error);
    static uint8_t frame[65554];
    const void *bytes;
    size_t size;

    CU_ASSERT_PTR_NOT_NULL_FATAL(w);
    (void)capture_writer_header(w, &size);
    bytes = capture_writer_record(w, frame, sizeof frame, 5, &size);
    CU_ASSERT_PTR_NOT_NULL_FATAL(bytes); /* The filter sees the whole frame, the file its beginning. */
    CU_ASSERT_EQUAL(size, 16 + 20);
    CU_ASSERT_EQUAL(number(bytes, 8), 20);
    CU_ASSERT_EQUAL(number(bytes, 12), sizeof frame);
    CU_ASSERT_PTR_NULL(capture_writer_record(w, frame, 60, 5, &size));
    capture_writer_destroy(w);
    capture_writer_destroy(NULL);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "the bytes of a file", test_file },
        { "filters", test_filter },
        { "filters that are none", test_bad_filter },
        { "snap length", test_snaplen },
        CU_TEST_INFO_NULL,
    };

    return unit_run("capture", tests);
}
