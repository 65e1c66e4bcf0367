/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Mapping a peer's memory, see vhost_memory.h. The list of mappings is the one
 * state of the process as a whole here: a signal handler has no other argument.
 */
#include "vswitchd/ports/vhost_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "vswitchd/os/foreign.h"

#define SLOTS 4096

static struct mapping {
    volatile uintptr_t base; /* 0: free */
    size_t size;
    volatile sig_atomic_t broken;
} mappings[SLOTS];

static void on_sigbus(int number, siginfo_t *info, void *context)
{
    uintptr_t address = (uintptr_t)info->si_addr;
    int saved = errno;

    (void)context;
    for (int i = 0; i < SLOTS; i++) {
        struct mapping *m = &mappings[i];

        if (!m->base || address - m->base >= m->size)
            continue;
        if (mmap((void *)m->base, m->size, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == MAP_FAILED)
            break;
        m->broken = 1;
        errno = saved;
        return;
    }
    signal(number, SIG_DFL); /* not ours: the instruction faults again and ends the process */
}

static int install_handler(void)
{
    struct sigaction current;
    struct sigaction action = { .sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO | SA_NODEFER };

    if (sigaction(SIGBUS, NULL, &current) == 0 && (current.sa_flags & SA_SIGINFO) && current.sa_sigaction == on_sigbus)
        return 0;
    sigemptyset(&action.sa_mask);
    return sigaction(SIGBUS, &action, NULL) ? errno : 0;
}

void vhost_memory_init(struct vhost_memory *memory)
{
    memset(memory, 0, sizeof(*memory));
}

/* Whether the file can be mapped without a surprise, and how large it is. */
static const char *check_file(int fd, bool allow_unsealed, struct stat *st)
{
    int seals = fcntl(fd, F_GET_SEALS);

    if (!allow_unsealed) {
        if (seals < 0)
            return "memory is not a memfd (use one, or allow unsealed memory at this port)";
        if (!(seals & F_SEAL_SHRINK))
            return "memory is not sealed against shrinking (seal it, or allow unsealed memory at this port)";
    }
    /* A file of any other kind has no seals to tell of, and may make us wait for a disk, or for another process; even for
     * its size, so nothing else is asked before. */
    if (seals < 0)
        return "memory is neither tmpfs nor huge pages";
    return fstat(fd, st) ? "memory cannot be examined" : NULL;
}

static int find_slot(void)
{
    for (int i = 0; i < SLOTS; i++)
        if (!mappings[i].base)
            return i;
    return -1;
}

const char *vhost_memory_add(struct vhost_memory *memory, const struct vhost_user_region *region, int fd,
                             bool allow_unsealed)
{
    struct virtq_region entry = { region->guest_address, region->user_address, region->size, NULL };
    const char *error = virtq_memory_check(&memory->table, &entry);
    int slot = find_slot();
    struct stat st;
    uint64_t align, start, size;
    uint8_t *base;

    if (!error)
        error = check_file(fd, allow_unsealed, &st);
    if (error)
        return error;
    if (region->mmap_offset > (uint64_t)st.st_size || region->size > (uint64_t)st.st_size - region->mmap_offset)
        return "memory region larger than its file";
    align = (uint64_t)sysconf(_SC_PAGESIZE);
    if ((uint64_t)st.st_blksize > align)
        align = (uint64_t)st.st_blksize; /* huge pages */
    start = region->mmap_offset & ~(align - 1);
    size = (region->size + (region->mmap_offset - start) + align - 1) & ~(align - 1);
    if (size > VHOST_MEMORY_TOTAL_MAX - memory->total)
        return "too much memory";
    if (slot < 0 || install_handler())
        return "too many memory regions at all ports";
    base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, (off_t)start);
    if (base == MAP_FAILED)
        return "memory cannot be mapped";
    madvise(base, size, MADV_DONTDUMP);
    mappings[slot].size = size;
    mappings[slot].broken = 0;
    mappings[slot].base = (uintptr_t)base;
    entry.host = base + (region->mmap_offset - start);
    memory->slots[memory->table.count] = slot;
    memory->table.regions[memory->table.count++] = entry;
    memory->total += size;
    return NULL;
}

static void unmap(struct vhost_memory *memory, unsigned index)
{
    struct mapping *m = &mappings[memory->slots[index]];
    void *base = (void *)m->base;

    memory->total -= m->size;
    m->base = 0;
    foreign_unmap(base, m->size);
}

const char *vhost_memory_remove(struct vhost_memory *memory, const struct vhost_user_region *region)
{
    struct virtq_memory *table = &memory->table;

    for (unsigned i = 0; i < table->count; i++) {
        const struct virtq_region *entry = &table->regions[i];

        if (entry->guest_address != region->guest_address || entry->user_address != region->user_address ||
            entry->size != region->size)
            continue;
        unmap(memory, i);
        table->count--;
        table->regions[i] = table->regions[table->count];
        memory->slots[i] = memory->slots[table->count];
        return NULL;
    }
    return "no such memory region";
}

void vhost_memory_clear(struct vhost_memory *memory)
{
    for (unsigned i = 0; i < memory->table.count; i++)
        unmap(memory, i);
    vhost_memory_init(memory);
}

bool vhost_memory_broken(const struct vhost_memory *memory)
{
    for (unsigned i = 0; i < memory->table.count; i++)
        if (mappings[memory->slots[i]].broken)
            return true;
    return false;
}
