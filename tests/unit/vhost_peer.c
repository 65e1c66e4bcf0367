/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The peer that vhost_peer.h describes.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/unit.h"
#include "tests/unit/vhost_peer.h"

struct vhost_backend *back;
int peer = -1; /* our end of the socket */
int memfd = -1;
uint8_t *memory;
int events[2] = { -1, -1 };
uint8_t buffer[FRAME_BUFFER_SIZE];

static void watch_kick(void *context, unsigned queue, int fd)
{
    (void)context;
    (void)queue;
    (void)fd;
}

unsigned count_fds(void)
{
    unsigned count = 0;

    for (int fd = 0; fd < 512; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

int make_memfd(size_t size, int seals)
{
    int fd = memfd_create("hostile", MFD_ALLOW_SEALING | MFD_CLOEXEC);

    CU_ASSERT_FATAL(fd >= 0 && ftruncate(fd, (off_t)size) == 0);
    if (seals)
        CU_ASSERT_EQUAL(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

void open_session(bool unsealed)
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

void close_session(void)
{
    vhost_backend_destroy(back);
    close(peer);
    close(memfd);
    munmap(memory, MEMORY_SIZE);
    close(events[0]);
    close(events[1]);
}

int say(struct vhost_user_message *message)
{
    CU_ASSERT_EQUAL(vhost_user_send(peer, message), 0);
    return vhost_backend_service(back);
}

int say_number(uint32_t request, uint64_t number, int fd)
{
    struct vhost_user_message message;

    vhost_user_message_init(&message, request, 0, 8);
    message.payload.number = number;
    if (fd >= 0)
        message.fds[message.fd_count++] = fd;
    return say(&message);
}

int say_state(uint32_t request, uint32_t index, uint32_t number)
{
    struct vhost_user_message message;

    vhost_user_message_init(&message, request, 0, 8);
    message.payload.state = (struct vhost_user_ring_state){ index, number };
    return say(&message);
}

int say_memory(int fd, uint64_t size, uint64_t offset)
{
    struct vhost_user_message message;

    vhost_user_message_init(&message, VHOST_USER_SET_MEM_TABLE, 0, 40);
    message.payload.memory.count = 1;
    message.payload.memory.regions[0] = (struct vhost_user_region){ GUEST, size, 0, offset };
    message.fds[message.fd_count++] = fd;
    return say(&message);
}

int say_address(uint32_t queue, uint64_t desc, uint64_t avail, uint64_t used)
{
    struct vhost_user_message message;

    vhost_user_message_init(&message, VHOST_USER_SET_VRING_ADDR, 0, sizeof(message.payload.address));
    message.payload.address =
        (struct vhost_user_ring_address){ .index = queue, .descriptor = desc, .used = used, .available = avail };
    return say(&message);
}

void start_queues(uint64_t features)
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

void put(unsigned queue, unsigned index, uint64_t address, uint32_t length, uint16_t flags, uint16_t next)
{
    ((struct virtq_desc *)(memory + DESC(queue)))[index] = (struct virtq_desc){ address, length, flags, next };
}

void offer(unsigned queue, uint16_t head)
{
    struct virtq_avail *avail = (struct virtq_avail *)(memory + AVAIL(queue));

    avail->ring[avail->index % QUEUE_SIZE] = head;
    avail->index++;
}

int take(struct frame *frame, enum drop_reason *reason)
{
    *frame = (struct frame){ .data = buffer + FRAME_HEADROOM };
    *reason = DROP_NONE;
    return vhost_backend_receive(back, frame, reason);
}

void send_frame(uint32_t size, const struct virtio_net_header *header)
{
    memset(memory + DATA, 0, 12);
    if (header)
        memcpy(memory + DATA, header, sizeof(*header));
    put(VIRTIO_NET_TX, 0, GUEST + DATA, size, 0, 0);
    offer(VIRTIO_NET_TX, 0);
}
