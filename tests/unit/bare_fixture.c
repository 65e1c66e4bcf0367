/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The machine that bare_fixture.h describes.
 */
#include "tests/unit/bare_fixture.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct cpu *cpu;
static int file; /* for host_rights() */
uint32_t refused_by;

void poke32(uint32_t address, uint32_t value) { memcpy(phys_ram(cpu->phys) + address, &value, 4); }
uint32_t peek32(uint32_t address)
{
    uint32_t value;
    memcpy(&value, phys_ram(cpu->phys) + address, 4);
    return value;
}
uint32_t directory(unsigned n) { return 0x10000 + n * 0x2000; }
uint32_t pte_at(unsigned n, uint32_t linear) { return directory(n) + 0x1000 + (linear >> 12 & 1023) * 4; }
void set_pte(uint32_t linear, uint32_t pte) { poke32(pte_at(0, linear), pte); }

void bare_setup(void)
{
    setenv("X86VM_EAGER_BARE", "1", 1);
    cpu = aligned_alloc(64, (sizeof *cpu + 63) / 64 * 64);
    memset(cpu, 0, sizeof *cpu);
    cpu->phys = phys_new(RAM);
    cpu->io = io_bus_new();
    cpu->views = view_set_new();
    unsetenv("X86VM_EAGER_BARE");
    cpu_reset(cpu);
    cpu->tsc_khz = 1000000;
    for (unsigned n = 0; n < SPACES; n++)
        poke32(directory(n) + 4, (directory(n) + 0x1000) | P | W | U);
    cpu->cr3 = directory(0);
    cpu->cr0 = CR0_PE | CR0_PG | CR0_WP;
    cpu->cr4 = CR4_PSE | CR4_PGE;
    cpu->cpl = 3;
    view_select(cpu);
    view_bare_review(cpu);
}

void bare_teardown(void)
{
    view_set_free(cpu->views);
    io_bus_free(cpu->io);
    phys_free(cpu->phys);
    free(cpu);
}

void become(bool user)
{
    cpu->cpl = user ? 3 : 0;
    view_select(cpu);
}

void load_cr3(unsigned n)
{
    cpu->cr3 = directory(n);
    view_flush_nonglobal(cpu);
    view_bare_review(cpu);
}

enum view_bare_answer touch(uint32_t linear, bool write)
{
    return view_bare_fault(cpu, (uint64_t)(uintptr_t)cpu->bare + linear, write, &refused_by);
}

int host_rights(uint8_t *at)
{
    if (pwrite(file, at, 1, 0) != 1)
        return 0;
    return pread(file, at, 1, 0) == 1 ? 3 : 1; /* the byte that was there */
}

int shows(uint32_t linear)
{
    uint32_t shown = view_of(cpu->views, cpu->cpl == 3)->bare->shows[linear >> 12];
    return shown ? 1 | (shown & BARE_WRITABLE ? 2 : 0) : 0;
}

static bool page_is_right(const struct view *view, uint32_t page)
{
    uint32_t shown = view->bare->shows[page];
    uint8_t *at = view->bare->base + ((uint64_t)page << 12), *ram = phys_ram(cpu->phys);
    int rights = host_rights(at);

    if (!shown)
        return rights == 0;
    ram += (uint64_t)bare_physical_page(view->bare, page) << 12;
    return view->read[page] + ((uint64_t)page << 12) == (uint64_t)(uintptr_t)ram && rights == (shown & BARE_WRITABLE ? 3 : 1)
        && (!(shown & BARE_WRITABLE) || view->write[page] == view->read[page]) && memcmp(at, ram, 64) == 0;
}

bool all_is_right(void)
{
    for (unsigned u = 0; u < VIEW_COUNT; u++)
        for (uint32_t page = FIRST >> 12; cpu->views->view[u].bare && page < (FIRST >> 12) + PAGES; page++)
            if (!page_is_right(&cpu->views->view[u], page))
                return false;
    return true;
}

unsigned host_mappings(const struct bare_window *window)
{
    uint64_t first = (uint64_t)(uintptr_t)window->base, from, to;
    unsigned count = 0;
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");

    while (maps && fgets(line, sizeof line, maps))
        if (sscanf(line, "%" SCNx64 "-%" SCNx64, &from, &to) == 2)
            count += to > first && from < first + (1ull << 32);
    if (maps)
        fclose(maps);
    return count;
}

bool counted_right(const struct bare_window *window)
{
    unsigned count = host_mappings(window);

    return window->open ? count == window->mappings : count >= window->mappings && count <= 2 * window->mappings + 1;
}

bool bare_fixture_possible(void)
{
    file = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    if (file >= 0 && bare_possible())
        return true;
    puts("skip: no FSGSBASE");
    return false;
}
