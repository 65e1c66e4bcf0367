/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tests of cli/args and cli/table: options anywhere, values, mistakes; columns,
 * alignment, what must not reach a terminal.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/args.h"
#include "cli/table.h"
#include "tests/unit/unit.h"

static struct args args;

static bool reads(int count, const char *const *words)
{
    return args_read(&args, count, (char **)words);
}
#define READS(...) reads(sizeof((const char *[]) {__VA_ARGS__}) / sizeof(char *), (const char *[]) {__VA_ARGS__})

static void test_words_and_options(void)
{
    CU_ASSERT_TRUE(READS("v", "port", "--json", "add", "-v", "20", "tap0", "--mtu=9000", "-j"));
    CU_ASSERT_EQUAL(args.word_count, 3);
    CU_ASSERT_STRING_EQUAL(args.words[2], "tap0");
    CU_ASSERT_TRUE(args_has(&args, "json"));
    CU_ASSERT_STRING_EQUAL(args_value(&args, "vlan"), "20");
    CU_ASSERT_STRING_EQUAL(args_value(&args, "mtu"), "9000");
    CU_ASSERT_PTR_NULL(args_value(&args, "native"));
    CU_ASSERT_FALSE(args_has(&args, "help"));
}

static void test_repeated(void)
{
    CU_ASSERT_TRUE(READS("v", "-a", "1.2.3.4/8", "-aX", "--address", "Y"));
    CU_ASSERT_STRING_EQUAL(args_value_at(&args, "address", 0), "1.2.3.4/8");
    CU_ASSERT_STRING_EQUAL(args_value_at(&args, "address", 1), "X");
    CU_ASSERT_STRING_EQUAL(args_value_at(&args, "address", 2), "Y");
    CU_ASSERT_PTR_NULL(args_value_at(&args, "address", 3));
    CU_ASSERT_STRING_EQUAL(args_value(&args, "address"), "Y"); /* The last one wins where one is wanted. */
}

static void test_letters_together(void)
{
    CU_ASSERT_TRUE(READS("v", "-jc5", "-jw", "-"));
    CU_ASSERT_STRING_EQUAL(args_value(&args, "count"), "5");
    CU_ASSERT_STRING_EQUAL(args_value(&args, "write"), "-");
    CU_ASSERT_EQUAL(args.word_count, 0);
}

static void test_end_of_options(void)
{
    CU_ASSERT_TRUE(READS("v", "capture", "--", "--json", "-", "--"));
    CU_ASSERT_EQUAL(args.word_count, 4);
    CU_ASSERT_FALSE(args_has(&args, "json"));
    CU_ASSERT_TRUE(READS("v", "-"));
    CU_ASSERT_EQUAL(args.word_count, 1);
}

static void test_mistakes(void)
{
    const char *many[ARGS_WORDS_MAX + 2];

    CU_ASSERT_FALSE(READS("v", "--jsn"));
    CU_ASSERT_PTR_NOT_NULL(strstr(args.error, "did you mean --json?"));
    CU_ASSERT_FALSE(READS("v", "--zzzzzzzzz"));
    CU_ASSERT_PTR_NULL(strstr(args.error, "did you mean"));
    CU_ASSERT_FALSE(READS("v", "-Z"));
    CU_ASSERT_FALSE(READS("v", "--vlan"));
    CU_ASSERT_PTR_NOT_NULL(strstr(args.error, "needs a value"));
    CU_ASSERT_FALSE(READS("v", "-v"));
    CU_ASSERT_FALSE(READS("v", "--json=yes"));
    CU_ASSERT_PTR_NOT_NULL(strstr(args.error, "takes no value"));
    for (size_t i = 0; i < sizeof many / sizeof *many; i++) {
        many[i] = "word";
    }
    CU_ASSERT_FALSE(reads(sizeof many / sizeof *many, many));
    for (size_t i = 0; i < sizeof many / sizeof *many; i++) {
        many[i] = "-j";
    }
    CU_ASSERT_FALSE(reads(sizeof many / sizeof *many, many));
}

static void test_numbers(void)
{
    int64_t n;

    CU_ASSERT_TRUE(args_number("42", 0, 100, &n) && n == 42);
    CU_ASSERT_TRUE(args_number("-3", -5, 5, &n) && n == -3);
    CU_ASSERT_FALSE(args_number("101", 0, 100, &n));
    CU_ASSERT_FALSE(args_number("", 0, 100, &n));
    CU_ASSERT_FALSE(args_number("4x", 0, 100, &n));
    CU_ASSERT_FALSE(args_number(" 4", 0, 100, &n));
    CU_ASSERT_FALSE(args_number("0x4", 0, 100, &n));
    CU_ASSERT_FALSE(args_number("99999999999999999999", 0, INT64_MAX, &n));
}

static char *print(const struct table *table)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    table_print(table, out);
    fclose(out);
    return text;
}

static void test_table(void)
{
    struct table *table = table_create("NAME|>COUNT|WHAT");
    char *text;

    table_cell(table, "%s", "tap0");
    table_cell(table, "%d", 7);
    table_cell(table, "%s", "a tap");
    table_cell(table, "%s", "caf\xc3\xa9-port");
    table_cell(table, "%d", 123456);
    table_cell(table, "%s", "");
    text = print(table);
    CU_ASSERT_STRING_EQUAL(text, "NAME        COUNT  WHAT\n"
                                 "tap0            7  a tap\n"
                                 "caf\xc3\xa9-port  123456  -\n");
    free(text);
    table_free(table);
}

static void test_terminal_is_safe(void)
{
    struct table *table = table_create("A");
    char *text;

    table_cell(table, "%s", "x\x1b[2J\r\n\x7f");
    text = print(table);
    CU_ASSERT_STRING_EQUAL(text, "A\nx?[2J???\n");
    free(text);
    table_free(table);
}

static void test_units(void)
{
    char text[16];

    CU_ASSERT_STRING_EQUAL(table_bytes(0, text), "0 B");
    CU_ASSERT_STRING_EQUAL(table_bytes(999, text), "999 B");
    CU_ASSERT_STRING_EQUAL(table_bytes(1000, text), "1.0 kB");
    CU_ASSERT_STRING_EQUAL(table_bytes(1234567, text), "1.2 MB");
    CU_ASSERT_STRING_EQUAL(table_bytes(999999, text), "1.0 MB");
    CU_ASSERT_STRING_EQUAL(table_bytes(UINT64_MAX, text), "18 EB");
    CU_ASSERT_STRING_EQUAL(table_seconds(59, text), "59s");
    CU_ASSERT_STRING_EQUAL(table_seconds(3725, text), "1h02m");
    CU_ASSERT_STRING_EQUAL(table_seconds(61, text), "1m01s");
    CU_ASSERT_STRING_EQUAL(table_seconds(90000, text), "1d01h");
    CU_ASSERT(strlen(table_seconds(UINT64_MAX, text)) < 16);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "words and options", test_words_and_options },
        { "an option given again", test_repeated },
        { "letters together", test_letters_together },
        { "--", test_end_of_options },
        { "mistakes", test_mistakes },
        { "numbers", test_numbers },
        { "tables", test_table },
        { "control characters", test_terminal_is_safe },
        { "units", test_units },
        CU_TEST_INFO_NULL,
    };

    return unit_run("cli", tests);
}
