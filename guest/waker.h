/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The second thread: while the vCPU runs guest code, it sleeps on the same
 * descriptors and, when one is ready, does one thing: calls back (to request
 * the vCPU's exit). Then it waits until it is armed again. It touches no
 * other state.
 */
#ifndef GUEST_WAKER_H
#define GUEST_WAKER_H

#include <poll.h>
#include <stdbool.h>

struct waker;

enum { WAKER_FDS_MAX = 64 };

/* Starts the thread, with all signals blocked in it. 0 or errno. */
int waker_start(void (*call)(void *opaque), void *opaque, struct waker **waker);

/* The rest on the vCPU's thread. Arming an armed waker does nothing. */
void waker_arm(struct waker *waker, const struct pollfd *fds, unsigned count);
bool waker_is_armed(const struct waker *waker);
/* The set of descriptors changed: an armed waker fires at once, to be armed anew. */
void waker_disturb(struct waker *waker);
void waker_stop(struct waker *waker); /* ends the thread and frees it; accepts NULL */

#endif
