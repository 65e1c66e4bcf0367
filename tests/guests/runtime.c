/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The test guest's runtime: serial output, GDT, IDT and TSS, traps and their
 * recovery, and the loop over the groups of tests. boot.S enters at guest_main.
 * It ends through the debug-exit port 0xf4: value 0 when every test was right.
 */
#include "guest.h"

extern uint8_t trap_stubs[256][16], boot_stack_top[];
extern uint32_t catch_active;
int catch_enter(void (*body)(void *), void *argument);
void catch_leave(void) __attribute__((noreturn));
void user_enter(void (*code)(void), void *stack_top);
void user_leave(void) __attribute__((noreturn));
void trap_dispatch(struct frame *frame);
void guest_main(uint32_t magic, const uint32_t *info);
void *memset(void *to, int byte, size_t size);
void *memcpy(void *to, const void *from, size_t size);

struct tss main_tss, second_tss;
uint8_t user_stack[8192];
uint32_t caught_cr2;

static uint64_t gdt[16];
static uint64_t idt[256];
static uint8_t trap_stack[8192];
static void (*handlers[256])(struct frame *);
static struct frame caught;
static unsigned count_ok, count_failed;

static const struct test_group *const groups[] = {
    &group_cpu, &group_string, &group_fault, &group_segment, &group_interrupt, &group_paging, &group_ring, &group_smc,
    &group_fpu, &group_x87_pointers, &group_device, &group_nic, &group_ne, &group_debug, &group_checks,
    &group_sensitive, &group_flags, &group_v86, &group_random16, &group_sse, &group_returns, &group_stale,
    &group_alias, &group_moves, &group_gates, &group_tasks, &group_limits, &group_watch, &group_pae, &group_pc_calls,
    &group_shadow, &group_ferr, &group_double, &group_pic,
};

/* --- output ----------------------------------------------------------- */

void print(const char *text)
{
    for (; *text; text++) {
        while (!(inb(0x3fd) & 0x20))
            ;
        outb(0x3f8, (uint8_t)*text);
    }
}

void print_hex(uint32_t value)
{
    char text[9];
    for (int i = 0; i < 8; i++)
        text[i] = "0123456789abcdef"[value >> (28 - 4 * i) & 15];
    text[8] = 0;
    print(text);
}

static void print_decimal(unsigned value)
{
    char text[12];
    int i = 11;
    text[i] = 0;
    do
        text[--i] = (char)('0' + value % 10);
    while (value /= 10);
    print(text + i);
}

void *memory_set(void *to, int byte, size_t size)
{
    for (uint8_t *p = to; size--;)
        *p++ = (uint8_t)byte;
    return to;
}

bool memory_equal(const void *a, const void *b, size_t size)
{
    for (const uint8_t *p = a, *q = b; size--;)
        if (*p++ != *q++)
            return false;
    return true;
}

/* The compiler may call these two. */
void *memset(void *to, int byte, size_t size) { return memory_set(to, byte, size); }
void *memcpy(void *to, const void *from, size_t size)
{
    uint8_t *p = to;
    for (const uint8_t *q = from; size--;)
        *p++ = *q++;
    return to;
}

bool check_at(bool condition, const char *what, const char *file, int line)
{
    if (condition)
        return true;
    print("  ");
    print(file);
    print(":");
    print_decimal((unsigned)line);
    print(": ");
    print(what);
    print("\n");
    return false;
}

/* --- descriptor tables ------------------------------------------------ */

void descriptor_set(uint64_t *entry, uint32_t base, uint32_t limit, uint8_t access, uint8_t flags)
{
    *entry = (limit & 0xffff) | (uint64_t)(base & 0xffffff) << 16 | (uint64_t)access << 40 |
             (uint64_t)(limit >> 16 & 15) << 48 | (uint64_t)(flags & 15) << 52 | (uint64_t)(base >> 24) << 56;
}

void gdt_set(uint16_t selector, uint32_t base, uint32_t limit, uint8_t access, uint8_t flags)
{
    descriptor_set(&gdt[selector >> 3], base, limit, access, flags);
}

void gdt_set_gate(uint16_t selector, uint16_t target, uint32_t offset, uint8_t access, uint8_t parameters)
{
    gdt[selector >> 3] = (offset & 0xffff) | (uint64_t)target << 16 | (uint64_t)parameters << 32 |
                         (uint64_t)access << 40 | (uint64_t)(offset >> 16) << 48;
}

static void idt_set(unsigned vector, uint16_t selector, uint32_t offset, uint8_t access)
{
    idt[vector] = (offset & 0xffff) | (uint64_t)selector << 16 | (uint64_t)access << 40 |
                  (uint64_t)(offset >> 16) << 48;
}

void trap_set_gate(unsigned vector, void (*entry)(void), unsigned dpl, bool is_trap_gate)
{
    uint32_t offset = entry ? (uint32_t)entry : (uint32_t)trap_stubs[vector];
    idt_set(vector, SEL_KERNEL_CODE, offset, (uint8_t)(0x80 | dpl << 5 | (is_trap_gate ? 15 : 14)));
}

void trap_set_gate_to(unsigned vector, uint16_t selector, uint32_t offset, uint8_t access)
{
    idt_set(vector, selector, offset, access);
}

void trap_set_task_gate(unsigned vector, uint16_t selector)
{
    idt_set(vector, selector, 0, 0x85);
}

static void tables_load(void)
{
    struct {
        uint16_t limit;
        const void *base;
    } __attribute__((packed)) gdtr = { sizeof gdt - 1, gdt }, idtr = { sizeof idt - 1, idt };

    gdt_set(SEL_KERNEL_CODE, 0, 0xfffff, 0x9a, 0xc);
    gdt_set(SEL_KERNEL_DATA, 0, 0xfffff, 0x92, 0xc);
    gdt_set(SEL_USER_CODE & ~3, 0, 0xfffff, 0xfa, 0xc);
    gdt_set(SEL_USER_DATA & ~3, 0, 0xfffff, 0xf2, 0xc);
    gdt_set(SEL_TSS, (uint32_t)&main_tss, sizeof main_tss - 1, 0x89, 0);
    gdt_set(SEL_TSS2, (uint32_t)&second_tss, sizeof second_tss - 1, 0x89, 0);
    main_tss.ss0 = SEL_KERNEL_DATA;
    main_tss.esp0 = (uint32_t)(trap_stack + sizeof trap_stack);
    main_tss.io_map = sizeof main_tss;
    for (unsigned v = 0; v < 256; v++)
        trap_set_gate(v, NULL, v == 3 || v == 4 || v >= 0x80 ? 3 : 0, false);

    __asm__ volatile("lgdt %0; lidt %1; ljmp $8, $1f; 1: movl %2, %%ds; movl %2, %%es; movl %2, %%ss;"
                     "movl %2, %%fs; movl %2, %%gs; ltr %w3"
                     ::"m"(gdtr), "m"(idtr), "r"(SEL_KERNEL_DATA), "r"(SEL_TSS) : "memory");
}

/* --- traps ------------------------------------------------------------ */

void trap_set_handler(unsigned vector, void (*handler)(struct frame *))
{
    handlers[vector] = handler;
}

static void guest_end(bool all_right) __attribute__((noreturn));

void trap_dispatch(struct frame *frame)
{
    if (frame->vector == 0x81)
        user_leave();
    if (handlers[frame->vector]) {
        handlers[frame->vector](frame);
        return;
    }
    if (catch_active) {
        caught = *frame;
        caught_cr2 = READ_CR(2);
        catch_leave();
    }
    print("unexpected vector ");
    print_hex(frame->vector);
    print(" error ");
    print_hex(frame->error);
    print(" at ");
    print_hex(frame->cs);
    print(":");
    print_hex(frame->eip);
    print(" cr2 ");
    print_hex(READ_CR(2));
    print("\n");
    guest_end(false);
}

bool catch_fault(void (*body)(void *), void *argument, struct frame *out)
{
    if (!catch_enter(body, argument))
        return false;
    *out = caught;
    return true;
}

void run_user(void (*code)(void))
{
    user_enter(code, user_stack + sizeof user_stack);
}

/* --- what groups start from ------------------------------------------- */

void fpu_on(void)
{
    pages_on();
    WRITE_CR(0, (READ_CR(0) & ~(uint32_t)(CR0_EM | CR0_TS)) | CR0_MP | CR0_NE);
    WRITE_CR(4, READ_CR(4) | CR4_OSFXSR | CR4_OSXMMEXCPT);
    __asm__ volatile("fninit");
}

void irqs_on(void)
{
    outb(0x20, 0x11), outb(0xa0, 0x11);
    outb(0x21, IRQ_BASE), outb(0xa1, IRQ_BASE + 8);
    outb(0x21, 4), outb(0xa1, 2);
    outb(0x21, 1), outb(0xa1, 1);
    outb(0x21, 0xff), outb(0xa1, 0xff);
}

/* --- the run ---------------------------------------------------------- */

static void guest_end(bool all_right)
{
    print(all_right ? "guest: all ok, " : "guest: FAILED, ");
    print_decimal(count_ok);
    print(" ok, ");
    print_decimal(count_failed);
    print(" failed\n");
    outb(0xf4, all_right ? 0 : 1);
    for (;;)
        __asm__ volatile("cli; hlt");
}

static bool on_qemu(void)
{
    uint32_t a = 0x40000000, b, c, d;
    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    return b == 0x54474354; /* "TCGT" */
}

static void run_group(const struct test_group *group)
{
    if (group->prepare)
        group->prepare();
    for (const struct test *t = group->tests; t->name; t++) {
        print(group->name);
        print(".");
        print(t->name);
        print(": ");
        if (t->not_on_qemu && on_qemu()) {
            print("left out: QEMU ");
            print(t->not_on_qemu);
            print("\n");
            continue;
        }
        bool ok = t->run();
        print(ok ? "ok\n" : "FAIL\n");
        ok ? count_ok++ : count_failed++;
    }
}

/* Whether the command line leaves `name` in: it holds no only=, or only=NAME. */
static bool group_wanted(const char *line, const char *name)
{
    bool any = false;
    for (; line && *line; line++) {
        const char *p = "only=", *q = line;
        while (*p && *p == *q)
            p++, q++;
        if (*p)
            continue;
        any = true;
        for (p = name; *p && *p == *q; p++, q++)
            ;
        if (!*p && (*q == 0 || *q == ' '))
            return true;
    }
    return !any;
}

/* end=triple, end=garbage and end=halt on the command line: ways for a guest to go wrong. */
static bool line_says(const char *line, const char *word)
{
    for (; line && *line; line++) {
        const char *p = word, *q = line;
        while (*p && *p == *q)
            p++, q++;
        if (!*p)
            return true;
    }
    return false;
}

static const char *command_line;

bool command_line_says(const char *word) { return line_says(command_line, word); }

static void go_wrong(const char *line)
{
    static const struct {
        uint16_t limit;
        uint32_t base;
    } __attribute__((packed)) none = { 0, 0 };

    if (line_says(line, "end=triple"))
        __asm__ volatile("lidt %0; int3" ::"m"(none));
    if (line_says(line, "end=halt"))
        __asm__ volatile("cli; hlt");
    if (line_says(line, "end=garbage")) {
        uint32_t state = 2463534242u, *words = (uint32_t *)SCRATCH;
        for (uint32_t i = 0; i < SCRATCH_SIZE / 4; i++) {
            state ^= state << 13, state ^= state >> 17, state ^= state << 5;
            words[i] = state;
        }
        __asm__ volatile("lidt %0" ::"m"(none));
        ((void (*)(void))SCRATCH)();
    }
}

void guest_main(uint32_t magic, const uint32_t *info)
{
    const char *line = magic == 0x2badb002 && (info[0] & 4) ? (const char *)info[4] : NULL;

    command_line = line;
    tables_load();
    outb(0x3fb, 3); /* eight bits a character: a UART that keeps to them starts with five */
    outb(0x21, 0xff), outb(0xa1, 0xff); /* whatever the firmware left on */
    print("guest: start\n");
    go_wrong(line);
    for (unsigned i = 0; i < sizeof groups / sizeof groups[0]; i++)
        if (group_wanted(line, groups[i]->name))
            run_group(groups[i]);
    guest_end(count_failed == 0);
}
