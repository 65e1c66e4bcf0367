/* SPDX-License-Identifier: BSD-2-Clause
 *
 * table.h: cells are kept as text and measured when printed.
 */
#include "cli/table.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS_MAX = 16, CELL_MAX = 512 };

struct table {
    size_t columns;
    bool right[COLUMNS_MAX];
    size_t count, capacity;     /* Cells; the first `columns` are the headings. */
    char **cells;
};

static void append(struct table *table, const char *text)
{
    if (table->count == table->capacity) {
        size_t capacity = table->capacity ? table->capacity * 2 : 64;
        char **cells = realloc(table->cells, capacity * sizeof *cells);

        if (!cells) {
            return;
        }
        table->cells = cells;
        table->capacity = capacity;
    }
    table->cells[table->count] = strdup(text);
    table->count += table->cells[table->count] != NULL;
}

struct table *table_create(const char *headings)
{
    struct table *table = calloc(1, sizeof *table);
    char text[CELL_MAX];

    if (!table) {
        return NULL;
    }
    while (*headings && table->columns < COLUMNS_MAX) {
        size_t length = strcspn(headings, "|");
        bool right = *headings == '>';

        table->right[table->columns++] = right;
        snprintf(text, sizeof text, "%.*s", (int)(length - right), headings + right);
        append(table, text);
        headings += length + (headings[length] == '|');
    }
    return table;
}

void table_free(struct table *table)
{
    if (table) {
        for (size_t i = 0; i < table->count; i++) {
            free(table->cells[i]);
        }
        free(table->cells);
        free(table);
    }
}

void table_cell(struct table *table, const char *format, ...)
{
    char text[CELL_MAX];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (char *p = text; *p; p++) {
        if ((unsigned char)*p < 0x20 || *p == 0x7f) {
            *p = '?';
        }
    }
    append(table, text[0] ? text : "-");
}

/* Characters, where bytes of UTF-8 sequences after the first do not count. */
static size_t width_of(const char *text)
{
    size_t width = 0;

    for (; *text; text++) {
        width += (*text & 0xc0) != 0x80;
    }
    return width;
}

void table_print(const struct table *table, FILE *out)
{
    size_t widths[COLUMNS_MAX] = {0};

    for (size_t i = 0; i < table->count; i++) {
        size_t width = width_of(table->cells[i]);

        if (width > widths[i % table->columns]) {
            widths[i % table->columns] = width;
        }
    }
    for (size_t i = 0; i < table->count; i++) {
        size_t column = i % table->columns;
        int pad = (int)(widths[column] - width_of(table->cells[i]));
        bool last = column + 1 == table->columns;

        if (table->right[column]) {
            fprintf(out, "%*s%s", pad, "", table->cells[i]);
        } else {
            fprintf(out, "%s%*s", table->cells[i], last ? 0 : pad, "");
        }
        fputs(last ? "\n" : "  ", out);
    }
}

const char *table_bytes(uint64_t bytes, char text[16])
{
    static const char units[] = " kMGTPE";
    double value = (double)bytes;
    size_t unit = 0;

    while (value >= 999.5 && units[unit + 1]) {
        value /= 1000;
        unit++;
    }
    if (unit == 0) {
        snprintf(text, 16, "%u B", (unsigned)bytes);
    } else {
        snprintf(text, 16, value < 9.95 ? "%.1f %cB" : "%.0f %cB", value, units[unit]);
    }
    return text;
}

const char *table_seconds(uint64_t seconds, char text[16])
{
    unsigned long long s = seconds < 86400ull * 10000 ? seconds : 86400ull * 10000;

    if (s < 60) {
        snprintf(text, 16, "%llus", s);
    } else if (s < 3600) {
        snprintf(text, 16, "%llum%02llus", s / 60, s % 60);
    } else if (s < 86400) {
        snprintf(text, 16, "%lluh%02llum", s / 3600, s / 60 % 60);
    } else {
        snprintf(text, 16, "%llud%02lluh", s / 86400, s / 3600 % 24);
    }
    return text;
}
