/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Bytes to lines and back: the input of a control client, cut at newlines with
 * a limit, and its output, a queue with a bound. Pure: control_server.c moves
 * the bytes.
 */
#ifndef VSWITCHD_CONTROL_CONTROL_FRAME_H
#define VSWITCHD_CONTROL_CONTROL_FRAME_H

#include <stdbool.h>
#include <stddef.h>

struct control_input {
    char *data;
    size_t size;                /* Bytes in data. */
    size_t capacity;
    size_t start;               /* First byte not yet handed out. */
    size_t scanned;             /* No newline before this. */
    size_t limit;               /* Bytes of a line. */
    bool skipping;              /* Inside a line that was too long. */
};

enum control_line { CONTROL_LINE_NONE, CONTROL_LINE_READY, CONTROL_LINE_TOO_LONG };

void control_input_init(struct control_input *in, size_t limit);
void control_input_free(struct control_input *in);
/* False when out of memory. */
bool control_input_append(struct control_input *in, const char *bytes, size_t size);
/* The next line without its newline (and without a CR before it); valid until the next append. A line over the limit
 * is reported once, as soon as that is known, and skipped. `end`: there will be no more bytes, so what is left is a line. */
enum control_line control_input_next(struct control_input *in, bool end, const char **line, size_t *size);

struct control_output {
    char *data;
    size_t start, size, capacity;
};

void control_output_init(struct control_output *out);
void control_output_free(struct control_output *out);
/* Adds text and a newline. False when out of memory. */
bool control_output_line(struct control_output *out, const char *text, size_t size);
size_t control_output_pending(const struct control_output *out);
const char *control_output_bytes(const struct control_output *out);     /* As many as are pending. */
void control_output_consume(struct control_output *out, size_t size);

#endif
