#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""Asks vswitchd's control socket and prints the result as JSON.

usage: rpc.py SOCKET METHOD [PARAMS]

The exit status is 0, or 1 when the answer is an error (printed on standard error),
or 3 when the daemon cannot be reached. Written for tests and for the demonstration,
which show the protocol itself; people use vswitchctl.
"""
import json
import socket
import sys


def call(path, method, params=None, timeout=10):
    """The whole answer of one request, a dictionary."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.settimeout(timeout)
        s.connect(path)
        request = {"jsonrpc": "2.0", "id": 1, "method": method}
        if params is not None:
            request["params"] = params
        s.sendall(json.dumps(request).encode() + b"\n")
        with s.makefile("rb") as answers:
            for line in answers:
                answer = json.loads(line)
                if answer.get("id") == 1:
                    return answer
    raise OSError("the daemon hung up")


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    params = json.loads(sys.argv[3]) if len(sys.argv) == 4 else None
    try:
        answer = call(sys.argv[1], sys.argv[2], params)
    except OSError as error:
        print(f"rpc: {sys.argv[1]}: {error}", file=sys.stderr)
        return 3
    if "error" in answer:
        print(json.dumps(answer["error"]), file=sys.stderr)
        return 1
    print(json.dumps(answer["result"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
