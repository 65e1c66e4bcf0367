/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tests of the launcher: what it starts and how that ended; and that one which was
 * held up neither starts what nobody waits for any more, nor has its late answer
 * taken for that to another request.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vswitchd/guests_launcher.h"

static struct guests_launcher *launcher;
static char folder[] = "/tmp/vswitch-launcher.XXXXXX";
static char log_file[64], mark[64];

static int setup(void)
{
    if (!mkdtemp(folder))
        return 1;
    snprintf(log_file, sizeof log_file, "%s/log", folder);
    snprintf(mark, sizeof mark, "%s/mark", folder);
    return guests_launcher_create("/bin/sh", &launcher);
}

static int teardown(void)
{
    guests_launcher_destroy(launcher);
    unlink(log_file);
    unlink(mark);
    return rmdir(folder);
}

static int run(const char *command, pid_t *pid, int *pidfd)
{
    const char *const arguments[] = {"sh", "-c", command, mark, NULL};

    return guests_launcher_run(launcher, arguments, log_file, pid, pidfd);
}

/* The process that was forked here. */
static pid_t launcher_pid(void)
{
    char path[64], text[32] = "";
    int fd;

    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    fd = open(path, O_RDONLY);
    CU_ASSERT_FATAL(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
    close(fd);
    return (pid_t)strtol(text, NULL, 10);
}

static void test_run(void)
{
    pid_t pid = 0;
    int pidfd = -1, status = 0;

    CU_ASSERT_EQUAL_FATAL(run("echo said; exit 3", &pid, &pidfd), 0);
    CU_ASSERT(guests_launcher_status(launcher, pid, &status));
    CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 3);
    close(pidfd);
}

static void test_held_up(void)
{
    pid_t pid = 0, other = 0, held = launcher_pid();
    int pidfd = -1, status = 0;

    CU_ASSERT_EQUAL_FATAL(kill(held, SIGSTOP), 0);
    CU_ASSERT_EQUAL(run("echo late >$0; sleep 100", &other, &pidfd), ETIMEDOUT);
    CU_ASSERT_EQUAL_FATAL(kill(held, SIGCONT), 0);
    CU_ASSERT_EQUAL_FATAL(run("exit 4", &pid, &pidfd), 0);
    CU_ASSERT(guests_launcher_status(launcher, pid, &status));
    CU_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 4);
    CU_ASSERT_EQUAL(access(mark, F_OK), -1);
    close(pidfd);
}

/* Started without a descriptor for its pidfd it would be beyond reach. */
static void test_no_descriptor(void)
{
    struct rlimit limit, less;
    pid_t pid = 0;
    int pidfd = -1, next = open("/dev/null", O_RDONLY);

    getrlimit(RLIMIT_NOFILE, &limit);
    close(next);
    less = limit;
    less.rlim_cur = (rlim_t)next;
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &less), 0);
    CU_ASSERT_EQUAL(run("echo started >$0", &pid, &pidfd), EMFILE);
    setrlimit(RLIMIT_NOFILE, &limit);
    CU_ASSERT_EQUAL_FATAL(run("exit 0", &pid, &pidfd), 0);
    CU_ASSERT_EQUAL(access(mark, F_OK), -1);
    close(pidfd);
}

static void test_gone(void)
{
    pid_t pid = 0, victim = launcher_pid();
    int pidfd = -1;

    kill(victim, SIGKILL);
    CU_ASSERT_EQUAL(waitpid(victim, NULL, 0), victim);
    CU_ASSERT_EQUAL(run("exit 0", &pid, &pidfd), EPIPE);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "a process, and how it ended", test_run },
        { "a launcher that was held up", test_held_up },
        { "no descriptor is free", test_no_descriptor },
        { "a launcher that has gone", test_gone },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("guests_launcher", tests, setup, teardown);
}
