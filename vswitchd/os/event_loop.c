/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The event loop on libevent (event_loop.h): the only file that includes it.
 */
#include "vswitchd/os/event_loop.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <time.h>

struct event_loop {
    struct event_base *base;
};

struct event_watch {
    struct event_loop *loop;
    struct event *event;
    event_watch_function *function;
    void *context;
    unsigned events;
    int fd;
};

/* Timers, signals and calls are all one libevent event and one function. */
struct simple {
    struct event_loop *loop;
    struct event *event;
    event_function *function;
    void *context;
};

struct event_timer {
    struct simple simple;
    event_function *function;
    void *context;
    uint64_t deadline;
};

struct event_signal {
    struct simple simple;
};

struct event_call {
    struct simple simple;
};

struct event_loop *event_loop_create(void)
{
    struct event_loop *loop = calloc(1, sizeof(*loop));
    struct event_config *config = event_config_new();
    if (loop && config) {
        /* Not EVENT_BASE_FLAG_PRECISE_TIMER: that is a timerfd_settime() each round, for a clock this file need not trust. */
        event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
        loop->base = event_base_new_with_config(config);
    }
    if (config)
        event_config_free(config);
    if (loop && !loop->base) {
        free(loop);
        return NULL;
    }
    return loop;
}

void event_loop_destroy(struct event_loop *loop)
{
    if (!loop)
        return;
    event_base_free(loop->base);
    free(loop);
}

int event_loop_run(struct event_loop *loop)
{
    return event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY) < 0 ? EIO : 0;
}

void event_loop_once(struct event_loop *loop, bool wait)
{
    event_base_loop(loop->base, EVLOOP_ONCE | (wait ? 0 : EVLOOP_NONBLOCK));
}

void event_loop_stop(struct event_loop *loop)
{
    event_base_loopbreak(loop->base);
}

uint64_t event_loop_now(const struct event_loop *loop)
{
    struct timespec now;
    (void)loop;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * EVENT_LOOP_SECOND + (uint64_t)now.tv_nsec;
}

/* ---- descriptors ---- */

static void watch_fired(evutil_socket_t fd, short what, void *context)
{
    struct event_watch *watch = context;
    (void)fd;
    unsigned events = (what & EV_READ ? EVENT_READ : 0) | (what & EV_WRITE ? EVENT_WRITE : 0);
    watch->function(watch->context, events);
}

static int watch_arm(struct event_watch *watch)
{
    if (watch->events == 0)
        return 0;
    short what = (short)(EV_PERSIST | (watch->events & EVENT_READ ? EV_READ : 0) |
                         (watch->events & EVENT_WRITE ? EV_WRITE : 0));
    if (event_assign(watch->event, watch->loop->base, watch->fd, what, watch_fired, watch) < 0)
        return EINVAL;
    return event_add(watch->event, NULL) < 0 ? EIO : 0;
}

struct event_watch *event_watch_create(struct event_loop *loop, int fd, unsigned events, event_watch_function *function,
                                       void *context)
{
    struct event_watch *watch = calloc(1, sizeof(*watch));
    if (!watch)
        return NULL;
    *watch = (struct event_watch){.loop = loop, .function = function, .context = context, .events = events, .fd = fd};
    watch->event = event_new(loop->base, fd, EV_PERSIST, watch_fired, watch);
    if (!watch->event || watch_arm(watch) != 0) {
        event_watch_destroy(watch);
        return NULL;
    }
    return watch;
}

int event_watch_set(struct event_watch *watch, unsigned events)
{
    if (events == watch->events)
        return 0;
    if (watch->events)
        event_del(watch->event);
    watch->events = events;
    return watch_arm(watch);
}

void event_watch_destroy(struct event_watch *watch)
{
    if (!watch)
        return;
    if (watch->event)
        event_free(watch->event);
    free(watch);
}

/* ---- timers, signals, calls ---- */

static void simple_fired(evutil_socket_t fd, short what, void *context)
{
    struct simple *simple = context;
    (void)fd;
    (void)what;
    simple->function(simple->context);
}

static bool simple_init(struct simple *simple, struct event_loop *loop, int signal_number, short what,
                        event_function *function, void *context)
{
    *simple = (struct simple){.loop = loop, .function = function, .context = context};
    simple->event = event_new(loop->base, signal_number, what, simple_fired, simple);
    return simple->event != NULL;
}

/* libevent's clock is coarse: it may call some milliseconds early. */
static void timer_fired(void *context)
{
    struct event_timer *timer = context;
    if (event_loop_now(timer->simple.loop) < timer->deadline)
        event_timer_set(timer, timer->deadline);
    else
        timer->function(timer->context);
}

struct event_timer *event_timer_create(struct event_loop *loop, event_function *function, void *context)
{
    struct event_timer *timer = calloc(1, sizeof(*timer));
    if (!timer)
        return NULL;
    timer->function = function;
    timer->context = context;
    if (!simple_init(&timer->simple, loop, -1, 0, timer_fired, timer)) {
        free(timer);
        return NULL;
    }
    return timer;
}

int event_timer_set(struct event_timer *timer, uint64_t deadline)
{
    timer->deadline = deadline;
    uint64_t now = event_loop_now(timer->simple.loop);
    uint64_t wait_us = deadline > now ? (deadline - now + 999) / 1000 : 0;
    struct timeval wait = {.tv_sec = (time_t)(wait_us / 1000000), .tv_usec = (suseconds_t)(wait_us % 1000000)};
    return event_add(timer->simple.event, &wait) < 0 ? EIO : 0;
}

void event_timer_cancel(struct event_timer *timer)
{
    event_del(timer->simple.event);
}

void event_timer_destroy(struct event_timer *timer)
{
    if (!timer)
        return;
    event_free(timer->simple.event);
    free(timer);
}

struct event_signal *event_signal_create(struct event_loop *loop, int signal_number, event_function *function,
                                         void *context)
{
    struct event_signal *signal = calloc(1, sizeof(*signal));
    if (!signal)
        return NULL;
    if (!simple_init(&signal->simple, loop, signal_number, EV_SIGNAL | EV_PERSIST, function, context)) {
        free(signal);
        return NULL;
    }
    if (event_add(signal->simple.event, NULL) < 0) {
        event_signal_destroy(signal);
        return NULL;
    }
    return signal;
}

void event_signal_destroy(struct event_signal *signal)
{
    if (!signal)
        return;
    event_free(signal->simple.event);
    free(signal);
}

struct event_call *event_call_create(struct event_loop *loop, event_function *function, void *context)
{
    struct event_call *call = calloc(1, sizeof(*call));
    if (call && !simple_init(&call->simple, loop, -1, 0, function, context)) {
        free(call);
        return NULL;
    }
    return call;
}

void event_call_schedule(struct event_call *call)
{
    /* A timer of zero rather than event_active(): that would run in this very round, before descriptors get a turn. */
    const struct timeval soon = {0, 0};
    if (!event_pending(call->simple.event, EV_TIMEOUT, NULL))
        event_add(call->simple.event, &soon);
}

void event_call_cancel(struct event_call *call)
{
    event_del(call->simple.event);
}

void event_call_destroy(struct event_call *call)
{
    if (!call)
        return;
    event_free(call->simple.event);
    free(call);
}
