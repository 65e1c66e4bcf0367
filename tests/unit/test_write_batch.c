/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tests of os/write_batch on socket pairs, with a ring where the host lets us have
 * one and without: order, results, a ring that fails, and what a ring refuses to
 * do. The file itself is included, for the ring inside.
 */
#include <fcntl.h>
#include <pty.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "tests/unit/unit.h"
#include "vswitchd/os/write_batch.c"

static struct write_batch *ring; /* NULL: not to be had here */
static bool known;               /* files are entered into its table */
static uint32_t numbers[WRITE_BATCH_MAX];
static struct write_batch_item items[WRITE_BATCH_MAX];

static void make_items(unsigned count, uint32_t first)
{
    for (unsigned i = 0; i < count; i++) {
        numbers[i] = first + i;
        items[i] = (struct write_batch_item){.data = &numbers[i], .size = sizeof(numbers[i]), .result = 12345};
    }
}

static void open_pair(int fds[2])
{
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
}

static struct write_batch_file file_of(struct write_batch *batch, int fd)
{
    struct write_batch_file plain = {.fd = fd, .number = -1};
    return known ? write_batch_know(batch, fd) : plain;
}

/* Reads what has come: how many, numbered from `first` on. */
static unsigned drain(int fd, uint32_t first)
{
    uint32_t number;
    unsigned count = 0;
    for (; read(fd, &number, sizeof(number)) == sizeof(number); count++)
        CU_ASSERT_EQUAL(number, first + count);
    return count;
}

static void in_order(struct write_batch *batch)
{
    static const unsigned counts[] = {0, 1, 2, RING_FROM - 1, RING_FROM, 5, 63, WRITE_BATCH_MAX};
    int fds[2];
    open_pair(fds);
    struct write_batch_file file = file_of(batch, fds[0]);
    for (unsigned round = 0; round < 20; round++)
        for (unsigned k = 0; k < sizeof(counts) / sizeof(counts[0]); k++) {
            make_items(counts[k], 1000 * round);
            CU_ASSERT_TRUE(write_batch_run(batch, &file, items, counts[k]));
            CU_ASSERT_EQUAL(drain(fds[1], 1000 * round), counts[k]);
        }
    write_batch_forget(batch, &file);
    close(fds[0]);
    close(fds[1]);
}

static void errors(struct write_batch *batch)
{
    struct write_batch_file file;
    int fds[2];
    unsigned taken = 0;
    open_pair(fds);
    file = file_of(batch, fds[0]);
    /* A reader that does not read: some fit, the rest is told to wait, and nothing is written twice. */
    for (unsigned round = 0; round < 40; round++) {
        make_items(WRITE_BATCH_MAX, taken);
        bool whole = write_batch_run(batch, &file, items, WRITE_BATCH_MAX);
        unsigned before = taken;
        for (unsigned i = 0; !whole && i < WRITE_BATCH_MAX; i++) {
            CU_ASSERT_TRUE(items[i].result == sizeof(uint32_t) || items[i].result == -EAGAIN);
            taken += items[i].result == sizeof(uint32_t);
        }
        taken += whole ? WRITE_BATCH_MAX : 0;
        CU_ASSERT_EQUAL(whole, taken == before + WRITE_BATCH_MAX);
    }
    CU_ASSERT_EQUAL(items[WRITE_BATCH_MAX - 1].result, -EAGAIN);
    CU_ASSERT_EQUAL(drain(fds[1], 0), taken);
    close(fds[1]);
    make_items(8, 0);
    CU_ASSERT_FALSE(write_batch_run(batch, &file, items, 8));
    for (unsigned i = 0; i < 8; i++)
        CU_ASSERT_EQUAL(items[i].result, -EPIPE);
    write_batch_forget(batch, &file);
    close(fds[0]);
    make_items(8, 0);
    CU_ASSERT_FALSE(write_batch_run(batch, &file, items, 8));
    for (unsigned i = 0; i < 8; i++)
        CU_ASSERT_EQUAL(items[i].result, -EBADF);
    /* One that fails in the middle, and one at the end. */
    open_pair(fds);
    file = file_of(batch, fds[0]);
    for (unsigned bad = 3; bad < 8; bad += 4) {
        make_items(8, 0);
        items[bad].data = NULL;
        CU_ASSERT_FALSE(write_batch_run(batch, &file, items, 8));
        for (unsigned i = 0; i < 8; i++)
            CU_ASSERT_EQUAL(items[i].result, i == bad ? -EFAULT : (int)sizeof(uint32_t));
    }
    write_batch_forget(batch, &file);
    close(fds[0]);
    close(fds[1]);
}

static void test_without(void)
{
    in_order(NULL);
    errors(NULL);
}

static void test_ring(void)
{
    if (!ring)
        return;
    for (unsigned way = 0; way < 4; way++) {
        bool quiet = ring->quiet;
        known = way & 1;
        ring->quiet &= way < 2; /* as on Linux before 5.17 */
        in_order(ring);
        errors(ring);
        ring->quiet = quiet;
    }
    known = false;
    CU_ASSERT_TRUE(write_batch_works(ring));
    CU_ASSERT_FALSE(write_batch_works(NULL));
}

/* Several files are known at once, a number is given again, and a file that is forgotten is not held open. */
static void test_known_files(void)
{
    struct write_batch_file files[FILES + 1];
    int fds[2];
    uint32_t number;
    if (!ring || !ring->knows) {
        printf("no table of files here\n");
        return;
    }
    open_pair(fds);
    for (unsigned i = 0; i <= FILES; i++) {
        files[i] = write_batch_know(ring, fds[0]);
        CU_ASSERT_EQUAL(files[i].number, i < FILES ? (int)i : -1);
    }
    make_items(10, 0);
    for (unsigned i = 0; i <= FILES; i += FILES / 4) {
        CU_ASSERT_TRUE(write_batch_run(ring, &files[i], items, 10));
        CU_ASSERT_EQUAL(drain(fds[1], 0), 10);
    }
    write_batch_forget(ring, &files[7]);
    write_batch_forget(ring, &files[7]); /* nothing happens */
    files[7] = write_batch_know(ring, fds[0]);
    CU_ASSERT_EQUAL(files[7].number, 7);
    for (unsigned i = 0; i <= FILES; i++)
        write_batch_forget(ring, &files[i]);
    close(fds[0]);
    CU_ASSERT_EQUAL(read(fds[1], &number, sizeof(number)), 0); /* the other end is closed */
    close(fds[1]);
    CU_ASSERT_EQUAL(write_batch_know(ring, fds[0]).number, -1); /* no such descriptor */
    CU_ASSERT_EQUAL(write_batch_know(NULL, 1).number, -1);
    CU_ASSERT_TRUE(ring->open);
}

/* What lies in memory of the batch's, beside what does not. */
static void test_memory(void)
{
    struct write_batch_item mixed[8];
    int fds[2];
    if (!ring)
        return;
    open_pair(fds);
    struct write_batch_file file = {.fd = fds[0], .number = -1};
    for (unsigned round = 0; round < 3; round++) {
        uint32_t *last = NULL;
        unsigned pieces = 0;
        for (uint32_t i = 0; i < 8; i++) {
            uint32_t *piece = i == 3 ? &numbers[3] : write_batch_take(ring, 100);
            CU_ASSERT_PTR_NOT_NULL_FATAL(piece);
            CU_ASSERT_TRUE(i == 3 || (uintptr_t)piece % 16 == 0);
            *piece = i;
            mixed[i] = (struct write_batch_item){.data = piece, .size = sizeof(*piece)};
            pieces += i != 3;
        }
        CU_ASSERT_TRUE(write_batch_run(ring, &file, mixed, 8));
        CU_ASSERT_EQUAL(drain(fds[1], 0), 8);
        for (uint32_t *piece; (piece = write_batch_take(ring, WRITE_BATCH_MEMORY / 10)); pieces++)
            last = piece;
        CU_ASSERT_EQUAL(pieces, 7 + 9); /* there is no room for ten tenths */
        *last = 1; /* the pages are there */
        write_batch_give_back(ring, 7);
        CU_ASSERT_PTR_NULL(write_batch_take(ring, WRITE_BATCH_MEMORY / 2));
        write_batch_give_back(ring, pieces - 7);
    }
    CU_ASSERT_PTR_NULL(write_batch_take(ring, WRITE_BATCH_MEMORY + 1));
    CU_ASSERT_TRUE(ring->open);
    close(fds[0]);
    close(fds[1]);
}

/* No memory may be locked: the ring writes from it all the same. */
static void test_memory_unknown(void)
{
    char error[100] = "";
    struct write_batch *before = ring;
    bool was_known;
    if (!ring)
        return;
    ring = write_batch_create(error, sizeof(error));
    CU_ASSERT_PTR_NOT_NULL_FATAL(ring);
    was_known = ring->memory_known;
    ring->memory_known = false;
    test_memory();
    ring->memory_known = was_known;
    write_batch_destroy(ring);
    ring = before;
}

/* What a ring is asked that is not a write: the answer of the kernel. */
static int ask(unsigned operation, unsigned flags)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&ring->ring);
    struct io_uring_cqe *cqe;
    static char buffer[8];
    io_uring_prep_rw((int)operation, sqe, 0, buffer, sizeof(buffer), 0);
    sqe->flags = (uint8_t)flags;
    int result = io_uring_submit_and_wait(&ring->ring, 1);
    if (result < 0)
        return result;
    CU_ASSERT_EQUAL_FATAL(io_uring_peek_cqe(&ring->ring, &cqe), 0);
    result = cqe->res;
    io_uring_cqe_seen(&ring->ring, cqe);
    return result;
}

static void test_restrictions(void)
{
    int fd = 0;
    if (!ring)
        return;
    for (unsigned operation = 0; operation < IORING_OP_LAST; operation++)
        if (operation != IORING_OP_WRITE && operation != IORING_OP_WRITE_FIXED && !(operation == IORING_OP_FILES_UPDATE && ring->knows))
            CU_ASSERT_EQUAL(ask(operation, 0), -EACCES);
    CU_ASSERT_EQUAL(ask(IORING_OP_WRITE, IOSQE_ASYNC), -EACCES);
    CU_ASSERT_EQUAL(io_uring_register((unsigned)ring->ring.ring_fd, IORING_REGISTER_FILES, &fd, 1), -EACCES);
    CU_ASSERT_EQUAL(io_uring_register((unsigned)ring->ring.ring_fd, IORING_REGISTER_PERSONALITY, NULL, 0), -EACCES);
    in_order(ring);
}

static void test_failing_ring(void)
{
    char error[100] = "";
    struct write_batch *batch = ring ? write_batch_create(error, sizeof(error)) : NULL;
    int fds[2];
    if (!batch)
        return;
    open_pair(fds);
    struct write_batch_file file = write_batch_know(batch, fds[0]);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, batch->ring.ring_fd); /* the kernel does not know it as a ring any more */
    make_items(10, 0);
    write_batch_run(batch, &file, items, 10);
    CU_ASSERT_FALSE(write_batch_works(batch));
    write_batch_forget(batch, &file);
    CU_ASSERT_EQUAL(write_batch_know(batch, fds[0]).number, -1);
    CU_ASSERT_EQUAL(drain(fds[1], 0), 10);
    in_order(batch);
    close(null);
    close(fds[0]);
    close(fds[1]);
    write_batch_destroy(batch);
}

/* Terminals know no RWF_NOWAIT. */
static void test_refusing_file(void)
{
    char error[100] = "", bytes[100];
    struct write_batch *batch = ring ? write_batch_create(error, sizeof(error)) : NULL;
    struct termios raw;
    int master, slave;
    if (!batch)
        return;
    memset(&raw, 0, sizeof(raw));
    cfmakeraw(&raw);
    CU_ASSERT_EQUAL_FATAL(openpty(&master, &slave, NULL, &raw, NULL), 0);
    fcntl(slave, F_SETFL, O_NONBLOCK);
    make_items(10, 0);
    struct write_batch_file file = {.fd = slave, .number = -1};
    write_batch_run(batch, &file, items, 10);
    CU_ASSERT_FALSE(batch->open);
    for (unsigned i = 0; i < 10; i++)
        CU_ASSERT_EQUAL(items[i].result, sizeof(uint32_t));
    size_t size = 0;
    while (size < sizeof(numbers[0]) * 10) {
        ssize_t n = read(master, bytes + size, sizeof(bytes) - size);
        CU_ASSERT_FATAL(n > 0);
        size += (size_t)n;
    }
    CU_ASSERT_EQUAL(memcmp(bytes, numbers, size), 0);
    close(master);
    close(slave);
    write_batch_destroy(batch);
}

static void test_none_to_be_had(void)
{
    struct rlimit before, none;
    char error[100] = "";
    getrlimit(RLIMIT_NOFILE, &before);
    none = before;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_NOFILE, &none);
    struct write_batch *batch = write_batch_create(error, sizeof(error));
    setrlimit(RLIMIT_NOFILE, &before);
    CU_ASSERT_PTR_NULL(batch);
    CU_ASSERT_TRUE(strlen(error) > 5);
    write_batch_destroy(NULL);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "without a ring", test_without },
        { "with a ring", test_ring },
        { "files that it knows", test_known_files },
        { "memory that it knows", test_memory },
        { "memory that it does not know", test_memory_unknown },
        { "a ring can only write", test_restrictions },
        { "a ring that fails", test_failing_ring },
        { "a file that cannot be asked not to wait", test_refusing_file },
        { "none to be had", test_none_to_be_had },
        CU_TEST_INFO_NULL,
    };
    char error[100] = "";
    int status;

    signal(SIGPIPE, SIG_IGN);
    ring = write_batch_create(error, sizeof(error));
    if (!ring)
        printf("no io_uring here: %s\n", error);
    status = unit_run("write_batch", tests);
    write_batch_destroy(ring);
    return status;
}
