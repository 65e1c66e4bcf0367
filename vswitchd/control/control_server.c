/* SPDX-License-Identifier: BSD-2-Clause
 *
 * control_server.h: two listening sockets and their clients.
 *
 * Bounds: a line of input (CONTROL_LINE_MAX); while OUTPUT_HOLD bytes wait for a
 * client, none of its requests is read; events that would exceed OUTPUT_EVENTS
 * are counted and dropped, and the client is told once there is room.
 */
#include "vswitchd/control/control_server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "vswitchd/control/control_frame.h"
#include "vswitchd/control/control_peer.h"
#include "vswitchd/os/listener.h"
#include "vswitchd/os/log.h"

enum {
    OUTPUT_HOLD = 256 << 10,
    OUTPUT_EVENTS = 512 << 10,
    READ_SIZE = 16384,
    LINES_A_TURN = 32,          /* Then the other clients and the data path. */
    BUSY_TURN = 2000000,        /* ns; after a longer one the client waits BUSY_FACTOR times as long, */
    BUSY_FACTOR = 4,            /* so that it has a fifth of the daemon's time at most. */
};

struct client {
    struct control_server *server;
    struct door *door;
    struct client *next, **link;
    int fd;
    struct event_watch *watch;
    struct event_timer *resume; /* Takes up lines that are buffered. */
    uint64_t not_before;        /* Its next turn, ns: who keeps the daemon busy waits longer. */
    struct control_session session;
    struct control_input input;
    struct control_output output;
    uint64_t events_dropped;    /* Since the client was last told. */
    uint64_t heard;             /* When it last sent something, ns. */
    bool ended;                 /* It sends no more. */
};

struct door {
    struct control_server *server;
    const char *name;
    bool read_only;
    struct listener *listener;
    unsigned clients;
    struct log_limit refusals;
};

struct control_server {
    struct event_loop *loop;
    const struct control_dispatch *dispatch;
    int run_dir_fd;
    gid_t group;                /* (gid_t)-1: none */
    struct door doors[2];
    struct client *clients;
    uint64_t sequence;
};

static void client_close(struct client *c)
{
    if (c->next) {
        c->next->link = c->link;
    }
    *c->link = c->next;
    c->door->clients--;
    listener_resume(c->door->listener);
    event_watch_destroy(c->watch);
    event_timer_destroy(c->resume);
    close(c->fd);
    control_input_free(&c->input);
    control_output_free(&c->output);
    free(c);
}

/* What the loop should wake us for. */
static void client_watch(struct client *c)
{
    size_t pending = control_output_pending(&c->output);
    unsigned events = pending ? EVENT_WRITE : 0;

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

/* False: the client is gone. */
static bool client_write(struct client *c)
{
    while (control_output_pending(&c->output)) {
        ssize_t n = send(c->fd, control_output_bytes(&c->output), control_output_pending(&c->output),
                         MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            break;
        }
        if (n <= 0) {
            client_close(c);
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
        client_close(c);
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
    const char *line;
    size_t size;

    for (unsigned turn = 0; turn < LINES_A_TURN && control_output_pending(&c->output) < OUTPUT_HOLD; turn++) {
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
    }
    if (c->ended && got == CONTROL_LINE_NONE && c->session.topic_count == 0
        && control_output_pending(&c->output) == 0) {
        client_close(c);
        return false;
    }
    if (got != CONTROL_LINE_NONE && c->not_before == 0) {
        c->not_before = 1;      /* More is buffered: soon. */
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
    c->not_before = 0;
    if (!client_lines(c) || !client_write(c)) {
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

static void client_ready(void *context, unsigned events)
{
    struct client *c = context;
    char bytes[READ_SIZE];
    ssize_t n;

    if ((events & EVENT_WRITE) && !client_write(c)) {
        return;
    }
    if ((events & EVENT_READ) && !c->ended) {
        n = recv(c->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n < 0 && errno != EINTR && errno != EAGAIN) {
            client_close(c);
            return;
        }
        if (n == 0 && has_left(c)) {
            client_close(c);
            return;
        }
        if (n == 0) {
            c->ended = true;    /* It may still be reading: what it asked is answered. */
        } else if (n > 0 && !control_input_append(&c->input, bytes, (size_t)n)) {
            client_close(c);
            return;
        }
        c->heard = event_loop_now(c->server->loop);
    }
    client_turn(c);
}

/* ---- Coming ---- */

static struct client *client_create(struct door *door, int fd, const struct control_session *session)
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

static void refuse(struct door *door, int fd, const struct control_session *session)
{
    static const char text[] =
        "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32001,\"message\":\"this user may not use this socket\","
        "\"data\":{\"reason\":\"permission.socket\"}},\"id\":null}\n";
    uint32_t more;

    (void)send(fd, text, sizeof text - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
    close(fd);
    if (log_limit_pass(&door->refusals, event_loop_now(door->server->loop), &more)) {
        log_warning("control: uid %u, pid %u refused on %s (%u more before)", session->uid, session->pid, door->name,
                    more);
    }
}

/* Makes room for another client: the one that has been silent longest and waits for nothing goes. */
static bool make_room(void *context)
{
    struct door *door = context;
    struct client *silent = NULL;

    for (struct client *c = door->server->clients; c; c = c->next) {
        if (c->door == door && (c->session.topic_count == 0 || c->ended) && (!silent || c->heard < silent->heard)) {
            silent = c;
        }
    }
    if (silent) {
        client_close(silent);
    }
    return silent != NULL;
}

/* False: the rest waits in the backlog until one leaves. */
static bool admit(void *context)
{
    return ((struct door *)context)->clients < CONTROL_CLIENTS_MAX || make_room(context);
}

static void client_came(void *context, int fd)
{
    struct door *door = context;
    struct control_session session = {0};

    if (!control_peer_identify(fd, door->read_only, door->server->group, &session)) {
        refuse(door, fd, &session);
    } else if (!client_create(door, fd, &session)) {
        close(fd);
    }
}

/* ---- Start and end ---- */

/* Bound under /proc/self/fd, so that the run directory's name may be longer than a socket's may. */
static int listen_at(int directory_fd, const char *name, mode_t mode, gid_t group, int *result)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mode_t mask;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error = 0;

    if (fd < 0) {
        return errno;
    }
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", directory_fd, name);
    if (unlinkat(directory_fd, name, 0) == 0) {
        log_info("control: replaced a socket left behind, %s", name);
    }
    mask = umask(0777 & ~mode);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 64) != 0) {
        error = errno;
    }
    umask(mask);
    if (error == 0 && group != (gid_t)-1 && group != getegid() && fchownat(directory_fd, name, (uid_t)-1, group, 0) != 0) {
        log_warning("control: cannot give %s to its group: %s", name, strerror(errno));
    }
    if (error) {
        close(fd);
        return error;
    }
    *result = fd;
    return 0;
}

static int door_open(struct control_server *s, struct door *door, const char *name, bool read_only)
{
    gid_t group = read_only ? (gid_t)-1 : s->group;
    mode_t mode = read_only ? 0666 : group != (gid_t)-1 ? 0660 : 0600;
    struct listener_events events = {
        .context = door, .name = name, .accepted = client_came, .admit = admit, .make_room = make_room,
    };
    int error, fd = -1;

    door->server = s;
    door->name = name;
    door->read_only = read_only;
    door->refusals = (struct log_limit) {.period = 60 * EVENT_LOOP_SECOND, .burst = 5};
    error = listen_at(s->run_dir_fd, name, mode, group, &fd);
    if (error) {
        return error;
    }
    door->listener = listener_create(s->loop, fd, &events);
    if (!door->listener) {
        close(fd);
        (void)unlinkat(s->run_dir_fd, name, 0);
        return ENOMEM;
    }
    return 0;
}

int control_server_create(struct event_loop *loop, const struct control_server_config *config,
                          const struct control_dispatch *dispatch, struct control_server **server, char *error,
                          size_t error_size)
{
    static const char *const names[] = {CONTROL_SOCKET_NAME, CONTROL_SOCKET_RO_NAME};
    struct control_server *s = calloc(1, sizeof *s);

    if (!s) {
        snprintf(error, error_size, "out of memory");
        return ENOMEM;
    }
    s->loop = loop;
    s->dispatch = dispatch;
    s->run_dir_fd = config->run_dir_fd;
    s->group = control_peer_group(config->group);
    for (int i = 0; i < 2; i++) {
        int result = door_open(s, &s->doors[i], names[i], i == 1);

        if (result) {
            snprintf(error, error_size, "cannot listen on %s/%s: %s", config->run_dir, names[i], strerror(result));
            control_server_destroy(s);
            return result;
        }
    }
    *server = s;
    return 0;
}

void control_server_destroy(struct control_server *server)
{
    if (!server) {
        return;
    }
    while (server->clients) {
        client_close(server->clients);
    }
    for (int i = 0; i < 2; i++) {
        struct door *door = &server->doors[i];

        if (door->listener) {
            listener_destroy(door->listener);
            (void)unlinkat(server->run_dir_fd, door->name, 0);
        }
    }
    free(server);
}

/* ---- Events ---- */

bool control_server_wanted(const struct control_server *server, const char *type)
{
    for (const struct client *c = server->clients; c; c = c->next) {
        if (control_session_wants(&c->session, type)) {
            return true;
        }
    }
    return false;
}

static struct jv *event_message(uint64_t sequence, const char *type, struct jv *data)
{
    struct jv *message = jv_new_object(), *params = jv_new_object();
    struct timespec now;
    struct tm utc;
    char stamp[40];
    size_t used;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    used = strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(stamp + used, sizeof stamp - used, ".%03ldZ", now.tv_nsec / 1000000);
    jv_set_uint(params, "seq", sequence);
    jv_set_string(params, "time", stamp);
    jv_set_string(params, "type", type);
    jv_set(params, "data", data);
    jv_set_string(message, "jsonrpc", "2.0");
    jv_set_string(message, "method", "event");
    jv_set(message, "params", params);
    return message;
}

void control_server_event(struct control_server *server, const char *type, struct jv *data)
{
    struct jv *message = event_message(++server->sequence, type, data);
    char *text = jv_print(message, false);
    size_t size = text ? strlen(text) : 0;

    for (struct client *c = server->clients; text && c; c = c->next) {
        if (!control_session_wants(&c->session, type)) {
            continue;
        }
        if (control_output_pending(&c->output) + size > OUTPUT_EVENTS || c->events_dropped
            || !control_output_line(&c->output, text, size)) {
            c->events_dropped++;
            tell_dropped(c);
            continue;
        }
        client_watch(c);
    }
    free(text);
    jv_unref(message);
}

unsigned control_server_client_count(const struct control_server *server)
{
    return server->doors[0].clients + server->doors[1].clients;
}

void control_server_flush(struct control_server *server)
{
    for (struct client *c = server->clients, *next; c; c = next) {
        next = c->next;
        (void)client_write(c);
    }
}
