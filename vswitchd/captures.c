/* SPDX-License-Identifier: BSD-2-Clause
 *
 * captures.h: a table of captures, each with its writer (os/capture.h) and a
 * bounded queue of bytes for its reader.
 *
 * A capture runs, then drains (its port or its count is over, the reader gets
 * what is queued), then is over and kept for a while, so that somebody can ask
 * for its counts.
 */
#include "vswitchd/captures.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "vswitchd/os/capture.h"

enum { QUEUE_MAX = 4 << 20, CONNECT_TIMEOUT_S = 10, KEPT_S = 60 };
enum capture_state { CAPTURE_RUNNING, CAPTURE_DRAINING, CAPTURE_OVER };

struct capture {
    struct captures *captures;
    unsigned id;
    enum capture_state state;
    char port[PORT_NAME_SIZE];
    char filter[256];           /* As far as it is shown. */
    bool in, out;
    uint64_t limit, captured, lost;
    struct capture_writer *writer;
    int listener;               /* -1 once there is a reader, or with a file. */
    int fd;                     /* Of the reader or the file; -1. */
    bool to_file;
    struct event_watch *watch;  /* Of the listener, then of the reader. */
    struct event_timer *timer;  /* Ends the wait for a reader, then the keeping. */
    struct event_call *soon;    /* What must not be done from inside a frame's call. */
    char *queue;
    size_t start, size;
};

struct captures {
    struct event_loop *loop;
    struct datapath *dp;
    const char *run_dir;
    int directory_fd;
    unsigned last_id;
    struct capture *table[CAPTURES_MAX];
};

struct captures *captures_create(struct event_loop *loop, struct datapath *dp, int run_dir_fd, const char *run_dir)
{
    struct captures *c = calloc(1, sizeof *c);

    if (!c) {
        return NULL;
    }
    c->loop = loop;
    c->dp = dp;
    c->run_dir = run_dir;
    if (mkdirat(run_dir_fd, "captures", 0750) != 0 && errno != EEXIST) {
        free(c);
        return NULL;
    }
    c->directory_fd = openat(run_dir_fd, "captures", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (c->directory_fd < 0) {
        free(c);
        return NULL;
    }
    return c;
}

static void socket_name(const struct capture *c, char name[24])
{
    snprintf(name, 24, "%u.sock", c->id);
}

static void close_io(struct capture *c)
{
    char name[24];

    event_watch_destroy(c->watch);
    c->watch = NULL;
    if (c->listener >= 0) {
        close(c->listener);
    }
    if (!c->to_file) {
        socket_name(c, name);
        (void)unlinkat(c->captures->directory_fd, name, 0);
    }
    if (c->fd >= 0) {
        close(c->fd);
    }
    c->listener = c->fd = -1;
    free(c->queue);
    c->queue = NULL;
    c->start = c->size = 0;
}

/* No more frames. */
static void detach(struct capture *c)
{
    if (c->state == CAPTURE_RUNNING) {
        (void)datapath_set_capture(c->captures->dp, c->port, NULL, NULL);
        c->state = CAPTURE_DRAINING;
    }
}

static void be_over(struct capture *c)
{
    detach(c);
    close_io(c);
    event_call_cancel(c->soon);
    c->state = CAPTURE_OVER;
    if (c->timer) {
        event_timer_set(c->timer, event_loop_now(c->captures->loop) + KEPT_S * EVENT_LOOP_SECOND);
    }
}

static void forget(struct capture *c)
{
    struct captures *all = c->captures;

    detach(c);
    close_io(c);
    event_timer_destroy(c->timer);
    event_call_destroy(c->soon);
    capture_writer_destroy(c->writer);
    for (size_t i = 0; i < CAPTURES_MAX; i++) {
        if (all->table[i] == c) {
            all->table[i] = NULL;
        }
    }
    free(c);
}

void captures_destroy(struct captures *captures)
{
    if (!captures) {
        return;
    }
    for (size_t i = 0; i < CAPTURES_MAX; i++) {
        if (captures->table[i]) {
            forget(captures->table[i]);
        }
    }
    close(captures->directory_fd);
    free(captures);
}

/* ---- Bytes ---- */

/* Appends a whole record, or counts it as lost. */
static bool enqueue(struct capture *c, const void *bytes, size_t size)
{
    if (!c->queue) {
        c->queue = malloc(QUEUE_MAX);
    }
    if (c->queue && c->start > 0 && c->start + c->size + size > QUEUE_MAX) {
        memmove(c->queue, c->queue + c->start, c->size);
        c->start = 0;
    }
    if (!c->queue || c->size + size > QUEUE_MAX) {
        return false;
    }
    memcpy(c->queue + c->start + c->size, bytes, size);
    c->size += size;
    return true;
}

static void drain(struct capture *c)
{
    while (c->fd >= 0 && c->size > 0) {
        ssize_t n = c->to_file ? write(c->fd, c->queue + c->start, c->size)
                               : send(c->fd, c->queue + c->start, c->size, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0 && errno == EAGAIN) {
            return;
        }
        if (n <= 0) {
            c->lost += c->to_file;
            be_over(c);         /* The reader has gone, or the disk is full. */
            return;
        }
        c->start += (size_t)n;
        c->size -= (size_t)n;
    }
    c->start = 0;
    if (c->state == CAPTURE_DRAINING && c->fd >= 0) {
        be_over(c);
    }
}

static void watch_reader(struct capture *c)
{
    if (c->watch && c->fd >= 0 && !c->to_file) {
        event_watch_set(c->watch, EVENT_READ | (c->size > 0 ? EVENT_WRITE : 0u));
    }
}

static uint64_t wall_time(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void frame_passes(void *context, const struct frame *frame, bool out, uint64_t now)
{
    struct capture *c = context;
    const void *record;
    size_t size;

    (void)now;
    if (!frame) {               /* The port is going; it takes the capture off by itself. */
        c->state = CAPTURE_DRAINING;
        drain(c);
        return;
    }
    if (c->state != CAPTURE_RUNNING || !(out ? c->out : c->in)) {
        return;
    }
    record = capture_writer_record(c->writer, frame->data, frame->size, wall_time(), &size);
    if (!record) {
        return;
    }
    if (!enqueue(c, record, size)) {
        c->lost++;
        return;
    }
    c->captured++;
    if (c->captured == c->limit) {
        c->state = CAPTURE_DRAINING;
    }
    event_call_schedule(c->soon);
}

/* ---- The reader ---- */

static void reader_ready(void *context, unsigned events)
{
    struct capture *c = context;
    char byte;
    ssize_t n;

    if (events & EVENT_READ) {
        n = recv(c->fd, &byte, 1, MSG_DONTWAIT);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            be_over(c);
            return;
        }
    }
    drain(c);
    watch_reader(c);
}

static void listener_ready(void *context, unsigned events)
{
    struct capture *c = context;
    int fd = accept4(c->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    char name[24];

    (void)events;
    if (fd < 0) {
        return;
    }
    event_watch_destroy(c->watch);
    close(c->listener);
    c->listener = -1;
    socket_name(c, name);
    (void)unlinkat(c->captures->directory_fd, name, 0);
    c->fd = fd;
    event_timer_cancel(c->timer);
    c->watch = event_watch_create(c->captures->loop, fd, EVENT_READ | EVENT_WRITE, reader_ready, c);
    if (!c->watch) {
        be_over(c);
    }
}

/* After frames came in: writes them, and takes the capture off the port if that was the last one. */
static void soon(void *context)
{
    struct capture *c = context;

    if (c->state == CAPTURE_DRAINING) {
        (void)datapath_set_capture(c->captures->dp, c->port, NULL, NULL);
    }
    drain(c);
    watch_reader(c);
}

/* No reader came; or nobody asked any more. */
static void timer_over(void *context)
{
    struct capture *c = context;

    if (c->state == CAPTURE_OVER) {
        forget(c);
    } else {
        be_over(c);
    }
}

/* ---- Start and end ---- */

static int listen_for_reader(struct capture *c)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char name[24];
    mode_t mask;
    int result = 0;

    socket_name(c, name);
    (void)unlinkat(c->captures->directory_fd, name, 0);
    c->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (c->listener < 0) {
        return errno;
    }
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", c->captures->directory_fd, name);
    mask = umask(0117);
    if (bind(c->listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(c->listener, 1) != 0) {
        result = errno;
    }
    umask(mask);
    if (result == 0) {
        c->watch = event_watch_create(c->captures->loop, c->listener, EVENT_READ, listener_ready, c);
        result = c->watch ? 0 : ENOMEM;
    }
    return result;
}

static int open_target(struct capture *c, const struct capture_options *options, char error[CAPTURES_ERROR_SIZE])
{
    int result = 0;

    c->to_file = options->file != NULL;
    if (!options->file) {
        result = listen_for_reader(c);
        if (result) {
            snprintf(error, CAPTURES_ERROR_SIZE, "cannot listen for a reader: %s", strerror(result));
        }
        return result;
    }
    c->fd = open(options->file, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0640);
    if (c->fd < 0) {
        result = errno;
        snprintf(error, CAPTURES_ERROR_SIZE, "%.200s: %s", options->file, strerror(result));
    }
    return result;
}

static struct capture *make(struct captures *captures, const struct capture_options *options,
                            char error[CAPTURES_ERROR_SIZE], int *result)
{
    struct capture *c = calloc(1, sizeof *c);
    const void *header;
    char wrong[CAPTURE_ERROR_SIZE];
    size_t size;

    *result = ENOMEM;
    snprintf(error, CAPTURES_ERROR_SIZE, "out of memory");
    if (!c) {
        return NULL;
    }
    *c = (struct capture) {
        .captures = captures, .id = ++captures->last_id, .state = CAPTURE_DRAINING, .in = options->in,
        .out = options->out, .limit = options->count, .listener = -1, .fd = -1,
    };
    snprintf(c->port, sizeof c->port, "%s", options->port);
    snprintf(c->filter, sizeof c->filter, "%s", options->filter ? options->filter : "");
    c->timer = event_timer_create(captures->loop, timer_over, c);
    c->writer = capture_writer_create(options->snaplen, options->filter, wrong);
    if (!c->writer) {
        *result = EINVAL;
        snprintf(error, CAPTURES_ERROR_SIZE, "the filter is wrong: %s", wrong);
        return c;
    }
    header = capture_writer_header(c->writer, &size);
    c->soon = event_call_create(captures->loop, soon, c);
    if (!c->timer || !c->soon || !enqueue(c, header, size)) {
        return c;
    }
    *result = open_target(c, options, error);
    return c;
}

static struct capture **free_slot(struct captures *captures)
{
    struct capture **over = NULL;

    for (size_t i = 0; i < CAPTURES_MAX; i++) {
        if (!captures->table[i]) {
            return &captures->table[i];
        }
        if (captures->table[i]->state == CAPTURE_OVER) {
            over = &captures->table[i];
        }
    }
    if (over) {
        forget(*over);
    }
    return over;
}

int captures_start(struct captures *captures, const struct capture_options *options, unsigned *id,
                   char error[CAPTURES_ERROR_SIZE])
{
    struct capture **slot = free_slot(captures);
    struct capture *c;
    int result;

    if (!datapath_find_port(captures->dp, options->port)) {
        snprintf(error, CAPTURES_ERROR_SIZE, "there is no port \"%.40s\"", options->port);
        return ENOENT;
    }
    if (!slot) {
        snprintf(error, CAPTURES_ERROR_SIZE, "there are %d captures already", CAPTURES_MAX);
        return ENOSPC;
    }
    c = make(captures, options, error, &result);
    if (c && result == 0) {
        result = datapath_set_capture(captures->dp, c->port, frame_passes, c);
        if (result) {
            snprintf(error, CAPTURES_ERROR_SIZE, "port %s: %s", c->port,
                     result == EBUSY ? "it is being captured already" : strerror(result));
        }
    }
    if (!c || result != 0) {
        if (c) {
            forget(c);
        }
        return result;
    }
    c->state = CAPTURE_RUNNING;
    *slot = c;
    *id = c->id;
    if (c->to_file) {
        event_call_schedule(c->soon);
    } else {
        event_timer_set(c->timer, event_loop_now(captures->loop) + CONNECT_TIMEOUT_S * EVENT_LOOP_SECOND);
    }
    return 0;
}

static struct capture *find(const struct captures *captures, unsigned id)
{
    for (size_t i = 0; i < CAPTURES_MAX; i++) {
        if (captures->table[i] && captures->table[i]->id == id) {
            return captures->table[i];
        }
    }
    return NULL;
}

static struct jv *to_json(const struct capture *c)
{
    static const char *const states[] = {"running", "draining", "over"};
    struct jv *o = jv_new_object();
    char path[4200];

    jv_set_int(o, "id", c->id);
    jv_set_string(o, "port", c->port);
    jv_set_string(o, "state", states[c->state]);
    jv_set_string(o, "direction", c->in && c->out ? "both" : c->in ? "in" : "out");
    jv_set_string(o, "filter", c->filter);
    jv_set_uint(o, "captured", c->captured);
    jv_set_uint(o, "lost", c->lost);
    if (!c->to_file) {
        snprintf(path, sizeof path, "%s/captures/%u.sock", c->captures->run_dir, c->id);
        jv_set_string(o, "socket", path);
    }
    return o;
}

struct jv *captures_stop(struct captures *captures, unsigned id)
{
    struct capture *c = find(captures, id);
    struct jv *result;

    if (!c) {
        return NULL;
    }
    detach(c);
    drain(c);
    result = to_json(c);
    forget(c);
    return result;
}

struct jv *captures_list(const struct captures *captures)
{
    struct jv *list = jv_new_array();

    for (size_t i = 0; i < CAPTURES_MAX; i++) {
        if (captures->table[i]) {
            jv_append(list, to_json(captures->table[i]));
        }
    }
    return list;
}

struct jv *captures_get(const struct captures *captures, unsigned id)
{
    const struct capture *c = find(captures, id);

    return c ? to_json(c) : NULL;
}
