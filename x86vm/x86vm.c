/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The engine's life, what its users ask of it, and the way into its run loop. See
 * x86vm.h; the loop is translate/run.c, the translator's files are listed in
 * translate/translator.h.
 */
#include "x86vm/x86vm.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "x86vm/cpu/x87.h"
#include "x86vm/memory/bare.h"
#include "x86vm/memory/io_bus.h"
#include "x86vm/protection/protection.h"
#include "x86vm/translate/count.h"
#include "x86vm/translate/mode.h"
#include "x86vm/translate/run.h"

enum { CODE_CACHE_SIZE = 128 << 20, FXSAVE_XMM = 160 };

struct x86vm {
    struct translator t;
    pthread_t thread;    /* that runs the guest, */
    pid_t process_id, thread_id;
    bool thread_known;
    volatile bool running; /* and whether it does; any thread may look */
    uint8_t host_fpu[512] __attribute__((aligned(64)));
};

struct translator *translator_current;

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
    jumps_init(t);
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

void x86vm_set_ferr(struct x86vm *vm, void (*ferr)(void *opaque), void *opaque)
{
    struct cpu *cpu = x86vm_cpu(vm);

    cpu->ferr = ferr;
    cpu->ferr_opaque = opaque;
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
    if (from)
        run_interrupted(t, (enum cpu_jump)from);
    cpu->fault_env = &env;
    result = run_loop(t);
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
    out->page_faults += views.page_faults;
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
