/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Alarm: see alarm.h.
 */
#include "guest/alarm.h"

#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>

#define NS_PER_S 1000000000u

static struct x86vm *target; /* for the signal handler */
static volatile uint64_t taken[STATS_PLACES];

static void on_signal(int number, siginfo_t *info, void *context)
{
    const ucontext_t *interrupted = context;
    bool translated = x86vm_is_translated(target, (uintptr_t)interrupted->uc_mcontext.gregs[REG_RIP]);

    (void)number, (void)info;
    taken[!translated ? STATS_C : x86vm_is_user(target) ? STATS_USER : STATS_KERNEL]++;
    x86vm_interrupted(target, context);
}

bool alarm_start(struct alarm *a, struct x86vm *vm)
{
    struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN };
    struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_RESTART | SA_SIGINFO | SA_ONSTACK };

    target = vm;
    a->at = ALARM_NEVER;
    event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
    return sigaction(SIGRTMIN, &action, NULL) == 0 && timer_create(CLOCK_MONOTONIC, &event, &a->timer) == 0;
}

void alarm_move(struct alarm *a, uint64_t at)
{
    const struct itimerspec spec = { .it_value = { (time_t)(at / NS_PER_S), (long)(at % NS_PER_S) } };

    a->at = at;
    timer_settime(a->timer, TIMER_ABSTIME, &spec, NULL);
}

void alarm_set(struct alarm *a, uint64_t now, uint64_t at)
{
    if (a->at <= now)
        a->at = ALARM_NEVER; /* it has gone off, or is about to */
    if (at < a->at || (at > a->at && a->at - now < (at - now) / 2))
        alarm_move(a, at);
}

void alarm_samples(uint64_t samples[STATS_PLACES])
{
    for (unsigned i = 0; i < STATS_PLACES; i++)
        samples[i] = taken[i];
}
