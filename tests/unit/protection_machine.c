/* SPDX-License-Identifier: BSD-2-Clause
 *
 * See protection_machine.h.
 */
#include "tests/unit/protection_machine.h"

#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/phys.h"

#include <stdlib.h>
#include <string.h>

struct cpu *cpu;
jmp_buf machine_env;
uint32_t machine_ram_size = RAM_SIZE;
static struct cpu before;

uint32_t peek(uint32_t address)
{
    uint32_t v;
    memcpy(&v, phys_ram(cpu->phys) + address, 4);
    return v;
}
uint16_t peek16(uint32_t address) { return peek(address); }
uint8_t peek8(uint32_t address) { return peek(address); }
void poke(uint32_t address, uint32_t value) { memcpy(phys_ram(cpu->phys) + address, &value, 4); }
void poke16(uint32_t address, uint16_t value) { memcpy(phys_ram(cpu->phys) + address, &value, 2); }
void poke8(uint32_t address, uint8_t value) { phys_ram(cpu->phys)[address] = value; }

/* `access` as in struct cpu_segment; with SEG_G the limit is in pages. */
void machine_descriptor(uint32_t table, uint16_t selector, uint32_t base, uint32_t limit, unsigned access)
{
    poke(table + (selector & 0xfff8u), (limit & 0xffff) | base << 16);
    poke(table + (selector & 0xfff8u) + 4,
         (base >> 16 & 0xff) | (base & 0xff000000) | (limit & 0xf0000) | access << 8);
}

void machine_gate(uint32_t table, unsigned index, uint16_t selector, uint32_t offset, unsigned type_dpl_p, unsigned count)
{
    poke(table + index * 8, (offset & 0xffff) | (uint32_t)selector << 16);
    poke(table + index * 8 + 4, (offset & 0xffff0000) | type_dpl_p << 8 | count);
}

enum { FLAT = SEG_G | SEG_DB, CODE = SEG_P | SEG_S | SEG_TYPE_CODE | SEG_TYPE_RW, DATA = SEG_P | SEG_S | SEG_TYPE_RW,
       USER = SEG_DPL, RING1 = 1 << SEG_DPL_SHIFT };

static void fill_gdt(void)
{
    static const struct { uint16_t selector; uint32_t base, limit; unsigned access; } rows[] = {
        { CODE0, 0, 0xfffff, FLAT | CODE },
        { DATA0, 0, 0xfffff, FLAT | DATA },
        { CODE3, 0, 0xfffff, FLAT | CODE | USER },
        { DATA3, 0, 0xfffff, FLAT | DATA | USER },
        { TSS_SEL, TSS, 0x3ff, SEG_P | 9 },
        { LDT_SEL, LDT, 0x1f, SEG_P | 2 },
        { CODE16, BASE16, 0xffff, CODE },
        { DATA16, BASE16, 0xffff, DATA },
        { CONFORMING0, 0, 0xfffff, FLAT | CODE | SEG_TYPE_CONFORMING },
        { ABSENT_CODE0, 0, 0xfffff, (FLAT | CODE) & ~SEG_P },
        { ABSENT_DATA3, 0, 0xfffff, (FLAT | DATA | USER) & ~SEG_P },
        { ABSENT_DATA0, 0, 0xfffff, (FLAT | DATA) & ~SEG_P },
        { EXEC_ONLY3, 0, 0xfffff, (FLAT | CODE | USER) & ~SEG_TYPE_RW },
        { READONLY3, 0, 0xfffff, (FLAT | DATA | USER) & ~SEG_TYPE_RW },
        { EXPAND_DOWN, 0, 0xfff, SEG_DB | DATA | SEG_TYPE_EXPAND_DOWN },
        { TSS2_SEL, TSS_NEXT, 0x67, SEG_P | 9 | USER },
        { TSS16_SEL, TSS_SHORT, 0x2b, SEG_P | 1 },
        { DATA1, 0, 0xfffff, FLAT | DATA | RING1 },
        { CODE1, 0, 0xfffff, FLAT | CODE | RING1 },
        { SHORT_CODE0, 0, 0xfff, SEG_DB | CODE },
        { ABSENT_LDT, LDT, 0x1f, 2 },
        { ABSENT_TSS, TSS_NEXT, 0x67, 9 },
        { CONFORMING3, 0, 0xfffff, FLAT | CODE | USER | SEG_TYPE_CONFORMING },
        { DATA16_3, BASE16, 0xffff, DATA | USER },
        { SMALL_DATA3, 0, 0xff, SEG_DB | DATA | USER },
    };

    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
        machine_descriptor(GDT, rows[i].selector, rows[i].base, rows[i].limit, rows[i].access);
    machine_gate(GDT, GATE32 / 8, CODE0, 0x1234567, 0xec, 2);
    machine_gate(GDT, GATE16 / 8, CODE16, 0x4567, 0xe4, 1);
    machine_gate(GDT, TASK_GATE_SEL / 8, TSS2_SEL, 0, 0xe5, 0);
    machine_gate(GDT, ABSENT_GATE / 8, CODE0, 0, 0x6c, 0);
    machine_gate(GDT, GATE_TO_DATA / 8, DATA0, 0, 0xec, 0);
    machine_gate(GDT, GATE_TO_CONFORMING / 8, CONFORMING0, 0x777, 0xec, 0);
    machine_descriptor(LDT, LDT_DATA3, 0x5000, 0xfff, SEG_DB | DATA | USER);
    machine_descriptor(LDT, LDT_CODE3, 0x5000, 0xfff, SEG_DB | CODE | USER);
}

void machine_setup(void)
{
    cpu = aligned_alloc(64, (sizeof *cpu + 63) / 64 * 64);
    memset(cpu, 0, sizeof *cpu);
    cpu->phys = phys_new(machine_ram_size);
    cpu->views = view_set_new();
    cpu->io = io_bus_new();
    cpu_reset(cpu);
    fill_gdt();
    for (unsigned i = 0; i < 256; i++)
        machine_gate(IDT, i, CODE0, HANDLER, i == 0x80 ? 0xef : 0x8e, 0);
    poke(TSS + 4, STACK0), poke(TSS + 8, DATA0);
    poke(TSS + 12, STACK1), poke(TSS + 16, DATA1 | 1);
    poke16(TSS + 102, 104);
    cpu->gdtr = (struct cpu_table){ GDT, GDT_END - 1 };
    cpu->idtr = (struct cpu_table){ IDT, 0x7ff };
    cpu->cr0 = CR0_PE | CR0_ET;
    view_flush_all(cpu);
    view_select(cpu);
    cpu->tr = (struct cpu_segment){ .base = TSS, .limit = 0x3ff, .selector = TSS_SEL, .access = SEG_P | 11 };
    poke8(GDT + TSS_SEL + 5, SEG_P | 11);
    cpu->ldtr = (struct cpu_segment){ .base = LDT, .limit = 0x1f, .selector = LDT_SEL, .access = SEG_P | 2 };
    machine_ring(0);
    cpu->mode_dirty = false;
}

void machine_teardown(void)
{
    view_set_free(cpu->views);
    io_bus_free(cpu->io);
    phys_free(cpu->phys);
    free(cpu);
    cpu = NULL;
}

static void set_flat(enum cpu_seg which, uint16_t selector, unsigned access)
{
    const struct cpu_segment s = { .limit = 0xffffffff, .selector = selector, .access = access | SEG_TYPE_ACCESSED };
    cpu_set_segment(cpu, which, &s);
}

void machine_ring(unsigned cpl)
{
    static const uint16_t code[] = { CODE0, CODE1 | 1, 0, CODE3 | 3 }, data[] = { DATA0, DATA1 | 1, 0, DATA3 | 3 };
    static const uint32_t stack[] = { STACK0, STACK1, 0, STACK3 };
    const unsigned dpl = cpl << SEG_DPL_SHIFT;

    cpu->cpl = cpl;
    view_select(cpu);
    set_flat(CPU_CS, code[cpl], FLAT | CODE | dpl);
    set_flat(CPU_SS, data[cpl], FLAT | DATA | dpl);
    for (int i = 0; i < CPU_SEG_COUNT; i++)
        if (i != CPU_CS && i != CPU_SS)
            set_flat(i, DATA3 | 3, FLAT | DATA | USER);
    cpu->eflags = FLAG_ONE | FLAG_IF;
    cpu->eip = 0x400;
    for (int i = 0; i < 8; i++)
        cpu->regs[i] = 0x11111111u * (i + 1);
    cpu->regs[CPU_ESP] = stack[cpl];
}

static void set_paragraph(enum cpu_seg which, uint16_t selector, unsigned access)
{
    const struct cpu_segment s = { .base = selector * 16u, .limit = 0xffff, .selector = selector, .access = access };
    cpu_set_segment(cpu, which, &s);
}

void machine_real(void)
{
    cpu->cr0 = CR0_ET;
    cpu->cpl = 0;
    view_flush_all(cpu);
    view_select(cpu);
    for (int i = 0; i < CPU_SEG_COUNT; i++)
        set_paragraph(i, 0x100 * (i + 1), (i == CPU_CS ? CODE : DATA) | SEG_TYPE_ACCESSED);
    cpu->idtr = (struct cpu_table){ 0, 0x3ff };
    cpu->eflags = FLAG_ONE | FLAG_IF;
    cpu->eip = 0x400;
    cpu->regs[CPU_ESP] = 0x1000;
}

void machine_v8086(unsigned iopl)
{
    cpu->cpl = 3;
    view_select(cpu);
    for (int i = 0; i < CPU_SEG_COUNT; i++)
        set_paragraph(i, 0x600 + 0x10 * i, DATA | USER | SEG_TYPE_ACCESSED);
    cpu->eflags = FLAG_ONE | FLAG_IF | FLAG_VM | iopl << FLAGS_IOPL_SHIFT;
    cpu->eip = 0x40;
    cpu->regs[CPU_ESP] = STACK_V86;
}

void machine_page(void)
{
    poke(DIRECTORY, TABLE | 7);
    for (uint32_t i = 0; i < 1024; i++)
        poke(TABLE + i * 4, i << 12 | 7);
    cpu->cr3 = DIRECTORY;
    cpu->cr0 |= CR0_PG | CR0_WP;
    view_flush_all(cpu);
    view_select(cpu);
}

void machine_set_pte(uint32_t linear, uint32_t bits)
{
    poke(TABLE + (linear >> 12) * 4, (linear & ~0xfffu) | bits);
    view_flush_all(cpu);
}

void machine_begin(void)
{
    cpu->fault_env = &machine_env;
    cpu->fault_error = 0xdeadbeef;
    before = *cpu;
}

int machine_end(int vector)
{
    cpu->fault_env = NULL;
    return vector;
}

bool machine_unchanged(void)
{
    return !memcmp(before.regs, cpu->regs, sizeof cpu->regs) && before.eip == cpu->eip && before.eflags == cpu->eflags &&
           !memcmp(before.seg, cpu->seg, sizeof cpu->seg) && !memcmp(&before.tr, &cpu->tr, sizeof cpu->tr) &&
           !memcmp(&before.ldtr, &cpu->ldtr, sizeof cpu->ldtr) && before.cpl == cpu->cpl && before.cr0 == cpu->cr0 &&
           before.cr3 == cpu->cr3 && before.cr4 == cpu->cr4 && before.halted == cpu->halted &&
           !memcmp(before.dr, cpu->dr, sizeof cpu->dr) && before.interrupt_shadow == cpu->interrupt_shadow &&
           !memcmp(before.seg_base, cpu->seg_base, sizeof cpu->seg_base) && before.tables == cpu->tables;
}
