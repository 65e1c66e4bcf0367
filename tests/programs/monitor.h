/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The ring-0 code under which random programs run on the engine (monitor.S): where
 * its memory lies, and what an interrupt can ask it for. Included by both languages.
 */
#ifndef TESTS_PROGRAMS_MONITOR_H
#define TESTS_PROGRAMS_MONITOR_H

/* Linear MONITOR.. is physical 0..; all of the first 16 MiB are at EVERYTHING, too. */
#define MONITOR 0xfffe0000
#define EVERYTHING 0xc0000000
#define AT_GDT 0x1000
#define AT_IDT 0x2000
#define AT_TSS 0x3000
#define AT_MONITOR 0x4000

/* What the interrupt asks for. */
#define AT_ORDER 0x6000
#define ORDER_OP 0x0
#define ORDER_FROM 0x4       /* linear addresses of a page that moves */
#define ORDER_TO 0x8
#define ORDER_ENTRIES 0xc    /* how many entries change: address of the entry, its value, the page's address */
#define ORDER_LIST 0x10
#define ORDER_KEEP 0x40      /* not 0: what moved is left behind as it was */
#define ORDER_ADDRESS 0x4    /* or an address, or a number */

#define AT_NEST 0x6300       /* variables */
#define AT_STEPS 0x6304
#define AT_CURRENT 0x6308    /* a struct process */
#define AT_BAD 0x630c        /* 100 + the vector of an exception that should not have been */
#define AT_END 0x6310        /* behind the last process */
#define AT_SCRATCH 0x6314

#define AT_PROCESSES 0x6400
#define PROCESS_SIZE 0x300
#define PROCESS_ESP 0
#define PROCESS_ESP0 4
#define PROCESS_CR3 8
#define PROCESS_DONE 12
#define PROCESS_FX 0x40
#define AT_FX 0x6d00
#define AT_STACKS 0x7000     /* a page each */
#define AT_TABLES 0xc000
#define AT_MONITOR_TABLE 0x1b000
#define AT_PATCHER 0x1f000   /* a device: told what came of the patch, it puts back the code */

#define ENTRY_GOOD 0x400     /* bits of page-table entries that are the system's: the page is there, */
#define ENTRY_WRITABLE 0x200 /* and may be written, */
#define ENTRY_SHARED 0x800   /* once it has been copied to its other place */

#define OP_NONE 0
#define OP_CR3 1
#define OP_INVLPG 2
#define OP_ENTRIES 3
#define OP_MOVE 4
#define OP_TOUCH 5
#define OP_NEST 6
#define OP_GLOBAL 7
#define OP_WRITE_PROTECT 8
#define OP_LAZY_FPU 9
#define OP_FPU 10
#define OP_STEP 11
#define OP_SWITCH 12
#define OP_PATCH 13 /* runs what a device has just written into a program's code */
#define OP_SHARE 14 /* the host's: an entry of ENTRY_SHARED */
#define OP_COUNT 15

#define VECTOR_INTERRUPT 0x40

#endif
