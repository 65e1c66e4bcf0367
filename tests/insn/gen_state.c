/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What a case begins with: registers, FPU, and the batch's memory.
 */
#include "tests/insn/gen_internal.h"

#include <string.h>

static void random_float80(struct gen *g, uint8_t *out)
{
    uint64_t mantissa = gen_random(&g->rng) | UINT64_C(1) << 63;
    uint16_t sign = percent(g, 50) ? 0x8000 : 0, exponent = (uint16_t)(0x3fff - 20 + below(g, 40));
    switch (below(g, 12)) {
    case 0: exponent = 0; mantissa = 0; break;
    case 1: exponent = 0x7fff; mantissa = UINT64_C(1) << 63; break;
    case 2: exponent = 0x7fff; break; /* NaN, quiet or not */
    case 3: exponent = 0; mantissa >>= 1 + below(g, 60); break; /* denormal */
    case 4: exponent = (uint16_t)below(g, 0x8000); break;
    case 5: mantissa &= ~UINT64_C(0) << below(g, 64); mantissa |= UINT64_C(1) << 63; break; /* few digits */
    case 6: if (percent(g, 20)) mantissa &= ~(UINT64_C(1) << 63); break; /* unnormal */
    default: break;
    }
    exponent |= sign;
    memcpy(out, &mantissa, 8);
    memcpy(out + 8, &exponent, 2);
}

static uint64_t random_float(struct gen_rng *rng, bool wide)
{
    uint64_t r = gen_random(rng);
    uint64_t fraction = r >> (r & 1 ? 20 : 4);
    unsigned kind = (unsigned)(gen_random(rng) % 10);
    uint64_t sign = r >> 7 & 1;
    if (wide) {
        uint64_t e = kind == 0 ? 0 : kind == 1 ? 0x7ff : kind == 2 ? r % 0x7ff : 1023 - 20 + r % 40;
        fraction &= (UINT64_C(1) << 52) - 1;
        if (kind < 2 && r & 2)
            fraction = 0;
        return sign << 63 | e << 52 | fraction;
    }
    uint64_t e = kind == 0 ? 0 : kind == 1 ? 0xff : kind == 2 ? r % 0xff : 127 - 20 + r % 40;
    fraction &= (1u << 23) - 1;
    if (kind < 2 && r & 2)
        fraction = 0;
    return sign << 31 | e << 23 | fraction;
}

/* Eight bytes of whatever instructions like: floats of both sizes, integers, small numbers. */
static uint64_t random_data(struct gen_rng *rng)
{
    switch (gen_random(rng) % 5) {
    case 0: return random_float(rng, true);
    case 1: return random_float(rng, false) | random_float(rng, false) << 32;
    case 2: return (gen_random(rng) & 0xff) - 128;
    default: return gen_random(rng);
    }
}

static void put16(uint8_t *at, uint32_t value) { memcpy(at, &value, 2); }

static void random_fx(struct gen *g, uint8_t *fx)
{
    uint32_t mxcsr = 0x1f80;
    memset(fx, 0, 512);
    uint32_t control = 0x7f | below(g, 4) << 10 | (uint32_t[]){ 0x300, 0x300, 0x200, 0 }[below(g, 4)];
    if (percent(g, 5))
        control &= ~below(g, 64);
    put16(fx, percent(g, 50) ? 0x37f : control);
    put16(fx + 2, percent(g, 50) ? 0 : below(g, 8) << 11);
    fx[4] = percent(g, 30) ? 0 : percent(g, 30) ? 0xff : (uint8_t)below(g, 256);
    for (unsigned i = 0; i < 8; i++)
        random_float80(g, fx + 32 + 16 * i);
    for (unsigned i = 0; i < 16; i++) {
        uint64_t data = random_data(&g->rng);
        memcpy(fx + 160 + 8 * i, &data, 8);
    }
    if (percent(g, 50))
        mxcsr = 0x1f80 | below(g, 4) << 13 | (percent(g, 20) ? 0x8000 : 0) | (percent(g, 20) ? 0x40 : 0);
    if (percent(g, 5))
        mxcsr &= ~(below(g, 64) << 7);
    memcpy(fx + 24, &mxcsr, 4);
    const uint32_t mask = 0xffff;
    memcpy(fx + 28, &mask, 4);
}

void random_state(struct gen *g)
{
    struct insn_state *in = &g->out->input;
    for (unsigned reg = 0; reg < 8; reg++) {
        g->value[reg] = percent(g, 40) ? pick_target(g, false) : interesting(g);
        g->known[reg] = true;
    }
    g->value[ESP] = stack_pointer(g) + (percent(g, 10) ? below(g, 4) : 0);
    if (percent(g, 3)) /* near the ends of the stack */
        g->value[ESP] = g->data + (percent(g, 50) ? AT_STACK + below(g, 64) : AT_STACK_END - below(g, 64));
    if (g->options->small && percent(g, 6)) /* where SP wraps around */
        g->value[ESP] = percent(g, 50) ? below(g, 40) : 0xffff - below(g, 40);
    if (g->options->small && percent(g, 10)) /* what does not count */
        g->value[ESP] |= (0x1000 + below(g, 0x1000)) << 16;
    g->known[ESP] = false;
    g->esp_in_stack = g->value[ESP] - g->data - AT_STACK <= AT_STACK_END - AT_STACK || !g->options->small;
    memcpy(in->regs, g->value, sizeof in->regs);
    in->eip = g->out->base;
    in->cs = g->options->small ? INSN_SEL_SMALL_CODE : g->options->code16 ? INSN_SEL_CODE16 : INSN_SEL_CODE;
    in->eflags = 0x202 | ((uint32_t)gen_random(&g->rng) & ARITHMETIC) | (percent(g, 20) ? FLAG_DF : 0) |
                 (percent(g, 5) && !g->options->integer_only && g->options->mode != GEN_REAL ? FLAG_AC : 0);
    random_fx(g, in->fx);
}

void gen_memory(uint64_t seed, uint64_t batch, struct insn_shared *shared)
{
    struct gen_rng rng = { seed * UINT64_C(0x2545f4914f6cdd1d) + batch * 0x10001 };
    for (unsigned page = 0; page < INSN_WRITABLE; page++)
        for (unsigned i = 0; i < INSN_PAGE; i += 8) {
            uint64_t data = random_data(&rng);
            memcpy(shared->pattern[page] + i, &data, 8);
        }
    struct gen_rng fixed = { 1 };
    for (unsigned i = 0; i < INSN_PAGE; i += 8) {
        uint64_t data = random_data(&fixed);
        memcpy(shared->readonly + i, &data, 8);
    }
}
