/* SPDX-License-Identifier: BSD-2-Clause
 *
 * foreign.h. Two threads: what may hang for ever does not keep what takes long only
 * because there is much to free. What can do neither is closed here, so that nobody
 * waits for it. The threads are the process's, as descriptors are.
 */
#include "vswitchd/os/foreign.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/unix_socket.h"
#include "proto/worker.h"

enum { DRAIN_ROUNDS = 64, DRAIN_BYTES = 4096, FEW = 16 };

/* What is to be given up: a descriptor, or memory where there is a base. */
struct item {
    void *base;
    size_t size;
    int fd;
    int account;
};

static atomic_uint waiting[FOREIGN_ACCOUNTS];
static uint64_t doubted[FOREIGN_ACCOUNTS];

static void give_up(const void *argument)
{
    const struct item *item = argument;

    if (item->base) {
        munmap(item->base, item->size);
        return;
    }
    close(item->fd);
    atomic_fetch_sub(&waiting[item->account], 1);
}

static struct worker doubtful = { .name = "vswitchd-close", .size = sizeof(struct item), .work = give_up };
static struct worker slow = { .name = "vswitchd-close", .size = sizeof(struct item), .work = give_up };

int foreign_start(void)
{
    int error = worker_start(&doubtful);

    return error ? error : worker_start(&slow);
}

static void close_elsewhere(const struct worker *worker, int fd, enum foreign_account account)
{
    const struct item item = { .fd = fd, .account = (int)account };

    doubted[account] += worker == &doubtful;
    atomic_fetch_add(&waiting[account], 1);
    if (worker_hand_over(worker, &item) || (worker == &doubtful && worker_is_there(worker)))
        return; /* Rather one more that stays open than one that hangs here. */
    give_up(&item);
}

void foreign_unmap(void *base, size_t size)
{
    const struct item item = { .base = base, .size = size };

    if (!worker_hand_over(&slow, &item))
        give_up(&item);
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
        close_elsewhere(&slow, fd, account);
        return;
    }
    shutdown(fd, SHUT_RDWR); /* of a listening socket of ours; it may be something else altogether */
    close_elsewhere(&doubtful, fd, account);
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
        close_elsewhere(&doubtful, fd, account);
}

unsigned foreign_waiting(enum foreign_account account)
{
    return atomic_load(&waiting[account]);
}

uint64_t foreign_doubtful(enum foreign_account account)
{
    return doubted[account];
}

uint64_t foreign_hold_off(enum foreign_account account)
{
    return foreign_waiting(account) / FEW * UINT64_C(1000000000);
}
