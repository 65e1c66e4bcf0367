/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The list of backends that this build has.
 */
#include "tests/insn/backend.h"

#include <string.h>

extern const struct backend engine_backend, unicorn_backend;

static const struct backend *const backends[] = {
#ifdef INSN_ENGINE
    &engine_backend,
#endif
#ifdef INSN_UNICORN
    &unicorn_backend,
#endif
};

const struct backend *backend_by_name(const char *name)
{
    for (unsigned i = 0; i < sizeof backends / sizeof *backends; i++)
        if (!name || strcmp(name, backends[i]->name) == 0)
            return backends[i];
    return NULL;
}
