/* SPDX-License-Identifier: BSD-2-Clause
 *
 * json_check.h: walks a value and the table of what is allowed side by side.
 */
#include "proto/json/json_check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CANDIDATES_MAX = 64, WORD_MAX = 40 };

struct checker {
    struct json_mismatch *mismatch;
    char path[sizeof ((struct json_mismatch *)0)->path];
};

static bool check_value(struct checker *c, const struct json_spec *spec, const struct jv *value);

static bool __attribute__((format(printf, 3, 4)))
refuse(struct checker *c, struct jv_position at, const char *format, ...)
{
    va_list args;

    snprintf(c->mismatch->path, sizeof c->mismatch->path, "%s", c->path);
    va_start(args, format);
    vsnprintf(c->mismatch->text, sizeof c->mismatch->text, format, args);
    va_end(args);
    c->mismatch->at = at;
    return false;
}

void json_mismatch_set(struct json_mismatch *mismatch, const struct jv *value, const char *path, const char *format, ...)
{
    va_list args;

    snprintf(mismatch->path, sizeof mismatch->path, "%s", path);
    va_start(args, format);
    vsnprintf(mismatch->text, sizeof mismatch->text, format, args);
    va_end(args);
    mismatch->at = jv_position(value);
}

/* Edits (insert, delete, replace, swap of neighbours) that make `a` into `b`. */
static unsigned edit_distance(const char *a, const char *b)
{
    unsigned rows[3][WORD_MAX + 1];
    size_t a_length = strlen(a), b_length = strlen(b);
    unsigned *before = rows[0], *previous = rows[1], *current = rows[2];

    if (a_length > WORD_MAX || b_length > WORD_MAX) {
        return WORD_MAX;
    }
    for (size_t j = 0; j <= b_length; j++) {
        previous[j] = (unsigned)j;
    }
    for (size_t i = 1; i <= a_length; i++) {
        unsigned *spare = before;

        current[0] = (unsigned)i;
        for (size_t j = 1; j <= b_length; j++) {
            unsigned best = previous[j - 1] + (a[i - 1] != b[j - 1]);

            best = previous[j] + 1 < best ? previous[j] + 1 : best;
            best = current[j - 1] + 1 < best ? current[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] && before[j - 2] + 1 < best) {
                best = before[j - 2] + 1;
            }
            current[j] = best;
        }
        before = previous;
        previous = current;
        current = spare;
    }
    return previous[b_length];
}

const char *json_did_you_mean(const char *word, const char *const *candidates)
{
    const char *best = NULL;
    unsigned best_distance = strlen(word) <= 3 ? 2 : 3;     /* Not further than 1, or 2, edits. */

    for (; *candidates; candidates++) {
        unsigned distance = edit_distance(word, *candidates);

        if (distance < best_distance) {
            best_distance = distance;
            best = *candidates;
        }
    }
    return best;
}

static void join(char *text, size_t size, const char *const *words)
{
    text[0] = '\0';
    for (size_t i = 0; words[i]; i++) {
        size_t used = strlen(text);

        snprintf(text + used, size - used, "%s%s", i ? ", " : "", words[i]);
    }
}

static bool check_int(struct checker *c, const struct json_spec *spec, const struct jv *value)
{
    bool bounded = spec->min != 0 || spec->max != 0;
    int64_t number = 0;

    if (!jv_as_int(value, &number) || (bounded && (number < spec->min || (spec->max && number > spec->max)))) {
        if (spec->max) {
            char *text = jv_print(value, false);

            refuse(c, jv_position(value), "must be %lld to %lld, not %.40s", (long long)spec->min, (long long)spec->max,
                   text ? text : "so much");
            free(text);
            return false;
        }
        return refuse(c, jv_position(value), "must be %lld or more", (long long)spec->min);
    }
    return true;
}

static bool check_string(struct checker *c, const struct json_spec *spec, const struct jv *value)
{
    const char *text = jv_as_string(value);
    const char *wanted;

    if ((int64_t)strlen(text) < spec->min || (spec->max && (int64_t)strlen(text) > spec->max)) {
        return refuse(c, jv_position(value), "must have %lld to %lld characters, not %zu", (long long)spec->min,
                      (long long)spec->max, strlen(text));
    }
    wanted = spec->check ? spec->check(text) : NULL;
    if (wanted) {
        return refuse(c, jv_position(value), "\"%.60s\" is not valid: %s", text, wanted);
    }
    return true;
}

static bool check_enum(struct checker *c, const struct json_spec *spec, const struct jv *value)
{
    const char *text = jv_as_string(value);
    char list[120];

    for (size_t i = 0; spec->choices[i]; i++) {
        if (strcmp(spec->choices[i], text) == 0) {
            return true;
        }
    }
    join(list, sizeof list, spec->choices);
    return refuse(c, jv_position(value), "must be one of %s, not \"%.60s\"", list, text);
}

/* The path grows by one step; answers its old length, for going back. */
static size_t path_push(struct checker *c, const char *step, size_t index)
{
    size_t used = strlen(c->path);

    if (step) {
        snprintf(c->path + used, sizeof c->path - used, "/%s", step);
    } else {
        snprintf(c->path + used, sizeof c->path - used, "/%zu", index);
    }
    return used;
}

static bool check_array(struct checker *c, const struct json_spec *spec, const struct jv *value)
{
    size_t length = jv_length(value);

    if ((int64_t)length < spec->min || (spec->max && (int64_t)length > spec->max)) {
        return refuse(c, jv_position(value), "must have %lld to %lld elements, not %zu", (long long)spec->min,
                      (long long)spec->max, length);
    }
    for (size_t i = 0; i < length; i++) {
        size_t used = path_push(c, NULL, i);

        if (!check_value(c, spec->members, jv_at(value, i))) {
            if (c->mismatch->at.line == 0) {
                c->mismatch->at = jv_position(value);
            }
            return false;
        }
        c->path[used] = '\0';
    }
    return true;
}

static bool refuse_unknown(struct checker *c, const struct json_spec *members, const struct jv_member *m)
{
    const char *names[CANDIDATES_MAX + 1];
    const char *meant;
    char list[160];
    size_t count = 0;

    for (; members[count].name && count < CANDIDATES_MAX; count++) {
        names[count] = members[count].name;
    }
    names[count] = NULL;
    meant = json_did_you_mean(m->key, names);
    if (meant) {
        return refuse(c, jv_key_position(m->value), "unknown member \"%.60s\"; did you mean \"%s\"?", m->key, meant);
    }
    if (count == 0) {
        return refuse(c, jv_key_position(m->value), "unknown member \"%.60s\"; none is expected", m->key);
    }
    join(list, sizeof list, names);
    return refuse(c, jv_key_position(m->value), "unknown member \"%.60s\"; known: %s", m->key, list);
}

static bool check_object(struct checker *c, const struct json_spec *members, const struct jv *value)
{
    const struct json_spec *spec;
    size_t used;

    for (struct jv_member m = {0}; jv_next(value, &m);) {
        for (spec = members; spec->name && strcmp(spec->name, m.key) != 0; spec++) {
        }
        used = path_push(c, m.key, 0);
        if (!(spec->name ? check_value(c, spec, m.value) : refuse_unknown(c, members, &m))) {
            if (c->mismatch->at.line == 0) {    /* null keeps no position */
                c->mismatch->at = jv_position(value);
            }
            return false;
        }
        c->path[used] = '\0';
    }
    for (spec = members; spec->name; spec++) {
        if (spec->required && !jv_has(value, spec->name)) {
            return refuse(c, jv_position(value), "the member \"%s\" is missing", spec->name);
        }
    }
    return true;
}

static bool check_value(struct checker *c, const struct json_spec *spec, const struct jv *value)
{
    static const enum jv_kind kinds[] = {
        [JSON_SPEC_STRING] = JV_STRING, [JSON_SPEC_INT] = JV_INT, [JSON_SPEC_BOOL] = JV_BOOL,
        [JSON_SPEC_ENUM] = JV_STRING, [JSON_SPEC_OBJECT] = JV_OBJECT, [JSON_SPEC_ARRAY] = JV_ARRAY,
    };

    if (spec->kind == JSON_SPEC_ANY) {
        return true;
    }
    if (jv_kind(value) != kinds[spec->kind]) {
        return refuse(c, jv_position(value), "must be %s, not %s", jv_kind_name(kinds[spec->kind]),
                      jv_kind_name(jv_kind(value)));
    }
    switch (spec->kind) {
    case JSON_SPEC_STRING: return check_string(c, spec, value);
    case JSON_SPEC_INT:    return check_int(c, spec, value);
    case JSON_SPEC_ENUM:   return check_enum(c, spec, value);
    case JSON_SPEC_OBJECT: return check_object(c, spec->members, value);
    case JSON_SPEC_ARRAY:  return check_array(c, spec, value);
    default:               return true;
    }
}

bool json_check(const struct json_spec *members, const struct jv *value, struct json_mismatch *mismatch)
{
    struct json_spec whole = {.name = "", .kind = JSON_SPEC_OBJECT, .members = members};
    struct checker c = {.mismatch = mismatch};

    memset(mismatch, 0, sizeof *mismatch);
    return check_value(&c, &whole, value);
}

static struct jv *describe_one(const struct json_spec *spec)
{
    static const char *const names[] = {
        [JSON_SPEC_STRING] = "string", [JSON_SPEC_INT] = "integer", [JSON_SPEC_BOOL] = "boolean",
        [JSON_SPEC_ENUM] = "string", [JSON_SPEC_OBJECT] = "object", [JSON_SPEC_ARRAY] = "array",
        [JSON_SPEC_ANY] = "any",
    };
    struct jv *o = jv_new_object();

    if (spec->name) {
        jv_set_string(o, "name", spec->name);
    }
    jv_set_string(o, "type", names[spec->kind]);
    jv_set_bool(o, "required", spec->required);
    if (spec->kind == JSON_SPEC_INT && (spec->min || spec->max)) {
        jv_set_int(o, "minimum", spec->min);
        jv_set_int(o, "maximum", spec->max);
    }
    if (spec->kind == JSON_SPEC_ENUM) {
        struct jv *choices = jv_new_array();

        for (size_t i = 0; spec->choices[i]; i++) {
            jv_append(choices, jv_new_string(spec->choices[i]));
        }
        jv_set(o, "enum", choices);
    }
    if (spec->kind == JSON_SPEC_OBJECT) {
        jv_set(o, "members", json_spec_describe(spec->members));
    }
    if (spec->kind == JSON_SPEC_ARRAY) {
        jv_set(o, "items", describe_one(spec->members));
    }
    if (spec->help) {
        jv_set_string(o, "help", spec->help);
    }
    return o;
}

struct jv *json_spec_describe(const struct json_spec *members)
{
    struct jv *list = jv_new_array();

    for (; members && members->name; members++) {
        jv_append(list, describe_one(members));
    }
    return list;
}
