/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Keyboard controller: see i8042.h; facts from the IBM PS/2 technical
 * reference. The controller answers at once, so its input buffer is never full.
 */
#include "x86vm/pc/i8042.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { STATUS_OUTPUT_FULL = 0x01, STATUS_SYSTEM = 0x04, STATUS_COMMAND = 0x08, STATUS_UNLOCKED = 0x10,
       STATUS_AUX = 0x20 };
enum { MODE_IRQ1 = 0x01, MODE_SYSTEM = 0x04, MODE_KEYBOARD_OFF = 0x10, MODE_AUX_OFF = 0x20,
       MODE_TRANSLATE = 0x40 };
enum { OUT_RUN = 0x01, OUT_A20 = 0x02, OUT_FULL = 0x10 };
enum { KEY_ACK = 0xfa, KEY_RESEND = 0xfe, KEY_SELF_TEST_OK = 0xaa };
enum { QUEUE_SIZE = 16 };

struct i8042 {
    struct irq_line irq1;
    struct i8042_host host;
    uint8_t mode;             /* command byte */
    uint8_t output_port;
    uint8_t ram[32];
    uint8_t pending_command;  /* controller command whose parameter comes next at port 0x60; 0: none */
    uint8_t pending_key;      /* keyboard command whose parameter comes next; 0: none */
    bool command_last;        /* the last write went to port 0x64 */
    bool scanning;
    uint8_t data;             /* output buffer */
    bool full, from_aux;
    uint8_t queue[QUEUE_SIZE]; /* bytes of the keyboard on their way */
    unsigned head, count;
};

static void set_a20(struct i8042 *kbc, bool on)
{
    kbc->output_port = (uint8_t)((kbc->output_port & ~OUT_A20) | (on ? OUT_A20 : 0));
    kbc->host.set_a20(kbc->host.opaque, on);
}

static void put_output(struct i8042 *kbc, uint8_t value, bool from_aux, bool interrupt)
{
    kbc->data = value;
    kbc->full = true;
    kbc->from_aux = from_aux;
    if (interrupt && (kbc->mode & MODE_IRQ1)) {
        irq_line_set(&kbc->irq1, false);
        irq_line_set(&kbc->irq1, true);
    }
}

/* The keyboard's next byte moves into the output buffer when that is free. */
static void refill(struct i8042 *kbc)
{
    if (kbc->full || !kbc->count || (kbc->mode & MODE_KEYBOARD_OFF))
        return;
    put_output(kbc, kbc->queue[kbc->head], false, true);
    kbc->head = (kbc->head + 1) % QUEUE_SIZE;
    kbc->count--;
}

static bool enqueue(struct i8042 *kbc, uint8_t value)
{
    if (kbc->count == QUEUE_SIZE)
        return false;
    kbc->queue[(kbc->head + kbc->count++) % QUEUE_SIZE] = value;
    return true;
}

static void answer_key(struct i8042 *kbc, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        enqueue(kbc, bytes[i]);
    refill(kbc);
}

bool i8042_key(struct i8042 *kbc, uint8_t code)
{
    if (!kbc->scanning || !enqueue(kbc, code))
        return false;
    refill(kbc);
    return true;
}

/* --- the keyboard --- */

static void key_command(struct i8042 *kbc, uint8_t value)
{
    static const struct { uint8_t command, answer[3], size; bool parameter; } table[] = {
        { 0xed, { KEY_ACK }, 1, true },                    /* lights */
        { 0xee, { 0xee }, 1, false },                      /* echo */
        { 0xf0, { KEY_ACK }, 1, true },                    /* scan code set */
        { 0xf2, { KEY_ACK, 0xab, 0x83 }, 3, false },       /* identify */
        { 0xf3, { KEY_ACK }, 1, true },                    /* repeat rate */
        { 0xf4, { KEY_ACK }, 1, false },                   /* enable scanning */
        { 0xf5, { KEY_ACK }, 1, false },                   /* disable scanning */
        { 0xf6, { KEY_ACK }, 1, false },                   /* defaults */
        { 0xff, { KEY_ACK, KEY_SELF_TEST_OK }, 2, false }, /* reset */
    };
    static const uint8_t resend = KEY_RESEND, ack = KEY_ACK, set2[] = { KEY_ACK, 2 };

    kbc->mode &= (uint8_t)~MODE_KEYBOARD_OFF; /* sending to the keyboard enables it */
    if (kbc->pending_key) {
        bool asks_set = kbc->pending_key == 0xf0 && value == 0;
        kbc->pending_key = 0;
        answer_key(kbc, asks_set ? set2 : &ack, asks_set ? sizeof set2 : 1);
        return;
    }
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (table[i].command != value)
            continue;
        if (value == 0xff)
            kbc->count = 0;
        if (value == 0xf4 || value == 0xf6 || value == 0xff)
            kbc->scanning = true;
        if (value == 0xf5)
            kbc->scanning = false;
        kbc->pending_key = table[i].parameter ? value : 0;
        answer_key(kbc, table[i].answer, table[i].size);
        return;
    }
    answer_key(kbc, &resend, 1);
}

/* --- the controller --- */

static void write_output_port(struct i8042 *kbc, uint8_t value)
{
    kbc->output_port = value & (uint8_t)~OUT_FULL;
    set_a20(kbc, value & OUT_A20);
    if (!(value & OUT_RUN))
        kbc->host.reset(kbc->host.opaque);
}

static void parameter(struct i8042 *kbc, uint8_t command, uint8_t value)
{
    switch (command) {
    case 0x60:
        kbc->mode = value;
        refill(kbc);
        break;
    case 0xd1:
        write_output_port(kbc, value);
        break;
    case 0xd2:
        put_output(kbc, value, false, true);
        break;
    case 0xd3: /* as if from the auxiliary port, where nothing is: the loop test must fail */
        put_output(kbc, 0, false, false);
        break;
    case 0xd4: /* to the auxiliary device: there is none to answer */
        break;
    default: /* 0x61..0x7f */
        kbc->ram[command & 31] = value;
    }
}

static void command(struct i8042 *kbc, uint8_t value)
{
    static const struct { uint8_t command, answer; } fixed[] = {
        { 0xa9, 0x01 }, /* test of the auxiliary port: clock line stuck low */
        { 0xaa, 0x55 }, /* self-test passed */
        { 0xab, 0x00 }, /* keyboard port tested good */
        { 0xc0, 0x80 }, /* input port: not locked */
    };

    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        if (fixed[i].command == value) {
            if (value == 0xaa)
                kbc->mode |= MODE_SYSTEM;
            put_output(kbc, fixed[i].answer, false, true);
            return;
        }
    if (value == 0x20)
        put_output(kbc, kbc->mode, false, true);
    else if (value > 0x20 && value < 0x40)
        put_output(kbc, kbc->ram[value & 31], false, true);
    else if ((value >= 0x60 && value < 0x80) || (value >= 0xd1 && value <= 0xd4))
        kbc->pending_command = value;
    else if (value == 0xa7)
        kbc->mode |= MODE_AUX_OFF;
    else if (value == 0xa8)
        kbc->mode &= (uint8_t)~MODE_AUX_OFF;
    else if (value == 0xad)
        kbc->mode |= MODE_KEYBOARD_OFF;
    else if (value == 0xae) {
        kbc->mode &= (uint8_t)~MODE_KEYBOARD_OFF;
        refill(kbc);
    } else if (value == 0xd0)
        put_output(kbc, kbc->output_port | (kbc->full ? OUT_FULL : 0), false, true);
    else if (value == 0xdd || value == 0xdf)
        set_a20(kbc, value == 0xdf);
    else if (value >= 0xf0 && !(value & 1))
        kbc->host.reset(kbc->host.opaque); /* pulses the output lines whose bits are 0 */
}

uint8_t i8042_read(struct i8042 *kbc, unsigned port)
{
    uint8_t value;

    if (port == 1)
        return (uint8_t)(STATUS_UNLOCKED | (kbc->mode & MODE_SYSTEM ? STATUS_SYSTEM : 0) |
                         (kbc->command_last ? STATUS_COMMAND : 0) | (kbc->full ? STATUS_OUTPUT_FULL : 0) |
                         (kbc->full && kbc->from_aux ? STATUS_AUX : 0));
    value = kbc->data;
    kbc->full = false;
    irq_line_set(&kbc->irq1, false);
    refill(kbc);
    return value;
}

void i8042_write(struct i8042 *kbc, unsigned port, uint8_t value)
{
    uint8_t pending = kbc->pending_command;

    kbc->command_last = port == 1;
    kbc->pending_command = 0;
    if (port == 1)
        command(kbc, value);
    else if (pending)
        parameter(kbc, pending, value);
    else
        key_command(kbc, value);
}

uint8_t i8042_read_port92(const struct i8042 *kbc)
{
    return kbc->output_port & OUT_A20;
}

void i8042_write_port92(struct i8042 *kbc, uint8_t value)
{
    set_a20(kbc, value & 2);
    if (value & 1)
        kbc->host.reset(kbc->host.opaque);
}

void i8042_reset(struct i8042 *kbc)
{
    struct irq_line irq1 = kbc->irq1;
    struct i8042_host host = kbc->host;

    memset(kbc, 0, sizeof *kbc);
    kbc->irq1 = irq1;
    kbc->host = host;
    kbc->mode = MODE_SYSTEM | MODE_TRANSLATE | MODE_AUX_OFF;
    kbc->output_port = OUT_RUN;
    kbc->scanning = true;
    irq_line_set(&kbc->irq1, false);
    set_a20(kbc, true);
}

struct i8042 *i8042_new(const struct irq_line *irq1, const struct i8042_host *host)
{
    struct i8042 *kbc = calloc(1, sizeof *kbc);

    if (!kbc)
        return NULL;
    kbc->irq1 = *irq1;
    kbc->host = *host;
    i8042_reset(kbc);
    return kbc;
}

void i8042_free(struct i8042 *kbc)
{
    free(kbc);
}
