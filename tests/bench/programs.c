/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Runs Debian's own i386 programs and times each by CLOCK_MONOTONIC from fork to
 * exit. Static itself, and started in a chroot that holds the programs with their
 * libraries, so that the very same files run natively, in our guest and in QEMU's.
 *
 * usage: programs DIRECTORY [GROUP [NAME…]]     DIRECTORY: on a tmpfs, for inputs and outputs
 *                                               NAME: what a program's name starts with
 *
 * Prints `program GROUP NAME NANOSECONDS SUM` (SUM: of what it printed) and, of those
 * that measure themselves, `output NAME LINE` instead. The last line is `programs done`.
 */
#include <err.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TEXT_SIZE = 3 << 20, SMALL_SIZE = 512 << 10, ARGUMENTS = 16 };

struct program {
    const char *group, *name;
    bool rates; /* prints rates that it has measured by itself */
    const char *argument[ARGUMENTS];
};

static const struct program table[] = {
    { "compute", "sha256sum", false, { "/bin/busybox", "sha256sum", "text", "text", "text", "text", "text", "text" } },
    { "compute", "gzip", false, { "/bin/gzip", "-nc", "text" } },
    { "compute", "gunzip", false, { "/bin/gzip", "-dc", "text.gz", "text.gz", "text.gz" } },
    { "compute", "sort", false, { "/usr/bin/sort", "-k2,2", "-k5", "text", "text" } },
    { "compute", "awk", false,
      { "/usr/bin/mawk", "{ for (i = 1; i <= NF; i++) n[$i]++ } END { for (w in n) s += n[w] * length(w); print s }", "text" } },
    { "compute", "grep", false, { "/bin/grep", "-Ec", "(a|e)[a-z]*(ing|or).* [0-9]+ .*u[a-z]{3}", "text", "text", "text" } },
    { "compute", "openssl", true,
      { "/usr/bin/openssl", "speed", "-mr", "-seconds", "1", "-bytes", "8192", "sha256", "aes-128-cbc", "rsa2048" } },
    { "compute", "7z", true, { "/usr/bin/7zz", "b", "1", "-mmt1", "-md18", "-mtime=0" } },
    { "os", "gzip", false, { "/bin/gzip", "-nc", "small" } },
    { "more", "perl", false, { "/usr/bin/perl", "-ne", "for (split) { $n{$_}++ } $v += () = /[aeiou][^aeiou]/g;"
      " END { @k = sort { $n{$a} <=> $n{$b} || $a cmp $b } keys %n; print \"$k[0] $k[-1] $v\\n\" }", "small" } },
    { "more", "lua", false, { "/usr/bin/lua5.4", "-e", "t = {} for i = 1, 200000 do t[i] = i * 7919 % 10007 end table.sort(t)"
      " function f(n) if n < 2 then return n end return f(n - 1) + f(n - 2) end"
      " q = {} for i = 1, 30000 do q[#q + 1] = string.format('%d:%s', i, t[i]) end"
      " n = 0 for w in table.concat(q, ','):gmatch('%d+:') do n = n + #w end print(f(24), n)" } },
    { "more", "luajit", false, { "/usr/bin/luajit", "-e", "function f(n) if n < 2 then return n end return f(n - 1) + f(n - 2) end x, t = 12345, {}"
      " for r = 1, 30 do jit.flush() for i = 1, 100000 do x = (x * 1103 + 12345) % 2147483647 t[i % 1000] = (t[i % 1000] or 0) + x % 17 end"
      " s = {} for i = 1, 3000 do s[i] = tostring(i * x % 977) end for w in table.concat(s, ','):gmatch('%d+') do x = x + #w end f(20) end print(x, t[5])" } },
    { "more", "sqlite", false, { "/usr/bin/sqlite3", ":memory:", "create table t (a integer primary key, b int, c text);"
      " with recursive r(i) as (select 1 union all select i + 1 from r where i < 50000) insert into t select i, i * 7919 % 10007, 'text' || i from r;"
      " create index x on t (b); select b % 100, count(*), avg(a) from t group by 1 order by 2 desc limit 3;"
      " select count(*) from t u join t v on u.b = v.a where u.c like '%7%';" } },
    { "more", "bzip2", false, { "/bin/bzip2", "-c", "small" } },
    { "more", "xz", false, { "/usr/bin/xz", "-4", "-T1", "-c", "small" } },
    { "more", "zstd", false, { "/usr/bin/zstd", "-9", "--single-thread", "-q", "-c", "text" } },
    { "more", "bc", false, { "/bin/busybox", "sh", "-c", "echo 'scale = 600; 4 * a(1)' | /usr/bin/bc -l" } },
    { "more", "diff", false, { "/bin/busybox", "sh", "-c", "/bin/busybox sed s/con/or/3 text >changed; /usr/bin/diff text changed || :" } },
    { "more", "assembler", false, { "/bin/busybox", "sh", "-c", "/bin/busybox awk '{ for (i = 1; i < NF; i++) print \"\\tmovl $\" length($i) \", \""
      " i * 4 \"(%ebp)\"; print \"l\" NR \": call l\" int(NR / 2) + 1 }' small >small.s; /usr/bin/i686-linux-gnu-as small.s -o small.o && /bin/busybox cat small.o" } },
    { "more", "gcc", false, { "/bin/busybox", "sh", "-c", "/bin/busybox ln -sf i686-linux-gnu-as /usr/bin/as; for f in 1 2 3 4 5 6 7 8; do"
      " /bin/busybox awk -v f=$f 'NR % 9 == f && NR < 120 { print \"int f\" NR \"(int *p, int n) { int s = \" NR \"; for (int i = 0; i < n; i++)"
      " { s += p[i] * \" length($1) \"; if (s % \" NF + 2 \" == i) s ^= p[s & \" length \"]; } return s > n ? f\" NR \"(p + s, n / 2) : s; }\" }' small >c$f.c;"
      " /usr/bin/i686-linux-gnu-gcc-12 -O2 -ffreestanding -c c$f.c || exit 1; done; /bin/busybox cat c?.o" } },
    { "more", "starts", false, { "/bin/busybox", "sh", "-c", "i=0; while [ $i -lt 50 ]; do i=$((i + 1)); /bin/grep -c movl small.s; done" } },
};

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* Lines of words and numbers; few words are frequent and many are rare. */
static void make_text(const char *path, size_t size)
{
    static const char *const syllable[] = { "re", "con", "ing", "ta", "or", "un", "be", "st", "al", "er", "lo", "mi", "qu", "us" };
    FILE *f = fopen(path, "w");
    uint32_t s = 2463534242u, column = 0;

    if (!f)
        err(1, "%s", path);
    for (size_t written = 0; written < size;) {
        uint32_t r = next_random(&s), word = r % 60 * (next_random(&s) % 60) * (next_random(&s) % 3 + 1);
        int n = 0;
        if (r >> 28 == 0) {
            n = fprintf(f, "%u", r % 10000);
        } else {
            for (uint32_t v = word + 1; v; v /= 14)
                n += fprintf(f, "%s", syllable[v % 14]);
        }
        fputc(++column % 11 ? ' ' : '\n', f);
        written += (size_t)n + 1;
    }
    fputc('\n', f);
    if (fclose(f))
        err(1, "%s", path);
}

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Nanoseconds; its output, also what it complains about, goes into a file. */
static uint64_t run(const struct program *p, const char *output)
{
    int status, out = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    uint64_t start = now_ns();
    pid_t child = fork();

    if (out < 0 || child < 0)
        err(1, "%s", p->name);
    if (child == 0) {
        dup2(out, 1);
        dup2(out, 2);
        execv(p->argument[0], (char *const *)(uintptr_t)p->argument);
        _exit(127);
    }
    waitpid(child, &status, 0);
    close(out);
    if (status != 0)
        errx(1, "%s: ended with status 0x%x", p->name, status);
    return now_ns() - start;
}

static uint32_t sum_file(const char *path)
{
    static uint8_t buffer[65536];
    FILE *f = fopen(path, "r");
    uint32_t sum = 2166136261u;
    size_t n;

    if (!f)
        err(1, "%s", path);
    while ((n = fread(buffer, 1, sizeof buffer, f)) > 0)
        for (size_t i = 0; i < n; i++)
            sum = (sum ^ buffer[i]) * 16777619u;
    fclose(f);
    return sum;
}

static void show_file(const char *name, const char *path)
{
    char line[256];
    FILE *f = fopen(path, "r");

    if (!f)
        err(1, "%s", path);
    while (fgets(line, sizeof line, f))
        printf("output %s %.*s\n", name, (int)strcspn(line, "\r\n"), line);
    fclose(f);
}

static bool wanted(const struct program *p, int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[2], p->group) && strcmp(argv[2], "all"))
        return false;
    for (int i = 3; i < argc; i++)
        if (!strncmp(argv[i], p->name, strlen(argv[i])))
            return true;
    return argc <= 3;
}

int main(int argc, char **argv)
{
    static const struct program pack = { "", "gzip", false, { "/bin/gzip", "-nc", "text" } };

    if (argc < 2 || chdir(argv[1]))
        err(2, "usage: programs DIRECTORY [GROUP [NAME…]]");
    clearenv();
    setenv("LC_ALL", "C", 1);
    setenv("PATH", "/bin:/usr/bin", 1);
    /* libcrypto asks CPUID for more than SSE2 at every start; the engine is what is compared, not two models of CPU. */
    setenv("OPENSSL_ia32cap", "~0xffffffff00000000:0", 1);
    make_text("text", TEXT_SIZE);
    make_text("small", SMALL_SIZE);
    run(&pack, "text.gz");
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct program *p = &table[i];
        if (!wanted(p, argc, argv))
            continue;
        uint64_t took = run(p, "output");
        if (p->rates)
            show_file(p->name, "output");
        else
            printf("program %s %s %llu %08x\n", p->group, p->name, (unsigned long long)took, sum_file("output"));
        fflush(stdout);
    }
    puts("programs done");
    return 0;
}
