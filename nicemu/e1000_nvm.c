/* SPDX-License-Identifier: BSD-2-Clause
 *
 * e1000's EEPROM: its contents, the pins of EECD, the quick read of EERD, and
 * what the chip loads from it at a reset (chapter 5).
 */
#include "nicemu/e1000.h"

#define EECD_SK 0x01u
#define EECD_CS 0x02u
#define EECD_DI 0x04u
#define EECD_DO 0x08u
#define EECD_REQ 0x40u
#define EECD_GNT 0x80u
#define EECD_PRES 0x100u
#define EERD_START 0x01u
#define EERD_DONE 0x10u

#define WORD_CONTROL_1 0x0au
#define CONTROL_1_SIGNATURE 0xc000u /* 01: the first sixteen words are valid */
#define CONTROL_1_SIGNED 0x4000u
#define CONTROL_1_LOAD_IDS 0x0001u
#define CONTROL_1_LOAD_SUBSYSTEM 0x0002u
#define WORD_SUBSYSTEM 0x0bu /* then the subsystem's vendor, the device, and its vendor */
#define NO_SUBSYSTEM 0x1008u
#define WORD_CHECKSUM 0x3fu
#define CHECKSUM 0xbabau

void e1000_nvm_init(struct e1000 *e)
{
    uint16_t *words = e->eeprom.words;
    const uint8_t *mac = e->nic.mac;
    const struct nic_identity *id = &e->nic.ops->identity;

    for (unsigned i = 0; i < EEPROM93C46_WORDS; i++)
        words[i] = 0xffff;
    for (unsigned i = 0; i < 3; i++)
        words[i] = (uint16_t)(mac[2 * i] | mac[2 * i + 1] << 8);
    words[0x03] = 0x0210; /* compatibility: a network card, copper */
    words[0x08] = 0xa000; /* printed board number */
    words[0x09] = 0x0001;
    words[0x0a] = 0x640a; /* initialization control 1: load the IDs from here */
    words[0x0b] = id->subsystem_id;
    words[0x0c] = id->subsystem_vendor_id;
    words[0x0d] = id->device_id;
    words[0x0e] = id->vendor_id;
    words[0x0f] = 0x3040; /* initialization control 2 */
    words[0x10] = 0x0008;
    words[0x20] = 0x0210; /* software defined pins */
    words[0x21] = 0x7f00;
    words[0x22] = 0x0000; /* power */
    words[0x23] = 0x0602; /* management */
    words[0x24] = 0x0100; /* initialization control 3: no wake-up by magic packet */
    words[0x2f] = 0x0602; /* LEDs */
    words[WORD_CHECKSUM] = 0;
    uint16_t sum = 0;
    for (unsigned i = 0; i < WORD_CHECKSUM; i++)
        sum = (uint16_t)(sum + words[i]);
    words[WORD_CHECKSUM] = (uint16_t)(CHECKSUM - sum);
}

/* The station address goes to the first receive address register, valid: Mac
 * OS X's driver counts on it. */
void e1000_nvm_load(struct e1000 *e)
{
    const uint16_t *words = e->eeprom.words;
    REG(e, RAL) = words[0] | (uint32_t)words[1] << 16;
    REG(e, RAH) = words[2] | RAH_AV;
    e1000_power_load(e);
}

/* The names in configuration space (4.1): the subsystem's where the EEPROM does not say it is Intel's 1008. */
void e1000_pci_ids(const struct nic *nic, struct nic_pci_ids *ids)
{
    const uint16_t *words = ((const struct e1000 *)nic)->eeprom.words;
    uint16_t control = words[WORD_CONTROL_1];
    if ((control & CONTROL_1_SIGNATURE) != CONTROL_1_SIGNED)
        control = 0;
    bool named = control & CONTROL_1_LOAD_SUBSYSTEM;
    ids->subsystem = named ? words[WORD_SUBSYSTEM] : NO_SUBSYSTEM;
    ids->subsystem_vendor = named ? words[WORD_SUBSYSTEM + 1] : nic->ops->identity.vendor_id;
    if (control & CONTROL_1_LOAD_IDS) {
        ids->device = words[WORD_SUBSYSTEM + 2];
        ids->vendor = words[WORD_SUBSYSTEM + 3];
    }
}

uint32_t e1000_read_eecd(struct e1000 *e, uint32_t index)
{
    uint32_t value = (e->reg[index] & 0x77) | EECD_PRES;
    if (value & EECD_REQ)
        value |= EECD_GNT;
    if (eeprom93c46_out(&e->eeprom))
        value |= EECD_DO;
    return value;
}

void e1000_write_eecd(struct e1000 *e, uint32_t index, uint32_t value)
{
    e->reg[index] = value & 0x77;
    eeprom93c46_set_pins(&e->eeprom, value & EECD_CS, value & EECD_SK, value & EECD_DI);
    nic_eeprom_accessed(&e->nic, &e->eeprom);
}

void e1000_write_eerd(struct e1000 *e, uint32_t index, uint32_t value)
{
    uint32_t address = value >> 8 & 0xff;
    e->reg[index] = value & 0xff00;
    if (value & EERD_START) {
        uint32_t word = address < EEPROM93C46_WORDS ? e->eeprom.words[address] : 0xffff;
        e->reg[index] |= word << 16 | EERD_DONE;
    }
}
