/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The guest of irq_bench.c, a multiboot image: times device register reads and
 * port writes by the TSC, then computes for ever and notes in a mailbox when the
 * first instruction of its interrupt handler ran. The interrupt is COM2's.
 */
    .set MAILBOX, 0x200000         /* struct mailbox of irq_bench.c */
    .set READ_TSC, 0
    .set OUT_TSC, 8
    .set COUNT, 16
    .set READY, 20
    .set SPUN, 24
    .set ENTRY, 32
    .set ROUNDS, 200000
    .set COM2, 0x2f8
    .set COM2_VECTOR, 0x23
    .set E1000_STATUS, 8

    .section .multiboot, "a"
    .align 4
    .long 0x1badb002, 0, -0x1badb002

    .text
    .globl start
start:
    cli
    cld
    movl $stack_top, %esp
    lgdt gdt_register
    ljmp $0x08, $1f
1:  movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %fs
    movl %eax, %gs
    movl %eax, %ss
    call time_port
    call time_register
    call set_up_interrupt
    movl $1, MAILBOX + READY
    sti

    /* Busy: a computation with memory in it, forty thousand rounds a call. */
2:  movl $40000, %ecx
    movl $scratch, %esi
3:  movl (%esi), %eax
    imull $1664525, %eax, %eax
    addl $1013904223, %eax
    movl %eax, (%esi)
    xorl %eax, %ebx
    decl %ecx
    jnz 3b
    incl MAILBOX + SPUN
    jmp 2b

/* ROUNDS writes of the UART's scratch register. */
time_port:
    movw $(COM2 + 7), %dx
    movb $0x55, %al
    call write_ports               /* once for the translator */
    rdtsc
    pushl %eax
    pushl %edx
    movw $(COM2 + 7), %dx
    call write_ports
    movl $MAILBOX + OUT_TSC, %edi
    jmp note_difference

write_ports:
    movl $ROUNDS, %ecx
1:  outb %al, %dx
    decl %ecx
    jnz 1b
    ret

/* ROUNDS reads of the e1000's STATUS; nothing is noted without such a NIC. */
time_register:
    call find_e1000
    testl %ebx, %ebx
    jz 1f
    call read_registers
    rdtsc
    pushl %eax
    pushl %edx
    call read_registers
    movl $MAILBOX + READ_TSC, %edi
    jmp note_difference
1:  ret

read_registers:
    movl $ROUNDS, %ecx
1:  movl E1000_STATUS(%ebx), %eax
    decl %ecx
    jnz 1b
    ret

/* [edi] = the TSC now less the one on the stack; returns for its caller. */
note_difference:
    rdtsc
    popl %ecx
    popl %ebx
    subl %ebx, %eax
    sbbl %ecx, %edx
    movl %eax, (%edi)
    movl %edx, 4(%edi)
    ret

/* ebx = the register window of the first 8086:100E, its memory decoding on; or 0. */
find_e1000:
    movl $0x80000000, %esi
1:  movl %esi, %eax
    call read_config
    cmpl $0x100e8086, %eax
    je 2f
    addl $0x800, %esi
    cmpl $0x80010000, %esi
    jb 1b
    xorl %ebx, %ebx
    ret
2:  leal 4(%esi), %eax
    call read_config
    orl $2, %eax
    outl %eax, %dx
    leal 0x10(%esi), %eax
    call read_config
    andl $~0xf, %eax
    movl %eax, %ebx
    ret

read_config:                       /* eax = config dword at eax; leaves edx at the data port */
    movw $0xcf8, %dx
    outl %eax, %dx
    movw $0xcfc, %dx
    inl %dx, %eax
    ret

set_up_interrupt:
    movl $on_com2, %eax
    movw %ax, idt + COM2_VECTOR * 8
    movw $0x08, idt + COM2_VECTOR * 8 + 2
    movw $0x8e00, idt + COM2_VECTOR * 8 + 4
    shrl $16, %eax
    movw %ax, idt + COM2_VECTOR * 8 + 6
    lidt idt_register
    movb $0x11, %al                /* ICW1..4, vectors 20h and 28h, only IRQ 3 unmasked */
    outb %al, $0x20
    outb %al, $0xa0
    movb $0x20, %al
    outb %al, $0x21
    movb $0x28, %al
    outb %al, $0xa1
    movb $4, %al
    outb %al, $0x21
    movb $2, %al
    outb %al, $0xa1
    movb $1, %al
    outb %al, $0x21
    outb %al, $0xa1
    movb $0xf7, %al
    outb %al, $0x21
    movb $0xff, %al
    outb %al, $0xa1
    movw $(COM2 + 1), %dx          /* received data; OUT2 lets the line through */
    movb $1, %al
    outb %al, %dx
    movw $(COM2 + 4), %dx
    movb $8, %al
    outb %al, %dx
    ret

on_com2:
    pushl %eax                     /* RDTSC would lose them: the two PUSHes are part of the latency */
    pushl %edx
    rdtsc
    movl %eax, MAILBOX + ENTRY
    movl %edx, MAILBOX + ENTRY + 4
    movw $COM2, %dx
    inb %dx, %al
    movb $0x20, %al
    outb %al, $0x20
    incl MAILBOX + COUNT
    popl %edx
    popl %eax
    iretl

    .data
    .align 8
gdt:
    .quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
gdt_register:
    .word . - gdt - 1
    .long gdt
    .align 4
idt_register:
    .word 256 * 8 - 1
    .long idt

    .bss
    .align 4096
idt: .skip 256 * 8
scratch: .skip 64
    .align 16
    .skip 4096
stack_top:

    .section .note.GNU-stack, "", @progbits
