/* SPDX-License-Identifier: BSD-2-Clause
 * IN and OUT of a kernel, which have stubs of their own (translate/ports.c): every form
 * of them in the middle of a block, by devices that take accesses quickly or not, that
 * leave nothing in the host's registers as it was, raise an interrupt, want the run loop,
 * go away or are watched by a breakpoint.
 */
#include "tests/unit/engine_fixture.h"
#include "tests/unit/unit.h"
#include "x86vm/memory/watch.h"

#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 40, RAISING = 0x80, ASKING = 0x84, LEAVING = 0x88, THOROUGH = 0x90, QUICK = 0x98, NOBODY = 0xa0, VECTOR = 0x40 };

static uint8_t code[512];
static unsigned length;

/* --- the machine --- */

static uint32_t last_value, last_size, last_offset;
static unsigned quick_calls, thorough_calls;

static uint32_t answer(uint32_t offset, unsigned size) { return 0x8badf00d * (offset + 1) >> (32 - 8 * size); }

/* All that C need not preserve, and the flags. */
static void spoil(void)
{
    static const uint32_t junk[4] = { 0xdeadbeef, 0xdeadbeef, 0xdeadbeef, 0xdeadbeef };
    __asm__ volatile("movups %0, %%xmm0; movups %0, %%xmm1; movups %0, %%xmm2; movups %0, %%xmm3; movups %0, %%xmm4; movups %0, %%xmm5;"
                     "movups %0, %%xmm6; movups %0, %%xmm7; movl $-1, %%eax; movl %%eax, %%ecx; movl %%eax, %%edx; movl %%eax, %%r8d;"
                     "movl %%eax, %%r9d; movl %%eax, %%r10d; movl %%eax, %%r11d; addb $1, %%al"
                     : : "m"(junk) : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
                       "xmm7", "cc");
}

static uint32_t thorough_read(void *device, uint32_t offset, unsigned size)
{
    (void)device;
    thorough_calls++;
    spoil();
    return answer(offset, size);
}

static void thorough_write(void *device, uint32_t offset, unsigned size, uint32_t value)
{
    (void)device;
    thorough_calls++;
    last_offset = offset, last_size = size, last_value = value;
    spoil();
}

static int64_t quick_read(void *device, uint32_t offset, unsigned size)
{
    (void)device;
    if (offset == 4)
        return -1;
    quick_calls++;
    return size == 4 ? answer(offset, 4) : answer(offset, size);
}

static int quick_write(void *device, uint32_t offset, unsigned size, uint32_t value)
{
    (void)device;
    if (offset == 4)
        return -1;
    quick_calls++;
    last_offset = offset, last_size = size, last_value = value;
    return 0;
}

static uint32_t raising_read(void *device, uint32_t offset, unsigned size)
{
    x86vm_set_intr(vm, true);
    return thorough_read(device, offset, size);
}

static void raising_write(void *device, uint32_t offset, unsigned size, uint32_t value)
{
    x86vm_set_intr(vm, true);
    thorough_write(device, offset, size, value);
}

static uint32_t asking_read(void *device, uint32_t offset, unsigned size)
{
    x86vm_request_exit(vm);
    return thorough_read(device, offset, size);
}

static void asking_write(void *device, uint32_t offset, unsigned size, uint32_t value)
{
    x86vm_request_exit(vm);
    thorough_write(device, offset, size, value);
}

static void leaving_write(void *device, uint32_t offset, unsigned size, uint32_t value)
{
    thorough_write(device, offset, size, value);
    io_bus_unmap_ports(x86vm_io(vm), LEAVING, 4);
}

static uint8_t acknowledge(void *opaque)
{
    (void)opaque;
    x86vm_set_intr(vm, false);
    return VECTOR;
}

static uint32_t peek32(uint32_t at)
{
    uint32_t value = 0;
    CU_ASSERT_TRUE(phys_dma_read(x86vm_phys(vm), at, &value, 4));
    return value;
}

/* Flat protected mode at ring 0; each exception and interrupt ends in a HLT of its own. */
static void start(void)
{
    static const struct io_ops thorough = { .read = thorough_read, .write = thorough_write };
    static const struct io_ops quick = { .read = thorough_read, .write = thorough_write, .quick_read = quick_read, .quick_write = quick_write };
    static const struct io_ops raising = { .read = raising_read, .write = raising_write };
    static const struct io_ops asking = { .read = asking_read, .write = asking_write };
    static const struct io_ops leaving = { .read = thorough_read, .write = leaving_write };
    const struct { uint16_t port; const struct io_ops *ops; unsigned count; } devices[] = {
        { THOROUGH, &thorough, 8 }, { QUICK, &quick, 8 }, { RAISING, &raising, 4 }, { ASKING, &asking, 4 }, { LEAVING, &leaving, 4 } };

    engine_start(0);
    for (unsigned i = 0; i < sizeof devices / sizeof *devices; i++)
        CU_ASSERT_EQUAL(io_bus_map_ports(x86vm_io(vm), devices[i].port, devices[i].count, devices[i].ops, NULL), 0);
    x86vm_set_intr_ack(vm, acknowledge, NULL);
    length = 0;
}

static void emit(const void *bytes, unsigned size)
{
    memcpy(code + length, bytes, size);
    length += size;
}
#define EMIT(bytes) emit(bytes, sizeof(bytes) - 1)

static enum x86vm_exit run_from(uint32_t eip)
{
    cpu->eip = eip;
    cpu->halted = false;
    cpu->regs[CPU_ESP] = STACK;
    cpu->mode_dirty = true;
    view_select(cpu);
    return x86vm_run(vm);
}

/* --- what is kept over an access --- */

/* Random registers and flags, a PUSH whose ESP is still to be settled, the access, and all of it
 * stored; flags that an instruction behind overwrites unread, too. */
static void one_form(bool out, unsigned size, bool immediate, uint16_t port, bool live, unsigned round)
{
    uint32_t before[8], xmm[32], flags = (uint32_t)random() & FLAGS_ARITH, expected;
    uint8_t byte = (uint8_t)port;

    length = 0;
    for (unsigned i = 0; i < 8; i++)
        before[i] = (uint32_t)random() << 1 ^ (uint32_t)random();
    before[CPU_EDX] = immediate ? before[CPU_EDX] : (before[CPU_EDX] & 0xffff0000) | port;
    before[CPU_ESP] = STACK - 4;
    for (unsigned i = 0; i < 32; i++)
        poke32(DATA + 4 * i, xmm[i] = (uint32_t)random() * 3);
    for (unsigned i = 0; i < 8; i++) { /* MOVUPS xmm, [] */
        const uint8_t load[] = { 0x0f, 0x10, (uint8_t)(5 | i << 3) };
        uint32_t at = DATA + 16 * i;
        emit(load, 3), emit(&at, 4);
    }
    flags |= FLAG_ONE;
    EMIT("\x68"), emit(&flags, 4), EMIT("\x9d"); /* PUSH; POPF */
    for (unsigned i = 0; i < 8; i++)
        if (i != CPU_ESP)
            emit(&(uint8_t){ (uint8_t)(0xb8 + i) }, 1), emit(&before[i], 4);
    EMIT("\x50"); /* PUSH EAX */
    if (size == 2)
        EMIT("\x66");
    emit(&(uint8_t){ (uint8_t)((immediate ? 0xe4 : 0xec) | (out ? 2 : 0) | (size > 1)) }, 1);
    if (immediate)
        emit(&byte, 1);
    EMIT("\xa3"), emit(&(uint32_t){ DATA + 0x100 }, 4); /* MOV [], EAX */
    if (live)
        EMIT("\x9c\x8f\x05"), emit(&(uint32_t){ DATA + 0x104 }, 4); /* PUSHF; POP [] */
    EMIT("\x31\xc0"); /* XOR EAX, EAX: the flags die */
    for (unsigned i = 0; i < 8; i++) { /* MOVUPS [], xmm */
        const uint8_t store[] = { 0x0f, 0x11, (uint8_t)(5 | i << 3) };
        uint32_t at = DATA + 0x200 + 16 * i;
        emit(store, 3), emit(&at, 4);
    }
    EMIT("\xf4");
    poke(CODE + 0x1000 * (round & 1), code, length);
    for (unsigned again = 0; again < 2; again++) {
        CU_ASSERT_EQUAL(run_from(CODE + 0x1000 * (round & 1)), X86VM_EXIT_DEAD);
        CU_ASSERT_EQUAL_FATAL(cpu->eip, CODE + 0x1000 * (round & 1) + length);
        expected = out ? before[CPU_EAX] : size == 4 ? answer(port & 7, 4)
                 : (before[CPU_EAX] & ~((1u << 8 * size) - 1)) | answer(port & 7, size);
        if (port == NOBODY && !out)
            expected = before[CPU_EAX] | (size == 4 ? UINT32_MAX : (1u << 8 * size) - 1);
        CU_ASSERT_EQUAL(peek32(DATA + 0x100), expected);
        CU_ASSERT(!live || (peek32(DATA + 0x104) & FLAGS_ARITH) == (flags & FLAGS_ARITH));
        for (unsigned i = 1; i < 8; i++)
            CU_ASSERT_EQUAL(cpu->regs[i], before[i]);
        CU_ASSERT_EQUAL(peek32(STACK - 4), before[CPU_EAX]);
        for (unsigned i = 0; i < 32; i++)
            CU_ASSERT_EQUAL(peek32(DATA + 0x200 + 4 * i), xmm[i]);
        if (out && port != NOBODY) {
            CU_ASSERT_EQUAL(last_value, size == 4 ? before[CPU_EAX] : before[CPU_EAX] & ((1u << 8 * size) - 1));
            CU_ASSERT(last_size == size && last_offset == (port & 7u));
        }
    }
}

static void test_forms(void)
{
    static const uint16_t ports[] = { THOROUGH, THOROUGH + 4, QUICK, QUICK + 3, QUICK + 4, NOBODY };
    struct io_counters counters;
    unsigned accesses = 0;

    start();
    srandom(7);
    quick_calls = thorough_calls = 0;
    for (unsigned round = 0; round < ROUNDS; round++)
        for (unsigned form = 0; form < 24; form++)
            for (unsigned p = 0; p < sizeof ports / sizeof *ports; p++) {
                one_form(form & 1, 1u << form / 8, form & 2, ports[p], form & 4, round);
                accesses += 2;
            }
    io_bus_get_counters(x86vm_io(vm), &counters);
    CU_ASSERT_EQUAL(counters.port_reads, accesses / 2);
    CU_ASSERT_EQUAL(counters.port_writes, accesses / 2);
    CU_ASSERT_EQUAL(thorough_calls, accesses / 6 * 3);
    CU_ASSERT_EQUAL(quick_calls, accesses / 6 * 2);
    engine_end();
}

/* --- what ends the block behind it --- */

/* mov eax, 77777777h; add al, 0; ACCESS; inc ebx ×3; hlt. Gives the EIP behind the access. */
static uint32_t access_code(bool out, uint8_t port)
{
    length = 0;
    EMIT("\xb8\x77\x77\x77\x77\x04\x00");
    emit(&(uint8_t){ out ? 0xe7 : 0xe5 }, 1), emit(&port, 1);
    EMIT("\x43\x43\x43\xf4");
    poke(CODE, code, length);
    cpu->regs[CPU_EBX] = 0;
    return CODE + 9;
}

static void test_interrupt_at_once(void)
{
    start();
    for (unsigned i = 0; i < 4 * ROUNDS; i++) {
        uint32_t behind = access_code(i & 1, RAISING);
        bool enabled = i & 2;
        cpu->eflags = FLAG_ONE | (enabled ? FLAG_IF : 0);
        CU_ASSERT_EQUAL(run_from(CODE), X86VM_EXIT_DEAD);
        CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], i & 1 ? 0x77777777 : answer(0, 4));
        CU_ASSERT_EQUAL(cpu->regs[CPU_EBX], enabled ? 0 : 3);
        CU_ASSERT_EQUAL(cpu->eip, enabled ? HANDLERS + 4 * VECTOR + 1 : behind + 4);
        if (enabled)
            CU_ASSERT_EQUAL(peek32(STACK - 12), behind);
        x86vm_set_intr(vm, false);
    }
    engine_end();
}

static void test_exit_at_once(void)
{
    start();
    cpu->eflags = FLAG_ONE;
    for (unsigned i = 0; i < 2 * ROUNDS; i++) {
        uint32_t behind = access_code(i & 1, ASKING);
        CU_ASSERT_EQUAL(run_from(CODE), X86VM_EXIT_REQUESTED);
        CU_ASSERT(cpu->eip == behind && cpu->regs[CPU_EBX] == 0);
        CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], i & 1 ? 0x77777777 : answer(0, 4));
        CU_ASSERT_EQUAL(x86vm_run(vm), X86VM_EXIT_DEAD);
        CU_ASSERT_EQUAL(cpu->regs[CPU_EBX], 3);
    }
    engine_end();
}

/* Armed between two runs of the same translation, by a port's number, and put away again. */
static void test_breakpoints(void)
{
    static const uint8_t ports[] = { THOROUGH, QUICK };

    start();
    cpu->eflags = FLAG_ONE;
    cpu->cr4 |= CR4_DE;
    for (unsigned i = 0; i < 4 * ROUNDS; i++) {
        uint32_t behind = access_code(i & 1, ports[i >> 1 & 1]);
        CU_ASSERT(run_from(CODE) == X86VM_EXIT_DEAD && cpu->eip == behind + 4);
        cpu->dr[0] = ports[i >> 1 & 1] + 3u;
        cpu->dr[7] = 0x400 | 2 | 2 << 16;
        watch_update(cpu);
        cpu->regs[CPU_EBX] = 0;
        CU_ASSERT_EQUAL(run_from(CODE), X86VM_EXIT_DEAD);
        CU_ASSERT(cpu->eip == HANDLERS + 4 * VEC_DB + 1 && peek32(STACK - 12) == behind && cpu->regs[CPU_EBX] == 0);
        CU_ASSERT_EQUAL(cpu->regs[CPU_EAX], i & 1 ? 0x77777777 : answer(0, 4));
        cpu->dr[7] = 0x400;
        watch_update(cpu);
        CU_ASSERT(run_from(CODE) == X86VM_EXIT_DEAD && cpu->eip == behind + 4);
    }
    engine_end();
}

/* out LEAVING, al; in al, LEAVING: the second finds nobody. */
static void test_device_leaves(void)
{
    start();
    EMIT("\xb0\x00\xe6\x88\xe4\x88\xf4");
    poke(CODE, code, length);
    CU_ASSERT_EQUAL(run_from(CODE), X86VM_EXIT_DEAD);
    CU_ASSERT_EQUAL(cpu->regs[CPU_EAX] & 0xff, 0xff);
    engine_end();
}

/* STI holds an interrupt back for the OUT behind it alone: the one that it raises comes then. */
static void test_behind_sti(void)
{
    start();
    for (unsigned i = 0; i < ROUNDS; i++) {
        length = 0;
        EMIT("\xfb\xe6\x80\x43\x43\xf4");
        poke(CODE, code, length);
        cpu->eflags = FLAG_ONE;
        cpu->regs[CPU_EBX] = 0;
        CU_ASSERT_EQUAL(run_from(CODE), X86VM_EXIT_DEAD);
        CU_ASSERT(cpu->eip == HANDLERS + 4 * VECTOR + 1 && peek32(STACK - 12) == CODE + 3 && cpu->regs[CPU_EBX] == 0);
    }
    engine_end();
}

/* Deep in calls, where the stub's return address lies on the shadow stack with the guest's. */
static void test_inside_calls(void)
{
    uint32_t depth = 3000; /* deeper than the shadow stack */

    start();
    cpu->eflags = FLAG_ONE;
    /* mov ecx, depth; call f; hlt; f: dec ecx; jz 1f; out 90h, al; call f; in al, 98h; inc ebx; 1: ret */
    EMIT("\xb9"), emit(&depth, 4), EMIT("\xe8\x01\x00\x00\x00\xf4\x49\x74\x0a\xe6\x90\xe8\xf6\xff\xff\xff\xe4\x98\x43\xc3");
    poke(CODE, code, length);
    for (unsigned i = 0; i < 4; i++) {
        cpu->regs[CPU_EBX] = 0;
        CU_ASSERT_EQUAL(run_from(CODE), X86VM_EXIT_DEAD);
        CU_ASSERT(cpu->eip == CODE + 11 && cpu->regs[CPU_EBX] == depth - 1 && cpu->regs[CPU_ESP] == STACK);
    }
    engine_end();
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "every form, and what it keeps", test_forms },
        { "an interrupt comes behind the access that raises it", test_interrupt_at_once },
        { "so does the run loop", test_exit_at_once },
        { "breakpoints on ports", test_breakpoints },
        { "a device that goes away", test_device_leaves },
        { "behind STI", test_behind_sti },
        { "deep in calls", test_inside_calls },
        CU_TEST_INFO_NULL,
    };

    return unit_run("ports", tests);
}
