/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Kernels of what an operating system does for a program: system calls, processes,
 * page faults, pipes, files. Their checksums count the operations that worked.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/kernels.h"

static uint32_t run_getppid(void)
{
    uint32_t n = 0;
    for (int i = 0; i < 200000; i++)
        n += syscall(SYS_getppid) >= 0;
    return n;
}

static uint32_t wait_for(pid_t child)
{
    int status = -1;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static uint32_t run_fork(void)
{
    uint32_t n = 0;
    for (int i = 0; i < 200; i++) {
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        n += wait_for(child);
    }
    return n;
}

static uint32_t run_exec(void)
{
    uint32_t n = 0;
    for (int i = 0; i < 100; i++) {
        pid_t child = fork();
        if (child == 0) {
            execl(kernels_program, kernels_program, "exit", (char *)NULL);
            _exit(1);
        }
        n += wait_for(child);
    }
    return n;
}

static uint32_t run_page_faults(void)
{
    enum { SIZE = 4 << 20, PAGE = 4096 };
    uint32_t n = 0;
    for (int i = 0; i < 10; i++) {
        char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            return 0;
        for (uint32_t at = 0; at < SIZE; at += PAGE) {
            p[at] = 1;
            n++;
        }
        munmap(p, SIZE);
    }
    return n;
}

static uint32_t run_pipe(void)
{
    enum { ROUNDS = 10000 };
    int to[2], from[2];
    uint32_t n = 0;
    char c = 'x';
    if (pipe(to) || pipe(from))
        return 0;
    pid_t child = fork();
    if (child == 0) {
        while (read(to[0], &c, 1) == 1 && c != 'q' && write(from[1], &c, 1) == 1)
            ;
        _exit(0);
    }
    for (int i = 0; i < ROUNDS; i++)
        n += write(to[1], &c, 1) == 1 && read(from[0], &c, 1) == 1;
    c = 'q';
    n += write(to[1], &c, 1) == 1;
    n += wait_for(child);
    close(to[0]), close(to[1]), close(from[0]), close(from[1]);
    return n;
}

static uint32_t run_file_copy(void)
{
    enum { CHUNK = 65536, CHUNKS = 128 };
    static char buffer[CHUNK];
    const char *directory = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    char a[64], b[64];
    uint32_t n = 0;
    strcpy(a, directory), strcat(a, "/kernels-a");
    strcpy(b, directory), strcat(b, "/kernels-b");
    int in = open(a, O_RDWR | O_CREAT | O_TRUNC, 0600), out = open(b, O_RDWR | O_CREAT | O_TRUNC, 0600);
    for (int i = 0; i < CHUNKS; i++)
        n += write(in, buffer, CHUNK) == CHUNK;
    lseek(in, 0, SEEK_SET);
    for (int i = 0; i < CHUNKS; i++)
        n += read(in, buffer, CHUNK) == CHUNK && write(out, buffer, CHUNK) == CHUNK;
    close(in), close(out);
    unlink(a), unlink(b);
    return n;
}

const struct kernel os_kernels[] = {
    { "getppid", run_getppid, 200000 }, { "fork", run_fork, 200 },   { "exec", run_exec, 100 },
    { "page_faults", run_page_faults, 10240 }, { "pipe", run_pipe, 10002 }, { "file_copy", run_file_copy, 256 },
    { NULL, NULL, 0 },
};
