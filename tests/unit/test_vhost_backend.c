/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Both ends of a port in one process: guest/port_link as the front-end,
 * vswitchd/ports/vhost_backend as the back-end, over a real socket.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "guest/port_link.h"
#include "proto/unix_socket.h"
#include "tests/unit/unit.h"
#include "vswitchd/ports/vhost_backend.h"

static char directory[] = "/tmp/vhost-XXXXXX";
static char path[64];
static struct port_link *front;
static struct vhost_backend *back;
static int kicks[2] = { -1, -1 };
static uint8_t buffer[FRAME_BUFFER_SIZE];
static uint8_t pattern[FRAME_MAX];

static void watch_kick(void *context, unsigned queue, int fd)
{
    (void)context;
    kicks[queue] = fd;
}

static bool is_ready(int fd)
{
    struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

    return poll(&poll_fd, 1, 0) == 1;
}

/* Connects, and lets the two talk until nothing more is said. */
static void connect_them(void)
{
    int fd;

    CU_ASSERT_EQUAL_FATAL(unix_socket_connect(path, &fd), 0);
    vhost_backend_open(back, fd);
    for (unsigned i = 0; i < 10; i++) {
        port_link_service(front, 0);
        CU_ASSERT_EQUAL(vhost_backend_service(back), 0);
    }
}

static void open_both(const struct port_link_options *options, bool offload)
{
    struct vhost_backend_options back_options = { .offload = offload };
    struct vhost_backend_events events = { .watch_kick = watch_kick };

    CU_ASSERT_EQUAL_FATAL(port_link_open(path, options, &front), 0);
    back = vhost_backend_create(&back_options, &events);
    CU_ASSERT_PTR_NOT_NULL_FATAL(back);
    CU_ASSERT_FALSE(port_link_connected(front));
    connect_them();
    CU_ASSERT_TRUE_FATAL(port_link_connected(front));
    CU_ASSERT_TRUE_FATAL(vhost_backend_ready(back));
}

static void close_both(void)
{
    vhost_backend_destroy(back);
    port_link_close(front);
}

static void fill_pattern(size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        pattern[i] = (uint8_t)(i * 7 + seed + (i >> 8));
}

/* From the guest to the switch. */
static int take(struct frame *frame)
{
    enum drop_reason reason = DROP_NONE;

    *frame = (struct frame){ .data = buffer + FRAME_HEADROOM };
    return vhost_backend_receive(back, frame, &reason);
}

/* ---- from the switch to the guest ---- */

static struct {
    unsigned frames;
    unsigned full_after; /* answers FULL from this frame on */
    size_t size;
    bool equal; /* to pattern */
    struct nic_offload offload;
} got;

static enum port_link_answer on_frame(void *opaque, const void *frame, size_t size, const struct nic_offload *offload)
{
    (void)opaque;
    if (got.full_after && got.frames >= got.full_after)
        return PORT_LINK_FULL;
    got.frames++;
    got.size = size;
    got.equal = memcmp(frame, pattern, size) == 0;
    got.offload = *offload;
    return PORT_LINK_TAKEN;
}

static int give(size_t size, const struct frame_offload *offload)
{
    struct frame frame = { .data = pattern, .size = (uint32_t)size };

    if (offload)
        frame.offload = *offload;
    return vhost_backend_send(back, &frame);
}

static void test_sizes_both_ways(void)
{
    static const size_t sizes[] = { 14, 60, 1514, 1518, 2036, 2037, 4096, 9014, 65535, FRAME_MAX };

    open_both(&(struct port_link_options){ .accept_csum = true, .accept_tso = true }, true);
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct frame frame;

        fill_pattern(sizes[i], i);
        CU_ASSERT_TRUE(port_link_send(front, pattern, sizes[i], NULL));
        port_link_flush(front);
        CU_ASSERT_EQUAL(take(&frame), 0);
        CU_ASSERT_EQUAL(frame.size, sizes[i]);
        CU_ASSERT_EQUAL(memcmp(frame.data, pattern, sizes[i]), 0);
        CU_ASSERT_EQUAL(take(&frame), EAGAIN);

        CU_ASSERT_EQUAL(give(sizes[i], NULL), 0);
        CU_ASSERT_EQUAL(vhost_backend_flush(back), 0);
        memset(&got, 0, sizeof(got));
        CU_ASSERT_EQUAL(port_link_receive(front, on_frame, NULL, 64), 1);
        CU_ASSERT_EQUAL(got.size, sizes[i]);
        CU_ASSERT_TRUE(got.equal);
    }
    /* What is too short or too long is not even sent. */
    CU_ASSERT_FALSE(port_link_send(front, pattern, 0, NULL));
    CU_ASSERT_FALSE(port_link_send(front, pattern, 13, NULL));
    CU_ASSERT_FALSE(port_link_send(front, pattern, FRAME_MAX + 1, NULL));
    CU_ASSERT_EQUAL(port_link_counters(front)->sent_drops, 3);
    close_both();
}

static void test_thousands(void)
{
    unsigned sent = 0, taken = 0, given = 0;

    open_both(&(struct port_link_options){ .accept_csum = true, .accept_tso = true }, true);
    srand(1);
    memset(&got, 0, sizeof(got));
    for (unsigned round = 0; round < 2000; round++) {
        unsigned burst = (unsigned)rand() % 80;
        size_t size = round % 10 ? 60 + (unsigned)rand() % 1460 : 60 + (unsigned)rand() % 65000;
        struct frame frame;

        fill_pattern(size, round);
        for (unsigned i = 0; i < burst; i++)
            sent += port_link_send(front, pattern, size, NULL);
        port_link_flush(front);
        while (take(&frame) == 0) {
            taken++;
            CU_ASSERT_EQUAL_FATAL(frame.size, size);
            CU_ASSERT_EQUAL_FATAL(memcmp(frame.data, pattern, size), 0);
        }
        CU_ASSERT_EQUAL_FATAL(sent, taken);
        for (unsigned i = 0; i < burst; i++)
            given += give(size, NULL) == 0;
        CU_ASSERT_EQUAL(vhost_backend_flush(back), 0);
        while (port_link_receive(front, on_frame, NULL, 16))
            CU_ASSERT_TRUE_FATAL(got.equal && got.size == size);
        CU_ASSERT_EQUAL_FATAL(given, got.frames);
    }
    CU_ASSERT(taken > 50000);
    CU_ASSERT(given > 40000);
    CU_ASSERT_TRUE(port_link_connected(front));
    close_both();
}

static void test_offload(void)
{
    static const struct nic_offload tso = { NIC_OFFLOAD_NEEDS_CSUM, NIC_GSO_TCPV4, 54, 1448, 34, 16 };
    static const struct frame_offload csum = { FRAME_NEEDS_CSUM, FRAME_GSO_NONE, 0, 0, 34, 6 };
    struct nic_offload bad = tso;
    struct frame frame;

    open_both(&(struct port_link_options){ .accept_csum = true }, true);
    fill_pattern(30000, 0);
    CU_ASSERT_TRUE(port_link_send(front, pattern, 30000, &tso));
    port_link_flush(front);
    CU_ASSERT_EQUAL(take(&frame), 0);
    CU_ASSERT_EQUAL(frame.offload.flags, FRAME_NEEDS_CSUM);
    CU_ASSERT_EQUAL(frame.offload.gso_type, FRAME_GSO_TCPV4);
    CU_ASSERT_EQUAL(frame.offload.gso_size, 1448);
    CU_ASSERT_EQUAL(frame.offload.hdr_len, 54);
    CU_ASSERT_EQUAL(frame.offload.csum_start, 34);
    CU_ASSERT_EQUAL(frame.offload.csum_offset, 16);
    bad.csum_start = 30000;
    CU_ASSERT_FALSE(port_link_send(front, pattern, 30000, &bad));

    memset(&got, 0, sizeof(got));
    CU_ASSERT_EQUAL(give(100, &csum), 0);
    CU_ASSERT_EQUAL(vhost_backend_flush(back), 0);
    CU_ASSERT_EQUAL(port_link_receive(front, on_frame, NULL, 1), 1);
    CU_ASSERT_EQUAL(got.offload.flags, NIC_OFFLOAD_NEEDS_CSUM);
    CU_ASSERT_EQUAL(got.offload.csum_start, 34);
    CU_ASSERT_EQUAL(got.offload.csum_offset, 6);
    CU_ASSERT_TRUE(vhost_backend_features(back) & VIRTIO_NET_F_GUEST_CSUM);
    CU_ASSERT_FALSE(vhost_backend_features(back) & VIRTIO_NET_F_GUEST_TSO4);
    close_both();

    /* A NIC that takes nothing unfinished says so. */
    open_both(&(struct port_link_options){ 0 }, true);
    CU_ASSERT_FALSE(vhost_backend_features(back) & VIRTIO_NET_F_GUEST_CSUM);
    CU_ASSERT_TRUE(vhost_backend_features(back) & VIRTIO_NET_F_CSUM);
    close_both();
    open_both(&(struct port_link_options){ .accept_csum = true, .accept_tso = true }, false);
    CU_ASSERT_FALSE(vhost_backend_features(back) & VIRTIO_NET_F_GUEST_CSUM);
    CU_ASSERT_TRUE(port_link_send(front, pattern, 30000, &tso)); /* what guests send is always taken */
    close_both();
}

static void test_full(void)
{
    unsigned count = 0;
    struct frame frame;

    open_both(&(struct port_link_options){ 0 }, true);
    fill_pattern(1514, 0);
    /* The guest does not look: 256 frames fit, and then room is announced by a kick. */
    while (give(1514, NULL) == 0)
        count++;
    CU_ASSERT_EQUAL(count, 256);
    CU_ASSERT_EQUAL(give(1514, NULL), EAGAIN);
    CU_ASSERT_EQUAL(vhost_backend_flush(back), 0);
    CU_ASSERT_EQUAL(vhost_backend_read_kick(back, VIRTIO_NET_RX), 0);
    CU_ASSERT_FALSE(is_ready(kicks[VIRTIO_NET_RX]));
    memset(&got, 0, sizeof(got));
    got.full_after = 3;
    CU_ASSERT_EQUAL(port_link_receive(front, on_frame, NULL, 64), 3);
    CU_ASSERT_EQUAL(port_link_receive(front, on_frame, NULL, 64), 0);
    CU_ASSERT_TRUE(is_ready(kicks[VIRTIO_NET_RX]));
    CU_ASSERT_EQUAL(give(1514, NULL), 0);
    got.full_after = 0;
    CU_ASSERT_EQUAL(vhost_backend_flush(back), 0);
    CU_ASSERT_EQUAL(port_link_receive(front, on_frame, NULL, 1000), 254);
    CU_ASSERT_EQUAL(got.frames, 257);
    /* The switch does not look: 256 frames wait, the next is dropped. */
    count = 0;
    while (port_link_send(front, pattern, 1514, NULL))
        count++;
    CU_ASSERT_EQUAL(count, 256);
    port_link_flush(front);
    for (count = 0; take(&frame) == 0; count++)
        ;
    CU_ASSERT_EQUAL(count, 256);
    CU_ASSERT_EQUAL(vhost_backend_flush(back), 0);
    CU_ASSERT_TRUE(port_link_send(front, pattern, 1514, NULL));
    /* Super-frames are bounded by the arena. */
    port_link_flush(front);
    for (count = 0; port_link_send(front, pattern, FRAME_MAX, NULL); count++)
        ;
    CU_ASSERT(count >= 30 && count <= 32);
    close_both();
}

static void test_wake_ups(void)
{
    struct frame frame;
    struct pollfd fds[PORT_LINK_FDS];

    open_both(&(struct port_link_options){ 0 }, true);
    fill_pattern(60, 0);
    CU_ASSERT_EQUAL(port_link_poll(front, fds), 3);
    /* The switch sleeps: one kick for a burst; it is at work: none. */
    vhost_backend_read_kick(back, VIRTIO_NET_TX);
    CU_ASSERT_EQUAL(take(&frame), EAGAIN);
    for (unsigned i = 0; i < 10; i++)
        port_link_send(front, pattern, 60, NULL);
    CU_ASSERT_FALSE(is_ready(kicks[VIRTIO_NET_TX]));
    port_link_flush(front);
    CU_ASSERT_TRUE(is_ready(kicks[VIRTIO_NET_TX]));
    vhost_backend_read_kick(back, VIRTIO_NET_TX);
    CU_ASSERT_EQUAL(take(&frame), 0);
    port_link_send(front, pattern, 60, NULL);
    port_link_flush(front);
    CU_ASSERT_FALSE(is_ready(kicks[VIRTIO_NET_TX]));
    while (take(&frame) == 0)
        ;
    CU_ASSERT_EQUAL(vhost_backend_flush(back), 0);
    /* The guest sleeps: one call; it looks itself: none. */
    CU_ASSERT_FALSE(port_link_suppress(front, false));
    CU_ASSERT_EQUAL(give(60, NULL), 0);
    CU_ASSERT_EQUAL(vhost_backend_flush(back), 0);
    CU_ASSERT_TRUE(is_ready(fds[2].fd));
    port_link_service(front, 0);
    CU_ASSERT_FALSE(is_ready(fds[2].fd));
    CU_ASSERT_EQUAL(port_link_receive(front, on_frame, NULL, 64), 1);
    port_link_suppress(front, true);
    CU_ASSERT_EQUAL(give(60, NULL), 0);
    CU_ASSERT_EQUAL(vhost_backend_flush(back), 0);
    CU_ASSERT_FALSE(is_ready(fds[2].fd));
    CU_ASSERT_TRUE(port_link_suppress(front, false));
    CU_ASSERT_EQUAL(port_link_receive(front, on_frame, NULL, 64), 1);
    close_both();
}

static void test_restart_of_the_switch(void)
{
    struct frame frame;

    open_both(&(struct port_link_options){ 0 }, true);
    fill_pattern(60, 0);
    for (unsigned i = 0; i < 5; i++) {
        int second;

        port_link_send(front, pattern, 60, NULL); /* lost with the switch */
        vhost_backend_close(back);
        port_link_service(front, 0);
        CU_ASSERT_FALSE(port_link_connected(front));
        CU_ASSERT_FALSE(port_link_send(front, pattern, 60, NULL));
        connect_them();
        CU_ASSERT_TRUE_FATAL(port_link_connected(front));
        /* A second one is turned away while the first lives. */
        CU_ASSERT_EQUAL(unix_socket_connect(path, &second), 0);
        port_link_service(front, 0);
        CU_ASSERT_EQUAL(read(second, &frame, 1), 0);
        close(second);
        CU_ASSERT_TRUE(port_link_connected(front));
        CU_ASSERT_EQUAL(take(&frame), EAGAIN);
        CU_ASSERT_TRUE(port_link_send(front, pattern, 60, NULL));
        port_link_flush(front);
        CU_ASSERT_EQUAL(take(&frame), 0);
        CU_ASSERT_EQUAL(give(60, NULL), 0);
        CU_ASSERT_EQUAL(vhost_backend_flush(back), 0);
        CU_ASSERT_EQUAL(port_link_receive(front, on_frame, NULL, 64), 1);
    }
    CU_ASSERT_EQUAL(port_link_counters(front)->connections, 6);
    close_both();
}

static void test_silent_switch(void)
{
    int fd;

    CU_ASSERT_EQUAL_FATAL(port_link_open(path, &(struct port_link_options){ 0 }, &front), 0);
    CU_ASSERT_EQUAL_FATAL(unix_socket_connect(path, &fd), 0);
    port_link_service(front, 1000);
    CU_ASSERT_STRING_EQUAL(port_link_error(front), "");
    port_link_service(front, UINT64_C(6000000000));
    CU_ASSERT_STRING_NOT_EQUAL(port_link_error(front), "");
    close(fd);
    port_link_close(front);
}

static void test_paths(void)
{
    struct port_link *second;
    char longest[200];

    CU_ASSERT_EQUAL_FATAL(port_link_open(path, &(struct port_link_options){ 0 }, &front), 0);
    CU_ASSERT_EQUAL(port_link_open(path, &(struct port_link_options){ 0 }, &second), EADDRINUSE);
    port_link_close(front);
    CU_ASSERT_EQUAL_FATAL(port_link_open(path, &(struct port_link_options){ 0 }, &front), 0); /* replaces a stale one */
    port_link_close(front);
    CU_ASSERT_EQUAL(port_link_open("/", &(struct port_link_options){ 0 }, &second), EADDRINUSE);
    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    CU_ASSERT_EQUAL(port_link_open(longest, &(struct port_link_options){ 0 }, &second), ENAMETOOLONG);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "sizes both ways", test_sizes_both_ways },
        { "thousands of frames", test_thousands },
        { "offload", test_offload },
        { "full queues", test_full },
        { "wake-ups", test_wake_ups },
        { "restart of the switch", test_restart_of_the_switch },
        { "silent switch", test_silent_switch },
        { "paths", test_paths },
        CU_TEST_INFO_NULL,
    };
    int status;

    if (!mkdtemp(directory))
        return 1;
    snprintf(path, sizeof(path), "%s/port", directory);
    status = unit_run("vhost_backend", tests);
    unlink(path);
    rmdir(directory);
    return status;
}
