/* SPDX-License-Identifier: BSD-2-Clause
 *
 * control_frame.h: two growing buffers.
 */
#include "vswitchd/control/control_frame.h"

#include <stdlib.h>
#include <string.h>

static bool grow(char **data, size_t *capacity, size_t wanted)
{
    size_t fresh = *capacity ? *capacity : 1024;
    char *p;

    if (wanted <= *capacity) {
        return true;
    }
    while (fresh < wanted) {
        fresh *= 2;
    }
    p = realloc(*data, fresh);
    if (!p) {
        return false;
    }
    *data = p;
    *capacity = fresh;
    return true;
}

void control_input_init(struct control_input *in, size_t limit)
{
    memset(in, 0, sizeof *in);
    in->limit = limit;
}

void control_input_free(struct control_input *in)
{
    free(in->data);
    memset(in, 0, sizeof *in);
}

bool control_input_append(struct control_input *in, const char *bytes, size_t size)
{
    if (in->start > 0) {
        memmove(in->data, in->data + in->start, in->size - in->start);
        in->size -= in->start;
        in->scanned -= in->start;
        in->start = 0;
    }
    if (!grow(&in->data, &in->capacity, in->size + size)) {
        return false;
    }
    memcpy(in->data + in->size, bytes, size);
    in->size += size;
    return true;
}

static void forget(struct control_input *in, size_t up_to)
{
    in->start = in->scanned = up_to;
    if (in->start == in->size) {
        in->start = in->scanned = in->size = 0;
        if (in->capacity > 65536) {         /* A client that was loud once does not keep the memory. */
            free(in->data);
            in->data = NULL;
            in->capacity = 0;
        }
    }
}

enum control_line control_input_next(struct control_input *in, bool end, const char **line, size_t *size)
{
    while (in->start < in->size) {
        const char *newline = memchr(in->data + in->scanned, '\n', in->size - in->scanned);
        size_t stop = newline ? (size_t)(newline - in->data) : in->size;
        bool skipped = in->skipping;

        in->scanned = stop;
        if (skipped || stop - in->start > in->limit) {
            in->skipping = !newline;
            forget(in, newline ? stop + 1 : stop);
            if (!skipped) {
                return CONTROL_LINE_TOO_LONG;
            }
            continue;
        }
        if (!newline && !end) {
            return CONTROL_LINE_NONE;
        }
        *line = in->data + in->start;
        *size = stop - in->start;
        if (*size && (*line)[*size - 1] == '\r') {
            --*size;
        }
        in->start = in->scanned = newline ? stop + 1 : stop;
        return CONTROL_LINE_READY;
    }
    forget(in, in->size);
    return CONTROL_LINE_NONE;
}

void control_output_init(struct control_output *out)
{
    memset(out, 0, sizeof *out);
}

void control_output_free(struct control_output *out)
{
    free(out->data);
    memset(out, 0, sizeof *out);
}

bool control_output_line(struct control_output *out, const char *text, size_t size)
{
    if (out->start > 0) {
        memmove(out->data, out->data + out->start, out->size - out->start);
        out->size -= out->start;
        out->start = 0;
    }
    if (!grow(&out->data, &out->capacity, out->size + size + 1)) {
        return false;
    }
    memcpy(out->data + out->size, text, size);
    out->data[out->size + size] = '\n';
    out->size += size + 1;
    return true;
}

size_t control_output_pending(const struct control_output *out)
{
    return out->size - out->start;
}

const char *control_output_bytes(const struct control_output *out)
{
    return out->data + out->start;
}

void control_output_consume(struct control_output *out, size_t size)
{
    out->start += size;
    if (out->start == out->size) {
        out->start = out->size = 0;
        if (out->capacity > 65536) {
            control_output_free(out);
        }
    }
}
