/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tests of the launcher: what it starts and how that ended; that nobody waits for
 * one which is held up, and that it does not start later what nobody waits for any
 * more.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
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

static int ask(const char *command, uint64_t *request)
{
    const char *const arguments[] = {"sh", "-c", command, mark, NULL};

    return guests_launcher_ask(launcher, arguments, log_file, request);
}

/* Waits for the answer. */
static int run(const char *command, struct guests_launcher_answer *answer)
{
    uint64_t request = 0;
    int result = ask(command, &request);

    result = result ? result : guests_launcher_answer(launcher, 10000, answer);
    CU_ASSERT(result || answer->request == request);
    return result ? result : answer->error;
}

static bool ended_with(pid_t pid, int wanted)
{
    struct pollfd told = {.fd = guests_launcher_exits_fd(launcher), .events = POLLIN};
    int status = -1;

    while (!guests_launcher_status(launcher, pid, &status))
        CU_ASSERT_EQUAL_FATAL(poll(&told, 1, 10000), 1);
    return WIFEXITED(status) && WEXITSTATUS(status) == wanted;
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
    struct guests_launcher_answer answer;

    CU_ASSERT_EQUAL_FATAL(run("echo said; exit 3", &answer), 0);
    CU_ASSERT(ended_with(answer.pid, 3));
    close(answer.pidfd);
}

/* Each process has its end told, in whatever order that is asked for. */
static void test_several(void)
{
    struct guests_launcher_answer answers[3];
    int status;

    for (int i = 0; i < 3; i++)
        CU_ASSERT_EQUAL_FATAL(run(i == 0 ? "exit 5" : i == 1 ? "exit 6" : "exit 7", &answers[i]), 0);
    for (int i = 3; i-- > 0;) {
        CU_ASSERT(ended_with(answers[i].pid, 5 + i));
        CU_ASSERT_FALSE(guests_launcher_status(launcher, answers[i].pid, &status)); /* told once */
        close(answers[i].pidfd);
    }
}

/* Nobody waits: the answer is there later, or not at all. */
static void test_held_up(void)
{
    struct guests_launcher_answer late, answer;
    pid_t held = launcher_pid();
    uint64_t first = 0, second = 0;

    CU_ASSERT_EQUAL_FATAL(kill(held, SIGSTOP), 0);
    CU_ASSERT_EQUAL(ask("sleep 100", &first), 0);
    CU_ASSERT_EQUAL(ask("exit 4", &second), 0);
    CU_ASSERT_EQUAL(guests_launcher_answer(launcher, 0, &late), EAGAIN);
    CU_ASSERT_EQUAL_FATAL(kill(held, SIGCONT), 0);
    CU_ASSERT_EQUAL_FATAL(guests_launcher_answer(launcher, 10000, &late), 0);
    CU_ASSERT_EQUAL_FATAL(guests_launcher_answer(launcher, 10000, &answer), 0);
    CU_ASSERT_EQUAL(late.request, first);
    CU_ASSERT_EQUAL(answer.request, second);
    CU_ASSERT_NOT_EQUAL(first, second);
    guests_launcher_unwanted(&late);
    CU_ASSERT(ended_with(answer.pid, 4));
    close(answer.pidfd);
}

/* What is asked of one that is held up for long is not done when it goes on. */
static void test_too_late(void)
{
    struct guests_launcher_answer late;
    pid_t held = launcher_pid();
    uint64_t request = 0;

    CU_ASSERT_EQUAL_FATAL(kill(held, SIGSTOP), 0);
    CU_ASSERT_EQUAL(ask("echo late >$0", &request), 0);
    sleep(3);
    CU_ASSERT_EQUAL_FATAL(kill(held, SIGCONT), 0);
    CU_ASSERT_EQUAL_FATAL(guests_launcher_answer(launcher, 10000, &late), 0);
    CU_ASSERT_EQUAL(late.request, request);
    CU_ASSERT_EQUAL(late.error, ETIMEDOUT);
    CU_ASSERT_EQUAL(access(mark, F_OK), -1);
}

/* Started without a descriptor for its pidfd it would be beyond reach: nothing is started, or the answer waits. */
static void test_no_descriptor(void)
{
    struct rlimit limit, less;
    struct guests_launcher_answer answer;
    uint64_t request = 0;
    int next = open("/dev/null", O_RDONLY), more;

    getrlimit(RLIMIT_NOFILE, &limit);
    close(next);
    less = limit;
    less.rlim_cur = (rlim_t)next;
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &less), 0);
    CU_ASSERT_EQUAL(ask("echo started >$0", &request), EMFILE);
    less.rlim_cur = (rlim_t)next + 1;
    CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &less), 0);
    CU_ASSERT_EQUAL_FATAL(run("exit 8", &answer), 0);
    CU_ASSERT_EQUAL(answer.pidfd, next);
    CU_ASSERT_EQUAL(ask("exit 9", &request), EMFILE);
    close(answer.pidfd);
    CU_ASSERT_EQUAL_FATAL(ask("exit 9", &request), 0);
    CU_ASSERT_EQUAL_FATAL(ask("exit 10", &request), 0);
    CU_ASSERT_EQUAL_FATAL(guests_launcher_answer(launcher, 10000, &answer), 0);
    more = guests_launcher_answer(launcher, 10000, &answer);
    CU_ASSERT_EQUAL(more, EMFILE);
    close(answer.pidfd);
    CU_ASSERT_EQUAL_FATAL(guests_launcher_answer(launcher, 10000, &answer), 0);
    CU_ASSERT_EQUAL(answer.request, request);
    CU_ASSERT(answer.pidfd >= 0);
    close(answer.pidfd);
    setrlimit(RLIMIT_NOFILE, &limit);
    CU_ASSERT_EQUAL(access(mark, F_OK), -1);
}

static void test_gone(void)
{
    struct guests_launcher_answer answer;
    pid_t victim = launcher_pid();
    int result;

    CU_ASSERT_TRUE(guests_launcher_exits(launcher));
    kill(victim, SIGKILL);
    CU_ASSERT_EQUAL(waitpid(victim, NULL, 0), victim);
    result = run("exit 0", &answer);
    CU_ASSERT(result == EPIPE || result == ECONNRESET);
    CU_ASSERT_FALSE(guests_launcher_exits(launcher));
}

/* Nothing waits for ever for one that somebody has stopped. */
static void test_end_of_stopped(void)
{
    pid_t held;

    guests_launcher_destroy(launcher);
    CU_ASSERT_EQUAL_FATAL(guests_launcher_create("/bin/sh", &launcher), 0);
    held = launcher_pid();
    CU_ASSERT_EQUAL_FATAL(kill(held, SIGSTOP), 0);
    guests_launcher_destroy(launcher);
    CU_ASSERT_EQUAL(kill(held, 0), -1);
    CU_ASSERT_EQUAL_FATAL(guests_launcher_create("/bin/sh", &launcher), 0);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "a process, and how it ended", test_run },
        { "several", test_several },
        { "a launcher that is held up", test_held_up },
        { "for too long", test_too_late },
        { "no descriptor is free", test_no_descriptor },
        { "a launcher that has gone", test_gone },
        { "the end of one that is stopped", test_end_of_stopped },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("guests_launcher", tests, setup, teardown);
}
