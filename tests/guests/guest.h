/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the groups of tests in the test guest share: a table of named tests a
 * group, descriptor tables and trap handling (runtime.c), page tables (pages.c).
 * The guest runs freestanding on a bare i686 PC: on our engine, under QEMU, or on
 * anything that loads a multiboot image.
 */
#ifndef TESTS_GUESTS_GUEST_H
#define TESTS_GUESTS_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A test returns true when everything it looked at was right. */
struct test {
    const char *name;
    bool (*run)(void);
    const char *not_on_qemu; /* what QEMU 7.2 does wrong here; the test is left out there */
};
struct test_group {
    const char *name;
    const struct test *tests; /* ends with a NULL name */
    void (*prepare)(void);    /* may be NULL */
};

extern const struct test_group
    group_cpu, group_string, group_fault, group_segment, group_interrupt, group_paging, group_ring, group_smc,
    group_fpu, group_x87_pointers, group_device, group_nic, group_ne, group_debug, group_checks, group_sensitive,
    group_flags, group_v86, group_random16, group_sse, group_returns, group_stale, group_alias, group_moves,
    group_gates, group_tasks, group_limits, group_watch, group_pae, group_pc_calls, group_shadow, group_ferr, group_double, group_pic;

/* False, having printed file and line, when `condition` is false. */
bool check_at(bool condition, const char *what, const char *file, int line);
#define CHECK(condition)                                                  \
    do {                                                                  \
        if (!check_at((condition), #condition, __FILE__, __LINE__))       \
            return false;                                                 \
    } while (0)

/* What a trap stub leaves on the stack, lowest address first. */
struct frame {
    uint32_t gs, fs, es, ds;
    uint32_t edi, esi, ebp, esp_at_pusha, ebx, edx, ecx, eax;
    uint32_t vector, error;
    uint32_t eip, cs, eflags;
    uint32_t esp, ss; /* only when the trap came from ring 3 */
};

/* `handler` NULL: the vector is unexpected again. */
void trap_set_handler(unsigned vector, void (*handler)(struct frame *));
void trap_set_gate(unsigned vector, void (*entry)(void), unsigned dpl, bool is_trap_gate);
void trap_set_gate_to(unsigned vector, uint16_t selector, uint32_t offset, uint8_t access);
void trap_set_task_gate(unsigned vector, uint16_t selector);

/* Runs `body`; true when it ended in a fault, which `out` then describes.
 * CR2 at that time is in caught_cr2. */
bool catch_fault(void (*body)(void *), void *argument, struct frame *out);
extern uint32_t caught_cr2;

/* Runs `code` in ring 3 until it executes INT 0x81 (user_exit). */
void run_user(void (*code)(void));
static inline void user_exit(void) { __asm__ volatile("int $0x81" ::: "memory"); }
extern uint8_t user_stack[8192];

enum {
    SEL_KERNEL_CODE = 0x08,
    SEL_KERNEL_DATA = 0x10,
    SEL_USER_CODE = 0x1b,
    SEL_USER_DATA = 0x23,
    SEL_TSS = 0x28,
    SEL_TSS2 = 0x30,
    SEL_SPARE = 0x38,      /* tests put here what they like */
    SEL_SPARE2 = 0x40,
    SEL_LDT = 0x48,
};

/* A GDT entry; `access` is its sixth byte, `flags` the high four bits of the seventh. */
void gdt_set(uint16_t selector, uint32_t base, uint32_t limit, uint8_t access, uint8_t flags);
void gdt_set_gate(uint16_t selector, uint16_t target, uint32_t offset, uint8_t access, uint8_t parameters);
void descriptor_set(uint64_t *entry, uint32_t base, uint32_t limit, uint8_t access, uint8_t flags);

struct tss {
    uint32_t link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags;
    uint32_t eax, ecx, edx, ebx, esp, ebp, esi, edi, es, cs, ss, ds, fs, gs, ldt;
    uint16_t trap, io_map;
    uint8_t io_bits[33];
} __attribute__((packed));
extern struct tss main_tss, second_tss;

bool command_line_says(const char *word);

/* Scratch memory after the image; nothing else uses it. */
#define SCRATCH 0x400000u
#define SCRATCH_SIZE 0x400000u

/* Page tables over the first 16 MiB, identity, user and writable; on() is
 * idempotent. pages_entry() gives the entry of a virtual address below 1 GiB,
 * making a page table where there is none. */
enum { PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_A = 0x20, PTE_D = 0x40, PTE_PS = 0x80, PTE_G = 0x100 };
void pages_on(void);
bool pages_have_pat(void); /* the bit in entries for pages, 7 or in large ones 12, that is reserved without */
uint32_t *pages_directory(void);
uint32_t *pages_entry(uint32_t address);
void pages_map(uint32_t address, uint32_t entry); /* with INVLPG */

void print(const char *text);
void print_hex(uint32_t value);
void *memory_set(void *to, int byte, size_t size);
bool memory_equal(const void *a, const void *b, size_t size);

static inline void outb(uint16_t port, uint8_t v) { __asm__ volatile("outb %0, %1" ::"a"(v), "Nd"(port)); }
static inline void outl(uint16_t port, uint32_t v) { __asm__ volatile("outl %0, %1" ::"a"(v), "Nd"(port)); }
static inline uint8_t inb(uint16_t port)
{
    uint8_t v;
    __asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}
static inline uint32_t inl(uint16_t port)
{
    uint32_t v;
    __asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

#define READ_CR(n)                                                   \
    ({                                                               \
        uint32_t value_;                                             \
        __asm__ volatile("movl %%cr" #n ", %0" : "=r"(value_)::"memory"); \
        value_;                                                      \
    })
#define WRITE_CR(n, v) __asm__ volatile("movl %0, %%cr" #n ::"r"((uint32_t)(v)) : "memory")
static inline void invlpg(uint32_t address) { __asm__ volatile("invlpg (%0)" ::"r"(address) : "memory"); }
static inline uint32_t eflags_get(void)
{
    uint32_t v;
    __asm__ volatile("pushfl; popl %0" : "=r"(v)::"memory");
    return v;
}

/* Pages are on, and x87, MMX and SSE are initialized and in use by nobody. */
enum { CR0_MP = 2, CR0_EM = 4, CR0_TS = 8, CR0_NE = 32, CR4_OSFXSR = 0x200, CR4_OSXMMEXCPT = 0x400 };
void fpu_on(void);

/* The two 8259s are initialized: their vectors begin at IRQ_BASE, every line is masked. */
enum { IRQ_BASE = 0x20 };
void irqs_on(void);

/* pci.c: bus 0. */
uint32_t pci_read(unsigned device, unsigned reg);
void pci_write(unsigned device, unsigned reg, uint32_t value);
int pci_find(uint32_t identity); /* the device's number; -1: not there */
uint32_t pci_bar_address(unsigned device, unsigned bar, uint32_t otherwise);

#endif
