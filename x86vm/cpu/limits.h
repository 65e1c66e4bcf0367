/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Figures at which the engine gives something up: a table is full, a list too long,
 * patience at an end. Guests seldom get there. Where X86VM_SMALL_LIMITS is defined each
 * has its second value, with which a short test gets to all of them (tests/programs.mk).
 */
#ifndef X86VM_CPU_LIMITS_H
#define X86VM_CPU_LIMITS_H

#ifdef X86VM_SMALL_LIMITS
#define X86VM_LIMIT(usual, small) (small)
#else
#define X86VM_LIMIT(usual, small) (usual)
#endif

#endif
