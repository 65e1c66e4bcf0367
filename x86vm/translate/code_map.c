/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Host code -> guest instruction: see code_map.h.
 */
#include "x86vm/translate/code_map.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS_A_POINT = 64, NUMBER_MOST = 5, FIRST_CAPACITY = 1024 };

/* Every 64th row, and where the ones behind it begin. */
struct code_point {
    struct code_row row;
    uint32_t at;
};

static void *with_room(void *items, uint32_t needed, uint32_t *capacity, size_t item_size)
{
    if (needed <= *capacity)
        return items;
    *capacity = *capacity ? *capacity * 2 : FIRST_CAPACITY;
    items = realloc(items, *capacity * item_size);
    if (!items)
        abort(); /* host out of memory: nothing sensible can go on */
    return items;
}

/* --- numbers of seven bits a byte; signed ones with the sign in the lowest bit --- */

static uint8_t *put(uint8_t *p, uint32_t value)
{
    for (; value >= 0x80; value >>= 7)
        *p++ = (uint8_t)(value | 0x80);
    *p++ = (uint8_t)value;
    return p;
}

static const uint8_t *get(const uint8_t *p, uint32_t *value)
{
    *value = 0;
    for (unsigned shift = 0;; shift += 7) {
        *value |= (uint32_t)(*p & 0x7f) << shift;
        if (!(*p++ & 0x80))
            return p;
    }
}

static uint32_t fold(uint32_t difference) { return difference << 1 ^ (difference >> 31 ? UINT32_MAX : 0); }
static uint32_t unfold(uint32_t folded) { return folded >> 1 ^ (folded & 1 ? UINT32_MAX : 0); }

static uint8_t *put_row(uint8_t *p, uint32_t offset, uint32_t eip, uint32_t esp)
{
    if ((offset | eip | esp) >= 0x80)
        return put(put(put(p, offset), eip), esp);
    p[0] = (uint8_t)offset; /* mostly */
    p[1] = (uint8_t)eip;
    p[2] = (uint8_t)esp;
    return p + 3;
}

static const uint8_t *next_row(const uint8_t *p, struct code_row *row)
{
    uint32_t offset, eip, esp;

    p = get(get(get(p, &offset), &eip), &esp);
    row->offset += offset;
    row->eip += unfold(eip);
    row->esp_delta = (int32_t)((uint32_t)row->esp_delta + unfold(esp));
    return p;
}

/* --- the map --- */

void code_map_add(struct code_map *map, const struct code_row *row)
{
    struct code_map_end *end = &map->end;
    uint32_t point = end->row_count / ROWS_A_POINT;
    uint8_t *p;

    if (end->row_count % ROWS_A_POINT == 0) {
        map->points = with_room(map->points, point + 1, &map->point_capacity, sizeof *map->points);
        map->points[point] = (struct code_point){ *row, end->byte_count };
    } else {
        map->bytes = with_room(map->bytes, end->byte_count + 3 * NUMBER_MOST, &map->byte_capacity, 1);
        p = put_row(map->bytes + end->byte_count, row->offset - end->last.offset, fold(row->eip - end->last.eip),
                    fold((uint32_t)row->esp_delta - (uint32_t)end->last.esp_delta));
        end->byte_count = (uint32_t)(p - map->bytes);
    }
    end->last = *row;
    end->row_count++;
}

/* The last of the whole rows that is not behind `offset`, plus one; 0: none. */
static uint32_t find_point(const struct code_map *map, uint32_t offset)
{
    uint32_t low = 0, high = (map->end.row_count + ROWS_A_POINT - 1) / ROWS_A_POINT;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (map->points[middle].row.offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool code_map_find(const struct code_map *map, uint32_t offset, struct code_row *out)
{
    uint32_t point = find_point(map, offset), left;
    const uint8_t *p;
    struct code_row row;

    if (!point)
        return false;
    row = *out = map->points[point - 1].row;
    p = map->bytes + map->points[point - 1].at;
    left = map->end.row_count - (point - 1) * ROWS_A_POINT;
    left = left < ROWS_A_POINT ? left : ROWS_A_POINT;
    while (--left) {
        p = next_row(p, &row);
        if (row.offset > offset)
            break;
        *out = row;
    }
    return true;
}

void code_map_clear(struct code_map *map)
{
    memset(&map->end, 0, sizeof map->end);
}

void code_map_free(struct code_map *map)
{
    free(map->points);
    free(map->bytes);
    memset(map, 0, sizeof *map);
}
