/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The quick register accesses of the DP8390 boards (dp8390_quick.c): two cards get
 * the same random driver and the same frames, one of them by the quick calls
 * wherever it takes them. What both answer, do to their machine and are must be
 * the same, and no quick call may change an XMM register.
 */
#include "tests/unit/dp8390_fixture.h"
#include "tests/unit/unit.h"

#include <string.h>

enum { STEPS = 200000, IMAGE = 64 << 10, COMPARE_EVERY = 16 };

static struct fake_nic_host plain, quick;
static unsigned taken_reads[0x20], taken_writes[0x20], declined;
static uint32_t seed;

static uint32_t any(uint32_t below)
{
    seed = seed * 1664525 + 1013904223;
    return (uint32_t)((uint64_t)(seed >> 4) * below >> 28);
}

/* Calls a function of up to five arguments with patterns in XMM0-7 and compares them behind it. */
static int64_t call_watched(void *function, struct nic *nic, uint64_t bar, uint64_t offset, uint64_t size, uint64_t value)
{
    static uint8_t before[128] __attribute__((aligned(16))), after[128] __attribute__((aligned(16)));
    register uint64_t fifth __asm__("r8") = value;
    int64_t result;

    for (unsigned i = 0; i < sizeof before; i++)
        before[i] = (uint8_t)any(256);
    __asm__ volatile(
        "movaps (%[b]), %%xmm0; movaps 16(%[b]), %%xmm1; movaps 32(%[b]), %%xmm2; movaps 48(%[b]), %%xmm3\n\t"
        "movaps 64(%[b]), %%xmm4; movaps 80(%[b]), %%xmm5; movaps 96(%[b]), %%xmm6; movaps 112(%[b]), %%xmm7\n\t"
        "movq %%rsp, %%r13; subq $128, %%rsp; andq $-16, %%rsp; call *%[f]; movq %%r13, %%rsp\n\t"
        "movaps %%xmm0, (%[a]); movaps %%xmm1, 16(%[a]); movaps %%xmm2, 32(%[a]); movaps %%xmm3, 48(%[a])\n\t"
        "movaps %%xmm4, 64(%[a]); movaps %%xmm5, 80(%[a]); movaps %%xmm6, 96(%[a]); movaps %%xmm7, 112(%[a])"
        : "=a"(result), "+D"(nic), "+S"(bar), "+d"(offset), "+c"(size), "+r"(fifth)
        : [f] "r"(function), [b] "b"(before), [a] "r"(after)
        : "r9", "r10", "r11", "r13", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "memory", "cc");
    CU_ASSERT_FATAL(memcmp(before, after, sizeof before) == 0);
    return result;
}

static void read_both(uint32_t offset, unsigned size)
{
    int64_t value = call_watched((void *)(uintptr_t)nic_quick_read, quick.nic, 0, offset, size, 0);

    if (value >= 0)
        taken_reads[offset & 0x1f]++;
    else
        declined++, value = nic_read(quick.nic, 0, offset, size, plain.now);
    CU_ASSERT_EQUAL_FATAL((uint32_t)value, nic_read(plain.nic, 0, offset, size, plain.now));
}

static void write_both(uint32_t offset, unsigned size, uint32_t value)
{
    if ((int)call_watched((void *)(uintptr_t)nic_quick_write, quick.nic, 0, offset, size, value) >= 0)
        taken_writes[offset & 0x1f]++;
    else
        declined++, nic_write(quick.nic, 0, offset, size, value, plain.now);
    nic_write(plain.nic, 0, offset, size, value, plain.now);
}

static void compare(void)
{
    static uint8_t a[IMAGE], b[IMAGE];
    struct nic_counters left, right;
    size_t size = nic_save(plain.nic, plain.now, a, sizeof a);

    CU_ASSERT_FATAL(size > DP8390_RAM_MAX && size <= sizeof a);
    CU_ASSERT_EQUAL_FATAL(nic_save(quick.nic, plain.now, b, sizeof b), size);
    CU_ASSERT_FATAL(memcmp(a, b, size) == 0);
    nic_get_counters(plain.nic, &left);
    nic_get_counters(quick.nic, &right);
    CU_ASSERT_FATAL(memcmp(&left, &right, sizeof left) == 0);
    CU_ASSERT_FATAL(plain.irq == quick.irq && plain.irq_raised == quick.irq_raised && plain.ready == quick.ready);
    CU_ASSERT_FATAL(plain.frame_count == quick.frame_count && plain.errors == quick.errors && plain.deadline == quick.deadline);
}

static void set_up(uint32_t offset, uint8_t value) { write_both(offset, 1, value); }

/* As drivers leave it, with a mask that lets RDC through now and then. */
static void open_both(void)
{
    static const uint8_t registers[][2] = { { 0, 0x21 }, { 0xe, 0x49 }, { 0xc, 0x14 }, { 0xd, 0 }, { 1, 0x46 }, { 3, 0x46 }, { 2, 0x80 },
                                            { 7, 0xff }, { 0, 0x61 }, { 7, 0x47 }, { 0, 0x22 }, { 7, 0xff } };

    for (size_t i = 0; i < sizeof registers / sizeof *registers; i++)
        set_up(registers[i][0], registers[i][1]);
    set_up(0xf, any(2) ? 0x3f : 0x7f);
}

static void frame_to_both(void)
{
    uint8_t frame[1514];
    size_t size = 60 + any(sizeof frame - 60);

    for (size_t i = 0; i < size; i++)
        frame[i] = (uint8_t)any(256);
    CU_ASSERT_EQUAL_FATAL(nic_receive(plain.nic, frame, size, NULL, plain.now), nic_receive(quick.nic, frame, size, NULL, plain.now));
}

/* What lib8390 does for a frame, or any register access. */
static void step(void)
{
    static const uint8_t commands[] = { 0x22, 0x22, 0x22, 0x62, 0x0a, 0x0a, 0x12, 0x1a, 0x26, 0x21, 0x02, 0xa2, 0xe2 };
    unsigned what = any(100);

    if (what < 25)
        set_up(0, commands[any(sizeof commands)]);
    else if (what < 40)
        set_up(8 + any(4), (uint8_t)(any(2) ? any(256) : any(2) * 0x40 + any(8)));
    else if (what < 50)
        read_both(0x10 + any(8), 1u << any(3));
    else if (what < 70)
        read_both(any(0x18), any(8) ? 1 : 1u << any(3));
    else if (what < 80)
        set_up(any(2) ? 7 : 3, (uint8_t)any(256));
    else if (what < 92)
        write_both(any(0x18), any(8) ? 1 : 1u << any(3), any(0x10000));
    else if (what < 98)
        frame_to_both();
    else
        open_both();
}

static void random_driver(const char *model)
{
    memset(taken_reads, 0, sizeof taken_reads);
    memset(taken_writes, 0, sizeof taken_writes);
    declined = 0;
    seed = 1;
    memset(&plain, 0, sizeof plain);
    memset(&quick, 0, sizeof quick);
    fake_nic_host_start(&plain, model);
    fake_nic_host_start(&quick, model);
    for (unsigned i = 0; i < STEPS; i++) {
        step();
        if (i % COMPARE_EVERY == 0)
            compare();
    }
    CU_ASSERT(declined > STEPS / 20);
    fake_nic_host_stop(&plain);
    fake_nic_host_stop(&quick);
}

/* Whether the accesses of a driver's frame are the quick ones, or all this shows nothing. */
static void covers(void)
{
    static const uint8_t written[] = { 0, 3, 4, 5, 6, 7, 8, 9, 0xa, 0xb }, read[] = { 0, 3, 7, 0xc, 0x10 };

    for (size_t i = 0; i < sizeof written; i++)
        CU_ASSERT(taken_writes[written[i]] > 100);
    for (size_t i = 0; i < sizeof read; i++)
        CU_ASSERT(taken_reads[read[i]] > 100);
}

static void rtl8029(void)
{
    random_driver("rtl8029");
    covers();
}

static void ne2000(void)
{
    random_driver("ne2000");
    covers();
}

static void eight_bits(void) { random_driver("ne2000-8bit"); }

static void drop_line(void *opaque, const char *text) { (void)opaque, (void)text; }

/* A trace sees every access; a card with a line rate looks at its time in each. */
static void not_always(void)
{
    struct nic *nic;

    memset(&plain, 0, sizeof plain);
    fake_nic_host_start(&plain, "rtl8029");
    nic = plain.nic;
    CU_ASSERT(nic_quick_read(nic, 0, 0, 1) >= 0 && nic_quick_read(nic, 1, 0, 1) < 0);
    CU_ASSERT_EQUAL(nic_set_trace(nic, drop_line, NULL, false), 0);
    CU_ASSERT(nic_quick_read(nic, 0, 0, 1) < 0 && nic_quick_write(nic, 0, 8, 1, 0) < 0);
    nic_set_trace(nic, NULL, NULL, false);
    CU_ASSERT(nic_quick_read(nic, 0, 0, 1) >= 0);
    CU_ASSERT(nic_set_line_rate(nic, 10));
    CU_ASSERT(nic_quick_read(nic, 0, 0, 1) < 0 && nic_quick_write(nic, 0, 8, 1, 0) < 0);
    fake_nic_host_stop(&plain);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "quick accesses as the others: rtl8029", rtl8029 },
        { "quick accesses as the others: ne2000", ne2000 },
        { "quick accesses as the others: in 8 bits", eight_bits },
        { "none under a trace or with a line rate", not_always },
        CU_TEST_INFO_NULL,
    };

    return unit_run("dp8390_quick", tests);
}
