/* SPDX-License-Identifier: BSD-2-Clause
 *
 * JSON values: the tree that the reader (json_read.h) builds, that the
 * daemon's configuration and control socket work on, and that vswitchctl
 * prints. The library that holds the tree is visible in json_value.c only.
 *
 * A value is reference counted; NULL stands for JSON null. Functions that put
 * a value into a container take over the caller's reference.
 */
#ifndef PROTO_JSON_JSON_VALUE_H
#define PROTO_JSON_JSON_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct jv;

enum jv_kind { JV_NULL, JV_BOOL, JV_INT, JV_REAL, JV_STRING, JV_ARRAY, JV_OBJECT };

/* Where a value stood in the text it was read from; line 0 = not known. */
struct jv_position {
    unsigned line;              /* From 1. */
    unsigned column;            /* From 1, counted in characters. */
};

enum jv_kind jv_kind(const struct jv *v);
/* "null", "true or false", "a number", "a string" ...: for messages. */
const char *jv_kind_name(enum jv_kind kind);

struct jv *jv_ref(struct jv *v);
void jv_unref(struct jv *v);

struct jv *jv_new_object(void);
struct jv *jv_new_array(void);
struct jv *jv_new_bool(bool value);
struct jv *jv_new_int(int64_t value);
struct jv *jv_new_uint(uint64_t value);
struct jv *jv_new_real(double value);
struct jv *jv_new_string(const char *text);
struct jv *jv_new_string_size(const char *text, size_t size);

/* Objects. jv_set replaces a member of that name. */
void jv_set(struct jv *object, const char *key, struct jv *value);
struct jv *jv_get(const struct jv *object, const char *key);    /* Borrowed. */
bool jv_has(const struct jv *object, const char *key);
void jv_remove(struct jv *object, const char *key);

void jv_set_string(struct jv *object, const char *key, const char *text);
void jv_set_int(struct jv *object, const char *key, int64_t value);
void jv_set_uint(struct jv *object, const char *key, uint64_t value);
void jv_set_bool(struct jv *object, const char *key, bool value);

/* The members in the order they were set:
 *     for (struct jv_member m = {0}; jv_next(object, &m);) use(m.key, m.value);
 */
struct jv_member {
    const char *key;
    struct jv *value;           /* Borrowed. */
    void *cursor;
    bool started;
};
bool jv_next(const struct jv *object, struct jv_member *m);

/* Arrays; jv_length also counts an object's members. */
void jv_append(struct jv *array, struct jv *value);
size_t jv_length(const struct jv *v);
struct jv *jv_at(const struct jv *array, size_t index);         /* Borrowed. */

/* Scalars. The readers are false, or NULL, for a value of another kind. */
bool jv_as_bool(const struct jv *v, bool *out);
bool jv_as_int(const struct jv *v, int64_t *out);   /* False outside int64. */
bool jv_as_real(const struct jv *v, double *out);   /* Integers too. */
const char *jv_as_string(const struct jv *v);

/* Shorthands on objects, with a default for what is absent or of another kind. */
const char *jv_member_string(const struct jv *object, const char *key, const char *fallback);
int64_t jv_member_int(const struct jv *object, const char *key, int64_t fallback);
bool jv_member_bool(const struct jv *object, const char *key, bool fallback);

bool jv_equal(const struct jv *a, const struct jv *b);

/* Text of the value: one line, or indented for people. To be freed. */
char *jv_print(const struct jv *v, bool pretty);

/* Positions are kept in lines up to a million, columns up to 4095. */
void jv_set_position(struct jv *v, struct jv_position value, struct jv_position key);
struct jv_position jv_position(const struct jv *v);
struct jv_position jv_key_position(const struct jv *v);

#endif
