/* SPDX-License-Identifier: BSD-2-Clause
 *
 * See recall.h. What runs here may be inside a signal handler: no allocation, no
 * lock, and the translator's tables are whole, because code that changes them
 * was not what the signal interrupted.
 */
#include "x86vm/translate/recall.h"

#include <string.h>
#include <ucontext.h>

#include "x86vm/translate/translator.h"

/* An instruction has two at most, a group one. */
enum { BLOCK_LINKS_MOST = 3 * BLOCK_MAX_INSNS, PLACES_MOST = 2 + SHADOW_KEPT, GO_ON = 1 };
_Static_assert(PLACES_MOST * BLOCK_LINKS_MOST <= RECALL_LINKS_MAX, "room for all that is recalled at once");

/* --- the jumps out of a block --- */

static uint64_t exec_address(const struct translator *t, uint32_t offset)
{
    return (uint64_t)(uintptr_t)t->cache_rx + offset;
}

static void put_back(struct translator *t)
{
    for (uint32_t i = 0; i < t->recall.count; i++) {
        const struct link *link = &t->links.items[t->recall.links[i].number];
        if (link->linked) /* nobody dropped the target meanwhile */
            emit_patch32(t->cache_rw + link->place, t->hot.to_exec, t->recall.links[i].target);
    }
    t->recall.count = 0;
}

static void recall_block(struct translator *t, const struct block *block)
{
    for (uint32_t n = block->first_link; n < block->first_link + block->link_count; n++) {
        const struct link *link = &t->links.items[n];
        uint8_t *place = t->cache_rw + link->place;
        uint64_t stub = exec_address(t, link->stub), target;

        if (!link->linked)
            continue;
        target = emit_target32(place, t->hot.to_exec);
        if (target == stub)
            continue; /* already */
        t->recall.links[t->recall.count++] = (struct recalled_link){ n, target };
        emit_patch32(place, t->hot.to_exec, stub);
    }
}

static bool begins_behind(const struct translator *t, uint32_t i, uint32_t offset, bool cold)
{
    const struct block *block = t->order.items[i];

    return (cold ? block->cold_at : (uint32_t)(block->entry - (uint64_t)(uintptr_t)t->cache_rx)) > offset;
}

/* They lie in the order in which they were made. */
uint32_t recall_block_at(const struct translator *t, uint64_t pc)
{
    const uint8_t *at = (const uint8_t *)(uintptr_t)pc - t->hot.to_exec;
    bool hot = at >= t->hot_start && at < t->hot.p, cold = at >= t->cold_start && at < t->cold.p;
    uint32_t offset = (uint32_t)(at - t->cache_rw), low = 0, high = t->order.count;

    if (!hot && !cold)
        return NOWHERE;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (begins_behind(t, middle, offset, cold))
            high = middle;
        else
            low = middle + 1;
    }
    return low ? low - 1 : NOWHERE;
}

/* Code at these places runs next, or is come back to. Others may have run before. */
static void recall_at(struct translator *t, const uint64_t *pc, unsigned count)
{
    if (t->recall.count + count * BLOCK_LINKS_MOST > RECALL_LINKS_MAX)
        put_back(t);
    for (unsigned i = 0; i < count; i++) {
        uint32_t number = recall_block_at(t, pc[i]);
        if (number == NOWHERE)
            continue;
        recall_block(t, t->order.items[number]);
        jumps_sample(t, number);
    }
}

uint64_t *recall_target(struct translator *t, uint32_t place)
{
    for (uint32_t i = 0; i < t->recall.count; i++)
        if (t->links.items[t->recall.links[i].number].place == place)
            return &t->recall.links[i].target;
    return NULL;
}

void recall_end(struct translator *t)
{
    put_back(t);
}

/* --- the other ways out --- */

/* A lookup that has loaded its key from before it was poisoned goes to the entry that no key fits. */
static void miss_lookup(const struct translator *t, greg_t *regs)
{
    const struct lookup_shape *shape = &t->lookup_shape;
    const uint8_t *pc = (const uint8_t *)(uintptr_t)regs[REG_RIP];

    for (unsigned i = 0; i < shape->count; i++) {
        const uint8_t *start = pc - shape->at[i];
        if (start >= t->cache_rx && memcmp(start, shape->bytes, shape->length) == 0) {
            regs[REG_R10] = 2 * LOOKUP_ENTRIES;
            return;
        }
    }
}

/* What has loaded a map's address goes on with that of none. */
static void miss_jump(const struct translator *t, greg_t *regs)
{
    if (t->jumps.nothing && jumps_at_jump((const uint8_t *)(uintptr_t)regs[REG_RIP]))
        regs[REG_R11] = (greg_t)(uintptr_t)t->jumps.nothing;
}

static void poison(struct translator *t, struct cpu *cpu)
{
    jumps_forbid(t);
    __atomic_or_fetch(&cpu->lookup_key, LOOKUP_POISON, __ATOMIC_SEQ_CST);
}

void recall_returning(struct cpu *cpu)
{
    struct translator *t = translator_current;
    uint64_t places[1 + SHADOW_KEPT] = { cpu->scratch[GO_ON] };

    poison(t, cpu);
    cpu->shadow = shadow_cut(&t->shadow, cpu->shadow, places + 1);
    recall_at(t, places, 1 + SHADOW_KEPT);
}

void recall_interrupted(struct translator *t, void *context)
{
    greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
    struct cpu *cpu = translator_cpu(t);
    /* The second one: a stub may be on its way there, back from C. */
    uint64_t places[PLACES_MOST] = { (uint64_t)regs[REG_RIP], cpu->scratch[GO_ON] };

    if (!cpu->exit_request || (uint64_t)regs[REG_RIP] - (uint64_t)(uintptr_t)t->cache_rx >= t->cache_size)
        return; /* C: whoever it returns to looks */
    poison(t, cpu);
    miss_lookup(t, regs);
    miss_jump(t, regs);
    regs[REG_RSP] = (greg_t)(uintptr_t)shadow_cut(&t->shadow, (uint8_t *)(uintptr_t)regs[REG_RSP], places + 2);
    recall_at(t, places, PLACES_MOST);
}

static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    if (translator_current)
        recall_interrupted(translator_current, context);
}

bool recall_install(void)
{
    struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART };

    sigfillset(&action.sa_mask);
    return sigaction(RECALL_SIGNAL, &action, NULL) == 0;
}
