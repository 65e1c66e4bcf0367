/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The run loop: take interrupts, find the block at the guest's EIP, enter it, see
 * why it came back. See run.h.
 */
#include "x86vm/translate/run.h"

#include <x86intrin.h>

#include "x86vm/memory/watch.h"
#include "x86vm/protection/protection.h"
#include "x86vm/translate/count.h"
#include "x86vm/translate/mode.h"
#include "x86vm/translate/x87_errors.h"

typedef enum exit_reason enter_function(struct cpu *cpu, uint64_t code);

static struct block *translate(struct translator *t, uint32_t physical, uint32_t mode)
{
    uint32_t eip = translator_cpu(t)->eip;
    uint64_t began = __rdtsc();
    struct block *block = build_block(t, eip, mode);

    if (view_bare_due(translator_cpu(t), began)) /* not all of it twice */
        translator_request(translator_cpu(t));

    if (!block) {
        blocks_make_room(t, physical);
        block = build_block(t, eip, mode);
    }
    t->counters.translate_ticks += __rdtsc() - began;
    return block;
}

static struct block *find_block(struct translator *t, uint32_t mode)
{
    struct cpu *cpu = translator_cpu(t);
    uint32_t linear = cpu->seg_base[CPU_CS] + cpu->eip, physical;
    uint64_t addend = cpu->tables[VIEW_EXEC / 8 + (linear >> PAGE_SHIFT)];
    struct block *block;

    if (addend) {
        physical = (uint32_t)(addend + linear - (uint64_t)(uintptr_t)t->ram);
    } else {
        if (cpu->eip > cpu->seg[CPU_CS].limit) /* before the page, which nothing is fetched from */
            cpu_fault_error(cpu, VEC_GP, 0);
        view_fill(cpu, linear, VIEW_FOR_EXEC, &physical);
        far_links_filled(t, linear >> PAGE_SHIFT, physical >> PAGE_SHIFT);
    }
    block = blocks_find(t, cpu->eip, physical, mode);
    if (block && block_straddles(block)) {
        uint32_t second;
        view_fill(cpu, (linear & ~(PAGE_SIZE - 1)) + PAGE_SIZE, VIEW_FOR_EXEC, &second);
        if (second >> PAGE_SHIFT != block->other_page)
            block = NULL;
    }
    if (block)
        return block;
    block = translate(t, physical, mode);
    mode_check_generation(t);
    return block;
}

static enum exit_reason enter(struct translator *t, uint64_t code, bool alone)
{
    struct cpu *cpu = translator_cpu(t);
    enter_function *function = (enter_function *)(uintptr_t)(alone ? t->stubs.enter_alone : t->stubs.enter);
    enum exit_reason reason;

    cpu->scratch[7] = (cpu->eflags & FLAGS_ARITH) | FLAG_ONE;
    translator_begin_shadow(t, alone);
    t->counters.dispatches++;
    t->inside = true;
    reason = function(cpu, code);
    t->inside = false;
    if (reason != EXIT_CALL) /* which has done so, and changed the key perhaps */
        translator_keep_returns(t, cpu->lookup_key);
    if ((reason == EXIT_LINK || reason == EXIT_INDIRECT) && cpu->cpl != 3)
        translator_keep_kernel_returns(t);
    t->counters.exit[reason == EXIT_LINK && cpu->exit_request ? EXIT_POLL : reason]++;
    if (reason != EXIT_CALL)
        cpu->eflags = (cpu->eflags & ~(uint32_t)FLAGS_ARITH) | (cpu->scratch[7] & FLAGS_ARITH);
    return reason;
}

/* Times that blocks were forgotten, with their numbers. */
static uint64_t forgotten(const struct translator *t) { return t->counters.cache_flushes + t->counters.copies_dropped; }

/* An instruction that was about to begin does so again, and may find the run loop in its way: STI or the load
 * of SS in front of it holds interrupts off until it is over (vol. 3, 6.8.1). */
static void keep_shadow(struct cpu *cpu)
{
    if (cpu->eip == cpu->shadowed)
        cpu->interrupt_shadow = true;
}

/* A direct jump left its block for the first time: goes on, and links it. */
static void follow_link(struct translator *t)
{
    struct cpu *cpu = translator_cpu(t);
    const uint32_t number = (uint32_t)cpu->scratch[0];
    const struct link link = t->links.items[number];
    uint64_t before = forgotten(t);
    struct block *to;

    cpu->eip = link.target;
    t->ungrouped = link.ungrouped;
    if (link.ungrouped)
        keep_shadow(cpu);
    if (cpu->exit_request || cpu->mode_dirty || link.from->mode & MODE_PARTIAL)
        return;
    if (t->counting && cpu->count_left == 0)
        return; /* something may be due here, before the fetch faults */
    to = find_block(t, t->area->mode | (link.ungrouped ? MODE_UNGROUPED : 0));
    if (forgotten(t) == before)
        blocks_link(t, number, to);
}

static void handle_exit(struct translator *t, enum exit_reason reason)
{
    switch (reason) {
    case EXIT_LINK:
        follow_link(t);
        break;
    case EXIT_INDIRECT:
        t->counters.indirect_misses++;
        break;
    case EXIT_NEXT:
        if (t->bare_failed != NOWHERE) {
            blocks_kill_bare(t, t->bare_failed);
            t->bare_failed = NOWHERE;
        }
        if (t->counting && (t->ungrouped || t->single)) /* the instruction starts again: a check of its failed */
            count_leave_running(t);
        break;
    case EXIT_COUNT:
        t->partial = (uint8_t)translator_cpu(t)->count_left;
        break;
    case EXIT_HOST_FAULT:
        if (t->counting)
            count_leave_running(t);
        if (t->host_fault_vector == VEC_GP || t->host_fault_vector == VEC_AC || t->host_fault_vector == VEC_PF)
            cpu_fault_error(translator_cpu(t), t->host_fault_vector, t->host_fault_error);
        cpu_fault(translator_cpu(t), t->host_fault_vector);
    default:
        break;
    }
}

/* Instruction breakpoints come before their instruction, unless RF says that it
 * is being resumed, and not directly behind MOV SS. */
static void check_code_breakpoints(struct cpu *cpu)
{
    uint32_t hits = watch_code_hits(cpu, cpu->seg_base[CPU_CS] + cpu->eip);

    if (hits && !(cpu->eflags & FLAG_RF) && cpu->debug_delay != DEBUG_AFTER_NEXT)
        cpu_fault_error(cpu, VEC_DB, hits);
    cpu->eflags &= ~(uint32_t)FLAG_RF;
}

/* Debug traps come behind their instruction; behind MOV SS they wait (vol. 3, 6.8.3). */
static void take_debug_traps(struct cpu *cpu, bool step)
{
    uint32_t causes = cpu->watch_hits | (step && cpu->debug_delay != DEBUG_NO_STEP ? DR6_BS : 0);

    if (!causes || cpu->debug_delay == DEBUG_AFTER_NEXT)
        return;
    cpu->watch_hits = 0;
    cpu_fault_error(cpu, VEC_DB, causes);
}

/* Runs from EIP until something needs the loop. */
static void run_block(struct translator *t)
{
    struct cpu *cpu = translator_cpu(t);
    bool trap = cpu->eflags & FLAG_TF;
    bool alone = t->single || trap || cpu->watch_code || cpu->ignne;
    uint32_t rare = (alone ? MODE_SINGLE : 0) | (t->ungrouped ? MODE_UNGROUPED : 0) | (uint32_t)t->partial << MODE_PARTIAL_SHIFT;
    uint32_t mode = t->area->mode | rare;
    enum exit_reason reason;
    uint64_t code;
    bool bounded = rare & (MODE_SINGLE | MODE_PARTIAL), again, missed = t->jumps.missed && t->jumps.missed_eip == cpu->eip;

    t->single = t->ungrouped = false;
    t->partial = 0;
    if (cpu->watch_code)
        check_code_breakpoints(cpu);
    cpu->debug_delay = DEBUG_AT_ONCE;
    t->jumps.missed = false;
    if (!rare && !missed && (code = blocks_remembered(t, cpu->eip))) {
        reason = enter(t, code, false);
    } else {
        struct block *block = find_block(t, mode);
        if (!rare)
            blocks_remember(t, cpu->eip, block);
        if (!rare && missed)
            jumps_add(t, cpu->eip, block);
        if (t->ignore_x87)
            x87_ignore_begin(t);
        reason = enter(t, block->entry, bounded);
    }
    if (cpu->ignne)
        x87_ignore_end(t);
    handle_exit(t, reason);
    if (reason == EXIT_COUNT || reason == EXIT_POLL) /* the same block again, or less of it: it has not begun */
        t->ungrouped = mode & MODE_UNGROUPED;
    again = reason == EXIT_COUNT || reason == EXIT_POLL || (reason == EXIT_NEXT && (t->single || t->ungrouped));
    if (again)
        keep_shadow(cpu);
    take_debug_traps(cpu, trap && !again); /* an instruction that did not run is not stepped over */
}

static void clear_request(struct translator *t)
{
    struct cpu *cpu = translator_cpu(t);
    __atomic_store_n(&cpu->exit_request, 0, __ATOMIC_SEQ_CST);
    cpu->mode_dirty = true; /* renews the lookup key without the poison */
    recall_end(t);
    view_settle(cpu);
    view_bare_review(cpu);
    jumps_select(t);
    jumps_upgrade_sampled(t);
}

/* Takes a pending interrupt; true when the guest is now at its handler. */
static bool take_interrupt(struct translator *t)
{
    struct cpu *cpu = translator_cpu(t);
    uint8_t vector;

    if (cpu_nmi_due(cpu)) {
        cpu->nmi_pending = false;
        cpu->nmi_blocked = true;
        cpu->halted = false;
        protection_hardware_interrupt(cpu, VEC_NMI);
        return true;
    }
    if (!cpu->intr || !(cpu->eflags & FLAG_IF))
        return false;
    cpu->halted = false;
    vector = cpu->intr_ack(cpu->intr_opaque);
    t->counters.interrupts++;
    t->counters.interrupt[vector]++;
    protection_hardware_interrupt(cpu, vector);
    return true;
}

enum x86vm_exit run_loop(struct translator *t)
{
    struct cpu *cpu = translator_cpu(t);

    for (;;) {
        if (cpu->exit_request)
            clear_request(t);
        if (t->stop_request && __atomic_exchange_n(&t->stop_request, false, __ATOMIC_SEQ_CST))
            return X86VM_EXIT_REQUESTED;
        if (cpu->shutdown)
            return X86VM_EXIT_SHUTDOWN;
        if (cpu->interrupt_shadow && !cpu->halted) {
            cpu->interrupt_shadow = false;
            t->single = true;
        } else {
            cpu->interrupt_shadow = false;
            if (take_interrupt(t)) {
                t->ignore_x87 = false; /* that instruction was not begun */
                continue;
            }
        }
        if (cpu->halted)
            return cpu->eflags & FLAG_IF ? X86VM_EXIT_HALTED : X86VM_EXIT_DEAD;
        if (t->counting && !count_go_on(t))
            return X86VM_EXIT_POSITION;
        if (cpu->mode_dirty)
            mode_update(t);
        else
            mode_check_generation(t);
        run_block(t);
    }
}

/* --- what ends a pass in its middle --- */

/* An exception, or an instruction to be run again, came by longjmp: out of a block, or before one was entered. */
static void count_interrupted(struct translator *t, enum cpu_jump from)
{
    if (t->inside)
        count_leave_running(t);
    if (from == CPU_FAULTED)
        count_step(t);
}

/* A program's page fault: most likely the guest's kernel puts a page there. */
static void note_missed(struct translator *t)
{
    const struct cpu *cpu = translator_cpu(t);
    bool data = cpu->fault_vector == VEC_PF && (cpu->cr2 ^ (cpu->seg_base[CPU_CS] + cpu->eip)) >= PAGE_SIZE;

    if (cpu->cpl != 3 || !data)
        return;
    t->missed.pending = true;
    t->missed.write = cpu->fault_error & PF_WRITE;
    t->missed.at = cpu->cr2;
}

void run_interrupted(struct translator *t, enum cpu_jump from)
{
    struct cpu *cpu = translator_cpu(t);

    if (cpu->ignne)
        x87_ignore_end(t);
    if (from == CPU_FAULTED && x87_error_is_external(t))
        from = CPU_AGAIN;
    if (t->inside)
        translator_keep_returns(t, cpu->lookup_key);
    if (t->counting)
        count_interrupted(t, from);
    t->inside = false;
    if (from != CPU_FAULTED) {
        keep_shadow(cpu);
        return;
    }
    t->counters.exceptions++;
    t->counters.exception[cpu->fault_vector & (X86VM_EXCEPTIONS - 1)]++;
    note_missed(t);
    if (cpu->exception_tap)
        cpu->exception_tap(cpu->exception_opaque);
    protection_exception(cpu);
}
