/* SPDX-License-Identifier: BSD-2-Clause
 *
 * NIC models in nicemu's place, for tests of the machine around them: "fake-pci" with
 * memory at BAR 0 and ports at BAR 1, "fake-isa" with ports. All their registers are
 * one that remembers what was written.
 */
#ifndef TESTS_FAKE_FAKE_NIC_H
#define TESTS_FAKE_FAKE_NIC_H

#include "nicemu/nic.h"

struct nic {
    struct nic_identity identity;
    struct nic_host host;
    uint32_t reg;
    uint32_t last_offset, last_bar; /* of the last access */
    unsigned timers, resets;        /* calls */
    size_t received;                /* bytes */
};

extern struct nic *fake_nic_last; /* the one that was made last */

#endif
