/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A block while it is being built: shared by build.c (which drives), rewrite.c
 * (instructions) and access.c (memory operands).
 */
#ifndef X86VM_TRANSLATE_BUILD_H
#define X86VM_TRANSLATE_BUILD_H

#include "x86vm/cpu/limits.h"
#include "x86vm/translate/patience.h"
#include "x86vm/translate/pc_calls.h"
#include "x86vm/translate/translator.h"

/* A short forward jump out of the hot path whose far target is already known:
 * collected in islands of near jumps within its reach. */
struct short_exit { uint8_t *place; uint64_t target; };
enum { SHORT_EXITS_MAX = 32 };

/* Accesses off one sum of registers that share a check: found by group.c, the check is made by group_check.c. */
struct group_sum { uint8_t base, index, scale; }; /* either or both may be INSN_NO_REG; the scale of no index is 0 */
struct group {
    struct group_sum sum;
    uint8_t first;       /* instruction before which the check stands */
    uint16_t alone;      /* host instructions of its accesses' own checks */
    uint8_t count;
    bool write;
    bool ready;          /* the check was emitted */
    bool estimated;      /* perhaps not all of the range is accessed */
    int32_t low, high;   /* bytes from the sum; ESP: from where it was when last unknown */
    int32_t esp_moved;   /* ... and how far it had moved since, at `first` */
};
enum { GROUPS_MAX = X86VM_LIMIT(32, 3) };
/* Host instructions of an access's own check, and of a group's: without and with flags to be kept. */
enum { GROUP_CHECK_PLAIN = 4, GROUP_CHECK_FLAGS = 6 };
static inline bool group_is_constant(struct group_sum sum) { return sum.base == INSN_NO_REG && sum.index == INSN_NO_REG; }

struct build {
    struct translator *t;
    struct emit *hot, *cold;
    struct block *block;
    uint32_t mode;
    unsigned count;
    uint32_t end_eip;         /* behind the last instruction */
    const struct insn *insn;  /* the one being rewritten */
    bool flags_live;          /* live_before of it is not empty */
    unsigned exit_count;
    int32_t esp_delta;        /* guest ESP = R8 + esp_delta */
    uint32_t x87_data;        /* the high half that cpu->x87_info has, as far as the block knows; 0: it does not */
    unsigned group_count;
    uint64_t groups_begin;    /* at which instructions, one bit each */
    uint32_t thunk_linear;    /* of a thunk on another page */
    /* From here on: not cleared in advance. */
    struct insn insns[BLOCK_MAX_INSNS];
    uint32_t live_before[BLOCK_MAX_INSNS]; /* flags that matter when the instruction starts */
    uint32_t live_after[BLOCK_MAX_INSNS];
    uint8_t pc_calls[BLOCK_MAX_INSNS]; /* enum pc_call */
    struct short_exit exits[SHORT_EXITS_MAX];
    struct group groups[GROUPS_MAX];
    int8_t memory_group[BLOCK_MAX_INSNS], stack_group[BLOCK_MAX_INSNS]; /* -1: none */
    bool constant_range[BLOCK_MAX_INSNS]; /* the memory operand has a constant and small registers alone */
};

/* Host register of a guest register. */
extern const uint8_t host_of[8];

static inline struct host_mem cpu_member(size_t offset) { return mem_at(R15, (int32_t)offset); }
#define CPU_MEM(member) cpu_member(offsetof(struct cpu, member))

/* Emits the operation itself on a memory operand; called once for the hot
 * path and once for the bounce buffer. Must keep R13 and may use R11. */
typedef void access_operation(struct emit *e, struct host_mem mem, const void *arg);

/* An access of `size` bytes to the guest address `at`, a sum of host registers
 * that wraps at 4 GiB; see access.c. */
struct access {
    struct host_mem at; /* linear unless `checked` */
    uint8_t seg;
    bool checked;
    uint16_t size;
    bool read, write;
    bool constant;      /* `at` is a displacement alone */
    bool careful;       /* the host must not fault in the operation: it has a guest register in use */
    bool grouped;       /* checked by its group */
    bool constant_range; /* ... and a constant and small registers alone */
};
/* [window + register + disp] with no more than that needs no wrapping: see WINDOW_MARGIN_PAGES. */
enum { WINDOW_DISP_MAX = 4 * PAGE_SIZE - 1024 };
/* The operand's address, what of it must be computed emitted; `esp_adjust` is
 * added when the base is ESP (POP). */
struct access access_address(struct build *b, const struct insn_mem *mem, int32_t esp_adjust);
/* The same without the segment, for an address that is not complete yet: any register. */
enum host_reg access_offset(struct build *b, const struct insn_mem *mem);
/* Whether the instruction's operand of that size must be 16-aligned. */
bool access_must_be_aligned(const struct insn *insn, uint16_t size);
/* Displacement from R12 of a table of the view that the block runs in. */
static inline int32_t view_table(const struct build *b, uint32_t table)
{
    return VIEW_TABLES(b->mode & MODE_USER) + (int32_t)table;
}
/* Whether accesses of the instruction without a check failed too often. */
static inline bool build_bare_useless(const struct build *b, const struct insn *insn)
{
    return patience_bare_useless(b->t, b->block->physical + (insn->eip - b->block->eip));
}
/* State of the segment for an access through it. */
enum seg_state access_segment(const struct build *b, uint8_t seg, bool write);
/* Emits check and operation. */
void access_emit(struct build *b, const struct access *a, access_operation *operation, const void *arg);
/* Dumps pending short exits when the oldest is about to get out of reach (or always). */
void access_island(struct build *b, bool at_end);
void access_island_now(struct build *b); /* a long sequence without accesses follows */

/* The entry for fetches of a linear page. */
static inline struct host_mem build_exec_entry(const struct build *b, uint32_t linear)
{
    return mem_at(R12, view_table(b, VIEW_EXEC) + (int32_t)((linear >> PAGE_SHIFT) * 8));
}
/* Goes on when its low half is `expected`, else to where the returned place is made to lead;
 * flags and RCX are kept. Both numbers depend on EIP. */
uint8_t *build_emit_expected(struct emit *e, struct host_mem word, uint32_t expected);
/* As build_block(), and nothing but that block. */
struct block *build_one_block(struct translator *t, uint32_t eip, uint32_t mode);

/* Finds the groups of the decoded block. */
void group_analyse(struct build *b);
/* Emits the checks of the groups that begin at instruction i. */
void group_open(struct build *b, unsigned i);
/* Whether its check was made. */
bool group_covers(const struct build *b, int8_t group);
/* Whether instruction i only moves ESP by a constant, its flags being dead. */
bool group_esp_adjust(const struct build *b, unsigned i, int32_t *by);

/* Host code for instruction i. */
void rewrite_insn(struct build *b, unsigned i);
/* A jump to guest address `target`, linked lazily. */
void rewrite_jump(struct build *b, uint32_t target);
/* Whether RETs come back behind the host's CALL: shadow.h. */
bool rewrite_comes_back(const struct build *b);
/* Whether the instruction is carried out by a call into C in this mode. */
bool rewrite_is_call(const struct build *b, const struct insn *insn);

#endif
