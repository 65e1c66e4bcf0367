/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Proof that the comparison of programs can fail: the same test, linked so that
 * calls between files of the engine come here first (ld --wrap), where the mutation
 * chosen by PROGRAMS_MUTATION leaves out what they are for. mutants.sh runs them all.
 */
#include "tests/mutate.h"
#include "x86vm/memory/bare.h"
#include "x86vm/memory/phys.h"
#include "x86vm/memory/view.h"
#include "x86vm/translate/far_links.h"
#include "x86vm/translate/jump_map.h"
#include "x86vm/translate/translator.h"

#include <string.h>

enum mutation {
    NONE, PAGES_STAY_SHOWN, PAGE_NOT_FLUSHED, SPACE_NOT_FLUSHED, MAPPINGS_UNNOTICED, SHOWN_WRITABLE,
    DMA_UNNOTICED, JUMPS_TO_DEAD,
    JUMPS_STAY, FAR_LINKS_STAY, CODE_NOT_PROTECTED, /* show themselves seldom */
    MUTATION_COUNT
};

static enum mutation mutation;

__attribute__((constructor)) static void choose(void)
{
    mutation = (enum mutation)mutation_chosen("PROGRAMS_MUTATION", MUTATION_COUNT);
}

WRAP(void, bare_hide, (struct bare_window *window, uint32_t page))
{
    if (mutation != PAGES_STAY_SHOWN)
        __real_bare_hide(window, page);
}

WRAP(bool, bare_show, (struct bare_window *window, const struct phys *phys, uint32_t page, uint32_t physical_page, uint32_t count,
                       bool writable))
{
    return __real_bare_show(window, phys, page, physical_page, count, writable || mutation == SHOWN_WRITABLE);
}

WRAP(bool, phys_dma_write, (struct phys *phys, uint64_t address, const void *buffer, size_t size))
{
    if (mutation != DMA_UNNOTICED || address + size > phys_ram_size(phys))
        return __real_phys_dma_write(phys, address, buffer, size);
    memcpy(phys_ram(phys) + address, buffer, size);
    return true;
}

WRAP(void, far_links_check, (struct translator *t, bool user))
{
    if (mutation != FAR_LINKS_STAY)
        __real_far_links_check(t, user);
}

WRAP(void, jumps_check, (struct translator *t, bool user))
{
    if (mutation != JUMPS_STAY)
        __real_jumps_check(t, user);
}

WRAP(void, jumps_forget, (struct translator *t, const struct block *block))
{
    if (mutation != JUMPS_TO_DEAD)
        __real_jumps_forget(t, block);
}

WRAP(void, view_flush_page, (struct cpu *cpu, uint32_t linear))
{
    if (mutation != PAGE_NOT_FLUSHED)
        __real_view_flush_page(cpu, linear);
}

WRAP(void, view_flush_nonglobal, (struct cpu *cpu))
{
    if (mutation != SPACE_NOT_FLUSHED)
        __real_view_flush_nonglobal(cpu);
}

WRAP(void, view_protect_page, (struct cpu *cpu, uint32_t physical_page))
{
    if (mutation != CODE_NOT_PROTECTED)
        __real_view_protect_page(cpu, physical_page);
}

WRAP(uint64_t, view_generation_of, (const struct cpu *cpu, bool user))
{
    return mutation == MAPPINGS_UNNOTICED ? 1 : __real_view_generation_of(cpu, user);
}
