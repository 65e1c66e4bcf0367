#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Taps that are taken away: the switch goes on while the kernel takes their interfaces
# apart, who asked for it is answered when they are gone, and their names can be had
# again at once.
. tests/integration/lib.sh

some() { for i in $(seq "$1"); do printf ',{"name":"x%s","type":"tap"}' "$i"; done; }
base='{"name":"host","type":"tap","addresses":["10.9.0.254/24"]},{"name":"far","type":"tap"}'
daemon_start "[$base$(some 40)]"
far_start
far_takes
check "the taps reach each other" wait_until 5 ping -c 1 -W 1 10.9.0.1
before=$(fds)

# CLIENT: what several connections see. Lines of Python; c() makes a connection, ask() waits for an answer.
clients() {
    cat >"$W/clients.py" <<'END'
import json, select, socket, sys
def c():
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
    s.settimeout(20)
    return s.makefile("rwb", buffering=0), s
def say(f, *requests):
    f.write(b"".join(json.dumps({"jsonrpc": "2.0", "id": n, "method": m, "params": p}).encode() + b"\n"
                     for n, (m, p) in enumerate(requests)))
def ask(f, method, params={}):
    say(f, (method, params))
    return json.loads(f.readline())
def index(name):
    return dict((n, i) for i, n in socket.if_nameindex()).get(name)
END
    cat >>"$W/clients.py"
    python3 "$W/clients.py" "$SOCKET"
}

daemon_config "[$base]"
meanwhile() { clients <<'END'
asking, a = c()
other, b = c()
assert "result" in ask(other, "events.subscribe", {"types": ["port"]})
say(asking, ("daemon.reload", {}))
def next_removed():
    while True:
        event = json.loads(other.readline())["params"]
        if event["type"] == "port.removed":
            return event["data"]["port"]
next_removed()
# The switch is at work while most of them are still there.
assert index("x1"), "all are gone before anything else was done"
while next_removed() != "x1":
    pass
assert index("x1") and not select.select([a], [], [], 0)[0], "answered, and the interface is there"
assert "result" in ask(c()[0], "port.list")
answer = json.loads(asking.readline())
assert "result" in answer, answer
left = [name for _, name in socket.if_nameindex() if name.startswith("x")]
assert not left, left
END
}
check "40 are taken away by a reload: others are served meanwhile, who asked is told when they are gone" meanwhile
check "the taps reach each other" ping -c 1 -W 10 10.9.0.1

again() { clients <<'END'
f, s = c()
tap = {"name": "y", "type": "tap"}
indices = set()
for turn in range(5):
    say(f, ("port.add", tap), ("port.remove", {"name": "y"}), ("port.add", tap), ("port.get", {"name": "y"}))
    for _ in range(4):
        answer = json.loads(f.readline())
        assert "result" in answer, answer
    assert answer["result"]["link"] is True, answer
    indices.add(index("y"))
    # Another one does not wait for the answer: the name is wanted while it is still being let go of.
    say(f, ("port.remove", {"name": "y"}))
    g, _ = c()
    while "error" in (added := ask(g, "port.add", tap)):
        assert "already" in added["error"]["message"], added
    assert "result" in json.loads(f.readline())
    indices.add(index("y"))
    assert "result" in ask(f, "port.remove", {"name": "y"})
    assert not index("y")
assert len(indices) == 10, indices
END
}
check "a name can be had again at once, by who asked and by others" again

# By a reload, too; also where another port wants the interface.
daemon_config "[$base,{\"name\":\"x1\",\"type\":\"tap\"},{\"name\":\"x2\",\"type\":\"tap\"}]"
check "two more" ctl reload
daemon_config "[$base,{\"name\":\"x1\",\"type\":\"tap\",\"mac\":\"02:00:00:00:00:77\"},{\"name\":\"z\",\"type\":\"tap\",\"interface\":\"x2\"}]"
check "one with another address, and another one's interface" ctl reload
check "that is its address" sh -c "ip link show x1 | grep -q 02:00:00:00:00:77"
up() { rpc port.get "{\"name\":\"$1\"}" | grep -q '"link": true'; }
check "they are up" wait_until 5 up x1
check "both" wait_until 5 up z

# A tap that is somebody else's stays, as it was.
ip tuntap add dev kept mode tap vnet_hdr
index() { ip -o link show "$1" | cut -d: -f1; }
index=$(index kept)
persistent() { clients <<'END'
f, s = c()
for turn in range(3):
    say(f, ("port.add", {"name": "kept", "type": "tap"}), ("port.remove", {"name": "kept"}))
    for _ in range(2):
        answer = json.loads(f.readline())
        assert "result" in answer, answer
END
}
check "a tap that others have made is used and let go of" persistent
check "and is still there" test "$(index kept)" = "$index"

daemon_config "[$base]"
check "back to the beginning" ctl reload
check "no descriptor was kept" test "$(fds)" -le "$before"
daemon_config "[$base$(some 40)]"
check "many again" ctl reload
check "the daemon ends with many" daemon_stop
none() { ! ip -o link | grep -q ": x"; }
check "and they are gone" none
finish
