/* SPDX-License-Identifier: BSD-2-Clause
 *
 * String instructions. They run in chunks that stay within one page of source
 * and of destination, on host memory where both pages are direct; otherwise
 * element by element. Registers are brought up to date after each chunk, so a
 * fault or an interrupt finds the instruction restartable (vol. 1, 7.3.9).
 */
#include <string.h>

#include "x86vm/cpu/limits.h"
#include "x86vm/memory/io_bus.h"
#include "x86vm/protection/protection.h"
#include "x86vm/translate/calls.h"
#include "x86vm/translate/count.h"
#include "x86vm/translate/mode.h"
#include "x86vm/translate/operand.h"

enum { PORT_CHUNK = X86VM_LIMIT(512, 3) }; /* elements */
enum string_op { OP_MOVS = 0xa4, OP_CMPS = 0xa6, OP_STOS = 0xaa, OP_LODS = 0xac, OP_SCAS = 0xae };

struct string_state {
    struct cpu *cpu;
    enum string_op op;
    unsigned size;           /* of an element */
    int32_t step;            /* +size or -size */
    uint32_t mask;           /* of ESI, EDI, ECX by address size */
    uint8_t source_seg;
    bool reads_source, uses_destination, writes, compares;
    uint8_t rep;
};

static uint8_t source_segment(const struct insn *insn)
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

static struct string_state begin(struct cpu *cpu, const struct insn *insn)
{
    struct string_state s = { .cpu = cpu, .op = insn->opcode & ~1, .size = insn->opcode & 1 ? insn->opsize : 1,
                              .mask = insn->addrsize == 2 ? 0xffff : 0xffffffff, .source_seg = source_segment(insn),
                              .rep = insn->rep };

    s.step = cpu->eflags & FLAG_DF ? -(int32_t)s.size : (int32_t)s.size;
    s.reads_source = s.op == OP_MOVS || s.op == OP_CMPS || s.op == OP_LODS;
    s.uses_destination = s.op != OP_LODS;
    s.writes = s.op == OP_MOVS || s.op == OP_STOS;
    s.compares = s.op == OP_CMPS || s.op == OP_SCAS;
    return s;
}

static void advance(struct cpu *cpu, enum cpu_reg reg, uint32_t mask, int32_t by)
{
    cpu->regs[reg] = (cpu->regs[reg] & ~mask) | ((cpu->regs[reg] + (uint32_t)by) & mask);
}

static uint32_t linear_of(const struct string_state *s, enum cpu_seg seg, enum cpu_reg reg, bool write)
{
    struct cpu *cpu = s->cpu;
    uint32_t offset = cpu->regs[reg] & s->mask;

    if (mode_seg(translator_current->area->mode, seg) != SEG_CHECKED)
        return cpu->seg_base[seg] + offset;
    return protection_program_address(cpu, seg, offset, s->size, write);
}

/* How many elements from `linear` on lie wholly in its page. */
static uint32_t in_page(const struct string_state *s, uint32_t linear)
{
    uint32_t offset = linear & (PAGE_SIZE - 1);

    if (s->step > 0)
        return (PAGE_SIZE - offset) / s->size;
    return offset + s->size > PAGE_SIZE ? 0 : offset / s->size + 1;
}

/* How many elements before the 16- or 32-bit offset wraps. */
static uint32_t before_wrap(const struct string_state *s, enum cpu_reg reg)
{
    uint32_t offset = s->cpu->regs[reg] & s->mask;
    uint32_t room = s->step > 0 ? (s->mask - offset) / s->size : offset / s->size;
    return room ? room : 1;
}

static uint8_t *direct(struct cpu *cpu, uint32_t linear, enum view_access access)
{
    uint64_t addend = *(cpu->tables + (access == VIEW_FOR_WRITE ? VIEW_WRITE / 8 : 0) + (linear >> PAGE_SHIFT));
    uint32_t physical;

    if (!addend)
        addend = view_fill(cpu, linear, access, &physical);
    return addend ? (uint8_t *)(uintptr_t)(addend + linear) : NULL;
}

#define COMPARE(type) __asm__ volatile("cmp %2, %1; pushfq; pop %0" : "=r"(flags) : "r"((type)a), "r"((type)b) : "cc")
static void compare(struct cpu *cpu, uint32_t a, uint32_t b, unsigned size)
{
    uint64_t flags;

    if (size == 1)
        COMPARE(uint8_t);
    else if (size == 2)
        COMPARE(uint16_t);
    else
        COMPARE(uint32_t);
    cpu->eflags = (cpu->eflags & ~(uint32_t)FLAGS_ARITH) | ((uint32_t)flags & FLAGS_ARITH);
}
#undef COMPARE

/* Elements one at a time on host memory, in either direction, for one element
 * type; returns how many were done (a comparison may stop early, after its last
 * element). The type gives the compiler single moves for the copies. */
#define DEFINE_ELEMENTS(type) \
    static inline type load_##type(const uint8_t *at) \
    { \
        type value; \
        memcpy(&value, at, sizeof value); \
        return value; \
    } \
    static uint32_t compare_##type(const struct string_state *s, const uint8_t *source, const uint8_t *destination, uint32_t count) \
    { \
        type a = (type)s->cpu->regs[CPU_EAX], b = 0; \
        bool until_equal = s->rep == 0xf2; \
        uint32_t i; \
        for (i = 0; i < count; i++, source += s->step, destination += s->step) { \
            if (s->op == OP_CMPS) \
                a = load_##type(source); \
            b = load_##type(destination); \
            if (s->rep && (a == b) == until_equal) { \
                i++; \
                break; \
            } \
        } \
        compare(s->cpu, a, b, sizeof(type)); \
        return i; \
    } \
    static uint32_t elements_##type(const struct string_state *s, uint8_t *source, uint8_t *destination, uint32_t count) \
    { \
        type a = (type)s->cpu->regs[CPU_EAX]; \
        if (s->op == OP_MOVS) { \
            for (uint32_t i = 0; i < count; i++, source += s->step, destination += s->step) { \
                a = load_##type(source); \
                memcpy(destination, &a, sizeof a); \
            } \
        } else if (s->op == OP_STOS && s->step > 0) { \
            for (uint32_t i = 0; i < count; i++) /* the compiler makes wide stores of it */ \
                memcpy(destination + i * sizeof a, &a, sizeof a); \
        } else if (s->op == OP_STOS) { \
            for (uint32_t i = 0; i < count; i++, destination += s->step) \
                memcpy(destination, &a, sizeof a); \
        } else if (s->op == OP_LODS) { \
            operand_set_reg(s->cpu, CPU_EAX, sizeof a, load_##type(source + (int64_t)(count - 1) * s->step)); \
        } else { \
            return compare_##type(s, source, destination, count); \
        } \
        return count; \
    }
DEFINE_ELEMENTS(uint8_t)
DEFINE_ELEMENTS(uint16_t)
DEFINE_ELEMENTS(uint32_t)
#undef DEFINE_ELEMENTS

static uint32_t run_elements(const struct string_state *s, uint8_t *source, uint8_t *destination, uint32_t count)
{
    if (s->size == 1)
        return elements_uint8_t(s, source, destination, count);
    return s->size == 2 ? elements_uint16_t(s, source, destination, count) : elements_uint32_t(s, source, destination, count);
}

static uint32_t run_direct(const struct string_state *s, uint8_t *source, uint8_t *destination, uint32_t count)
{
    size_t bytes = (size_t)count * s->size;
    bool overlap = source < destination + bytes && destination < source + bytes;

    if (s->op == OP_MOVS && s->step > 0 && !overlap) {
        memcpy(destination, source, bytes);
        return count;
    }
    if (s->op == OP_STOS && s->step > 0 && s->size == 1) {
        memset(destination, (int)s->cpu->regs[CPU_EAX], bytes);
        return count;
    }
    return run_elements(s, source, destination, count);
}

/* One element through the checked linear accessors: page crossings, MMIO, code pages. */
static uint32_t run_slow(const struct string_state *s, uint32_t source, uint32_t destination)
{
    struct cpu *cpu = s->cpu;
    uint8_t from[4] = { 0 }, to[4] = { 0 };
    bool user = cpu->cpl == 3;

    if (s->reads_source)
        view_read(cpu, source, from, s->size, user);
    if (s->compares)
        view_read(cpu, destination, to, s->size, user);
    run_elements(s, from, to, 1);
    if (s->writes)
        view_write(cpu, destination, to, s->size, user);
    return 1;
}

/* One chunk of at most `count` elements; returns how many were done. */
static uint32_t run_chunk(const struct string_state *s, uint32_t count)
{
    struct cpu *cpu = s->cpu;
    uint32_t source = 0, destination = 0;
    uint8_t *from = cpu->bounce, *to = cpu->bounce;
    uint32_t most = count, done;
    bool slow = false;

    if (s->reads_source) {
        source = linear_of(s, s->source_seg, CPU_ESI, false);
        most = in_page(s, source) < most ? in_page(s, source) : most;
        most = before_wrap(s, CPU_ESI) < most ? before_wrap(s, CPU_ESI) : most;
        slow |= mode_seg(translator_current->area->mode, s->source_seg) == SEG_CHECKED;
    }
    if (s->uses_destination) {
        destination = linear_of(s, CPU_ES, CPU_EDI, s->writes);
        most = in_page(s, destination) < most ? in_page(s, destination) : most;
        most = before_wrap(s, CPU_EDI) < most ? before_wrap(s, CPU_EDI) : most;
        slow |= mode_seg(translator_current->area->mode, CPU_ES) == SEG_CHECKED;
    }
    slow |= most == 0;
    if (!slow && s->reads_source && !(from = direct(cpu, source, VIEW_FOR_READ)))
        slow = true;
    if (!slow && s->uses_destination && !(to = direct(cpu, destination, s->writes ? VIEW_FOR_WRITE : VIEW_FOR_READ)))
        slow = true;
    done = slow ? run_slow(s, source, destination) : run_direct(s, from, to, most);
    if (s->reads_source)
        advance(cpu, CPU_ESI, s->mask, (int32_t)done * s->step);
    if (s->uses_destination)
        advance(cpu, CPU_EDI, s->mask, (int32_t)done * s->step);
    return done;
}

static bool comparison_over(const struct string_state *s)
{
    return s->compares && !!(s->cpu->eflags & FLAG_ZF) != (s->rep == 0xf3);
}

/* Elements before a repeated instruction lets interrupts in at the latest. */
static uint32_t most_elements(void)
{
    return translator_current->counting ? COUNT_REP : UINT32_MAX;
}

/* When counting, the places to pause at are a matter of the count alone. */
static bool pauses(const struct cpu *cpu, uint32_t most)
{
    return translator_current->counting ? most == 0 : cpu->exit_request;
}

/* Debug traps come after each element (vol. 3, 17.3.1.4). */
static bool is_debugged(const struct cpu *cpu)
{
    return cpu->eflags & FLAG_TF || cpu->watch_data || cpu->watch_io;
}

static bool trapped(const struct cpu *cpu)
{
    return cpu->eflags & FLAG_TF || cpu->watch_hits;
}

/* To the run loop in the middle, EIP still being this instruction's: its breakpoint, if it has one, has come (vol. 3, 17.3.1.1). */
static enum call_result pause_repeat(struct cpu *cpu)
{
    if (cpu->watch_code)
        cpu->eflags |= FLAG_RF;
    return CALL_EXIT;
}

enum call_result calls_string(struct cpu *cpu, const struct insn *insn)
{
    struct string_state s = begin(cpu, insn);
    uint32_t most = most_elements();

    if (!s.rep) {
        run_chunk(&s, 1);
        return CALL_NEXT;
    }
    while (cpu->regs[CPU_ECX] & s.mask) {
        uint32_t count = is_debugged(cpu) ? 1 : cpu->regs[CPU_ECX] & s.mask;
        uint32_t done = run_chunk(&s, count < most ? count : most);
        advance(cpu, CPU_ECX, s.mask, -(int32_t)done);
        most -= done;
        if (comparison_over(&s))
            break;
        if ((pauses(cpu, most) || trapped(cpu)) && cpu->regs[CPU_ECX] & s.mask)
            return pause_repeat(cpu);
    }
    return CALL_NEXT;
}

static void in_element(struct string_state *s, uint16_t port)
{
    struct cpu *cpu = s->cpu;
    uint32_t linear, value;

    protection_check_io(cpu, port, s->size);
    linear = linear_of(s, CPU_ES, CPU_EDI, true);
    view_check_write(cpu, linear, s->size, cpu->cpl == 3);
    value = protection_in(cpu, port, s->size);
    view_write(cpu, linear, &value, s->size, cpu->cpl == 3);
    advance(cpu, CPU_EDI, s->mask, s->step);
}

static void out_element(struct string_state *s, uint16_t port)
{
    struct cpu *cpu = s->cpu;
    uint32_t linear, value = 0;

    protection_check_io(cpu, port, s->size);
    linear = linear_of(s, s->source_seg, CPU_ESI, false);
    view_read(cpu, linear, &value, s->size, cpu->cpl == 3);
    protection_out(cpu, port, s->size, value);
    advance(cpu, CPU_ESI, s->mask, s->step);
}

static void port_element(struct string_state *s, uint16_t port, bool input)
{
    if (input)
        in_element(s, port);
    else
        out_element(s, port);
}

/* Elements at once where memory is direct, the privilege is beyond doubt and the
 * device takes blocks; returns how many were done, 0: go element by element. The
 * bound keeps an interrupt that the device raises in time. */
static uint32_t port_chunk(const struct string_state *s, uint16_t port, bool input, uint32_t limit)
{
    struct cpu *cpu = s->cpu;
    enum cpu_seg seg = input ? CPU_ES : s->source_seg;
    enum cpu_reg reg = input ? CPU_EDI : CPU_ESI;
    uint32_t linear = cpu->seg_base[seg] + (cpu->regs[reg] & s->mask), most = cpu->regs[CPU_ECX] & s->mask;
    uint8_t *memory;

    most = most < limit ? most : limit;
    if (most < 2 || s->step < 0 || mode_seg(translator_current->area->mode, seg) == SEG_CHECKED ||
        (cpu_protected(cpu) && (cpu->cpl > cpu_iopl(cpu) || cpu_v8086(cpu))))
        return 0;
    most = most < PORT_CHUNK ? most : PORT_CHUNK;
    most = in_page(s, linear) < most ? in_page(s, linear) : most;
    most = before_wrap(s, reg) < most ? before_wrap(s, reg) : most;
    memory = most ? direct(cpu, linear, input ? VIEW_FOR_WRITE : VIEW_FOR_READ) : NULL;
    if (!memory || !(input ? io_port_read_block(cpu->io, port, s->size, most, memory)
                           : io_port_write_block(cpu->io, port, s->size, most, memory)))
        return 0;
    advance(cpu, reg, s->mask, (int32_t)most * s->step);
    return most;
}

static enum call_result port_string(struct cpu *cpu, const struct insn *insn, bool input)
{
    struct string_state s = begin(cpu, insn);
    uint32_t most = most_elements();
    uint16_t port = cpu->regs[CPU_EDX] & 0xffff;

    if (!s.rep) {
        port_element(&s, port, input);
        return CALL_NEXT;
    }
    for (unsigned i = 1; cpu->regs[CPU_ECX] & s.mask; i++) {
        uint32_t done = is_debugged(cpu) ? 0 : port_chunk(&s, port, input, most);

        if (done == 0)
            port_element(&s, port, input);
        advance(cpu, CPU_ECX, s.mask, done ? -(int32_t)done : -1);
        most -= done ? done : 1;
        if (((pauses(cpu, most) && (done || i % 64 == 0 || most == 0)) || trapped(cpu)) && cpu->regs[CPU_ECX] & s.mask)
            return pause_repeat(cpu);
    }
    return CALL_NEXT;
}

enum call_result calls_ins(struct cpu *cpu, const struct insn *insn) { return port_string(cpu, insn, true); }
enum call_result calls_outs(struct cpu *cpu, const struct insn *insn) { return port_string(cpu, insn, false); }
