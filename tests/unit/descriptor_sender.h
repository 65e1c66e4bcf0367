/* SPDX-License-Identifier: BSD-2-Clause
 *
 * UNIX sockets that descriptors are sent through.
 */
#ifndef TESTS_UNIT_DESCRIPTOR_SENDER_H
#define TESTS_UNIT_DESCRIPTOR_SENDER_H

#include <string.h>
#include <sys/socket.h>

#include "tests/unit/unit.h"

/* One byte, and the descriptor with it. */
static inline void send_with(int to, int fd)
{
    char byte = 'x';
    struct iovec part = { &byte, 1 };
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control) };

    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
    CU_ASSERT_EQUAL(sendmsg(to, &message, 0), 1);
}

static inline void make_pair(int pair[2])
{
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
}

#endif
