/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A set of port numbers as a bitmap: what a flood, a VLAN's members and a
 * decision's targets are made of. Header only.
 */
#ifndef VSWITCHD_CORE_PORT_SET_H
#define VSWITCHD_CORE_PORT_SET_H

#include <stdbool.h>
#include <stdint.h>

#define PORT_SET_MAX 256u /* ports of a switch */
#define PORT_SET_WORDS (PORT_SET_MAX / 64u)

struct port_set {
    uint64_t words[PORT_SET_WORDS];
};

static inline void port_set_clear(struct port_set *set)
{
    for (unsigned i = 0; i < PORT_SET_WORDS; i++)
        set->words[i] = 0;
}

static inline void port_set_add(struct port_set *set, unsigned port)
{
    set->words[port / 64] |= UINT64_C(1) << port % 64;
}

static inline void port_set_remove(struct port_set *set, unsigned port)
{
    set->words[port / 64] &= ~(UINT64_C(1) << port % 64);
}

static inline bool port_set_has(const struct port_set *set, unsigned port)
{
    return set->words[port / 64] >> port % 64 & 1;
}

static inline bool port_set_empty(const struct port_set *set)
{
    uint64_t any = 0;
    for (unsigned i = 0; i < PORT_SET_WORDS; i++)
        any |= set->words[i];
    return any == 0;
}

/* The lowest member not below `from`; PORT_SET_MAX when there is none. */
static inline unsigned port_set_next(const struct port_set *set, unsigned from)
{
    for (unsigned i = from / 64; i < PORT_SET_WORDS; i++) {
        uint64_t word = set->words[i];
        if (i == from / 64)
            word &= ~UINT64_C(0) << from % 64;
        if (word)
            return i * 64 + (unsigned)__builtin_ctzll(word);
    }
    return PORT_SET_MAX;
}

#define PORT_SET_EACH(port, set) \
    for (unsigned port = port_set_next((set), 0); port < PORT_SET_MAX; port = port_set_next((set), port + 1))

#endif
