/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A client of the control sockets: its lines, its turns, what waits for it.
 *
 * Bounds: a line of input (CONTROL_LINE_MAX); while OUTPUT_HOLD bytes wait for a
 * client, none of its requests is read; events that would exceed OUTPUT_EVENTS
 * are counted and dropped, and the client is told once there is room.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proto/unix_socket.h"
#include "vswitchd/control/control_server_private.h"
#include "vswitchd/os/listener.h"
#include "vswitchd/os/slow_close.h"

enum {
    OUTPUT_HOLD = 256 << 10,
    OUTPUT_EVENTS = 512 << 10,
    READ_SIZE = 16384,
    LINES_A_TURN = 32,          /* Then the other clients and the data path. */
    BUSY_TURN = 2000000,        /* ns; after a longer one the client waits BUSY_FACTOR times as long, */
    AWAITED_EVERY = 1000000,    /* ns */
    BUSY_FACTOR = 4,            /* so that it has a fifth of the daemon's time at most. */
};

void control_client_close(struct client *c)
{
    if (c->next) {
        c->next->link = c->link;
    }
    *c->link = c->next;
    c->door->clients--;
    listener_resume(c->door->listener);
    event_watch_destroy(c->watch);
    event_timer_destroy(c->resume);
    foreign_close_socket(c->fd, c->door->account);
    control_input_free(&c->input);
    control_output_free(&c->output);
    free(c);
}

/* Interfaces that it has taken away are gone when it is told so, and before what it asks for next. */
static bool is_held(struct client *c)
{
    if (c->awaits && slow_close_done() >= c->awaits) {
        c->awaits = 0;
    }
    return c->awaits != 0;
}

/* What the loop should wake us for. */
static void client_watch(struct client *c)
{
    size_t pending = control_output_pending(&c->output);
    unsigned events = pending && !c->awaits ? EVENT_WRITE : 0;

    if (c->not_before > event_loop_now(c->server->loop)) {
        event_timer_set(c->resume, c->not_before);
    } else if (!c->ended && pending < OUTPUT_HOLD) {
        events |= EVENT_READ;
    }
    event_watch_set(c->watch, events);
}

static void tell_dropped(struct client *c)
{
    char text[160];
    int size;

    if (c->events_dropped == 0 || control_output_pending(&c->output) > OUTPUT_EVENTS / 2) {
        return;
    }
    size = snprintf(text, sizeof text,
                    "{\"jsonrpc\":\"2.0\",\"method\":\"events.dropped\",\"params\":{\"count\":%llu}}",
                    (unsigned long long)c->events_dropped);
    if (control_output_line(&c->output, text, (size_t)size)) {
        c->events_dropped = 0;
    }
}

bool control_client_write(struct client *c)
{
    while (!c->awaits && control_output_pending(&c->output)) {
        ssize_t n = send(c->fd, control_output_bytes(&c->output), control_output_pending(&c->output),
                         MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            break;
        }
        if (n <= 0) {
            control_client_close(c);
            return false;
        }
        control_output_consume(&c->output, (size_t)n);
        tell_dropped(c);
    }
    return true;
}

static bool client_answer(struct client *c, char *text)
{
    bool done = !text || control_output_line(&c->output, text, strlen(text));

    free(text);
    if (!done) {
        log_error("control: no memory for an answer to pid %u", c->session.pid);
        control_client_close(c);
    }
    return done;
}

static bool is_blank(const char *line, size_t size)
{
    while (size > 0 && (line[size - 1] == ' ' || line[size - 1] == '\t')) {
        size--;
    }
    return size == 0;
}

/* Handles the lines that are there, up to a turn's worth. False: the client is gone. */
static bool client_lines(struct client *c)
{
    const struct control_dispatch *d = c->server->dispatch;
    enum control_line got = CONTROL_LINE_NONE;
    uint64_t begun = slow_close_begun();
    const char *line;
    size_t size;

    for (unsigned turn = 0; turn < LINES_A_TURN && !c->awaits && control_output_pending(&c->output) < OUTPUT_HOLD; turn++) {
        got = control_input_next(&c->input, c->ended, &line, &size);
        if (got == CONTROL_LINE_NONE) {
            break;
        }
        if (got == CONTROL_LINE_READY && is_blank(line, size)) {
            continue;
        }
        if (!client_answer(c, got == CONTROL_LINE_TOO_LONG ? control_dispatch_too_long()
                                                           : control_dispatch(d, &c->session, line, size))) {
            return false;
        }
        if (slow_close_begun() != begun) {
            c->awaits = slow_close_begun();
        }
    }
    if (c->ended && got == CONTROL_LINE_NONE && c->session.topic_count == 0
        && control_output_pending(&c->output) == 0) {
        control_client_close(c);
        return false;
    }
    if (got != CONTROL_LINE_NONE && c->not_before == 0) {
        c->not_before = 1;      /* More is buffered, or an answer is held: soon. */
    }
    return true;
}

/* Time that this thread has computed, ns: waiting for the kernel to make a tap is nobody's fault. */
static uint64_t cpu_time(void)
{
    struct timespec used;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
    return (uint64_t)used.tv_sec * EVENT_LOOP_SECOND + (uint64_t)used.tv_nsec;
}

static void client_turn(struct client *c)
{
    uint64_t now = event_loop_now(c->server->loop), took = cpu_time();

    if (now < c->not_before) {
        client_watch(c);
        return;
    }
    if (is_held(c)) {
        c->not_before = now + AWAITED_EVERY;
        client_watch(c);
        return;
    }
    c->not_before = 0;
    if (!control_client_write(c) || !client_lines(c) || !control_client_write(c)) {
        return;
    }
    now = event_loop_now(c->server->loop);
    took = cpu_time() - took;
    if (c->not_before || took > BUSY_TURN) {
        c->not_before = now + BUSY_FACTOR * took;
    }
    if (c->ended && control_output_pending(&c->output) == 0) {
        c->not_before = c->not_before ? c->not_before : now;    /* Its end is seen there. */
    }
    if (c->not_before) {
        event_timer_set(c->resume, c->not_before);
    }
    client_watch(c);
}

static void client_resume(void *context)
{
    client_turn(context);
}

/* Closed for good, not only its sending half. */
static bool has_left(const struct client *c)
{
    struct pollfd fd = {.fd = c->fd};

    return poll(&fd, 1, 0) == 1 && (fd.revents & (POLLHUP | POLLERR));
}

/* Descriptors have no place here, and closing one may take long. */
static void tell_unwanted(const struct client *c)
{
    uint32_t more;

    if (log_limit_pass(&c->door->refusals, event_loop_now(c->server->loop), &more)) {
        log_warning("control: uid %u, pid %u sent a descriptor on %s: connection closed (%u more before)", c->session.uid,
                    c->session.pid, c->door->name, more);
    }
}

static void client_ready(void *context, unsigned events)
{
    struct client *c = context;
    char bytes[READ_SIZE];
    ssize_t n;

    if ((events & EVENT_WRITE) && !control_client_write(c)) {
        return;
    }
    if ((events & EVENT_READ) && !c->ended) {
        n = unix_socket_recv(c->fd, bytes, sizeof bytes);
        if (n < 0 && errno == EBADMSG) {
            tell_unwanted(c);
            control_client_close(c);
            return;
        }
        if (n < 0 && errno != EINTR && errno != EAGAIN) {
            control_client_close(c);
            return;
        }
        if (n == 0 && has_left(c)) {
            control_client_close(c);
            return;
        }
        if (n == 0) {
            c->ended = true;    /* It may still be reading: what it asked is answered. */
        } else if (n > 0 && !control_input_append(&c->input, bytes, (size_t)n)) {
            control_client_close(c);
            return;
        }
        c->heard = event_loop_now(c->server->loop);
    }
    client_turn(c);
}

void control_client_event(struct client *c, const char *text, size_t size)
{
    if (control_output_pending(&c->output) + size > OUTPUT_EVENTS || c->events_dropped
        || !control_output_line(&c->output, text, size)) {
        c->events_dropped++;
        tell_dropped(c);
        return;
    }
    client_watch(c);
}

struct client *control_client_create(struct door *door, int fd, const struct control_session *session)
{
    struct control_server *s = door->server;
    struct client *c = calloc(1, sizeof *c);

    if (!c) {
        return NULL;
    }
    c->server = s;
    c->door = door;
    c->fd = fd;
    c->session = *session;
    c->heard = event_loop_now(s->loop);
    control_input_init(&c->input, CONTROL_LINE_MAX);
    control_output_init(&c->output);
    c->watch = event_watch_create(s->loop, fd, EVENT_READ, client_ready, c);
    c->resume = event_timer_create(s->loop, client_resume, c);
    if (!c->watch || !c->resume) {
        event_watch_destroy(c->watch);
        event_timer_destroy(c->resume);
        free(c);
        return NULL;
    }
    c->next = s->clients;
    c->link = &s->clients;
    if (c->next) {
        c->next->link = &c->next;
    }
    s->clients = c;
    door->clients++;
    return c;
}
