/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What the guests*.c files share; for nobody else.
 */
#ifndef VSWITCHD_GUESTS_PRIVATE_H
#define VSWITCHD_GUESTS_PRIVATE_H

#include "vswitchd/guests.h"

enum { GUEST_WORDS_SIZE = 200, GUEST_ARGUMENTS_MAX = 26 + 2 * CONFIG_NICS_MAX };

struct guest {
    struct guests *guests;
    struct guest *next;
    struct config_guest config;         /* For the next start. */
    struct config_guest running;        /* What it was started with. */
    bool from_file;                     /* Defined by the configuration file. */
    bool fresh;                         /* Not seen by guests_autostart() yet. */
    bool transient;                     /* Not defined at all, found running: forgotten when it ends. */
    enum guest_state state;
    pid_t pid;
    int pidfd;
    struct event_watch *watch;          /* Of pidfd. */
    struct event_timer *deadline;       /* Killed then. */
    struct event_timer *links;          /* Then its process is told of its links again: it could not be reached. */
    uint64_t started;
    bool ended_before;                  /* The members below are filled in. */
    bool launched;                      /* By this daemon. */
    bool exited;                        /* How, is still to be told. */
    uint64_t request;                   /* While it is starting: what the launcher was asked. */
    uint64_t patience;                  /* Until then for the launcher's answer, or for its word of how it ended. */
    int last_status;                    /* As wait() has it; -1: not known. */
    char last_words[GUEST_WORDS_SIZE];        /* The log's last line. */
};

struct guests {
    struct guests_config config;
    int directory_fd;                   /* RUN_DIR/guests */
    struct guest *first;
    struct event_watch *answers, *exits;    /* Of the launcher; NULL: there is none. */
    struct event_timer *patience;       /* For when it does not say what is waited for; */
    uint64_t patience_until;            /* set to this; 0: not set. */
    struct guest_trace *traces;
    unsigned last_trace;
    void (*all_done)(void *context);
    void *all_done_context;
};

/* What guest_make_command_line() fills in; `arguments` points into the rest, and into the guest. */
struct guest_command_line {
    const char *arguments[GUEST_ARGUMENTS_MAX]; /* As for execv(): the last is NULL. */
    size_t count;
    char memory[16], idle_slack[16];
    char directory[CONFIG_FILE_MAX];
    char state[CONFIG_FILE_MAX];
    char nics[CONFIG_NICS_MAX][160];
};

struct guest *guest_find(const struct guests *guests, const char *name);
/* At the end of the list; NULL: no memory. */
struct guest *guest_add(struct guests *guests, const struct config_guest *config);
void guest_forget(struct guest *g);
/* Members of "last_exit" and of guest.exited. */
void guest_describe_exit(const struct guest *g, struct jv *o);
/* Of g->running. Makes the guest's folder in the state directory where there is none. */
void guest_make_command_line(const struct guest *g, struct guest_command_line *line);
/* Starts its process, which may take until later: it is starting then. 0 or errno with *error; then all is undone. */
int guest_launch(struct guest *g, struct config_apply_error *error);
/* One that is starting does so no more. */
void guest_give_up(struct guest *g);
/* Its process is there. False: no memory. */
bool guest_follow(struct guest *g, pid_t pid, int pidfd);
void guest_remove_ports(const struct guest *g);
bool guests_watch_launcher(struct guests *guests);
void guests_leave_launcher(struct guests *guests);
/* Calls what waits for the last one's end, if that was it. */
void guests_check_all_done(struct guests *guests);
/* A link is up where the cable is plugged in and the switch's port is enabled. */
bool guest_link_is_up(const struct config_nic *nic);
/* Tells its process which links are up, now or as soon as it can be reached. False: it never will be. */
bool guest_tell_links(struct guest *g);
/* NULL with *error unless it runs. */
struct guest *guest_find_running(struct guests *guests, const char *name, struct config_apply_error *error);
/* Fills *error, answers ENODEV. */
int guest_no_nic(const struct guest *g, unsigned nic, struct config_apply_error *error);
void guests_traces_end(struct guests *guests);

#endif
