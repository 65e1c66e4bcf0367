/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tests of foreign.h: what is closed at once and what by the threads.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/descriptor_sender.h"
#include "tests/unit/unit.h"
#include "vswitchd/os/foreign.h"

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void close_until(int fd, bool at_once, bool socket)
{
    if (socket)
        foreign_close_socket(fd, FOREIGN_PORTS);
    else
        foreign_close(fd, FOREIGN_PORTS);
    if (at_once)
        CU_ASSERT_FALSE(is_open(fd));
    for (unsigned i = 0; i < 1000 && foreign_waiting(FOREIGN_PORTS); i++)
        usleep(10000);
    CU_ASSERT_FALSE(is_open(fd));
    CU_ASSERT_EQUAL(foreign_waiting(FOREIGN_PORTS), 0);
}

static void test_without_thread(void)
{
    int pair[2];

    make_pair(pair);
    send_with(pair[1], 0);
    close_until(pair[0], true, true);
    close_until(pair[1], true, false);
}

static void test_harmless(void)
{
    char byte;
    int pair[2];

    CU_ASSERT_EQUAL(foreign_start(), 0);
    close_until(eventfd(0, 0), true, false);
    make_pair(pair);
    CU_ASSERT_EQUAL(send(pair[1], "abc", 3, 0), 3);
    close_until(pair[0], true, true);
    CU_ASSERT_EQUAL(recv(pair[1], &byte, 1, MSG_DONTWAIT), 0); /* sees the end */
    close(pair[1]);
}

/* What the thread has to close: it stands still at a FUSE or a socket that lingers, which tests/integration has. */
static void test_others(void)
{
    uint64_t doubtful;
    char byte;
    ssize_t n;
    int pair[2];

    make_pair(pair);
    send_with(pair[1], 0);
    foreign_close_socket(pair[0], FOREIGN_CONTROL);
    n = recv(pair[1], &byte, 1, MSG_DONTWAIT); /* its end, at once; a reset if it was closed by now, with what is in it */
    CU_ASSERT(n == 0 || errno == ECONNRESET);
    CU_ASSERT_EQUAL(send(pair[1], &byte, 1, MSG_NOSIGNAL), -1);
    for (unsigned i = 0; i < 1000 && foreign_waiting(FOREIGN_CONTROL); i++)
        usleep(10000);
    CU_ASSERT_FALSE(is_open(pair[0]));
    CU_ASSERT_EQUAL(foreign_doubtful(FOREIGN_CONTROL), 1);
    doubtful = foreign_doubtful(FOREIGN_PORTS);
    close_until(open("/dev/null", O_RDONLY), false, false);
    CU_ASSERT_EQUAL(foreign_doubtful(FOREIGN_PORTS), doubtful + 1);
    close_until(memfd_create("x", 0), false, false); /* takes long, but not for ever */
    close_until(eventfd(0, 0), true, false);
    CU_ASSERT_EQUAL(foreign_doubtful(FOREIGN_PORTS), doubtful + 1);
    close_until(pair[1], false, false);
    CU_ASSERT_EQUAL(foreign_hold_off(FOREIGN_CONTROL), 0);
}

static void test_memory(void)
{
    size_t size = 16 * 4096;
    uint8_t *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char there;

    foreign_unmap(base + 4096, size - 4096);
    for (unsigned i = 0; i < 1000 && mincore(base + size - 4096, 4096, &there) == 0; i++)
        usleep(10000);
    CU_ASSERT_EQUAL(mincore(base + 4096, 4096, &there), -1);
    CU_ASSERT_EQUAL(mincore(base + size - 4096, 4096, &there), -1);
    CU_ASSERT_EQUAL(mincore(base, 4096, &there), 0);
    munmap(base, 4096);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "without the thread", test_without_thread },
        { "harmless ones", test_harmless },
        { "others", test_others },
        { "memory", test_memory },
        CU_TEST_INFO_NULL,
    };

    return unit_run("foreign", tests);
}
