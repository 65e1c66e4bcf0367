/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The machine of machine.h: physical memory, tables, what interrupts ask for, and
 * the device page, which behaves like memory but is a call into C each time.
 */
#include "tests/programs/machine.h"
#include "tests/programs/monitor.h"

#include "tests/fuzz/fuzz_random.h"
#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/phys.h"
#include "x86vm/memory/view.h"
#include "x86vm/x86vm.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Physical memory beyond the monitor's: a page of a program has two places, and moves from one to the other. */
enum {
    RAM_SIZE = 16 << 20, AT_PROGRAMS = 0x100000, PROGRAM_STRIDE = 0x100000, AT_DATA = 0x80000, CODE_PAGES = INSN_CODE_SIZE / INSN_PAGE,
    MONITOR_PAGES = 32, TABLE_STRIDE = 0x5000,
};
#define DEVICE 0xe0000000u
#define PATCHER 0xe0100000u
enum { PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_A = 0x20, PTE_D = 0x40, PTE_LARGE = 0x80, PTE_GLOBAL = 0x100 };
enum { FLAT_CODE = 0x9b, FLAT_DATA = 0x93, DPL3 = 0x60 };
enum { KERNEL_CODE = 0x08, KERNEL_DATA = 0x10, TSS = 0x18 };
enum { FRAME_ES, FRAME_DS, FRAME_EDI, FRAME_ESI, FRAME_EBP, FRAME_ESP_AT, FRAME_EBX, FRAME_EDX, FRAME_ECX, FRAME_EAX,
       FRAME_EIP, FRAME_CS, FRAME_EFLAGS, FRAME_ESP, FRAME_SS, FRAME_WORDS };
#define CPU_SECONDS_MAX 40
#define LATE_NS 20000000ull /* from a request to the return, CPU time */
#define REST_NS (3600 * 1000000000ull)

extern const uint8_t monitor_begin[], monitor_end[], monitor_start[], monitor_interrupt[], monitor_page_fault[], monitor_no_fpu[],
    monitor_step[], monitor_program_end[], monitor_unexpected[];

static const uint8_t writable[INSN_WRITABLE] = INSN_WRITABLE_PAGES;

struct machine {
    struct x86vm *vm;
    struct cpu *cpu;
    struct phys *phys;
    struct fuzz_random random;
    const struct machine_program *programs;
    unsigned count;
    bool calm, may_step;
    bool global; /* the program's pages are: it is alone */
    timer_t timer;
    uint64_t rested, latest;
    uint8_t device[PROGRAMS_MAX][INSN_PAGE];
    struct copy { uint32_t frame; uint8_t bytes[INSN_PAGE]; } copies[PROGRAMS_MAX][16]; /* of frames that must stay as they are */
    bool spoiled;
    struct { uint32_t frame, value; uint8_t bytes[6]; } patch; /* of code: what was there, and what the new code returns */
    bool stale;
};

static struct x86vm *timer_vm;
static volatile uint64_t requested_at; /* CPU time; 0: not yet */

static uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void poke(struct machine *m, uint32_t at, const void *bytes, size_t size) { phys_dma_write(m->phys, at, bytes, size); }
static void poke32(struct machine *m, uint32_t at, uint32_t value) { poke(m, at, &value, 4); }

static uint32_t peek32(struct machine *m, uint32_t at)
{
    uint32_t value = 0;
    phys_dma_read(m->phys, at, &value, 4);
    return value;
}

static uint32_t order(uint32_t field) { return AT_ORDER + field; }

/* --- page tables --- */

static uint32_t directory(unsigned p) { return AT_TABLES + p * TABLE_STRIDE; }

/* Where the entry of an address in the windows of program `p` is. */
static uint32_t entry_at(unsigned p, uint32_t linear)
{
    static const uint32_t windows[] = { INSN_CODE, INSN_CODE_ALIAS, INSN_CODE_WRITABLE, INSN_DATA };
    unsigned i = 0;

    while (windows[i] >> 22 != linear >> 22)
        i++;
    return directory(p) + (i + 1) * INSN_PAGE + (linear >> 12 & 1023) * 4;
}

static uint32_t code_frame(unsigned p, unsigned page, unsigned place)
{
    return AT_PROGRAMS + p * PROGRAM_STRIDE + (page * 2 + place) * INSN_PAGE;
}

static uint32_t data_frame(unsigned p, unsigned page, unsigned place)
{
    return AT_PROGRAMS + p * PROGRAM_STRIDE + AT_DATA + ((15 - page) * 2 + place) * INSN_PAGE;
}

static void map(struct machine *m, unsigned p, uint32_t linear, uint32_t physical, uint32_t rights)
{
    uint32_t at = entry_at(p, linear);

    poke32(m, directory(p) + (linear >> 22) * 4, (at & ~0xfffu) | PTE_P | PTE_W | PTE_U);
    poke32(m, at, physical | rights | PTE_P | (m->programs[p].kernel ? 0 : PTE_U) | (m->global ? PTE_GLOBAL : 0) | ENTRY_GOOD);
}

static void map_program(struct machine *m, unsigned p)
{
    static const uint8_t zero[TABLE_STRIDE];
    const uint32_t may_write = PTE_W | ENTRY_WRITABLE;

    poke(m, directory(p), zero, sizeof zero);
    poke32(m, directory(p) + (MONITOR >> 22) * 4, AT_MONITOR_TABLE | PTE_P | PTE_W);
    for (uint32_t i = 0; i < RAM_SIZE >> 22; i++)
        poke32(m, directory(p) + ((EVERYTHING >> 22) + i) * 4, i << 22 | PTE_P | PTE_W | PTE_LARGE | PTE_GLOBAL);
    for (unsigned i = 0; i < CODE_PAGES; i++) {
        map(m, p, INSN_CODE + i * INSN_PAGE, code_frame(p, i, 0), 0);
        map(m, p, INSN_CODE_ALIAS + i * INSN_PAGE, code_frame(p, i, 0), 0);
        map(m, p, INSN_CODE_WRITABLE + i * INSN_PAGE, code_frame(p, i, 0), may_write);
    }
    for (unsigned i = 0; i < INSN_WRITABLE; i++)
        map(m, p, INSN_DATA + writable[i] * INSN_PAGE, data_frame(p, writable[i], 0), may_write);
    map(m, p, INSN_DATA + INSN_READONLY_PAGE * INSN_PAGE, data_frame(p, INSN_READONLY_PAGE, 0), 0);
    map(m, p, INSN_DATA + PROGRAM_DEVICE_PAGE * INSN_PAGE, DEVICE + p * INSN_PAGE, may_write);
}

/* --- the monitor's tables --- */

static void put_descriptor(struct machine *m, uint16_t selector, uint32_t base, uint8_t type)
{
    poke32(m, AT_GDT + (selector & ~7u), base << 16 | 0xffff);
    poke32(m, AT_GDT + (selector & ~7u) + 4, (base & 0xff000000) | 0xcf0000 | (uint32_t)type << 8 | (base >> 16 & 0xff));
}

static uint32_t monitor_address(const uint8_t *label) { return MONITOR + AT_MONITOR + (uint32_t)(label - monitor_begin); }

static void put_gate(struct machine *m, unsigned vector, uint32_t to, uint32_t dpl)
{
    poke32(m, AT_IDT + vector * 8, KERNEL_CODE << 16 | (to & 0xffff));
    poke32(m, AT_IDT + vector * 8 + 4, (to & 0xffff0000) | 0x8e00 | dpl << 8);
}

static void make_tables(struct machine *m)
{
    put_descriptor(m, KERNEL_CODE, 0, FLAT_CODE);
    put_descriptor(m, KERNEL_DATA, 0, FLAT_DATA);
    put_descriptor(m, INSN_SEL_CODE, 0, FLAT_CODE | DPL3);
    put_descriptor(m, INSN_SEL_DATA, 0, FLAT_DATA | DPL3);
    put_descriptor(m, INSN_SEL_GS, INSN_DATA, FLAT_DATA | DPL3);
    for (unsigned vector = 0; vector < 32; vector++)
        put_gate(m, vector, monitor_address(monitor_unexpected) + vector * 16, 0);
    put_gate(m, VEC_DB, monitor_address(monitor_step), 0);
    put_gate(m, VEC_BP, monitor_address(monitor_program_end), DPL3);
    put_gate(m, VEC_NM, monitor_address(monitor_no_fpu), 0);
    put_gate(m, VEC_PF, monitor_address(monitor_page_fault), 0);
    put_gate(m, VECTOR_INTERRUPT, monitor_address(monitor_interrupt), 0);
    poke(m, AT_MONITOR, monitor_begin, (size_t)(monitor_end - monitor_begin));
    poke32(m, AT_TSS + 8, KERNEL_DATA);
    poke32(m, AT_TSS + 0x64, 0x68 << 16);
    for (unsigned i = 0; i < MONITOR_PAGES; i++)
        poke32(m, AT_MONITOR_TABLE + (MONITOR >> 12 & 1023) * 4 + i * 4,
               (i == AT_PATCHER / INSN_PAGE ? PATCHER : i * INSN_PAGE) | PTE_P | PTE_W | PTE_GLOBAL);
}

/* --- what an interrupt asks for --- */

/* A page of some program, by its addresses; false: one that has to stay as it is. */
struct page { unsigned p, count; uint32_t linear[3]; bool code; };

static bool pick_page(struct machine *m, struct page *page)
{
    unsigned p = fuzz_below(&m->random, m->count);

    *page = (struct page){ .p = p, .code = fuzz_one_in(&m->random, 2) };
    if (page->code) {
        uint32_t offset = fuzz_below(&m->random, CODE_PAGES) * INSN_PAGE;
        page->count = 3;
        page->linear[0] = INSN_CODE + offset;
        page->linear[1] = INSN_CODE_ALIAS + offset;
        page->linear[2] = INSN_CODE_WRITABLE + offset;
        return true;
    }
    uint32_t number = fuzz_one_in(&m->random, 5) ? INSN_READONLY_PAGE : writable[fuzz_below(&m->random, INSN_WRITABLE)];
    page->count = 1;
    page->linear[0] = INSN_DATA + number * INSN_PAGE;
    return !(m->programs[p].kernel && (number == 8 || number == 9 || number == PROGRAM_CELLS_PAGE)); /* its stacks */
}

static void put_entry(struct machine *m, unsigned i, unsigned p, uint32_t linear, uint32_t value)
{
    poke32(m, order(ORDER_LIST) + i * 12, MONITOR + entry_at(p, linear));
    poke32(m, order(ORDER_LIST) + i * 12 + 4, value);
    poke32(m, order(ORDER_LIST) + i * 12 + 8, linear);
}

/* Takes the page away, or its right to be written, or what is known of its use. */
static bool ask_entries(struct machine *m)
{
    static const uint32_t takes[] = { PTE_P, PTE_P, PTE_W, PTE_A | PTE_D, PTE_P | PTE_W, 0 };
    const uint32_t take = takes[fuzz_below(&m->random, sizeof takes / sizeof *takes)];
    struct page page;

    if (!pick_page(m, &page))
        return false;
    for (unsigned i = 0; i < page.count; i++)
        put_entry(m, i, page.p, page.linear[i], peek32(m, entry_at(page.p, page.linear[i])) & ~take);
    poke32(m, order(ORDER_ENTRIES), page.count);
    return true;
}

static struct copy *copy_of(struct machine *m, const struct page *page)
{
    return page->code ? NULL : &m->copies[page->p][(page->linear[0] - INSN_DATA) / INSN_PAGE];
}

/* A frame that is shared until somebody writes: nobody has written to it. */
static void check_copy(struct machine *m, struct copy *copy)
{
    uint8_t now[INSN_PAGE];

    if (!copy || !copy->frame)
        return;
    phys_dma_read(m->phys, copy->frame, now, sizeof now);
    m->spoiled |= memcmp(now, copy->bytes, sizeof now) != 0;
    copy->frame = 0;
}

/* The first write moves the page; where it was, everything stays. */
static bool ask_share(struct machine *m)
{
    struct page page;
    struct copy *copy;
    uint32_t entry;

    if (!pick_page(m, &page) || page.code)
        return false;
    copy = copy_of(m, &page);
    check_copy(m, copy);
    entry = peek32(m, entry_at(page.p, page.linear[0]));
    if (!(entry & ENTRY_WRITABLE) || entry >= DEVICE || m->programs[page.p].kernel)
        return false; /* ring 0 may write to any page while CR0.WP is off */
    copy->frame = entry & ~0xfffu;
    phys_dma_read(m->phys, copy->frame, copy->bytes, sizeof copy->bytes);
    put_entry(m, 0, page.p, page.linear[0], (entry & ~(uint32_t)PTE_W) | ENTRY_SHARED);
    poke32(m, order(ORDER_ENTRIES), 1);
    return true;
}

static bool ask_move(struct machine *m)
{
    struct page page;
    uint32_t from, to;

    if (!pick_page(m, &page))
        return false;
    check_copy(m, copy_of(m, &page));
    from = peek32(m, entry_at(page.p, page.linear[0])) & ~0xfffu;
    to = from ^ INSN_PAGE;
    if (from >= DEVICE)
        return false;
    poke32(m, order(ORDER_FROM), EVERYTHING + from);
    poke32(m, order(ORDER_TO), EVERYTHING + to);
    poke32(m, order(ORDER_KEEP), fuzz_below(&m->random, 2)); /* old code, which may be changed at its new place */
    for (unsigned i = 0; i < page.count; i++)
        put_entry(m, i, page.p, page.linear[i], (peek32(m, entry_at(page.p, page.linear[i])) & 0xfff & ~ENTRY_SHARED) | to);
    poke32(m, order(ORDER_ENTRIES), page.count);
    return true;
}

/* A device writes what is there already into code, or moves a page while nothing runs. */
static void dma(struct machine *m)
{
    uint8_t bytes[64];
    unsigned p = fuzz_below(&m->random, m->count);
    uint32_t linear = INSN_CODE + fuzz_below(&m->random, INSN_CODE_SIZE - sizeof bytes), at;

    at = (peek32(m, entry_at(p, linear)) & ~0xfffu) + (linear & 0xfff);
    if ((at & 0xfff) + sizeof bytes > INSN_PAGE)
        at -= sizeof bytes;
    if (phys_dma_read(m->phys, at, bytes, sizeof bytes))
        phys_dma_write(m->phys, at, bytes, sizeof bytes);
}

/* A device writes a function over some code, of the running program or another's; the monitor calls it and
 * tells the patcher, which puts back the code before anybody else runs. */
static void ask_patch(struct machine *m)
{
    static const uint32_t windows[] = { INSN_CODE, INSN_CODE_ALIAS, INSN_CODE_WRITABLE };
    const unsigned p = fuzz_below(&m->random, m->count);
    const uint32_t offset = fuzz_below(&m->random, INSN_CODE_SIZE), at = (offset & 0xfff) <= INSN_PAGE - sizeof m->patch.bytes ? offset : offset & ~0xfffu;
    const bool running = peek32(m, AT_CURRENT) == MONITOR + AT_PROCESSES + p * PROCESS_SIZE;
    uint8_t code[sizeof m->patch.bytes] = { 0xb8, 0, 0, 0, 0, 0xc3 }; /* mov eax, value; ret */

    m->patch.frame = (peek32(m, entry_at(p, INSN_CODE + at)) & ~0xfffu) + (at & 0xfff);
    m->patch.value = (uint32_t)fuzz_draw(&m->random);
    memcpy(code + 1, &m->patch.value, 4);
    phys_dma_read(m->phys, m->patch.frame, m->patch.bytes, sizeof m->patch.bytes);
    phys_dma_write(m->phys, m->patch.frame, code, sizeof code);
    poke32(m, order(ORDER_ADDRESS), running && fuzz_one_in(&m->random, 2) ? windows[fuzz_below(&m->random, 3)] + at : EVERYTHING + m->patch.frame);
}

static void patch_over(void *opaque, uint32_t offset, unsigned size, uint32_t value)
{
    struct machine *m = opaque;
    (void)offset, (void)size;

    m->stale |= value != m->patch.value;
    phys_dma_write(m->phys, m->patch.frame, m->patch.bytes, sizeof m->patch.bytes);
}

static unsigned pick_order(struct machine *m)
{
    static const uint8_t weights[OP_COUNT] = { [OP_NONE] = 8, [OP_CR3] = 4, [OP_INVLPG] = 4, [OP_ENTRIES] = 16, [OP_MOVE] = 12, [OP_SHARE] = 12,
        [OP_TOUCH] = 3, [OP_NEST] = 8, [OP_GLOBAL] = 1, [OP_WRITE_PROTECT] = 2, [OP_LAZY_FPU] = 6, [OP_FPU] = 6, [OP_STEP] = 2,
        [OP_SWITCH] = 20, [OP_PATCH] = 8 };
    unsigned sum = 0, op = 0, r;

    for (unsigned i = 0; i < OP_COUNT; i++)
        sum += weights[i];
    for (r = fuzz_below(&m->random, sum); r >= weights[op]; op++)
        r -= weights[op];
    return op;
}

static uint8_t acknowledge(void *opaque)
{
    struct machine *m = opaque;
    unsigned op = pick_order(m);

    x86vm_set_intr(m->vm, false);
    poke32(m, order(ORDER_ADDRESS), INSN_CODE_WRITABLE + fuzz_below(&m->random, INSN_CODE_SIZE));
    if (op == OP_INVLPG)
        poke32(m, order(ORDER_ADDRESS), (fuzz_one_in(&m->random, 2) ? INSN_DATA : INSN_CODE_ALIAS) + fuzz_below(&m->random, 0x10000));
    if (op == OP_PATCH)
        ask_patch(m);
    if (op == OP_STEP)
        poke32(m, order(ORDER_ADDRESS), 1 + fuzz_below(&m->random, 60));
    if (op == OP_SHARE && ask_share(m))
        op = OP_ENTRIES;
    else if ((op == OP_STEP && !m->may_step) || op == OP_SHARE || (op == OP_ENTRIES && !ask_entries(m)) || (op == OP_MOVE && !ask_move(m)))
        op = OP_NONE;
    poke32(m, order(ORDER_OP), op);
    if (fuzz_one_in(&m->random, 12))
        dma(m);
    return VECTOR_INTERRUPT;
}

static void raise_line(struct machine *m)
{
    if (!m->calm)
        x86vm_set_intr(m->vm, true);
}

static void on_timer(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    if (!requested_at)
        requested_at = cpu_ns();
    x86vm_interrupted(timer_vm, context);
}

static void arm(struct machine *m)
{
    const struct itimerspec at = { .it_value = { 0, 5000 + fuzz_below(&m->random, fuzz_one_in(&m->random, 8) ? 2000000 : 150000) } };
    requested_at = 0;
    timer_settime(m->timer, 0, &at, NULL);
}

/* --- the device --- */

static uint32_t device_read(void *opaque, uint32_t offset, unsigned size)
{
    struct machine *m = opaque;
    uint32_t value = 0;

    memcpy(&value, m->device[0] + offset, size);
    if (fuzz_one_in(&m->random, 16))
        raise_line(m);
    return value;
}

static void device_write(void *opaque, uint32_t offset, unsigned size, uint32_t value)
{
    struct machine *m = opaque;

    memcpy(m->device[0] + offset, &value, size);
    if (fuzz_one_in(&m->random, 8))
        raise_line(m);
    if (fuzz_one_in(&m->random, 64))
        x86vm_request_exit(m->vm);
    if (fuzz_one_in(&m->random, 64))
        dma(m);
}

static const struct io_ops device_ops = { .read = device_read, .write = device_write }, patcher_ops = { .read = device_read, .write = patch_over };

/* --- programs --- */

static void load_memory(struct machine *m, unsigned p)
{
    const struct machine_program *program = &m->programs[p];

    for (unsigned i = 0; i < CODE_PAGES; i++)
        poke(m, code_frame(p, i, 0), program->program->code + i * INSN_PAGE, INSN_PAGE);
    for (unsigned i = 0; i < INSN_WRITABLE; i++)
        if (writable[i] == PROGRAM_DEVICE_PAGE)
            memcpy(m->device[p], program->memory->pattern[i], INSN_PAGE);
        else
            poke(m, data_frame(p, writable[i], 0), program->memory->pattern[i], INSN_PAGE);
    poke(m, data_frame(p, INSN_READONLY_PAGE, 0), program->memory->readonly, INSN_PAGE);
}

/* As if it had been interrupted before its first instruction. */
static void start_program(struct machine *m, unsigned p)
{
    const struct insn_state *in = &m->programs[p].program->input;
    const bool kernel = m->programs[p].kernel;
    const uint32_t data = kernel ? KERNEL_DATA : INSN_SEL_DATA, stack = AT_STACKS + (p + 1) * INSN_PAGE, at = AT_PROCESSES + p * PROCESS_SIZE;
    const uint32_t size = (kernel ? FRAME_ESP : FRAME_WORDS) * 4, top = kernel ? in->regs[CPU_ESP] : MONITOR + stack;
    const uint32_t frame[FRAME_WORDS] = { data, data, in->regs[7], in->regs[6], in->regs[5], 0, in->regs[3], in->regs[2], in->regs[1],
                                          in->regs[0], in->eip, kernel ? KERNEL_CODE : INSN_SEL_CODE, in->eflags, in->regs[CPU_ESP], INSN_SEL_DATA };

    if (kernel)
        poke(m, data_frame(p, 9, 0) + (in->regs[CPU_ESP] & 0xfff) - size, frame, size);
    else
        poke(m, stack - size, frame, size);
    poke32(m, at + PROCESS_ESP, top - size);
    poke32(m, at + PROCESS_ESP0, MONITOR + stack);
    poke32(m, at + PROCESS_CR3, directory(p));
    poke32(m, at + PROCESS_DONE, 0);
    poke(m, at + PROCESS_FX, in->fx, sizeof in->fx);
}

static struct cpu_segment flat(uint16_t selector, uint32_t base, uint16_t type)
{
    return (struct cpu_segment){ .base = base, .limit = 0xffffffff, .selector = selector, .access = type | SEG_G | SEG_DB };
}

static void start_cpu(struct machine *m)
{
    struct cpu *cpu = m->cpu;
    const struct cpu_segment code = flat(KERNEL_CODE, 0, FLAT_CODE), data = flat(KERNEL_DATA, 0, FLAT_DATA),
                             gs = flat(INSN_SEL_GS, INSN_DATA, FLAT_DATA | DPL3);

    cpu_reset(cpu);
    for (unsigned i = 0; i < CPU_SEG_COUNT; i++)
        cpu_set_segment(cpu, i, i == CPU_CS ? &code : i == CPU_GS ? &gs : &data);
    cpu->gdtr = (struct cpu_table){ MONITOR + AT_GDT, 0x7f };
    cpu->idtr = (struct cpu_table){ MONITOR + AT_IDT, 0x7ff };
    cpu->tr = (struct cpu_segment){ .base = MONITOR + AT_TSS, .limit = 0x67, .selector = TSS, .access = SEG_P | 11 };
    cpu->cr3 = directory(0);
    cpu->cr4 = CR4_PSE | CR4_OSFXSR | CR4_OSXMMEXCPT | (fuzz_one_in(&m->random, 8) ? 0 : CR4_PGE);
    cpu->cr0 = CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG;
    cpu->cpl = 0;
    cpu->eflags = FLAG_ONE;
    cpu->eip = monitor_address(monitor_start);
    cpu->regs[CPU_ESP] = MONITOR + AT_STACKS + INSN_PAGE;
    cpu->mode_dirty = true;
    view_flush_all(cpu);
    view_select(cpu);
}

static void start(struct machine *m)
{
    m->may_step = true;
    m->spoiled = m->stale = false;
    memset(m->copies, 0, sizeof m->copies);
    m->global = m->count == 1 && !fuzz_one_in(&m->random, 4);
    for (unsigned p = 0; p < m->count; p++) {
        map_program(m, p);
        load_memory(m, p);
        start_program(m, p);
        m->may_step &= !m->programs[p].program->shows_flags;
    }
    poke32(m, AT_NEST, 0);
    poke32(m, AT_STEPS, 0);
    poke32(m, AT_BAD, 0);
    poke32(m, AT_CURRENT, MONITOR + AT_PROCESSES);
    poke32(m, AT_END, MONITOR + AT_PROCESSES + m->count * PROCESS_SIZE);
    start_cpu(m);
}

/* --- results --- */

/* Reads a page of the program where it is now. */
static void read_page(struct machine *m, unsigned p, uint32_t linear, uint8_t *to)
{
    uint32_t frame = peek32(m, entry_at(p, linear)) & ~0xfffu;

    if (frame >= DEVICE)
        memcpy(to, m->device[p], INSN_PAGE);
    else
        phys_dma_read(m->phys, frame, to, INSN_PAGE);
}

static void read_result(struct machine *m, unsigned p, struct machine_result *out)
{
    const uint32_t at = AT_PROCESSES + p * PROCESS_SIZE, esp = peek32(m, at + PROCESS_ESP);
    const bool kernel = m->programs[p].kernel;
    static const uint8_t slots[8] = { FRAME_EAX, FRAME_ECX, FRAME_EDX, FRAME_EBX, FRAME_ESP, FRAME_EBP, FRAME_ESI, FRAME_EDI };
    uint32_t frame[FRAME_WORDS];

    memset(out, 0, sizeof *out);
    for (unsigned i = 0; i < CODE_PAGES; i++)
        read_page(m, p, INSN_CODE + i * INSN_PAGE, out->code + i * INSN_PAGE);
    for (unsigned i = 0; i < INSN_WRITABLE; i++)
        read_page(m, p, INSN_DATA + writable[i] * INSN_PAGE, out->output.memory[i]);
    if (kernel)
        memcpy(frame, out->output.memory[5] + (esp & 0xfff), FRAME_ESP * 4); /* page 9: few words above its end */
    else
        phys_dma_read(m->phys, esp - MONITOR, frame, sizeof frame);
    if (kernel && (esp - INSN_DATA) >> 12 != 9)
        memset(frame, 0, sizeof frame);
    for (unsigned i = 0; i < 8; i++)
        out->output.state.regs[i] = frame[slots[i]];
    if (kernel)
        out->output.state.regs[CPU_ESP] = esp + FRAME_ESP * 4;
    out->output.state.eip = frame[FRAME_EIP];
    out->output.state.eflags = frame[FRAME_EFLAGS];
    phys_dma_read(m->phys, at + PROCESS_FX, out->output.state.fx, sizeof out->output.state.fx);
    out->output.vector = VEC_BP;
    out->output.status = INSN_DONE;
}

static bool run(struct machine *m, char *error, size_t error_size)
{
    uint64_t late;
    const uint64_t end = cpu_ns() + CPU_SECONDS_MAX * 1000000000ull;
    char state[300] = "";
    enum x86vm_exit exit;
    uint32_t bad;

    do {
        if (!m->calm)
            arm(m);
        exit = x86vm_run(m->vm);
        late = requested_at ? cpu_ns() - requested_at : 0;
        m->latest = late > m->latest ? late : m->latest;
        if (exit == X86VM_EXIT_REQUESTED)
            raise_line(m);
        if (!m->calm && fuzz_one_in(&m->random, 60)) /* as if it had been idle: code is dropped */
            x86vm_rest(m->vm, m->rested += REST_NS);
    } while (exit == X86VM_EXIT_REQUESTED && cpu_ns() < end && late < LATE_NS);
    timer_settime(m->timer, 0, &(struct itimerspec){ .it_value = { 0, 0 } }, NULL); /* nobody else's calls are interrupted */
    if (late >= LATE_NS) {
        snprintf(error, error_size, "came back %.1f ms of CPU time after it was asked to", (double)late / 1e6);
        return false;
    }
    bad = peek32(m, AT_BAD);
    x86vm_describe_state(m->vm, state, sizeof state);
    if (exit == X86VM_EXIT_DEAD && !bad)
        return true;
    if (bad)
        snprintf(error, error_size, "exception %u that should not be (cr2 %08x); %s", bad - 100, m->cpu->cr2, state);
    else
        snprintf(error, error_size, "%s; %s", exit == X86VM_EXIT_REQUESTED ? "runs for ever" : exit == X86VM_EXIT_SHUTDOWN ? "shut down" : "halted", state);
    return false;
}

bool machine_run(struct machine *m, uint64_t seed, const struct machine_program *programs, unsigned count,
                 struct machine_result *results, char *error, size_t error_size)
{
    m->random = fuzz_random_of(seed, 0);
    m->programs = programs;
    m->count = count;
    x86vm_set_intr(m->vm, false);
    start(m);
    if (!run(m, error, error_size))
        return false;
    for (unsigned p = 0; p < count; p++)
        for (unsigned i = 0; i < 16; i++)
            check_copy(m, &m->copies[p][i]);
    if (m->spoiled) {
        snprintf(error, error_size, "a page was written that was not to be");
        return false;
    }
    if (m->stale) {
        snprintf(error, error_size, "code that a device had written was not what ran");
        return false;
    }
    for (unsigned p = 0; p < count; p++)
        read_result(m, p, &results[p]);
    return true;
}

struct machine *machine_new(bool calm, bool small, char *error, size_t error_size)
{
    struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN };
    struct sigaction action = { .sa_sigaction = on_timer, .sa_flags = SA_SIGINFO | SA_RESTART | SA_ONSTACK };
    const struct x86vm_config config = { .ram_size = RAM_SIZE, .code_cache_size = small ? 1 << 20 : 0,
                                        .exact_flags = getenv("PROGRAMS_EXACT_FLAGS") != NULL };
    struct machine *m = calloc(1, sizeof *m);

    if (!m || !(m->vm = x86vm_new(&config, error, error_size))) {
        free(m);
        return NULL;
    }
    timer_vm = m->vm;
    m->calm = calm;
    m->cpu = x86vm_cpu(m->vm);
    m->phys = x86vm_phys(m->vm);
    x86vm_set_intr_ack(m->vm, acknowledge, m);
    io_bus_map_mmio(x86vm_io(m->vm), DEVICE, sizeof m->device, &device_ops, m);
    io_bus_map_mmio(x86vm_io(m->vm), PATCHER, INSN_PAGE, &patcher_ops, m);
    make_tables(m);
    if (sigaction(SIGRTMIN, &action, NULL) || timer_create(CLOCK_MONOTONIC, &event, &m->timer)) {
        snprintf(error, error_size, "no timer");
        machine_free(m);
        return NULL;
    }
    return m;
}

uint64_t machine_latest_ns(const struct machine *m) { return m->latest; }

void machine_counters(const struct machine *m, struct x86vm_counters *out) { x86vm_get_counters(m->vm, out); }

void machine_free(struct machine *m)
{
    x86vm_free(m->vm);
    free(m);
}
