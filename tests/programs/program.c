/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Where the functions of a random program lie, how they begin and end, and what
 * it begins with. A function that calls others takes one unit of fuel and wants
 * some room on the stack, or returns at once, so that any calls end.
 */
#include "tests/programs/program_internal.h"

enum { STACK_ROOM = 0x200, GAP_MAX = 600, END_ROOM = 0x1200 };

void put(struct maker *m, const void *bytes, unsigned size)
{
    if (m->at + size > INSN_CODE_SIZE - 64) {
        m->full = true;
        return;
    }
    memcpy(m->code + m->at, bytes, size);
    m->at += size;
}

void put8(struct maker *m, uint32_t byte) { put(m, &(uint8_t){ (uint8_t)byte }, 1); }
void put32(struct maker *m, uint32_t value) { put(m, &value, 4); }

void put_fixup(struct maker *m, enum fixup_kind kind, unsigned function)
{
    if (m->fixup_count < FIXUPS_MAX)
        m->fixups[m->fixup_count++] = (struct fixup){ m->at, (uint16_t)function, (uint8_t)kind };
    put32(m, PROGRAM_FUEL + 64); /* without a fixup: a cell that nobody reads */
}

void note_patch(struct maker *m)
{
    if (m->patch_count < PATCHES_MAX && !m->full)
        m->patches[m->patch_count++] = m->at - 4;
}

void patch_rel8(struct maker *m, uint32_t from)
{
    m->code[from - 1] = m->at - from < 128 ? (uint8_t)(m->at - from) : 0;
}

void patch_rel32(struct maker *m, uint32_t from)
{
    const uint32_t distance = m->at - from;
    memcpy(m->code + from - 4, &distance, 4);
}

/* --- functions --- */

static void begin(struct maker *m)
{
    uint32_t cell = PROGRAM_FUEL;

    PUT(m, 0x83, 0x2d); /* SUB dword [fuel], 1 */
    put32(m, cell);
    put8(m, 1);
    PUT(m, 0x0f, 0x88, 0, 0, 0, 0); /* JS to the end */
    PUT(m, 0x81, 0xfc);             /* CMP ESP, ... */
    put32(m, INSN_STACK + STACK_ROOM);
    PUT(m, 0x0f, 0x82, 0, 0, 0, 0); /* JB */
    m->defined = F_ALL;
}

static void end(struct maker *m)
{
    if (m->defined != F_ALL && !m->quiet) /* callers go on with flags that they know */
        PUT(m, 0x39, 0xc8);
    m->defined = F_ALL;
    if (!m->leaf && percent(m, 8)) { /* a tail call */
        PUT(m, 0xe9);
        put_fixup(m, FIX_RELATIVE, below(m, m->functions));
    } else {
        put8(m, 0xc3);
    }
}

/* Out of fuel or of stack: nothing but RET, with the flags of SUB or CMP. */
static void end_early(struct maker *m, uint32_t start)
{
    if (m->full)
        return;
    patch_rel32(m, start + 13);
    patch_rel32(m, start + 25);
    put8(m, 0xc3);
}

static void make_function(struct maker *m, unsigned number)
{
    uint32_t start;

    m->place[number] = m->at;
    m->function = number;
    m->leaf = number >= m->functions - LEAVES;
    m->quiet = number >= m->functions - QUIET;
    m->busy = 0;
    m->pushed = m->depth = 0;
    m->defined = 0;
    start = m->at;
    if (!m->leaf)
        begin(m);
    emit_items(m, m->leaf ? 1 + below(m, 5) : m->at > INSN_CODE_SIZE - END_ROOM ? 2 : 3 + below(m, 25));
    end(m);
    if (!m->leaf)
        end_early(m, start);
}

/* Code begins anywhere, in any page, and instructions lie across pages. */
static void gap(struct maker *m)
{
    uint32_t size = percent(m, 70) ? below(m, 16) : below(m, GAP_MAX);

    if (m->at + size + END_ROOM < INSN_CODE_SIZE)
        m->at += size;
}

static void resolve(struct maker *m)
{
    for (unsigned i = 0; i < m->fixup_count; i++) {
        const struct fixup *f = &m->fixups[i];
        uint32_t to = m->place[f->function], value;

        if (f->kind == FIX_RELATIVE)
            value = to - (f->at + 4);
        else if (f->kind == FIX_ABSOLUTE)
            value = (percent(m, 50) ? INSN_CODE : INSN_CODE_ALIAS) + to;
        else if (m->patch_count)
            value = INSN_CODE_WRITABLE + m->patches[below(m, m->patch_count)] + (f->kind == FIX_PATCH ? 0 : below(m, 4));
        else
            value = PROGRAM_FUEL + 64;
        memcpy(m->code + f->at, &value, 4);
    }
}

static void make_input(struct maker *m, struct insn_state *in)
{
    static const uint16_t fcw = 0x37f;
    static const uint32_t mxcsr = 0x1f80;

    for (unsigned i = 0; i < 8; i++)
        in->regs[i] = fuzz_value(&m->r);
    in->regs[ESP] = INSN_STACK_END - 0x40;
    in->eflags = 0x202;
    in->cs = INSN_SEL_CODE;
    memcpy(in->fx, &fcw, sizeof fcw);
    memcpy(in->fx + 24, &mxcsr, sizeof mxcsr);
    fuzz_bytes(&m->r, in->fx + 160, 128);
}

/* Fills the tank, calls some functions, and ends. */
static void make_main(struct maker *m, struct insn_state *in)
{
    in->eip = (percent(m, 50) ? INSN_CODE : INSN_CODE_ALIAS) + m->at;
    m->leaf = m->quiet = false;
    m->busy = 0;
    m->pushed = m->depth = 0;
    m->defined = F_ALL;
    PUT(m, 0xc7, 0x05); /* MOV dword [fuel], ... */
    put32(m, PROGRAM_FUEL);
    put32(m, 200u << below(m, 6));
    for (unsigned n = 1 + below(m, 6); n; n--) {
        put8(m, 0xe8);
        put_fixup(m, FIX_RELATIVE, below(m, m->functions - LEAVES));
    }
    PUT(m, 0x39, 0xc8, 0xcc); /* CMP EAX, ECX; INT3 */
}

void program_make(uint64_t seed, uint64_t number, struct program *out)
{
    static struct maker m;

    memset(&m, 0, sizeof m);
    memset(out, 0, sizeof *out);
    memset(out->code, 0xcc, sizeof out->code);
    m.r = fuzz_random_of(seed, number);
    m.code = out->code;
    m.functions = LEAVES + 2 + below(&m, FUNCTIONS_MAX - LEAVES - 1);
    m.shows_flags = percent(&m, 50);
    m.at = below(&m, 256);
    make_main(&m, &out->input);
    for (unsigned i = m.functions; i-- > 0;) { /* leaves first: they always have room */
        gap(&m);
        make_function(&m, i);
    }
    resolve(&m);
    make_input(&m, &out->input);
    out->shows_flags = m.shows_flags;
    out->functions = m.functions;
}
