/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Unicorn on a recording: see second.h. Its code hook counts instructions as the
 * engine does (x86vm/translate/count.h) and stops before those that our struct
 * cpu carries out. The library is loaded with dlopen(): linked, its functions
 * and the engine's of the same name (cpu_reset) would be mixed up.
 */
#include "tests/replay/second.h"

#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicorn/unicorn.h>

#include "tests/replay/images.h"
#include "tests/replay/undefined.h"
#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/paging.h"
#include "x86vm/memory/phys.h"
#include "x86vm/protection/protection.h"
#include "x86vm/replay.h"
#include "x86vm/translate/calls.h"
#include "x86vm/translate/count.h"
#include "x86vm/translate/operand.h"

/* --- the library --- */

#define CALLS(X) X(uc_open) X(uc_strerror) X(uc_mem_map_ptr) X(uc_mmio_map) X(uc_mem_unmap) X(uc_mem_protect) X(uc_hook_add) X(uc_reg_read) X(uc_reg_write) \
    X(uc_emu_start) X(uc_emu_stop) X(uc_context_alloc) X(uc_context_save) X(uc_context_restore) X(uc_context_size) X(uc_ctl)
#define DECLARE(name) static __typeof__(name) *p_##name;
CALLS(DECLARE)
#undef DECLARE

static bool load_library(void)
{
    void *library = dlopen("libunicorn.so.2", RTLD_NOW | RTLD_LOCAL);

    if (!library)
        return false;
#define FIND(name) if (!(*(void **)&p_##name = dlsym(library, #name))) return false;
    CALLS(FIND)
#undef FIND
    return true;
}

/* --- the machine --- */

enum { FX_ST = 32, FX_XMM = 160, FX_XMM_END = 288 }; /* in an FXSAVE image */
enum { SEEN_SIZE = 1 << 16, PAGES_SIZE = 4096 };

/* An instruction met before, by its physical address. */
struct seen {
    uint64_t key;            /* physical address plus one; 0: free */
    struct insn insn;
    uint32_t flags_and, flags_or; /* undefined flags after it, from those before */
    bool assisted, repeated, fpu_image, flags_image;
};

struct code_page { uint32_t linear; const uint8_t *host; }; /* linear page plus one */

/* A linear page (or a large one) that Unicorn has: its memory is the guest's linear
 * address space, because this version's own page walks lead nowhere (2.0.1 takes
 * linear addresses for physical ones). */
struct mapping {
    struct second *second;
    uint32_t linear, size, physical;
    bool global, writable, device, rom;
};

enum stop { STOP_NONE, STOP_THERE, STOP_ASSIST, STOP_FPU, STOP_EXCEPTION, STOP_UNDEFINED, STOP_PAGE_FAULT, STOP_CHANGED, STOP_STALE };

struct second {
    struct cpu cpu;
    uc_engine *uc;
    uc_context *context;
    uint8_t *env;            /* QEMU's CPU state within the context */
    struct replay *replay;
    uint64_t position, stop_at;
    enum stop stop;
    uint32_t vector;
    bool changed;            /* code was, by a way that Unicorn cannot see */
    bool pending;            /* the last instruction of the hook has not been counted */
    bool again;              /* run it although it is an assisted one */
    const struct seen *last, *fpu;
    bool repeating;
    uint32_t pending_at, repeating_at, iterations;
    uint32_t undefined;
    struct second_counts counts;
    char message[240];
    bool fetching;           /* the page fault was of the next instruction */
    uint32_t fault_address, last_missing;
    struct mapping **mappings;
    unsigned mapping_count, mapping_room;
    struct code_page pages[PAGES_SIZE];
    struct seen seen[SEEN_SIZE];
};

struct cpu *second_cpu(struct second *s) { return &s->cpu; }
struct phys *second_phys(struct second *s) { return s->cpu.phys; }
const char *second_message(const struct second *s) { return s->message; }
uint64_t second_position(const struct second *s) { return s->position; }
uint32_t second_undefined_flags(const struct second *s) { return s->undefined; }
struct second_counts second_counts(const struct second *s) { return s->counts; }

__attribute__((format(printf, 2, 3))) static bool differs(struct second *s, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(s->message, sizeof s->message, format, args);
    va_end(args);
    return false;
}

/* --- QEMU's CPUX86State (target/i386/cpu.h), as far as it is needed here --- */

enum { ENV_REGS = 0, ENV_EIP = 128, ENV_EFLAGS = 136, ENV_CC_SRC = 152, ENV_CC_OP = 168, ENV_DF = 172, ENV_HFLAGS = 176,
       ENV_SEGS = 184, ENV_LDT = 328, ENV_TR = 352, ENV_GDT = 376, ENV_IDT = 400, ENV_CR = 424 };
enum { CC_OP_EFLAGS = 1, HF_CS32 = 1 << 4, HF_SS32 = 1 << 5, HF_ADDSEG = 1 << 6, HF_PE = 1 << 7, HF_MP = 1 << 9,
       HF_EM = 1 << 10, HF_TS = 1 << 11, HF_OSFXSR = 1 << 22 };

static uint64_t env64(const struct second *s, unsigned at) { uint64_t v; memcpy(&v, s->env + at, 8); return v; }
static uint32_t env32(const struct second *s, unsigned at) { uint32_t v; memcpy(&v, s->env + at, 4); return v; }
static void set64(struct second *s, unsigned at, uint64_t v) { memcpy(s->env + at, &v, 8); }
static void set32(struct second *s, unsigned at, uint32_t v) { memcpy(s->env + at, &v, 4); }

static uint32_t reg(const struct second *s, int id)
{
    uint64_t value = 0;
    p_uc_reg_read(s->uc, id, &value);
    return (uint32_t)value;
}

static void set_reg(struct second *s, int id, uint32_t value)
{
    uint64_t wide = value;
    p_uc_reg_write(s->uc, id, &wide);
}

static void get_segment(const struct second *s, unsigned at, struct cpu_segment *segment)
{
    segment->selector = (uint16_t)env32(s, at);
    segment->base = (uint32_t)env64(s, at + 8);
    segment->limit = env32(s, at + 16);
    segment->access = (uint16_t)(env32(s, at + 20) >> 8 & 0xf0ff);
}

static void set_segment(struct second *s, unsigned at, const struct cpu_segment *segment)
{
    set32(s, at, segment->selector);
    set64(s, at + 8, segment->base);
    set32(s, at + 16, segment->limit);
    set32(s, at + 20, (uint32_t)segment->access << 8 | (segment->limit & 0xf0000));
}

void second_get(struct second *s)
{
    struct cpu *cpu = &s->cpu;

    p_uc_context_save(s->uc, s->context);
    for (unsigned i = 0; i < 8; i++)
        cpu->regs[i] = (uint32_t)env64(s, ENV_REGS + 8 * i);
    cpu->eip = (uint32_t)env64(s, ENV_EIP);
    cpu->eflags = (uint32_t)env64(s, ENV_EFLAGS) | FLAG_ONE;
    for (unsigned i = 0; i < CPU_SEG_COUNT; i++) {
        get_segment(s, ENV_SEGS + 24 * i, &cpu->seg[i]);
        cpu->seg_base[i] = cpu->seg[i].base;
    }
    get_segment(s, ENV_LDT, &cpu->ldtr);
    get_segment(s, ENV_TR, &cpu->tr);
    cpu->gdtr = (struct cpu_table){ (uint32_t)env64(s, ENV_GDT + 8), env32(s, ENV_GDT + 16) };
    cpu->idtr = (struct cpu_table){ (uint32_t)env64(s, ENV_IDT + 8), env32(s, ENV_IDT + 16) };
    cpu->cr0 = (cpu->cr0 & ~(uint32_t)CR0_TS) | ((uint32_t)env64(s, ENV_CR) & CR0_TS); /* the rest is ours alone */
    cpu->cpl = env32(s, ENV_HFLAGS) & 3;
    view_flush_all(cpu);
    view_select(cpu);
}

void second_get_sse(struct second *s)
{
    for (unsigned i = 0; i < 8; i++)
        p_uc_reg_read(s->uc, UC_X86_REG_XMM0 + (int)i, s->cpu.fpu + FX_XMM + 16 * i);
}

static uint32_t hidden_flags(const struct cpu *cpu)
{
    const struct cpu_segment *seg = cpu->seg;
    uint32_t h = cpu->cpl | HF_PE;

    h |= seg[CPU_CS].access & SEG_DB ? HF_CS32 : 0;
    h |= seg[CPU_SS].access & SEG_DB ? HF_SS32 : 0;
    h |= seg[CPU_DS].base || seg[CPU_ES].base || seg[CPU_SS].base ? HF_ADDSEG : 0;
    h |= (cpu->cr0 & (CR0_MP | CR0_EM | CR0_TS)) << 8;
    return h | (cpu->cr4 & CR4_OSFXSR ? HF_OSFXSR : 0);
}

static void put(struct second *s)
{
    const struct cpu *cpu = &s->cpu;
    uint32_t cr0 = cpu->cr0 & ~CR0_PG;

    if (reg(s, UC_X86_REG_CR0) != cr0)
        set_reg(s, UC_X86_REG_CR0, cr0);
    if (reg(s, UC_X86_REG_CR4) != (cpu->cr4 & CR4_OSFXSR))
        set_reg(s, UC_X86_REG_CR4, cpu->cr4 & CR4_OSFXSR);
    p_uc_context_save(s->uc, s->context);
    for (unsigned i = 0; i < 8; i++)
        set64(s, ENV_REGS + 8 * i, cpu->regs[i]);
    set64(s, ENV_EIP, cpu->eip);
    set64(s, ENV_EFLAGS, cpu->eflags); /* complete while it does not run */
    set64(s, ENV_CC_SRC, cpu->eflags & FLAGS_ARITH);
    set32(s, ENV_CC_OP, CC_OP_EFLAGS);
    set32(s, ENV_DF, cpu->eflags & FLAG_DF ? UINT32_MAX : 1);
    set32(s, ENV_HFLAGS, hidden_flags(cpu));
    for (unsigned i = 0; i < CPU_SEG_COUNT; i++)
        set_segment(s, ENV_SEGS + 24 * i, &cpu->seg[i]);
    set_segment(s, ENV_LDT, &cpu->ldtr);
    set_segment(s, ENV_TR, &cpu->tr);
    set64(s, ENV_GDT + 8, cpu->gdtr.base);
    set32(s, ENV_GDT + 16, cpu->gdtr.limit);
    set64(s, ENV_IDT + 8, cpu->idtr.base);
    set32(s, ENV_IDT + 16, cpu->idtr.limit);
    p_uc_context_restore(s->uc, s->context);
    memset(s->pages, 0, sizeof s->pages);
}

static void put_fpu(struct second *s)
{
    const uint8_t *fx = s->cpu.fpu;
    uint32_t mxcsr;
    uint16_t word, tags = 0;
    unsigned top;

    memcpy(&mxcsr, fx + 24, 4);
    p_uc_reg_write(s->uc, UC_X86_REG_MXCSR, &mxcsr);
    for (unsigned i = 0; i < 8; i++) {
        uint8_t xmm[16];
        memcpy(xmm, fx + FX_XMM + 16 * i, 16);
        p_uc_reg_write(s->uc, UC_X86_REG_XMM0 + (int)i, xmm);
    }
    memcpy(&word, fx, 2);
    p_uc_reg_write(s->uc, UC_X86_REG_FPCW, &word);
    memcpy(&word, fx + 2, 2);
    p_uc_reg_write(s->uc, UC_X86_REG_FPSW, &word);
    top = word >> 11 & 7;
    for (unsigned i = 0; i < 8; i++) { /* the image has ST0 first, Unicorn R0 */
        uint8_t value[16] = { 0 };
        memcpy(value, fx + FX_ST + 16 * i, 10);
        p_uc_reg_write(s->uc, UC_X86_REG_FP0 + (int)((top + i) & 7), value);
        tags |= (uint16_t)((fx[4] >> i & 1 ? 0 : 3) << 2 * i);
    }
    p_uc_reg_write(s->uc, UC_X86_REG_FPTAG, &tags);
}

/* --- the guest's linear address space in Unicorn --- */

enum unmap { UNMAP_ALL, UNMAP_LOCAL, UNMAP_PAGE };

static void unmap(struct second *s, enum unmap which, uint32_t linear)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < s->mapping_count; i++) {
        struct mapping *m = s->mappings[i];
        if (which == UNMAP_LOCAL ? m->global : which == UNMAP_PAGE && linear - m->linear >= m->size) {
            s->mappings[kept++] = m;
            continue;
        }
        p_uc_ctl(s->uc, UC_CTL_WRITE(UC_CTL_TB_REMOVE_CACHE, 2), (uint64_t)m->linear, (uint64_t)m->linear + m->size);
        p_uc_mem_unmap(s->uc, m->linear, m->size);
        free(m);
    }
    s->mapping_count = kept;
    memset(s->pages, 0, sizeof s->pages);
}

static uint64_t device_read(uc_engine *uc, uint64_t offset, unsigned size, void *opaque);
static void device_write(uc_engine *uc, uint64_t offset, unsigned size, uint64_t value, void *opaque);

static bool map(struct second *s, const struct mapping *what)
{
    struct mapping *m = malloc(sizeof *m);
    uint32_t rights = UC_PROT_READ | UC_PROT_EXEC | (what->writable ? UC_PROT_WRITE : 0);

    if (s->mapping_count == s->mapping_room) {
        s->mapping_room = s->mapping_room ? s->mapping_room * 2 : 256;
        s->mappings = realloc(s->mappings, s->mapping_room * sizeof *s->mappings);
    }
    if (!m || !s->mappings)
        abort();
    *m = *what;
    s->mappings[s->mapping_count++] = m;
    if (m->device || m->rom)
        return p_uc_mmio_map(s->uc, m->linear, m->size, device_read, m, device_write, m) == UC_ERR_OK;
    return p_uc_mem_map_ptr(s->uc, m->linear, m->size, rights, phys_ram(s->cpu.phys) + m->physical) == UC_ERR_OK;
}

/* A large page that is RAM throughout is mapped whole, and all of RAM without paging. */
static void enlarge(const struct second *s, struct mapping *m)
{
    enum { LARGE = 4 << 20, PDE_LARGE = 0x80 };
    const struct cpu *cpu = &s->cpu;
    uint32_t pde = PDE_LARGE, start = m->physical & ~(uint32_t)(LARGE - 1);

    if (cpu->cr4 & CR4_PAE)
        return;
    if (cpu->cr0 & CR0_PG && (!(cpu->cr4 & CR4_PSE) || !phys_dma_read(cpu->phys, (cpu->cr3 & ~(PAGE_SIZE - 1)) + (m->linear >> 22) * 4, &pde, 4)))
        return;
    if (!(pde & PDE_LARGE) || (m->physical ^ m->linear) & (LARGE - 1))
        return;
    for (uint32_t at = start; at < start + LARGE; at += PAGE_SIZE)
        if (!phys_is_writable(cpu->phys, at))
            return;
    for (unsigned i = 0; i < s->mapping_count; i++)
        if ((s->mappings[i]->linear ^ m->linear) < LARGE)
            return; /* a part of it is there already */
    m->linear &= ~(uint32_t)(LARGE - 1);
    m->physical = start;
    m->size = LARGE;
}

static struct mapping *find(struct second *s, uint32_t linear)
{
    for (unsigned i = 0; i < s->mapping_count; i++)
        if (linear - s->mappings[i]->linear < s->mappings[i]->size)
            return s->mappings[i];
    return NULL;
}

/* More is allowed than before. A page that leads elsewhere now cannot be taken
 * away under Unicorn's hands: the instruction starts again when it is gone. */
static bool renew(struct second *s, struct mapping *old, const struct mapping *now)
{
    if (old->linear == now->linear && old->size == now->size && old->physical == now->physical && !old->device && !old->rom &&
        now->writable) {
        old->writable = true;
        return p_uc_mem_protect(s->uc, old->linear, old->size, UC_PROT_ALL) == UC_ERR_OK;
    }
    s->fault_address = old->linear;
    s->stop = STOP_STALE;
    return false;
}

/* Unicorn has no such page, or may not do this to it: walks the guest's tables. */
static bool on_missing(uc_engine *uc, uc_mem_type type, uint64_t address, int size, int64_t value, void *opaque)
{
    struct second *s = opaque;
    bool write = type == UC_MEM_WRITE_UNMAPPED || type == UC_MEM_WRITE_PROT;
    bool fetch = type == UC_MEM_FETCH_UNMAPPED || type == UC_MEM_FETCH_PROT;
    enum view_access access = fetch ? VIEW_FOR_EXEC : write ? VIEW_FOR_WRITE : VIEW_FOR_READ;
    uint32_t linear = (uint32_t)address & ~(PAGE_SIZE - 1), cs, error;
    struct paging_result walk;
    struct mapping *old;
    struct mapping m = { .second = s, .linear = linear, .size = PAGE_SIZE };

    (void)uc, (void)value;
    if (s->stop != STOP_NONE)
        return false; /* the first fault counts */
    if (size > 1 && type != UC_MEM_WRITE_PROT && type != UC_MEM_READ_PROT && s->last_missing == (uint32_t)address)
        linear = m.linear = ((uint32_t)address + (uint32_t)size - 1) & ~(PAGE_SIZE - 1); /* its first page is there by now */
    cs = reg(s, UC_X86_REG_CS);
    s->last_missing = (uint32_t)address;
    if (!paging_walk(&s->cpu, linear, access, (cs & 3) == 3, true, &walk, &error)) {
        s->fetching = fetch;
        s->fault_address = linear == ((uint32_t)address & ~(PAGE_SIZE - 1)) ? (uint32_t)address : linear;
        s->vector = VEC_PF;
        s->stop = STOP_PAGE_FAULT;
        return false;
    }
    m.physical = walk.physical & ~(PAGE_SIZE - 1);
    m.global = walk.global;
    m.writable = walk.writable && walk.dirty;
    m.device = !phys_is_ram(s->cpu.phys, m.physical);
    m.rom = !m.device && !phys_is_writable(s->cpu.phys, m.physical);
    old = find(s, linear);
    if (old && old->size != m.size) {
        m.linear = old->linear;
        m.physical -= linear - old->linear;
        m.size = old->size;
    }
    if (!old)
        enlarge(s, &m);
    if (!old)
        return map(s, &m);
    return renew(s, old, &m);
}

void second_put(struct second *s, uint64_t position)
{
    put(s);
    put_fpu(s);
    unmap(s, UNMAP_ALL, 0);
    s->position = position;
    s->undefined = 0;
    s->pending = s->again = s->repeating = false;
    s->last = s->fpu = NULL;
    s->message[0] = 0;
}

/* --- instructions --- */

static bool is_assisted(const struct insn *insn)
{
    switch (insn->kind) {
    case INSN_IN: case INSN_OUT: case INSN_INS: case INSN_OUTS: case INSN_HLT: case INSN_CPUID: case INSN_RDTSC:
    case INSN_RDPMC: case INSN_RDMSR: case INSN_WRMSR: case INSN_INT: case INSN_INT3: case INSN_INT1: case INSN_SYSENTER: case INSN_SYSEXIT:
    case INSN_MOV_FROM_DR: case INSN_MOV_TO_DR: case INSN_MOV_FROM_CR: case INSN_MOV_TO_CR: case INSN_LMSW:
    case INSN_SMSW: case INSN_INVLPG: case INSN_FAR_JMP: case INSN_FAR_CALL: case INSN_FAR_RET: case INSN_IRET:
    case INSN_PUSH_SEG: /* the upper half of the word: Intel leaves it, QEMU clears it */
        return true;
    default:
        return false;
    }
}

static void learn(struct seen *e, uint64_t key, const uint8_t *bytes, size_t size, uint32_t eip)
{
    *e = (struct seen){ .key = key };
    if (insn_decode(&e->insn, bytes, size, eip, INSN_MODE_32) != INSN_OK)
        e->insn.kind = INSN_UNDEFINED;
    e->assisted = is_assisted(&e->insn);
    e->flags_image = e->insn.kind == INSN_PUSHF;
    e->repeated = e->insn.kind == INSN_STRING && e->insn.rep;
    e->fpu_image = e->insn.kind == INSN_FXSAVE || e->insn.kind == INSN_FNSAVE || e->insn.kind == INSN_FNSTENV;
    undefined_flags(bytes, size, &e->flags_and, &e->flags_or);
}

/* Where the code at a linear address is; NULL: not in RAM. */
static const uint8_t *code_at(struct second *s, uint32_t linear)
{
    struct code_page *page = &s->pages[(linear >> PAGE_SHIFT) % PAGES_SIZE];
    uint32_t physical;

    if (page->linear != (linear >> PAGE_SHIFT) + 1) {
        if (!view_probe(&s->cpu, linear & ~(PAGE_SIZE - 1), VIEW_FOR_EXEC, false, &physical) || !phys_is_ram(s->cpu.phys, physical))
            return NULL;
        *page = (struct code_page){ (linear >> PAGE_SHIFT) + 1, phys_ram(s->cpu.phys) + physical };
    }
    return page->host + (linear & (PAGE_SIZE - 1));
}

static const struct seen *meet(struct second *s, uint32_t linear)
{
    const uint8_t *host = code_at(s, linear);
    uint32_t here = PAGE_SIZE - (linear & (PAGE_SIZE - 1));
    uint8_t bytes[INSN_MAX_LENGTH] = { 0 };
    uint64_t key;
    struct seen *e;

    if (!host)
        return NULL;
    key = (uint64_t)(host - phys_ram(s->cpu.phys)) + 1;
    e = &s->seen[key * 2654435761u >> 8 & (SEEN_SIZE - 1)];
    if (here < INSN_MAX_LENGTH) { /* may go on in the next page: looked at anew each time */
        const uint8_t *next = code_at(s, linear + here);
        memcpy(bytes, host, here);
        if (next)
            memcpy(bytes + here, next, INSN_MAX_LENGTH - here);
        learn(e, key, bytes, INSN_MAX_LENGTH, linear);
    } else if (e->key != key || memcmp(e->insn.bytes, host, e->insn.length)) {
        s->changed = e->key == key;
        learn(e, key, host, INSN_MAX_LENGTH, linear);
    }
    return e;
}

/* --- hooks --- */

static void stop(struct second *s, enum stop why)
{
    s->stop = why;
    p_uc_emu_stop(s->uc);
}

static void apply_flags(struct second *s, const struct seen *e)
{
    if (e)
        s->undefined = (s->undefined & e->flags_and) | e->flags_or;
}

/* The instruction that the hook was last called for is done. */
static void complete(struct second *s)
{
    if (!s->pending)
        return;
    s->pending = false;
    s->position++;
    s->counts.instructions++;
    apply_flags(s, s->last);
}

static void on_code(uc_engine *uc, uint64_t address, uint32_t size, void *opaque)
{
    struct second *s = opaque;
    const struct seen *e;

    (void)uc, (void)size;
    if (s->stop != STOP_NONE) { /* a store within one of its helpers failed, and it went on */
        p_uc_emu_stop(s->uc);
        return;
    }
    if (s->repeating && address == s->repeating_at) {
        if (++s->iterations < COUNT_REP || reg(s, UC_X86_REG_ECX) == 0)
            return;
        s->iterations = 0;
        s->position++;
        if (s->position == s->stop_at) {
            s->pending = s->repeating = false;
            stop(s, STOP_THERE);
        }
        return;
    }
    complete(s);
    s->repeating = false;
    if (s->fpu) {
        stop(s, STOP_FPU);
        return;
    }
    if (s->position == s->stop_at) {
        stop(s, STOP_THERE);
        return;
    }
    e = meet(s, (uint32_t)address);
    s->last = e;
    if (s->changed) {
        s->changed = false;
        stop(s, STOP_CHANGED);
        return;
    }
    if (e && (e->assisted || e->flags_image) && !s->again) {
        stop(s, STOP_ASSIST);
        return;
    }
    s->again = false;
    s->pending = true;
    s->pending_at = (uint32_t)address;
    if (e && e->fpu_image)
        s->fpu = e;
    if (e && e->repeated) {
        s->repeating = true;
        s->repeating_at = (uint32_t)address;
        s->iterations = 0;
    }
}

static void on_interrupt(uc_engine *uc, uint32_t number, void *opaque)
{
    struct second *s = opaque;

    (void)uc;
    s->vector = number;
    stop(s, STOP_EXCEPTION);
}

static bool on_undefined(uc_engine *uc, void *opaque)
{
    struct second *s = opaque;

    (void)uc;
    s->vector = VEC_UD;
    s->stop = STOP_UNDEFINED;
    return false;
}

static uint64_t device_read(uc_engine *uc, uint64_t offset, unsigned size, void *opaque)
{
    const struct mapping *m = opaque;
    uint64_t value = 0;

    (void)uc;
    if (m->rom)
        memcpy(&value, phys_ram(m->second->cpu.phys) + m->physical + offset, size);
    else
        io_mmio_read(m->second->cpu.io, m->physical + (uint32_t)offset, &value, size);
    return value;
}

static void device_write(uc_engine *uc, uint64_t offset, unsigned size, uint64_t value, void *opaque)
{
    const struct mapping *m = opaque;

    (void)uc;
    if (!m->rom)
        io_mmio_write(m->second->cpu.io, m->physical + (uint32_t)offset, &value, size);
}

/* --- what our struct cpu does --- */

static const struct image *image(struct second *s, enum image_kind kind)
{
    const struct image *i = images_take();

    if (i && i->kind == kind && i->eip == s->cpu.eip)
        return i;
    if (i)
        differs(s, "kind %u at %08x, where the engine had kind %u at %08x (vector %u, CR2 %08x)", kind, s->cpu.eip, i->kind, i->eip, i->vector, i->cr2);
    else
        differs(s, "kind %u at %08x, where the engine had nothing of the kind", kind, s->cpu.eip);
    return NULL;
}

static void take_flags(struct second *s, const struct image *i)
{
    s->cpu.eflags = (s->cpu.eflags & ~(uint32_t)FLAGS_ARITH) | i->flags;
    s->undefined = 0;
}

/* Raises what is in cpu.fault_*, or `vector` with the rest from the engine. */
static bool deliver(struct second *s, uint32_t vector)
{
    const struct image *i = image(s, IMAGE_EXCEPTION);

    if (!i)
        return false;
    if (i->vector != vector || (vector == VEC_PF && i->cr2 != s->cpu.cr2))
        return differs(s, "exception %u (CR2 %08x), the engine raised %u (CR2 %08x)", vector, s->cpu.cr2, i->vector, i->cr2);
    s->cpu.fault_vector = (int)vector;
    s->cpu.fault_error = i->error;
    s->cpu.fault_has_error = i->has_error;
    take_flags(s, i);
    s->counts.exceptions++;
    s->position++;
    s->cpu.exception_tap(s->cpu.exception_opaque);
    if (replay_diverged(s->replay))
        return differs(s, "%s", replay_diverged(s->replay));
    protection_exception(&s->cpu);
    put(s);
    return true;
}

/* PUSHF: its image is right when only undefined flags differ; then it is the engine's. */
static bool push_flags(struct second *s)
{
    const struct image *i = image(s, IMAGE_PUSHF);
    uint32_t differing;

    if (!i)
        return false;
    differing = (s->cpu.eflags ^ i->flags) & FLAGS_ARITH & ~s->undefined;
    if (differing)
        return differs(s, "PUSHF at %08x with flags %03x, the engine's are %03x", s->cpu.eip, s->cpu.eflags & FLAGS_ARITH, i->flags);
    take_flags(s, i);
    put(s);
    s->again = true;
    return true;
}

static bool assist(struct second *s)
{
    struct insn insn = s->last->insn;
    struct cpu *cpu = &s->cpu;
    jmp_buf env;

    second_get(s);
    insn.eip = cpu->eip;
    if (insn.kind == INSN_PUSHF)
        return push_flags(s);
    s->counts.assisted++;
    if (insn.kind == INSN_INT || insn.kind == INSN_INT3 || insn.kind == INSN_INT1) {
        const struct image *i = image(s, IMAGE_SOFTWARE);
        if (!i)
            return false;
        take_flags(s, i);
    }
    cpu->fault_env = &env;
    if (setjmp(env))
        return deliver(s, (uint32_t)cpu->fault_vector);
    if (insn.kind == INSN_INVLPG)
        unmap(s, UNMAP_PAGE, cpu->seg_base[insn.mem.seg] + operand_offset(cpu, &insn));
    if (insn.kind == INSN_MOV_TO_CR || insn.kind == INSN_LMSW)
        unmap(s, insn_reg(&insn) == 3 && cpu->cr4 & CR4_PGE ? UNMAP_LOCAL : UNMAP_ALL, 0);
    if (calls_function(insn.kind)(cpu, &insn) == CALL_NEXT)
        cpu->eip = operand_next(cpu, &insn);
    s->position++;
    put(s);
    return !replay_diverged(s->replay) || differs(s, "%s", replay_diverged(s->replay));
}

/* The words that are each implementation's own become the engine's; registers must be the same. */
static bool adopt_fpu(struct second *s)
{
    struct insn insn = s->fpu->insn;
    const struct image *i = images_take();
    uint32_t linear;

    s->fpu = NULL;
    second_get(s);
    if (!i || i->kind != IMAGE_FPU)
        return differs(s, "an FPU image that the engine did not store");
    linear = s->cpu.seg_base[insn.mem.seg] + operand_offset(&s->cpu, &insn);
    if (insn.kind == INSN_FXSAVE) {
        uint8_t mine[512];
        view_read(&s->cpu, linear, mine, sizeof mine, false);
        for (unsigned n = FX_ST; n < FX_XMM_END; n++)
            if ((n >= FX_XMM || n % 16 < 10) && mine[n] != i->bytes[n])
                return differs(s, "FXSAVE at %08x: byte %u is %02x, the engine's %02x", s->cpu.eip, n, mine[n], i->bytes[n]);
    }
    view_write(&s->cpu, linear, i->bytes, i->size, false);
    return true;
}

static bool take_event(struct second *s)
{
    const struct replay_event event = *replay_next(s->replay);
    const struct image *i;

    if (!replay_take(s->replay))
        return differs(s, "%s", replay_diverged(s->replay));
    if (event.kind != RECORD_INTERRUPT)
        return true;
    second_get(s);
    i = image(s, IMAGE_INTERRUPT);
    if (!i)
        return false;
    take_flags(s, i);
    s->cpu.halted = false;
    s->counts.interrupts++;
    protection_hardware_interrupt(&s->cpu, event.vector);
    put(s);
    return true;
}

static bool handle_stop(struct second *s, uc_err error)
{
    switch (s->stop) {
    case STOP_THERE:
        return true;
    case STOP_ASSIST:
        return assist(s);
    case STOP_FPU:
        return adopt_fpu(s);
    case STOP_STALE:
        s->pending = s->repeating = false;
        s->fpu = NULL;
        unmap(s, UNMAP_PAGE, s->fault_address);
        return true;
    case STOP_CHANGED:
        unmap(s, UNMAP_PAGE, reg(s, UC_X86_REG_EIP));
        return true;
    case STOP_EXCEPTION: case STOP_UNDEFINED: case STOP_PAGE_FAULT:
        if (s->stop == STOP_PAGE_FAULT && s->fetching)
            complete(s);
        second_get(s);
        if (s->stop == STOP_PAGE_FAULT && s->pending)
            s->cpu.eip = s->pending_at - s->cpu.seg_base[CPU_CS];
        s->pending = s->repeating = false;
        s->fpu = NULL;
        if (s->stop == STOP_PAGE_FAULT)
            s->cpu.cr2 = s->fault_address;
        return deliver(s, s->vector);
    default:
        return differs(s, "unicorn stopped at %08x: %s", reg(s, UC_X86_REG_EIP), p_uc_strerror(error));
    }
}

bool second_run(struct second *s, uint64_t position)
{
    while (s->position != position) {
        const struct replay_event *next = replay_next(s->replay);
        uc_err error;

        if (next->kind != RECORD_END && next->position == s->position) {
            if (!take_event(s))
                return false;
            continue;
        }
        if (s->cpu.halted)
            return differs(s, "halted, where something else comes next");
        s->stop_at = next->kind != RECORD_END && next->position < position ? next->position : position;
        s->stop = STOP_NONE;
        error = p_uc_emu_start(s->uc, reg(s, UC_X86_REG_EIP), 1ull << 40, 0, 0);
        if (!handle_stop(s, error))
            return false;
    }
    return true;
}

/* --- creation --- */

/* Finds QEMU's state within the context, and makes sure that it looks as expected. */
static bool find_env(struct second *s)
{
    static const int ids[8] = { UC_X86_REG_EAX, UC_X86_REG_ECX, UC_X86_REG_EDX, UC_X86_REG_EBX,
                                UC_X86_REG_ESP, UC_X86_REG_EBP, UC_X86_REG_ESI, UC_X86_REG_EDI };
    const uc_x86_mmr gdtr = { .base = 0x13572468, .limit = 0x1357 };
    size_t size = p_uc_context_size(s->uc);
    uint64_t expected[8];
    uint8_t *bytes;

    for (unsigned i = 0; i < 8; i++) {
        expected[i] = 0x600d0000u + i;
        set_reg(s, ids[i], (uint32_t)expected[i]);
    }
    p_uc_reg_write(s->uc, UC_X86_REG_GDTR, &gdtr);
    set_reg(s, UC_X86_REG_EIP, 0x24681357);
    p_uc_context_save(s->uc, s->context);
    bytes = (uint8_t *)s->context;
    for (size_t at = 0; at + ENV_CR + 40 < size; at += 8) {
        s->env = bytes + at;
        if (memcmp(s->env, expected, sizeof expected) == 0)
            return env64(s, ENV_EIP) == 0x24681357 && env64(s, ENV_GDT + 8) == gdtr.base && env32(s, ENV_GDT + 16) == gdtr.limit;
    }
    return false;
}

static bool add_hooks(struct second *s)
{
    uc_hook hook;

    return p_uc_hook_add(s->uc, &hook, UC_HOOK_CODE, (void *)on_code, s, 1, 0) == UC_ERR_OK &&
           p_uc_hook_add(s->uc, &hook, UC_HOOK_INTR, (void *)on_interrupt, s, 1, 0) == UC_ERR_OK &&
           p_uc_hook_add(s->uc, &hook, UC_HOOK_INSN_INVALID, (void *)on_undefined, s, 1, 0) == UC_ERR_OK &&
           p_uc_hook_add(s->uc, &hook, UC_HOOK_MEM_INVALID, (void *)on_missing, s, 1, 0) == UC_ERR_OK;
}

struct second *second_new(struct replay *replay, uint64_t ram_size, char *error, unsigned error_size)
{
    struct second *s;

    snprintf(error, error_size, "unicorn cannot be set up (libunicorn.so.2 of another kind than 2.0?)");
    if (!load_library() || posix_memalign((void **)&s, 64, sizeof *s))
        return NULL;
    memset(s, 0, sizeof *s);
    s->replay = replay;
    s->cpu.phys = phys_new(ram_size);
    s->cpu.views = view_set_new();
    s->cpu.io = io_bus_new();
    if (!s->cpu.phys || !s->cpu.views || !s->cpu.io)
        return NULL;
    if (!replay_load(replay, &s->cpu, s->cpu.phys, s->cpu.io, error, error_size))
        return NULL;
    if (p_uc_open(UC_ARCH_X86, UC_MODE_32, &s->uc) != UC_ERR_OK || p_uc_context_alloc(s->uc, &s->context) != UC_ERR_OK ||
        !find_env(s) || !add_hooks(s))
        return NULL;
    if (!(s->cpu.seg[CPU_CS].access & SEG_DB)) {
        snprintf(error, error_size, "only recordings that begin in 32-bit code can be compared");
        return NULL;
    }
    second_put(s, 0);
    return s;
}
