/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What pc_nic.c, which is the board of a NIC model while the machine runs, and
 * pc_nic_add.c, which puts it there, share; nobody else includes it.
 */
#ifndef X86VM_PC_PC_NIC_INTERNAL_H
#define X86VM_PC_PC_NIC_INTERNAL_H

#include "x86vm/pc/nic_caps.h"
#include "x86vm/pc/pc_internal.h"

struct nic_bar_binding { /* what the io_bus hands back */
    struct pc_nic *nic;
    struct nic *model;
    unsigned bar;
};

struct pc_nic {
    struct pc *pc;
    struct nic *model;
    const struct nic_identity *identity;
    struct pc_link link;
    struct pci_device *pci;     /* NULL on ISA */
    struct nic_caps caps;
    bool pme;                   /* it drives PME# */
    struct nic_isa_place place; /* on ISA: where it is, or would be if nobody else were */
    bool at_place;              /* its ports are its own */
    bool may_move;              /* by what a driver writes */
    bool irq_level;
    uint64_t deadline;          /* of the model's timer; 0: none */
    bool accessing;             /* a register is being written: */
    bool ready;                 /* what the model has to say of frames that wait is said behind that */
    bool traced;                /* the times are to be seen */
    bool needs_no_time;         /* only ports: a driver moves every word through them, and no model there has timers
                                 * without a line rate */
    unsigned errors;            /* of the guest's driver, that were logged */
    struct nic_bar_binding binding[PCI_BARS];
};

struct nic_host pc_nic_host(struct pc_nic *n);     /* what its model calls */
extern const struct pci_device_ops pc_nic_pci_ops; /* what the PCI bus calls, with the pc_nic */

#endif
