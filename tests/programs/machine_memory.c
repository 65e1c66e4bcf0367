/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What is in the machine's memory: page tables, the monitor with its own tables, and
 * the programs, from where they begin to what became of them.
 */
#include "tests/programs/machine_internal.h"

#include "x86vm/memory/view.h"

#include <string.h>

enum { FLAT_CODE = 0x9b, FLAT_DATA = 0x93, DPL3 = 0x60 };
enum { KERNEL_CODE = 0x08, KERNEL_DATA = 0x10, TSS = 0x18 };
enum { FRAME_ES, FRAME_DS, FRAME_EDI, FRAME_ESI, FRAME_EBP, FRAME_ESP_AT, FRAME_EBX, FRAME_EDX, FRAME_ECX, FRAME_EAX,
       FRAME_EIP, FRAME_CS, FRAME_EFLAGS, FRAME_ESP, FRAME_SS, FRAME_WORDS };

extern const uint8_t monitor_begin[], monitor_end[], monitor_start[], monitor_interrupt[], monitor_page_fault[], monitor_no_fpu[],
    monitor_step[], monitor_program_end[], monitor_unexpected[];

const uint8_t machine_writable[INSN_WRITABLE] = INSN_WRITABLE_PAGES;

/* --- page tables --- */

static uint32_t directory(unsigned p) { return AT_TABLES + p * TABLE_STRIDE; }

uint32_t machine_entry_at(unsigned p, uint32_t linear)
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
    uint32_t at = machine_entry_at(p, linear);

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
        map(m, p, INSN_DATA + machine_writable[i] * INSN_PAGE, data_frame(p, machine_writable[i], 0), may_write);
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

void machine_make_tables(struct machine *m)
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

/* --- programs as they begin --- */

static void load_memory(struct machine *m, unsigned p)
{
    const struct machine_program *program = &m->programs[p];

    for (unsigned i = 0; i < CODE_PAGES; i++)
        poke(m, code_frame(p, i, 0), program->program->code + i * INSN_PAGE, INSN_PAGE);
    for (unsigned i = 0; i < INSN_WRITABLE; i++)
        if (machine_writable[i] == PROGRAM_DEVICE_PAGE)
            memcpy(m->device[p], program->memory->pattern[i], INSN_PAGE);
        else
            poke(m, data_frame(p, machine_writable[i], 0), program->memory->pattern[i], INSN_PAGE);
    poke(m, data_frame(p, INSN_READONLY_PAGE, 0), program->memory->readonly, INSN_PAGE);
}

/* As if it had been interrupted before its first instruction. */
static void start_program(struct machine *m, unsigned p)
{
    const struct insn_state *in = &m->programs[p].program->input;
    const bool kernel = m->programs[p].kernel;
    const uint32_t data = kernel ? KERNEL_DATA : INSN_SEL_DATA;
    const uint32_t stack = AT_STACKS + (p + 1) * INSN_PAGE, at = AT_PROCESSES + p * PROCESS_SIZE;
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

void machine_load(struct machine *m)
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

/* --- what became of them --- */

/* Reads a page of the program where it is now. */
static void read_page(struct machine *m, unsigned p, uint32_t linear, uint8_t *to)
{
    uint32_t frame = peek32(m, machine_entry_at(p, linear)) & ~0xfffu;

    if (frame >= DEVICE)
        memcpy(to, m->device[p], INSN_PAGE);
    else
        phys_dma_read(m->phys, frame, to, INSN_PAGE);
}

void machine_read_result(struct machine *m, unsigned p, struct machine_result *out)
{
    const uint32_t at = AT_PROCESSES + p * PROCESS_SIZE, esp = peek32(m, at + PROCESS_ESP);
    const bool kernel = m->programs[p].kernel;
    static const uint8_t slots[8] = { FRAME_EAX, FRAME_ECX, FRAME_EDX, FRAME_EBX, FRAME_ESP, FRAME_EBP, FRAME_ESI, FRAME_EDI };
    uint32_t frame[FRAME_WORDS];

    memset(out, 0, sizeof *out);
    for (unsigned i = 0; i < CODE_PAGES; i++)
        read_page(m, p, INSN_CODE + i * INSN_PAGE, out->code + i * INSN_PAGE);
    for (unsigned i = 0; i < INSN_WRITABLE; i++)
        read_page(m, p, INSN_DATA + machine_writable[i] * INSN_PAGE, out->output.memory[i]);
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
