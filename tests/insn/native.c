/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Drives native_helper: starts it, hands it batches, and starts it anew when a
 * case has killed it or made it hang.
 */
#include "tests/insn/backend.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define HANG_MS 2000

struct native {
    const char *helper;
    int memory;
    int to, from; /* pipes */
    pid_t pid;
    struct insn_shared *shared;
};

_Noreturn static void become_helper(struct native *native, int in, int out)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int memory = dup(native->memory); /* out of the way of 0..3 */
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(memory, 3) < 0)
        _exit(127);
    close_range(4, ~0u, 0);
    execl(native->helper, native->helper, (char *)NULL);
    _exit(127);
}

static int start(struct native *native)
{
    int to[2], from[2];
    if (pipe2(to, O_CLOEXEC) < 0)
        return errno;
    if (pipe2(from, O_CLOEXEC) < 0) {
        int saved = errno;
        close(to[0]);
        close(to[1]);
        return saved;
    }
    native->pid = fork();
    if (native->pid == 0)
        become_helper(native, to[0], from[1]);
    close(to[0]);
    close(from[1]);
    native->to = to[1];
    native->from = from[0];
    return native->pid < 0 ? errno : 0;
}

static void stop(struct native *native)
{
    close(native->to);
    close(native->from);
    if (native->pid > 0) {
        kill(native->pid, SIGKILL);
        waitpid(native->pid, NULL, 0);
    }
}

struct native *native_open(const char *helper, bool aliases, char *error, size_t error_size)
{
    struct native *native = calloc(1, sizeof *native);
    if (!native) {
        snprintf(error, error_size, "out of memory");
        return NULL;
    }
    native->helper = helper;
    native->memory = memfd_create("insn", MFD_CLOEXEC);
    size_t size = (sizeof *native->shared + INSN_PAGE - 1) / INSN_PAGE * INSN_PAGE;
    if (native->memory < 0 || ftruncate(native->memory, (off_t)size) < 0) {
        snprintf(error, error_size, "memfd: %s", strerror(errno));
        free(native);
        return NULL;
    }
    native->shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, native->memory, 0);
    signal(SIGPIPE, SIG_IGN);
    if (native->shared != MAP_FAILED)
        native->shared->aliases = aliases;
    int result = native->shared == MAP_FAILED ? errno : start(native);
    if (result) {
        snprintf(error, error_size, "%s: %s", helper, strerror(result));
        free(native);
        return NULL;
    }
    return native;
}

struct insn_shared *native_shared(struct native *native)
{
    return native->shared;
}

/* True when the batch came to its end. */
static int exchange(struct native *native)
{
    char byte = 0;
    struct pollfd poll_fd = { .fd = native->from, .events = POLLIN };
    return write(native->to, &byte, 1) == 1 && poll(&poll_fd, 1, HANG_MS) == 1 && read(native->from, &byte, 1) == 1;
}

void native_run(struct native *native, unsigned first, unsigned end)
{
    volatile struct insn_shared *shared = native->shared;
    while (first < end) {
        shared->first = shared->current = first;
        shared->count = end;
        if (exchange(native))
            return;
        first = shared->current < end ? shared->current : end - 1;
        shared->output[first].status = INSN_HUNG;
        first++;
        stop(native);
        if (start(native))
            return;
    }
}

void native_close(struct native *native)
{
    stop(native);
    close(native->memory);
    free(native);
}
