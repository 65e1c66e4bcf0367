/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Unicorn's library, and the CPU's state within it: QEMU's own struct is reached through
 * a saved context, because the hidden parts of segments cannot be had otherwise.
 */
#include <dlfcn.h>
#include <string.h>

#include "tests/replay/second_internal.h"

#define DEFINE(name) __typeof__(name) *p_##name;
CALLS(DEFINE)
#undef DEFINE

bool second_load_library(void)
{
    void *library = dlopen("libunicorn.so.2", RTLD_NOW | RTLD_LOCAL);

    if (!library)
        return false;
#define FIND(name) if (!(*(void **)&p_##name = dlsym(library, #name))) return false;
    CALLS(FIND)
#undef FIND
    return true;
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

uint32_t second_reg(const struct second *s, int id)
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

void second_put_cpu(struct second *s)
{
    const struct cpu *cpu = &s->cpu;
    uint32_t cr0 = cpu->cr0 & ~CR0_PG;

    if (second_reg(s, UC_X86_REG_CR0) != cr0)
        set_reg(s, UC_X86_REG_CR0, cr0);
    if (second_reg(s, UC_X86_REG_CR4) != (cpu->cr4 & CR4_OSFXSR))
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

void second_put_fpu(struct second *s)
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

/* Finds QEMU's state within the context, and makes sure that it looks as expected. */
bool second_find_env(struct second *s)
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
