/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Descriptors that somebody else has sent, and sockets that he may have sent some
 * through. Closing one may take as long as he likes: a TCP socket that lingers, a
 * file on a FUSE of his; who reads from a UNIX socket, or closes it, closes what is
 * in there; and who gives up a peer's memory last has all of its pages to free. So
 * that is done by threads that do nothing else, and what nobody wants to be sent is
 * not even taken in.
 */
#ifndef VSWITCHD_OS_FOREIGN_H
#define VSWITCHD_OS_FOREIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* On whose account it waits to be closed. */
enum foreign_account { FOREIGN_CONTROL, FOREIGN_CONTROL_RO, FOREIGN_PORTS, FOREIGN_READERS, FOREIGN_ACCOUNTS };

/* Starts the threads; before the system-call filter closes. Without them all is done at once. 0 or errno. */
int foreign_start(void);

/* An eventfd is the only thing whose reads and writes cannot hang or hurt us. */
bool foreign_is_eventfd(int fd);
/* Any descriptor that was sent, or a listening socket; nobody can connect to it any more. */
void foreign_close(int fd, enum foreign_account account);
/* A connected UNIX socket; the peer sees its end at once. */
void foreign_close_socket(int fd, enum foreign_account account);
/* Memory that was mapped from what was sent. Nobody uses it any more. */
void foreign_unmap(void *base, size_t size);
/* How many are still to be closed. */
unsigned foreign_waiting(enum foreign_account account);
/* How many there have been that may take as long as their sender likes: who sent some between two looks. */
uint64_t foreign_doubtful(enum foreign_account account);
/* For how long (ns) those who would make them more should be kept away: 0 where few are. */
uint64_t foreign_hold_off(enum foreign_account account);

#endif
