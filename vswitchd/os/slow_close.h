/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Closes descriptors that the kernel takes long to let go of: the last one of a tap takes
 * its interface with it, some 20 ms each time. A thread does it, one after the other.
 * Who has to know that it is done counts: what was begun so far is done as soon as as many are.
 */
#ifndef VSWITCHD_OS_SLOW_CLOSE_H
#define VSWITCHD_OS_SLOW_CLOSE_H

#include <stdint.h>

/* Starts the thread; before the system-call filter closes. Without it all is closed at once. 0 or errno. */
int slow_close_start(void);
void slow_close(int fd);
/* How many there were, and how many of them are closed. */
uint64_t slow_close_begun(void);
uint64_t slow_close_done(void);
/* Until all are. */
void slow_close_wait(void);

#endif
