/* SPDX-License-Identifier: BSD-2-Clause
 *
 * String instructions without a REP prefix, in line: an access or two, then ESI
 * and EDI move by what the direction flag says, with the guest's flags kept.
 * With REP, with 16-bit addresses or through segments that have to be checked
 * they are calls into C (calls_string.c).
 */
#include "x86vm/translate/build.h"
#include "x86vm/translate/rewrite.h"

enum { OP_MOVS = 0xa4, OP_CMPS = 0xa6, OP_STOS = 0xaa, OP_LODS = 0xac, OP_SCAS = 0xae };

static bool uses_source(unsigned op) { return op == OP_MOVS || op == OP_CMPS || op == OP_LODS; }

bool rewrite_string_inline(const struct build *b, const struct insn *insn)
{
    unsigned op = insn->opcode & ~1u;
    bool writes = op == OP_MOVS || op == OP_STOS;

    if (!b->t->bmi2 || insn->rep || insn->addrsize != 4)
        return false;
    if (uses_source(op) && access_segment(b, rewrite_data_segment(insn), false) == SEG_CHECKED)
        return false;
    return op == OP_LODS || access_segment(b, CPU_ES, writes) != SEG_CHECKED;
}

/* An instruction of a byte or of 16 or 32 bits on memory, `reg` being RAX or R13. */
struct operation { uint8_t opcode[2], length; uint8_t size; enum host_reg reg; };

static void emit_operation(struct emit *e, struct host_mem mem, const void *arg)
{
    const struct operation *o = arg;
    emit_op_mem(e, o->size == 2 ? EMIT_66 : 0, o->opcode, o->length, o->reg, mem);
}

static void on_memory(struct build *b, enum cpu_reg pointer, uint8_t seg, bool write, const struct operation *operation)
{
    enum host_reg ea = host_of[pointer];
    struct access a = { .at = mem_at(ea, 0), .seg = seg, .size = operation->size, .read = !write, .write = write };

    if (access_segment(b, seg, write) == SEG_BASED) {
        emit_load32(b->hot, R10, cpu_member(offsetof(struct cpu, seg_base) + 4 * seg));
        emit_lea32(b->hot, R9, mem_sum(ea, R10));
        a.at = mem_at(R9, 0);
    }
    access_emit(b, &a, emit_operation, operation);
}

/* The source goes to R13, zero-extended, or to AL, AX, EAX. */
static void load_source(struct build *b, const struct insn *insn, uint8_t size, bool to_accumulator)
{
    struct operation load = { { 0x8b }, 1, size, RAX };

    if (size == 1)
        load.opcode[0] = 0x8a;
    if (!to_accumulator && size == 1)
        load = (struct operation){ { 0x0f, 0xb6 }, 2, size, R13 };
    else if (!to_accumulator)
        load.reg = R13;
    on_memory(b, CPU_ESI, rewrite_data_segment(insn), false, &load);
}

/* [EDI]: a store (88h, 89h) or a comparison with it (3Ah, 3Bh). */
static void on_destination(struct build *b, uint8_t opcode, uint8_t size, enum host_reg reg)
{
    const struct operation operation = { { (uint8_t)(opcode + (size > 1)) }, 1, size, reg };
    on_memory(b, CPU_EDI, CPU_ES, opcode == 0x88, &operation);
}

/* R11 = not DF, so that 2 * size * R11 + 3 * size is the step. */
static void move_pointers(struct build *b, uint8_t size, bool source, bool destination)
{
    struct emit *e = b->hot;
    uint8_t scale = size == 1 ? 1 : size == 2 ? 2 : 3;

    access_island(b, false);
    emit_load32(e, R10, CPU_MEM(eflags));
    emit_mov_imm32(e, R11, FLAG_DF);
    emit_pext32(e, R11, R10, R11);
    emit_not32(e, R11);
    if (source)
        emit_lea32(e, RSI, (struct host_mem){ RSI, R11, scale, 3 * size });
    if (destination)
        emit_lea32(e, RDI, (struct host_mem){ RDI, R11, scale, 3 * size });
}

void rewrite_string(struct build *b, const struct insn *insn)
{
    unsigned op = insn->opcode & ~1u;
    uint8_t size = insn->opcode & 1 ? insn->opsize : 1;

    if (uses_source(op))
        load_source(b, insn, size, op == OP_LODS);
    if (op == OP_STOS || op == OP_MOVS)
        on_destination(b, 0x88, size, op == OP_STOS ? RAX : R13);
    else if (op == OP_SCAS || op == OP_CMPS)
        on_destination(b, 0x3a, size, op == OP_SCAS ? RAX : R13);
    move_pointers(b, size, uses_source(op), op != OP_LODS);
}
