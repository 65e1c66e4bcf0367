/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Which guest instruction host code belongs to: rows in the order of the code,
 * each kept as its differences to the one before, some three bytes. One row of
 * many is kept whole, so that a look-up decodes few.
 */
#ifndef X86VM_TRANSLATE_CODE_MAP_H
#define X86VM_TRANSLATE_CODE_MAP_H

#include <stdbool.h>
#include <stdint.h>

struct code_row {
    uint32_t offset;   /* of the host code, in the cache */
    uint32_t eip;      /* of the guest instruction */
    int32_t esp_delta; /* what R8 lacks to guest ESP there */
};

struct code_point;
struct code_map {
    struct code_point *points;
    uint8_t *bytes;
    uint32_t point_capacity, byte_capacity;
    struct code_map_end { uint32_t row_count, byte_count; struct code_row last; } end;
};

void code_map_add(struct code_map *map, const struct code_row *row);
/* The last row that is not behind `offset`. False: none. Async-signal-safe. */
bool code_map_find(const struct code_map *map, uint32_t offset, struct code_row *out);
/* What was added since `end` was the map's is forgotten. */
static inline void code_map_rewind(struct code_map *map, const struct code_map_end *end) { map->end = *end; }
void code_map_clear(struct code_map *map); /* keeps the memory, */
void code_map_free(struct code_map *map);  /* or does not */

#endif
