/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Host signals that translated code raises: a guest division fails, an
 * unmasked FPU exception comes due, an SSE operand is misaligned. The handler
 * finds the guest instruction by the host PC and sends execution to the
 * `fault` stub, which leaves translated code with all registers as they were.
 * A signal from anywhere else is not ours and gets its default action.
 */
#include <signal.h>
#include <string.h>
#include <ucontext.h>

#include "x86vm/translate/patience.h"
#include "x86vm/translate/translator.h"

enum { TRAP_DE = 0, TRAP_GP = 13, TRAP_PF = 14, TRAP_MF = 16, TRAP_AC = 17, TRAP_XM = 19 };

/* The guest exception for a host trap; false: translated code never raises it. An unmasked SIMD exception
 * is #UD to a system that has not said that it knows #XM (vol. 1, 11.5.1). */
static bool guest_exception(const struct cpu *cpu, unsigned trap, int *vector, uint32_t *error)
{
    *error = 0;
    switch (trap) {
    case TRAP_DE: *vector = VEC_DE; return true;
    case TRAP_GP: *vector = VEC_GP; return true;
    case TRAP_MF: *vector = VEC_MF; return true;
    case TRAP_AC: *vector = VEC_AC; return true;
    case TRAP_XM: *vector = cpu->cr4 & CR4_OSXMMEXCPT ? VEC_XM : VEC_UD; return true;
    default: return false;
    }
}

/* Leaves translated code before the instruction at `place`. */
static void leave_at(struct translator *t, greg_t *regs, const struct code_row *place, uint64_t stub)
{
    translator_cpu(t)->eip = place->eip;
    regs[REG_R8] = (uint32_t)((uint32_t)regs[REG_R8] + (uint32_t)place->esp_delta);
    regs[REG_RIP] = (greg_t)stub;
}

/* Where the window shows nothing: an operand reached into the page below its
 * last byte's, which the check leaves to the host (view.h). */
static bool in_window(const struct translator *t, uint64_t address)
{
    return address - (uint64_t)(uintptr_t)t->area->cpu.window < 1ull << 32;
}

/* A REP in a bare window faulted: rewrite_repeat.c. Guest registers have no upper half. */
static void leave_repeat(greg_t *regs, const uint8_t *bare)
{
    if ((uint64_t)regs[REG_RDI] >> 32 == 0)
        return;
    regs[REG_RDI] = (uint32_t)((uint64_t)regs[REG_RDI] - (uint64_t)(uintptr_t)bare);
    if ((uint64_t)regs[REG_RSI] >> 32 != 0)
        regs[REG_RSI] = (uint32_t)((uint64_t)regs[REG_RSI] - (uint64_t)(uintptr_t)bare);
    regs[REG_RCX] = (uint32_t)(regs[REG_RCX] + regs[REG_R13]);
}

/* Whether a repeated instruction stands at the element that was refused. */
static bool stands_at(const greg_t *regs, uint32_t linear)
{
    return (uint32_t)regs[REG_RDI] == linear || (uint32_t)regs[REG_RSI] == linear;
}

/* The guest's tables refuse what a bare access did: its page fault, or else the
 * instruction is run again, alone. */
static void refuse(struct translator *t, greg_t *regs, const struct code_row *place, uint32_t linear, uint32_t error)
{
    struct cpu *cpu = translator_cpu(t);
    bool repeats = (uint64_t)regs[REG_RDI] >> 32 != 0;

    leave_repeat(regs, cpu->bare);
    if (!view_bare_began_at(cpu, linear, error & PF_WRITE) || (repeats && !stands_at(regs, linear))) {
        t->single = true;
        leave_at(t, regs, place, t->stubs.next);
        return;
    }
    cpu->cr2 = linear;
    t->counters.page_faults++;
    t->host_fault_vector = VEC_PF;
    t->host_fault_error = error;
    leave_at(t, regs, place, t->stubs.fault);
}

/* A page fault in a bare window or where the window shows nothing. False: neither. */
static bool on_page_fault(struct translator *t, greg_t *regs, const struct code_row *place, uint64_t address)
{
    struct cpu *cpu = translator_cpu(t);
    uint32_t error;
    enum view_bare_answer answer = view_bare_fault(cpu, address, regs[REG_ERR] & PF_WRITE, &error);

    t->counters.bare_faults++;
    if (answer == VIEW_BARE_SHOWN)
        return true; /* to the same host instruction */
    if (answer == VIEW_BARE_REFUSED) {
        refuse(t, regs, place, (uint32_t)(address - (uint64_t)(uintptr_t)cpu->bare), error);
        return true;
    }
    if (answer == VIEW_BARE_NOT_THERE && !in_window(t, address))
        return false;
    if ((answer == VIEW_BARE_SELDOM || answer == VIEW_BARE_NEVER) && patience_bare_failed(t, place->eip, answer == VIEW_BARE_NEVER))
        t->bare_failed = place->eip;
    if (answer != VIEW_BARE_NOT_THERE)
        leave_repeat(regs, cpu->bare);
    t->single = true; /* again, out of line */
    leave_at(t, regs, place, t->stubs.next);
    return true;
}

/* An indirect jump by a map (jump_map.h) found nothing there: as if it had been a lookup. */
static bool on_no_entry(struct translator *t, greg_t *regs)
{
    if (regs[REG_RIP] != 0 || !t->inside || !jumps_note_miss(t, (uint64_t)regs[REG_R11], (uint32_t)regs[REG_R9]))
        return false;
    regs[REG_RIP] = (greg_t)t->stubs.indirect;
    return true;
}

/* False: not a fault of translated code. */
static bool on_fault(struct translator *t, siginfo_t *info, greg_t *regs)
{
    struct code_row row, *place = t && blocks_locate(t, (uint64_t)regs[REG_RIP], &row) ? &row : NULL;

    if (t && (unsigned)regs[REG_TRAPNO] == TRAP_PF && shadow_overflows(&t->shadow, (uint64_t)(uintptr_t)info->si_addr)) {
        regs[REG_RSP] = (greg_t)(uintptr_t)translator_cpu(t)->shadow_reset;
        return true;
    }
    if (t && on_no_entry(t, regs))
        return true;
    if (place && guest_exception(translator_cpu(t), (unsigned)regs[REG_TRAPNO], &t->host_fault_vector, &t->host_fault_error)) {
        leave_at(t, regs, place, t->stubs.fault);
        return true;
    }
    return place && (unsigned)regs[REG_TRAPNO] == TRAP_PF && on_page_fault(t, regs, place, (uint64_t)(uintptr_t)info->si_addr);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    ucontext_t *uc = context;
    struct translator *t = translator_current;

    if (on_fault(t, info, uc->uc_mcontext.gregs))
        recall_interrupted(t, context);
    else
        signal(number, SIG_DFL); /* returns to the instruction, which raises it again */
}

bool host_fault_install(void)
{
    static const int numbers[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL };
    struct sigaction action;

    memset(&action, 0, sizeof action);
    sigfillset(&action.sa_mask); /* the others come at the interrupted code, where they can recall it */
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    for (unsigned i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (sigaction(numbers[i], &action, NULL) != 0)
            return false;
    return true;
}
