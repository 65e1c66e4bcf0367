/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the engine made of things where two right CPUs may differ: the flags it
 * put into memory (some are undefined by the manual, some it need not keep
 * because nobody will read them), and the words of an FPU image that are each
 * implementation's own. The engine's calls are led through images.c by the
 * linker (--wrap), and the other emulator, which runs behind, takes these over.
 */
#ifndef TESTS_REPLAY_IMAGES_H
#define TESTS_REPLAY_IMAGES_H

#include <stdbool.h>
#include <stdint.h>

struct cpu;

enum image_kind { IMAGE_PUSHF = 1, IMAGE_EXCEPTION, IMAGE_INTERRUPT, IMAGE_SOFTWARE, IMAGE_FPU };

struct image {
    enum image_kind kind;
    uint32_t eip, flags;          /* flags: the arithmetic ones */
    uint32_t vector, error, cr2;  /* IMAGE_EXCEPTION */
    bool has_error;
    uint16_t size;                /* IMAGE_FPU: the bytes of the instruction's operand */
    uint8_t bytes[512];
};

void images_of(const struct cpu *engine); /* whose are kept */
void images_clear(void);
/* The next one in order, NULL when there is none. */
const struct image *images_take(void);

#endif
