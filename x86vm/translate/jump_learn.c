/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What becomes of an indirect jump: see jump_sites.h. Called by translated code, to
 * which it comes back: nothing is translated here, no guest's table is walked, and
 * nothing is raised.
 */
#include "x86vm/translate/jump_sites.h"

#include "x86vm/translate/translator.h"

enum { GO_ON = 1, SAMPLES = X86VM_LIMIT(8, 3), AT_ONCE = 1, LATER = X86VM_LIMIT(64, 2) };

/* The block there, if there is one; NULL: not at present. */
static struct block *find_target(struct translator *t, uint32_t eip)
{
    struct cpu *cpu = translator_cpu(t);
    uint32_t linear = cpu->seg_base[CPU_CS] + eip;
    uint64_t addend = cpu->tables[VIEW_EXEC / 8 + (linear >> PAGE_SHIFT)];

    return addend ? blocks_find(t, eip, (uint32_t)(addend + linear - (uint64_t)(uintptr_t)t->ram), t->area->mode) : NULL;
}

/* To many places, or to one that no direct jump may lead to. The run loop gives it a map, if there is one. */
static uint8_t give_up(struct translator *t, struct link *link)
{
    jumps_put_lookup(t, link);
    t->counters.jump_lookups++;
    if (t->jumps.possible && link->from->mode & MODE_BARE) {
        jumps_sample(t, recall_block_at(t, link->from->entry));
        translator_request(translator_cpu(t));
    }
    return LATER;
}

/* Compares with the link's target from now on, if that is there. Returns the site's patience, as the others here do. */
static uint8_t cache_target(struct translator *t, uint32_t number)
{
    struct link *link = &t->links.items[number];
    struct block *to = find_target(t, link->target);

    if (!to) {
        link->state = SITE_NEW;
        return LATER;
    }
    link->near = blocks_near(link->from, link->from->eip, link->target);
    blocks_link(t, number, to);
    if (!link->linked)
        return give_up(t, link);
    jumps_put_cache(t, link);
    t->counters.jump_caches++;
    return t->jumps.misses_most;
}

/* It has missed many times; nobody has counted how often it did not. */
static uint8_t begin_samples(struct translator *t, uint32_t number)
{
    struct link *link = &t->links.items[number];

    blocks_unlink(t, number); /* it leads to the stub, whether the comparison finds it or not */
    link->state = SITE_SAMPLED;
    link->samples = SAMPLES;
    link->score = 0;
    return AT_ONCE;
}

/* The majority's vote (Boyer and Moore), and by how much. */
static uint8_t take_sample(struct translator *t, uint32_t number, uint32_t eip)
{
    struct link *link = &t->links.items[number];

    if (eip == link->target) {
        link->score++;
    } else if (link->score) {
        link->score--;
    } else {
        link->target = eip;
        link->score = 1;
    }
    if (--link->samples)
        return AT_ONCE;
    return link->score * 2 >= SAMPLES ? cache_target(t, number) : give_up(t, link);
}

static uint8_t learn(struct translator *t, uint32_t number, uint32_t eip)
{
    struct link *link = &t->links.items[number];

    switch (link->state) {
    case SITE_SAMPLED:
        return take_sample(t, number, eip);
    case SITE_CACHED:
        if (link->linked)
            return begin_samples(t, number);
        break; /* what it compared with is gone: as a new one */
    case SITE_NEW:
        break;
    default:
        return LATER; /* does not come here */
    }
    link->target = eip;
    return cache_target(t, number);
}

/* While a request waits, no jump may change that was recalled for it (recall.h). */
void jumps_learn(struct cpu *cpu, uint32_t number, uint32_t eip)
{
    struct translator *t = translator_current;
    bool later = cpu->exit_request || cpu->mode_dirty || t->links.items[number].from->dead;

    t->area->site_patience[number % JUMP_SITE_COUNTS] = later ? LATER : learn(t, number, eip);
    cpu->scratch[GO_ON] = t->stubs.dispatch;
}
