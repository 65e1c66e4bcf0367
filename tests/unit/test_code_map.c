/* SPDX-License-Identifier: BSD-2-Clause
 * The map from host code to guest instructions against a plain array.
 */
#include "tests/unit/unit.h"
#include "x86vm/translate/code_map.h"

enum { ROWS = 5000, REWOUND = 1000, RUN = 40, RUNS = ROWS / RUN };

static struct code_row rows[ROWS];
static struct code_map map;
static uint32_t run_rows[RUNS];

static uint32_t random32(void)
{
    static uint64_t state = 1;
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(state >> 32);
}

/* Mostly small steps, as code makes them; now and then any. */
static uint32_t step(uint32_t small)
{
    unsigned kind = random32() % 16;
    return kind == 0 ? 0 : kind == 1 ? random32() : random32() % small;
}

static void add(uint32_t i)
{
    if (i % RUN == 0)
        run_rows[i / RUN] = code_map_begin(&map, rows[i].offset, rows[i].eip);
    else
        code_map_add(&map, &rows[i]);
}

static void make_rows(uint32_t from)
{
    for (uint32_t i = from; i < ROWS; i++) {
        struct code_row before = i ? rows[i - 1] : (struct code_row){ 100, UINT32_MAX - 20, 0 };
        rows[i].offset = before.offset + (random32() % 8 ? random32() % 200 : random32() % 100000);
        rows[i].eip = before.eip + step(16);
        rows[i].esp_delta = i % RUN == 0 || random32() % 3 ? 0 : (int32_t)step(64) - 32;
        add(i);
    }
}

static void same_as_rows(void)
{
    struct code_row found;
    uint32_t at = 0;

    CU_ASSERT_FALSE(code_map_find(&map, rows[0].offset - 1, &found));
    for (uint32_t i = 0; i < ROWS; i++) {
        uint32_t end = i + 1 < ROWS ? rows[i + 1].offset : rows[i].offset + 1000;
        if (end == rows[i].offset)
            continue; /* the last of the same offset counts */
        for (unsigned look = 0; look < 3; look++) {
            at = look == 0 ? rows[i].offset : look == 1 ? end - 1 : rows[i].offset + random32() % (end - rows[i].offset);
            if (!code_map_find(&map, at, &found) || found.offset != rows[i].offset || found.eip != rows[i].eip
                || found.esp_delta != rows[i].esp_delta)
                CU_FAIL("another row");
        }
    }
}

static void test_find(void)
{
    struct code_row found;

    CU_ASSERT_FALSE(code_map_find(&map, 0, &found));
    CU_ASSERT_FALSE(code_map_find(&map, UINT32_MAX, &found));
    make_rows(0);
    same_as_rows();
}

static void test_rewind(void)
{
    struct code_map_end end;

    code_map_clear(&map);
    for (uint32_t i = 0; i < REWOUND; i++)
        add(i);
    end = map.end;
    make_rows(REWOUND);
    code_map_rewind(&map, &end);
    CU_ASSERT_EQUAL(map.end.byte_count, end.byte_count);
    make_rows(REWOUND);
    same_as_rows();
}

/* Every other run again, at another place and EIP, and a new one between them. */
static void test_same(void)
{
    uint32_t base = rows[ROWS - 1].offset + 5000;
    struct code_row found;

    for (uint32_t k = 0; k < RUNS; k += 2) {
        const struct code_row *first = &rows[k * RUN], *last = &rows[k * RUN + RUN - 1];
        uint32_t size = last->offset - first->offset;
        code_map_begin_same(&map, base, 0x1000 * k, run_rows[k]);
        code_map_begin(&map, base + size + 1, 7);
        code_map_add(&map, &(struct code_row){ base + size + 3, 9, -4 });
        CU_ASSERT_TRUE(code_map_find(&map, base + size, &found));
        CU_ASSERT_EQUAL(found.offset, base + size);
        CU_ASSERT_EQUAL(found.eip, 0x1000 * k + (last->eip - first->eip));
        CU_ASSERT_EQUAL(found.esp_delta, last->esp_delta);
        CU_ASSERT_TRUE(code_map_find(&map, base, &found));
        CU_ASSERT_TRUE(found.offset == base && (rows[k * RUN + 1].offset == first->offset || found.eip == 0x1000 * k));
        CU_ASSERT_TRUE(code_map_find(&map, base + size + 2, &found));
        CU_ASSERT_TRUE(found.eip == 7 && found.esp_delta == 0);
        CU_ASSERT_TRUE(code_map_find(&map, base + size + 5, &found));
        CU_ASSERT_TRUE(found.eip == 9 && found.esp_delta == -4);
        base += size + 10;
    }
    same_as_rows();
    code_map_free(&map);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "finds what an array would", test_find },
        { "rows taken back", test_rewind },
        { "a run at another place", test_same },
        CU_TEST_INFO_NULL,
    };

    return unit_run("code_map", tests);
}
