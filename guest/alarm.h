/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The vCPU's alarm: a POSIX timer aimed at its own thread, whose signal asks the
 * engine to come out. Where the signal meets the thread is counted, for
 * stats.h. One a process, as there is one engine.
 */
#ifndef GUEST_ALARM_H
#define GUEST_ALARM_H

#include "guest/stats.h"
#include "x86vm/x86vm.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define ALARM_NEVER UINT64_MAX

struct alarm {
    timer_t timer;
    uint64_t at; /* ns of CLOCK_MONOTONIC; ALARM_NEVER: off, or it has gone off */
};

/* On the thread that will run `vm`. False, with errno, where there is no timer. */
bool alarm_start(struct alarm *a, struct x86vm *vm);

/* It is to go off at that time. */
void alarm_move(struct alarm *a, uint64_t at);
/* The same, at `at` or somewhat before: where it comes too early there is nothing to
 * do, which is cheaper than to move it; near its time moving it is cheaper. */
void alarm_set(struct alarm *a, uint64_t now, uint64_t at);

void alarm_samples(uint64_t samples[STATS_PLACES]);

#endif
