/* SPDX-License-Identifier: BSD-2-Clause
 *
 * worker.h. A pipe takes what fits into PIPE_BUF whole or not at all, and so gives it out.
 */
#include "proto/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdalign.h>
#include <sys/prctl.h>
#include <unistd.h>

static void *run(void *argument)
{
    const struct worker *worker = argument;
    alignas(max_align_t) char item[WORKER_ITEM_MAX];

    if (worker->name)
        prctl(PR_SET_NAME, worker->name);
    while (read(worker->from, item, worker->size) == (ssize_t)worker->size)
        worker->work(item);
    return NULL;
}

int worker_start(struct worker *worker)
{
    pthread_t thread;
    sigset_t all, before;
    int ends[2], error;

    if (worker->size > WORKER_ITEM_MAX)
        return EINVAL;
    if (pipe2(ends, O_CLOEXEC))
        return errno;
    worker->from = ends[0];
    fcntl(ends[1], F_SETFL, O_NONBLOCK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&thread, NULL, run, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error) {
        close(ends[0]);
        close(ends[1]);
        return error;
    }
    pthread_detach(thread);
    worker->to = ends[1];
    return 0;
}

bool worker_is_there(const struct worker *worker)
{
    return worker->to > 0;
}

bool worker_hand_over(const struct worker *worker, const void *item)
{
    return worker_is_there(worker) && write(worker->to, item, worker->size) == (ssize_t)worker->size;
}
