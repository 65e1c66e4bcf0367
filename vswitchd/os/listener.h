/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A listening socket in the event loop. Its descriptor stays ready while somebody
 * waits, so where accept() fails for lack of descriptors or memory a plain watch
 * would be called for ever: here the rest of the process gets its turn meanwhile.
 */
#ifndef VSWITCHD_OS_LISTENER_H
#define VSWITCHD_OS_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "vswitchd/os/event_loop.h"

struct listener;

struct listener_events {
    void *context;
    const char *name;                        /* For the log; copied. */
    /* Somebody has come: `fd`, non-blocking and closed on exec, is the callee's. The listener may be destroyed. */
    void (*accepted)(void *context, int fd);
    /* Asked before: false, and nobody is accepted until listener_resume(). NULL: everybody is welcome. */
    bool (*admit)(void *context);
    /* There is no descriptor or memory for who waits: true where something was given back, and it is to be tried again at
     * once. NULL: nothing can be. */
    bool (*make_room)(void *context);
};

/* Takes over the descriptor, but not where it answers NULL (no memory). */
struct listener *listener_create(struct event_loop *loop, int fd, const struct listener_events *events);
/* Whom admit() refused waits in the backlog, and is admitted again. */
void listener_resume(struct listener *listener);
/* Accepts nobody for so long (ns). */
void listener_hold_off(struct listener *listener, uint64_t time);
void listener_destroy(struct listener *listener); /* Closes the descriptor; NULL is fine. */

#endif
