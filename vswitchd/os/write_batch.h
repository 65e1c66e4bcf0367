/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Several write()s to one descriptor in one system call, where the host lets us
 * have io_uring. The ring can do nothing but write, and needs no system call
 * but io_uring_enter() once it is made. Where there is none, as in most
 * containers, the same is done with one write() an item.
 */
#ifndef VSWITCHD_OS_WRITE_BATCH_H
#define VSWITCHD_OS_WRITE_BATCH_H

#include <stddef.h>
#include <stdint.h>

#define WRITE_BATCH_MAX 64u

struct write_batch;

struct write_batch_item {
    const void *data;
    uint32_t size;
    int result; /* bytes written, or the negative errno */
};

/* To be called before the sandbox closes. NULL, with a text for people: io_uring is not to be had here. */
struct write_batch *write_batch_create(char *error, size_t error_size);
void write_batch_destroy(struct write_batch *batch);

/* Writes up to WRITE_BATCH_MAX items in their order to a descriptor with O_NONBLOCK, and is done with them on return.
 * Behind an item that would have blocked, later ones may have been written all the same when a ring was used. */
void write_batch_run(struct write_batch *batch, int fd, struct write_batch_item *items, unsigned count);

#endif
