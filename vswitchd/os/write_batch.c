/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Batches of write()s by liburing (write_batch.h): the only file that includes it.
 *
 * With RWF_NOWAIT a write is carried out while it is submitted, or refused (with
 * O_NONBLOCK alone the ring would keep it until there is room), so that a batch is
 * one call of io_uring_enter() and its results are there when it returns. The
 * descriptors are not registered with the ring: the kernel lets go of a ring's
 * files some time after the process has ended, and as long a new daemon would
 * find its taps in use.
 */
#include "vswitchd/os/write_batch.h"

#include <errno.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vswitchd/os/log.h"

#define RING_FROM 4u /* items: fewer are written faster one by one */

struct write_batch {
    struct io_uring ring;
    bool open;
};

/* From now on the ring writes, and does nothing else; what it may do cannot be changed any more. (The library of Debian 12
 * has functions for these two in its header alone.) */
static int restrict_ring(struct io_uring *ring)
{
    struct io_uring_restriction only_write = {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITE};
    int result = io_uring_register((unsigned)ring->ring_fd, IORING_REGISTER_RESTRICTIONS, &only_write, 1);
    return result < 0 ? result : io_uring_register((unsigned)ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

struct write_batch *write_batch_create(char *error, size_t error_size)
{
    struct write_batch *batch = calloc(1, sizeof(*batch));
    int result = batch ? io_uring_queue_init(WRITE_BATCH_MAX, &batch->ring, IORING_SETUP_R_DISABLED) : -ENOMEM;
    if (result == 0) {
        batch->open = true;
        result = restrict_ring(&batch->ring);
    }
    if (result < 0) {
        snprintf(error, error_size, "%s", strerror(-result));
        write_batch_destroy(batch);
        return NULL;
    }
    return batch;
}

void write_batch_destroy(struct write_batch *batch)
{
    if (!batch)
        return;
    if (batch->open)
        io_uring_queue_exit(&batch->ring);
    free(batch);
}

static int write_one(int fd, const void *data, size_t size)
{
    ssize_t written;
    do {
        written = write(fd, data, size);
    } while (written < 0 && errno == EINTR);
    return written < 0 ? -errno : (int)written;
}

static void write_each(int fd, struct write_batch_item *items, unsigned count)
{
    bool blocked = false;
    for (unsigned i = 0; i < count; i++) {
        /* What is behind an item that has to wait, waits with it. */
        items[i].result = blocked ? -EAGAIN : write_one(fd, items[i].data, items[i].size);
        blocked = items[i].result == -EAGAIN;
    }
}

/* Takes the results that are there; answers how many. */
static unsigned take_results(struct io_uring *ring, struct write_batch_item *items)
{
    struct io_uring_cqe *cqe;
    unsigned head, count = 0;
    io_uring_for_each_cqe(ring, head, cqe) {
        items[cqe->user_data].result = cqe->res;
        count++;
    }
    io_uring_cq_advance(ring, count);
    return count;
}

/* Answers how many of the items, from the first on, the kernel took; and whether all is well, which it is not when it
 * lacks memory, or when what is behind the descriptor knows no RWF_NOWAIT (taps have known it since Linux 5.11). */
static unsigned write_by_ring(struct io_uring *ring, int fd, struct write_batch_item *items, unsigned count, bool *well)
{
    struct io_uring_cqe *cqe;
    int waited = 0;
    for (unsigned i = 0; i < count; i++) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
        io_uring_prep_write(sqe, fd, items[i].data, items[i].size, 0);
        sqe->rw_flags = RWF_NOWAIT;
        sqe->user_data = i;
        items[i].result = -EIO;
    }
    int result = io_uring_submit(ring);
    unsigned submitted = result > 0 ? (unsigned)result : 0, done = take_results(ring, items);
    while (done < submitted && (waited == 0 || waited == -EINTR)) {
        waited = io_uring_wait_cqe(ring, &cqe);
        done += take_results(ring, items);
    }
    bool refused = submitted && items[0].result == -EOPNOTSUPP;
    *well = submitted == count && done == count && !refused;
    return refused ? 0 : submitted;
}

void write_batch_run(struct write_batch *batch, int fd, struct write_batch_item *items, unsigned count)
{
    unsigned done = 0;
    if (batch && batch->open && count >= RING_FROM) {
        bool well;
        done = write_by_ring(&batch->ring, fd, items, count, &well);
        if (!well) {
            /* What it did not take is still in the ring, and goes with it. */
            log_warning("io_uring has failed: frames to taps take a system call each from now on");
            io_uring_queue_exit(&batch->ring);
            batch->open = false;
        }
    }
    write_each(fd, items + done, count - done);
}
