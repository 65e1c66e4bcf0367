/* SPDX-License-Identifier: BSD-2-Clause
 *
 * rpc_client.h: a socket, poll() and a buffer of lines.
 */
#include "cli/rpc_client.h"

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

#include "proto/json/json_read.h"

enum { EVENTS_MAX = 1024, ANSWER_MAX = 64 << 20 };

struct rpc {
    int fd;
    int timeout_ms;
    char path[512];
    int64_t next_id;
    char *data;                 /* What was read and not yet used. */
    size_t size, capacity;
    struct jv *events[EVENTS_MAX];
    size_t event_count;
};

void rpc_error_free(struct rpc_error *error)
{
    jv_unref(error->answer);
    error->answer = NULL;
}

const char *rpc_path(const struct rpc *rpc)
{
    return rpc->path;
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

enum rpc_status rpc_status_of_code(int64_t code)
{
    switch (code) {
    case CONTROL_EXISTS:
    case CONTROL_BUSY:    return RPC_CONFLICT;
    default:              return RPC_REFUSED;
    }
}

int rpc_connect_path(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
        int error = errno;

        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* Who may only look finds the read-only socket beside the other one. */
static int connect_read_only(struct rpc *rpc)
{
    size_t length = strlen(rpc->path), tail = strlen(CONTROL_SOCKET_NAME);
    char path[sizeof rpc->path + 8];
    int fd;

    if (length < tail || strcmp(rpc->path + length - tail, CONTROL_SOCKET_NAME) != 0) {
        return -1;
    }
    snprintf(path, sizeof path, "%.*s%s", (int)(length - tail), rpc->path, CONTROL_SOCKET_RO_NAME);
    fd = rpc_connect_path(path);
    if (fd >= 0) {
        snprintf(rpc->path, sizeof rpc->path, "%.500s", path);
    }
    return fd;
}

static void explain_unreachable(const struct rpc *rpc, int number, struct rpc_error *error)
{
    struct stat st;

    error->status = RPC_UNREACHABLE;
    snprintf(error->text, sizeof error->text, "cannot reach vswitchd at %.300s: %s", rpc->path, strerror(number));
    if (stat(rpc->path, &st) == 0 && !S_ISSOCK(st.st_mode)) {
        snprintf(error->hint, sizeof error->hint, "that is no socket; in a run directory it is %s", CONTROL_SOCKET_NAME);
    } else if (number == ENAMETOOLONG) {
        snprintf(error->hint, sizeof error->hint, "a socket's path has at most 107 characters; change to its directory and say "
                                                  "--socket ./%s", CONTROL_SOCKET_NAME);
    } else if (number == ENOENT || number == ECONNREFUSED) {
        snprintf(error->hint, sizeof error->hint,
                 "start it with \"sudo systemctl start vswitchd\" or \"sudo vswitchd\"; "
                 "for one in another run directory, say --socket DIR/%s", CONTROL_SOCKET_NAME);
    } else if (number == EACCES) {
        snprintf(error->hint, sizeof error->hint, "use sudo, or become a member of the group vswitch");
    }
}

enum rpc_status rpc_open(const char *path, int timeout_ms, struct rpc **rpc, struct rpc_error *error)
{
    const char *environment = getenv("VSWITCH_SOCKET");
    struct rpc *r = calloc(1, sizeof *r);
    int number;

    memset(error, 0, sizeof *error);
    if (!r) {
        error->status = RPC_UNREACHABLE;
        snprintf(error->text, sizeof error->text, "out of memory");
        return error->status;
    }
    if (!path) {
        path = environment && environment[0] ? environment : CONTROL_RUN_DIR "/" CONTROL_SOCKET_NAME;
    }
    snprintf(r->path, sizeof r->path, "%s", path);
    r->timeout_ms = timeout_ms;
    r->fd = rpc_connect_path(r->path);
    number = errno;
    if (r->fd < 0 && number == EACCES) {
        r->fd = connect_read_only(r);
    }
    if (r->fd < 0) {
        explain_unreachable(r, number, error);
        free(r);
        return RPC_UNREACHABLE;
    }
    (void)fcntl(r->fd, F_SETFL, O_NONBLOCK);
    *rpc = r;
    return RPC_DONE;
}

void rpc_close(struct rpc *rpc)
{
    if (rpc) {
        for (size_t i = 0; i < rpc->event_count; i++) {
            jv_unref(rpc->events[i]);
        }
        close(rpc->fd);
        free(rpc->data);
        free(rpc);
    }
}

static enum rpc_status fail(struct rpc_error *error, enum rpc_status status, const char *text)
{
    error->status = status;
    snprintf(error->text, sizeof error->text, "%s", text);
    return status;
}

/* Waits for the socket until the deadline (-1: for ever). 1: ready; 0: too late; 2: the other descriptor is ready. */
static int wait_for(struct rpc *rpc, short events, int64_t deadline, int other_fd)
{
    struct pollfd fds[2] = {{.fd = rpc->fd, .events = events}, {.fd = other_fd, .events = POLLIN}};

    for (;;) {
        int64_t left = deadline < 0 ? -1 : deadline - now_ms();
        int n;

        if (deadline >= 0 && left < 0) {
            return 0;
        }
        n = poll(fds, other_fd >= 0 ? 2 : 1, (int)left);
        if (n > 0) {
            return fds[0].revents ? 1 : 2;
        }
        if (n == 0 && deadline >= 0) {
            return 0;
        }
    }
}

static enum rpc_status send_all(struct rpc *rpc, const char *text, size_t size, int64_t deadline,
                                struct rpc_error *error)
{
    while (size > 0) {
        ssize_t n = send(rpc->fd, text, size, MSG_NOSIGNAL);

        if (n > 0) {
            text += n;
            size -= (size_t)n;
        } else if (n < 0 && errno == EAGAIN) {
            if (wait_for(rpc, POLLOUT, deadline, -1) == 0) {
                return fail(error, RPC_TIMEOUT, "vswitchd does not take the request");
            }
        } else if (n < 0 && errno != EINTR) {
            return fail(error, RPC_UNREACHABLE, "the connection to vswitchd broke");
        }
    }
    return RPC_DONE;
}

/* One line into *message. RPC_DONE with NULL: other_fd is ready. */
static enum rpc_status read_message(struct rpc *rpc, int64_t deadline, int other_fd, struct jv **message,
                                    struct rpc_error *error)
{
    size_t scanned = 0;

    *message = NULL;
    for (;;) {
        char *newline = rpc->size > scanned ? memchr(rpc->data + scanned, '\n', rpc->size - scanned) : NULL;
        struct json_error syntax;
        ssize_t n;
        int ready;

        if (newline) {
            size_t used = (size_t)(newline - rpc->data) + 1;
            int wrong = json_read(rpc->data, used - 1, message, &syntax);

            memmove(rpc->data, rpc->data + used, rpc->size - used);
            rpc->size -= used;
            return wrong ? fail(error, RPC_UNREACHABLE, "what answers is not vswitchd") : RPC_DONE;
        }
        scanned = rpc->size;
        ready = wait_for(rpc, POLLIN, deadline, other_fd);
        if (ready != 1) {
            return ready == 2 ? RPC_DONE : fail(error, RPC_TIMEOUT, "vswitchd did not answer in time");
        }
        if (rpc->capacity - rpc->size < 65536) {
            char *fresh = rpc->capacity < ANSWER_MAX ? realloc(rpc->data, rpc->capacity * 2 + 131072) : NULL;

            if (!fresh) {
                return fail(error, RPC_UNREACHABLE, "the answer is too large");
            }
            rpc->data = fresh;
            rpc->capacity = rpc->capacity * 2 + 131072;
        }
        n = recv(rpc->fd, rpc->data + rpc->size, rpc->capacity - rpc->size, 0);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            return fail(error, RPC_UNREACHABLE, "vswitchd closed the connection");
        }
        rpc->size += n > 0 ? (size_t)n : 0;
    }
}

static enum rpc_status take_error(const struct jv *answer, struct rpc_error *error)
{
    const struct jv *object = jv_get(answer, "error"), *data = jv_get(object, "data");

    error->status = rpc_status_of_code(jv_member_int(object, "code", 0));
    snprintf(error->text, sizeof error->text, "%s", jv_member_string(object, "message", "refused"));
    snprintf(error->hint, sizeof error->hint, "%s", jv_member_string(data, "hint", ""));
    error->answer = jv_ref(jv_get(answer, "error"));
    return error->status;
}

static char *make_request(int64_t id, const char *method, struct jv *params)
{
    struct jv *request = jv_new_object();
    char *text;

    jv_set_string(request, "jsonrpc", "2.0");
    jv_set_string(request, "method", method);
    if (params) {
        jv_set(request, "params", params);
    }
    jv_set_int(request, "id", id);
    text = jv_print(request, false);
    jv_unref(request);
    return text;
}

static void keep_event(struct rpc *rpc, struct jv *message)
{
    if (rpc->event_count < EVENTS_MAX) {
        rpc->events[rpc->event_count++] = message;
    } else {
        jv_unref(message);
    }
}

enum rpc_status rpc_call(struct rpc *rpc, const char *method, struct jv *params, struct jv **result,
                         struct rpc_error *error)
{
    int64_t deadline = now_ms() + rpc->timeout_ms, id = ++rpc->next_id;
    char *text = make_request(id, method, params);
    enum rpc_status status;
    struct jv *answer;

    memset(error, 0, sizeof *error);
    *result = NULL;
    status = send_all(rpc, text, strlen(text), deadline, error);
    free(text);
    if (status == RPC_DONE) {
        status = send_all(rpc, "\n", 1, deadline, error);
    }
    while (status == RPC_DONE) {
        status = read_message(rpc, deadline, -1, &answer, error);
        if (status != RPC_DONE) {
            break;
        }
        if (jv_has(answer, "method")) {
            keep_event(rpc, answer);
            continue;
        }
        if (jv_has(answer, "error")) {
            status = take_error(answer, error);
        } else if (jv_member_int(answer, "id", -1) != id) {
            jv_unref(answer);
            continue;
        } else {
            *result = jv_ref(jv_get(answer, "result"));
        }
        jv_unref(answer);
        return status;
    }
    return status;
}

enum rpc_status rpc_event(struct rpc *rpc, int timeout_ms, int other_fd, struct jv **message, struct rpc_error *error)
{
    memset(error, 0, sizeof *error);
    if (rpc->event_count > 0) {
        *message = rpc->events[0];
        memmove(rpc->events, rpc->events + 1, --rpc->event_count * sizeof *rpc->events);
        return RPC_DONE;
    }
    return read_message(rpc, timeout_ms < 0 ? -1 : now_ms() + timeout_ms, other_fd, message, error);
}
