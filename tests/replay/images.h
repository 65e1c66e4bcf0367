/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the engine made of things where two right CPUs may differ: the flags it
 * put into memory (some are undefined by the manual), and the words of an FPU image that are each
 * implementation's own. The engine's calls are led through images.c by the
 * linker (--wrap), and the other emulator, which runs behind, takes these over.
 */
#ifndef TESTS_REPLAY_IMAGES_H
#define TESTS_REPLAY_IMAGES_H

#include <stdbool.h>
#include <stdint.h>

struct cpu;
struct replay;

enum image_kind { IMAGE_PUSHF = 1, IMAGE_EXCEPTION, IMAGE_INTERRUPT, IMAGE_SOFTWARE, IMAGE_FPU };

struct image {
    enum image_kind kind;
    uint32_t eip, flags;          /* the arithmetic ones that go into memory: of a frame, those that were recorded */
    uint32_t own;                 /* and those that the engine had itself */
    uint32_t vector, error, cr2;  /* IMAGE_EXCEPTION */
    bool has_error;
    uint16_t size;                /* IMAGE_FPU: the bytes of the instruction's operand */
    uint8_t bytes[512];
};

void images_of(struct cpu *engine, const struct replay *replay); /* whose are kept; the replay is loaded */
void images_clear(void);
/* The next one in order, NULL when there is none. */
const struct image *images_take(void);

#endif
