# SPDX-License-Identifier: BSD-2-Clause
"""Malformed and oversized requests to the control socket, for bad_input.sh.

Each must get its error, or its connection closed where framing is lost; after all of
them the daemon answers as before. Usage: lib_requests.py SOCKET
"""
import json
import socket
import sys
import time

PATH = sys.argv[1]

# What is sent in one line, and the code of the error that must come back.
CASES = (
    (b"hello", -32700),
    (b"{", -32700),
    (b'{"jsonrpc":"2.0","id":1,"method":"daemon.ping"', -32700),
    (b"[]", -32600),
    (b"17", -32600),
    (b'{"jsonrpc":"1.0","id":1,"method":"daemon.ping"}', -32600),
    (b'{"jsonrpc":"2.0","id":1}', -32600),
    (b'{"jsonrpc":"2.0","id":1,"method":7}', -32600),
    (b'{"jsonrpc":"2.0","id":1,"method":"no.such"}', -32601),
    (b'{"jsonrpc":"2.0","id":1,"method":"port.get","params":{}}', -32602),
    (b'{"jsonrpc":"2.0","id":1,"method":"port.get","params":{"name":1}}', -32602),
    (b'{"jsonrpc":"2.0","id":1,"method":"port.get","params":{"nam":"x"}}', -32602),
    (b'{"jsonrpc":"2.0","id":1,"method":"port.get","params":"x"}', -32602),
    (b'{"jsonrpc":"2.0","id":1,"method":"daemon.ping","id":2}', -32700),
    (b'{"a":' * 2000 + b"1" + b"}" * 2000, -32700),
    (b'"\xff\xfe"', -32700),
)


def connect():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect(PATH)
    return s


def ask(line):
    s = connect()
    s.sendall(line + b"\n")
    answer = s.makefile("rb").readline()
    s.close()
    return json.loads(answer) if answer else None


def main():
    failed = 0
    for line, code in CASES:
        answer = ask(line)
        got = answer and answer.get("error", {}).get("code")
        if got != code and not (code in (-32700, -32602) and got in (-32600, -32602)):
            print(f"{line[:60]!r}: {code} was expected, {answer} came")
            failed += 1
    # A line of 2 MiB, and one that never ends: refused, without the memory for them.
    s = connect()
    try:
        s.sendall(b'{"x":"' + b"a" * (2 << 20) + b'"}\n')
        answer = s.makefile("rb").readline()
        print("2 MiB:", answer[:120])
        if answer and b"error" not in answer:
            failed += 1
    except (BrokenPipeError, ConnectionResetError):
        pass
    s.close()
    # Many clients at once; each is answered or told why not.
    clients = []
    try:
        for _ in range(200):
            clients.append(connect())
    except OSError as error:
        print("clients:", len(clients), error)
    for s in clients:
        s.close()
    for _ in range(50):  # until the daemon has seen that they are gone
        try:
            connect().close()
            break
        except OSError:
            time.sleep(0.1)
    answer = ask(b'{"jsonrpc":"2.0","id":1,"method":"daemon.ping"}')
    if not answer or "result" not in answer:
        print("the daemon does not answer any more:", answer)
        failed += 1
    return 1 if failed else 0


sys.exit(main())
