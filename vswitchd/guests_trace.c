/* SPDX-License-Identifier: BSD-2-Clause
 *
 * guests.h: traces of guests' network cards. The lines come from the guest's
 * process over its control socket and go to the one reader that connects to a
 * socket made for it in the guest's directory. A reader that is slow holds back
 * the guest's socket alone: what is then left out is counted over there.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/unix_socket.h"
#include "vswitchd/guests_directory.h"
#include "vswitchd/guests_private.h"
#include "vswitchd/os/foreign.h"
#include "vswitchd/os/listener.h"

enum { TRACES_MAX = 16, TRACE_BUFFER = 64 << 10, CONNECT_TIMEOUT_S = 10 };

struct guest_trace {
    struct guests *guests;
    struct guest_trace *next;
    char name[CONFIG_GUEST_NAME_SIZE];
    unsigned id;
    struct listener *listener;  /* NULL once there is a reader. */
    int from, to;               /* The guest's control socket; the reader, -1 until it comes. */
    struct event_watch *from_watch, *to_watch;
    struct event_timer *timer;  /* Ends the wait for a reader. */
    bool over;                  /* The guest says no more. */
    size_t start, used;
    char buffer[TRACE_BUFFER];
};

static void socket_name(const struct guest_trace *t, char *text, size_t size)
{
    snprintf(text, size, "%s/trace%u.sock", t->name, t->id);
}

static void close_fd(int *fd)
{
    if (*fd >= 0) {
        foreign_close_socket(*fd, FOREIGN_READERS);
    }
    *fd = -1;
}

static void stop_listening(struct guest_trace *t)
{
    char name[CONFIG_GUEST_NAME_SIZE + 32];

    if (t->listener) {
        socket_name(t, name, sizeof name);
        (void)unlinkat(t->guests->directory_fd, name, 0);
    }
    listener_destroy(t->listener);
    t->listener = NULL;
}

static void end(struct guest_trace *t)
{
    struct guest_trace **link = &t->guests->traces;

    while (*link != t) {
        link = &(*link)->next;
    }
    *link = t->next;
    stop_listening(t);
    event_watch_destroy(t->to_watch);
    event_watch_destroy(t->from_watch);
    event_timer_destroy(t->timer);
    close_fd(&t->from);
    close_fd(&t->to);
    free(t);
}

void guests_traces_end(struct guests *guests)
{
    while (guests->traces) {
        end(guests->traces);
    }
}

/* Passes on what it has. False: the reader has gone, or all is said. */
static bool pass(struct guest_trace *t)
{
    while (t->used > 0) {
        ssize_t n = send(t->to, t->buffer + t->start, t->used, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            break;
        }
        if (n <= 0) {
            return false;
        }
        t->start += (size_t)n;
        t->used -= (size_t)n;
    }
    if (t->used == 0) {
        t->start = 0;
    }
    event_watch_set(t->to_watch, EVENT_READ | (t->used > 0 ? EVENT_WRITE : 0u));
    event_watch_set(t->from_watch, t->used == 0 && !t->over ? EVENT_READ : 0u);
    return t->used > 0 || !t->over;
}

static void guest_ready(void *context, unsigned events)
{
    struct guest_trace *t = context;
    ssize_t n = recv(t->from, t->buffer, sizeof t->buffer, MSG_DONTWAIT);

    (void)events;
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
    }
    t->start = 0;
    t->used = n > 0 ? (size_t)n : 0;
    t->over = n <= 0;
    if (!pass(t)) {
        end(t);
    }
}

static void reader_ready(void *context, unsigned events)
{
    struct guest_trace *t = context;
    char byte;
    ssize_t n;

    if (events & EVENT_READ) {
        n = unix_socket_recv(t->to, &byte, 1);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            end(t);
            return;
        }
    }
    if (!pass(t)) {
        end(t);
    }
}

static void reader_came(void *context, int fd)
{
    struct guest_trace *t = context;

    t->to = fd;
    stop_listening(t);
    event_timer_cancel(t->timer);
    t->to_watch = event_watch_create(t->guests->config.loop, t->to, EVENT_READ, reader_ready, t);
    t->from_watch = event_watch_create(t->guests->config.loop, t->from, EVENT_READ, guest_ready, t);
    if (!t->to_watch || !t->from_watch) {
        end(t);
    }
}

static void no_reader(void *context)
{
    end(context);
}

static int listen_for_reader(struct guest_trace *t)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct listener_events events = {.context = t, .name = "trace", .accepted = reader_came};
    struct event_loop *loop = t->guests->config.loop;
    char name[CONFIG_GUEST_NAME_SIZE + 32];
    mode_t mask;
    int result = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        return errno;
    }
    socket_name(t, name, sizeof name);
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", t->guests->directory_fd, name);
    mask = umask(0117);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1) != 0) {
        result = errno;
    }
    umask(mask);
    if (result == 0) {
        t->timer = event_timer_create(loop, no_reader, t);
        t->listener = t->timer ? listener_create(loop, fd, &events) : NULL;
        result = t->listener ? 0 : ENOMEM;
    }
    if (result != 0) {
        close(fd);
        (void)unlinkat(t->guests->directory_fd, name, 0);
        return result;
    }
    event_timer_set(t->timer, event_loop_now(loop) + CONNECT_TIMEOUT_S * EVENT_LOOP_SECOND);
    return 0;
}

static unsigned count(const struct guests *guests)
{
    unsigned n = 0;

    for (const struct guest_trace *t = guests->traces; t; t = t->next) {
        n++;
    }
    return n;
}

int guests_trace(struct guests *guests, const char *name, const struct guests_trace_options *options, char *path,
                 size_t size, struct config_apply_error *error)
{
    struct guest *g = guest_find_running(guests, name, error);
    struct guest_trace *t;
    char command[40], file[CONFIG_GUEST_NAME_SIZE + 32];
    int result;

    if (!g) {
        return error->number;
    }
    if (options->nic >= g->running.nic_count) {
        return guest_no_nic(g, options->nic, error);
    }
    if (count(guests) >= TRACES_MAX) {
        return config_apply_fail(error, ENOSPC, "there are %d traces already", TRACES_MAX);
    }
    t = malloc(sizeof *t);
    if (!t) {
        return config_apply_fail(error, ENOMEM, "out of memory");
    }
    memset(t, 0, offsetof(struct guest_trace, buffer));
    t->guests = guests;
    t->id = ++guests->last_trace;
    t->from = t->to = -1;
    snprintf(t->name, sizeof t->name, "%s", g->config.name);
    t->next = guests->traces;
    guests->traces = t;
    snprintf(command, sizeof command, "trace %u%s%s\n", options->nic, options->strict ? " strict" : "",
             options->rules ? " rules" : "");
    result = guest_directory_ask(guests->directory_fd, name, command, &t->from);
    result = result ? result : listen_for_reader(t);
    if (result != 0) {
        end(t);
        return config_apply_fail(error, result, "guest %s: cannot trace: %s", name, strerror(result));
    }
    socket_name(t, file, sizeof file);
    snprintf(path, size, "%s/guests/%s", guests->config.run_dir, file);
    return 0;
}
