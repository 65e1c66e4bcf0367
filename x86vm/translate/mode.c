/* SPDX-License-Identifier: BSD-2-Clause
 *
 * See mode.h. The lookup key has the mode (numbered densely), the privilege
 * and an epoch that advances whenever a linear page may lead elsewhere; EIP is
 * added to it by emitted code.
 */
#include "x86vm/translate/mode.h"

#include "x86vm/cpu/limits.h"

enum { EPOCH_BITS = X86VM_LIMIT(17, 3) }; /* 32 EIP, 17 epoch, 1 privilege, 10 mode, 1 poison, and room */

static enum seg_state segment_state(const struct cpu *cpu, enum cpu_seg which)
{
    if (cpu_checks_alignment(cpu))
        return SEG_CHECKED;
    const struct cpu_segment *s = &cpu->seg[which];
    unsigned type = s->access & 15;
    bool usable = (s->access & (SEG_P | SEG_S)) == (SEG_P | SEG_S) && s->limit == 0xffffffff;

    if (which == CPU_CS) /* readable, for those who name it; who writes is checked anyhow */
        return usable && s->base == 0 && type & SEG_TYPE_RW ? SEG_FLAT : SEG_CHECKED;
    /* writable data, expanding up; code segments and read-only data are checked */
    if (!usable || (type & (SEG_TYPE_CODE | SEG_TYPE_EXPAND_DOWN | SEG_TYPE_RW)) != SEG_TYPE_RW)
        return SEG_CHECKED;
    return s->base ? SEG_BASED : SEG_FLAT;
}

static uint32_t derive(const struct cpu *cpu)
{
    uint32_t mode = 0;

    if (cpu->seg[CPU_CS].access & SEG_DB)
        mode |= MODE_CODE32;
    if (cpu->seg[CPU_SS].access & SEG_DB)
        mode |= MODE_STACK32;
    mode |= (cpu->cr0 & CR0_TS ? MODE_TS : 0) | (cpu->cr0 & CR0_EM ? MODE_EM : 0) | (cpu->cr0 & CR0_MP ? MODE_MP : 0);
    mode |= cpu->cpl == 0 && cpu_protected(cpu) && !cpu_v8086(cpu) ? MODE_CPL0 : 0;
    mode |= cpu->cpl == 3 ? MODE_USER : 0;
    mode |= view_bare_used(cpu) ? MODE_BARE : 0;
    mode |= cpu->cr4 & CR4_OSFXSR ? MODE_OSFXSR : 0;
    for (unsigned i = 0; i < CPU_SEG_COUNT; i++)
        mode |= (uint32_t)segment_state(cpu, i) << (MODE_SEG_SHIFT + 2 * i);
    return mode;
}

/* A small number for each mode and code segment seen; 0 when there are too many
 * (then the table is cleared and numbering starts again). A kernel's leaves out
 * GS, which is whatever its user had: see blocks_remember(). */
static uint32_t present_number(struct translator *t)
{
    const struct cpu_segment *cs = &translator_cpu(t)->seg[CPU_CS];
    uint32_t mode = translator_cpu(t)->cpl == 3 ? t->area->mode : t->area->mode & ~MODE_GS;

    for (uint32_t i = 0; i < t->mode_count; i++)
        if (t->modes[i].mode == mode && t->modes[i].cs_base == cs->base && t->modes[i].cs_limit == cs->limit)
            return i;
    if (t->mode_count == sizeof t->modes / sizeof t->modes[0]) {
        blocks_clear_lookup(t);
        t->mode_count = 0;
    }
    t->modes[t->mode_count] = (struct code_mode){ mode, cs->base, cs->limit };
    return t->mode_count++;
}

/* The stores are ordered: another thread's request must not slip in between
 * the new key and the look at exit_request and leave a key without poison. */
static void renew_key(struct translator *t)
{
    struct cpu *cpu = translator_cpu(t);
    bool user = cpu->cpl == 3;
    uint64_t high = (uint64_t)present_number(t) << 1 | user;
    uint64_t key = high << (32 + EPOCH_BITS) | (uint64_t)t->area->key_epoch[user] << 32;

    if (cpu->lookup_key == key)
        return; /* nor is it poisoned */
    __atomic_store_n(&cpu->lookup_key, key, __ATOMIC_SEQ_CST);
    if (cpu->exit_request)
        __atomic_or_fetch(&cpu->lookup_key, LOOKUP_POISON, __ATOMIC_SEQ_CST);
}

/* Advances the epoch of a privilege if one of its code mappings changed. */
static bool advance_epoch(struct translator *t, bool user)
{
    uint64_t generation = view_generation_of(translator_cpu(t), user);

    if (generation == t->generation[user])
        return false;
    t->generation[user] = generation;
    far_links_check(t, user);
    jumps_check(t, user);
    t->area->key_epoch[user] = (t->area->key_epoch[user] + 1) & ((1u << EPOCH_BITS) - 1);
    if (t->area->key_epoch[user] == 0)
        blocks_clear_lookup(t);
    return true;
}

/* Both: emitted code may change the privilege next (transition.h), and looks at the epochs alone. */
static bool advance_epochs(struct translator *t)
{
    bool supervisor = advance_epoch(t, false), user = advance_epoch(t, true);

    return translator_cpu(t)->cpl == 3 ? user : supervisor;
}

void mode_check_generation(struct translator *t)
{
    if (advance_epochs(t))
        renew_key(t);
}

void mode_update(struct translator *t)
{
    struct cpu *cpu = translator_cpu(t);

    cpu->mode_dirty = false;
    t->area->mode = derive(cpu);
    advance_epochs(t);
    renew_key(t);
}

bool mode_changed(struct translator *t, uint32_t mask)
{
    uint32_t before = t->area->mode;
    mode_update(t);
    return (before ^ t->area->mode) & mask;
}
