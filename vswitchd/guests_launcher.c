/* SPDX-License-Identifier: BSD-2-Clause
 *
 * guests_launcher.h: both sides. Two sequenced-packet socket pairs join them:
 * one for requests and answers, one for what became of the children.
 */
#include "vswitchd/guests_launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vswitchd/os/sandbox.h"

enum {
    REQUEST_MAX = 65536,
    ARGUMENTS_MAX = 64,
    ANSWER_TIMEOUT_MS = 5000,
    STATUS_TIMEOUT_MS = 200,
    EXITS_KEPT = 256,
};

struct answer {
    int error;
    pid_t pid;
};

struct exited {
    pid_t pid;
    int status;
};

struct guests_launcher {
    pid_t pid;
    int requests;
    int exits;
    size_t kept_count;
    struct exited kept[EXITS_KEPT];     /* Exits that were read while looking for another. */
};

/* ---- The launcher's side ---- */

static void run_child(const char *program, char **arguments, const char *log)
{
    char *environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
    sigset_t none;
    int null_fd = open("/dev/null", O_RDWR), log_fd;

    umask(0007);
    log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0640);
    if (null_fd < 0 || log_fd < 0) {
        _exit(126);
    }
    dup2(null_fd, 0);
    dup2(log_fd, 1);
    dup2(log_fd, 2);
    (void)close_range(3, ~0u, 0);
    setsid();
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    execve(program, arguments, environment);
    dprintf(2, "vswitch-guest: cannot start %s: %s\n", program, strerror(errno));
    _exit(127);
}

static void send_answer(int fd, const struct answer *answer, int pidfd)
{
    struct iovec part = {(void *)answer, sizeof *answer};
    union { struct cmsghdr header; char bytes[CMSG_SPACE(sizeof(int))]; } control = {0};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

    if (pidfd >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.header), &pidfd, sizeof pidfd);
    }
    (void)sendmsg(fd, &message, MSG_NOSIGNAL);
}

/* A request: the log's path and the arguments, each ended by a NUL. */
static void serve_request(int fd, const char *program, char *request, size_t size)
{
    char *arguments[ARGUMENTS_MAX + 1];
    size_t count = 0;
    char *log = request, *p = request;
    struct answer answer = {0};
    int pidfd = -1;

    if (size == 0 || request[size - 1] != '\0') {
        answer.error = EINVAL;
        send_answer(fd, &answer, -1);
        return;
    }
    for (p += strlen(p) + 1; p < request + size && count < ARGUMENTS_MAX; p += strlen(p) + 1) {
        arguments[count++] = p;
    }
    arguments[count] = NULL;
    answer.pid = fork();
    if (answer.pid == 0) {
        run_child(program, arguments, log);
    }
    if (answer.pid < 0) {
        answer.error = errno;
    } else {
        pidfd = (int)syscall(SYS_pidfd_open, answer.pid, 0);
        answer.error = pidfd < 0 ? errno : 0;
    }
    send_answer(fd, &answer, pidfd);
    if (pidfd >= 0) {
        close(pidfd);
    }
}

static void report_exits(int fd)
{
    struct exited exited;

    while ((exited.pid = waitpid(-1, &exited.status, WNOHANG)) > 0) {
        (void)send(fd, &exited, sizeof exited, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
}

/* The rights that are left to it: reading the files guests are started with, wherever they are. */
static void lower_rights(void)
{
    char error[200];

    (void)sandbox_keep_capabilities(SANDBOX_CAP_DAC_OVERRIDE | SANDBOX_CAP_DAC_READ_SEARCH, error, sizeof error);
}

static void __attribute__((noreturn)) launcher_main(int requests, int exits, const char *program)
{
    static char request[REQUEST_MAX];
    struct signalfd_siginfo info;
    struct pollfd fds[2];
    sigset_t children;
    ssize_t n;

    prctl(PR_SET_NAME, "vswitchd-launch");
    signal(SIGTERM, SIG_IGN);       /* It ends when the daemon does. */
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    lower_rights();
    sigemptyset(&children);
    sigaddset(&children, SIGCHLD);
    sigprocmask(SIG_BLOCK, &children, NULL);
    fds[0] = (struct pollfd) {.fd = requests, .events = POLLIN};
    fds[1] = (struct pollfd) {.fd = signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK), .events = POLLIN};
    for (;;) {
        if (poll(fds, 2, -1) < 0 && errno != EINTR) {
            _exit(1);
        }
        if (fds[1].revents) {
            while (read(fds[1].fd, &info, sizeof info) > 0) {
            }
            report_exits(exits);
        }
        if (fds[0].revents) {
            n = recv(requests, request, sizeof request, 0);
            if (n <= 0) {
                _exit(0);
            }
            serve_request(requests, program, request, (size_t)n);
        }
    }
}

/* ---- The daemon's side ---- */

int guests_launcher_create(const char *program, struct guests_launcher **launcher)
{
    struct guests_launcher *l = calloc(1, sizeof *l);
    int requests[2], exits[2];

    if (!l) {
        return ENOMEM;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, requests) != 0) {
        free(l);
        return errno;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, exits) != 0) {
        close(requests[0]);
        close(requests[1]);
        free(l);
        return errno;
    }
    l->pid = fork();
    if (l->pid == 0) {
        close(requests[0]);
        close(exits[0]);
        launcher_main(requests[1], exits[1], program);
    }
    close(requests[1]);
    close(exits[1]);
    l->requests = requests[0];
    l->exits = exits[0];
    if (l->pid < 0) {
        int error = errno;

        guests_launcher_destroy(l);
        return error;
    }
    *launcher = l;
    return 0;
}

void guests_launcher_destroy(struct guests_launcher *launcher)
{
    if (launcher) {
        close(launcher->requests);
        close(launcher->exits);
        if (launcher->pid > 0) {
            (void)waitpid(launcher->pid, NULL, 0);
        }
        free(launcher);
    }
}

static int receive_answer(int fd, struct answer *answer, int *pidfd)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    struct iovec part = {answer, sizeof *answer};
    union { struct cmsghdr header; char bytes[CMSG_SPACE(sizeof(int))]; } control;
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control,
    };
    struct cmsghdr *c;

    if (poll(&ready, 1, ANSWER_TIMEOUT_MS) != 1) {
        return ETIMEDOUT;
    }
    if (recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) != (ssize_t)sizeof *answer) {
        return EPIPE;
    }
    c = CMSG_FIRSTHDR(&message);
    *pidfd = -1;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
        memcpy(pidfd, CMSG_DATA(c), sizeof *pidfd);
    }
    return answer->error ? answer->error : *pidfd < 0 ? EPIPE : 0;
}

int guests_launcher_run(struct guests_launcher *launcher, const char *const *arguments, const char *log, pid_t *pid,
                        int *pidfd)
{
    struct answer answer = {0};
    size_t used = strlen(log) + 1;
    char *request = malloc(REQUEST_MAX);
    int result;

    if (!request) {
        return ENOMEM;
    }
    memcpy(request, log, used);
    for (; *arguments; arguments++) {
        size_t size = strlen(*arguments) + 1;

        if (used + size > REQUEST_MAX) {
            free(request);
            return E2BIG;
        }
        memcpy(request + used, *arguments, size);
        used += size;
    }
    result = send(launcher->requests, request, used, MSG_NOSIGNAL) < 0 ? errno : 0;
    free(request);
    if (result == 0) {
        result = receive_answer(launcher->requests, &answer, pidfd);
    }
    *pid = answer.pid;
    return result;
}

bool guests_launcher_status(struct guests_launcher *launcher, pid_t pid, int *status)
{
    struct pollfd ready = {.fd = launcher->exits, .events = POLLIN};
    struct exited exited;

    for (size_t i = 0; i < launcher->kept_count; i++) {
        if (launcher->kept[i].pid == pid) {
            *status = launcher->kept[i].status;
            launcher->kept[i] = launcher->kept[--launcher->kept_count];
            return true;
        }
    }
    while (poll(&ready, 1, STATUS_TIMEOUT_MS) == 1
           && recv(launcher->exits, &exited, sizeof exited, MSG_DONTWAIT) == (ssize_t)sizeof exited) {
        if (exited.pid == pid) {
            *status = exited.status;
            return true;
        }
        if (launcher->kept_count < EXITS_KEPT) {
            launcher->kept[launcher->kept_count++] = exited;
        }
    }
    return false;
}
