/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Entry of the test guest: the multiboot header, the stacks, a stub for each
 * interrupt vector, and the three ways back into C that C cannot express: out of a
 * fault, into ring 3, and out of it.
 */
    .section .multiboot, "a"
    .align 4
    .long 0x1badb002, 0, -0x1badb002

    .text
    .globl start
start:
    cli
    movl $boot_stack_top, %esp
    pushl $0
    popfl
    subl $8, %esp
    pushl %ebx
    pushl %eax
    call guest_main
1:  cli
    hlt
    jmp 1b

/* One stub a vector; those for which the CPU pushes an error code push none. */
    .altmacro
    .macro stub n
    .align 16
    .if (\n == 8) || ((\n >= 10) && (\n <= 14)) || (\n == 17)
    nop
    nop
    .else
    pushl $0
    .endif
    pushl $\n
    jmp trap_common
    .endm

    .align 16
    .globl trap_stubs
trap_stubs:
    .set i, 0
    .rept 256
    stub %i
    .set i, i + 1
    .endr

trap_common:
    pushal
    pushl %ds
    pushl %es
    pushl %fs
    pushl %gs
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    cld
    pushl %esp
    call trap_dispatch
    addl $4, %esp
    popl %gs
    popl %fs
    popl %es
    popl %ds
    popal
    addl $8, %esp
    iretl

/* int catch_enter(void (*body)(void *), void *argument): 0 when body returned,
 * 1 when trap_dispatch left it through catch_leave. */
    .globl catch_enter
catch_enter:
    pushl %ebp
    pushl %ebx
    pushl %esi
    pushl %edi
    movl %esp, catch_esp
    movl $1, catch_active
    movl 20(%esp), %eax
    pushl 24(%esp)
    call *%eax
    addl $4, %esp
    movl $0, catch_active
    xorl %eax, %eax
    jmp catch_out

    .globl catch_leave
catch_leave:
    movl catch_esp, %esp
    movl $0, catch_active
    pushl $2
    popfl
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    movl %eax, %ss
    movl $1, %eax
catch_out:
    popl %edi
    popl %esi
    popl %ebx
    popl %ebp
    ret

/* void user_enter(void (*code)(void), void *stack_top): runs `code` in ring 3
 * until it executes INT 0x81, whose handler calls user_leave. */
    .globl user_enter
user_enter:
    pushl %ebp
    pushl %ebx
    pushl %esi
    pushl %edi
    movl %esp, user_esp
    movl 20(%esp), %eax
    movl 24(%esp), %edx
    movl $0x23, %ecx
    movl %ecx, %ds
    movl %ecx, %es
    pushl $0x23
    pushl %edx
    pushl $0x202
    pushl $0x1b
    pushl %eax
    iretl

    .globl user_leave
user_leave:
    movl user_esp, %esp
    pushl $2
    popfl
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    popl %edi
    popl %esi
    popl %ebx
    popl %ebp
    ret

    .section .note.GNU-stack, "", @progbits
    .bss
    .globl catch_active
catch_esp:      .skip 4
catch_active:   .skip 4
user_esp:       .skip 4
    .align 4096
    .skip 16384
    .globl boot_stack_top
boot_stack_top:
