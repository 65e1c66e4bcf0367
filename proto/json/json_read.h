/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Reads JSON strictly (RFC 8259 and nothing more), for configuration files
 * and for the lines of the control socket: a duplicate member, a comment, a
 * trailing comma, invalid UTF-8, a NUL in a string or a nesting deeper than
 * JSON_DEPTH_MAX is an error, reported with its line and column. Builds
 * values through json_value.h; does no I/O.
 */
#ifndef PROTO_JSON_JSON_READ_H
#define PROTO_JSON_JSON_READ_H

#include <stddef.h>

#include "proto/json/json_value.h"

enum { JSON_DEPTH_MAX = 32 };

struct json_error {
    struct jv_position at;
    char text[200];             /* What is wrong, without the position. */
};

/* Returns 0 and a value that the caller owns (NULL for the text "null"), or
 * EINVAL and fills *error. Every value but null remembers its position. */
int json_read(const char *text, size_t size, struct jv **value, struct json_error *error);

#endif
