/* SPDX-License-Identifier: BSD-2-Clause
 *
 * See undefined.h. The bookkeeping is the instruction oracle's (tests/insn/flags.c).
 */
#include "tests/replay/undefined.h"

#include <Zydis/Zydis.h>

#include "tests/insn/gen.h"

enum { ALL = ZYDIS_CPUFLAG_CF | ZYDIS_CPUFLAG_PF | ZYDIS_CPUFLAG_AF | ZYDIS_CPUFLAG_ZF | ZYDIS_CPUFLAG_SF | ZYDIS_CPUFLAG_OF };

void undefined_flags(const uint8_t *bytes, size_t size, uint32_t *keeps, uint32_t *makes)
{
    ZydisDecoder decoder;
    ZydisDecodedInstruction decoded;

    *keeps = ALL;
    *makes = 0;
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LEGACY_32, ZYDIS_STACK_WIDTH_32);
    if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, bytes, size, &decoded)))
        return;
    *makes = gen_flags_of(&decoded, bytes, 0, -1).undefined_after;
    *keeps = gen_flags_of(&decoded, bytes, ALL, -1).undefined_after;
}
