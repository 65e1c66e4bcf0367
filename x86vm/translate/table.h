/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A growable array whose members keep their number, not their address.
 */
#ifndef X86VM_TRANSLATE_TABLE_H
#define X86VM_TRANSLATE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#define TABLE(type) struct { type *items; uint32_t count, capacity; }
void *translator_grow(void *items, uint32_t count, uint32_t *capacity, size_t item_size);
#define TABLE_ADD(table, value) \
    ((table).items = translator_grow((table).items, (table).count, &(table).capacity, sizeof *(table).items), \
     (table).items[(table).count] = (value), (table).count++)

#endif
