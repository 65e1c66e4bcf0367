/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Taps (port_tap.h): one read() or write() a frame, header and frame in one
 * piece; the header lies in the frame's headroom. Where there is a writer, small
 * frames wait for the end of their burst instead and are written in one system
 * call (tap_batch.h): the way into the kernel, and what its branch predictors
 * forget on it, is a third of what such a frame costs.
 */
#include "vswitchd/ports/port_tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vswitchd/os/slow_close.h"
#include "vswitchd/ports/tap_batch.h"

#define TUN_DEVICE "/dev/net/tun"
#define VNET_SIZE ((uint32_t)sizeof(struct virtio_net_hdr))

struct port_tap {
    struct port port;
    struct netlink *nl;
    struct event_watch *watch;
    struct netlink_watch *link_watch;
    uint8_t *buffer; /* FRAME_BUFFER_SIZE: the frame being received */
    struct tap_batch *batch; /* NULL: each frame is written by itself */
    int fd;
    int index;
    bool blocked; /* a write found no room */
    bool hold;    /* frames may wait for others in the batch */
    bool moved;   /* … out of this network namespace */
    char interface[IFNAMSIZ];
};

static struct port_tap *tap_of(struct port *port)
{
    return (struct port_tap *)port;
}

void port_tap_config_init(struct port_tap_config *config, const char *name)
{
    *config = (struct port_tap_config){.name = name, .mtu = 1500, .offload = true};
}

bool port_tap_interface_valid(const char *name)
{
    size_t length = strlen(name);
    if (length == 0 || length >= IFNAMSIZ || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return false;
    for (size_t i = 0; i < length; i++)
        if (name[i] <= ' ' || name[i] > '~' || strchr("/:%", name[i]))
            return false;
    return true;
}

/* ---- state ---- */

static void set_link(struct port_tap *tap, bool up)
{
    tap->blocked = false;
    /* Of a deleted interface the descriptor reports nothing but an error, for ever. */
    event_watch_set(tap->watch, tap->port.gone ? 0 : EVENT_READ);
    port_link_changed(&tap->port, up && !tap->port.gone);
}

/* Whether the interface behind the descriptor still exists, wherever it is now. */
static void find_out(struct port_tap *tap)
{
    struct ifreq request = {0};
    tap->port.gone = ioctl(tap->fd, TUNGETIFF, &request) < 0;
    set_link(tap, true);
}

static void tap_link(void *context, bool exists, bool up)
{
    struct port_tap *tap = context;
    if (exists) {
        set_link(tap, up);
    } else {
        /* Deleted, or moved to another namespace: there it is out of sight, and taken to be up. */
        tap->moved = true;
        find_out(tap);
    }
}

/* ---- frames ---- */

_Static_assert(sizeof(struct frame_offload) == sizeof(struct virtio_net_hdr) &&
                   offsetof(struct frame_offload, gso_size) == offsetof(struct virtio_net_hdr, gso_size) &&
                   offsetof(struct frame_offload, csum_offset) == offsetof(struct virtio_net_hdr, csum_offset),
               "the kernel's header is copied as it stands");

static bool tap_receive(struct port *port, unsigned budget)
{
    struct port_tap *tap = tap_of(port);
    uint8_t *start = tap->buffer + FRAME_HEADROOM - VNET_SIZE;
    uint32_t bytes = 0;
    for (unsigned i = 0; i < budget && bytes < PORT_BATCH_BYTES; i++) {
        ssize_t size = read(tap->fd, start, VNET_SIZE + FRAME_MAX + 1);
        if (size < 0 && errno == EINTR)
            continue;
        if (size < 0 && errno != EAGAIN)
            find_out(tap);
        if (size < (ssize_t)VNET_SIZE)
            break;
        struct frame frame = {.data = tap->buffer + FRAME_HEADROOM, .size = (uint32_t)size - VNET_SIZE};
        memcpy(&frame.offload, start, sizeof(frame.offload));
        bytes += frame.size;
        port_deliver(port, &frame);
    }
    /* What is left keeps the descriptor readable. */
    return false;
}

/* What the errno of a write (0: none) says. */
static enum port_send_result send_result(struct port_tap *tap, int error)
{
    switch (error) {
    case 0:
        return PORT_SEND_OK;
    case EAGAIN:
        tap->blocked = true;
        /* The kernel bounds what it holds of ours only where TUNSETSNDBUF was used on this very descriptor. Where that
         * is so, each frame is written at once from now on: none behind one that has to wait gets past it. */
        tap->hold = false;
        event_watch_set(tap->watch, EVENT_READ | EVENT_WRITE);
        return PORT_SEND_BLOCKED;
    case EIO:    /* the interface is down */
    case EBADFD: /* … or deleted */
        return PORT_SEND_DOWN;
    case EMSGSIZE:
        return PORT_SEND_TOO_BIG;
    default:
        return PORT_SEND_ERROR;
    }
}

static enum port_send_result write_frame(struct port_tap *tap, const struct frame *frame)
{
    uint8_t *start = frame->data - VNET_SIZE;
    memcpy(start, &frame->offload, sizeof(frame->offload));
    ssize_t size;
    do {
        size = write(tap->fd, start, VNET_SIZE + frame->size);
    } while (size < 0 && errno == EINTR);
    return send_result(tap, size < 0 ? errno : 0);
}

static void frame_written(void *context, const struct frame *frame, int error)
{
    struct port_tap *tap = context;
    port_sent(&tap->port, frame, send_result(tap, error));
}

static void all_written(void *context, unsigned frames, uint64_t bytes)
{
    struct port_tap *tap = context;
    port_sent_all(&tap->port, frames, bytes);
}

static void tap_flush(struct port *port)
{
    struct port_tap *tap = tap_of(port);
    if (tap->batch)
        tap_batch_write(tap->batch, &(struct tap_batch_listener){.context = tap, .all = all_written, .one = frame_written});
}

static enum port_send_result tap_send(struct port *port, const struct frame *frame)
{
    struct port_tap *tap = tap_of(port);
    if (!tap->hold)
        return write_frame(tap, frame);
    if (tap_batch_add(tap->batch, frame))
        return PORT_SEND_LATER;
    tap_flush(port);
    if (!tap->hold)
        return PORT_SEND_BLOCKED; /* behind one that found no room just now */
    return tap_batch_add(tap->batch, frame) ? PORT_SEND_LATER : write_frame(tap, frame);
}

static void tap_event(void *context, unsigned events)
{
    struct port_tap *tap = context;
    if (events & EVENT_WRITE && tap->blocked) {
        tap->blocked = false;
        event_watch_set(tap->watch, EVENT_READ);
        port_writable(&tap->port);
    }
    if (events & EVENT_READ)
        port_readable(&tap->port);
}

static int tap_set_mtu(struct port *port, uint32_t mtu)
{
    struct port_tap *tap = tap_of(port);
    if (tap->moved)
        return 0; /* whoever moved it looks after it */
    return netlink_link_set(tap->nl, tap->index, &(struct netlink_link_change){.mtu = mtu});
}

static void tap_describe(const struct port *port, char *text, size_t size)
{
    const struct port_tap *tap = (const struct port_tap *)port;
    snprintf(text, size, "interface %s%s%s", tap->interface,
             tap->hold && tap_batch_works(tap->batch) ? ", frames in batches" : "",
             tap->port.gone ? ", deleted by somebody" : tap->moved ? ", moved to another namespace" : "");
}

static void tap_destroy(struct port *port)
{
    struct port_tap *tap = tap_of(port);
    netlink_watch_destroy(tap->link_watch);
    event_watch_destroy(tap->watch);
    tap_batch_destroy(tap->batch);
    if (tap->fd >= 0)
        slow_close(tap->fd);
    port_fini(port);
    free(tap->buffer);
    free(tap);
}

static const struct port_ops tap_ops = {
    .type = "tap",
    .receive = tap_receive,
    .send = tap_send,
    .flush = tap_flush,
    .set_mtu = tap_set_mtu,
    .describe = tap_describe,
    .destroy = tap_destroy,
};

/* ---- creation ---- */

static int fail(char error[PORT_ERROR_SIZE], int code, const char *format, const char *what)
{
    int length = snprintf(error, PORT_ERROR_SIZE, format, what);
    /* "Invalid argument" would add nothing to what the text says. */
    if (code != EINVAL && length >= 0 && (size_t)length < PORT_ERROR_SIZE)
        snprintf(error + length, PORT_ERROR_SIZE - (size_t)length, ": %s", strerror(code));
    return code;
}

static int open_tun(int *fd, char error[PORT_ERROR_SIZE])
{
    *fd = open(TUN_DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (*fd >= 0)
        return 0;
    if (errno == ENOENT || errno == ENXIO || errno == ENODEV)
        return fail(error, errno, "%s is missing: load the kernel's tun module, or pass the device into this container",
                    TUN_DEVICE);
    return fail(error, errno, "cannot open %s for reading and writing: taps need that and CAP_NET_ADMIN", TUN_DEVICE);
}

static int attach(struct port_tap *tap, bool offload, char error[PORT_ERROR_SIZE])
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    int header_size = (int)VNET_SIZE;
    unsigned flags = offload ? TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN : 0;
    memcpy(request.ifr_name, tap->interface, IFNAMSIZ);
    if (ioctl(tap->fd, TUNSETIFF, &request) < 0) {
        if (errno == EPERM)
            return fail(error, errno, "cannot create tap %s: that needs CAP_NET_ADMIN in this network namespace",
                        tap->interface);
        if (errno == EBUSY)
            return fail(error, errno, "tap %s is in use by another program", tap->interface);
        if (errno == EINVAL)
            return fail(error, errno, "an interface %s exists and is not a tap of this kind", tap->interface);
        return fail(error, errno, "cannot create tap %s", tap->interface);
    }
    if (ioctl(tap->fd, TUNSETVNETHDRSZ, &header_size) < 0 || ioctl(tap->fd, TUNSETOFFLOAD, flags) < 0)
        return fail(error, errno, "cannot set up the offloads of tap %s", tap->interface);
    tap->port.capabilities = (struct port_capabilities){
        .csum = offload, .tso4 = offload, .tso6 = offload, .tso_ecn = offload};
    return 0;
}

static int configure(struct port_tap *tap, const struct port_tap_config *config, int index_before,
                     char error[PORT_ERROR_SIZE])
{
    uint32_t mtu = config->mtu ? config->mtu : 1500;
    int result = netlink_link_index(tap->nl, tap->interface, &tap->index);
    if (result == 0)
        result = netlink_link_set(tap->nl, tap->index, &(struct netlink_link_change){.mtu = mtu});
    if (result)
        return fail(error, result, "cannot set the MTU of tap %s", tap->interface);
    if (config->mac && !(config->keep_mac && tap->index == index_before)) {
        struct ifreq request = {.ifr_hwaddr.sa_family = ARPHRD_ETHER};
        memcpy(request.ifr_hwaddr.sa_data, config->mac, 6);
        if (ioctl(tap->fd, SIOCSIFHWADDR, &request) < 0)
            return fail(error, errno, "cannot give a MAC address to tap %s", tap->interface);
    }
    for (unsigned i = 0; i < config->address_count && i < PORT_TAP_ADDRESSES_MAX; i++) {
        result = netlink_address_add(tap->nl, tap->index, config->addresses[i]);
        if (result)
            return fail(error, result, "cannot give a tap the address %s", config->addresses[i]);
    }
    result = netlink_link_set(tap->nl, tap->index, &(struct netlink_link_change){.up = true});
    return result ? fail(error, result, "cannot bring up tap %s", tap->interface) : 0;
}

static int check(const struct port_tap_config *config, const char *interface, char error[PORT_ERROR_SIZE])
{
    if (!port_name_valid(config->name))
        return fail(error, EINVAL, "a port's name has 1 to 31 letters, digits, '.', '_' or '-', not \"%.40s\"",
                    config->name);
    if (!port_tap_interface_valid(interface))
        return fail(error, EINVAL, "an interface's name has 1 to 15 characters without '/', ':', '%%' or spaces, not \"%.40s\"",
                    interface);
    for (unsigned i = 0; i < config->address_count && i < PORT_TAP_ADDRESSES_MAX; i++)
        if (!netlink_address_valid(config->addresses[i]))
            return fail(error, EINVAL, "not an address like 10.9.0.1/24 or fd00::1/64: \"%.60s\"", config->addresses[i]);
    return 0;
}

/* The interface of this name, or 0: not one that is just being taken away, which would be in use. */
static int settled_index(struct netlink *nl, const char *interface)
{
    int index;
    if (netlink_link_index(nl, interface, &index) != 0)
        return 0;
    if (slow_close_done() == slow_close_begun())
        return index;
    slow_close_wait();
    return netlink_link_index(nl, interface, &index) == 0 ? index : 0;
}

int port_tap_create(struct event_loop *loop, struct netlink *nl, const struct port_tap_config *config, struct port **port,
                    char error[PORT_ERROR_SIZE])
{
    const char *interface = config->interface ? config->interface : config->name;
    int index_before = 0, result = check(config, interface, error);
    if (result)
        return result;
    struct port_tap *tap = calloc(1, sizeof(*tap));
    if (!tap || port_init(&tap->port, &tap_ops, config->name) != 0) {
        free(tap);
        return fail(error, ENOMEM, "cannot create tap %s", interface);
    }
    tap->nl = nl;
    tap->fd = -1;
    memcpy(tap->interface, interface, strlen(interface) + 1);
    tap->buffer = malloc(FRAME_BUFFER_SIZE);
    result = tap->buffer ? open_tun(&tap->fd, error) : fail(error, ENOMEM, "cannot create tap %s", interface);
    if (result == 0)
        index_before = settled_index(nl, interface);
    if (result == 0)
        result = attach(tap, config->offload, error);
    if (result == 0)
        result = configure(tap, config, index_before, error);
    if (result == 0 && config->writer) {
        tap->batch = tap_batch_create(config->writer, tap->fd);
        tap->hold = tap->batch != NULL;
        result = tap->batch ? 0 : fail(error, ENOMEM, "cannot create tap %s", interface);
    }
    if (result == 0) {
        tap->watch = event_watch_create(loop, tap->fd, EVENT_READ, tap_event, tap);
        tap->link_watch = netlink_watch_create(nl, loop, tap->index, tap_link, tap);
        if (!tap->watch || !tap->link_watch)
            result = fail(error, ENOMEM, "cannot watch tap %s", interface);
    }
    if (result) {
        tap_destroy(&tap->port);
        return result;
    }
    port_link_changed(&tap->port, true);
    *port = &tap->port;
    return 0;
}
