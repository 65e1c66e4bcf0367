/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Contents of an EEPROM in a file: see nvram.h.
 */
#include "guest/nvram.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct nvram {
    char path[512]; /* for messages */
    char name[256]; /* the last part, in the directory below: the working directory changes meanwhile */
    int directory, fd;
    bool existed;
    uint8_t contents[NVRAM_SIZE];
    uint8_t *map;
};

static bool fail(const struct nvram *n, const char *what, char *error, size_t error_size)
{
    snprintf(error, error_size, "%s: %s", n->path, what);
    return false;
}

/* The lock goes with the process: two cards in one file would overwrite each other. */
static bool lock(struct nvram *n, char *error, size_t error_size)
{
    return flock(n->fd, LOCK_EX | LOCK_NB) == 0 || fail(n, "another network card uses it", error, error_size);
}

static bool read_contents(struct nvram *n, char *error, size_t error_size)
{
    struct stat st;
    char text[100];

    if (fstat(n->fd, &st))
        return fail(n, strerror(errno), error, error_size);
    if (!S_ISREG(st.st_mode))
        return fail(n, "not a regular file", error, error_size);
    if (st.st_size != NVRAM_SIZE) {
        snprintf(text, sizeof text, "%lld bytes are not an EEPROM's, which has %d; without the file a new one is made",
                 (long long)st.st_size, NVRAM_SIZE);
        return fail(n, text, error, error_size);
    }
    if (!lock(n, error, error_size))
        return false;
    if (pread(n->fd, n->contents, NVRAM_SIZE, 0) != NVRAM_SIZE)
        return fail(n, "cannot be read", error, error_size);
    n->existed = true;
    return true;
}

static bool open_file(struct nvram *n, char *error, size_t error_size)
{
    char copy[sizeof n->path];

    strcpy(copy, n->path);
    n->directory = open(dirname(copy), O_PATH | O_DIRECTORY | O_CLOEXEC);
    strcpy(copy, n->path);
    if (n->directory < 0)
        return fail(n, strerror(errno), error, error_size);
    if (snprintf(n->name, sizeof n->name, "%s", basename(copy)) >= (int)sizeof n->name - 8)
        return fail(n, strerror(ENAMETOOLONG), error, error_size);
    n->fd = openat(n->directory, n->name, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (n->fd >= 0)
        return read_contents(n, error, error_size);
    return errno == ENOENT || fail(n, strerror(errno), error, error_size);
}

struct nvram *nvram_open(const char *path, char *error, size_t error_size)
{
    struct nvram *n = calloc(1, sizeof *n);

    if (!n) {
        snprintf(error, error_size, "no memory");
        return NULL;
    }
    n->directory = n->fd = -1;
    if (snprintf(n->path, sizeof n->path, "%s", path) >= (int)sizeof n->path)
        fail(n, strerror(ENAMETOOLONG), error, error_size);
    else if (open_file(n, error, error_size))
        return n;
    nvram_close(n);
    return NULL;
}

void nvram_close(struct nvram *n)
{
    if (!n)
        return;
    if (n->map)
        munmap(n->map, NVRAM_SIZE);
    if (n->fd >= 0)
        close(n->fd);
    if (n->directory >= 0)
        close(n->directory);
    free(n);
}

const uint8_t *nvram_contents(const struct nvram *n)
{
    return n->existed ? n->contents : NULL;
}

/* Written beside its place and then put there, so that there is never a short one. */
static bool create(struct nvram *n, const uint8_t contents[NVRAM_SIZE], char *error, size_t error_size)
{
    char beside[sizeof n->name + 4];

    snprintf(beside, sizeof beside, "%s.new", n->name);
    unlinkat(n->directory, beside, 0);
    n->fd = openat(n->directory, beside, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
    if (n->fd < 0)
        return fail(n, strerror(errno), error, error_size);
    if (lock(n, error, error_size) && write(n->fd, contents, NVRAM_SIZE) == NVRAM_SIZE &&
        linkat(n->directory, beside, n->directory, n->name, 0) == 0) {
        unlinkat(n->directory, beside, 0);
        return true;
    }
    fail(n, errno == EEXIST ? "another network card uses it" : strerror(errno), error, error_size);
    unlinkat(n->directory, beside, 0);
    return false;
}

bool nvram_attach(struct nvram *n, const uint8_t contents[NVRAM_SIZE], char *error, size_t error_size)
{
    if (n->fd < 0 && !create(n, contents, error, error_size))
        return false;
    n->map = mmap(NULL, NVRAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, n->fd, 0);
    if (n->map == MAP_FAILED) {
        n->map = NULL;
        return fail(n, strerror(errno), error, error_size);
    }
    close(n->directory);
    n->directory = -1;
    return true;
}

void nvram_write(struct nvram *n, const uint8_t contents[NVRAM_SIZE])
{
    memcpy(n->map, contents, NVRAM_SIZE);
}
