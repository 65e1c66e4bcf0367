/* SPDX-License-Identifier: BSD-2-Clause
 *
 * slow_close.h. The thread and its pipe are the process's, as descriptors are.
 */
#include "vswitchd/os/slow_close.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

static uint64_t begun;
static _Atomic uint64_t done;
static int pipe_end = -1;

static void *run(void *argument)
{
    int from = *(int *)argument, fd;

    prctl(PR_SET_NAME, "vswitchd-taps");
    while (read(from, &fd, sizeof(fd)) == (ssize_t)sizeof(fd)) {
        close(fd);
        atomic_fetch_add(&done, 1);
    }
    return NULL;
}

int slow_close_start(void)
{
    static int ends[2];
    pthread_t thread;
    sigset_t all, before;
    int error;

    if (pipe2(ends, O_CLOEXEC))
        return errno;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&thread, NULL, run, &ends[0]);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) {
        close(ends[0]);
        close(ends[1]);
        return error;
    }
    pthread_detach(thread);
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    pipe_end = ends[1];
    return 0;
}

void slow_close(int fd)
{
    begun++;
    if (pipe_end >= 0 && write(pipe_end, &fd, sizeof(fd)) == (ssize_t)sizeof(fd))
        return;
    close(fd);
    atomic_fetch_add(&done, 1);
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
