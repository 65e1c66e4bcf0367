/* SPDX-License-Identifier: BSD-2-Clause
 *
 * What vswitchd and its clients agree on: JSON-RPC 2.0, one request, batch,
 * answer or notification a line, over a UNIX stream socket. The methods are
 * in vswitch-rpc(7). Header only.
 */
#ifndef PROTO_CONTROL_PROTO_H
#define PROTO_CONTROL_PROTO_H

#define CONTROL_RUN_DIR "/run/vswitch"
#define CONTROL_STATE_DIR "/var/lib/vswitch"
#define CONTROL_CONFIG_FILE "/etc/vswitch/vswitchd.json"
#define CONTROL_SOCKET_NAME "control.sock"
#define CONTROL_SOCKET_RO_NAME "control-ro.sock"    /* Same protocol, questions only. */
#define CONTROL_VERSION "0.1.0"
#define CONTROL_API_LEVEL 1                         /* Grows with each addition. */

enum {
    CONTROL_LINE_MAX = 1 << 20,     /* Bytes of a request or batch, without its newline. */
    CONTROL_BATCH_MAX = 64,         /* Requests of a batch. */
};

/* Error codes: those of JSON-RPC 2.0, then ours. `data.reason` says it finer and is stable, too. */
enum control_error_code {
    CONTROL_PARSE_ERROR = -32700,
    CONTROL_INVALID_REQUEST = -32600,
    CONTROL_METHOD_NOT_FOUND = -32601,
    CONTROL_INVALID_PARAMS = -32602,
    CONTROL_PERMISSION = -32001,
    CONTROL_NOT_FOUND = -32002,
    CONTROL_EXISTS = -32003,
    CONTROL_BUSY = -32004,
    CONTROL_LIMIT = -32005,
    CONTROL_UNSUPPORTED = -32006,
    CONTROL_INVALID_STATE = -32008,
    CONTROL_IO = -32009,
};

#endif
