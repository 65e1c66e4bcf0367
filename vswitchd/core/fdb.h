/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The MAC table: (VLAN, MAC) → port, learned with an age or static. Bounded,
 * with a keyed hash (nobody outside can aim at one bucket) and a cap a port: a
 * port at its cap replaces its own oldest entry; in a full table it is the
 * port with most entries that loses one. A flood of addresses from one port
 * therefore never pushes out those of another that holds fewer.
 * The only state that a frame changes; time and key are arguments.
 */
#ifndef VSWITCHD_CORE_FDB_H
#define VSWITCHD_CORE_FDB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FDB_CAPACITY_DEFAULT 65536u
#define FDB_PORT_CAP_DEFAULT 8192u
#define FDB_AGEING_DEFAULT (UINT64_C(300) * 1000000000u) /* ns */

struct fdb;

struct fdb_entry_info {
    uint64_t mac; /* eth_mac_number() */
    uint16_t vlan;
    uint16_t port;
    bool is_static;
    uint64_t age; /* ns since the last frame from it; 0 when static. Exact to a second */
};

enum fdb_learned {
    FDB_KNOWN,    /* was there, now refreshed */
    FDB_NEW,      /* entered */
    FDB_MOVED,    /* was at another port */
    FDB_REPLACED, /* entered in place of an older one, at a limit */
    FDB_REFUSED,  /* not entered: a static entry says otherwise, or no room at a limit of static entries */
};

/* NULL when out of memory or capacity is 0. `key` should be random. */
struct fdb *fdb_create(uint32_t capacity, uint64_t ageing, const uint64_t key[2]);
void fdb_destroy(struct fdb *fdb);

void fdb_set_ageing(struct fdb *fdb, uint64_t ageing); /* ns, 0: never */
void fdb_set_port_cap(struct fdb *fdb, unsigned port, uint32_t cap);

enum fdb_learned fdb_learn(struct fdb *fdb, unsigned vlan, uint64_t mac, unsigned port, uint64_t now);
/* The port of a live entry, or -1. */
int fdb_lookup(const struct fdb *fdb, unsigned vlan, uint64_t mac, uint64_t now);

/* Static entries replace learned ones. EINVAL for a group address, EEXIST when static at another port already, ENOSPC when
 * the table is full of static entries. */
int fdb_add_static(struct fdb *fdb, unsigned vlan, uint64_t mac, unsigned port);
int fdb_delete(struct fdb *fdb, unsigned vlan, uint64_t mac); /* learned or static; ENOENT */

/* Which entries: -1 stands for any port or VLAN. Static ones only where include_static. */
struct fdb_filter {
    int port;
    int vlan;
    bool include_static;
};
uint32_t fdb_flush(struct fdb *fdb, const struct fdb_filter *filter); /* how many went */
/* Removes at most `budget` entries whose age is over; `aged` (may be NULL) hears of each. Returns how many. */
uint32_t fdb_expire(struct fdb *fdb, uint64_t now, uint32_t budget,
                    void (*aged)(void *context, const struct fdb_entry_info *entry), void *context);

/* Calls visit for each live entry, until it answers false. The table must not be changed meanwhile. */
void fdb_each(const struct fdb *fdb, uint64_t now, bool (*visit)(void *context, const struct fdb_entry_info *entry),
              void *context);
uint32_t fdb_count(const struct fdb *fdb);
uint32_t fdb_port_count(const struct fdb *fdb, unsigned port);

#endif
