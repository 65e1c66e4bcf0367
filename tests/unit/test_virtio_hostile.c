/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Drivers of the paravirtual card that break the rules of its queues (classes B, H, I and J
 * of test_nic_cve.c): the work in each call is bounded, nothing outside of what a buffer
 * names is touched, the card says that it needs a reset, and is well after one.
 */
#include "tests/unit/unit.h"
#include "tests/unit/virtio_fixture.h"

#include <string.h>

#define ALL (F(CTRL_VQ) | F(CTRL_RX) | F(INDIRECT_DESC) | F(MRG_RXBUF))

static void frame_in_memory(void)
{
    memset(host.memory + TX_HEADER, 0, 12);
    memcpy(host.memory + TX_DATA, make_frame(60), 60);
}

/* The driver has been told, nothing moves any more, and after a reset all does. */
static void expect_broken(const char *what)
{
    bool told = (mr(STATUS, 1) & VNET_S_NEEDS_RESET) && host.irq && (isr() & 2);
    if (!told)
        fprintf(stderr, "not told of: %s\n", what);
    CU_ASSERT_TRUE(told);
    CU_ASSERT_TRUE(host.errors > 0);
    unsigned frames = host.frame_count;
    uint64_t calls = host.dma_calls;
    for (unsigned i = 0; i < 4; i++)
        notify(i);
    fake_nic_host_advance(&host, 1000000);
    CU_ASSERT_EQUAL(rx(60), NIC_RX_OFF);
    CU_ASSERT_EQUAL(host.frame_count, frames);
    CU_ASSERT_EQUAL(host.dma_calls, calls);
    open_modern(ALL, 16);
    frame_in_memory();
    tx_send(0, 60);
    rx_give(0, 1, 2048);
    CU_ASSERT_EQUAL(host.frame_count, 1);
    CU_ASSERT_EQUAL(rx(60), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(used(VNET_RX), 1);
}

/* --- chains ------------------------------------------------------------------- */

struct link { unsigned index; uint64_t address; uint32_t size; unsigned flags, next; };
#define END { 999, 0, 0, 0, 0 }

static const struct bad_chain {
    const char *what;
    struct link direct[4], table[4];
} chains[] = {
    { "a chain that loops", { { 0, TX_DATA, 1, NEXT, 0 }, END }, { END } },
    { "a loop of two", { { 0, TX_DATA, 1, NEXT, 1 }, { 1, TX_DATA, 1, NEXT, 0 }, END }, { END } },
    { "a loop of nothing", { { 0, 0, 0, NEXT, 1 }, { 1, 0, 0, NEXT, 1 }, END }, { END } },
    { "next outside", { { 0, TX_DATA, 1, NEXT, 16 }, END }, { END } },
    { "next far outside", { { 0, TX_DATA, 1, NEXT, 0xffff }, END }, { END } },
    { "written before read", { { 0, TX_DATA, 1, WRITE | NEXT, 1 }, { 1, TX_DATA, 60, 0, 0 }, END }, { END } },
    { "written before nothing is read", { { 0, TX_DATA, 9, WRITE | NEXT, 1 }, { 1, TX_DATA, 0, 0, 0 }, END }, { END } },
    { "a table with a successor", { { 0, TABLE, 32, INDIRECT | NEXT, 1 }, END }, { { 0, TX_HEADER, 12, NEXT, 1 }, { 1, TX_DATA, 60, 0, 0 }, END } },
    { "an odd table", { { 0, TABLE, 33, INDIRECT, 0 }, END }, { { 0, TX_HEADER, 12, NEXT, 1 }, { 1, TX_DATA, 60, 0, 0 }, END } },
    { "an empty table", { { 0, TABLE, 0, INDIRECT, 0 }, END }, { { 0, TX_HEADER, 72, 0, 0 }, END } },
    { "a table of less than one", { { 0, TABLE, 15, INDIRECT, 0 }, END }, { { 0, TX_HEADER, 72, 0, 0 }, END } },
    { "a table larger than the queue", { { 0, TABLE, 17 * 16, INDIRECT, 0 }, END }, { { 0, TX_HEADER, 72, 0, 0 }, END } },
    { "a table of 4 GiB", { { 0, TABLE, 0xfffffff0, INDIRECT, 0 }, END }, { { 0, TX_HEADER, 72, 0, 0 }, END } },
    { "a table in a table", { { 0, TABLE, 32, INDIRECT, 0 }, END }, { { 0, TX_HEADER, 12, NEXT, 1 }, { 1, TABLE, 16, INDIRECT, 0 }, END } },
    { "a table that loops", { { 0, TABLE, 32, INDIRECT, 0 }, END }, { { 0, TX_HEADER, 12, NEXT, 1 }, { 1, TX_DATA, 1, NEXT, 0 }, END } },
    { "a table of nothing that loops", { { 0, TABLE, 16, INDIRECT, 0 }, END }, { { 0, 0, 0, NEXT, 0 }, END } },
    { "next outside of a table", { { 0, TABLE, 16, INDIRECT, 0 }, END }, { { 0, TX_HEADER, 12, NEXT, 1 }, { 1, TX_DATA, 60, 0, 0 }, END } },
    { "a table that is no memory", { { 0, 0x80000000, 16, INDIRECT, 0 }, END }, { END } },
    { "a table beyond the end", { { 0, FAKE_MEMORY_SIZE - 16, 32, INDIRECT, 0 }, END }, { END } },
    { "a table at the end of all addresses", { { 0, UINT64_MAX - 15, 32, INDIRECT, 0 }, END }, { END } },
    { "written before read in a table", { { 0, TABLE, 32, INDIRECT, 0 }, END }, { { 0, TX_HEADER, 12, WRITE | NEXT, 1 }, { 1, TX_DATA, 60, 0, 0 }, END } },
};

static void bad_chains(void)
{
    for (unsigned queue = 0; queue < VNET_QUEUES; queue++)
        for (size_t i = 0; i < sizeof chains / sizeof *chains; i++) {
            const struct bad_chain *c = &chains[i];
            open_modern(ALL, 16);
            frame_in_memory();
            for (const struct link *l = c->direct; l->index < 999; l++)
                desc(queue, l->index, l->address, l->size, l->flags, l->next);
            for (const struct link *l = c->table; l->index < 999; l++)
                desc_at(TABLE, l->index, l->address, l->size, l->flags, l->next);
            offer(queue, 0);
            host.dma_calls = host.dma_bytes = 0;
            notify(queue);
            if (queue == VNET_RX)
                CU_ASSERT_EQUAL(rx(60), NIC_RX_TAKEN); /* and lost */
            CU_ASSERT_TRUE(host.dma_calls < 64 && host.dma_bytes < 4096);
            CU_ASSERT_EQUAL(host.frame_count, 0);
            CU_ASSERT_EQUAL(used(queue), 0);
            expect_broken(c->what);
        }
}

/* A descriptor of nothing to write is no reason to read no more. */
static void nothing_is_no_piece(void)
{
    open_modern(ALL, 16);
    frame_in_memory();
    desc(VNET_TX, 0, 0, 0, WRITE | NEXT, 1);
    desc(VNET_TX, 1, TX_HEADER, 12, NEXT, 2);
    desc(VNET_TX, 2, TX_DATA, 60, 0, 0);
    offer(VNET_TX, 0);
    notify(VNET_TX);
    CU_ASSERT_EQUAL(host.frame_count, 1);
    CU_ASSERT_EQUAL(mr(STATUS, 1) & VNET_S_NEEDS_RESET, 0);
}

static void not_negotiated(void)
{
    open_modern(0, 16);
    frame_in_memory();
    desc(VNET_TX, 0, TABLE, 32, INDIRECT, 0);
    desc_at(TABLE, 0, TX_HEADER, 12, NEXT, 1);
    desc_at(TABLE, 1, TX_DATA, 60, 0, 0);
    offer(VNET_TX, 0);
    notify(VNET_TX);
    CU_ASSERT_EQUAL(host.frame_count, 0);
    expect_broken("a table that was not negotiated");
}

/* A legacy driver's control queue, which runs before DRIVER_OK, does not when another one is broken. */
static void legacy_is_told_too(void)
{
    open_legacy((uint32_t)ALL);
    offer(VNET_TX, 300);
    notify(VNET_TX);
    CU_ASSERT_EQUAL(lr(L_STATUS, 1), 7 | VNET_S_NEEDS_RESET);
    CU_ASSERT_EQUAL(isr(), 2);
    CU_ASSERT_EQUAL(command(0, 0, "\0", 1), 0xee);
    CU_ASSERT_EQUAL(used(VNET_CONTROL), 0);
    lw(L_STATUS, 1, 0);
    CU_ASSERT_EQUAL(lr(L_STATUS, 1), 0);
}

/* A transmission that waits for its moment does not come any more, nor does the timer again and again. */
static void broken_while_waiting(void)
{
    open_modern(ALL, 16);
    frame_in_memory();
    host.no_room = true;
    tx_send(0, 60);
    offer(VNET_RX, 99);
    CU_ASSERT_EQUAL(rx(60), NIC_RX_TAKEN);
    unsigned timers = host.timers_set;
    fake_nic_host_advance(&host, 10000000);
    CU_ASSERT_TRUE(host.timers_set <= timers + 2);
    CU_ASSERT_EQUAL(host.deadline, 0);
    expect_broken("a queue beside one that waits");
}

/* Heads outside, at every size of the queue. */
static void heads_outside(void)
{
    for (unsigned size = 1; size <= 256; size *= 2) {
        const unsigned heads[] = { size, size + 1, 0x8000, 0xffff };
        for (unsigned i = 0; i < 4; i++) {
            open_modern(ALL, size);
            offer(VNET_TX, heads[i]);
            notify(VNET_TX);
            CU_ASSERT_EQUAL(used(VNET_TX), 0);
            expect_broken("a head outside");
        }
    }
}

/* 256 descriptors that are walked to nothing, 256 times: bounded, and given back (CVE-2016-6490). */
static void nothing_for_ever(void)
{
    open_modern(ALL, 256);
    for (unsigned i = 0; i < 256; i++) {
        desc(VNET_TX, i, 0, 0, i < 255 ? NEXT : 0, i + 1);
        offer(VNET_TX, i % 3);
    }
    host.dma_calls = 0;
    notify(VNET_TX);
    CU_ASSERT_TRUE(host.dma_calls < 256 * 16);
    fake_nic_host_advance(&host, 64 * VNET_BREAK);
    CU_ASSERT_EQUAL(used(VNET_TX), 256);
    CU_ASSERT_EQUAL(host.errors, 256);
    CU_ASSERT_EQUAL(mr(STATUS, 1) & VNET_S_NEEDS_RESET, 0);
}

/* 256 pieces of 4 GiB: nothing is gathered; written is what a frame needs. */
static void huge_pieces(void)
{
    for (unsigned queue = 0; queue < VNET_QUEUES; queue++) {
        open_modern(ALL, 256);
        for (unsigned i = 0; i < 256; i++)
            desc(queue, i, RX_BUFFERS, 0xffffffff, (i < 255 ? NEXT : 0) | (queue == VNET_RX ? WRITE : 0), i + 1);
        offer(queue, 0);
        host.dma_bytes = 0;
        notify(queue);
        if (queue == VNET_RX)
            CU_ASSERT_EQUAL(rx(60), NIC_RX_TAKEN);
        CU_ASSERT_TRUE(host.dma_bytes < 10000);
        CU_ASSERT_EQUAL(used(queue), 1);
        CU_ASSERT_EQUAL(used_size(queue, 0), queue == VNET_RX ? 72 : 0);
        CU_ASSERT_EQUAL(host.frame_count, 0);
    }
}

/* 256 pieces and one more, by a table behind a chain (CVE-2021-29631's kind). */
static void too_many_pieces(void)
{
    for (unsigned more = 56; more < 58; more++) {
        open_modern(ALL, 256);
        memset(host.memory + COMMAND, 0, 12);
        for (unsigned i = 0; i < 200; i++)
            desc(VNET_TX, i, COMMAND + i, 1, NEXT, i + 1);
        desc(VNET_TX, 200, TABLE, more * 16, INDIRECT, 0);
        for (unsigned i = 0; i < more; i++)
            desc_at(TABLE, i, TX_DATA, 1, i < more - 1 ? NEXT : 0, i + 1);
        offer(VNET_TX, 0);
        notify(VNET_TX);
        CU_ASSERT_EQUAL(host.frame_count, more == 56);
    }
    expect_broken("more than 256 pieces");
}

/* What a table's walk could find where the one before it has lain. */
static void table_before(void)
{
    open_modern(ALL, 16);
    frame_in_memory();
    desc_at(TABLE, 0, TX_HEADER, 12, NEXT, 2);
    desc_at(TABLE, 2, TX_DATA, 60, 0, 0);
    desc(VNET_TX, 0, TABLE, 48, INDIRECT, 0);
    offer(VNET_TX, 0);
    notify(VNET_TX);
    CU_ASSERT_EQUAL(host.frame_count, 1);
    desc(VNET_TX, 0, TABLE, 32, INDIRECT, 0);
    offer(VNET_TX, 0);
    notify(VNET_TX);
    CU_ASSERT_EQUAL(host.frame_count, 1);
    expect_broken("what was in a table before");
}

/* --- indexes -------------------------------------------------------------------- */

/* More made available than there is (CVE-2016-5403: pops without end). */
static void index_jumps(void)
{
    for (unsigned size = 1; size <= 256; size *= 4)
        for (unsigned jump = 0; jump < 3; jump++)
            for (unsigned queue = 0; queue < VNET_QUEUES; queue++) {
                const uint16_t jumps[] = { (uint16_t)size, (uint16_t)(size + 1), 0xffff };
                open_modern(ALL, size);
                for (unsigned i = 0; i < size; i++)
                    desc(queue, i, TX_DATA, 4, queue == VNET_RX ? WRITE : 0, 0);
                put16(QUEUE(queue) + QUEUE_AVAIL + 2, jumps[jump]);
                host.dma_calls = 0;
                notify(queue);
                if (queue == VNET_RX)
                    rx(60);
                CU_ASSERT_TRUE(host.dma_calls < 2000);
                if (jump)
                    expect_broken("an index that jumps");
                else
                    CU_ASSERT_EQUAL(mr(STATUS, 1) & VNET_S_NEEDS_RESET, 0);
            }
}

static bool first_index;

/* Between two looks at the index, the driver shows as many again. */
static void show_more(struct fake_nic_host *h, uint64_t address, size_t size)
{
    (void)h;
    if (address != QUEUE(VNET_RX) + QUEUE_AVAIL + 2 || size != 2)
        return;
    put16(address, first_index ? 10 : 24);
    first_index = false;
}

/* What is given back then is more than the queue holds: seen, and the state can be saved and restored. */
static void more_while_looking(void)
{
    uint8_t image[8192];
    open_modern(ALL, 16);
    for (unsigned i = 0; i < 16; i++)
        desc(VNET_RX, i, RX_BUFFERS, 12, WRITE, 0);
    host.before_dma_read = show_more;
    first_index = true;
    CU_ASSERT_EQUAL(rx(1000), NIC_RX_TAKEN);
    size_t size = nic_save(host.nic, host.now, image, sizeof image);
    CU_ASSERT_EQUAL(nic_restore(host.nic, host.now, image, size), 0);
    expect_broken("more shown than the queue holds");
}

static unsigned looks;

/* The descriptor is another one at the second look. */
static void change_desc(struct fake_nic_host *h, uint64_t address, size_t size)
{
    (void)h, (void)size;
    if (address == QUEUE(VNET_RX) && looks++ > 0)
        put16(QUEUE(VNET_RX) + 14, 77), put16(QUEUE(VNET_RX) + 12, NEXT);
}

static void changes_while_refused(void)
{
    open_modern(F(CTRL_VQ), 16);
    rx_give(0, 1, 20);
    looks = 0;
    host.before_dma_read = change_desc;
    CU_ASSERT_EQUAL(rx(60), NIC_RX_TAKEN);
    CU_ASSERT_EQUAL(used(VNET_RX), 0);
    expect_broken("a buffer that changes while it is refused");
}

/* --- places ----------------------------------------------------------------------- */

/* The parts of a queue on the card's own registers, beyond memory, at the end of all addresses (class H). */
static void rings_elsewhere(void)
{
    static const uint64_t places[] = { 0xfebc0000, FAKE_MEMORY_SIZE, FAKE_MEMORY_SIZE - 4, UINT64_C(1) << 40, UINT64_MAX - 4095 };
    for (unsigned queue = 0; queue < VNET_QUEUES; queue++)
        for (unsigned part = 0; part < 3; part++)
            for (unsigned i = 0; i < 5; i++) {
                open_modern(ALL, 16);
                put16(FAKE_MEMORY_SIZE - 2, 1); /* the last of memory: an index */
                struct virtio_ring *ring = &card()->ring[queue];
                uint64_t place = places[i];
                *(part == 0 ? &ring->desc : part == 1 ? &ring->avail : &ring->used) = place;
                desc(queue, 1, TX_DATA, 100, queue == VNET_RX ? WRITE : 0, 0);
                offer(queue, 1);
                notify(queue);
                if (queue == VNET_RX)
                    rx(60);
                expect_broken("a queue that is not in memory");
            }
}

/* What passes the end of all addresses is never enabled: it would go on at address 0. */
static void rings_that_wrap(void)
{
    static const unsigned sizes[] = { 16, 2, 8 }, ends[] = { 0, 6, 6 }, aligned[] = { 16, 2, 4 };
    for (unsigned part = 0; part < 3; part++)
        for (unsigned before = 0; before < 5000; before += aligned[part]) {
            virtio_fixture_restart();
            mw(QUEUE_SELECT, 2, 1);
            mw(QUEUE_SIZE, 2, 64);
            mw(DESC + 8 * part, 4, 0u - before - aligned[part]);
            mw(DESC + 8 * part + 4, 4, 0xffffffff);
            mw(QUEUE_ENABLE, 2, 1);
            CU_ASSERT_EQUAL(mr(QUEUE_ENABLE, 2), before + aligned[part] > 64 * sizes[part] + ends[part]);
        }
}

/* Buffers that are no memory: to send from, the frame is lost; to receive into, the card stops (CVE-2021-3748). */
static void buffers_elsewhere(void)
{
    static const uint64_t places[] = { 0xfebc0000, FAKE_MEMORY_SIZE - 30, UINT64_MAX - 30, UINT64_MAX - 11, UINT64_C(1) << 63 };
    for (unsigned i = 0; i < 5; i++)
        for (unsigned second = 0; second < 2; second++) {
            open_modern(ALL, 16);
            memset(host.memory, 0x77, 64);
            frame_in_memory();
            desc(VNET_TX, 0, second ? TX_HEADER : places[i], 12, NEXT, 1);
            desc(VNET_TX, 1, second ? places[i] : TX_DATA, 60, 0, 0);
            offer(VNET_TX, 0);
            notify(VNET_TX);
            CU_ASSERT_EQUAL(host.frame_count, places[i] == FAKE_MEMORY_SIZE - 30 && !second);
            CU_ASSERT_EQUAL(used(VNET_TX), 1);
            CU_ASSERT_EQUAL(mr(STATUS, 1) & VNET_S_NEEDS_RESET, 0);
            desc(VNET_RX, 0, second ? RX_BUFFERS : places[i], 40, WRITE, 0);
            desc(VNET_RX, 1, second ? places[i] : RX_BUFFERS, 40, WRITE, 0);
            offer(VNET_RX, 0);
            offer(VNET_RX, 1);
            CU_ASSERT_EQUAL(rx(60), NIC_RX_TAKEN);
            CU_ASSERT_EQUAL(used(VNET_RX), 0);
            for (unsigned k = 0; k < 64; k++)
                CU_ASSERT_EQUAL(host.memory[k], 0x77); /* nothing has come round */
            expect_broken("a buffer that is no memory");
        }
}

/* The used ring on the available one, on the descriptors, on itself: what the card writes is what it reads next. */
static void rings_on_each_other(void)
{
    for (unsigned a = 0; a < 3; a++)
        for (unsigned b = 0; b < 3; b++)
            for (unsigned shift = 0; shift < 64; shift += 4)
                for (unsigned queue = 0; queue < VNET_QUEUES; queue++) {
                    open_modern(ALL, 16);
                    struct virtio_ring *ring = &card()->ring[queue];
                    uint64_t *parts[] = { &ring->desc, &ring->avail, &ring->used };
                    *parts[a] = (*parts[b] + shift) & ~(uint64_t)(a == 0 ? 15 : 3);
                    for (unsigned i = 0; i < 16; i++)
                        desc(queue, i, ring->avail, 1 + 20 * i, queue == VNET_RX ? WRITE : 0, 0);
                    put16(ring->avail + 2, 9);
                    host.dma_calls = host.dma_bytes = 0;
                    for (unsigned i = 0; i < 50; i++) {
                        notify(queue);
                        rx(60 + 16 * i);
                    }
                    CU_ASSERT_TRUE(host.dma_calls < 50 * 500 && host.dma_bytes < (1u << 20));
                }
}

/* --- calls inside of calls ---------------------------------------------------------- */

static bool (*send_really)(void *opaque, const void *frame, size_t size, const struct nic_offload *offload);
static unsigned depth, deepest, within;

/* A network that answers before it has taken the frame, and a driver that is called by it (classes G, I). */
static bool send_and_answer(void *opaque, const void *frame, size_t size, const struct nic_offload *offload)
{
    deepest = ++depth > deepest ? depth : deepest;
    within++;
    nic_receive(host.nic, make_frame(60), 60, NULL, host.now);
    for (unsigned i = 0; i < 4; i++)
        lw(L_NOTIFY, 2, i);
    nic_timer(host.nic, host.now);
    depth--;
    return send_really(opaque, frame, size, offload);
}

static bool offer_again(struct fake_nic_host *h)
{
    (void)h;
    deepest = ++depth > deepest ? depth : deepest;
    within++;
    rx(60);
    depth--;
    return true;
}

static void calls_inside(void)
{
    open_modern(ALL, 16);
    memset(host.memory + COMMAND, 0, 12);
    memcpy(host.memory + COMMAND + 12, make_frame(60), 60);
    send_really = host.nic->host.send_frame;
    host.nic->host.send_frame = send_and_answer;
    depth = deepest = within = 0;
    for (unsigned i = 0; i < 8; i++) {
        desc(VNET_TX, 15 - i, COMMAND, 72, 0, 0);
        offer(VNET_TX, 15 - i);
    }
    rx_give(0, 10, 2048);
    notify(VNET_TX);
    CU_ASSERT_EQUAL(deepest, 1);
    CU_ASSERT_EQUAL(within, 8);
    CU_ASSERT_EQUAL(used(VNET_TX), 8);
    CU_ASSERT_EQUAL(used(VNET_RX), 8);
    for (unsigned i = 0; i < 8; i++) {
        CU_ASSERT_EQUAL(used_head(VNET_TX, i), 15 - i);
        CU_ASSERT_EQUAL(used_head(VNET_RX, i), i);
        CU_ASSERT_TRUE(host.frames[i].size == 60 && memcmp(host.frames[i].bytes, make_frame(60), 60) == 0);
    }
    host.on_ready = offer_again;
    rx_give(10, 2, 16); /* merged, too small: the frame is offered from within the call that gave them */
    rx(60), rx(60), rx(60);
    deepest = within = 0;
    for (unsigned i = 0; i < 10; i++)
        notify(VNET_RX);
    CU_ASSERT_EQUAL(deepest, 1);
    CU_ASSERT_EQUAL(within, 10);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "cve class J: bad chains", bad_chains },
        { "nothing is no piece", nothing_is_no_piece },
        { "cve class J: a table not negotiated", not_negotiated },
        { "a legacy driver is told, too", legacy_is_told_too },
        { "cve class A: broken while waiting", broken_while_waiting },
        { "cve class J: heads outside", heads_outside },
        { "cve class B: nothing for ever", nothing_for_ever },
        { "cve class J: huge pieces", huge_pieces },
        { "cve class J: too many pieces", too_many_pieces },
        { "cve class J: what was in a table before", table_before },
        { "cve class J: index jumps", index_jumps },
        { "cve class J: more while looking", more_while_looking },
        { "cve class J: changes while refused", changes_while_refused },
        { "cve class H: rings elsewhere", rings_elsewhere },
        { "cve class H: rings that wrap", rings_that_wrap },
        { "cve class J: buffers elsewhere", buffers_elsewhere },
        { "cve class H: rings on each other", rings_on_each_other },
        { "cve class G, I: calls inside of calls", calls_inside },
        CU_TEST_INFO_NULL,
    };

    return unit_run_between("virtio_hostile", tests, virtio_fixture_start, virtio_fixture_stop);
}
