/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Three drivers that do everything by the book, on bare metal: what docs/ne2000.md,
 * docs/e1000.md and docs/virtio-net.md show as the trace of a good driver. They poll, so that each step is
 * in its place; main.c waits for a key on the serial port where the world outside
 * has its turn.
 */
#ifndef TESTS_DRIVERS_DRIVER_H
#define TESTS_DRIVERS_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline uint8_t inb(uint16_t port) { uint8_t v; __asm__ volatile("inb %1, %0" : "=a"(v) : "d"(port)); return v; }
static inline uint16_t inw(uint16_t port) { uint16_t v; __asm__ volatile("inw %1, %0" : "=a"(v) : "d"(port)); return v; }
static inline uint32_t inl(uint16_t port) { uint32_t v; __asm__ volatile("inl %1, %0" : "=a"(v) : "d"(port)); return v; }
static inline void outb(uint16_t port, uint8_t v) { __asm__ volatile("outb %0, %1" ::"a"(v), "d"(port)); }
static inline void outw(uint16_t port, uint16_t v) { __asm__ volatile("outw %0, %1" ::"a"(v), "d"(port)); }
static inline void outl(uint16_t port, uint32_t v) { __asm__ volatile("outl %0, %1" ::"a"(v), "d"(port)); }

/* main.c */
void say(const char *text);
void wait_for_key(const char *why);          /* says it, and waits for a byte on the serial port */
void pause_us(unsigned us);                  /* by the 8254: not more than 50000 */
int pci_find(uint32_t identity);             /* the device's number on bus 0; -1: not there */
uint32_t pci_bar(unsigned device, unsigned bar);
uint8_t pci_byte(unsigned device, unsigned at);
uint32_t pci_word(unsigned device, unsigned at); /* 32 bits */
void pci_command(unsigned device, uint16_t command);
void make_frame(uint8_t *frame, size_t size, const uint8_t station[6]); /* from the station to everybody */

/* True: the card is there and everything went as it should. */
bool drive_ne2000(void);
bool drive_e1000(void);
bool drive_virtio(void);

#endif
