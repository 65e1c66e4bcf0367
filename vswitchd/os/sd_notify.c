/* SPDX-License-Identifier: BSD-2-Clause
 *
 * sd_notify.h, spoken directly: the protocol is a line of text in a datagram.
 */
#include "vswitchd/os/sd_notify.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* One process, one manager: the only state of its kind in the daemon. */
static struct {
    int fd;
    struct sockaddr_un address;
    socklen_t address_size;
    uint64_t watchdog;          /* ns, 0: none */
} notify = {.fd = -1};

void sd_notify_open(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    const char *watchdog = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    size_t length = path ? strlen(path) : 0;

    if (length < 2 || (path[0] != '/' && path[0] != '@') || length >= sizeof notify.address.sun_path)
        return;
    notify.address.sun_family = AF_UNIX;
    memcpy(notify.address.sun_path, path, length + 1);
    notify.address_size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    if (path[0] == '@') {
        notify.address.sun_path[0] = '\0';      /* An abstract name. */
    } else {
        notify.address_size++;
    }
    notify.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (watchdog && (!pid || strtol(pid, NULL, 10) == getpid()))
        notify.watchdog = strtoull(watchdog, NULL, 10) * 1000;
}

void sd_notify_close(void)
{
    if (notify.fd >= 0) {
        close(notify.fd);
        notify.fd = -1;
    }
}

static void say(const char *text)
{
    if (notify.fd >= 0) {
        (void)sendto(notify.fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&notify.address,
                     notify.address_size);
    }
}

void sd_notify_ready(const char *status)
{
    char text[400];

    snprintf(text, sizeof text, "READY=1\nSTATUS=%.300s", status);
    say(text);
}

void sd_notify_reloading(void)
{
    struct timespec now;
    char text[100];

    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(text, sizeof text, "RELOADING=1\nMONOTONIC_USEC=%llu",
             (unsigned long long)now.tv_sec * 1000000ull + (unsigned long long)now.tv_nsec / 1000);
    say(text);
}

void sd_notify_stopping(void)
{
    say("STOPPING=1\nSTATUS=ending");
}

void sd_notify_status(const char *status)
{
    char text[400];

    snprintf(text, sizeof text, "STATUS=%.300s", status);
    say(text);
}

void sd_notify_watchdog(void)
{
    say("WATCHDOG=1");
}

uint64_t sd_notify_watchdog_period(void)
{
    return notify.watchdog;
}
