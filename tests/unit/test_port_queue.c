/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tests of ports/port and its queue with the fake port: order, bounds, the
 * ring's wrap, what is counted, link down.
 */
#include <string.h>

#include "tests/fake/fake_port.h"
#include "tests/unit/unit.h"
#include "vswitchd/ports/port_queue.h"

static uint8_t memory[FRAME_BUFFER_SIZE];

static struct frame make_frame(uint32_t size, unsigned number)
{
    struct frame frame = {.data = memory + FRAME_HEADROOM, .size = size};
    memset(frame.data, (int)(number & 0xff), size);
    if (size >= 4)
        memcpy(frame.data, &number, 4);
    frame.offload.gso_size = (uint16_t)number;
    return frame;
}

static void test_names(void)
{
    static const char *const good[] = {"a", "alice.0", "tap_1-x", "0", "abcdefghijklmnopqrstuvwxyz01234"};
    static const char *const wrong[] = {"", ".a", "-a", "a b", "a/b", "a\n", "\xc3\xa4", "abcdefghijklmnopqrstuvwxyz012345"};
    for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CU_ASSERT_TRUE(port_name_valid(good[i]));
    for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        CU_ASSERT_FALSE(port_name_valid(wrong[i]));
    CU_ASSERT_PTR_NULL(fake_port_create("a b", false));
}

static void test_ring_wraps(void)
{
    /* Frames of changing sizes through a small ring, against a count of numbers. */
    struct port_queue *queue = port_queue_create(16384, 64);
    unsigned pushed = 0, popped = 0, refused = 0, seed = 7;
    uint32_t sizes[65536];
    while (pushed < 60000) {
        seed = seed * 1664525u + 1013904223u;
        if (seed >> 31) {
            uint32_t size = (seed >> 8) % 3 == 0 ? (seed >> 12) % 5000 : (seed >> 12) % 200;
            struct frame frame = make_frame(size, pushed);
            if (port_queue_push(queue, &frame))
                sizes[pushed++] = size;
            else
                refused++;
        }
        struct frame frame;
        if ((seed >> 28 & 3) == 1 && port_queue_peek(queue, &frame)) {
            unsigned number = popped;
            CU_ASSERT_EQUAL_FATAL(frame.size, sizes[popped]);
            CU_ASSERT_EQUAL(frame.offload.gso_size, (uint16_t)popped);
            if (frame.size >= 4)
                memcpy(&number, frame.data, 4);
            CU_ASSERT_EQUAL_FATAL(number, popped);
            if (frame.size > 4)
                CU_ASSERT_EQUAL(frame.data[frame.size - 1], popped & 0xff);
            memset(frame.data - FRAME_HEADROOM, 0xdd, FRAME_HEADROOM); /* the headroom is the port's */
            port_queue_pop(queue);
            popped++;
        }
        CU_ASSERT_EQUAL(port_queue_count(queue), pushed - popped);
    }
    CU_ASSERT_TRUE(refused > 100);
    port_queue_destroy(queue);
}

static void test_ring_limits(void)
{
    struct port_queue *queue = port_queue_create(4096, 3);
    struct frame frame = make_frame(4096, 1);
    CU_ASSERT_FALSE(port_queue_push(queue, &frame)); /* never fits */
    frame = make_frame(0, 1);
    for (unsigned i = 0; i < 3; i++)
        CU_ASSERT_TRUE(port_queue_push(queue, &frame));
    CU_ASSERT_FALSE(port_queue_push(queue, &frame));
    for (unsigned i = 0; i < 4; i++)
        port_queue_pop(queue);
    CU_ASSERT_EQUAL(port_queue_count(queue), 0);
    CU_ASSERT_FALSE(port_queue_peek(queue, &frame));
    port_queue_destroy(queue);
}

static unsigned next_number;

static void check_order(struct fake_port *fake, const struct frame *frame)
{
    unsigned number;
    (void)fake;
    memcpy(&number, frame->data, 4);
    CU_ASSERT_EQUAL(number, next_number);
    next_number = number + 1;
}

static void test_blocked(void)
{
    struct fake_port *fake = fake_port_create("slow", false);
    struct frame frame;
    next_number = 0;
    fake->on_send = check_order;
    fake->room = 2;
    for (unsigned i = 0; i < 10; i++) {
        frame = make_frame(100, i);
        CU_ASSERT_TRUE(port_send(&fake->port, &frame));
    }
    CU_ASSERT_EQUAL(fake->sent, 2);
    CU_ASSERT_EQUAL(port_queued(&fake->port), 8);
    CU_ASSERT_EQUAL(fake->port.counters.out_frames, 2);
    fake->room = 3;
    port_writable(&fake->port);
    CU_ASSERT_EQUAL(fake->sent, 5);
    CU_ASSERT_EQUAL(fake->flushed, 1);
    /* With room again, but frames waiting: the new one goes behind them. */
    fake->room = UINT32_MAX;
    frame = make_frame(100, 10);
    CU_ASSERT_TRUE(port_send(&fake->port, &frame));
    CU_ASSERT_EQUAL(fake->sent, 5);
    port_writable(&fake->port);
    CU_ASSERT_EQUAL(fake->sent, 11);
    CU_ASSERT_EQUAL(fake->port.counters.out_frames, 11);
    CU_ASSERT_EQUAL(fake->port.counters.out_queued, 9);
    CU_ASSERT_EQUAL(fake->port.counters.out_bytes, 1100);
    frame = make_frame(100, 11);
    CU_ASSERT_TRUE(port_send(&fake->port, &frame));
    CU_ASSERT_EQUAL(fake->sent, 12);
    port_destroy(&fake->port);
}

static void test_full(void)
{
    struct fake_port *fake = fake_port_create("stuck", false);
    struct frame frame = make_frame(1500, 1);
    fake->room = 0;
    unsigned accepted = 0;
    for (unsigned i = 0; i < 5000; i++)
        accepted += port_send(&fake->port, &frame);
    CU_ASSERT_TRUE(accepted > 100 && accepted <= PORT_QUEUE_FRAMES);
    CU_ASSERT_EQUAL(fake->port.counters.drops[DROP_QUEUE_FULL], 5000 - accepted);
    CU_ASSERT_EQUAL(port_queued(&fake->port), accepted);
    port_link_changed(&fake->port, false);
    CU_ASSERT_EQUAL(port_queued(&fake->port), 0);
    CU_ASSERT_EQUAL(fake->port.counters.drops[DROP_PORT_DOWN], accepted);
    CU_ASSERT_FALSE(port_send(&fake->port, &frame));
    CU_ASSERT_EQUAL(fake->port.counters.drops[DROP_PORT_DOWN], accepted + 1);
    port_writable(&fake->port);
    CU_ASSERT_EQUAL(fake->sent, 0);
    port_destroy(&fake->port);
}

static void test_results(void)
{
    static const struct {
        enum port_send_result answer;
        enum drop_reason reason;
    } rows[] = {{PORT_SEND_TOO_BIG, DROP_MTU}, {PORT_SEND_DOWN, DROP_PORT_DOWN}, {PORT_SEND_ERROR, DROP_SEND_ERROR}};
    struct fake_port *fake = fake_port_create("p", false);
    struct frame frame = make_frame(60, 1);
    for (unsigned i = 0; i < 3; i++) {
        fake->answer = rows[i].answer;
        CU_ASSERT_FALSE(port_send(&fake->port, &frame));
        CU_ASSERT_EQUAL(fake->port.counters.drops[rows[i].reason], 1);
    }
    /* One bad frame in the queue does not hold up what is behind it. */
    fake->answer = PORT_SEND_BLOCKED;
    for (unsigned i = 0; i < 3; i++)
        CU_ASSERT_TRUE(port_send(&fake->port, &frame));
    fake->answer = PORT_SEND_ERROR;
    port_writable(&fake->port);
    CU_ASSERT_EQUAL(port_queued(&fake->port), 0);
    CU_ASSERT_EQUAL(fake->port.counters.drops[DROP_SEND_ERROR], 4);
    CU_ASSERT_EQUAL(fake->port.counters.out_frames, 0);
    port_destroy(&fake->port);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "names", test_names },
        { "the ring wraps", test_ring_wraps },
        { "the ring's limits", test_ring_limits },
        { "blocked and writable", test_blocked },
        { "full, then down", test_full },
        { "what send answers", test_results },
        CU_TEST_INFO_NULL,
    };

    return unit_run("port_queue", tests);
}
