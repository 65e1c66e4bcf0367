/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tests of os/stall_guard: a call that waits ends, one that does not is left alone,
 * also where ticks come all the time, and so is whatever else the process does.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vswitchd/os/stall_guard.h"

enum { GIVE_UP_MS = 20000 };

static const uint64_t one = 1, full = UINT64_MAX - 1;

static ssize_t guarded_write(int fd)
{
    stall_guard_enter();
    ssize_t written = write(fd, &one, sizeof(one));
    stall_guard_leave();
    return written;
}

static uint64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int setup(void)
{
    return stall_guard_start();
}

static int teardown(void)
{
    stall_guard_stop();
    return 0;
}

static void test_waits(void)
{
    for (unsigned i = 0; i < 5; i++) {
        int fd = eventfd(0, 0);
        CU_ASSERT_EQUAL(guarded_write(fd), sizeof(one)); /* there is room */
        CU_ASSERT_EQUAL(write(fd, &(uint64_t){full - 1}, sizeof(full)), sizeof(full));
        alarm(60);
        CU_ASSERT_EQUAL(guarded_write(fd), -1);
        CU_ASSERT_EQUAL(errno, EINTR);
        alarm(0);
        CU_ASSERT_EQUAL(stall_guard_hard, 0);
        close(fd);
    }
}

static void test_does_not_wait(void)
{
    enum { TICKS = 10 };
    int fd = eventfd(0, EFD_NONBLOCK);
    uint64_t count, until = now_ms() + GIVE_UP_MS;
    unsigned ticks = 0;
    bool right = true;
    while (ticks < TICKS && now_ms() < until && right) {
        right = guarded_write(fd) == sizeof(one) && read(fd, &count, sizeof(count)) == sizeof(count);
        ticks += !stall_guard_ticking; /* the one that the call set, or an earlier one set, has come */
    }
    CU_ASSERT(right);
    CU_ASSERT_EQUAL(ticks, TICKS);
    CU_ASSERT_EQUAL(write(fd, &full, sizeof(full)), sizeof(full));
    CU_ASSERT_EQUAL(guarded_write(fd), -1);
    CU_ASSERT_EQUAL(errno, EAGAIN);
    close(fd);
}

/* A guarded call sets a tick, then there is a read until a child writes, 60 ms after it began. Whether the tick came
 * in the read: on a busy host it may have come before it, or the child's byte before the tick. */
static bool tick_met_read(int fd)
{
    int ends[2];
    char byte = 0;
    bool before, after;
    CU_ASSERT_EQUAL_FATAL(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        poll(NULL, 0, 60);
        _exit(write(ends[1], "x", 1) == 1 ? 0 : 1);
    }
    CU_ASSERT_EQUAL(guarded_write(fd), sizeof(one));
    before = stall_guard_ticking;
    CU_ASSERT_EQUAL(read(ends[0], &byte, 1), 1);
    after = stall_guard_ticking;
    CU_ASSERT_EQUAL(byte, 'x');
    waitpid(child, NULL, 0);
    close(ends[0]);
    close(ends[1]);
    return before && !after;
}

/* A tick that was set by a guarded call meets a read that waits for somebody else, and is the last one. */
static void test_others(void)
{
    int fd = eventfd(0, EFD_NONBLOCK);
    unsigned tries = 0;
    while (!tick_met_read(fd) && ++tries < 100)
        ;
    CU_ASSERT(tries < 100);
    close(fd);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "calls of others", test_others }, /* first: a call that waited leaves a handler behind */
        { "a call that waits ends", test_waits },
        { "calls that do not wait", test_does_not_wait },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("stall_guard", tests, setup, teardown);
}
