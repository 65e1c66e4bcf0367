/* SPDX-License-Identifier: BSD-2-Clause
 *
 * RUN_DIR/state.json: the ports and guests that were asked for over the control
 * socket, so that a daemon which takes the place of one that was killed has them
 * again. It has the form of a configuration file. An orderly end without
 * running guests removes it.
 */
#ifndef VSWITCHD_STATE_H
#define VSWITCHD_STATE_H

#include "vswitchd/config_apply.h"
#include "vswitchd/guests.h"

struct state;

struct state *state_create(int run_dir_fd);     /* NULL: no memory */
void state_destroy(struct state *state);

/* Makes what the file holds and nobody else has made; what cannot be made is logged and left out. */
void state_restore_ports(struct state *state, struct config_apply *apply);
void state_restore_guests(struct state *state, struct guests *guests);
/* Writes the file if its content would change. False: it could not be written; try again later. */
bool state_save(struct state *state, const struct config_apply *apply, const struct guests *guests);
void state_remove(struct state *state);

#endif
