/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The sensitive instructions that a kernel executes all the time, in line:
 * CLI, STI, PUSHF and POPF at CPL 0 of protected mode (where IOPL allows
 * everything), reads of segment registers, and RDTSC. IF and its neighbours live in
 * cpu->eflags; PEXT and PDEP change single bits there without touching the
 * host's flags. Everything else about these instructions is a call into C
 * (calls_system.c, calls_stack.c).
 */
#include "x86vm/translate/build.h"
#include "x86vm/translate/ports.h"
#include "x86vm/translate/rewrite.h"
#include "x86vm/translate/transition.h"

/* What POPF may change at CPL 0 (vol. 2, POPF; VM, RF, VIP, VIF stay). */
#define POPF_WRITABLE (FLAGS_ARITH | FLAG_TF | FLAG_IF | FLAG_DF | FLAG_IOPL | FLAG_NT | FLAG_AC | FLAG_ID)

bool rewrite_system_inline(const struct build *b, const struct insn *insn)
{
    bool stack32 = b->mode & MODE_STACK32 && mode_seg(b->mode, CPU_SS) == SEG_FLAT && insn->opsize == 4;
    bool kernel = b->mode & MODE_CPL0 && b->t->bmi2 && !(b->mode & MODE_SINGLE);

    switch (insn->kind) {
    case INSN_CLI:
        return kernel;
    case INSN_STI: /* last in its block it would lose its shadow */
        return kernel && insn->eip + insn->length < b->end_eip;
    case INSN_PUSHF: case INSN_POPF:
        return kernel && stack32;
    case INSN_PUSH_SEG:
        return stack32;
    case INSN_MOV_FROM_SEG:
        return !insn->has_mem && insn_reg(insn) < CPU_SEG_COUNT;
    case INSN_STRING:
        return rewrite_string_inline(b, insn);
    case INSN_IN: case INSN_OUT:
        return ports_inline(b);
    case INSN_RDTSC: /* a recording has the TSC from C */
        return b->t->bmi2 && !b->t->counting;
    default:
        return transition_inline(b, insn);
    }
}

/* R10 = R10 with the bits of `mask` cleared; flags kept; R11 is lost. */
static void keep_bits(struct emit *e, enum host_reg reg, uint32_t mask)
{
    emit_mov_imm32(e, R11, mask);
    emit_pext32(e, reg, reg, R11);
    emit_pdep32(e, reg, reg, R11);
}

static void set_if(struct build *b, bool on)
{
    struct emit *e = b->hot;

    emit_load32(e, R10, CPU_MEM(eflags));
    keep_bits(e, R10, ~(uint32_t)FLAG_IF);
    if (on)
        emit_lea32(e, R10, mem_at(R10, FLAG_IF));
    emit_store32(e, CPU_MEM(eflags), R10);
}

static void rewrite_cli(struct build *b, const struct insn *insn)
{
    (void)insn;
    set_if(b, false);
}

/* With an interrupt pending C decides what comes next. */
static void rewrite_sti(struct build *b, const struct insn *insn)
{
    struct emit *e = b->hot;
    uint8_t *none, *pending;
    uint64_t cold;

    emit_mov64(e, R11, RCX);
    emit_op_mem(e, 0, (const uint8_t[]){ 0x0f, 0xb6 }, 2, RCX, CPU_MEM(intr));
    none = emit_jecxz_later(e);
    pending = emit_jmp_later(e);
    emit_patch8(e, none);
    emit_mov64(e, RCX, R11);
    set_if(b, true);
    emit_store32_imm(e, CPU_MEM(shadowed), insn->eip + insn->length);
    emit_mark(e, MARK_EIP, insn->eip + insn->length);
    cold = emit_pc(b->cold);
    emit_mov64(b->cold, RCX, R11);
    rewrite_cold_call(b, insn, calls_function(insn->kind));
    emit_patch32(pending, e->to_exec, cold);
}

static void rewrite_pushf(struct build *b, const struct insn *insn)
{
    struct emit *e = b->hot;

    (void)insn;
    emit_pushfq(e);
    emit_pop(e, R13);
    keep_bits(e, R13, FLAGS_ARITH);
    emit_load32(e, R10, CPU_MEM(eflags));
    keep_bits(e, R10, ~(FLAGS_ARITH | FLAG_VM | FLAG_RF));
    emit_lea32(e, R13, mem_sum(R13, R10));
    rewrite_push_register(b, R13);
}

/* All arithmetic flags are overwritten, so the tests may use them; TF and a
 * pending interrupt go to C. */
static void rewrite_popf(struct build *b, const struct insn *insn)
{
    struct emit *e = b->hot;
    uint8_t *trap, *pending;

    rewrite_load_stack_top(b, R13);
    emit_test32_imm(e, R13, FLAG_TF);
    trap = emit_jcc_later(e, CC_NZ);
    emit_mov32(e, R10, R13);
    emit_shr32_imm(e, R10, 9);
    emit_op_mem(e, EMIT_REX, (const uint8_t[]){ 0x84 }, 1, R10, CPU_MEM(intr)); /* TEST [intr], R10B: bit 0 is IF */
    pending = emit_jcc_later(e, CC_NZ);
    emit_lea32(e, R8, mem_at(R8, 4));
    emit_load32(e, R10, CPU_MEM(eflags));
    emit_op_reg(e, 0, (const uint8_t[]){ 0x81 }, 1, 4, R10);
    emit_u32(e, ~(uint32_t)(POPF_WRITABLE | FLAG_RF));
    emit_mov32(e, R11, R13);
    emit_op_reg(e, 0, (const uint8_t[]){ 0x81 }, 1, 4, R11);
    emit_u32(e, POPF_WRITABLE);
    emit_op_reg(e, 0, (const uint8_t[]){ 0x0b }, 1, R10, R11);
    emit_store32(e, CPU_MEM(eflags), R10);
    emit_op_reg(e, 0, (const uint8_t[]){ 0x81 }, 1, 4, R13);
    emit_u32(e, FLAGS_ARITH);
    emit_push(e, R13);
    emit_popfq(e);
    emit_patch32(trap, e->to_exec, emit_pc(b->cold));
    emit_patch32(pending, e->to_exec, emit_pc(b->cold));
    rewrite_cold_call(b, insn, calls_function(insn->kind));
}

static struct host_mem selector_of(unsigned seg)
{
    return cpu_member(offsetof(struct cpu, seg) + seg * sizeof(struct cpu_segment) + offsetof(struct cpu_segment, selector));
}

static void load_selector(struct emit *e, enum host_reg to, unsigned seg)
{
    emit_op_mem(e, 0, (const uint8_t[]){ 0x0f, 0xb7 }, 2, to, selector_of(seg));
}

static void rewrite_push_seg(struct build *b, const struct insn *insn)
{
    unsigned seg = insn->opcode_length == 2 ? (insn->opcode >= 0xa8 ? CPU_GS : CPU_FS) : insn->opcode >> 3 & 3u;

    load_selector(b->hot, R13, seg);
    rewrite_push_selector(b, R13);
}

static void rewrite_mov_from_seg(struct build *b, const struct insn *insn)
{
    unsigned to = host_of[insn_rm(insn)];

    if (insn->opsize == 4) {
        load_selector(b->hot, to, insn_reg(insn));
        return;
    }
    load_selector(b->hot, R10, insn_reg(insn));
    emit_op_reg(b->hot, EMIT_66, (const uint8_t[]){ 0x8b }, 1, to, R10);
}

/* CR4.TSD, which is hardly ever set, is looked at where it matters. */
static void rewrite_rdtsc(struct build *b, const struct insn *insn)
{
    struct emit *e = b->hot;
    uint8_t *allowed, *forbidden = NULL;

    if (!(b->mode & MODE_CPL0)) {
        emit_mov64(e, R11, RCX);
        emit_load32(e, RCX, CPU_MEM(cr4));
        emit_mov_imm32(e, R10, CR4_TSD);
        emit_pext32(e, RCX, RCX, R10);
        allowed = emit_jecxz_later(e);
        forbidden = emit_jmp_later(e);
        emit_patch8(e, allowed);
        emit_mov64(e, RCX, R11);
    }
    emit_bytes(e, (const uint8_t[]){ 0x0f, 0x31 }, 2);
    emit_rorx64(e, RDX, RDX, 32);
    emit_load64(e, R11, CPU_MEM(tsc_offset));
    emit_lea64(e, RAX, mem_sum(RAX, RDX));
    emit_lea64(e, RAX, mem_sum(RAX, R11));
    emit_rorx64(e, RDX, RAX, 32);
    emit_mov32(e, RAX, RAX);
    emit_mov32(e, RDX, RDX);
    if (forbidden) {
        emit_patch32(forbidden, e->to_exec, emit_pc(b->cold));
        emit_mov64(b->cold, RCX, R11);
        rewrite_cold_call(b, insn, calls_function(insn->kind));
    }
}

void rewrite_system(struct build *b, const struct insn *insn)
{
    switch (insn->kind) {
    case INSN_CLI: rewrite_cli(b, insn); break;
    case INSN_STI: rewrite_sti(b, insn); break;
    case INSN_PUSHF: rewrite_pushf(b, insn); break;
    case INSN_POPF: rewrite_popf(b, insn); break;
    case INSN_PUSH_SEG: rewrite_push_seg(b, insn); break;
    case INSN_MOV_FROM_SEG: rewrite_mov_from_seg(b, insn); break;
    case INSN_RDTSC: rewrite_rdtsc(b, insn); break;
    case INSN_STRING: rewrite_string(b, insn); break;
    case INSN_IN: case INSN_OUT: ports_emit(b, insn); break;
    default: transition_emit(b, insn); break;
    }
}
