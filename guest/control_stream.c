/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Lines for a slow client: see control_stream.h.
 */
#include "guest/control_stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUFFER_SIZE = 256 << 10, FLUSH_AT = 32 << 10, NOTE_SIZE = 64 };

struct control_stream {
    int fd;
    bool findings_only, gone;
    unsigned long long lost; /* lines since the last one that fitted */
    size_t start, used;
    char buffer[BUFFER_SIZE];
};

struct control_stream *control_stream_new(int fd, bool findings_only)
{
    struct control_stream *s = malloc(sizeof *s);

    if (!s)
        return NULL;
    s->fd = fd;
    s->findings_only = findings_only;
    s->gone = false;
    s->lost = 0;
    s->start = s->used = 0;
    return s;
}

void control_stream_free(struct control_stream *s)
{
    free(s);
}

/* The word behind the time. */
static bool is_finding(const char *text)
{
    text += strspn(text, " ");
    text += strcspn(text, " ");
    text += strspn(text, " ");
    return !strncmp(text, "RULE ", 5) || !strncmp(text, "ERROR ", 6);
}

static void append(struct control_stream *s, const char *text, size_t size)
{
    if (s->start && s->start + s->used + size + 1 > BUFFER_SIZE) {
        memmove(s->buffer, s->buffer + s->start, s->used);
        s->start = 0;
    }
    memcpy(s->buffer + s->start + s->used, text, size);
    s->buffer[s->start + s->used + size] = '\n';
    s->used += size + 1;
}

void control_stream_line(struct control_stream *s, const char *text)
{
    size_t size = strlen(text);
    char note[NOTE_SIZE];

    if (s->findings_only && !is_finding(text))
        return;
    if (s->used >= FLUSH_AT)
        control_stream_flush(s);
    if (s->used + size + 1 + NOTE_SIZE > BUFFER_SIZE) {
        s->lost++;
        return;
    }
    if (s->lost) {
        append(s, note, (size_t)snprintf(note, sizeof note, "      ... %llu lines lost: the reader is too slow", s->lost));
        s->lost = 0;
    }
    append(s, text, size);
}

bool control_stream_flush(struct control_stream *s)
{
    while (s->used && !s->gone) {
        ssize_t done = write(s->fd, s->buffer + s->start, s->used);

        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0 && errno == EAGAIN)
            return true;
        if (done <= 0) {
            s->gone = true;
            break;
        }
        s->start += (size_t)done;
        s->used -= (size_t)done;
    }
    if (!s->used)
        s->start = 0;
    return !s->gone;
}

bool control_stream_pending(const struct control_stream *s)
{
    return s->used > 0;
}
