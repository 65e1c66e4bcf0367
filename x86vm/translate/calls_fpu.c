/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Saving and restoring FPU state. The guest's x87 lives in the host's, so the
 * host instruction makes the image; the instruction and data pointers come from
 * cpu/x87.h, and the XMM part from cpu->xmm, where it is while C runs. Vol. 1,
 * 8.1.10 and 10.5.
 */
#include <string.h>

#include "x86vm/cpu/x87.h"
#include "x86vm/memory/view.h"
#include "x86vm/protection/protection.h"
#include "x86vm/translate/calls.h"
#include "x86vm/translate/operand.h"

enum { FXSAVE_SIZE = 512, FXSAVE_WRITTEN = 288, FXSAVE_XMM = 160, FXSAVE_MXCSR = 24, FXSAVE_MXCSR_MASK = 28,
       STATE32 = 108, STATE16 = 94, ENVIRONMENT32 = 28, ENVIRONMENT16 = 14,
       SUMMARY = 0x80 /* of the status word: an unmasked exception is pending */ };

/* The bits of MXCSR that may be set: those of the host that the advertised CPU has, too (AMD's have one more). */
static uint32_t mxcsr_mask(const uint8_t *host)
{
    uint32_t mask;

    memcpy(&mask, host + FXSAVE_MXCSR_MASK, 4);
    return (mask ? mask : 0xffbf) & 0xffff;
}

/* In C only because the host may take bits that the guest's CPU has not. */
enum call_result calls_ldmxcsr(struct cpu *cpu, const struct insn *insn)
{
    uint8_t host[512] __attribute__((aligned(16)));
    const uint32_t mxcsr = operand_load(cpu, insn, 0, sizeof mxcsr);

    __asm__ volatile("fxsave %0" : "=m"(host));
    if (mxcsr & ~mxcsr_mask(host))
        cpu_fault_error(cpu, VEC_GP, 0);
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
    return CALL_NEXT;
}

static void store(struct cpu *cpu, const struct insn *insn, const void *image, uint32_t size)
{
    view_write(cpu, operand_linear(cpu, insn, 0, size, true), image, size, cpu->cpl == 3);
}

static void load(struct cpu *cpu, const struct insn *insn, void *image, uint32_t size)
{
    view_read(cpu, operand_linear(cpu, insn, 0, size, false), image, size, cpu->cpl == 3);
}

/* All of the operand has to be there, even what is reserved in it and left alone. */
static uint32_t fx_operand(struct cpu *cpu, const struct insn *insn, bool write)
{
    const uint32_t linear = operand_linear(cpu, insn, 0, FXSAVE_SIZE, write), last = linear + FXSAVE_SIZE - 1;

    if (linear & 15)
        cpu_fault_error(cpu, VEC_GP, 0);
    view_translate(cpu, linear, write ? VIEW_FOR_WRITE : VIEW_FOR_READ, cpu->cpl == 3);
    if ((linear ^ last) >= PAGE_SIZE)
        view_translate(cpu, last & ~(PAGE_SIZE - 1), write ? VIEW_FOR_WRITE : VIEW_FOR_READ, cpu->cpl == 3);
    return linear;
}

enum call_result calls_fxsave(struct cpu *cpu, const struct insn *insn)
{
    const uint32_t linear = fx_operand(cpu, insn, true);
    const struct x87_pointers pointers = x87_pointers(cpu);
    uint8_t image[FXSAVE_SIZE] __attribute__((aligned(16)));
    uint32_t mask;

    __asm__ volatile("fxsave %0" : "=m"(image));
    mask = mxcsr_mask(image);
    memcpy(image + FXSAVE_MXCSR_MASK, &mask, 4);
    x87_image_set_pointers(image, &pointers);
    memcpy(image + FXSAVE_XMM, cpu->xmm, sizeof cpu->xmm);
    view_write(cpu, linear, image, FXSAVE_WRITTEN, cpu->cpl == 3);
    return CALL_NEXT;
}

enum call_result calls_fxrstor(struct cpu *cpu, const struct insn *insn)
{
    const uint32_t linear = fx_operand(cpu, insn, false);
    uint8_t image[FXSAVE_SIZE] __attribute__((aligned(16))), host[FXSAVE_SIZE] __attribute__((aligned(16)));
    struct x87_pointers pointers;
    uint32_t mxcsr;

    memset(image, 0, sizeof image);
    view_read(cpu, linear, image, FXSAVE_WRITTEN, cpu->cpl == 3);
    __asm__ volatile("fxsave %0" : "=m"(host));
    memcpy(&mxcsr, image + FXSAVE_MXCSR, 4);
    if (mxcsr & ~mxcsr_mask(host))
        cpu_fault_error(cpu, VEC_GP, 0);
    __asm__ volatile("fxrstor %0" : : "m"(image) : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
                     "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    memcpy(cpu->xmm, image + FXSAVE_XMM, sizeof cpu->xmm);
    x87_image_pointers(image, &pointers);
    x87_set_pointers(cpu, &pointers);
    return CALL_NEXT;
}

/* --- the pointers of an environment: four layouts (figures 8-9 to 8-12) --- */

static bool by_selector(const struct cpu *cpu) { return cpu_protected(cpu) && !cpu_v8086(cpu); }

/* Real and virtual-8086 mode store linear addresses, their high halves above the opcode's 11 bits. */
static void put_linear(uint8_t *image, const struct x87_pointers *p, bool wide)
{
    const uint32_t ip = p->ip + ((uint32_t)p->cs << 4), dp = p->dp + ((uint32_t)p->ds << 4);
    const uint32_t high[2] = { p->opcode | (wide ? ip >> 16 : ip >> 16 & 15) << 12, (wide ? dp >> 16 : dp >> 16 & 15) << 12 };

    memcpy(image + (wide ? 12 : 6), &ip, 2);
    memcpy(image + (wide ? 16 : 8), &high[0], wide ? 4 : 2);
    memcpy(image + (wide ? 20 : 10), &dp, 2);
    memcpy(image + (wide ? 24 : 12), &high[1], wide ? 4 : 2);
}

static void take_linear(const uint8_t *image, struct x87_pointers *p, bool wide)
{
    uint16_t low[2];
    uint32_t high[2] = { 0 };

    memcpy(&low[0], image + (wide ? 12 : 6), 2);
    memcpy(&high[0], image + (wide ? 16 : 8), wide ? 4 : 2);
    memcpy(&low[1], image + (wide ? 20 : 10), 2);
    memcpy(&high[1], image + (wide ? 24 : 12), wide ? 4 : 2);
    *p = (struct x87_pointers){ .ip = low[0] | high[0] >> 12 << 16, .dp = low[1] | high[1] >> 12 << 16,
                                .opcode = high[0] & X87_OPCODE };
}

/* Over what the host stored; its reserved bits stay. */
static void put_pointers(struct cpu *cpu, uint8_t *image, bool wide)
{
    const struct x87_pointers p = x87_pointers(cpu);
    const uint32_t code = p.cs | (uint32_t)p.opcode << 16;

    if (!by_selector(cpu)) {
        put_linear(image, &p, wide);
        return;
    }
    memcpy(image + (wide ? 12 : 6), &p.ip, wide ? 4 : 2);
    memcpy(image + (wide ? 16 : 8), &code, wide ? 4 : 2);
    memcpy(image + (wide ? 20 : 10), &p.dp, wide ? 4 : 2);
    memcpy(image + (wide ? 24 : 12), &p.ds, 2);
}

static void take_pointers(struct cpu *cpu, const uint8_t *image, bool wide)
{
    struct x87_pointers p = { 0 };

    if (!by_selector(cpu)) {
        take_linear(image, &p, wide);
    } else {
        memcpy(&p.ip, image + (wide ? 12 : 6), wide ? 4 : 2);
        memcpy(&p.cs, image + (wide ? 16 : 8), 2);
        if (wide)
            memcpy(&p.opcode, image + 18, 2);
        memcpy(&p.dp, image + (wide ? 20 : 10), wide ? 4 : 2);
        memcpy(&p.ds, image + (wide ? 24 : 12), 2);
    }
    x87_set_pointers(cpu, &p);
}

enum call_result calls_fnsave(struct cpu *cpu, const struct insn *insn)
{
    bool wide = insn->opsize == 4;
    uint32_t size = wide ? STATE32 : STATE16;
    uint8_t image[STATE32];

    view_check_write(cpu, operand_linear(cpu, insn, 0, size, true), size, cpu->cpl == 3);
    if (wide)
        __asm__ volatile("fnsave %0" : "=m"(image));
    else
        __asm__ volatile(".byte 0x66; fnsave %0" : "=m"(image));
    put_pointers(cpu, image, wide);
    x87_set_pointers(cpu, &(struct x87_pointers){ 0 });
    store(cpu, insn, image, size);
    return CALL_NEXT;
}

/* FRSTOR and FLDENV wait: here the exception would be the host's own. */
static void wait_for_exception(struct cpu *cpu)
{
    uint16_t status;

    __asm__ volatile("fnstsw %0" : "=a"(status));
    if (status & SUMMARY)
        cpu_fault(cpu, VEC_MF);
}

enum call_result calls_frstor(struct cpu *cpu, const struct insn *insn)
{
    uint8_t image[STATE32];

    wait_for_exception(cpu);
    load(cpu, insn, image, insn->opsize == 4 ? STATE32 : STATE16);
    if (insn->opsize == 4)
        __asm__ volatile("frstor %0" : : "m"(image) : "memory");
    else
        __asm__ volatile(".byte 0x66; frstor %0" : : "m"(image) : "memory");
    take_pointers(cpu, image, insn->opsize == 4);
    return CALL_NEXT;
}

enum call_result calls_fnstenv(struct cpu *cpu, const struct insn *insn)
{
    bool wide = insn->opsize == 4;
    uint32_t size = wide ? ENVIRONMENT32 : ENVIRONMENT16;
    uint8_t image[ENVIRONMENT32];

    view_check_write(cpu, operand_linear(cpu, insn, 0, size, true), size, cpu->cpl == 3);
    if (wide)
        __asm__ volatile("fnstenv %0" : "=m"(image));
    else
        __asm__ volatile(".byte 0x66; fnstenv %0" : "=m"(image));
    put_pointers(cpu, image, wide);
    store(cpu, insn, image, size);
    return CALL_NEXT;
}

enum call_result calls_fldenv(struct cpu *cpu, const struct insn *insn)
{
    uint8_t image[ENVIRONMENT32];

    wait_for_exception(cpu);
    load(cpu, insn, image, insn->opsize == 4 ? ENVIRONMENT32 : ENVIRONMENT16);
    if (insn->opsize == 4)
        __asm__ volatile("fldenv %0" : : "m"(image) : "memory");
    else
        __asm__ volatile(".byte 0x66; fldenv %0" : : "m"(image) : "memory");
    take_pointers(cpu, image, insn->opsize == 4);
    return CALL_NEXT;
}
