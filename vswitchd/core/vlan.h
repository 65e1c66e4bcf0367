/* SPDX-License-Identifier: BSD-2-Clause
 *
 * 802.1Q: sets of VLANs, what a port does with them (access, trunk, native),
 * and the one pair of functions that adds and removes a tag. forward.c applies
 * it; the text form "10,20-29" is for the configuration.
 *
 *   access   untagged and priority-tagged (VLAN ID 0) frames belong to `pvid`;
 *            frames with another tag are dropped; leaves untagged.
 *   trunk    tagged frames of `allowed` and of the native VLAN; untagged and
 *            priority-tagged ones belong to the native VLAN `pvid`, or are dropped
 *            where it is 0. Leaves tagged, but the native VLAN untagged unless
 *            native_tagged.
 * Only the outer 802.1Q tag is looked at; what follows it is payload.
 */
#ifndef VSWITCHD_CORE_VLAN_H
#define VSWITCHD_CORE_VLAN_H

#include "vswitchd/core/frame.h"

#define VLAN_ID_MIN 1u
#define VLAN_ID_MAX 4094u
#define VLAN_COUNT 4096u
#define VLAN_DEFAULT 1u
#define VLAN_TCI_ID 0x0fffu /* the VLAN ID in a tag; the rest is priority and drop bit */

struct vlan_set {
    uint64_t words[VLAN_COUNT / 64];
};

static inline bool vlan_set_has(const struct vlan_set *set, unsigned vlan)
{
    return set->words[vlan / 64] >> vlan % 64 & 1;
}

static inline void vlan_set_add(struct vlan_set *set, unsigned vlan)
{
    set->words[vlan / 64] |= UINT64_C(1) << vlan % 64;
}

void vlan_set_clear(struct vlan_set *set);
void vlan_set_fill(struct vlan_set *set); /* 1 to 4094 */
bool vlan_set_empty(const struct vlan_set *set);
/* "10", "10,20-29", "all". False (set unspecified) for anything else, for IDs outside 1..4094 and for descending ranges. */
bool vlan_set_parse(struct vlan_set *set, const char *text);
/* Writes the shortest such text; returns its length, as snprintf does. */
size_t vlan_set_format(const struct vlan_set *set, char *text, size_t size);

enum vlan_mode { VLAN_ACCESS, VLAN_TRUNK };

struct vlan_config {
    enum vlan_mode mode;
    uint16_t pvid;           /* access: its VLAN. trunk: the native VLAN, 0 for none */
    bool native_tagged;      /* trunk: the native VLAN leaves with its tag, too */
    struct vlan_set allowed; /* trunk: VLANs besides the native one */
};

/* Access in VLAN 1. */
void vlan_config_init(struct vlan_config *config);
/* NULL, or what is wrong with it and what would be right. */
const char *vlan_config_check(const struct vlan_config *config);
const char *vlan_mode_name(enum vlan_mode mode);
bool vlan_mode_parse(const char *text, enum vlan_mode *mode);

enum vlan_egress { VLAN_NOT_MEMBER, VLAN_UNTAGGED, VLAN_TAGGED };
/* How frames of `vlan` leave a port with this configuration. */
enum vlan_egress vlan_config_egress(const struct vlan_config *config, unsigned vlan);

/* Adds an outer tag using the frame's headroom, or removes it (the frame must
 * have one): the bytes move, and the offload offsets with them. */
void vlan_push(struct frame *frame, uint16_t tci);
void vlan_pop(struct frame *frame);
/* Replaces the outer tag's TCI in place. */
void vlan_set_tci(struct frame *frame, uint16_t tci);

#endif
