/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Control socket: see control.h.
 */
#include "guest/control.h"

#include "guest/closer.h"
#include "guest/control_image.h"
#include "guest/control_stream.h"
#include "proto/unix_socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LINE_MAX_SIZE = 256, READS_AT_ONCE = 1024 };

struct client {
    int fd; /* -1: free */
    char line[LINE_MAX_SIZE];
    size_t used;
    bool gone;                     /* it takes no more answers; what it has asked for is done all the same */
    struct control_stream *stream; /* of a trace, or of a state; NULL: none */
    bool tracing;                  /* the former, */
    unsigned traced;               /* of this card */
    struct control_image *image;   /* a state that comes in; NULL: none */
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
    if (client->tracing)
        c->calls.trace(c->calls.opaque, client->traced, false, NULL, NULL);
    if (client->stream)
        control_stream_flush(client->stream);
    control_stream_free(client->stream);
    free(client->image);
    client->stream = NULL;
    client->image = NULL;
    client->tracing = false;
    closer_close(client->fd);
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
    closer_close(c->listener);
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
        if (c->client[i].fd >= 0 && c->client[i].tracing && c->client[i].traced == nic)
            return "this card is being traced already";
    client->stream = control_stream_new(client->fd, rules);
    if (!client->stream)
        return "no memory";
    client->traced = nic;
    wrong = c->calls.trace(c->calls.opaque, nic, strict, trace_line, client);
    client->tracing = !wrong;
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

/* NIC and nothing else. */
static bool one_card(const char *words, unsigned *nic)
{
    int used = 0;

    return sscanf(words, "%u%n", nic, &used) == 1 && !words[used];
}

static const char *save(struct control *c, struct client *client, unsigned nic, struct control_image *image)
{
    char line[2 * CONTROL_IMAGE_LINE + 1];
    const char *wrong;

    image->size = sizeof image->bytes;
    wrong = c->calls.save(c->calls.opaque, nic, image->bytes, &image->size);
    if (wrong)
        return wrong;
    client->stream = control_stream_new(client->fd, false);
    if (!client->stream)
        return "no memory";
    for (size_t at = 0; control_image_line(image, at, line); at += CONTROL_IMAGE_LINE)
        control_stream_line(client->stream, line);
    control_stream_line(client->stream, "{\"ok\":true}");
    return NULL;
}

static void on_save(struct control *c, struct client *client, const char *words)
{
    struct control_image *image = calloc(1, sizeof *image);
    const char *wrong = "save NIC is meant, while nothing else is on its way";
    unsigned nic;

    if (!image)
        wrong = "no memory";
    else if (one_card(words, &nic) && !client->stream)
        wrong = save(c, client, nic, image);
    free(image);
    if (wrong)
        answer_result(client, wrong);
}

static void on_restore(struct control *c, struct client *client, const char *words)
{
    unsigned nic;

    (void)c;
    if (!one_card(words, &nic)) {
        answer_result(client, "restore NIC is meant, then the state in hexadecimal lines, then end");
        return;
    }
    client->image = calloc(1, sizeof *client->image);
    if (!client->image)
        answer_result(client, "no memory");
    else
        client->image->nic = nic;
}

/* A line of a state that comes in, or its end. */
static void take_image(struct control *c, struct client *client, const char *line)
{
    struct control_image *image = client->image;

    if (strcmp(line, "end")) {
        control_image_add(image, line);
        return;
    }
    client->image = NULL;
    answer_result(client, image->bad ? "that is no card's state in hexadecimal"
                                     : c->calls.restore(c->calls.opaque, image->nic, image->bytes, image->size));
    free(image);
}

static const struct { const char *word; void (*run)(struct control *c, struct client *client, const char *words); } commands[] = {
    { "stats", on_stats }, { "stop", on_stop }, { "kill", on_kill }, { "link", on_link }, { "trace", on_trace },
    { "save", on_save }, { "restore", on_restore },
};

static void execute(struct control *c, struct client *client, const char *command)
{
    size_t length = strcspn(command, " ");

    if (client->image) {
        take_image(c, client, command);
        return;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strlen(commands[i].word) == length && !strncmp(commands[i].word, command, length)) {
            commands[i].run(c, client, command + length + strspn(command + length, " "));
            return;
        }
    answer_result(client, "unknown command: stats, stop, kill, link, trace, save, restore");
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

/* True: there may be more. */
static bool serve(struct control *c, struct client *client)
{
    ssize_t got = unix_socket_recv(client->fd, client->line + client->used, sizeof client->line - client->used);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (got > 0) {
        client->used += (size_t)got;
        execute_lines(c, client);
    }
    if (got <= 0 || client->gone || client->used == sizeof client->line) { /* no line is that long */
        drop(c, client);
        return false;
    }
    return true;
}

/* A card's state is a few hundred lines; a flood waits for the next time. */
static void serve_all(struct control *c, struct client *client)
{
    for (unsigned reads = 0; reads < READS_AT_ONCE && serve(c, client); reads++)
        ;
}

static void accept_clients(struct control *c)
{
    int fd;

    while (c->listener >= 0 && !closer_is_full() && (fd = accept4(c->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        unsigned i = 0;
        while (i < CONTROL_CLIENTS && c->client[i].fd >= 0)
            i++;
        if (i == CONTROL_CLIENTS)
            closer_close(fd);
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

    if (c->listener >= 0 && !closer_is_full())
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
            serve_all(c, &c->client[i]);
    for (unsigned i = 0; i < CONTROL_CLIENTS; i++) {
        struct client *client = &c->client[i];
        if (client->fd >= 0 && has_output(client) && !control_stream_flush(client->stream)) {
            drop(c, client);
        } else if (client->fd >= 0 && client->stream && !client->tracing && !has_output(client)) {
            control_stream_free(client->stream); /* a state is out */
            client->stream = NULL;
        }
    }
    return c->request;
}
