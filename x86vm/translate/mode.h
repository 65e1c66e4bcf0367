/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Which translations fit the CPU's present state: the mode bits derived from
 * struct cpu, and the key of the indirect-jump table.
 */
#ifndef X86VM_TRANSLATE_MODE_H
#define X86VM_TRANSLATE_MODE_H

#include "x86vm/translate/translator.h"

/* Derives the mode from the CPU and renews the lookup key when the mode or the
 * address space changed. Clears mode_dirty. */
void mode_update(struct translator *t);
/* mode_update(), and whether a bit of `mask` differs from before. */
bool mode_changed(struct translator *t, uint32_t mask);
/* Renews the lookup key if a mapping changed since the last time. */
void mode_check_generation(struct translator *t);

#endif
