/* SPDX-License-Identifier: BSD-2-Clause
 *
 * nic_save() and nic_restore() of nic.h, and the cursor that models walk their
 * state with (nic_state.h). The image: magic, version, size, the model's name,
 * what every model has, then the model's own walk.
 */
#include "nicemu/nic_state.h"

#include "nicemu/nic_model.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAGIC 0x5343494eu /* "NICS" */
#define VERSION 3u
#define NAME_SIZE 16u
#define AHEAD_MAX 10000000000u /* ns that a timer can be ahead: PAUSE at 10 Mbit/s takes 3.4 s */

/* --- cursor -------------------------------------------------------------- */

void nic_state_bytes(struct nic_state *s, void *bytes, size_t size)
{
    size_t room = s->position <= s->size ? s->size - s->position : 0;
    if (s->restoring) {
        if (s->bad || size > room) {
            s->bad = true;
            memset(bytes, 0, size);
            return;
        }
        memcpy(bytes, s->in + s->position, size);
    } else if (s->out && size <= room) {
        memcpy(s->out + s->position, bytes, size);
    }
    s->position += size;
}

static uint64_t number(struct nic_state *s, uint64_t value, unsigned size)
{
    uint8_t bytes[8];
    for (unsigned i = 0; i < size; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
    nic_state_bytes(s, bytes, size);
    value = 0;
    for (unsigned i = 0; i < size; i++)
        value |= (uint64_t)bytes[i] << 8 * i;
    return value;
}

void nic_state_u8(struct nic_state *s, uint8_t *value, uint8_t allowed)
{
    *value = (uint8_t)number(s, *value, 1);
    nic_state_check(s, !(*value & ~allowed));
}

void nic_state_u16(struct nic_state *s, uint16_t *value, uint16_t allowed)
{
    *value = (uint16_t)number(s, *value, 2);
    nic_state_check(s, !(*value & ~allowed));
}

void nic_state_u32(struct nic_state *s, uint32_t *value, uint32_t allowed)
{
    *value = (uint32_t)number(s, *value, 4);
    nic_state_check(s, !(*value & ~allowed));
}

void nic_state_u64(struct nic_state *s, uint64_t *value)
{
    *value = number(s, *value, 8);
}

void nic_state_bool(struct nic_state *s, bool *value)
{
    uint64_t byte = number(s, *value, 1);
    nic_state_check(s, byte <= 1);
    *value = byte & 1;
}

void nic_state_moment(struct nic_state *s, uint64_t *moment)
{
    uint64_t ahead = number(s, *moment > s->now ? *moment - s->now : 0, 8);
    nic_state_check(s, ahead <= AHEAD_MAX);
    if (s->restoring)
        *moment = s->now + ahead;
}

void nic_state_deadline(struct nic_state *s, uint64_t *deadline)
{
    bool running = *deadline != 0;
    nic_state_bool(s, &running);
    if (!running) {
        *deadline = 0;
        return;
    }
    nic_state_moment(s, deadline);
    if (*deadline == 0)
        *deadline = 1;
}

/* --- image --------------------------------------------------------------- */

static void header(struct nic_state *s, struct nic *nic, uint32_t total)
{
    char name[NAME_SIZE] = { 0 }, expected[NAME_SIZE];
    uint32_t magic = MAGIC, version = VERSION, size = total;
    strncpy(name, nic->ops->identity.model, NAME_SIZE - 1);
    memcpy(expected, name, NAME_SIZE);
    nic_state_u32(s, &magic, UINT32_MAX);
    nic_state_u32(s, &version, UINT32_MAX);
    nic_state_u32(s, &size, UINT32_MAX);
    nic_state_bytes(s, name, NAME_SIZE);
    nic_state_check(s, magic == MAGIC && version == VERSION && size == s->size);
    nic_state_check(s, memcmp(name, expected, NAME_SIZE) == 0);
}

static void common(struct nic_state *s, struct nic *nic)
{
    struct nic_counters *c = &nic->counters;
    uint64_t *const counters[] = { &c->rx_frames, &c->rx_bytes, &c->tx_frames, &c->tx_bytes, &c->rx_dropped_full, &c->rx_dropped_off,
                                   &c->rx_filtered, &c->tx_errors, &c->guest_errors, &c->interrupts,
                                   &c->register_accesses };
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        nic_state_u64(s, counters[i]);
    nic_state_bool(s, &nic->irq_level);
}

static void walk(struct nic_state *s, struct nic *nic, uint32_t total)
{
    header(s, nic, total);
    if (s->bad)
        return;
    common(s, nic);
    nic->ops->state(nic, s);
}

size_t nic_save(const struct nic *nic, uint64_t now, void *image, size_t size)
{
    struct nic_state measure = { .now = now };
    struct nic *walked = (struct nic *)nic; /* a walk changes nothing while it saves */
    walk(&measure, walked, 0);
    if (image && size >= measure.position) {
        struct nic_state s = { .out = image, .size = size, .now = now };
        walk(&s, walked, (uint32_t)measure.position);
    }
    return measure.position;
}

int nic_restore(struct nic *nic, uint64_t now, const void *image, size_t size)
{
    struct nic_state s = { .in = image, .size = size, .now = now, .restoring = true };
    struct nic *copy = malloc(nic->ops->size);
    if (!copy)
        return ENOMEM;
    memcpy(copy, nic, nic->ops->size);
    walk(&s, copy, 0);
    bool good = !s.bad && s.position == size;
    if (good)
        memcpy(nic, copy, nic->ops->size);
    free(copy);
    if (!good)
        return EINVAL;
    nic->host.set_irq(nic->host.opaque, nic->irq_level);
    if (nic->ops->restored)
        nic->ops->restored(nic, now);
    if (nic->ops->eeprom) {
        struct eeprom93c46 *eeprom = nic->ops->eeprom(nic);
        eeprom->changed = true;
        nic_eeprom_accessed(nic, eeprom);
    }
    nic->host.receive_ready(nic->host.opaque); /* what was refused before was another state's matter */
    return 0;
}
