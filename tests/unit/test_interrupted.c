/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a pass of the run loop that ends in its middle must leave behind
 * (run_interrupted() in translate/run.c): an instruction to be run again is still
 * behind STI, and the x87 has the guest's control word again.
 */
#include "tests/unit/engine_fixture.h"
#include "tests/unit/unit.h"
#include "x86vm/memory/watch.h"

enum { VECTOR = 0x40, DEVICE = 0x300000, NOWHERE_AT = 0x1ff000, CONTROL = DATA, PENDING = 0x037b /* division by zero unmasked */ };

static uint8_t acknowledge(void *opaque)
{
    (void)opaque;
    cpu->intr = false;
    return VECTOR;
}

static uint32_t ask_for_exit(void *device, uint32_t at, unsigned size)
{
    (void)device, (void)at, (void)size;
    x86vm_request_exit(vm);
    return 0;
}
static const struct io_ops asking = { .read = ask_for_exit };

/* A store to a watched datum is run again, alone. When the run loop was asked to come back just before, and an interrupt
 * is pending when it goes on, that is still held off: the store's trap comes first. */
static void test_behind_sti(void)
{
    uint32_t returns_to = 0;

    engine_start(0);
    io_bus_map_mmio(x86vm_io(vm), DEVICE, PAGE_SIZE, &asking, NULL);
    cpu->intr_ack = acknowledge;
    cpu->dr[0] = DATA;
    cpu->dr[7] = 1 | 1u << 16;
    watch_update(cpu);
    poke(CODE, "\x8b\x0d\x00\x00\x30\x00\xfb\xa2\x00\x00\x02\x00\x90\xf4", 14); /* mov ecx, [DEVICE]; sti; mov [DATA], al; nop; hlt */
    CU_ASSERT_EQUAL(x86vm_run(vm), X86VM_EXIT_REQUESTED);
    CU_ASSERT_EQUAL(cpu->eip, CODE + 7);
    cpu->intr = true;
    CU_ASSERT_EQUAL(x86vm_run(vm), X86VM_EXIT_DEAD);
    CU_ASSERT_EQUAL(engine_halted_in(), VEC_DB);
    CU_ASSERT_TRUE(phys_dma_read(phys, cpu->regs[CPU_ESP], &returns_to, sizeof returns_to));
    CU_ASSERT_EQUAL(returns_to, CODE + 12);
    engine_end();
}

/* An x87 error is ignored (IGNNE#), for which all are masked in the host's unit, and the instruction has a page
 * fault: its handler finds the guest's own control word. */
static void test_ignored_error(void)
{
    uint32_t control = 0;

    engine_start_paged(0);
    engine_map(NOWHERE_AT, 0);
    cpu->cr0 &= ~(uint32_t)CR0_NE;
    cpu->mode_dirty = true;
    poke32(CONTROL, PENDING);
    poke(CODE, "\xd9\x2d\x00\x00\x02\x00\xd9\xe8\xd9\xee\xde\xf9\xf4", 13); /* fldcw [CONTROL]; fld1; fldz; fdivp; hlt */
    poke(CODE + 13, "\xd9\x05\x00\xf0\x1f\x00", 6);                          /* fld dword [NOWHERE_AT] */
    CU_ASSERT_EQUAL(x86vm_run(vm), X86VM_EXIT_DEAD);
    cpu->halted = false;
    cpu->ignne = true;
    poke32(IDT + VEC_PF * 8, 8 << 16 | ((CODE + 64) & 0xffff));
    poke32(IDT + VEC_PF * 8 + 4, 0x8e00 | (CODE & 0xffff0000u));
    poke(CODE + 64, "\xd9\x3d\x04\x00\x02\x00\xf4", 7); /* fnstcw [CONTROL + 4]; hlt */
    cpu->eip = CODE + 13;
    CU_ASSERT_EQUAL(x86vm_run(vm), X86VM_EXIT_DEAD);
    CU_ASSERT_EQUAL(cpu->eip, CODE + 64 + 7);
    CU_ASSERT_TRUE(phys_dma_read(phys, CONTROL + 4, &control, sizeof control));
    CU_ASSERT_EQUAL(control, PENDING);
    engine_end();
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "an instruction behind STI that is run again", test_behind_sti },
        { "a page fault while an x87 error is ignored", test_ignored_error },
        CU_TEST_INFO_NULL,
    };

    return unit_run("interrupted", tests);
}
