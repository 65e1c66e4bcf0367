/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A card's state in hexadecimal lines: see control_image.h.
 */
#include "guest/control_image.h"

#include <stdio.h>
#include <string.h>

static int digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = c ? strchr(digits, c) : NULL;

    return found ? (int)(found - digits) : -1;
}

void control_image_add(struct control_image *image, const char *line)
{
    size_t length = strlen(line);

    if (length % 2 || length / 2 > sizeof image->bytes - image->size)
        image->bad = true;
    for (size_t i = 0; i < length && !image->bad; i += 2) {
        int high = digit(line[i]), low = digit(line[i + 1]);
        if (high < 0 || low < 0)
            image->bad = true;
        else
            image->bytes[image->size++] = (uint8_t)(high << 4 | low);
    }
}

bool control_image_line(const struct control_image *image, size_t at, char line[2 * CONTROL_IMAGE_LINE + 1])
{
    size_t count = at < image->size ? image->size - at : 0;

    if (count > CONTROL_IMAGE_LINE)
        count = CONTROL_IMAGE_LINE;
    for (size_t i = 0; i < count; i++)
        snprintf(line + 2 * i, 3, "%02x", image->bytes[at + i]);
    return count > 0;
}
