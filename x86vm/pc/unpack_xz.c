/* SPDX-License-Identifier: BSD-2-Clause
 *
 * XZ decompression: see unpack_xz.h.
 */
#include "x86vm/pc/unpack_xz.h"

#include <lzma.h>
#include <string.h>

bool unpack_xz_recognizes(const uint8_t *data, size_t size)
{
    static const uint8_t magic[6] = { 0xfd, '7', 'z', 'X', 'Z', 0 };

    return size >= sizeof magic && memcmp(data, magic, sizeof magic) == 0;
}

bool unpack_xz(const uint8_t *data, size_t size, uint8_t *out, size_t out_size)
{
    uint64_t memory_limit = 256u << 20;
    size_t in_done = 0, out_done = 0;

    return lzma_stream_buffer_decode(&memory_limit, 0, NULL, data, &in_done, size, out, &out_done, out_size) ==
               LZMA_OK && out_done == out_size;
}
