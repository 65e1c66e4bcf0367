/* SPDX-License-Identifier: BSD-2-Clause
 *
 * listener.h.
 */
#include "vswitchd/os/listener.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vswitchd/os/foreign.h"
#include "vswitchd/os/log.h"

#define TRY_AGAIN (EVENT_LOOP_SECOND / 10)

struct listener {
    struct event_loop *loop;
    struct event_watch *watch;
    struct event_timer *again;
    struct listener_events events;
    struct log_limit log_limit;
    char name[64];
    int fd;
    bool paused;
    bool waiting; /* until the timer is over */
};

static void follow(struct listener *listener)
{
    event_watch_set(listener->watch, listener->paused || listener->waiting ? 0 : EVENT_READ);
}

static bool is_shortage(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

static void wait_a_while(struct listener *listener, int error)
{
    uint64_t now = event_loop_now(listener->loop);
    uint32_t suppressed = 0;

    listener_hold_off(listener, TRY_AGAIN);
    if (log_limit_pass(&listener->log_limit, now, &suppressed))
        log_warning("%s: who wants to connect has to wait: %s", listener->name, strerror(error));
}

static int accept_one(const struct listener *listener)
{
    return accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static void ready(void *context, unsigned events)
{
    struct listener *listener = context;
    int fd;

    (void)events;
    if (listener->events.admit && !listener->events.admit(listener->events.context)) {
        listener->paused = true;
        follow(listener);
        return;
    }
    fd = accept_one(listener);
    if (fd < 0 && is_shortage(errno) && listener->events.make_room && listener->events.make_room(listener->events.context))
        fd = accept_one(listener);
    if (fd >= 0)
        listener->events.accepted(listener->events.context, fd);
    else if (is_shortage(errno))
        wait_a_while(listener, errno);
}

static void try_again(void *context)
{
    struct listener *listener = context;

    listener->waiting = false;
    follow(listener);
}

struct listener *listener_create(struct event_loop *loop, int fd, const struct listener_events *events)
{
    struct listener *listener = calloc(1, sizeof(*listener));

    if (!listener)
        return NULL;
    listener->loop = loop;
    listener->fd = -1;
    listener->events = *events;
    listener->log_limit = (struct log_limit){ .period = 60 * EVENT_LOOP_SECOND, .burst = 1 };
    snprintf(listener->name, sizeof(listener->name), "%s", events->name);
    listener->again = event_timer_create(loop, try_again, listener);
    listener->watch = event_watch_create(loop, fd, EVENT_READ, ready, listener);
    if (!listener->again || !listener->watch) {
        listener_destroy(listener);
        return NULL;
    }
    listener->fd = fd;
    return listener;
}

void listener_resume(struct listener *listener)
{
    listener->paused = false;
    follow(listener);
}

void listener_hold_off(struct listener *listener, uint64_t time)
{
    listener->waiting = true;
    follow(listener);
    event_timer_set(listener->again, event_loop_now(listener->loop) + time);
}

void listener_destroy(struct listener *listener)
{
    if (!listener)
        return;
    event_watch_destroy(listener->watch);
    event_timer_destroy(listener->again);
    if (listener->fd >= 0)
        foreign_close(listener->fd, FOREIGN_READERS);
    free(listener);
}
