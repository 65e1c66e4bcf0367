/* SPDX-License-Identifier: BSD-2-Clause
 *
 * foreign.h. Two threads: what may hang for ever does not keep what takes long only
 * because there is much to free. What can do neither is closed here, so that nobody
 * waits for it. The threads and their pipes are the process's, as descriptors are.
 */
#include "vswitchd/os/foreign.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/unix_socket.h"

enum { DRAIN_ROUNDS = 64, DRAIN_BYTES = 4096, FEW = 16 };
enum worker { DOUBTFUL, SLOW, WORKERS };

/* What is to be given up: a descriptor, or memory where there is a base. */
struct item {
    void *base;
    size_t size;
    int fd;
    int account;
};

static atomic_uint waiting[FOREIGN_ACCOUNTS];
static int pipe_ends[WORKERS] = { -1, -1 };

static void *give_up(void *argument)
{
    int from = *(int *)argument;
    struct item item;

    prctl(PR_SET_NAME, "vswitchd-close");
    while (read(from, &item, sizeof(item)) == (ssize_t)sizeof(item)) {
        if (item.base) {
            munmap(item.base, item.size);
            continue;
        }
        close(item.fd);
        atomic_fetch_sub(&waiting[item.account], 1);
    }
    return NULL;
}

static int start(enum worker worker)
{
    static int ends[WORKERS][2];
    int *pair = ends[worker], error;
    pthread_t thread;
    sigset_t all, before;

    if (pipe2(pair, O_CLOEXEC))
        return errno;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&thread, NULL, give_up, &pair[0]);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) {
        close(pair[0]);
        close(pair[1]);
        return error;
    }
    pthread_detach(thread);
    fcntl(pair[1], F_SETFL, O_NONBLOCK);
    pipe_ends[worker] = pair[1];
    return 0;
}

int foreign_start(void)
{
    int error = start(DOUBTFUL);

    return error ? error : start(SLOW);
}

/* Where a pipe is full, thousands wait. */
static bool hand_over(enum worker worker, const struct item *item)
{
    return pipe_ends[worker] >= 0 && write(pipe_ends[worker], item, sizeof(*item)) == (ssize_t)sizeof(*item);
}

static void close_elsewhere(enum worker worker, int fd, enum foreign_account account)
{
    const struct item item = { .fd = fd, .account = (int)account };

    atomic_fetch_add(&waiting[account], 1);
    if (hand_over(worker, &item) || (worker == DOUBTFUL && pipe_ends[worker] >= 0))
        return; /* Rather one more that stays open than one that hangs here. */
    close(fd);
    atomic_fetch_sub(&waiting[account], 1);
}

void foreign_unmap(void *base, size_t size)
{
    const struct item item = { .base = base, .size = size };

    if (!hand_over(SLOW, &item))
        munmap(base, size);
}

bool foreign_is_eventfd(int fd)
{
    char path[32], target[32];
    ssize_t size;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    size = readlink(path, target, sizeof(target) - 1);
    if (size < 0)
        return errno != EINVAL; /* no /proc here: reading shows it */
    target[size] = '\0';
    return strcmp(target, "anon_inode:[eventfd]") == 0;
}

void foreign_close(int fd, enum foreign_account account)
{
    if (foreign_is_eventfd(fd)) {
        close(fd);
        return;
    }
    if (fcntl(fd, F_GET_SEALS) >= 0) { /* a memfd */
        close_elsewhere(SLOW, fd, account);
        return;
    }
    shutdown(fd, SHUT_RDWR); /* of a listening socket of ours; it may be something else altogether */
    close_elsewhere(DOUBTFUL, fd, account);
}

/* Whether nothing is left in a socket that nobody can send to any more. */
static bool drained(int fd)
{
    char bytes[DRAIN_BYTES];

    for (unsigned i = 0; i < DRAIN_ROUNDS; i++) {
        ssize_t n = unix_socket_recv(fd, bytes, sizeof(bytes));

        if (n == 0 || (n < 0 && (errno == EAGAIN || errno == ECONNRESET)))
            return true;
        if (n < 0 && errno != EINTR)
            return false;
    }
    return false;
}

void foreign_close_socket(int fd, enum foreign_account account)
{
    shutdown(fd, SHUT_RDWR);
    if (drained(fd))
        close(fd);
    else
        close_elsewhere(DOUBTFUL, fd, account);
}

unsigned foreign_waiting(enum foreign_account account)
{
    return atomic_load(&waiting[account]);
}

uint64_t foreign_hold_off(enum foreign_account account)
{
    return foreign_waiting(account) / FEW * UINT64_C(1000000000);
}
