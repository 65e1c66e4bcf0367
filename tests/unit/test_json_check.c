/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tests of proto/json/json_check: tables against values, the words and places
 * of what is refused, suggestions.
 */
#include <stdio.h>
#include <string.h>

#include "proto/json/json_check.h"
#include "proto/json/json_read.h"
#include "tests/unit/unit.h"

static const char *check_word(const char *text)
{
    return strcmp(text, "bad") == 0 ? "anything but bad is right" : NULL;
}

static const char *const colours[] = {"red", "green", NULL};
static const struct json_spec inner[] = {
    {.name = "deep", .kind = JSON_SPEC_INT, .required = true, .min = 1, .max = 4094},
    {0},
};
static const struct json_spec element[] = {{.kind = JSON_SPEC_OBJECT, .members = inner}};
static const struct json_spec outer[] = {
    {.name = "name", .kind = JSON_SPEC_STRING, .required = true, .min = 1, .max = 5, .check = check_word, .help = "a name"},
    {.name = "number", .kind = JSON_SPEC_INT, .min = 0, .max = 0},
    {.name = "low", .kind = JSON_SPEC_INT, .min = -5, .max = 5},
    {.name = "colour", .kind = JSON_SPEC_ENUM, .choices = colours},
    {.name = "flag", .kind = JSON_SPEC_BOOL},
    {.name = "list", .kind = JSON_SPEC_ARRAY, .min = 1, .max = 2, .members = element},
    {.name = "object", .kind = JSON_SPEC_OBJECT, .members = inner},
    {.name = "any", .kind = JSON_SPEC_ANY},
    {0},
};

static struct json_mismatch mismatch;

static bool check(const char *text)
{
    struct json_error error;
    struct jv *v;
    bool right;

    CU_ASSERT_EQUAL_FATAL(json_read(text, strlen(text), &v, &error), 0);
    right = json_check(outer, v, &mismatch);
    jv_unref(v);
    return right;
}

static bool refuses(const char *text, const char *path, const char *words, unsigned column)
{
    bool right = check(text);

    if (right || strcmp(mismatch.path, path) != 0 || !strstr(mismatch.text, words) || mismatch.at.column != column) {
        printf("\n    %s: %s \"%s\" at %u: %s", text, right ? "taken" : "refused", mismatch.path, mismatch.at.column,
               mismatch.text);
        return false;
    }
    return true;
}

static void test_accepts(void)
{
    CU_ASSERT_TRUE(check("{\"name\":\"x\"}"));
    CU_ASSERT_TRUE(check("{\"name\":\"x\",\"number\":-99,\"low\":-5,\"colour\":\"green\",\"flag\":false,"
                         "\"list\":[{\"deep\":1},{\"deep\":4094}],\"object\":{\"deep\":7},\"any\":[null]}"));
}

static void test_refuses(void)
{
    CU_ASSERT_TRUE(refuses("[]", "", "must be an object, not an array", 1));
    CU_ASSERT_TRUE(refuses("null", "", "must be an object, not null", 0));
    CU_ASSERT_TRUE(refuses("{}", "", "\"name\" is missing", 1));
    CU_ASSERT_TRUE(refuses("{\"name\":5}", "/name", "must be a string, not an integer", 9));
    CU_ASSERT_TRUE(refuses("{\"name\":null}", "/name", "not null", 1));
    CU_ASSERT_TRUE(refuses("{\"name\":\"\"}", "/name", "1 to 5 characters", 9));
    CU_ASSERT_TRUE(refuses("{\"name\":\"123456\"}", "/name", "1 to 5 characters, not 6", 9));
    CU_ASSERT_TRUE(refuses("{\"name\":\"bad\"}", "/name", "anything but bad", 9));
    CU_ASSERT_TRUE(refuses("{\"name\":\"x\",\"low\":-6}", "/low", "-5 to 5, not -6", 19));
    CU_ASSERT_TRUE(refuses("{\"name\":\"x\",\"low\":1.0}", "/low", "an integer, not a fraction", 19));
    CU_ASSERT_TRUE(refuses("{\"name\":\"x\",\"low\":18446744073709551615}", "/low", "-5 to 5", 19));
    CU_ASSERT_TRUE(refuses("{\"name\":\"x\",\"colour\":\"blue\"}", "/colour", "red, green, not \"blue\"", 22));
    CU_ASSERT_TRUE(refuses("{\"name\":\"x\",\"flag\":1}", "/flag", "true or false", 20));
    CU_ASSERT_TRUE(refuses("{\"name\":\"x\",\"list\":[]}", "/list", "1 to 2 elements, not 0", 20));
    CU_ASSERT_TRUE(refuses("{\"name\":\"x\",\"list\":[{\"deep\":1},{\"deep\":0}]}", "/list/1/deep", "1 to 4094", 40));
    CU_ASSERT_TRUE(refuses("{\"name\":\"x\",\"list\":[null]}", "/list/0", "an object, not null", 20));
    CU_ASSERT_TRUE(refuses("{\"name\":\"x\",\"object\":{}}", "/object", "\"deep\" is missing", 22));
}

static void test_unknown(void)
{
    CU_ASSERT_TRUE(refuses("{\"name\":\"x\",\"colur\":1}", "/colur", "did you mean \"colour\"?", 13));
    CU_ASSERT_TRUE(refuses("{\"name\":\"x\",\"zzzzzz\":1}", "/zzzzzz", "known: name, number", 13));
    CU_ASSERT_TRUE(refuses("{\"name\":\"x\",\"object\":{\"deep\":1,\"depe\":1}}", "/object/depe", "\"deep\"?", 32));
    CU_ASSERT_TRUE(refuses("{\"zzzzzz\":null}", "/zzzzzz", "unknown", 1));
}

static void test_long_names_fit(void)
{
    char text[4096], name[3000];

    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    snprintf(text, sizeof text, "{\"%s\":1}", name);
    CU_ASSERT_FALSE(check(text));
    CU_ASSERT(strlen(mismatch.text) < sizeof mismatch.text && strlen(mismatch.path) < sizeof mismatch.path);
}

static void test_did_you_mean(void)
{
    static const char *const words[] = {"port list", "port add", "fdb show", NULL};

    CU_ASSERT_STRING_EQUAL(json_did_you_mean("port lsit", words), "port list");
    CU_ASSERT_STRING_EQUAL(json_did_you_mean("prot list", words), "port list");
    CU_ASSERT_STRING_EQUAL(json_did_you_mean("fdb shw", words), "fdb show");
    CU_ASSERT_PTR_NULL(json_did_you_mean("guest", words));
    CU_ASSERT_PTR_NULL(json_did_you_mean("", words));
    CU_ASSERT_PTR_NULL(json_did_you_mean("a word that is longer than any that we know of here", words));
}

static void test_describe(void)
{
    struct jv *list = json_spec_describe(outer);
    const struct jv *first = jv_at(list, 0);

    CU_ASSERT_EQUAL(jv_length(list), 8);
    CU_ASSERT_STRING_EQUAL(jv_member_string(first, "name", ""), "name");
    CU_ASSERT_TRUE(jv_member_bool(first, "required", false));
    CU_ASSERT_STRING_EQUAL(jv_member_string(jv_get(jv_at(list, 5), "items"), "type", ""), "object");
    CU_ASSERT_EQUAL(jv_member_int(jv_at(jv_get(jv_at(list, 6), "members"), 0), "maximum", 0), 4094);
    jv_unref(list);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "what fits", test_accepts },
        { "what does not, and where", test_refuses },
        { "unknown members", test_unknown },
        { "long names", test_long_names_fit },
        { "did you mean", test_did_you_mean },
        { "description", test_describe },
        CU_TEST_INFO_NULL,
    };

    return unit_run("json_check", tests);
}
