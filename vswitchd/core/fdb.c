/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The MAC table (fdb.h). Entries lie in one array; a bucket is a chain of
 * indices through it. What was found last for a key, be it nothing, is also where
 * a few bits of the key say, so that the next frame of the same two stations takes
 * no hashing; who pushes it out of there has done no more than one who sends to
 * many stations. Learned entries of a port are also in a list from oldest
 * to newest, so that finding what to age or to give up takes no search.
 */
#include "vswitchd/core/fdb.h"

#include <errno.h>
#include <stdlib.h>

#include "vswitchd/core/port_set.h"

#define NONE UINT32_MAX
/* An entry refreshed less than this ago is left alone: saves the list update for nearly every frame. */
#define REFRESH_INTERVAL UINT64_C(1000000000)
#define GROUP_BIT (UINT64_C(1) << 40)
#define RECENT_BITS 6u

struct entry {
    uint64_t key;  /* MAC and VLAN, see make_key() */
    uint64_t seen; /* ns */
    uint32_t next; /* in its bucket, or in the free list */
    uint32_t older, newer;
    uint16_t port;
    bool used;
    bool is_static;
};

/* The entry of a key, NONE: there is none. Always right. */
struct recent {
    uint64_t key;
    uint32_t entry;
};

struct port_list {
    uint32_t oldest, newest;
    uint32_t learned; /* entries in the list */
    uint32_t fixed;   /* static entries, which are in no list */
    uint32_t cap;     /* for learned ones */
};

struct fdb {
    uint64_t hash_key[2];
    uint64_t ageing;
    uint32_t capacity;
    uint32_t touched; /* entries from here on were never used */
    uint32_t count;
    uint32_t free;
    uint32_t mask;
    uint32_t *buckets;
    struct recent *recent;
    struct entry *entries;
    struct port_list ports[PORT_SET_MAX];
};

static uint64_t make_key(unsigned vlan, uint64_t mac)
{
    return mac << 12 | vlan;
}

static inline uint64_t rotate(uint64_t value, unsigned bits)
{
    return value << bits | value >> (64 - bits);
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[0] = rotate(v[0], 32);
    v[2] += v[3];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[2] = rotate(v[2], 32);
}

/* SipHash-1-3 (Aumasson, Bernstein 2012) of one 8-byte word. */
static inline uint32_t bucket_of(const struct fdb *fdb, uint64_t key)
{
    const uint64_t length_word = UINT64_C(8) << 56;
    uint64_t v[4] = {fdb->hash_key[0] ^ UINT64_C(0x736f6d6570736575), fdb->hash_key[1] ^ UINT64_C(0x646f72616e646f6d),
                     fdb->hash_key[0] ^ UINT64_C(0x6c7967656e657261), fdb->hash_key[1] ^ UINT64_C(0x7465646279746573)};
    v[3] ^= key;
    sip_round(v);
    v[0] ^= key;
    v[3] ^= length_word;
    sip_round(v);
    v[0] ^= length_word;
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return (uint32_t)(v[0] ^ v[1] ^ v[2] ^ v[3]) & fdb->mask;
}

struct fdb *fdb_create(uint32_t capacity, uint64_t ageing, const uint64_t key[2])
{
    if (capacity == 0 || capacity > UINT32_C(1) << 28)
        return NULL;
    struct fdb *fdb = calloc(1, sizeof(*fdb));
    if (!fdb)
        return NULL;
    uint32_t buckets = 1;
    while (buckets < capacity)
        buckets *= 2;
    fdb->buckets = malloc(buckets * sizeof(fdb->buckets[0]));
    fdb->entries = calloc(capacity, sizeof(fdb->entries[0]));
    fdb->recent = calloc(1u << RECENT_BITS, sizeof(fdb->recent[0]));
    if (!fdb->buckets || !fdb->entries || !fdb->recent) {
        fdb_destroy(fdb);
        return NULL;
    }
    for (uint32_t i = 0; i < buckets; i++)
        fdb->buckets[i] = NONE;
    for (uint32_t i = 0; i < 1u << RECENT_BITS; i++)
        fdb->recent[i] = (struct recent){.entry = NONE};
    for (unsigned i = 0; i < PORT_SET_MAX; i++)
        fdb->ports[i] = (struct port_list){.oldest = NONE, .newest = NONE, .cap = FDB_PORT_CAP_DEFAULT};
    fdb->mask = buckets - 1;
    fdb->capacity = capacity;
    fdb->ageing = ageing;
    fdb->free = NONE;
    fdb->hash_key[0] = key[0];
    fdb->hash_key[1] = key[1];
    return fdb;
}

void fdb_destroy(struct fdb *fdb)
{
    if (!fdb)
        return;
    free(fdb->buckets);
    free(fdb->recent);
    free(fdb->entries);
    free(fdb);
}

void fdb_set_ageing(struct fdb *fdb, uint64_t ageing)
{
    fdb->ageing = ageing;
}

static uint32_t find_in_bucket(const struct fdb *fdb, uint64_t key)
{
    uint32_t i = fdb->buckets[bucket_of(fdb, key)];
    while (i != NONE && fdb->entries[i].key != key)
        i = fdb->entries[i].next;
    return i;
}

static inline struct recent *recent_of(const struct fdb *fdb, uint64_t key)
{
    return &fdb->recent[key * UINT64_C(0x9e3779b97f4a7c15) >> (64 - RECENT_BITS)];
}

static inline uint32_t find(const struct fdb *fdb, uint64_t key)
{
    struct recent *recent = recent_of(fdb, key);
    if (recent->key != key)
        *recent = (struct recent){.key = key, .entry = find_in_bucket(fdb, key)};
    return recent->entry;
}

static uint64_t age_of(const struct entry *entry, uint64_t now)
{
    return entry->is_static || now < entry->seen ? 0 : now - entry->seen;
}

static bool expired(const struct fdb *fdb, const struct entry *entry, uint64_t now)
{
    return fdb->ageing && age_of(entry, now) > fdb->ageing;
}

/* Takes an entry out of its port's books. */
static void detach(struct fdb *fdb, uint32_t i)
{
    struct entry *entry = &fdb->entries[i];
    struct port_list *list = &fdb->ports[entry->port];
    if (entry->is_static) {
        list->fixed--;
        return;
    }
    list->learned--;
    if (entry->older == NONE)
        list->oldest = entry->newer;
    else
        fdb->entries[entry->older].newer = entry->newer;
    if (entry->newer == NONE)
        list->newest = entry->older;
    else
        fdb->entries[entry->newer].older = entry->older;
}

/* Puts an entry at the young end of a port's list. */
static void attach(struct fdb *fdb, uint32_t i, unsigned port, uint64_t now)
{
    struct entry *entry = &fdb->entries[i];
    struct port_list *list = &fdb->ports[port];
    entry->port = (uint16_t)port;
    entry->is_static = false;
    entry->seen = now;
    entry->older = list->newest;
    entry->newer = NONE;
    if (list->newest == NONE)
        list->oldest = i;
    else
        fdb->entries[list->newest].newer = i;
    list->newest = i;
    list->learned++;
}

static void attach_static(struct fdb *fdb, uint32_t i, unsigned port)
{
    struct entry *entry = &fdb->entries[i];
    entry->port = (uint16_t)port;
    entry->is_static = true;
    entry->seen = 0;
    fdb->ports[port].fixed++;
}

static void remove_entry(struct fdb *fdb, uint32_t i)
{
    struct entry *entry = &fdb->entries[i];
    uint32_t *link = &fdb->buckets[bucket_of(fdb, entry->key)];
    while (*link != i)
        link = &fdb->entries[*link].next;
    *link = entry->next;
    if (recent_of(fdb, entry->key)->key == entry->key)
        recent_of(fdb, entry->key)->entry = NONE;
    detach(fdb, i);
    entry->used = false;
    entry->next = fdb->free;
    fdb->free = i;
    fdb->count--;
}

static bool remove_oldest(struct fdb *fdb, unsigned port)
{
    if (fdb->ports[port].oldest == NONE)
        return false;
    remove_entry(fdb, fdb->ports[port].oldest);
    return true;
}

static unsigned fullest_port(const struct fdb *fdb)
{
    unsigned fullest = 0;
    for (unsigned i = 1; i < PORT_SET_MAX; i++)
        if (fdb->ports[i].learned > fdb->ports[fullest].learned)
            fullest = i;
    return fullest;
}

/* A new entry in its bucket, in no port's books yet. NONE when none is free. */
static uint32_t take_entry(struct fdb *fdb, uint64_t key)
{
    uint32_t i = fdb->free;
    if (i != NONE)
        fdb->free = fdb->entries[i].next;
    else if (fdb->touched < fdb->capacity)
        i = fdb->touched++;
    else
        return NONE;
    uint32_t *bucket = &fdb->buckets[bucket_of(fdb, key)];
    fdb->entries[i].key = key;
    fdb->entries[i].used = true;
    fdb->entries[i].next = *bucket;
    *bucket = i;
    *recent_of(fdb, key) = (struct recent){.key = key, .entry = i};
    fdb->count++;
    return i;
}

static enum fdb_learned learn_known(struct fdb *fdb, uint32_t i, unsigned port, uint64_t now)
{
    struct entry *entry = &fdb->entries[i];
    if (entry->is_static)
        return entry->port == port ? FDB_KNOWN : FDB_REFUSED;
    bool was_dead = expired(fdb, entry, now);
    bool moved = entry->port != port;
    if (!moved && !was_dead && age_of(entry, now) < REFRESH_INTERVAL)
        return FDB_KNOWN;
    struct port_list *list = &fdb->ports[port];
    if (moved && list->learned >= list->cap && !remove_oldest(fdb, port))
        return FDB_REFUSED;
    detach(fdb, i);
    attach(fdb, i, port, now);
    return was_dead ? FDB_NEW : moved ? FDB_MOVED : FDB_KNOWN;
}

enum fdb_learned fdb_learn(struct fdb *fdb, unsigned vlan, uint64_t mac, unsigned port, uint64_t now)
{
    uint64_t key = make_key(vlan, mac);
    uint32_t i = find(fdb, key);
    if (i != NONE)
        return learn_known(fdb, i, port, now);
    enum fdb_learned result = FDB_NEW;
    struct port_list *list = &fdb->ports[port];
    if (list->learned >= list->cap) {
        if (!remove_oldest(fdb, port))
            return FDB_REFUSED;
        result = FDB_REPLACED;
    }
    i = take_entry(fdb, key);
    if (i == NONE) {
        if (!remove_oldest(fdb, fullest_port(fdb)))
            return FDB_REFUSED;
        i = take_entry(fdb, key);
        result = FDB_REPLACED;
    }
    attach(fdb, i, port, now);
    return result;
}

int fdb_lookup(const struct fdb *fdb, unsigned vlan, uint64_t mac, uint64_t now)
{
    uint32_t i = find(fdb, make_key(vlan, mac));
    if (i == NONE || expired(fdb, &fdb->entries[i], now))
        return -1;
    return fdb->entries[i].port;
}

int fdb_add_static(struct fdb *fdb, unsigned vlan, uint64_t mac, unsigned port)
{
    if (mac & GROUP_BIT || mac == 0)
        return EINVAL;
    uint64_t key = make_key(vlan, mac);
    uint32_t i = find(fdb, key);
    if (i != NONE && fdb->entries[i].is_static)
        return fdb->entries[i].port == port ? 0 : EEXIST;
    if (i != NONE)
        detach(fdb, i);
    else
        i = take_entry(fdb, key);
    if (i == NONE) {
        if (!remove_oldest(fdb, fullest_port(fdb)))
            return ENOSPC;
        i = take_entry(fdb, key);
    }
    attach_static(fdb, i, port);
    return 0;
}

int fdb_delete(struct fdb *fdb, unsigned vlan, uint64_t mac)
{
    uint32_t i = find(fdb, make_key(vlan, mac));
    if (i == NONE)
        return ENOENT;
    remove_entry(fdb, i);
    return 0;
}

void fdb_set_port_cap(struct fdb *fdb, unsigned port, uint32_t cap)
{
    fdb->ports[port].cap = cap;
    while (fdb->ports[port].learned > cap)
        remove_oldest(fdb, port);
}

static unsigned vlan_of(const struct entry *entry)
{
    return (unsigned)(entry->key & 0xfff);
}

/* All that a port has learned: by its list, as a link that goes up and down all the time has this done in a table where
 * others have a million. */
static uint32_t flush_port(struct fdb *fdb, unsigned port)
{
    uint32_t removed = 0;
    while (remove_oldest(fdb, port))
        removed++;
    return removed;
}

uint32_t fdb_flush(struct fdb *fdb, const struct fdb_filter *filter)
{
    uint32_t removed = 0;
    if (filter->port >= 0 && filter->vlan < 0 && !filter->include_static)
        return flush_port(fdb, (unsigned)filter->port);
    for (uint32_t i = 0; i < fdb->touched; i++) {
        const struct entry *entry = &fdb->entries[i];
        if (!entry->used || (entry->is_static && !filter->include_static))
            continue;
        if (filter->port >= 0 && entry->port != filter->port)
            continue;
        if (filter->vlan >= 0 && vlan_of(entry) != (unsigned)filter->vlan)
            continue;
        remove_entry(fdb, i);
        removed++;
    }
    return removed;
}

static struct fdb_entry_info info_of(const struct entry *entry, uint64_t now)
{
    return (struct fdb_entry_info){
        .mac = entry->key >> 12,
        .vlan = (uint16_t)vlan_of(entry),
        .port = entry->port,
        .is_static = entry->is_static,
        .age = age_of(entry, now),
    };
}

uint32_t fdb_expire(struct fdb *fdb, uint64_t now, uint32_t budget,
                    void (*aged)(void *context, const struct fdb_entry_info *entry), void *context)
{
    uint32_t removed = 0;
    for (unsigned port = 0; port < PORT_SET_MAX; port++) {
        struct port_list *list = &fdb->ports[port];
        while (list->oldest != NONE && expired(fdb, &fdb->entries[list->oldest], now)) {
            if (removed == budget)
                return removed;
            struct fdb_entry_info info = info_of(&fdb->entries[list->oldest], now);
            remove_entry(fdb, list->oldest);
            removed++;
            if (aged)
                aged(context, &info);
        }
    }
    return removed;
}

void fdb_each(const struct fdb *fdb, uint64_t now, bool (*visit)(void *context, const struct fdb_entry_info *entry),
              void *context)
{
    for (uint32_t i = 0; i < fdb->touched; i++) {
        const struct entry *entry = &fdb->entries[i];
        if (!entry->used || expired(fdb, entry, now))
            continue;
        struct fdb_entry_info info = info_of(entry, now);
        if (!visit(context, &info))
            return;
    }
}

uint32_t fdb_count(const struct fdb *fdb)
{
    return fdb->count;
}

uint32_t fdb_port_count(const struct fdb *fdb, unsigned port)
{
    return fdb->ports[port].learned + fdb->ports[port].fixed;
}
