/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A guest's end of a vhost-user port without a guest: sends the same frame as fast
 * as the switch takes it, 32 at a time as a guest does, and takes what comes. The
 * load with which `make bench` measures what such a frame costs the switch.
 *
 * usage: link_frames SOCKET DESTINATION SOURCE SIZE MILLISECONDS    SIZE 0: takes only
 * Says "connected"; prints in the end how many frames it sent and received.
 */
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "guest/port_link.h"

enum { BURST = 32, SIZE_MAX_FRAME = 1514 };

/* UDP to nobody: the stack behind a tap looks at the IP header, as with pktgen's. */
static const uint8_t headers[] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0x45, 0, 0, 46, 0, 0, 0, 0, 32, 17, 0x86, 0xb1,
                                   10, 2, 0, 2, 10, 2, 0, 9, 0, 9, 0, 9, 0, 26, 0, 0 };

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

static enum port_link_answer take(void *opaque, const void *frame, size_t size, const struct nic_offload *offload)
{
    (void)opaque, (void)frame, (void)size, (void)offload;
    return PORT_LINK_TAKEN;
}

int main(int argc, char **argv)
{
    static uint8_t frame[SIZE_MAX_FRAME];
    static const struct nic_offload nothing;
    struct port_link_options options = { .accept_csum = true, .accept_tso = true };
    struct port_link *link;
    if (argc != 6)
        errx(2, "usage: link_frames SOCKET DESTINATION SOURCE SIZE MILLISECONDS");
    size_t size = (size_t)atoi(argv[4]);
    if (size && (size < sizeof headers || size > sizeof frame))
        errx(2, "a frame has %zu to %d bytes", sizeof headers, SIZE_MAX_FRAME);
    memcpy(frame, headers, sizeof headers);
    parse_mac(argv[2], frame);
    parse_mac(argv[3], frame + 6);
    if (port_link_open(argv[1], &options, &link) != 0)
        errx(1, "cannot listen at %s", argv[1]);

    uint64_t give_up = now_ns() + 10000000000u;
    while (!port_link_connected(link)) {
        struct pollfd fds[PORT_LINK_FDS];
        poll(fds, port_link_poll(link, fds), 100);
        port_link_service(link, now_ns());
        if (now_ns() > give_up)
            errx(1, "nobody connects");
    }
    puts("connected");
    fflush(stdout);
    port_link_suppress(link, true);
    for (uint64_t end = now_ns() + (uint64_t)atoi(argv[5]) * 1000000u; now_ns() < end;) {
        for (unsigned i = 0; size && i < BURST && port_link_send(link, frame, size, &nothing); i++)
            ;
        port_link_flush(link);
        port_link_wake(link);
        port_link_receive(link, take, NULL, BURST);
    }
    const struct port_link_counters *c = port_link_counters(link);
    printf("%llu %llu\n", (unsigned long long)c->sent_frames, (unsigned long long)c->received_frames);
    port_link_close(link);
    return 0;
}
