/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tests of ports/tap_batch with a fake kernel, and of a port that answers LATER:
 * what is written, in which order it is told of, how it is counted.
 */
#include <errno.h>
#include <string.h>

#include "tests/fake/fake_port.h"
#include "tests/fake/fake_write_batch.h"
#include "tests/unit/unit.h"
#include "vswitchd/ports/tap_batch.h"

static uint8_t memory[FRAME_BUFFER_SIZE];

static struct frame make_frame(uint32_t size, unsigned number)
{
    struct frame frame = {.data = memory + FRAME_HEADROOM, .size = size};
    memset(frame.data, (int)(number & 0xff), size);
    frame.offload.gso_size = (uint16_t)number;
    return frame;
}

static struct {
    unsigned count;
    unsigned numbers[WRITE_BATCH_MAX];
    uint32_t sizes[WRITE_BATCH_MAX];
    int errors[WRITE_BATCH_MAX];
} told;

static struct {
    unsigned times, frames;
    uint64_t bytes;
} told_all;

static void tell_all(void *context, unsigned frames, uint64_t bytes)
{
    CU_ASSERT_PTR_EQUAL(context, &told);
    told_all.times++;
    told_all.frames += frames;
    told_all.bytes += bytes;
}

static void tell(void *context, const struct frame *frame, int error)
{
    CU_ASSERT_PTR_EQUAL(context, &told);
    CU_ASSERT_FATAL(told.count < WRITE_BATCH_MAX);
    if (frame->size)
        CU_ASSERT_EQUAL(frame->data[frame->size - 1], frame->offload.gso_size & 0xff);
    told.numbers[told.count] = frame->offload.gso_size;
    told.sizes[told.count] = frame->size;
    told.errors[told.count++] = error;
}

static void write_and_hear(struct tap_batch *batch)
{
    memset(&told, 0, sizeof(told));
    memset(&told_all, 0, sizeof(told_all));
    tap_batch_write(batch, &(struct tap_batch_listener){.context = &told, .all = tell_all, .one = tell});
}

static void test_batch(void)
{
    static const uint32_t sizes[] = {60, 0, 1, 1514, TAP_BATCH_FRAME_MAX, 14, 61};
    enum { COUNT = sizeof(sizes) / sizeof(sizes[0]) };
    struct tap_batch *batch = tap_batch_create(NULL, 77);
    for (unsigned i = 0; i < COUNT; i++) {
        struct frame frame = make_frame(sizes[i], 100 + i);
        CU_ASSERT_TRUE(tap_batch_add(batch, &frame));
        memset(memory, 0xdd, sizeof(memory)); /* the buffer is somebody else's again */
    }
    fake_write_batch.errors[1] = EIO;
    fake_write_batch.errors[3] = EAGAIN;
    write_and_hear(batch);
    CU_ASSERT_EQUAL(told_all.times, 0);
    CU_ASSERT_EQUAL(fake_write_batch.fd, 77);
    CU_ASSERT_EQUAL(fake_write_batch.count, COUNT);
    CU_ASSERT_EQUAL(told.count, COUNT);
    for (unsigned i = 0; i < COUNT; i++) {
        struct frame_offload header;
        memcpy(&header, fake_write_batch.data[i], sizeof(header));
        CU_ASSERT_EQUAL(fake_write_batch.sizes[i], sizeof(header) + sizes[i]);
        CU_ASSERT_EQUAL(header.gso_size, 100 + i);
        for (uint32_t k = 0; k < sizes[i]; k++)
            CU_ASSERT_EQUAL_FATAL(fake_write_batch.data[i][sizeof(header) + k], 100 + i);
        CU_ASSERT_EQUAL(told.numbers[i], 100 + i);
        CU_ASSERT_EQUAL(told.sizes[i], sizes[i]);
        CU_ASSERT_EQUAL(told.errors[i], i == 1 ? EIO : i == 3 ? EAGAIN : 0);
    }
    fake_write_batch.runs = 0;
    write_and_hear(batch);
    CU_ASSERT_EQUAL(told.count + told_all.times + fake_write_batch.runs, 0); /* told once */
    CU_ASSERT_TRUE(tap_batch_works(batch));
    fake_write_batch.broken = true;
    CU_ASSERT_FALSE(tap_batch_works(batch));
    fake_write_batch.broken = false;
    CU_ASSERT_EQUAL(fake_write_batch.known, 1);
    tap_batch_destroy(batch);
    CU_ASSERT_EQUAL(fake_write_batch.known, 0);
}

static void test_limits(void)
{
    enum { FULL = 1500 }; /* so many that the items run out before the memory */
    struct tap_batch *batch = tap_batch_create(NULL, 77);
    struct frame frame = make_frame(TAP_BATCH_FRAME_MAX + 1, 1);
    CU_ASSERT_FALSE(tap_batch_add(batch, &frame));
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < WRITE_BATCH_MAX; i++) {
            frame = make_frame(FULL, i);
            CU_ASSERT_TRUE(tap_batch_add(batch, &frame));
        }
        frame = make_frame(1, 1);
        CU_ASSERT_FALSE(tap_batch_add(batch, &frame));
        fake_write_batch.errors[7] = round == 1 ? EIO : 0;
        write_and_hear(batch);
        CU_ASSERT_EQUAL(told.count, round == 1 ? WRITE_BATCH_MAX : 0);
        CU_ASSERT_EQUAL(told_all.times, round != 1);
        if (round == 1) {
            CU_ASSERT_EQUAL(told.numbers[WRITE_BATCH_MAX - 1], WRITE_BATCH_MAX - 1);
        } else {
            CU_ASSERT_EQUAL(told_all.frames, WRITE_BATCH_MAX);
            CU_ASSERT_EQUAL(told_all.bytes, WRITE_BATCH_MAX * FULL);
        }
    }
    tap_batch_destroy(batch);
}

/* Taps take from the same memory: who finds none left has it again when all have written. */
static void test_shared_memory(void)
{
    enum { TAPS = 3 };
    struct tap_batch *taps[TAPS];
    struct frame frame;
    unsigned added[TAPS] = {0}, total = 0;
    for (unsigned k = 0; k < TAPS; k++)
        taps[k] = tap_batch_create(NULL, 77);
    for (unsigned k = 0; k < TAPS; k++)
        for (; added[k] < WRITE_BATCH_MAX; added[k]++, total++) {
            frame = make_frame(1500, WRITE_BATCH_MAX * k + added[k]);
            if (!tap_batch_add(taps[k], &frame))
                break;
        }
    CU_ASSERT_EQUAL(added[0], WRITE_BATCH_MAX);
    CU_ASSERT_TRUE(added[1] > 0 && added[1] < WRITE_BATCH_MAX);
    CU_ASSERT_EQUAL(added[2], 0);
    CU_ASSERT_EQUAL(fake_write_batch.pieces, total);
    for (unsigned k = 0; k < 2; k++) {
        fake_write_batch.errors[0] = EAGAIN;
        write_and_hear(taps[k]);
        CU_ASSERT_EQUAL(told.count, added[k]);
        for (unsigned i = 0; i < added[k]; i++) {
            CU_ASSERT_EQUAL(told.numbers[i], WRITE_BATCH_MAX * k + i);
            CU_ASSERT_EQUAL(fake_write_batch.data[i][sizeof(struct frame_offload)], (WRITE_BATCH_MAX * k + i) & 0xff);
        }
        frame = make_frame(1500, 1);
        CU_ASSERT_EQUAL(tap_batch_add(taps[2], &frame), k > 0); /* all of the first two had to be written */
    }
    memset(fake_write_batch.errors, 0, sizeof(fake_write_batch.errors));
    for (unsigned k = 0; k < TAPS; k++)
        tap_batch_destroy(taps[k]); /* the last with a frame in it */
    CU_ASSERT_EQUAL(fake_write_batch.pieces, 0);
    CU_ASSERT_EQUAL(fake_write_batch.used, 0);
}

/* ---- a port that answers LATER ---- */

static void test_later(void)
{
    struct fake_port *fake = fake_port_create("later", false);
    struct frame frame = make_frame(100, 1);
    const struct port_counters *c = &fake->port.counters;
    fake->answer = PORT_SEND_LATER;
    for (unsigned i = 0; i < 4; i++)
        CU_ASSERT_TRUE(port_send(&fake->port, &frame));
    CU_ASSERT_EQUAL(c->out_frames, 0); /* not before it is known */
    CU_ASSERT_EQUAL(port_queued(&fake->port), 0);
    port_sent(&fake->port, &frame, PORT_SEND_OK);
    port_sent(&fake->port, &frame, PORT_SEND_DOWN);
    port_sent(&fake->port, &frame, PORT_SEND_TOO_BIG);
    port_sent(&fake->port, &frame, PORT_SEND_ERROR);
    port_sent_all(&fake->port, 3, 1234);
    CU_ASSERT_EQUAL(c->out_frames, 4);
    CU_ASSERT_EQUAL(c->out_bytes, 1334);
    CU_ASSERT_EQUAL(c->drops[DROP_PORT_DOWN], 1);
    CU_ASSERT_EQUAL(c->drops[DROP_MTU], 1);
    CU_ASSERT_EQUAL(c->drops[DROP_SEND_ERROR], 1);
    port_destroy(&fake->port);
}

static unsigned next_number;

static void check_order(struct fake_port *fake, const struct frame *frame)
{
    (void)fake;
    CU_ASSERT_EQUAL(frame->offload.gso_size, next_number);
    next_number++;
}

/* Frames that turn out to have no room wait in the queue, and newer ones behind them. */
static void test_later_blocked(void)
{
    struct fake_port *fake = fake_port_create("later", false);
    const struct port_counters *c = &fake->port.counters;
    struct frame frame;
    fake->answer = PORT_SEND_LATER;
    for (unsigned i = 0; i < 5; i++) {
        frame = make_frame(100, i);
        CU_ASSERT_TRUE(port_send(&fake->port, &frame));
    }
    for (unsigned i = 0; i < 5; i++) {
        frame = make_frame(100, i);
        port_sent(&fake->port, &frame, i < 2 ? PORT_SEND_OK : PORT_SEND_BLOCKED);
    }
    CU_ASSERT_EQUAL(port_queued(&fake->port), 3);
    CU_ASSERT_EQUAL(c->out_frames, 2);
    fake->answer = PORT_SEND_OK;
    frame = make_frame(100, 5);
    CU_ASSERT_TRUE(port_send(&fake->port, &frame));
    CU_ASSERT_EQUAL(fake->sent, 0);
    next_number = 2;
    fake->on_send = check_order;
    port_writable(&fake->port);
    CU_ASSERT_EQUAL(next_number, 6);
    CU_ASSERT_EQUAL(c->out_frames, 6);
    CU_ASSERT_EQUAL(c->out_queued, 4);

    /* The queue is bounded for them, too. */
    unsigned count = PORT_BATCH * 40;
    for (unsigned i = 0; i < count; i++)
        port_sent(&fake->port, &frame, PORT_SEND_BLOCKED);
    CU_ASSERT_TRUE(c->drops[DROP_QUEUE_FULL] > 0);
    CU_ASSERT_EQUAL(c->drops[DROP_QUEUE_FULL] + port_queued(&fake->port), count);
    port_destroy(&fake->port);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "memory shared by taps", test_shared_memory },
        { "what is written and told", test_batch },
        { "its limits", test_limits },
        { "a port that answers later", test_later },
        { "… that there was no room", test_later_blocked },
        CU_TEST_INFO_NULL,
    };

    return unit_run("tap_batch", tests);
}
