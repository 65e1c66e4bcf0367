/* SPDX-License-Identifier: BSD-2-Clause
 *
 * JSON-RPC 2.0: from the text of a line to the text of its answer. Methods are
 * rows of a table; a handler gets parameters that passed the table's checks and
 * returns a result, and never sees a socket. Pure: control_server.c carries the
 * lines, control_commands.h has the table of the daemon.
 */
#ifndef VSWITCHD_CONTROL_CONTROL_DISPATCH_H
#define VSWITCHD_CONTROL_CONTROL_DISPATCH_H

#include <stdint.h>

#include "proto/control_proto.h"
#include "proto/json/json_check.h"

enum control_role { CONTROL_VIEWER, CONTROL_OPERATOR, CONTROL_ADMIN };
const char *control_role_name(enum control_role role);

enum { CONTROL_TOPICS_MAX = 16, CONTROL_TOPIC_SIZE = 32 };

/* What is known of a client; the server fills it in, handlers may change the subscription. */
struct control_session {
    enum control_role role;
    uint32_t uid, pid;
    unsigned topic_count;       /* Events it wants; 0: none. */
    char topics[CONTROL_TOPICS_MAX][CONTROL_TOPIC_SIZE];    /* "port", "port.added", "*" */
};

/* True where the session asked for events of this type. */
bool control_session_wants(const struct control_session *session, const char *type);

struct control_error {
    enum control_error_code code;       /* 0: no error. */
    const char *reason;                 /* Stable: "port.exists". */
    char message[400];                  /* For a person. */
    char path[128];                     /* JSON pointer into params; "": none. */
    char hint[200];                     /* What to do about it; "": none. */
    int error_number;                   /* errno, or 0. */
};

/* Fills *error; answers NULL, so that handlers can `return control_fail(...)`. */
struct jv *control_fail(struct control_error *error, enum control_error_code code, const char *reason,
                        const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Returns the result, which is the caller's (NULL is null), or fills *error and returns NULL. `params` is an object. */
typedef struct jv *control_handler(void *context, struct control_session *session, const struct jv *params,
                                   struct control_error *error);

struct control_method {
    const char *name;                   /* "noun.verb"; NULL ends a table. */
    enum control_role role;             /* Needed at least. */
    const struct json_spec *params;     /* NULL: none. */
    control_handler *handler;
    const char *help;
};

struct control_dispatch {
    const struct control_method *const *tables;     /* Ended by NULL. */
    void *context;                                  /* For the handlers. */
    /* Hears of each call that needs more than CONTROL_VIEWER, before it is made; may be NULL. */
    void (*audit)(void *context, const struct control_session *session, const char *method);
};

/* The answer, to be freed, without newline; NULL where none is due (notifications). */
char *control_dispatch(const struct control_dispatch *d, struct control_session *session, const char *line, size_t size);
/* The answer to a line longer than CONTROL_LINE_MAX. */
char *control_dispatch_too_long(void);
/* An object of all methods: rpc.methods. */
struct jv *control_dispatch_describe(const struct control_dispatch *d);

#endif
