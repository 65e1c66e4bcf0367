/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The guest's control socket: commands of one line ("stats", "stop", "kill"),
 * answered by one line of JSON. Its client is vswitchd.
 */
#ifndef GUEST_CONTROL_H
#define GUEST_CONTROL_H

#include <poll.h>
#include <stddef.h>

struct control;

enum { CONTROL_CLIENTS = 4, CONTROL_FDS = CONTROL_CLIENTS + 1, CONTROL_ANSWER_MAX = 4096 };
enum control_request { CONTROL_NOTHING, CONTROL_STOP, CONTROL_KILL };

/* `stats` writes a JSON object without newline and returns its length.
 * `listener`: a non-blocking listening socket, taken over; -1: none. */
struct control *control_new(int listener, size_t (*stats)(void *opaque, char *out, size_t size), void *opaque);
void control_free(struct control *control);

unsigned control_poll(const struct control *control, struct pollfd fds[CONTROL_FDS]);
enum control_request control_service(struct control *control);

#endif
