/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sandbox.h: capabilities by the raw system calls, the filter by libseccomp.
 */
#include "vswitchd/os/sandbox.h"

#include <errno.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct { enum sandbox_capability ours; int number; } capabilities[] = {
    {SANDBOX_CAP_NET_ADMIN, CAP_NET_ADMIN},
    {SANDBOX_CAP_NET_RAW, CAP_NET_RAW},
    {SANDBOX_CAP_DAC_OVERRIDE, CAP_DAC_OVERRIDE},
    {SANDBOX_CAP_DAC_READ_SEARCH, CAP_DAC_READ_SEARCH},
};
enum { CAPABILITY_COUNT = sizeof capabilities / sizeof *capabilities };

static uint64_t kernel_mask(unsigned keep)
{
    uint64_t mask = 0;

    for (size_t i = 0; i < CAPABILITY_COUNT; i++) {
        if (keep & capabilities[i].ours)
            mask |= UINT64_C(1) << capabilities[i].number;
    }
    return mask;
}

static int get_capabilities(struct __user_cap_data_struct data[2])
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

    return syscall(SYS_capget, &header, data) != 0 ? errno : 0;
}

int sandbox_keep_capabilities(unsigned keep, char *error, size_t error_size)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];
    uint64_t mask = kernel_mask(keep);
    int result = get_capabilities(data);

    /* The bounding set first: shrinking it takes a right that is about to go. Without that right there is nothing to gain
     * by exec either, but for programs with file capabilities, which no_new_privs rules out. */
    for (int c = 0; result == 0 && c < 64; c++) {
        if (!(mask >> c & 1) && prctl(PR_CAPBSET_READ, c, 0, 0, 0) == 1)
            (void)prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
    }
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (int i = 0; result == 0 && i < 2; i++) {
        data[i].permitted &= (uint32_t)(mask >> 32 * i);
        data[i].effective = data[i].permitted;
        data[i].inheritable = 0;
    }
    if (result == 0 && syscall(SYS_capset, &header, data) != 0)
        result = errno;
    if (result == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        result = errno;
    if (result != 0)
        snprintf(error, error_size, "cannot drop capabilities: %s", strerror(result));
    return result;
}

bool sandbox_has_capability(enum sandbox_capability capability)
{
    struct __user_cap_data_struct data[2];
    uint64_t mask = kernel_mask(capability);

    return get_capabilities(data) == 0 && (data[0].effective & (uint32_t)mask) == (uint32_t)mask
           && (data[1].effective & (uint32_t)(mask >> 32)) == (uint32_t)(mask >> 32);
}

/* What the loop, the ports, the control sockets, captures and libc's allocator use. */
static const char *const allowed[] = {
    /* files and sockets */
    "read", "readv", "write", "writev", "pread64", "preadv2", "pwrite64", "lseek", "close", "fstat", "fstatfs",
    "newfstatat", "stat", "lstat", "statx", "open", "openat", "fcntl", "flock", "ftruncate", "fsync", "getdents64",
    "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2", "chmod", "fchmod", "fchmodat", "fchown", "fchownat", "faccessat",
    "faccessat2", "access", "readlink", "readlinkat", "umask", "dup", "dup3", "pipe2", "getcwd", "ioctl",
    "socket", "socketpair", "bind", "listen", "accept", "accept4", "connect", "shutdown", "getsockname", "getpeername",
    "getsockopt", "setsockopt", "sendto", "recvfrom", "sendmsg", "recvmsg", "sendmmsg", "recvmmsg",
    /* the loop */
    "io_uring_enter", /* of the one ring there is, which can only write, and learn which files: write_batch.c */
    "poll", "ppoll", "select", "pselect6", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2",
    "eventfd2", "timer_settime", "timer_delete", "timerfd_create", "timerfd_settime", "timerfd_gettime", "signalfd4", "pidfd_open", "pidfd_send_signal",
    "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "getrandom",
    /* memory */
    "mmap", "munmap", "mremap", "mprotect", "madvise", "brk", "memfd_create",
    /* signals, itself */
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigtimedwait", "sigaltstack", "restart_syscall", "wait4",
    "waitid", "getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getgroups", "prctl", "capget",
    "tgkill", "futex", "set_robust_list", "rseq", "sched_yield", "sched_getaffinity", "prlimit64", "sysinfo", "uname",
    "exit", "exit_group",
};

/* Never by mistake: who calls these in the daemon is not the daemon. */
static const char *const fatal[] = {
    "execve", "execveat", "fork", "vfork", "ptrace", "process_vm_readv", "process_vm_writev", "mount", "umount2",
    "pivot_root", "chroot", "setns", "unshare", "init_module", "finit_module", "delete_module", "kexec_load", "bpf",
    "perf_event_open", "keyctl", "add_key", "request_key", "userfaultfd", "setuid", "setgid", "setreuid", "setregid",
    "setresuid", "setresgid", "capset", "personality", "modify_ldt", "iopl", "ioperm", "reboot", "swapon",
};

static int add_rules(scmp_filter_ctx filter, const char *const *names, size_t count, uint32_t action)
{
    for (size_t i = 0; i < count; i++) {
        int number = seccomp_syscall_resolve_name(names[i]);
        int result;

        if (number == __NR_SCMP_ERROR)
            continue;           /* Not of this architecture. */
        result = seccomp_rule_add(filter, action, number, 0);
        if (result != 0)
            return -result;
    }
    return 0;
}

int sandbox_filter_syscalls(char *error, size_t error_size)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int result;

    if (!filter) {
        snprintf(error, error_size, "cannot make a system-call filter: out of memory");
        return ENOMEM;
    }
    result = -seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);  /* Also for the thread of foreign.h. */
    if (result == 0)
        result = add_rules(filter, allowed, sizeof allowed / sizeof *allowed, SCMP_ACT_ALLOW);
    if (result == 0)
        result = add_rules(filter, fatal, sizeof fatal / sizeof *fatal, SCMP_ACT_KILL_PROCESS);
    if (result == 0)
        result = -seccomp_load(filter);
    seccomp_release(filter);
    if (result != 0)
        snprintf(error, error_size, "cannot load the system-call filter: %s", strerror(result));
    return result;
}
