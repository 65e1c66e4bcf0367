/* SPDX-License-Identifier: BSD-2-Clause
 *
 * closer.h. The thread is the process's, as descriptors are.
 */
#include "guest/closer.h"

#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/worker.h"

enum { MANY = 16 };

static atomic_uint waiting;

static void close_one(const void *fd)
{
    close(*(const int *)fd);
    atomic_fetch_sub(&waiting, 1);
}

static struct worker closing = { .size = sizeof(int), .work = close_one };

int closer_start(void)
{
    return worker_start(&closing);
}

void closer_close(int fd)
{
    if (fd < 0)
        return;
    shutdown(fd, SHUT_RDWR);
    atomic_fetch_add(&waiting, 1);
    if (!worker_hand_over(&closing, &fd))
        close_one(&fd);
}

bool closer_is_full(void)
{
    return atomic_load(&waiting) >= MANY;
}
