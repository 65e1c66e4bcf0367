/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Running a recording again (record.h). A `struct replay` is a reader that feeds
 * one CPU, memory and I/O bus with what the recording says reached them; whose
 * CPU that is, and what executes it, is the caller's: replay_run() is for the
 * engine, tests/replay lets another emulator run the same recording beside it.
 */
#ifndef X86VM_REPLAY_H
#define X86VM_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "x86vm/record.h"

struct phys;
struct io_bus;
struct replay;

/* What the machine to replay on has to be like: all that is looked at of a recording
 * before replay_open(). False with a reason in `error`. */
bool replay_peek(const uint8_t *bytes, size_t size, uint64_t *ram_size, char *error, size_t error_size);

/* Checks the whole of it, whoever made it. `bytes` are not copied. NULL with a reason in `error`. */
struct replay *replay_open(const uint8_t *bytes, size_t size, char *error, size_t error_size);
void replay_free(struct replay *replay); /* after what it feeds */

/* Loads the machine and feeds it from now on; RAM must be all zero and of that size. */
bool replay_load(struct replay *replay, struct cpu *cpu, struct phys *phys, struct io_bus *io, char *error,
                 size_t error_size);

/* The next record with a position. A recording that was cut off ends at its last one. */
struct replay_event {
    enum record_kind kind; /* RECORD_DMA, RECORD_INTERRUPT, RECORD_END */
    uint64_t position;
    uint8_t vector, last_exit;
    uint32_t check;
    uint16_t flags;        /* RECORD_INTERRUPT: the arithmetic ones of its frame */
    uint64_t ram_hash;
    bool cut;              /* RECORD_END, but the recording has none: nothing to compare with */
};
const struct replay_event *replay_next(const struct replay *replay);

/* At the position of replay_next(): carries out DMA, and goes on to the next record. False: the guest has
 * not asked for all that it asked for when recorded. */
bool replay_take(struct replay *replay);

/* What was wrong, once the guest asked for something else than when recorded; NULL: nothing so far. */
const char *replay_diverged(const struct replay *replay);
void replay_set_diverged(struct replay *replay, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Called when the guest diverges; and for each byte that the guest sends to COM1. Either may be NULL. */
struct replay_watcher {
    void *opaque;
    void (*diverged)(void *opaque);
    void (*serial_output)(void *opaque, uint8_t byte);
};
void replay_watch(struct replay *replay, const struct replay_watcher *watcher);

/* Where in the recording the reader is, to come back to. */
struct replay_place { size_t at, ahead; uint32_t part_left; uint64_t tsc; struct replay_event next; };
struct replay_place replay_tell(const struct replay *replay);
void replay_seek(struct replay *replay, const struct replay_place *place);

/* --- on the engine --- */

enum replay_result {
    REPLAY_STOPPED,  /* at `until`, before what happens there */
    REPLAY_SAME,     /* the end, and the machine's state is the recorded one */
    REPLAY_CUT,      /* the end of a recording that was cut off */
    REPLAY_DIVERGED, /* see replay_diverged() */
};
/* The vm that was given to replay_load(). */
enum replay_result replay_run(struct replay *replay, struct x86vm *vm, uint64_t until);

#endif
