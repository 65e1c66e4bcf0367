/* SPDX-License-Identifier: BSD-2-Clause
 * The closed door: one child for each forbidden call, and each is killed by
 * it; a child that makes the calls a guest needs lives. Also the waker, which
 * must go on behind the door.
 */
#include "guest/sandbox.h"
#include "guest/waker.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { GIVE_UP_S = 20 };

static void close_door(void)
{
    const char *what = "";
    char report[128];

    sandbox_enter_namespaces(report, sizeof report);
    if (sandbox_close_door(&what))
        _exit(99);
}

static int in_child(void (*work)(void))
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        alarm(2 * GIVE_UP_S);
        work();
        syscall(SYS_exit_group, 0);
    }
    waitpid(pid, &status, 0);
    return status;
}

#define FORBIDDEN(name, ...) static void call_##name(void) { close_door(); __VA_ARGS__; }

FORBIDDEN(socket, syscall(SYS_socket, AF_UNIX, SOCK_STREAM, 0))
FORBIDDEN(connect, syscall(SYS_connect, 0, "", 0))
FORBIDDEN(bind, syscall(SYS_bind, 0, "", 0))
FORBIDDEN(socketpair, syscall(SYS_socketpair, 0, 0, 0, 0))
FORBIDDEN(open, syscall(SYS_open, "/", O_RDONLY))
FORBIDDEN(openat, syscall(SYS_openat, AT_FDCWD, "/", O_RDONLY))
FORBIDDEN(execve, syscall(SYS_execve, "/bin/true", NULL, NULL))
FORBIDDEN(fork, syscall(SYS_fork))
FORBIDDEN(clone, syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0))
FORBIDDEN(clone3, syscall(SYS_clone3, NULL, 0))
FORBIDDEN(ptrace, syscall(SYS_ptrace, 0, 0, 0, 0))
FORBIDDEN(kill, syscall(SYS_kill, 1, 0))
FORBIDDEN(tgkill_other, syscall(SYS_tgkill, 1, 1, 0))
FORBIDDEN(memfd, syscall(SYS_memfd_create, "x", 0))
FORBIDDEN(mmap_exec, mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
FORBIDDEN(mprotect_exec, syscall(SYS_mprotect, 0x10000, 4096, PROT_READ | PROT_WRITE | PROT_EXEC))
FORBIDDEN(unshare, syscall(SYS_unshare, CLONE_NEWNET))
FORBIDDEN(mount, syscall(SYS_mount, 0, 0, 0, 0, 0))
FORBIDDEN(process_vm, syscall(SYS_process_vm_readv, 1, 0, 0, 0, 0, 0))
FORBIDDEN(io_uring, syscall(SYS_io_uring_setup, 1, NULL))
FORBIDDEN(bpf, syscall(SYS_bpf, 0, NULL, 0))
FORBIDDEN(prctl, syscall(SYS_prctl, PR_SET_DUMPABLE, 1))
FORBIDDEN(ioctl, syscall(SYS_ioctl, 0, 0, 0))
FORBIDDEN(foreign_abi, __asm__ volatile("int $0x80" : : "a"(20), "b"(0) : "memory")) /* i386 getpid */

static void test_forbidden(void)
{
    static const struct { const char *name; void (*call)(void); } calls[] = {
        { "socket", call_socket }, { "connect", call_connect }, { "bind", call_bind }, { "socketpair", call_socketpair },
        { "open", call_open }, { "openat", call_openat }, { "execve", call_execve }, { "fork", call_fork },
        { "clone", call_clone }, { "clone3", call_clone3 }, { "ptrace", call_ptrace }, { "kill", call_kill },
        { "tgkill of another", call_tgkill_other }, { "memfd_create", call_memfd },
        { "mmap PROT_EXEC", call_mmap_exec }, { "mprotect PROT_EXEC", call_mprotect_exec },
        { "unshare", call_unshare }, { "mount", call_mount }, { "process_vm_readv", call_process_vm },
        { "io_uring_setup", call_io_uring }, { "bpf", call_bpf }, { "prctl", call_prctl }, { "ioctl", call_ioctl },
        { "int 0x80", call_foreign_abi },
    };

    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        int status = in_child(calls[i].call);
        bool killed = WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
        if (!killed)
            fprintf(stderr, "%s was not killed: status %#x\n", calls[i].name, status);
        CU_ASSERT_TRUE(killed);
    }
}

/* --- every number there is --- */

/* All that may be called; newfstatat is answered with EPERM. */
static const int permitted[] = {
    SYS_read, SYS_write, SYS_recvmsg, SYS_sendmsg, SYS_accept4, SYS_close, SYS_shutdown, SYS_ppoll, SYS_futex,
    SYS_clock_gettime, SYS_timer_settime, SYS_mmap, SYS_munmap, SYS_mprotect, SYS_madvise, SYS_brk, SYS_mremap, SYS_rt_sigreturn,
    SYS_rt_sigprocmask, SYS_rt_sigaction, SYS_tgkill, SYS_restart_syscall, SYS_unlinkat, SYS_exit, SYS_exit_group,
    SYS_newfstatat,
};
enum { PERMITTED = sizeof permitted / sizeof permitted[0], MAKEABLE = PERMITTED - 1, MAKEABLE_MOST = 25,
       NUMBERS = 512, NUMBERS_I386 = 480, X32 = 0x40000000, URETPROBE = 335, UPROBE = 336 };
_Static_assert((int)MAKEABLE <= (int)MAKEABLE_MOST, "a guest makes do with 25 calls");

static bool is_permitted(int number)
{
    for (unsigned i = 0; i < PERMITTED; i++)
        if (permitted[i] == number)
            return true;
    return false;
}

static int number_to_call;
static bool as_i386;

/* The first argument is this process's id, which tgkill must have, and no descriptor
 * or address; the second keeps ppoll from sleeping. */
static void call_number(void)
{
    const long self = getpid();
    const char *what;

    signal(SIGALRM, SIG_DFL);
    if (sandbox_close_door(&what))
        syscall(SYS_exit_group, 99);
    if (as_i386)
        __asm__ volatile("int $0x80" : : "a"(number_to_call), "b"(self), "c"(1), "d"(0) : "memory");
    else
        syscall(number_to_call, self, 1L, 0L, 0L, 0L, 0L);
}

static bool is_killed(int number, bool i386)
{
    int status;

    number_to_call = number;
    as_i386 = i386;
    status = in_child(call_number);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 99)
        fprintf(stderr, "the door does not close\n");
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS;
}

/* Newer kernels let the two calls of their own probes past every filter, and give a
 * signal or an error to whoever is no probe. */
static void test_every_number(void)
{
    for (int number = 0; number < NUMBERS; number++) {
        if (number == URETPROBE || number == UPROBE)
            continue;
        bool right = is_killed(number, false) != is_permitted(number);
        if (!right)
            fprintf(stderr, "call %d is %s\n", number, is_permitted(number) ? "refused" : "let through");
        CU_ASSERT_TRUE(right);
    }
}

static void test_every_foreign_number(void)
{
    for (int number = 0; number < NUMBERS_I386; number += 1 + number / 16) /* all are refused by one rule */
        CU_ASSERT_TRUE(is_killed(number, true));
    for (unsigned i = 0; i < PERMITTED; i++)
        CU_ASSERT_TRUE(is_killed(X32 | permitted[i], false));
}

/* --- what is gone besides --- */

enum { GET_MDWE = 66 };

static void restricted(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int exec = memfd_create("code", 0);
    struct rlimit core;
    const char *what;

    if (page == MAP_FAILED || exec < 0 || ftruncate(exec, 4096))
        _exit(9);
    void *code = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, exec, 0);
    void *same = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, exec, 0);
    if (code == MAP_FAILED || same == MAP_FAILED || sandbox_drop_privileges(&what))
        _exit(10);
    if (prctl(PR_GET_DUMPABLE) != 0 || getrlimit(RLIMIT_CORE, &core) || core.rlim_max != 0)
        _exit(11);
    *(uint8_t *)same = 0xc3; /* the code cache, mapped twice before, goes on */
    ((void (*)(void))code)();
    if (prctl(GET_MDWE, 0, 0, 0, 0) < 0)
        _exit(errno == EINVAL ? 77 : 12); /* a kernel before 6.3 */
    if (prctl(GET_MDWE, 0, 0, 0, 0) != 1)
        _exit(13);
    if (mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0 || errno != EACCES)
        _exit(14);
    if (mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
        _exit(15);
}

static void test_restricted(void)
{
    int status = in_child(restricted);

    CU_ASSERT_TRUE(WIFEXITED(status));
    CU_ASSERT_TRUE(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 77);
}

static int event = -1, answer = -1;

static void on_wake(void *opaque)
{
    const uint64_t one = 1;
    ssize_t done = write(answer, &one, sizeof one);

    (void)opaque;
    (void)done;
}

/* What a guest's life is made of; any failure is an exit code. */
static void live(void)
{
    struct pollfd fd;
    struct timespec long_enough = { GIVE_UP_S, 0 };
    struct waker *waker;
    const uint64_t one = 1;
    uint64_t value;
    uint8_t *memory;

    event = eventfd(0, EFD_NONBLOCK);
    answer = eventfd(0, EFD_NONBLOCK);
    if (waker_start(on_wake, NULL, &waker))
        _exit(10);
    close_door();
    memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || mprotect(memory, 4096, PROT_READ) || madvise(memory, 1 << 20, MADV_DONTNEED))
        _exit(12);
    free(realloc(malloc(3 << 20), 9 << 20));
    for (unsigned round = 0; round < 3; round++) { /* the waker fires once each time it is armed */
        fd = (struct pollfd){ .fd = event, .events = POLLIN };
        waker_arm(waker, &fd, 1);
        if (write(event, &one, sizeof one) != sizeof one)
            _exit(13);
        fd = (struct pollfd){ .fd = answer, .events = POLLIN };
        if (ppoll(&fd, 1, &long_enough, NULL) != 1)
            _exit(14);
        if (waker_is_armed(waker) || read(answer, &value, 8) != 8 || value != 1 || read(event, &value, 8) != 8)
            _exit(15);
    }
    fd = (struct pollfd){ .fd = event, .events = POLLIN };
    waker_arm(waker, &fd, 1);
    waker_disturb(waker);
    fd = (struct pollfd){ .fd = answer, .events = POLLIN };
    if (ppoll(&fd, 1, &long_enough, NULL) != 1 || waker_is_armed(waker))
        _exit(16);
    waker_stop(waker);
}

static void test_allowed(void)
{
#ifdef __SANITIZE_ADDRESS__
    return; /* the sanitizer makes system calls of its own */
#endif
    int status = in_child(live);

    CU_ASSERT_TRUE(WIFEXITED(status));
    CU_ASSERT_EQUAL(WEXITSTATUS(status), 0);
}

/* The filter covers the waker's thread, too: it was there before the door closed. */
static void wake_and_open(void *opaque)
{
    (void)opaque;
    syscall(SYS_openat, AT_FDCWD, "/", O_RDONLY);
}

static void other_thread_opens(void)
{
    struct timespec long_enough = { GIVE_UP_S, 0 };
    struct waker *waker;
    struct pollfd fd;

    if (waker_start(wake_and_open, NULL, &waker))
        _exit(10);
    event = eventfd(1, EFD_NONBLOCK);
    close_door();
    fd = (struct pollfd){ .fd = event, .events = POLLIN };
    waker_arm(waker, &fd, 1);
    ppoll(NULL, 0, &long_enough, NULL);
}

static void test_all_threads(void)
{
    int status = in_child(other_thread_opens);

    CU_ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

static void test_privileges(void)
{
    char text[4096] = "";
    int pipe_fds[2], status;
    ssize_t got;
    pid_t pid;

    CU_ASSERT_EQUAL_FATAL(pipe(pipe_fds), 0);
    pid = fork();
    if (pid == 0) { /* /proc is opened before the door closes, and read behind it */
        int fd = open("/proc/self/status", O_RDONLY);
        char buffer[4096];
        close_door();
        got = read(fd, buffer, sizeof buffer);
        status = got > 0 && write(pipe_fds[1], buffer, (size_t)got) == got ? 0 : 1;
        syscall(SYS_exit_group, status);
    }
    waitpid(pid, &status, 0);
    CU_ASSERT_EQUAL(status, 0);
    got = read(pipe_fds[0], text, sizeof text - 1);
    CU_ASSERT_TRUE(got > 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "NoNewPrivs:\t1"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "Seccomp:\t2"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "CapInh:\t0000000000000000"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "CapPrm:\t0000000000000000"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "CapEff:\t0000000000000000"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "CapAmb:\t0000000000000000"));
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "forbidden", test_forbidden },
        { "every number", test_every_number },
        { "every foreign number", test_every_foreign_number },
        { "restricted", test_restricted },
        { "allowed", test_allowed },
        { "all threads", test_all_threads },
        { "privileges", test_privileges },
        CU_TEST_INFO_NULL,
    };

    return unit_run("guest sandbox", tests);
}
