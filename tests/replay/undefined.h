/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Which arithmetic flags the manual leaves undefined, for one instruction: those
 * after it are (before & keeps) | makes.
 */
#ifndef TESTS_REPLAY_UNDEFINED_H
#define TESTS_REPLAY_UNDEFINED_H

#include <stddef.h>
#include <stdint.h>

void undefined_flags(const uint8_t *bytes, size_t size, uint32_t *keeps, uint32_t *makes);

#endif
