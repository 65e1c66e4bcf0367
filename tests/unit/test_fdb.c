/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Tests of core/fdb with a clock of their own: ageing, moves, static entries,
 * limits, floods, and a long random run against a plain model.
 */
#include <errno.h>
#include <string.h>

#include "tests/unit/unit.h"
#include "vswitchd/core/fdb.h"

#define SECOND UINT64_C(1000000000)
#define MAC(n) (UINT64_C(0x020000000000) + (n))

static const uint64_t key[2] = {UINT64_C(0x0123456789abcdef), UINT64_C(0xfedcba9876543210)};

static void test_learn_and_age(void)
{
    struct fdb *fdb = fdb_create(16, 300 * SECOND, key);
    CU_ASSERT_EQUAL(fdb_lookup(fdb, 1, MAC(1), 0), -1);
    CU_ASSERT_EQUAL(fdb_learn(fdb, 1, MAC(1), 3, 0), FDB_NEW);
    CU_ASSERT_EQUAL(fdb_learn(fdb, 1, MAC(1), 3, 1), FDB_KNOWN);
    CU_ASSERT_EQUAL(fdb_lookup(fdb, 1, MAC(1), 300 * SECOND), 3);
    CU_ASSERT_EQUAL(fdb_lookup(fdb, 1, MAC(1), 300 * SECOND + 1), -1);
    CU_ASSERT_EQUAL(fdb_lookup(fdb, 2, MAC(1), 0), -1); /* another VLAN is another address */
    /* Dead but not yet removed: heard of again, it is new, wherever it is. */
    CU_ASSERT_EQUAL(fdb_learn(fdb, 1, MAC(1), 4, 400 * SECOND), FDB_NEW);
    CU_ASSERT_EQUAL(fdb_lookup(fdb, 1, MAC(1), 401 * SECOND), 4);
    CU_ASSERT_EQUAL(fdb_count(fdb), 1);
    /* Traffic keeps it alive. */
    for (uint64_t t = 400; t < 2000; t += 200)
        fdb_learn(fdb, 1, MAC(1), 4, t * SECOND);
    CU_ASSERT_EQUAL(fdb_lookup(fdb, 1, MAC(1), 2000 * SECOND), 4);
    /* A clock that goes back does no harm; ageing 0 is never. */
    CU_ASSERT_EQUAL(fdb_lookup(fdb, 1, MAC(1), 5), 4);
    fdb_set_ageing(fdb, 0);
    CU_ASSERT_EQUAL(fdb_lookup(fdb, 1, MAC(1), UINT64_MAX / 2), 4);
    fdb_destroy(fdb);
}

static unsigned aged_count;
static uint64_t aged_macs;

static void note_aged(void *context, const struct fdb_entry_info *entry)
{
    (void)context;
    aged_count++;
    aged_macs += entry->mac - MAC(0);
    CU_ASSERT_TRUE(entry->age > 10 * SECOND);
}

static void test_expire(void)
{
    struct fdb *fdb = fdb_create(64, 10 * SECOND, key);
    for (unsigned i = 0; i < 20; i++)
        fdb_learn(fdb, 1, MAC(i), i % 3, i * SECOND);
    fdb_add_static(fdb, 1, MAC(100), 0);
    fdb_learn(fdb, 1, MAC(0), 0, 15 * SECOND); /* refreshed: dead long ago, alive again */
    aged_count = 0;
    aged_macs = 0;
    /* At 20 s those last heard before 10 s go: 1 to 9. */
    CU_ASSERT_EQUAL(fdb_expire(fdb, 20 * SECOND, 4, note_aged, NULL), 4);
    CU_ASSERT_EQUAL(fdb_expire(fdb, 20 * SECOND, 100, note_aged, NULL), 5);
    CU_ASSERT_EQUAL(fdb_expire(fdb, 20 * SECOND, 100, note_aged, NULL), 0);
    CU_ASSERT_EQUAL(aged_count, 9);
    CU_ASSERT_EQUAL(aged_macs, 45);
    CU_ASSERT_EQUAL(fdb_count(fdb), 12);
    CU_ASSERT_EQUAL(fdb_expire(fdb, 1000 * SECOND, 100, NULL, NULL), 11);
    CU_ASSERT_EQUAL(fdb_count(fdb), 1); /* the static one */
    fdb_destroy(fdb);
}

static void test_move(void)
{
    struct fdb *fdb = fdb_create(16, 300 * SECOND, key);
    fdb_learn(fdb, 1, MAC(1), 0, 0);
    fdb_learn(fdb, 2, MAC(1), 0, 0);
    CU_ASSERT_EQUAL(fdb_learn(fdb, 1, MAC(1), 1, 5), FDB_MOVED);
    CU_ASSERT_EQUAL(fdb_lookup(fdb, 1, MAC(1), 6), 1);
    CU_ASSERT_EQUAL(fdb_lookup(fdb, 2, MAC(1), 6), 0); /* its other VLAN has not moved */
    CU_ASSERT_EQUAL(fdb_port_count(fdb, 0), 1);
    CU_ASSERT_EQUAL(fdb_port_count(fdb, 1), 1);
    /* To a port at its limit: that port's oldest makes room. */
    fdb_set_port_cap(fdb, 2, 1);
    fdb_learn(fdb, 1, MAC(9), 2, 0);
    CU_ASSERT_EQUAL(fdb_learn(fdb, 1, MAC(1), 2, 7), FDB_MOVED);
    CU_ASSERT_EQUAL(fdb_lookup(fdb, 1, MAC(9), 7), -1);
    fdb_set_port_cap(fdb, 3, 0); /* learns nothing */
    CU_ASSERT_EQUAL(fdb_learn(fdb, 1, MAC(1), 3, 8), FDB_REFUSED);
    CU_ASSERT_EQUAL(fdb_lookup(fdb, 1, MAC(1), 8), 2);
    fdb_destroy(fdb);
}

static void test_static(void)
{
    struct fdb *fdb = fdb_create(4, 10 * SECOND, key);
    fdb_learn(fdb, 1, MAC(1), 0, 0);
    CU_ASSERT_EQUAL(fdb_add_static(fdb, 1, MAC(1), 1), 0); /* takes over the learned one */
    CU_ASSERT_EQUAL(fdb_add_static(fdb, 1, MAC(1), 1), 0);
    CU_ASSERT_EQUAL(fdb_add_static(fdb, 1, MAC(1), 2), EEXIST);
    CU_ASSERT_EQUAL(fdb_add_static(fdb, 1, UINT64_C(0x010000000001), 1), EINVAL);
    CU_ASSERT_EQUAL(fdb_add_static(fdb, 1, 0, 1), EINVAL);
    CU_ASSERT_EQUAL(fdb_learn(fdb, 1, MAC(1), 0, 1), FDB_REFUSED);
    CU_ASSERT_EQUAL(fdb_learn(fdb, 1, MAC(1), 1, 1), FDB_KNOWN);
    CU_ASSERT_EQUAL(fdb_lookup(fdb, 1, MAC(1), 1000 * SECOND), 1);
    /* In a table full of static entries nothing is learned; with one learned entry left, a static one displaces it. */
    fdb_add_static(fdb, 1, MAC(2), 1);
    fdb_add_static(fdb, 1, MAC(3), 1);
    CU_ASSERT_EQUAL(fdb_learn(fdb, 1, MAC(50), 0, 1), FDB_NEW);
    CU_ASSERT_EQUAL(fdb_add_static(fdb, 1, MAC(4), 1), 0);
    CU_ASSERT_EQUAL(fdb_lookup(fdb, 1, MAC(50), 1), -1);
    CU_ASSERT_EQUAL(fdb_add_static(fdb, 1, MAC(5), 1), ENOSPC);
    CU_ASSERT_EQUAL(fdb_learn(fdb, 1, MAC(51), 0, 1), FDB_REFUSED);
    CU_ASSERT_EQUAL(fdb_port_count(fdb, 1), 4);
    CU_ASSERT_EQUAL(fdb_delete(fdb, 1, MAC(2)), 0);
    CU_ASSERT_EQUAL(fdb_delete(fdb, 1, MAC(2)), ENOENT);
    CU_ASSERT_EQUAL(fdb_learn(fdb, 1, MAC(51), 0, 1), FDB_NEW);
    fdb_destroy(fdb);
}

static void test_flush(void)
{
    struct fdb *fdb = fdb_create(64, 0, key);
    for (unsigned i = 0; i < 12; i++)
        fdb_learn(fdb, 1 + i % 2, MAC(i), i % 3, 0);
    fdb_add_static(fdb, 1, MAC(100), 0);
    CU_ASSERT_EQUAL(fdb_flush(fdb, &(struct fdb_filter){.port = 0, .vlan = 1}), 2);
    CU_ASSERT_EQUAL(fdb_flush(fdb, &(struct fdb_filter){.port = 0, .vlan = -1}), 2);
    CU_ASSERT_EQUAL(fdb_flush(fdb, &(struct fdb_filter){.port = -1, .vlan = 2}), 4);
    CU_ASSERT_EQUAL(fdb_flush(fdb, &(struct fdb_filter){.port = -1, .vlan = -1}), 4);
    CU_ASSERT_EQUAL(fdb_count(fdb), 1);
    CU_ASSERT_EQUAL(fdb_flush(fdb, &(struct fdb_filter){.port = 0, .vlan = -1, .include_static = true}), 1);
    CU_ASSERT_EQUAL(fdb_count(fdb), 0);
    fdb_destroy(fdb);
}

static void test_flood(void)
{
    /* Port 0 floods; 1 and 2 talk quietly. First the port's cap holds, then the table's size. */
    static const struct {
        uint32_t capacity, cap;
    } rows[] = {{4096, 1000}, {1024, 100000}};
    for (unsigned r = 0; r < 2; r++) {
        struct fdb *fdb = fdb_create(rows[r].capacity, 300 * SECOND, key);
        fdb_set_port_cap(fdb, 0, rows[r].cap);
        for (unsigned i = 0; i < 50; i++)
            fdb_learn(fdb, 1, MAC(i), 1 + i % 2, 0);
        unsigned replaced = 0;
        for (unsigned i = 0; i < 100000; i++)
            replaced += fdb_learn(fdb, 1, MAC(1000000 + i * 7919), 0, 1 + i) == FDB_REPLACED;
        unsigned lost = 0;
        for (unsigned i = 0; i < 50; i++)
            lost += fdb_lookup(fdb, 1, MAC(i), SECOND) != (int)(1 + i % 2);
        CU_ASSERT_EQUAL(lost, 0);
        CU_ASSERT_TRUE(replaced > 90000);
        CU_ASSERT_TRUE(fdb_count(fdb) <= rows[r].capacity);
        CU_ASSERT_TRUE(fdb_port_count(fdb, 0) <= rows[r].cap);
        /* The quiet ones still get in, and the flooder's youngest is there. */
        fdb_learn(fdb, 1, MAC(60), 2, 2 * SECOND);
        CU_ASSERT_EQUAL(fdb_lookup(fdb, 1, MAC(60), 2 * SECOND), 2);
        CU_ASSERT_EQUAL(fdb_lookup(fdb, 1, MAC(1000000 + UINT64_C(99999) * 7919), SECOND), 0);
        fdb_destroy(fdb);
    }
}

static void test_cap_lowered(void)
{
    struct fdb *fdb = fdb_create(64, 0, key);
    for (unsigned i = 0; i < 10; i++)
        fdb_learn(fdb, 1, MAC(i), 5, i * 2 * SECOND);
    fdb_learn(fdb, 1, MAC(0), 5, 100 * SECOND); /* the oldest becomes the youngest */
    fdb_set_port_cap(fdb, 5, 2);
    CU_ASSERT_EQUAL(fdb_port_count(fdb, 5), 2);
    CU_ASSERT_EQUAL(fdb_lookup(fdb, 1, MAC(0), 0), 5);
    CU_ASSERT_EQUAL(fdb_lookup(fdb, 1, MAC(9), 0), 5);
    CU_ASSERT_EQUAL(fdb_lookup(fdb, 1, MAC(8), 0), -1);
    fdb_destroy(fdb);
    CU_ASSERT_PTR_NULL(fdb_create(0, 0, key));
}

/* ---- a long random run against a table that is simply an array ---- */

#define MODEL_MACS 40u
#define MODEL_PORTS 4u

static int model[MODEL_MACS]; /* port, or -1 */

static bool compare_entry(void *context, const struct fdb_entry_info *entry)
{
    unsigned *seen = context;
    (*seen)++;
    CU_ASSERT_EQUAL(model[entry->mac - MAC(0)], entry->port);
    return true;
}

static void test_against_model(void)
{
    struct fdb *fdb = fdb_create(64, 0, key);
    unsigned seed = 1;
    memset(model, 0xff, sizeof(model));
    for (unsigned step = 0; step < 20000; step++) {
        seed = seed * 1103515245u + 12345u;
        unsigned mac = (seed >> 8) % MODEL_MACS;
        unsigned port = (seed >> 20) % MODEL_PORTS;
        switch ((seed >> 16) % 8) {
        case 0:
            CU_ASSERT_EQUAL(fdb_delete(fdb, 7, MAC(mac)), model[mac] < 0 ? ENOENT : 0);
            model[mac] = -1;
            break;
        case 1:
            if (step % 16 == 0) {
                fdb_flush(fdb, &(struct fdb_filter){.port = (int)port, .vlan = -1});
                for (unsigned i = 0; i < MODEL_MACS; i++)
                    model[i] = model[i] == (int)port ? -1 : model[i];
            }
            break;
        default: {
            enum fdb_learned expected = model[mac] < 0 ? FDB_NEW : model[mac] == (int)port ? FDB_KNOWN : FDB_MOVED;
            CU_ASSERT_EQUAL(fdb_learn(fdb, 7, MAC(mac), port, step * SECOND), expected);
            model[mac] = (int)port;
        }
        }
        CU_ASSERT_EQUAL(fdb_lookup(fdb, 7, MAC(mac), step * SECOND), model[mac]);
    }
    unsigned expected = 0, seen = 0;
    for (unsigned i = 0; i < MODEL_MACS; i++)
        expected += model[i] >= 0;
    fdb_each(fdb, 0, compare_entry, &seen);
    CU_ASSERT_EQUAL(seen, expected);
    CU_ASSERT_EQUAL(fdb_count(fdb), expected);
    fdb_destroy(fdb);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "learning and age", test_learn_and_age },
        { "expiry", test_expire },
        { "moves", test_move },
        { "static entries", test_static },
        { "flush", test_flush },
        { "a flood of addresses", test_flood },
        { "a lower cap", test_cap_lowered },
        { "against a model", test_against_model },
        CU_TEST_INFO_NULL,
    };

    return unit_run("fdb", tests);
}
