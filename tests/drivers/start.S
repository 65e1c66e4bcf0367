/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Entry of the guest with the drivers: flat segments and no paging, as multiboot
 * leaves them, a stack, and C.
 */
    .section .multiboot, "a"
    .align 4
    .long 0x1badb002, 0, -0x1badb002

    .text
    .globl start
start:
    cli
    movl $stack_top, %esp
    pushl $0
    popfl
    call drivers_main
1:  cli
    hlt
    jmp 1b

    .bss
    .align 16
    .space 16384
stack_top:
    .section .note.GNU-stack, "", @progbits
