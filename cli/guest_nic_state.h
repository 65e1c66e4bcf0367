/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The commands `guest nic-save NAME FILE` and `guest nic-restore NAME FILE`.
 */
#ifndef CLI_GUEST_NIC_STATE_H
#define CLI_GUEST_NIC_STATE_H

#include "cli/command.h"

int guest_nic_save(struct cli *cli);
int guest_nic_restore(struct cli *cli);

#endif
