/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Checks a JSON value against a table that says what it may be. The same
 * tables serve the configuration file and the parameters of the control
 * protocol, so both refuse the same things in the same words: unknown members,
 * missing ones, wrong kinds, numbers out of range. Pure.
 */
#ifndef PROTO_JSON_JSON_CHECK_H
#define PROTO_JSON_JSON_CHECK_H

#include "proto/json/json_value.h"

enum json_spec_kind {
    JSON_SPEC_STRING,           /* min, max: its size in bytes; check */
    JSON_SPEC_INT,              /* min, max */
    JSON_SPEC_BOOL,
    JSON_SPEC_ENUM,             /* choices */
    JSON_SPEC_OBJECT,           /* members */
    JSON_SPEC_ARRAY,            /* members: one spec, of the elements; min, max: how many */
    JSON_SPEC_ANY,
};

/* One member. A list of them ends with a NULL name. max 0 = no upper limit. */
struct json_spec {
    const char *name;
    enum json_spec_kind kind;
    bool required;
    int64_t min, max;
    const char *const *choices;             /* Ended by NULL. */
    const struct json_spec *members;
    const char *(*check)(const char *text); /* NULL, or what would be right. */
    const char *help;                       /* For rpc.methods; may be NULL. */
};

struct json_mismatch {
    char path[128];             /* JSON pointer, "/ports/0/vlan/access"; "" = the value itself. */
    char text[256];             /* "must be 1 to 4094, not 5000" */
    struct jv_position at;
};

/* True if `value` is an object whose members are as `members` says. */
bool json_check(const struct json_spec *members, const struct jv *value, struct json_mismatch *mismatch);

/* For checks that a table cannot express: fills *mismatch for the member `path` points at. */
void json_mismatch_set(struct json_mismatch *mismatch, const struct jv *value, const char *path, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The candidate of a NULL-ended list that `word` may have been meant to be, or NULL. */
const char *json_did_you_mean(const char *word, const char *const *candidates);

/* The table as JSON, for introspection. The caller owns the array. */
struct jv *json_spec_describe(const struct json_spec *members);

#endif
