/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The event loop: descriptors, timers, signals and deferred calls, all on one
 * thread. libevent is inside event_loop.c and nowhere else. Time is in
 * nanoseconds of CLOCK_MONOTONIC.
 */
#ifndef VSWITCHD_OS_EVENT_LOOP_H
#define VSWITCHD_OS_EVENT_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#define EVENT_LOOP_SECOND UINT64_C(1000000000)

struct event_loop;
struct event_watch;
struct event_timer;
struct event_signal;
struct event_call;

struct event_loop *event_loop_create(void); /* NULL: no memory or descriptors */
void event_loop_destroy(struct event_loop *loop);
/* Runs until event_loop_stop(). 0 or errno. */
int event_loop_run(struct event_loop *loop);
/* One round: handles what is ready; waits for something first if `wait`. */
void event_loop_once(struct event_loop *loop, bool wait);
void event_loop_stop(struct event_loop *loop);
uint64_t event_loop_now(const struct event_loop *loop);

/* A descriptor. Level-triggered: called again while the condition holds. Hang-up and error count as what is watched. */
enum event_watch_events { EVENT_READ = 1, EVENT_WRITE = 2 };
typedef void event_watch_function(void *context, unsigned events);
struct event_watch *event_watch_create(struct event_loop *loop, int fd, unsigned events, event_watch_function *function,
                                       void *context);
int event_watch_set(struct event_watch *watch, unsigned events); /* 0: none for now */
void event_watch_destroy(struct event_watch *watch);             /* does not close fd; NULL is fine */

/* A one-shot timer; set it again, also from its own function. A deadline in the past is soon. */
typedef void event_function(void *context);
struct event_timer *event_timer_create(struct event_loop *loop, event_function *function, void *context);
int event_timer_set(struct event_timer *timer, uint64_t deadline);
void event_timer_cancel(struct event_timer *timer);
void event_timer_destroy(struct event_timer *timer);

/* A signal, delivered as an ordinary call on the loop's thread. */
struct event_signal *event_signal_create(struct event_loop *loop, int signal_number, event_function *function,
                                         void *context);
void event_signal_destroy(struct event_signal *signal);

/* A call made once in the next round, however often it is scheduled until then. */
struct event_call *event_call_create(struct event_loop *loop, event_function *function, void *context);
void event_call_schedule(struct event_call *call);
void event_call_cancel(struct event_call *call);
void event_call_destroy(struct event_call *call);

#endif
