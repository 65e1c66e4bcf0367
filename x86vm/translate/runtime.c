/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The C side of the shared stubs: memory accesses that the hot path cannot do,
 * and instructions carried out in C. On entry struct cpu holds the guest's
 * registers; these functions may raise guest exceptions (cpu_fault), which
 * leave translated code through the run loop's setjmp.
 */
#include <string.h>

#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/watch.h"
#include "x86vm/protection/protection.h"
#include "x86vm/translate/count.h"
#include "x86vm/translate/mode.h"
#include "x86vm/translate/patience.h"
#include "x86vm/translate/transition.h"
#include "x86vm/translate/translator.h"

enum { ADDEND = 0, GO_ON = 1, BOUNCE_ADDRESS = 2, HOST_FLAGS = 7 };

/* Translated code keeps a part of ESP in its displacements: C sees all of it. */
static void arrive(struct cpu *cpu, const struct site *site)
{
    cpu->eip = site->eip;
    cpu->regs[CPU_ESP] += (uint32_t)site->esp_delta;
}

static void go_back(struct cpu *cpu, const struct site *site, uint64_t to)
{
    cpu->regs[CPU_ESP] -= (uint32_t)site->esp_delta;
    cpu->scratch[GO_ON] = to;
}

static void take_flags(struct cpu *cpu)
{
    cpu->eflags = (cpu->eflags & ~(uint32_t)FLAGS_ARITH) | (cpu->scratch[HOST_FLAGS] & FLAGS_ARITH);
}

/* The guest's x87 state stays in the host's unit while C runs. */
static bool x87_exception_pending(void)
{
    uint16_t status;
    __asm__ volatile("fnstsw %0" : "=a"(status));
    return status & 0x80;
}

static uint32_t linear_address(struct cpu *cpu, const struct site *site, uint32_t address)
{
    uint32_t offset = site->checked ? address : address - cpu->seg_base[site->seg];

    /* Nothing may reach past a flat segment's last byte and around. */
    if (offset + (site->size - 1u) < offset)
        cpu_fault_error(cpu, site->seg == CPU_SS ? VEC_SS : VEC_GP, 0);
    return site->checked ? protection_segment_address(cpu, site->seg, address, site->size, site->write) : address;
}

/* A store into the very block that executes it: its next instruction must
 * already be the new one, so the instruction is run again alone. */
static void guard_own_code(struct translator *t, const struct site *site, uint32_t linear, bool user)
{
    struct cpu *cpu = translator_cpu(t);
    uint32_t last = linear + site->size - 1, physical;

    if (site->block->mode & MODE_SINGLE)
        return;
    physical = view_translate(cpu, linear, VIEW_FOR_WRITE, user);
    if (!blocks_made_from(site->block, physical, site->size)) {
        if ((linear ^ last) < PAGE_SIZE)
            return;
        physical = view_translate(cpu, last, VIEW_FOR_WRITE, user);
        if (!blocks_made_from(site->block, physical & ~(PAGE_SIZE - 1), (last & (PAGE_SIZE - 1)) + 1))
            return;
    }
    t->single = true;
    longjmp(*cpu->fault_env, CPU_AGAIN);
}

/* An access that trips a data breakpoint is run again alone: #DB comes
 * directly behind its instruction. */
static void guard_watched(struct translator *t, const struct site *site, uint32_t linear)
{
    struct cpu *cpu = translator_cpu(t);

    if (site->block->mode & MODE_SINGLE || !watch_data_hits(cpu, linear, site->size, site->write))
        return;
    t->single = true;
    longjmp(*cpu->fault_env, CPU_AGAIN);
}

/* A word that may not be read back as it was stored, or that may be code. */
static void run_alone(struct translator *t, const struct site *site)
{
    if (!site->alone || site->block->mode & MODE_SINGLE)
        return;
    t->single = true;
    longjmp(*translator_cpu(t)->fault_env, CPU_AGAIN);
}

/* `device`: known to lie in device memory, where there is no code and nothing left to check. */
static void through_bounce(struct translator *t, const struct site *site, uint32_t linear, uint32_t address, bool device)
{
    struct cpu *cpu = translator_cpu(t);
    uint8_t *buffer = cpu->bounce + (linear & 63); /* keeps the alignment that SSE checks */
    bool user = cpu->cpl == 3;
    bool crosses = (linear & (PAGE_SIZE - 1)) + site->size > PAGE_SIZE;

    run_alone(t, site);
    t->counters.slow[device ? X86VM_SLOW_DEVICE : crosses ? X86VM_SLOW_CROSSING : X86VM_SLOW_PAGE]++;
    if (cpu->watch_data)
        guard_watched(t, site, linear);
    if (site->write && !device) {
        view_check_write(cpu, linear, site->size, user);
        guard_own_code(t, site, linear, user);
    }
    if (site->read || site->may_not_write)
        view_read(cpu, linear, buffer, site->size, user);
    cpu->scratch[ADDEND] = (uint64_t)(uintptr_t)buffer - address;
    cpu->scratch[BOUNCE_ADDRESS] = linear;
    go_back(cpu, site, site->bounce);
}

/* A driver's MOV to a register: the bounce buffer, and another call to commit it, would take as long as the rest. */
static void store_to_device(struct translator *t, const struct site *site, uint32_t physical)
{
    struct cpu *cpu = translator_cpu(t);
    uint32_t value = cpu->regs[site->stored - 1];

    t->counters.slow[X86VM_SLOW_DEVICE]++;
    io_mmio_write(cpu->io, physical, &value, site->size);
    go_back(cpu, site, site->after);
}

/* The addend for an access inside one page, 0: none. An entry that is there
 * already means that the page missed the window often. `physical` is set where the page is a device's. */
static uint64_t find_addend(struct cpu *cpu, const struct site *site, uint32_t linear, bool *device, uint32_t *physical)
{
    uint64_t addend = cpu->tables[(site->write ? VIEW_WRITE / 8 : 0) + (linear >> PAGE_SHIFT)];

    if (addend) {
        if (view_heated(cpu, linear))
            translator_request(cpu);
        return addend;
    }
    addend = view_fill(cpu, linear, site->write ? VIEW_FOR_WRITE : VIEW_FOR_READ, physical);
    *device = !addend && !phys_is_ram(cpu->phys, *physical);
    if (translator_current->eager && addend && view_heated(cpu, linear))
        translator_request(cpu);
    return addend;
}

void runtime_slow(struct cpu *cpu, uint32_t number, uint32_t address)
{
    struct translator *t = translator_current;
    const struct site *site = t->sites.items[number];
    uint32_t linear, physical = 0;
    uint64_t addend = 0;
    bool device = false;

    take_flags(cpu);
    arrive(cpu, site);
    t->counters.slow_accesses++;
    if (site->waits && x87_exception_pending())
        cpu_fault(cpu, VEC_MF);
    if (site->must_align && !site->checked && address & 15)
        cpu_fault_error(cpu, VEC_GP, 0);
    linear = linear_address(cpu, site, address);
    if (site->must_align && linear & 15)
        cpu_fault_error(cpu, VEC_GP, 0);
    if (site->checked)
        protection_check_alignment(cpu, linear, site->size);
    if ((linear & (PAGE_SIZE - 1)) + site->size <= PAGE_SIZE)
        addend = find_addend(cpu, site, linear, &device, &physical);
    if (addend) {
        cpu->scratch[ADDEND] = addend + linear - address;
        go_back(cpu, site, site->hot);
    } else if (device && site->stored && !cpu->watch_data) {
        store_to_device(t, site, physical);
    } else {
        through_bounce(t, site, linear, address, device);
    }
}

void runtime_commit(struct cpu *cpu, uint32_t number)
{
    const struct site *site = translator_current->sites.items[number];
    uint32_t linear = (uint32_t)cpu->scratch[BOUNCE_ADDRESS];

    arrive(cpu, site);
    view_write(cpu, linear, cpu->bounce + (linear & 63), site->size, cpu->cpl == 3);
    go_back(cpu, site, site->after);
}

/* Device memory and code pages: no check will ever pass. */
static bool never_direct(struct cpu *cpu, uint32_t address, bool write)
{
    uint32_t physical;

    if (!view_probe(cpu, address, write ? VIEW_FOR_WRITE : VIEW_FOR_READ, cpu->cpl == 3, &physical))
        return false;
    return !phys_is_ram(cpu->phys, physical) || (write && phys_marks(cpu->phys, physical >> PAGE_SHIFT) & PHYS_CODE);
}

/* Whether a group's check would find the page, alone or, where the range reaches
 * into the next, the next one in the window. */
static bool group_passes(const struct cpu *cpu, const struct site *site, uint32_t first, uint32_t last)
{
    const uint8_t *tables = (const uint8_t *)cpu->tables;
    bool pair = (first ^ last) >= PAGE_SIZE;
    uint32_t table = site->write ? (pair ? VIEW_WRITE_PAIR : VIEW_WRITE_IN) : (pair ? VIEW_READ_PAIR : VIEW_READ_IN);

    return tables[table + (last >> PAGE_SHIFT)];
}

static bool has_entry(const struct cpu *cpu, const struct site *site, uint32_t linear)
{
    return cpu->tables[(site->write ? VIEW_WRITE / 8 : 0) + (linear >> PAGE_SHIFT)];
}

/* A group's check found that the window will not do. */
void runtime_group(struct cpu *cpu, uint32_t number, uint32_t address)
{
    struct translator *t = translator_current;
    const struct site *site = t->sites.items[number];
    uint32_t last = address + site->size - 1u;
    bool nobody;

    take_flags(cpu);
    arrive(cpu, site);
    t->counters.slow_accesses++;
    if (!has_entry(cpu, site, address))
        view_fill_quietly(cpu, address);
    if ((address ^ last) >= PAGE_SIZE && !has_entry(cpu, site, last))
        view_fill_quietly(cpu, last);
    if (group_passes(cpu, site, address, last)) {
        go_back(cpu, site, site->hot);
        return;
    }
    nobody = site->estimated && (address ^ last) >= PAGE_SIZE; /* perhaps nobody ever gets to the other page */
    if ((nobody || never_direct(cpu, address, site->write)) && patience_group_failed(t, site->block->physical) && !site->block->dead)
        blocks_kill(t, site->block); /* its next translation has no groups */
    go_back(cpu, site, site->bounce);
}

/* The page that a program has just faulted for would fault in the host, too. */
static void show_missed(struct translator *t)
{
    struct cpu *cpu = translator_cpu(t);

    if (cpu->cpl != 3)
        return;
    t->missed.pending = false;
    view_bare_expect(cpu, t->missed.at, t->missed.write);
}

/* After an instruction that went elsewhere (SYSENTER, IRET, MOV CR..): when
 * nothing wants the run loop and the jump table knows the place, translated
 * code goes on there at once. */
static bool go_on(struct translator *t)
{
    struct cpu *cpu = translator_cpu(t);
    uint64_t code;

    if (cpu->exit_request || cpu->halted || cpu->interrupt_shadow || cpu->watch_code || cpu->watch_hits
        || cpu->eflags & FLAG_TF || cpu_nmi_due(cpu) || (cpu->intr && cpu->eflags & FLAG_IF))
        return false;
    if (t->missed.pending)
        show_missed(t);
    if (cpu->mode_dirty)
        mode_update(t);
    else
        mode_check_generation(t);
    code = blocks_remembered(t, cpu->eip);
    cpu->scratch[GO_ON] = code;
    return code != 0;
}

/* Behind STI or a load of SS: the next instruction comes before any interrupt. In the same block it does, and run.c makes
 * sure of it where it has to begin again; where the block ends the run loop runs it alone. */
static bool shadow_leaves(struct cpu *cpu, const struct call *call)
{
    const struct block *block = call->block;
    uint32_t next = call->insn.eip + call->insn.length;

    if (!cpu->interrupt_shadow || next == block->eip + block->length)
        return cpu->interrupt_shadow;
    cpu->interrupt_shadow = false;
    cpu->shadowed = next;
    return false;
}

static bool wants_run_loop(struct cpu *cpu, const struct call *call)
{
    return cpu->exit_request || call->block->dead || cpu->watch_hits || cpu->watch_code
           || (cpu->mode_dirty && mode_changed(translator_current, call->block->mode_mask)) || shadow_leaves(cpu, call);
}

int runtime_call(struct cpu *cpu, uint32_t number)
{
    struct translator *t = translator_current;
    const struct call *call = t->calls.items[number];
    const uint64_t key = cpu->lookup_key;
    enum call_result result;

    take_flags(cpu);
    cpu->eip = call->insn.eip;
    t->counters.helper_calls++;
    t->counters.call[call->insn.kind]++;
    cpu->debug_delay = DEBUG_AT_ONCE;
    result = call->function(cpu, &call->insn);
    if (result == CALL_NEXT && wants_run_loop(cpu, call)) {
        cpu->eip = call->insn.eip + call->insn.length;
        result = CALL_EXIT;
    }
    cpu->scratch[HOST_FLAGS] = (cpu->eflags & FLAGS_ARITH) | FLAG_ONE;
    cpu->scratch[GO_ON] = call->resume;
    if (result == CALL_EXIT)
        translator_keep_returns(t, key);
    if (result == CALL_EXIT && t->counting)
        count_leave(t, call->block, call->insn.eip, 1);
    if (result == CALL_EXIT && !(call->block->mode & MODE_SINGLE) && go_on(t)) {
        translator_begin_shadow(t, false);
        result = CALL_NEXT;
    }
    if (t->noted >= 0)
        transition_complete(t);
    return result;
}
