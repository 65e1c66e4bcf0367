/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tables for people: columns as wide as their widest cell, numbers to the
 * right. Cells come from outside; what is not printable is shown as '?'.
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include <stdint.h>
#include <stdio.h>

struct table;

/* `headings`: of the columns, separated by '|'; one that starts with '>' is aligned to the right. */
struct table *table_create(const char *headings);
void table_free(struct table *table);
/* The next cell, row by row. */
void table_cell(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
void table_print(const struct table *table, FILE *out);

/* 1234567 as "1.2 MB"; in a buffer of at least 16 bytes. */
const char *table_bytes(uint64_t bytes, char text[16]);
/* 3725 as "1h02m". */
const char *table_seconds(uint64_t seconds, char text[16]);

#endif
