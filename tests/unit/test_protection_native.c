/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Segments, far transfers and stacks against the host's own CPU: random LDTs,
 * and single instructions at ring 3 that load, jump, call, return, ask and
 * access through them, at limits, wraps and 64 KiB edges. The i386 helper
 * (segment_oracle.c) runs them natively; registers, error codes and memory
 * must agree with x86vm/protection.
 *
 *     test_protection_native [BATCHES [SEED]]       100 cases a batch
 *
 * Does nothing, saying so, where no 32-bit helper could be built or run.
 */
#include "tests/unit/protection_machine.h"
#include "tests/unit/segment_oracle.h"

#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/phys.h"

#include <cpuid.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CASES = sizeof ((struct oracle_batch *)0)->cases / sizeof(struct oracle_case), USER_CODE = 0x23, USER_DATA = 0x2b,
       RAM = ORACLE_DATA + 0x100000, GDT_LIMIT = 0x7f, DONE = 3, REPORTS = 10 };

static const char *const kind_names[] = {
#define NAME(name) #name,
    ORACLE_KINDS(NAME)
};

static struct oracle_batch *batches;
static unsigned batch_count = 100;
static uint64_t seed = 1;
static const char *helper;
static uint8_t image[ORACLE_DATA_SIZE];

/* --- making up cases --- */

static uint32_t draw(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (seed >> 33) % below;
}
static bool one_in(uint32_t n) { return draw(n) == 0; }
#define PICK(table) ((table)[draw(sizeof(table) / sizeof(table)[0])])

static void make_entry(struct oracle_entry *e)
{
    static const uint32_t limits[] = { 0, 3, 15, 0xff, 0xffe, 0xfff, 0x7fff, 0xffff, 0x1ffff, 0xfffff };

    *e = (struct oracle_entry){ .contents = one_in(20) ? 3 : draw(3), .wide = !one_in(3), .read_only = one_in(4),
                                .in_pages = one_in(3), .available = draw(2) };
    e->absent = one_in(6) || e->contents == 3; /* the kernel takes conforming code only so */
    e->base = (e->contents >= 2 ? ORACLE_CODE : ORACLE_DATA) + draw(2) * draw(64) + draw(2) * 0x1000;
    e->limit = e->in_pages ? (one_in(2) ? 0xfffff : draw(0x20)) : PICK(limits);
    if (e->contents == 1 && one_in(2)) /* expand-down: mostly low */
        e->limit = e->in_pages ? draw(8) : draw(0x4000);
}

static const struct oracle_entry *entry_of(const struct oracle_batch *b, uint16_t selector)
{
    return selector & 4 && selector >> 3 < ORACLE_LDT ? &b->ldt[selector >> 3] : NULL;
}

static uint32_t limit_of(const struct oracle_entry *e) { return e->in_pages ? e->limit << 12 | 0xfff : e->limit; }

static uint16_t any_selector(void)
{
    static const uint16_t others[] = { 0, 3, 8, 0x10, 0x18, 0x40, 0x50, 0x83, 0x1003, 0xfff8, USER_CODE, USER_DATA, 0x28 };

    if (one_in(8))
        return PICK(others);
    if (one_in(20))
        return (ORACLE_LDT + draw(5)) << 3 | 7;
    return draw(ORACLE_LDT) << 3 | 4 | (one_in(4) ? draw(4) : 3);
}

/* A selector that loads without a fault: for the stack, or for FS. */
static uint16_t loadable(const struct oracle_batch *b, bool stack)
{
    for (unsigned tries = 0; tries < 100; tries++) {
        const unsigned i = draw(ORACLE_LDT);
        const struct oracle_entry *e = &b->ldt[i];
        if (!e->absent && (e->contents < 2 ? !stack || !e->read_only : !stack && !e->read_only))
            return i << 3 | 7;
    }
    return USER_DATA;
}

static uint32_t edge_offset(const struct oracle_batch *b, uint16_t selector)
{
    static const uint32_t near[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 12 };
    const struct oracle_entry *e = entry_of(b, selector);

    if (!e)
        return ORACLE_DATA + 0x8000 + draw(0x8000);
    const uint32_t limit = limit_of(e);
    switch (draw(6)) {
    case 0: return limit - PICK(near);
    case 1: return limit + PICK(near);
    case 2: return 0x10000 - PICK(near);
    case 3: return one_in(2) ? PICK(near) : 0 - PICK(near);
    default: return e->contents == 1 ? limit + draw(0x10000) : draw(limit < 0x10000 ? limit + 1 : 0x10000);
    }
}

/* What the stub pops goes to where SS:ESP points. */
static void poke_frame(const struct oracle_batch *b, struct oracle_case *c, unsigned size)
{
    const uint32_t flags = (draw(0x200000) & ~(uint32_t)(FLAG_TF | FLAG_NT | FLAG_RF | FLAG_AC)) | draw(2) * FLAG_ID;
    const uint32_t slots[ORACLE_POKES] = { c->offset, c->selector | draw(2) * draw(0x10000) << 16, flags };
    const struct oracle_entry *e = entry_of(b, c->ss);
    const uint32_t base = e ? e->base : 0, mask = e && !e->wide ? 0xffff : 0xffffffff;

    for (unsigned i = 0; i < ORACLE_POKES; i++) {
        const uint32_t at = base + ((c->esp + i * size) & mask);
        if (at - ORACLE_DATA < ORACLE_DATA_SIZE - 4)
            c->pokes[i].address = at, c->pokes[i].value = slots[i];
    }
}

static void make_case(const struct oracle_batch *b, struct oracle_case *c)
{
    *c = (struct oracle_case){ .kind = draw(ORACLE_KIND_COUNT), .eax = draw(0x7fffffff) * 2 + 1 };
    c->ss = one_in(2) ? USER_DATA : loadable(b, true);
    c->fs = loadable(b, false);
    c->selector = any_selector();
    for (unsigned tries = draw(2) * 50; tries > 0; tries--) { /* half of the time code, if there is any */
        const unsigned i = draw(ORACLE_LDT);
        if (b->ldt[i].contents == 2)
            c->selector = i << 3 | 7;
    }
    c->offset = entry_of(b, c->selector) ? edge_offset(b, c->selector) : ORACLE_CODE + draw(ORACLE_CODE_SIZE);
    c->esp = edge_offset(b, c->ss);
    const bool on_stack = c->kind == ORACLE_STACK_READ4 || c->kind == ORACLE_STACK_WRITE2;
    c->ecx = edge_offset(b, on_stack ? c->ss : c->fs);
    if (c->kind >= ORACLE_RET32 && c->kind <= ORACLE_IRET16)
        poke_frame(b, c, c->kind == ORACLE_RET32 || c->kind == ORACLE_RET32N || c->kind == ORACLE_IRET32 ? 4 : 2);
}

/* --- our side --- */

static void store_entry(unsigned i, const struct oracle_entry *e)
{
    const unsigned type = e->contents << 2 | !e->read_only << 1 | 1;
    machine_descriptor(LDT, i << 3, e->base, e->limit,
                       type | SEG_S | SEG_DPL | !e->absent << 7 | e->available << 12 | e->wide << 14 | e->in_pages << 15);
}

/* The part of the host's GDT that programs can see. */
static void store_gdt(void)
{
    static const struct { uint16_t selector; unsigned access; } rows[] = {
        { 0x08, 0xc09b }, { 0x10, 0xa09b }, { 0x18, 0xc093 }, { USER_CODE, 0xc0fb }, { USER_DATA, 0xc0f3 }, { 0x40, 0x8b },
        { 0x50, 0x82 },
    };
    memset(phys_ram(cpu->phys) + GDT, 0, GDT_LIMIT + 1);
    for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++)
        machine_descriptor(GDT, rows[i].selector, 0, 0xfffff, rows[i].access);
    cpu->gdtr = (struct cpu_table){ GDT, GDT_LIMIT };
    cpu->ldtr = (struct cpu_segment){ .base = LDT, .limit = ORACLE_LDT * 8 - 1, .selector = 0x50, .access = SEG_P | 2 };
}

static void set_up(const struct oracle_case *c, uint32_t stub)
{
    memcpy(phys_ram(cpu->phys) + ORACLE_DATA, image, sizeof image);
    for (unsigned i = 0; i < ORACLE_POKES; i++)
        if (c->pokes[i].address)
            poke(c->pokes[i].address, c->pokes[i].value);
    machine_ring(3);
    cpu->seg[CPU_CS].selector = USER_CODE;
    for (int i = 0; i < CPU_SEG_COUNT; i++)
        if (i != CPU_CS)
            cpu->seg[i].selector = USER_DATA;
    cpu->eflags = FLAG_ONE | FLAG_IF;
    protection_load_segment(cpu, CPU_FS, c->fs);
    protection_load_segment(cpu, CPU_SS, c->ss);
    cpu->regs[CPU_EAX] = c->eax, cpu->regs[CPU_ECX] = c->ecx, cpu->regs[CPU_ESP] = c->esp;
    cpu->eip = stub;
}

static void set_zf(bool set)
{
    cpu->eflags = (cpu->eflags & ~(uint32_t)FLAG_ZF) | (set ? FLAG_ZF : 0);
}

static void access_memory(enum cpu_seg which, uint32_t size, bool write)
{
    const uint32_t linear = protection_segment_address(cpu, which, cpu->regs[CPU_ECX], size, write);

    if (linear - ORACLE_DATA > ORACLE_DATA_SIZE - 4 && linear - ORACLE_CODE > ORACLE_CODE_SIZE - 4)
        cpu_fault(cpu, VEC_PF); /* nothing is mapped there */
    if (write)
        view_write(cpu, linear, &cpu->regs[CPU_EAX], size, true);
    else
        view_read(cpu, linear, &cpu->regs[CPU_EAX], size, true);
}

static void run(const struct oracle_case *c)
{
    const uint16_t selector = c->selector;
    uint32_t value;

    switch ((enum oracle_kind)c->kind) {
    case ORACLE_LOAD_DS: protection_load_segment(cpu, CPU_DS, selector); break;
    case ORACLE_LOAD_ES: protection_load_segment(cpu, CPU_ES, selector); break;
    case ORACLE_LOAD_FS: protection_load_segment(cpu, CPU_FS, selector); break;
    case ORACLE_LOAD_SS: protection_load_segment(cpu, CPU_SS, selector); break;
    case ORACLE_JMP32: protection_far_jump(cpu, selector, c->offset, 4, cpu->eip + 6); break;
    case ORACLE_JMP16: protection_far_jump(cpu, selector, c->offset, 2, cpu->eip + 7); break;
    case ORACLE_CALL32: protection_far_call(cpu, selector, c->offset, 4, cpu->eip + 6); break;
    case ORACLE_CALL16: protection_far_call(cpu, selector, c->offset, 2, cpu->eip + 7); break;
    case ORACLE_RET32: protection_far_return(cpu, 4, 0); break;
    case ORACLE_RET16: protection_far_return(cpu, 2, 0); break;
    case ORACLE_RET32N: protection_far_return(cpu, 4, 8); break;
    case ORACLE_RET16N: protection_far_return(cpu, 2, 8); break;
    case ORACLE_IRET32: protection_iret(cpu, 4, cpu->eip + 1); break;
    case ORACLE_IRET16: protection_iret(cpu, 2, cpu->eip + 2); break;
    case ORACLE_LAR: set_zf(protection_lar(cpu, selector, &cpu->regs[CPU_EAX])); break;
    case ORACLE_LSL: set_zf(protection_lsl(cpu, selector, &cpu->regs[CPU_EAX])); break;
    case ORACLE_VERR: set_zf(protection_verify(cpu, selector, false)); break;
    case ORACLE_VERW: set_zf(protection_verify(cpu, selector, true)); break;
    case ORACLE_READ1: access_memory(CPU_FS, 1, false); break;
    case ORACLE_READ2: access_memory(CPU_FS, 2, false); break;
    case ORACLE_READ4: access_memory(CPU_FS, 4, false); break;
    case ORACLE_WRITE1: access_memory(CPU_FS, 1, true); break;
    case ORACLE_WRITE2: access_memory(CPU_FS, 2, true); break;
    case ORACLE_WRITE4: access_memory(CPU_FS, 4, true); break;
    case ORACLE_STACK_READ4: access_memory(CPU_SS, 4, false); break;
    case ORACLE_STACK_WRITE2: access_memory(CPU_SS, 2, true); break;
    case ORACLE_PUSH32: protection_push(cpu, c->eax, 4); break;
    case ORACLE_PUSH16: protection_push(cpu, c->eax, 2); break;
    case ORACLE_POP32: cpu->regs[CPU_EAX] = protection_pop(cpu, 4); break;
    case ORACLE_POP16:
        value = protection_pop(cpu, 2);
        memcpy(&cpu->regs[CPU_EAX], &value, 2);
        break;
    case ORACLE_KIND_COUNT: break;
    }
}

/* Addresses that only one side has mapped (the helper's program, or our RAM)
 * would prove nothing: such cases are drawn again. */
static bool leaves_the_areas(const struct oracle_batch *b, const struct oracle_case *c)
{
    const struct oracle_entry *e = entry_of(b, c->ss);
    const uint32_t mask = e && !e->wide ? 0xffff : 0xffffffff, base = e ? e->base : 0;

    for (int slot = -2; slot < 4; slot++) {
        const uint32_t at = base + ((c->esp + slot * 4) & mask);
        if (at - ORACLE_DATA >= ORACLE_DATA_SIZE - 8 && at >= 0x1000)
            return true;
    }
    const struct oracle_entry *f = c->kind >= ORACLE_STACK_READ4 ? e : entry_of(b, c->fs);
    const uint32_t at = (f ? f->base : 0) + c->ecx;
    return at - ORACLE_DATA >= ORACLE_DATA_SIZE - 8 && at - ORACLE_CODE >= ORACLE_CODE_SIZE - 8;
}

/* --- what the makers do differently --- */

static bool host_is_amd(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(0, &a, &b, &c, &d) && b == signature_AMD_ebx;
}

static bool slot_fits(uint32_t offset, uint32_t size)
{
    return offset + size > offset && TRY((void)protection_segment_address(cpu, CPU_SS, offset, size, false)) < 0;
}

static bool set_up_again(const struct oracle_case *c, uint32_t stub)
{
    return TRY(set_up(c, stub)) == -1;
}

/* Far returns of AMD's CPUs read the whole slot of a selector, Intel's (and ours) 16
 * bits; and where RPL is not CPL the outer SS:ESP, too, before they look at the RPL. */
static bool amd_reads_more(const struct oracle_batch *b, const struct oracle_case *c, const struct oracle_result *r)
{
    const bool iret = c->kind == ORACLE_IRET32 || c->kind == ORACLE_IRET16;
    const bool wide = c->kind == ORACLE_RET32 || c->kind == ORACLE_RET32N || c->kind == ORACLE_IRET32;
    const bool release = c->kind == ORACLE_RET32N || c->kind == ORACLE_RET16N;
    const struct oracle_entry *e = entry_of(b, c->ss);
    const uint32_t size = wide ? 4 : 2, mask = e && !e->wide ? 0xffff : 0xffffffff;

    if (!host_is_amd() || c->kind < ORACLE_RET32 || c->kind > ORACLE_IRET16 || r->trap != VEC_SS || r->error)
        return false;
    if (!set_up_again(c, r->stub))
        return false;
    for (unsigned slot = 0; slot < (iret ? 3u : 2u) + ((c->selector & 3) == 3 ? 0 : 2); slot++)
        if (!slot_fits((c->esp + slot * size + (release && slot >= 2 ? 8 : 0)) & mask, size))
            return true;
    return false;
}

/* --- comparing --- */

/* A selector that is null may have lost its RPL on the way back from the kernel. */
static bool same_selector(uint16_t ours, uint16_t theirs)
{
    return ours == theirs || (ours < 4 && theirs < 4);
}

static const char *difference(const struct oracle_case *c, const struct oracle_result *r, int vector)
{
    if (vector != (int)r->trap)
        return "vector";
    if (cpu->regs[CPU_ESP] != r->esp)
        return "ESP";
    if (vector != DONE)
        return cpu->fault_error != r->error ? "error code" : NULL;
    if (cpu->seg[CPU_CS].selector != r->cs || cpu->seg[CPU_SS].selector != r->ss)
        return "CS or SS";
    if (!same_selector(cpu->seg[CPU_DS].selector, r->ds) || !same_selector(cpu->seg[CPU_ES].selector, r->es) ||
        !same_selector(cpu->seg[CPU_FS].selector, r->fs))
        return "data segment";
    if (c->kind >= ORACLE_JMP32 && c->kind <= ORACLE_IRET16 && cpu->eip != r->eip - 1)
        return "EIP";
    if (cpu->regs[CPU_EAX] != r->eax)
        return "EAX";
    if (c->kind >= ORACLE_LAR && c->kind <= ORACLE_VERW && (cpu->eflags ^ r->eflags) & FLAG_ZF)
        return "ZF";
    const uint32_t carried_over = FLAG_RF | (c->kind == ORACLE_IRET16 ? FLAG_ID : 0);
    if ((c->kind == ORACLE_IRET32 || c->kind == ORACLE_IRET16) && (cpu->eflags ^ r->eflags) & ~carried_over)
        return "EFLAGS";
    return oracle_hash(phys_ram(cpu->phys) + ORACLE_DATA) != r->data_hash ? "memory" : NULL;
}

static void report(const struct oracle_case *c, const struct oracle_result *r, int vector, const char *what)
{
    printf("\n  %s: %s; selector %04x offset %x ss %04x esp %x fs %04x ecx %x\n"
           "    host: vector %u error %x cs:eip %04x:%x esp %x eax %x eflags %x\n"
           "    ours: vector %d error %x cs:eip %04x:%x esp %x eax %x eflags %x\n",
           kind_names[c->kind], what, c->selector, c->offset, c->ss, c->esp, c->fs, c->ecx, r->trap, r->error, r->cs,
           r->eip, r->esp, r->eax, r->eflags, vector, cpu->fault_error, cpu->seg[CPU_CS].selector, cpu->eip,
           cpu->regs[CPU_ESP], cpu->regs[CPU_EAX], cpu->eflags);
}

static bool run_helper(int fd)
{
    char count[16];
    int status;

    snprintf(count, sizeof count, "%u", batch_count);
    const pid_t pid = fork();
    if (pid == 0) {
        if (dup2(fd, 3) == 3)
            execl(helper, helper, count, (char *)NULL);
        _exit(127);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void make_batches(void)
{
    for (unsigned k = 0; k < batch_count; k++) {
        struct oracle_batch *b = &batches[k];
        for (unsigned i = 0; i < ORACLE_LDT; i++)
            make_entry(&b->ldt[i]);
        for (unsigned i = 0; i < CASES; i++)
            do
                make_case(b, &b->cases[i]);
            while (leaves_the_areas(b, &b->cases[i]));
    }
}

static void compare_with_the_host(void)
{
    const size_t size = batch_count * sizeof *batches;
    const int fd = memfd_create("cases", 0);
    volatile unsigned compared = 0, done = 0, different = 0;
    unsigned seen[ORACLE_KIND_COUNT] = { 0 };

    CU_ASSERT_FATAL(fd >= 0 && ftruncate(fd, size) == 0);
    batches = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CU_ASSERT_FATAL(batches != MAP_FAILED);
    make_batches();
    const bool ran = run_helper(fd);
    CU_ASSERT(ran);
    oracle_fill(image);
    memset(phys_ram(cpu->phys) + ORACLE_CODE, 0xcc, ORACLE_CODE_SIZE);
    store_gdt();
    for (volatile unsigned k = 0; ran && k < batch_count; k++) {
        const struct oracle_batch *b = &batches[k];
        for (unsigned i = 0; i < ORACLE_LDT; i++)
            store_entry(i, &b->ldt[i]);
        for (volatile unsigned i = 0; i < CASES; i++) {
            const struct oracle_case *c = &b->cases[i];
            const struct oracle_result *r = &b->results[i];
            if (r->trap == VEC_PF) /* a target outside the code area */
                continue;
            if (TRY(set_up(c, r->stub)) != -1) {
                CU_FAIL("set-up raised a fault");
                continue;
            }
            const int raised = TRY(run(c)), vector = raised < 0 ? DONE : raised;
            const char *what = difference(c, r, vector);
            if (what && amd_reads_more(b, c, r))
                continue;
            compared++, seen[c->kind]++, done += vector == DONE;
            if (what && different++ < REPORTS)
                report(c, r, vector, what);
        }
    }
    CU_ASSERT_EQUAL(different, 0);
    printf("%u cases, %u of them without a fault, %u differences ", compared, done, different);
    for (unsigned i = 0; ran && i < ORACLE_KIND_COUNT; i++)
        CU_ASSERT(batch_count < 50 || seen[i] >= 20);
    munmap(batches, size);
    close(fd);
}

int main(int argc, char **argv)
{
    static const CU_TestInfo tests[] = { { "same as the host's CPU", compare_with_the_host }, CU_TEST_INFO_NULL };
    char path[4096];

    if (argc > 1)
        batch_count = strtoul(argv[1], NULL, 0);
    if (argc > 2)
        seed = strtoull(argv[2], NULL, 0);
    snprintf(path, sizeof path, "%s", argv[0]);
    char helper_path[4200];
    snprintf(helper_path, sizeof helper_path, "%s/segment_oracle", dirname(path));
    helper = helper_path;
    if (access(helper, X_OK)) {
        printf("test_protection_native: skipped, no %s (needs gcc -m32)\n", helper);
        return 0;
    }
    machine_ram_size = RAM;
    return unit_run_each("native", tests, machine_setup, machine_teardown);
}
