/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Hardware breakpoints (SDM vol. 3, 17.2). A page with a watched datum never
 * gets a direct view entry, so every access to it passes view_read/view_write,
 * which note a hit in cpu->watch_hits; the run loop raises #DB behind the
 * instruction. With none armed all this costs nothing.
 */
#ifndef X86VM_MEMORY_WATCH_H
#define X86VM_MEMORY_WATCH_H

#include <stdbool.h>
#include <stdint.h>

struct cpu;

/* DR0-3, DR7 or CR4.DE changed: derives cpu->watch_data, watch_code and watch_io, flushes the views. */
void watch_update(struct cpu *cpu);
/* DR6.B0-B3 of the enabled data breakpoints that the access touches. */
uint32_t watch_data_hits(const struct cpu *cpu, uint32_t linear, uint32_t size, bool write);
bool watch_page(const struct cpu *cpu, uint32_t linear);
/* DR6.B0-B3 of the enabled I/O breakpoints that the access touches. */
uint32_t watch_io_hits(const struct cpu *cpu, uint16_t port, uint32_t size);
/* DR6.B0-B3 of the enabled instruction breakpoints at the address. */
uint32_t watch_code_hits(const struct cpu *cpu, uint32_t linear);

#endif
