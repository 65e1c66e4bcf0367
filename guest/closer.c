/* SPDX-License-Identifier: BSD-2-Clause
 *
 * closer.h. The thread and its pipe are the process's, as descriptors are.
 */
#include "guest/closer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MANY = 16 };

static atomic_uint waiting;
static int pipe_end = -1;

static void *run(void *argument)
{
    int from = *(int *)argument, fd;

    while (read(from, &fd, sizeof fd) == (ssize_t)sizeof fd) {
        close(fd);
        atomic_fetch_sub(&waiting, 1);
    }
    return NULL;
}

int closer_start(void)
{
    static int ends[2];
    sigset_t all, before;
    pthread_t thread;
    int error;

    if (pipe2(ends, O_CLOEXEC))
        return errno;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    error = pthread_create(&thread, NULL, run, &ends[0]);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) {
        close(ends[0]);
        close(ends[1]);
        return error;
    }
    pthread_detach(thread);
    pipe_end = ends[1];
    return 0;
}

/* The pipe has room for many times what closer_is_full() lets wait. */
void closer_close(int fd)
{
    if (fd < 0)
        return;
    shutdown(fd, SHUT_RDWR);
    atomic_fetch_add(&waiting, 1);
    if (pipe_end >= 0 && write(pipe_end, &fd, sizeof fd) == (ssize_t)sizeof fd)
        return;
    close(fd);
    atomic_fetch_sub(&waiting, 1);
}

bool closer_is_full(void)
{
    return atomic_load(&waiting) >= MANY;
}
