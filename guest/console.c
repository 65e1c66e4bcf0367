/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Console: see console.h. Output goes into one ring; each client has its own
 * position in the stream.
 */
#include "guest/console.h"

#include "guest/closer.h"
#include "proto/unix_socket.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

struct client {
    int in, out;       /* the same descriptor for sockets; -1: free, or at its end */
    uint64_t position; /* bytes of the stream that it has had */
    bool blocked;      /* takes no more at present */
};

struct console {
    int listener;
    uint8_t ring[CONSOLE_HISTORY];
    uint64_t written;  /* bytes of the stream so far */
    uint64_t flushed;
    struct client client[CONSOLE_CLIENTS + 1]; /* the last one is standard input and output */
};

struct console *console_new(int listener, bool with_stdio)
{
    struct console *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->listener = listener;
    for (unsigned i = 0; i <= CONSOLE_CLIENTS; i++)
        c->client[i].in = c->client[i].out = -1;
    if (with_stdio) {
        c->client[CONSOLE_CLIENTS].in = STDIN_FILENO;
        c->client[CONSOLE_CLIENTS].out = STDOUT_FILENO;
    }
    return c;
}

static void drop(struct console *c, struct client *client)
{
    if (client != &c->client[CONSOLE_CLIENTS])
        closer_close(client->out);
    client->in = client->out = -1;
}

void console_free(struct console *c)
{
    if (!c)
        return;
    for (unsigned i = 0; i < CONSOLE_CLIENTS; i++)
        if (c->client[i].out >= 0)
            drop(c, &c->client[i]);
    closer_close(c->listener);
    free(c);
}

bool console_output(struct console *c, uint8_t byte)
{
    bool first = c->written == c->flushed;

    c->ring[c->written++ % CONSOLE_HISTORY] = byte;
    return first;
}

bool console_has_output(const struct console *c)
{
    return c->written != c->flushed;
}

uint64_t console_bytes(const struct console *c)
{
    return c->written;
}

static void feed(struct console *c, struct client *client)
{
    client->blocked = false;
    if (c->written - client->position > CONSOLE_HISTORY)
        client->position = c->written - CONSOLE_HISTORY;
    while (client->out >= 0 && client->position < c->written) {
        size_t from = client->position % CONSOLE_HISTORY, size = c->written - client->position;
        ssize_t done;

        if (size > CONSOLE_HISTORY - from)
            size = CONSOLE_HISTORY - from;
        done = write(client->out, c->ring + from, size);
        if (done > 0) {
            client->position += (uint64_t)done;
        } else if (done < 0 && (errno == EAGAIN || errno == EINTR)) {
            client->blocked = errno == EAGAIN;
            return;
        } else {
            drop(c, client);
        }
    }
}

void console_flush(struct console *c)
{
    for (unsigned i = 0; i <= CONSOLE_CLIENTS; i++)
        if (c->client[i].out >= 0)
            feed(c, &c->client[i]);
    c->flushed = c->written;
}

unsigned console_poll(const struct console *c, struct pollfd fds[CONSOLE_FDS], bool want_input)
{
    unsigned count = 0;

    if (c->listener >= 0 && !closer_is_full())
        fds[count++] = (struct pollfd){ .fd = c->listener, .events = POLLIN };
    for (unsigned i = 0; i <= CONSOLE_CLIENTS; i++) {
        const struct client *client = &c->client[i];
        short events = (short)((client->blocked ? POLLOUT : 0) | (want_input && client->in >= 0 ? POLLIN : 0));
        if (client->out < 0 || (i == CONSOLE_CLIENTS && !events))
            continue;
        fds[count++] = (struct pollfd){ .fd = client->blocked || client->in < 0 ? client->out : client->in,
                                        .events = events };
    }
    return count;
}

static void accept_clients(struct console *c)
{
    int fd;

    while (c->listener >= 0 && !closer_is_full() && (fd = accept4(c->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        unsigned i = 0;
        while (i < CONSOLE_CLIENTS && c->client[i].out >= 0)
            i++;
        if (i == CONSOLE_CLIENTS) {
            closer_close(fd);
            continue;
        }
        c->client[i] = (struct client){ .in = fd, .out = fd };
        c->client[i].position = c->written > CONSOLE_HISTORY ? c->written - CONSOLE_HISTORY : 0;
    }
}

/* A client's input; standard input may block, so it is asked first. */
static size_t take_input(struct console *c, struct client *client, uint8_t *buffer, size_t room)
{
    struct pollfd ready = { .fd = client->in, .events = POLLIN };
    const struct timespec at_once = { 0, 0 };
    bool from_stdin = client == &c->client[CONSOLE_CLIENTS];
    ssize_t got;

    if (ppoll(&ready, 1, &at_once, NULL) <= 0 || !(ready.revents & (POLLIN | POLLHUP | POLLERR)))
        return 0;
    got = from_stdin ? read(client->in, buffer, room) : unix_socket_recv(client->in, buffer, room);
    if (got > 0)
        return (size_t)got;
    if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        if (from_stdin)
            client->in = -1; /* the end of standard input is not the end of the console */
        else
            drop(c, client);
    }
    return 0;
}

size_t console_service(struct console *c, uint8_t *buffer, size_t room)
{
    size_t got = 0;

    accept_clients(c);
    console_flush(c);
    for (unsigned i = 0; i <= CONSOLE_CLIENTS && got < room; i++)
        if (c->client[i].in >= 0)
            got += take_input(c, &c->client[i], buffer + got, room - got);
    return got;
}
