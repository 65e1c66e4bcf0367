/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Sends the same Ethernet frame out of an interface as fast as it takes it, or at a
 * given rate, for a given time: the load of `make bench` and of the test with a
 * stalled port.
 *
 * usage: frames INTERFACE DESTINATION SOURCE SIZE MILLISECONDS [FRAMES_PER_SECOND]
 * Prints how many frames the interface took.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>

enum { BATCH = 32, SIZE_MAX_FRAME = 9018, TYPE = 0x88b5 /* for local experiments */ };

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void parse_mac(const char *text, uint8_t mac[6])
{
    if (sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5]) != 6)
        errx(2, "%s is no MAC address", text);
}

static void wait_ns(uint64_t ns)
{
    struct timespec t = { .tv_sec = (time_t)(ns / 1000000000u), .tv_nsec = (long)(ns % 1000000000u) };
    nanosleep(&t, NULL);
}

int main(int argc, char **argv)
{
    static uint8_t frame[SIZE_MAX_FRAME];
    if (argc < 6)
        errx(2, "usage: frames INTERFACE DESTINATION SOURCE SIZE MILLISECONDS [FRAMES_PER_SECOND]");
    size_t size = (size_t)atoi(argv[4]);
    uint64_t rate = argc > 6 ? (uint64_t)atoll(argv[6]) : 0, sent = 0;
    if (size < 14 || size > sizeof frame)
        errx(2, "a frame has 14 to %d bytes", SIZE_MAX_FRAME);

    parse_mac(argv[2], frame);
    parse_mac(argv[3], frame + 6);
    frame[12] = TYPE >> 8, frame[13] = TYPE & 255;

    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0), on = 1;
    struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = (int)if_nametoindex(argv[1]), .sll_halen = 6 };
    memcpy(to.sll_addr, frame, 6);
    if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof to))
        err(1, "%s", argv[1]);
    setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof on);

    struct iovec part = { frame, size };
    struct mmsghdr batch[BATCH] = { 0 };
    for (int i = 0; i < BATCH; i++)
        batch[i].msg_hdr = (struct msghdr){ .msg_iov = &part, .msg_iovlen = 1 };

    uint64_t start = now_ns(), end = start + (uint64_t)atoll(argv[5]) * 1000000u, now;
    while ((now = now_ns()) < end) {
        if (rate && sent * 1000000000u / rate > now - start) {
            wait_ns(sent * 1000000000u / rate - (now - start));
            continue;
        }
        int taken = sendmmsg(fd, batch, BATCH, 0);
        if (taken > 0)
            sent += (uint64_t)taken;
        else if (errno != ENOBUFS && errno != EAGAIN && errno != EINTR)
            err(1, "%s", argv[1]);
    }
    printf("%llu\n", (unsigned long long)sent);
    return 0;
}
