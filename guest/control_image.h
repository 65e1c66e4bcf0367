/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The saved state of a card on its way over the control socket: lines of hexadecimal
 * digits, since everything there is lines.
 */
#ifndef GUEST_CONTROL_IMAGE_H
#define GUEST_CONTROL_IMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { CONTROL_IMAGE_MAX = 100000, CONTROL_IMAGE_LINE = 64 /* bytes of it a line */ };

struct control_image {
    unsigned nic;  /* whose it is */
    bool bad;      /* a line was none of it */
    size_t size;
    uint8_t bytes[CONTROL_IMAGE_MAX];
};

/* Adds what a line says. */
void control_image_add(struct control_image *image, const char *line);

/* The line of the bytes from `at` on; false: there are none. */
bool control_image_line(const struct control_image *image, size_t at, char line[2 * CONTROL_IMAGE_LINE + 1]);

#endif
