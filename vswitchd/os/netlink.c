/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Interfaces through rtnetlink, with libnl (netlink.h): the only file that includes it.
 */
#include "vswitchd/os/netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <net/if.h>
#include <netlink/errno.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/rtnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADDRESS_TEXT_SIZE 64u
#define EARLIER_CHANGES_MAX 1024

struct netlink {
    struct nl_sock *requests;
    struct nl_sock *changes; /* opened by the first watch */
    struct event_watch *readable;
    struct netlink_watch *watches;
    bool listing;    /* all links are being told, since some change was lost */
    bool list_again; /* … and another one meanwhile */
};

struct netlink_watch {
    struct netlink *nl;
    struct netlink_watch *next;
    netlink_watch_function *function;
    void *context;
    int index;
    bool told; /* of, since the list began */
};

static int errno_of(int nl_error)
{
    static const struct {
        int nl;
        int system;
    } table[] = {
        {NLE_PERM, EPERM},    {NLE_NOACCESS, EACCES}, {NLE_NODEV, ENODEV},   {NLE_OBJ_NOTFOUND, ENODEV},
        {NLE_EXIST, EEXIST},  {NLE_INVAL, EINVAL},    {NLE_RANGE, ERANGE},   {NLE_NOMEM, ENOMEM},
        {NLE_BUSY, EBUSY},    {NLE_AGAIN, EAGAIN},    {NLE_NOADDR, EADDRNOTAVAIL},
        {NLE_OPNOTSUPP, EOPNOTSUPP},
    };
    if (nl_error >= 0)
        return 0;
    for (unsigned i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if (table[i].nl == -nl_error)
            return table[i].system;
    return EIO;
}

static struct nl_sock *open_socket(void)
{
    struct nl_sock *sock = nl_socket_alloc();
    if (sock && nl_connect(sock, NETLINK_ROUTE) < 0) {
        nl_socket_free(sock);
        return NULL;
    }
    return sock;
}

struct netlink *netlink_open(void)
{
    struct netlink *nl = calloc(1, sizeof(*nl));
    if (!nl)
        return NULL;
    nl->requests = open_socket();
    if (!nl->requests) {
        free(nl);
        return NULL;
    }
    return nl;
}

void netlink_close(struct netlink *nl)
{
    if (!nl)
        return;
    event_watch_destroy(nl->readable);
    if (nl->changes)
        nl_socket_free(nl->changes);
    nl_socket_free(nl->requests);
    free(nl);
}

int netlink_link_index(struct netlink *nl, const char *name, int *index)
{
    struct rtnl_link *link = NULL;
    int result = rtnl_link_get_kernel(nl->requests, 0, name, &link);
    if (result < 0)
        return errno_of(result);
    *index = rtnl_link_get_ifindex(link);
    rtnl_link_put(link);
    return 0;
}

int netlink_link_set(struct netlink *nl, int index, const struct netlink_link_change *change)
{
    struct rtnl_link *link = rtnl_link_alloc();
    struct rtnl_link *wanted = rtnl_link_alloc();
    int result = -NLE_NOMEM;
    if (link && wanted) {
        rtnl_link_set_ifindex(link, index);
        if (change->mtu)
            rtnl_link_set_mtu(wanted, change->mtu);
        if (change->up)
            rtnl_link_set_flags(wanted, IFF_UP);
        if (change->down)
            rtnl_link_unset_flags(wanted, IFF_UP);
        result = rtnl_link_change(nl->requests, link, wanted, 0);
    }
    if (link)
        rtnl_link_put(link);
    if (wanted)
        rtnl_link_put(wanted);
    return errno_of(result);
}

/* Splits "address/prefix" and checks both; the prefix defaults to the whole address. */
static bool split_address(const char *text, char address[ADDRESS_TEXT_SIZE], int *family, unsigned *prefix)
{
    unsigned char bytes[16];
    const char *slash = strchr(text, '/');
    size_t length = slash ? (size_t)(slash - text) : strlen(text);
    if (length == 0 || length >= ADDRESS_TEXT_SIZE)
        return false;
    memcpy(address, text, length);
    address[length] = '\0';
    if (inet_pton(AF_INET, address, bytes) == 1)
        *family = AF_INET;
    else if (inet_pton(AF_INET6, address, bytes) == 1)
        *family = AF_INET6;
    else
        return false;
    unsigned bits = *family == AF_INET ? 32 : 128;
    *prefix = bits;
    if (!slash)
        return true;
    char *end;
    if (slash[1] < '0' || slash[1] > '9')
        return false;
    unsigned long value = strtoul(slash + 1, &end, 10);
    *prefix = (unsigned)value;
    return *end == '\0' && value <= bits;
}

bool netlink_address_valid(const char *text)
{
    char address[ADDRESS_TEXT_SIZE];
    int family;
    unsigned prefix;
    return split_address(text, address, &family, &prefix);
}

int netlink_address_add(struct netlink *nl, int index, const char *text)
{
    char address[ADDRESS_TEXT_SIZE];
    int family;
    unsigned prefix;
    if (!split_address(text, address, &family, &prefix))
        return EINVAL;
    struct nl_addr *local = NULL;
    struct rtnl_addr *addr = rtnl_addr_alloc();
    int result = addr ? nl_addr_parse(address, family, &local) : -NLE_NOMEM;
    if (result == 0) {
        nl_addr_set_prefixlen(local, (int)prefix);
        rtnl_addr_set_ifindex(addr, index);
        rtnl_addr_set_local(addr, local);
        if (family == AF_INET6)
            rtnl_addr_set_flags(addr, IFA_F_NODAD); /* usable at once: nobody else can be on a new tap */
        result = rtnl_addr_add(nl->requests, addr, 0);
        nl_addr_put(local);
    }
    if (addr)
        rtnl_addr_put(addr);
    return result == -NLE_EXIST ? 0 : errno_of(result);
}

/* ---- changes ---- */

static int change_received(struct nl_msg *message, void *context)
{
    struct netlink *nl = context;
    const struct nlmsghdr *header = nlmsg_hdr(message);
    if (header->nlmsg_type != RTM_NEWLINK && header->nlmsg_type != RTM_DELLINK)
        return NL_OK;
    if (!nlmsg_valid_hdr(header, sizeof(struct ifinfomsg)))
        return NL_OK;
    const struct ifinfomsg *info = nlmsg_data(header);
    bool exists = header->nlmsg_type == RTM_NEWLINK;
    for (struct netlink_watch *watch = nl->watches, *next; watch; watch = next) {
        next = watch->next;
        if (watch->index != info->ifi_index)
            continue;
        watch->told = true;
        watch->function(watch->context, exists, exists && info->ifi_flags & IFF_UP);
    }
    return NL_OK;
}

/* Asks for all links as they are: for each there is a message as for a change. */
static void list_links(struct netlink *nl)
{
    nl->list_again = nl->listing;
    if (nl->listing)
        return; /* the kernel has one list at a time */
    for (struct netlink_watch *watch = nl->watches; watch; watch = watch->next)
        watch->told = false;
    nl->listing = nl_rtgen_request(nl->changes, RTM_GETLINK, AF_UNSPEC, NLM_F_DUMP) >= 0;
}

/* The list is over: what is not in it is not here any more. */
static int list_over(struct nl_msg *message, void *context)
{
    struct netlink *nl = context;
    (void)message;
    if (!nl->listing)
        return NL_STOP;
    nl->listing = false;
    for (struct netlink_watch *watch = nl->watches, *next; watch && !nl->list_again; watch = next) {
        next = watch->next;
        if (!watch->told)
            watch->function(watch->context, false, false);
    }
    if (nl->list_again)
        list_links(nl);
    return NL_STOP;
}

static void changes_readable(void *context, unsigned events)
{
    struct netlink *nl = context;
    (void)events;
    /* ENOBUFS: more than the socket holds has changed while we were busy, and some of it is lost. */
    if (nl_recvmsgs_default(nl->changes) == -NLE_NOMEM)
        list_links(nl);
}

/* What has been told so far is from before who watches from now on looked. */
static void read_earlier_changes(struct netlink *nl)
{
    for (unsigned i = 0; i < EARLIER_CHANGES_MAX; i++) {
        int result = nl_recvmsgs_default(nl->changes);
        if (result == -NLE_NOMEM)
            list_links(nl);
        if (result < 0)
            return;
    }
}

static bool open_changes(struct netlink *nl, struct event_loop *loop)
{
    if (nl->readable)
        return true;
    nl->changes = nl_socket_alloc();
    if (!nl->changes)
        return false;
    nl_socket_disable_seq_check(nl->changes);
    nl_socket_modify_cb(nl->changes, NL_CB_VALID, NL_CB_CUSTOM, change_received, nl);
    nl_socket_modify_cb(nl->changes, NL_CB_FINISH, NL_CB_CUSTOM, list_over, nl);
    if (nl_connect(nl->changes, NETLINK_ROUTE) == 0 && nl_socket_set_nonblocking(nl->changes) == 0 &&
        nl_socket_add_memberships(nl->changes, RTNLGRP_LINK, 0) == 0)
        nl->readable = event_watch_create(loop, nl_socket_get_fd(nl->changes), EVENT_READ, changes_readable, nl);
    if (nl->readable)
        return true;
    nl_socket_free(nl->changes);
    nl->changes = NULL;
    return false;
}

struct netlink_watch *netlink_watch_create(struct netlink *nl, struct event_loop *loop, int index,
                                           netlink_watch_function *function, void *context)
{
    struct netlink_watch *watch = open_changes(nl, loop) ? calloc(1, sizeof(*watch)) : NULL;
    if (!watch)
        return NULL;
    read_earlier_changes(nl);
    *watch = (struct netlink_watch){
        .nl = nl, .next = nl->watches, .function = function, .context = context, .index = index, .told = true};
    nl->watches = watch;
    return watch;
}

void netlink_watch_destroy(struct netlink_watch *watch)
{
    if (!watch)
        return;
    struct netlink_watch **link = &watch->nl->watches;
    while (*link != watch)
        link = &(*link)->next;
    *link = watch->next;
    free(watch);
}
