/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The page walk (SDM vol. 3, 4.3 and 4.4), one walker driven by a description
 * of the paging mode: 32-bit paging with 4 MiB pages, and PAE.
 *
 * PAE's four top entries are the CPU's own, loaded with CR3: what a guest writes
 * to them in memory counts from the next load on.
 */
#include "x86vm/memory/paging.h"

#include "x86vm/cpu/cpu.h"
#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/phys.h"

#include <string.h>

enum { PTE_P = 1 << 0, PTE_RW = 1 << 1, PTE_US = 1 << 2, PTE_A = 1 << 5, PTE_D = 1 << 6, PTE_PS = 1 << 7,
       PTE_G = 1 << 8, PTE_PAT = 1 << 7, PDE_PAT = 1 << 12 /* reserved: CPUID has no PAT */ };
#define PTE_NX (UINT64_C(1) << 63)

struct level {
    uint8_t shift;           /* of the index within the linear address */
    uint8_t index_bits;
    bool has_large;          /* PS makes the entry a page of 1 << shift bytes */
    bool has_rights;         /* R/W, U/S and A exist here (not in a PDPTE) */
    uint64_t reserved;       /* bits that fault when set */
    uint64_t reserved_large;
};

struct format {
    unsigned levels, entry_size;
    uint32_t root_mask;   /* of CR3 */
    uint32_t address_mask;
    struct level level[PAGING_LEVELS_MAX];
};

static const struct format legacy = {
    .levels = 2, .entry_size = 4, .root_mask = 0xfffff000, .address_mask = 0xfffff000,
    .level = {
        { .shift = 22, .index_bits = 10, .has_large = true, .has_rights = true, .reserved_large = 0x003fe000 | PDE_PAT },
        { .shift = 12, .index_bits = 10, .has_rights = true, .reserved = PTE_PAT /* with CR4.PSE */ },
    },
};

/* MAXPHYADDR is 32 (all RAM and MMIO lie below 4 GiB): bits 32..62 are reserved. */
#define PAE_HIGH UINT64_C(0x7fffffff00000000)
static const struct format pae = {
    .levels = 3, .entry_size = 8, .root_mask = 0xffffffe0, .address_mask = 0xfffff000,
    .level = {
        { .shift = 30, .index_bits = 2, .reserved = PAE_HIGH | PTE_NX | 0x1e6 },
        { .shift = 21, .index_bits = 9, .has_large = true, .has_rights = true, .reserved = PAE_HIGH,
          .reserved_large = PAE_HIGH | 0x1fe000 | PDE_PAT },
        { .shift = 12, .index_bits = 9, .has_rights = true, .reserved = PAE_HIGH | PTE_PAT },
    },
};

enum { POINTERS = 4 };
_Static_assert(sizeof ((struct cpu *)0)->pdpte == POINTERS * 8, "one for each GiB");

static bool nx_enabled(const struct cpu *cpu) { return cpu->efer & EFER_NXE; }

static uint32_t apply_a20(const struct cpu *cpu, uint32_t physical)
{
    return phys_a20(cpu->phys) ? physical : physical & ~(1u << 20);
}

static uint64_t read_entry(struct cpu *cpu, uint32_t address, unsigned size)
{
    uint64_t entry = 0;
    if (phys_is_ram(cpu->phys, address))
        memcpy(&entry, phys_ram(cpu->phys) + address, size);
    else
        io_mmio_read(cpu->io, address, &entry, size);
    return entry;
}

bool paging_load_pointers(struct cpu *cpu, uint32_t cr3)
{
    uint64_t entry[POINTERS];

    for (unsigned i = 0; i < POINTERS; i++) {
        entry[i] = read_entry(cpu, apply_a20(cpu, (cr3 & pae.root_mask) + i * pae.entry_size), pae.entry_size);
        if (entry[i] & PTE_P && entry[i] & pae.level[0].reserved)
            return false;
    }
    memcpy(cpu->pdpte, entry, sizeof entry);
    return true;
}

static void set_entry_bits(struct cpu *cpu, uint32_t address, uint64_t entry, uint32_t bits)
{
    if ((entry & bits) == bits)
        return;
    uint32_t low = (uint32_t)entry | bits; /* the bits set here are in the low dword of both formats */
    if (phys_is_ram(cpu->phys, address))
        phys_write(cpu->phys, address, &low, sizeof low);
    else
        io_mmio_write(cpu->io, address, &low, sizeof low);
}

/* Whether the entry of that level is the CPU's own. */
static bool in_cpu(const struct format *format, unsigned depth) { return format == &pae && depth == 0; }

/* A load of CR3 changes nothing (global), and all around is as it is here (large). */
static void walk_unpaged(struct cpu *cpu, uint32_t linear, struct paging_result *result)
{
    *result = (struct paging_result){ .physical = apply_a20(cpu, linear), .global = true, .writable = true, .dirty = true,
                                      .executable = true, .accessed = true, .large = true };
}

bool paging_walk(struct cpu *cpu, uint32_t linear, enum view_access access, bool user, bool effects,
                 struct paging_result *result, uint32_t *error)
{
    if (!(cpu->cr0 & CR0_PG)) {
        walk_unpaged(cpu, linear, result);
        return true;
    }
    const struct format *format = cpu->cr4 & CR4_PAE ? &pae : &legacy;
    const bool large_allowed = format == &pae || cpu->cr4 & CR4_PSE;
    const bool nx = format == &pae && nx_enabled(cpu);
    const uint32_t code = (access == VIEW_FOR_WRITE ? PF_WRITE : 0) | (user ? PF_USER : 0) |
                          (access == VIEW_FOR_EXEC && nx ? PF_FETCH : 0);
    uint32_t rights = PTE_RW | PTE_US;
    uint64_t no_execute = 0, entry = 0;
    uint32_t next = cpu->cr3 & format->root_mask;
    uint32_t where[PAGING_LEVELS_MAX];
    uint64_t seen[PAGING_LEVELS_MAX];
    unsigned depth = 0;
    bool large = false, accessed = true;

    for (;; depth++) {
        const struct level *level = &format->level[depth];
        uint32_t index = linear >> level->shift & ((1u << level->index_bits) - 1);
        where[depth] = apply_a20(cpu, next + index * format->entry_size);
        entry = seen[depth] = in_cpu(format, depth) ? cpu->pdpte[index] : read_entry(cpu, where[depth], format->entry_size);
        if (!(entry & PTE_P)) {
            *error = code;
            return false;
        }
        large = level->has_large && large_allowed && entry & PTE_PS;
        uint64_t reserved = large ? level->reserved_large : large_allowed ? level->reserved : 0;
        if (entry & (nx || format != &pae ? reserved : reserved | PTE_NX)) {
            *error = code | PF_PRESENT | PF_RESERVED;
            return false;
        }
        if (level->has_rights) {
            accessed &= (entry & PTE_A) != 0;
            rights &= (uint32_t)entry;
            no_execute |= entry & PTE_NX;
        }
        if (large || depth + 1 == format->levels)
            break;
        next = (uint32_t)entry & format->address_mask;
    }

    bool writable = rights & PTE_RW || (!user && !(cpu->cr0 & CR0_WP));
    if ((user && !(rights & PTE_US)) || (access == VIEW_FOR_WRITE && !writable) ||
        (access == VIEW_FOR_EXEC && no_execute)) {
        *error = code | PF_PRESENT;
        return false;
    }
    const uint32_t leaf_bits = PTE_A | (access == VIEW_FOR_WRITE ? PTE_D : 0);
    for (unsigned i = 0; effects && i <= depth; i++)
        if (format->level[i].has_rights)
            set_entry_bits(cpu, where[i], seen[i], i == depth ? leaf_bits : PTE_A);

    uint32_t offset_mask = (1u << format->level[depth].shift) - 1;
    uint32_t physical = ((uint32_t)entry & format->address_mask & ~offset_mask) | (linear & offset_mask);
    *result = (struct paging_result){
        .physical = apply_a20(cpu, physical),
        .global = entry & PTE_G && cpu->cr4 & CR4_PGE,
        .writable = writable,
        .dirty = (entry | (effects ? leaf_bits : 0)) & PTE_D,
        .executable = !no_execute,
        .accessed = accessed,
        .large = large,
    };
    return true;
}

/* The entry that the way has at that level; false: none in RAM, or not present. */
static bool next_entry(const struct cpu *cpu, const struct format *format, unsigned depth, uint32_t table, uint32_t linear, uint64_t *entry)
{
    const struct level *level = &format->level[depth];
    uint32_t index = linear >> level->shift & ((1u << level->index_bits) - 1);
    uint32_t where = apply_a20(cpu, table + index * format->entry_size);

    *entry = 0;
    if (in_cpu(format, depth)) {
        *entry = cpu->pdpte[index];
    } else {
        if (!phys_is_ram(cpu->phys, where))
            return false;
        memcpy(entry, phys_ram(cpu->phys) + where, format->entry_size);
    }
    return *entry & PTE_P;
}

bool paging_find_way(struct cpu *cpu, uint32_t linear, struct paging_way *way)
{
    const struct format *format = cpu->cr4 & CR4_PAE ? &pae : &legacy;
    uint32_t table = cpu->cr3 & format->root_mask;

    way->levels = 0;
    while (cpu->cr0 & CR0_PG && way->levels < format->levels) {
        const unsigned depth = way->levels++;
        uint64_t entry;

        if (!next_entry(cpu, format, depth, table, linear, &entry))
            return false;
        way->entry[depth] = entry;
        if (format->level[depth].has_large && entry & PTE_PS && (format == &pae || cpu->cr4 & CR4_PSE))
            break;
        table = (uint32_t)entry & format->address_mask;
    }
    return true;
}

bool paging_way_holds(struct cpu *cpu, uint32_t linear, const struct paging_way *way)
{
    const struct format *format = cpu->cr4 & CR4_PAE ? &pae : &legacy;
    uint32_t table = cpu->cr3 & format->root_mask;
    uint64_t entry;

    for (unsigned depth = 0; depth < way->levels; depth++) {
        if (!next_entry(cpu, format, depth, table, linear, &entry) || entry != way->entry[depth])
            return false;
        table = (uint32_t)entry & format->address_mask;
    }
    return true;
}
