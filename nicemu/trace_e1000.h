/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the two halves of e1000's trace share: trace_e1000.c has names, fields
 * and descriptors, trace_e1000_rules.c the rules of strict mode.
 */
#ifndef NICEMU_TRACE_E1000_H
#define NICEMU_TRACE_E1000_H

#include "nicemu/e1000.h"
#include "nicemu/trace.h"

struct e1000_words {
    uint32_t offset;
    const char *section; /* of the manual, 317453 */
    const char *fields;  /* nic_text_add_fields(); NULL: a plain number */
    uint32_t read_only;  /* bits that mean something, but not when written */
};

/* What the manual says of a register, or NULL. */
const struct e1000_words *e1000_words_of(uint32_t offset);

/* An access as it reaches the registers: through either BAR. False for IOADDR. */
bool e1000_trace_target(const struct e1000 *e, const struct nic_access *a, uint32_t *offset);

void e1000_trace_rules(struct e1000 *e, uint32_t offset, const struct nic_access *a);

/* The descriptors between the tail as it is and as it will be, and what is wrong with them. */
void e1000_trace_descriptors(struct e1000 *e, uint32_t new_tail);
void e1000_trace_sleep_rules(struct nic *nic);
void e1000_trace_descriptor_rules(struct e1000 *e, uint32_t index, const struct e1000_descriptor *d);

#endif
