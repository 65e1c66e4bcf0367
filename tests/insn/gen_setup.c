/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the generator puts before an instruction so that it mostly does something:
 * divisors that fit, counts that end, selectors, images that can be loaded. And
 * what it blanks behind one that stores what is not the same twice.
 */
#include "tests/insn/gen_internal.h"

#include <string.h>

static void clear_word(struct gen *g, uint32_t address) { set_word(g, address, 0); }

static void mov_high_byte(struct gen *g, uint8_t value)
{
    put(g, (uint8_t[]){ 0xb4, value }, 2, GEN_GLUE, 0);
}

static void setup_string(struct gen *g)
{
    if (!percent(g, 4))
        set_register(g, ESI, pick_target(g, false));
    if (!percent(g, 4))
        set_register(g, EDI, pick_target(g, false));
    set_register(g, ECX, percent(g, 80) ? below(g, 40) : percent(g, 90) ? below(g, 3000) : interesting(g));
}

uint32_t data_selector(const struct gen *g)
{
    return g->options->small ? INSN_SEL_SMALL_DATA : INSN_SEL_DATA;
}

uint32_t stack_pointer(struct gen *g)
{
    return g->data + AT_STACK + 0x400 + below(g, 0x1800) / 4 * 4;
}

/* For EBP; where the stack has 16 bits, only BP matters. */
static uint32_t frame_pointer(struct gen *g)
{
    uint32_t high = g->options->small && percent(g, 30) ? (uint32_t)gen_random(&g->rng) << 16 : 0;
    return high | (g->data + AT_STACK + 0x800 + below(g, 0x1000) / 4 * 4);
}

static void setup_segment(struct gen *g)
{
    set_register(g, EAX, percent(g, 95) ? data_selector(g) : INSN_SEL_FS);
}

/* One that means the same in both descriptor tables, or nothing in either. */
static uint32_t any_selector(struct gen *g)
{
    static const uint16_t selectors[] = { INSN_SEL_CODE, INSN_SEL_DATA, INSN_SEL_GS, INSN_SEL_FS, INSN_SEL_DATA & ~3, 0, 3, 0xfff8, 0x4007 };
    return selectors[below(g, sizeof selectors / sizeof *selectors)] | (percent(g, 30) ? 0x10000 : 0);
}

bool run_setup(struct gen *g, unsigned setup, bool is16, uint32_t *target)
{
    const bool at_end = g->options->small && percent(g, 20);

    *target = safe_target(g);
    switch (setup) {
    case SETUP_DIV8:
        if (percent(g, 70))
            mov_high_byte(g, (uint8_t)below(g, 8));
        return false;
    case SETUP_DIV:
        if (percent(g, 70))
            set_register(g, EDX, below(g, 3));
        return false;
    case SETUP_IDIV:
        if (percent(g, 70))
            put(g, (uint8_t[]){ 0x99 }, 1, GEN_GLUE, 0);
        return false;
    case SETUP_STRING: setup_string(g); return false;
    case SETUP_XLAT: set_register(g, EBX, pick_target(g, false) - 128); return false;
    case SETUP_LEAVE:
        if (percent(g, 90))
            set_register(g, EBP, frame_pointer(g));
        return false;
    case SETUP_ENTER:
        if (percent(g, 80))
            set_register(g, EBP, frame_pointer(g));
        return false;
    case SETUP_EDI: set_register(g, EDI, pick_target(g, false)); return false;
    case SETUP_SHIFT16: set_register(g, ECX, below(g, 17)); return false;
    case SETUP_BOUND:
        set_memory(g, *target, 0x80000000 + below(g, 100));
        set_memory(g, *target + 4, 0x7fffffff - below(g, 100));
        return true;
    case SETUP_FLDCW:
        set_memory(g, *target, (percent(g, 85) ? 0x7f : 0x40 | below(g, 64)) | (0x300 & below(g, 0x400)) | below(g, 4) << 10);
        return true;
    case SETUP_LDMXCSR:
        set_memory(g, *target, (percent(g, 85) ? 0x1f80 : below(g, 64) << 7) | below(g, 4) << 13 |
                   (percent(g, 20) ? 0x8000 : 0) | (percent(g, 20) ? 0x40 : 0) | (percent(g, 3) ? 0x10000 : 0));
        return true;
    case SETUP_SEGMENT: setup_segment(g); return false;
    case SETUP_FAR_POINTER:
    case SETUP_GS_POINTER:
        if (at_end) { /* where the segment ends; only as much as there is room for */
            *target = 0xfffa + below(g, 3) * 2;
            set_word(g, (*target + (is16 ? 2 : 4)) & 0xffff, (uint16_t)(setup == SETUP_GS_POINTER ? INSN_SEL_GS : data_selector(g)));
            return true;
        }
        set_memory(g, *target + (is16 ? 2 : 4), (uint32_t)gen_random(&g->rng) << 16 | (setup == SETUP_GS_POINTER ? INSN_SEL_GS : data_selector(g)));
        return true;
    case SETUP_SEGMENT_MEMORY:
        set_memory(g, *target, (uint32_t)gen_random(&g->rng) << 16 | data_selector(g));
        return true;
    case SETUP_GS: set_register(g, EAX, INSN_SEL_GS); return false;
    case SETUP_SELECTOR: set_register(g, EAX, any_selector(g)); return false;
    case SETUP_SELECTOR_MEMORY: set_memory(g, *target, any_selector(g)); return true;
    case SETUP_STRING_LENGTHS:
        if (percent(g, 80)) {
            set_register(g, EAX, below(g, 40) - 20);
            set_register(g, EDX, below(g, 40) - 20);
        }
        return false;
    case SETUP_GS_MEMORY: set_memory(g, *target, INSN_SEL_GS); return true;
    case SETUP_FPU_STORE:
    case SETUP_FPU_LOAD:
        *target = g->data + below(g, 0x1d00) / 16 * 16; /* 512 bytes */
        return true;
    default: return false;
    }
}

void blank_fpu_pointers(struct gen *g, const struct insn_form *form, uint32_t target, bool is16)
{
    if (form->escape) {
        clear_word(g, target + 6);
        for (uint32_t at = 8; at < 32; at += at == 20 ? 8 : 4)
            set_memory(g, target + at, 0);
    } else if (is16) {
        for (uint32_t at = 6; at < 14; at += 2)
            clear_word(g, target + at);
    } else {
        for (uint32_t at = 12; at < 28; at += 4)
            set_memory(g, target + at, 0);
    }
}

void save_fpu(struct gen *g, const struct insn_form *load, uint32_t target, bool is16)
{
    uint8_t bytes[8], length = 0;
    unsigned digit = load->escape ? 0 : 6;
    if (is16)
        bytes[length++] = 0x66;
    if (load->escape)
        bytes[length++] = load->escape;
    bytes[length++] = load->opcode;
    bytes[length++] = (uint8_t)(0x05 | digit << 3);
    memcpy(bytes + length, &target, 4);
    put(g, bytes, length + 4u, GEN_GLUE, 0);
    blank_fpu_pointers(g, load, target, is16);
    if (percent(g, 70))
        put(g, (uint8_t[]){ 0xd9, 0xe8 }, 2, GEN_GLUE, 0); /* FLD1 */
}
