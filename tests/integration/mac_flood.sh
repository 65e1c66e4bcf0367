#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# MAC floods and stations that pretend to be others, over real taps with a small table:
# what was learned of others stays, so that their frames go to nobody else.
. tests/integration/lib.sh

printf '{"switch":{"fdb_size":256},"ports":[%s]}\n' \
    '{"name":"pa","type":"tap"},{"name":"pb","type":"tap"},{"name":"pc","type":"tap"},
     {"name":"bad","type":"tap"},{"name":"few","type":"tap","max_macs":4},
     {"name":"trunk","type":"tap","vlan":{"mode":"trunk","allowed":"all","native":1}}' >"$W/vswitchd.json"
daemon_start
for tap in pa pb pc bad few trunk; do
    sysctl -qw "net.ipv6.conf.$tap.disable_ipv6=1"
    ip link set "$tap" up
done
python3 - "$SOCKET" <<'END'
import json, socket, subprocess, sys, time
sys.path.insert(0, "tests/integration")
from lib_wait import wait_until

A, B, C = b"\2\0\0\0\0\x0a", b"\2\0\0\0\0\x0b", b"\2\0\0\0\0\x0c"
ALL = b"\xff" * 6
sockets = {}
for name in ("pa", "pb", "pc", "bad", "few", "trunk"):
    sockets[name] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    sockets[name].bind((name, 3))
    sockets[name].settimeout(0)
failed = 0


def check(what, right, said=""):
    global failed
    failed += not right
    print(("ok   " if right else "FAIL ") + what + ("" if right else f": {said}"))


def rpc(method, **params):
    done = subprocess.run([sys.executable, "tools/rpc.py", sys.argv[1], method, json.dumps(params)], capture_output=True, text=True)
    return json.loads(done.stdout or "null")


def send(port, destination, source, tag=None):
    tagged = b"\x81\0" + tag.to_bytes(2, "big") if tag else b""
    sockets[port].send(destination + source + tagged + b"\x88\xb5" + bytes(46))


def seen(addresses=None):
    """Who has received something since the last call, or something with these addresses."""
    names = set()
    for name, s in sockets.items():
        while True:
            try:
                data, address = s.recvfrom(2048)
            except BlockingIOError:
                break
            if address[2] != socket.PACKET_OUTGOING and (addresses is None or data[:12] == addresses):
                names.add(name)
    return names


def arrives(addresses, names, seconds=10):
    """Who receives what has these addresses, until all of `names` have, and a little longer."""
    got = set()
    wait_until(lambda: got.update(seen(addresses)) or got >= names, seconds)
    time.sleep(0.05)
    return got | seen(addresses)


def goes_to(what, port, destination, source, names):
    seen()
    send(port, destination, source)
    got = arrives(destination + source, set(names))
    check(what, got == set(names), f"seen at {sorted(got)}")


def through(port, source, tag=None):
    """A broadcast that has come out, and so has all that was sent there before; what is too much for a queue is lost."""
    for _ in range(50):
        seen()
        send(port, ALL, source, tag)
        if arrives(ALL + source, {"pc" if port == "pa" else "pa"}, 0.5):
            return
    check(f"a broadcast from {port} comes out", False)


def table(port):
    return [e["mac"] for e in rpc("fdb.list", port=port)]


def counter(port, name):
    return rpc("port.get", name=port)["counters"].get("drops", {}).get(name, 0)


def station(i):
    return b"\6\0" + i.to_bytes(4, "big")


through("pa", A), through("pb", B)
goes_to("one learned station to another: nobody else sees it", "pa", B, A, ["pb"])
for i in range(3000):
    send("bad", ALL, station(i))
through("bad", station(2999))
goes_to("after a flood from another port: still nobody else", "pa", B, A, ["pb"])
goes_to("and in the other direction", "pb", A, B, ["pa"])
flooded = len(table("bad"))
check("the flood has the rest of the table", flooded > 200 and len(rpc("fdb.list")) == 256, flooded)
through("pc", C)
goes_to("who comes new into a full table is learned", "pa", C, A, ["pc"])
check("in place of one of the flood's", len(table("bad")) == flooded - 1, len(table("bad")))

for i in range(5000, 5100):
    send("few", ALL, station(i))
through("few", station(5099))
check("a port that may have four has the last four", sorted(table("few")) == [f"06:00:00:00:13:{i:02x}" for i in range(0xe8, 0xec)],
      table("few"))
for vlan in range(1, 4095):
    send("trunk", ALL, A if vlan > 1 else station(9), vlan)
through("trunk", station(9), 1)
goes_to("a flood of VLANs changes nothing", "pa", B, A, ["pb"])

rpc("fdb.flush", port="bad"), rpc("fdb.flush", port="trunk")
for what, source in (("a group address", b"\3\0\0\0\0\1"), ("broadcast", ALL), ("zero", bytes(6))):
    before, entries = counter("bad", "bad_source"), len(table("bad"))
    goes_to(f"{what} as source: to nobody", "bad", ALL, source, [])
    wait_until(lambda: counter("bad", "bad_source") > before, 10)
    check(f"{what}: counted, not learned", counter("bad", "bad_source") == before + 1 and len(table("bad")) == entries)

through("bad", B)
goes_to("who sends with another's address gets its frames", "pa", B, A, ["bad"])
through("pb", B)
goes_to("until that one is heard again", "pa", B, A, ["pb"])
rpc("fdb.add", mac="02:00:00:00:00:0b", vlan=1, port="pb")
through("bad", B)
goes_to("but not where the address is a static one", "pa", B, A, ["pb"])
rpc("port.set", name="bad", learning=False)
through("bad", C)
goes_to("or where its port does not learn", "pa", C, A, ["pc"])
sys.exit(1 if failed else 0)
END
[ $? -eq 0 ] || FAILED=1
check "the daemon ends" daemon_stop
finish
