/* SPDX-License-Identifier: BSD-2-Clause
 * Where debug traps come: between elements of a string, not behind MOV SS, not
 * into the handler of INT n. */
#include "guest.h"

enum { DB = 1, BP = 3, UD = 6, TRAPS_MAX = 8, INT3_CAME = 3 };

static unsigned steps;

static void on_step(struct frame *f)
{
    steps++;
    if (steps == 100)
        f->eflags &= ~0x100u;
}

/* `code` with TF set, and STEP_END instructions more. */
#define STEP(code) "pushfl; orl $0x100, (%%esp); popfl;" code "; pushfl; andl $~0x100, (%%esp); popfl;"
enum { STEP_END = 3 };

static void steps_begin(void)
{
    steps = 0;
    trap_set_handler(DB, on_step);
}

static unsigned steps_end(void)
{
    trap_set_handler(DB, NULL);
    return steps - STEP_END;
}

static bool step_repeat(void)
{
    static char from[4] = "abc", to[4];
    const char *source = from;
    char *destination = to;
    uint32_t count = 3;

    steps_begin();
    __asm__ volatile(STEP("rep movsb") : "+S"(source), "+D"(destination), "+c"(count)::"cc", "memory");
    CHECK(steps_end() == 3 && to[2] == 'c' && count == 0);
    source = from;
    destination = to;
    count = 4;
    to[1] = 'x';
    steps_begin();
    __asm__ volatile(STEP("repe cmpsb") : "+S"(source), "+D"(destination), "+c"(count)::"cc", "memory");
    CHECK(steps_end() == 2 && count == 2);
    steps_begin();
    __asm__ volatile(STEP("rep stosb") : "+D"(destination) : "c"(0), "a"(0) : "cc", "memory");
    CHECK(steps_end() == 1);
    return true;
}

static bool step_stack_segment(void)
{
    static struct { uint32_t esp; uint16_t ss; } pointer;
    uint32_t ss;

    steps_begin();
    __asm__ volatile(STEP("movl %%ss, %0; movl %0, %%ss; nop; pushl %%ss; popl %%ss; nop") : "=&r"(ss)::"cc", "memory");
    CHECK(steps_end() == 4);
    steps_begin();
    __asm__ volatile("movw %%ss, %1;" STEP("movl %%esp, %0; lss %0, %%esp; nop")
                     : "+m"(pointer), "=m"(pointer.ss)::"cc", "memory");
    CHECK(steps_end() == 3);
    return true;
}

static uint32_t traps[TRAPS_MAX];
static unsigned trapped;

static void on_breakpoint(struct frame *f)
{
    (void)f;
    traps[trapped++ % TRAPS_MAX] = INT3_CAME;
}

static void on_debug(struct frame *f)
{
    traps[trapped++ % TRAPS_MAX] = f->eip;
}

static bool step_interrupt(void)
{
    steps_begin();
    trapped = 0;
    trap_set_handler(BP, on_breakpoint);
    __asm__ volatile(STEP("int3; nop")::: "cc", "memory");
    trap_set_handler(BP, NULL);
    CHECK(steps_end() == 1 && trapped == 1);
    return true;
}

static void watch(const void *at, uint32_t control)
{
    __asm__ volatile("movl %0, %%dr0; movl %1, %%dr7" ::"r"(at), "r"(control));
}
enum { WATCH_ACCESS_4 = 0x000f0402, WATCH_WRITE_1 = 0x00010402, WATCH_OFF = 0x400 };

static bool watch_repeat(void)
{
    static char to[4];
    char *destination = to;
    uint32_t count = 4, at;

    trap_set_handler(DB, on_debug);
    trapped = 0;
    watch(&to[1], WATCH_WRITE_1);
    __asm__ volatile("movl $1f, %2; 1: rep stosb" : "+D"(destination), "+c"(count), "=&r"(at) : "a"(0) : "cc", "memory");
    watch(NULL, WATCH_OFF);
    trap_set_handler(DB, NULL);
    CHECK(trapped == 1 && traps[0] == at && count == 0);
    return true;
}

static uint32_t stack_segment;

static void load_and_fault(void *unused)
{
    (void)unused;
    __asm__ volatile("movw %0, %%ss; ud2" ::"m"(stack_segment));
}

/* A data breakpoint of MOV SS waits for the next instruction. */
static bool watch_stack_segment(void)
{
    uint32_t behind;

    __asm__ volatile("movl %%ss, %0" : "=r"(stack_segment));
    trap_set_handler(DB, on_debug);
    trapped = 0;
    watch(&stack_segment, WATCH_ACCESS_4);
    __asm__ volatile("movw %1, %%ss; nop; 1: movl $1b, %0" : "=r"(behind) : "m"(stack_segment));
    watch(NULL, WATCH_OFF);
    trap_set_handler(DB, NULL);
    CHECK(trapped == 1 && traps[0] == behind);
    return true;
}

/* When that one goes to a handler, the trap comes at the handler's first instruction. */
static bool watch_stack_segment_interrupt(void)
{
    uint32_t behind;

    __asm__ volatile("movl %%ss, %0" : "=r"(stack_segment));
    trap_set_handler(DB, on_debug);
    trap_set_handler(BP, on_breakpoint);
    trapped = 0;
    watch(&stack_segment, WATCH_ACCESS_4);
    __asm__ volatile("movw %1, %%ss; int3; 1: movl $1b, %0" : "=r"(behind) : "m"(stack_segment));
    watch(NULL, WATCH_OFF);
    trap_set_handler(BP, NULL);
    trap_set_handler(DB, NULL);
    CHECK(trapped == 2 && traps[0] != behind && traps[0] != INT3_CAME && traps[1] == INT3_CAME);
    return true;
}

static bool watch_stack_segment_fault(void)
{
    struct frame f;

    __asm__ volatile("movl %%ss, %0" : "=r"(stack_segment));
    trap_set_handler(DB, on_debug);
    trapped = 0;
    watch(&stack_segment, WATCH_ACCESS_4);
    bool caught = catch_fault(load_and_fault, NULL, &f);
    watch(NULL, WATCH_OFF);
    trap_set_handler(DB, NULL);
    CHECK(caught && f.vector == UD && trapped == 0);
    return true;
}

static const struct test tests[] = {
    { "step_repeat", step_repeat, NULL }, { "step_stack_segment", step_stack_segment, "holds the trap back behind LSS, too" },
    { "step_interrupt", step_interrupt, NULL }, { "watch_repeat", watch_repeat, NULL },
    { "watch_stack_segment", watch_stack_segment, "does not hold the trap back" },
    { "watch_stack_segment_interrupt", watch_stack_segment_interrupt, NULL },
    { "watch_stack_segment_fault", watch_stack_segment_fault, "does not hold the trap back" }, { NULL, NULL, NULL },
};
const struct test_group group_debug = { "debug", tests, NULL };
