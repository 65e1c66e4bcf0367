/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The code that every block shares, generated once at the start of the cache:
 * entering translated code, leaving it, and calling C from it. On every way
 * from translated code to C the guest's registers, arithmetic flags and XMM
 * registers go to struct cpu, because C may use or change them; x87 and MXCSR
 * stay in the host's units, which C code of the engine never touches.
 */
#include <string.h>

#include "x86vm/translate/build.h"
#include "x86vm/translate/ports.h"

const uint8_t host_of[8] = { RAX, RCX, RDX, RBX, R8, RBP, RSI, RDI };

/* cpu->scratch[]: 0 and 1 results of C (addend, where to go on), 5 the RCX kept
 * in a stub, 6 the R9 kept over a call, 7 the host's flags. */
#define SCRATCH(n) cpu_member(offsetof(struct cpu, scratch) + 8 * (n))
#define XMM(n) cpu_member(offsetof(struct cpu, xmm) + 16 * (n))
#define REG(n) cpu_member(offsetof(struct cpu, regs) + 4 * (n))

_Static_assert(offsetof(struct cpu_area, cpu) == 0, "R15 addresses both");
_Static_assert(offsetof(struct cpu, window) < 128, "short displacement for the hot members");
_Static_assert(offsetof(struct cpu, exit_request) < 128, "short displacement for the hot members");

static const uint8_t callee_saved[] = { RBX, RBP, R12, R13, R14, R15 };

/* The flags as PUSHFQ would store them, which with POPFQ takes longer than the rest of a stub. Every CPU with
 * BMI2 has LAHF in 64-bit mode. RAX and RCX are lost. */
static void save_flags(const struct translator *t, struct emit *e)
{
    static const uint8_t gather[] = {
        0x9f,             /* LAHF */
        0x0f, 0x90, 0xc0, /* SETO AL */
        0x0f, 0xb6, 0xcc, /* MOVZX ECX, AH */
        0x0f, 0xb6, 0xc0, /* MOVZX EAX, AL */
        0xc1, 0xe0, 11,   /* SHL EAX, 11 */
        0x09, 0xc8,       /* OR EAX, ECX */
    };

    if (t->bmi2) {
        emit_bytes(e, gather, sizeof gather);
        emit_store64(e, SCRATCH(7), RAX);
    } else {
        emit_pushfq(e);
        emit_pop_mem(e, SCRATCH(7));
    }
}

static void load_flags(const struct translator *t, struct emit *e)
{
    static const uint8_t spread[] = {
        0x89, 0xc1,       /* MOV ECX, EAX */
        0xc1, 0xe0, 8,    /* SHL EAX, 8 */
        0xc1, 0xe9, 11,   /* SHR ECX, 11 */
        0x83, 0xe1, 1,    /* AND ECX, 1 */
        0x80, 0xc1, 0x7f, /* ADD CL, 0x7f: OF if it was 1 */
        0x9e,             /* SAHF */
    };

    if (t->bmi2) {
        emit_load64(e, RAX, SCRATCH(7));
        emit_bytes(e, spread, sizeof spread);
    } else {
        emit_push_mem(e, SCRATCH(7));
        emit_popfq(e);
    }
}

static void save_guest(const struct translator *t, struct emit *e)
{
    for (unsigned i = 0; i < 8; i++)
        emit_store32(e, REG(i), host_of[i]);
    save_flags(t, e);
    for (unsigned i = 0; i < 8; i++)
        emit_movups_store(e, XMM(i), i);
}

static void load_xmm_and_flags(const struct translator *t, struct emit *e)
{
    for (unsigned i = 0; i < 8; i++)
        emit_movups_load(e, i, XMM(i));
    load_flags(t, e);
}

/* WRGSBASE takes longer than to see that it is not needed. */
static void load_bare(struct emit *e)
{
    uint8_t *same;

    emit_load64(e, R11, CPU_MEM(bare));
    emit_op_mem(e, EMIT_W, (const uint8_t[]){ 0x3b }, 1, R11, CPU_MEM(bare_loaded)); /* CMP */
    same = emit_jcc_later(e, CC_Z);
    emit_store64(e, CPU_MEM(bare_loaded), R11);
    emit_wrgsbase(e, R11);
    emit_patch32(same, e->to_exec, emit_pc(e));
}

static void load_guest(const struct translator *t, struct emit *e)
{
    if (t->bare)
        load_bare(e);
    load_xmm_and_flags(t, e);
    for (unsigned i = 0; i < 8; i++)
        emit_load32(e, host_of[i], REG(i));
    emit_load64(e, R12, CPU_MEM(window));
}

/* RBX, RBP are preserved by C and not changed by it for a memory access. */
static void load_clobbered(const struct translator *t, struct emit *e)
{
    static const uint8_t clobbered[] = { CPU_EAX, CPU_ECX, CPU_EDX, CPU_ESP, CPU_ESI, CPU_EDI };

    load_xmm_and_flags(t, e);
    for (unsigned i = 0; i < sizeof clobbered; i++)
        emit_load32(e, host_of[clobbered[i]], REG(clobbered[i]));
}

/* C runs on its own stack, where stubs.c left it. */
static void to_host_stack(struct emit *e)
{
    emit_store64(e, CPU_MEM(shadow), RSP);
    emit_load64(e, RSP, CPU_MEM(host_stack));
}

static void leave(struct emit *e)
{
    emit_lea64(e, RSP, mem_at(RSP, 8));
    for (unsigned i = sizeof callee_saved; i-- > 0;)
        emit_pop(e, callee_saved[i]);
    emit_ret(e);
}

/* On the way to translated code: what asked for the run loop before this look is
 * seen here, what does so behind it finds the place in scratch 1 (recall.h). Flags
 * and RAX are lost. */
static uint8_t *if_wanted(struct emit *e)
{
    emit_cmp32_mem_imm8(e, CPU_MEM(exit_request), 0);
    return emit_jcc_later(e, CC_NZ);
}

/* Back from C, to the shadow stack, which must be in RSP before the look. */
static void come_back(struct emit *e)
{
    uint8_t *wanted, *over;

    emit_load64(e, RSP, CPU_MEM(shadow));
    wanted = if_wanted(e);
    over = emit_jmp_later(e);
    emit_patch32(wanted, e->to_exec, emit_pc(e));
    emit_load64(e, RSP, CPU_MEM(host_stack));
    emit_mov64(e, RDI, R15);
    emit_call_abs(e, RAX, (const void *)(uintptr_t)recall_returning);
    emit_load64(e, RSP, CPU_MEM(shadow));
    emit_patch32(over, e->to_exec, emit_pc(e));
}

static uint64_t emit_enter(const struct translator *t, struct emit *e, bool alone)
{
    uint64_t pc = emit_pc(e);
    uint8_t *wanted = NULL;

    for (unsigned i = 0; i < sizeof callee_saved; i++)
        emit_push(e, callee_saved[i]);
    emit_lea64(e, RSP, mem_at(RSP, -8));
    emit_mov64(e, R15, RDI);
    emit_mov_imm32(e, R14, PAGE_SHIFT);
    emit_store64(e, SCRATCH(1), RSI);
    emit_store64(e, CPU_MEM(host_stack), RSP);
    if (t->shadow.map)
        emit_load64(e, RSP, CPU_MEM(shadow)); /* before the look, as in come_back() */
    if (!alone)
        wanted = if_wanted(e);
    load_guest(t, e);
    emit_jmp_mem(e, SCRATCH(1));
    if (wanted) {
        emit_patch32(wanted, e->to_exec, emit_pc(e));
        emit_load64(e, RSP, CPU_MEM(host_stack));
        emit_mov_imm32(e, RAX, EXIT_POLL);
        leave(e);
    }
    return pc;
}

static uint64_t emit_leave(const struct translator *t, struct emit *e, enum exit_reason reason)
{
    uint64_t pc = emit_pc(e);

    if (reason == EXIT_INDIRECT)
        emit_store32(e, CPU_MEM(eip), R9);
    to_host_stack(e);
    emit_store64(e, SCRATCH(0), R11);
    save_guest(t, e);
    emit_mov_imm32(e, RAX, reason);
    leave(e);
    return pc;
}

/* A slow memory access or the commit of one. C leaves the addend (for R10) in
 * scratch 0 and where to go on in scratch 1. */
static uint64_t emit_memory(const struct translator *t, struct emit *e, void (*function)(struct cpu *, uint32_t, uint32_t))
{
    uint64_t pc = emit_pc(e);

    to_host_stack(e);
    save_guest(t, e);
    emit_store64(e, SCRATCH(6), R9);
    emit_mov64(e, RDI, R15);
    emit_mov32(e, RSI, R11);
    emit_mov32(e, RDX, R9);
    emit_call_abs(e, RAX, (const void *)(uintptr_t)function);
    come_back(e);
    load_clobbered(t, e);
    emit_load64(e, R9, SCRATCH(6));
    emit_load64(e, R10, SCRATCH(0));
    emit_jmp_mem(e, SCRATCH(1));
    return pc;
}

static void to_page(struct emit *e, bool bmi2, enum host_reg to, enum host_reg from)
{
    if (bmi2) {
        emit_shrx32(e, to, from, R14);
        return;
    }
    if (to != from)
        emit_mov32(e, to, from);
    emit_shr32_imm(e, to, PAGE_SHIFT);
}

/* An access missed the window: if it lies in one page that has an entry, returns
 * with the addend in R10, and has counted it; else goes on to `slow`, also when
 * the page's count has run out. Flags are kept. */
static uint64_t emit_warm(struct translator *t, bool user, bool write)
{
    struct emit *e = &t->hot;
    uint64_t pc = emit_pc(e);
    const struct host_mem heat = mem_full(R12, R10, 0, VIEW_HEAT);
    uint8_t *same, *crosses, *hot, *missing;

    if (!t->bmi2)
        emit_pushfq(e);
    emit_store64(e, SCRATCH(5), RCX);
    to_page(e, t->bmi2, R10, R10);
    to_page(e, t->bmi2, RCX, R9);
    emit_not32(e, RCX);
    emit_lea32(e, RCX, mem_full(R10, RCX, 0, 1));
    same = emit_jecxz_later(e);
    crosses = emit_jmp8_later(e);
    emit_patch8(e, same);
    emit_load8(e, RCX, heat);
    emit_lea32(e, RCX, mem_at(RCX, -1));
    emit_store8(e, heat, RCX);
    hot = emit_jrcxz_later(e);
    emit_load64(e, RCX, mem_full(R12, R10, 3, VIEW_TABLES(user) + (int32_t)(write ? VIEW_WRITE : 0)));
    missing = emit_jrcxz_later(e);
    emit_mov64(e, R10, RCX);
    emit_load64(e, RCX, SCRATCH(5));
    if (!t->bmi2)
        emit_popfq(e);
    emit_ret(e);
    emit_patch8(e, crosses);
    emit_patch8(e, hot);
    emit_patch8(e, missing);
    emit_load64(e, RCX, SCRATCH(5));
    if (!t->bmi2)
        emit_popfq(e);
    emit_lea64(e, RSP, mem_at(RSP, 8));
    emit_jmp(e, t->stubs.slow);
    return pc;
}

/* The rest of a lookup: R10 is twice the entry's number, R11 is RCX. A sum is zero
 * when the key matches, because the flags may be live. */
static void emit_look(struct emit *e, void (*go)(struct emit *e, struct host_mem code), uint64_t missing)
{
    int32_t entries = (int32_t)offsetof(struct cpu_area, lookup);
    uint8_t *hit;

    emit_load64(e, R13, CPU_MEM(lookup_key));
    emit_load64(e, RCX, mem_full(R15, R10, 3, entries));
    emit_lea64(e, R13, mem_sum(R13, R9));
    emit_lea64(e, RCX, mem_sum(RCX, R13));
    hit = emit_jrcxz_later(e);
    emit_mov64(e, RCX, R11);
    emit_jmp(e, missing);
    emit_patch8(e, hit);
    emit_mov64(e, RCX, R11);
    go(e, mem_full(R15, R10, 3, entries + 8));
}

/* To the guest address in R9: looked up in the table. */
void emit_dispatch(const struct translator *t, struct emit *e, void (*go)(struct emit *e, struct host_mem code))
{
    emit_mov64(e, R11, RCX);
    emit_movzx16(e, R10, R9);
    emit_lea64(e, R10, mem_sum(R10, R10));
    emit_look(e, go, t->stubs.second);
}

/* Not in the first half. The same bytes as any lookup from the load of the key on (recall.h). */
static uint64_t emit_second(const struct translator *t, struct emit *e)
{
    uint64_t pc = emit_pc(e);

    emit_mov32(e, R10, R9);
    emit_bswap32(e, R10);
    emit_lea32(e, R10, mem_sum(R10, R9));
    emit_movzx16(e, R10, R10);
    emit_lea64(e, R10, mem_full(R10, R10, 0, 2 * LOOKUP_HALF));
    emit_look(e, emit_jmp_mem, t->stubs.indirect);
    return pc;
}

/* The shape of what emit_dispatch() emits, from the stub that has it. An instruction
 * begins at each of `at` that uses the key or, behind the test, the entry. */
static void note_lookup(struct translator *t)
{
    enum { LOAD_KEY = 3 + 4 + 4, KEY = 4, ENTRY = 8, SUM = 5, SUMS = 4, TEST = 2, KEPT = 3, MISS = 5 };
    static const uint8_t at[] = { KEY, KEY + ENTRY, KEY + ENTRY + SUM, KEY + ENTRY + SUM + SUMS,
                                  KEY + ENTRY + SUM + SUMS + TEST + KEPT + MISS, KEY + ENTRY + SUM + SUMS + TEST + KEPT + MISS + KEPT };
    struct lookup_shape *shape = &t->lookup_shape;

    shape->length = KEY + ENTRY + SUM + SUMS + TEST + KEPT;
    memcpy(shape->bytes, (const uint8_t *)(uintptr_t)t->stubs.dispatch + LOAD_KEY - t->hot.to_exec, shape->length);
    memcpy(shape->at, at, sizeof at);
    shape->count = sizeof at;
}

/* An indirect jump that goes nowhere in particular, or elsewhere than it mostly does: looked up, and each
 * so many times C is asked what to make of it. It comes back to the lookup. */
static uint64_t emit_learn(struct translator *t, struct emit *e)
{
    const struct host_mem patience = mem_full(R15, R10, 0, (int32_t)offsetof(struct cpu_area, site_patience));
    uint64_t ask = emit_memory(t, e, jumps_learn), pc = emit_pc(e);
    uint8_t *due;

    emit_mov64(e, R13, RCX);
    emit_movzx16(e, R10, R11);
    emit_load8(e, RCX, patience);
    emit_lea32(e, RCX, mem_at(RCX, -1));
    emit_store8(e, patience, RCX);
    due = emit_jrcxz_later(e);
    emit_mov64(e, RCX, R13);
    emit_dispatch(t, e, emit_jmp_mem);
    emit_patch8(e, due);
    emit_mov64(e, RCX, R13);
    emit_jmp(e, ask);
    return pc;
}

static void commit(struct cpu *cpu, uint32_t site, uint32_t unused)
{
    (void)unused;
    runtime_commit(cpu, site);
}

static uint64_t emit_call(const struct translator *t, struct emit *e)
{
    uint64_t pc = emit_pc(e);
    uint8_t *out;

    to_host_stack(e);
    save_guest(t, e);
    emit_mov64(e, RDI, R15);
    emit_mov32(e, RSI, R11);
    emit_call_abs(e, RAX, (const void *)(uintptr_t)runtime_call);
    emit_op_reg(e, 0, (const uint8_t[]){ 0x85 }, 1, RAX, RAX);
    out = emit_jcc_later(e, CC_NZ);
    come_back(e);
    load_guest(t, e);
    emit_jmp_mem(e, SCRATCH(1));
    emit_patch32(out, e->to_exec, emit_pc(e));
    emit_mov_imm32(e, RAX, EXIT_CALL);
    leave(e);
    return pc;
}

void stubs_emit(struct translator *t)
{
    struct emit *e = &t->hot;

    t->stubs.enter = emit_enter(t, e, false);
    t->stubs.enter_alone = emit_enter(t, e, true);
    t->stubs.next = emit_leave(t, e, EXIT_NEXT);
    t->stubs.link = emit_leave(t, e, EXIT_LINK);
    t->stubs.indirect = emit_leave(t, e, EXIT_INDIRECT);
    t->stubs.second = emit_second(t, e);
    t->stubs.fault = emit_leave(t, e, EXIT_HOST_FAULT);
    t->stubs.count = emit_leave(t, e, EXIT_COUNT);
    t->stubs.slow = emit_memory(t, e, runtime_slow);
    t->stubs.group = emit_memory(t, e, runtime_group);
    t->stubs.commit = emit_memory(t, e, commit);
    t->stubs.call = emit_call(t, e);
    ports_emit_stubs(t);
    t->stubs.empty = emit_pc(e);
    emit_lea64(e, RSP, mem_at(RSP, -8)); /* its address stays at the bottom */
    t->stubs.dispatch = emit_pc(e);
    emit_dispatch(t, e, emit_jmp_mem);
    t->area->lookup[LOOKUP_ENTRIES] = (struct lookup_entry){ 1, t->stubs.indirect };
    note_lookup(t);
    t->stubs.learn = emit_learn(t, e);
    shadow_set_bottom(&t->shadow, t->stubs.empty);
    for (int user = 0; user < 2; user++)
        for (int write = 0; write < 2; write++)
            t->stubs.warm[user][write] = emit_warm(t, user, write);
}
