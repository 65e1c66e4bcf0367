/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Host code -> guest instruction: see code_map.h.
 */
#include "x86vm/translate/code_map.h"

#include <stdlib.h>
#include <string.h>

#include "x86vm/cpu/limits.h"

enum { NUMBER_MOST = 5, FIRST_CAPACITY = X86VM_LIMIT(1024, 16), END_SIZE = 3 };

/* A run's first row, which has moved ESP by nothing, and where its others begin. */
struct code_point {
    uint32_t offset, eip, rows;
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

/* A row that differs from the one before in nothing ends a run. */
static void close_run(struct code_map *map)
{
    struct code_map_end *end = &map->end;

    if (!end->open)
        return;
    map->bytes = with_room(map->bytes, end->byte_count + END_SIZE, &map->byte_capacity, 1);
    memset(map->bytes + end->byte_count, 0, END_SIZE);
    end->byte_count += END_SIZE;
    end->open = false;
}

static void add_point(struct code_map *map, uint32_t offset, uint32_t eip, uint32_t rows)
{
    map->points = with_room(map->points, map->end.point_count + 1, &map->point_capacity, sizeof *map->points);
    map->points[map->end.point_count++] = (struct code_point){ offset, eip, rows };
}

uint32_t code_map_begin(struct code_map *map, uint32_t offset, uint32_t eip)
{
    close_run(map);
    add_point(map, offset, eip, map->end.byte_count);
    map->end.last = (struct code_row){ offset, eip, 0 };
    map->end.open = true;
    return map->end.byte_count;
}

void code_map_begin_same(struct code_map *map, uint32_t offset, uint32_t eip, uint32_t rows)
{
    close_run(map);
    add_point(map, offset, eip, rows);
}

void code_map_add(struct code_map *map, const struct code_row *row)
{
    struct code_map_end *end = &map->end;
    uint32_t offset = row->offset - end->last.offset, eip = fold(row->eip - end->last.eip);
    uint32_t esp = fold((uint32_t)row->esp_delta - (uint32_t)end->last.esp_delta);

    if (!(offset | eip | esp))
        return;
    map->bytes = with_room(map->bytes, end->byte_count + 3 * NUMBER_MOST, &map->byte_capacity, 1);
    end->byte_count = (uint32_t)(put_row(map->bytes + end->byte_count, offset, eip, esp) - map->bytes);
    end->last = *row;
}

/* The last of the runs that does not begin behind `offset`, plus one; 0: none. */
static uint32_t find_point(const struct code_map *map, uint32_t offset)
{
    uint32_t low = 0, high = map->end.point_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (map->points[middle].offset <= offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool code_map_find(const struct code_map *map, uint32_t offset, struct code_row *out)
{
    uint32_t number = find_point(map, offset);
    const struct code_point *point;
    const uint8_t *p, *end;
    struct code_row row, before;

    if (!number)
        return false;
    point = &map->points[number - 1];
    row = (struct code_row){ point->offset, point->eip, 0 };
    p = map->bytes + point->rows;
    end = map->bytes + map->end.byte_count;
    do {
        before = *out = row;
        if (p >= end)
            break;
        p = next_row(p, &row);
    } while (row.offset <= offset && memcmp(&row, &before, sizeof row) != 0);
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
