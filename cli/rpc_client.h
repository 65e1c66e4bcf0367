/* SPDX-License-Identifier: BSD-2-Clause
 *
 * The client's side of the control socket: one call at a time, with a
 * deadline; events that come meanwhile are kept until asked for.
 */
#ifndef CLI_RPC_CLIENT_H
#define CLI_RPC_CLIENT_H

#include "proto/control_proto.h"
#include "proto/json/json_value.h"

struct rpc;

/* Also the program's exit status. */
enum rpc_status {
    RPC_DONE = 0,
    RPC_REFUSED = 1,            /* The daemon said no, or nothing answers to the question. */
    RPC_UNREACHABLE = 3,
    RPC_TIMEOUT = 4,
    RPC_CONFLICT = 5,           /* It is there already, or busy. */
};

struct rpc_error {
    enum rpc_status status;
    char text[512];             /* For a person. */
    char hint[320];             /* What to do; "": nothing known. */
    struct jv *answer;          /* The daemon's error object, or NULL; freed by rpc_error_free(). */
};
void rpc_error_free(struct rpc_error *error);

/* `path` NULL: the environment's or the usual one. `timeout_ms` holds for connecting and for each call. */
enum rpc_status rpc_open(const char *path, int timeout_ms, struct rpc **rpc, struct rpc_error *error);
void rpc_close(struct rpc *rpc);
const char *rpc_path(const struct rpc *rpc);

/* Takes over `params` (NULL: none). *result is the caller's. */
enum rpc_status rpc_call(struct rpc *rpc, const char *method, struct jv *params, struct jv **result,
                         struct rpc_error *error);
/* The next notification after events.subscribe: {"method", "params"}, the caller's. Waits for `timeout_ms` (-1: for ever), or
 * until `other_fd` (-1: none) is readable: then RPC_DONE with *message NULL. */
enum rpc_status rpc_event(struct rpc *rpc, int timeout_ms, int other_fd, struct jv **message, struct rpc_error *error);

/* What the exit status of an error code is. */
enum rpc_status rpc_status_of_code(int64_t code);
/* A connected UNIX stream socket; -1 and errno. */
int rpc_connect_path(const char *path);

#endif
