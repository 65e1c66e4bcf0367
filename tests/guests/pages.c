/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The test guest's page tables: two levels, 4 KiB pages, the first 16 MiB mapped
 * onto themselves with every right; tests change single entries.
 */
#include "guest.h"

enum { IDENTITY_TABLES = 4, TABLES = 20 };

static uint32_t directory[1024] __attribute__((aligned(4096)));
static uint32_t tables[TABLES][1024] __attribute__((aligned(4096)));
static unsigned tables_used;

bool pages_have_pat(void)
{
    uint32_t a = 1, b, c, d;

    __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    return d & 1u << 16;
}

uint32_t *pages_directory(void)
{
    return directory;
}

uint32_t *pages_entry(uint32_t address)
{
    uint32_t *slot = &directory[address >> 22];
    if (!(*slot & PTE_P)) {
        if (tables_used == TABLES) {
            print("  no page table left\n");
            tables_used = TABLES - 1;
        }
        *slot = (uint32_t)tables[tables_used++] | PTE_P | PTE_W | PTE_U;
    }
    return (uint32_t *)(*slot & ~0xfffu) + (address >> 12 & 1023);
}

void pages_map(uint32_t address, uint32_t entry)
{
    *pages_entry(address) = entry;
    invlpg(address);
}

void pages_on(void)
{
    if (READ_CR(0) & 0x80000000)
        return;
    for (uint32_t a = 0; a < IDENTITY_TABLES * 0x400000u; a += 4096)
        *pages_entry(a) = a | PTE_P | PTE_W | PTE_U;
    WRITE_CR(3, directory);
    WRITE_CR(4, READ_CR(4) | 0x90);            /* PSE, PGE */
    WRITE_CR(0, READ_CR(0) | 0x80010000);      /* PG, WP */
}
