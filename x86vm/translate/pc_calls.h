/* SPDX-License-Identifier: BSD-2-Clause
 *
 * CALLs that are only there for their return address. Position-independent code
 * asks for its EIP by `call 1f; 1: pop ebx`, or by a CALL of a thunk, `mov ebx, [esp];
 * ret`. The word is stored below ESP, as the CALL does; the rest is a constant, and
 * the block goes on without a jump or a return address on the shadow stack.
 *
 * The thunk's bytes are bytes that the block is made from. Where they lie on another
 * page, that must show them when the CALL is made: in its place is a jump, a far
 * link (far_links.h), that leads on in the block as long as it does, and else to a
 * guard; where that finds another page, the CALL is made after all.
 *
 * None while counting, nor where a CALL ends its block. The word must be plain
 * memory to be read back: where C would have to store it, the CALL is run alone.
 */
#ifndef X86VM_TRANSLATE_PC_CALLS_H
#define X86VM_TRANSLATE_PC_CALLS_H

#include <stdbool.h>
#include <stdint.h>

struct block;
struct build;
struct insn;
struct translator;

enum pc_call {
    PC_CALL_NONE,
    PC_CALL_NEXT, /* of what stands behind it */
    PC_CALL_HERE, /* of a thunk on the block's page */
    PC_CALL_AWAY, /* of one on another page; one a block */
};

/* What the instruction that was decoded last is. The register of a thunk counts as written by it. */
void pc_calls_find(struct build *b, struct insn *insn);
unsigned pc_calls_register(const struct insn *insn);
/* Adds the thunks on its page to what the decoded block depends on. */
void pc_calls_depend(struct build *b);
/* How far ESP is moved behind the push. */
int32_t pc_calls_esp(const struct build *b, unsigned i);
/* The jump, and the guard in the cold part; what is emitted there next is for when the thunk is not there. */
void pc_calls_guard(struct build *b);

/* The block is complete: its jump becomes a far link. */
void pc_calls_added(struct translator *t, const struct block *block);
/* Whether the block may be copied to that EIP; the copy, its code being in place; whether now it would be made alike. */
bool pc_calls_may_move(const struct translator *t, const struct block *from, uint32_t eip);
void pc_calls_moved(struct translator *t, struct block *copy);
bool pc_calls_alike(struct translator *t, const struct block *copy);

#endif
