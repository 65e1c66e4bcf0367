/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The machine of fuzz_engine: see fuzz_guest.h. Everything here is a state that
 * a guest could have reached; the random code goes on from there.
 */
#include "tests/fuzz/fuzz_guest.h"

#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/paging.h"
#include "x86vm/memory/phys.h"
#include "x86vm/memory/view.h"
#include "x86vm/memory/watch.h"
#include "x86vm/protection/control.h"

enum selector {
    SEL_NULL, SEL_CODE0, SEL_DATA0, SEL_CODE3, SEL_DATA3, SEL_CODE16, SEL_DATA16, SEL_BASED, SEL_DOWN, SEL_CONFORMING,
    SEL_LDT, SEL_TSS, SEL_TSS_FREE, SEL_TSS16, SEL_CALL_GATE, SEL_CALL_GATE16, SEL_TASK_GATE, SEL_ABSENT, SEL_READ_ONLY,
    SEL_EXECUTE_ONLY, SEL_CODE1, SEL_DATA1, SEL_CODE2, SEL_DATA2, SEL_FLAT16, SEL_SMALL, SEL_RANDOM,
};

/* Access byte and flags as in a descriptor's second dword. */
struct segment_row { uint32_t base, limit; uint8_t access, flags; };

enum { FLAGS_32 = 0xc, FLAGS_32_BYTES = 4, FLAGS_16 = 0, FLAGS_16_PAGES = 8 };

static const struct segment_row segments[SEL_RANDOM] = {
    [SEL_CODE0] = { 0, 0xfffff, 0x9b, FLAGS_32 }, [SEL_DATA0] = { 0, 0xfffff, 0x93, FLAGS_32 },
    [SEL_CODE3] = { 0, 0xfffff, 0xfb, FLAGS_32 }, [SEL_DATA3] = { 0, 0xfffff, 0xf3, FLAGS_32 },
    [SEL_CODE16] = { FUZZ_CODE, 0xffff, 0x9a, FLAGS_16 }, [SEL_DATA16] = { FUZZ_DATA, 0xffff, 0xf2, FLAGS_16 },
    [SEL_BASED] = { FUZZ_DATA, 0xfffff, 0xf2, FLAGS_32 }, [SEL_DOWN] = { FUZZ_DATA, 0x7fff, 0xf6, FLAGS_32_BYTES },
    [SEL_CONFORMING] = { 0, 0xfffff, 0x9e, FLAGS_32 }, [SEL_LDT] = { FUZZ_LDT, 0x7f, 0x82, 0 },
    [SEL_TSS] = { FUZZ_TSS, 0x2ff, 0x8b, 0 }, [SEL_TSS_FREE] = { FUZZ_TSS + 0x400, 0xff, 0xe9, 0 },
    [SEL_TSS16] = { FUZZ_TSS + 0x800, 0x2b, 0xe1, 0 }, [SEL_ABSENT] = { 0, 0xfffff, 0x72, FLAGS_32 },
    [SEL_READ_ONLY] = { 0, 0xfffff, 0xf0, FLAGS_32 }, [SEL_EXECUTE_ONLY] = { 0, 0xfffff, 0xf8, FLAGS_32 },
    [SEL_CODE1] = { 0, 0xfffff, 0xba, FLAGS_32 }, [SEL_DATA1] = { 0, 0xfffff, 0xb2, FLAGS_32 },
    [SEL_CODE2] = { 0, 0xfffff, 0xda, FLAGS_32 }, [SEL_DATA2] = { 0, 0xfffff, 0xd2, FLAGS_32 },
    [SEL_FLAT16] = { 0, 0xfffff, 0x9a, FLAGS_16_PAGES }, [SEL_SMALL] = { FUZZ_DATA + 0x123, 0x345, 0xf2, FLAGS_32_BYTES },
};

static void poke(struct phys *phys, uint32_t at, uint32_t value)
{
    phys_dma_write(phys, at, &value, sizeof value);
}

uint16_t fuzz_guest_selector(struct fuzz_random *r)
{
    if (fuzz_one_in(r, 12))
        return (uint16_t)fuzz_value(r);
    return (uint16_t)(fuzz_below(r, FUZZ_SELECTORS) << 3 | (fuzz_one_in(r, 12) ? 4u : 0) |
                      (fuzz_one_in(r, 2) ? 0 : fuzz_below(r, 4)));
}

uint32_t fuzz_guest_address(struct fuzz_random *r)
{
    static const struct { uint32_t base, size; } areas[] = {
        { FUZZ_DATA, FUZZ_DATA_SIZE }, { FUZZ_DATA, FUZZ_DATA_SIZE }, { FUZZ_CODE, FUZZ_CODE_SIZE }, { FUZZ_CODE, 0x200 },
        { FUZZ_STACK - 0x2000, 0x2000 }, { FUZZ_HIGH + FUZZ_DATA, FUZZ_DATA_SIZE }, { FUZZ_HIGH + FUZZ_CODE, FUZZ_CODE_SIZE },
        { FUZZ_MMIO, FUZZ_MMIO_SIZE }, { FUZZ_MMIO_LOW, FUZZ_MMIO_LOW_SIZE }, { FUZZ_GDT, 0x100 }, { FUZZ_IDT, 0x880 },
        { FUZZ_TSS, 0x1000 }, { FUZZ_DIRECTORY, 0x2000 }, { FUZZ_PAE_ROOT, 0x6000 }, { FUZZ_WIDE, 0x400000 },
        { FUZZ_RAM - 0x20, 0x40 }, { 0xfffffff0, 0x20 }, { 0, 0x400 }, { 0, 0xffffffff },
    };
    uint32_t which = fuzz_below(r, sizeof areas / sizeof areas[0]);
    uint32_t at = areas[which].base + fuzz_below(r, areas[which].size);

    if (fuzz_one_in(r, 6)) /* about a page's end */
        at = ((at + 4095) & ~4095u) - fuzz_below(r, 16);
    return fuzz_one_in(r, 2) ? at & ~3u : at;
}

uint16_t fuzz_guest_port(struct fuzz_random *r)
{
    return (uint16_t)(fuzz_one_in(r, 4) ? fuzz_value(r) : 0x40 + fuzz_below(r, 0x40));
}

/* --- tables --- */

static void put_gate(struct phys *phys, uint32_t at, uint16_t selector, uint32_t offset, uint8_t access, uint8_t count)
{
    poke(phys, at, (uint32_t)selector << 16 | (offset & 0xffff));
    poke(phys, at + 4, (offset & 0xffff0000) | (uint32_t)access << 8 | count);
}

static uint32_t handler_offset(struct fuzz_random *r)
{
    return FUZZ_CODE + fuzz_below(r, FUZZ_CODE_SIZE);
}

static void make_gdt(struct fuzz_random *r, struct phys *phys)
{
    for (unsigned i = 0; i < FUZZ_SELECTORS; i++) {
        const struct segment_row *s = i < SEL_RANDOM ? &segments[i] : NULL;
        uint32_t low = s ? s->base << 16 | (s->limit & 0xffff) : fuzz_draw(r);
        uint32_t high = s ? (s->base & 0xff000000) | (uint32_t)s->flags << 20 | (s->limit & 0xf0000) |
                            (uint32_t)s->access << 8 | (s->base >> 16 & 0xff) : fuzz_draw(r);
        poke(phys, FUZZ_GDT + i * 8, low);
        poke(phys, FUZZ_GDT + i * 8 + 4, high);
    }
    put_gate(phys, FUZZ_GDT + SEL_CALL_GATE * 8, SEL_CODE0 << 3, handler_offset(r), 0xec, (uint8_t)fuzz_below(r, 32));
    put_gate(phys, FUZZ_GDT + SEL_CALL_GATE16 * 8, SEL_CODE16 << 3, fuzz_below(r, 0x8000), 0xe4, (uint8_t)fuzz_below(r, 32));
    put_gate(phys, FUZZ_GDT + SEL_TASK_GATE * 8, SEL_TSS_FREE << 3, 0, 0xe5, 0);
    for (unsigned i = 0; i < 16; i++) {
        poke(phys, FUZZ_LDT + i * 8, fuzz_draw(r));
        poke(phys, FUZZ_LDT + i * 8 + 4, fuzz_draw(r) | 0x8000);
    }
}

/* Where an exception leads: mostly to code that returns behind the byte that raised it. */
static uint32_t exception_offset(struct fuzz_random *r, unsigned vector)
{
    const uint32_t with_error = 1u << VEC_DF | 1u << VEC_TS | 1u << VEC_NP | 1u << VEC_SS | 1u << VEC_GP | 1u << VEC_PF | 1u << VEC_AC;

    if (fuzz_one_in(r, 8))
        return handler_offset(r);
    return vector < 32 && with_error >> vector & 1 ? FUZZ_SKIP + 16 : FUZZ_SKIP;
}

static void make_idt(struct fuzz_random *r, struct phys *phys)
{
    static const uint8_t skip[] = { 0xff, 0x04, 0x24, 0xcf }, skip_with_error[] = { 0x83, 0xc4, 0x04, 0xff, 0x04, 0x24, 0xcf };
    static const uint8_t kinds[] = { 0x8e, 0x8e, 0x8e, 0x8f, 0xee, 0xef, 0x86, 0x87, 0x85, 0x0e, 0xe6, 0x8c };

    for (unsigned i = 0; i < 256; i++) {
        uint8_t access = kinds[fuzz_one_in(r, 12) ? fuzz_below(r, sizeof kinds) : fuzz_below(r, 5)];
        bool task = (access & 0x1f) == 5, narrow = !task && !(access & 8);
        uint16_t selector = task ? SEL_TSS_FREE << 3 : fuzz_one_in(r, 40) ? fuzz_guest_selector(r)
                            : narrow ? SEL_CODE16 << 3 : SEL_CODE0 << 3;
        put_gate(phys, FUZZ_IDT + i * 8, selector, narrow ? fuzz_below(r, 0x8000) : exception_offset(r, i), access, 0);
        poke(phys, i * 4, (uint32_t)(FUZZ_CODE >> 4) << 16 | fuzz_below(r, FUZZ_CODE_SIZE)); /* real mode's */
    }
    phys_dma_write(phys, FUZZ_SKIP, skip, sizeof skip);
    phys_dma_write(phys, FUZZ_SKIP + 16, skip_with_error, sizeof skip_with_error);
}

static void make_tss(struct fuzz_random *r, struct phys *phys)
{
    static const uint16_t stacks[] = { SEL_DATA0 << 3, SEL_DATA1 << 3 | 1, SEL_DATA2 << 3 | 2 };

    for (unsigned n = 0; n < 2; n++) {
        uint32_t at = FUZZ_TSS + n * 0x400;
        for (unsigned i = 0; i < 0x300; i += 4)
            poke(phys, at + i, i < 0x68 ? fuzz_guest_address(r) : fuzz_one_in(r, 2) ? 0 : fuzz_draw(r));
        for (unsigned i = 0; i < 3; i++) {
            poke(phys, at + 4 + i * 8, FUZZ_STACK - i * 0x400);
            poke(phys, at + 8 + i * 8, stacks[i]);
        }
        poke(phys, at, SEL_TSS << 3);
        poke(phys, at + 0x1c, FUZZ_DIRECTORY);
        poke(phys, at + 0x20, handler_offset(r));
        poke(phys, at + 0x24, 2 | (fuzz_draw(r) & 0x4ed5));
        for (unsigned i = 0; i < 6; i++)
            poke(phys, at + 0x48 + i * 4, i == 1 ? SEL_CODE0 << 3 : SEL_DATA0 << 3);
        poke(phys, at + 0x60, fuzz_one_in(r, 2) ? SEL_LDT << 3 : 0);
        poke(phys, at + 0x64, (fuzz_one_in(r, 4) ? fuzz_draw(r) << 16 : 0x68u << 16) | fuzz_one_in(r, 8));
    }
    for (unsigned i = 0; i < 0x2c; i += 4)
        poke(phys, FUZZ_TSS + 0x800 + i, fuzz_draw(r) & 0x00f800f8);
}

enum { PTE = 0x67, PTE_LARGE = 0xe7 };

static void make_page_tables(struct fuzz_random *r, struct phys *phys)
{
    const uint32_t mmio = FUZZ_TABLES + 0x1000;

    for (unsigned i = 0; i < 1024; i++) {
        poke(phys, FUZZ_TABLES + i * 4, i << 12 | PTE);
        poke(phys, mmio + i * 4, (FUZZ_MMIO + (i << 12)) | PTE);
        poke(phys, FUZZ_DIRECTORY + i * 4, 0);
    }
    poke(phys, FUZZ_DIRECTORY, FUZZ_TABLES | PTE);
    poke(phys, FUZZ_DIRECTORY + 4, FUZZ_WIDE | PTE_LARGE);
    poke(phys, FUZZ_DIRECTORY + (FUZZ_HIGH >> 22) * 4, FUZZ_TABLES | (fuzz_one_in(r, 2) ? PTE : 0x63));
    poke(phys, FUZZ_DIRECTORY + (FUZZ_MMIO >> 22) * 4, mmio | PTE);
    poke(phys, FUZZ_DIRECTORY + 1023 * 4, fuzz_one_in(r, 2) ? FUZZ_TABLES | PTE : 0);

    for (unsigned i = 0; i < 4; i++) {
        poke(phys, FUZZ_PAE_ROOT + i * 8, (FUZZ_PAE_TABLES + i * 0x1000) | 1);
        poke(phys, FUZZ_PAE_ROOT + i * 8 + 4, 0);
    }
    for (unsigned i = 0; i < 512 * 4; i++) {
        bool low = i % 1536 == 0;
        poke(phys, FUZZ_PAE_TABLES + i * 8, low ? (FUZZ_PAE_TABLES + 0x4000) | PTE : (i & 3) << 21 | PTE_LARGE);
        poke(phys, FUZZ_PAE_TABLES + i * 8 + 4, !low && fuzz_one_in(r, 8) ? 0x80000000 : 0);
    }
    for (unsigned i = 0; i < 512; i++) {
        poke(phys, FUZZ_PAE_TABLES + 0x4000 + i * 8, i << 12 | PTE);
        poke(phys, FUZZ_PAE_TABLES + 0x4000 + i * 8 + 4, 0);
    }
}

/* Bends entries of the pages that the code uses. */
static void bend_page_tables(struct fuzz_random *r, struct phys *phys)
{
    static const uint32_t bits[] = { 1, 2, 4, 0x20, 0x40, 0x60, 0x80, 0x100, 0x10, 0x8000, 0x1000, 0x10000000, 0x100000 };

    for (uint32_t n = fuzz_below(r, 30); n > 0; n--) {
        uint32_t page = (fuzz_one_in(r, 3) ? fuzz_below(r, 0x100) : FUZZ_CODE / 4096 + fuzz_below(r, 0x30)), entry = 0;
        uint32_t at = fuzz_one_in(r, 10) ? FUZZ_DIRECTORY + fuzz_below(r, 1024) * 4
                      : fuzz_one_in(r, 2) ? FUZZ_TABLES + page * 4 : FUZZ_PAE_TABLES + 0x4000 + page * 8;
        phys_dma_read(phys, at, &entry, 4);
        poke(phys, at, entry ^ bits[fuzz_below(r, sizeof bits / sizeof bits[0])]);
    }
}

/* --- the CPU --- */

static struct cpu_segment cached(unsigned selector, unsigned rpl)
{
    const struct segment_row *s = &segments[selector];
    uint32_t limit = s->flags & 8 ? s->limit << 12 | 0xfff : s->limit;

    if (!selector)
        return (struct cpu_segment){ 0 };
    return (struct cpu_segment){ .base = s->base, .limit = limit, .selector = (uint16_t)(selector << 3 | rpl),
                                 .access = (uint16_t)(s->access | 1 | s->flags << 12) };
}

static void set_segment(struct cpu *cpu, unsigned which, struct cpu_segment value)
{
    cpu_set_segment(cpu, which, &value);
}

static struct cpu_segment real_segment(uint16_t selector, uint8_t access)
{
    return (struct cpu_segment){ .base = (uint32_t)selector << 4, .limit = 0xffff, .selector = selector, .access = access };
}

static void start_real(struct fuzz_random *r, struct cpu *cpu, bool v8086)
{
    uint8_t access = v8086 ? 0xf3 : 0x93;

    for (unsigned i = 0; i < CPU_SEG_COUNT; i++)
        set_segment(cpu, i, real_segment((uint16_t)(fuzz_one_in(r, 8) ? fuzz_draw(r) : FUZZ_DATA >> 4), access));
    set_segment(cpu, CPU_CS, real_segment(FUZZ_CODE >> 4, v8086 ? access : 0x9b));
    set_segment(cpu, CPU_SS, real_segment(FUZZ_DATA >> 4, access));
    cpu->regs[CPU_ESP] = fuzz_one_in(r, 8) ? fuzz_below(r, 8) : 0xfff0;
    cpu->eip = 0;
    cpu->cpl = v8086 ? 3 : 0;
    cpu->idtr = (struct cpu_table){ v8086 ? FUZZ_IDT : 0, v8086 ? 0x7ff : 0x3ff };
    if (v8086)
        cpu->eflags |= FLAG_VM;
}

static void start_protected(struct fuzz_random *r, struct cpu *cpu)
{
    static const uint8_t data[] = { SEL_DATA3, SEL_DATA3, SEL_DATA3, SEL_DATA3, SEL_BASED, SEL_DATA16, SEL_DOWN, SEL_READ_ONLY,
                                    SEL_SMALL, SEL_NULL };
    static const uint8_t code[] = { SEL_CODE0, SEL_CODE1, SEL_CODE2, SEL_CODE3 }, stack[] = { SEL_DATA0, SEL_DATA1, SEL_DATA2, SEL_DATA3 };
    unsigned cpl = fuzz_one_in(r, 8) ? 1 + fuzz_below(r, 2) : fuzz_one_in(r, 2) ? 0 : 3;
    bool narrow = cpl == 0 && fuzz_one_in(r, 6), based = narrow && fuzz_one_in(r, 2);

    for (unsigned i = 0; i < CPU_SEG_COUNT; i++)
        set_segment(cpu, i, cached(fuzz_one_in(r, 2) ? SEL_DATA3 : data[fuzz_below(r, sizeof data)], cpl));
    set_segment(cpu, CPU_CS, cached(based ? SEL_CODE16 : narrow ? SEL_FLAT16 : code[cpl], cpl));
    set_segment(cpu, CPU_SS, cached(stack[cpl], cpl));
    cpu->regs[CPU_ESP] = FUZZ_STACK - 0x1000 - (fuzz_one_in(r, 6) ? fuzz_below(r, 16) : 0);
    cpu->eip = based ? 0 : FUZZ_CODE;
    cpu->cpl = (uint8_t)cpl;
    cpu->idtr = (struct cpu_table){ FUZZ_IDT, fuzz_one_in(r, 16) ? fuzz_below(r, 0x800) : 0x7ff };
}

static void start_fpu(struct fuzz_random *r, struct cpu *cpu)
{
    uint32_t mxcsr = fuzz_one_in(r, 3) ? fuzz_draw(r) & 0xffbf : 0x1f80;

    if (fuzz_one_in(r, 2))
        fuzz_bytes(r, cpu->fpu + 32, 256);
    if (fuzz_one_in(r, 3))
        fuzz_bytes(r, cpu->fpu, 5);
    memcpy(cpu->fpu + 24, &mxcsr, sizeof mxcsr);
}

static void start_control(struct fuzz_random *r, struct cpu *cpu, enum fuzz_mode mode)
{
    uint32_t cr4 = CR4_OSFXSR | CR4_OSXMMEXCPT | (fuzz_one_in(r, 8) ? 0 : CR4_PSE);

    cpu->cr0 = CR0_ET | CR0_NE;
    if (mode != FUZZ_REAL_MODE)
        cpu->cr0 |= CR0_PE;
    if (mode == FUZZ_PAGED || mode == FUZZ_PAE || (mode == FUZZ_V8086 && fuzz_one_in(r, 2)))
        cpu->cr0 |= CR0_PG;
    cpu->cr0 |= (fuzz_one_in(r, 2) ? CR0_WP : 0) | (fuzz_one_in(r, 3) ? CR0_AM : 0) | (fuzz_one_in(r, 12) ? CR0_TS : 0) |
                (fuzz_one_in(r, 16) ? CR0_EM : 0) | (fuzz_one_in(r, 4) ? CR0_MP : 0);
    if (fuzz_one_in(r, 2))
        cr4 |= fuzz_draw(r) & (CR4_VME | CR4_PVI | CR4_TSD | CR4_DE | CR4_PGE | CR4_UMIP | CR4_PCE);
    cpu->cr4 = (mode == FUZZ_PAE ? cr4 | CR4_PAE : cr4) & cpuid_cr4_bits();
    cpu->cr3 = cpu->cr4 & CR4_PAE ? FUZZ_PAE_ROOT : FUZZ_DIRECTORY;
    if (cpu->cr4 & CR4_PAE)
        paging_load_pointers(cpu, cpu->cr3);
    cpu->efer = cpu->cr4 & CR4_PAE && fuzz_one_in(r, 2) ? EFER_NXE : 0;
    cpu->sysenter_cs = SEL_CODE0 << 3;
    cpu->sysenter_esp = FUZZ_STACK;
    cpu->sysenter_eip = handler_offset(r);
}

static void start_debug(struct fuzz_random *r, struct cpu *cpu)
{
    if (fuzz_one_in(r, 10)) {
        for (unsigned i = 0; i < 4; i++)
            cpu->dr[i] = fuzz_guest_address(r);
        cpu->dr[7] = (fuzz_draw(r) & 0xffff23ff) | 0x400;
    }
    watch_update(cpu);
}

void fuzz_guest_start(struct fuzz_random *r, struct cpu *cpu, struct phys *phys, enum fuzz_mode mode)
{
    uint8_t page[4096];

    phys_set_a20(phys, true);
    make_gdt(r, phys);
    make_idt(r, phys);
    make_tss(r, phys);
    make_page_tables(r, phys);
    if (fuzz_one_in(r, 2))
        bend_page_tables(r, phys);
    for (uint32_t at = 0; at < FUZZ_DATA_SIZE; at += sizeof page) {
        fuzz_bytes(r, page, sizeof page);
        phys_dma_write(phys, FUZZ_DATA + at, page, sizeof page);
    }
    cpu_reset(cpu);
    for (unsigned i = 0; i < 8; i++)
        cpu->regs[i] = fuzz_one_in(r, 3) ? fuzz_value(r) : fuzz_guest_address(r);
    cpu->eflags = FLAG_ONE | (fuzz_draw(r) & (FLAGS_ARITH | FLAG_IOPL | FLAG_IF)) | (fuzz_one_in(r, 16) ? FLAG_TF : 0) |
                  (fuzz_one_in(r, 4) ? FLAG_DF : 0) | (fuzz_one_in(r, 16) ? FLAG_NT : 0) | (fuzz_one_in(r, 4) ? FLAG_AC : 0);
    start_control(r, cpu, mode);
    cpu->gdtr = (struct cpu_table){ FUZZ_GDT, FUZZ_SELECTORS * 8 - 1 };
    cpu->tr = cached(SEL_TSS, 0);
    cpu->ldtr = fuzz_one_in(r, 2) ? cached(SEL_LDT, 0) : (struct cpu_segment){ 0 };
    if (mode == FUZZ_REAL_MODE || mode == FUZZ_V8086)
        start_real(r, cpu, mode == FUZZ_V8086);
    else
        start_protected(r, cpu);
    start_fpu(r, cpu);
    start_debug(r, cpu);
    cpu->mode_dirty = true;
    view_flush_all(cpu);
    view_select(cpu);
}
