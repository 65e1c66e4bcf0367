/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The hardware task switch (SDM vol. 3, ch. 7): far JMP and CALL to a TSS or
 * task gate, interrupts through a task gate, IRET with NT. Everything that can
 * fault in the old task is done before the switch; what faults after it faults
 * in the new one, as 7.3 has it.
 */
#include "x86vm/memory/watch.h"
#include "x86vm/protection/control.h"
#include "x86vm/protection/flags.h"
#include "x86vm/protection/transfer.h"

struct tss32 {
    uint32_t link, stacks[6], cr3, eip, eflags, regs[8], seg[CPU_SEG_COUNT], ldt;
    uint16_t trap, io_base;
};
struct tss16 {
    uint16_t link, stacks[6], ip, flags, regs[8], seg[4], ldt;
};
_Static_assert(sizeof(struct tss32) == 104 && sizeof(struct tss16) == 44, "layout of the TSS");

/* The part that a switch saves: from EIP to the last segment. */
enum { TSS32_SAVED = offsetof(struct tss32, eip), TSS32_SAVED_SIZE = offsetof(struct tss32, ldt) - TSS32_SAVED,
       TSS16_SAVED = offsetof(struct tss16, ip), TSS16_SAVED_SIZE = offsetof(struct tss16, ldt) - TSS16_SAVED };

static bool is_busy(const struct descriptor *d) { return descriptor_kind(d) & SYS_BUSY; }
static bool is_tss(const struct descriptor *d) { return (descriptor_kind(d) & 0x15) == SYS_TSS16; }

void task_gate_require_target(struct cpu *cpu, uint16_t selector, uint32_t ext)
{
    struct descriptor d;

    if (selector & SELECTOR_LDT || !descriptor_fetch(cpu, selector, &d) || !is_tss(&d) || is_busy(&d))
        fault_selector(cpu, VEC_GP, selector, ext);
    if (!descriptor_present(&d))
        fault_selector(cpu, VEC_NP, selector, ext);
}

/* Step 1 to 5: the TSS is there, of the right kind and large enough. */
static void fetch_tss(struct cpu *cpu, const struct task_switch_request *r, struct descriptor *d)
{
    const bool back = r->kind == TASK_IRET;
    const enum cpu_vector wrong = back ? VEC_TS : VEC_GP;

    if (selector_is_null(r->selector) || r->selector & SELECTOR_LDT || !descriptor_fetch(cpu, r->selector, d) ||
        !is_tss(d) || is_busy(d) != back)
        fault_selector(cpu, wrong, r->selector, r->ext);
    if (!descriptor_present(d))
        fault_selector(cpu, VEC_NP, r->selector, r->ext);
    const uint32_t least = descriptor_kind(d) & SYS_WIDE ? sizeof(struct tss32) : sizeof(struct tss16);
    if (descriptor_limit(d) < least - 1)
        fault_selector(cpu, VEC_TS, r->selector, r->ext);
}

static void read_tss(struct cpu *cpu, const struct descriptor *d, struct tss32 *tss)
{
    const uint32_t base = descriptor_base(d);
    struct tss16 narrow;

    if (descriptor_kind(d) & SYS_WIDE) {
        view_read(cpu, base, tss, sizeof *tss, false);
        return;
    }
    view_read(cpu, base, &narrow, sizeof narrow, false);
    *tss = (struct tss32){ .link = narrow.link, .cr3 = cpu->cr3, .eip = narrow.ip, .eflags = narrow.flags,
                           .ldt = narrow.ldt };
    for (int i = 0; i < 8; i++)
        tss->regs[i] = 0xffff0000 | narrow.regs[i];
    for (int i = 0; i < 4; i++)
        tss->seg[i] = narrow.seg[i];
}

static bool old_is_wide(const struct cpu *cpu) { return cpu->tr.access & SYS_WIDE; }

static void save_old_task(struct cpu *cpu, uint32_t eip, uint32_t flags)
{
    if (old_is_wide(cpu)) {
        struct tss32 t;
        uint8_t *const saved = (uint8_t *)&t + TSS32_SAVED;
        view_read(cpu, cpu->tr.base + TSS32_SAVED, saved, TSS32_SAVED_SIZE, false);
        t.eip = eip;
        t.eflags = flags;
        for (int i = 0; i < 8; i++)
            t.regs[i] = cpu->regs[i];
        for (int i = 0; i < CPU_SEG_COUNT; i++)
            t.seg[i] = (t.seg[i] & 0xffff0000) | cpu->seg[i].selector;
        view_write(cpu, cpu->tr.base + TSS32_SAVED, saved, TSS32_SAVED_SIZE, false);
    } else {
        struct tss16 t;
        t.ip = eip;
        t.flags = flags;
        for (int i = 0; i < 8; i++)
            t.regs[i] = cpu->regs[i];
        for (int i = 0; i < 4; i++)
            t.seg[i] = cpu->seg[i].selector;
        view_write(cpu, cpu->tr.base + TSS16_SAVED, (uint8_t *)&t + TSS16_SAVED, TSS16_SAVED_SIZE, false);
    }
}

static void check_old_tss(struct cpu *cpu, const struct task_switch_request *r)
{
    const uint32_t least = old_is_wide(cpu) ? sizeof(struct tss32) : sizeof(struct tss16);

    if (!(cpu->tr.access & SEG_P) || cpu->tr.limit < least - 1)
        fault_selector(cpu, VEC_TS, cpu->tr.selector, r->ext);
    if (old_is_wide(cpu))
        view_check_write(cpu, cpu->tr.base + TSS32_SAVED, TSS32_SAVED_SIZE, false);
    else
        view_check_write(cpu, cpu->tr.base + TSS16_SAVED, TSS16_SAVED_SIZE, false);
}

static void set_busy(struct cpu *cpu, uint16_t selector, bool busy)
{
    const uint32_t at = descriptor_address(cpu, selector) + 5;
    const uint8_t type = view_read8(cpu, at, false), changed = busy ? type | SYS_BUSY : type & ~SYS_BUSY;
    view_write(cpu, at, &changed, 1, false);
}

/* --- loading, already in the new task --- */

static void load_ldt(struct cpu *cpu, uint16_t selector, uint32_t ext)
{
    struct descriptor d;

    cpu->ldtr = (struct cpu_segment){ .selector = selector };
    if (selector_is_null(selector))
        return;
    if (selector & SELECTOR_LDT || !descriptor_fetch(cpu, selector, &d) || descriptor_kind(&d) != SYS_LDT ||
        !descriptor_present(&d))
        fault_selector(cpu, VEC_TS, selector, ext);
    cpu->ldtr = descriptor_segment(&d, selector);
}

static void load_checked(struct cpu *cpu, enum cpu_seg which, uint16_t selector, struct descriptor *d)
{
    descriptor_touch(cpu, selector, d);
    const struct cpu_segment s = descriptor_segment(d, selector);
    cpu_set_segment(cpu, which, &s);
}

static void load_code(struct cpu *cpu, uint16_t selector, uint32_t ext)
{
    struct descriptor d;
    const unsigned rpl = selector & SELECTOR_RPL;

    if (selector_is_null(selector) || !descriptor_fetch(cpu, selector, &d) || !descriptor_is_code(&d) ||
        (descriptor_is_conforming(&d) ? descriptor_dpl(&d) > rpl : descriptor_dpl(&d) != rpl))
        fault_selector(cpu, VEC_TS, selector, ext);
    if (!descriptor_present(&d))
        fault_selector(cpu, VEC_NP, selector, ext);
    load_checked(cpu, CPU_CS, selector, &d);
}

static void load_stack(struct cpu *cpu, uint16_t selector, uint32_t ext)
{
    struct descriptor d;

    if (selector_is_null(selector) || !descriptor_fetch(cpu, selector, &d) || !descriptor_is_writable(&d) ||
        (selector & SELECTOR_RPL) != cpu->cpl || descriptor_dpl(&d) != cpu->cpl)
        fault_selector(cpu, VEC_TS, selector, ext);
    if (!descriptor_present(&d))
        fault_selector(cpu, VEC_SS, selector, ext);
    load_checked(cpu, CPU_SS, selector, &d);
}

static void load_data(struct cpu *cpu, enum cpu_seg which, uint16_t selector, uint32_t ext)
{
    struct descriptor d;

    if (selector_is_null(selector))
        return;
    if (!descriptor_fetch(cpu, selector, &d) || !descriptor_is_readable(&d))
        fault_selector(cpu, VEC_TS, selector, ext);
    const unsigned dpl = descriptor_dpl(&d);
    if (!descriptor_is_conforming(&d) && (dpl < cpu->cpl || dpl < (selector & SELECTOR_RPL)))
        fault_selector(cpu, VEC_TS, selector, ext);
    if (!descriptor_present(&d))
        fault_selector(cpu, VEC_NP, selector, ext);
    load_checked(cpu, which, selector, &d);
}

static void load_segments(struct cpu *cpu, const struct tss32 *tss, uint32_t ext)
{
    static const uint8_t data[] = { CPU_DS, CPU_ES, CPU_FS, CPU_GS };

    if (cpu_v8086(cpu)) {
        load_ldt(cpu, tss->ldt, ext);
        for (int i = 0; i < CPU_SEG_COUNT; i++)
            segment_load_paragraph(cpu, i, tss->seg[i]);
        return;
    }
    load_ldt(cpu, tss->ldt, ext);
    load_code(cpu, tss->seg[CPU_CS], ext);
    load_stack(cpu, tss->seg[CPU_SS], ext);
    for (unsigned i = 0; i < sizeof data; i++)
        load_data(cpu, data[i], tss->seg[data[i]], ext);
}

static void drop_local_breakpoints(struct cpu *cpu)
{
    const uint32_t local = 0x155; /* L0 to L3, and LE */

    if (!(cpu->dr[7] & local))
        return;
    cpu->dr[7] &= ~local;
    watch_update(cpu);
}

/* The commit: registers of the new task, segments visible but not yet usable. */
static void enter(struct cpu *cpu, const struct task_switch_request *r, const struct descriptor *d,
                  const struct tss32 *tss)
{
    cpu->tr = descriptor_segment(d, r->selector);
    cpu->tr.access |= SYS_BUSY;
    cpu->cr0 |= CR0_TS;
    drop_local_breakpoints(cpu);
    cpu->eip = tss->eip;
    for (int i = 0; i < 8; i++)
        cpu->regs[i] = tss->regs[i];
    cpu->eflags = (flags_to_restore(cpu, tss->eflags) & (FLAGS_WRITABLE | FLAG_VM)) | FLAG_ONE;
    if (r->kind == TASK_CALL || r->kind == TASK_INTERRUPT)
        cpu->eflags |= FLAG_NT;
    for (int i = 0; i < CPU_SEG_COUNT; i++)
        segment_set_null(cpu, i, tss->seg[i]);
    cpu->ldtr = (struct cpu_segment){ .selector = tss->ldt };
    cpu->mode_dirty = true;
    privilege_set(cpu, cpu_v8086(cpu) ? 3 : tss->seg[CPU_CS] & SELECTOR_RPL);
    if (descriptor_kind(d) & SYS_WIDE && cpu->cr0 & CR0_PG)
        control_load_cr3(cpu, tss->cr3); /* may fault, in the new task */
}

void task_switch(struct cpu *cpu, const struct task_switch_request *r)
{
    const uint16_t old = cpu->tr.selector;
    const bool nested = r->kind == TASK_CALL || r->kind == TASK_INTERRUPT;
    struct descriptor d;
    struct tss32 tss;

    fetch_tss(cpu, r, &d);
    const bool wide = descriptor_kind(&d) & SYS_WIDE;
    read_tss(cpu, &d, &tss);
    check_old_tss(cpu, r);
    if (nested)
        view_check_write(cpu, descriptor_base(&d), 2, false);
    if (!nested)
        view_check_write(cpu, descriptor_address(cpu, old) + 5, 1, false);
    if (r->kind != TASK_IRET)
        view_check_write(cpu, descriptor_address(cpu, r->selector) + 5, 1, false);

    if (!nested)
        set_busy(cpu, old, false);
    save_old_task(cpu, r->return_eip, r->kind == TASK_IRET ? r->saved_flags & ~(uint32_t)FLAG_NT : r->saved_flags);
    if (nested)
        view_write(cpu, descriptor_base(&d), &old, 2, false);
    if (r->kind != TASK_IRET)
        set_busy(cpu, r->selector, true);

    enter(cpu, r, &d, &tss);
    load_segments(cpu, &tss, r->ext);
    if (r->has_error) {
        struct stack stack = stack_current(cpu, r->ext);
        stack_push(cpu, &stack, &r->error, 1, wide ? 4 : 2);
        stack_commit_pointer(cpu, &stack);
    }
    if (cpu->eip > cpu->seg[CPU_CS].limit)
        cpu_fault_error(cpu, VEC_GP, r->ext);
    if (wide && tss.trap & 1)
        cpu_fault_error(cpu, VEC_DB, DR6_BT);
}

void protection_task_switch(struct cpu *cpu, uint16_t tss_selector, enum task_switch kind, uint32_t return_eip,
                            bool has_error, uint32_t error)
{
    const struct task_switch_request request = {
        .selector = tss_selector, .kind = kind, .return_eip = return_eip, .saved_flags = cpu->eflags,
        .has_error = has_error, .error = error,
    };
    task_switch(cpu, &request);
}
