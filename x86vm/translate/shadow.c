/* SPDX-License-Identifier: BSD-2-Clause
 *
 * See shadow.h.
 */
#include "x86vm/translate/shadow.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "x86vm/cpu/limits.h"

/* Much deeper than a CPU remembers. */
enum { PAGE = 4096, DEPTH_SIZE = 2 * PAGE, ONE = PAGE + DEPTH_SIZE, SIGNAL_STACK = 16 * PAGE, MAP_SIZE = SHADOW_COUNT * ONE + PAGE + SIGNAL_STACK };

bool shadow_init(struct shadow *shadow)
{
    uint8_t *map = mmap(NULL, MAP_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_t signals = { .ss_sp = map + MAP_SIZE - SIGNAL_STACK, .ss_size = SIGNAL_STACK };

    if (map == MAP_FAILED)
        return false;
    for (int i = 0; i < SHADOW_COUNT; i++) {
        uint8_t *lowest = map + i * ONE + PAGE;
        if (mprotect(lowest, DEPTH_SIZE, PROT_READ | PROT_WRITE) != 0)
            goto unmap;
        shadow->reset[i] = lowest + X86VM_LIMIT(DEPTH_SIZE, 128) - 16;
    }
    if (mprotect(signals.ss_sp, SIGNAL_STACK, PROT_READ | PROT_WRITE) != 0 || sigaltstack(&signals, NULL) != 0)
        goto unmap;
    shadow->map = map;
    return true;

unmap:
    munmap(map, MAP_SIZE);
    return false;
}

void shadow_free(struct shadow *shadow)
{
    const stack_t none = { .ss_flags = SS_DISABLE };

    if (!shadow->map)
        return;
    sigaltstack(&none, NULL);
    munmap(shadow->map, MAP_SIZE);
    shadow->map = NULL;
}

void shadow_set_bottom(struct shadow *shadow, uint64_t stub)
{
    for (int i = 0; shadow->map && i < SHADOW_COUNT; i++)
        memcpy(shadow->reset[i], &stub, sizeof stub);
}

uint8_t *shadow_cut(const struct shadow *shadow, uint8_t *top, uint64_t kept[SHADOW_KEPT])
{
    uint64_t at = (uint64_t)(uintptr_t)top - (uint64_t)(uintptr_t)shadow->map;
    uint8_t *bottom, *cut;

    if (!shadow->map || at >= SHADOW_COUNT * ONE) {
        if (top)
            memcpy(kept, top, SHADOW_KEPT * sizeof *kept);
        return top;
    }
    bottom = shadow->reset[at / ONE];
    if (top > bottom) /* the bottom's own word was taken, and is put back next */
        return top;
    memcpy(kept, top, SHADOW_KEPT * sizeof *kept); /* a slot more than the bottom's is there */
    cut = bottom - SHADOW_KEPT * sizeof *kept;
    if (top >= cut)
        return top;
    memcpy(cut, kept, SHADOW_KEPT * sizeof *kept);
    return cut;
}

bool shadow_is_user(const struct shadow *shadow, const uint8_t *top)
{
    uint64_t at = (uint64_t)(uintptr_t)top - (uint64_t)(uintptr_t)shadow->map;

    return shadow->map && at / ONE == SHADOW_USER;
}

bool shadow_overflows(const struct shadow *shadow, uint64_t address)
{
    uint64_t at = address - (uint64_t)(uintptr_t)shadow->map;

    return shadow->map && at < SHADOW_COUNT * ONE && at % ONE < PAGE;
}
