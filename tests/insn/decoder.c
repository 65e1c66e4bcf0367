/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Holds the decoder, which learns each form of an instruction once, against
 * Zydis, which decodes every one: all members of struct insn must agree for each
 * opcode with each ModRM byte behind each prefix that forms know, for each SIB
 * byte, for immediates that matter, and for random bytes.
 *
 * usage: insn_decoder [SEED]
 */
#include "x86vm/cpu/cpu.h"
#include "x86vm/decode/insn.h"
#include "x86vm/decode/zydis_insn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RANDOM_COUNT = 3000000, FAILURES_SHOWN = 20, EIP = 0xfffff000 };

static uint64_t state;
static unsigned compared, failures;

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static void show(const char *who, const struct insn *i)
{
    printf("      %s: kind %u length %u unit %u opsize %u rep %02x lock %u 66 %u mandatory %02x opcode %02x at %u of %u modrm %02x tail %u, "
           "gpr %u%u%u high %u written %02x flags %x/%x, mem %u %u:%02x+%02x<<%u%+d size %u %u%u%u, imm %x %x target %x\n", who, i->kind,
           i->length, i->unit, i->opsize, i->rep, i->lock, i->copy_66, i->mandatory, i->opcode, i->opcode_offset, i->opcode_length, i->modrm,
           i->tail_offset, i->reg_is_gpr, i->rm_is_gpr, i->opcode_is_gpr, i->high_byte, i->regs_written, i->flags_read, i->flags_killed,
           i->has_mem, i->mem.seg, i->mem.base, i->mem.index, i->mem.scale, i->mem.disp, i->mem.size, i->mem.read, i->mem.write,
           i->mem.aligned, i->imm, i->imm2, i->target);
}

static void compare(const uint8_t *bytes, size_t size)
{
    struct insn ours, theirs;
    enum insn_status our_status = insn_decode(&ours, bytes, size, EIP, INSN_MODE_32);
    enum insn_status their_status = zydis_insn_decode(&theirs, bytes, size, EIP, INSN_MODE_32, NULL);

    compared++;
    if (our_status == their_status && !memcmp(&ours, &theirs, sizeof ours))
        return;
    if (failures++ >= FAILURES_SHOWN)
        return;
    printf("   ");
    for (size_t i = 0; i < size; i++)
        printf(" %02x", bytes[i]);
    printf("\n");
    show("by form ", &ours);
    show("by Zydis", &theirs);
}

/* What stands behind the opcode's bytes matters here and there: a count of zero, a sign. */
static void fill_tail(uint8_t *bytes, unsigned from)
{
    uint64_t choice = next_random(), value = next_random();

    memcpy(bytes + from, &value, INSN_MAX_LENGTH - from < 8 ? INSN_MAX_LENGTH - from : 8);
    if ((choice & 7) == 0)
        bytes[from] &= 0xe0;
}

static unsigned put_opcode(uint8_t *bytes, unsigned n, unsigned map, uint8_t opcode)
{
    static const uint8_t seconds[4] = { 0, 0, 0x38, 0x3a };

    if (map)
        bytes[n++] = 0x0f;
    if (map > 1)
        bytes[n++] = seconds[map];
    bytes[n++] = opcode;
    return n;
}

static void every_modrm(const uint8_t *prefixes, unsigned prefix_count)
{
    uint8_t bytes[INSN_MAX_LENGTH] = { 0 };

    memcpy(bytes, prefixes, prefix_count);
    for (unsigned k = 0; k < 4 * 256; k++) {
        unsigned n = put_opcode(bytes, prefix_count, k >> 8, (uint8_t)k);
        for (unsigned modrm = 0; modrm < 256; modrm++) {
            bytes[n] = (uint8_t)modrm;
            fill_tail(bytes, n + 1);
            compare(bytes, sizeof bytes);
        }
    }
}

static void every_sib(void)
{
    uint8_t bytes[INSN_MAX_LENGTH] = { 0 };

    for (unsigned k = 0; k < 4 * 256; k++) {
        unsigned n = put_opcode(bytes, 0, k >> 8, (uint8_t)k);
        for (unsigned sib = 0; sib < 3 * 256; sib++) {
            bytes[n] = (uint8_t)(sib >> 8 << 6 | (next_random() & 7) << 3 | 4);
            bytes[n + 1] = (uint8_t)sib;
            fill_tail(bytes, n + 2);
            compare(bytes, sizeof bytes);
        }
    }
}

static void every_prefix(void)
{
    static const uint8_t classes[] = { 0, 0x66, 0xf2, 0xf3, 0xf0 }, segments[] = { 0, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65 };

    for (unsigned c = 0; c < sizeof classes; c++) {
        for (unsigned s = 0; s < sizeof segments; s++) {
            uint8_t prefixes[2], n = 0;
            bool class_first = (c + s) & 1;
            if (classes[c] && class_first)
                prefixes[n++] = classes[c];
            if (segments[s])
                prefixes[n++] = segments[s];
            if (classes[c] && !class_first)
                prefixes[n++] = classes[c];
            every_modrm(prefixes, n);
        }
    }
}

/* Any bytes, some of them behind any prefixes, some cut short. */
static void random_bytes(void)
{
    static const uint8_t all[16] = { 0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x0f, 0x0f, 0x66, 0x67, 0xf3 };

    for (unsigned k = 0; k < RANDOM_COUNT; k++) {
        uint8_t bytes[16];
        uint64_t low = next_random(), high = next_random(), choice = next_random();
        memcpy(bytes, &low, 8);
        memcpy(bytes + 8, &high, 8);
        for (unsigned i = 0; i < (choice & 3); i++)
            bytes[i] = all[choice >> (8 + 4 * i) & 15];
        compare(bytes, (choice >> 4 & 15) == 0 ? 1 + (choice >> 32) % INSN_MAX_LENGTH : INSN_MAX_LENGTH);
    }
}

/* What is known of forms must not outlive the CPU's features. */
static void without_features(void)
{
    insn_init(0);
    every_modrm((const uint8_t[]){ 0 }, 0);
    every_modrm((const uint8_t[]){ 0x66 }, 1);
    insn_init(CPU_FEATURES);
    every_modrm((const uint8_t[]){ 0x66 }, 1);
}

int main(int argc, char **argv)
{
    state = argc > 1 ? strtoull(argv[1], NULL, 0) * 0x9e3779b97f4a7c15u | 1 : 0x9e3779b97f4a7c15u;
    insn_init(CPU_FEATURES);
    random_bytes(); /* first: which instruction a form is learned by must not matter */
    every_prefix();
    every_sib();
    without_features();
    printf("%s insn decoder: %u instructions by their form and by Zydis, %u differ\n", failures ? "FAIL" : "ok  ", compared, failures);
    return failures != 0;
}
