/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Pushes and pops of C code, one at a time (protection.h) or a frame at a time
 * (stack.h), and the stacks of the inner levels that the TSS names.
 */
#include "x86vm/protection/stack.h"

#include <string.h>

#include "x86vm/protection/descriptor.h"
#include "x86vm/protection/protection.h"

struct stack stack_current(const struct cpu *cpu, uint32_t ext)
{
    return (struct stack){ .segment = cpu->seg[CPU_SS], .pointer = cpu->regs[CPU_ESP], .error = ext,
                           .user = cpu->cpl == 3 };
}

struct stack stack_of_level(struct cpu *cpu, unsigned cpl, uint32_t ext)
{
    const bool wide = cpu->tr.access & SYS_WIDE;
    const uint32_t offset = wide ? 4 + 8 * cpl : 2 + 4 * cpl;
    const uint32_t size = wide ? 6 : 4; /* of the selector two bytes are read in either (vol. 2, CALL and INT n) */
    uint16_t words[3];
    uint32_t pointer;
    uint16_t selector;
    struct descriptor d;

    if (!(cpu->tr.access & SEG_P) || offset + size - 1 > cpu->tr.limit)
        fault_selector(cpu, VEC_TS, cpu->tr.selector, ext);
    view_read(cpu, cpu->tr.base + offset, words, size, false);
    pointer = wide ? words[0] | (uint32_t)words[1] << 16 : words[0];
    selector = wide ? words[2] : words[1];
    if (selector_is_null(selector))
        cpu_fault_error(cpu, VEC_TS, ext);
    descriptor_fetch_or_fault(cpu, selector, VEC_TS, ext, &d);
    if ((selector & SELECTOR_RPL) != cpl || descriptor_dpl(&d) != cpl || !descriptor_is_writable(&d))
        fault_selector(cpu, VEC_TS, selector, ext);
    if (!descriptor_present(&d))
        fault_selector(cpu, VEC_SS, selector, ext);
    descriptor_touch(cpu, selector, &d);
    return (struct stack){ .segment = descriptor_segment(&d, selector), .pointer = pointer,
                           .error = (selector & 0xfffcu) | ext, .user = cpl == 3 };
}

static uint32_t pointer_mask(const struct stack *stack)
{
    return stack->segment.access & SEG_DB ? 0xffffffff : 0xffff;
}

static uint32_t merge_pointer(const struct stack *stack, uint32_t value)
{
    const uint32_t mask = pointer_mask(stack);
    return (stack->pointer & ~mask) | (value & mask);
}

/* `slot`: the operand size of each push or pop. */
static void require_room(struct cpu *cpu, const struct stack *stack, uint32_t offset, uint32_t size, uint32_t slot)
{
    const bool around = stack->user && offset + size - 1 < offset;

    if (!(stack->segment.access & SEG_P) || around || !segment_admits(&stack->segment, offset, size))
        cpu_fault_error(cpu, VEC_SS, stack->error);
    if (stack->user)
        protection_check_alignment(cpu, stack->segment.base + offset, slot);
}

/* True when [offset, offset+size) does not wrap at the top of the stack's address range. */
static bool contiguous(const struct stack *stack, uint32_t offset, uint32_t size)
{
    const uint32_t last = offset + size - 1;
    return last >= offset && last <= pointer_mask(stack);
}

void stack_push(struct cpu *cpu, struct stack *stack, const uint32_t *slots, unsigned count, unsigned size)
{
    uint16_t narrow[STACK_FRAME_MAX];
    const void *image = slots;
    const uint32_t bytes = count * size;
    const uint32_t first = (stack->pointer - bytes) & pointer_mask(stack);

    if (size == 2) {
        for (unsigned i = 0; i < count; i++)
            narrow[i] = slots[i];
        image = narrow;
    }
    if (contiguous(stack, first, bytes)) {
        require_room(cpu, stack, first, bytes, size);
        if (count > 1 && stack->user) /* a page fault is that of the first push, the uppermost */
            view_check_write(cpu, stack->segment.base + first + bytes - size, size, true);
        view_write(cpu, stack->segment.base + first, image, bytes, stack->user);
    } else {
        for (unsigned i = count; i-- > 0;) {
            const uint32_t offset = (first + i * size) & pointer_mask(stack);
            require_room(cpu, stack, offset, size, size);
            view_write(cpu, stack->segment.base + offset, (const uint8_t *)image + i * size, size, stack->user);
        }
    }
    stack->pointer = merge_pointer(stack, first);
}

void stack_pop(struct cpu *cpu, struct stack *stack, uint32_t *slots, unsigned count, unsigned size,
               unsigned selectors)
{
    uint16_t narrow[STACK_FRAME_MAX];
    void *image = size == 2 ? (void *)narrow : slots;
    const uint32_t first = stack->pointer & pointer_mask(stack);
    const uint32_t bytes = count * size - (selectors >> (count - 1) & 1 ? size - 2 : 0);

    memset(image, 0, count * size);
    if (contiguous(stack, first, bytes)) {
        require_room(cpu, stack, first, bytes, size);
        view_read(cpu, stack->segment.base + first, image, bytes, stack->user);
    } else {
        for (unsigned i = 0; i < count; i++) {
            const uint32_t offset = (first + i * size) & pointer_mask(stack);
            const uint32_t part = selectors >> i & 1 ? 2 : size;
            require_room(cpu, stack, offset, part, size);
            view_read(cpu, stack->segment.base + offset, (uint8_t *)image + i * size, part, stack->user);
        }
    }
    if (size == 2)
        for (unsigned i = 0; i < count; i++)
            slots[i] = narrow[i];
    stack_skip(stack, count * size);
}

void stack_require_room(struct cpu *cpu, const struct stack *stack, unsigned count, unsigned size)
{
    const bool around = stack->user && pointer_mask(stack) == 0xffffffff && stack->pointer - count * size > stack->pointer;

    for (unsigned i = 1; i <= count; i++) {
        const uint32_t offset = (stack->pointer - i * size) & pointer_mask(stack);

        require_room(cpu, stack, offset, size, size);
        if (around) /* the first push's page comes before the wrap of the second */
            view_check_write(cpu, stack->segment.base + offset, size, true);
    }
}

void stack_skip(struct stack *stack, uint32_t bytes)
{
    stack->pointer = merge_pointer(stack, stack->pointer + bytes);
}

void protection_push(struct cpu *cpu, uint32_t value, unsigned size)
{
    struct stack stack = stack_current(cpu, 0);
    stack_push(cpu, &stack, &value, 1, size);
    stack_commit_pointer(cpu, &stack);
}

uint32_t protection_pop(struct cpu *cpu, unsigned size)
{
    struct stack stack = stack_current(cpu, 0);
    uint32_t value;
    stack_pop(cpu, &stack, &value, 1, size, 0);
    stack_commit_pointer(cpu, &stack);
    return value;
}
