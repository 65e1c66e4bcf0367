/* SPDX-License-Identifier: BSD-2-Clause
 *
 * vswitchd/ports/vhost_backend against peers that lie in what they say: malformed and
 * random messages, memory that is too small, unsealed or taken away, descriptors that
 * would make the switch wait. What their queues hold is test_vhost_hostile_queues.c's.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "tests/unit/vhost_peer.h"
#include "vswitchd/os/stall_guard.h"

static void expect_end(int result, const char *what)
{
    if (result == 0)
        fprintf(stderr, "accepted: %s\n", what);
    CU_ASSERT_NOT_EQUAL(result, 0);
    CU_ASSERT_STRING_NOT_EQUAL(vhost_backend_error(back), "closed");
}

static void test_memory(void)
{
    int pipes[2], file = open("/tmp", O_TMPFILE | O_RDWR, 0600), small, unsealed;
    unsigned before;

    CU_ASSERT_EQUAL(pipe(pipes), 0);
    small = make_memfd(4096, F_SEAL_SHRINK);
    unsealed = make_memfd(MEMORY_SIZE, 0);
    before = count_fds();
    for (unsigned i = 0; i < 9; i++) {
        static const char *const names[] = { "unsealed",      "too small", "offset past the end",
                                             "offset wraps",  "empty",     "address wraps",
                                             "a pipe",        "an eventfd", "a disk file" };
        int fds[] = { unsealed, small, small, small, small, small, pipes[0], events[0], file };
        static const uint64_t sizes[] = { MEMORY_SIZE, 4097, 1, UINT64_MAX, 0, UINT64_MAX - GUEST + 1, 1, 1, 1 };
        static const uint64_t offsets[] = { 0, 0, 4096, 2, 0, 0, 0, 0, 0 };

        open_session(i >= 6); /* where unsealed memory may be used, only the kind is left to be refused */
        if (i == 7)
            fds[i] = events[0];
        if (i < 8 || file >= 0)
            expect_end(say_memory(fds[i], sizes[i], offsets[i]), names[i]);
        close_session();
    }
    CU_ASSERT_EQUAL(count_fds(), before);
    /* Twice the same table is fine; two regions on top of each other are not. */
    open_session(false);
    CU_ASSERT_EQUAL(say_memory(memfd, MEMORY_SIZE, 0), 0);
    CU_ASSERT_EQUAL(say_memory(memfd, 0x1000, 0x800), 0);
    {
        struct vhost_user_message message;

        vhost_user_message_init(&message, VHOST_USER_ADD_MEM_REG, 0, 40);
        message.payload.slot.region = (struct vhost_user_region){ GUEST + 0xfff, 0x1000, 0x100000, 0 };
        message.fds[message.fd_count++] = memfd;
        expect_end(say(&message), "overlap");
    }
    close_session();
    for (unsigned i = 0; i < 2; i++)
        close(pipes[i]);
    close(file);
    close(small);
    close(unsealed);
}

static void test_memory_taken_away(void)
{
    struct frame frame = { .data = buffer + FRAME_HEADROOM, .size = 60 };
    enum drop_reason reason;

    open_session(true);
    start_queues(FEATURES);
    put(VIRTIO_NET_TX, 0, GUEST + DATA, 100, 0, 0);
    offer(VIRTIO_NET_TX, 0);
    CU_ASSERT_EQUAL(take(&frame, &reason), 0);
    CU_ASSERT_EQUAL(vhost_backend_flush(back), 0);
    CU_ASSERT_EQUAL(ftruncate(memfd, 0), 0);
    CU_ASSERT_NOT_EQUAL(take(&frame, &reason), 0);
    frame.size = 60;
    CU_ASSERT_NOT_EQUAL(vhost_backend_send(back, &frame), 0);
    CU_ASSERT_EQUAL(vhost_backend_flush(back), EFAULT);
    CU_ASSERT_PTR_NOT_NULL(strstr(vhost_backend_error(back), "memory"));
    close_session();
}

static void test_queue_set_up(void)
{
    static const uint32_t sizes[] = { 0, 1, 3, 8192, 65536, 0xffffffffu };

    for (unsigned i = 0; i < 6; i++) {
        open_session(false);
        expect_end(say_state(VHOST_USER_SET_VRING_NUM, 0, sizes[i]), "size of a queue");
        close_session();
    }
    for (unsigned i = 0; i < 5; i++) {
        static const uint64_t desc[] = { MEMORY_SIZE - 64, 8, 0, 0, UINT64_MAX - 15 };
        static const uint64_t avail[] = { 0x1000, 0x1000, 0x1001, 0x1000, 0x1000 };
        static const uint64_t used[] = { 0x2000, 0x2000, 0x2000, MEMORY_SIZE - 4, 0x2000 };

        open_session(false);
        CU_ASSERT_EQUAL(say_memory(memfd, MEMORY_SIZE, 0), 0);
        CU_ASSERT_EQUAL(say_state(VHOST_USER_SET_VRING_NUM, 0, QUEUE_SIZE), 0);
        CU_ASSERT_EQUAL(say_address(0, desc[i], avail[i], used[i]), 0);
        CU_ASSERT_EQUAL(say_number(VHOST_USER_SET_FEATURES, VIRTIO_F_VERSION_1, -1), 0);
        expect_end(say_number(VHOST_USER_SET_VRING_KICK, 0, events[0]), "address of a queue");
        CU_ASSERT_FALSE(vhost_backend_ready(back));
        close_session();
    }
    for (unsigned i = 0; i < 9; i++) {
        int pipes[2], result = 0;

        CU_ASSERT_EQUAL(pipe(pipes), 0);
        open_session(false);
        switch (i) {
        case 0: result = say_state(VHOST_USER_SET_VRING_NUM, 2, 64); break;
        case 1: result = say_state(VHOST_USER_SET_VRING_BASE, 0xffffffffu, 0); break;
        case 2: result = say_state(VHOST_USER_GET_VRING_BASE, 2, 0); break;
        case 3: result = say_state(VHOST_USER_SET_VRING_ENABLE, 7, 1); break;
        case 4: result = say_number(VHOST_USER_SET_VRING_KICK, 200, events[0]); break;
        case 5: result = say_number(VHOST_USER_SET_VRING_KICK, 0, pipes[0]); break;
        case 6: result = say_number(VHOST_USER_SET_VRING_CALL, 0, peer); break;
        case 7: result = say_number(VHOST_USER_SET_FEATURES, UINT64_MAX, -1); break;
        default: result = say_number(VHOST_USER_SET_PROTOCOL_FEATURES, UINT64_MAX, -1); break;
        }
        expect_end(result, "index, descriptor or feature");
        close_session();
        close(pipes[0]);
        close(pipes[1]);
    }
    open_session(false);
    start_queues(FEATURES);
    expect_end(say_state(VHOST_USER_SET_VRING_NUM, 0, 32), "change while running");
    close_session();
}

static void test_blocking_eventfd(void)
{
    open_session(false);
    start_queues(FEATURES);
    fcntl(events[0], F_SETFL, 0);
    alarm(5); /* should it block after all */
    CU_ASSERT_EQUAL(vhost_backend_read_kick(back, VIRTIO_NET_TX), 0);
    alarm(0);
    close_session();
}

/* A peer takes O_NONBLOCK away again and fills its own call descriptor: the call it asked for would wait for ever. */
static void test_blocking_call(void)
{
    const uint64_t full = UINT64_MAX - 1;
    struct frame frame;
    enum drop_reason reason;

    CU_ASSERT_EQUAL_FATAL(stall_guard_start(), 0);
    for (unsigned round = 0; round < 3; round++) {
        open_session(false);
        start_queues(FEATURES);
        send_frame(72, NULL);
        CU_ASSERT_EQUAL(take(&frame, &reason), 0);
        CU_ASSERT_EQUAL(fcntl(events[1], F_SETFL, 0), 0);
        CU_ASSERT_EQUAL(write(events[1], &full, sizeof(full)), sizeof(full));
        alarm(5); /* should it wait after all */
        CU_ASSERT_EQUAL(vhost_backend_flush(back), ETIMEDOUT);
        alarm(0);
        CU_ASSERT_PTR_NOT_NULL(strstr(vhost_backend_error(back), "block"));
        close_session();
        /* One that only does not read is nobody's concern. */
        open_session(false);
        start_queues(FEATURES);
        send_frame(72, NULL);
        CU_ASSERT_EQUAL(take(&frame, &reason), 0);
        CU_ASSERT_EQUAL(write(events[1], &full, sizeof(full)), sizeof(full));
        CU_ASSERT_EQUAL(vhost_backend_flush(back), 0);
        close_session();
    }
    stall_guard_stop();
}

/* An eventfd of which each read takes one: what was written once would keep the switch busy for ever. */
static void test_semaphore(void)
{
    const uint64_t much = UINT64_MAX - 1, one = 1;
    int semaphore = eventfd(0, EFD_SEMAPHORE), error = 0;

    open_session(false);
    start_queues(FEATURES);
    for (unsigned i = 0; i < 5000 && !error; i++) { /* kicks as they should be, one by one */
        CU_ASSERT_EQUAL(write(events[0], &one, sizeof(one)), sizeof(one));
        error = vhost_backend_read_kick(back, VIRTIO_NET_TX);
    }
    CU_ASSERT_EQUAL(error, 0);
    CU_ASSERT_EQUAL(say_number(VHOST_USER_SET_VRING_KICK, VIRTIO_NET_TX, semaphore), 0);
    CU_ASSERT_EQUAL(write(semaphore, &much, sizeof(much)), sizeof(much));
    for (unsigned i = 0; i < 5000 && !error; i++)
        error = vhost_backend_read_kick(back, VIRTIO_NET_TX);
    CU_ASSERT_EQUAL(error, EPROTO);
    CU_ASSERT_PTR_NOT_NULL(strstr(vhost_backend_error(back), "semaphore"));
    close_session();
    close(semaphore);
}

static void test_random_bytes(void)
{
    unsigned before = count_fds(), ended = 0;

    srand(20260101);
    for (unsigned session = 0; session < 1000; session++) {
        uint8_t bytes[600];

        open_session(false);
        for (unsigned i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)(rand() >> 8);
        CU_ASSERT_EQUAL(send(peer, bytes, 1 + (unsigned)rand() % sizeof(bytes), MSG_NOSIGNAL) > 0, 1);
        shutdown(peer, SHUT_WR);
        ended += vhost_backend_service(back) != 0;
        close_session();
    }
    CU_ASSERT_EQUAL(ended, 1000);
    CU_ASSERT_EQUAL(count_fds(), before);
}

/* Well-formed headers, random contents and descriptors, over a session that was fine at first. */
static void test_random_messages(void)
{
    unsigned before = count_fds(), handled = 0;

    srand(20260102);
    for (unsigned session = 0; session < 1000; session++) {
        int error = 0;

        open_session(session & 1);
        if (session % 3)
            start_queues(FEATURES);
        for (unsigned i = 0; i < 50 && !error; i++) {
            static const struct { uint8_t request, size, fds; } forms[] = {
                { 1, 0, 0 },  { 2, 8, 0 },  { 3, 0, 0 },  { 5, 40, 1 },  { 8, 8, 0 },   { 9, 40, 0 },  { 10, 8, 0 },
                { 11, 8, 0 }, { 12, 8, 1 }, { 13, 8, 1 }, { 14, 8, 1 },  { 15, 0, 0 },  { 16, 8, 0 },  { 17, 0, 0 },
                { 18, 8, 0 }, { 36, 0, 0 }, { 37, 40, 1 }, { 38, 40, 0 }, { 39, 8, 0 }, { 40, 0, 0 },
            };
            unsigned form = (unsigned)rand() % (sizeof(forms) / sizeof(forms[0]));
            uint32_t request = rand() % 32 ? forms[form].request : (uint32_t)rand() % 50;
            int fds[] = { memfd, events[0], peer };
            struct vhost_user_message message;
            struct frame frame;
            enum drop_reason reason;

            vhost_user_message_init(&message, request, rand() % 4 ? 0 : VHOST_USER_NEED_REPLY,
                                    rand() % 32 ? forms[form].size : (uint32_t)rand() % 300);
            for (unsigned b = 0; b < message.header.size; b++)
                message.payload.bytes[b] = rand() % 8 ? 0 : (uint8_t)(rand() % 8 ? rand() % 3 : rand());
            if (request == VHOST_USER_SET_MEM_TABLE)
                message.payload.memory.count = 1;
            message.fd_count = rand() % 32 ? forms[form].fds : (uint32_t)rand() % 4;
            for (unsigned f = 0; f < message.fd_count; f++)
                message.fds[f] = fds[rand() % 32 ? message.header.size != 40 : (unsigned)rand() % 3];
            error = say(&message);
            handled += !error;
            take(&frame, &reason);
        }
        close_session();
    }
    CU_ASSERT(handled > 500);
    CU_ASSERT_EQUAL(count_fds(), before);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "cve class K: memory", test_memory },
        { "cve class K: memory taken away", test_memory_taken_away },
        { "cve class K: set-up of queues", test_queue_set_up },
        { "cve class K: blocking eventfd", test_blocking_eventfd },
        { "cve class K: blocking call", test_blocking_call },
        { "cve class K: a semaphore for a kick", test_semaphore },
        { "cve class K: random bytes", test_random_bytes },
        { "cve class K: random messages", test_random_messages },
        CU_TEST_INFO_NULL,
    };

    signal(SIGPIPE, SIG_IGN);
    return unit_run("vhost_hostile", tests);
}
