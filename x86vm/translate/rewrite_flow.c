/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Stack and control flow, one guest instruction to a sequence of host code:
 * jumps that leave the block, PUSH and POP, CALL and RET. See rewrite.c.
 */
#include "x86vm/translate/build.h"
#include "x86vm/translate/count.h"
#include "x86vm/translate/rewrite.h"

/* --- leaving a block --- */

static struct link *new_jump(struct build *b, uint8_t *place, uint32_t target, bool ungrouped)
{
    struct emit *e = b->cold;
    struct link *link;
    uint32_t number;
    uint64_t stub = emit_pc(e);
    unsigned retired = (unsigned)(b->insn - b->insns) + (ungrouped ? 0 : 1); /* a group's failed: its instruction starts again */

    emit_patch32(place, b->hot->to_exec, stub);
    if (b->t->counting && retired < b->count) {
        count_emit_refund(b, retired);
        place = emit_jmp_later(e);
        stub = emit_pc(e);
        emit_patch32(place, b->hot->to_exec, stub);
    }
    if (b->mode & (MODE_SINGLE | MODE_PARTIAL) && !ungrouped) {
        emit_store32_imm(e, CPU_MEM(eip), target);
        emit_mark(e, MARK_EIP, target);
        emit_jmp(e, b->t->stubs.next);
        return NULL;
    }
    number = blocks_new_link(b->t, &link);
    *link = (struct link){ .from = b->block, .place = (uint32_t)(place - b->t->cache_rw),
                           .stub = (uint32_t)(stub - (uint64_t)(uintptr_t)b->t->cache_rx), .target = target, .ungrouped = ungrouped,
                           .near = blocks_near(b->block, b->insn->eip, target) };
    emit_mov_imm32(e, R11, number);
    emit_mark(e, MARK_LINK, number);
    emit_jmp(e, b->t->stubs.link);
    return link;
}

void rewrite_settle_esp(struct build *b)
{
    if (b->esp_delta)
        emit_lea32(b->hot, R8, mem_at(R8, b->esp_delta));
    b->esp_delta = 0;
}

void rewrite_jump(struct build *b, uint32_t target)
{
    rewrite_settle_esp(b);
    new_jump(b, emit_jmp_later(b->hot), target, false);
}

void rewrite_cold_jump(struct build *b, uint32_t target)
{
    new_jump(b, emit_jmp_later(b->cold), target, true);
}

bool rewrite_comes_back(const struct build *b)
{
    return b->t->shadow.map && !b->t->counting && !(b->mode & (MODE_SINGLE | MODE_PARTIAL));
}

static void dispatch(struct build *b, enum jump_site_kind kind)
{
    if (b->mode & (MODE_SINGLE | MODE_PARTIAL))
        emit_jmp(b->hot, b->t->stubs.indirect);
    else if (b->t->counting)
        emit_dispatch(b->t, b->hot, emit_jmp_mem);
    else
        jumps_emit_site(b, kind);
}

/* Behind a host CALL: a RET came here with the guest's return address in R9. A
 * kernel's code that depends on GS is left to the lookup, which never knows it:
 * what was called may have loaded GS, and the key does not tell (mode.c); false. */
static bool check_return(struct build *b, struct emit *e, uint32_t return_eip)
{
    uint8_t *here;

    if (b->block->mode_mask & MODE_GS && !(b->mode & MODE_USER)) {
        emit_jmp(e, b->t->stubs.dispatch);
        return false;
    }
    emit_mov64(e, R11, RCX);
    emit_lea32(e, RCX, mem_at(R9, (int32_t)-return_eip));
    emit_mark(e, MARK_MINUS_EIP, -return_eip);
    here = emit_jecxz_later(e);
    emit_mov64(e, RCX, R11);
    emit_jmp(e, b->t->stubs.dispatch);
    emit_patch8(e, here);
    emit_mov64(e, RCX, R11);
    return true;
}

static bool is_last(const struct build *b) { return b->insn == &b->insns[b->count - 1]; }

static void returned(struct build *b, uint32_t return_eip)
{
    if (check_return(b, b->hot, return_eip) && is_last(b))
        rewrite_jump(b, return_eip);
}

void rewrite_jmp(struct build *b, const struct insn *insn)
{
    rewrite_jump(b, insn->target);
}

void rewrite_jcc(struct build *b, const struct insn *insn)
{
    access_island(b, false);
    rewrite_settle_esp(b);
    new_jump(b, emit_jcc_later(b->hot, insn->condition), insn->target, false);
}

/* LOOP, LOOPE, LOOPNE, JCXZ, JECXZ: none changes flags. */
void rewrite_loop(struct build *b, const struct insn *insn)
{
    struct emit *e = b->hot;
    bool jcxz = insn->opcode == 0xe3;
    uint8_t *zero, *not_taken = NULL;

    access_island(b, false);
    rewrite_settle_esp(b);
    if (insn->addrsize == 2) {
        emit_lea32(e, R11, mem_at(RCX, jcxz ? 0 : -1));
        emit_op_reg(e, EMIT_66, (const uint8_t[]){ 0x8b }, 1, RCX, R11); /* MOV CX, R11W */
        emit_movzx16(e, R11, R11);
    } else {
        if (!jcxz)
            emit_lea32(e, RCX, mem_at(RCX, -1));
        emit_mov32(e, R11, RCX);
    }
    emit_mov64(e, R13, RCX);
    emit_mov64(e, RCX, R11);
    zero = emit_jrcxz_later(e);
    emit_mov64(e, RCX, R13);
    if (insn->opcode == 0xe0 || insn->opcode == 0xe1) { /* LOOPNE goes on while ZF=0, LOOPE while ZF=1 */
        not_taken = emit_jcc_later(e, insn->opcode == 0xe0 ? CC_Z : CC_NZ);
    }
    rewrite_jump(b, jcxz ? insn->eip + insn->length : insn->target);
    emit_patch8(e, zero);
    emit_mov64(e, RCX, R13);
    if (not_taken)
        emit_patch32(not_taken, e->to_exec, emit_pc(e));
    rewrite_jump(b, jcxz ? insn->target : insn->eip + insn->length);
}

/* --- the stack, flat and 32 bits wide --- */

/* An access at [ESP + disp] of the flat stack. */
static struct access stack_access(struct build *b, int32_t disp, bool write)
{
    struct access a = { .at = mem_at(R8, b->esp_delta + disp), .seg = CPU_SS, .size = 4, .read = !write, .write = write };
    int8_t group = b->stack_group[b->insn - b->insns];

    a.grouped = group_covers(b, group);
    return a;
}

static void store_register(struct emit *e, struct host_mem mem, const void *arg)
{
    emit_store32(e, mem, *(const enum host_reg *)arg);
}

static void store_immediate(struct emit *e, struct host_mem mem, const void *arg)
{
    emit_store32_imm(e, mem, *(const uint32_t *)arg);
}

static void store_eip(struct emit *e, struct host_mem mem, const void *arg)
{
    store_immediate(e, mem, arg);
    emit_mark(e, MARK_EIP, *(const uint32_t *)arg);
}

static void load_register(struct emit *e, struct host_mem mem, const void *arg)
{
    emit_load32(e, *(const enum host_reg *)arg, mem);
}

static void push(struct build *b, access_operation *operation, const void *arg)
{
    struct access a = stack_access(b, -4, true);

    access_emit(b, &a, operation, arg);
    b->esp_delta -= 4;
}

void rewrite_push_register(struct build *b, enum host_reg from)
{
    push(b, store_register, &from);
}

static void store_selector(struct emit *e, struct host_mem mem, const void *arg)
{
    emit_store16(e, mem, *(const enum host_reg *)arg);
}

void rewrite_push_selector(struct build *b, enum host_reg from)
{
    struct access a = stack_access(b, -4, true);

    a.size = 2;
    access_emit(b, &a, store_selector, &from);
    b->esp_delta -= 4;
}

void rewrite_load_stack_top(struct build *b, enum host_reg to)
{
    struct access a = stack_access(b, 0, false);
    access_emit(b, &a, load_register, &to);
}

static void load_operand(struct build *b, const struct insn *insn, enum host_reg to)
{
    struct access a = access_address(b, &insn->mem, 0);
    access_emit(b, &a, load_register, &to);
}

static void load_word(struct emit *e, struct host_mem mem, const void *arg)
{
    emit_op_mem(e, 0, (const uint8_t[]){ 0x0f, 0xb7 }, 2, *(const enum host_reg *)arg, mem);
}

void rewrite_load_word(struct build *b, const struct insn *insn, enum host_reg to)
{
    struct insn_mem mem = insn->mem;
    struct access a;

    mem.size = 2;
    mem.read = true;
    mem.write = false;
    a = access_address(b, &mem, 0);
    access_emit(b, &a, load_word, &to);
}

void rewrite_push(struct build *b, const struct insn *insn)
{
    enum host_reg from = R13;

    if (insn->has_mem)
        load_operand(b, insn, R13);
    else if (insn->opcode_is_gpr)
        from = host_of[insn->opcode & 7];
    else if (insn->has_modrm)
        from = host_of[insn_rm(insn)];
    else {
        push(b, store_immediate, &insn->imm);
        return;
    }
    if (from == R8 && b->esp_delta) {
        emit_lea32(b->hot, R13, mem_at(R8, b->esp_delta));
        from = R13;
    }
    push(b, store_register, &from);
}

void rewrite_pop(struct build *b, const struct insn *insn)
{
    struct access from = stack_access(b, 0, false);
    enum host_reg to = insn->has_mem ? R13 : host_of[insn->has_modrm ? insn_rm(insn) : insn->opcode & 7];
    bool to_esp = to == R8;

    if (to_esp)
        to = R13;
    access_emit(b, &from, load_register, &to);
    if (insn->has_mem) {
        struct access a = access_address(b, &insn->mem, 4);
        access_emit(b, &a, store_register, &to);
    }
    if (to_esp)
        emit_mov32(b->hot, R8, R13);
    b->esp_delta = to_esp ? 0 : b->esp_delta + 4;
}

void rewrite_leave(struct build *b, const struct insn *insn)
{
    struct access from = { .at = mem_at(RBP, 0), .seg = CPU_SS, .size = 4, .read = true };
    enum host_reg to = R13;

    (void)insn;
    access_emit(b, &from, load_register, &to);
    emit_lea32(b->hot, R8, mem_at(RBP, 4));
    emit_mov32(b->hot, RBP, R13);
    b->esp_delta = 0;
}

/* The word is stored. Out of line, for when the thunk's page is another: the CALL
 * after all, and then out of the block, nothing of which need hold any more. */
static void call_elsewhere(struct build *b, const struct insn *insn, uint32_t return_eip)
{
    struct emit *e = b->cold;
    uint8_t *place;

    if (b->esp_delta)
        emit_lea32(e, R8, mem_at(R8, b->esp_delta));
    place = emit_call_later(e);
    if (check_return(b, e, return_eip))
        new_jump(b, emit_jmp_later(e), return_eip, false);
    new_jump(b, place, insn->target, false);
}

static void rewrite_pc_call(struct build *b, const struct insn *insn, uint32_t return_eip)
{
    enum pc_call kind = b->pc_calls[b->insn - b->insns];

    if (kind == PC_CALL_AWAY) {
        pc_calls_guard(b);
        call_elsewhere(b, insn, return_eip);
    }
    if (kind != PC_CALL_NEXT) {
        emit_mov_imm32(b->hot, host_of[pc_calls_register(insn)], return_eip);
        emit_mark(b->hot, MARK_EIP, return_eip);
        b->esp_delta += 4;
    }
    if (is_last(b))
        rewrite_jump(b, return_eip);
}

void rewrite_call(struct build *b, const struct insn *insn)
{
    uint32_t return_eip = insn->eip + insn->length;

    push(b, store_eip, &return_eip);
    if (b->pc_calls[b->insn - b->insns]) {
        rewrite_pc_call(b, insn, return_eip);
        return;
    }
    if (!rewrite_comes_back(b)) {
        rewrite_jump(b, insn->target);
        return;
    }
    rewrite_settle_esp(b);
    access_island_now(b);
    new_jump(b, emit_call_later(b->hot), insn->target, false);
    returned(b, return_eip);
}

void rewrite_jmp_indirect(struct build *b, const struct insn *insn)
{
    if (insn->has_mem)
        load_operand(b, insn, R13);
    else
        emit_lea32(b->hot, R13, mem_at(host_of[insn_rm(insn)], insn_rm(insn) == CPU_ESP ? b->esp_delta : 0));
    emit_mov32(b->hot, R9, R13);
    rewrite_settle_esp(b);
    access_island(b, false);
    dispatch(b, SITE_JUMP);
}

void rewrite_call_indirect(struct build *b, const struct insn *insn)
{
    uint32_t return_eip = insn->eip + insn->length;

    if (insn->has_mem)
        load_operand(b, insn, R13);
    else
        emit_lea32(b->hot, R13, mem_at(host_of[insn_rm(insn)], insn_rm(insn) == CPU_ESP ? b->esp_delta : 0));
    push(b, store_eip, &return_eip);
    emit_mov32(b->hot, R9, R13);
    rewrite_settle_esp(b);
    access_island(b, false);
    dispatch(b, rewrite_comes_back(b) ? SITE_CALL : SITE_JUMP);
    if (rewrite_comes_back(b))
        returned(b, return_eip);
}

void rewrite_ret(struct build *b, const struct insn *insn)
{
    struct access from = stack_access(b, 0, false);
    enum host_reg to = R9;

    access_emit(b, &from, load_register, &to);
    b->esp_delta += 4 + (int32_t)(insn->imm & 0xffff);
    rewrite_settle_esp(b);
    access_island(b, false);
    if (rewrite_comes_back(b))
        emit_ret(b->hot);
    else
        dispatch(b, SITE_JUMP);
}
