/* SPDX-License-Identifier: BSD-2-Clause
 *
 * stall_guard.h. The first tick that finds a call under way has the next one
 * interrupt it: until then the signal's handler has system calls restarted, so that
 * those of others, which a tick may meet, do not fail. (poll() and the like end with
 * EINTR whatever a handler wants.) State of the process, as signals are.
 */
#include "vswitchd/os/stall_guard.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define TICK_NS 10000000
#define TICK_SIGNAL SIGRTMIN

volatile sig_atomic_t stall_guard_inside, stall_guard_ticking, stall_guard_hard;
static bool started;
static timer_t timer;

static void on_tick(int number);

static int set_handler(int flags)
{
    struct sigaction action = { .sa_handler = on_tick, .sa_flags = flags };

    sigemptyset(&action.sa_mask);
    return sigaction(TICK_SIGNAL, &action, NULL) ? errno : 0;
}

void stall_guard_tick(void)
{
    const struct itimerspec once = { .it_value.tv_nsec = TICK_NS };

    if (!started)
        return;
    stall_guard_ticking = 1;
    timer_settime(timer, 0, &once, NULL);
}

static void on_tick(int number)
{
    int saved = errno;

    (void)number;
    stall_guard_ticking = 0;
    if (stall_guard_inside) {
        stall_guard_hard = set_handler(0) == 0;
        stall_guard_tick();
    }
    errno = saved;
}

void stall_guard_soften(void)
{
    int saved = errno;

    stall_guard_hard = 0;
    set_handler(SA_RESTART);
    errno = saved;
}

int stall_guard_start(void)
{
    struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = TICK_SIGNAL };
    int error = set_handler(SA_RESTART);

    event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    if (error || timer_create(CLOCK_MONOTONIC, &event, &timer))
        return error ? error : errno;
    started = true;
    return 0;
}

void stall_guard_stop(void)
{
    if (started)
        timer_delete(timer);
    started = false;
    stall_guard_ticking = 0;
}
