/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tests of vswitchd/os/sandbox: one child for each call, behind the filter. What
 * would start programs or reach into others ends the child, what is merely of
 * no use fails, what the loop needs works.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "vswitchd/os/sandbox.h"

enum { NO_FILTER = 99 };

static char error[200];

/* Runs `body` in a child behind the filter: its wait status. */
static int behind_filter(int (*body)(long argument), long argument)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        if (sandbox_keep_capabilities(0, error, sizeof error) != 0
            || sandbox_filter_syscalls(error, sizeof error) != 0) {
            _exit(NO_FILTER);
        }
        syscall(SYS_exit_group, body(argument));
    }
    CU_ASSERT_FATAL(pid > 0 && waitpid(pid, &status, 0) == pid);
    return status;
}

static int call(long number)
{
    return (int)syscall(number, 0, 0, 0, 0, 0, 0);
}

static int call_error(long number)
{
    return syscall(number, -1L, 0, 0, 0, 0, 0) == -1 ? errno : 0;
}

static void test_fatal(void)
{
    static const long fatal[] = {
        SYS_execve, SYS_execveat, SYS_fork, SYS_vfork, SYS_ptrace, SYS_process_vm_writev, SYS_mount, SYS_pivot_root,
        SYS_chroot, SYS_setns, SYS_unshare, SYS_init_module, SYS_finit_module, SYS_bpf, SYS_perf_event_open,
        SYS_keyctl, SYS_userfaultfd, SYS_setuid, SYS_setresgid, SYS_capset, SYS_modify_ldt, SYS_reboot,
    };

    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++) {
        int status = behind_filter(call, fatal[i]);

        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS) {
            printf("\n    system call %ld: status %x", fatal[i], status);
            CU_FAIL("it did not end the child");
        }
    }
    CU_PASS("");
}

static void test_refused(void)
{
    static const long refused[] = {
        SYS_kill, SYS_tkill, SYS_clone, SYS_clone3, SYS_sethostname, SYS_settimeofday, SYS_io_uring_setup, SYS_symlink,
        SYS_link, SYS_mknodat, SYS_setsid, SYS_setpriority, SYS_shmget, SYS_msgget,
    };

    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        int status = behind_filter(call_error, refused[i]);

        if (!WIFEXITED(status) || WEXITSTATUS(status) != EPERM) {
            printf("\n    system call %ld: status %x", refused[i], status);
            CU_FAIL("it did not fail with EPERM");
        }
    }
    CU_PASS("");
}

/* What the daemon does all day. */
static int work(long unused)
{
    int pair[2], fd;
    char *memory;

    (void)unused;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0 || send(pair[0], "x", 1, 0) != 1) {
        return 1;
    }
    memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || munmap(memory, 1 << 20) != 0) {
        return 2;
    }
    free(malloc(10 << 20));
    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd < 0 || write(fd, "x", 1) != 1) {
        return 3;
    }
    return socket(AF_NETLINK, SOCK_RAW, 0) >= 0 && memfd_create("x", 0) >= 0 ? 0 : 4;
}

static void test_allowed(void)
{
    int status = behind_filter(work, 0);

    CU_ASSERT_TRUE(WIFEXITED(status));
    CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
}

static int capabilities_are(unsigned keep)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct before[2], after[2];
    uint32_t mask = (keep & SANDBOX_CAP_NET_ADMIN ? 1u << CAP_NET_ADMIN : 0)
                    | (keep & SANDBOX_CAP_NET_RAW ? 1u << CAP_NET_RAW : 0);

    if (syscall(SYS_capget, &header, before) != 0 || sandbox_keep_capabilities(keep, error, sizeof error) != 0
        || syscall(SYS_capget, &header, after) != 0) {
        return 1;
    }
    return after[0].effective != (before[0].permitted & mask) || after[0].permitted != after[0].effective
           || after[1].permitted != 0 || after[0].inheritable != 0;
}

static void test_capabilities(void)
{
    static const unsigned keeps[] = {0, SANDBOX_CAP_NET_ADMIN, SANDBOX_CAP_NET_ADMIN | SANDBOX_CAP_NET_RAW};

    for (size_t i = 0; i < sizeof keeps / sizeof *keeps; i++) {
        int status;
        pid_t pid = fork();

        if (pid == 0) {
            _exit(capabilities_are(keeps[i]));
        }
        CU_ASSERT_FATAL(pid > 0 && waitpid(pid, &status, 0) == pid);
        CU_ASSERT_EQUAL(status, 0);
    }
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "calls that end the process", test_fatal },
        { "calls that fail", test_refused },
        { "calls that the daemon makes", test_allowed },
        { "capabilities", test_capabilities },
        CU_TEST_INFO_NULL,
    };

    return unit_run("sandbox", tests);
}
