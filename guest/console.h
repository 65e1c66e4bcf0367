/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The serial console's outside: raw bytes to and from the clients of
 * console.sock, several at a time, and standard input and output if wanted. A
 * client that comes late is shown the last 64 KiB; one that reads too slowly
 * loses the oldest bytes, and delays nobody.
 */
#ifndef GUEST_CONSOLE_H
#define GUEST_CONSOLE_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct console;

enum { CONSOLE_CLIENTS = 8, CONSOLE_FDS = CONSOLE_CLIENTS + 2, CONSOLE_HISTORY = 65536 };

/* `listener`: a non-blocking listening socket, taken over; -1: none. NULL: no memory. */
struct console *console_new(int listener, bool with_stdio);
void console_free(struct console *console);

/* A byte from the guest. True: the first one since the last flush. */
bool console_output(struct console *console, uint8_t byte);
void console_flush(struct console *console);
bool console_has_output(const struct console *console);

/* What to wait for; input only while the guest takes it. */
unsigned console_poll(const struct console *console, struct pollfd fds[CONSOLE_FDS], bool want_input);
/* Accepts, drops and flushes clients, and reads up to `room` bytes of input into `buffer`. */
size_t console_service(struct console *console, uint8_t *buffer, size_t room);

uint64_t console_bytes(const struct console *console); /* of output so far */

#endif
