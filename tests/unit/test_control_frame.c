/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tests of vswitchd/control/control_frame: lines out of pieces, the limit,
 * the last line without a newline, the output queue.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "vswitchd/control/control_frame.h"

static bool next_is(struct control_input *in, bool end, const char *wanted)
{
    const char *line;
    size_t size;

    return control_input_next(in, end, &line, &size) == CONTROL_LINE_READY && size == strlen(wanted)
           && memcmp(line, wanted, size) == 0;
}

static enum control_line next(struct control_input *in, bool end)
{
    const char *line;
    size_t size;

    return control_input_next(in, end, &line, &size);
}

static void test_lines(void)
{
    struct control_input in;

    control_input_init(&in, 100);
    CU_ASSERT_EQUAL(next(&in, false), CONTROL_LINE_NONE);
    CU_ASSERT_TRUE(control_input_append(&in, "one\ntwo\r\n\nthr", 13));
    CU_ASSERT_TRUE(next_is(&in, false, "one"));
    CU_ASSERT_TRUE(next_is(&in, false, "two"));
    CU_ASSERT_TRUE(next_is(&in, false, ""));
    CU_ASSERT_EQUAL(next(&in, false), CONTROL_LINE_NONE);
    CU_ASSERT_TRUE(control_input_append(&in, "ee", 2));
    CU_ASSERT_EQUAL(next(&in, false), CONTROL_LINE_NONE);
    CU_ASSERT_TRUE(next_is(&in, true, "three")); /* The peer has closed: what is left is a line. */
    CU_ASSERT_EQUAL(next(&in, true), CONTROL_LINE_NONE);
    control_input_free(&in);
}

static void test_byte_by_byte(void)
{
    static const char text[] = "{\"a\":1}\n{\"b\":2}\n";
    struct control_input in;
    unsigned lines = 0;

    control_input_init(&in, 100);
    for (size_t i = 0; i < sizeof text - 1; i++) {
        CU_ASSERT_TRUE(control_input_append(&in, text + i, 1));
        lines += next(&in, false) == CONTROL_LINE_READY;
    }
    CU_ASSERT_EQUAL(lines, 2);
    control_input_free(&in);
}

static void test_limit(void)
{
    struct control_input in;

    control_input_init(&in, 5);
    CU_ASSERT_TRUE(control_input_append(&in, "12345\n123456\nok\n", 16));
    CU_ASSERT_TRUE(next_is(&in, false, "12345"));
    CU_ASSERT_EQUAL(next(&in, false), CONTROL_LINE_TOO_LONG);
    CU_ASSERT_TRUE(next_is(&in, false, "ok"));
    control_input_free(&in);
}

/* A line that goes on for ever is reported once and not kept. */
static void test_endless_line(void)
{
    char piece[1000];
    struct control_input in;
    unsigned reports = 0;

    memset(piece, 'x', sizeof piece);
    control_input_init(&in, 5000);
    for (int i = 0; i < 2000; i++) {
        enum control_line got;

        CU_ASSERT_TRUE_FATAL(control_input_append(&in, piece, sizeof piece));
        while ((got = next(&in, false)) != CONTROL_LINE_NONE) {
            reports += got == CONTROL_LINE_TOO_LONG;
            CU_ASSERT_NOT_EQUAL(got, CONTROL_LINE_READY);
        }
        CU_ASSERT_FATAL(in.capacity <= 16384);
    }
    CU_ASSERT_EQUAL(reports, 1);
    CU_ASSERT_TRUE(control_input_append(&in, "\nfine\n", 6));
    CU_ASSERT_TRUE(next_is(&in, false, "fine"));
    CU_ASSERT_EQUAL(next(&in, false), CONTROL_LINE_NONE);
    control_input_free(&in);
}

static void test_end_inside_long_line(void)
{
    struct control_input in;

    control_input_init(&in, 3);
    CU_ASSERT_TRUE(control_input_append(&in, "12345", 5));
    CU_ASSERT_EQUAL(next(&in, false), CONTROL_LINE_TOO_LONG);
    CU_ASSERT_TRUE(control_input_append(&in, "678", 3));
    CU_ASSERT_EQUAL(next(&in, true), CONTROL_LINE_NONE);
    control_input_free(&in);
}

/* Random lines in random pieces come out as they went in. */
static void test_random(void)
{
    char sent[300], line_text[64];
    struct control_input in;

    srandom(7);
    control_input_init(&in, 40);
    for (int round = 0; round < 3000; round++) {
        size_t size = 0, done = 0, expected = 0, got = 0;

        for (int l = 0; l < 4; l++) {
            size_t length = (size_t)random() % 60;

            memset(sent + size, 'a' + l, length);
            size += length;
            sent[size++] = '\n';
            expected++;
        }
        while (done < size) {
            size_t piece = 1 + (size_t)random() % 50;
            const char *line;
            size_t n;
            enum control_line what;

            piece = piece > size - done ? size - done : piece;
            CU_ASSERT_TRUE_FATAL(control_input_append(&in, sent + done, piece));
            done += piece;
            while ((what = control_input_next(&in, false, &line, &n)) != CONTROL_LINE_NONE) {
                if (what == CONTROL_LINE_READY) {
                    CU_ASSERT_FATAL(n <= 40);
                    memset(line_text, 'a' + (int)got, n);
                    CU_ASSERT_EQUAL(memcmp(line, line_text, n), 0);
                }
                got++;
            }
        }
        CU_ASSERT_EQUAL_FATAL(got, expected);
    }
    control_input_free(&in);
}

static void test_output(void)
{
    struct control_output out;
    char big[100000];

    memset(big, 'b', sizeof big);
    control_output_init(&out);
    CU_ASSERT_EQUAL(control_output_pending(&out), 0);
    CU_ASSERT_TRUE(control_output_line(&out, "abc", 3));
    CU_ASSERT_EQUAL(control_output_pending(&out), 4);
    control_output_consume(&out, 2);
    CU_ASSERT_TRUE(control_output_line(&out, big, sizeof big));
    CU_ASSERT_EQUAL(control_output_pending(&out), 2 + sizeof big + 1);
    CU_ASSERT_EQUAL(memcmp(control_output_bytes(&out), "c\nbb", 4), 0);
    control_output_consume(&out, 2 + sizeof big + 1);
    CU_ASSERT_EQUAL(control_output_pending(&out), 0);
    CU_ASSERT_EQUAL(out.capacity, 0); /* A large queue is given back once it is empty. */
    CU_ASSERT_TRUE(control_output_line(&out, "", 0));
    CU_ASSERT_EQUAL(memcmp(control_output_bytes(&out), "\n", 1), 0);
    control_output_free(&out);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "lines", test_lines },
        { "byte by byte", test_byte_by_byte },
        { "the limit", test_limit },
        { "a line without end", test_endless_line },
        { "the end inside a long line", test_end_inside_long_line },
        { "random pieces", test_random },
        { "output", test_output },
        CU_TEST_INFO_NULL,
    };

    return unit_run("control_frame", tests);
}
