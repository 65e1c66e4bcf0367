/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Control socket: see control.h.
 */
#include "guest/control.h"

#include "guest/control_stream.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINE_MAX_SIZE = 256 };

struct client {
    int fd; /* -1: free */
    char line[LINE_MAX_SIZE];
    size_t used;
    bool gone;                     /* it takes no more answers; what it has asked for is done all the same */
    struct control_stream *stream; /* of a trace; NULL: none */
    unsigned traced;               /* the card */
};

struct control {
    int listener;
    struct control_calls calls;
    struct client client[CONTROL_CLIENTS];
    enum control_request request;
};

struct control *control_new(int listener, const struct control_calls *calls)
{
    struct control *c = calloc(1, sizeof *c);

    if (!c)
        return NULL;
    c->listener = listener;
    c->calls = *calls;
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        c->client[i].fd = -1;
    return c;
}

static void drop(struct control *c, struct client *client)
{
    if (client->stream) {
        c->calls.trace(c->calls.opaque, client->traced, false, NULL, NULL);
        control_stream_flush(client->stream);
        control_stream_free(client->stream);
        client->stream = NULL;
    }
    close(client->fd);
    client->fd = -1;
    client->used = 0;
    client->gone = false;
}

void control_free(struct control *c)
{
    if (!c)
        return;
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        if (c->client[i].fd >= 0)
            drop(c, &c->client[i]);
    if (c->listener >= 0)
        close(c->listener);
    free(c);
}

/* An answer that the client's socket does not take whole ends the connection. */
static void answer(struct client *client, const char *text, size_t size)
{
    if (!client->gone && write(client->fd, text, size) != (ssize_t)size)
        client->gone = true;
}

/* {"ok":true}, or what is wrong. */
static void answer_result(struct client *client, const char *wrong)
{
    char text[256];
    int size = snprintf(text, sizeof text, wrong ? "{\"error\":\"%s\"}\n" : "{\"ok\":true}\n", wrong);

    answer(client, text, (size_t)size);
}

static void on_stats(struct control *c, struct client *client, const char *words)
{
    char text[CONTROL_ANSWER_MAX];
    size_t size = c->calls.stats(c->calls.opaque, text, sizeof text - 1);

    (void)words;
    text[size++] = '\n';
    answer(client, text, size);
}

static void on_stop(struct control *c, struct client *client, const char *words)
{
    (void)words;
    c->request = CONTROL_STOP;
    answer_result(client, NULL);
}

static void on_kill(struct control *c, struct client *client, const char *words)
{
    (void)words;
    c->request = CONTROL_KILL;
    answer_result(client, NULL);
}

static void on_link(struct control *c, struct client *client, const char *words)
{
    char state[8];
    unsigned nic;
    int used = 0;

    if (sscanf(words, "%u %7s%n", &nic, state, &used) != 2 || words[used] || (strcmp(state, "up") && strcmp(state, "down")))
        answer_result(client, "link NIC up or link NIC down is meant");
    else
        answer_result(client, c->calls.set_link(c->calls.opaque, nic, !strcmp(state, "up")));
}

static void trace_line(void *opaque, const char *text)
{
    struct client *client = opaque;

    control_stream_line(client->stream, text);
}

static const char *start_trace(struct control *c, struct client *client, unsigned nic, bool strict, bool rules)
{
    const char *wrong;

    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        if (c->client[i].fd >= 0 && c->client[i].stream && c->client[i].traced == nic)
            return "this card is being traced already";
    client->stream = control_stream_new(client->fd, rules);
    if (!client->stream)
        return "no memory";
    client->traced = nic;
    wrong = c->calls.trace(c->calls.opaque, nic, strict, trace_line, client);
    if (wrong) {
        control_stream_free(client->stream);
        client->stream = NULL;
    }
    return wrong;
}

static void on_trace(struct control *c, struct client *client, const char *words)
{
    char first[8] = "", second[8] = "";
    unsigned nic;
    int count = sscanf(words, "%u %7s %7s", &nic, first, second);
    bool strict = !strcmp(first, "strict"), rules = !strcmp(first, "rules") || !strcmp(second, "rules");
    bool good = count >= 1 && (count < 2 || strict || rules) && (count < 3 || (strict && rules)) && !client->stream;

    answer_result(client, good ? start_trace(c, client, nic, strict || rules, rules)
                                  : "trace NIC [strict] [rules] is meant, once a connection");
}

static const struct { const char *word; void (*run)(struct control *c, struct client *client, const char *words); } commands[] = {
    { "stats", on_stats }, { "stop", on_stop }, { "kill", on_kill }, { "link", on_link }, { "trace", on_trace },
};

static void execute(struct control *c, struct client *client, const char *command)
{
    size_t length = strcspn(command, " ");

    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strlen(commands[i].word) == length && !strncmp(commands[i].word, command, length)) {
            commands[i].run(c, client, command + length + strspn(command + length, " "));
            return;
        }
    answer_result(client, "unknown command: stats, stop, kill, link, trace");
}

static void execute_lines(struct control *c, struct client *client)
{
    char *end;

    while ((end = memchr(client->line, '\n', client->used))) {
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
        drop(c, client);
        return;
    }
    client->used += (size_t)got;
    execute_lines(c, client);
    if (client->gone)
        drop(c, client);
    else if (client->used == sizeof client->line)
        drop(c, client); /* no command is that long */
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

static bool has_output(const struct client *client)
{
    return client->stream && control_stream_pending(client->stream);
}

unsigned control_poll(const struct control *c, struct pollfd fds[CONTROL_FDS])
{
    unsigned count = 0;

    if (c->listener >= 0)
        fds[count++] = (struct pollfd){ .fd = c->listener, .events = POLLIN };
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        if (c->client[i].fd >= 0)
            fds[count++] = (struct pollfd){ .fd = c->client[i].fd, .events = (short)(POLLIN | (has_output(&c->client[i]) ? POLLOUT : 0)) };
    return count;
}

enum control_request control_service(struct control *c)
{
    accept_clients(c);
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        if (c->client[i].fd >= 0)
            serve(c, &c->client[i]);
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++)
        if (c->client[i].fd >= 0 && has_output(&c->client[i]) && !control_stream_flush(c->client[i].stream))
            drop(c, &c->client[i]);
    return c->request;
}
