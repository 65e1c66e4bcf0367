/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Run loop: see run_loop.h.
 */
#include "guest/run_loop_private.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define NS_PER_S 1000000000u
#define MS 1000000u

#define TRAFFIC_WINDOW (1 * MS)          /* frames within it: we look at the rings ourselves, */
#define TRAFFIC_LOOK 150000u             /* ns between looks, */
#define TRAFFIC_EARLY 60000u             /* or so many, where the guest's driver comes by: less than half, so that
                                            alarm_set() moves the alarm before it goes off */
#define WAKER_AFTER (1 * MS)             /* run without a pause before the waker is worth its cost */
#define CONSOLE_DELAY (2 * MS)           /* output is gathered that long */
#define INPUT_RETRY (5 * MS)             /* the guest's UART was full */
#define REST_LOOK (10ull * NS_PER_S)     /* how long a guest has to be idle before memory is given back */
#define HOUSEKEEPING (100u * MS)         /* connections being made, signals; descriptors while nobody watches them, */
#define HALTED_HOUSEKEEPING (1000u * MS) /* which HLT does */

void run_loop_attention(void *opaque)
{
    struct run_loop *l = opaque;

    x86vm_request_exit(l->parts.vm);
}

static void end(struct run_loop *l, int code, const char *why)
{
    if (l->ended)
        return;
    l->ended = true;
    l->exit_code = code;
    if (why)
        l->parts.log(why);
}

/* Somebody outside wants the guest to end: its power button, if it listens to it, and only then its plug. */
static void stop(struct run_loop *l, const char *why)
{
    uint64_t patience = l->parts.stop_timeout_s * (uint64_t)NS_PER_S;

    if (l->ended || l->stop_at != PC_NEVER)
        return;
    if (!patience || !pc_press_power_button(l->parts.pc)) {
        end(l, EXIT_POWER_OFF, why);
        return;
    }
    l->stop_at = pc_now(l->parts.pc) + patience;
    l->stop_reason = why;
    l->parts.log("pressed the guest's power button");
}

/* --- descriptors --- */

/* The descriptors of all, NICs first; `first_other` is where theirs end. The kernel wakes
 * whoever polls a signalfd for every signal to the process, so the waker would run at each
 * alarm of a busy vCPU: to it the signals are not given, housekeeping looks for them. */
static unsigned collect_fds(struct run_loop *l, struct pollfd *fds, unsigned *first_other, bool with_signals)
{
    unsigned count = 0;

    for (unsigned i = 0; i < l->parts.nic_count; i++)
        count += guest_nic_poll(l->parts.nic[i], fds + count);
    *first_other = count;
    if (with_signals)
        fds[count++] = (struct pollfd){ .fd = l->parts.signals, .events = POLLIN };
    count += control_poll(l->control, fds + count);
    count += console_poll(l->parts.console, fds + count, pc_serial_room(l->parts.pc, 0) > 0);
    return count;
}

static bool any_ready(const struct pollfd *fds, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        if (fds[i].revents)
            return true;
    return false;
}

/* A descriptor of a NIC's is ready. That frames came, as most often while traffic flows, takes one system call to
 * note; anything else needs a look at the connection. */
static void note_nic(struct run_loop *l, int fd)
{
    for (unsigned i = 0; i < l->parts.nic_count; i++)
        if (guest_nic_called(l->parts.nic[i], fd))
            return;
    l->check_nics = true;
}

static void serve_console(struct run_loop *l)
{
    uint8_t input[256];
    size_t room = pc_serial_room(l->parts.pc, 0), got;

    got = console_service(l->parts.console, input, room < sizeof input ? room : sizeof input);
    if (got)
        pc_serial_input(l->parts.pc, 0, input, got);
    l->input_waits = room == 0 || got == sizeof input;
    l->console_at = PC_NEVER;
}

static void serve_signals(struct run_loop *l)
{
    struct signalfd_siginfo info;

    if (read(l->parts.signals, &info, sizeof info) == (ssize_t)sizeof info)
        stop(l, "stopped by a signal");
}

static void serve_nics(struct run_loop *l, uint64_t now)
{
    l->check_nics = false;
    for (unsigned i = 0; i < l->parts.nic_count; i++)
        guest_nic_service(l->parts.nic[i], now);
}

static void serve_others(struct run_loop *l)
{
    l->check_others = false;
    serve_signals(l);
    serve_console(l);
    switch (control_service(l->control)) {
    case CONTROL_STOP:
        stop(l, "stopped by request");
        break;
    case CONTROL_KILL:
        end(l, EXIT_KILLED, "killed by request");
        break;
    default:
        break;
    }
}

/* The waker is armed with `watched_fds`, but there is something else to watch now. */
static bool watches_other_fds(struct run_loop *l)
{
    struct pollfd fds[FDS_MAX];
    unsigned first_other, count = collect_fds(l, fds, &first_other, false);

    if (count != l->watched_count)
        return true;
    for (unsigned i = 0; i < count; i++)
        if (fds[i].fd != l->watched_fds[i].fd || fds[i].events != l->watched_fds[i].events)
            return true;
    return false;
}

/* --- frames --- */

static bool exchange(struct run_loop *l, uint64_t now)
{
    bool moved = false;

    for (unsigned i = 0; i < l->parts.nic_count; i++)
        moved |= guest_nic_exchange(l->parts.nic[i], now);
    if (moved) {
        l->last_traffic = now;
        idle_stir(&l->idle);
    }
    return moved;
}

/* True: frames wait already. */
static bool suppress_calls(struct run_loop *l, bool suppress)
{
    bool waiting = false;

    for (unsigned i = 0; i < l->parts.nic_count; i++)
        waiting |= guest_nic_suppress(l->parts.nic[i], suppress);
    return waiting;
}

/* --- one exit --- */

static void take_event(struct run_loop *l)
{
    char line[64];
    uint8_t code;

    switch (pc_take_event(l->parts.pc, &code)) {
    case PC_EVENT_RESET:
        end(l, EXIT_REBOOT, "the guest reset its machine");
        break;
    case PC_EVENT_EXIT:
        snprintf(line, sizeof line, "the guest ended the run with code %u", code);
        end(l, code, line);
        break;
    case PC_EVENT_POWER_OFF:
        end(l, EXIT_POWER_OFF, "the guest powered off");
        break;
    default:
        break;
    }
}

static void service(struct run_loop *l, uint64_t now)
{
    if (l->record)
        record_service(l->record, now);
    take_event(l);
    pc_service(l->parts.pc, now);
    if (l->watched && !waker_is_armed(l->waker)) {
        l->watched = false;
        l->check_nics = l->check_others = true;
    }
    if (now >= l->stop_at)
        end(l, EXIT_POWER_OFF, l->stop_reason);
    if (now >= l->housekeeping_at) {
        l->housekept = now;
        l->housekeeping_at = now + HOUSEKEEPING;
        l->check_nics = l->check_others = true;
    }
    if (l->check_nics)
        serve_nics(l, now);
    if (l->check_others || l->input_waits || now >= l->console_at) {
        serve_others(l);
        if (l->watched && watches_other_fds(l))
            waker_disturb(l->waker);
    }
    exchange(l, now);
    if (l->console_at == PC_NEVER && console_has_output(l->parts.console))
        l->console_at = now + CONSOLE_DELAY;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* `machine`: that of the PC. */
static uint64_t next_deadline(struct run_loop *l, uint64_t now, uint64_t machine)
{
    uint64_t deadline = earlier(earlier(machine, l->console_at), earlier(l->housekeeping_at, l->stop_at));

    return l->input_waits ? earlier(deadline, now + INPUT_RETRY) : deadline;
}

/* Arranges that guest code is left when there is something to do. */
static void prepare_run(struct run_loop *l, uint64_t now)
{
    uint64_t deadline = next_deadline(l, now, pc_next_deadline(l->parts.pc, false)), attend = PC_NEVER;

    if (now - l->last_traffic < TRAFFIC_WINDOW) {
        l->looking = true;
        suppress_calls(l, true);
        deadline = earlier(deadline, now + TRAFFIC_LOOK);
        attend = now + TRAFFIC_EARLY;
    } else if (now - l->running_since < WAKER_AFTER) {
        deadline = earlier(deadline, l->running_since + WAKER_AFTER);
    } else if (!l->watched || l->looking) {
        unsigned first_other;

        if (!l->watched) {
            l->watched = true;
            l->watched_count = collect_fds(l, l->watched_fds, &first_other, false);
            waker_arm(l->waker, l->watched_fds, l->watched_count);
        }
        l->looking = false;
        if (suppress_calls(l, false))
            run_loop_attention(l);
    }
    alarm_set(&l->alarm, now, deadline);
    pc_serviced_by(l->parts.pc, deadline);
    pc_attend_from(l->parts.pc, attend);
}

/* Nine tenths of the time asleep: memory is worth more than speed. */
static void rest(struct run_loop *l, uint64_t now)
{
    uint64_t idle = l->time.idle_ns - l->rest_idle_ns;

    if (now < l->rest_look_at)
        return;
    if (l->rest_look_at && idle / 9 * 10 >= now - l->rest_look_at + REST_LOOK)
        x86vm_rest(l->parts.vm, now);
    l->rest_look_at = now + REST_LOOK;
    l->rest_idle_ns = l->time.idle_ns;
}

/* When the PC of a halted guest wants to be served: later than ever, if it is idle. */
static uint64_t halted_deadline(struct run_loop *l, uint64_t now)
{
    uint64_t slack;

    if (pc_take_stirred(l->parts.pc) | x86vm_take_user_ran(l->parts.vm) | l->input_waits | (l->stop_at != PC_NEVER))
        idle_stir(&l->idle);
    slack = idle_halt(&l->idle, now, now - l->running_since);
    l->time.idle_halts += slack != 0;
    return pc_idle_deadline(l->parts.pc, slack);
}

/* HLT: the thread sleeps until a deadline or a descriptor. */
static void sleep_halted(struct run_loop *l)
{
    struct pollfd fds[FDS_MAX];
    uint64_t now = pc_now(l->parts.pc), deadline;
    struct timespec timeout = { 0, 0 };
    unsigned count, first_other;
    int ready;

    if (console_has_output(l->parts.console)) {
        idle_stir(&l->idle);
        serve_console(l);
    }
    if (suppress_calls(l, false))
        return; /* frames came in between */
    l->housekeeping_at = l->housekept + HALTED_HOUSEKEEPING;
    deadline = next_deadline(l, now, halted_deadline(l, now));
    if (deadline > now) {
        timeout.tv_sec = (time_t)((deadline - now) / NS_PER_S);
        timeout.tv_nsec = (long)((deadline - now) % NS_PER_S);
    }
    count = collect_fds(l, fds, &first_other, true);
    alarm_move(&l->alarm, deadline + WAKER_AFTER); /* out of the sleep's way, and where prepare_run() will want it then */
    ready = ppoll(fds, count, &timeout, NULL);
    if (ready > 0) {
        for (unsigned i = 0; i < first_other; i++)
            if (fds[i].revents)
                note_nic(l, fds[i].fd);
        l->check_others |= any_ready(fds + first_other, count - first_other);
        idle_stir(&l->idle);
    }
    l->running_since = pc_now(l->parts.pc);
    l->housekeeping_at = earlier(l->housekeeping_at, l->running_since + HOUSEKEEPING);
    l->time.idle_ns += l->running_since - now;
    l->time.halts++;
    rest(l, l->running_since);
}

int run_loop_run(struct run_loop *l)
{
    char line[600];
    enum x86vm_exit last = X86VM_EXIT_REQUESTED;

    l->check_nics = l->check_others = true;
    l->running_since = pc_now(l->parts.pc);
    while (!l->ended) {
        uint64_t now = pc_now(l->parts.pc);

        service(l, now);
        if (l->ended)
            break;
        if (pc_is_asleep(l->parts.pc)) {
            sleep_halted(l);
            continue;
        }
        prepare_run(l, now);
        last = x86vm_run(l->parts.vm);
        switch (last) {
        case X86VM_EXIT_REQUESTED: case X86VM_EXIT_POSITION:
            break;
        case X86VM_EXIT_HALTED:
            sleep_halted(l);
            break;
        case X86VM_EXIT_DEAD:
            take_event(l);
            end(l, EXIT_POWER_OFF, "the guest halted its CPU for good");
            break;
        case X86VM_EXIT_SHUTDOWN:
            snprintf(line, sizeof line, "the guest's CPU shut down (triple fault): ");
            x86vm_describe_state(l->parts.vm, line + strlen(line), sizeof line - strlen(line));
            end(l, EXIT_TRIPLE_FAULT, line);
            break;
        }
    }
    if (l->record)
        record_finish(l->record, last);
    console_flush(l->parts.console);
    return l->exit_code;
}

/* --- creation --- */

struct run_loop *run_loop_new(const struct run_loop_parts *parts, char *error, size_t error_size)
{
    struct run_loop *l = calloc(1, sizeof *l);

    if (!l) {
        snprintf(error, error_size, "no memory");
        return NULL;
    }
    l->parts = *parts;
    l->console_at = l->stop_at = PC_NEVER;
    l->idle = (struct idle){ .slack = (uint64_t)parts->idle_slack_ms * MS, .stirred = true };
    l->started = pc_now(parts->pc);
    l->control = run_loop_control_new(l);
    if (!l->control || !alarm_start(&l->alarm, parts->vm) || waker_start(run_loop_attention, l, &l->waker)) {
        snprintf(error, error_size, "cannot create the timer or the waker's thread: %s", strerror(errno));
        run_loop_free(l);
        return NULL;
    }
    return l;
}

void run_loop_record(struct run_loop *l, struct record *record)
{
    l->record = record;
}

void run_loop_free(struct run_loop *l)
{
    if (!l)
        return;
    waker_stop(l->waker);
    control_free(l->control);
    free(l);
}
