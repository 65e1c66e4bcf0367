/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What pc.c, pc_acpi.c, pc_isa.c, pc_nic.c and pc_nic_add.c share; nobody else includes it.
 */
#ifndef X86VM_PC_PC_INTERNAL_H
#define X86VM_PC_PC_INTERNAL_H

#include "x86vm/pc/acpi_pm.h"
#include "x86vm/pc/chipset.h"
#include "x86vm/pc/i8042.h"
#include "x86vm/pc/i8254.h"
#include "x86vm/pc/i8259.h"
#include "x86vm/pc/near_clock.h"
#include "x86vm/pc/pc.h"
#include "x86vm/pc/pci.h"
#include "x86vm/pc/rtc.h"
#include "x86vm/pc/uart16550.h"

enum { PC_BYTE_DEVICES = 13 };

struct byte_ports;
struct io_ops;

/* One registered range of byte-wide ports: what the io_bus hands back. */
struct pc_port_binding {
    struct pc *pc;
    const struct byte_ports *ports;
};

/* Thirty-two ports at which an ISA board may be; where none is, Plug and Play answers. */
enum { ISA_FIRST = 0x200, ISA_WINDOW = 0x20, ISA_WINDOWS = 16 };
struct pc_isa_window {
    struct pc *pc;
    uint16_t first;
    struct pc_nic *owner; /* NULL: nobody */
};

struct pc {
    struct pc_config config;
    struct i8259 *pic;
    struct i8254 *pit;
    struct rtc *rtc;
    struct i8042 *kbc;
    struct uart16550 *uart[PC_SERIAL_PORTS];
    struct pc_serial { struct pc *pc; unsigned port; } serial[PC_SERIAL_PORTS];
    struct pci_bus *pci;
    struct chipset *chipset;
    struct acpi_pm *pm;
    struct pc_nic *nic[PC_NICS_MAX];
    unsigned nic_count;
    struct pc_isa_window isa[ISA_WINDOWS];
    uint8_t elcr[2];                 /* what the boot sets, bits of level-triggered inputs */
    uint8_t reset_control;           /* PIIX3 port 0xCF9 */
    uint64_t serviced_at;            /* `now` of the last pc_service() */
    struct near_clock near_clock;
    bool has_near_clock;             /* it and config.clock tell the same time */
    uint64_t announced;              /* when pc_service() will be called at the latest */
    uint64_t attend_from;            /* a NIC's register access then calls for attention; PC_NEVER: none does */
    enum pc_event event;
    uint8_t exit_code;
    bool fpu_error;                  /* FERR# has become active since port F0h was written last */
    bool stirred;                    /* an interrupt other than the timer's was taken */
    struct pc_port_binding binding[PC_BYTE_DEVICES];
};

/* A device's next deadline is now `deadline`: tells the run loop when it is nearer than announced. */
void pc_deadline_moved(struct pc *pc, uint64_t deadline);

uint64_t pc_nic_deadline(const struct pc_nic *nic, bool halted);
void pc_nic_service(struct pc_nic *nic, uint64_t now);
void pc_nic_reset(struct pc_nic *nic, uint64_t now);
void pc_nic_free(struct pc_nic *nic);
unsigned pc_nic_isa_irq(const struct pc_nic *nic); /* 0: a PCI card */
struct nic *pc_nic_board(struct pc_nic *nic);      /* the model, for Plug and Play */
void pc_nic_follow_place(struct pc_nic *nic);      /* after Plug and Play may have moved it */

/* The ISA bus (pc_isa.c): before the ports of the machine's own devices, which come on top. */
bool pc_isa_map_ports(struct pc *pc);
bool pc_isa_is_window(uint16_t port);              /* a board can be there */
const struct pc_nic *pc_isa_owner(const struct pc *pc, uint16_t port);
bool pc_isa_claim(struct pc *pc, uint16_t port, struct pc_nic *nic, const struct io_ops *ops, void *device);
void pc_isa_release(struct pc *pc, uint16_t port);

/* x87 errors (coprocessor.c). */
void pc_fpu_reset(struct pc *pc);
uint8_t pc_fpu_read(struct pc *pc, unsigned offset);
void pc_fpu_write(struct pc *pc, unsigned offset, uint8_t value);

/* `to_pic`: a line to any of the 8259's inputs. False: no memory, no place for the tables. */
bool pc_acpi_map_ports(struct pc *pc);
bool pc_acpi_power_on(struct pc *pc, const struct irq_line *to_pic, const uint8_t pirq_irq[PCI_PIRQS]);

#endif
