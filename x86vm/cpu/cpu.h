/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The architectural state of the one virtual CPU, and how a guest exception is
 * raised from C. It lies at the bottom of the engine: memory, protection,
 * translate and pc all include it, it includes none of them.
 *
 * While translated code runs, EAX..EDI and the arithmetic flags live in host
 * registers; every path from translated code into C stores them here first and
 * loads them again afterwards, so C code always finds and leaves the full state
 * in this struct. Emitted code addresses members by offset from R15:
 * translate/ pins the offsets it uses with static asserts.
 */
#ifndef X86VM_CPU_CPU_H
#define X86VM_CPU_CPU_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cpu_reg { CPU_EAX, CPU_ECX, CPU_EDX, CPU_EBX, CPU_ESP, CPU_EBP, CPU_ESI, CPU_EDI };
enum cpu_seg { CPU_ES, CPU_CS, CPU_SS, CPU_DS, CPU_FS, CPU_GS, CPU_SEG_COUNT };

/* EFLAGS (SDM vol. 1, 3.4.3) */
enum {
    FLAG_CF = 1u << 0, FLAG_ONE = 1u << 1, FLAG_PF = 1u << 2, FLAG_AF = 1u << 4, FLAG_ZF = 1u << 6,
    FLAG_SF = 1u << 7, FLAG_TF = 1u << 8, FLAG_IF = 1u << 9, FLAG_DF = 1u << 10, FLAG_OF = 1u << 11,
    FLAG_IOPL = 3u << 12, FLAG_NT = 1u << 14, FLAG_RF = 1u << 16, FLAG_VM = 1u << 17,
    FLAG_AC = 1u << 18, FLAG_VIF = 1u << 19, FLAG_VIP = 1u << 20, FLAG_ID = 1u << 21,
    FLAGS_ARITH = FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF,
};
#define FLAGS_IOPL_SHIFT 12

enum { CR0_PE = 1u << 0, CR0_MP = 1u << 1, CR0_EM = 1u << 2, CR0_TS = 1u << 3, CR0_ET = 1u << 4,
       CR0_NE = 1u << 5, CR0_WP = 1u << 16, CR0_AM = 1u << 18, CR0_NW = 1u << 29, CR0_CD = 1u << 30,
       CR0_PG = 1u << 31 };
enum { CR4_VME = 1u << 0, CR4_PVI = 1u << 1, CR4_TSD = 1u << 2, CR4_DE = 1u << 3, CR4_PSE = 1u << 4,
       CR4_PAE = 1u << 5, CR4_MCE = 1u << 6, CR4_PGE = 1u << 7, CR4_PCE = 1u << 8,
       CR4_OSFXSR = 1u << 9, CR4_OSXMMEXCPT = 1u << 10, CR4_UMIP = 1u << 11 };

enum { EFER_NXE = 1u << 11 };

enum cpu_vector { VEC_DE = 0, VEC_DB = 1, VEC_NMI = 2, VEC_BP = 3, VEC_OF = 4, VEC_BR = 5, VEC_UD = 6,
                  VEC_NM = 7, VEC_DF = 8, VEC_TS = 10, VEC_NP = 11, VEC_SS = 12, VEC_GP = 13, VEC_PF = 14,
                  VEC_MF = 16, VEC_AC = 17, VEC_MC = 18, VEC_XM = 19 };

/* What the CPU has where the host has it, too: bits of CPUID leaf 1, ECX. */
enum { CPU_SSE3 = 1u << 0, CPU_SSSE3 = 1u << 9, CPU_SSE41 = 1u << 19, CPU_SSE42 = 1u << 20, CPU_POPCNT = 1u << 23,
       CPU_FEATURES = CPU_SSE3 | CPU_SSSE3 | CPU_SSE41 | CPU_SSE42 | CPU_POPCNT };

/* Page-fault error code bits (SDM vol. 3, 4.7) */
enum { PF_PRESENT = 1, PF_WRITE = 2, PF_USER = 4, PF_RESERVED = 8, PF_FETCH = 16 };

/* `access`: the descriptor's bits 8..23 of its second dword, i.e. type, S, DPL,
 * P in bits 0..7 and AVL, L, D/B, G in bits 12..15 (bits 8..11 zero). */
enum { SEG_TYPE_ACCESSED = 1, SEG_TYPE_RW = 2, SEG_TYPE_EXPAND_DOWN = 4, SEG_TYPE_CONFORMING = 4,
       SEG_TYPE_CODE = 8, SEG_S = 0x10, SEG_DPL = 0x60, SEG_P = 0x80,
       SEG_AVL = 0x1000, SEG_L = 0x2000, SEG_DB = 0x4000, SEG_G = 0x8000 };
#define SEG_DPL_SHIFT 5

/* A segment register with its hidden part. A null selector has access 0 (not
 * present); `limit` is already scaled to bytes (inclusive). */
struct cpu_segment {
    uint32_t base;
    uint32_t limit;
    uint16_t selector;
    uint16_t access;
};

struct cpu_table { uint32_t base; uint32_t limit; }; /* GDTR, IDTR; limit inclusive, 16 bits */

/* What the last instruction does to its own debug traps. */
enum debug_delay {
    DEBUG_AT_ONCE,
    DEBUG_NO_STEP,             /* INT n: its handler is not stepped into */
    DEBUG_AFTER_NEXT           /* MOV SS, POP SS: data breakpoints wait for the next instruction, a step is lost */
};

#define CPU_NOWHERE UINT32_MAX /* an EIP that no instruction has */

struct view;
struct view_set;
struct phys;
struct io_bus;

struct cpu {
    /* --- state that translated code and its stubs touch (offsets are pinned) --- */
    uint32_t regs[8];
    uint32_t eip;
    uint32_t eflags;           /* complete; arithmetic bits valid only in C (see above) */
    uint64_t *tables;          /* current view's entry tables: memory/view.h */
    uint8_t *window;           /* host address of linear 0 in the window: memory/view.h */
    uint8_t *bare;             /* host address of linear 0 in the bare window in use: memory/bare.h */
    uint8_t *bare_loaded;      /* the base of the host's GS segment */
    uint64_t lookup_key;       /* translate/: address space and mode part of the indirect-jump key */
    volatile uint32_t exit_request; /* set by any thread: translate/recall.h */
    uint32_t seg_base[CPU_SEG_COUNT]; /* copy of seg[i].base, kept by cpu_set_segment() */
    uint32_t x87_dp;           /* of the last x87 instruction with an operand: cpu/x87.h */
    uint32_t x87_ip, x87_info; /* of the last one; stored as one word */
    uint16_t x87_cs, x87_ds;   /* valid where x87_info says so */
    uint64_t scratch[8];       /* translate/: temporaries of emitted sequences */
    uint8_t *host_stack;       /* translate/shadow.h: C's, while translated code runs */
    uint8_t *shadow;           /* ... the shadow stack's top while C runs */
    uint8_t *shadow_reset;     /* ... and of an empty one, for the present privilege */
    uint8_t *user_shadow;      /* the user's top as it was left last, */
    uint64_t user_negated_key; /* and with which lookup key, negated; 1: it is not to be had again */
    int64_t count_left;        /* translate/count.h: steps before the run loop is asked */
    const void *count_block;   /* ... and the block charged for last */
    uint32_t shadowed;         /* translate/: EIP behind the last STI or load of SS, until something else came: run.c */
    uint8_t xmm[8][16] __attribute__((aligned(16))); /* guest XMM while C runs under a stub */
    uint8_t bounce[1024 + 64] __attribute__((aligned(64))); /* operand of a slow access */
    uint8_t fpu[512] __attribute__((aligned(64))); /* FXSAVE image while outside cpu_run */

    /* --- the rest of the architectural state --- */
    struct cpu_segment seg[CPU_SEG_COUNT], ldtr, tr;
    struct cpu_table gdtr, idtr;
    uint32_t cr0, cr2, cr3, cr4;
    uint64_t pdpte[4];         /* PAE's top entries as they were loaded last: memory/paging.h */
    uint32_t dr[8];
    uint32_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint32_t efer;             /* NXE alone exists */
    uint64_t msr_misc[8];      /* protection/msr.c: stored-only MSRs */
    uint64_t tsc_offset;       /* guest TSC = host TSC + tsc_offset */
    uint64_t (*tsc_source)(void *opaque); /* in the host TSC's place: a recording; NULL: none */
    void *tsc_opaque;
    void (*exception_tap)(void *opaque); /* before each exception of the guest: a recording; NULL: none */
    void *exception_opaque;
    uint32_t tsc_khz;          /* CPUID tells the guest; 0: it has to measure. Kept over a reset */
    uint32_t features;         /* of CPU_FEATURES; kept over a reset */
    uint8_t cpl;
    bool user_ran;             /* CPL has been 3 since somebody cleared this */
    bool halted;               /* HLT executed with nothing pending */
    bool interrupt_shadow;     /* one instruction without interrupts (STI, MOV SS, POP SS) */
    bool nmi_blocked;          /* from an NMI to the next IRET */
    bool mode_dirty;           /* CPL, CR0/3/4 or a segment changed: translate/ re-derives its mode */
    bool shutdown;             /* triple fault */
    uint8_t watch_data, watch_code, watch_io; /* enabled breakpoints DR0-3, one bit each: memory/watch.h */
    uint32_t watch_hits;       /* data and I/O breakpoints hit by the instruction so far */
    uint8_t debug_delay;       /* enum debug_delay, of the last instruction */

    /* --- interrupts from the platform --- */
    bool intr;                 /* level of the PIC's INTR output */
    bool nmi_pending;

    /* --- x87 errors by the platform, where CR0.NE is clear --- */
    bool ignne;                /* the IGNNE# input: they are ignored; taken back when none is pending */
    void (*ferr)(void *opaque); /* FERR# becomes active: one is about to be waited for */
    void *ferr_opaque;

    /* --- an exception being raised --- */
    jmp_buf *fault_env;        /* where cpu_fault() jumps to; set by whoever runs guest work */
    int fault_vector;
    uint32_t fault_error;
    bool fault_has_error;

    /* --- what the CPU is attached to --- */
    struct phys *phys;
    struct view_set *views;
    struct io_bus *io;
    uint8_t (*intr_ack)(void *opaque); /* INTA cycle: the vector of the pending interrupt */
    void *intr_opaque;
};

/* State after power-on/reset but in the flat 32-bit protected mode that
 * direct boot needs is made by pc/; this is the architectural RESET state
 * (SDM vol. 3, table 9-1), with pointers to phys, views, io kept. */
void cpu_reset(struct cpu *cpu);

/* Writes a segment register with its hidden part, no checks; keeps seg_base,
 * sets mode_dirty when the hidden part changes. */
void cpu_set_segment(struct cpu *cpu, enum cpu_seg which, const struct cpu_segment *value);

/* What a jump to cpu->fault_env says: an exception, or that the instruction at EIP
 * is to be run again. */
enum cpu_jump { CPU_FAULTED = 1, CPU_AGAIN = 2 };

/* Raises a guest exception: records it and jumps to cpu->fault_env. cpu->eip
 * must be the faulting instruction's (callers leave it alone until they commit). */
_Noreturn void cpu_fault(struct cpu *cpu, enum cpu_vector vector);
_Noreturn void cpu_fault_error(struct cpu *cpu, enum cpu_vector vector, uint32_t error);

static inline bool cpu_protected(const struct cpu *cpu) { return cpu->cr0 & CR0_PE; }
static inline bool cpu_v8086(const struct cpu *cpu) { return cpu->eflags & FLAG_VM; }
/* Alignment checking (vol. 3, 6.15, #AC): the program's own accesses, at CPL 3. */
static inline bool cpu_checks_alignment(const struct cpu *cpu)
{
    return cpu->cpl == 3 && cpu->cr0 & CR0_AM && cpu->eflags & FLAG_AC;
}
static inline bool cpu_nmi_due(const struct cpu *cpu) { return cpu->nmi_pending && !cpu->nmi_blocked; }
static inline unsigned cpu_iopl(const struct cpu *cpu) { return cpu->eflags >> FLAGS_IOPL_SHIFT & 3; }

#endif
