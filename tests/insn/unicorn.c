/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Unicorn as a backend: a second opinion on integer instructions. It runs flat
 * at privilege 0 without paging; exceptions are told from its hooks. GS gets its
 * base through a descriptor.
 */
#include "tests/insn/backend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicorn/unicorn.h>

#define DESCRIPTORS 0x00010000u

struct second {
    uc_engine *uc;
    uint32_t vector, error, cr2;
};

static const int reg_ids[8] = { UC_X86_REG_EAX, UC_X86_REG_ECX, UC_X86_REG_EDX, UC_X86_REG_EBX,
                                UC_X86_REG_ESP, UC_X86_REG_EBP, UC_X86_REG_ESI, UC_X86_REG_EDI };
static const uint8_t writable[INSN_WRITABLE] = INSN_WRITABLE_PAGES;

static void on_interrupt(uc_engine *uc, uint32_t number, void *opaque)
{
    struct second *s = opaque;
    s->vector = number;
    uc_emu_stop(uc);
}

static bool on_bad_access(uc_engine *uc, uc_mem_type type, uint64_t address, int size, int64_t value, void *opaque)
{
    struct second *s = opaque;
    (void)uc;
    (void)size;
    (void)value;
    bool write = type == UC_MEM_WRITE_UNMAPPED || type == UC_MEM_WRITE_PROT;
    bool present = type == UC_MEM_WRITE_PROT || type == UC_MEM_READ_PROT || type == UC_MEM_FETCH_PROT;
    s->vector = 14;
    s->error = 4u | (write ? 2 : 0) | (present ? 1 : 0);
    s->cr2 = (uint32_t)address;
    return false;
}

static bool on_invalid(uc_engine *uc, void *opaque)
{
    struct second *s = opaque;
    (void)uc;
    s->vector = 6;
    return false;
}

static void map_windows(struct second *s)
{
    uc_mem_map(s->uc, INSN_CODE, INSN_CODE_SIZE, UC_PROT_READ | UC_PROT_EXEC);
    uc_mem_map(s->uc, INSN_DATA + INSN_READONLY_PAGE * INSN_PAGE, INSN_PAGE, UC_PROT_READ);
    for (unsigned i = 0; i < INSN_WRITABLE; i++)
        uc_mem_map(s->uc, INSN_DATA + writable[i] * INSN_PAGE, INSN_PAGE, UC_PROT_READ | UC_PROT_WRITE);
}

static void put_descriptor(struct second *s, uint32_t selector, uint32_t base)
{
    const uint32_t descriptor[2] = { base << 16 | 0xffff, (base & 0xff000000) | 0xcf9300 | (base >> 16 & 0xff) };
    uc_mem_write(s->uc, DESCRIPTORS + selector, descriptor, sizeof descriptor);
}

/* Loading GS makes Unicorn look at the others' descriptors, too. */
static void load_segments(struct second *s)
{
    static const int flat_ids[] = { UC_X86_REG_SS, UC_X86_REG_DS, UC_X86_REG_ES };
    const uc_x86_mmr gdtr = { .base = DESCRIPTORS, .limit = 0xfff };
    const uint32_t flat = 0x10, gs = INSN_SEL_GS & ~7u;
    uc_mem_map(s->uc, DESCRIPTORS, INSN_PAGE, UC_PROT_READ | UC_PROT_WRITE);
    put_descriptor(s, flat, 0);
    put_descriptor(s, gs, INSN_DATA);
    uc_reg_write(s->uc, UC_X86_REG_GDTR, &gdtr);
    for (unsigned i = 0; i < sizeof flat_ids / sizeof *flat_ids; i++)
        uc_reg_write(s->uc, flat_ids[i], &flat);
    uc_reg_write(s->uc, UC_X86_REG_GS, &gs);
}

/* Its being called keeps EIP exact at a fault. */
static void on_instruction(uc_engine *uc, uint64_t address, uint32_t size, void *opaque)
{
    (void)uc;
    (void)address;
    (void)size;
    (void)opaque;
}

static void *second_open(const struct gen_options *options, char *error, size_t error_size)
{
    (void)options;
    struct second *s = calloc(1, sizeof *s);
    uc_hook hook;
    uc_err result = s ? uc_open(UC_ARCH_X86, UC_MODE_32, &s->uc) : UC_ERR_NOMEM;
    if (result != UC_ERR_OK) {
        snprintf(error, error_size, "unicorn: %s", uc_strerror(result));
        free(s);
        return NULL;
    }
    map_windows(s);
    load_segments(s);
    uc_hook_add(s->uc, &hook, UC_HOOK_CODE, (void *)on_instruction, s, 1, 0);
    uc_hook_add(s->uc, &hook, UC_HOOK_INTR, (void *)on_interrupt, s, 1, 0);
    uc_hook_add(s->uc, &hook, UC_HOOK_INSN_INVALID, (void *)on_invalid, s, 1, 0);
    uc_hook_add(s->uc, &hook, UC_HOOK_MEM_INVALID, (void *)on_bad_access, s, 1, 0);
    return s;
}

static void second_load(void *self, const struct insn_shared *shared)
{
    struct second *s = self;
    uc_mem_write(s->uc, INSN_CODE, shared->code, INSN_CODE_SIZE);
    uc_mem_write(s->uc, INSN_DATA + INSN_READONLY_PAGE * INSN_PAGE, shared->readonly, INSN_PAGE);
    uc_ctl_remove_cache(s->uc, INSN_CODE, INSN_CODE + INSN_CODE_SIZE);
}

static void second_run(void *self, const struct insn_shared *shared, unsigned slot, struct insn_output *out)
{
    struct second *s = self;
    const struct insn_state *in = &shared->input[slot];
    for (unsigned i = 0; i < INSN_WRITABLE; i++)
        uc_mem_write(s->uc, INSN_DATA + writable[i] * INSN_PAGE, shared->pattern[i], INSN_PAGE);
    for (unsigned i = 0; i < 8; i++)
        uc_reg_write(s->uc, reg_ids[i], &in->regs[i]);
    uc_reg_write(s->uc, UC_X86_REG_EFLAGS, &in->eflags);
    s->vector = 1000;
    s->error = s->cr2 = 0;
    uc_emu_start(s->uc, in->eip, 0, 0, 0);
    out->status = s->vector == 1000 ? INSN_SKIPPED : INSN_DONE;
    out->vector = s->vector;
    out->error = s->error;
    out->cr2 = s->cr2;
    for (unsigned i = 0; i < 8; i++)
        uc_reg_read(s->uc, reg_ids[i], &out->state.regs[i]);
    uc_reg_read(s->uc, UC_X86_REG_EIP, &out->state.eip);
    uc_reg_read(s->uc, UC_X86_REG_EFLAGS, &out->state.eflags);
    /* A fault's image has RF, and the FPU took no part. */
    if (s->vector != 3 && s->vector != 4)
        out->state.eflags |= 0x10000;
    memcpy(out->state.fx, shared->output[slot].state.fx, sizeof out->state.fx);
    for (unsigned i = 0; i < INSN_WRITABLE; i++)
        uc_mem_read(s->uc, INSN_DATA + writable[i] * INSN_PAGE, out->memory[i], INSN_PAGE);
}

static void second_close(void *self)
{
    struct second *s = self;
    uc_close(s->uc);
    free(s);
}

extern const struct backend unicorn_backend;
const struct backend unicorn_backend = { "unicorn", true, second_open, second_load, second_run, second_close };
