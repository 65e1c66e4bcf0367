/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Guest memory accesses in translated code: address, check, operation.
 *
 * The hot path is  page = ea >> 12;  addend = view entry of page;  zero? cold;
 * may it cross into the next page? cold;  operation on [addend + ea].  It has
 * two shapes: where the guest's flags are dead it tests with TEST, where they
 * are live only with instructions that leave flags alone (SHRX, PEXT, NOT, LEA,
 * JRCXZ), or, on a host without BMI2, between PUSHFQ and POPFQ.
 *
 * The cold path has the exact crossing test and then calls runtime_slow, which
 * either finds an addend after all (goes on in the hot path) or fills the
 * bounce buffer, on which a second copy of the operation works; a written
 * buffer is then stored by runtime_commit.
 */
#include "x86vm/translate/build.h"

static int32_t table_of(const struct access *a)
{
    return a->write ? VIEW_WRITE : 0;
}

enum seg_state access_segment(const struct build *b, uint8_t seg, bool write)
{
    /* Nobody may write through a code segment, flat or not. */
    return write && seg == CPU_CS ? SEG_CHECKED : mode_seg(b->mode, seg);
}

/* SSE operands that must be 16-aligned: a misaligned one is #GP before it is #PF. */
static bool must_be_aligned(const struct insn *insn, uint16_t size)
{
    uint8_t op = insn->opcode;
    if (insn->unit != INSN_UNIT_SSE || size != 16 || insn->opcode_length != 2)
        return false;
    if (op == 0x10 || op == 0x11 || op == 0xf7) /* MOVUPS, MOVUPD, MASKMOVDQU */
        return false;
    return !((op == 0x6f || op == 0x7f) && insn->mandatory == 0xf3); /* MOVDQU */
}

/* Instructions that raise a pending x87 exception before they touch memory. */
static bool waits(const struct insn *insn)
{
    bool no_wait = insn->opcode_length == 1 && (insn->opcode == 0xd9 || insn->opcode == 0xdd) && insn_reg(insn) == 7;
    bool to_mmx = insn->opcode_length == 2 && (insn->opcode == 0x2c || insn->opcode == 0x2d) && !insn->mandatory; /* CVTPD2PI.. */
    return insn->unit == INSN_UNIT_MMX || to_mmx || (insn->unit == INSN_UNIT_X87 && !no_wait); /* not FNSTCW, FNSTSW */
}

static enum host_reg address_register(struct build *b, const struct insn_mem *mem, int32_t disp)
{
    struct host_mem ea = { NO_REG, NO_REG, mem->scale, disp };

    if (mem->base == CPU_ESP)
        ea.disp += b->esp_delta;
    if (mem->base != INSN_NO_REG && mem->index == INSN_NO_REG && ea.disp == 0)
        return host_of[mem->base];
    if (mem->base == INSN_NO_REG && mem->index == INSN_NO_REG) {
        emit_mov_imm32(b->hot, R9, (uint32_t)disp);
        return R9;
    }
    if (mem->base != INSN_NO_REG)
        ea.base = (int8_t)host_of[mem->base];
    if (mem->index != INSN_NO_REG)
        ea.index = (int8_t)host_of[mem->index];
    emit_lea32(b->hot, R9, ea);
    return R9;
}

enum host_reg access_offset(struct build *b, const struct insn_mem *mem)
{
    return address_register(b, mem, mem->disp);
}

struct access access_address(struct build *b, const struct insn_mem *mem, int32_t esp_adjust)
{
    enum seg_state state = access_segment(b, mem->seg, mem->write);
    int32_t disp = mem->disp + (mem->base == CPU_ESP ? esp_adjust : 0);
    struct access a = { .seg = mem->seg, .checked = state == SEG_CHECKED, .size = mem->size,
                        .read = mem->read, .write = mem->write };

    if (group_covers(b, b->memory_group[b->insn - b->insns])) {
        a.grouped = true;
        a.operand = group_operand(b, b->memory_group[b->insn - b->insns], disp);
        return a;
    }
    a.ea = address_register(b, mem, disp);
    if (b->insn->addrsize == 2) {
        emit_movzx16(b->hot, R9, a.ea);
        a.ea = R9;
    } else if (state == SEG_FLAT && mem->base == INSN_NO_REG && mem->index == INSN_NO_REG) {
        a.constant = true;
        a.address = (uint32_t)disp;
        a.aligned = (a.address & (PAGE_SIZE - 1)) + a.size <= PAGE_SIZE;
    }
    if (state == SEG_BASED) {
        b->r10_holds = -1;
        emit_load32(b->hot, R10, cpu_member(offsetof(struct cpu, seg_base) + 4 * mem->seg));
        emit_lea32(b->hot, R9, mem_sum(a.ea, R10));
        a.ea = R9;
    }
    return a;
}

static void dump_island(struct build *b, bool at_end)
{
    struct emit *e = b->hot;
    uint8_t *over = NULL;

    if (!b->exit_count)
        return;
    if (!at_end)
        over = emit_jmp8_later(e);
    for (unsigned i = 0; i < b->exit_count; i++) {
        emit_patch8(e, b->exits[i].place);
        emit_jmp(e, b->exits[i].target);
    }
    b->exit_count = 0;
    if (over)
        emit_patch8(e, over);
}

void access_island(struct build *b, bool at_end)
{
    /* What is emitted between two calls of this stays below 96 bytes. */
    if (b->exit_count && !at_end && b->hot->p - b->exits[0].place + 96 + 5 * (ptrdiff_t)b->exit_count < 127
        && b->exit_count < SHORT_EXITS_MAX)
        return;
    dump_island(b, at_end);
}

void access_island_now(struct build *b)
{
    dump_island(b, false);
}

/* Whether the access may reach into the next page. An SSE operand that must be
 * aligned cannot: misaligned, the host raises the very #GP that the guest gets. */
static bool may_cross(const struct build *b, const struct access *a)
{
    return a->size > 1 && !a->aligned && !must_be_aligned(b->insn, a->size);
}

/* Low address bits that are zero in most accesses, and then do not cross. Wide
 * operands are so often misaligned (doubles on the stack, MOVUPS) that their
 * test in the hot path is the exact one: 0. */
static uint8_t alignment_mask(const struct access *a)
{
    return a->size == 2 ? 1 : a->size <= 4 ? 3 : 0;
}

/* Places that the cold path needs: the hot path jumps out from `missing` (no
 * entry) and `misaligned`, and goes on at `aligned`, `direct` and `after`. */
struct shape {
    uint8_t *missing, *misaligned;
    uint64_t aligned, direct, after;
    enum host_reg ea;          /* register that holds the address in the cold path */
    bool rcx_in_r11, flags_on_stack;
};

static void page_index(struct build *b, const struct access *a, enum host_reg to, enum host_reg ea)
{
    (void)a;
    if (b->t->bmi2) {
        emit_shrx32(b->hot, to, ea, R14);
    } else {
        emit_mov32(b->hot, to, ea);
        emit_shr32_imm(b->hot, to, PAGE_SHIFT);
    }
}

static struct host_mem entry_of(const struct access *a)
{
    if (a->constant)
        return mem_at(R12, table_of(a) + (int32_t)(a->address >> PAGE_SHIFT) * 8);
    return (struct host_mem){ R12, R10, 3, table_of(a) };
}

/* Flags are dead here, or have been put on the stack. */
static void check_plainly(struct build *b, const struct access *a, struct shape *s)
{
    struct emit *e = b->hot;
    uint8_t mask = alignment_mask(a);

    if (!a->constant)
        page_index(b, a, R10, a->ea);
    if (may_cross(b, a)) {
        if (mask) {
            emit_test8_imm(e, a->ea, mask);
        } else {
            emit_lea32(e, R11, mem_at(a->ea, a->size - 1));
            emit_xor32(e, R11, a->ea);
            emit_test32_imm(e, R11, ~(PAGE_SIZE - 1));
        }
        s->misaligned = emit_jcc_later(e, CC_NZ);
        s->aligned = emit_pc(e);
    }
    emit_load64(e, R10, entry_of(a));
    emit_test64(e, R10, R10);
    s->missing = emit_jcc_later(e, CC_Z);
}

/* Flags stay as they are. RCX is needed for JRCXZ and waits in R11. */
static void check_keeping_flags(struct build *b, const struct access *a, struct shape *s)
{
    struct emit *e = b->hot;
    uint8_t mask = alignment_mask(a), *ok;

    if (!a->constant)
        page_index(b, a, R10, a->ea);
    emit_mov64(e, R11, RCX);
    s->rcx_in_r11 = true;
    s->ea = a->ea == RCX ? R11 : a->ea;
    if (may_cross(b, a) && !mask && !a->constant) {
        emit_lea32(e, RCX, mem_at(s->ea, a->size - 1));
        emit_shrx32(e, RCX, RCX, R14);
        emit_not32(e, RCX);
        emit_lea32(e, RCX, (struct host_mem){ R10, RCX, 0, 1 });
    } else if (may_cross(b, a)) {
        emit_mov_imm32(e, RCX, mask ? mask : 15u);
        emit_pext32(e, RCX, s->ea, RCX);
    }
    if (may_cross(b, a)) {
        ok = emit_jecxz_later(e);
        s->misaligned = emit_jmp_later(e);
        emit_patch8(e, ok);
        s->aligned = emit_pc(e);
    }
    emit_load64(e, RCX, entry_of(a));
    s->missing = emit_jrcxz_later(e);
    emit_mov64(e, R10, RCX);
    emit_mov64(e, RCX, R11);
}

/* The exact test of a misaligned access: same page after all? */
static void cold_crossing(struct build *b, const struct access *a, const struct shape *s)
{
    struct emit *e = b->cold;
    struct host_mem last = mem_at(s->ea, a->size - 1);
    uint8_t *same;

    if (!s->misaligned)
        return;
    emit_patch32(s->misaligned, b->hot->to_exec, emit_pc(e));
    if (!alignment_mask(a))
        return; /* the test was exact */
    if (s->rcx_in_r11) {
        if (a->constant)
            return; /* its crossing was known at translation */
        emit_lea32(e, RCX, last);
        emit_shrx32(e, RCX, RCX, R14);
        emit_not32(e, RCX);
        emit_lea32(e, RCX, (struct host_mem){ R10, RCX, 0, 1 });
        same = emit_jecxz_later(e);
        uint8_t *differs = emit_jmp8_later(e);
        emit_patch8(e, same);
        emit_jmp(e, s->aligned);
        emit_patch8(e, differs);
    } else {
        emit_lea32(e, R11, last);
        emit_xor32(e, R11, s->ea);
        emit_test32_imm(e, R11, ~(PAGE_SIZE - 1));
        emit_jcc(e, CC_Z, s->aligned);
    }
}

/* C sees the guest's ESP, translated code what it has in R8. */
static void move_esp(struct build *b, int32_t by)
{
    if (by)
        emit_lea32(b->cold, R8, mem_at(R8, by));
}

static void cold_path(struct build *b, const struct access *a, const struct shape *s, access_operation *operation, const void *arg)
{
    struct emit *e = b->cold;
    struct site *site;
    uint32_t number = blocks_new_site(b->t, &site);

    *site = (struct site){ .eip = b->insn->eip, .size = a->size, .read = a->read, .write = a->write, .seg = a->seg,
                           .checked = a->checked, .must_align = must_be_aligned(b->insn, a->size), .waits = waits(b->insn),
                           .may_not_write = a->write && b->insn->unit == INSN_UNIT_X87, .block = b->block, .hot = s->direct, .after = s->after };
    blocks_map_cold(b->t, b->insn->eip, 0);
    if (s->rcx_in_r11)
        emit_mov64(e, RCX, R11);
    if (s->flags_on_stack)
        emit_popfq(e);
    if (a->ea != R9)
        emit_mov32(e, R9, a->ea);
    move_esp(b, b->esp_delta);
    emit_mov_imm32(e, R11, number);
    emit_jmp(e, b->t->stubs.slow);
    if (a->checked) {
        site->hot = emit_pc(e);
        operation(e, mem_sum(R10, R9), arg);
        move_esp(b, -b->esp_delta);
        emit_jmp(e, s->after);
    } else if (b->esp_delta) {
        site->hot = emit_pc(e);
        move_esp(b, -b->esp_delta);
        emit_jmp(e, s->direct);
    }
    site->bounce = emit_pc(e);
    operation(e, mem_sum(R10, R9), arg);
    if (a->write) {
        emit_mov_imm32(e, R11, number);
        emit_jmp(e, b->t->stubs.commit);
        site->after = emit_pc(e);
    }
    move_esp(b, -b->esp_delta);
    emit_jmp(e, s->after);
}

void access_emit(struct build *b, const struct access *a, access_operation *operation, const void *arg)
{
    struct emit *e = b->hot;
    struct shape s = { .ea = a->ea };
    uint64_t cold;

    access_island(b, false);
    if (a->grouped) {
        operation(e, a->operand, arg);
        return;
    }
    b->r10_holds = -1;
    if (a->checked) {
        uint8_t *out = emit_jmp_later(e);
        s.after = emit_pc(e);
        emit_patch32(out, e->to_exec, emit_pc(b->cold));
        cold_path(b, a, &s, operation, arg);
        return;
    }
    if (!b->flags_live) {
        check_plainly(b, a, &s);
    } else if (b->t->bmi2) {
        check_keeping_flags(b, a, &s);
    } else {
        emit_pushfq(e);
        s.flags_on_stack = true;
        check_plainly(b, a, &s);
        emit_popfq(e);
    }
    s.direct = emit_pc(e);
    operation(e, mem_sum(R10, a->ea), arg);
    s.after = emit_pc(e);

    cold_crossing(b, a, &s);
    cold = emit_pc(b->cold);
    if (s.rcx_in_r11) {
        if (b->exit_count < SHORT_EXITS_MAX)
            b->exits[b->exit_count++] = (struct short_exit){ s.missing, cold };
        else
            e->overflow = true;
    } else {
        emit_patch32(s.missing, e->to_exec, cold);
    }
    cold_path(b, a, &s, operation, arg);
}
