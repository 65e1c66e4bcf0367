/* SPDX-License-Identifier: BSD-2-Clause
 *
 * i386 program that lets the host's CPU execute the cases of
 * test_protection_native: real descriptors in its LDT, one instruction, and a
 * signal handler that notes what came of it. Built by gcc -m32 -static, no
 * stack protector: GS and the stack may be anything when the handler starts.
 *
 *     segment_oracle COUNT      (batches; fd 3 is the file of struct oracle_batch)
 */
#include "tests/unit/segment_oracle.h"

#include <asm/ldt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

/* Read and written by the assembly below. */
struct oracle_case current;
uint32_t far32[2], stack_pointer[2], saved_esp, saved_cs, saved_ss, saved_ds;
uint16_t far16[2];
extern const uint32_t stubs[];
extern const char resume[];
void run_stub(void);

static struct oracle_result *result;

#define STUB_ADDRESS(name) ".long stub_" #name "\n"
#define STUB(name, code) "stub_" #name ": " code "\n int3\n"
__asm__(
    ".section .rodata\n"
    "stubs:\n" ORACLE_KINDS(STUB_ADDRESS)
    ".text\n"
    "run_stub:\n"
    " pusha\n"
    " mov %esp, saved_esp\n"
    " mov %cs, %eax\n mov %eax, saved_cs\n"
    " mov %ss, %eax\n mov %eax, saved_ss\n"
    " mov %ds, %eax\n mov %eax, saved_ds\n"
    " mov current + 4, %eax\n mov %ax, %fs\n"
    " mov current, %edx\n mov stubs(, %edx, 4), %edx\n"
    " mov current + 16, %ebx\n mov current + 24, %eax\n mov current + 28, %ecx\n"
    " xor %ebp, %ebp\n"
    " lss stack_pointer, %esp\n"
    " jmp *%edx\n"
    "resume:\n"
    " popa\n"
    " ret\n"
    STUB(LOAD_DS, "mov %bx, %ds") STUB(LOAD_ES, "mov %bx, %es") STUB(LOAD_FS, "mov %bx, %fs")
    STUB(LOAD_SS, "mov %bx, %ss\n nop") /* the trap waits one instruction */
    STUB(JMP32, "ljmp *far32") STUB(JMP16, "ljmpw *far16") STUB(CALL32, "lcall *far32") STUB(CALL16, "lcallw *far16")
    STUB(RET32, "lret") STUB(RET16, "lretw") STUB(RET32N, "lret $8") STUB(RET16N, "lretw $8")
    STUB(IRET32, "iret") STUB(IRET16, "iretw")
    STUB(LAR, "lar %ebx, %eax") STUB(LSL, "lsl %ebx, %eax") STUB(VERR, "verr %bx") STUB(VERW, "verw %bx")
    STUB(READ1, "movb %fs:(%ecx), %al") STUB(READ2, "movw %fs:(%ecx), %ax") STUB(READ4, "movl %fs:(%ecx), %eax")
    STUB(WRITE1, "movb %al, %fs:(%ecx)") STUB(WRITE2, "movw %ax, %fs:(%ecx)") STUB(WRITE4, "movl %eax, %fs:(%ecx)")
    STUB(STACK_READ4, "movl %ss:(%ecx), %eax") STUB(STACK_WRITE2, "movw %ax, %ss:(%ecx)")
    STUB(PUSH32, "pushl %eax") STUB(PUSH16, "pushw %ax") STUB(POP32, "popl %eax") STUB(POP16, "popw %ax"));

static void on_signal(int signal, siginfo_t *info, void *context)
{
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;

    (void)signal, (void)info;
    *result = (struct oracle_result){
        .trap = r[REG_TRAPNO], .error = r[REG_ERR], .eip = r[REG_EIP], .esp = r[REG_ESP], .eflags = r[REG_EFL],
        .eax = r[REG_EAX], .cs = r[REG_CS], .ss = r[REG_SS], .ds = r[REG_DS], .es = r[REG_ES], .fs = r[REG_FS],
        .stub = stubs[current.kind],
    };
    r[REG_EIP] = (greg_t)resume;
    r[REG_ESP] = saved_esp;
    r[REG_CS] = saved_cs;
    r[REG_SS] = saved_ss;
    r[REG_DS] = r[REG_ES] = saved_ds;
    r[REG_FS] = 0;
    r[REG_EFL] = 0x202;
}

static int set_ldt(const struct oracle_entry *ldt)
{
    for (unsigned i = 0; i < ORACLE_LDT; i++) {
        const struct user_desc d = {
            .entry_number = i, .base_addr = ldt[i].base, .limit = ldt[i].limit, .seg_32bit = ldt[i].wide,
            .contents = ldt[i].contents, .read_exec_only = ldt[i].read_only, .limit_in_pages = ldt[i].in_pages,
            .seg_not_present = ldt[i].absent, .useable = ldt[i].available,
        };
        if (syscall(SYS_modify_ldt, 0x11, &d, sizeof d))
            return 1;
    }
    return 0;
}

static uint8_t *map(uint32_t at, uint32_t size, int protection)
{
    void *const p = mmap((void *)at, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    return p == MAP_FAILED ? NULL : p;
}

static void run_case(const struct oracle_case *c, uint8_t *data, const uint8_t *image)
{
    current = *c;
    memcpy(data, image, ORACLE_DATA_SIZE);
    for (unsigned i = 0; i < ORACLE_POKES; i++)
        if (c->pokes[i].address)
            memcpy((void *)c->pokes[i].address, &c->pokes[i].value, 4);
    far32[0] = c->offset, far32[1] = c->selector;
    far16[0] = c->offset, far16[1] = c->selector;
    stack_pointer[0] = c->esp, stack_pointer[1] = c->ss;
    run_stub();
    result->data_hash = oracle_hash(data);
}

int main(int argc, char **argv)
{
    static const int signals[] = { SIGSEGV, SIGTRAP, SIGBUS, SIGILL, SIGFPE };
    static uint8_t alternate[65536], image[ORACLE_DATA_SIZE];
    const unsigned batches = argc > 1 ? atoi(argv[1]) : 0;
    const stack_t stack = { .ss_sp = alternate, .ss_size = sizeof alternate };
    const struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
    struct oracle_batch *b = mmap(NULL, batches * sizeof *b, PROT_READ | PROT_WRITE, MAP_SHARED, 3, 0);
    uint8_t *const code = map(ORACLE_CODE, ORACLE_CODE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC);
    uint8_t *const data = map(ORACLE_DATA, ORACLE_DATA_SIZE, PROT_READ | PROT_WRITE);

    if (b == MAP_FAILED || !code || !data)
        return 1;
    alarm(120);
    sigaltstack(&stack, NULL);
    for (unsigned i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaction(signals[i], &action, NULL);
    memset(code, 0xcc, ORACLE_CODE_SIZE);
    oracle_fill(image);
    for (unsigned k = 0; k < batches; k++, b++) {
        if (set_ldt(b->ldt))
            return 2;
        for (unsigned i = 0; i < sizeof b->cases / sizeof b->cases[0]; i++) {
            result = &b->results[i];
            run_case(&b->cases[i], data, image);
        }
    }
    return 0;
}
