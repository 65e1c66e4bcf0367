/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What run_loop.c and run_loop_control.c share; nobody else includes it.
 */
#ifndef GUEST_RUN_LOOP_PRIVATE_H
#define GUEST_RUN_LOOP_PRIVATE_H

#include "guest/alarm.h"
#include "guest/control.h"
#include "guest/idle.h"
#include "guest/run_loop.h"
#include "guest/stats.h"
#include "guest/waker.h"

enum { FDS_MAX = CONSOLE_FDS + CONTROL_FDS + 1 + OPTIONS_NICS_MAX * PORT_LINK_FDS };

_Static_assert((int)FDS_MAX <= (int)WAKER_FDS_MAX, "the waker must hold the whole set");

/* Times are the PC's, ns: pc_now(). */
struct run_loop {
    struct run_loop_parts parts;
    struct control *control;
    struct record *record;    /* NULL: none */
    struct waker *waker;
    struct alarm alarm;
    bool looking;             /* while frames flow: the switch was told not to call */
    uint64_t started;
    uint64_t running_since;   /* end of the last HLT */
    uint64_t rest_look_at;    /* when to see how idle the guest has been, */
    uint64_t rest_idle_ns;    /* since it had been idle for so long */
    struct stats_time time;   /* uptime and samples only when asked for */
    struct idle idle;
    uint64_t last_traffic;
    uint64_t console_at;      /* when gathered output is to be written; PC_NEVER: none */
    uint64_t housekeeping_at;
    uint64_t housekept;       /* when it was last done */
    bool input_waits;         /* a client may have more than the UART took */
    bool check_nics;          /* a NIC's descriptor may be ready, */
    bool check_others;        /* one of the others */
    bool watched;             /* the waker was armed, with the set below */
    struct pollfd watched_fds[FDS_MAX];
    unsigned watched_count;
    uint64_t stop_at;         /* the guest was told to power off, and is ended by then; PC_NEVER: not told */
    const char *stop_reason;
    bool ended;
    int exit_code;
};

/* What the control socket asks of the guest, but for its end. */
struct control *run_loop_control_new(struct run_loop *l);

#endif
