/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The engine's life and its run loop: take interrupts, find the block at the
 * guest's EIP, enter it, see why it came back. See x86vm.h; the translator's
 * files are listed in translate/translator.h.
 */
#include "x86vm/x86vm.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <x86intrin.h>

#include "x86vm/cpu/x87.h"
#include "x86vm/memory/bare.h"
#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/watch.h"
#include "x86vm/protection/protection.h"
#include "x86vm/translate/count.h"
#include "x86vm/translate/mode.h"

enum { CODE_CACHE_SIZE = 64 << 20, FXSAVE_XMM = 160 };

struct x86vm {
    struct translator t;
    pthread_t thread;    /* that runs the guest, */
    pid_t process_id, thread_id;
    bool thread_known;
    volatile bool running; /* and whether it does; any thread may look */
    uint8_t host_fpu[512] __attribute__((aligned(64)));
};

struct translator *translator_current;

typedef enum exit_reason enter_function(struct cpu *cpu, uint64_t code);

static void on_remapped(void *opaque)
{
    struct translator *t = opaque;
    view_flush_all(translator_cpu(t));
    translator_request(translator_cpu(t)); /* code may come from elsewhere now */
}

static bool build_machine(struct x86vm *vm, const struct x86vm_config *config)
{
    struct translator *t = &vm->t;
    struct cpu *cpu;

    t->cache_fd = -1;
    t->area = mmap(NULL, sizeof *t->area, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (t->area == MAP_FAILED)
        return false;
    cpu = translator_cpu(t);
    cpu->phys = t->phys = phys_new(config->ram_size);
    cpu->views = view_set_new();
    cpu->io = io_bus_new();
    if (!cpu->phys || !cpu->views || !cpu->io)
        return false;
    t->ram = phys_ram(t->phys);
    t->eager = getenv("X86VM_EAGER_WINDOW") != NULL;
    t->bmi2 = __builtin_cpu_supports("bmi2") && !getenv("X86VM_NO_BMI2");
    t->exact_flags = config->exact_flags;
    t->bare = bare_possible();
    t->bare_failed = NOWHERE;
    cpu_reset(cpu);
    cpu->tsc_khz = protection_measure_tsc_khz();
    view_select(cpu);
    phys_on_remapped(t->phys, on_remapped, t);
    cpu->features = getenv("X86VM_NO_SSE3") ? 0 : protection_host_features();
    insn_init(cpu->features);
    translator_current = t;
    if (t->bmi2 && !getenv("X86VM_NO_SHADOW") && !shadow_init(&t->shadow)) /* without BMI2 blocks use the stack for flags */
        return false;
    if (!blocks_init(t, config->code_cache_size ? config->code_cache_size : CODE_CACHE_SIZE))
        return false;
    blocks_clear_lookup(t);
    mode_update(t);
    return host_fault_install() && recall_install();
}

/* The thread that runs the guest, for a signal to it. Asked for only when it is
 * another one: a sandbox may not allow the call. */
static void note_thread(struct x86vm *vm)
{
    if (vm->thread_known && pthread_equal(vm->thread, pthread_self()))
        return;
    vm->thread = pthread_self();
    vm->process_id = getpid();
    vm->thread_id = (pid_t)syscall(SYS_gettid);
    vm->thread_known = true;
}

struct x86vm *x86vm_new(const struct x86vm_config *config, char *error, size_t error_size)
{
    struct x86vm *vm;

    if (translator_current) {
        snprintf(error, error_size, "only one engine a process");
        return NULL;
    }
    if (posix_memalign((void **)&vm, 64, sizeof *vm) != 0) {
        snprintf(error, error_size, "out of memory");
        return NULL;
    }
    memset(vm, 0, sizeof *vm);
    note_thread(vm);
    if (!build_machine(vm, config)) {
        snprintf(error, error_size, "cannot set up %llu MiB of guest memory and the code cache: %m",
                 (unsigned long long)(config->ram_size >> 20));
        x86vm_free(vm);
        return NULL;
    }
    return vm;
}

void x86vm_free(struct x86vm *vm)
{
    struct translator *t;

    if (!vm)
        return;
    t = &vm->t;
    blocks_free(t);
    shadow_free(&t->shadow);
    if (t->area && t->area != MAP_FAILED) {
        struct cpu *cpu = translator_cpu(t);
        phys_free(cpu->phys);
        view_set_free(cpu->views);
        io_bus_free(cpu->io);
        munmap(t->area, sizeof *t->area);
    }
    translator_current = NULL;
    free(vm);
}

struct cpu *x86vm_cpu(struct x86vm *vm) { return translator_cpu(&vm->t); }
struct phys *x86vm_phys(struct x86vm *vm) { return vm->t.phys; }
struct io_bus *x86vm_io(struct x86vm *vm) { return translator_cpu(&vm->t)->io; }

void x86vm_set_intr_ack(struct x86vm *vm, uint8_t (*ack)(void *opaque), void *opaque)
{
    struct cpu *cpu = x86vm_cpu(vm);
    cpu->intr_ack = ack;
    cpu->intr_opaque = opaque;
}

void x86vm_set_intr(struct x86vm *vm, bool level)
{
    struct cpu *cpu = x86vm_cpu(vm);
    cpu->intr = level;
    if (level)
        translator_request(cpu);
}

static void want_exit(struct x86vm *vm)
{
    __atomic_store_n(&vm->t.stop_request, true, __ATOMIC_SEQ_CST);
    translator_request(x86vm_cpu(vm));
}

void x86vm_request_exit(struct x86vm *vm)
{
    want_exit(vm);
    if (__atomic_load_n(&vm->running, __ATOMIC_SEQ_CST) && !pthread_equal(vm->thread, pthread_self()))
        syscall(SYS_tgkill, vm->process_id, vm->thread_id, RECALL_SIGNAL);
}

void x86vm_interrupted(struct x86vm *vm, void *context)
{
    if (!vm->running || !pthread_equal(vm->thread, pthread_self())) {
        x86vm_request_exit(vm);
        return;
    }
    want_exit(vm);
    recall_interrupted(&vm->t, context);
}

/* --- running --- */

static struct block *translate(struct translator *t, uint32_t mode)
{
    uint32_t eip = translator_cpu(t)->eip;
    uint64_t began = __rdtsc();
    struct block *block = build_block(t, eip, mode);

    if (view_bare_due(translator_cpu(t), began)) /* not all of it twice */
        translator_request(translator_cpu(t));

    if (!block) {
        blocks_flush(t);
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

    if (addend)
        physical = (uint32_t)(addend + linear - (uint64_t)(uintptr_t)t->ram);
    else
        view_fill(cpu, linear, VIEW_FOR_EXEC, &physical);
    block = blocks_find(t, cpu->eip, physical, mode);
    if (block && block->last_page != physical >> PAGE_SHIFT) {
        uint32_t second;
        view_fill(cpu, (linear & ~(PAGE_SIZE - 1)) + PAGE_SIZE, VIEW_FOR_EXEC, &second);
        if (second >> PAGE_SHIFT != block->last_page)
            block = NULL;
    }
    if (block)
        return block;
    block = translate(t, mode);
    mode_check_generation(t);
    return block;
}

static enum exit_reason enter(struct translator *t, uint64_t code, bool alone)
{
    struct cpu *cpu = translator_cpu(t);
    enter_function *function = (enter_function *)(uintptr_t)(alone ? t->stubs.enter_alone : t->stubs.enter);
    enum exit_reason reason;

    cpu->scratch[7] = (cpu->eflags & FLAGS_ARITH) | FLAG_ONE;
    translator_empty_shadow(t);
    t->counters.dispatches++;
    t->inside = true;
    reason = function(cpu, code);
    t->inside = false;
    t->counters.exit[reason == EXIT_LINK && cpu->exit_request ? EXIT_POLL : reason]++;
    if (reason != EXIT_CALL)
        cpu->eflags = (cpu->eflags & ~(uint32_t)FLAGS_ARITH) | (cpu->scratch[7] & FLAGS_ARITH);
    return reason;
}

/* A direct jump left its block for the first time: goes on, and links it. */
static void follow_link(struct translator *t)
{
    struct cpu *cpu = translator_cpu(t);
    const uint32_t number = (uint32_t)cpu->scratch[0];
    const struct link link = t->links.items[number];
    uint64_t flushes = t->counters.cache_flushes;
    struct block *to;

    cpu->eip = link.target;
    t->ungrouped = link.ungrouped;
    if (cpu->exit_request || cpu->mode_dirty || link.from->mode & MODE_PARTIAL)
        return;
    if (t->counting && cpu->count_left == 0)
        return; /* something may be due here, before the fetch faults */
    to = find_block(t, t->area->mode | (link.ungrouped ? MODE_UNGROUPED : 0));
    if (t->counters.cache_flushes == flushes)
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
        if (t->host_fault_vector == VEC_GP || t->host_fault_vector == VEC_AC)
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
    bool alone = t->single || trap || cpu->watch_code;
    uint32_t rare = (alone ? MODE_SINGLE : 0) | (t->ungrouped ? MODE_UNGROUPED : 0) | (uint32_t)t->partial << MODE_PARTIAL_SHIFT;
    uint32_t mode = t->area->mode | rare;
    const struct lookup_entry *entry = &t->area->lookup[cpu->eip & (LOOKUP_ENTRIES - 1)];
    enum exit_reason reason;
    bool bounded = rare & (MODE_SINGLE | MODE_PARTIAL), again;

    t->single = t->ungrouped = false;
    t->partial = 0;
    if (cpu->watch_code)
        check_code_breakpoints(cpu);
    cpu->debug_delay = DEBUG_AT_ONCE;
    if (!rare && entry->negated_key + (cpu->lookup_key & ~LOOKUP_POISON) + cpu->eip == 0) {
        reason = enter(t, entry->code, false);
    } else {
        struct block *block = find_block(t, mode);
        if (!rare)
            blocks_remember(t, cpu->eip, block);
        reason = enter(t, block->entry, bounded);
    }
    handle_exit(t, reason);
    if (reason == EXIT_COUNT || reason == EXIT_POLL) /* the same block again, or less of it: it has not begun */
        t->ungrouped = mode & MODE_UNGROUPED;
    again = reason == EXIT_COUNT || reason == EXIT_POLL || (reason == EXIT_NEXT && (t->single || t->ungrouped));
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

static enum x86vm_exit loop(struct translator *t)
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
            if (take_interrupt(t))
                continue;
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

/* The guest's FPU state is in the host's units only while the guest runs. */
static void load_guest_fpu(struct x86vm *vm)
{
    struct cpu *cpu = x86vm_cpu(vm);
    struct x87_pointers pointers;

    x87_image_pointers(cpu->fpu, &pointers);
    x87_set_pointers(cpu, &pointers);
    __asm__ volatile("fxsave %0" : "=m"(vm->host_fpu));
    memcpy(cpu->xmm, cpu->fpu + FXSAVE_XMM, sizeof cpu->xmm);
    __asm__ volatile("fxrstor %0" : : "m"(cpu->fpu) : "memory");
}

static void save_guest_fpu(struct x86vm *vm)
{
    struct cpu *cpu = x86vm_cpu(vm);
    const struct x87_pointers pointers = x87_pointers(cpu);

    __asm__ volatile("fxsave %0" : "=m"(cpu->fpu));
    x87_image_set_pointers(cpu->fpu, &pointers);
    memcpy(cpu->fpu + FXSAVE_XMM, cpu->xmm, sizeof cpu->xmm);
    __asm__ volatile("fxrstor %0" : : "m"(vm->host_fpu) : "memory");
}

enum { FROM_FAULT = 1, FROM_RESTART = 2 };

/* An exception, or an instruction to be run again, came by longjmp: out of a block, or before one was entered. */
static void count_interrupted(struct translator *t, int from)
{
    if (t->inside)
        count_leave_running(t);
    t->inside = false;
    if (from == FROM_FAULT)
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

enum x86vm_exit x86vm_run(struct x86vm *vm)
{
    struct translator *t = &vm->t;
    struct cpu *cpu = translator_cpu(t);
    enum x86vm_exit result;
    jmp_buf env;
    int from;

    note_thread(vm);
    __atomic_store_n(&vm->running, true, __ATOMIC_SEQ_CST);
    load_guest_fpu(vm);
    cpu->bare_loaded = NULL; /* perhaps another thread's */
    cpu->fault_env = &env;
    from = _setjmp(env);
    if (from && t->counting)
        count_interrupted(t, from);
    if (from == FROM_FAULT) {
        t->counters.exceptions++;
        t->counters.exception[cpu->fault_vector & (X86VM_EXCEPTIONS - 1)]++;
        note_missed(t);
        if (cpu->exception_tap)
            cpu->exception_tap(cpu->exception_opaque);
        protection_exception(cpu);
        cpu->fault_env = &env;
    }
    result = loop(t);
    cpu->fault_env = NULL;
    vm->running = false;
    save_guest_fpu(vm);
    return result;
}

void x86vm_rest(struct x86vm *vm, uint64_t now) { blocks_rest(&vm->t, now); }

void x86vm_count(struct x86vm *vm)
{
    vm->t.counting = true;
    view_bare_forbid(x86vm_cpu(vm)); /* host faults at their own times must not count */
    count_stop_at(&vm->t, UINT64_MAX);
}

uint64_t x86vm_position(const struct x86vm *vm) { return count_position(&vm->t); }
void x86vm_stop_at(struct x86vm *vm, uint64_t position) { count_stop_at(&vm->t, position); }

void x86vm_get_counters(const struct x86vm *vm, struct x86vm_counters *out)
{
    const struct translator *t = &vm->t;
    struct view_counters views;

    view_get_counters(&t->area->cpu, &views);
    *out = t->counters;
    out->page_faults = views.page_faults;
    out->view_fills = views.fills;
    out->view_flushes = views.flushes;
    out->page_flushes = views.page_flushes;
    out->bare_mappings = views.bare_mappings;
    out->bare_pages = views.bare_pages;
    if (t->area->cpu.tsc_khz)
        out->translate_ns = (uint64_t)((unsigned __int128)t->counters.translate_ticks * 1000000u / t->area->cpu.tsc_khz);
    out->code_bytes = (uint64_t)(t->hot.p - t->hot_start) + (uint64_t)(t->cold.p - t->cold_start);
}

bool x86vm_is_translated(const struct x86vm *vm, uintptr_t pc)
{
    return pc - (uintptr_t)vm->t.cache_rx < vm->t.cache_size;
}

bool x86vm_is_user(const struct x86vm *vm) { return vm->t.area->cpu.cpl == 3; }

bool x86vm_take_user_ran(struct x86vm *vm)
{
    struct cpu *cpu = x86vm_cpu(vm);
    bool ran = cpu->user_ran;

    cpu->user_ran = cpu->cpl == 3;
    return ran;
}

void x86vm_describe_state(const struct x86vm *vm, char *out, size_t size)
{
    const struct cpu *c = &vm->t.area->cpu;

    snprintf(out, size, "eip=%04x:%08x cpl=%u eflags=%08x eax=%08x ecx=%08x edx=%08x ebx=%08x esp=%04x:%08x ebp=%08x "
             "esi=%08x edi=%08x cr0=%08x cr2=%08x cr3=%08x cr4=%08x", c->seg[CPU_CS].selector, c->eip, c->cpl, c->eflags,
             c->regs[CPU_EAX], c->regs[CPU_ECX], c->regs[CPU_EDX], c->regs[CPU_EBX], c->seg[CPU_SS].selector,
             c->regs[CPU_ESP], c->regs[CPU_EBP], c->regs[CPU_ESI], c->regs[CPU_EDI], c->cr0, c->cr2, c->cr3, c->cr4);
}
