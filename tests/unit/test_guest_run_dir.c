/* SPDX-License-Identifier: BSD-2-Clause
 * The run directory: pid file and its lock, what is removed and what is not.
 */
#include "guest/run_dir.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char base[64], path[96], error[256];

static int setup(void)
{
    strcpy(base, "/tmp/test-run-dir-XXXXXX");
    if (!mkdtemp(base))
        return 1;
    snprintf(path, sizeof path, "%s/alice", base);
    return 0;
}

static int teardown(void)
{
    return chdir("/") || rmdir(path) || rmdir(base);
}

static bool exists(const char *name)
{
    char file[200];

    snprintf(file, sizeof file, "%s/%s", path, name);
    return access(file, F_OK) == 0;
}

static void touch(const char *name)
{
    close(open(name, O_CREAT | O_WRONLY, 0600)); /* the run directory is the working directory */
}

static void test_life(void)
{
    struct run_dir *dir = run_dir_open(path, error, sizeof error);
    char text[32] = "", expected[32];
    int fd;

    CU_ASSERT_PTR_NOT_NULL_FATAL(dir);
    fd = open("pid", O_RDONLY);
    CU_ASSERT_TRUE(read(fd, text, sizeof text - 1) > 0);
    close(fd);
    snprintf(expected, sizeof expected, "%d\n", (int)getpid());
    CU_ASSERT_STRING_EQUAL(text, expected);
    CU_ASSERT_EQUAL(run_dir_socket_mode(dir), 0600);
    CU_ASSERT_EQUAL(chmod(".", 02750), 0); /* as the daemon makes those that its operators may enter */
    CU_ASSERT_EQUAL(run_dir_socket_mode(dir), 0660);
    touch("mine.sock");
    touch("other");
    run_dir_owns(dir, "mine.sock");
    run_dir_close(dir);
    CU_ASSERT_FALSE(exists("pid"));
    CU_ASSERT_FALSE(exists("mine.sock"));
    CU_ASSERT_TRUE(exists("other"));
    CU_ASSERT_EQUAL(unlink("other"), 0);
}

static void test_only_one(void)
{
    struct run_dir *dir = run_dir_open(path, error, sizeof error);
    int status;

    CU_ASSERT_PTR_NOT_NULL_FATAL(dir);
    if (fork() == 0) { /* another process */
        struct run_dir *second = run_dir_open(path, error, sizeof error);
        _exit(second == NULL && strstr(error, "running already") ? 0 : 1);
    }
    wait(&status);
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_TRUE(exists("pid")); /* the loser removed nothing */
    run_dir_close(dir);
    if (fork() == 0) { /* dies without cleaning up: its lock goes with it */
        run_dir_open(path, error, sizeof error);
        _exit(0);
    }
    wait(&status);
    CU_ASSERT_TRUE(exists("pid"));
    dir = run_dir_open(path, error, sizeof error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(dir);
    run_dir_close(dir);
}

static void test_refused(void)
{
    CU_ASSERT_PTR_NULL(run_dir_open("/nonexistent/deeper/still", error, sizeof error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "/nonexistent"));
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "life", test_life },
        { "only one", test_only_one },
        { "refused", test_refused },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("guest run_dir", tests, setup, teardown);
}
