/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Unicorn on a recording: see second.h. Its code hook counts instructions as the
 * engine does (x86vm/translate/count.h) and stops before those that our struct
 * cpu carries out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tests/replay/images.h"
#include "tests/replay/second_internal.h"
#include "x86vm/memory/io_bus.h"
#include "x86vm/protection/protection.h"
#include "x86vm/replay.h"
#include "x86vm/translate/count.h"
#include "x86vm/translate/operand.h"

struct cpu *second_cpu(struct second *s) { return &s->cpu; }
struct phys *second_phys(struct second *s) { return s->cpu.phys; }
const char *second_message(const struct second *s) { return s->message; }
uint64_t second_position(const struct second *s) { return s->position; }
uint32_t second_undefined_flags(const struct second *s) { return s->undefined; }
struct second_counts second_counts(const struct second *s) { return s->counts; }

__attribute__((format(printf, 2, 3))) static bool differs(struct second *s, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(s->message, sizeof s->message, format, args);
    va_end(args);
    return false;
}

void second_put(struct second *s, uint64_t position)
{
    second_put_cpu(s);
    second_put_fpu(s);
    second_unmap(s, UNMAP_ALL, 0);
    s->position = position;
    s->undefined = 0;
    s->pending = s->again = s->repeating = false;
    s->last = s->fpu = NULL;
    s->message[0] = 0;
}

/* --- hooks --- */

static void stop(struct second *s, enum stop why)
{
    s->stop = why;
    p_uc_emu_stop(s->uc);
}

static void apply_flags(struct second *s, const struct seen *e)
{
    if (e)
        s->undefined = (s->undefined & e->flags_and) | e->flags_or;
}

/* The instruction that the hook was last called for is done. */
static void complete(struct second *s)
{
    if (!s->pending)
        return;
    s->pending = false;
    s->position++;
    s->counts.instructions++;
    apply_flags(s, s->last);
}

static void on_code(uc_engine *uc, uint64_t address, uint32_t size, void *opaque)
{
    struct second *s = opaque;
    const struct seen *e;

    (void)uc, (void)size;
    if (s->stop != STOP_NONE) { /* a store within one of its helpers failed, and it went on */
        p_uc_emu_stop(s->uc);
        return;
    }
    if (s->repeating && address == s->repeating_at) {
        if (++s->iterations < COUNT_REP || second_reg(s, UC_X86_REG_ECX) == 0)
            return;
        s->iterations = 0;
        s->position++;
        if (s->position == s->stop_at) {
            s->pending = s->repeating = false;
            stop(s, STOP_THERE);
        }
        return;
    }
    complete(s);
    s->repeating = false;
    if (s->fpu) {
        stop(s, STOP_FPU);
        return;
    }
    if (s->position == s->stop_at) {
        stop(s, STOP_THERE);
        return;
    }
    e = second_meet(s, (uint32_t)address);
    s->last = e;
    if (s->changed) {
        s->changed = false;
        stop(s, STOP_CHANGED);
        return;
    }
    if (e && (e->assisted || e->flags_image) && !s->again) {
        stop(s, STOP_ASSIST);
        return;
    }
    s->again = false;
    s->pending = true;
    s->pending_at = (uint32_t)address;
    if (e && e->fpu_image)
        s->fpu = e;
    if (e && e->repeated) {
        s->repeating = true;
        s->repeating_at = (uint32_t)address;
        s->iterations = 0;
    }
}

static void on_interrupt(uc_engine *uc, uint32_t number, void *opaque)
{
    struct second *s = opaque;

    (void)uc;
    s->vector = number;
    stop(s, STOP_EXCEPTION);
}

static bool on_undefined(uc_engine *uc, void *opaque)
{
    struct second *s = opaque;

    (void)uc;
    s->vector = VEC_UD;
    s->stop = STOP_UNDEFINED;
    return false;
}

/* --- what our struct cpu does --- */

static const struct image *image(struct second *s, enum image_kind kind)
{
    const struct image *i = images_take();

    if (i && i->kind == kind && i->eip == s->cpu.eip)
        return i;
    if (i)
        differs(s, "kind %u at %08x, where the engine had kind %u at %08x (vector %u, CR2 %08x)", kind, s->cpu.eip, i->kind, i->eip, i->vector, i->cr2);
    else
        differs(s, "kind %u at %08x, where the engine had nothing of the kind", kind, s->cpu.eip);
    return NULL;
}

/* Those that go into memory become the engine's, which has to differ in undefined ones alone. */
static bool take_flags(struct second *s, const struct image *i, uint32_t undefined)
{
    uint32_t flags = s->cpu.eflags & FLAGS_ARITH;

    if ((flags ^ i->own) & ~undefined)
        return differs(s, "flags %03x go into memory at %08x, the engine's are %03x (undefined: %03x)", flags, s->cpu.eip, i->own, undefined);
    s->cpu.eflags = (s->cpu.eflags & ~(uint32_t)FLAGS_ARITH) | i->flags;
    s->undefined = 0;
    return true;
}

/* Raises what is in cpu.fault_*, or `vector` with the rest from the engine. */
static bool deliver(struct second *s, uint32_t vector)
{
    const struct image *i = image(s, IMAGE_EXCEPTION);

    if (!i)
        return false;
    if (i->vector != vector || (vector == VEC_PF && i->cr2 != s->cpu.cr2))
        return differs(s, "exception %u (CR2 %08x), the engine raised %u (CR2 %08x)", vector, s->cpu.cr2, i->vector, i->cr2);
    s->cpu.fault_vector = (int)vector;
    s->cpu.fault_error = i->error;
    s->cpu.fault_has_error = i->has_error;
    /* What comes between the elements of a repeated instruction is nobody's business. */
    if (!take_flags(s, i, s->undefined | (s->last && s->last->repeated ? FLAGS_ARITH : 0)))
        return false;
    s->counts.exceptions++;
    s->position++;
    s->cpu.exception_tap(s->cpu.exception_opaque);
    if (replay_diverged(s->replay))
        return differs(s, "%s", replay_diverged(s->replay));
    protection_exception(&s->cpu);
    second_put_cpu(s);
    return true;
}

static bool push_flags(struct second *s)
{
    const struct image *i = image(s, IMAGE_PUSHF);

    if (!i || !take_flags(s, i, s->undefined))
        return false;
    second_put_cpu(s);
    s->again = true;
    return true;
}

static enum call_result popcnt(struct cpu *cpu, const struct insn *insn)
{
    uint32_t bits = operand_rm(cpu, insn, insn->opsize);

    operand_set_reg(cpu, insn_reg(insn), insn->opsize, (uint32_t)__builtin_popcount(bits));
    cpu->eflags = (cpu->eflags & ~(uint32_t)FLAGS_ARITH) | (bits ? 0 : FLAG_ZF);
    return CALL_NEXT;
}

static enum call_result scan(struct cpu *cpu, const struct insn *insn)
{
    uint32_t bits = operand_rm(cpu, insn, insn->opsize);

    if (bits)
        operand_set_reg(cpu, insn_reg(insn), insn->opsize, (uint32_t)(insn->opcode == 0xbc ? __builtin_ctz(bits) : 31 - __builtin_clz(bits)));
    cpu->eflags = (cpu->eflags & ~(uint32_t)FLAG_ZF) | (bits ? 0 : FLAG_ZF);
    return CALL_NEXT;
}

static call_function *function_of(const struct insn *insn)
{
    return second_is_popcnt(insn) ? popcnt : second_is_scan(insn) ? scan : calls_function(insn->kind);
}

static bool assist(struct second *s)
{
    struct insn insn = s->last->insn;
    struct cpu *cpu = &s->cpu;
    jmp_buf env;

    second_get(s);
    insn.eip = cpu->eip;
    if (insn.kind == INSN_PUSHF)
        return push_flags(s);
    s->counts.assisted++;
    if (insn.kind == INSN_INT || insn.kind == INSN_INT3 || insn.kind == INSN_INT1) {
        const struct image *i = image(s, IMAGE_SOFTWARE);
        if (!i || !take_flags(s, i, s->undefined))
            return false;
    }
    cpu->fault_env = &env;
    if (setjmp(env))
        return deliver(s, (uint32_t)cpu->fault_vector);
    if (insn.kind == INSN_INVLPG)
        second_unmap(s, UNMAP_PAGE, cpu->seg_base[insn.mem.seg] + operand_offset(cpu, &insn));
    if (insn.kind == INSN_MOV_TO_CR || insn.kind == INSN_LMSW)
        second_unmap(s, insn_reg(&insn) == 3 && cpu->cr4 & CR4_PGE ? UNMAP_LOCAL : UNMAP_ALL, 0);
    if (function_of(&insn)(cpu, &insn) == CALL_NEXT)
        cpu->eip = operand_next(cpu, &insn);
    apply_flags(s, s->last);
    s->position++;
    second_put_cpu(s);
    return !replay_diverged(s->replay) || differs(s, "%s", replay_diverged(s->replay));
}

/* The words that are each implementation's own become the engine's; registers must be the same. */
static bool adopt_fpu(struct second *s)
{
    struct insn insn = s->fpu->insn;
    const struct image *i = images_take();
    uint32_t linear;

    s->fpu = NULL;
    second_get(s);
    if (!i || i->kind != IMAGE_FPU)
        return differs(s, "an FPU image that the engine did not store");
    linear = s->cpu.seg_base[insn.mem.seg] + operand_offset(&s->cpu, &insn);
    if (insn.kind == INSN_FXSAVE) {
        uint8_t mine[512];
        view_read(&s->cpu, linear, mine, sizeof mine, false);
        for (unsigned n = FX_ST; n < FX_XMM_END; n++)
            if ((n >= FX_XMM || n % 16 < 10) && mine[n] != i->bytes[n])
                return differs(s, "FXSAVE at %08x: byte %u is %02x, the engine's %02x", s->cpu.eip, n, mine[n], i->bytes[n]);
    }
    view_write(&s->cpu, linear, i->bytes, i->size, false);
    return true;
}

static bool take_event(struct second *s)
{
    const struct replay_event event = *replay_next(s->replay);
    const struct image *i;

    if (!replay_take(s->replay))
        return differs(s, "%s", replay_diverged(s->replay));
    if (event.kind != RECORD_INTERRUPT)
        return true;
    second_get(s);
    i = image(s, IMAGE_INTERRUPT);
    if (!i || !take_flags(s, i, s->undefined))
        return false;
    s->cpu.halted = false;
    s->counts.interrupts++;
    protection_hardware_interrupt(&s->cpu, event.vector);
    second_put_cpu(s);
    return true;
}

static bool handle_stop(struct second *s, uc_err error)
{
    switch (s->stop) {
    case STOP_THERE:
        return true;
    case STOP_ASSIST:
        return assist(s);
    case STOP_FPU:
        return adopt_fpu(s);
    case STOP_STALE:
        s->pending = s->repeating = false;
        s->fpu = NULL;
        second_unmap(s, UNMAP_PAGE, s->fault_address);
        return true;
    case STOP_CHANGED:
        second_unmap(s, UNMAP_PAGE, second_reg(s, UC_X86_REG_EIP));
        return true;
    case STOP_EXCEPTION: case STOP_UNDEFINED: case STOP_PAGE_FAULT:
        if (s->stop == STOP_PAGE_FAULT && s->fetching) {
            complete(s);
            if (s->position == s->stop_at) { /* what is due comes first; then the fetch is tried again */
                s->repeating = false;
                return true;
            }
        }
        second_get(s);
        if (s->stop == STOP_PAGE_FAULT && s->pending)
            s->cpu.eip = s->pending_at - s->cpu.seg_base[CPU_CS];
        s->pending = s->repeating = false;
        s->fpu = NULL;
        if (s->stop == STOP_PAGE_FAULT)
            s->cpu.cr2 = s->fault_address;
        return deliver(s, s->vector);
    default:
        return differs(s, "unicorn stopped at %08x: %s", second_reg(s, UC_X86_REG_EIP), p_uc_strerror(error));
    }
}

bool second_run(struct second *s, uint64_t position)
{
    while (s->position != position) {
        const struct replay_event *next = replay_next(s->replay);
        uc_err error;

        if (next->kind != RECORD_END && next->position == s->position) {
            if (!take_event(s))
                return false;
            continue;
        }
        if (s->cpu.halted)
            return differs(s, "halted, where something else comes next");
        s->stop_at = next->kind != RECORD_END && next->position < position ? next->position : position;
        s->stop = STOP_NONE;
        error = p_uc_emu_start(s->uc, second_reg(s, UC_X86_REG_EIP), 1ull << 40, 0, 0);
        if (!handle_stop(s, error))
            return false;
    }
    return true;
}

/* --- creation --- */

static bool add_hooks(struct second *s)
{
    uc_hook hook;

    return p_uc_hook_add(s->uc, &hook, UC_HOOK_CODE, (void *)on_code, s, 1, 0) == UC_ERR_OK &&
           p_uc_hook_add(s->uc, &hook, UC_HOOK_INTR, (void *)on_interrupt, s, 1, 0) == UC_ERR_OK &&
           p_uc_hook_add(s->uc, &hook, UC_HOOK_INSN_INVALID, (void *)on_undefined, s, 1, 0) == UC_ERR_OK &&
           p_uc_hook_add(s->uc, &hook, UC_HOOK_MEM_INVALID, (void *)second_on_missing, s, 1, 0) == UC_ERR_OK;
}

struct second *second_new(struct replay *replay, uint64_t ram_size, char *error, unsigned error_size)
{
    struct second *s;

    snprintf(error, error_size, "unicorn cannot be set up (libunicorn.so.2 of another kind than 2.0?)");
    if (!second_load_library() || posix_memalign((void **)&s, 64, sizeof *s))
        return NULL;
    memset(s, 0, sizeof *s);
    s->replay = replay;
    s->cpu.phys = phys_new(ram_size);
    s->cpu.views = view_set_new();
    s->cpu.io = io_bus_new();
    if (!s->cpu.phys || !s->cpu.views || !s->cpu.io)
        return NULL;
    if (!replay_load(replay, &s->cpu, s->cpu.phys, s->cpu.io, error, error_size))
        return NULL;
    if (p_uc_open(UC_ARCH_X86, UC_MODE_32, &s->uc) != UC_ERR_OK || p_uc_context_alloc(s->uc, &s->context) != UC_ERR_OK ||
        !second_find_env(s) || !add_hooks(s))
        return NULL;
    if (!(s->cpu.seg[CPU_CS].access & SEG_DB)) {
        snprintf(error, error_size, "only recordings that begin in 32-bit code can be compared");
        return NULL;
    }
    second_put(s, 0);
    return s;
}
