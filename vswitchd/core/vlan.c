/* SPDX-License-Identifier: BSD-2-Clause
 *
 * VLAN sets and their text form, a port's VLAN policy, tags (vlan.h).
 */
#include "vswitchd/core/vlan.h"

#include <stdio.h>
#include <string.h>

#include "vswitchd/core/eth_frame.h"

#define MACS_SIZE (2 * ETH_MAC_SIZE)

void vlan_set_clear(struct vlan_set *set)
{
    memset(set, 0, sizeof(*set));
}

void vlan_set_fill(struct vlan_set *set)
{
    memset(set, 0xff, sizeof(*set));
    set->words[0] &= ~UINT64_C(1);
    set->words[VLAN_COUNT / 64 - 1] &= ~(UINT64_C(1) << 63);
}

bool vlan_set_empty(const struct vlan_set *set)
{
    for (unsigned i = 0; i < VLAN_COUNT / 64; i++)
        if (set->words[i])
            return false;
    return true;
}

/* Reads a VLAN ID and moves `text` behind it; 0 when there is none. */
static unsigned parse_id(const char **text)
{
    unsigned value = 0;
    const char *start = *text;
    while (**text >= '0' && **text <= '9' && *text - start < 4)
        value = value * 10 + (unsigned)(*(*text)++ - '0');
    return *text > start && *start != '0' && value <= VLAN_ID_MAX ? value : 0;
}

bool vlan_set_parse(struct vlan_set *set, const char *text)
{
    if (strcmp(text, "all") == 0) {
        vlan_set_fill(set);
        return true;
    }
    vlan_set_clear(set);
    for (;;) {
        unsigned first = parse_id(&text);
        unsigned last = first;
        if (first && *text == '-') {
            text++;
            last = parse_id(&text);
        }
        if (!first || last < first)
            return false;
        for (unsigned vlan = first; vlan <= last; vlan++)
            vlan_set_add(set, vlan);
        if (*text == '\0')
            return true;
        if (*text++ != ',')
            return false;
    }
}

size_t vlan_set_format(const struct vlan_set *set, char *text, size_t size)
{
    size_t length = 0;
    if (size)
        text[0] = '\0';
    for (unsigned vlan = VLAN_ID_MIN; vlan <= VLAN_ID_MAX; vlan++) {
        if (!vlan_set_has(set, vlan))
            continue;
        unsigned last = vlan;
        while (last < VLAN_ID_MAX && vlan_set_has(set, last + 1))
            last++;
        char part[16];
        int n = vlan == last ? snprintf(part, sizeof(part), "%u", vlan)
                             : snprintf(part, sizeof(part), "%u-%u", vlan, last);
        if (vlan == VLAN_ID_MIN && last == VLAN_ID_MAX)
            n = snprintf(part, sizeof(part), "all");
        bool fits = length < size;
        int written = snprintf(fits ? text + length : NULL, fits ? size - length : 0, "%s%.*s", length ? "," : "", n, part);
        length += (size_t)written;
        vlan = last;
    }
    return length;
}

void vlan_config_init(struct vlan_config *config)
{
    memset(config, 0, sizeof(*config));
    config->mode = VLAN_ACCESS;
    config->pvid = VLAN_DEFAULT;
}

const char *vlan_config_check(const struct vlan_config *config)
{
    if (config->pvid > VLAN_ID_MAX)
        return "VLAN IDs go from 1 to 4094";
    if (vlan_set_has(&config->allowed, 0) || vlan_set_has(&config->allowed, VLAN_COUNT - 1))
        return "VLAN IDs go from 1 to 4094";
    if (config->mode == VLAN_ACCESS) {
        if (config->pvid == 0)
            return "an access port needs a VLAN from 1 to 4094";
        if (!vlan_set_empty(&config->allowed))
            return "an access port carries one VLAN: make it a trunk to allow more";
        if (config->native_tagged)
            return "an access port sends untagged: native_tagged needs a trunk";
        return NULL;
    }
    if (config->mode != VLAN_TRUNK)
        return "a port is either access or trunk";
    if (config->pvid == 0 && config->native_tagged)
        return "native_tagged needs a native VLAN";
    if (config->pvid == 0 && vlan_set_empty(&config->allowed))
        return "this trunk would carry nothing: give it allowed VLANs or a native VLAN";
    return NULL;
}

static const char *const mode_names[] = {[VLAN_ACCESS] = "access", [VLAN_TRUNK] = "trunk"};

const char *vlan_mode_name(enum vlan_mode mode)
{
    return mode_names[mode];
}

bool vlan_mode_parse(const char *text, enum vlan_mode *mode)
{
    for (unsigned i = 0; i < sizeof(mode_names) / sizeof(mode_names[0]); i++) {
        if (strcmp(text, mode_names[i]) == 0) {
            *mode = (enum vlan_mode)i;
            return true;
        }
    }
    return false;
}

enum vlan_egress vlan_config_egress(const struct vlan_config *config, unsigned vlan)
{
    if (vlan < VLAN_ID_MIN || vlan > VLAN_ID_MAX)
        return VLAN_NOT_MEMBER;
    if (vlan == config->pvid)
        return config->mode == VLAN_TRUNK && config->native_tagged ? VLAN_TAGGED : VLAN_UNTAGGED;
    return config->mode == VLAN_TRUNK && vlan_set_has(&config->allowed, vlan) ? VLAN_TAGGED : VLAN_NOT_MEMBER;
}

/* Offsets into a frame that has become longer or shorter at its front. */
static void shift_offload(struct frame_offload *offload, int bytes)
{
    if (offload->flags & FRAME_NEEDS_CSUM)
        offload->csum_start = (uint16_t)(offload->csum_start + bytes);
    if (offload->gso_type != FRAME_GSO_NONE)
        offload->hdr_len = (uint16_t)(offload->hdr_len + bytes);
}

void vlan_push(struct frame *frame, uint16_t tci)
{
    uint8_t *data = frame->data - ETH_TAG_SIZE;
    memmove(data, frame->data, MACS_SIZE);
    eth_put16(data + MACS_SIZE, ETH_TYPE_VLAN);
    eth_put16(data + MACS_SIZE + 2, tci);
    frame->data = data;
    frame->size += ETH_TAG_SIZE;
    shift_offload(&frame->offload, (int)ETH_TAG_SIZE);
}

void vlan_pop(struct frame *frame)
{
    uint8_t *data = frame->data + ETH_TAG_SIZE;
    memmove(data, frame->data, MACS_SIZE);
    frame->data = data;
    frame->size -= ETH_TAG_SIZE;
    shift_offload(&frame->offload, -(int)ETH_TAG_SIZE);
}

void vlan_set_tci(struct frame *frame, uint16_t tci)
{
    eth_put16(frame->data + MACS_SIZE + 2, tci);
}
