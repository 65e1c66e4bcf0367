/* SPDX-License-Identifier: BSD-2-Clause
 *
 * XZ decompression into memory; the only file that knows liblzma.
 */
#ifndef X86VM_PC_UNPACK_XZ_H
#define X86VM_PC_UNPACK_XZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool unpack_xz_recognizes(const uint8_t *data, size_t size);

/* Decompresses one stream of exactly `out_size` bytes. False: corrupt, another
 * size, or it wants more than 256 MiB to work in. */
bool unpack_xz(const uint8_t *data, size_t size, uint8_t *out, size_t out_size);

#endif
