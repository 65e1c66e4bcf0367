/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The methods capture.*.
 */
#include "vswitchd/control/control_commands.h"

const struct control_method control_capture_methods[] = {
    {0},
};
