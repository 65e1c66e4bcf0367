/* SPDX-License-Identifier: BSD-2-Clause
 *
 * json_value.h over json-c: the only file that knows that library. A
 * `struct jv` is json-c's object under another name.
 */
#include "proto/json/json_value.h"

#include <json-c/json.h>
#include <string.h>

static struct json_object *in(const struct jv *v)
{
    return (struct json_object *)v;
}

static struct jv *out(struct json_object *o)
{
    return (struct jv *)o;
}

enum jv_kind jv_kind(const struct jv *v)
{
    switch (json_object_get_type(in(v))) {
    case json_type_boolean: return JV_BOOL;
    case json_type_int:     return JV_INT;
    case json_type_double:  return JV_REAL;
    case json_type_string:  return JV_STRING;
    case json_type_array:   return JV_ARRAY;
    case json_type_object:  return JV_OBJECT;
    default:                return JV_NULL;
    }
}

const char *jv_kind_name(enum jv_kind kind)
{
    static const char *const names[] = {
        [JV_NULL] = "null", [JV_BOOL] = "true or false", [JV_INT] = "an integer", [JV_REAL] = "a fraction",
        [JV_STRING] = "a string", [JV_ARRAY] = "an array", [JV_OBJECT] = "an object",
    };
    return names[kind];
}

struct jv *jv_ref(struct jv *v) { return out(json_object_get(in(v))); }
void jv_unref(struct jv *v) { json_object_put(in(v)); }

struct jv *jv_new_object(void) { return out(json_object_new_object()); }
struct jv *jv_new_array(void) { return out(json_object_new_array()); }
struct jv *jv_new_bool(bool value) { return out(json_object_new_boolean(value)); }
struct jv *jv_new_int(int64_t value) { return out(json_object_new_int64(value)); }
struct jv *jv_new_uint(uint64_t value) { return out(json_object_new_uint64(value)); }
struct jv *jv_new_real(double value) { return out(json_object_new_double(value)); }

struct jv *jv_new_string(const char *text)
{
    return text ? out(json_object_new_string(text)) : NULL;
}

struct jv *jv_new_string_size(const char *text, size_t size)
{
    return out(json_object_new_string_len(text, (int)size));
}

void jv_set(struct jv *object, const char *key, struct jv *value)
{
    json_object_object_add(in(object), key, in(value));
}

struct jv *jv_get(const struct jv *object, const char *key)
{
    struct json_object *value = NULL;

    if (jv_kind(object) == JV_OBJECT) {
        json_object_object_get_ex(in(object), key, &value);
    }
    return out(value);
}

bool jv_has(const struct jv *object, const char *key)
{
    return jv_kind(object) == JV_OBJECT && json_object_object_get_ex(in(object), key, NULL);
}

void jv_remove(struct jv *object, const char *key)
{
    json_object_object_del(in(object), key);
}

void jv_set_string(struct jv *object, const char *key, const char *text)
{
    jv_set(object, key, jv_new_string(text));
}

void jv_set_int(struct jv *object, const char *key, int64_t value)
{
    jv_set(object, key, jv_new_int(value));
}

void jv_set_uint(struct jv *object, const char *key, uint64_t value)
{
    jv_set(object, key, jv_new_uint(value));
}

void jv_set_bool(struct jv *object, const char *key, bool value)
{
    jv_set(object, key, jv_new_bool(value));
}

bool jv_next(const struct jv *object, struct jv_member *m)
{
    struct lh_entry *entry;

    if (jv_kind(object) != JV_OBJECT) {
        return false;
    }
    entry = m->started ? lh_entry_next((struct lh_entry *)m->cursor)
                       : lh_table_head(json_object_get_object(in(object)));
    m->started = true;
    m->cursor = entry;
    if (!entry) {
        return false;
    }
    m->key = lh_entry_k(entry);
    m->value = out((struct json_object *)lh_entry_v(entry));
    return true;
}

void jv_append(struct jv *array, struct jv *value)
{
    json_object_array_add(in(array), in(value));
}

size_t jv_length(const struct jv *v)
{
    switch (jv_kind(v)) {
    case JV_ARRAY:  return json_object_array_length(in(v));
    case JV_OBJECT: return (size_t)json_object_object_length(in(v));
    default:        return 0;
    }
}

struct jv *jv_at(const struct jv *array, size_t index)
{
    return jv_kind(array) == JV_ARRAY ? out(json_object_array_get_idx(in(array), index)) : NULL;
}

bool jv_as_bool(const struct jv *v, bool *value)
{
    if (jv_kind(v) != JV_BOOL) {
        return false;
    }
    *value = json_object_get_boolean(in(v));
    return true;
}

bool jv_as_int(const struct jv *v, int64_t *value)
{
    if (jv_kind(v) != JV_INT) {
        return false;
    }
    *value = json_object_get_int64(in(v));
    /* json-c clamps what lies above; such a value is not ours to change. */
    return *value != INT64_MAX || json_object_get_uint64(in(v)) == (uint64_t)INT64_MAX;
}

bool jv_as_real(const struct jv *v, double *value)
{
    if (jv_kind(v) != JV_INT && jv_kind(v) != JV_REAL) {
        return false;
    }
    *value = json_object_get_double(in(v));
    return true;
}

const char *jv_as_string(const struct jv *v)
{
    return jv_kind(v) == JV_STRING ? json_object_get_string(in(v)) : NULL;
}

const char *jv_member_string(const struct jv *object, const char *key, const char *fallback)
{
    const char *text = jv_as_string(jv_get(object, key));

    return text ? text : fallback;
}

int64_t jv_member_int(const struct jv *object, const char *key, int64_t fallback)
{
    int64_t value;

    return jv_as_int(jv_get(object, key), &value) ? value : fallback;
}

bool jv_member_bool(const struct jv *object, const char *key, bool fallback)
{
    bool value;

    return jv_as_bool(jv_get(object, key), &value) ? value : fallback;
}

bool jv_equal(const struct jv *a, const struct jv *b)
{
    return json_object_equal(in(a), in(b));
}

char *jv_print(const struct jv *v, bool pretty)
{
    int flags = JSON_C_TO_STRING_NOSLASHESCAPE
                | (pretty ? JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED : JSON_C_TO_STRING_PLAIN);

    return strdup(v ? json_object_to_json_string_ext(in(v), flags) : "null");
}

/* Both positions are packed into the user-data pointer, so that keeping them
 * allocates nothing: 20 bits of line and 12 of column each. */
static uint64_t pack(struct jv_position p)
{
    uint64_t line = p.line < 0xfffff ? p.line : 0xfffff;
    uint64_t column = p.column < 0xfff ? p.column : 0xfff;

    return line << 12 | column;
}

static struct jv_position unpack(const struct jv *v, unsigned shift)
{
    uint64_t bits = v ? (uint64_t)(uintptr_t)json_object_get_userdata(in(v)) >> shift : 0;

    return (struct jv_position) {.line = bits >> 12 & 0xfffff, .column = bits & 0xfff};
}

void jv_set_position(struct jv *v, struct jv_position value, struct jv_position key)
{
    _Static_assert(sizeof(uintptr_t) == 8, "two positions are packed into a pointer");

    if (v) {
        json_object_set_userdata(in(v), (void *)(uintptr_t)(pack(key) << 32 | pack(value)), NULL);
    }
}

struct jv_position jv_position(const struct jv *v) { return unpack(v, 0); }
struct jv_position jv_key_position(const struct jv *v) { return unpack(v, 32); }
