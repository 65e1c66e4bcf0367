/* SPDX-License-Identifier: BSD-2-Clause
 *
 * vswitchd/ports/port_vhost_user on a real event loop: connects, tries again,
 * listens; frames both ways; peers that go away or misbehave.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "guest/port_link.h"
#include "proto/unix_socket.h"
#include "tests/unit/unit.h"
#include "vswitchd/os/log.h"
#include "vswitchd/ports/port_vhost_user.h"

static char directory[] = "/tmp/portvhost-XXXXXX";
static char path[64];
static struct event_loop *loop;
static struct port *port;
static struct port_link *front;
static unsigned delivered, received;
static uint32_t last_size;
static uint8_t bytes[FRAME_BUFFER_SIZE];

/* ---- the data path's part ---- */

static void readable(void *context, struct port *from)
{
    (void)context;
    while (port_receive(from))
        ;
    port_flush(from);
}

static void deliver(void *context, struct port *from, struct frame *frame)
{
    (void)context;
    (void)from;
    delivered++;
    last_size = frame->size;
}

static void open_port(bool server)
{
    static const struct port_listener listener = { .readable = readable, .deliver = deliver };
    struct port_vhost_user_config config;
    char error[PORT_ERROR_SIZE] = "";

    port_vhost_user_config_init(&config, "guest.nic0", path);
    config.server = server;
    CU_ASSERT_EQUAL_FATAL(port_vhost_user_create(loop, &config, &port, error), 0);
    CU_ASSERT_STRING_EQUAL(error, "");
    port_set_listener(port, &listener);
    delivered = received = 0;
}

static enum port_link_answer on_frame(void *opaque, const void *frame, size_t size, const struct nic_offload *offload)
{
    (void)opaque;
    (void)frame;
    (void)offload;
    received++;
    last_size = (uint32_t)size;
    return PORT_LINK_TAKEN;
}

/* Lets both sides run until `done` (or for some seconds, and then fails). */
static bool run_until(bool (*done)(void))
{
    uint64_t end = event_loop_now(loop) + 5 * EVENT_LOOP_SECOND;

    while (!done()) {
        if (event_loop_now(loop) > end)
            return false;
        event_loop_once(loop, false);
        if (front) {
            port_link_service(front, event_loop_now(loop));
            while (port_link_receive(front, on_frame, NULL, 64))
                ;
        }
    }
    return true;
}

static bool is_up(void)
{
    return port->link && (!front || port_link_connected(front));
}

static bool is_down(void)
{
    return !port->link;
}

static bool has_delivered(void)
{
    return delivered > 0;
}

static unsigned wanted;
static bool has_received(void)
{
    return received >= wanted;
}

static void open_front(void)
{
    static const struct port_link_options options = { .accept_csum = true };

    CU_ASSERT_EQUAL_FATAL(port_link_open(path, &options, &front), 0);
}

static void close_front(void)
{
    port_link_close(front);
    front = NULL;
}

static struct frame a_frame(void)
{
    return (struct frame){ .data = bytes + FRAME_HEADROOM, .size = 1514 };
}

static void test_comes_and_goes(void)
{
    open_port(false);
    CU_ASSERT_FALSE(port->link);
    for (unsigned i = 0; i < 3; i++) {
        struct frame frame = a_frame();

        open_front();
        CU_ASSERT_TRUE(run_until(is_up));
        CU_ASSERT_TRUE(port->capabilities.csum);
        CU_ASSERT_FALSE(port->capabilities.tso4);
        delivered = received = 0;
        wanted = 1;
        CU_ASSERT_TRUE(port_link_send(front, frame.data, 60, NULL));
        port_link_flush(front);
        CU_ASSERT_TRUE(run_until(has_delivered));
        CU_ASSERT_EQUAL(last_size, 60);
        CU_ASSERT_TRUE(port_send(port, &frame));
        port_flush(port);
        CU_ASSERT_TRUE(run_until(has_received));
        CU_ASSERT_EQUAL(last_size, 1514);
        close_front();
        CU_ASSERT_TRUE(run_until(is_down));
        CU_ASSERT_FALSE(port_send(port, &frame));
    }
    CU_ASSERT_EQUAL(port->counters.drops[DROP_PORT_DOWN], 3);
    port_destroy(port);
}

static void test_slow_guest(void)
{
    struct frame frame = a_frame();
    unsigned sent = 0;

    open_front();
    open_port(false);
    CU_ASSERT_TRUE(run_until(is_up));
    received = 0;
    /* 256 lie in the guest's queue, as many as fit in the port's; all that was taken arrives in the end. */
    for (unsigned i = 0; i < 3000; i++)
        sent += port_send(port, &frame);
    port_flush(port);
    CU_ASSERT(sent > 256 && sent < 3000);
    CU_ASSERT(port_queued(port) > 0);
    CU_ASSERT_EQUAL(port->counters.drops[DROP_QUEUE_FULL], 3000 - sent);
    wanted = sent;
    CU_ASSERT_TRUE(run_until(has_received));
    CU_ASSERT_EQUAL(received, sent);
    CU_ASSERT_EQUAL(port_queued(port), 0);
    port_destroy(port);
    close_front();
}

static bool has_drained(void)
{
    return delivered >= wanted;
}

/* How many of the frames that wait one burst takes: few large ones, more small ones, never more than there are. */
static void test_bursts(void)
{
    static const struct { unsigned waiting, size, taken; } rows[] = {
        { 40, 60, 40 }, { 100, 60, 100 }, { 250, 60, PORT_BATCH_SMALL }, { 100, 1514, PORT_BATCH },
        { 200, 200, (PORT_BATCH_SMALL_BYTES + 199) / 200 }, { 1, 60, 1 },
    };
    struct frame frame = a_frame();

    open_front();
    open_port(false);
    CU_ASSERT_TRUE(run_until(is_up));
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        delivered = 0;
        for (unsigned k = 0; k < rows[i].waiting; k++)
            CU_ASSERT_TRUE_FATAL(port_link_send(front, frame.data, rows[i].size, NULL));
        port_link_flush(front);
        CU_ASSERT_EQUAL(port_receive(port), rows[i].taken >= PORT_BATCH);
        CU_ASSERT_EQUAL(delivered, rows[i].taken);
        wanted = rows[i].waiting;
        CU_ASSERT_TRUE(run_until(has_drained));
        CU_ASSERT_EQUAL(delivered, rows[i].waiting);
    }
    port_destroy(port);
    close_front();
}

/* A peer in place of the guest's process, which says `size` bytes of garbage to whoever connects. */
static int garbage_listener = -1;
static unsigned garbage_sessions;

static bool garbage_seen(void)
{
    uint8_t garbage[64];
    int fd = accept4(garbage_listener, NULL, NULL, SOCK_NONBLOCK);

    if (fd >= 0) {
        memset(garbage, 0x5a, sizeof(garbage));
        CU_ASSERT_EQUAL(write(fd, garbage, sizeof(garbage)), sizeof(garbage));
        garbage_sessions++;
        close(fd);
    }
    return garbage_sessions >= 3;
}

static void test_garbage(void)
{
    char text[200];

    CU_ASSERT_EQUAL_FATAL(unix_socket_listen(path, 0600, &garbage_listener), 0);
    open_port(false);
    CU_ASSERT_TRUE(run_until(garbage_seen));
    close(garbage_listener);
    /* And a good one is served afterwards. */
    open_front();
    CU_ASSERT_TRUE(run_until(is_up));
    port->ops->describe(port, text, sizeof(text));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "broken off"));
    port_destroy(port);
    close_front();
}

static int silent = -1;
static bool second_is_refused(void)
{
    char byte;

    return recv(silent, &byte, 1, MSG_DONTWAIT) == 0;
}

static void test_server(void)
{
    struct port_vhost_user_config config;
    struct port *other = NULL;
    char error[PORT_ERROR_SIZE] = "";
    int first;

    open_port(true);
    port_vhost_user_config_init(&config, "other", path);
    config.server = true;
    CU_ASSERT_EQUAL(port_vhost_user_create(loop, &config, &other, error), EADDRINUSE);
    CU_ASSERT_PTR_NOT_NULL(strstr(error, path));
    CU_ASSERT_EQUAL_FATAL(unix_socket_connect(path, &first), 0);
    event_loop_once(loop, true);
    CU_ASSERT_EQUAL_FATAL(unix_socket_connect(path, &silent), 0);
    CU_ASSERT_TRUE(run_until(second_is_refused));
    close(silent);
    close(first);
    port_destroy(port);
    CU_ASSERT_EQUAL(access(path, F_OK), -1);
}

static void test_bad_settings(void)
{
    static const char *const paths[] = { "", "/does/not/exist/socket" };
    struct port_vhost_user_config config;
    struct port *made = NULL;
    char error[PORT_ERROR_SIZE];

    for (unsigned i = 0; i < 2; i++) {
        port_vhost_user_config_init(&config, "p", paths[i]);
        config.server = true;
        error[0] = '\0';
        CU_ASSERT_NOT_EQUAL(port_vhost_user_create(loop, &config, &made, error), 0);
        CU_ASSERT_STRING_NOT_EQUAL(error, "");
    }
    port_vhost_user_config_init(&config, "-bad", path);
    CU_ASSERT_EQUAL(port_vhost_user_create(loop, &config, &made, error), EINVAL);
    CU_ASSERT_PTR_NULL(made);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "comes and goes", test_comes_and_goes },
        { "slow guest", test_slow_guest },
        { "bursts", test_bursts },
        { "garbage", test_garbage },
        { "server", test_server },
        { "bad settings", test_bad_settings },
        CU_TEST_INFO_NULL,
    };
    int status;

    if (!mkdtemp(directory))
        return 1;
    snprintf(path, sizeof(path), "%s/port", directory);
    log_open(LOG_LEVEL_WARNING);
    loop = event_loop_create();
    status = unit_run("port_vhost_user", tests);
    event_loop_destroy(loop);
    unlink(path);
    rmdir(directory);
    return status;
}
