/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The CPU model that the guest sees: GenuineIntel, family 6 model 0x1C (Atom
 * "Bonnell") stepping 10, with the features of an i686 with SSE2, and what the
 * host has of SSE3 to SSE4.2: those instructions run on its units as they are.
 *
 * Bonnell executes in order. Operating systems know that it does not speculate
 * and leave out their mitigations of speculation, which would cost the guest
 * much and protect nothing here: the boundary is the process of the translator.
 *
 * One row a feature: what is advertised, and the CR4 bits that exist with it.
 * decode/ refuses opcodes (#UD) that no row brings.
 */
#include "x86vm/protection/control.h"
#include "x86vm/protection/protection.h"

#include <cpuid.h>
#include <string.h>

#define SIGNATURE 0x000106cau /* as EDX after reset: cpu.c */
#define LINE_SIZE 64u
/* Newer than the model. They exist where the TSC's rate is known, and tell it;
 * with "invariant" and TSC_ADJUST an operating system also trusts the TSC
 * without checking it against the 8254, whose ticks come late on a busy host. */
#define STRUCTURED_LEAF 7u
#define TSC_LEAF 0x15u
#define FREQUENCY_LEAF 0x16u
#define POWER_LEAF 0x80000007u
#define EBX_TSC_ADJUST (1u << 1)    /* of STRUCTURED_LEAF: the MSR */
#define EDX_INVARIANT_TSC (1u << 8) /* of POWER_LEAF */

struct feature {
    const char *name;
    uint8_t edx_bit; /* of leaf 1 */
    uint32_t cr4;
};

static const struct feature features[] = {
    { "FPU", 0, 0 },                                   /* x87 on the chip */
    { "VME", 1, CR4_VME | CR4_PVI },                   /* virtual interrupt flag */
    { "DE", 2, CR4_DE },                               /* I/O breakpoints, DR4 and DR5 gone */
    { "PSE", 3, CR4_PSE },                             /* 4 MiB pages */
    { "TSC", 4, CR4_TSD },                             /* RDTSC */
    { "MSR", 5, 0 },                                   /* RDMSR, WRMSR */
    { "PAE", 6, CR4_PAE },                             /* three-level paging */
    { "CX8", 8, 0 },                                   /* CMPXCHG8B */
    { "SEP", 11, 0 },                                  /* SYSENTER, SYSEXIT */
    { "PGE", 13, CR4_PGE },                            /* global pages */
    { "CMOV", 15, 0 },                                 /* CMOVcc, FCMOVcc, FCOMI */
    { "CLFSH", 19, 0 },                                /* CLFLUSH (nothing to do: caches are coherent) */
    { "MMX", 23, 0 },
    { "FXSR", 24, CR4_OSFXSR },                        /* FXSAVE, FXRSTOR */
    { "SSE", 25, CR4_OSXMMEXCPT },
    { "SSE2", 26, 0 },
};
/* In ECX: SSE3, SSSE3, SSE4.1, SSE4.2 and POPCNT, as cpu->features says.
 *
 * Absent on purpose: APIC and what needs it; MCE, MCA; MTRR and PAT (no memory
 * types: caches do not show); PSE36; HTT; long mode, SYSCALL and CMPXCHG16B;
 * MONITOR, which came with SSE3 but has a bit of its own (a guest that waits so
 * could not be told from one that computes); AES, CLMUL, AVX and later; UMIP
 * (CR4.UMIP is implemented, a row of leaf 7 would bring it). */

uint32_t protection_host_features(void)
{
    uint32_t a, b, c, d;

    return __get_cpuid(1, &a, &b, &c, &d) ? c & CPU_FEATURES : 0;
}

static uint32_t feature_bits(void)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < sizeof features / sizeof features[0]; i++)
        bits |= 1u << features[i].edx_bit;
    return bits;
}

uint32_t cpuid_cr4_bits(void)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < sizeof features / sizeof features[0]; i++)
        bits |= features[i].cr4;
    return bits;
}

enum { EAX, EBX, ECX, EDX };

static void leaf_vendor(uint32_t *out, uint32_t subleaf);

static void leaf_features(uint32_t *out, uint32_t subleaf)
{
    (void)subleaf;
    out[EAX] = SIGNATURE;
    out[EBX] = LINE_SIZE / 8 << 8; /* CLFLUSH line in quadwords; brand index 0, one logical CPU, APIC ID 0 */
    out[EDX] = feature_bits(); /* ECX: protection_cpuid() */
}

/* Bonnell's own descriptor bytes: TLBs, then L1D 24 KiB, L1I 32 KiB, L2 512 KiB. */
static void leaf_cache_descriptors(uint32_t *out, uint32_t subleaf)
{
    (void)subleaf;
    out[EAX] = 0x4fba5901;
    out[EBX] = 0x0e3080c0;
}

struct cache { uint32_t type, level, ways, sets; };

static void leaf_cache_parameters(uint32_t *out, uint32_t subleaf)
{
    static const struct cache caches[] = {
        { 1, 1, 6, 64 },   /* data */
        { 2, 1, 8, 64 },   /* instructions */
        { 3, 2, 8, 1024 }, /* unified */
    };

    if (subleaf >= sizeof caches / sizeof caches[0])
        return;
    const struct cache *c = &caches[subleaf];
    out[EAX] = c->type | c->level << 5 | 1u << 8; /* self-initializing; one thread, one core */
    out[EBX] = (c->ways - 1) << 22 | (LINE_SIZE - 1);
    out[ECX] = c->sets - 1;
}

static void leaf_empty(uint32_t *out, uint32_t subleaf)
{
    (void)out, (void)subleaf;
}

static void leaf_extended_maximum(uint32_t *out, uint32_t subleaf);

static void leaf_extended_features(uint32_t *out, uint32_t subleaf)
{
    (void)subleaf;
    out[EDX] = 1u << 20; /* NX: the page tables of PAE, once EFER.NXE is set */
}

static void leaf_brand(uint32_t *out, unsigned part)
{
    static const char brand[48] = "vswitch virtual CPU";
    memcpy(out, brand + part * 16, 16);
}

static void leaf_brand0(uint32_t *out, uint32_t subleaf) { (void)subleaf, leaf_brand(out, 0); }
static void leaf_brand1(uint32_t *out, uint32_t subleaf) { (void)subleaf, leaf_brand(out, 1); }
static void leaf_brand2(uint32_t *out, uint32_t subleaf) { (void)subleaf, leaf_brand(out, 2); }

static void leaf_address_sizes(uint32_t *out, uint32_t subleaf)
{
    (void)subleaf;
    out[EAX] = 32 | 32 << 8; /* bits of physical and linear addresses: paging.c */
}

typedef void leaf_function(uint32_t *out, uint32_t subleaf);

static leaf_function *const basic[] = {
    leaf_vendor, leaf_features, leaf_cache_descriptors, leaf_empty, leaf_cache_parameters,
};
static leaf_function *const extended[] = {
    leaf_extended_maximum, leaf_extended_features, leaf_brand0, leaf_brand1, leaf_brand2,
    leaf_empty, leaf_empty, leaf_empty, leaf_address_sizes,
};
enum { BASIC_COUNT = sizeof basic / sizeof basic[0], EXTENDED_COUNT = sizeof extended / sizeof extended[0] };
#define EXTENDED_BASE 0x80000000u

static void leaf_vendor(uint32_t *out, uint32_t subleaf)
{
    (void)subleaf;
    out[EAX] = BASIC_COUNT - 1; /* or FREQUENCY_LEAF: protection_cpuid() */
    memcpy(&out[EBX], "Genu", 4);
    memcpy(&out[EDX], "ineI", 4);
    memcpy(&out[ECX], "ntel", 4);
}

static void leaf_extended_maximum(uint32_t *out, uint32_t subleaf)
{
    (void)subleaf;
    out[EAX] = EXTENDED_BASE + EXTENDED_COUNT - 1;
}

/* The leaves between the model's own and the last, where the TSC's rate is known. */
static void time_leaf(uint32_t *out, uint32_t leaf, uint32_t khz)
{
    if (leaf == STRUCTURED_LEAF) {
        out[EBX] = EBX_TSC_ADJUST;
    } else if (leaf == TSC_LEAF) { /* rate = ECX * EBX / EAX; a "crystal" of 1 kHz keeps every product small */
        out[EAX] = 1;
        out[EBX] = khz;
        out[ECX] = 1000;
    } else if (leaf == FREQUENCY_LEAF) { /* MHz: base, maximum, bus */
        out[EAX] = out[EBX] = (khz + 500) / 1000;
        out[ECX] = 100;
    }
}

void protection_cpuid(struct cpu *cpu)
{
    const uint32_t leaf = cpu->regs[CPU_EAX], subleaf = cpu->regs[CPU_ECX];
    uint32_t out[4] = { 0 };

    if (leaf < BASIC_COUNT)
        basic[leaf](out, subleaf);
    else if (cpu->tsc_khz && leaf <= FREQUENCY_LEAF)
        time_leaf(out, leaf, cpu->tsc_khz);
    else if (leaf - EXTENDED_BASE < EXTENDED_COUNT)
        extended[leaf - EXTENDED_BASE](out, subleaf);
    else if (cpu->tsc_khz) /* beyond either end a CPU of this maker answers with its last basic leaf */
        time_leaf(out, FREQUENCY_LEAF, cpu->tsc_khz);
    else
        basic[BASIC_COUNT - 1](out, subleaf);
    if (cpu->tsc_khz && leaf == 0)
        out[EAX] = FREQUENCY_LEAF;
    if (leaf == 1)
        out[ECX] = cpu->features;
    if (cpu->tsc_khz && leaf == POWER_LEAF)
        out[EDX] = EDX_INVARIANT_TSC;
    cpu->regs[CPU_EAX] = out[EAX];
    cpu->regs[CPU_EBX] = out[EBX];
    cpu->regs[CPU_ECX] = out[ECX];
    cpu->regs[CPU_EDX] = out[EDX];
}
