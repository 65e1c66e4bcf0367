/* SPDX-License-Identifier: BSD-2-Clause
 *
 * See patience.h.
 */
#include "x86vm/translate/patience.h"

#include <string.h>

#include "x86vm/cpu/limits.h"

void patience_renew(struct translator *t)
{
    memset(t->group_failures, 0, sizeof t->group_failures);
    memset(t->bare_failures, 0, sizeof t->bare_failures);
    memset(t->bare_useless, 0, sizeof t->bare_useless);
}

/* --- groups that keep failing (device registers, stacks at a page's edge) --- */

enum { GROUP_PATIENCE = X86VM_LIMIT(32, 3) };

static uint32_t group_slot(const struct translator *t, uint32_t physical)
{
    return (physical ^ physical >> 12) % sizeof t->group_failures;
}

bool patience_group_failed(struct translator *t, uint32_t physical)
{
    uint8_t *failures = &t->group_failures[group_slot(t, physical)];
    if (*failures < GROUP_PATIENCE)
        (*failures)++;
    return *failures == GROUP_PATIENCE;
}

bool patience_groups_useless(const struct translator *t, uint32_t physical)
{
    return t->group_failures[group_slot(t, physical)] == GROUP_PATIENCE;
}

/* --- accesses without a check that keep faulting --- */

enum { BARE_PATIENCE = X86VM_LIMIT(24, 8), BARE_BADLY = 8, BARE_ODDLY = 2 };

_Static_assert(sizeof(((struct translator *)0)->bare_failures) == 65536, "a slot in 16 bits");

/* Neighbours in a group of 64 are neighbours in one here. */
static uint32_t bare_slot(uint32_t physical) { return (physical ^ physical >> 16) & 0xffff; }

bool patience_bare_failed(struct translator *t, uint32_t eip, bool badly)
{
    struct cpu *cpu = translator_cpu(t);
    uint32_t linear = cpu->seg_base[CPU_CS] + eip, slot;
    uint64_t addend = cpu->tables[VIEW_EXEC / 8 + (linear >> PAGE_SHIFT)];
    uint8_t *failures;

    if (!addend)
        return false;
    slot = bare_slot((uint32_t)(addend + linear - (uint64_t)(uintptr_t)t->ram));
    failures = &t->bare_failures[slot];
    if (*failures < BARE_PATIENCE) {
        *failures += badly ? BARE_BADLY : BARE_ODDLY;
        t->bare_useless[slot / 64] += *failures >= BARE_PATIENCE;
    }
    return *failures >= BARE_PATIENCE;
}

bool patience_bare_useless(const struct translator *t, uint32_t physical)
{
    return t->bare_failures[bare_slot(physical)] >= BARE_PATIENCE;
}

uint32_t patience_bare_useless_in(const struct translator *t, uint32_t physical, uint32_t length)
{
    uint32_t count = 0;

    for (uint32_t at = physical; at - physical < length;) {
        if (!t->bare_useless[bare_slot(at) / 64]) {
            at = (at | 63) + 1;
            continue;
        }
        count += patience_bare_useless(t, at++);
    }
    return count;
}
