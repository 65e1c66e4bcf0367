/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A recording on the engine: see replay.h. The engine runs from one record with
 * a position to the next, and is given there what was given to it then.
 */
#include "x86vm/replay.h"

#include <inttypes.h>

#include "x86vm/cpu/cpu.h"
#include "x86vm/x86vm.h"

/* The interrupt line while the one recorded interrupt is taken. */
struct line {
    struct x86vm *vm;
    uint8_t vector;
};

static uint8_t acknowledge(void *opaque)
{
    struct line *line = opaque;

    x86vm_set_intr(line->vm, false);
    return line->vector;
}

/* The state may not differ here: false when it does. */
static bool same_here(struct replay *r, struct x86vm *vm, const struct replay_event *event)
{
    char state[400];

    if (event->check == record_check(x86vm_cpu(vm)))
        return true;
    x86vm_describe_state(vm, state, sizeof state);
    replay_set_diverged(r, "other registers than recorded: %.160s", state);
    return false;
}

/* Interrupts are taken with the line up for just this one run, at once: the
 * shadow of an STI that nothing waited for was of no account when recorded. */
static enum x86vm_exit interrupt(struct replay *r, struct x86vm *vm, const struct replay_event *event)
{
    struct cpu *cpu = x86vm_cpu(vm);
    struct line line = { vm, event->vector };
    enum x86vm_exit exit;

    if (!(cpu->eflags & FLAG_IF)) {
        replay_set_diverged(r, "interrupt %02x came, but interrupts are off", event->vector);
        return X86VM_EXIT_POSITION;
    }
    if (!same_here(r, vm, event) || !replay_take(r))
        return X86VM_EXIT_POSITION;
    cpu->interrupt_shadow = false;
    cpu->eflags = (cpu->eflags & ~(uint32_t)FLAGS_ARITH) | event->flags;
    x86vm_set_intr_ack(vm, acknowledge, &line);
    x86vm_set_intr(vm, true);
    exit = x86vm_run(vm);
    x86vm_set_intr_ack(vm, NULL, NULL);
    return exit;
}

static enum replay_result at_end(struct replay *r, struct x86vm *vm, const struct replay_event *end)
{
    if (end->cut)
        return REPLAY_CUT;
    if (!replay_take(r) || !same_here(r, vm, end))
        return REPLAY_DIVERGED;
    if (record_ram_hash(vm) != end->ram_hash) {
        replay_set_diverged(r, "the same registers at the end, but other RAM");
        return REPLAY_DIVERGED;
    }
    return REPLAY_SAME;
}

/* What is recorded for this position; false: nothing more can be. */
static bool take_events(struct replay *r, struct x86vm *vm)
{
    while (replay_next(r)->kind != RECORD_END && replay_next(r)->position == x86vm_position(vm) && !replay_diverged(r)) {
        const struct replay_event event = *replay_next(r);
        if (event.kind == RECORD_DMA)
            replay_take(r);
        else if (interrupt(r, vm, &event) == X86VM_EXIT_SHUTDOWN)
            return false;
    }
    return !replay_diverged(r);
}

enum replay_result replay_run(struct replay *r, struct x86vm *vm, uint64_t until)
{
    enum x86vm_exit exit = X86VM_EXIT_POSITION;

    while (!replay_diverged(r)) {
        const struct replay_event end = *replay_next(r);
        uint64_t position = x86vm_position(vm);

        if (position >= until)
            return REPLAY_STOPPED;
        if (end.kind == RECORD_END && position == end.position)
            return at_end(r, vm, &end);
        if (position == end.position && take_events(r, vm)) {
            exit = X86VM_EXIT_POSITION;
            continue;
        }
        if (exit != X86VM_EXIT_POSITION && exit != X86VM_EXIT_REQUESTED)
            replay_set_diverged(r, "the guest's CPU stopped at %" PRIu64 ", recorded was something at %" PRIu64, position, end.position);
        x86vm_stop_at(vm, end.position < until ? end.position : until);
        exit = x86vm_run(vm);
    }
    return REPLAY_DIVERGED;
}
