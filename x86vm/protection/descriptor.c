/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Fetching descriptors from the guest's GDT and LDT: see descriptor.h.
 */
#include "x86vm/protection/descriptor.h"

uint32_t descriptor_address(const struct cpu *cpu, uint16_t selector)
{
    return (selector & SELECTOR_LDT ? cpu->ldtr.base : cpu->gdtr.base) + (selector & 0xfff8u);
}

bool descriptor_fetch(struct cpu *cpu, uint16_t selector, struct descriptor *out)
{
    if (selector & SELECTOR_LDT && !(cpu->ldtr.access & SEG_P))
        return false;
    const uint32_t limit = selector & SELECTOR_LDT ? cpu->ldtr.limit : cpu->gdtr.limit;
    if ((selector & 0xfff8u) + 7 > limit)
        return false;
    view_read(cpu, descriptor_address(cpu, selector), out, sizeof *out, false);
    return true;
}

void descriptor_fetch_or_fault(struct cpu *cpu, uint16_t selector, enum cpu_vector vector, uint32_t ext,
                               struct descriptor *out)
{
    if (!descriptor_fetch(cpu, selector, out))
        fault_selector(cpu, vector, selector, ext);
}

void descriptor_touch(struct cpu *cpu, uint16_t selector, struct descriptor *d)
{
    if (d->high & SEG_TYPE_ACCESSED << 8)
        return;
    d->high |= SEG_TYPE_ACCESSED << 8;
    const uint8_t access = d->high >> 8;
    view_write(cpu, descriptor_address(cpu, selector) + 5, &access, 1, false);
}
