/* SPDX-License-Identifier: BSD-2-Clause
 *
 * How long address spaces run between two loads of CR3, for view_bare.c. To look
 * at all that a laid-aside window shows, and to look up code anew, costs some tens
 * of microseconds: too much for who hands a byte to and fro, little for the
 * programs of a pipeline, each of which runs for a fraction of a millisecond and
 * would never have run for a whole one.
 *
 * An address space is known by its CR3, which may be another's by now: a new
 * process gets the tables of one that ended. So what is known of it is forgotten
 * when its window turns out to show something else; and one with many page faults
 * is young, or a row of short-lived ones, for whom each page that is shown comes too dear.
 */
#include "x86vm/memory/view_internal.h"

#include "x86vm/cpu/cpu.h"

/* A space must have run for so long in all, and runs for so long each time; a slice
 * counts for no more than the most, so that a change of habit is noticed soon. */
enum { KNOWN_US = X86VM_LIMIT(4000, 20), LONG_US = X86VM_LIMIT(150, 2), SLICE_MOST_US = 1000, WEIGHT = 8 };
/* With no more page faults than one in so long. What is older than the latest counts half. */
enum { REFUSED_US = X86VM_LIMIT(125, 1), LATEST_US = 64000 };

static uint64_t ticks(const struct cpu *cpu, uint32_t us)
{
    return (uint64_t)cpu->tsc_khz * us / 1000;
}

static struct space *find(struct view_set *set, uint32_t cr3)
{
    struct space *oldest = set->spaces;

    for (struct space *s = set->spaces; s < set->spaces + SPACES_KNOWN; s++) {
        if (s->cr3 == cr3 && s->ran)
            return s;
        if (s->used < oldest->used)
            oldest = s;
    }
    *oldest = (struct space){ .cr3 = cr3 };
    return oldest;
}

void view_slices_loaded(struct cpu *cpu, uint64_t now)
{
    struct view_set *set = cpu->views;
    struct space *space = set->space;
    int64_t slice = (int64_t)(now - set->loaded_at), most = (int64_t)ticks(cpu, SLICE_MOST_US);

    if (space && now > set->loaded_at) {
        space->ran += (uint64_t)slice;
        space->refused += set->refused;
        if (space->ran > ticks(cpu, LATEST_US)) {
            space->ran /= 2;
            space->refused /= 2;
        }
        space->slice += ((slice < most ? slice : most) - space->slice) / WEIGHT;
        space->used = now;
    }
    set->refused = 0;
    set->space = find(set, cpu->cr3);
}

bool view_slices_long(const struct cpu *cpu)
{
    const struct space *space = cpu->views->space;

    return space && space->ran >= ticks(cpu, KNOWN_US) && space->slice >= (int64_t)ticks(cpu, LONG_US)
        && space->refused * ticks(cpu, REFUSED_US) <= space->ran;
}

void view_slices_forget(struct cpu *cpu)
{
    if (cpu->views->space)
        *cpu->views->space = (struct space){ .cr3 = cpu->cr3 };
}
