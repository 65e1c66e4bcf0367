/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The processes of guests. One is followed through its pidfd, whether this daemon
 * started it or an earlier one did. The launcher starts them, and tells how they
 * ended; it may be slow, or held up by somebody, and the switch is not to stand
 * still for that: what it has not said after AT_ONCE_MS comes by a watch, or is not
 * waited for any more.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vswitchd/guests_directory.h"
#include "vswitchd/guests_private.h"
#include "vswitchd/os/log.h"

#define MILLISECOND (EVENT_LOOP_SECOND / 1000)

enum {
    AT_ONCE_MS = 20,            /* What guest.start waits, so that its answer usually says how it went. */
    ANSWER_MS = 3000,
    STATUS_MS = 200,
    DESCRIPTORS_MS = 100,       /* Until the next try where there was none free. */
};

/* ---- Its end ---- */

static void log_exit(const struct guest *g)
{
    const char *words = g->last_words[0] ? g->last_words : "it left no message";

    if (g->last_status >= 0 && WIFEXITED(g->last_status) && WEXITSTATUS(g->last_status) == 0) {
        log_info("guest %s has ended", g->config.name);
    } else if (g->last_status >= 0 && WIFEXITED(g->last_status)) {
        log_warning("guest %s has ended with status %d: %s", g->config.name, WEXITSTATUS(g->last_status), words);
    } else if (g->last_status >= 0 && WIFSIGNALED(g->last_status)) {
        log_warning("guest %s was ended by SIG%s: %s", g->config.name, sigabbrev_np(WTERMSIG(g->last_status)), words);
    } else if (g->launched) {
        log_warning("guest %s has ended, it is not known how: %s", g->config.name, words);
    } else {
        log_info("guest %s, which this daemon has not started, has ended: %s", g->config.name, words);
    }
}

void guests_check_all_done(struct guests *guests)
{
    void (*done)(void *context) = guests->all_done;

    if (done && guests_running(guests) == 0) {
        guests->all_done = NULL;
        done(guests->all_done_context);
    }
}

static void tell_exit(const struct guest *g)
{
    struct jv *data = jv_new_object();

    jv_set_string(data, "guest", g->config.name);
    if (g->pid > 0) {
        jv_set_int(data, "pid", g->pid);
    }
    guest_describe_exit(g, data);
    g->guests->config.event(g->guests->config.context, "guest.exited", data);
}

/* Nothing of it is left but its definition, if it has one. */
static void is_over(struct guest *g)
{
    struct guests *guests = g->guests;

    g->state = GUEST_STOPPED;
    g->ended_before = true;
    tell_exit(g);
    if (g->transient) {
        guest_forget(g);
    }
    guests_check_all_done(guests);
}

static void leave_nothing(struct guest *g)
{
    guest_remove_ports(g);
    guest_directory_remove(g->guests->directory_fd, g->config.name);
}

/* patience_over() is called then, or earlier. */
static void be_patient(struct guests *guests, uint64_t until)
{
    if (guests->patience_until == 0 || until < guests->patience_until) {
        guests->patience_until = until;
        event_timer_set(guests->patience, until);
    }
}

static uint64_t from_now(const struct guests *guests, uint64_t ms)
{
    return event_loop_now(guests->config.loop) + ms * MILLISECOND;
}

/* When it is known how, or cannot be: of one that an earlier daemon started nothing will be told. */
static bool try_to_end(struct guest *g)
{
    struct guests *guests = g->guests;

    if (!g->launched) {
        g->last_status = -1;
    } else if (!guests_launcher_status(guests->config.launcher, g->pid, &g->last_status)) {
        if (event_loop_now(guests->config.loop) < g->patience) {
            return false;
        }
        g->last_status = -1;
    }
    g->exited = false;
    guest_directory_last_words(guests->directory_fd, g->config.name, g->last_words, sizeof g->last_words);
    leave_nothing(g);
    log_exit(g);
    is_over(g);
    return true;
}

static void pidfd_ready(void *context, unsigned events)
{
    struct guest *g = context;
    struct guests *guests = g->guests;

    (void)events;
    event_watch_destroy(g->watch);
    event_timer_destroy(g->deadline);
    event_timer_destroy(g->links);
    g->watch = NULL;
    g->deadline = g->links = NULL;
    close(g->pidfd);
    g->pidfd = -1;
    g->state = GUEST_STOPPING;
    g->exited = true;
    g->patience = from_now(guests, STATUS_MS);
    if (!try_to_end(g)) {
        be_patient(guests, g->patience);
    }
}

static void status_ready(void *context, unsigned events)
{
    struct guests *guests = context;

    (void)events;
    if (!guests_launcher_exits(guests->config.launcher)) {
        event_watch_destroy(guests->exits);
        guests->exits = NULL;
    }
    for (struct guest *g = guests->first, *next; g; g = next) {
        next = g->next;
        if (g->exited) {
            (void)try_to_end(g);
        }
    }
}

/* ---- Its beginning ---- */

bool guest_follow(struct guest *g, pid_t pid, int pidfd)
{
    struct event_loop *loop = g->guests->config.loop;

    g->pid = pid;
    g->pidfd = pidfd;
    g->state = GUEST_RUNNING;
    g->started = event_loop_now(loop);
    g->watch = event_watch_create(loop, pidfd, EVENT_READ, pidfd_ready, g);
    return g->watch != NULL;
}

static int has_started(struct guest *g, const struct guests_launcher_answer *answer)
{
    struct jv *data;

    if (!guest_follow(g, answer->pid, answer->pidfd)) {
        guests_launcher_unwanted(answer);
        g->pidfd = -1;
        return ENOMEM;
    }
    log_info("guest %s started, pid %d", g->config.name, (int)g->pid);
    data = jv_new_object();
    jv_set_string(data, "guest", g->config.name);
    jv_set_int(data, "pid", g->pid);
    g->guests->config.event(g->guests->config.context, "guest.started", data);
    return 0;
}

static int does_not_start(struct guest *g, int number, struct config_apply_error *error)
{
    g->request = 0;
    g->state = GUEST_STOPPED;
    leave_nothing(g);
    return config_apply_fail(error, number, "guest %s: cannot start its process: %s", g->config.name,
                      number == EPIPE || number == ECONNRESET  ? "who starts guests has ended; restart vswitchd"
                      : number == ETIMEDOUT || number == EAGAIN ? "who starts guests does not answer"
                      : number == ECANCELED ? "it was stopped before that"
                                                                : strerror(number));
}

/* The same for one whose guest.start was answered already. */
static void never_started(struct guest *g, int number)
{
    struct config_apply_error error;

    (void)does_not_start(g, number, &error);
    if (number == ECANCELED) {
        log_info("%s", error.text);
    } else {
        log_error("%s", error.text);
    }
    g->pid = 0;
    g->last_status = -1;
    snprintf(g->last_words, sizeof g->last_words, "%.*s", GUEST_WORDS_SIZE - 1, error.text);
    is_over(g);
}

void guest_give_up(struct guest *g)
{
    never_started(g, ECANCELED);
}

static struct guest *who_asked(const struct guests *guests, uint64_t request)
{
    struct guest *g;

    for (g = guests->first; g && (g->state != GUEST_STARTING || g->request != request); g = g->next) {
    }
    return g;
}

/* The launcher has ended. */
static void nobody_answers(struct guests *guests, const struct guest *but)
{
    event_watch_destroy(guests->answers);
    guests->answers = NULL;
    for (struct guest *g = guests->first, *next; g; g = next) {
        next = g->next;
        if (g != but && g->state == GUEST_STARTING) {
            never_started(g, EPIPE);
        }
    }
}

/* One answer, to whomever it is. How it went where that is `g`, with EAGAIN for not yet. */
static int take_answer(struct guests *guests, int wait_ms, const struct guest *g)
{
    struct guests_launcher_answer answer;
    struct guest *asked;
    int result = guests_launcher_answer(guests->config.launcher, wait_ms, &answer);

    if (result == EMFILE && guests->answers) {
        (void)event_watch_set(guests->answers, 0);
        be_patient(guests, from_now(guests, DESCRIPTORS_MS));
        return EAGAIN;
    }
    if (result != 0) {
        if (result == EPIPE) {
            nobody_answers(guests, g);
        }
        return result;
    }
    asked = who_asked(guests, answer.request);
    if (!asked) {
        guests_launcher_unwanted(&answer);
        return EAGAIN;
    }
    result = answer.error ? answer.error : has_started(asked, &answer);
    if (asked == g) {
        return result;
    }
    if (result != 0) {
        never_started(asked, result);
    } else {
        (void)guest_tell_links(asked);        /* They may have been changed meanwhile. */
    }
    return EAGAIN;
}

static void answer_ready(void *context, unsigned events)
{
    (void)events;
    (void)take_answer(context, 0, NULL);
}

/* Something was waited for long enough, or is to be tried again. */
static void patience_over(void *context)
{
    struct guests *guests = context;
    uint64_t now = event_loop_now(guests->config.loop);

    guests->patience_until = 0;
    if (guests->answers) {
        (void)event_watch_set(guests->answers, EVENT_READ);
    }
    for (struct guest *g = guests->first, *next; g; g = next) {
        next = g->next;
        if (g->state != GUEST_STARTING && !g->exited) {
            continue;
        }
        if (now < g->patience) {
            be_patient(guests, g->patience);
        } else if (g->exited) {
            (void)try_to_end(g);
        } else {
            never_started(g, ETIMEDOUT);
        }
    }
}

static bool another_starts(const struct guest *g)
{
    const struct guest *other;

    for (other = g->guests->first; other && (other == g || other->state != GUEST_STARTING); other = other->next) {
    }
    return other != NULL;
}

int guest_launch(struct guest *g, struct config_apply_error *error)
{
    struct guests *guests = g->guests;
    struct guest_command_line line;
    char log[CONFIG_FILE_MAX + 8];
    int result;

    guest_make_command_line(g, &line);
    snprintf(log, sizeof log, "%s/log", line.directory);
    result = guests_launcher_ask(guests->config.launcher, line.arguments, log, &g->request);
    if (result != 0) {
        return does_not_start(g, result, error);
    }
    g->launched = true;
    g->state = GUEST_STARTING;
    g->patience = from_now(guests, ANSWER_MS);
    /* Where another one waits for an answer, none is to be had at once. */
    result = another_starts(g) ? EAGAIN : take_answer(guests, AT_ONCE_MS, g);
    if (result == EAGAIN) {
        be_patient(guests, g->patience);
        return 0;
    }
    return result ? does_not_start(g, result, error) : 0;
}

/* ---- The launcher ---- */

bool guests_watch_launcher(struct guests *guests)
{
    const struct guests_launcher *launcher = guests->config.launcher;
    struct event_loop *loop = guests->config.loop;

    guests->patience = event_timer_create(loop, patience_over, guests);
    if (!launcher) {
        return guests->patience != NULL;
    }
    guests->answers = event_watch_create(loop, guests_launcher_answers_fd(launcher), EVENT_READ, answer_ready, guests);
    guests->exits = event_watch_create(loop, guests_launcher_exits_fd(launcher), EVENT_READ, status_ready, guests);
    return guests->patience && guests->answers && guests->exits;
}

void guests_leave_launcher(struct guests *guests)
{
    event_watch_destroy(guests->answers);
    event_watch_destroy(guests->exits);
    event_timer_destroy(guests->patience);
}
