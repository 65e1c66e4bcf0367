/* SPDX-License-Identifier: BSD-2-Clause
 *
 * vswitchd/ports/vhost_backend against peers that lie in their queues: every kind of bad
 * content, random content, and a peer that scribbles while we read.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "tests/unit/vhost_peer.h"

static void test_frames(void)
{
    static const struct virtio_net_header bad[] = {
        { .flags = 1, .csum_start = 50, .csum_offset = 9 },
        { .flags = 1, .csum_start = 0xffff, .csum_offset = 0xffff },
        { .flags = 1, .csum_start = 0 },
        { .gso_type = 1, .gso_size = 1448 },
        { .flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 1 },
        { .flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 4, .gso_size = 1448 },
        { .flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 3, .gso_size = 1448 },
        { .flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 0x81, .gso_size = 1448 },
        { .flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 1, .gso_size = 1448, .hdr_len = 61 },
    };
    static const uint32_t sizes[] = { 0, 13, 60, 1519, FRAME_MAX, FRAME_MAX + 1, 70000 };
    struct frame frame;
    enum drop_reason reason;

    open_session(false);
    start_queues(FEATURES);
    for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        send_frame(12 + sizes[i], NULL);
        CU_ASSERT_EQUAL(take(&frame, &reason), 0); /* too short and too long is what the switch counts */
        CU_ASSERT_EQUAL(frame.size, sizes[i] > FRAME_MAX ? FRAME_MAX + 1 : sizes[i]);
    }
    for (uint32_t size = 0; size < 12; size++) {
        send_frame(size, NULL);
        CU_ASSERT_EQUAL(take(&frame, &reason), EBADMSG);
        CU_ASSERT_EQUAL(reason, DROP_RUNT);
    }
    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        send_frame(12 + 60, &bad[i]);
        CU_ASSERT_EQUAL(take(&frame, &reason), EBADMSG);
        CU_ASSERT_EQUAL(reason, DROP_BAD_OFFLOAD);
    }
    /* After all that a good one still passes. */
    send_frame(12 + 60, NULL);
    CU_ASSERT_EQUAL(take(&frame, &reason), 0);
    put(VIRTIO_NET_TX, 0, GUEST + MEMORY_SIZE - 10, 11, 0, 0);
    offer(VIRTIO_NET_TX, 0);
    CU_ASSERT_EQUAL(take(&frame, &reason), EPROTO);
    CU_ASSERT_PTR_NOT_NULL(strstr(vhost_backend_error(back), "outside memory"));
    close_session();
    open_session(false);
    start_queues(FEATURES);
    put(VIRTIO_NET_TX, 0, GUEST + DATA, 100, VIRTQ_DESC_WRITE, 0);
    offer(VIRTIO_NET_TX, 0);
    CU_ASSERT_EQUAL(take(&frame, &reason), EPROTO);
    close_session();
}

static void test_receive_buffers(void)
{
    struct frame frame = { .data = buffer + FRAME_HEADROOM, .size = 1514 };

    open_session(false);
    start_queues(FEATURES);
    CU_ASSERT_EQUAL(vhost_backend_send(back, &frame), EAGAIN);
    put(VIRTIO_NET_RX, 0, GUEST + DATA, 1000, VIRTQ_DESC_WRITE, 0);
    offer(VIRTIO_NET_RX, 0);
    CU_ASSERT_EQUAL(vhost_backend_send(back, &frame), EAGAIN); /* half of it would fit */
    put(VIRTIO_NET_RX, 1, GUEST + DATA + 1000, 526, VIRTQ_DESC_WRITE, 0);
    offer(VIRTIO_NET_RX, 1);
    CU_ASSERT_EQUAL(vhost_backend_send(back, &frame), 0);
    CU_ASSERT_EQUAL(vhost_backend_flush(back), 0);
    {
        const struct virtq_used *used = (const struct virtq_used *)(memory + USED(VIRTIO_NET_RX));

        CU_ASSERT_EQUAL(used->index, 2);
        CU_ASSERT_EQUAL(used->ring[0].length, 1000);
        CU_ASSERT_EQUAL(used->ring[1].length, 526);
        CU_ASSERT_EQUAL(memory[DATA + 10], 2); /* num_buffers */
    }
    put(VIRTIO_NET_RX, 0, GUEST + DATA, 2000, 0, 0);
    offer(VIRTIO_NET_RX, 0);
    CU_ASSERT_EQUAL(vhost_backend_send(back, &frame), EPROTO);
    close_session();

    /* Buffers of one byte: the whole queue does not hold the frame, and that is found out in bounded time. */
    open_session(false);
    start_queues(FEATURES);
    put(VIRTIO_NET_RX, 0, GUEST + DATA, 1, VIRTQ_DESC_WRITE, 0);
    for (unsigned i = 0; i < QUEUE_SIZE; i++)
        offer(VIRTIO_NET_RX, 0);
    CU_ASSERT_EQUAL(vhost_backend_send(back, &frame), EMSGSIZE);
    close_session();

    /* Without merging a frame has one chain, however many there are. */
    open_session(false);
    start_queues(VIRTIO_F_VERSION_1);
    put(VIRTIO_NET_RX, 0, GUEST + DATA, 1000, VIRTQ_DESC_WRITE, 0);
    offer(VIRTIO_NET_RX, 0);
    offer(VIRTIO_NET_RX, 0);
    CU_ASSERT_EQUAL(vhost_backend_send(back, &frame), EMSGSIZE);
    frame.size = 988;
    CU_ASSERT_EQUAL(vhost_backend_send(back, &frame), 0);
    close_session();
}

static void scribble(unsigned seed, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        unsigned queue, index;

        seed = seed * 1664525 + 1013904223;
        queue = seed >> 31;
        index = (seed >> 20) % QUEUE_SIZE;
        switch ((seed >> 10) % 8) {
        case 0: ((struct virtq_avail *)(memory + AVAIL(queue)))->index += (seed >> 5) % 4; break;
        case 1:
            ((struct virtq_avail *)(memory + AVAIL(queue)))->ring[index] =
                (uint16_t)((seed >> 3) % (QUEUE_SIZE + (index == 9)));
            break;
        default:
            put(queue, index, GUEST + (seed >> 4) % (MEMORY_SIZE - (index ? 0x800 : 0)), (seed >> 6) % 0x800,
                (uint16_t)((seed >> 2) % 8 & (seed % 5 ? 3 : 7)), (seed >> 1) % QUEUE_SIZE);
        }
    }
}

static unsigned work_off(unsigned steps)
{
    struct frame frame;
    enum drop_reason reason;
    unsigned done = 0;

    for (unsigned i = 0; i < steps; i++) {
        int error = take(&frame, &reason);

        if (error != EPROTO) {
            frame = (struct frame){ .data = buffer + FRAME_HEADROOM, .size = 14 + i * 37 % 3000 };
            error = vhost_backend_send(back, &frame);
        }
        if (error == EPROTO)
            break;
        done++;
    }
    vhost_backend_flush(back);
    return done;
}

static void test_random_queues(void)
{
    unsigned done = 0;

    for (unsigned session = 0; session < 3000; session++) {
        open_session(false);
        start_queues(FEATURES | VIRTIO_F_EVENT_IDX);
        scribble(session, 200);
        done += work_off(30);
        close_session();
    }
    CU_ASSERT(done > 1000);
}

static void test_scribbling_peer(void)
{
    for (unsigned session = 0; session < 20; session++) {
        pid_t child;

        open_session(false);
        start_queues(FEATURES);
        child = fork();
        if (child == 0) {
            alarm(10);
            for (unsigned round = 0;; round++)
                scribble(session * 1000 + round, 10000);
        }
        for (unsigned i = 0; i < 200; i++) {
            work_off(20);
            usleep(10);
        }
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        close_session();
    }
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "cve class M: frames", test_frames },
        { "cve class J: receive buffers", test_receive_buffers },
        { "cve class J: random queues", test_random_queues },
        { "cve class K: scribbling peer", test_scribbling_peer },
        CU_TEST_INFO_NULL,
    };

    signal(SIGPIPE, SIG_IGN);
    return unit_run("vhost_hostile_queues", tests);
}
