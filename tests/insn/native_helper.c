/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The oracle: a freestanding i386 program that runs test cases on the CPU it is
 * on. It maps the windows of insn.h at their addresses from the memfd passed as
 * descriptor 3, waits for a byte on stdin, runs the batch, writes a byte to
 * stdout, and so on for ever.
 *
 * Each case ends in a signal. The handler stores the result from its signal
 * context and rewrites the context to be the next case's, so that its own
 * return starts it. The FPU image is loaded by FXRSTOR on the way, since a
 * signal return goes through the old FSAVE form.
 */
#define _GNU_SOURCE
#include "tests/insn/insn.h"

#include <asm/ldt.h>
#include <asm/sigcontext.h>
#include <linux/mman.h>
#include <linux/signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>

struct kernel_ucontext {
    unsigned long uc_flags;
    void *uc_link;
    stack_t uc_stack;
    struct sigcontext_32 uc_mcontext;
};

struct kernel_sigaction {
    void (*handler)(int, void *, struct kernel_ucontext *);
    unsigned long flags;
    void (*restorer)(void);
    unsigned long mask[2];
};

static struct insn_shared *const shared = (struct insn_shared *)INSN_SHARED_AT;
static const uint8_t writable[INSN_WRITABLE] = INSN_WRITABLE_PAGES;
static uint8_t signal_stack[65536] __attribute__((aligned(4096)));
static int started;

/* Used by enter_case below. */
uint8_t case_fx[512] __attribute__((aligned(64)));
struct { uint32_t eip, cs; } case_start;

void enter_case(void);
void restore_signal(void);
__asm__(".globl enter_case\n"
        "enter_case:\n"
        "    fxrstor %cs:case_fx\n" /* DS is the case's */
        "    ljmp *%cs:case_start\n"
        ".globl restore_signal\n"
        "restore_signal:\n"
        "    movl $173, %eax\n" /* rt_sigreturn */
        "    int $0x80\n");

long call(long number, long a, long b, long c, long d, long e, long f);
__asm__("call:\n"
        "    push %ebx; push %esi; push %edi; push %ebp\n"
        "    movl 20(%esp), %eax; movl 24(%esp), %ebx; movl 28(%esp), %ecx; movl 32(%esp), %edx\n"
        "    movl 36(%esp), %esi; movl 40(%esp), %edi; movl 44(%esp), %ebp\n"
        "    int $0x80\n"
        "    pop %ebp; pop %edi; pop %esi; pop %ebx\n"
        "    ret\n");

static void copy(void *to, const void *from, uint32_t size)
{
    size /= 4;
    __asm__ volatile("cld; rep movsl" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
}

_Noreturn static void die(int code)
{
    for (;;)
        call(SYS_exit_group, code, 0, 0, 0, 0, 0);
}

static uint8_t *data_page(unsigned page)
{
    return (uint8_t *)(INSN_DATA + page * INSN_PAGE);
}

static void load_case(struct sigcontext_32 *context)
{
    const struct insn_state *in = &shared->input[shared->current];
    for (unsigned i = 0; i < INSN_WRITABLE; i++)
        copy(data_page(writable[i]), shared->pattern[i], INSN_PAGE);
    copy(case_fx, in->fx, sizeof case_fx);
    case_start.eip = in->eip;
    case_start.cs = in->cs;
    context->ax = in->regs[0];
    context->cx = in->regs[1];
    context->dx = in->regs[2];
    context->bx = in->regs[3];
    context->sp = context->sp_at_signal = in->regs[4];
    context->bp = in->regs[5];
    context->si = in->regs[6];
    context->di = in->regs[7];
    context->flags = in->eflags;
    context->ip = (uint32_t)(uintptr_t)enter_case;
    bool small = in->cs == INSN_SEL_SMALL_CODE;
    context->gs = small ? INSN_SEL_SMALL_DATA : INSN_SEL_GS;
    context->fs = small ? INSN_SEL_SMALL_FS : INSN_SEL_FS;
    context->ds = context->es = context->ss = small ? INSN_SEL_SMALL_DATA : INSN_SEL_DATA;
    context->cs = INSN_SEL_CODE; /* enter_case's */
    context->fpstate = 0;
}

static void store_result(const struct sigcontext_32 *context)
{
    struct insn_output *out = &shared->output[shared->current];
    out->vector = context->trapno;
    out->error = context->err;
    out->cr2 = context->cr2;
    out->state.regs[0] = context->ax;
    out->state.regs[1] = context->cx;
    out->state.regs[2] = context->dx;
    out->state.regs[3] = context->bx;
    out->state.regs[4] = context->sp;
    out->state.regs[5] = context->bp;
    out->state.regs[6] = context->si;
    out->state.regs[7] = context->di;
    out->state.eip = context->ip;
    out->state.eflags = context->flags;
    /* The FXSAVE image follows the 112 bytes of the FSAVE form. */
    copy(out->state.fx, (const uint8_t *)context->fpstate + 112, sizeof out->state.fx);
    for (unsigned i = 0; i < INSN_WRITABLE; i++)
        copy(out->memory[i], data_page(writable[i]), INSN_PAGE);
    out->status = INSN_DONE;
}

static void wait_for_batch(void)
{
    char byte;
    if (call(SYS_read, 0, (long)&byte, 1, 0, 0, 0) != 1)
        die(0);
    shared->current = shared->first;
}

static void handle(int number, void *info, struct kernel_ucontext *context)
{
    (void)number;
    (void)info;
    if (started) {
        store_result(&context->uc_mcontext);
        shared->current++;
        if (shared->current == shared->count) {
            if (call(SYS_write, 1, (long)"", 1, 0, 0, 0) != 1)
                die(0);
            wait_for_batch();
        }
    } else {
        started = 1;
        wait_for_batch();
    }
    load_case(&context->uc_mcontext);
}

static void map(uint32_t at, uint32_t size, int protection, int flags, int fd, uint32_t offset)
{
    if (call(SYS_mmap2, at, size, protection, flags | MAP_FIXED | MAP_POPULATE, fd, offset >> 12) != (long)at)
        die(2);
}

static void set_segments(void)
{
    struct user_desc entry = { .entry_number = 12, .base_addr = INSN_DATA, .limit = 0xfffff, .seg_32bit = 1,
                               .limit_in_pages = 1, .useable = 1 };
    struct user_desc limited = { .entry_number = 13, .base_addr = INSN_FS_BASE, .limit = INSN_FS_LIMIT, .seg_32bit = 1,
                                 .useable = 1 };
    const struct user_desc narrow[] = {
        { .entry_number = INSN_SEL_CODE16 >> 3, .limit = 0xfffff, .limit_in_pages = 1, .contents = MODIFY_LDT_CONTENTS_CODE, .useable = 1 },
        { .entry_number = INSN_SEL_SMALL_CODE >> 3, .base_addr = INSN_CODE, .limit = INSN_SMALL_LIMIT,
          .contents = MODIFY_LDT_CONTENTS_CODE, .useable = 1 },
        { .entry_number = INSN_SEL_SMALL_DATA >> 3, .base_addr = INSN_DATA, .limit = INSN_SMALL_LIMIT, .useable = 1 },
        { .entry_number = INSN_SEL_SMALL_FS >> 3, .base_addr = INSN_SMALL_FS, .limit = INSN_SMALL_LIMIT, .useable = 1 },
    };
    for (unsigned i = 0; i < sizeof narrow / sizeof *narrow; i++) /* where it fails, only 16-bit cases do */
        call(SYS_modify_ldt, 0x11, (long)&narrow[i], sizeof narrow[i], 0, 0, 0);
    if (call(SYS_set_thread_area, (long)&entry, 0, 0, 0, 0, 0) || call(SYS_set_thread_area, (long)&limited, 0, 0, 0, 0, 0))
        die(3);
    __asm__ volatile("movw %w0, %%gs" : : "r"(INSN_SEL_GS));
}

static void set_signals(void)
{
    static const int numbers[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP };
    const stack_t stack = { .ss_sp = signal_stack, .ss_size = sizeof signal_stack };
    call(SYS_sigaltstack, (long)&stack, 0, 0, 0, 0, 0);
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        struct kernel_sigaction action = { .handler = handle, .restorer = restore_signal,
                                           .flags = SA_SIGINFO | SA_ONSTACK | 0x04000000 /* SA_RESTORER */ };
        if (call(SYS_rt_sigaction, numbers[i], (long)&action, 0, 8, 0, 0))
            die(4);
    }
}

void _start(void);
__attribute__((force_align_arg_pointer)) void _start(void)
{
    const uint32_t written = offsetof(struct insn_shared, readonly);
    map(INSN_SHARED_AT, written, PROT_READ | PROT_WRITE, MAP_SHARED, 3, 0);
    map(INSN_SHARED_AT + written, sizeof(struct insn_shared) - written, PROT_READ, MAP_SHARED, 3, written);
    map(INSN_CODE, INSN_CODE_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, 3, offsetof(struct insn_shared, code));
    if (shared->aliases) {
        map(INSN_CODE_ALIAS, INSN_CODE_SIZE, PROT_READ | PROT_EXEC, MAP_SHARED, 3, offsetof(struct insn_shared, code));
        map(INSN_CODE_WRITABLE, INSN_CODE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, 3, offsetof(struct insn_shared, code));
    }
    map((uint32_t)(uintptr_t)data_page(INSN_READONLY_PAGE), INSN_PAGE, PROT_READ, MAP_SHARED, 3,
        offsetof(struct insn_shared, readonly));
    for (unsigned i = 0; i < INSN_WRITABLE; i++)
        map((uint32_t)(uintptr_t)data_page(writable[i]), INSN_PAGE, PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    set_segments();
    set_signals();
    __asm__ volatile("int3");
    die(5);
}
