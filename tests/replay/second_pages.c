/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The guest's linear address space in Unicorn, page by page as the guest's tables
 * have it, and device memory.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/replay/second_internal.h"
#include "x86vm/memory/io_bus.h"
#include "x86vm/memory/paging.h"

static uint64_t device_read(uc_engine *uc, uint64_t offset, unsigned size, void *opaque)
{
    const struct mapping *m = opaque;
    uint64_t value = 0;

    (void)uc;
    if (m->rom)
        memcpy(&value, phys_ram(m->second->cpu.phys) + m->physical + offset, size);
    else
        io_mmio_read(m->second->cpu.io, m->physical + (uint32_t)offset, &value, size);
    return value;
}

static void device_write(uc_engine *uc, uint64_t offset, unsigned size, uint64_t value, void *opaque)
{
    const struct mapping *m = opaque;

    (void)uc;
    if (!m->rom)
        io_mmio_write(m->second->cpu.io, m->physical + (uint32_t)offset, &value, size);
}

/* --- the guest's linear address space in Unicorn --- */

void second_unmap(struct second *s, enum unmap which, uint32_t linear)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < s->mapping_count; i++) {
        struct mapping *m = s->mappings[i];
        if (which == UNMAP_LOCAL ? m->global : which == UNMAP_PAGE && linear - m->linear >= m->size) {
            s->mappings[kept++] = m;
            continue;
        }
        p_uc_ctl(s->uc, UC_CTL_WRITE(UC_CTL_TB_REMOVE_CACHE, 2), (uint64_t)m->linear, (uint64_t)m->linear + m->size);
        p_uc_mem_unmap(s->uc, m->linear, m->size);
        free(m);
    }
    s->mapping_count = kept;
    memset(s->pages, 0, sizeof s->pages);
}

static bool map(struct second *s, const struct mapping *what)
{
    struct mapping *m = malloc(sizeof *m);
    uint32_t rights = UC_PROT_READ | UC_PROT_EXEC | (what->writable ? UC_PROT_WRITE : 0);

    if (s->mapping_count == s->mapping_room) {
        s->mapping_room = s->mapping_room ? s->mapping_room * 2 : 256;
        s->mappings = realloc(s->mappings, s->mapping_room * sizeof *s->mappings);
    }
    if (!m || !s->mappings)
        abort();
    *m = *what;
    s->mappings[s->mapping_count++] = m;
    if (m->device || m->rom)
        return p_uc_mmio_map(s->uc, m->linear, m->size, device_read, m, device_write, m) == UC_ERR_OK;
    return p_uc_mem_map_ptr(s->uc, m->linear, m->size, rights, phys_ram(s->cpu.phys) + m->physical) == UC_ERR_OK;
}

/* A large page that is RAM throughout is mapped whole, and all of RAM without paging. */
static void enlarge(const struct second *s, struct mapping *m)
{
    enum { LARGE = 4 << 20, PDE_LARGE = 0x80 };
    const struct cpu *cpu = &s->cpu;
    uint32_t pde = PDE_LARGE, start = m->physical & ~(uint32_t)(LARGE - 1);

    if (cpu->cr4 & CR4_PAE)
        return;
    if (cpu->cr0 & CR0_PG && (!(cpu->cr4 & CR4_PSE) || !phys_dma_read(cpu->phys, (cpu->cr3 & ~(PAGE_SIZE - 1)) + (m->linear >> 22) * 4, &pde, 4)))
        return;
    if (!(pde & PDE_LARGE) || (m->physical ^ m->linear) & (LARGE - 1))
        return;
    for (uint32_t at = start; at < start + LARGE; at += PAGE_SIZE)
        if (!phys_is_writable(cpu->phys, at))
            return;
    for (unsigned i = 0; i < s->mapping_count; i++)
        if ((s->mappings[i]->linear ^ m->linear) < LARGE)
            return; /* a part of it is there already */
    m->linear &= ~(uint32_t)(LARGE - 1);
    m->physical = start;
    m->size = LARGE;
}

static struct mapping *find(struct second *s, uint32_t linear)
{
    for (unsigned i = 0; i < s->mapping_count; i++)
        if (linear - s->mappings[i]->linear < s->mappings[i]->size)
            return s->mappings[i];
    return NULL;
}

/* More is allowed than before. A page that leads elsewhere now cannot be taken
 * away under Unicorn's hands: the instruction starts again when it is gone. */
static bool renew(struct second *s, struct mapping *old, const struct mapping *now)
{
    if (old->linear == now->linear && old->size == now->size && old->physical == now->physical && !old->device && !old->rom &&
        now->writable) {
        old->writable = true;
        return p_uc_mem_protect(s->uc, old->linear, old->size, UC_PROT_ALL) == UC_ERR_OK;
    }
    s->fault_address = old->linear;
    s->stop = STOP_STALE;
    return false;
}

/* Unicorn has no such page, or may not do this to it: walks the guest's tables. */
bool second_on_missing(uc_engine *uc, uc_mem_type type, uint64_t address, int size, int64_t value, void *opaque)
{
    struct second *s = opaque;
    bool write = type == UC_MEM_WRITE_UNMAPPED || type == UC_MEM_WRITE_PROT;
    bool fetch = type == UC_MEM_FETCH_UNMAPPED || type == UC_MEM_FETCH_PROT;
    enum view_access access = fetch ? VIEW_FOR_EXEC : write ? VIEW_FOR_WRITE : VIEW_FOR_READ;
    uint32_t linear = (uint32_t)address & ~(PAGE_SIZE - 1), cs, error;
    struct paging_result walk;
    struct mapping *old;
    struct mapping m = { .second = s, .linear = linear, .size = PAGE_SIZE };

    (void)uc, (void)value;
    if (s->stop != STOP_NONE)
        return false; /* the first fault counts */
    if (size > 1 && type != UC_MEM_WRITE_PROT && type != UC_MEM_READ_PROT && s->last_missing == (uint32_t)address)
        linear = m.linear = ((uint32_t)address + (uint32_t)size - 1) & ~(PAGE_SIZE - 1); /* its first page is there by now */
    cs = second_reg(s, UC_X86_REG_CS);
    s->last_missing = (uint32_t)address;
    if (!paging_walk(&s->cpu, linear, access, (cs & 3) == 3, true, &walk, &error)) {
        s->fetching = fetch;
        s->fault_address = linear == ((uint32_t)address & ~(PAGE_SIZE - 1)) ? (uint32_t)address : linear;
        s->vector = VEC_PF;
        s->stop = STOP_PAGE_FAULT;
        return false;
    }
    m.physical = walk.physical & ~(PAGE_SIZE - 1);
    m.global = walk.global;
    m.writable = walk.writable && walk.dirty;
    m.device = !phys_is_ram(s->cpu.phys, m.physical);
    m.rom = !m.device && !phys_is_writable(s->cpu.phys, m.physical);
    old = find(s, linear);
    if (old && old->size != m.size) {
        m.linear = old->linear;
        m.physical -= linear - old->linear;
        m.size = old->size;
    }
    if (!old)
        enlarge(s, &m);
    if (!old)
        return map(s, &m);
    return renew(s, old, &m);
}
