/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The reader of recordings: what is right is read back, what is cut off ends
 * there, and nothing that a file may say hurts. Runs sanitized, too.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/phys.h"
#include "x86vm/memory/view.h"
#include "x86vm/replay.h"

enum { PAGES = 4, FILE_MOST = 16384 };

struct file { uint8_t bytes[FILE_MOST]; size_t size, records; };

static void put(struct file *f, const void *bytes, size_t size)
{
    memcpy(f->bytes + f->size, bytes, size);
    f->size += size;
}

static void number(struct file *f, uint64_t value, unsigned size) { put(f, &value, size); }

/* One page of RAM, then: TSC, port read, DMA, interrupt, block read, write, end. */
static void make_for(struct file *f, uint32_t features)
{
    static struct cpu cpu;
    uint8_t state[RECORD_CPU_MOST], page[PAGE_SIZE];

    f->size = 0;
    memset(page, 0x5a, sizeof page);
    cpu.eip = 0x1234;
    cpu.features = features;
    record_cpu_store(&cpu, state);
    put(f, RECORD_MAGIC, RECORD_MAGIC_SIZE);
    number(f, RECORD_VERSION, 4);
    number(f, record_cpu_size(), 4);
    number(f, PAGES, 4);
    number(f, RECORD_A20, 1);
    put(f, state, record_cpu_size());
    put(f, "\3\3\0\2", PAGES); /* the third is a hole, the fourth read-only */
    number(f, 1, 4);
    put(f, page, sizeof page);
    number(f, UINT32_MAX, 4);
    f->records = f->size;
    number(f, RECORD_TSC, 1), number(f, 1000, 8);
    number(f, RECORD_TSC_NEAR | 1, 1), number(f, 2, 1);
    number(f, RECORD_DMA_INSIDE, 1), number(f, 16, 4), number(f, 2, 4), put(f, "xy", 2);
    number(f, RECORD_PORT_READ, 1), number(f, 0x60, 2), number(f, 2, 1), number(f, 1, 2), number(f, 0xabcd, 2);
    number(f, RECORD_DMA, 1), number(f, 50, 8), number(f, 32, 4), number(f, 3, 4), put(f, "abc", 3);
    number(f, RECORD_INTERRUPT, 1), number(f, 60, 8), number(f, 0x20, 1), number(f, 77, 4), number(f, 0x41, 2);
    number(f, RECORD_EXCEPTION, 1), number(f, VEC_PF, 1), number(f, FLAG_CF | FLAG_IF, 2);
    number(f, RECORD_PORT_READ, 1), number(f, 0x300, 2), number(f, 1, 1), number(f, 4, 2), put(f, "1234", 4);
    number(f, RECORD_MMIO_WRITE, 1), number(f, 0xfe000000, 4), number(f, 4, 2), number(f, 42, 4);
    number(f, RECORD_END, 1), number(f, 90, 8), number(f, 7, 4), number(f, 8, 8), number(f, 1, 1);
}

static void make(struct file *f) { make_for(f, 0); }

struct machine { struct cpu cpu; struct replay *replay; char error[200]; };

static struct machine *machine_new(const struct file *f)
{
    struct machine *m = aligned_alloc(64, (sizeof *m + 63) & ~(size_t)63);

    memset(m, 0, sizeof *m);
    m->replay = replay_open(f->bytes, f->size, m->error, sizeof m->error);
    m->cpu.phys = phys_new(PAGES * PAGE_SIZE);
    m->cpu.views = view_set_new();
    m->cpu.io = io_bus_new();
    if (m->replay && !replay_load(m->replay, &m->cpu, m->cpu.phys, m->cpu.io, m->error, sizeof m->error)) {
        replay_free(m->replay);
        m->replay = NULL;
    }
    return m;
}

static void machine_free(struct machine *m)
{
    replay_free(m->replay);
    phys_free(m->cpu.phys);
    view_set_free(m->cpu.views);
    io_bus_free(m->cpu.io);
    free(m);
}

static void test_right(void)
{
    static struct file f;
    struct machine *m;
    uint8_t bytes[4];
    uint32_t value = 42;

    make(&f);
    m = machine_new(&f);
    CU_ASSERT_PTR_NOT_NULL_FATAL(m->replay);
    CU_ASSERT_EQUAL(m->cpu.eip, 0x1234);
    CU_ASSERT_EQUAL(phys_ram(m->cpu.phys)[PAGE_SIZE], 0x5a);
    CU_ASSERT_FALSE(phys_is_ram(m->cpu.phys, 2 * PAGE_SIZE));
    CU_ASSERT_FALSE(phys_is_writable(m->cpu.phys, 3 * PAGE_SIZE));
    CU_ASSERT_TRUE(phys_is_ram(m->cpu.phys, 3 * PAGE_SIZE));
    CU_ASSERT_EQUAL(replay_next(m->replay)->position, 50);
    CU_ASSERT_EQUAL(m->cpu.tsc_source(m->cpu.tsc_opaque), 1000);
    CU_ASSERT_EQUAL(m->cpu.tsc_source(m->cpu.tsc_opaque), 1258);
    CU_ASSERT_EQUAL(io_port_read(m->cpu.io, 0x60, 2), 0xabcd);
    CU_ASSERT_EQUAL(memcmp(phys_ram(m->cpu.phys) + 16, "xy", 2), 0);
    CU_ASSERT_TRUE(replay_take(m->replay));
    CU_ASSERT_EQUAL(memcmp(phys_ram(m->cpu.phys) + 32, "abc", 3), 0);
    CU_ASSERT_EQUAL(replay_next(m->replay)->vector, 0x20);
    CU_ASSERT_EQUAL(replay_next(m->replay)->check, 77);
    CU_ASSERT_TRUE(replay_take(m->replay));
    m->cpu.eflags = FLAG_ZF | FLAG_IF;
    m->cpu.fault_vector = VEC_PF;
    m->cpu.exception_tap(m->cpu.exception_opaque);
    CU_ASSERT_EQUAL(m->cpu.eflags, FLAG_CF | FLAG_IF); /* a frame gets the recorded arithmetic flags */
    CU_ASSERT_EQUAL(io_port_read(m->cpu.io, 0x300, 1), '1'); /* a block may be taken apart */
    CU_ASSERT_TRUE(io_port_read_block(m->cpu.io, 0x300, 1, 3, bytes));
    CU_ASSERT_EQUAL(memcmp(bytes, "234", 3), 0);
    io_mmio_write(m->cpu.io, 0xfe000000, &value, 4);
    CU_ASSERT_PTR_NULL(replay_diverged(m->replay));
    CU_ASSERT_EQUAL(replay_next(m->replay)->kind, RECORD_END);
    CU_ASSERT_TRUE(replay_take(m->replay));
    machine_free(m);
}

/* Instructions that this machine does not have cannot be replayed on it. */
static void test_other_cpu(void)
{
    static struct file f;
    struct machine *m;

    make_for(&f, 1u << 31); /* the bit of no CPU's instructions */
    m = machine_new(&f);
    CU_ASSERT_PTR_NULL(m->replay);
    CU_ASSERT_PTR_NOT_NULL(strstr(m->error, "instructions"));
    machine_free(m);
}

static void test_another_way(void)
{
    static struct file f;
    struct machine *m;

    make(&f);
    m = machine_new(&f);
    CU_ASSERT_FALSE(replay_take(m->replay)); /* the guest has not asked for the time */
    CU_ASSERT_PTR_NOT_NULL(replay_diverged(m->replay));
    machine_free(m);
    m = machine_new(&f);
    io_port_read(m->cpu.io, 0x61, 1);
    CU_ASSERT_PTR_NOT_NULL(replay_diverged(m->replay));
    machine_free(m);
}

/* Cut anywhere: a reason, or an end at the last whole record with a position. */
static void test_cut(void)
{
    static struct file f;
    size_t whole;

    make(&f);
    for (whole = f.size, f.size = 0; f.size < whole; f.size++) {
        char error[200] = "";
        struct replay *r = replay_open(f.bytes, f.size, error, sizeof error);
        CU_ASSERT_TRUE(f.size < f.records ? !r && error[0] : r != NULL);
        for (unsigned i = 0; r && i < 4; i++)
            CU_ASSERT_TRUE(replay_next(r)->position < 90);
        replay_free(r);
    }
}

/* Feeds whatever it says to a machine that asks for everything. */
static void ask_everything(struct machine *m)
{
    uint8_t bytes[64];

    for (unsigned i = 0; i < 12 && !replay_diverged(m->replay); i++) {
        struct replay_place place = replay_tell(m->replay);
        if (replay_take(m->replay))
            continue;
        replay_seek(m->replay, &place);
        m->cpu.tsc_source(m->cpu.tsc_opaque);
        replay_seek(m->replay, &place);
        io_port_read(m->cpu.io, 0x60, 2);
        io_port_read_block(m->cpu.io, 0x300, 1, 3, bytes);
        io_mmio_read(m->cpu.io, 0xfe000000, bytes, 4);
        io_mmio_write(m->cpu.io, 0xfe000000, bytes, 4);
    }
}

static void test_garbled(void)
{
    static struct file good, f;
    uint32_t random = 1;

    make(&good);
    for (unsigned round = 0; round < 3000; round++) {
        struct machine *m;
        f = good;
        for (unsigned i = 0; i < 1 + round % 3; i++) {
            size_t at;
            random = random * 1103515245 + 12345;
            at = round & 1 ? good.records + (random >> 8) % (good.size - good.records) : (random >> 8) % (good.records - PAGE_SIZE);
            random = random * 1103515245 + 12345;
            f.bytes[at] = (uint8_t)(random >> 16);
        }
        m = machine_new(&f);
        CU_ASSERT_TRUE(m->replay || m->error[0]);
        if (m->replay)
            ask_everything(m);
        machine_free(m);
    }
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "a right recording", test_right },
        { "from a CPU with more instructions", test_other_cpu },
        { "a guest that goes another way", test_another_way },
        { "cut anywhere", test_cut },
        { "garbled", test_garbled },
        CU_TEST_INFO_NULL,
    };

    return unit_run("replay", tests);
}
