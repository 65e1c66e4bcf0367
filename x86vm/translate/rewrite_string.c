/* SPDX-License-Identifier: BSD-2-Clause
 *
 * String instructions in line. Without a REP prefix: an access or two, then ESI
 * and EDI move by what the direction flag says, with the guest's flags kept.
 * REP MOVS and REP STOS of up to a page, upwards, on pages in the window
 * (memory/view.h): the same instruction on window addresses; in a bare window
 * rewrite_repeat.c. All else, with
 * 16-bit addresses or through segments that have to be checked, is a call into C
 * (calls_string.c).
 */
#include "x86vm/translate/build.h"
#include "x86vm/translate/rewrite.h"

enum { OP_MOVS = 0xa4, OP_CMPS = 0xa6, OP_STOS = 0xaa, OP_LODS = 0xac, OP_SCAS = 0xae };

static bool uses_source(unsigned op) { return op == OP_MOVS || op == OP_CMPS || op == OP_LODS; }

/* Flat segments, and nobody who counts how far it got. */
static bool repeat_inline(const struct build *b, const struct insn *insn)
{
    unsigned op = insn->opcode & ~1u;
    bool writes = op == OP_MOVS || op == OP_STOS;

    if (b->mode & (MODE_SINGLE | MODE_PARTIAL) || b->t->counting || (!writes && !rewrite_repeat_is_bare(b, insn)))
        return false;
    return access_segment(b, CPU_ES, writes) == SEG_FLAT
           && (!uses_source(op) || access_segment(b, rewrite_data_segment(insn), false) == SEG_FLAT);
}

bool rewrite_string_inline(const struct build *b, const struct insn *insn)
{
    unsigned op = insn->opcode & ~1u;
    bool writes = op == OP_MOVS || op == OP_STOS;

    if (!b->t->bmi2 || insn->addrsize != 4)
        return false;
    if (insn->rep)
        return repeat_inline(b, insn);
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
        emit_lea32(e, RSI, mem_full(RSI, R11, scale, 3 * size));
    if (destination)
        emit_lea32(e, RDI, mem_full(RDI, R11, scale, 3 * size));
}

/* --- REP MOVS, REP STOS --- */

enum { EXITS_MAX = 6 };
struct slow { uint8_t *place[EXITS_MAX]; unsigned count; };

/* R9 = address behind the string at `pointer`, of R13 elements; to `slow` unless
 * its first and its last byte lie in pages of the window. RCX is lost. */
static void expect_in_window(struct build *b, struct slow *slow, enum host_reg pointer, uint8_t log2, uint32_t table, enum host_reg end)
{
    struct emit *e = b->hot;
    const struct host_mem verdict = mem_full(R12, RCX, 0, view_table(b, table));

    emit_shrx32(e, RCX, pointer, R14);
    emit_load8(e, RCX, verdict);
    slow->place[slow->count++] = emit_jrcxz_later(e);
    emit_lea32(e, end, mem_full((int8_t)pointer, R13, log2, 0));
    emit_lea32(e, RCX, mem_at(end, -1));
    emit_shrx32(e, RCX, RCX, R14);
    emit_load8(e, RCX, verdict);
    slow->place[slow->count++] = emit_jrcxz_later(e);
}

/* To `slow` unless the string is shorter than a page and goes upwards. */
static void expect_short(struct build *b, struct slow *slow, uint8_t log2)
{
    struct emit *e = b->hot;
    uint8_t *ok;

    emit_mov_imm32(e, R11, PAGE_SHIFT - log2);
    emit_shrx32(e, RCX, R13, R11);
    emit_load32(e, R10, CPU_MEM(eflags));
    emit_mov_imm32(e, R11, FLAG_DF);
    emit_pext32(e, R10, R10, R11);
    emit_lea32(e, RCX, mem_sum(RCX, R10));
    ok = emit_jecxz_later(e);
    slow->place[slow->count++] = emit_jmp8_later(e);
    emit_patch8(e, ok);
}

/* No elements are no case of their own: a short jump would not reach across all this. */
static void rewrite_repeat(struct build *b, const struct insn *insn, uint8_t size)
{
    struct emit *e = b->hot;
    bool moves = (insn->opcode & ~1u) == OP_MOVS;
    uint8_t log2 = size == 4 ? 2 : size >> 1, *out;
    struct slow slow = { .count = 0 };

    rewrite_settle_esp(b);
    access_island_now(b);
    emit_mov64(e, R13, RCX);
    expect_short(b, &slow, log2);
    expect_in_window(b, &slow, RDI, log2, VIEW_WRITE_IN, R9);
    if (moves)
        expect_in_window(b, &slow, RSI, log2, VIEW_READ_IN, R10);
    emit_mov64(e, RCX, R13);
    emit_lea64(e, RDI, mem_sum(R12, RDI));
    if (moves)
        emit_lea64(e, RSI, mem_sum(R12, RSI));
    if (size == 2)
        emit_byte(e, 0x66);
    emit_byte(e, 0xf3);
    emit_byte(e, insn->opcode);
    emit_mov32(e, RDI, R9);
    if (moves)
        emit_mov32(e, RSI, R10);
    out = emit_jmp8_later(e);
    for (unsigned i = 0; i < slow.count; i++)
        emit_patch8(e, slow.place[i]);
    emit_jmp(e, emit_pc(b->cold));
    emit_patch8(e, out);
    emit_mov64(b->cold, RCX, R13);
    rewrite_cold_call(b, insn, calls_function(insn->kind));
}

void rewrite_string(struct build *b, const struct insn *insn)
{
    unsigned op = insn->opcode & ~1u;
    uint8_t size = insn->opcode & 1 ? insn->opsize : 1;

    if (insn->rep && rewrite_repeat_is_bare(b, insn)) {
        rewrite_repeat_bare(b, insn);
        return;
    }
    if (insn->rep) {
        rewrite_repeat(b, insn, size);
        return;
    }
    if (uses_source(op))
        load_source(b, insn, size, op == OP_LODS);
    if (op == OP_STOS || op == OP_MOVS)
        on_destination(b, 0x88, size, op == OP_STOS ? RAX : R13);
    else if (op == OP_SCAS || op == OP_CMPS)
        on_destination(b, 0x3a, size, op == OP_SCAS ? RAX : R13);
    move_pointers(b, size, uses_source(op), op != OP_LODS);
}
