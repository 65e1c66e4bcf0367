/* SPDX-License-Identifier: BSD-2-Clause
 *
 * See x87.h.
 */
#include "x86vm/cpu/x87.h"

#include <string.h>

struct x87_pointers x87_pointers(struct cpu *cpu)
{
    x87_keep_selector(cpu, CPU_CS);
    x87_keep_selector(cpu, (cpu->x87_info & X87_SEGMENT) >> X87_SEGMENT_SHIFT);
    return (struct x87_pointers){ .ip = cpu->x87_ip, .dp = cpu->x87_dp, .cs = cpu->x87_cs, .ds = cpu->x87_ds,
                                  .opcode = cpu->x87_info & X87_OPCODE };
}

void x87_set_pointers(struct cpu *cpu, const struct x87_pointers *p)
{
    cpu->x87_ip = p->ip;
    cpu->x87_dp = p->dp;
    cpu->x87_cs = p->cs;
    cpu->x87_ds = p->ds;
    cpu->x87_info = p->opcode & X87_OPCODE;
}

enum { FX_OPCODE = 6, FX_IP = 8, FX_CS = 12, FX_DP = 16, FX_DS = 20 }; /* two reserved bytes behind each selector */

void x87_image_pointers(const uint8_t *image, struct x87_pointers *out)
{
    memcpy(&out->opcode, image + FX_OPCODE, 2);
    memcpy(&out->ip, image + FX_IP, 4);
    memcpy(&out->cs, image + FX_CS, 2);
    memcpy(&out->dp, image + FX_DP, 4);
    memcpy(&out->ds, image + FX_DS, 2);
}

void x87_image_set_pointers(uint8_t *image, const struct x87_pointers *p)
{
    memset(image + FX_OPCODE, 0, FX_DS + 4 - FX_OPCODE);
    memcpy(image + FX_OPCODE, &p->opcode, 2);
    memcpy(image + FX_IP, &p->ip, 4);
    memcpy(image + FX_CS, &p->cs, 2);
    memcpy(image + FX_DP, &p->dp, 4);
    memcpy(image + FX_DS, &p->ds, 2);
}
