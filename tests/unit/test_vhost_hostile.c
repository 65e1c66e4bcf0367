/* SPDX-License-Identifier: BSD-2-Clause
 *
 * vswitchd/ports/vhost_backend against peers that lie: malformed and random
 * messages, memory that is too small, unsealed or taken away, queues with every
 * kind of bad content, and a peer that scribbles while we read.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/vhost_user.h"
#include "proto/virtio_net.h"
#include "proto/virtqueue.h"
#include "tests/unit/unit.h"
#include "vswitchd/os/stall_guard.h"
#include "vswitchd/ports/vhost_backend.h"

#define MEMORY_SIZE 0x100000u
#define GUEST 0x40000000u /* its guest address; the peer's own is 0 */
#define QUEUE_SIZE 64
#define DESC(q) ((q) * 0x4000u)
#define AVAIL(q) (DESC(q) + 0x1000u)
#define USED(q) (DESC(q) + 0x2000u)
#define DATA 0x10000u

static struct vhost_backend *back;
static int peer = -1; /* our end of the socket */
static int memfd = -1;
static uint8_t *memory;
static int events[2] = { -1, -1 };
static uint8_t buffer[FRAME_BUFFER_SIZE];

static void watch_kick(void *context, unsigned queue, int fd)
{
    (void)context;
    (void)queue;
    (void)fd;
}

static unsigned count_fds(void)
{
    unsigned count = 0;

    for (int fd = 0; fd < 512; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static int make_memfd(size_t size, int seals)
{
    int fd = memfd_create("hostile", MFD_ALLOW_SEALING | MFD_CLOEXEC);

    CU_ASSERT_FATAL(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
    if (seals)
        CU_ASSERT_EQUAL(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

static void open_session(bool unsealed)
{
    struct vhost_backend_options options = { .offload = true, .unsealed = unsealed };
    struct vhost_backend_events backend_events = { .watch_kick = watch_kick };
    int pair[2];

    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    peer = pair[0];
    back = vhost_backend_create(&options, &backend_events);
    CU_ASSERT_PTR_NOT_NULL_FATAL(back);
    vhost_backend_open(back, pair[1]);
    memfd = make_memfd(MEMORY_SIZE, unsealed ? 0 : F_SEAL_SHRINK);
    memory = mmap(NULL, MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
    for (unsigned i = 0; i < 2; i++)
        events[i] = eventfd(0, 0); /* blocking, of malice */
}

static void close_session(void)
{
    vhost_backend_destroy(back);
    close(peer);
    close(memfd);
    munmap(memory, MEMORY_SIZE);
    close(events[0]);
    close(events[1]);
}

/* Sends a message and lets the back-end handle it. */
static int say(struct vhost_user_message *message)
{
    CU_ASSERT_EQUAL(vhost_user_send(peer, message), 0);
    return vhost_backend_service(back);
}

static int say_number(uint32_t request, uint64_t number, int fd)
{
    struct vhost_user_message message;

    vhost_user_message_init(&message, request, 0, 8);
    message.payload.number = number;
    if (fd >= 0)
        message.fds[message.fd_count++] = fd;
    return say(&message);
}

static int say_state(uint32_t request, uint32_t index, uint32_t number)
{
    struct vhost_user_message message;

    vhost_user_message_init(&message, request, 0, 8);
    message.payload.state = (struct vhost_user_ring_state){ index, number };
    return say(&message);
}

static int say_memory(int fd, uint64_t size, uint64_t offset)
{
    struct vhost_user_message message;

    vhost_user_message_init(&message, VHOST_USER_SET_MEM_TABLE, 0, 40);
    message.payload.memory.count = 1;
    message.payload.memory.regions[0] = (struct vhost_user_region){ GUEST, size, 0, offset };
    message.fds[message.fd_count++] = fd;
    return say(&message);
}

static int say_address(uint32_t queue, uint64_t desc, uint64_t avail, uint64_t used)
{
    struct vhost_user_message message;

    vhost_user_message_init(&message, VHOST_USER_SET_VRING_ADDR, 0, sizeof(message.payload.address));
    message.payload.address =
        (struct vhost_user_ring_address){ .index = queue, .descriptor = desc, .used = used, .available = avail };
    return say(&message);
}

/* Everything up to running queues, as a well-behaved peer would. */
static void start_queues(uint64_t features)
{
    CU_ASSERT_EQUAL(say_number(VHOST_USER_SET_FEATURES, features, -1), 0);
    CU_ASSERT_EQUAL(say_memory(memfd, MEMORY_SIZE, 0), 0);
    for (unsigned i = 0; i < 2; i++) {
        CU_ASSERT_EQUAL(say_state(VHOST_USER_SET_VRING_NUM, i, QUEUE_SIZE), 0);
        CU_ASSERT_EQUAL(say_state(VHOST_USER_SET_VRING_BASE, i, 0), 0);
        CU_ASSERT_EQUAL(say_address(i, DESC(i), AVAIL(i), USED(i)), 0);
        CU_ASSERT_EQUAL(say_number(VHOST_USER_SET_VRING_CALL, i, events[1]), 0);
        CU_ASSERT_EQUAL(say_number(VHOST_USER_SET_VRING_KICK, i, events[0]), 0);
    }
    CU_ASSERT_TRUE_FATAL(vhost_backend_ready(back));
}

#define FEATURES                                                                                     \
    (VIRTIO_F_VERSION_1 | VIRTIO_NET_F_MRG_RXBUF | VIRTIO_F_INDIRECT_DESC | VIRTIO_NET_F_CSUM |      \
     VIRTIO_NET_F_HOST_TSO4)

static void put(unsigned queue, unsigned index, uint64_t address, uint32_t length, uint16_t flags, uint16_t next)
{
    ((struct virtq_desc *)(memory + DESC(queue)))[index] = (struct virtq_desc){ address, length, flags, next };
}

static void offer(unsigned queue, uint16_t head)
{
    struct virtq_avail *avail = (struct virtq_avail *)(memory + AVAIL(queue));

    avail->ring[avail->index % QUEUE_SIZE] = head;
    avail->index++;
}

static int take(struct frame *frame, enum drop_reason *reason)
{
    *frame = (struct frame){ .data = buffer + FRAME_HEADROOM };
    *reason = DROP_NONE;
    return vhost_backend_receive(back, frame, reason);
}

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

static void send_frame(uint32_t size, const struct virtio_net_header *header);

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

static void send_frame(uint32_t size, const struct virtio_net_header *header)
{
    memset(memory + DATA, 0, 12);
    if (header)
        memcpy(memory + DATA, header, sizeof(*header));
    put(VIRTIO_NET_TX, 0, GUEST + DATA, size, 0, 0);
    offer(VIRTIO_NET_TX, 0);
}

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
        { "cve class K: memory", test_memory },
        { "cve class K: memory taken away", test_memory_taken_away },
        { "cve class K: set-up of queues", test_queue_set_up },
        { "cve class K: blocking eventfd", test_blocking_eventfd },
        { "cve class K: blocking call", test_blocking_call },
        { "cve class K: a semaphore for a kick", test_semaphore },
        { "cve class M: frames", test_frames },
        { "cve class J: receive buffers", test_receive_buffers },
        { "cve class K: random bytes", test_random_bytes },
        { "cve class K: random messages", test_random_messages },
        { "cve class J: random queues", test_random_queues },
        { "cve class K: scribbling peer", test_scribbling_peer },
        CU_TEST_INFO_NULL,
    };

    signal(SIGPIPE, SIG_IGN);
    return unit_run("vhost_hostile", tests);
}
