/* SPDX-License-Identifier: BSD-2-Clause
 *
 * A file that keeps the EEPROM of a network card from one run to the next: its
 * 128 bytes as they are, so that the dump of a real card will do. The file is
 * mapped before the sandbox closes: what the driver writes is kept without a
 * system call, and also when the process is killed in the next instant.
 */
#ifndef GUEST_NVRAM_H
#define GUEST_NVRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { NVRAM_SIZE = 128 };

struct nvram;

/* Reads and locks `path`, which need not exist yet, but its directory must. NULL with a reason in `error`. */
struct nvram *nvram_open(const char *path, char *error, size_t error_size);
void nvram_close(struct nvram *nvram); /* accepts NULL */

/* What the file held when it was opened; NULL: there was none. */
const uint8_t *nvram_contents(const struct nvram *nvram);

/* Before the sandbox closes: makes the file where there was none, with these contents. False with a reason in `error`. */
bool nvram_attach(struct nvram *nvram, const uint8_t contents[NVRAM_SIZE], char *error, size_t error_size);

/* From now on the file holds these. */
void nvram_write(struct nvram *nvram, const uint8_t contents[NVRAM_SIZE]);

#endif
