/* SPDX-License-Identifier: BSD-2-Clause
 *
 * captures.h: the bytes of one capture, from a frame that passes its port to the
 * file or the socket of its reader, through a bounded queue. Nothing here waits.
 */
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

#include "proto/unix_socket.h"
#include "vswitchd/captures_private.h"
#include "vswitchd/os/foreign.h"
#include "vswitchd/os/listener.h"
#include "vswitchd/os/log.h"

enum { QUEUE_MAX = 4 << 20, KEPT_S = 60 };

/* ---- Its end ---- */

static void socket_name(const struct capture *c, char name[24])
{
    snprintf(name, 24, "%u.sock", c->id);
}

void capture_close(struct capture *c)
{
    char name[24];

    event_watch_destroy(c->watch);
    c->watch = NULL;
    listener_destroy(c->listener);
    c->listener = NULL;
    if (!c->to_file) {
        socket_name(c, name);
        (void)unlinkat(c->captures->directory_fd, name, 0);
    }
    if (c->fd >= 0 && c->to_file) {
        close(c->fd);
    } else if (c->fd >= 0) {
        foreign_close_socket(c->fd, FOREIGN_READERS);
    }
    c->fd = -1;
    free(c->queue);
    c->queue = NULL;
    c->start = c->size = 0;
}

void capture_detach(struct capture *c)
{
    if (c->state == CAPTURE_RUNNING) {
        (void)datapath_set_capture(c->captures->dp, c->port, NULL, NULL);
        c->state = CAPTURE_DRAINING;
    }
}

void capture_be_over(struct capture *c)
{
    capture_detach(c);
    capture_close(c);
    event_call_cancel(c->soon);
    c->state = CAPTURE_OVER;
    if (c->timer) {
        event_timer_set(c->timer, event_loop_now(c->captures->loop) + KEPT_S * EVENT_LOOP_SECOND);
    }
}

/* ---- Bytes ---- */

bool capture_enqueue(struct capture *c, const void *bytes, size_t size)
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

/* ---- Records of a file ---- */

enum { FILE_HEADER = 24, RECORD_HEADER = 16, RECORD_CAPLEN = 8 };

/* The size of the record, or the file's header, that begins there in the queue. */
static size_t record_size(const struct capture *c, size_t at)
{
    uint32_t caplen;

    if (c->whole == 0) {
        return FILE_HEADER;
    }
    memcpy(&caplen, c->queue + at + RECORD_CAPLEN, sizeof caplen);
    return RECORD_HEADER + caplen;
}

/* The queue's first bytes have been written. */
static void follow_records(struct capture *c, size_t count)
{
    size_t at = c->start;

    while (count > 0) {
        size_t part;

        c->left = c->left ? c->left : record_size(c, at);
        part = count < c->left ? count : c->left;
        c->left -= part;
        c->written += part;
        at += part;
        count -= part;
        if (c->left == 0) {
            c->whole = c->written;
        }
    }
}

/* What is queued will not be written: the file ends with its last whole record. */
static void give_up_file(struct capture *c, int error)
{
    size_t at = c->start + c->left, end = c->start + c->size;
    uint64_t lost = c->left && c->whole ? 1 : 0;

    for (; c->whole && at < end; at += record_size(c, at)) {
        lost++;
    }
    c->captured -= lost;
    c->lost += lost;
    (void)!ftruncate(c->fd, (off_t)c->whole);   /* A pipe or a device has no end. */
    log_warning("capture %u of port %s: its file cannot be written: %s", c->id, c->port, strerror(error));
}

void capture_drain(struct capture *c)
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
            if (c->to_file) {
                give_up_file(c, n < 0 ? errno : EIO);
            }
            capture_be_over(c); /* The reader has gone, or the disk is full. */
            return;
        }
        if (c->to_file) {
            follow_records(c, (size_t)n);
        }
        c->start += (size_t)n;
        c->size -= (size_t)n;
    }
    c->start = 0;
    if (c->state == CAPTURE_DRAINING && c->fd >= 0) {
        capture_be_over(c);
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

void capture_frame(void *context, const struct frame *frame, bool out, uint64_t now)
{
    struct capture *c = context;
    const void *record;
    size_t size;

    (void)now;
    if (!frame) {               /* The port is going; it takes the capture off by itself. */
        c->state = CAPTURE_DRAINING;
        capture_drain(c);
        return;
    }
    if (c->state != CAPTURE_RUNNING || !(out ? c->out : c->in)) {
        return;
    }
    record = capture_writer_record(c->writer, frame->data, frame->size, wall_time(), &size);
    if (!record) {
        return;
    }
    if (!capture_enqueue(c, record, size)) {
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
        n = unix_socket_recv(c->fd, &byte, 1);
        if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
            capture_be_over(c);
            return;
        }
    }
    capture_drain(c);
    watch_reader(c);
}

static void reader_came(void *context, int fd)
{
    struct capture *c = context;
    char name[24];

    listener_destroy(c->listener);
    c->listener = NULL;
    socket_name(c, name);
    (void)unlinkat(c->captures->directory_fd, name, 0);
    c->fd = fd;
    event_timer_cancel(c->timer);
    c->watch = event_watch_create(c->captures->loop, fd, EVENT_READ | EVENT_WRITE, reader_ready, c);
    if (!c->watch) {
        capture_be_over(c);
    }
}

void capture_soon(void *context)
{
    struct capture *c = context;

    if (c->state == CAPTURE_DRAINING) {
        (void)datapath_set_capture(c->captures->dp, c->port, NULL, NULL);
    }
    capture_drain(c);
    watch_reader(c);
}

/* ---- Its beginning ---- */

static int listen_for_reader(struct capture *c)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct listener_events events = {.context = c, .name = "capture", .accepted = reader_came};
    char name[24];
    mode_t mask;
    int result = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0) {
        return errno;
    }
    socket_name(c, name);
    (void)unlinkat(c->captures->directory_fd, name, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", c->captures->directory_fd, name);
    mask = umask(0117);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 1) != 0) {
        result = errno;
    }
    umask(mask);
    if (result == 0) {
        c->listener = listener_create(c->captures->loop, fd, &events);
        result = c->listener ? 0 : ENOMEM;
    }
    if (result != 0) {
        close(fd);
    }
    return result;
}

int capture_open(struct capture *c, const struct capture_options *options, char error[CAPTURES_ERROR_SIZE])
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
