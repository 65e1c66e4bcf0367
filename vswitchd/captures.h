/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Captures: frames of a port as pcap, into a file, or on a socket of their own
 * under RUN_DIR/captures that one reader connects to. A reader that is slow
 * loses records, which are counted; nothing waits for it.
 *
 * Frames are shown as they pass: with offloading their checksums are not yet
 * complete, and TCP may come in super-frames.
 */
#ifndef VSWITCHD_CAPTURES_H
#define VSWITCHD_CAPTURES_H

#include "proto/json/json_value.h"
#include "vswitchd/datapath.h"

struct captures;

enum { CAPTURES_MAX = 32, CAPTURES_ERROR_SIZE = 400 };

struct capture_options {
    const char *port;
    const char *filter;         /* NULL: all. */
    const char *file;           /* NULL: a socket. */
    bool in, out;               /* From the port; to the port. */
    unsigned snaplen;
    uint64_t count;             /* Packets until it ends, 0: no limit. */
};

/* NULL: no memory, or no directory. */
struct captures *captures_create(struct event_loop *loop, struct datapath *dp, int run_dir_fd, const char *run_dir);
/* Makes their directory again where somebody has removed it. Whether it did. */
bool captures_directory_again(struct captures *captures, int run_dir_fd);
void captures_destroy(struct captures *captures);

/* 0 and the capture's id, or errno with a text. */
int captures_start(struct captures *captures, const struct capture_options *options, unsigned *id,
                   char error[CAPTURES_ERROR_SIZE]);
/* Ends it and forgets it. NULL: no such capture; otherwise what it captured. */
struct jv *captures_stop(struct captures *captures, unsigned id);
struct jv *captures_list(const struct captures *captures);
struct jv *captures_get(const struct captures *captures, unsigned id);      /* NULL: no such capture. */

#endif
