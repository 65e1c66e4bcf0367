/* SPDX-License-Identifier: BSD-2-Clause
 * The console: replay, several clients, slow ones, bounded input.
 */
#include "guest/console.h"
#include "tests/unit/unit.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct console *console;
static struct sockaddr_un address = { .sun_family = AF_UNIX };

static void setup(void)
{
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "test-console-%d", (int)getpid());
    CU_ASSERT_EQUAL_FATAL(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    listen(listener, 16);
    console = console_new(listener, false);
}

static int attach(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

    CU_ASSERT_EQUAL(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

static void print(const char *text)
{
    while (*text)
        console_output(console, (uint8_t)*text++);
}

static size_t service(void)
{
    uint8_t input[64];
    return console_service(console, input, sizeof input);
}

static void expect(int fd, const char *text)
{
    char got[256] = "";
    ssize_t size = read(fd, got, sizeof got - 1);

    got[size > 0 ? size : 0] = 0;
    CU_ASSERT_STRING_EQUAL(got, text);
}

static void test_replay_and_clients(void)
{
    int first, second;

    setup();
    CU_ASSERT_TRUE(console_output(console, 'b'));
    CU_ASSERT_FALSE(console_output(console, 'o'));
    print("ot\n");
    CU_ASSERT_TRUE(console_has_output(console));
    console_flush(console); /* nobody there: kept */
    CU_ASSERT_FALSE(console_has_output(console));
    first = attach();
    service();
    expect(first, "boot\n");
    print("login: ");
    second = attach();
    service();
    expect(first, "login: ");
    expect(second, "boot\nlogin: ");
    close(first);
    print("x");
    service();
    print("y");
    service();
    expect(second, "xy");
    close(second);
    CU_ASSERT_EQUAL(console_bytes(console), 14);
    console_free(console);
}

static void test_history_is_bounded(void)
{
    static char got[2 * CONSOLE_HISTORY];
    size_t total = 0;
    ssize_t size;
    int fd;

    setup();
    for (unsigned i = 0; i < 3 * CONSOLE_HISTORY; i++)
        console_output(console, (uint8_t)(i >> 16));
    fd = attach();
    do {
        service();
        size = read(fd, got + total, sizeof got - total);
        total += size > 0 ? (size_t)size : 0;
    } while (size > 0 && total < sizeof got);
    CU_ASSERT_EQUAL(total, CONSOLE_HISTORY);
    CU_ASSERT_EQUAL(got[0], 2);
    close(fd);
    console_free(console);
}

static void test_slow_client(void)
{
    struct pollfd fds[CONSOLE_FDS];
    int slow, quick;

    setup();
    slow = attach();
    quick = attach();
    service();
    for (unsigned round = 0; round < 100; round++) {
        char drain[8192];
        for (unsigned i = 0; i < 8192; i++)
            console_output(console, 'z');
        service();
        CU_ASSERT_EQUAL(read(quick, drain, sizeof drain), 8192); /* the slow one delays nobody */
    }
    CU_ASSERT_EQUAL(console_poll(console, fds, true), 3);
    CU_ASSERT_EQUAL(fds[1].events, POLLIN | POLLOUT);
    CU_ASSERT_EQUAL(fds[2].events, POLLIN);
    close(slow);
    close(quick);
    service();
    console_free(console);
}

static void test_input(void)
{
    struct pollfd fds[CONSOLE_FDS];
    uint8_t input[4];
    int fd;

    setup();
    fd = attach();
    service();
    CU_ASSERT_EQUAL(write(fd, "abcdef", 6), 6);
    CU_ASSERT_EQUAL(console_service(console, input, 0), 0);
    CU_ASSERT_EQUAL(console_service(console, input, 4), 4);
    CU_ASSERT_NSTRING_EQUAL((char *)input, "abcd", 4);
    CU_ASSERT_EQUAL(console_service(console, input, 4), 2);
    console_poll(console, fds, false);
    CU_ASSERT_EQUAL(fds[1].events, 0); /* the guest takes nothing now */
    close(fd);
    CU_ASSERT_EQUAL(console_service(console, input, 4), 0);
    CU_ASSERT_EQUAL(console_poll(console, fds, true), 1);
    console_free(console);
}

static void test_too_many_clients(void)
{
    int fd[CONSOLE_CLIENTS + 3];
    char byte;

    setup();
    for (unsigned i = 0; i < CONSOLE_CLIENTS + 3; i++)
        fd[i] = attach();
    service();
    CU_ASSERT_EQUAL(read(fd[CONSOLE_CLIENTS], &byte, 1), 0); /* turned away */
    CU_ASSERT_EQUAL(read(fd[0], &byte, 1), -1);
    for (unsigned i = 0; i < CONSOLE_CLIENTS + 3; i++)
        close(fd[i]);
    console_free(console);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "replay and clients", test_replay_and_clients },
        { "history is bounded", test_history_is_bounded },
        { "slow client", test_slow_client },
        { "input", test_input },
        { "too many clients", test_too_many_clients },
        CU_TEST_INFO_NULL,
    };

    signal(SIGPIPE, SIG_IGN);
    return unit_run("guest console", tests);
}
