/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tests of unix_socket.h: that what comes with descriptors is not taken from a socket, and how many would find room.
 * Listening and connecting are in the tests of those who do.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/unix_socket.h"
#include "tests/unit/descriptor_sender.h"
#include "tests/unit/unit.h"

static void test_recv(void)
{
    char bytes[8];
    int pair[2];

    make_pair(pair);
    CU_ASSERT_EQUAL(unix_socket_recv(pair[0], bytes, sizeof(bytes)), -1);
    CU_ASSERT_EQUAL(errno, EAGAIN);
    CU_ASSERT_EQUAL(send(pair[1], "abc", 3, 0), 3);
    CU_ASSERT_EQUAL(unix_socket_recv(pair[0], bytes, 2), 2);
    CU_ASSERT_EQUAL(unix_socket_recv(pair[0], bytes, sizeof(bytes)), 1);
    CU_ASSERT_EQUAL(bytes[0], 'c');
    CU_ASSERT_EQUAL(send(pair[1], "abc", 3, 0), 3);
    send_with(pair[1], 0); /* behind bytes that were well */
    CU_ASSERT_EQUAL(unix_socket_recv(pair[0], bytes, sizeof(bytes)), -1);
    CU_ASSERT_EQUAL(errno, EBADMSG);
    CU_ASSERT_EQUAL(recv(pair[0], bytes, 3, 0), 3);
    close(pair[1]);
    CU_ASSERT_EQUAL(unix_socket_recv(pair[0], bytes, sizeof(bytes)), -1); /* still there */
    CU_ASSERT_EQUAL(recv(pair[0], bytes, sizeof(bytes), 0), 1);
    CU_ASSERT_EQUAL(unix_socket_recv(pair[0], bytes, sizeof(bytes)), 0);
    close(pair[0]);
}

static void set_limit(unsigned numbers)
{
    struct rlimit limit;

    CU_ASSERT_EQUAL(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = numbers;
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* The numbers below 400 are left free, but for those that are in use anyway, which are few. */
static void test_room(void)
{
    struct rlimit before;
    unsigned used = 0;

    CU_ASSERT_EQUAL(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (int fd = 0; fd < 400; fd++)
        used += fcntl(fd, F_GETFD) >= 0;
    CU_ASSERT_FATAL(used < 40);
    set_limit(used + UNIX_SOCKET_ROOM);
    CU_ASSERT_TRUE(unix_socket_has_room());
    set_limit(used + UNIX_SOCKET_ROOM - 1);
    CU_ASSERT_FALSE(unix_socket_has_room());
    set_limit(0);
    CU_ASSERT_FALSE(unix_socket_has_room());
    /* The highest ones are in use: as many as are free below them count. */
    set_limit(used + UNIX_SOCKET_ROOM + 2);
    for (unsigned i = 0; i < 2; i++)
        CU_ASSERT_EQUAL(dup2(0, (int)(used + UNIX_SOCKET_ROOM + i)), (int)(used + UNIX_SOCKET_ROOM + i));
    CU_ASSERT_TRUE(unix_socket_has_room());
    CU_ASSERT_EQUAL(dup2(0, 200), 200);
    CU_ASSERT_FALSE(unix_socket_has_room());
    close(200);
    for (unsigned i = 0; i < 2; i++)
        close((int)(used + UNIX_SOCKET_ROOM + i));
    CU_ASSERT_EQUAL(setrlimit(RLIMIT_NOFILE, &before), 0);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "receiving", test_recv },
        { "room for descriptors", test_room },
        CU_TEST_INFO_NULL,
    };

    return unit_run("unix socket", tests);
}
