/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The floor for a switch in user space: two taps, everything read from one is
 * written to the other, nothing is looked at. Measured beside vswitchd.
 *
 * usage: relay TAP TAP      prints "ready" when both taps exist; ends with its input
 */
#include <err.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BUDGET = 64, FRAME_MAX = 70000 };

static int tap_open(const char *name)
{
    /* With the virtio header and offloads, as vswitchd's taps have them. */
    struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR };
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC), header = 12;

    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &request))
        err(1, "%s", name);
    if (ioctl(fd, TUNSETVNETHDRSZ, &header) || ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6))
        err(1, "%s: offloads", name);
    return fd;
}

static void relay(int from, int to)
{
    static char frame[FRAME_MAX];
    for (int i = 0; i < BUDGET; i++) {
        ssize_t size = read(from, frame, sizeof frame);
        if (size <= 0)
            return;
        if (write(to, frame, (size_t)size) < 0)
            continue; /* full: dropped */
    }
}

int main(int argc, char **argv)
{
    if (argc != 3)
        errx(2, "usage: relay TAP TAP");
    int a = tap_open(argv[1]), b = tap_open(argv[2]);
    struct pollfd fds[3] = { { .fd = a, .events = POLLIN }, { .fd = b, .events = POLLIN }, { .fd = 0, .events = POLLIN } };

    puts("ready");
    fflush(stdout);
    while (poll(fds, 3, -1) > 0 && !fds[2].revents) {
        if (fds[0].revents)
            relay(a, b);
        if (fds[1].revents)
            relay(b, a);
    }
    return 0;
}
