/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Control socket: see control.h.
 */
#include "guest/control.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINE_MAX_SIZE = 256 };

struct client {
    int fd; /* -1: free */
    char line[LINE_MAX_SIZE];
    size_t used;
};

struct control {
    int listener;
    size_t (*stats)(void *opaque, char *out, size_t size);
    void *opaque;
    struct client client[CONTROL_CLIENTS];
    enum control_request request;
};

struct control *control_new(int listener, size_t (*stats)(void *opaque, char *out, size_t size), void *opaque)
{
    struct control *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->listener = listener;
    c->stats = stats;
    c->opaque = opaque;
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        c->client[i].fd = -1;
    return c;
}

static void drop(struct client *client)
{
    close(client->fd);
    client->fd = -1;
    client->used = 0;
}

void control_free(struct control *c)
{
    if (!c)
        return;
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        if (c->client[i].fd >= 0)
            drop(&c->client[i]);
    if (c->listener >= 0)
        close(c->listener);
    free(c);
}

/* An answer that the client's socket does not take whole ends the connection. */
static void answer(struct client *client, const char *text, size_t size)
{
    if (write(client->fd, text, size) != (ssize_t)size)
        drop(client);
}

static void execute(struct control *c, struct client *client, const char *command)
{
    static const char ok[] = "{\"ok\":true}\n", unknown[] = "{\"error\":\"unknown command: stats, stop, kill\"}\n";
    char text[CONTROL_ANSWER_MAX];
    size_t size;

    if (!strcmp(command, "stats")) {
        size = c->stats(c->opaque, text, sizeof text - 1);
        text[size++] = '\n';
        answer(client, text, size);
    } else if (!strcmp(command, "stop") || !strcmp(command, "kill")) {
        c->request = command[0] == 's' ? CONTROL_STOP : CONTROL_KILL;
        answer(client, ok, sizeof ok - 1);
    } else {
        answer(client, unknown, sizeof unknown - 1);
    }
}

static void execute_lines(struct control *c, struct client *client)
{
    char *end;

    while (client->fd >= 0 && (end = memchr(client->line, '\n', client->used))) {
        size_t length = (size_t)(end - client->line);
        char command[LINE_MAX_SIZE];

        memcpy(command, client->line, length);
        command[length && command[length - 1] == '\r' ? length - 1 : length] = 0;
        client->used -= length + 1;
        memmove(client->line, end + 1, client->used);
        execute(c, client, command);
    }
}

static void serve(struct control *c, struct client *client)
{
    ssize_t got = read(client->fd, client->line + client->used, sizeof client->line - client->used);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        drop(client);
        return;
    }
    client->used += (size_t)got;
    execute_lines(c, client);
    if (client->fd >= 0 && client->used == sizeof client->line)
        drop(client); /* no command is that long */
}

static void accept_clients(struct control *c)
{
    int fd;

    while (c->listener >= 0 && (fd = accept4(c->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        unsigned i = 0;
        while (i < CONTROL_CLIENTS && c->client[i].fd >= 0)
            i++;
        if (i == CONTROL_CLIENTS)
            close(fd);
        else
            c->client[i] = (struct client){ .fd = fd };
    }
}

unsigned control_poll(const struct control *c, struct pollfd fds[CONTROL_FDS])
{
    unsigned count = 0;

    if (c->listener >= 0)
        fds[count++] = (struct pollfd){ .fd = c->listener, .events = POLLIN };
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        if (c->client[i].fd >= 0)
            fds[count++] = (struct pollfd){ .fd = c->client[i].fd, .events = POLLIN };
    return count;
}

enum control_request control_service(struct control *c)
{
    accept_clients(c);
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        if (c->client[i].fd >= 0)
            serve(c, &c->client[i]);
    return c->request;
}
