/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Which guest instruction host code belongs to: runs of rows, a block's hot or
 * its cold part each, in the order of the code. A row is kept as its difference
 * to the one before, some three bytes; the first is kept whole, so that a run
 * that only lies elsewhere can have the rows of another.
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
    struct code_point *points; /* one a run */
    uint8_t *bytes;
    uint32_t point_capacity, byte_capacity;
    struct code_map_end { uint32_t point_count, byte_count; bool open; struct code_row last; } end;
};

/* Begins a run behind all others. Returns the number of its rows, */
uint32_t code_map_begin(struct code_map *map, uint32_t offset, uint32_t eip);
/* which a run of the same code at another place and EIP may have too. */
void code_map_begin_same(struct code_map *map, uint32_t offset, uint32_t eip, uint32_t rows);
/* A further row of the run begun last. */
void code_map_add(struct code_map *map, const struct code_row *row);
/* The last row that is not behind `offset`, of those at the same place the last. False: none. Async-signal-safe. */
bool code_map_find(const struct code_map *map, uint32_t offset, struct code_row *out);
/* What was added since `end` was the map's is forgotten. */
static inline void code_map_rewind(struct code_map *map, const struct code_map_end *end) { map->end = *end; }
void code_map_clear(struct code_map *map); /* keeps the memory, */
void code_map_free(struct code_map *map);  /* or does not */

#endif
