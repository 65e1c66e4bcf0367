/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Several write()s to one descriptor in one system call, where the host lets us
 * have io_uring. The ring can do nothing but write, and needs no system call
 * but io_uring_enter() once it is made. Where there is none, as in most
 * containers, the same is done with one write() an item.
 */
#ifndef VSWITCHD_OS_WRITE_BATCH_H
#define VSWITCHD_OS_WRITE_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WRITE_BATCH_MAX 128u
#define WRITE_BATCH_MEMORY 262144u /* bytes that there are to take */

struct write_batch;

struct write_batch_item {
    const void *data;
    uint32_t size;
    int result; /* bytes written, or the negative errno */
};

/* Where to: a descriptor with O_NONBLOCK, and where the ring has it among the files that it knows (-1: nowhere). */
struct write_batch_file {
    int fd;
    int number;
};

/* To be called before the sandbox closes. NULL, with a text for people: io_uring is not to be had here. */
struct write_batch *write_batch_create(char *error, size_t error_size);
void write_batch_destroy(struct write_batch *batch);

/* Whether a ring writes, which may end while the program runs. */
bool write_batch_works(const struct write_batch *batch);

/* A file that the ring knows is found faster, and is held open by it until it is forgotten: before its descriptor is closed.
 * NULL for `batch` is allowed. */
struct write_batch_file write_batch_know(struct write_batch *batch, int fd);
void write_batch_forget(struct write_batch *batch, struct write_batch_file *file);

/* Memory of the batch's for what is to be written, aligned to 16: the kernel has its pages already and need not look for
 * them at each write. NULL: all is taken; it is there again when as many pieces were given back as were taken. */
void *write_batch_take(struct write_batch *batch, uint32_t size);
void write_batch_give_back(struct write_batch *batch, unsigned pieces);

/* Writes up to WRITE_BATCH_MAX items in their order, and is done with them on return. True: all of them, whole. Only where
 * that is false are the results filled in; behind an item that would have blocked, later ones may have been written all the
 * same when a ring was used. */
bool write_batch_run(struct write_batch *batch, const struct write_batch_file *file, struct write_batch_item *items,
                     unsigned count);

#endif
