/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The Realtek RTL8029AS: an NE2000 (dp8390.c) on a PCI board, with ID bytes in
 * page 0, and configuration and a 93C46 EEPROM in page 3 (realtek.c).
 */
#include "nicemu/realtek.h"
#include "nicemu/trace.h"

#define CONFIG2_STORED 0xe0u
#define CONFIG3_STORED 0x46u /* full duplex, sleep, power down */
#define ADDRESS_WORD 1u

/* EEPROM words: configuration, station address; the PCI identifiers at the end. */
static void fill(struct realtek *r)
{
    uint16_t *words = r->eeprom.words;
    const uint8_t *mac = r->core.nic.mac;
    words[0] = 0x0000; /* CONFIG2, CONFIG3 */
    for (unsigned i = 0; i < 3; i++)
        words[ADDRESS_WORD + i] = (uint16_t)(mac[2 * i] | mac[2 * i + 1] << 8);
    words[0x3b] = 0x8029; /* device, vendor and their subsystem counterparts */
    words[0x3c] = 0x10ec;
    words[0x3d] = 0x8029;
    words[0x3e] = 0x10ec;
    words[0x3f] = 0x0000;
}

static void load(struct realtek *r)
{
    r->page3[REALTEK_CONFIG2] = r->eeprom.words[0] & CONFIG2_STORED;
    r->page3[REALTEK_CONFIG3] = r->eeprom.words[0] >> 8 & CONFIG3_STORED;
    r->page3[REALTEK_ID0] = 0x29;
    r->page3[REALTEK_ID1] = 0x80;
    realtek_load_address(r, ADDRESS_WORD);
}

static const struct realtek_chip chip = {
    .id = { 'P', 'C' },
    .stored = { [REALTEK_CONFIG2] = CONFIG2_STORED, [REALTEK_CONFIG3] = CONFIG3_STORED },
    .fill = fill,
    .load = load,
};

static void init(struct nic *nic)
{
    realtek_init(nic, &chip);
}

const struct nic_ops rtl8029_ops = {
    .identity = {
        .model = "rtl8029",
        .bus = NIC_BUS_PCI,
        .vendor_id = 0x10ec,
        .device_id = 0x8029,
        .subsystem_vendor_id = 0x10ec,
        .subsystem_id = 0x8029,
        .class_code = 0x020000,
        .bar = { [0] = { NIC_BAR_IO, 0x100 } },
    },
    .size = sizeof(struct realtek),
    .init = init,
    .reset = realtek_reset,
    .read = realtek_read,
    .write = realtek_write,
    .quick_read = dp8390_quick_read,
    .quick_write = dp8390_quick_write,
    .read_block = dp8390_read_block,
    .write_block = dp8390_write_block,
    .receive = dp8390_receive,
    .lost = dp8390_lost,
    .timer = dp8390_timer,
    .set_link = dp8390_set_link,
    .state = realtek_state,
    .restored = dp8390_restored,
    .has_line_rate = true,
    .eeprom = realtek_eeprom,
    .eeprom_address = ADDRESS_WORD,
    .decoder = &nic_trace_dp8390,
};
