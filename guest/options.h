/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The command line of vswitch-guest.
 */
#ifndef GUEST_OPTIONS_H
#define GUEST_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OPTIONS_NICS_MAX = 8 };

struct options_nic {
    char model[20];
    uint8_t mac[6];
    uint16_t isa_port; /* 0: not said */
    uint8_t isa_irq;
    uint16_t speed;    /* Mbit/s that frames leave with; 0: as fast as they can */
    char socket[64]; /* name in the run directory */
    char nvram[512]; /* file of its EEPROM; "": one in the state directory, if there is one */
    bool unplugged;  /* its link is down at first */
};

struct options {
    const char *name, *run_dir, *state_dir, *kernel, *initrd, *append, *log, *record, *replay;
    unsigned memory_mib, stop_timeout_s, idle_slack_ms;
    struct options_nic nic[OPTIONS_NICS_MAX];
    unsigned nic_count;
    bool unpack, console_stdio, no_sandbox, debug_exit, help, version;
};

/* False with a reason in `error`. Strings point into argv. */
bool options_parse(struct options *options, int argc, char **argv, char *error, size_t error_size);
const char *options_usage(void);

#endif
