/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The teacher: prints what a driver does to a NIC model in the words of the
 * chip's manual, and in strict mode which of its rules the driver has broken.
 * trace.c does what is common; trace_e1000*.c, trace_dp8390.c and trace_virtio.c know the
 * chips' names, fields and rules, as tables.
 *
 * A NIC without a trace pays nothing for an access: its read and write pointers
 * lead to the model, or here while a trace is on, which then stands also between
 * the model and its host. Strings of accesses and frames pay one test of a pointer.
 */
#ifndef NICEMU_TRACE_H
#define NICEMU_TRACE_H

#include "nicemu/nic.h"

/* A line under construction; what does not fit is cut off. */
struct nic_text {
    char bytes[200];
    size_t length;
};
void nic_text_add(struct nic_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Appends the fields of `value` that are not zero. `fields` lists them, upper
 * bit first where a field has several: "EN:1 LBM:7-6". */
void nic_text_add_fields(struct nic_text *text, const char *fields, uint32_t value);
uint32_t nic_fields_mask(const char *fields); /* all bits that they take */

struct nic_access {
    unsigned bar, size;
    uint32_t offset, value;
    bool is_write;
};

/* What a chip's trace does. */
struct nic_decoder {
    /* Register name, value and fields, after a read or before a write. */
    void (*describe)(struct nic *nic, const struct nic_access *a, struct nic_text *text);
    /* Further lines and broken rules, before the access takes place. */
    void (*check)(struct nic *nic, const struct nic_access *a);
    /* Broken rules, before the chip goes to sleep. NULL: it never does. */
    void (*check_sleep)(struct nic *nic);
};
extern const struct nic_decoder nic_trace_e1000, nic_trace_dp8390, nic_trace_virtio;

#define NIC_TRACE_HELD 32u

struct nic_trace {
    nic_trace_line *line;
    void *opaque;
    bool strict;
    struct nic_host host;       /* the machine's, while the model sees ours */
    uint64_t now;               /* of the call under way */
    char last[220];             /* the line printed last, and how often it came again */
    unsigned repeats;
    bool holding;               /* in a read: its own line goes before its effects */
    unsigned held_count;
    struct nic_text held[NIC_TRACE_HELD];

    bool pme;                   /* as last told */

    /* What rules must remember of a driver. */
    uint64_t reset_at;          /* e1000: of the last CTRL.RST; 0: none */
    bool overflowed, stopped_since; /* DP8390: OVW was set; STP was written since */
};

/* A line of a trace: `what` is a short word (read, write, RULE, send …). */
void nic_trace_print(struct nic *nic, const char *what, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* A rule broken, where the trace is strict; `section` is of the chip's manual. */
void nic_trace_rule(struct nic *nic, const char *section, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* nic.c hands its calls here while a trace is on, or tells the time of others. */
void nic_trace_at(struct nic *nic, uint64_t now);
void nic_trace_power(struct nic *nic, unsigned offset, uint8_t value, uint64_t now);
uint32_t nic_trace_read(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint64_t now);
void nic_trace_write(struct nic *nic, unsigned bar, uint32_t offset, unsigned size, uint32_t value, uint64_t now);
enum nic_rx_result nic_trace_receive(struct nic *nic, const uint8_t *frame, size_t size,
                                     const struct nic_offload *offload, uint64_t now);

#endif
