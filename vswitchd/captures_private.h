/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What captures.c, the table, and captures_stream.c, the bytes of one capture,
 * share; for nobody else.
 *
 * A capture runs, then drains (its port or its count is over, the reader gets
 * what is queued), then is over and kept for a while, so that somebody can ask
 * for its counts.
 */
#ifndef VSWITCHD_CAPTURES_PRIVATE_H
#define VSWITCHD_CAPTURES_PRIVATE_H

#include "vswitchd/captures.h"
#include "vswitchd/os/capture.h"

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
    struct listener *listener;  /* NULL once there is a reader, or with a file. */
    int fd;                     /* Of the reader or the file; -1. */
    bool to_file;
    struct event_watch *watch;  /* Of the reader. */
    struct event_timer *timer;  /* Ends the wait for a reader, then the keeping. */
    struct event_call *soon;    /* What must not be done from inside a frame's call. */
    char *queue;
    size_t start, size;
    uint64_t written, whole;    /* Bytes that the file has, and those to the end of its last whole record. */
    size_t left;                /* Bytes of the record that is being written. */
};

struct captures {
    struct event_loop *loop;
    struct datapath *dp;
    const char *run_dir;
    int directory_fd;
    unsigned last_id;
    struct capture *table[CAPTURES_MAX];
};

/* Opens the file, or listens for a reader. 0 or errno with a text. */
int capture_open(struct capture *c, const struct capture_options *options, char error[CAPTURES_ERROR_SIZE]);
/* Closes all that, and drops what is queued. */
void capture_close(struct capture *c);
/* No more frames. */
void capture_detach(struct capture *c);
/* Ends it; it is kept for a while, then its timer is over. */
void capture_be_over(struct capture *c);

/* Appends a whole record; false: there is no room. */
bool capture_enqueue(struct capture *c, const void *bytes, size_t size);
/* Writes what the reader or the file takes now. */
void capture_drain(struct capture *c);
/* datapath_capture_function: a frame passes, or the port goes. */
void capture_frame(void *context, const struct frame *frame, bool out, uint64_t now);
/* After frames came in: writes them, and takes the capture off the port if that was the last one. */
void capture_soon(void *context);

#endif
