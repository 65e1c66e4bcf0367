/* SPDX-License-Identifier: BSD-2-Clause
 *
 * captures.h: the table of captures, their start, their end, and how they are
 * shown. captures_stream.c has their bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vswitchd/captures_private.h"
#include "vswitchd/os/log.h"
#include "vswitchd/run_dir.h"

enum { CONNECT_TIMEOUT_S = 10 };

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

static void forget(struct capture *c)
{
    struct captures *all = c->captures;

    capture_detach(c);
    capture_close(c);
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

bool captures_directory_again(struct captures *captures, int run_dir_fd)
{
    if (run_dir_holds(run_dir_fd, "captures", captures->directory_fd)) {
        return false;
    }
    if ((mkdirat(run_dir_fd, "captures", 0750) != 0 && errno != EEXIST)
        || !run_dir_replace(captures->directory_fd, openat(run_dir_fd, "captures", O_RDONLY | O_DIRECTORY | O_CLOEXEC))) {
        log_error("cannot make %s/captures again: %s", captures->run_dir, strerror(errno));
        return false;
    }
    return true;
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

/* ---- Start and end ---- */

/* No reader came; or nobody asked any more. */
static void timer_over(void *context)
{
    struct capture *c = context;

    if (c->state == CAPTURE_OVER) {
        forget(c);
    } else {
        capture_be_over(c);
    }
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
        .out = options->out, .limit = options->count, .fd = -1,
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
    c->soon = event_call_create(captures->loop, capture_soon, c);
    if (!c->timer || !c->soon || !capture_enqueue(c, header, size)) {
        return c;
    }
    *result = capture_open(c, options, error);
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
        result = datapath_set_capture(captures->dp, c->port, capture_frame, c);
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
    capture_detach(c);
    capture_drain(c);
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
