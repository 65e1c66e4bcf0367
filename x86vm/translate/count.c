/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Counting: see count.h. cpu->count_left is what may still be executed before
 * the run loop is asked; t->count_end is the position where it would be zero.
 */
#include "x86vm/translate/count.h"

/* Below 2^32, so that the upper half of count_left tells its sign. */
enum { COUNT_MOST = 1 << 30 };

#define LEFT CPU_MEM(count_left)

/* Flags, RCX stay as they are; R11 is lost. */
static void emit_add(struct emit *e, int32_t by)
{
    emit_load64(e, R11, LEFT);
    emit_lea64(e, R11, mem_at(R11, by));
    emit_store64(e, LEFT, R11);
}

void count_emit_charge(struct build *b)
{
    struct emit *e = b->hot;
    struct host_mem sign = CPU_MEM(count_left);
    uint8_t *enough, *refused;

    sign.disp += 4;
    emit_mov_imm64(e, R11, (uint64_t)(uintptr_t)b->block);
    emit_store64(e, CPU_MEM(count_block), R11);
    emit_add(e, -(int32_t)b->count);
    emit_mov64(e, R11, RCX);
    emit_load32(e, RCX, sign);
    enough = emit_jecxz_later(e);
    refused = emit_jmp_later(e);
    emit_patch8(e, enough);
    emit_mov64(e, RCX, R11);

    emit_patch32(refused, e->to_exec, emit_pc(b->cold));
    emit_mov64(b->cold, RCX, R11);
    emit_add(b->cold, (int32_t)b->count);
    emit_store32_imm(b->cold, CPU_MEM(eip), b->block->eip);
    emit_jmp(b->cold, b->t->stubs.count);
}

void count_emit_refund(struct build *b, unsigned retired)
{
    emit_add(b->cold, (int32_t)(b->count - retired));
}

void count_leave(struct translator *t, const struct block *block, uint32_t eip, unsigned retired)
{
    for (unsigned i = 0; i < block->insn_count; i++) {
        if (block->eips[i] != eip)
            continue;
        translator_cpu(t)->count_left += block->insn_count - i - retired;
        return;
    }
}

void count_leave_running(struct translator *t)
{
    struct cpu *cpu = translator_cpu(t);

    count_leave(t, cpu->count_block, cpu->eip, 0);
}

void count_step(struct translator *t)
{
    translator_cpu(t)->count_left--;
}

uint64_t count_position(const struct translator *t)
{
    return t->count_end - (uint64_t)t->area->cpu.count_left;
}

static void refill(struct translator *t)
{
    uint64_t position = count_position(t), left = t->count_stop > position ? t->count_stop - position : 0;

    left = left < COUNT_MOST ? left : COUNT_MOST;
    t->count_end = position + left;
    translator_cpu(t)->count_left = (int64_t)left;
}

bool count_go_on(struct translator *t)
{
    if (translator_cpu(t)->count_left < BLOCK_MAX_INSNS)
        refill(t);
    if (translator_cpu(t)->count_left >= BLOCK_MAX_INSNS)
        t->partial = 0;
    return translator_cpu(t)->count_left > 0;
}

void count_stop_at(struct translator *t, uint64_t position)
{
    t->count_stop = position;
    refill(t);
}
