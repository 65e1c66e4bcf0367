/* SPDX-License-Identifier: BSD-2-Clause
 *
 * See x87_stores.h.
 */
#include "x86vm/translate/x87_stores.h"

#include "x86vm/cpu/x87.h"
#include "x86vm/translate/build.h"
#include "x86vm/translate/rewrite.h"

static bool is_fninit(const struct insn *insn) { return insn->opcode == 0xdb && insn->modrm == 0xe3; }

/* Those that leave the pointers alone: FLDCW, FNSTCW, FNSTSW, FNCLEX, FNINIT, FWAIT. */
static bool is_control(const struct insn *insn)
{
    switch (insn->opcode) {
    case 0xd9: return insn->has_mem && (insn_reg(insn) == 5 || insn_reg(insn) == 7);
    case 0xdb: return insn->modrm == 0xe2 || insn->modrm == 0xe3;
    case 0xdd: return insn->has_mem && insn_reg(insn) == 7;
    case 0xdf: return insn->modrm == 0xe0;
    default: return insn->opcode == 0x9b;
    }
}

static void clear_pointers(struct emit *e)
{
    emit_store32_imm(e, CPU_MEM(x87_ip), 0);
    emit_store32_imm(e, CPU_MEM(x87_dp), 0);
    emit_store32_imm(e, CPU_MEM(x87_info), 0);
    emit_store32_imm(e, CPU_MEM(x87_cs), 0); /* and x87_ds */
}

_Static_assert(offsetof(struct cpu, x87_ip) % 8 == 0 && offsetof(struct cpu, x87_info) == offsetof(struct cpu, x87_ip) + 4, "one aligned word");

static void store_code(struct build *b, const struct insn *insn)
{
    struct emit *e = b->hot;
    uint32_t info = (insn->opcode & 7u) << 8 | insn->modrm | X87_CODE_OPEN;

    if (b->x87_data) {
        emit_mov_imm64(e, R11, (uint64_t)(info | b->x87_data) << 32 | insn->eip);
        emit_mark_before(e, MARK_EIP, insn->eip, 4);
        emit_store64(e, CPU_MEM(x87_ip), R11);
        return;
    }
    emit_store32_imm(e, CPU_MEM(x87_ip), insn->eip);
    emit_mark(e, MARK_EIP, insn->eip);
    emit_op_mem(e, EMIT_66, (const uint8_t[]){ 0xc7 }, 1, 0, CPU_MEM(x87_info)); /* the high half stays */
    emit_bytes(e, &info, 2);
}

static void store_data(struct build *b, const struct insn *insn)
{
    enum host_reg offset = access_offset(b, &insn->mem);

    if (insn->addrsize == 2) {
        emit_movzx16(b->hot, R9, offset);
        offset = R9;
    }
    emit_store32(b->hot, CPU_MEM(x87_dp), offset);
}

/* What may stand between two x87 instructions of a block without a change of
 * x87_info: no C that asks for it, no load of a segment register, no way back
 * into the block from elsewhere. */
static bool keeps_data(const struct insn *insn)
{
    return insn->kind == INSN_PLAIN || insn->kind == INSN_LEA || insn->kind == INSN_JCC;
}

void x87_before(struct build *b, const struct insn *insn, bool executed)
{
    if (!executed || !keeps_data(insn))
        b->x87_data = 0;
}

void x87_behind(struct build *b, const struct insn *insn)
{
    if (insn->unit != INSN_UNIT_X87 || (is_control(insn) && !is_fninit(insn)))
        return;
    access_island(b, false);
    if (is_fninit(insn)) {
        clear_pointers(b->hot);
        b->x87_data = 0;
        return;
    }
    if (insn->has_mem)
        b->x87_data = (uint32_t)insn->mem.seg << X87_SEGMENT_SHIFT | X87_DATA_OPEN;
    store_code(b, insn);
    if (insn->has_mem)
        store_data(b, insn);
}
