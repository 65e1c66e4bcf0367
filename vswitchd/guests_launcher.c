/* SPDX-License-Identifier: BSD-2-Clause
 *
 * guests_launcher.h: both sides. Two sequenced-packet socket pairs join them:
 * one for requests and answers, one for what became of the children. Requests have
 * numbers, so that an answer that comes late is not taken for that to another one,
 * and a time after which nothing is started any more.
 */
#include "vswitchd/guests_launcher.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vswitchd/os/sandbox.h"

enum {
    REQUEST_MAX = 65536,
    ARGUMENTS_MAX = 64,
    START_TIMEOUT_MS = 2000,    /* For the launcher to begin with it. */
    EXITS_KEPT = 256,
};

struct request {
    uint64_t number;
    uint64_t until;             /* CLOCK_MONOTONIC, ms. */
    char text[REQUEST_MAX];     /* The log's path and the arguments, each ended by a NUL. */
};

struct answer {
    uint64_t number;
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
    int spare;                          /* Holds the place of the pidfd that comes with the next answer. */
    uint64_t number;                    /* Of the last request. */
    unsigned kept_next;
    struct exited kept[EXITS_KEPT];     /* The last ones that nobody has asked for. */
};

static uint64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

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

/* `size`: of the text. */
static void serve_request(int fd, const char *program, struct request *request, size_t size)
{
    char *arguments[ARGUMENTS_MAX + 1];
    size_t count = 0;
    char *log = request->text, *p = request->text;
    struct answer answer = {.number = request->number};
    int pidfd = -1;

    if (now_ms() > request->until) {
        answer.error = ETIMEDOUT;
        send_answer(fd, &answer, -1);
        return;
    }
    for (p += strlen(p) + 1; p < request->text + size && count < ARGUMENTS_MAX; p += strlen(p) + 1) {
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
    static struct request request;
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
            n = recv(requests, &request, sizeof request, 0);
            if (n <= (ssize_t)offsetof(struct request, text) || ((char *)&request)[n - 1] != '\0') {
                _exit(0);
            }
            serve_request(requests, program, &request, (size_t)n - offsetof(struct request, text));
        }
    }
}

/* ---- The daemon's side ---- */

/* It would end by itself, but not while something has stopped it, and has nothing to put in order. */
static void end_launcher(pid_t pid)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

    if (pidfd >= 0) {
        (void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
        close(pidfd);
    }
    (void)waitpid(pid, NULL, 0);
}

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
    l->spare = -1;
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
        if (launcher->spare >= 0) {
            close(launcher->spare);
        }
        if (launcher->pid > 0) {
            end_launcher(launcher->pid);
        }
        free(launcher);
    }
}

static bool hold_place(struct guests_launcher *launcher)
{
    if (launcher->spare < 0) {
        launcher->spare = fcntl(launcher->requests, F_DUPFD_CLOEXEC, 0);
    }
    return launcher->spare >= 0;
}

static void drop_status(struct guests_launcher *launcher, pid_t pid)
{
    for (unsigned i = 0; i < EXITS_KEPT; i++) {
        if (launcher->kept[i].pid == pid) {
            launcher->kept[i].pid = 0;
        }
    }
}

/* One that is there. What was started without a descriptor for its pidfd would be beyond reach: then it stays there. */
static int receive_answer(struct guests_launcher *launcher, struct guests_launcher_answer *result)
{
    struct answer answer;
    struct iovec part = {&answer, sizeof answer};
    union { struct cmsghdr header; char bytes[CMSG_SPACE(sizeof(int))]; } control;
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control,
    };
    struct cmsghdr *c;

    if (!hold_place(launcher)) {
        return EMFILE;
    }
    close(launcher->spare);
    launcher->spare = -1;
    if (recvmsg(launcher->requests, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT) != (ssize_t)sizeof answer) {
        return EPIPE;
    }
    c = CMSG_FIRSTHDR(&message);
    *result = (struct guests_launcher_answer) {answer.number, answer.error, answer.pid, -1};
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
        memcpy(&result->pidfd, CMSG_DATA(c), sizeof result->pidfd);
    }
    if (!result->error && result->pidfd < 0) {
        result->error = EPIPE;
    }
    drop_status(launcher, answer.pid);    /* Of one that had its number before. */
    return 0;
}

int guests_launcher_answer(struct guests_launcher *launcher, int wait_ms, struct guests_launcher_answer *answer)
{
    struct pollfd ready = {.fd = launcher->requests, .events = POLLIN};

    return poll(&ready, 1, wait_ms) == 1 ? receive_answer(launcher, answer) : EAGAIN;
}

void guests_launcher_unwanted(const struct guests_launcher_answer *answer)
{
    if (answer->pidfd >= 0) {
        (void)syscall(SYS_pidfd_send_signal, answer->pidfd, SIGKILL, NULL, 0);
        close(answer->pidfd);
    }
}

/* The size of the text; 0: it does not fit. */
static size_t write_text(char text[REQUEST_MAX], const char *log, const char *const *arguments)
{
    size_t used = strlen(log) + 1;

    memcpy(text, log, used);
    for (; *arguments; arguments++) {
        size_t size = strlen(*arguments) + 1;

        if (used + size > REQUEST_MAX) {
            return 0;
        }
        memcpy(text + used, *arguments, size);
        used += size;
    }
    return used;
}

int guests_launcher_ask(struct guests_launcher *launcher, const char *const *arguments, const char *log,
                        uint64_t *number)
{
    struct request *request = malloc(sizeof *request);
    size_t size;
    int result = 0;

    if (!request) {
        return ENOMEM;
    }
    size = write_text(request->text, log, arguments);
    request->number = *number = ++launcher->number;
    request->until = now_ms() + START_TIMEOUT_MS;
    if (size == 0) {
        result = E2BIG;
    } else if (!hold_place(launcher)) {
        result = errno;
    } else if (send(launcher->requests, request, offsetof(struct request, text) + size, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        result = errno;
    }
    free(request);
    return result;
}

bool guests_launcher_exits(struct guests_launcher *launcher)
{
    struct exited exited;
    ssize_t n;

    while ((n = recv(launcher->exits, &exited, sizeof exited, MSG_DONTWAIT)) == (ssize_t)sizeof exited) {
        launcher->kept[launcher->kept_next++ % EXITS_KEPT] = exited;
    }
    return n < 0 && (errno == EAGAIN || errno == EINTR);
}

bool guests_launcher_status(struct guests_launcher *launcher, pid_t pid, int *status)
{
    (void)guests_launcher_exits(launcher);
    for (unsigned i = 0; i < EXITS_KEPT; i++) {
        if (launcher->kept[i].pid == pid) {
            *status = launcher->kept[i].status;
            launcher->kept[i].pid = 0;
            return true;
        }
    }
    return false;
}

int guests_launcher_answers_fd(const struct guests_launcher *launcher)
{
    return launcher->requests;
}

int guests_launcher_exits_fd(const struct guests_launcher *launcher)
{
    return launcher->exits;
}
