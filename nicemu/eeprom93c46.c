/* SPDX-License-Identifier: BSD-2-Clause
 *
 * 93C46 in its 64 x 16 organization. A command is a start bit, two bits of
 * opcode and six of address, each taken at a rising clock edge; opcode 00 has
 * four commands in the upper two address bits. A programming cycle takes no
 * time: data out says "ready" as soon as it is looked at.
 */
#include "nicemu/eeprom93c46.h"

enum { IDLE, COMMAND, READ, DATA_IN };
enum { OP_CONTROL = 0, OP_WRITE = 1, OP_READ = 2, OP_ERASE = 3 };
enum { CONTROL_DISABLE = 0, CONTROL_WRITE_ALL = 1, CONTROL_ERASE_ALL = 2, CONTROL_ENABLE = 3 };

void eeprom93c46_reset(struct eeprom93c46 *eeprom)
{
    eeprom->phase = IDLE;
    eeprom->shift = 0;
    eeprom->count = 0;
    eeprom->write_enabled = false;
    eeprom->cs = eeprom->sk = false;
    eeprom->out = true;
}

static void fill(struct eeprom93c46 *eeprom, uint16_t value)
{
    for (unsigned i = 0; i < EEPROM93C46_WORDS; i++)
        eeprom->words[i] = value;
    eeprom->changed = true;
}

static void write_word(struct eeprom93c46 *eeprom, uint16_t value)
{
    eeprom->words[eeprom->address] = value;
    eeprom->changed = true;
}

static void begin_control(struct eeprom93c46 *eeprom)
{
    unsigned which = eeprom->address >> 4;
    eeprom->phase = IDLE;
    if (which == CONTROL_ENABLE || which == CONTROL_DISABLE)
        eeprom->write_enabled = which == CONTROL_ENABLE;
    else if (which == CONTROL_WRITE_ALL)
        eeprom->phase = DATA_IN;
    else if (eeprom->write_enabled)
        fill(eeprom, 0xffff);
}

/* The ninth bit of a command has come in. */
static void begin(struct eeprom93c46 *eeprom)
{
    eeprom->command = eeprom->shift >> 6 & 3;
    eeprom->address = eeprom->shift & 63;
    eeprom->count = 0;
    switch (eeprom->command) {
    case OP_READ:
        eeprom->phase = READ;
        eeprom->shift = eeprom->words[eeprom->address];
        eeprom->out = false; /* the dummy bit before the data */
        break;
    case OP_WRITE:
        eeprom->phase = DATA_IN;
        eeprom->shift = 0;
        break;
    case OP_ERASE:
        eeprom->phase = IDLE;
        if (eeprom->write_enabled)
            write_word(eeprom, 0xffff);
        break;
    default:
        begin_control(eeprom);
    }
}

static void finish_write(struct eeprom93c46 *eeprom)
{
    eeprom->phase = IDLE;
    eeprom->out = true;
    if (!eeprom->write_enabled)
        return;
    if (eeprom->command == OP_WRITE)
        write_word(eeprom, eeprom->shift);
    else
        fill(eeprom, eeprom->shift);
}

static void clock_read(struct eeprom93c46 *eeprom)
{
    if (eeprom->count == 16) { /* sequential read goes on with the next word */
        eeprom->address = (eeprom->address + 1) & 63;
        eeprom->shift = eeprom->words[eeprom->address];
        eeprom->count = 0;
    }
    eeprom->out = eeprom->shift >> 15;
    eeprom->shift = (uint16_t)(eeprom->shift << 1);
    eeprom->count++;
}

static void clock_in(struct eeprom93c46 *eeprom, bool di)
{
    switch (eeprom->phase) {
    case IDLE:
        if (!di)
            return; /* waits for the start bit */
        eeprom->phase = COMMAND;
        eeprom->shift = 0;
        eeprom->count = 0;
        return;
    case COMMAND:
        eeprom->shift = (uint16_t)(eeprom->shift << 1 | di);
        if (++eeprom->count == 8)
            begin(eeprom);
        return;
    case READ:
        clock_read(eeprom);
        return;
    case DATA_IN:
        eeprom->shift = (uint16_t)(eeprom->shift << 1 | di);
        if (++eeprom->count == 16)
            finish_write(eeprom);
        return;
    }
}

void eeprom93c46_set_pins(struct eeprom93c46 *eeprom, bool cs, bool sk, bool di)
{
    bool rising = sk && !eeprom->sk;
    if (!cs || !eeprom->cs) {
        eeprom->phase = IDLE;
        eeprom->out = true;
    }
    /* A clock edge that comes together with the rising chip select is not a
     * bit: the select must be stable before it. */
    if (cs && eeprom->cs && rising)
        clock_in(eeprom, di);
    eeprom->cs = cs;
    eeprom->sk = sk;
}

void eeprom93c46_state(struct eeprom93c46 *eeprom, struct nic_state *s)
{
    static const uint8_t most[] = { [IDLE] = 16, [COMMAND] = 7, [READ] = 16, [DATA_IN] = 15 }; /* of count */
    for (unsigned i = 0; i < EEPROM93C46_WORDS; i++)
        nic_state_u16(s, &eeprom->words[i], 0xffff);
    nic_state_u16(s, &eeprom->shift, 0xffff);
    nic_state_u8(s, &eeprom->phase, 3);
    nic_state_u8(s, &eeprom->count, 31);
    nic_state_u8(s, &eeprom->command, 3);
    nic_state_u8(s, &eeprom->address, EEPROM93C46_WORDS - 1);
    nic_state_bool(s, &eeprom->write_enabled);
    nic_state_bool(s, &eeprom->cs);
    nic_state_bool(s, &eeprom->sk);
    nic_state_bool(s, &eeprom->out);
    nic_state_check(s, eeprom->count <= most[eeprom->phase & 3]);
}
