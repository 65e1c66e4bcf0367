/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The life of the vCPU's thread: runs the engine, and at each of its exits
 * looks after timers, NICs, console and control.
 *
 * Who wakes the vCPU. In HLT it sleeps in ppoll() itself. While it runs, a
 * POSIX timer aimed at this very thread asks it to come out at the next
 * deadline; while frames flow it looks at the rings itself that often and the
 * switch is asked not to call; only when it has run for a while without
 * traffic is the second thread (waker.h) armed to watch the descriptors.
 */
#ifndef GUEST_RUN_LOOP_H
#define GUEST_RUN_LOOP_H

#include "guest/console.h"
#include "guest/guest_nic.h"
#include "x86vm/pc/pc.h"
#include "x86vm/record.h"
#include "x86vm/x86vm.h"

struct run_loop;

struct run_loop_parts {
    const char *name;
    struct x86vm *vm;
    struct pc *pc;
    struct console *console;
    struct guest_nic *nic[OPTIONS_NICS_MAX];
    unsigned nic_count;
    int control_listener;           /* taken over; -1: none */
    int signals;                    /* signalfd: readable when the process shall stop */
    unsigned stop_timeout_s;        /* how long a guest may take to power off when told to; 0: it is not told */
    unsigned idle_slack_ms;         /* how late ticks of an idle guest may be (idle.h) */
    void (*log)(const char *line);
};

/* Exit codes of the process. */
enum { EXIT_POWER_OFF = 0, EXIT_FAILURE_TO_START = 1, EXIT_USAGE = 2, EXIT_TRIPLE_FAULT = 3, EXIT_REBOOT = 4,
       EXIT_KILLED = 137 };

/* On the thread that will run it, before the sandbox closes. NULL with a reason in `error`. */
struct run_loop *run_loop_new(const struct run_loop_parts *parts, char *error, size_t error_size);
void run_loop_free(struct run_loop *loop);

/* From now on, a recording is written; NULL: none. Ended with the run. */
void run_loop_record(struct run_loop *loop, struct record *record);

/* Leave x86vm_run() soon; the vCPU's thread or a signal handler on it, or the waker. */
void run_loop_attention(void *loop);

/* Until the guest or somebody outside ends it; the process's exit code. */
int run_loop_run(struct run_loop *loop);

#endif
