/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The decision about one frame (forward.h), in the order of its questions: may
 * it come in, which VLAN is it in, where was it sent from, where does it go.
 */
#include "vswitchd/core/forward.h"

#include "vswitchd/core/eth_frame.h"
#include "vswitchd/core/switch_state.h"

#define GROUP_BIT (UINT64_C(1) << 40)
#define RESERVED_PAUSE 1 /* 01:80:c2:00:00:01 */

/* The frame's VLAN and the tag it would carry, by the in port's policy. */
static enum drop_reason classify(const struct vlan_config *config, const struct eth_header *header,
                                 struct forward_decision *decision)
{
    unsigned vlan = header->tagged ? header->tci & VLAN_TCI_ID : 0;
    if (vlan == 0) {
        vlan = config->pvid;
        if (vlan == 0)
            return DROP_VLAN_UNTAGGED;
    } else if (config->mode == VLAN_ACCESS) {
        return DROP_VLAN_TAGGED;
    } else if (vlan_config_egress(config, vlan) == VLAN_NOT_MEMBER) {
        return DROP_VLAN_NOT_ALLOWED;
    }
    decision->vlan = (uint16_t)vlan;
    decision->tci = (uint16_t)((header->tci & ~VLAN_TCI_ID) | vlan);
    return DROP_NONE;
}

/* Which of the link's own frames this is, as bits of forward_reserved go; -1: none. MAC control frames never cross a switch,
 * whomever they are addressed to: a PAUSE to a station's own address would stop its transmitter from afar. */
static int reserved_kind(const struct eth_header *header)
{
    return header->next == ETH_TYPE_MAC_CONTROL ? RESERVED_PAUSE : eth_mac_reserved(header->destination);
}

static enum drop_reason admit(const struct eth_switch *sw, const struct switch_port *port,
                              const struct eth_header *header, struct forward_decision *decision)
{
    if (!port->config.enabled)
        return DROP_PORT_DISABLED;
    if (header->source & GROUP_BIT || header->source == 0)
        return DROP_BAD_SOURCE;
    int reserved = reserved_kind(header);
    if (reserved >= 0 && !((sw->config.forward_reserved | port->config.forward_reserved) >> reserved & 1))
        return DROP_RESERVED;
    return classify(&port->config.vlan, header, decision);
}

/* Without its tag a frame that has another one behind it would be the inner VLAN's at the other end of a trunk, be the
 * port that sent it in that VLAN or not: it keeps the native VLAN's there. */
static void keep_native_tag(const struct eth_switch *sw, struct forward_decision *decision)
{
    for (unsigned i = 0; i < PORT_SET_WORDS; i++) {
        uint64_t native = decision->out_untagged.words[i] & sw->trunks.words[i];
        decision->out_untagged.words[i] &= ~native;
        decision->out_with_tag.words[i] |= native;
    }
}

/* Everyone in the VLAN but where it came from. */
static enum drop_reason flood(const struct eth_switch *sw, unsigned in_port, bool tag_in_tag,
                              struct forward_decision *decision)
{
    const struct vlan_members *members = &sw->vlans[decision->vlan];
    uint64_t any = 0;
    decision->flooded = true;
    for (unsigned i = 0; i < PORT_SET_WORDS; i++) {
        uint64_t mask = decision->to_group ? ~UINT64_C(0) : ~sw->no_flood.words[i];
        if (i == in_port / 64)
            mask &= ~(UINT64_C(1) << in_port % 64);
        decision->out_untagged.words[i] = members->untagged.words[i] & mask;
        decision->out_with_tag.words[i] = members->tagged.words[i] & mask;
        any |= decision->out_untagged.words[i] | decision->out_with_tag.words[i];
    }
    if (tag_in_tag)
        keep_native_tag(sw, decision);
    return any ? DROP_NONE : DROP_NO_DESTINATION;
}

static enum drop_reason to_known(const struct eth_switch *sw, unsigned in_port, unsigned out_port, bool tag_in_tag,
                                 struct forward_decision *decision)
{
    const struct vlan_members *members = &sw->vlans[decision->vlan];
    if (out_port == in_port)
        return DROP_SAME_PORT;
    decision->out_tagged = port_set_has(&members->tagged, out_port);
    if (!decision->out_tagged && !port_set_has(&members->untagged, out_port))
        return DROP_NO_DESTINATION;
    if (tag_in_tag && port_set_has(&sw->trunks, out_port))
        decision->out_tagged = true;
    decision->out_port = (int)out_port;
    return DROP_NONE;
}

void forward_frame(struct eth_switch *sw, unsigned in_port, const struct frame *frame, uint64_t now,
                   struct forward_decision *decision)
{
    const struct switch_port *port = &sw->ports[in_port];
    struct eth_header header;

    decision->learned = FDB_KNOWN;
    decision->tagged = false;
    decision->to_group = false;
    decision->flooded = false;
    decision->source = 0;
    decision->vlan = 0;
    decision->tci = 0;
    decision->out_port = -1;
    if (!eth_header_read(frame->data, frame->size, &header)) {
        decision->drop = DROP_RUNT;
        return;
    }
    decision->tagged = header.tagged;
    decision->to_group = header.destination & GROUP_BIT;
    decision->source = header.source;
    decision->drop = admit(sw, port, &header, decision);
    if (decision->drop != DROP_NONE)
        return;
    if (port->config.learning)
        decision->learned = fdb_learn(sw->fdb, decision->vlan, header.source, in_port, now);

    bool tag_in_tag = header.tagged && header.next == ETH_TYPE_VLAN;
    int known = decision->to_group ? -1 : fdb_lookup(sw->fdb, decision->vlan, header.destination, now);
    if (known >= 0)
        decision->drop = to_known(sw, in_port, (unsigned)known, tag_in_tag, decision);
    else
        decision->drop = flood(sw, in_port, tag_in_tag, decision);
}
