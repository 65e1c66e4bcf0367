/* SPDX-License-Identifier: BSD-2-Clause
 * The file of an EEPROM: made, kept, refused.
 */
#include "guest/nvram.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/vswitch-test-nvram.XXXXXX", path[64], error[256];

static void fill(uint8_t contents[NVRAM_SIZE], uint8_t first)
{
    for (unsigned i = 0; i < NVRAM_SIZE; i++)
        contents[i] = (uint8_t)(first + i);
}

static void make(size_t size)
{
    static const uint8_t bytes[300];
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    CU_ASSERT_EQUAL(write(fd, bytes, size), (ssize_t)size);
    close(fd);
}

static void in_file(uint8_t first)
{
    uint8_t contents[NVRAM_SIZE], got[NVRAM_SIZE + 1];
    FILE *file = fopen(path, "r");

    CU_ASSERT_PTR_NOT_NULL_FATAL(file);
    fill(contents, first);
    CU_ASSERT_EQUAL(fread(got, 1, sizeof got, file), NVRAM_SIZE);
    CU_ASSERT_EQUAL(memcmp(got, contents, NVRAM_SIZE), 0);
    fclose(file);
}

static void test_kept(void)
{
    uint8_t contents[NVRAM_SIZE];
    struct nvram *n = nvram_open(path, error, sizeof error);
    struct stat st;

    CU_ASSERT_PTR_NOT_NULL_FATAL(n);
    CU_ASSERT_PTR_NULL(nvram_contents(n));
    CU_ASSERT_NOT_EQUAL(stat(path, &st), 0);
    fill(contents, 1);
    CU_ASSERT_EQUAL(chdir("/"), 0);
    CU_ASSERT_TRUE(nvram_attach(n, contents, error, sizeof error));
    in_file(1);
    fill(contents, 2);
    nvram_write(n, contents);
    in_file(2);
    CU_ASSERT_PTR_NULL(nvram_open(path, error, sizeof error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "another network card"));
    nvram_close(n);
    n = nvram_open(path, error, sizeof error);
    CU_ASSERT_PTR_NOT_NULL_FATAL(n);
    CU_ASSERT_EQUAL(memcmp(nvram_contents(n), contents, NVRAM_SIZE), 0);
    CU_ASSERT_TRUE(nvram_attach(n, nvram_contents(n), error, sizeof error));
    nvram_close(n);
    in_file(2);
}

static void test_made_meanwhile(void)
{
    uint8_t contents[NVRAM_SIZE] = { 0 };
    struct nvram *n;

    unlink(path);
    n = nvram_open(path, error, sizeof error);
    make(NVRAM_SIZE);
    CU_ASSERT_FALSE(nvram_attach(n, contents, error, sizeof error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, "another network card"));
    nvram_close(n);
}

static void refused(const char *what, const char *name)
{
    error[0] = 0;
    CU_ASSERT_PTR_NULL(nvram_open(name, error, sizeof error));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, what));
    CU_ASSERT_PTR_NOT_NULL(strstr(error, name));
}

static void test_refused(void)
{
    char target[80];
    static const size_t sizes[] = { 0, 1, NVRAM_SIZE - 1, NVRAM_SIZE + 1, 300 };

    for (unsigned i = 0; i < 5; i++) {
        make(sizes[i]);
        refused("not an EEPROM's", path);
    }
    unlink(path);
    refused("directory", "/nonexistent/x");
    CU_ASSERT_EQUAL(mkfifo(path, 0600), 0);
    refused("not a regular file", path);
    unlink(path);
    snprintf(target, sizeof target, "%s/other", directory);
    CU_ASSERT_EQUAL(symlink(target, path), 0);
    refused("symbolic", path);
    unlink(path);
    CU_ASSERT_EQUAL(mkdir(path, 0700), 0);
    refused("directory", path);
    rmdir(path);
}

int main(void)
{
    static const CU_TestInfo tests[] = {
        { "kept", test_kept },
        { "made meanwhile", test_made_meanwhile },
        { "refused", test_refused },
        CU_TEST_INFO_NULL,
    };
    int status;

    if (!mkdtemp(directory))
        return 1;
    snprintf(path, sizeof path, "%s/nic0.eeprom", directory);
    status = unit_run("nvram", tests);
    unlink(path);
    rmdir(directory);
    return status;
}
