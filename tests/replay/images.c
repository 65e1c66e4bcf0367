/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Keeps what the engine put into memory where CPUs may differ: see images.h.
 */
#include "tests/replay/images.h"

#include <stdlib.h>

#include "tests/mutate.h"
#include "x86vm/protection/protection.h"
#include "x86vm/replay.h"
#include "x86vm/translate/calls.h"
#include "x86vm/translate/operand.h"
#include "x86vm/translate/rewrite.h"

static const struct cpu *engine;
static const struct replay *engine_replay;
static void (*replay_tap)(void *opaque);
static uint32_t flags_before; /* the engine's own, which those of the recording are about to replace */
static struct image *images;
static size_t count, capacity, taken;

static void on_exception(void *replay)
{
    flags_before = engine->eflags & FLAGS_ARITH;
    replay_tap(replay);
}

void images_of(struct cpu *cpu, const struct replay *replay)
{
    engine = cpu;
    engine_replay = replay;
    replay_tap = cpu->exception_tap;
    cpu->exception_tap = on_exception;
}

void images_clear(void) { count = taken = 0; }

const struct image *images_take(void)
{
    return taken < count ? &images[taken++] : NULL;
}

static struct image *add(const struct cpu *cpu, enum image_kind kind)
{
    static struct image nobody;
    struct image *image = &nobody;

    if (cpu == engine) {
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 1024;
            images = realloc(images, capacity * sizeof *images);
            if (!images)
                abort();
        }
        image = &images[count++];
    }
    *image = (struct image){ .kind = kind, .eip = cpu->eip, .flags = cpu->eflags & FLAGS_ARITH, .own = cpu->eflags & FLAGS_ARITH };
    return image;
}

WRAP(void, protection_exception, (struct cpu *cpu))
{
    struct image *image = add(cpu, IMAGE_EXCEPTION);

    image->own = flags_before;
    image->vector = (uint32_t)cpu->fault_vector;
    image->error = cpu->fault_error;
    image->has_error = cpu->fault_has_error;
    image->cr2 = cpu->cr2;
    __real_protection_exception(cpu);
}

WRAP(bool, replay_take, (struct replay *replay))
{
    if (replay == engine_replay)
        flags_before = engine->eflags & FLAGS_ARITH;
    return __real_replay_take(replay);
}

WRAP(void, protection_hardware_interrupt, (struct cpu *cpu, uint8_t vector))
{
    struct image *image = add(cpu, IMAGE_INTERRUPT);

    image->own = flags_before;
    image->vector = vector;
    __real_protection_hardware_interrupt(cpu, vector);
}

WRAP(void, protection_int, (struct cpu *cpu, uint8_t vector, uint32_t return_eip))
{
    add(cpu, IMAGE_SOFTWARE)->vector = vector;
    __real_protection_int(cpu, vector, return_eip);
}

/* INT3 and INT1: within interrupt.c the linker leaves the calls alone. */
WRAP(void, protection_interrupt, (struct cpu *cpu, uint8_t vector, enum interrupt_source source, bool has_error, uint32_t error,
                                  uint32_t return_eip))
{
    add(cpu, IMAGE_SOFTWARE)->vector = vector;
    __real_protection_interrupt(cpu, vector, source, has_error, error, return_eip);
}

WRAP(enum call_result, calls_pushf, (struct cpu *cpu, const struct insn *insn))
{
    add(cpu, IMAGE_PUSHF);
    return __real_calls_pushf(cpu, insn);
}

static enum call_result fpu_image(struct cpu *cpu, const struct insn *insn, call_function *real, uint16_t size)
{
    uint32_t linear = cpu->seg_base[insn->mem.seg] + operand_offset(cpu, insn);
    enum call_result result = real(cpu, insn);
    struct image *image = add(cpu, IMAGE_FPU);

    image->size = size;
    view_read(cpu, linear, image->bytes, size, false);
    return result;
}

call_function __real_calls_fxsave, __real_calls_fnsave, __real_calls_fnstenv;
call_function __wrap_calls_fxsave, __wrap_calls_fnsave, __wrap_calls_fnstenv;
enum call_result __wrap_calls_fxsave(struct cpu *cpu, const struct insn *insn) { return fpu_image(cpu, insn, __real_calls_fxsave, 512); }
enum call_result __wrap_calls_fnsave(struct cpu *cpu, const struct insn *insn) { return fpu_image(cpu, insn, __real_calls_fnsave, insn->opsize == 2 ? 94 : 108); }
enum call_result __wrap_calls_fnstenv(struct cpu *cpu, const struct insn *insn) { return fpu_image(cpu, insn, __real_calls_fnstenv, insn->opsize == 2 ? 14 : 28); }

/* PUSHF in line would not come by here. */
WRAP(bool, rewrite_system_inline, (const struct build *b, const struct insn *insn))
{
    return insn->kind != INSN_PUSHF && __real_rewrite_system_inline(b, insn);
}
