/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Lines on their way to a client that may be slow: what does not fit is left out,
 * and how much that was is said in its place. Nothing here ever waits.
 */
#ifndef GUEST_CONTROL_STREAM_H
#define GUEST_CONTROL_STREAM_H

#include <stdbool.h>
#include <stddef.h>

struct control_stream;

struct control_stream *control_stream_new(int fd, bool findings_only); /* the descriptor stays the caller's; NULL: no memory */
void control_stream_free(struct control_stream *stream);  /* accepts NULL */

/* A line without its newline. With `findings_only`, other lines than RULE and ERROR are none of its business. */
void control_stream_line(struct control_stream *stream, const char *text);
/* Writes what can be written. False: the client has gone. */
bool control_stream_flush(struct control_stream *stream);
bool control_stream_pending(const struct control_stream *stream);

#endif
