/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Network interfaces of the host through rtnetlink. libnl is inside netlink.c
 * and nowhere else. Synchronous: one request, one answer from the kernel.
 */
#ifndef VSWITCHD_OS_NETLINK_H
#define VSWITCHD_OS_NETLINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct netlink;

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

#endif
