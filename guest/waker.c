/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Waker: see waker.h. The vCPU's thread owns `fds` while not armed, the
 * waker's thread while armed; `armed` hands over.
 */
#include "guest/waker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct waker {
    struct pollfd fds[WAKER_FDS_MAX + 1];
    unsigned count;
    bool armed;      /* atomic */
    bool stopping;   /* atomic */
    int arm_fd;      /* eventfd: written to arm */
    int disturb_fd;  /* eventfd: written to fire */
    void (*call)(void *opaque);
    void *opaque;
    pthread_t thread;
};

static void *run(void *argument)
{
    struct waker *w = argument;
    uint64_t value;

    for (;;) {
        if (read(w->arm_fd, &value, sizeof value) != sizeof value)
            continue;
        while (ppoll(w->fds, w->count, NULL, NULL) < 0 && errno == EINTR) {
        }
        if (__atomic_load_n(&w->stopping, __ATOMIC_ACQUIRE))
            return NULL;
        __atomic_store_n(&w->armed, false, __ATOMIC_RELEASE);
        w->call(w->opaque);
    }
}

int waker_start(void (*call)(void *opaque), void *opaque, struct waker **waker)
{
    struct waker *w = calloc(1, sizeof *w);
    sigset_t all, before;
    int error;

    if (!w)
        return ENOMEM;
    w->call = call;
    w->opaque = opaque;
    w->arm_fd = eventfd(0, EFD_CLOEXEC);
    w->disturb_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->arm_fd < 0 || w->disturb_fd < 0)
        return errno;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    error = pthread_create(&w->thread, NULL, run, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error)
        return error;
    *waker = w;
    return 0;
}

bool waker_is_armed(const struct waker *w)
{
    return __atomic_load_n(&w->armed, __ATOMIC_ACQUIRE);
}

void waker_arm(struct waker *w, const struct pollfd *fds, unsigned count)
{
    const uint64_t one = 1;
    uint64_t value;
    ssize_t done;

    if (waker_is_armed(w))
        return;
    if (count > WAKER_FDS_MAX)
        count = WAKER_FDS_MAX;
    if (count > 0)
        memcpy(w->fds, fds, count * sizeof *fds);
    w->fds[count] = (struct pollfd){ .fd = w->disturb_fd, .events = POLLIN };
    w->count = count + 1;
    done = read(w->disturb_fd, &value, sizeof value); /* of an earlier time */
    __atomic_store_n(&w->armed, true, __ATOMIC_RELEASE);
    done = write(w->arm_fd, &one, sizeof one);
    (void)done;
}

void waker_disturb(struct waker *w)
{
    const uint64_t one = 1;
    ssize_t done = 0;

    if (waker_is_armed(w))
        done = write(w->disturb_fd, &one, sizeof one);
    (void)done;
}

void waker_stop(struct waker *w)
{
    if (!w)
        return;
    __atomic_store_n(&w->stopping, true, __ATOMIC_RELEASE);
    waker_disturb(w);
    waker_arm(w, NULL, 0);
    waker_disturb(w);
    pthread_join(w->thread, NULL);
    close(w->arm_fd);
    close(w->disturb_fd);
    free(w);
}
