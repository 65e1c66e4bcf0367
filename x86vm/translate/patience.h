/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What was tried often and in vain is not tried any more: shared checks of a
 * block's code (device registers, stacks at a page's edge), and accesses without
 * a check. Counted by physical address, so that it is known wherever the same
 * code runs, until all translations are dropped.
 */
#ifndef X86VM_TRANSLATE_PATIENCE_H
#define X86VM_TRANSLATE_PATIENCE_H

#include "x86vm/translate/translator.h"

void patience_renew(struct translator *t);
/* Whether groups of this block's code failed so often that it gets none any more; counting one more. */
bool patience_group_failed(struct translator *t, uint32_t physical);
bool patience_groups_useless(const struct translator *t, uint32_t physical);
/* The same for an instruction's access without a check, failing `badly` (it will again) or not. */
bool patience_bare_failed(struct translator *t, uint32_t eip, bool badly); /* where code at EIP comes from now */
bool patience_bare_useless(const struct translator *t, uint32_t physical);
uint32_t patience_bare_useless_in(const struct translator *t, uint32_t physical, uint32_t length); /* how many there */

#endif
