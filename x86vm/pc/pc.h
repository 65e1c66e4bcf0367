/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The PC around the CPU: interrupt controllers, timers, serial ports, PCI,
 * NICs, and the loaders that start a kernel on it without firmware. It knows
 * the CPU's state, guest memory and the io_bus, not the translator: what it
 * wants of the engine is in the callbacks of struct pc_config.
 *
 * All calls on the vCPU's thread. No floating point anywhere in here: the
 * guest's FPU state may be live in the host's registers.
 */
#ifndef X86VM_PC_PC_H
#define X86VM_PC_PC_H

#include "nicemu/nic.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pc;
struct pc_nic;
struct cpu;
struct phys;
struct io_bus;

enum { PC_SERIAL_PORTS = 2, PC_NICS_MAX = 8 };
#define PC_NEVER UINT64_MAX /* of a time */

struct pc_config {
    struct cpu *cpu;
    struct phys *phys;
    struct io_bus *io;
    int64_t wall_seconds;       /* UTC seconds since 1970, for the RTC */
    bool debug_exit;            /* port 0xF4: a byte written ends the run with that code */

    void *opaque;               /* first argument of the calls below */
    uint64_t (*clock)(void *opaque); /* ns, monotonic; NULL: CLOCK_MONOTONIC */
    void (*set_intr)(void *opaque, bool level); /* INTR pin of the CPU */
    /* x86vm_run() should return soon: a deadline moved nearer, or there is an event. */
    void (*attention)(void *opaque);
    void (*serial_output)(void *opaque, unsigned port, uint8_t byte);
    void (*log)(void *opaque, const char *line); /* may be NULL */
};

/* NULL: no memory. Connects to the io_bus and takes the legacy area out of RAM. */
struct pc *pc_new(const struct pc_config *config);
void pc_free(struct pc *pc);

/* INTA cycle, for x86vm_set_intr_ack(). */
uint8_t pc_acknowledge(void *pc);
/* FERR#, for x86vm_set_ferr(). */
void pc_fpu_error(void *pc);

/* What config.clock says. All times here are that clock's, in ns. */
uint64_t pc_now(const struct pc *pc);

/* The earliest time at which pc_service() has something to do, or PC_NEVER. A vCPU that runs
 * (not `halted`) is let run somewhat longer for a NIC's sake, whose driver will come by. */
uint64_t pc_next_deadline(struct pc *pc, bool halted);
/* The same for an idle guest, the ticks of whose clock may come up to `slack` ns late: i8254_idle_deadline(). */
uint64_t pc_idle_deadline(struct pc *pc, uint64_t slack);
/* Whether the guest took an interrupt other than the timer's since the last call. */
bool pc_take_stirred(struct pc *pc);
/* Does what is due at `now`; timers' interrupts and NICs' timers, above all. */
void pc_service(struct pc *pc, uint64_t now);
/* The next pc_service() comes at that time at the latest, nearer than
 * pc_next_deadline() or not: a deadline that moves, but not before it, is no
 * reason to call for attention. */
void pc_serviced_by(struct pc *pc, uint64_t at);
/* From `at` on, a register access by the driver of a NIC calls for attention, once: that
 * costs less than to interrupt the vCPU. PC_NEVER: none does. */
void pc_attend_from(struct pc *pc, uint64_t at);

enum pc_event { PC_EVENT_NONE, PC_EVENT_RESET, PC_EVENT_EXIT, PC_EVENT_POWER_OFF };
/* What the guest asked for since the last call; `code` for PC_EVENT_EXIT. */
enum pc_event pc_take_event(struct pc *pc, uint8_t *code);

/* ACPI's button. False: the guest does not listen to it, and nothing happened. */
bool pc_press_power_button(struct pc *pc);

/* In ACPI's S1: the CPU is not to be run. It may wake whenever a device is served. */
bool pc_is_asleep(const struct pc *pc);

/* Bytes typed at serial port 0 or 1; returns how many were taken. */
size_t pc_serial_input(struct pc *pc, unsigned port, const void *bytes, size_t size);
size_t pc_serial_room(const struct pc *pc, unsigned port);

/* --- NICs (pc_nic.c): to be added before a boot --- */

struct pc_nic_config {
    const char *model;       /* a name of nicemu/nic.h */
    uint8_t mac[6];          /* what a new card is made with; the EEPROM's address is what counts */
    uint16_t isa_port;       /* ISA: 0: the model's own, or the next that is free */
    uint8_t isa_irq;         /* ISA: 0: likewise */
    uint32_t line_rate;      /* nic_set_line_rate() */
    const uint8_t *eeprom;   /* NIC_EEPROM_SIZE bytes; NULL: a new one */
};

/* What a NIC is plugged into; see struct nic_host for the contracts. */
struct pc_link {
    void *opaque;
    bool (*send)(void *opaque, const void *frame, size_t size, const struct nic_offload *offload);
    void (*flush)(void *opaque);
    void (*receive_ready)(void *opaque);
    void (*receive_now)(void *opaque); /* the same, from where pc_nic_receive() may be called at once */
    void (*eeprom_changed)(void *opaque);
    bool (*has_room)(void *opaque); /* as struct nic_host's */
    void (*accepts_changed)(void *opaque); /* likewise */
};

/* NULL with a reason in `error`: unknown model, no slot or no such place left, no memory. The rest is nicemu/nic.h's,
 * by the same names. */
struct pc_nic *pc_add_nic(struct pc *pc, const struct pc_nic_config *config, const struct pc_link *link, char *error,
                          size_t error_size);
enum nic_rx_result pc_nic_receive(struct pc_nic *nic, const void *frame, size_t size, const struct nic_offload *offload);
void pc_nic_receive_lost(struct pc_nic *nic, size_t size);
void pc_nic_receive_backlog(struct pc_nic *nic, uint32_t waiting, uint32_t capacity);
void pc_nic_set_link(struct pc_nic *nic, bool up);
const struct nic *pc_nic_model(const struct pc_nic *nic);

/* The card's state: nic_save() and nic_restore() of nicemu/nic.h. */
size_t pc_nic_save(const struct pc_nic *nic, void *image, size_t size);
int pc_nic_restore(struct pc_nic *nic, const void *image, size_t size);
/* nic_set_trace(). 0 or ENOMEM. */
int pc_nic_set_trace(struct pc_nic *nic, nic_trace_line *line, void *opaque, bool strict);

/* --- boots: each resets the machine first; false with a reason in `error` --- */

struct boot_linux_files;
struct boot_multiboot_files;
bool pc_boot_linux(struct pc *pc, const struct boot_linux_files *files, char *error, size_t error_size);
bool pc_boot_multiboot(struct pc *pc, const struct boot_multiboot_files *files, char *error, size_t error_size);

#endif
