/* SPDX-License-Identifier: BSD-2-Clause
 *
 * vswitch-guest: one guest in one process. The order is the point: files,
 * sockets, memory, executable mappings and threads first; then the door
 * closes; only then is anything parsed or run that a guest's owner chose.
 */
#include "guest/closer.h"
#include "guest/console.h"
#include "guest/guest_nic.h"
#include "guest/nvram.h"
#include "guest/options.h"
#include "guest/replay_guest.h"
#include "guest/run_dir.h"
#include "guest/run_loop.h"
#include "guest/sandbox.h"
#include "proto/control_proto.h"
#include "proto/unix_socket.h"
#include "x86vm/pc/boot_linux.h"
#include "x86vm/pc/boot_multiboot.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { ERROR_SIZE = 512, IMAGE_MOST = 1 << 30 };

struct image {
    int fd; /* -1: none */
    size_t size;
    uint8_t *data;
};

struct guest {
    struct options options;
    struct image kernel, initrd;
    int record_fd; /* -1: no recording */
    struct nvram *nvram[OPTIONS_NICS_MAX];
    struct run_dir *run_dir;
    struct run_loop_parts parts;
    struct run_loop *loop;
    uint8_t seed[BOOT_LINUX_SEED_SIZE]; /* for the guest's random numbers */
    char error[ERROR_SIZE];
};

static int log_fd = STDERR_FILENO;

static void log_line(const char *text)
{
    char line[1024];
    int length = snprintf(line, sizeof line, "vswitch-guest: %s\n", text);
    ssize_t done;

    if (length >= (int)sizeof line)
        length = sizeof line - 1;
    done = write(log_fd, line, (size_t)length);
    (void)done;
}

__attribute__((format(printf, 2, 3))) static bool fail(struct guest *g, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(g->error, sizeof g->error, format, args);
    va_end(args);
    return false;
}

/* --- before the door closes --- */

/* Often the user is the daemon's, and the file in somebody's home. */
static bool refused_image(struct guest *g, const char *path)
{
    struct passwd *user = getpwuid(geteuid());

    return fail(g, "%s: %s: this guest runs as %s%s%u, who must be able to read it", path, strerror(EACCES),
                user ? user->pw_name : "", user ? ", uid " : "uid ", geteuid());
}

static bool open_image(struct guest *g, const char *path, struct image *image)
{
    struct stat st;

    image->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (image->fd < 0 && errno == EACCES)
        return refused_image(g, path);
    if (image->fd < 0 || fstat(image->fd, &st))
        return fail(g, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return fail(g, "%s: not a regular file", path);
    if (st.st_size > IMAGE_MOST)
        return fail(g, "%s: larger than 1 GiB", path);
    image->size = (size_t)st.st_size;
    return true;
}

/* The file of a card's EEPROM: the one that was named, or one in the state directory that no
 * other card can have: a card with another address, or of another model, is another one. */
static bool open_nvram(struct guest *g, unsigned index)
{
    const struct options_nic *nic = &g->options.nic[index];
    const uint8_t *m = nic->mac;
    char path[600];

    if (!nic->nvram[0] && !g->options.state_dir)
        return true;
    if (nic->nvram[0])
        snprintf(path, sizeof path, "%s", nic->nvram);
    else
        snprintf(path, sizeof path, "%.500s/nic%u-%s-%02x%02x%02x%02x%02x%02x.eeprom", g->options.state_dir, index, nic->model,
                 m[0], m[1], m[2], m[3], m[4], m[5]);
    g->nvram[index] = nvram_open(path, g->error, sizeof g->error);
    return g->nvram[index];
}

static bool open_state(struct guest *g)
{
    if (g->options.state_dir && mkdir(g->options.state_dir, 0750) && errno != EEXIST)
        return fail(g, "cannot make the state directory %s: %s", g->options.state_dir, strerror(errno));
    for (unsigned i = 0; i < g->options.nic_count; i++)
        if (!open_nvram(g, i))
            return false;
    return true;
}

static bool open_files(struct guest *g)
{
    char path[512];
    const struct options *o = &g->options;

    if (o->log) {
        int fd = open(o->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        if (fd < 0)
            return fail(g, "%s: %s", o->log, strerror(errno));
        log_fd = fd;
    }
    if (!open_image(g, o->kernel, &g->kernel) || (o->initrd && !open_image(g, o->initrd, &g->initrd)))
        return false;
    if (o->record) {
        g->record_fd = open(o->record, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (g->record_fd < 0)
            return fail(g, "%s: %s", o->record, strerror(errno));
    }
    if (!open_state(g))
        return false;
    snprintf(path, sizeof path, "/run/vswitch/guests/%s", o->name);
    g->run_dir = run_dir_open(o->run_dir ? o->run_dir : path, g->error, sizeof g->error);
    return g->run_dir;
}

static bool listen_on(struct guest *g, const char *name, int *fd)
{
    int error = unix_socket_listen(name, run_dir_socket_mode(g->run_dir), fd);

    if (error)
        return fail(g, "cannot listen on %s: %s", name, strerror(error));
    run_dir_owns(g->run_dir, name);
    return true;
}

static bool open_sockets(struct guest *g)
{
    int console = -1;

    if (!listen_on(g, "console.sock", &console) || !listen_on(g, "control.sock", &g->parts.control_listener))
        return false;
    g->parts.console = console_new(console, g->options.console_stdio);
    return g->parts.console || fail(g, "no memory");
}

/* SIGTERM and its like are read from a descriptor, so that no sleep can miss them. */
static bool take_signals(struct guest *g)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    signal(SIGPIPE, SIG_IGN);
    sigprocmask(SIG_BLOCK, &set, NULL);
    g->parts.signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    return g->parts.signals >= 0 || fail(g, "signalfd: %s", strerror(errno));
}

/* --- the machine --- */

static void set_intr(void *opaque, bool level)
{
    struct guest *g = opaque;

    x86vm_set_intr(g->parts.vm, level);
}

static void attention(void *opaque)
{
    struct guest *g = opaque;

    x86vm_request_exit(g->parts.vm);
}

static void serial_output(void *opaque, unsigned port, uint8_t byte)
{
    struct guest *g = opaque;

    if (port == 0 && console_output(g->parts.console, byte))
        x86vm_request_exit(g->parts.vm); /* so that its deadline is noticed */
}

static void pc_log(void *opaque, const char *line)
{
    (void)opaque;
    log_line(line);
}

static bool make_machine(struct guest *g)
{
    const struct x86vm_config config = { .ram_size = (uint64_t)g->options.memory_mib << 20 };
    struct pc_config pc_config = {
        .wall_seconds = time(NULL), .debug_exit = g->options.debug_exit, .opaque = g, .set_intr = set_intr,
        .attention = attention, .serial_output = serial_output, .log = pc_log,
    };

    g->parts.vm = x86vm_new(&config, g->error, sizeof g->error);
    if (!g->parts.vm)
        return false;
    pc_config.cpu = x86vm_cpu(g->parts.vm);
    pc_config.phys = x86vm_phys(g->parts.vm);
    pc_config.io = x86vm_io(g->parts.vm);
    g->parts.pc = pc_new(&pc_config);
    if (!g->parts.pc)
        return fail(g, "no memory for the machine");
    x86vm_set_intr_ack(g->parts.vm, pc_acknowledge, g->parts.pc);
    x86vm_set_ferr(g->parts.vm, pc_fpu_error, g->parts.pc);
    return true;
}

static bool make_nics(struct guest *g)
{
    for (unsigned i = 0; i < g->options.nic_count; i++) {
        struct guest_nic *nic = guest_nic_new(g->parts.pc, &g->options.nic[i], g->nvram[i], attention, g,
                                              g->error, sizeof g->error);
        if (!nic)
            return false;
        run_dir_owns(g->run_dir, g->options.nic[i].socket);
        g->parts.nic[g->parts.nic_count++] = nic;
    }
    return true;
}

/* --- the door --- */

static bool close_door(struct guest *g, const char *spaces)
{
    const char *what;
    char line[256];
    int error;

    if (g->options.no_sandbox) {
        log_line("no sandbox, as asked: for debugging only");
        return true;
    }
    error = sandbox_close_door(&what);
    if (error)
        return fail(g, "%s: %s", what, strerror(error));
    snprintf(line, sizeof line, "sandbox closed: %s", spaces);
    log_line(line);
    return true;
}

/* --- behind it --- */

static bool read_image(struct guest *g, struct image *image, const char *what)
{
    size_t done = 0;

    if (image->fd < 0)
        return true;
    image->data = malloc(image->size ? image->size : 1);
    if (!image->data)
        return fail(g, "no memory to read the %s of %zu bytes", what, image->size);
    while (done < image->size) {
        ssize_t got = read(image->fd, image->data + done, image->size - done);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return fail(g, "cannot read the %s: %s", what, got ? strerror(errno) : "it has become shorter");
        done += (size_t)got;
    }
    close(image->fd);
    return true;
}

static bool start_recording(struct guest *g)
{
    struct record *record;

    if (g->record_fd < 0)
        return true;
    record = record_start(g->parts.vm, g->record_fd, log_line);
    run_loop_record(g->loop, record);
    return record || fail(g, "no memory for a recording");
}

/* Drawn before the sandbox closes, and kept no longer than until the kernel has it. */
static bool draw_seed(struct guest *g)
{
    return getrandom(g->seed, sizeof g->seed, 0) == sizeof g->seed || fail(g, "the host gives no random numbers: %s", strerror(errno));
}

static bool boot_linux(struct guest *g)
{
    const struct boot_linux_files files = { .kernel = g->kernel.data, .kernel_size = g->kernel.size, .initrd = g->initrd.data,
                                            .initrd_size = g->initrd.size, .command_line = g->options.append,
                                            .unpack = g->options.unpack, .seed = g->seed };
    bool ok = pc_boot_linux(g->parts.pc, &files, g->error, sizeof g->error);

    explicit_bzero(g->seed, sizeof g->seed);
    return ok;
}

static bool boot_multiboot(struct guest *g)
{
    const struct boot_multiboot_files files = { .image = g->kernel.data, .image_size = g->kernel.size, .module = g->initrd.data,
                                                .module_size = g->initrd.size, .command_line = g->options.append };
    return pc_boot_multiboot(g->parts.pc, &files, g->error, sizeof g->error);
}

static bool boot(struct guest *g)
{
    bool ok;

    if (!read_image(g, &g->kernel, "kernel") || !read_image(g, &g->initrd, "initrd"))
        return false;
    ok = boot_multiboot_recognizes(g->kernel.data, g->kernel.size) ? boot_multiboot(g) : boot_linux(g);
    free(g->kernel.data);
    free(g->initrd.data);
    return ok && start_recording(g);
}

static bool start(struct guest *g)
{
    char spaces[128] = "";
    int error;

    g->parts.name = g->options.name;
    g->parts.log = log_line;
    g->parts.stop_timeout_s = g->options.stop_timeout_s;
    g->parts.idle_slack_ms = g->options.idle_slack_ms;
    g->parts.control_listener = g->kernel.fd = g->initrd.fd = g->record_fd = -1;
    if (!draw_seed(g) || !take_signals(g) || !open_files(g) || !open_sockets(g) || !make_machine(g) || !make_nics(g))
        return false;
    if ((error = closer_start()) != 0)
        return fail(g, "cannot create a thread: %s", strerror(error));
    prctl(PR_SET_TIMERSLACK, 1000);
    if (!g->options.no_sandbox)
        sandbox_enter_namespaces(spaces, sizeof spaces);
    g->loop = run_loop_new(&g->parts, g->error, sizeof g->error);
    return g->loop && close_door(g, spaces) && boot(g);
}

static void clean_up(struct guest *g)
{
    for (unsigned i = 0; i < g->parts.nic_count; i++)
        guest_nic_free(g->parts.nic[i]);
    run_loop_free(g->loop);
    console_free(g->parts.console);
    run_dir_close(g->run_dir);
}

int main(int argc, char **argv)
{
    static struct guest guest;
    int code = EXIT_FAILURE_TO_START;

    if (!options_parse(&guest.options, argc, argv, guest.error, sizeof guest.error)) {
        fprintf(stderr, "vswitch-guest: %s; --help tells what there is\n", guest.error);
        return EXIT_USAGE;
    }
    if (guest.options.help) {
        fputs(options_usage(), stdout);
        return 0;
    }
    if (guest.options.version) {
        puts("vswitch-guest " CONTROL_VERSION);
        return 0;
    }
    if (guest.options.replay)
        return replay_guest(&guest.options, log_line);
    if (start(&guest))
        code = run_loop_run(guest.loop);
    else
        log_line(guest.error);
    clean_up(&guest);
    return code;
}
