/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A guest's serial console: the terminal in raw mode, bytes in both directions
 * until Ctrl-] or the guest's end. Without a terminal standard input is sent,
 * and what the guest says is copied until it has been silent for a while.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "cli/command.h"

enum { LEAVE = 0x1d /* Ctrl-] */, SILENCE_MS = 1000 };

static struct termios saved;
static volatile sig_atomic_t ended;

static void end(int number)
{
    (void)number;
    ended = 1;
}

static bool raw_mode(void)
{
    struct termios raw;

    if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &saved) != 0) {
        return false;
    }
    raw = saved;
    cfmakeraw(&raw);
    return tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
}

static bool write_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, bytes, size);

        if (n < 0 && errno != EINTR) {
            return false;
        }
        if (n > 0) {
            bytes += n;
            size -= (size_t)n;
        }
    }
    return true;
}

/* True: go on. *input is closed (-1) at its end. */
static bool from_terminal(int *input, int fd, bool raw)
{
    char bytes[4096], *leave;
    ssize_t n = read(*input, bytes, sizeof bytes);

    if (n <= 0) {
        *input = -1;
        return true;
    }
    leave = raw ? memchr(bytes, LEAVE, (size_t)n) : NULL;
    return write_all(fd, bytes, leave ? (size_t)(leave - bytes) : (size_t)n) && !leave;
}

static int stream(int fd, bool raw)
{
    int input = STDIN_FILENO;
    char bytes[4096];

    while (!ended) {
        struct pollfd fds[2] = {{.fd = fd, .events = POLLIN}, {.fd = input, .events = POLLIN}};
        int n = poll(fds, 2, input < 0 ? SILENCE_MS : -1);

        if (n == 0) {
            return 0;
        }
        if (n > 0 && fds[0].revents) {
            ssize_t got = read(fd, bytes, sizeof bytes);

            if (got <= 0) {
                return 1;
            }
            if (!write_all(STDOUT_FILENO, bytes, (size_t)got)) {
                return 0;
            }
        }
        if (n > 0 && fds[1].revents && !from_terminal(&input, fd, raw)) {
            return 0;
        }
    }
    return 0;
}

int console_run(const struct cli *cli, const char *path, const char *guest)
{
    struct sigaction action = {.sa_handler = end};
    int fd = rpc_connect_path(path), closed;
    bool raw;

    (void)cli;
    fflush(stdout);             /* What was said before comes before. */
    if (fd < 0) {
        fprintf(stderr, "vswitchctl: cannot reach the console of %s: %s\n", guest, strerror(errno));
        return RPC_UNREACHABLE;
    }
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
    if (isatty(STDIN_FILENO)) {
        fprintf(stderr, "console of %s; Ctrl-] leaves\n", guest);
    }
    raw = raw_mode();
    closed = stream(fd, raw);
    if (raw) {
        tcsetattr(STDIN_FILENO, TCSANOW, &saved);
        fprintf(stderr, closed ? "\nthe console was closed\n" : "\n");
    }
    close(fd);
    return RPC_DONE;
}
