/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The engine as a backend. Its guest is as small as can be: page tables that put
 * the windows of insn.h where the native side has them, a GDT with Linux's
 * selectors, and an IDT whose gates lead to a HLT each, so that the run loop
 * comes back with the exception frame on the ring-0 stack. A case starts with
 * the CPU's state set to ring 3 by hand.
 *
 * Small segments (insn.h) there are in protected mode, in v8086 mode, where they
 * begin at the paragraphs below, and in real mode, where these addresses are
 * physical, nothing is write-protected, and an exception's frame is on the
 * case's own stack.
 */
#include "tests/insn/backend.h"
#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/phys.h"
#include "x86vm/memory/view.h"
#include "x86vm/x86vm.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

/* Physical memory. The first 64 KiB are also linear MONITOR.., for ring 0. */
enum {
    RAM_SIZE = 16 << 20, AT_GDT = 0x1000, AT_IDT = 0x2000, AT_TSS = 0x3000, AT_HANDLERS = 0x4000, AT_STACK_END = 0x8000, AT_LDT = 0x2900,
    AT_DIRECTORY = 0x8000, AT_TABLES = 0x9000, MONITOR_PAGES = 16, HANDLER_SIZE = 16,
    AT_CODE = 0x100000, AT_DATA = 0x200000, LOW_DATA = 0x20000, LOW_CODE = 0x40000,
};
#define MONITOR 0xfffe0000u
enum { PTE_P = 1, PTE_W = 2, PTE_U = 4 };
#define HANG_SECONDS 3

struct engine {
    struct x86vm *vm;
    struct cpu *cpu;
    struct phys *phys;
    enum gen_mode mode;
};

static const uint8_t writable[INSN_WRITABLE] = INSN_WRITABLE_PAGES;
static struct x86vm *alarm_vm;

static void poke(struct engine *e, uint32_t address, const void *bytes, uint32_t size)
{
    phys_dma_write(e->phys, address, bytes, size);
}

static void poke32(struct engine *e, uint32_t address, uint32_t value)
{
    poke(e, address, &value, 4);
}

/* Pages that follow each other in linear memory do not in physical memory. */
static uint32_t code_page(const struct engine *e, unsigned page)
{
    return e->mode == GEN_REAL ? LOW_CODE + page * INSN_PAGE : AT_CODE + (INSN_CODE_SIZE / INSN_PAGE - 1 - page) * INSN_PAGE;
}

static uint32_t data_page(const struct engine *e, unsigned page)
{
    return e->mode == GEN_REAL ? LOW_DATA + page * INSN_PAGE : AT_DATA + (15 - page) * 2 * INSN_PAGE;
}

static void map_page(struct engine *e, uint32_t linear, uint32_t physical, uint32_t rights)
{
    uint32_t entry = 0, slot = AT_DIRECTORY + (linear >> 22) * 4;
    phys_dma_read(e->phys, slot, &entry, 4);
    if (!entry) {
        static uint32_t tables;
        entry = (AT_TABLES + tables++ * INSN_PAGE) | PTE_P | PTE_W | PTE_U;
        poke32(e, slot, entry);
    }
    poke32(e, (entry & ~0xfffu) + (linear >> 12 & 1023) * 4, physical | rights | PTE_P);
}

static void make_page_tables(struct engine *e)
{
    const uint32_t code = e->mode == GEN_PROTECTED ? INSN_CODE : LOW_CODE, data = e->mode == GEN_PROTECTED ? INSN_DATA : LOW_DATA;

    for (unsigned i = 0; i < MONITOR_PAGES; i++)
        map_page(e, MONITOR + i * INSN_PAGE, i * INSN_PAGE, PTE_W);
    for (unsigned i = 0; i < INSN_CODE_SIZE / INSN_PAGE; i++)
        map_page(e, code + i * INSN_PAGE, code_page(e, i), PTE_U);
    for (unsigned i = 0; i < INSN_WRITABLE; i++)
        map_page(e, data + writable[i] * INSN_PAGE, data_page(e, writable[i]), PTE_U | PTE_W);
    map_page(e, data + INSN_READONLY_PAGE * INSN_PAGE, data_page(e, INSN_READONLY_PAGE), PTE_U);
}

enum { FLAT_CODE = 0x9b, FLAT_DATA = 0x93, DPL3 = 0x60 };

static void put_descriptor(struct engine *e, uint16_t selector, uint32_t base, uint8_t type)
{
    uint32_t at = AT_GDT + (selector & ~7u);
    poke32(e, at, base << 16 | 0xffff);
    poke32(e, at + 4, (base & 0xff000000) | (base ? 0xdf0000 : 0xcf0000) | (uint32_t)type << 8 | (base >> 16 & 0xff));
}

static struct cpu_segment flat(uint16_t selector, uint32_t base, uint16_t type)
{
    return (struct cpu_segment){ .base = base, .limit = 0xffffffff, .selector = selector, .access = type | SEG_G | SEG_DB };
}

static struct cpu_segment small_segment(uint16_t selector, uint32_t base, uint16_t type)
{
    return (struct cpu_segment){ .base = base, .limit = INSN_SMALL_LIMIT, .selector = selector, .access = type };
}

static void put_small_descriptor(struct engine *e, uint16_t selector, uint32_t base, uint8_t type)
{
    uint32_t at = AT_LDT + (selector & ~7u);
    poke32(e, at, base << 16 | INSN_SMALL_LIMIT);
    poke32(e, at + 4, (base & 0xff000000) | (uint32_t)(type | DPL3) << 8 | (base >> 16 & 0xff));
}

static void make_tables(struct engine *e)
{
    struct cpu *cpu = e->cpu;
    put_descriptor(e, 0x08, 0, FLAT_CODE);
    put_descriptor(e, 0x10, 0, FLAT_DATA);
    put_descriptor(e, INSN_SEL_CODE, 0, FLAT_CODE | DPL3);
    put_descriptor(e, INSN_SEL_DATA, 0, FLAT_DATA | DPL3);
    poke32(e, AT_GDT + (INSN_SEL_FS & ~7u), INSN_FS_BASE << 16 | INSN_FS_LIMIT);
    poke32(e, AT_GDT + (INSN_SEL_FS & ~7u) + 4, (INSN_FS_BASE & 0xff000000) | 0x500000 | (FLAT_DATA | DPL3) << 8 | (INSN_FS_BASE >> 16 & 0xff));
    put_descriptor(e, INSN_SEL_GS, INSN_DATA, FLAT_DATA | DPL3);
    for (uint32_t vector = 0; vector < 256; vector++) {
        uint32_t handler = MONITOR + AT_HANDLERS + vector * HANDLER_SIZE;
        bool open = vector == VEC_BP || vector == VEC_OF;
        poke32(e, AT_IDT + vector * 8, 0x08 << 16 | (handler & 0xffff));
        poke32(e, AT_IDT + vector * 8 + 4, (handler & 0xffff0000) | 0x8e00 | (open ? DPL3 << 8 : 0));
        poke(e, AT_HANDLERS + vector * HANDLER_SIZE, "\xf4", 1);
        poke32(e, vector * 4, AT_HANDLERS + vector * HANDLER_SIZE); /* real mode's */
    }
    poke32(e, AT_TSS + 4, MONITOR + AT_STACK_END);
    poke32(e, AT_TSS + 8, 0x10);
    poke32(e, AT_TSS + 0x64, 0x68 << 16); /* no I/O bitmap */
    cpu->gdtr = (struct cpu_table){ MONITOR + AT_GDT, 0x7f };
    cpu->idtr = (struct cpu_table){ MONITOR + AT_IDT, 0x7ff };
    cpu->tr = (struct cpu_segment){ .base = MONITOR + AT_TSS, .limit = 0x67, .selector = 0x18, .access = SEG_P | 11 };
    poke32(e, AT_LDT, 0xffff);
    poke32(e, AT_LDT + 4, 0x8f0000 | (FLAT_CODE | DPL3) << 8);
    put_small_descriptor(e, INSN_SEL_SMALL_CODE, INSN_CODE, FLAT_CODE);
    put_small_descriptor(e, INSN_SEL_SMALL_DATA, INSN_DATA, FLAT_DATA);
    put_small_descriptor(e, INSN_SEL_SMALL_FS, INSN_SMALL_FS, FLAT_DATA);
    cpu->ldtr = (struct cpu_segment){ .base = MONITOR + AT_LDT, .limit = 31, .selector = 0x20, .access = SEG_P | 2 };
    cpu->cr3 = AT_DIRECTORY;
    cpu->cr4 = CR4_PSE | CR4_OSFXSR | CR4_OSXMMEXCPT;
    cpu->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_AM | CR0_PG;
    if (e->mode == GEN_REAL) {
        cpu->idtr = (struct cpu_table){ 0, 0x3ff };
        cpu->cr0 &= ~(uint32_t)(CR0_PE | CR0_PG);
    }
    view_flush_all(cpu);
}

static void on_alarm(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    x86vm_interrupted(alarm_vm, context);
}

static void *engine_open(const struct gen_options *options, char *error, size_t error_size)
{
    struct engine *e = calloc(1, sizeof *e);
    const struct x86vm_config config = { .ram_size = RAM_SIZE };
    if (!e || !(e->vm = x86vm_new(&config, error, error_size))) {
        free(e);
        return NULL;
    }
    e->cpu = x86vm_cpu(e->vm);
    e->phys = x86vm_phys(e->vm);
    e->mode = options->mode;
    make_page_tables(e);
    make_tables(e);
    alarm_vm = e->vm;
    sigaction(SIGALRM, &(struct sigaction){ .sa_sigaction = on_alarm, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK }, NULL);
    return e;
}

static void engine_load(void *self, const struct insn_shared *shared)
{
    struct engine *e = self;
    for (unsigned i = 0; i < INSN_CODE_SIZE / INSN_PAGE; i++)
        poke(e, code_page(e, i), shared->code + i * INSN_PAGE, INSN_PAGE);
    poke(e, data_page(e, INSN_READONLY_PAGE), shared->readonly, INSN_PAGE);
}

static void set_segments(struct cpu *cpu, const struct cpu_segment *code, const struct cpu_segment *data,
                         const struct cpu_segment *fs, const struct cpu_segment *gs)
{
    cpu_set_segment(cpu, CPU_CS, code);
    cpu_set_segment(cpu, CPU_SS, data);
    cpu_set_segment(cpu, CPU_DS, data);
    cpu_set_segment(cpu, CPU_ES, data);
    cpu_set_segment(cpu, CPU_FS, fs);
    cpu_set_segment(cpu, CPU_GS, gs);
}

static void set_flat_segments(struct cpu *cpu, uint16_t cs)
{
    struct cpu_segment code = flat(cs, 0, FLAT_CODE | DPL3);
    const struct cpu_segment data = flat(INSN_SEL_DATA, 0, FLAT_DATA | DPL3),
                             gs = flat(INSN_SEL_GS, INSN_DATA, FLAT_DATA | DPL3),
                             fs = { .base = INSN_FS_BASE, .limit = INSN_FS_LIMIT, .selector = INSN_SEL_FS, .access = FLAT_DATA | DPL3 | SEG_DB };
    if (cs == INSN_SEL_CODE16)
        code.access &= (uint16_t)~SEG_DB;
    set_segments(cpu, &code, &data, &fs, &gs);
}

static void set_small_segments(struct cpu *cpu, enum gen_mode mode)
{
    const uint32_t fs_at = LOW_DATA + INSN_SMALL_FS - INSN_DATA;
    const uint16_t dpl = mode == GEN_REAL ? 0 : DPL3, code_type = mode == GEN_V8086 ? FLAT_DATA : FLAT_CODE;
    struct cpu_segment code = small_segment(LOW_CODE >> 4, LOW_CODE, code_type | dpl),
                       data = small_segment(LOW_DATA >> 4, LOW_DATA, FLAT_DATA | dpl),
                       fs = small_segment((uint16_t)(fs_at >> 4), fs_at, FLAT_DATA | dpl);

    if (mode == GEN_PROTECTED) {
        code = small_segment(INSN_SEL_SMALL_CODE, INSN_CODE, FLAT_CODE | DPL3);
        data = small_segment(INSN_SEL_SMALL_DATA, INSN_DATA, FLAT_DATA | DPL3);
        fs = small_segment(INSN_SEL_SMALL_FS, INSN_SMALL_FS, FLAT_DATA | DPL3);
    }
    set_segments(cpu, &code, &data, &fs, &data);
}

static void enter_case(struct engine *e, const struct insn_state *in)
{
    struct cpu *cpu = e->cpu;

    if (in->cs == INSN_SEL_SMALL_CODE)
        set_small_segments(cpu, e->mode);
    else
        set_flat_segments(cpu, (uint16_t)in->cs);
    cpu->cpl = e->mode == GEN_REAL ? 0 : 3;
    memcpy(cpu->regs, in->regs, sizeof cpu->regs);
    cpu->eip = in->eip;
    cpu->eflags = in->eflags | (e->mode == GEN_V8086 ? FLAG_VM | FLAG_IOPL : 0);
    memcpy(cpu->fpu, in->fx, sizeof cpu->fpu);
    cpu->cr2 = 0;
    cpu->halted = cpu->shutdown = cpu->interrupt_shadow = false;
    cpu->mode_dirty = true;
    view_select(cpu);
}

static void set_alarm(int seconds)
{
    const struct itimerval timer = { .it_value.tv_sec = seconds };
    setitimer(ITIMER_REAL, &timer, NULL);
}

/* The exception's frame is on the ring-0 stack. */
static void read_frame(struct engine *e, struct insn_output *out)
{
    uint32_t frame[10], depth = MONITOR + AT_STACK_END - e->cpu->regs[CPU_ESP], least = e->mode == GEN_V8086 ? 36 : 20;
    bool has_error = depth == least + 4;

    if (depth != least && !has_error) {
        out->vector = 1000 + depth;
        return;
    }
    phys_dma_read(e->phys, AT_STACK_END - depth, frame, depth);
    out->error = has_error ? frame[0] : 0;
    out->state.eip = frame[has_error];
    out->state.eflags = frame[has_error + 2] & ~(e->mode == GEN_V8086 ? FLAG_VM | FLAG_IOPL : 0u);
    out->state.regs[CPU_ESP] = frame[has_error + 3];
}

/* Real mode's has 16-bit flags, so no RF, which a fault's image has natively. */
static void read_real_frame(struct engine *e, struct insn_output *out)
{
    uint32_t esp = e->cpu->regs[CPU_ESP];
    uint16_t frame[3];

    for (unsigned i = 0; i < 3; i++)
        phys_dma_read(e->phys, LOW_DATA + ((esp + 2 * i) & 0xffff), &frame[i], 2);
    out->frame_at = esp & 0xffff;
    out->frame_size = sizeof frame;
    out->state.eip = frame[0];
    out->state.eflags = (e->cpu->eflags & 0xffff0000) | frame[2] | (out->vector == VEC_BP || out->vector == VEC_OF ? 0 : FLAG_RF);
    out->state.regs[CPU_ESP] = (esp & 0xffff0000) | ((esp + sizeof frame) & 0xffff);
}

/* A low address is the same one of the native windows. */
static uint32_t native_address(const struct engine *e, uint32_t address)
{
    if (e->mode == GEN_PROTECTED)
        return address;
    return address >= LOW_CODE ? address - LOW_CODE + INSN_CODE : address - LOW_DATA + INSN_DATA;
}

/* EIP is behind the handler's HLT. */
static void store_result(struct engine *e, struct insn_output *out)
{
    struct cpu *cpu = e->cpu;

    memcpy(out->state.regs, cpu->regs, sizeof out->state.regs);
    memcpy(out->state.fx, cpu->fpu, sizeof out->state.fx);
    out->vector = (cpu->eip - 1 - (e->mode == GEN_REAL ? 0 : MONITOR) - AT_HANDLERS) / HANDLER_SIZE;
    out->cr2 = out->vector == VEC_PF ? native_address(e, cpu->cr2) : cpu->cr2;
    for (unsigned i = 0; i < INSN_WRITABLE; i++)
        phys_dma_read(e->phys, data_page(e, writable[i]), out->memory[i], INSN_PAGE);
    if (e->mode == GEN_REAL)
        read_real_frame(e, out);
    else
        read_frame(e, out);
}

static void engine_run(void *self, const struct insn_shared *shared, unsigned slot, struct insn_output *out)
{
    struct engine *e = self;
    for (unsigned i = 0; i < INSN_WRITABLE; i++)
        poke(e, data_page(e, writable[i]), shared->pattern[i], INSN_PAGE);
    if (e->mode == GEN_REAL) /* nothing is read-only: the last case's exception may have stored its frame there */
        poke(e, data_page(e, INSN_READONLY_PAGE), shared->readonly, INSN_PAGE);
    enter_case(e, &shared->input[slot]);
    set_alarm(HANG_SECONDS);
    enum x86vm_exit exit = x86vm_run(e->vm);
    set_alarm(0);
    out->status = INSN_DONE;
    if (exit == X86VM_EXIT_DEAD)
        store_result(e, out);
    else if (exit == X86VM_EXIT_REQUESTED)
        out->status = INSN_HUNG;
    else if (e->mode == GEN_REAL && exit == X86VM_EXIT_SHUTDOWN)
        out->status = INSN_SKIPPED; /* no room for the exception's frame */
    else
        out->vector = 2000 + (uint32_t)exit;
}

static void engine_close(void *self)
{
    struct engine *e = self;
    x86vm_free(e->vm);
    free(e);
}

extern const struct backend engine_backend;
const struct backend engine_backend = { "x86vm", false, engine_open, engine_load, engine_run, engine_close };
