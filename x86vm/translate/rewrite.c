/* SPDX-License-Identifier: BSD-2-Clause
 *
 * One guest instruction to host code. Most are re-encoded as they stand with
 * their registers renamed (ESP is R8) and their memory operand redirected;
 * stack and control-flow instructions become sequences; the privileged,
 * sensitive and rare ones become calls into C (calls_*.c).
 */
#include <string.h>

#include "x86vm/translate/build.h"
#include "x86vm/translate/rewrite.h"
#include "x86vm/translate/x87_stores.h"

typedef void rewrite_function(struct build *b, const struct insn *insn);

/* --- re-encoding --- */

static unsigned copied_prefixes(const struct insn *insn)
{
    return (insn->copy_66 ? EMIT_66 : 0u) | (insn->mandatory == 0xf2 ? EMIT_F2 : 0u) | (insn->mandatory == 0xf3 ? EMIT_F3 : 0u);
}

static unsigned host_register_field(const struct insn *insn)
{
    return insn->reg_is_gpr ? host_of[insn_reg(insn)] : insn_reg(insn);
}

static void emit_tail(struct emit *e, const struct insn *insn)
{
    emit_bytes(e, insn->bytes + insn->tail_offset, insn->length - insn->tail_offset);
}

/* The opcode bytes, with the aliases that 64-bit mode does not have replaced. */
static const uint8_t *host_opcode(const struct insn *insn, uint8_t buffer[3])
{
    buffer[0] = insn->bytes[insn->opcode_offset];
    if (insn->opcode_length == 1) {
        if (buffer[0] == 0x82)
            buffer[0] = 0x80;
        return buffer;
    }
    buffer[1] = insn->bytes[insn->opcode_offset + 1];
    if (insn->opcode_length == 3)
        buffer[2] = insn->opcode;
    return buffer;
}

/* AH..BH cannot be named together with R8..R15: unless the access is bare, the
 * address goes through RSI, which no byte-register instruction uses beside its
 * memory operand. */
static void plain_high_byte(struct emit *e, struct host_mem mem, const struct insn *insn)
{
    uint8_t opcode[3];

    if (mem.bare) {
        emit_op_mem(e, copied_prefixes(insn), host_opcode(insn, opcode), insn->opcode_length, insn_reg(insn), mem);
        emit_tail(e, insn);
        return;
    }
    emit_mov64(e, R11, RSI);
    emit_lea64(e, RSI, mem);
    emit_op_mem(e, copied_prefixes(insn), host_opcode(insn, opcode), insn->opcode_length, insn_reg(insn), mem_at(RSI, 0));
    emit_tail(e, insn);
    emit_mov64(e, RSI, R11);
}

static void plain_on_memory(struct emit *e, struct host_mem mem, const void *arg)
{
    const struct insn *insn = arg;
    uint8_t opcode[3];

    if (insn->high_byte) {
        plain_high_byte(e, mem, insn);
        return;
    }
    emit_op_mem(e, copied_prefixes(insn), host_opcode(insn, opcode), insn->opcode_length, host_register_field(insn), mem);
    emit_tail(e, insn);
}

/* MOVZX/MOVSX ESP, AH..BH: ESP changes places with ESI for the instruction. */
static void plain_high_byte_to_esp(struct emit *e, const struct insn *insn)
{
    uint8_t opcode[3];

    emit_xchg64(e, RSI, R8);
    emit_op_reg(e, copied_prefixes(insn), host_opcode(insn, opcode), insn->opcode_length, RSI, insn_rm(insn));
    emit_xchg64(e, RSI, R8);
}

static void plain_on_registers(struct emit *e, const struct insn *insn)
{
    unsigned reg = host_register_field(insn), rm = insn->rm_is_gpr ? host_of[insn_rm(insn)] : insn_rm(insn);
    uint8_t opcode[3];

    if (insn->high_byte && reg == R8) {
        plain_high_byte_to_esp(e, insn);
        return;
    }
    emit_op_reg(e, copied_prefixes(insn), host_opcode(insn, opcode), insn->opcode_length, reg, rm);
    emit_tail(e, insn);
}

/* A register in the opcode byte: INC/DEC become FF /0 and /1 (40h..4Fh are REX
 * here), the others take REX.B for ESP. */
static void plain_opcode_register(struct emit *e, const struct insn *insn)
{
    unsigned reg = host_of[insn->opcode & 7];
    uint8_t opcode[3], last = insn->opcode_length - 1;

    if (insn->opcode_length == 1 && insn->opcode >= 0x40 && insn->opcode <= 0x4f) {
        emit_op_reg(e, copied_prefixes(insn), (const uint8_t[]){ 0xff }, 1, insn->opcode >> 3 & 1, reg);
        return;
    }
    host_opcode(insn, opcode);
    opcode[last] = (uint8_t)((opcode[last] & ~7) | (reg & 7));
    if (insn->copy_66)
        emit_byte(e, 0x66);
    if (reg >= R8)
        emit_byte(e, 0x41);
    emit_bytes(e, opcode, insn->opcode_length);
    emit_tail(e, insn);
}

static void rewrite_plain(struct build *b, const struct insn *insn)
{
    struct emit *e = b->hot;
    uint8_t opcode[3];

    if (insn->has_mem) {
        struct access a = access_address(b, &insn->mem, 0);
        access_emit(b, &a, plain_on_memory, insn);
    } else if (insn->has_modrm) {
        plain_on_registers(e, insn);
    } else if (insn->opcode_is_gpr) {
        plain_opcode_register(e, insn);
    } else {
        if (insn->copy_66)
            emit_byte(e, 0x66);
        if (insn->mandatory)
            emit_byte(e, insn->mandatory);
        emit_bytes(e, host_opcode(insn, opcode), insn->opcode_length);
        emit_tail(e, insn);
    }
    x87_behind(b, insn);
}

static void touch_operation(struct emit *e, struct host_mem mem, const void *arg)
{
    (void)arg;
    emit_op_mem(e, 0, (const uint8_t[]){ 0x0f, 0xb6 }, 2, R11, mem); /* MOVZX R11D, byte */
}

static void rewrite_nop(struct build *b, const struct insn *insn)
{
    if (insn->has_mem && insn->opcode_length == 2 && insn->opcode == 0xae) { /* CLFLUSH faults like a load */
        struct insn_mem mem = insn->mem;
        mem.size = 1;
        mem.read = true;
        struct access a = access_address(b, &mem, 0);
        access_emit(b, &a, touch_operation, NULL);
    }
}

static void rewrite_lea(struct build *b, const struct insn *insn)
{
    const struct insn_mem *mem = &insn->mem;
    struct host_mem ea = mem_full(NO_REG, NO_REG, mem->scale, (int32_t)((uint32_t)mem->disp + (mem->base == CPU_ESP ? (uint32_t)b->esp_delta : 0)));
    unsigned to = host_of[insn_reg(insn)];

    if (mem->base != INSN_NO_REG)
        ea.base = (int8_t)host_of[mem->base];
    if (mem->index != INSN_NO_REG)
        ea.index = (int8_t)host_of[mem->index];
    if (insn->addrsize == 2) {
        emit_lea32(b->hot, R9, ea);
        emit_movzx16(b->hot, R9, R9);
        emit_op_reg(b->hot, insn->opsize == 2 ? EMIT_66 : 0, (const uint8_t[]){ 0x8b }, 1, to, R9);
    } else {
        emit_op_mem(b->hot, insn->opsize == 2 ? EMIT_66 : 0, (const uint8_t[]){ 0x8d }, 1, to, ea);
    }
    if (to == R8)
        b->esp_delta = 0;
}

static void moffs_operation(struct emit *e, struct host_mem mem, const void *arg)
{
    static const uint8_t opcodes[] = { 0x8a, 0x8b, 0x88, 0x89 };
    const struct insn *insn = arg;

    emit_op_mem(e, copied_prefixes(insn), &opcodes[insn->opcode & 3], 1, RAX, mem);
}

static void rewrite_moffs(struct build *b, const struct insn *insn)
{
    struct access a = access_address(b, &insn->mem, 0);
    access_emit(b, &a, moffs_operation, insn);
}

static void load_al(struct emit *e, struct host_mem mem, const void *arg)
{
    (void)arg;
    emit_op_mem(e, 0, (const uint8_t[]){ 0x8a }, 1, RAX, mem);
}

uint8_t rewrite_data_segment(const struct insn *insn)
{
    static const struct { uint8_t prefix, seg; } rows[] = { { 0x26, CPU_ES }, { 0x2e, CPU_CS }, { 0x36, CPU_SS },
        { 0x3e, CPU_DS }, { 0x64, CPU_FS }, { 0x65, CPU_GS } };
    uint8_t seg = CPU_DS;

    for (unsigned i = 0; i < insn->opcode_offset; i++)
        for (unsigned k = 0; k < sizeof rows / sizeof rows[0]; k++)
            if (insn->bytes[i] == rows[k].prefix)
                seg = rows[k].seg;
    return seg;
}

/* An access whose offset is in R9 already. */
static struct access access_at_r9(struct build *b, uint8_t seg, uint16_t size, bool read, bool write)
{
    enum seg_state state = access_segment(b, seg, write);
    struct access a = { .at = mem_at(R9, 0), .seg = seg, .checked = state == SEG_CHECKED, .size = size, .read = read, .write = write };

    if (b->insn->addrsize == 2)
        emit_movzx16(b->hot, R9, R9);
    if (state == SEG_BASED) {
        emit_load32(b->hot, R10, cpu_member(offsetof(struct cpu, seg_base) + 4 * seg));
        emit_lea32(b->hot, R9, mem_sum(R9, R10));
    }
    return a;
}

static void rewrite_xlat(struct build *b, const struct insn *insn)
{
    struct access a;

    emit_movzx8(b->hot, R9, RAX);
    emit_lea32(b->hot, R9, mem_sum(RBX, R9));
    a = access_at_r9(b, rewrite_data_segment(insn), 1, true, false);
    access_emit(b, &a, load_al, NULL);
}

static void maskmov_operation(struct emit *e, struct host_mem mem, const void *arg)
{
    emit_mov64(e, R11, RDI);
    emit_lea64(e, RDI, mem);
    plain_on_registers(e, arg);
    emit_mov64(e, RDI, R11);
}

static void rewrite_maskmov(struct build *b, const struct insn *insn)
{
    struct access a;

    if (!insn->copy_66)
        emit_byte(b->hot, 0x9b); /* FWAIT: a pending #MF must come while RDI is the guest's */
    emit_mov32(b->hot, R9, RDI);
    a = access_at_r9(b, rewrite_data_segment(insn), insn->copy_66 ? 16 : 8, true, true);
    a.careful = true;
    access_emit(b, &a, maskmov_operation, insn);
}

/* --- bit strings: the bit number addresses memory beyond the operand --- */

static void bit_operation(struct emit *e, struct host_mem mem, const void *arg)
{
    const struct insn *insn = arg;
    emit_op_mem(e, insn->opsize == 2 ? EMIT_66 : 0, (const uint8_t[]){ 0x0f, insn->opcode }, 2, R13, mem);
}

/* R13 = signed bit number / bits of the operand, flags kept. */
static void bit_unit_index(struct build *b, unsigned bits, uint8_t log2)
{
    struct emit *e = b->hot;

    if (log2 == 4) {
        emit_op_reg(e, 0, (const uint8_t[]){ 0x0f, 0xbf }, 2, R13, bits); /* MOVSX R13D, r16 */
        bits = R13;
    }
    if (b->t->bmi2) {
        emit_mov_imm32(e, R11, log2);
        emit_sarx32(e, R13, bits, R11);
        return;
    }
    emit_pushfq(e);
    emit_mov32(e, R13, bits);
    emit_op_reg(e, 0, (const uint8_t[]){ 0xc1 }, 1, 7, R13);
    emit_byte(e, log2);
    emit_popfq(e);
}

/* R13 = bit number within the operand, flags kept. */
static void bit_within_unit(struct build *b, unsigned bits, uint8_t log2)
{
    struct emit *e = b->hot;

    if (b->t->bmi2) {
        emit_mov_imm32(e, R11, 32u - log2);
        emit_shlx32(e, R13, bits, R11);
        emit_shrx32(e, R13, R13, R11);
        return;
    }
    emit_pushfq(e);
    emit_mov32(e, R13, bits);
    emit_op_reg(e, 0, (const uint8_t[]){ 0x83 }, 1, 4, R13);
    emit_byte(e, (uint8_t)((1u << log2) - 1));
    emit_popfq(e);
}

static void rewrite_bit_string(struct build *b, const struct insn *insn)
{
    uint8_t log2 = insn->opsize == 2 ? 4 : 5;
    unsigned bits = host_of[insn_reg(insn)];
    enum host_reg offset;
    struct access a;

    bit_unit_index(b, bits, log2);
    offset = access_offset(b, &insn->mem);
    emit_lea32(b->hot, R9, mem_full((int8_t)offset, R13, (uint8_t)(log2 - 3), 0));
    a = access_at_r9(b, insn->mem.seg, insn->opsize, insn->mem.read, insn->mem.write);
    bit_within_unit(b, bits, log2);
    access_emit(b, &a, bit_operation, insn);
}

/* --- calls into C --- */

void rewrite_c_call(struct build *b, const struct insn *insn, call_function *function)
{
    struct emit *e = b->hot;
    struct call *call;
    uint32_t number = blocks_new_call(b->t, &call);

    access_island(b, false);
    rewrite_settle_esp(b);
    emit_mov_imm32(e, R11, number);
    emit_mark(e, MARK_CALL, number);
    emit_jmp(e, b->t->stubs.call);
    *call = (struct call){ .insn = *insn, .function = function, .block = b->block, .resume = emit_pc(e) };
}

void rewrite_cold_call(struct build *b, const struct insn *insn, call_function *function)
{
    struct call *call;
    uint32_t number = blocks_new_call(b->t, &call);

    emit_mov_imm32(b->cold, R11, number);
    emit_mark(b->cold, MARK_CALL, number);
    emit_jmp(b->cold, b->t->stubs.call);
    *call = (struct call){ .insn = *insn, .function = function, .block = b->block, .resume = emit_pc(b->hot) };
}

/* Direction lives in cpu->eflags only; translated code never has host DF set. */
static void rewrite_direction(struct build *b, const struct insn *insn)
{
    struct emit *e = b->hot;
    bool set = insn->kind == INSN_STD;

    if (b->t->bmi2) { /* POPFQ takes longer than a short copy behind a CLD */
        emit_mov_imm32(e, R11, ~(uint32_t)FLAG_DF);
        emit_load32(e, R10, CPU_MEM(eflags));
        emit_pext32(e, R10, R10, R11);
        emit_pdep32(e, R10, R10, R11);
        if (set)
            emit_lea32(e, R10, mem_at(R10, FLAG_DF));
        emit_store32(e, CPU_MEM(eflags), R10);
        return;
    }
    emit_pushfq(e);
    emit_op_mem(e, 0, (const uint8_t[]){ 0x81 }, 1, set ? 1 : 4, CPU_MEM(eflags));
    emit_u32(e, set ? FLAG_DF : ~(uint32_t)FLAG_DF);
    emit_popfq(e);
}

static enum call_result raise_nm(struct cpu *cpu, const struct insn *insn)
{
    (void)insn;
    cpu_fault(cpu, VEC_NM);
}

static enum call_result raise_ud(struct cpu *cpu, const struct insn *insn)
{
    (void)insn;
    cpu_fault(cpu, VEC_UD);
}

/* CR0.EM/TS/MP and CR4.OSFXSR decide whether the unit may be used at all;
 * they are part of the mode, so the answer is known here. */
static call_function *unit_fault(const struct build *b, const struct insn *insn)
{
    uint32_t mode = b->mode;
    bool wait = insn->opcode_length == 1 && insn->opcode == 0x9b;

    if (insn->unit == INSN_UNIT_INTEGER || insn->kind == INSN_NOP)
        return NULL;
    if (wait)
        return (mode & (MODE_MP | MODE_TS)) == (MODE_MP | MODE_TS) ? raise_nm : NULL;
    if (insn->unit == INSN_UNIT_X87)
        return mode & (MODE_EM | MODE_TS) ? raise_nm : NULL;
    if (mode & MODE_EM || (insn->unit == INSN_UNIT_SSE && !(mode & MODE_OSFXSR)))
        return raise_ud;
    return mode & MODE_TS ? raise_nm : NULL;
}

static rewrite_function *const rewrites[INSN_KIND_COUNT] = {
    [INSN_PLAIN] = rewrite_plain, [INSN_NOP] = rewrite_nop, [INSN_LEA] = rewrite_lea, [INSN_MOFFS] = rewrite_moffs,
    [INSN_XLAT] = rewrite_xlat, [INSN_BIT_STRING] = rewrite_bit_string, [INSN_MASKMOV] = rewrite_maskmov,
    [INSN_PUSH] = rewrite_push, [INSN_POP] = rewrite_pop, [INSN_LEAVE] = rewrite_leave,
    [INSN_JCC] = rewrite_jcc, [INSN_LOOP] = rewrite_loop, [INSN_JMP] = rewrite_jmp,
    [INSN_JMP_INDIRECT] = rewrite_jmp_indirect, [INSN_CALL] = rewrite_call,
    [INSN_CALL_INDIRECT] = rewrite_call_indirect, [INSN_RET] = rewrite_ret,
    [INSN_CLD] = rewrite_direction, [INSN_STD] = rewrite_direction,
};

bool rewrite_is_call(const struct build *b, const struct insn *insn)
{
    bool fast_stack = b->mode & MODE_STACK32 && mode_seg(b->mode, CPU_SS) == SEG_FLAT && insn->opsize == 4;

    switch (insn->kind) {
    case INSN_PUSH: case INSN_POP: case INSN_LEAVE:
        return !fast_stack;
    case INSN_CALL: case INSN_CALL_INDIRECT: case INSN_RET: /* their target is checked against the limit */
        return !fast_stack || b->block->cs_limit != 0xffffffff;
    case INSN_JMP_INDIRECT:
        return insn->opsize != 4 || b->block->cs_limit != 0xffffffff;
    default:
        return !rewrites[insn->kind] && !rewrite_system_inline(b, insn);
    }
}

/* Whether ESP is named as a register operand: then R8 must be it. */
static bool names_esp(const struct insn *insn)
{
    switch (insn->kind) {
    case INSN_PLAIN: case INSN_BIT_STRING: case INSN_MOV_FROM_SEG:
        return (insn->reg_is_gpr && insn_reg(insn) == CPU_ESP)
            || (insn->rm_is_gpr && insn_mod(insn) == 3 && insn_rm(insn) == CPU_ESP)
            || (insn->opcode_is_gpr && (insn->opcode & 7) == CPU_ESP);
    case INSN_LEA: /* a partial write */
        return insn_reg(insn) == CPU_ESP && insn->opsize == 2;
    case INSN_STI: case INSN_POPF: case INSN_RDTSC: case INSN_POP_SEG: case INSN_MOV_TO_SEG: case INSN_SYSENTER: case INSN_SYSEXIT:
    case INSN_IN: case INSN_OUT:
        return true;
    default:
        return false;
    }
}

void rewrite_insn(struct build *b, unsigned i)
{
    const struct insn *insn = &b->insns[i];
    call_function *fault;
    int32_t by;

    b->insn = insn;
    b->flags_live = b->live_before[i] != 0;
    access_island(b, false);
    group_open(b, i);
    if (group_esp_adjust(b, i, &by)) {
        b->esp_delta += by;
        return;
    }
    if (names_esp(insn))
        rewrite_settle_esp(b);
    blocks_map_hot(b->t, insn->eip, b->esp_delta);
    fault = insn->kind == INSN_UNDEFINED ? raise_ud : unit_fault(b, insn);
    x87_before(b, insn, !fault);
    if (fault)
        rewrite_c_call(b, insn, fault);
    else if (rewrite_leaves_segment(b, insn))
        rewrite_out_of_segment(b, insn);
    else if (rewrite_is_call(b, insn))
        rewrite_c_call(b, insn, calls_function(insn->kind));
    else if (rewrites[insn->kind])
        rewrites[insn->kind](b, insn);
    else
        rewrite_system(b, insn);
}
