/* SPDX-License-Identifier: BSD-2-Clause
 *
 * See ports.h.
 */
#include "x86vm/translate/ports.h"

#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/watch.h"
#include "x86vm/translate/rewrite.h"

#define FLAGS cpu_member(offsetof(struct cpu, scratch) + 8 * 7)
#define PORT cpu_member(offsetof(struct cpu, scratch) + 8 * 6)
#define XMM(n) cpu_member(offsetof(struct cpu, xmm) + 16 * (n))
#define REG(n) cpu_member(offsetof(struct cpu, regs) + 4 * (n))

/* What C does not preserve, but for EAX. */
static const uint8_t clobbered[] = { CPU_ECX, CPU_EDX, CPU_ESI, CPU_EDI, CPU_ESP };

/* --- the C side --- */

/* No guest exception can come of any of this. */
static void begin(struct cpu *cpu, uint32_t port, unsigned size)
{
    if (__builtin_expect(cpu->watch_io, 0)) {
        cpu->watch_hits |= watch_io_hits(cpu, (uint16_t)port, size);
        if (cpu->watch_hits)
            translator_request(cpu);
    }
}

static void end(struct cpu *cpu)
{
    if (__builtin_expect(cpu->mode_dirty, 0))
        translator_request(cpu);
}

static uint32_t port_in(struct cpu *cpu, uint32_t port, unsigned size)
{
    uint32_t value;

    begin(cpu, port, size);
    value = io_port_read(cpu->io, (uint16_t)port, size);
    end(cpu);
    return value;
}

static void port_out(struct cpu *cpu, uint32_t port, uint32_t value, unsigned size)
{
    begin(cpu, port, size);
    io_port_write(cpu->io, (uint16_t)port, size, size == 4 ? value : value & ((1u << 8 * size) - 1));
    end(cpu);
}

/* What needs no XMM register, or -1. */
static int64_t quick_in(struct cpu *cpu, uint32_t port, unsigned size)
{
    return cpu->watch_io ? -1 : io_port_quick_read(cpu->io, (uint16_t)port, size);
}

static int64_t quick_out(struct cpu *cpu, uint32_t port, uint32_t value, unsigned size)
{
    return cpu->watch_io ? -1 : io_port_quick_write(cpu->io, (uint16_t)port, size, value);
}

static int64_t quick_in8(struct cpu *cpu, uint32_t port) { return quick_in(cpu, port, 1); }
static int64_t quick_in16(struct cpu *cpu, uint32_t port) { return quick_in(cpu, port, 2); }
static int64_t quick_in32(struct cpu *cpu, uint32_t port) { return quick_in(cpu, port, 4); }
static int64_t quick_out8(struct cpu *cpu, uint32_t port, uint32_t value) { return quick_out(cpu, port, (uint8_t)value, 1); }
static int64_t quick_out16(struct cpu *cpu, uint32_t port, uint32_t value) { return quick_out(cpu, port, (uint16_t)value, 2); }
static int64_t quick_out32(struct cpu *cpu, uint32_t port, uint32_t value) { return quick_out(cpu, port, value, 4); }
static uint32_t in8(struct cpu *cpu, uint32_t port) { return port_in(cpu, port, 1); }
static uint32_t in16(struct cpu *cpu, uint32_t port) { return port_in(cpu, port, 2); }
static uint32_t in32(struct cpu *cpu, uint32_t port) { return port_in(cpu, port, 4); }
static void out8(struct cpu *cpu, uint32_t port, uint32_t value) { port_out(cpu, port, value, 1); }
static void out16(struct cpu *cpu, uint32_t port, uint32_t value) { port_out(cpu, port, value, 2); }
static void out32(struct cpu *cpu, uint32_t port, uint32_t value) { port_out(cpu, port, value, 4); }

/* --- the site --- */

bool ports_inline(const struct build *b)
{
    return b->mode & MODE_CPL0 && !(b->mode & MODE_SINGLE) && b->t->bmi2 && b->t->shadow.map && !b->t->counting;
}

/* R9 = port, R11 = EIP of the next instruction. */
void ports_emit(struct build *b, const struct insn *insn)
{
    struct emit *e = b->hot;
    unsigned size = insn->opcode & 1 ? insn->opsize : 1;

    access_island(b, false);
    if (insn->opcode >= 0xec)
        emit_movzx16(e, R9, RDX);
    else
        emit_mov_imm32(e, R9, insn->imm & 0xff);
    emit_mov_imm32(e, R11, insn->eip + insn->length);
    emit_mark(e, MARK_EIP, insn->eip + insn->length);
    emit_call_near(e, b->t->stubs.port[insn->kind == INSN_OUT][size >> 1]);
}

/* --- the stubs --- */

/* EAX has been stored. LAHF and SETO; RAX is lost. */
static void save_flags(struct emit *e)
{
    emit_bytes(e, (const uint8_t[]){ 0x9f, 0x0f, 0x90, 0xc0 }, 4);
    emit_store32(e, FLAGS, RAX);
}

/* ADD AL, 7Fh makes OF of AL, SAHF the others of AH. RAX is lost. */
static void load_flags(struct emit *e)
{
    emit_load32(e, RAX, FLAGS);
    emit_bytes(e, (const uint8_t[]){ 0x04, 0x7f, 0x9e }, 3);
}

static void save(struct emit *e, bool out)
{
    emit_store32(e, REG(CPU_EAX), RAX);
    for (unsigned i = 0; i < sizeof clobbered; i++)
        emit_store32(e, REG(clobbered[i]), host_of[clobbered[i]]);
    emit_store32(e, PORT, R9);
    if (out)
        emit_mov32(e, RDX, RAX);
    save_flags(e);
}

/* R10 = what was read. */
static void load(struct emit *e, bool out, unsigned size)
{
    load_flags(e);
    for (unsigned i = 0; i < sizeof clobbered; i++)
        emit_load32(e, host_of[clobbered[i]], REG(clobbered[i]));
    if (out || size < 4)
        emit_load32(e, RAX, REG(CPU_EAX));
    if (!out)
        emit_op_reg(e, size == 2 ? EMIT_66 : 0, (const uint8_t[]){ size == 1 ? 0x8a : 0x8b }, 1, RAX, R10);
}

/* The device did not take it: the same by the way that may change XMM registers. */
static void emit_thorough(struct emit *e, const void *function, bool out)
{
    for (unsigned i = 0; i < 8; i++)
        emit_movups_store(e, XMM(i), i);
    emit_mov64(e, RDI, R15);
    emit_load32(e, RSI, PORT);
    if (out)
        emit_load32(e, RDX, REG(CPU_EAX));
    emit_call_abs(e, RAX, function);
    for (unsigned i = 0; i < 8; i++)
        emit_movups_load(e, i, XMM(i));
}

/* Called: R9 = port, R11 = EIP behind the instruction. R13 keeps the shadow stack's
 * top over C, R14 that EIP; recall.h says why RSP leads there before the look. */
static uint64_t emit_stub(struct translator *t, const void *quick, const void *thorough, bool out, unsigned size)
{
    struct emit *e = &t->hot;
    uint64_t pc = emit_pc(e), look;
    uint8_t *declined, *wanted, *emptied;

    save(e, out);
    emit_mov32(e, R14, R11);
    emit_mov64(e, R13, RSP);
    emit_store64(e, CPU_MEM(shadow), RSP);
    emit_load64(e, RSP, CPU_MEM(host_stack));
    emit_mov64(e, RDI, R15);
    emit_mov32(e, RSI, R9);
    emit_call_abs(e, RAX, quick);
    emit_test64(e, RAX, RAX);
    declined = emit_jcc_later(e, CC_S);
    look = emit_pc(e);
    emit_mov64(e, RSP, R13);
    emit_cmp32_mem_imm8(e, CPU_MEM(exit_request), 0);
    wanted = emit_jcc_later(e, CC_NZ);
    emit_op_mem(e, EMIT_W, (const uint8_t[]){ 0x3b }, 1, R13, CPU_MEM(shadow)); /* CMP */
    emptied = emit_jcc_later(e, CC_NZ);
    emit_mov_imm32(e, R14, PAGE_SHIFT);
    if (!out)
        emit_mov32(e, R10, RAX);
    load(e, out, size);
    emit_ret(e);

    emit_patch32(declined, e->to_exec, emit_pc(e));
    emit_thorough(e, thorough, out);
    emit_jmp(e, look);

    emit_patch32(wanted, e->to_exec, emit_pc(e));
    emit_patch32(emptied, e->to_exec, emit_pc(e));
    if (!out)
        emit_mov32(e, R10, RAX);
    emit_store32(e, CPU_MEM(eip), R14);
    load(e, out, size);
    emit_jmp(e, t->stubs.next);
    return pc;
}

#define C(function) (const void *)(uintptr_t)(function)

void ports_emit_stubs(struct translator *t)
{
    const void *const quick[2][3] = { { C(quick_in8), C(quick_in16), C(quick_in32) }, { C(quick_out8), C(quick_out16), C(quick_out32) } };
    const void *const thorough[2][3] = { { C(in8), C(in16), C(in32) }, { C(out8), C(out16), C(out32) } };

    for (unsigned out = 0; out < 2; out++)
        for (unsigned size = 0; size < 3; size++)
            t->stubs.port[out][size] = emit_stub(t, quick[out][size], thorough[out][size], out, 1u << size);
}
