/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The host's side of a bare window: what it maps, also in the course of any
 * sequence of changes, how many mappings that takes, and that nobody else's
 * memory comes where nothing is shown.
 */
#include "tests/unit/unit.h"
#include "x86vm/memory/bare.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WINDOWS = 5, FIRST = 0x400, PAGES = 300, RAM_PAGES = 1024, OTHERS = 200 };

static struct bare_window windows[WINDOWS];
static struct phys *phys;
static int file;
static uint64_t seed = 1;

static uint32_t any(uint32_t below)
{
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % below;
}

static bool reserve(bool closed)
{
    bool all = true;

    if (closed)
        setenv("X86VM_CLOSED_BARE", "1", 1);
    for (unsigned i = 0; i < WINDOWS; i++) {
        windows[i] = (struct bare_window){ 0 };
        all = bare_reserve(&windows[i]) && windows[i].open == !closed && all;
    }
    unsetenv("X86VM_CLOSED_BARE");
    return all;
}

static void release(void)
{
    for (unsigned i = 0; i < WINDOWS; i++)
        bare_release(&windows[i]);
}

/* --- nobody else --- */

/* Where nothing is shown there may be no mapping, and others are made without a place. */
static bool others_stay_out(void)
{
    uint8_t *at[OTHERS];
    bool out = true;

    for (unsigned i = 0; i < OTHERS; i++) {
        uint64_t size = UINT64_C(4096) << i % 21; /* up to 4 GiB */
        at[i] = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        for (unsigned w = 0; w < WINDOWS; w++)
            out = out && at[i] != MAP_FAILED && (at[i] + size <= windows[w].base || at[i] >= windows[w].base + (1ull << 32));
    }
    for (unsigned i = 0; i < OTHERS; i++)
        munmap(at[i], UINT64_C(4096) << i % 21);
    return out;
}

/* Also in a process whose mappings go from the bottom up: this program, started so. */
static void test_others_stay_out(void)
{
    int status = -1;
    pid_t pid = fork();

    if (pid == 0) {
        personality(ADDR_COMPAT_LAYOUT);
        execl("/proc/self/exe", "test_bare_host", "bottom-up", (char *)NULL);
        _exit(2);
    }
    CU_ASSERT_EQUAL(waitpid(pid, &status, 0), pid);
    CU_ASSERT_EQUAL(status, 0);
    CU_ASSERT_TRUE_FATAL(reserve(false));
    CU_ASSERT_TRUE(others_stay_out());
    release();
}

/* --- what is mapped --- */

static uint32_t model[PAGES]; /* as window->shows */

/* What the host lets be done there: asked by system calls, which fail instead of faulting. */
static bool host_agrees(const struct bare_window *window, uint32_t i)
{
    uint8_t *at = window->base + ((uint64_t)(FIRST + i) << PAGE_SHIFT), byte;
    bool read = pwrite(file, at, 1, 0) == 1, write = read && pread(file, at, 1, 0) == 1;

    if (window->shows[FIRST + i] != model[i] || read != (model[i] != 0) || write != !!(model[i] & BARE_WRITABLE))
        return false;
    if (!read)
        return true;
    byte = phys_ram(phys)[((uint64_t)bare_physical_page(window, FIRST + i) << PAGE_SHIFT) + 5] ^= 0x5a;
    return at[5] == byte;
}

static unsigned host_mappings(const struct bare_window *window)
{
    uint64_t first = (uint64_t)(uintptr_t)window->base, from, to;
    unsigned count = 0;
    char line[512], readable[2];
    FILE *maps = fopen("/proc/self/maps", "r");

    while (maps && fgets(line, sizeof line, maps))
        if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %1[r]", &from, &to, readable) == 3)
            count += to > first && from < first + (1ull << 32);
    if (maps)
        fclose(maps);
    return count;
}

static void show(struct bare_window *window, uint32_t i, uint32_t physical, uint32_t count, bool writable)
{
    CU_ASSERT_TRUE(bare_show(window, phys, FIRST + i, physical, count, writable));
    for (uint32_t k = 0; k < count; k++)
        model[i + k] = (physical + k + 1) | (writable ? BARE_WRITABLE : 0);
}

/* All that is shown but each third goes to the list's end, and is hidden. */
static void hide_listed(struct bare_window *window)
{
    uint32_t kept = 0;

    bare_tidy_list(window);
    for (uint32_t i = 0; i < window->count; i++) {
        uint32_t page = window->pages[i];
        if (any(3) != 0) {
            model[page - FIRST] = 0;
            continue;
        }
        window->pages[i] = window->pages[kept];
        window->pages[kept++] = page;
    }
    bare_hide_listed(window, kept);
    CU_ASSERT_EQUAL(window->count, kept);
}

static void change(struct bare_window *window)
{
    uint32_t i = any(PAGES - 8), count = 1 + any(8);

    switch (any(40)) {
    case 0:
        hide_listed(window);
        break;
    case 1:
        bare_clear(window);
        memset(model, 0, sizeof model);
        break;
    case 2: case 3: case 4: case 5: case 6: case 7:
        bare_hide_run(window, FIRST + i, count);
        memset(model + i, 0, count * sizeof *model);
        break;
    default: /* some that continue what is below */
        show(window, i, i && model[i - 1] && any(2) ? bare_physical_page(window, FIRST + i - 1) + 1 : any(RAM_PAGES - 16),
             any(3) ? 1 : count, any(2));
    }
}

static void test_any_changes(void)
{
    for (unsigned closed = 0; closed < 2; closed++) {
        CU_ASSERT_TRUE_FATAL(reserve(closed));
        memset(model, 0, sizeof model);
        for (unsigned n = 0; n < 4000; n++) {
            bool right = true;
            change(&windows[0]);
            if (n % 50)
                continue;
            for (uint32_t i = 0; i < PAGES; i++)
                right = right && host_agrees(&windows[0], i);
            CU_ASSERT_TRUE(right);
            CU_ASSERT_EQUAL(host_mappings(&windows[0]), windows[0].mappings);
        }
        release();
    }
}

int main(int argc, char **argv)
{
    static const CU_TestInfo tests[] = {
        { "others stay out", test_others_stay_out },
        { "any changes", test_any_changes },
        CU_TEST_INFO_NULL,
    };
    int status;

    (void)argv;
    if (argc > 1)
        return reserve(false) && others_stay_out() ? 0 : 1;
    file = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    phys = phys_new((uint64_t)RAM_PAGES << PAGE_SHIFT);
    if (file < 0 || !phys) {
        puts("skip: no memfd or temporary file");
        return 0;
    }
    status = unit_run("the host's side of a bare window", tests);
    phys_free(phys);
    return status;
}
