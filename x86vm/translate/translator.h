/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the files of translate/ share: the translator's state, its blocks, and
 * the records that emitted code names by number (links, sites, calls).
 *
 *   run.c        the run loop, which translated code comes back to
 *   build.c      guest bytes -> struct insn -> a block, with flag liveness
 *   rewrite.c    one instruction -> host code; rewrite_*.c: flow, system, strings, bounds
 *   group.c      one check for several accesses off the same registers
 *   access.c     one memory operand -> the check and both copies of the access
 *   count.c      counting of instructions, for recording and replay
 *   transition.c segment loads, SYSENTER and SYSEXIT as they went the last time
 *   pc_calls.c   CALLs that are only there for their return address
 *   shadow.c     return addresses of the host, so that its CPU can predict RET
 *   stubs.c      the code that every block shares: enter, leave, call C
 *   runtime.c    the C side of those stubs
 *   ports.c      IN and OUT of a kernel
 *   x87_errors.c unmasked x87 exceptions that are no #MF
 *   x87_stores.c the x87 instruction and data pointers
 *   calls_*.c    instructions that are carried out by a call into C
 *   blocks.c     finding, linking and invalidating blocks
 *   cache.c      the code cache, and the blocks' memory
 *   patience.c   what was tried often and in vain
 *   moves.c      blocks copied to where the same bytes run at another EIP
 *   code_map.c   host code -> guest instruction
 *   host_fault.c host signals raised by translated code
 *   jump_sites.c, jump_learn.c  indirect jumps: where each mostly goes
 *   jump_map.c   those of hot code that go to many places
 *   recall.c     making translated code come back to the run loop
 *
 * Host registers inside translated code:
 *   RAX RCX RDX RBX RBP RSI RDI   the guest's, upper halves zero
 *   R8    guest ESP               R9   effective address, jump target
 *   R10   page index, addend      R11  temporary, number of a site/call/link
 *   GS    the bare window's base, where MODE_BARE
 *   R12   the window's base       R13  data that must survive a memory access
 *   R14   12, the page shift      R15  struct cpu
 *   RSP   the shadow stack of host return addresses (shadow.h)
 *   flags the guest's arithmetic flags wherever they are live
 */
#ifndef X86VM_TRANSLATE_TRANSLATOR_H
#define X86VM_TRANSLATE_TRANSLATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "x86vm/cpu/cpu.h"
#include "x86vm/cpu/limits.h"
#include "x86vm/decode/insn.h"
#include "x86vm/memory/phys.h"
#include "x86vm/memory/view.h"
#include "x86vm/translate/code_map.h"
#include "x86vm/translate/emit.h"
#include "x86vm/translate/far_links.h"
#include "x86vm/translate/keep.h"
#include "x86vm/translate/jump_map.h"
#include "x86vm/translate/jump_sites.h"
#include "x86vm/translate/recall.h"
#include "x86vm/translate/shadow.h"
#include "x86vm/translate/table.h"
#include "x86vm/x86vm.h"

/* A line of the host's caches: a block begins with one, so that a loop's speed does not depend on where its code came to lie. */
enum { BLOCK_ALIGN = 64 };
enum { BLOCK_MAX_INSNS = 64, LOOKUP_HALF = 65536, LOOKUP_ENTRIES = 2 * LOOKUP_HALF, HASH_BUCKETS = X86VM_LIMIT(1 << 18, 16) };

/* What of the CPU's state a translation was made for. */
enum mode_bit {
    MODE_CODE32 = 1 << 0,
    MODE_STACK32 = 1 << 1,
    MODE_TS = 1 << 2, MODE_EM = 1 << 3, MODE_MP = 1 << 4, MODE_OSFXSR = 1 << 5,
    MODE_SINGLE = 1 << 6, /* one instruction, then back to the dispatcher */
    MODE_CPL0 = 1 << 7,   /* protected mode, CPL 0: interrupt flag at will */
    MODE_UNGROUPED = 1 << 20, /* no shared checks: a group's failed */
    MODE_USER = 1 << 21,  /* CPL 3: the user view's tables */
    MODE_BARE = 1 << 22,  /* accesses without checks, in the view's bare window */
    MODE_SEG_SHIFT = 8,   /* two bits a segment register: enum seg_state */
    MODE_PARTIAL_SHIFT = 24, /* not 0: a block of at most so many instructions, not to be linked */
};
enum seg_state {
    SEG_FLAT,    /* base 0, limit 4 GiB, readable and writable: no code at all */
    SEG_BASED,   /* the same with a base: one addition */
    SEG_CHECKED, /* anything else: every access goes through C */
};
#define MODE_PARTIAL (63u << MODE_PARTIAL_SHIFT)
#define MODE_GS (3u << (MODE_SEG_SHIFT + 2 * CPU_GS))
static inline enum seg_state mode_seg(uint32_t mode, unsigned seg) { return mode >> (MODE_SEG_SHIFT + 2 * seg) & 3; }

/* What the same EIP may mean different code under. */
struct code_mode { uint32_t mode, cs_base, cs_limit; };

/* One entry of the table that indirect jumps look their target up in. The key
 * is stored negated so that a match sums to zero (no flags needed). A target's
 * place is in the first half; what another took that place from is in the second. */
struct lookup_entry {
    uint64_t negated_key;
    uint64_t code;
};
/* How emitted code reads that table: the bytes from the load of the key on, and
 * the places behind it where an instruction begins that the load matters to. */
struct lookup_shape {
    uint8_t bytes[32], length;
    uint8_t at[8], count;
};
static inline uint32_t lookup_first(uint32_t eip) { return eip % LOOKUP_HALF; }
static inline uint32_t lookup_second(uint32_t eip) { return LOOKUP_HALF + (eip + __builtin_bswap32(eip)) % LOOKUP_HALF; }
#define LOOKUP_POISON (1ull << 63) /* or-ed into cpu->lookup_key: nothing matches */

/* A change of the CPU's mode as it went the last time (transition.h). What must
 * be the same again is stored negated, like a lookup_entry's key. */
struct transition {
    uint64_t negated_key;        /* cpu->lookup_key before; 1: nothing is known */
    uint32_t negated_mode;       /* mode before */
    uint32_t negated_epoch;      /* key_epoch of the privilege that is entered */
    uint64_t negated_descriptor; /* of a segment loaded: its bytes, */
    uint32_t negated_selector;
    uint32_t linear;             /* and where they lie */
    uint64_t key;                /* afterwards */
    uint64_t *tables;
    uint8_t *shadow_reset;
    uint8_t *bare;               /* cpu->bare, and negated */
    uint64_t negated_bare;
    uint32_t mode;
    struct cpu_segment seg[2];   /* CS and SS, or the one loaded */
};
enum { TRANSITION_SYSENTER, TRANSITION_SYSEXIT, TRANSITION_LOAD, /* + 2 * segment, + 1 unless null */
       TRANSITION_COUNT = TRANSITION_LOAD + 2 * CPU_SEG_COUNT };

/* struct cpu and what emitted code reaches relative to it. */
struct cpu_area {
    struct cpu cpu;
    struct lookup_entry lookup[LOOKUP_ENTRIES + 1] __attribute__((aligned(64))); /* the last: no key fits, and it leads to the run loop */
    uint32_t mode;               /* of the CPU's present state */
    uint32_t key_epoch[2];       /* supervisor, user */
    struct transition transition[TRANSITION_COUNT];
    uint64_t *jumps[JUMP_SLOTS]; /* jump_map.h: what sites go through */
    uint8_t site_patience[JUMP_SITE_COUNTS]; /* jump_sites.h: uses that are left, by a site's number modulo as many */
};

/* Where a block does without a CALL of a thunk on another page: pc_calls.h. Places in the cache. */
struct block_thunk {
    uint32_t place;          /* of the rel32 of the jump there; 0: there is none */
    uint32_t entry, guard_entry; /* what it jumps to as long as the page shows the thunk, and else */
    uint32_t linear;         /* that page */
};

struct block {
    uint32_t eip;
    uint32_t physical;       /* of the first byte */
    uint32_t other_page;     /* physical page of what it was made from besides: its last byte where it straddles, a thunk; or the first byte's */
    uint32_t cs_base, cs_limit;
    uint32_t mode, mode_mask;
    uint16_t length;         /* guest bytes */
    uint16_t insn_count;
    uint16_t depends_start, depends_end; /* offsets in the first page of all bytes that shaped it, */
    uint16_t other_start, other_end;     /* and in the other one */
    bool dead;
    bool unseen;             /* what a CALL leads to could not be looked at: pc_calls.h */
    bool sites_tried;        /* jump_sites.c has looked at it */
    uint32_t move;           /* what copies of it are made from, as of what it is a copy of itself: moves.h; 0: none are */
    uint64_t entry, guard_entry; /* executable addresses; guard_entry 0 until needed */
    uint32_t cold_at;        /* where its cold code begins, in the cache */
    uint32_t first_link, link_count; /* jumps out of it: numbers */
    struct block_thunk thunk;
    struct block *hash_next, **hash_at; /* `at`: what points to this block in the list */
    struct block *page_next[2], **page_at[2]; /* lists of the first and the last page */
    uint32_t incoming;       /* the first link to it: number + 1, or 0 */
    uint32_t *eips;          /* of its instructions, when counting */
};

static inline bool block_straddles(const struct block *b) { return (b->physical & (PAGE_SIZE - 1)) + b->length > PAGE_SIZE; }

/* A direct jump out of a block, or the one that an indirect jump mostly means (jump_sites.h). */
struct link {
    struct block *from;
    uint32_t place;          /* of its rel32, in the cache */
    uint32_t stub;           /* where it jumps while not linked, in the cache */
    uint32_t target;         /* guest EIP */
    uint32_t move;           /* of the block that it is linked to, or was last */
    uint32_t next_incoming;  /* of the block that it is linked to: number + 1, or 0 */
    bool ungrouped;          /* to a translation without groups */
    bool linked;
    bool near;               /* target and branch lie on the same page */
    uint8_t site;            /* enum jump_site_kind: of an indirect jump, at whose end the rel32 is */
    uint8_t state;           /* of that: enum jump_site_state */
    uint8_t samples, score;  /* how many are still to be taken, and how far the target is ahead of the others */
};

/* One memory access that may have to go the slow way. */
struct site {
    uint32_t eip;
    uint16_t size;
    bool read, write;
    uint8_t seg;             /* enum cpu_seg */
    bool checked;            /* the segment is SEG_CHECKED: R9 is an offset, not linear */
    bool must_align;         /* 16-aligned, else #GP */
    bool alone;              /* where C would have to store it, the instruction is run alone */
    bool may_not_write;      /* an x87 store, which an unmasked exception cancels */
    bool waits;              /* a pending x87 exception comes first */
    uint8_t stored;          /* a MOV from a general register, its number + 1; 0: something else */
    bool estimated;          /* a group's, some of whose range may not be accessed */
    int32_t esp_delta;       /* what R8 lacks to guest ESP here */
    struct block *block;
    uint64_t hot, bounce, after; /* where to go on: direct, through the bounce buffer, past the access */
};

/* How a call into C ends. */
enum call_result {
    CALL_NEXT, /* go on with the next instruction */
    CALL_EXIT, /* cpu->eip is set: back to the dispatcher */
};
typedef enum call_result call_function(struct cpu *cpu, const struct insn *insn);

struct call {
    struct insn insn;
    call_function *function;
    struct block *block;
    uint64_t resume;
};

enum exit_reason { EXIT_NEXT, EXIT_LINK, EXIT_INDIRECT, EXIT_POLL, EXIT_CALL, EXIT_HOST_FAULT, EXIT_COUNT };

struct stubs {
    uint64_t enter;    /* enum exit_reason enter(struct cpu *, uint64_t code): EXIT_POLL at once when the run loop is wanted */
    uint64_t enter_alone; /* the same for a block that leads to no other, whether it is or not */
    uint64_t next;     /* cpu->eip set */
    uint64_t link;     /* R11 = number */
    uint64_t learn;    /* R11 = number of an indirect jump's link, R9 = target; counts, and goes there */
    uint64_t indirect; /* R9 = target */
    uint64_t second;   /* the same, to be looked for in the table's second half first */
    uint64_t slow;     /* R11 = site, R9 = address */
    uint64_t warm[2][2]; /* by user, write; called: R11 = site, R9 = address, R10 = its last byte; returns with R10 = addend */
    uint64_t commit;   /* R11 = site */
    uint64_t group;    /* R11 = site, R9 = lowest address */
    uint64_t call;     /* R11 = call */
    uint64_t fault;    /* host fault */
    uint64_t count;    /* cpu->eip set: fewer steps left than the block has */
    uint64_t port[2][3]; /* by OUT, size; called: ports.c */
    uint64_t dispatch; /* R9 = target, by the table of indirect jumps */
    uint64_t empty;    /* the same, for a RET that found the shadow stack empty */
};

struct translator {
    struct cpu_area *area;
    struct phys *phys;
    uint8_t *ram;

    int cache_fd;
    uint8_t *cache_rw, *cache_rx;
    uint32_t cache_size;
    struct shadow shadow;
    struct emit hot, cold;       /* grow upwards in the two halves of the cache */
    uint8_t *hot_start, *cold_start;
    struct stubs stubs;
    struct lookup_shape lookup_shape;
    struct jumps jumps;
    struct recall recall;
    bool bmi2;
    bool bare;                   /* the host lets us have bare windows */
    bool eager;                  /* every page into the window at once: for tests */

    struct block **hash;         /* HASH_BUCKETS */
    struct block **page_blocks;  /* one list a page of RAM */
    uint32_t *page_count;        /* and how long it is */
    TABLE(struct link) links;    /* they move when one is added */
    TABLE(struct site *) sites;
    TABLE(struct call *) calls;
    TABLE(struct block *) order; /* in that of their code */
    struct far_set far[2];       /* the supervisor's far links, and the user's */
    struct code_map hot_map, cold_map;
    struct moves *moves;
    struct keep keep;            /* how far back a full cache can go */
    struct arena *arena;         /* memory of blocks, sites, calls; freed whole */
    uint64_t next_drop;          /* an idle guest's code may be dropped again; ns */
    uint8_t *hot_ready, *cold_ready; /* the writable mapping has its pages up to there */
    uint32_t let_go_at;          /* how much code there is when the writable mapping is let go again */
    uint64_t rested_changes;     /* of the code cache, when its writable mapping was let go last */

    struct code_mode modes[X86VM_LIMIT(1024, 3)]; /* seen so far: their index is their number */
    uint32_t mode_count;
    uint64_t generation[2];      /* view_generation() of each privilege that its epoch stands for */
    int noted;                   /* transition.c: the transition that C is carrying out, or -1 */
    uint64_t noted_key;
    uint32_t noted_mode;
    volatile bool stop_request;
    bool single;                 /* run just one instruction next */
    bool ungrouped;              /* find the next block without shared checks */
    uint8_t group_failures[X86VM_LIMIT(4096, 64)]; /* by hash of the block's physical address */
    uint8_t bare_failures[65536]; /* by hash of an instruction's physical address */
    uint16_t bare_useless[1024]; /* how many of 64 neighbours in it have run out of patience */
    struct { bool pending, write; uint32_t at; } missed; /* a user's page fault on data: the page is shown when the user is back */
    uint32_t bare_failed;        /* EIP of one whose translation is to have the check, or NOWHERE */
    bool own_code_written;       /* runtime.c: restart the instruction alone */
    bool ignore_x87;             /* x87_errors.h: the next instruction goes on in spite of a pending exception, */
    uint16_t x87_control, x87_masked; /* the control word that it really has, and the one it has meanwhile; 0: none */
    bool counting;               /* count.h; set before the first block */
    struct { uint8_t *top; uint64_t negated_key; uint32_t mode; } kernel_returns; /* its shadow stack over a pass of the run loop */
    bool inside;                 /* translated code is running, or what it called */
    uint8_t partial;             /* run at most so many instructions next */
    uint64_t count_end, count_stop;
    int host_fault_vector;
    uint32_t host_fault_error;
    struct x86vm_counters counters;
};

#define NOWHERE UINT32_MAX

/* Whether both lie on the same linear page. */
static inline bool blocks_near(const struct block *block, uint32_t eip, uint32_t other)
{
    return ((block->cs_base + eip) ^ (block->cs_base + other)) < PAGE_SIZE;
}

/* The one translator of this process (host signal handlers need it). */
extern struct translator *translator_current;

static inline struct cpu *translator_cpu(struct translator *t) { return &t->area->cpu; }

/* Translated code was left: a user's RETs come back as if it had not been, if all is
 * the same when it goes on. `key`: the lookup key that it ran with. */
static inline void translator_keep_returns(struct translator *t, uint64_t key)
{
    struct cpu *cpu = translator_cpu(t);

    if (!shadow_is_user(&t->shadow, cpu->shadow))
        return;
    cpu->user_shadow = cpu->shadow;
    cpu->user_negated_key = -key;
}

/* The same for a kernel, as long as it stays one; its lookup key does not tell GS apart. */
static inline void translator_keep_kernel_returns(struct translator *t)
{
    struct cpu *cpu = translator_cpu(t);

    t->kernel_returns.top = cpu->shadow;
    t->kernel_returns.negated_key = -cpu->lookup_key;
    t->kernel_returns.mode = t->area->mode;
}

/* Whoever runs translated code next begins with an empty shadow stack, or with the one that was kept. */
static inline void translator_begin_shadow(struct translator *t, bool alone)
{
    struct cpu *cpu = translator_cpu(t);
    bool user = cpu->cpl == 3, kept = !alone && cpu->lookup_key + (user ? cpu->user_negated_key : t->kernel_returns.negated_key) == 0
                                      && (user || t->kernel_returns.mode == t->area->mode);

    if (!t->shadow.map)
        return;
    cpu->shadow_reset = t->shadow.reset[user ? SHADOW_USER : SHADOW_SUPERVISOR];
    cpu->shadow = !kept ? cpu->shadow_reset : user ? cpu->user_shadow : t->kernel_returns.top;
    t->kernel_returns.negated_key = 1; /* once */
    if (user)
        cpu->user_negated_key = 1;
}

static inline void translator_keep_nothing(struct translator *t)
{
    translator_cpu(t)->user_negated_key = t->kernel_returns.negated_key = 1;
}

/* Whoever runs it now, and called C, goes on with an empty one: a RET must not come
 * back into the middle of a block that is not valid any more. */
static inline void translator_forget_returns(struct translator *t)
{
    struct cpu *cpu = translator_cpu(t);

    if (t->shadow.map)
        cpu->shadow = cpu->shadow_reset;
    translator_keep_nothing(t);
}

/* Makes translated code come back to the run loop soon. For C that it called: any
 * other thread, and any signal handler, has to do more (x86vm.h). */
static inline void translator_request(struct cpu *cpu)
{
    __atomic_store_n(&cpu->exit_request, 1, __ATOMIC_SEQ_CST);
    __atomic_or_fetch(&cpu->lookup_key, LOOKUP_POISON, __ATOMIC_SEQ_CST);
}

/* --- blocks.c --- */
bool blocks_init(struct translator *t, uint32_t cache_size);
void blocks_free(struct translator *t);
void blocks_flush(struct translator *t);
void blocks_rest(struct translator *t, uint64_t now); /* the guest is idle: only from outside of x86vm_run() */
struct block *blocks_find(struct translator *t, uint32_t eip, uint32_t physical, uint32_t mode);
void blocks_prefetch(const struct translator *t, uint32_t eip, uint32_t physical); /* it is looked for soon, in a flat segment */
void blocks_add(struct translator *t, struct block *block);
void blocks_kill(struct translator *t, struct block *block);
/* It and all links from that number on are about to be forgotten; the block, those alone. */
void blocks_take_out(struct translator *t, struct block *block, uint32_t first_link);
void blocks_forget_links(struct translator *t, struct block *block, uint32_t first_link);
void blocks_link(struct translator *t, uint32_t link, struct block *to);
void blocks_unlink(struct translator *t, uint32_t link); /* it is linked */
void blocks_remember(struct translator *t, uint32_t eip, const struct block *block);
/* Where the present mode's code at EIP is, as far as the table of indirect jumps knows; 0: it does not. */
uint64_t blocks_remembered(const struct translator *t, uint32_t eip);
void blocks_clear_lookup(struct translator *t);
bool blocks_page_full(const struct translator *t, uint32_t page);
bool blocks_full(struct translator *t, uint32_t physical); /* the next block might not fit, or its page has too many */
void blocks_make_room(struct translator *t, uint32_t physical); /* drops the page's blocks, or copies, or all. Only from the dispatcher. */
uint32_t blocks_new_link(struct translator *t, struct link **out);
uint32_t blocks_new_site(struct translator *t, struct site **out);
uint32_t blocks_new_call(struct translator *t, struct call **out);
/* Rows of the maps at t->hot.p and t->cold.p. The block's first, whose number is returned; a further one. */
uint32_t blocks_map_hot_begin(struct translator *t, uint32_t eip);
uint32_t blocks_map_cold_begin(struct translator *t, uint32_t eip);
void blocks_map_hot(struct translator *t, uint32_t eip, int32_t esp_delta);
void blocks_map_cold(struct translator *t, uint32_t eip, int32_t esp_delta);
/* The guest instruction that the host was executing at `pc`; false when pc is not in a block. */
bool blocks_locate(const struct translator *t, uint64_t pc, struct code_row *out);
/* Drops the translations of an instruction at the present privilege that have no check. */
/* Whether the block was made from (or depends on) bytes of a page. */
bool blocks_made_from(const struct block *block, uint32_t physical, uint32_t size);
void blocks_kill_bare(struct translator *t, uint32_t eip);

/* --- stubs.c --- */
/* To the guest address in R9, by the table of indirect jumps; `go` emits the jump itself. */
void emit_dispatch(const struct translator *t, struct emit *e, void (*go)(struct emit *e, struct host_mem code));
void stubs_emit(struct translator *t);

/* --- build.c --- */
/* Translates the code at the CPU's EIP; raises guest exceptions of the fetch. NULL: cache full, flush and retry. */
struct block *build_block(struct translator *t, uint32_t eip, uint32_t mode);

/* --- runtime.c --- */
void runtime_slow(struct cpu *cpu, uint32_t site, uint32_t address);
void runtime_commit(struct cpu *cpu, uint32_t site);
void runtime_group(struct cpu *cpu, uint32_t site, uint32_t address);
int runtime_call(struct cpu *cpu, uint32_t call);

/* --- calls_*.c --- */
call_function *calls_function(enum insn_kind kind);

/* --- host_fault.c --- */
bool host_fault_install(void);

#endif
