/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The guest's control socket: commands of one line, answered by one line of
 * JSON: "stats", "stop", "kill", "link NIC up|down". "trace NIC [strict] [rules]"
 * makes a stream of its connection: what the card's driver does, line by line,
 * until the client closes it. "save NIC" gives a card's state in lines of hexadecimal digits
 * before its answer; "restore NIC" is followed by such lines and "end", and answered
 * then. Its clients are vswitchd and vswitchctl.
 */
#ifndef GUEST_CONTROL_H
#define GUEST_CONTROL_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct control;

enum { CONTROL_CLIENTS = 8, CONTROL_FDS = CONTROL_CLIENTS + 1, CONTROL_ANSWER_MAX = 16384 };
enum control_request { CONTROL_NOTHING, CONTROL_STOP, CONTROL_KILL };

/* Whom commands are for. */
struct control_calls {
    void *opaque;
    /* Writes a JSON object without newline and returns its length. */
    size_t (*stats)(void *opaque, char *out, size_t size);
    /* Both: NULL, or what is wrong. */
    const char *(*set_link)(void *opaque, unsigned nic, bool up);
    /* Every line goes to `line`, until it is called with NULL for that card. */
    const char *(*trace)(void *opaque, unsigned nic, bool strict, void (*line)(void *client, const char *text), void *client);
    /* A card's state into, or out of, an image; NULL, or what is wrong, and then nothing has changed. */
    const char *(*save)(void *opaque, unsigned nic, uint8_t *image, size_t *size);
    const char *(*restore)(void *opaque, unsigned nic, const uint8_t *image, size_t size);
};

/* `listener`: a non-blocking listening socket, taken over; -1: none. */
struct control *control_new(int listener, const struct control_calls *calls);
void control_free(struct control *control);

unsigned control_poll(const struct control *control, struct pollfd fds[CONTROL_FDS]);
enum control_request control_service(struct control *control);

#endif
