/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What is known of the guest's instructions, by their physical address.
 */
#include <string.h>

#include "tests/replay/second_internal.h"
#include "tests/replay/undefined.h"

/* Unicorn's CPU has all of SSE4.2, but not this. */
bool second_is_popcnt(const struct insn *insn)
{
    return insn->kind == INSN_PLAIN && insn->opcode_length == 2 && insn->opcode == 0xb8 && insn->mandatory == 0xf3;
}

/* BSF and BSR with a prefix that means nothing to the guest's CPU: TZCNT and LZCNT to Unicorn's. */
bool second_is_scan(const struct insn *insn)
{
    return insn->kind == INSN_PLAIN && insn->opcode_length == 2 && (insn->opcode == 0xbc || insn->opcode == 0xbd)
           && memchr(insn->bytes, 0xf3, insn->opcode_offset);
}

static bool is_assisted(const struct insn *insn)
{
    switch (insn->kind) {
    case INSN_IN: case INSN_OUT: case INSN_INS: case INSN_OUTS: case INSN_HLT: case INSN_CPUID: case INSN_RDTSC:
    case INSN_RDPMC: case INSN_RDMSR: case INSN_WRMSR: case INSN_INT: case INSN_INT3: case INSN_INT1: case INSN_SYSENTER: case INSN_SYSEXIT:
    case INSN_MOV_FROM_DR: case INSN_MOV_TO_DR: case INSN_MOV_FROM_CR: case INSN_MOV_TO_CR: case INSN_LMSW:
    case INSN_SMSW: case INSN_INVLPG: case INSN_FAR_JMP: case INSN_FAR_CALL: case INSN_FAR_RET: case INSN_IRET:
    case INSN_PUSH_SEG: /* the upper half of the word: Intel leaves it, QEMU clears it */
        return true;
    default:
        return second_is_popcnt(insn) || second_is_scan(insn);
    }
}

static void learn(struct seen *e, uint64_t key, const uint8_t *bytes, size_t size, uint32_t eip)
{
    *e = (struct seen){ .key = key };
    if (insn_decode(&e->insn, bytes, size, eip, INSN_MODE_32) != INSN_OK)
        e->insn.kind = INSN_UNDEFINED;
    e->assisted = is_assisted(&e->insn);
    e->flags_image = e->insn.kind == INSN_PUSHF;
    e->repeated = e->insn.kind == INSN_STRING && e->insn.rep;
    e->fpu_image = e->insn.kind == INSN_FXSAVE || e->insn.kind == INSN_FNSAVE || e->insn.kind == INSN_FNSTENV;
    undefined_flags(bytes, size, &e->flags_and, &e->flags_or);
    if (second_is_scan(&e->insn))
        e->flags_and = e->flags_or = FLAGS_ARITH & ~(uint32_t)FLAG_ZF;
}

/* Where the code at a linear address is; NULL: not in RAM. */
static const uint8_t *code_at(struct second *s, uint32_t linear)
{
    struct code_page *page = &s->pages[(linear >> PAGE_SHIFT) % PAGES_SIZE];
    uint32_t physical;

    if (page->linear != (linear >> PAGE_SHIFT) + 1) {
        if (!view_probe(&s->cpu, linear & ~(PAGE_SIZE - 1), VIEW_FOR_EXEC, false, &physical) || !phys_is_ram(s->cpu.phys, physical))
            return NULL;
        *page = (struct code_page){ (linear >> PAGE_SHIFT) + 1, phys_ram(s->cpu.phys) + physical };
    }
    return page->host + (linear & (PAGE_SIZE - 1));
}

const struct seen *second_meet(struct second *s, uint32_t linear)
{
    const uint8_t *host = code_at(s, linear);
    uint32_t here = PAGE_SIZE - (linear & (PAGE_SIZE - 1));
    uint8_t bytes[INSN_MAX_LENGTH] = { 0 };
    uint64_t key;
    struct seen *e;

    if (!host)
        return NULL;
    key = (uint64_t)(host - phys_ram(s->cpu.phys)) + 1;
    e = &s->seen[key * 2654435761u >> 8 & (SEEN_SIZE - 1)];
    if (here < INSN_MAX_LENGTH) { /* may go on in the next page: looked at anew each time */
        const uint8_t *next = code_at(s, linear + here);
        memcpy(bytes, host, here);
        if (next)
            memcpy(bytes + here, next, INSN_MAX_LENGTH - here);
        learn(e, key, bytes, INSN_MAX_LENGTH, linear);
    } else if (e->key != key || memcmp(e->insn.bytes, host, e->insn.length)) {
        s->changed = e->key == key;
        learn(e, key, host, INSN_MAX_LENGTH, linear);
    }
    return e;
}
