/* SPDX-License-Identifier: BSD-2-Clause
 *
 * proto/virtqueue: both roles against each other, notification suppression,
 * and each breach that a hostile driver or device can commit.
 */
#include <errno.h>
#include <string.h>

#include "proto/virtio_net.h"
#include "proto/virtqueue.h"
#include "tests/unit/unit.h"

#define SIZE 16
#define GUEST 0x100000u /* guest address of the memory below */

static struct {
    _Alignas(4096) uint8_t desc[SIZE * sizeof(struct virtq_desc)];
    _Alignas(64) uint8_t avail[64];
    _Alignas(64) uint8_t used[256];
    _Alignas(4096) uint8_t data[8192];
} ram;

static struct virtq_memory memory;
static struct virtq_device device;
static struct virtq_driver driver;
static struct iovec iov[SIZE * 2];

static uint64_t guest_address(const void *at)
{
    return GUEST + (uint64_t)((const uint8_t *)at - (const uint8_t *)&ram);
}

static struct virtq_chain new_chain(void)
{
    return (struct virtq_chain){ .iov = iov, .capacity = SIZE * 2 };
}

static void set_up(bool event_index)
{
    struct virtq_parts parts = { ram.desc, ram.avail, ram.used };

    memset(&ram, 0, sizeof(ram));
    memory = (struct virtq_memory){ .count = 1 };
    memory.regions[0] = (struct virtq_region){ GUEST, 0x7000000, sizeof(ram), (uint8_t *)&ram };
    virtq_driver_init(&driver, SIZE, &parts, event_index);
    virtq_device_init(&device, &memory, SIZE, &parts, 0);
    device.event_index = event_index;
    device.indirect = true;
}

/* Writes a descriptor as a driver would. */
static void put(unsigned index, const void *at, uint32_t length, uint16_t flags, uint16_t next)
{
    ((struct virtq_desc *)ram.desc)[index] = (struct virtq_desc){ guest_address(at), length, flags, next };
}

static void offer(uint16_t head)
{
    struct virtq_avail *avail = (struct virtq_avail *)ram.avail;

    avail->ring[avail->index % SIZE] = head;
    avail->index++;
}

static int take(struct virtq_chain *chain)
{
    *chain = new_chain();
    return virtq_device_take(&device, chain);
}

static void test_round_trips(void)
{
    unsigned sent = 0, back = 0;

    set_up(true);
    /* Far enough for the 16-bit indices to wrap. */
    for (unsigned round = 0; round < 70000; round++) {
        struct virtq_chain chain;
        uint32_t written;
        uint16_t id;

        while (virtq_driver_take_id(&driver, &id)) {
            virtq_driver_post(&driver, id, guest_address(ram.data + id * 64), 64, true);
            sent++;
        }
        virtq_driver_show(&driver);
        for (unsigned i = 0; i < 1 + round % SIZE && take(&chain) == 0; i++) {
            CU_ASSERT_EQUAL_FATAL(chain.writable, 1);
            CU_ASSERT_EQUAL_FATAL(chain.writable_size, 64);
            CU_ASSERT_PTR_EQUAL_FATAL(iov[0].iov_base, ram.data + chain.head * 64);
            virtq_device_use(&device, chain.head, chain.head);
        }
        virtq_device_show(&device);
        while (virtq_driver_reap(&driver, &id, &written) == 0) {
            CU_ASSERT_EQUAL_FATAL(written, id);
            back++;
        }
    }
    CU_ASSERT(back > 70000);
    CU_ASSERT(sent - back <= SIZE);
    CU_ASSERT_PTR_NULL(driver.error);
    CU_ASSERT_PTR_NULL(device.error);
}

static void test_chain(void)
{
    struct virtq_chain chain;

    set_up(false);
    put(3, ram.data, 12, VIRTQ_DESC_NEXT, 7);
    put(7, ram.data + 100, 500, VIRTQ_DESC_NEXT | VIRTQ_DESC_WRITE, 1);
    put(1, ram.data + 1000, 24, VIRTQ_DESC_WRITE, 0);
    offer(3);
    CU_ASSERT_EQUAL(take(&chain), 0);
    CU_ASSERT_EQUAL(chain.head, 3);
    CU_ASSERT_EQUAL(chain.readable, 1);
    CU_ASSERT_EQUAL(chain.readable_size, 12);
    CU_ASSERT_EQUAL(chain.writable, 2);
    CU_ASSERT_EQUAL(chain.writable_size, 524);
    CU_ASSERT_PTR_EQUAL(iov[2].iov_base, ram.data + 1000);
    CU_ASSERT_EQUAL(take(&chain), EAGAIN);
    virtq_device_untake(&device, 1);
    CU_ASSERT_EQUAL(take(&chain), 0);
    CU_ASSERT_EQUAL(chain.head, 3);
}

static void test_indirect(void)
{
    struct virtq_desc *table = (struct virtq_desc *)ram.data;
    struct virtq_chain chain;

    set_up(false);
    table[0] = (struct virtq_desc){ guest_address(ram.data + 4096), 10, VIRTQ_DESC_NEXT, 2 };
    table[2] = (struct virtq_desc){ guest_address(ram.data + 5000), 20, 0, 0 };
    put(0, table, 3 * sizeof(*table), VIRTQ_DESC_INDIRECT, 0);
    offer(0);
    CU_ASSERT_EQUAL(take(&chain), 0);
    CU_ASSERT_EQUAL(chain.readable, 2);
    CU_ASSERT_EQUAL(chain.readable_size, 30);
}

static void test_two_regions(void)
{
    struct virtq_chain chain;

    set_up(false);
    /* The data's second page lies in a region of its own, adjacent for the guest only. */
    memory.regions[1] = memory.regions[0];
    memory.regions[0].size -= 4096;
    memory.regions[1].guest_address += memory.regions[0].size;
    memory.regions[1].size = 4096;
    memory.regions[1].host = ram.data;
    memory.count = 2;
    put(0, ram.data + 4000, 200, 0, 0);
    offer(0);
    CU_ASSERT_EQUAL(take(&chain), 0);
    CU_ASSERT_EQUAL(chain.readable, 2);
    CU_ASSERT_EQUAL(chain.readable_size, 200);
    CU_ASSERT_EQUAL(iov[0].iov_len, 96);
    CU_ASSERT_PTR_EQUAL(iov[1].iov_base, ram.data);
}

/* Descriptors that each become two pieces must not overrun the caller's array either. */
static void test_capacity(void)
{
    struct iovec pieces[9];
    struct virtq_chain chain = { .iov = pieces, .capacity = 8 };

    for (unsigned count = 4; count <= 5; count++) {
        set_up(false);
        memory.regions[1] = memory.regions[0];
        memory.regions[0].size -= 4096;
        memory.regions[1].guest_address += memory.regions[0].size;
        memory.regions[1].size = 4096;
        memory.regions[1].host = ram.data;
        memory.count = 2;
        memset(pieces, 0, sizeof(pieces));
        for (unsigned i = 0; i < count; i++)
            put(i, ram.data + 4000, 200, i + 1 < count ? VIRTQ_DESC_NEXT : 0, (uint16_t)(i + 1));
        offer(0);
        CU_ASSERT_EQUAL(virtq_device_take(&device, &chain), count == 4 ? 0 : EPROTO);
        CU_ASSERT_PTR_NULL(pieces[8].iov_base);
    }
}

/* Each breach must be answered with EPROTO and a reason. */
static void expect_breach(const char *what)
{
    struct virtq_chain chain;
    int error = take(&chain);

    if (error != EPROTO || !device.error)
        fprintf(stderr, "not refused: %s\n", what);
    CU_ASSERT_EQUAL(error, EPROTO);
    CU_ASSERT_PTR_NOT_NULL(device.error);
}

static void test_hostile_chains(void)
{
    struct virtq_avail *avail = (struct virtq_avail *)ram.avail;

    set_up(false);
    avail->index = SIZE + 1;
    expect_breach("index too far");
    set_up(false);
    offer(SIZE);
    expect_breach("head outside");
    set_up(false);
    put(0, ram.data, 10, VIRTQ_DESC_NEXT, SIZE);
    offer(0);
    expect_breach("next outside");
    set_up(false);
    put(0, ram.data, 0, VIRTQ_DESC_NEXT, 1);
    put(1, ram.data, 0, VIRTQ_DESC_NEXT, 0);
    offer(0);
    expect_breach("loop");
    set_up(false);
    put(0, ram.data, 1, VIRTQ_DESC_NEXT, 0);
    offer(0);
    expect_breach("loop on itself");
    set_up(false);
    put(0, ram.data, sizeof(ram.data) + 1, 0, 0);
    offer(0);
    expect_breach("end outside memory");
    set_up(false);
    put(0, (uint8_t *)&ram - 1, 2, 0, 0);
    offer(0);
    expect_breach("start outside memory");
    set_up(false);
    ((struct virtq_desc *)ram.desc)[0] = (struct virtq_desc){ UINT64_MAX - 3, 8, 0, 0 };
    offer(0);
    expect_breach("wrap");
    set_up(false);
    put(0, ram.data, 8, VIRTQ_DESC_WRITE | VIRTQ_DESC_NEXT, 1);
    put(1, ram.data, 8, 0, 0);
    offer(0);
    expect_breach("readable after writable");
}

static void test_hostile_indirect(void)
{
    struct virtq_desc *table = (struct virtq_desc *)ram.data;

    set_up(false);
    put(0, ram.data, 15, VIRTQ_DESC_INDIRECT, 0);
    offer(0);
    expect_breach("indirect table of 15 bytes");
    set_up(false);
    put(0, ram.data, 0, VIRTQ_DESC_INDIRECT, 0);
    offer(0);
    expect_breach("empty indirect table");
    set_up(false);
    put(0, ram.data, 0xfffffff0u, VIRTQ_DESC_INDIRECT, 0);
    offer(0);
    expect_breach("huge indirect table");
    set_up(false);
    put(0, ram.data + sizeof(ram.data) - 8, 16, VIRTQ_DESC_INDIRECT, 0);
    offer(0);
    expect_breach("indirect table outside memory");
    set_up(false);
    put(0, table, 32, VIRTQ_DESC_INDIRECT | VIRTQ_DESC_NEXT, 1);
    offer(0);
    expect_breach("indirect with next");
    set_up(false);
    table[0] = (struct virtq_desc){ guest_address(table), 16, VIRTQ_DESC_INDIRECT, 0 };
    put(0, table, 16, VIRTQ_DESC_INDIRECT, 0);
    offer(0);
    expect_breach("nested indirect");
    set_up(false);
    table[0] = (struct virtq_desc){ guest_address(table), 1, VIRTQ_DESC_NEXT, 1 };
    table[1] = (struct virtq_desc){ guest_address(table), 1, VIRTQ_DESC_NEXT, 0 };
    put(0, table, 32, VIRTQ_DESC_INDIRECT, 0);
    offer(0);
    expect_breach("loop in an indirect table");
    set_up(false);
    table[0] = (struct virtq_desc){ guest_address(table), 1, VIRTQ_DESC_NEXT, 2 };
    put(0, table, 32, VIRTQ_DESC_INDIRECT, 0);
    offer(0);
    expect_breach("next outside the indirect table");
    set_up(false);
    device.indirect = false;
    put(0, table, 16, VIRTQ_DESC_INDIRECT, 0);
    offer(0);
    expect_breach("indirect not negotiated");
}

static void return_buffer(uint16_t index, uint32_t id, uint32_t length)
{
    struct virtq_used *used = (struct virtq_used *)ram.used;

    used->ring[0] = (struct virtq_used_element){ id, length };
    used->index = index;
}

static void test_hostile_device(void)
{
    static const struct {
        uint16_t index;
        uint32_t id, length;
        int error;
    } cases[] = {
        { 0, 0, 0, EAGAIN },      { SIZE + 1, 0, 0, EPROTO },    { 0xffff, 0, 0, EPROTO },
        { 1, SIZE, 0, EPROTO },   { 1, 0xffffffffu, 0, EPROTO }, { 1, 5, 0, EPROTO },
        { 1, 2, 65, EPROTO },     { 1, 2, 0xffffffffu, EPROTO }, { 1, 2, 64, 0 },
    };
    uint32_t written;
    uint16_t id;

    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        set_up(true);
        for (unsigned n = 0; n < 3; n++) {
            virtq_driver_take_id(&driver, &id);
            virtq_driver_post(&driver, id, guest_address(ram.data), 64, true);
        }
        return_buffer(cases[i].index, cases[i].id, cases[i].length);
        CU_ASSERT_EQUAL(virtq_driver_reap(&driver, &id, &written), cases[i].error);
    }
    /* The last one was fine; the same buffer a second time is not. */
    ((struct virtq_used *)ram.used)->ring[1] = (struct virtq_used_element){ 2, 0 };
    ((struct virtq_used *)ram.used)->index = 2;
    CU_ASSERT_EQUAL(virtq_driver_reap(&driver, &id, &written), EPROTO);
}

static void post_one(void)
{
    uint16_t id;

    CU_ASSERT_TRUE_FATAL(virtq_driver_take_id(&driver, &id));
    virtq_driver_post(&driver, id, guest_address(ram.data), 64, true);
}

static void test_suppression(void)
{
    for (unsigned event_index = 0; event_index < 2; event_index++) {
        struct virtq_chain chain;
        uint32_t written;
        uint16_t id;

        set_up(event_index);
        CU_ASSERT_FALSE(virtq_driver_show(&driver)); /* nothing new, nothing to say */
        virtq_device_arm(&device);
        post_one();
        CU_ASSERT_TRUE(virtq_driver_show(&driver));
        virtq_device_suppress(&device);
        CU_ASSERT_EQUAL(take(&chain), 0);
        post_one();
        CU_ASSERT_FALSE(virtq_driver_show(&driver));
        CU_ASSERT_TRUE(virtq_device_arm(&device)); /* it came while we did not ask */
        CU_ASSERT_EQUAL(take(&chain), 0);
        CU_ASSERT_FALSE(virtq_device_arm(&device));
        post_one();
        CU_ASSERT_TRUE(virtq_driver_show(&driver));

        virtq_driver_arm(&driver);
        virtq_device_use(&device, 0, 0);
        CU_ASSERT_FALSE(virtq_device_call_due(&device)); /* not shown yet */
        virtq_device_show(&device);
        CU_ASSERT_TRUE(virtq_device_call_due(&device));
        CU_ASSERT_FALSE(virtq_device_call_due(&device)); /* said once */
        CU_ASSERT_EQUAL(virtq_driver_reap(&driver, &id, &written), 0);
        virtq_driver_suppress(&driver);
        virtq_device_use(&device, 1, 0);
        virtq_device_show(&device);
        CU_ASSERT_FALSE(virtq_device_call_due(&device));
        CU_ASSERT_TRUE(virtq_driver_arm(&driver));
    }
}

static void test_memory(void)
{
    struct virtq_region region = { 0x1000, 0x9000, 0x1000, ram.data };
    uint64_t size = 0x2000;

    memory = (struct virtq_memory){ 0 };
    CU_ASSERT_PTR_NULL(virtq_memory_check(&memory, &region));
    memory.regions[memory.count++] = region;
    CU_ASSERT_PTR_EQUAL(virtq_memory_guest(&memory, 0x1800, &size), ram.data + 0x800);
    CU_ASSERT_EQUAL(size, 0x800);
    CU_ASSERT_PTR_NULL(virtq_memory_guest(&memory, 0xfff, &size));
    CU_ASSERT_PTR_NULL(virtq_memory_guest(&memory, 0x2000, &size));
    CU_ASSERT_PTR_NOT_NULL(virtq_memory_user(&memory, 0x9000, 0x1000));
    CU_ASSERT_PTR_NULL(virtq_memory_user(&memory, 0x9001, 0x1000));
    CU_ASSERT_PTR_NULL(virtq_memory_user(&memory, 0x9000, UINT64_MAX));
    CU_ASSERT_PTR_NOT_NULL(virtq_memory_check(&memory, &region));
    region.guest_address = 0x800;
    CU_ASSERT_PTR_NOT_NULL(virtq_memory_check(&memory, &region));
    region = (struct virtq_region){ UINT64_MAX - 10, 0, 100, NULL };
    CU_ASSERT_PTR_NOT_NULL(virtq_memory_check(&memory, &region));
    region.size = 0;
    CU_ASSERT_PTR_NOT_NULL(virtq_memory_check(&memory, &region));
}

static void test_sizes(void)
{
    static const uint32_t bad[] = { 0, 1, 3, 100, 257, VIRTQ_SIZE_MAX * 2, 0x80000000u, 0x10100u };

    for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CU_ASSERT_FALSE(virtq_size_valid(bad[i]));
    CU_ASSERT_TRUE(virtq_size_valid(2));
    CU_ASSERT_TRUE(virtq_size_valid(256));
    CU_ASSERT_TRUE(virtq_size_valid(VIRTQ_SIZE_MAX));
}

static void test_net_header(void)
{
    const uint64_t all = VIRTIO_NET_F_CSUM | VIRTIO_NET_F_HOST_TSO4;
    struct virtio_net_header header = { 0 };

    CU_ASSERT_PTR_NULL(virtio_net_header_check(&header, 60, 0));
    CU_ASSERT_PTR_NOT_NULL(virtio_net_header_check(&header, 13, 0));
    CU_ASSERT_PTR_NOT_NULL(virtio_net_header_check(&header, VIRTIO_NET_FRAME_MAX + 1, 0));
    header = (struct virtio_net_header){ .flags = VIRTIO_NET_NEEDS_CSUM, .csum_start = 34, .csum_offset = 16 };
    CU_ASSERT_PTR_NOT_NULL(virtio_net_header_check(&header, 60, 0));
    CU_ASSERT_PTR_NULL(virtio_net_header_check(&header, 60, all));
    CU_ASSERT_PTR_NULL(virtio_net_header_check(&header, 52, all));
    CU_ASSERT_PTR_NOT_NULL(virtio_net_header_check(&header, 51, all));
    header.csum_start = header.csum_offset = 0xffff;
    CU_ASSERT_PTR_NOT_NULL(virtio_net_header_check(&header, 60, all));
    header = (struct virtio_net_header){ VIRTIO_NET_NEEDS_CSUM, VIRTIO_NET_GSO_TCPV4, 54, 1448, 34, 16, 0 };
    CU_ASSERT_PTR_NULL(virtio_net_header_check(&header, 9000, all));
    header.gso_type = VIRTIO_NET_GSO_TCPV6;
    CU_ASSERT_PTR_NOT_NULL(virtio_net_header_check(&header, 9000, all));
    header.gso_type = VIRTIO_NET_GSO_TCPV4 | VIRTIO_NET_GSO_ECN;
    CU_ASSERT_PTR_NOT_NULL(virtio_net_header_check(&header, 9000, all));
    CU_ASSERT_PTR_NULL(virtio_net_header_check(&header, 9000, all | VIRTIO_NET_F_HOST_ECN));
    for (unsigned type = 2; type < 256; type++) {
        header.gso_type = (uint8_t)type;
        if (type != 4 && type != 0x80 + 4 && type != 0x80 + 1)
            CU_ASSERT_PTR_NOT_NULL(virtio_net_header_check(&header, 9000, UINT64_MAX));
    }
    header.gso_type = VIRTIO_NET_GSO_TCPV4;
    header.gso_size = 0;
    CU_ASSERT_PTR_NOT_NULL(virtio_net_header_check(&header, 9000, all));
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "round trips past the wrap", test_round_trips },
        { "chain", test_chain },
        { "indirect", test_indirect },
        { "descriptor across regions", test_two_regions },
        { "capacity", test_capacity },
        { "cve class J: hostile driver", test_hostile_chains },
        { "cve class J: hostile driver: indirect tables", test_hostile_indirect },
        { "cve class J: hostile device", test_hostile_device },
        { "suppression", test_suppression },
        { "memory", test_memory },
        { "sizes", test_sizes },
        { "net header", test_net_header },
        CU_TEST_INFO_NULL,
    };

    return unit_run("virtqueue", tests);
}
