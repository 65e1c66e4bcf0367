/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Saving and restoring FPU state. The guest's x87 lives in the host's, so the
 * host instruction makes the image; what would show the host's addresses (FIP,
 * FCS, FDP, FDS) is blanked, and the XMM part comes from cpu->xmm, where it is
 * while C runs. Vol. 1, 8.1.10 and 10.5.
 */
#include <string.h>

#include "x86vm/memory/view.h"
#include "x86vm/protection/protection.h"
#include "x86vm/translate/calls.h"
#include "x86vm/translate/operand.h"

enum { FXSAVE_WRITTEN = 288, FXSAVE_XMM = 160, FXSAVE_MXCSR = 24, FXSAVE_MXCSR_MASK = 28,
       STATE32 = 108, STATE16 = 94, ENVIRONMENT32 = 28, ENVIRONMENT16 = 14,
       SUMMARY = 0x80 /* of the status word: an unmasked exception is pending */ };

static void store(struct cpu *cpu, const struct insn *insn, const void *image, uint32_t size)
{
    view_write(cpu, operand_linear(cpu, insn, 0, size, true), image, size, cpu->cpl == 3);
}

static void load(struct cpu *cpu, const struct insn *insn, void *image, uint32_t size)
{
    view_read(cpu, operand_linear(cpu, insn, 0, size, false), image, size, cpu->cpl == 3);
}

enum call_result calls_fxsave(struct cpu *cpu, const struct insn *insn)
{
    uint8_t image[512] __attribute__((aligned(16)));

    if (operand_linear(cpu, insn, 0, 512, true) & 15)
        cpu_fault_error(cpu, VEC_GP, 0);
    __asm__ volatile("fxsave %0" : "=m"(image));
    memset(image + 8, 0, 16);
    memcpy(image + FXSAVE_XMM, cpu->xmm, sizeof cpu->xmm);
    store(cpu, insn, image, FXSAVE_WRITTEN);
    return CALL_NEXT;
}

enum call_result calls_fxrstor(struct cpu *cpu, const struct insn *insn)
{
    uint8_t image[512] __attribute__((aligned(16))), host[512] __attribute__((aligned(16)));
    uint32_t mxcsr, mask;

    if (operand_linear(cpu, insn, 0, 512, false) & 15)
        cpu_fault_error(cpu, VEC_GP, 0);
    memset(image, 0, sizeof image);
    load(cpu, insn, image, FXSAVE_WRITTEN);
    __asm__ volatile("fxsave %0" : "=m"(host));
    memcpy(&mask, host + FXSAVE_MXCSR_MASK, 4);
    memcpy(&mxcsr, image + FXSAVE_MXCSR, 4);
    if (mxcsr & ~(mask ? mask : 0xffbf))
        cpu_fault_error(cpu, VEC_GP, 0);
    __asm__ volatile("fxrstor %0" : : "m"(image) : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6",
                     "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    memcpy(cpu->xmm, image + FXSAVE_XMM, sizeof cpu->xmm);
    return CALL_NEXT;
}

/* Instruction and operand pointers of the two protected-mode layouts. */
static void blank_pointers(uint8_t *image, bool wide)
{
    if (wide) {
        memset(image + 12, 0, 6);
        memset(image + 20, 0, 8);
    } else {
        memset(image + 6, 0, 8);
    }
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
    blank_pointers(image, wide);
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
    blank_pointers(image, wide);
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
    return CALL_NEXT;
}
