/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Guest memory accesses in translated code: address, check, operation.
 *
 * The hot path asks whether the page may be reached through the window:
 *
 *     last byte's page = (address + size - 1) >> 12
 *     its byte in the view's table of pairs is VIEW_DIRECT? else cold
 *     operation on [window + address]
 *
 * which covers an operand that begins in the page below, too (view.h). (By index
 * the last byte's address is computed alone, the operation subtracts.) An
 * access may fault, so the guest's flags are live there (build.c): the test is made
 * of instructions that leave them alone (SHRX, LEA, JRCXZ), or, on a host without
 * BMI2, stands between PUSHFQ and POPFQ.
 *
 * The cold path calls the `warm` stub, which finds the page's addend and counts
 * how often, or lets runtime_slow find it, or a bounce buffer: on that a second
 * copy of the operation works. A written buffer is then stored by
 * runtime_commit, behind a third copy.
 */
#include "x86vm/translate/build.h"

enum seg_state access_segment(const struct build *b, uint8_t seg, bool write)
{
    /* Nobody may write through a code segment, flat or not. */
    return write && seg == CPU_CS ? SEG_CHECKED : mode_seg(b->mode, seg);
}

/* SSE operands that must be 16-aligned: a misaligned one is #GP before it is #PF. */
bool access_must_be_aligned(const struct insn *insn, uint16_t size)
{
    return insn->mem.aligned && size == 16;
}

/* Instructions that raise a pending x87 exception before they touch memory. */
static bool waits(const struct insn *insn)
{
    bool no_wait = insn->opcode_length == 1 && (insn->opcode == 0xd9 || insn->opcode == 0xdd) && insn_reg(insn) == 7;
    bool to_mmx = insn->opcode_length == 2 && (insn->opcode == 0x2c || insn->opcode == 0x2d) && !insn->mandatory; /* CVTPD2PI.. */
    return insn->unit == INSN_UNIT_MMX || to_mmx || (insn->unit == INSN_UNIT_X87 && !no_wait); /* not FNSTCW, FNSTSW */
}

/* Addresses wrap around at 4 GiB, and so may a displacement from a moved ESP. */
static int32_t wrapping_sum(int32_t a, int32_t b) { return (int32_t)((uint32_t)a + (uint32_t)b); }

static struct host_mem host_address(const struct build *b, const struct insn_mem *mem, int32_t disp)
{
    struct host_mem at = mem_full(NO_REG, NO_REG, mem->scale, disp);

    if (mem->base == CPU_ESP)
        at.disp = wrapping_sum(at.disp, b->esp_delta);
    if (mem->base != INSN_NO_REG)
        at.base = (int8_t)host_of[mem->base];
    if (mem->index != INSN_NO_REG)
        at.index = (int8_t)host_of[mem->index];
    return at;
}

static bool is_constant(struct host_mem at)
{
    return at.base == NO_REG && at.index == NO_REG;
}

static bool is_register(struct host_mem at)
{
    return at.base != NO_REG && at.index == NO_REG && at.disp == 0;
}

/* The address as a register's value: one of the guest's, or R9. */
static enum host_reg address_register(struct emit *e, struct host_mem at)
{
    if (is_register(at))
        return (enum host_reg)at.base;
    if (is_constant(at))
        emit_mov_imm32(e, R9, (uint32_t)at.disp);
    else
        emit_lea32(e, R9, at);
    return R9;
}

enum host_reg access_offset(struct build *b, const struct insn_mem *mem)
{
    return address_register(b->hot, host_address(b, mem, mem->disp));
}

struct access access_address(struct build *b, const struct insn_mem *mem, int32_t esp_adjust)
{
    enum seg_state state = access_segment(b, mem->seg, mem->write);
    int32_t disp = mem->base == CPU_ESP ? wrapping_sum(mem->disp, esp_adjust) : mem->disp;
    struct access a = { .seg = mem->seg, .checked = state == SEG_CHECKED, .size = mem->size,
                        .read = mem->read, .write = mem->write };
    int8_t group = b->memory_group[b->insn - b->insns];

    a.at = host_address(b, mem, disp);
    if (group_covers(b, group)) {
        a.grouped = true;
        a.constant_range = b->constant_range[b->insn - b->insns];
        return a;
    }
    if (b->insn->addrsize == 2) {
        emit_movzx16(b->hot, R9, address_register(b->hot, a.at));
        a.at = mem_at(R9, 0);
    }
    if (state == SEG_BASED) {
        emit_load32(b->hot, R10, cpu_member(offsetof(struct cpu, seg_base) + 4 * mem->seg));
        if (is_constant(a.at))
            emit_lea32(b->hot, R9, mem_at(R10, a.at.disp));
        else
            emit_lea32(b->hot, R9, mem_sum(address_register(b->hot, a.at), R10));
        a.at = mem_at(R9, 0);
    }
    a.constant = is_constant(a.at);
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
    return a->size > 1 && !access_must_be_aligned(b->insn, a->size);
}

/* Places of the hot path that the cold path needs. */
struct shape {
    struct host_mem at;        /* the address there, if not what it was */
    uint8_t *missing;          /* jumps to the cold path */
    uint64_t direct, after;
    bool rcx_in_r11, flags_on_stack;
};

static uint32_t table_in(const struct access *a) { return a->write ? VIEW_WRITE_IN : VIEW_READ_IN; }
static uint32_t table_pair(const struct access *a) { return a->write ? VIEW_WRITE_PAIR : VIEW_READ_PAIR; }

static void to_page(const struct build *b, struct emit *e, enum host_reg from)
{
    if (b->t->bmi2) {
        emit_shrx32(e, R10, from, R14);
    } else {
        if (from != R10)
            emit_mov32(e, R10, from);
        emit_shr32_imm(e, R10, PAGE_SHIFT);
    }
}

/* The byte that says whether the window will do; R10 is used for the page. */
static struct host_mem verdict(struct build *b, const struct access *a, struct host_mem at)
{
    bool cross = may_cross(b, a);
    struct host_mem last = at;
    int32_t table = view_table(b, cross ? table_pair(a) : table_in(a));

    if (cross)
        last.disp = (int32_t)((uint32_t)last.disp + a->size - 1);
    if (a->constant)
        return mem_at(R12, table + (int32_t)((uint32_t)last.disp >> PAGE_SHIFT));
    if (is_register(last)) {
        to_page(b, b->hot, (enum host_reg)last.base);
    } else {
        emit_lea32(b->hot, R10, last);
        to_page(b, b->hot, R10);
    }
    return mem_full(R12, R10, 0, table);
}

/* What the operation works on; its last byte's address goes to R9 unless the
 * address is a register with a small displacement or a small constant. */
static struct host_mem hot_operand(struct build *b, const struct access *a, struct shape *s)
{
    bool small = s->at.disp >= -WINDOW_DISP_MAX && s->at.disp <= WINDOW_DISP_MAX;

    if (a->constant_range && s->at.disp >= 0 && (s->at.base == NO_REG || s->at.index == NO_REG)) {
        if (s->at.base != NO_REG)
            s->at.index = s->at.base;
        return mem_full(R12, s->at.index, s->at.scale, s->at.disp);
    }
    if (a->constant ? s->at.disp < 0 : s->at.index != NO_REG || !small) {
        int32_t last = !a->constant && !a->grouped && may_cross(b, a) ? a->size - 1 : 0;
        s->at.disp = (int32_t)((uint32_t)s->at.disp + (uint32_t)last);
        address_register(b->hot, s->at);
        if (!a->constant)
            s->at = mem_at(R9, -last);
        return mem_full(R12, R9, 0, -last);
    }
    return mem_full(R12, a->constant ? NO_REG : s->at.base, 0, s->at.disp);
}

/* Flags have been put on the stack. */
static void check_plainly(struct build *b, const struct access *a, struct shape *s)
{
    emit_cmp8(b->hot, verdict(b, a, s->at), R14);
    s->missing = emit_jcc_later(b->hot, CC_NZ);
}

/* Flags stay as they are. RCX is needed for JRCXZ and waits in R11. */
static void check_keeping_flags(struct build *b, const struct access *a, struct shape *s)
{
    struct emit *e = b->hot;
    struct host_mem byte = verdict(b, a, s->at);

    emit_mov64(e, R11, RCX);
    emit_load8(e, RCX, byte);
    s->missing = emit_jrcxz_later(e);
    emit_mov64(e, RCX, R11);
    s->rcx_in_r11 = true;
}

/* For struct site: what runtime.c can store into a device's register by itself. */
static uint8_t stored_register(const struct insn *insn, const struct access *a)
{
    bool mov = insn->opcode_length == 1 && insn->opcode == 0x89 && insn->has_modrm;

    return mov && a->write && !a->read && a->size == insn->opsize ? (uint8_t)(insn_reg(insn) + 1) : 0;
}

static void cold_path(struct build *b, const struct access *a, const struct shape *s, access_operation *operation, const void *arg)
{
    struct emit *e = b->cold;
    struct site *site;
    uint32_t number = blocks_new_site(b->t, &site);

    *site = (struct site){ .eip = b->insn->eip, .size = a->size, .read = a->read, .write = a->write, .seg = a->seg,
                           .checked = a->checked, .must_align = access_must_be_aligned(b->insn, a->size), .waits = waits(b->insn),
                           .may_not_write = a->write && b->insn->unit == INSN_UNIT_X87, .block = b->block, .after = s->after,
                           .alone = b->pc_calls[b->insn - b->insns] > PC_CALL_NEXT, .stored = stored_register(b->insn, a), .esp_delta = b->esp_delta };
    blocks_map_cold(b->t, b->insn->eip, b->esp_delta);
    if (s->rcx_in_r11)
        emit_mov64(e, RCX, R11);
    if (s->flags_on_stack)
        emit_popfq(e);
    if (!is_register(s->at) || s->at.base != R9) {
        enum host_reg address = address_register(e, s->at);
        if (address != R9)
            emit_mov32(e, R9, address);
    }
    if (a->checked) {
        emit_mov_imm32(e, R11, number);
        emit_mark(e, MARK_SITE, number);
        emit_jmp(e, b->t->stubs.slow);
    } else {
        emit_lea32(e, R10, mem_at(R9, a->size - 1));
        emit_mov_imm32(e, R11, number);
        emit_mark(e, MARK_SITE, number);
        emit_call_near(e, b->t->stubs.warm[(b->mode & MODE_USER) != 0][a->write]);
    }
    site->hot = site->bounce = emit_pc(e);
    operation(e, mem_sum(R10, R9), arg);
    emit_jmp(e, s->after);
    if (a->write) {
        site->bounce = emit_pc(e);
        operation(e, mem_sum(R10, R9), arg);
        emit_mov_imm32(e, R11, number);
        emit_mark(e, MARK_SITE, number);
        emit_jmp(e, b->t->stubs.commit);
    }
}

/* Out of line without a look at the window: a segment with limits, an operation
 * that may not be interrupted, or an instruction run alone (perhaps because the
 * window had a hole in its way). */
static void emit_out_of_line(struct build *b, const struct access *a, access_operation *operation, const void *arg)
{
    struct shape s = { .at = a->at };
    uint8_t *out = emit_jmp_later(b->hot);

    s.after = emit_pc(b->hot);
    if (!b->hot->overflow)
        emit_patch32(out, b->hot->to_exec, emit_pc(b->cold));
    cold_path(b, a, &s, operation, arg);
}

/* In a bare window the operation is all. What the guest may not do faults, with
 * nothing of the instruction done, and is done again alone. */
static bool is_bare(const struct build *b, const struct access *a)
{
    bool extended = a->at.base >= R8 || a->at.index >= R8; /* not to be named together with AH..BH */

    return b->mode & MODE_BARE && !(b->mode & MODE_SINGLE) && !a->checked && !a->careful
           && !(b->insn->high_byte && extended) && !build_bare_useless(b, b->insn);
}

void access_emit(struct build *b, const struct access *a, access_operation *operation, const void *arg)
{
    struct emit *e = b->hot;
    struct shape s = { .at = a->at };
    struct host_mem operand;

    access_island(b, false);
    if (is_bare(b, a)) {
        operand = a->at;
        operand.bare = true;
        operation(e, operand, arg);
        return;
    }
    if (a->grouped) {
        operand = hot_operand(b, a, &s);
        operation(e, operand, arg);
        return;
    }
    if (a->checked || a->careful || b->mode & MODE_SINGLE) {
        emit_out_of_line(b, a, operation, arg);
        return;
    }
    operand = hot_operand(b, a, &s);
    if (b->t->bmi2) {
        check_keeping_flags(b, a, &s);
    } else {
        emit_pushfq(e);
        s.flags_on_stack = true;
        check_plainly(b, a, &s);
        emit_popfq(e);
    }
    s.direct = emit_pc(e);
    operation(e, operand, arg);
    s.after = emit_pc(e);
    if (!s.rcx_in_r11) {
        if (!e->overflow)
            emit_patch32(s.missing, e->to_exec, emit_pc(b->cold));
    } else if (b->exit_count < SHORT_EXITS_MAX) {
        b->exits[b->exit_count++] = (struct short_exit){ s.missing, emit_pc(b->cold) };
    } else {
        e->overflow = true;
    }
    cold_path(b, a, &s, operation, arg);
}
