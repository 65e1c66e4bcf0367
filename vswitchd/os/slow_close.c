/* SPDX-License-Identifier: BSD-2-Clause
 *
 * slow_close.h. The thread is the process's, as descriptors are.
 */
#include "vswitchd/os/slow_close.h"

#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "proto/worker.h"

static uint64_t begun;
static _Atomic uint64_t done;

static void close_one(const void *fd)
{
    close(*(const int *)fd);
    atomic_fetch_add(&done, 1);
}

static struct worker closing = { .name = "vswitchd-taps", .size = sizeof(int), .work = close_one };

int slow_close_start(void)
{
    return worker_start(&closing);
}

void slow_close(int fd)
{
    begun++;
    if (!worker_hand_over(&closing, &fd))
        close_one(&fd);
}

uint64_t slow_close_begun(void)
{
    return begun;
}

uint64_t slow_close_done(void)
{
    return atomic_load(&done);
}

void slow_close_wait(void)
{
    static const struct timespec pause = { .tv_nsec = 1000000 };

    while (slow_close_done() < begun)
        nanosleep(&pause, NULL);
}
