/* SPDX-License-Identifier: BSD-2-Clause
 * String instructions: directions, overlap, early end, 16-bit forms, zero counts.
 * Those that fault halfway are in group_paging.c. */
#include "guest.h"

static uint8_t *const area = (uint8_t *)SCRATCH;

struct string_regs {
    uint32_t ecx;
    void *esi, *edi;
};

#define STRING(code, r, a)                                                                     \
    __asm__ volatile(code : "+c"((r).ecx), "+S"((r).esi), "+D"((r).edi), "+a"(a)::"memory", "cc")

static bool moves(void)
{
    for (int i = 0; i < 256; i++)
        area[i] = (uint8_t)i;
    uint32_t a = 0;
    struct string_regs r = { 64, area, area + 4096 - 13 };
    STRING("cld; rep movsb", r, a);
    CHECK(r.ecx == 0 && r.esi == area + 64 && r.edi == area + 4096 - 13 + 64);
    CHECK(memory_equal(area, area + 4096 - 13, 64));
    /* Overlap: each byte copied sees the one just written. */
    r = (struct string_regs){ 20, area, area + 1 };
    STRING("cld; rep movsb", r, a);
    for (int i = 0; i < 21; i++)
        CHECK(area[i] == 0);
    r = (struct string_regs){ 8, area + 128 + 28, area + 512 + 28 };
    STRING("std; rep movsl; cld", r, a);
    CHECK(r.esi == area + 128 - 4 && memory_equal(area + 128, area + 512, 32));
    r = (struct string_regs){ 0, area, area + 8 };
    STRING("rep movsl", r, a);
    CHECK(r.ecx == 0 && r.esi == area && r.edi == area + 8);
    return true;
}

static bool stores_and_loads(void)
{
    uint32_t a = 0xa1b2c3d4;
    struct string_regs r = { 3000, area, area };
    STRING("cld; rep stosl", r, a);
    for (int i = 0; i < 3000; i++)
        CHECK(((uint32_t *)area)[i] == a);
    r = (struct string_regs){ 5, area, area + 2 };
    STRING("cld; rep stosw", r, a);
    CHECK(r.edi == area + 12 && ((uint32_t *)area)[1] == 0xc3d4c3d4);
    r.esi = area + 1;
    a = 0;
    STRING("lodsl", r, a);
    CHECK(r.esi == area + 5 && a == (uint32_t)(area[1] | area[2] << 8 | area[3] << 16 | (uint32_t)area[4] << 24));
    return true;
}

static bool scans(void)
{
    memory_set(area, 'x', 10000);
    area[7777] = 'y';
    uint32_t a = 'y';
    struct string_regs r = { 10000, area, area };
    STRING("cld; repne scasb", r, a);
    CHECK(r.edi == area + 7778 && r.ecx == 10000 - 7778);
    r = (struct string_regs){ 10000, area, area };
    a = 'x';
    STRING("cld; repe scasb", r, a);
    CHECK(r.edi == area + 7778);
    uint32_t equal;
    memory_set(area + 20000, 'x', 10000);
    r = (struct string_regs){ 10000, area, area + 20000 };
    STRING("cld; repe cmpsb; sete %b3; movzbl %b3, %3", r, a);
    equal = a;
    CHECK(!equal && r.esi == area + 7778 && r.ecx == 10000 - 7778);
    /* With a count of zero the flags stay. */
    r = (struct string_regs){ 0, area, area };
    STRING("xorl %3, %3; repne cmpsb; sete %b3; movzbl %b3, %3", r, a);
    CHECK(a == 1);
    return true;
}

static bool segment_override(void)
{
    gdt_set(SEL_SPARE, SCRATCH + 0x1000, 0xfffff, 0x92, 0xc);
    area[0x1000] = 0x5a;
    area[0] = 0;
    uint32_t r;
    __asm__ volatile("movl %1, %%fs; movl $0, %%esi; movl %2, %%edi; fs movsb; movzbl %%fs:0, %0;"
                     "movl %3, %%fs"
                     : "=&r"(r) : "r"(SEL_SPARE), "r"(area), "r"(SEL_KERNEL_DATA) : "esi", "edi", "memory");
    CHECK(r == 0x5a && area[0] == 0x5a);
    return true;
}

static const struct test tests[] = {
    { "moves", moves, NULL }, { "stores_and_loads", stores_and_loads, NULL }, { "scans", scans, NULL },
    { "segment_override", segment_override, NULL }, { NULL, NULL, NULL },
};
const struct test_group group_string = { "string", tests, NULL };
