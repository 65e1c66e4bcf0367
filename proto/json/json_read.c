/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The strict reader of json_read.h: one recursive descent over the text, no
 * deeper than JSON_DEPTH_MAX. json-c's own parser takes duplicate members
 * and keeps no positions, hence this one.
 */
#include "proto/json/json_read.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    const unsigned char *p;     /* Next byte. */
    const unsigned char *end;
    struct jv_position at;      /* Position of *p. */
    unsigned depth;             /* Containers that are open. */
    char *scratch;              /* A string's unescaped text; as large as the input. */
    struct json_error *error;
    bool failed;
};

static bool read_value(struct reader *r, struct jv **value, struct jv_position key);

static bool __attribute__((format(printf, 3, 4)))
fail(struct reader *r, struct jv_position at, const char *format, ...)
{
    va_list args;

    if (!r->failed) {           /* The first error is the useful one. */
        r->failed = true;
        r->error->at = at;
        va_start(args, format);
        vsnprintf(r->error->text, sizeof r->error->text, format, args);
        va_end(args);
    }
    return false;
}

/* One character forward; UTF-8 continuation bytes do not count as columns. */
static void advance(struct reader *r)
{
    if (*r->p == '\n') {
        r->at.line++;
        r->at.column = 1;
    } else if ((*r->p & 0xc0) != 0x80) {
        r->at.column++;
    }
    r->p++;
}

static void skip_space(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t' || *r->p == '\n' || *r->p == '\r')) {
        advance(r);
    }
}

static bool fail_unexpected(struct reader *r, const char *wanted)
{
    if (r->p >= r->end) {
        return fail(r, r->at, "the text ends where %s was expected", wanted);
    }
    if (*r->p < 0x20 || *r->p >= 0x7f) {
        return fail(r, r->at, "byte 0x%02x where %s was expected", *r->p, wanted);
    }
    if (*r->p == '/') {
        return fail(r, r->at, "'/' where %s was expected (JSON has no comments)", wanted);
    }
    return fail(r, r->at, "'%c' where %s was expected", *r->p, wanted);
}

/* Size of the UTF-8 sequence at p: 1 to 4, or 0 where it is not valid. */
static size_t utf8_size(const unsigned char *p, const unsigned char *end)
{
    static const struct { unsigned char first, last, low, high; unsigned char size; } forms[] = {
        {0x00, 0x7f, 0x00, 0x00, 1}, {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };

    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        if (*p < forms[i].first || *p > forms[i].last) {
            continue;
        }
        if ((size_t)(end - p) < forms[i].size) {
            return 0;
        }
        for (size_t k = 1; k < forms[i].size; k++) {
            unsigned char low = k == 1 ? forms[i].low : 0x80, high = k == 1 ? forms[i].high : 0xbf;

            if (p[k] < low || p[k] > high) {
                return 0;
            }
        }
        return forms[i].size;
    }
    return 0;
}

static size_t utf8_write(char *to, unsigned code)
{
    if (code < 0x80) {
        to[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        to[0] = (char)(0xc0 | code >> 6);
        to[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        to[0] = (char)(0xe0 | code >> 12);
        to[1] = (char)(0x80 | (code >> 6 & 0x3f));
        to[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    to[0] = (char)(0xf0 | code >> 18);
    to[1] = (char)(0x80 | (code >> 12 & 0x3f));
    to[2] = (char)(0x80 | (code >> 6 & 0x3f));
    to[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

static bool read_hex4(struct reader *r, unsigned *code)
{
    struct jv_position start = r->at;

    *code = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = r->p < r->end ? *r->p : 0;
        unsigned digit;

        if (c >= '0' && c <= '9') {
            digit = c - '0';
        } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
            digit = (c | 0x20u) - 'a' + 10;
        } else {
            return fail(r, start, "\\u must be followed by four hexadecimal digits");
        }
        *code = *code << 4 | digit;
        advance(r);
    }
    return true;
}

static bool read_unicode_escape(struct reader *r, size_t *size, struct jv_position start)
{
    unsigned code, low;

    if (!read_hex4(r, &code)) {
        return false;
    }
    if (code == 0) {
        return fail(r, start, "a string must not hold \\u0000");
    }
    if (code >= 0xd800 && code <= 0xdbff) {
        if (r->end - r->p < 2 || r->p[0] != '\\' || r->p[1] != 'u') {
            return fail(r, start, "the first half of a surrogate pair stands alone");
        }
        advance(r);
        advance(r);
        if (!read_hex4(r, &low)) {
            return false;
        }
        if (low < 0xdc00 || low > 0xdfff) {
            return fail(r, start, "the first half of a surrogate pair stands alone");
        }
        code = 0x10000 + ((code & 0x3ff) << 10 | (low & 0x3ff));
    } else if (code >= 0xdc00 && code <= 0xdfff) {
        return fail(r, start, "the second half of a surrogate pair stands alone");
    }
    *size += utf8_write(r->scratch + *size, code);
    return true;
}

static bool read_escape(struct reader *r, size_t *size)
{
    static const char escapes[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    struct jv_position start = r->at;

    advance(r);                 /* The backslash. */
    if (r->p >= r->end) {
        return fail_unexpected(r, "the rest of an escape");
    }
    if (*r->p == 'u') {
        advance(r);
        return read_unicode_escape(r, size, start);
    }
    for (const char *e = escapes; *e; e += 2) {
        if (*r->p == (unsigned char)*e) {
            r->scratch[(*size)++] = e[1];
            advance(r);
            return true;
        }
    }
    return fail(r, start, "unknown escape in a string");
}

/* Leaves the text in r->scratch, zero-terminated. */
static bool read_string(struct reader *r, size_t *size)
{
    struct jv_position start = r->at;

    *size = 0;
    advance(r);
    while (r->p < r->end && *r->p != '"') {
        if (*r->p == '\\') {
            if (!read_escape(r, size)) {
                return false;
            }
        } else if (*r->p < 0x20) {
            return fail(r, r->at, "a control character (0x%02x) in a string; write it as an escape", *r->p);
        } else {
            size_t n = utf8_size(r->p, r->end);

            if (n == 0) {
                return fail(r, r->at, "a string is not valid UTF-8 (byte 0x%02x)", *r->p);
            }
            while (n--) {
                r->scratch[(*size)++] = (char)*r->p;
                advance(r);
            }
        }
    }
    if (r->p >= r->end) {
        return fail(r, start, "the string that starts here has no end");
    }
    advance(r);
    r->scratch[*size] = '\0';
    return true;
}

static bool is_digit(const struct reader *r)
{
    return r->p < r->end && *r->p >= '0' && *r->p <= '9';
}

static bool skip_digits(struct reader *r)
{
    if (!is_digit(r)) {
        return fail_unexpected(r, "a digit");
    }
    while (is_digit(r)) {
        advance(r);
    }
    return true;
}

/* Walks over a number by the grammar; tells whether it is an integer. */
static bool skip_number(struct reader *r, bool *integer)
{
    *integer = true;
    if (*r->p == '-') {
        advance(r);
    }
    if (r->p < r->end && *r->p == '0') {
        advance(r);
        if (is_digit(r)) {
            return fail(r, r->at, "a number must not start with 0");
        }
    } else if (!skip_digits(r)) {
        return false;
    }
    if (r->p < r->end && *r->p == '.') {
        *integer = false;
        advance(r);
        if (!skip_digits(r)) {
            return false;
        }
    }
    if (r->p < r->end && (*r->p | 0x20) == 'e') {
        *integer = false;
        advance(r);
        if (r->p < r->end && (*r->p == '+' || *r->p == '-')) {
            advance(r);
        }
        if (!skip_digits(r)) {
            return false;
        }
    }
    return true;
}

static bool read_number(struct reader *r, struct jv **value)
{
    struct jv_position start = r->at;
    const unsigned char *first = r->p;
    char digits[64];
    bool integer;
    size_t size;

    if (!skip_number(r, &integer)) {
        return false;
    }
    size = (size_t)(r->p - first);
    if (size >= sizeof digits) {
        return fail(r, start, "a number of %zu characters is too long", size);
    }
    memcpy(digits, first, size);
    digits[size] = '\0';
    errno = 0;
    if (!integer) {
        double real = strtod(digits, NULL);

        if (errno == ERANGE && real != 0 && (real > 1 || real < -1)) {
            return fail(r, start, "the number is out of range");
        }
        *value = jv_new_real(real);
    } else if (digits[0] == '-') {
        *value = jv_new_int(strtoll(digits, NULL, 10));
    } else {
        unsigned long long number = strtoull(digits, NULL, 10);

        *value = number <= INT64_MAX ? jv_new_int((int64_t)number) : jv_new_uint(number);
    }
    return errno == ERANGE && integer ? fail(r, start, "the number is out of range") : true;
}

static bool read_word(struct reader *r, struct jv **value)
{
    static const char *const words[] = {"null", "true", "false"};

    for (size_t i = 0; i < 3; i++) {
        size_t size = strlen(words[i]);

        if ((size_t)(r->end - r->p) >= size && memcmp(r->p, words[i], size) == 0) {
            while (size--) {
                advance(r);
            }
            *value = i ? jv_new_bool(i == 1) : NULL;
            return true;
        }
    }
    return fail_unexpected(r, "a value");
}

static bool read_member(struct reader *r, struct jv *object)
{
    struct jv_position key_at = r->at;
    struct jv *value = NULL;
    char *key;
    size_t size;
    bool done;

    if (r->p >= r->end || *r->p != '"') {
        return fail_unexpected(r, "a member's name in quotes");
    }
    if (!read_string(r, &size)) {
        return false;
    }
    if (jv_has(object, r->scratch)) {
        return fail(r, key_at, "the member \"%.60s\" is given twice", r->scratch);
    }
    key = strdup(r->scratch);
    if (!key) {
        return fail(r, key_at, "out of memory");
    }
    skip_space(r);
    if (r->p >= r->end || *r->p != ':') {
        free(key);
        return fail_unexpected(r, "':'");
    }
    advance(r);
    done = read_value(r, &value, key_at);
    if (done) {
        jv_set(object, key, value);
    } else {
        jv_unref(value);
    }
    free(key);
    return done;
}

static bool read_element(struct reader *r, struct jv *array)
{
    struct jv *value = NULL;
    struct jv_position none = {0, 0};

    if (!read_value(r, &value, none)) {
        jv_unref(value);
        return false;
    }
    jv_append(array, value);
    return true;
}

static bool read_container(struct reader *r, struct jv **value)
{
    bool object = *r->p == '{';
    unsigned char close = object ? '}' : ']';

    if (++r->depth > JSON_DEPTH_MAX) {
        return fail(r, r->at, "nested deeper than %d levels", JSON_DEPTH_MAX);
    }
    *value = object ? jv_new_object() : jv_new_array();
    advance(r);
    skip_space(r);
    if (r->p < r->end && *r->p == close) {
        advance(r);
        r->depth--;
        return true;
    }
    for (;;) {
        skip_space(r);
        if (!(object ? read_member(r, *value) : read_element(r, *value))) {
            return false;
        }
        skip_space(r);
        if (r->p < r->end && *r->p == close) {
            advance(r);
            r->depth--;
            return true;
        }
        if (r->p >= r->end || *r->p != ',') {
            return fail_unexpected(r, object ? "',' or '}'" : "',' or ']'");
        }
        advance(r);
    }
}

static bool read_value(struct reader *r, struct jv **value, struct jv_position key)
{
    struct jv_position start;
    size_t size;
    bool done;

    skip_space(r);
    start = r->at;
    if (r->p >= r->end) {
        return fail_unexpected(r, "a value");
    }
    if (*r->p == '{' || *r->p == '[') {
        done = read_container(r, value);
    } else if (*r->p == '"') {
        done = read_string(r, &size);
        *value = done ? jv_new_string_size(r->scratch, size) : NULL;
    } else if (*r->p == '-' || is_digit(r)) {
        done = read_number(r, value);
    } else {
        done = read_word(r, value);
    }
    if (done) {
        jv_set_position(*value, start, key);
    }
    return done;
}

int json_read(const char *text, size_t size, struct jv **value, struct json_error *error)
{
    struct jv_position none = {0, 0};
    struct reader r = {
        .p = (const unsigned char *)text, .end = (const unsigned char *)text + size,
        .at = {1, 1}, .error = error, .scratch = malloc(size + 1),
    };
    bool done;

    *value = NULL;
    if (!r.scratch) {
        return ENOMEM;
    }
    done = read_value(&r, value, none);
    if (done) {
        skip_space(&r);
        done = r.p == r.end || fail(&r, r.at, "more text after the end of the value");
    }
    free(r.scratch);
    if (!done) {
        jv_unref(*value);
        *value = NULL;
        return EINVAL;
    }
    return 0;
}
