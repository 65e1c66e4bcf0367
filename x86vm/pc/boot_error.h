/* SPDX-License-Identifier: BSD-2-Clause
 *
 * How the loaders say what is wrong with a file: one line into the caller's buffer.
 */
#ifndef X86VM_PC_BOOT_ERROR_H
#define X86VM_PC_BOOT_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Always false: `return boot_error(...)`. */
__attribute__((format(printf, 3, 4))) static inline bool boot_error(char *error, size_t size, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(error, size, format, args);
    va_end(args);
    return false;
}

#endif
