/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Network interfaces of the host through rtnetlink. libnl is inside netlink.c
 * and nowhere else. Requests are synchronous: one request, one answer from the kernel.
 */
#ifndef VSWITCHD_OS_NETLINK_H
#define VSWITCHD_OS_NETLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vswitchd/os/event_loop.h"

struct netlink;
struct netlink_watch;

/* What to change of an interface; zero members stay as they are. */
struct netlink_link_change {
    uint32_t mtu;
    bool up;
    bool down;
};

struct netlink *netlink_open(void); /* NULL: no memory or descriptors */
void netlink_close(struct netlink *nl);

/* 0, ENODEV, EPERM … */
int netlink_link_index(struct netlink *nl, const char *name, int *index);
int netlink_link_set(struct netlink *nl, int index, const struct netlink_link_change *change);
/* "10.9.0.1/24", "fd00::1/64"; EINVAL for anything else, 0 also when it is there already. */
int netlink_address_add(struct netlink *nl, int index, const char *address);
bool netlink_address_valid(const char *address);

/* Tells of changes to one interface: whether it is administratively up, or gone. The first watch opens a socket, watched
 * through `loop`. NULL: no memory or descriptors. */
typedef void netlink_watch_function(void *context, bool exists, bool up);
struct netlink_watch *netlink_watch_create(struct netlink *nl, struct event_loop *loop, int index,
                                           netlink_watch_function *function, void *context);
void netlink_watch_destroy(struct netlink_watch *watch); /* NULL is fine */

#endif
