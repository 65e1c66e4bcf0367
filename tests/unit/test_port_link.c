/* SPDX-License-Identifier: BSD-2-Clause
 *
 * guest/port_link against a switch that lies: the test answers the handshake
 * itself, maps the shared memory and writes what it likes into the queues.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "guest/port_link.h"
#include "proto/unix_socket.h"
#include "proto/vhost_user.h"
#include "proto/virtio_net.h"
#include "proto/virtqueue.h"
#include "tests/unit/unit.h"

#define RX 0
#define TX 1

static char directory[] = "/tmp/portlink-XXXXXX";
static char path[64];
static struct port_link *link_;
static int fd = -1;
static uint8_t *memory;
static size_t memory_size;
static struct vhost_user_ring_address queues[2];
static struct vhost_user_receiver receiver;
static unsigned frames;
static uint64_t agreed;  /* the features of the last connection */
static uint64_t refused; /* none of these, as the NIC does not take it */

static const uint64_t all_features = VIRTIO_F_VERSION_1 | VIRTIO_NET_F_MRG_RXBUF | VIRTIO_NET_F_CSUM |
                                     VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_HOST_TSO4;

static void answer(uint32_t request, uint64_t number)
{
    struct vhost_user_message message;

    vhost_user_message_init(&message, request, VHOST_USER_REPLY, 8);
    message.payload.number = number;
    CU_ASSERT_EQUAL(vhost_user_send(fd, &message), 0);
}

/* Plays the switch's part for what the front-end says; stops after `most` messages. */
static void serve(uint64_t features, unsigned most)
{
    for (unsigned i = 0; i < most; i++) {
        struct vhost_user_message *message = &receiver.message;

        port_link_service(link_, 0);
        if (vhost_user_receive(&receiver, fd))
            return;
        switch (message->header.request) {
        case VHOST_USER_GET_FEATURES: answer(VHOST_USER_GET_FEATURES, features); break;
        case VHOST_USER_SET_FEATURES:
            /* Nothing that was not offered, nor towards a NIC that does not take it. */
            CU_ASSERT_EQUAL(message->payload.number & ~features, 0);
            CU_ASSERT_EQUAL(message->payload.number & refused, 0);
            agreed = message->payload.number;
            break;
        case VHOST_USER_SET_VRING_ADDR: queues[message->payload.address.index] = message->payload.address; break;
        case VHOST_USER_SET_MEM_TABLE:
            memory_size = message->payload.memory.regions[0].size;
            memory = mmap(NULL, memory_size, PROT_READ | PROT_WRITE, MAP_SHARED, message->fds[0], 0);
            CU_ASSERT_EQUAL(fcntl(message->fds[0], F_GET_SEALS) & (F_SEAL_SHRINK | F_SEAL_GROW),
                            F_SEAL_SHRINK | F_SEAL_GROW);
            break;
        default: break;
        }
    }
}

static void connect_to_it(void)
{
    CU_ASSERT_EQUAL_FATAL(unix_socket_connect(path, &fd), 0);
    vhost_user_receiver_init(&receiver);
}

static void open_link(void)
{
    static const struct port_link_options options = { .accept_csum = true };

    CU_ASSERT_EQUAL_FATAL(port_link_open(path, &options, &link_), 0);
    connect_to_it();
    frames = 0;
    refused = VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6;
}

static void shake_hands(void)
{
    serve(all_features, 100);
    port_link_service(link_, 0);
    CU_ASSERT_TRUE_FATAL(port_link_connected(link_));
}

static void open_up(void)
{
    open_link();
    shake_hands();
}

static void hang_up(void)
{
    vhost_user_receiver_clear(&receiver);
    close(fd);
    if (memory)
        munmap(memory, memory_size);
    memory = NULL;
}

static void close_all(void)
{
    hang_up();
    port_link_close(link_);
}

static enum port_link_answer on_frame(void *opaque, const void *frame, size_t size, const struct nic_offload *offload)
{
    (void)opaque;
    (void)frame;
    (void)offload;
    CU_ASSERT(size >= 14 && size <= NIC_FRAME_MAX);
    frames++;
    return PORT_LINK_TAKEN;
}

static struct virtq_used *used_of(unsigned queue)
{
    return (struct virtq_used *)(memory + queues[queue].used);
}

/* Puts a frame's first buffer: the header, then whatever is there. */
static void give(uint32_t id, uint32_t length, const struct virtio_net_header *header)
{
    struct virtq_used *used = used_of(RX);
    const struct virtq_desc *desc = (const struct virtq_desc *)(memory + queues[RX].descriptor);

    if (id < 256)
        memcpy(memory + desc[id].address, header, sizeof(*header));
    used->ring[used->index % 256] = (struct virtq_used_element){ id, length };
    used->index++;
}

static void test_good_frames(void)
{
    static const struct virtio_net_header plain = { .num_buffers = 1 };

    open_up();
    give(3, 72, &plain);
    give(200, 12 + 1514, &plain);
    CU_ASSERT_EQUAL(port_link_receive(link_, on_frame, NULL, 64), 2);
    CU_ASSERT_EQUAL(frames, 2);
    CU_ASSERT_TRUE(port_link_connected(link_));
    close_all();
}

static void test_bad_headers_are_dropped(void)
{
    static const struct virtio_net_header bad[] = {
        { .num_buffers = 1, .flags = 1, .csum_start = 5000, .csum_offset = 6 },
        { .num_buffers = 1, .flags = 1, .csum_start = 34, .csum_offset = 6, .gso_type = 1, .gso_size = 1448 },
        { .num_buffers = 1, .gso_type = 3, .gso_size = 1448 },
        { .num_buffers = 1, .gso_type = 0x55 },
    };
    static const struct virtio_net_header plain = { .num_buffers = 1 };

    open_up();
    for (unsigned i = 0; i < 4; i++)
        give(i, 12 + 100, &bad[i]);
    give(10, 12 + 13, &plain);
    give(11, 12, &plain);
    port_link_receive(link_, on_frame, NULL, 64);
    CU_ASSERT_EQUAL(frames, 0);
    CU_ASSERT_EQUAL(port_link_counters(link_)->received_drops, 6);
    CU_ASSERT_TRUE(port_link_connected(link_));
    close_all();
}

static void expect_disconnect(const char *what)
{
    port_link_receive(link_, on_frame, NULL, 64);
    if (port_link_connected(link_))
        fprintf(stderr, "accepted: %s\n", what);
    CU_ASSERT_FALSE(port_link_connected(link_));
    CU_ASSERT_STRING_NOT_EQUAL(port_link_error(link_), "");
    close_all();
}

static void test_breaches(void)
{
    static const struct virtio_net_header none = { .num_buffers = 0 }, two = { .num_buffers = 2 },
                                          many = { .num_buffers = 0xffff }, plain = { .num_buffers = 1 };
    static const struct virtio_net_header all = { .num_buffers = 256 };

    open_up();
    give(0, 100, &none);
    expect_disconnect("no buffers");
    open_up();
    give(0, 100, &many);
    expect_disconnect("more buffers than there are");
    open_up();
    give(0, 100, &two);
    expect_disconnect("a buffer missing");
    open_up();
    give(0, 11, &plain);
    expect_disconnect("no header");
    open_up();
    give(0, 2049, &plain);
    expect_disconnect("longer than the buffer");
    open_up();
    give(256, 100, &plain);
    expect_disconnect("id too large");
    open_up();
    give(0xffffffffu, 100, &plain);
    expect_disconnect("id far too large");
    open_up();
    used_of(RX)->index = 300;
    expect_disconnect("index too far");
    open_up();
    for (unsigned i = 0; i < 256; i++)
        give(i, 2048, &all);
    expect_disconnect("a frame of half a MiB");
    open_up();
    used_of(TX)->ring[0].id = 255;
    used_of(TX)->index = 1;
    for (unsigned i = 0; i < 200 && port_link_send(link_, memory, 60, NULL); i++)
        CU_ASSERT(i < 199); /* what has come back is not looked at with each frame */
    expect_disconnect("a sent frame that was not sent");
    open_up();
    answer(VHOST_USER_GET_FEATURES, 0);
    port_link_service(link_, 0);
    expect_disconnect("message that nobody asked for");
}

static void test_bad_handshakes(void)
{
    open_link();
    serve(all_features & ~VIRTIO_F_VERSION_1, 100);
    port_link_service(link_, 0);
    expect_disconnect("no virtio 1");
    for (unsigned i = 0; i < 3; i++) {
        struct vhost_user_message message;

        open_link();
        port_link_service(link_, 0);
        vhost_user_message_init(&message, i == 0 ? VHOST_USER_SET_OWNER : VHOST_USER_GET_FEATURES,
                                i == 1 ? 0 : VHOST_USER_REPLY, i == 2 ? 4 : 8);
        CU_ASSERT_EQUAL(vhost_user_send(fd, &message), 0);
        port_link_service(link_, 0);
        expect_disconnect("malformed reply");
    }
    srand(7);
    for (unsigned i = 0; i < 300; i++) {
        uint8_t bytes[200];

        open_link();
        for (unsigned n = 0; n < sizeof(bytes); n++)
            bytes[n] = (uint8_t)(rand() >> 5);
        serve(all_features, (unsigned)rand() % 4);
        CU_ASSERT_EQUAL(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
        port_link_service(link_, 0);
        CU_ASSERT_FALSE(port_link_connected(link_));
        close_all();
    }
}

/* The switch's end after the link has hung up; the next connection, with what it now agrees to. */
static void expect_another(bool csum, bool tso)
{
    const uint64_t segments = VIRTIO_NET_F_GUEST_TSO4, sums = VIRTIO_NET_F_GUEST_CSUM;
    char byte;

    CU_ASSERT_FALSE(port_link_connected(link_));
    CU_ASSERT_STRING_NOT_EQUAL(port_link_error(link_), "");
    port_link_service(link_, 0);
    CU_ASSERT_EQUAL(read(fd, &byte, 1), 0);
    hang_up();
    refused = (csum ? 0 : sums) | (tso ? 0 : segments);
    connect_to_it();
    shake_hands();
    CU_ASSERT_EQUAL(agreed & (sums | segments), (csum ? sums : 0) | (tso ? segments : 0));
}

/* Another driver takes other frames: the connection is made anew, and only then. */
static void test_accept(void)
{
    static const struct virtio_net_header super = { .num_buffers = 1, .flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 1,
                                                    .gso_size = 500, .hdr_len = 54 };

    open_up();
    port_link_accept(link_, true, false);
    CU_ASSERT_TRUE(port_link_connected(link_));
    give(0, 12 + 1500, &super);
    CU_ASSERT_EQUAL(port_link_receive(link_, on_frame, NULL, 64), 1);
    CU_ASSERT_EQUAL(frames, 0); /* dropped: not agreed */
    port_link_accept(link_, true, true);
    expect_another(true, true);
    give(0, 12 + 1500, &super);
    CU_ASSERT_EQUAL(port_link_receive(link_, on_frame, NULL, 64), 1);
    CU_ASSERT_EQUAL(frames, 1);
    port_link_accept(link_, false, false);
    expect_another(false, false);
    port_link_accept(link_, false, true); /* means nothing */
    CU_ASSERT_TRUE(port_link_connected(link_));
    CU_ASSERT_EQUAL(port_link_counters(link_)->connections, 3);
    hang_up();
    port_link_service(link_, 0);
    port_link_accept(link_, true, false); /* nobody is there: the next one learns it */
    refused = VIRTIO_NET_F_GUEST_TSO4;
    connect_to_it();
    shake_hands();
    CU_ASSERT_TRUE(agreed & VIRTIO_NET_F_GUEST_CSUM);
    close_all();
    for (unsigned messages = 0; messages < 20; messages++) { /* while hands are shaken */
        uint8_t rest[256];
        ssize_t n;

        open_link();
        port_link_service(link_, 0);
        serve(all_features, messages);
        port_link_accept(link_, false, false);
        CU_ASSERT_FALSE(port_link_connected(link_));
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ .tv_sec = 5 }, sizeof(struct timeval));
        while ((n = recv(fd, rest, sizeof(rest), 0)) > 0)
            continue;
        CU_ASSERT_TRUE(n == 0 || errno == ECONNRESET); /* it has hung up, and does not go on */
        hang_up();
        port_link_service(link_, 0);
        refused = VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4;
        connect_to_it();
        shake_hands();
        close_all();
    }
}

/* How full the queue is, by what the switch says: never more than it can be. */
static void test_waiting(void)
{
    const struct virtio_net_header header = { .num_buffers = 1 };

    open_up();
    CU_ASSERT_EQUAL(port_link_waiting(link_), 0);
    for (unsigned i = 0; i < 256; i++)
        give(i, 12 + 60, &header);
    CU_ASSERT_EQUAL(port_link_waiting(link_), 256);
    CU_ASSERT_EQUAL(port_link_receive(link_, on_frame, NULL, 1), 1);
    CU_ASSERT_EQUAL(port_link_waiting(link_), 255);
    CU_ASSERT_EQUAL(port_link_receive(link_, on_frame, NULL, 300), 255);
    CU_ASSERT_EQUAL(port_link_waiting(link_), 0);
    used_of(RX)->index += 1000;
    CU_ASSERT_EQUAL(port_link_waiting(link_), 256);
    close_all();
}

/* All frames but the oldest come back, time and again: room is then bounded by the record of what is out. */
static void test_oldest_is_kept(void)
{
    uint8_t frame[60] = { 0 };
    unsigned sent = 0;

    open_up();
    for (unsigned i = 0; i < 600; i++) {
        const struct virtq_avail *avail = (const struct virtq_avail *)(memory + queues[TX].available);
        struct virtq_used *used = used_of(TX);
        bool done = port_link_send(link_, frame, sizeof(frame), NULL);

        sent += done;
        port_link_flush(link_);
        if (done && i) {
            used->ring[used->index % 256] = (struct virtq_used_element){ avail->ring[(avail->index - 1) % 256], 0 };
            used->index++;
        }
    }
    CU_ASSERT_EQUAL(sent, 256);
    CU_ASSERT_TRUE(port_link_connected(link_));
    close_all();
}

/* What is asked before a burst: room for one of small frames, or of large ones, so that none is dropped. */
static void test_room(void)
{
    static uint8_t frame[65000];
    static const size_t sizes[] = { 60, sizeof(frame) };

    for (unsigned i = 0; i < 2; i++) {
        const struct virtq_avail *avail;
        struct virtq_used *used;
        unsigned sent = 0;

        open_up();
        avail = (const struct virtq_avail *)(memory + queues[TX].available);
        used = used_of(TX);
        for (; port_link_has_room(link_) && sent < 1000; sent++)
            CU_ASSERT_TRUE(port_link_send(link_, frame, sizes[i], NULL));
        CU_ASSERT_TRUE(sent > (i ? 20 : 200) && sent <= 256);
        port_link_flush(link_);
        CU_ASSERT_FALSE(port_link_has_room(link_));
        for (unsigned k = 0; k < sent; k++)
            used->ring[k] = (struct virtq_used_element){ avail->ring[k], 0 };
        used->index = (uint16_t)sent;
        CU_ASSERT_TRUE(port_link_has_room(link_));
        CU_ASSERT_EQUAL(port_link_counters(link_)->sent_drops, 0);
        used->index += 1000; /* a breach: nothing is waited for */
        for (unsigned k = 0; k < 300; k++)
            port_link_send(link_, frame, sizes[i], NULL);
        CU_ASSERT_TRUE(port_link_has_room(link_));
        CU_ASSERT_FALSE(port_link_connected(link_));
        close_all();
    }
}

/* While we look at the queues ourselves, a few small frames are not shown one by one; the look, a lone
 * frame otherwise, a large one and enough of the small ones are. */
static void test_few_are_shown_later(void)
{
    static uint8_t frame[9000];
    const struct virtq_avail *avail;

    open_up();
    avail = (const struct virtq_avail *)(memory + queues[TX].available);
    port_link_send(link_, frame, 60, NULL);
    port_link_flush(link_);
    CU_ASSERT_EQUAL(avail->index, 1);
    port_link_suppress(link_, true);
    port_link_send(link_, frame, 60, NULL);
    port_link_flush(link_);
    CU_ASSERT_EQUAL(avail->index, 1);
    port_link_wake(link_);
    CU_ASSERT_EQUAL(avail->index, 2);
    port_link_send(link_, frame, sizeof(frame), NULL);
    port_link_flush(link_);
    CU_ASSERT_EQUAL(avail->index, 3);
    for (unsigned i = 0; i < 64; i++) {
        port_link_send(link_, frame, 60, NULL);
        port_link_flush(link_);
    }
    CU_ASSERT(avail->index > 3 + 32);
    port_link_suppress(link_, false);
    CU_ASSERT_EQUAL(avail->index, 3 + 64);
    close_all();
}

static void test_random_queues(void)
{
    unsigned total = 0;

    srand(8);
    for (unsigned session = 0; session < 500; session++) {
        open_up();
        for (unsigned i = 0; i < 40; i++) {
            struct virtio_net_header header = {
                .num_buffers = (uint16_t)(rand() % 32 ? 1 + (rand() % 16 == 0) : rand()),
                .flags = (uint8_t)(rand() % 4),
                .gso_type = (uint8_t)(rand() % 8 ? 0 : rand()),
                .csum_start = (uint16_t)(rand() % 200),
            };

            give((uint32_t)rand() % (rand() % 16 ? 256 : 300), (uint32_t)rand() % (rand() % 32 ? 2048 : 4096), &header);
            port_link_receive(link_, on_frame, NULL, 3);
            port_link_send(link_, memory, 60 + (unsigned)rand() % 3000, NULL);
            port_link_flush(link_);
            if (rand() % 64 == 0)
                used_of(TX)->index++;
        }
        total += frames;
        close_all();
    }
    CU_ASSERT(total > 500); /* it got somewhere */
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "good frames", test_good_frames },
        { "bad headers are dropped", test_bad_headers_are_dropped },
        { "breaches end the connection", test_breaches },
        { "bad handshakes", test_bad_handshakes },
        { "other frames are accepted", test_accept },
        { "waiting frames", test_waiting },
        { "oldest frame kept", test_oldest_is_kept },
        { "room for a burst", test_room },
        { "few frames are shown later", test_few_are_shown_later },
        { "random queues", test_random_queues },
        CU_TEST_INFO_NULL,
    };
    int status;

    if (!mkdtemp(directory))
        return 1;
    snprintf(path, sizeof(path), "%s/port", directory);
    status = unit_run("port_link", tests);
    unlink(path);
    rmdir(directory);
    return status;
}
