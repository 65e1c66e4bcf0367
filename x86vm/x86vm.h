/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The engine as a library: a 32-bit x86 CPU with its memory, run by binary
 * translation in this process. What is around the CPU (interrupt controller,
 * timers, NICs) attaches through the io_bus and the interrupt hooks.
 * One engine a process: host signal handlers are process-wide.
 */
#ifndef X86VM_X86VM_H
#define X86VM_X86VM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "x86vm/counters.h"

struct x86vm;
struct cpu;
struct phys;
struct io_bus;

struct x86vm_config {
    uint64_t ram_size;        /* bytes; multiple of 4096 */
    uint32_t code_cache_size; /* bytes; 0: 128 MiB */
};

/* NULL on failure with a reason in `error`. Installs handlers for SIGSEGV,
 * SIGBUS, SIGFPE, SIGILL, SIGTRAP that belong to translated code. */
struct x86vm *x86vm_new(const struct x86vm_config *config, char *error, size_t error_size);
void x86vm_free(struct x86vm *vm);

struct cpu *x86vm_cpu(struct x86vm *vm);
struct phys *x86vm_phys(struct x86vm *vm);
struct io_bus *x86vm_io(struct x86vm *vm);

/* The platform's interrupt line: `ack` is called when the CPU takes the
 * interrupt, and returns its vector. */
void x86vm_set_intr_ack(struct x86vm *vm, uint8_t (*ack)(void *opaque), void *opaque);
void x86vm_set_intr(struct x86vm *vm, bool level); /* vCPU thread only */

/* The platform hears of an x87 error where CR0.NE is clear (FERR#); it answers by cpu->ignne. */
void x86vm_set_ferr(struct x86vm *vm, void (*ferr)(void *opaque), void *opaque);

enum x86vm_exit {
    X86VM_EXIT_REQUESTED, /* x86vm_request_exit() was called; the request is cleared */
    X86VM_EXIT_HALTED,    /* HLT with interrupts enabled, none pending: sleep until one is */
    X86VM_EXIT_DEAD,      /* HLT with interrupts off: only NMI or reset goes on */
    X86VM_EXIT_SHUTDOWN,  /* triple fault */
    X86VM_EXIT_POSITION,  /* at the position of x86vm_stop_at() */
};

/* Runs the guest on the calling thread, always the same one, until one of the above. */
enum x86vm_exit x86vm_run(struct x86vm *vm);

/* Makes x86vm_run() return soon. Any thread, in no signal handler: SIGURG is sent to the
 * thread that runs the guest, unless that is the caller (the system call tgkill). */
void x86vm_request_exit(struct x86vm *vm);
/* The same for a handler (SA_SIGINFO, SA_ONSTACK) of a signal to that or any other thread,
 * with what it was given. Handlers that run on that thread and call neither must block SIGURG. */
void x86vm_interrupted(struct x86vm *vm, void *context);

/* The guest has been idle: memory that it hardly needs is given back to the host. Between
 * two x86vm_run(), on their thread. `now`: ns of a clock that does not go back. */
void x86vm_rest(struct x86vm *vm, uint64_t now);

/* Counting, for recordings (record.h): from the first run on, at a cost. A position
 * is the number of instructions retired and exceptions delivered (translate/count.h). */
void x86vm_count(struct x86vm *vm); /* before the first x86vm_run() */
uint64_t x86vm_position(const struct x86vm *vm);
void x86vm_stop_at(struct x86vm *vm, uint64_t position);

void x86vm_get_counters(const struct x86vm *vm, struct x86vm_counters *out);

/* Whether the host executes translated code at `pc`, for samples. Async-signal-safe. */
bool x86vm_is_translated(const struct x86vm *vm, uintptr_t pc);
bool x86vm_is_user(const struct x86vm *vm); /* CPL 3 */
bool x86vm_take_user_ran(struct x86vm *vm); /* it has been since the last call; between two x86vm_run() */

/* One line on where the guest is (registers, mode), for reports of a shutdown. */
void x86vm_describe_state(const struct x86vm *vm, char *out, size_t size);

#endif
