/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Small frames on their way to a tap, held back until the burst is over and then
 * written together. Each is a copy: who sent it uses its buffer for the next.
 */
#ifndef VSWITCHD_PORTS_TAP_BATCH_H
#define VSWITCHD_PORTS_TAP_BATCH_H

#include "vswitchd/core/frame.h"
#include "vswitchd/os/write_batch.h"

#define TAP_BATCH_FRAME_MAX 2048u /* bytes of a frame; to copy a larger one would cost more than its system call */

struct tap_batch;

struct tap_batch *tap_batch_create(struct write_batch *writer, int fd); /* NULL: no memory; `writer` outlives it */
void tap_batch_destroy(struct tap_batch *batch);                        /* before the descriptor is closed */

/* Whether what is added is written in one system call. */
bool tap_batch_works(const struct tap_batch *batch);

/* Copies a frame, with its offload metadata as its header. False: it is too large, the batch is full, or
 * there is no memory while other taps hold theirs. */
bool tap_batch_add(struct tap_batch *batch, const struct frame *frame);

/* Who hears what became of the frames. */
struct tap_batch_listener {
    void *context;
    void (*all)(void *context, unsigned frames, uint64_t bytes); /* each of them went out, */
    void (*one)(void *context, const struct frame *frame, int error); /* or of each in order: 0 or errno */
};

/* Writes what is held to the tap, which has IFF_VNET_HDR, and tells of it. A frame is valid for the call. */
void tap_batch_write(struct tap_batch *batch, const struct tap_batch_listener *listener);

#endif
