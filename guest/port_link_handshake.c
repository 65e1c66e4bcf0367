/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The front-end's connection: makes all descriptors, accepts the switch, and
 * tells it where the queues are, see port_link.h. Each connection starts with
 * empty queues.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest/closer.h"
#include "guest/port_link_private.h"
#include "proto/unix_socket.h"

#define HANDSHAKE_TIME UINT64_C(5000000000) /* ns */

static uint64_t wanted_features(const struct port_link *link)
{
    uint64_t wanted = VIRTIO_F_VERSION_1 | VIRTIO_F_EVENT_IDX | VIRTIO_NET_F_MRG_RXBUF | VIRTIO_NET_F_CSUM |
                      VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_HOST_TSO6 | VIRTIO_NET_F_HOST_ECN |
                      VHOST_USER_F_PROTOCOL_FEATURES;

    if (link->options.accept_csum)
        wanted |= VIRTIO_NET_F_GUEST_CSUM;
    if (link->options.accept_csum && link->options.accept_tso)
        wanted |= VIRTIO_NET_F_GUEST_TSO4 | VIRTIO_NET_F_GUEST_TSO6;
    return wanted;
}

/* ---- making and ending ---- */

static int make_memory(struct port_link *link)
{
    link->memfd = memfd_create("port-link", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (link->memfd < 0 || ftruncate(link->memfd, PORT_LINK_MEMORY_SIZE) ||
        fcntl(link->memfd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
        return errno;
    link->memory = mmap(NULL, PORT_LINK_MEMORY_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, link->memfd, 0);
    if (link->memory == MAP_FAILED) {
        link->memory = NULL;
        return errno;
    }
    return 0;
}

static int make_eventfd(int *fd)
{
    *fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    return *fd < 0 ? errno : 0;
}

int port_link_open(const char *path, const struct port_link_options *options, struct port_link **out)
{
    struct port_link *link = calloc(1, sizeof(*link));
    int error;

    if (!link)
        return ENOMEM;
    link->options = *options;
    link->error = "";
    link->listener = link->connection = link->memfd = -1;
    for (unsigned i = 0; i < VIRTIO_NET_QUEUES; i++)
        link->kicks[i] = link->calls[i] = -1;
    vhost_user_receiver_init(&link->receiver);
    link->receiver.takes_none = true;
    error = make_memory(link);
    for (unsigned i = 0; i < VIRTIO_NET_QUEUES && !error; i++)
        if ((error = make_eventfd(&link->kicks[i])) == 0)
            error = make_eventfd(&link->calls[i]);
    if (!error)
        error = unix_socket_listen(path, options->mode ? options->mode : 0600, &link->listener);
    if (error) {
        port_link_close(link);
        return error;
    }
    *out = link;
    return 0;
}

static void close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

void port_link_close(struct port_link *link)
{
    if (!link)
        return;
    vhost_user_receiver_clear(&link->receiver);
    closer_close(link->connection);
    closer_close(link->listener);
    close_fd(link->memfd);
    for (unsigned i = 0; i < VIRTIO_NET_QUEUES; i++) {
        close_fd(link->kicks[i]);
        close_fd(link->calls[i]);
    }
    if (link->memory)
        munmap(link->memory, PORT_LINK_MEMORY_SIZE);
    free(link);
}

void port_link_disconnect(struct port_link *link, const char *why)
{
    link->error = why;
    link->phase = PHASE_LISTENING;
    vhost_user_receiver_clear(&link->receiver);
    closer_close(link->connection);
    link->connection = -1;
}

void port_link_accept(struct port_link *link, bool csum, bool tso)
{
    uint64_t before = wanted_features(link);

    link->options.accept_csum = csum;
    link->options.accept_tso = tso;
    if (link->phase == PHASE_LISTENING || wanted_features(link) == before)
        return;
    port_link_disconnect(link, "the guest's driver takes other frames");
    link->anew = true;
}

/* ---- what the switch is told ---- */

static bool tell(struct port_link *link, struct vhost_user_message *message)
{
    if (vhost_user_send(link->connection, message) == 0)
        return true;
    port_link_disconnect(link, "the switch does not take our messages");
    return false;
}

static bool tell_number(struct port_link *link, uint32_t request, uint64_t number, int fd)
{
    struct vhost_user_message message;

    vhost_user_message_init(&message, request, 0, sizeof(uint64_t));
    message.payload.number = number;
    if (fd >= 0)
        message.fds[message.fd_count++] = fd;
    return tell(link, &message);
}

static bool tell_state(struct port_link *link, uint32_t request, uint32_t queue, uint32_t number)
{
    struct vhost_user_message message;

    vhost_user_message_init(&message, request, 0, sizeof(message.payload.state));
    message.payload.state = (struct vhost_user_ring_state){ queue, number };
    return tell(link, &message);
}

static bool ask(struct port_link *link, uint32_t request, enum port_link_phase phase)
{
    struct vhost_user_message message;

    vhost_user_message_init(&message, request, 0, 0);
    link->phase = phase;
    return tell(link, &message);
}

static bool tell_memory(struct port_link *link)
{
    struct vhost_user_message message;
    size_t size = offsetof(struct vhost_user_memory, regions) + sizeof(struct vhost_user_region);

    vhost_user_message_init(&message, VHOST_USER_SET_MEM_TABLE, 0, (uint32_t)size);
    message.payload.memory.count = 1;
    /* Our own addresses stay our secret: offsets name the queues as well. */
    message.payload.memory.regions[0] = (struct vhost_user_region){ .size = PORT_LINK_MEMORY_SIZE };
    message.fds[message.fd_count++] = link->memfd;
    return tell(link, &message);
}

static bool tell_queue(struct port_link *link, uint32_t queue)
{
    struct vhost_user_message message;

    vhost_user_message_init(&message, VHOST_USER_SET_VRING_ADDR, 0, sizeof(message.payload.address));
    message.payload.address = (struct vhost_user_ring_address){
        .index = queue,
        .descriptor = PORT_LINK_QUEUE(queue) + PORT_LINK_DESC,
        .available = PORT_LINK_QUEUE(queue) + PORT_LINK_AVAIL,
        .used = PORT_LINK_QUEUE(queue) + PORT_LINK_USED,
    };
    return tell_state(link, VHOST_USER_SET_VRING_NUM, queue, PORT_LINK_QUEUE_SIZE) &&
           tell_state(link, VHOST_USER_SET_VRING_BASE, queue, 0) && tell(link, &message) &&
           tell_number(link, VHOST_USER_SET_VRING_CALL, queue, link->calls[queue]) &&
           tell_number(link, VHOST_USER_SET_VRING_KICK, queue, link->kicks[queue]);
}

static bool enable_queues(struct port_link *link)
{
    if (!(link->features & VHOST_USER_F_PROTOCOL_FEATURES))
        return true; /* they run already */
    for (uint32_t i = 0; i < VIRTIO_NET_QUEUES; i++)
        if (!tell_state(link, VHOST_USER_SET_VRING_ENABLE, i, 1))
            return false;
    return true;
}

static void read_away(int fd)
{
    uint64_t count;

    if (read(fd, &count, sizeof(count)) < 0)
        return; /* it was empty */
}

static void prepare_queues(struct port_link *link)
{
    for (unsigned i = 0; i < VIRTIO_NET_QUEUES; i++) {
        uint8_t *base = link->memory + PORT_LINK_QUEUE(i);
        struct virtq_parts parts = { base + PORT_LINK_DESC, base + PORT_LINK_AVAIL, base + PORT_LINK_USED };

        virtq_driver_init(&link->queues[i], PORT_LINK_QUEUE_SIZE, &parts, link->features & VIRTIO_F_EVENT_IDX);
        read_away(link->kicks[i]);
        read_away(link->calls[i]);
    }
    memset(&link->arena, 0, sizeof(link->arena));
    virtq_driver_suppress(&link->queues[VIRTIO_NET_TX]); /* sent frames are looked for when room is needed */
    if (link->suppressed)
        virtq_driver_suppress(&link->queues[VIRTIO_NET_RX]);
    port_link_post_buffers(link);
}

static void set_up(struct port_link *link)
{
    prepare_queues(link);
    if (tell_number(link, VHOST_USER_SET_FEATURES, link->features, -1) && tell_memory(link) && tell_queue(link, 0) &&
        tell_queue(link, 1) && enable_queues(link))
        /* The answer to a last question says that all before it was accepted. */
        ask(link, VHOST_USER_GET_FEATURES, PHASE_SETTLING);
}

/* ---- what it answers ---- */

static void on_features(struct port_link *link, uint64_t offered)
{
    link->features = offered & wanted_features(link);
    if (!(link->features & VIRTIO_F_VERSION_1)) {
        port_link_disconnect(link, "the switch does not speak virtio 1");
        return;
    }
    if (link->features & VHOST_USER_F_PROTOCOL_FEATURES)
        ask(link, VHOST_USER_GET_PROTOCOL_FEATURES, PHASE_PROTOCOL);
    else
        set_up(link);
}

static void on_reply(struct port_link *link, struct vhost_user_message *message)
{
    uint32_t asked = link->phase == PHASE_PROTOCOL ? VHOST_USER_GET_PROTOCOL_FEATURES : VHOST_USER_GET_FEATURES;
    const char *wrong = link->phase == PHASE_UP ? "message that nobody asked for"
                                                : vhost_user_check_reply(message, asked);

    if (wrong) {
        port_link_disconnect(link, wrong);
    } else if (link->phase == PHASE_FEATURES) {
        on_features(link, message->payload.number);
    } else if (link->phase == PHASE_PROTOCOL) {
        /* None of the protocol's features is needed here. */
        if (tell_number(link, VHOST_USER_SET_PROTOCOL_FEATURES, 0, -1))
            set_up(link);
    } else {
        link->phase = PHASE_UP;
        link->anew = false;
        link->counters.connections++;
    }
}

static void accept_switch(struct port_link *link, uint64_t now)
{
    struct vhost_user_message owner;
    int fd;

    while (!closer_is_full() && (fd = accept4(link->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        if (link->connection >= 0) {
            closer_close(fd); /* one at a time; the one that is gone has been noticed before this */
            continue;
        }
        link->connection = fd;
        link->deadline = now + HANDSHAKE_TIME;
        vhost_user_message_init(&owner, VHOST_USER_SET_OWNER, 0, 0);
        if (tell(link, &owner))
            ask(link, VHOST_USER_GET_FEATURES, PHASE_FEATURES);
    }
}

static void service_connection(struct port_link *link, uint64_t now)
{
    while (link->connection >= 0) {
        int error = vhost_user_receive(&link->receiver, link->connection);

        if (error == EAGAIN)
            break;
        if (error)
            port_link_disconnect(link, error == ECONNRESET ? "the switch closed the connection" : "malformed message");
        else
            on_reply(link, &link->receiver.message);
    }
    if (link->connection >= 0 && link->phase != PHASE_UP && now >= link->deadline)
        port_link_disconnect(link, "the switch did not finish connecting in time");
}

void port_link_service(struct port_link *link, uint64_t now)
{
    service_connection(link, now);
    accept_switch(link, now);
    if (link->phase == PHASE_UP)
        read_away(link->calls[VIRTIO_NET_RX]);
}

bool port_link_called(struct port_link *link, int fd)
{
    if (link->phase != PHASE_UP || fd != link->calls[VIRTIO_NET_RX])
        return false;
    read_away(fd);
    return true;
}

unsigned port_link_poll(const struct port_link *link, struct pollfd fds[PORT_LINK_FDS])
{
    unsigned count = 0;

    if (!closer_is_full())
        fds[count++] = (struct pollfd){ .fd = link->listener, .events = POLLIN };
    if (link->connection >= 0)
        fds[count++] = (struct pollfd){ .fd = link->connection, .events = POLLIN };
    if (link->phase == PHASE_UP)
        fds[count++] = (struct pollfd){ .fd = link->calls[VIRTIO_NET_RX], .events = POLLIN };
    return count;
}
