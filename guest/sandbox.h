/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The closed door behind the guest process. Everything behind it is hostile
 * by assumption: the guest, the engine, the NIC models, the kernel image that
 * is parsed. The boundary is the list of system calls in sandbox.c; no
 * capability, and empty namespaces and root where the host permits them, are
 * added to it.
 */
#ifndef GUEST_SANDBOX_H
#define GUEST_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

/* First half, while there is one thread: namespaces, empty root directory. Best
 * effort; describes in `report` what was had. */
void sandbox_enter_namespaces(char *report, size_t size);

/* Second half but for the filter: drops groups and capabilities, no core dump, not
 * dumpable, no memory that becomes executable any more where the kernel can refuse it.
 * 0 or errno with `what` failed. */
int sandbox_drop_privileges(const char **what);

/* Second half, after the last thread, file and executable mapping: drops
 * privileges, loads the filter for all threads. 0 or errno with `what` failed. */
int sandbox_close_door(const char **what);

#endif
