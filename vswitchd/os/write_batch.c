/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Batches of write()s by liburing (write_batch.h): the only file that includes it.
 *
 * With RWF_NOWAIT a write is carried out while it is submitted, or refused (with
 * O_NONBLOCK alone the ring would keep it until there is room), so that a batch is
 * one call of io_uring_enter() and its results are there when it returns: those of
 * the writes that failed, and of the last one.
 *
 * A ring has a table of files. What is in it needs no look-up; but the kernel lets
 * go of it some 25 ms after the process has ended, for which a daemon waits that
 * finds its taps in use when it starts (config_apply.h). A kernel that is as slow
 * when a file is taken out of the table gets none (lets_go()).
 *
 * It also knows the memory that is to be taken from it, where the limit on locked
 * memory has room for that.
 */
#include "vswitchd/os/write_batch.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "vswitchd/os/log.h"

#define RING_FROM 4u /* items: fewer are written faster one by one */
#define FILES 256u   /* that a ring may know */
#define ALIGNMENT 16u

struct write_batch {
    struct io_uring ring;
    bool open;
    bool quiet; /* a write that succeeds is not told of, but for the last one of a batch */
    bool knows; /* it has a table of files */
    bool taken[FILES];
    uint8_t *memory;   /* WRITE_BATCH_MEMORY, */
    bool memory_known; /* which the ring knows */
    uint32_t used;
    unsigned pieces; /* taken and not given back */
};

/* ---- the ring ---- */

static int make_table(struct io_uring *ring, unsigned size)
{
    int none[FILES];
    for (unsigned i = 0; i < size; i++)
        none[i] = -1;
    return io_uring_register_files(ring, none, size);
}

/* Puts a descriptor into the ring's table, -1 to take out what is there. 0 or the negative errno. */
static int set_file(struct io_uring *ring, int number, int fd)
{
    struct io_uring_cqe *cqe;
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    io_uring_prep_files_update(sqe, &fd, 1, number);
    int result = io_uring_submit(ring);
    if (result < 0)
        return result;
    do {
        result = io_uring_wait_cqe(ring, &cqe);
    } while (result == -EINTR);
    if (result < 0)
        return result;
    result = cqe->res;
    io_uring_cqe_seen(ring, cqe);
    return result < 0 ? result : 0;
}

/* Whether this kernel closes a file at once that a ring forgets: Linux 6.1 does it a second later. */
static bool lets_go(void)
{
    struct io_uring ring;
    int ends[2];
    char byte;
    bool gone = false;
    if (io_uring_queue_init(2, &ring, 0) < 0)
        return false;
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) == 0) {
        gone = make_table(&ring, 1) == 0 && set_file(&ring, 0, ends[1]) == 0 && set_file(&ring, 0, -1) == 0;
        close(ends[1]);
        gone = gone && read(ends[0], &byte, 1) == 0;
        close(ends[0]);
    }
    io_uring_queue_exit(&ring);
    return gone;
}

/* ---- memory ---- */

/* Shared, so that no copy on write ever takes the place of a page that the kernel has; a child has no use for it. */
static bool make_memory(struct write_batch *batch)
{
    void *memory = mmap(NULL, WRITE_BATCH_MEMORY, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct iovec all = {.iov_base = memory, .iov_len = WRITE_BATCH_MEMORY};
    if (memory == MAP_FAILED)
        return false;
    madvise(memory, WRITE_BATCH_MEMORY, MADV_DONTFORK);
    batch->memory = memory;
    batch->memory_known = io_uring_register_buffers(&batch->ring, &all, 1) == 0;
    return true;
}

void *write_batch_take(struct write_batch *batch, uint32_t size)
{
    void *piece = batch->memory + batch->used;
    if (size > WRITE_BATCH_MEMORY - batch->used)
        return NULL;
    batch->used += (size + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    batch->pieces++;
    return piece;
}

void write_batch_give_back(struct write_batch *batch, unsigned pieces)
{
    batch->pieces -= pieces;
    if (batch->pieces == 0)
        batch->used = 0;
}

static bool is_known(const struct write_batch *batch, const void *data)
{
    return batch->memory_known && (uintptr_t)data - (uintptr_t)batch->memory < WRITE_BATCH_MEMORY;
}

/* ---- the ring, again ---- */

/* From now on the ring writes, to files that it is told to know, and does nothing else; what it may do cannot be changed any
 * more. (The library of Debian 12 has functions for these two in its header alone.) */
static int restrict_ring(const struct write_batch *batch)
{
    struct io_uring_restriction only[] = {
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITE},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITE_FIXED},
        {.opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED,
         .sqe_flags = (uint8_t)((batch->quiet ? IOSQE_CQE_SKIP_SUCCESS : 0) | (batch->knows ? IOSQE_FIXED_FILE : 0))},
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FILES_UPDATE},
    };
    unsigned fd = (unsigned)batch->ring.ring_fd;
    int result = io_uring_register(fd, IORING_REGISTER_RESTRICTIONS, only, batch->knows ? 4 : 3);
    return result < 0 ? result : io_uring_register(fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
}

struct write_batch *write_batch_create(char *error, size_t error_size)
{
    struct write_batch *batch = calloc(1, sizeof(*batch));
    int result = batch ? io_uring_queue_init(WRITE_BATCH_MAX, &batch->ring, IORING_SETUP_R_DISABLED) : -ENOMEM;
    if (result == 0) {
        batch->open = true;
        batch->quiet = batch->ring.features & IORING_FEAT_CQE_SKIP;
        batch->knows = lets_go() && make_table(&batch->ring, FILES) == 0;
        result = make_memory(batch) ? restrict_ring(batch) : -ENOMEM;
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
    if (batch->memory)
        munmap(batch->memory, WRITE_BATCH_MEMORY);
    free(batch);
}

bool write_batch_works(const struct write_batch *batch)
{
    return batch && batch->open;
}

static void give_up(struct write_batch *batch)
{
    /* What it did not take is still in the ring, and goes with it. */
    log_warning("io_uring has failed: frames to taps take a system call each from now on");
    io_uring_queue_exit(&batch->ring);
    batch->open = false;
}

/* ---- files ---- */

struct write_batch_file write_batch_know(struct write_batch *batch, int fd)
{
    struct write_batch_file file = {.fd = fd, .number = -1};
    int number = 0;
    if (!batch || !batch->open || !batch->knows)
        return file;
    while (number < (int)FILES && batch->taken[number])
        number++;
    if (number < (int)FILES && set_file(&batch->ring, number, fd) == 0) {
        batch->taken[number] = true;
        file.number = number;
    }
    return file;
}

void write_batch_forget(struct write_batch *batch, struct write_batch_file *file)
{
    if (!batch || file->number < 0)
        return;
    batch->taken[file->number] = false;
    /* It holds on to the file where that fails, and must not. */
    if (batch->open && set_file(&batch->ring, file->number, -1) < 0)
        give_up(batch);
    file->number = -1;
}

/* ---- writing ---- */

static int write_one(int fd, const void *data, size_t size)
{
    ssize_t written;
    do {
        written = write(fd, data, size);
    } while (written < 0 && errno == EINTR);
    return written < 0 ? -errno : (int)written;
}

static bool write_each(int fd, struct write_batch_item *items, unsigned count)
{
    bool blocked = false, whole = true;
    for (unsigned i = 0; i < count; i++) {
        /* What is behind an item that has to wait, waits with it. */
        items[i].result = blocked ? -EAGAIN : write_one(fd, items[i].data, items[i].size);
        blocked = items[i].result == -EAGAIN;
        whole &= items[i].result == (int)items[i].size;
    }
    return whole;
}

/* What is known of a batch that the ring has. */
struct progress {
    unsigned count, submitted, told;
    bool last;  /* the last one of the batch is told of */
    bool whole; /* none is told to have failed */
};

/* Takes the results that are there. Answers whether they are all that will come. */
static bool take_results(struct write_batch *batch, struct write_batch_item *items, struct progress *progress)
{
    struct io_uring_cqe *cqe;
    unsigned head, seen = 0;
    io_uring_for_each_cqe(&batch->ring, head, cqe) {
        struct write_batch_item *item = &items[cqe->user_data];
        item->result = cqe->res;
        progress->whole &= cqe->res == (int)item->size;
        progress->last |= cqe->user_data == progress->count - 1;
        seen++;
    }
    io_uring_cq_advance(&batch->ring, seen);
    progress->told += seen;
    return batch->quiet ? progress->last || progress->submitted < progress->count : progress->told >= progress->submitted;
}

static void prepare(struct write_batch *batch, const struct write_batch_file *file, const struct write_batch_item *item,
                    unsigned number, bool last)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&batch->ring);
    int to = file->number < 0 ? file->fd : file->number;
    if (is_known(batch, item->data))
        io_uring_prep_write_fixed(sqe, to, item->data, item->size, 0, 0);
    else
        io_uring_prep_write(sqe, to, item->data, item->size, 0);
    sqe->rw_flags = RWF_NOWAIT;
    sqe->user_data = number;
    sqe->flags = (uint8_t)((file->number < 0 ? 0 : IOSQE_FIXED_FILE) | (batch->quiet && !last ? IOSQE_CQE_SKIP_SUCCESS : 0));
}

/* Answers how many of the items, from the first on, the kernel took; gives the ring up when it lacks memory, or when what is
 * behind the descriptor knows no RWF_NOWAIT (taps have known it since Linux 5.11). */
static unsigned write_by_ring(struct write_batch *batch, const struct write_batch_file *file, struct write_batch_item *items,
                              unsigned count, bool *whole)
{
    struct progress progress = {.count = count, .whole = true};
    struct io_uring_cqe *cqe;
    int waited = 0;
    for (unsigned i = 0; i < count; i++) {
        prepare(batch, file, &items[i], i, i + 1 == count);
        items[i].result = batch->quiet ? (int)items[i].size : -EIO; /* what is not told of */
    }
    int result = io_uring_submit(&batch->ring);
    progress.submitted = result > 0 ? (unsigned)result : 0;
    bool settled = take_results(batch, items, &progress);
    while (!settled && (waited == 0 || waited == -EINTR)) {
        waited = io_uring_wait_cqe(&batch->ring, &cqe);
        settled = take_results(batch, items, &progress);
    }
    bool refused = progress.submitted && items[0].result == -EOPNOTSUPP;
    bool well = settled && progress.submitted == count && !refused;
    *whole = progress.whole && well;
    if (!well)
        give_up(batch);
    return refused ? 0 : progress.submitted;
}

bool write_batch_run(struct write_batch *batch, const struct write_batch_file *file, struct write_batch_item *items,
                     unsigned count)
{
    unsigned done = 0;
    bool whole = true;
    if (batch && batch->open && count >= RING_FROM) {
        done = write_by_ring(batch, file, items, count, &whole);
        if (whole)
            return true;
    }
    return (count == done || write_each(file->fd, items + done, count - done)) && whole;
}
