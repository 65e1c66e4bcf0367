/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Sandbox: see sandbox.h. The only file that knows libseccomp.
 */
#include "guest/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Linux 6.3's; Debian 12's headers do not have them. */
#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_MDWE_REFUSE_EXEC_GAIN 1
#endif

/* --- namespaces --- */

/* An empty, read-only root. Descriptors opened before lead where they did. */
static bool enter_empty_root(void)
{
    return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
           mount("none", "/tmp", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "size=4k,mode=0555") == 0 &&
           chdir("/tmp") == 0 && chroot(".") == 0 && chdir("/") == 0;
}

void sandbox_enter_namespaces(char *report, size_t size)
{
    const int spaces = CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS | CLONE_NEWCGROUP;
    bool own_user = unshare(CLONE_NEWUSER | spaces) == 0;
    bool any = own_user || unshare(spaces) == 0;
    bool root = any && enter_empty_root();

    snprintf(report, size, "%s%s%s", any ? "own namespaces" : "no namespaces of its own (they are refused here)",
             own_user ? ", own user namespace" : "", root ? ", empty root" : "");
}

/* --- privileges --- */

static int drop_capabilities(void)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct none[2] = { { 0, 0, 0 }, { 0, 0, 0 } };

    for (int cap = 0; cap < 64; cap++)
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) && errno == EINVAL)
            break; /* past the last one; EPERM: had no right to drop, and needs none to be without */
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return syscall(SYS_capset, &header, none) ? errno : 0;
}

int sandbox_drop_privileges(const char **what)
{
    const struct rlimit no_core = { 0, 0 };
    int error;

    if (setgroups(0, NULL) && errno != EPERM) {
        *what = "cannot drop the supplementary groups";
        return errno;
    }
    error = drop_capabilities();
    if (error) {
        *what = "cannot drop the capabilities";
        return error;
    }
    if (setrlimit(RLIMIT_CORE, &no_core) || prctl(PR_SET_DUMPABLE, 0) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) {
        *what = "cannot restrict the process";
        return errno;
    }
    if (prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0) && errno != EINVAL) { /* EINVAL: a kernel without it */
        *what = "cannot refuse executable memory";
        return errno;
    }
    return 0;
}

/* --- the list --- */

/* Calls that may be made whatever their arguments, and who makes them. */
static const int allowed[] = {
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(recvmsg), SCMP_SYS(sendmsg), /* sockets, eventfds, console, images */
    SCMP_SYS(accept4), SCMP_SYS(close), SCMP_SYS(shutdown), SCMP_SYS(ppoll), /* clients and the switch come and go */
    SCMP_SYS(futex), SCMP_SYS(clock_gettime), SCMP_SYS(timer_settime),     /* waker, time, deadline */
    SCMP_SYS(munmap), SCMP_SYS(madvise), SCMP_SYS(brk), SCMP_SYS(mremap),  /* malloc, guest memory */
    SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigaction), /* host faults of translated code */
    SCMP_SYS(restart_syscall), SCMP_SYS(unlinkat), SCMP_SYS(exit), SCMP_SYS(exit_group),
};

static int add_rules(scmp_filter_ctx filter)
{
    const struct scmp_arg_cmp not_executable = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
    const struct scmp_arg_cmp this_process = SCMP_A0(SCMP_CMP_EQ, (scmp_datum_t)getpid());
    int error = 0;

    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0] && !error; i++)
        error = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed[i], 0);
    if (!error)
        error = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, &not_executable);
    if (!error)
        error = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, &not_executable);
    if (!error)
        error = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1, &this_process);
    if (!error) /* glibc's abort() and stdio ask these */
        error = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(newfstatat), 0);
    return -error;
}

static int load_filter(void)
{
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    int error;

    if (!filter)
        return ENOMEM;
    error = -seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    if (!error)
        error = add_rules(filter);
    if (!error)
        error = -seccomp_load(filter);
    seccomp_release(filter);
    return error;
}

int sandbox_close_door(const char **what)
{
    int error = sandbox_drop_privileges(what);

    if (error)
        return error;
    *what = "cannot load the system call filter";
    return load_filter();
}
