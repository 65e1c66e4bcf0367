/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tests of unix_socket.h: that what comes with descriptors is not taken from a socket.
 * Listening and connecting are in the tests of those who do.
 */
#include <errno.h>
#include <string.h>
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

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "receiving", test_recv },
        CU_TEST_INFO_NULL,
    };

    return unit_run("unix socket", tests);
}
