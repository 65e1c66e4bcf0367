#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Guests that have outlived the daemon that started them, and end: by a signal, by a
# request, by themselves. The next daemon tells it, but not how, as nobody told it; one
# that is to be started with the daemon is not started again for that.
. tests/integration/lib.sh
need "$IMAGES/vmlinuz"

guest() { # NAME [MEMBERS]
    printf '{"name":"%s","memory_mib":64,"kernel":"%s","initrd":"%s","cmdline":"panic=-1","nics":[{"model":"e1000","port":"%s"}]%s}' \
        "$1" "$IMAGES/vmlinuz" "$INITRD" "$1" "${2:-}"
}
state_is() { rpc guest.get "{\"name\":\"$1\"}" | grep -q "\"state\": \"$2\""; }
daemon_config '[]' "[$(guest auto ',"autostart":true'),$(guest stopped),$(guest itself)]"
daemon_start
rpc guest.define "$(guest asked)" >/dev/null
for name in stopped itself asked; do rpc guest.start "{\"name\":\"$name\"}" >/dev/null; done
for name in auto stopped itself asked; do check "$name runs" wait_until 10 test -S "$(console_of $name)"; done
kill -9 "$DAEMON"; wait "$DAEMON" 2>/dev/null
daemon_start
for name in auto stopped itself asked; do check "$name is taken over" wait_until 10 state_is $name running; done

# stopped, gone by a signal, by themselves: what the events and guest.get say.
cat >"$W/ends.py" <<'END'
import json, os, signal, socket, sys, time
path, run = sys.argv[1:]
def connect():
    s = socket.socket(socket.AF_UNIX)
    s.connect(path)
    s.settimeout(30)
    return s.makefile("rw")
def ask(method, params={}):
    f = connect()
    f.write(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}) + "\n")
    f.flush()
    return json.loads(f.readline())
def pid_of(name):
    return int(open(f"{run}/guests/{name}/pid").read())
def say(name, command):
    s = socket.socket(socket.AF_UNIX)
    s.connect(f"{run}/guests/{name}/control.sock")
    s.sendall(command + b"\n")
ends = {"asked": lambda n, p: os.kill(p, signal.SIGKILL), "stopped": lambda n, p: ask("guest.stop", {"name": n, "timeout_s": 1}),
        "itself": lambda n, p: say(n, b"kill"), "auto": lambda n, p: ask("guest.kill", {"name": n})}
events = connect()
events.write('{"jsonrpc":"2.0","id":1,"method":"events.subscribe","params":{"types":["guest"]}}\n')
events.flush()
assert "result" in json.loads(events.readline())
for name, end in ends.items():
    pid = pid_of(name)
    end(name, pid)
    event = json.loads(events.readline())["params"]
    data = event["data"]
    assert event["type"] == "guest.exited" and data["guest"] == name and data["pid"] == pid, event
    assert "status" not in data and "signal" not in data, event
    assert data["text"] if name != "asked" else True, event
    guest = ask("guest.get", {"name": name})["result"]
    assert guest["state"] == "stopped" and "pid" not in guest, guest
    last = guest["last_exit"]
    assert last == {k: v for k, v in data.items() if k == "text"}, (last, data)
    assert "error" in ask("port.get", {"name": name}), name
    assert not os.path.exists(f"/proc/{pid}") or open(f"/proc/{pid}/stat").read().split(") ")[1][0] == "Z", name
    assert not os.listdir(f"{run}/guests/{name}") if os.path.exists(f"{run}/guests/{name}") else True
END
check "each end is told, and nothing is left" python3 "$W/ends.py" "$SOCKET" "$RUN"
check "a reload" ctl reload
check "starts none of them again" sh -c "! python3 tools/rpc.py '$SOCKET' guest.list | grep -q '\"state\": \"\\(running\\|starting\\)\"'"
check "what was asked for is known" state_is asked stopped
check "and can be forgotten" rpc guest.undefine '{"name":"asked"}'

# Of one that this daemon has started it is known.
check "it is started again" rpc guest.start '{"name":"auto"}'
check "and runs" wait_until 10 test -S "$(console_of auto)"
kill -9 "$(guest_pid auto)"
signal_is() { rpc guest.get "{\"name\":\"auto\"}" | grep -q "\"signal\": \"$1\""; }
check "its end is known" wait_until 10 signal_is KILL

# Who starts anew starts what is to be started.
kill -9 "$DAEMON"; wait "$DAEMON" 2>/dev/null
daemon_start
check "another daemon starts it again" wait_until 10 state_is auto running
check "and not the others" sh -c "python3 tools/rpc.py '$SOCKET' guest.get '{\"name\":\"itself\"}' | grep -q '\"state\": \"stopped\"'"
check "all end" ctl shutdown --guests
DAEMON=
finish
