/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Closes sockets that somebody may have sent descriptors through. Whoever closes such
 * a socket closes what is in it, and that may take as long as the sender likes: a TCP
 * socket with SO_LINGER and bytes that nobody takes. So a thread does that, which does
 * nothing else and ends with the process. The descriptors themselves are never taken
 * in (unix_socket_recv()): one on a FUSE that answers to nothing could not even be
 * closed by the end of the process.
 */
#ifndef GUEST_CLOSER_H
#define GUEST_CLOSER_H

#include <stdbool.h>

/* Starts the thread; before the sandbox closes. Without it all is closed at once. 0 or errno. */
int closer_start(void);
/* A socket, connected or listening, or -1; the peer sees its end at once. */
void closer_close(int fd);
/* Whether so many wait to be closed that nobody is to be let in who would make them more. */
bool closer_is_full(void);

#endif
