/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tests of proto/json/json_read: what is JSON, what is not and where, values
 * there and back, and random mutations that must neither crash nor hang.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/json/json_read.h"
#include "tests/unit/unit.h"

static struct json_error error;

static bool takes(const char *text)
{
    struct jv *v;
    bool taken = json_read(text, strlen(text), &v, &error) == 0;

    jv_unref(v);
    return taken;
}

/* Refused at that place, with these words in the message. */
static bool refuses_size(const char *text, size_t size, unsigned line, unsigned column, const char *words)
{
    struct jv *v;
    bool refused = json_read(text, size, &v, &error) == EINVAL && v == NULL;

    if (!refused || error.at.line != line || error.at.column != column || !strstr(error.text, words)) {
        printf("\n    %.60s: refused %d at %u:%u: %s", text, refused, error.at.line, error.at.column, error.text);
        return false;
    }
    return true;
}

static bool refuses(const char *text, unsigned line, unsigned column, const char *words)
{
    return refuses_size(text, strlen(text), line, column, words);
}

static void test_accepts(void)
{
    static const char *const good[] = {
        "{}", "[]", "null", "true", "false", "0", "-0", "-1", "1.5", "1e3", "1E-3", "-0.0e+1", "\"\"", " [1 , 2]\n",
        "{\"a\":{\"b\":[null,true,{}]}}", "\"\\u00e9\\ud83d\\ude00\"", "\"\xc3\xa9\xf0\x9f\x98\x80\"",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "18446744073709551615", "-9223372036854775808",
    };

    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        CU_ASSERT_TRUE(takes(good[i]));
    }
}

static void test_refuses_syntax(void)
{
    CU_ASSERT_TRUE(refuses("", 1, 1, "ends"));
    CU_ASSERT_TRUE(refuses("{", 1, 2, "name in quotes"));
    CU_ASSERT_TRUE(refuses("{\"a\"", 1, 5, "':'"));
    CU_ASSERT_TRUE(refuses("{\"a\":}", 1, 6, "a value"));
    CU_ASSERT_TRUE(refuses("{\"a\":1,}", 1, 8, "name in quotes"));
    CU_ASSERT_TRUE(refuses("{a:1}", 1, 2, "'a'"));
    CU_ASSERT_TRUE(refuses("{'a':1}", 1, 2, "'''"));
    CU_ASSERT_TRUE(refuses("[1,]", 1, 4, "a value"));
    CU_ASSERT_TRUE(refuses("[1 2]", 1, 4, "',' or ']'"));
    CU_ASSERT_TRUE(refuses("[1}", 1, 3, "',' or ']'"));
    CU_ASSERT_TRUE(refuses("{\"a\":1]", 1, 7, "',' or '}'"));
    CU_ASSERT_TRUE(refuses("1 2", 1, 3, "more text"));
    CU_ASSERT_TRUE(refuses("{} // no", 1, 4, "more text"));
    CU_ASSERT_TRUE(refuses("[ /* no */ ]", 1, 3, "comments"));
    CU_ASSERT_TRUE(refuses("nul", 1, 1, "a value"));
    CU_ASSERT_TRUE(refuses("nulll", 1, 5, "more text"));
    CU_ASSERT_TRUE(refuses("NaN", 1, 1, "a value"));
    CU_ASSERT_TRUE(refuses("True", 1, 1, "a value"));
    CU_ASSERT_TRUE(refuses("\xef\xbb\xbf{}", 1, 1, "0xef")); /* A byte-order mark. */
    CU_ASSERT_TRUE(refuses("\x01", 1, 1, "0x01"));
    CU_ASSERT_TRUE(refuses_size("1\0", 2, 1, 2, "more text"));
}

static void test_refuses_numbers(void)
{
    CU_ASSERT_TRUE(refuses("01", 1, 2, "start with 0"));
    CU_ASSERT_TRUE(refuses("+1", 1, 1, "a value"));
    CU_ASSERT_TRUE(refuses("-", 1, 2, "a digit"));
    CU_ASSERT_TRUE(refuses(".5", 1, 1, "a value"));
    CU_ASSERT_TRUE(refuses("5.", 1, 3, "a digit"));
    CU_ASSERT_TRUE(refuses("1e", 1, 3, "a digit"));
    CU_ASSERT_TRUE(refuses("0x10", 1, 2, "more text"));
    CU_ASSERT_TRUE(refuses("18446744073709551616", 1, 1, "out of range"));
    CU_ASSERT_TRUE(refuses("-9223372036854775809", 1, 1, "out of range"));
    CU_ASSERT_TRUE(refuses("1e999", 1, 1, "out of range"));
    CU_ASSERT_TRUE(refuses("1111111111222222222233333333334444444444555555555566666666667777", 1, 1, "too long"));
}

static void test_refuses_strings(void)
{
    CU_ASSERT_TRUE(refuses("\"ab", 1, 1, "no end"));
    CU_ASSERT_TRUE(refuses("\"a\nb\"", 1, 3, "control character"));
    CU_ASSERT_TRUE(refuses("\"\\x\"", 1, 2, "unknown escape"));
    CU_ASSERT_TRUE(refuses("\"\\u12g4\"", 1, 4, "hexadecimal"));
    CU_ASSERT_TRUE(refuses("\"\\u12", 1, 4, "hexadecimal"));
    CU_ASSERT_TRUE(refuses("\"\\u0000\"", 1, 2, "\\u0000"));
    CU_ASSERT_TRUE(refuses("\"\\ud800\"", 1, 2, "first half"));
    CU_ASSERT_TRUE(refuses("\"\\ud800\\u0041\"", 1, 2, "first half"));
    CU_ASSERT_TRUE(refuses("\"\\udc00\"", 1, 2, "second half"));
    CU_ASSERT_TRUE(refuses("\"\xff\"", 1, 2, "UTF-8"));
    CU_ASSERT_TRUE(refuses("\"\xc0\xaf\"", 1, 2, "UTF-8"));             /* Overlong. */
    CU_ASSERT_TRUE(refuses("\"\xed\xa0\x80\"", 1, 2, "UTF-8"));         /* A surrogate. */
    CU_ASSERT_TRUE(refuses("\"\xf4\x90\x80\x80\"", 1, 2, "UTF-8"));     /* Above U+10FFFF. */
    CU_ASSERT_TRUE(refuses("\"\xe2\x82", 1, 2, "UTF-8"));               /* Cut short. */
}

static void test_duplicates(void)
{
    CU_ASSERT_TRUE(refuses("{\n  \"a\": 1,\n  \"a\": 2\n}", 3, 3, "\"a\" is given twice"));
    CU_ASSERT_TRUE(refuses("{\"a\":1,\"\\u0061\":2}", 1, 8, "twice")); /* The same name, written otherwise. */
    CU_ASSERT_TRUE(refuses("[{\"x\":{\"y\":null,\"y\":null}}]", 1, 17, "twice"));
    CU_ASSERT_TRUE(takes("{\"a\":{\"a\":{\"a\":1}},\"b\":{\"a\":1}}"));
}

static void test_depth(void)
{
    char text[4 * JSON_DEPTH_MAX + 8];

    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    text[2 * JSON_DEPTH_MAX] = '\0';
    CU_ASSERT_TRUE(takes(text));
    memset(text, '[', JSON_DEPTH_MAX + 1);
    memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    text[2 * JSON_DEPTH_MAX + 2] = '\0';
    CU_ASSERT_TRUE(refuses(text, 1, JSON_DEPTH_MAX + 1, "deeper"));
}

static void test_deep_text_is_bounded(void)
{
    size_t size = 1 << 20;
    char *text = malloc(size);
    struct jv *v;

    memset(text, '[', size);
    CU_ASSERT_EQUAL(json_read(text, size, &v, &error), EINVAL);
    memset(text, '"', size);
    CU_ASSERT_EQUAL(json_read(text, size, &v, &error), EINVAL);
    free(text);
}

static void test_positions(void)
{
    static const char text[] = "{\n  \"\xc3\xa9t\xc3\xa9\": 7,\n\t\"b\": [ true, \"x\" ]\n}";
    struct jv *v, *b;

    CU_ASSERT_EQUAL_FATAL(json_read(text, strlen(text), &v, &error), 0);
    CU_ASSERT_EQUAL(jv_position(v).line, 1);
    CU_ASSERT_EQUAL(jv_position(jv_get(v, "\xc3\xa9t\xc3\xa9")).line, 2);
    CU_ASSERT_EQUAL(jv_position(jv_get(v, "\xc3\xa9t\xc3\xa9")).column, 10); /* Characters, not bytes. */
    CU_ASSERT_EQUAL(jv_key_position(jv_get(v, "\xc3\xa9t\xc3\xa9")).column, 3);
    b = jv_get(v, "b");
    CU_ASSERT_EQUAL(jv_position(b).column, 7);
    CU_ASSERT_EQUAL(jv_position(jv_at(b, 1)).column, 15);
    CU_ASSERT_EQUAL(jv_position(jv_at(b, 1)).line, 3);
    jv_unref(v);
}

static void test_values(void)
{
    static const char text[] = "{\"i\":-5,\"u\":18446744073709551615,\"r\":2.5,\"s\":\"a\\u20acb\",\"n\":null,\"t\":true}";
    struct jv *v;
    int64_t i;
    double r;
    bool t;

    CU_ASSERT_EQUAL_FATAL(json_read(text, strlen(text), &v, &error), 0);
    CU_ASSERT_TRUE(jv_as_int(jv_get(v, "i"), &i) && i == -5);
    CU_ASSERT_FALSE(jv_as_int(jv_get(v, "u"), &i)); /* Does not fit: never clamped. */
    CU_ASSERT_FALSE(jv_as_int(jv_get(v, "r"), &i));
    CU_ASSERT_FALSE(jv_as_int(jv_get(v, "s"), &i));
    CU_ASSERT_TRUE(jv_as_real(jv_get(v, "r"), &r) && r == 2.5);
    CU_ASSERT_STRING_EQUAL(jv_as_string(jv_get(v, "s")), "a\xe2\x82\xac" "b");
    CU_ASSERT_TRUE(jv_has(v, "n") && jv_get(v, "n") == NULL && jv_kind(NULL) == JV_NULL);
    CU_ASSERT_FALSE(jv_has(v, "z"));
    CU_ASSERT_TRUE(jv_as_bool(jv_get(v, "t"), &t) && t);
    CU_ASSERT_PTR_NULL(jv_as_string(jv_get(v, "i")));
    CU_ASSERT_EQUAL(jv_length(v), 6);
    jv_unref(v);
}

static void test_there_and_back(void)
{
    static const char text[] = "{\"a\":[1,-2,3.5,\"x/\\n\\u0001\",null,true],\"b\":{},\"c\":18446744073709551615}";
    struct jv *v, *again;
    char *printed;

    CU_ASSERT_EQUAL_FATAL(json_read(text, strlen(text), &v, &error), 0);
    printed = jv_print(v, false);
    CU_ASSERT_STRING_EQUAL(printed, text);
    CU_ASSERT_PTR_NULL(strchr(printed, '\n')); /* One line is the framing. */
    free(printed);
    printed = jv_print(v, true);
    CU_ASSERT_EQUAL_FATAL(json_read(printed, strlen(printed), &again, &error), 0);
    CU_ASSERT_TRUE(jv_equal(v, again));
    jv_unref(again);
    free(printed);
    jv_unref(v);
}

/* Whatever comes: an answer, and a position inside the text. */
static void test_mutations(void)
{
    static const char seed_text[] = "{\"method\":\"port.add\",\"params\":{\"n\":[1,2.5e3,\"\\u00e9\xc3\xa9\",null,true]},\"id\":-7}";
    char text[sizeof seed_text];
    size_t size = sizeof seed_text - 1;
    unsigned refused = 0;

    srandom(20);
    for (int round = 0; round < 20000; round++) {
        size_t cut = size - (size_t)(random() % 8 == 0 ? random() % (long)size : 0);
        struct jv *v;

        memcpy(text, seed_text, size);
        for (int k = random() % 3; k >= 0; k--) {
            text[random() % (long)size] = (char)random();
        }
        if (json_read(text, cut, &v, &error) != 0) {
            refused++;
            CU_ASSERT_FATAL(v == NULL && error.text[0] && error.at.line >= 1 && error.at.column <= size + 1);
        }
        jv_unref(v);
    }
    CU_ASSERT(refused > 5000);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "what is JSON", test_accepts },
        { "bad syntax, and where", test_refuses_syntax },
        { "bad numbers", test_refuses_numbers },
        { "bad strings", test_refuses_strings },
        { "members given twice", test_duplicates },
        { "depth", test_depth },
        { "a megabyte of brackets", test_deep_text_is_bounded },
        { "positions", test_positions },
        { "values", test_values },
        { "there and back", test_there_and_back },
        { "random mutations", test_mutations },
        CU_TEST_INFO_NULL,
    };

    return unit_run("json_read", tests);
}
