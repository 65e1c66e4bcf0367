/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The shadow stack: host return addresses beside the guest's own stack, so that
 * the host's CPU predicts a guest's RET as it predicts any other.
 *
 * A guest CALL becomes a host CALL of the target's block, a RET a host RET. What
 * the host returns to is only a guess: the code behind each host CALL compares
 * the address that the guest's RET took from the guest's stack with the one that
 * this CALL stored there, and looks other addresses up like any indirect jump's.
 * So nothing the guest does to its stack matters but for speed.
 *
 * The guess would be wrong to make where the same address may mean other code: a
 * change of the mode, of the privilege, or of what is mapped where, always by
 * way of C or of transition.c, begins with an empty shadow stack. The user's is
 * left as it is over a pass of the run loop, a system call, a page fault, if its
 * lookup key is the same afterwards (translator_keep_returns()).
 * At the bottom of each lies the address of a stub that looks the target up; at
 * its end a page that cannot be written, where it is made empty and begun again.
 */
#ifndef X86VM_TRANSLATE_SHADOW_H
#define X86VM_TRANSLATE_SHADOW_H

#include <stdbool.h>
#include <stdint.h>

enum { SHADOW_SUPERVISOR, SHADOW_USER, SHADOW_COUNT };

struct shadow {
    uint8_t *map;                  /* NULL: there is none, and RET is looked up */
    uint8_t *reset[SHADOW_COUNT];  /* top of an empty one */
};

/* False: the host will not give the memory. Signals on the shadow stack would
 * overwrite it, so the thread that runs the guest gets a stack for them: all
 * handlers of signals to that thread must use it (SA_ONSTACK). */
bool shadow_init(struct shadow *shadow);
void shadow_free(struct shadow *shadow);
/* What lies at the bottom. */
void shadow_set_bottom(struct shadow *shadow, uint64_t stub);
/* Forgets all but the newest words, which an emitted sequence may be using: they
 * move to the bottom. Gives the new top, and the
 * words; `top` itself and the words there, where it does not lie in a shadow stack
 * (a host without any). */
enum { SHADOW_KEPT = 2 };
uint8_t *shadow_cut(const struct shadow *shadow, uint8_t *top, uint64_t kept[SHADOW_KEPT]);
bool shadow_is_user(const struct shadow *shadow, const uint8_t *top);
/* Whether the address is one that overflow writes to. */
bool shadow_overflows(const struct shadow *shadow, uint64_t address);

#endif
