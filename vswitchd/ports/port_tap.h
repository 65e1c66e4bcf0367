/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A tap interface of the host as a port: the host's own stack, or whatever it
 * is bridged to, is the peer. Created non-persistent through /dev/net/tun with
 * offload headers; gone with its descriptor.
 */
#ifndef VSWITCHD_PORTS_PORT_TAP_H
#define VSWITCHD_PORTS_PORT_TAP_H

#include "vswitchd/os/event_loop.h"
#include "vswitchd/os/netlink.h"
#include "vswitchd/os/write_batch.h"
#include "vswitchd/ports/port.h"

#define PORT_TAP_ADDRESSES_MAX 8u

struct port_tap_config {
    const char *name;      /* of the port */
    const char *interface; /* of the interface; NULL: the port's name */
    uint32_t mtu;          /* 0: 1500 */
    const uint8_t *mac;    /* of the interface, 6 bytes; NULL: the kernel's choice */
    bool keep_mac;         /* an interface that was there before keeps its own */
    bool offload;          /* exchange checksum and TSO work with the kernel; true is the useful value */
    struct write_batch *writer; /* small frames of a burst are written together by it; NULL: each by itself */
    unsigned address_count;
    const char *addresses[PORT_TAP_ADDRESSES_MAX]; /* "10.9.0.1/24" */
};

void port_tap_config_init(struct port_tap_config *config, const char *name);
/* 0 or errno, with a text for people in `error`; EBUSY: another process has the interface. */
int port_tap_create(struct event_loop *loop, struct netlink *nl, const struct port_tap_config *config, struct port **port,
                    char error[PORT_ERROR_SIZE]);
/* True for a name the kernel takes: 1–15 characters, none of '/', ':', '%' or white space, not "." or "..". */
bool port_tap_interface_valid(const char *name);

#endif
