/* SPDX-License-Identifier: BSD-2-Clause
 * Closing sockets with something in them that lingers: nobody waits for it, and those
 * who sent it are kept away before they are too many.
 */
#include "guest/closer.h"
#include "tests/unit/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static bool wait_closed(int fd)
{
    for (unsigned i = 0; i < 2000 && is_open(fd); i++)
        usleep(10000);
    return !is_open(fd);
}

/* A TCP socket that takes an hour to be closed, or until *reader is. */
static int lingering(int *reader)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const struct linger hour = { 1, 3600 };
    int listener = socket(AF_INET, SOCK_STREAM, 0), sender = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t size = sizeof address;
    static const char bytes[65536];

    CU_ASSERT_EQUAL(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    CU_ASSERT_EQUAL(listen(listener, 1), 0);
    CU_ASSERT_EQUAL(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    CU_ASSERT_EQUAL(connect(sender, (struct sockaddr *)&address, sizeof address), 0);
    *reader = accept(listener, NULL, NULL);
    CU_ASSERT_EQUAL(setsockopt(sender, SOL_SOCKET, SO_LINGER, &hour, sizeof hour), 0);
    while (send(sender, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
    close(listener);
    return sender;
}

static void send_away(int to, int fd)
{
    struct iovec part = { "x", 1 };
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { 0 };
    struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };

    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
    CU_ASSERT_EQUAL(sendmsg(to, &message, 0), 1);
    close(fd);
}

static void test_without_thread(void)
{
    int pair[2];

    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    closer_close(-1);
    closer_close(pair[0]);
    CU_ASSERT_FALSE(is_open(pair[0]));
    CU_ASSERT_FALSE(closer_is_full());
    close(pair[1]);
}

static void test_lingering(void)
{
    int pair[2], reader, ordinary[40], other[40];
    unsigned count = 0;
    char byte;

    CU_ASSERT_EQUAL_FATAL(closer_start(), 0);
    CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    send_away(pair[1], lingering(&reader));
    alarm(60);
    closer_close(pair[0]); /* comes back */
    while (count < 40 && !closer_is_full()) {
        int two[2];

        CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, two), 0);
        closer_close(two[0]);
        CU_ASSERT_EQUAL(recv(two[1], &byte, 1, MSG_DONTWAIT), 0); /* its end, at once */
        ordinary[count] = two[0];
        other[count++] = two[1];
    }
    CU_ASSERT(count >= 8 && count < 40); /* they wait for the first */
    for (unsigned i = 0; i < count; i++)
        CU_ASSERT_TRUE(is_open(ordinary[i]));
    close(reader);
    for (unsigned i = 0; i < count; i++) {
        CU_ASSERT_TRUE(wait_closed(ordinary[i]));
        close(other[i]);
    }
    for (unsigned i = 0; i < 2000 && closer_is_full(); i++)
        usleep(10000);
    CU_ASSERT_FALSE(closer_is_full());
    alarm(0);
    close(pair[1]);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "without a thread", test_without_thread },
        { "lingering", test_lingering },
        CU_TEST_INFO_NULL,
    };

    return unit_run("guest closer", tests);
}
