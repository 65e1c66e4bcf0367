/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The ring-0 side of random programs: interrupts that change mappings, move pages,
 * switch to another program, and return; page faults put back what was taken
 * away. 32-bit code, linked into the test as data and copied to AT_MONITOR.
 */
#include "tests/programs/monitor.h"

#define ADDRESS(label) (MONITOR + AT_MONITOR + (label - monitor_begin))
#define VAR(at) (MONITOR + at)

    .section .rodata
    .code32
    .globl monitor_begin, monitor_end, monitor_start, monitor_interrupt, monitor_page_fault, monitor_no_fpu
    .globl monitor_step, monitor_program_end, monitor_unexpected
monitor_begin:

/* The first process: ESP and CR3 are not its own yet. */
monitor_start:
    movl VAR(AT_CURRENT), %ebx
    jmp resume

monitor_interrupt:
    pushal
    pushl %ds
    pushl %es
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl VAR(AT_ORDER), %eax
    jmp *ADDRESS(ops)(, %eax, 4)

op_cr3:
    movl %cr3, %eax
    movl %eax, %cr3
out:
    popl %es
    popl %ds
    popal
    iret

op_invlpg:
    movl VAR(AT_ORDER + ORDER_ADDRESS), %eax
    invlpg (%eax)
    jmp out

op_move:
    movl VAR(AT_ORDER + ORDER_FROM), %esi
    movl VAR(AT_ORDER + ORDER_TO), %edi
    movl $1024, %ecx
    rep movsl
    call entries
    cmpl $0, VAR(AT_ORDER + ORDER_KEEP)
    jne out
    movl VAR(AT_ORDER + ORDER_FROM), %edi
    movl $0xcccccccc, %eax
    movl $1024, %ecx
    rep stosl
    jmp out
op_entries:
    call entries
    jmp out
entries:
    movl VAR(AT_ORDER + ORDER_ENTRIES), %ecx
    movl $VAR(AT_ORDER + ORDER_LIST), %ebx
1:  movl (%ebx), %edi
    movl 4(%ebx), %edx
    movl %edx, (%edi)
    movl 8(%ebx), %edx
    invlpg (%edx)
    addl $12, %ebx
    decl %ecx
    jnz 1b
    ret

op_touch:
    movl VAR(AT_ORDER + ORDER_ADDRESS), %esi
    movb (%esi), %al
    movb %al, (%esi)
    jmp out

op_nest:
    cmpl $0, VAR(AT_NEST)
    jne out
    incl VAR(AT_NEST)
    sti
    movl $60, %ecx
1:  incl VAR(AT_SCRATCH)
    decl %ecx
    jnz 1b
    cli
    decl VAR(AT_NEST)
    jmp out

op_global:
    movl %cr4, %eax
    xorl $0x80, %eax
    movl %eax, %cr4
    jmp out

op_write_protect:
    movl %cr0, %eax
    xorl $0x10000, %eax
    movl %eax, %cr0
    jmp out

op_lazy_fpu:
    movl %cr0, %eax
    orl $8, %eax
    movl %eax, %cr0
    jmp out

op_fpu:
    fxsave VAR(AT_FX)
    fninit
    fldpi
    pcmpeqd %xmm0, %xmm0
    movaps %xmm0, %xmm5
    fxrstor VAR(AT_FX)
    jmp out

op_step: /* TF in the frame's EFLAGS */
    movl VAR(AT_ORDER + ORDER_ADDRESS), %eax
    movl %eax, VAR(AT_STEPS)
    orl $0x100, 48(%esp)
    jmp out

/* A device has written a function there, and puts back what was there once it is told the result. */
op_patch:
    call *VAR(AT_ORDER + ORDER_ADDRESS)
    call *VAR(AT_ORDER + ORDER_ADDRESS)
    movl %eax, VAR(AT_PATCHER)
    jmp out

op_switch:
    movl VAR(AT_CURRENT), %ebx
    movl %ebx, %eax
1:  addl $PROCESS_SIZE, %eax
    cmpl VAR(AT_END), %eax
    jb 2f
    movl $VAR(AT_PROCESSES), %eax
2:  cmpl %ebx, %eax
    je out
    cmpl $0, PROCESS_DONE(%eax)
    jne 1b
    movl %esp, PROCESS_ESP(%ebx)
    fxsave PROCESS_FX(%ebx)
load:
    movl %eax, VAR(AT_CURRENT)
    movl %eax, %ebx
resume:
    movl PROCESS_ESP(%ebx), %esp
    movl PROCESS_CR3(%ebx), %edx
    movl %edx, %cr3
    movl PROCESS_ESP0(%ebx), %edx
    movl %edx, VAR(AT_TSS + 4)
    fxrstor PROCESS_FX(%ebx)
    jmp out

/* INT3: the program has ended. The next one, or none. */
monitor_program_end:
    pushal
    pushl %ds
    pushl %es
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl VAR(AT_CURRENT), %ebx
    movl %esp, PROCESS_ESP(%ebx)
    fxsave PROCESS_FX(%ebx)
    movl $1, PROCESS_DONE(%ebx)
    movl $VAR(AT_PROCESSES), %eax
1:  cmpl $0, PROCESS_DONE(%eax)
    je load
    addl $PROCESS_SIZE, %eax
    cmpl VAR(AT_END), %eax
    jb 1b
    cli
    hlt

/* Gives back a page that an interrupt has taken, or its right to be written. */
monitor_page_fault:
    pushal
    pushl %ds
    pushl %es
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %cr2, %eax
    movl %cr3, %ebx
    movl %eax, %ecx
    shrl $22, %ecx
    movl MONITOR(%ebx, %ecx, 4), %ecx
    testb $1, %cl
    jz bad_fault
    andl $0xfffff000, %ecx
    movl %eax, %edx
    shrl $12, %edx
    andl $1023, %edx
    leal MONITOR(%ecx, %edx, 4), %edi
    movl (%edi), %edx
    movl %edx, %esi
    testl $ENTRY_GOOD, %edx
    jz bad_fault
    orl $1, %edx
    testl $ENTRY_WRITABLE, %edx
    jz 1f
    testl $ENTRY_SHARED, %edx
    jnz 2f
    orl $2, %edx
1:  cmpl %esi, %edx
    je bad_fault
    movl %edx, (%edi)
3:
    popl %es
    popl %ds
    popal
    addl $4, %esp
    iret

/* Shared: a read needs the page only, a write the page copied. */
2:  testb $2, 40(%esp)
    jz 1b
    xorl $0x1000, %edx
    andl $~ENTRY_SHARED, %edx
    orl $2, %edx
    movl %edx, (%edi)
    invlpg (%eax)
    andl $0xfffff000, %esi
    addl $EVERYTHING, %esi
    movl %esi, %edi
    xorl $0x1000, %edi
    movl $1024, %ecx
    rep movsl
    jmp 3b

bad_fault:
    movl $114, VAR(AT_BAD)
    cli
    hlt

monitor_no_fpu:
    clts
    iret

monitor_step:
    decl VAR(AT_STEPS)
    jg 1f
    andl $~0x100, 8(%esp)
1:  iret

/* One for each vector, 16 bytes apart. */
    .balign 16
monitor_unexpected:
    vector = 0
    .rept 32
    .balign 16
    movl $100 + vector, VAR(AT_BAD)
    cli
    hlt
    vector = vector + 1
    .endr

    .balign 4
ops:
    .long ADDRESS(out), ADDRESS(op_cr3), ADDRESS(op_invlpg), ADDRESS(op_entries), ADDRESS(op_move), ADDRESS(op_touch)
    .long ADDRESS(op_nest), ADDRESS(op_global), ADDRESS(op_write_protect), ADDRESS(op_lazy_fpu), ADDRESS(op_fpu)
    .long ADDRESS(op_step), ADDRESS(op_switch), ADDRESS(op_patch)
monitor_end:
    .section .note.GNU-stack, "", @progbits
