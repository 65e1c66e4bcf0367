/* SPDX-License-Identifier: BSD-2-Clause
 *
 * An end for system calls on a descriptor that a peer shares. O_NONBLOCK belongs to
 * the file, not to the descriptor, so the peer can take it away at any moment, and a
 * write to an eventfd (the kernel knows no RWF_NOWAIT there) then waits for the peer.
 *
 *     stall_guard_enter();
 *     n = write(fd, …);         -1 with EINTR: it has waited for a while
 *     stall_guard_leave();
 *
 * A timer of one thread, set at most once in 10 ms and only while such calls are made.
 */
#ifndef VSWITCHD_OS_STALL_GUARD_H
#define VSWITCHD_OS_STALL_GUARD_H

#include <signal.h>

/* For the calling thread, the one that makes these calls. 0 or errno; without it, calls are not guarded. */
int stall_guard_start(void);
void stall_guard_stop(void);

/* The implementation's. */
extern volatile sig_atomic_t stall_guard_inside, stall_guard_ticking, stall_guard_hard;
void stall_guard_tick(void);
void stall_guard_soften(void);

static inline void stall_guard_enter(void)
{
    stall_guard_inside = 1;
    if (!stall_guard_ticking)
        stall_guard_tick();
}

/* Leaves errno alone. */
static inline void stall_guard_leave(void)
{
    stall_guard_inside = 0;
    if (stall_guard_hard)
        stall_guard_soften();
}

#endif
