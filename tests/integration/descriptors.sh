#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# The daemon when it may have no more descriptors: whoever connects waits or takes the
# place of a silent client, what it cannot do it refuses with a reason, traffic goes on,
# and it does not spin. And without such a limit: all 256 ports with their peers.
. tests/integration/lib.sh

ticks() { sed 's/.*) //' "/proc/$DAEMON/stat" | awk '{print $12 + $13}'; } # of its CPU time
limit() { grep 'Max open files' "/proc/$DAEMON/limits" | awk '{print $4}'; }
usual() { prlimit --pid "$DAEMON" --nofile="$1:"; }

daemon_start '[{"name":"host","type":"tap","addresses":["10.9.0.254/24"]},{"name":"far","type":"tap"},
    {"name":"peer","type":"vhost-user","path":"'"$W"'/peer.sock","role":"server"}]'
far_start
far_takes
check "the taps reach each other" wait_until 5 ping -c 1 -W 1 10.9.0.1

may=$(limit)
usual $(($(fds) + 6))
# Who listens for events is not sent away: they come until one is not answered, and two more.
python3 - "$SOCKET" "$W/go" "$W/peer.sock" >"$W/clients" 2>&1 <<'END' &
import os, socket, sys, time
def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(3)
    s.connect(path)
    return s
def is_answered(s):
    try:
        return b'"id":1' in s.recv(4096)
    except TimeoutError:
        return False
def subscriber():
    s = connect(sys.argv[1])
    s.sendall(b'{"method":"events.subscribe","params":{"types":["port"]},"id":1}\n')
    return s
inside, waiting = [], []
while not waiting and len(inside) < 20:
    s = subscriber()
    (inside if is_answered(s) else waiting).append(s)
waiting += [subscriber(), subscriber()]
peer = connect(sys.argv[3])
print(len(inside), "inside", flush=True)
while not os.path.exists(sys.argv[2]):
    time.sleep(0.05)
for s in inside:
    s.close()
for s in waiting:
    s.settimeout(20)
print("answered", sum(map(is_answered, waiting)), flush=True)
END
CLIENTS=$!
taken() { [ "$(fds)" -ge "$(limit)" ]; }
check "all descriptors are taken" wait_until 5 taken
check "by those who listen" wait_until 5 grep -q inside "$W/clients"
before=$(ticks)
check "the taps still reach each other" ping -q -i 0.02 -c 50 10.9.0.1
check "the daemon does not spin" test $(($(ticks) - before)) -lt 50
touch "$W/go"
wait $CLIENTS
check "who had to wait was answered when others left" grep -q "answered 3" "$W/clients"
check "the log says it" grep -q "has to wait: Too many open files" "$W/vswitchd.log"
check "but not again and again" test "$(grep -c 'has to wait' "$W/vswitchd.log")" -le 3

# Silent ones make room, so the daemon can be asked what is wrong.
python3 - "$SOCKET" <<'END' &
import socket, sys, time
clients = []
for _ in range(20):
    clients.append(socket.socket(socket.AF_UNIX))
    clients[-1].connect(sys.argv[1])
time.sleep(100)
END
SILENT=$!
check "all are taken by silent clients" wait_until 5 taken
check "the daemon answers nevertheless" rpc daemon.ping
check_says "a port for which there is no descriptor is refused" "Too many open files" rpc port.add '{"name":"more","type":"tap"}'
check_says "and is not there" "no port" rpc port.get '{"name":"more"}'
kill $SILENT; wait $SILENT
usual "$may"
check "with descriptors it can be made" rpc port.add '{"name":"more","type":"tap"}'
check "the daemon ends" daemon_stop

# As many ports as a switch has, with a peer each, from a shell with the usual limit.
ulimit -Sn 1024
daemon_start "$(python3 -c "
import json
print(json.dumps([{'name': f'p{i}', 'type': 'vhost-user', 'path': f'$W/p{i}.sock', 'role': 'server'} for i in range(256)]))")"
ulimit -Sn "$(ulimit -Hn)"
check "256 ports have a peer each" python3 - "$W" <<'END'
import sys, time
sys.path.insert(0, "tests/integration")
from lib_vhost_peer import Peer
peers = [Peer(f"{sys.argv[1]}/p{i}.sock") for i in range(256)]
for peer in peers:
    peer.start()
taken = [peer.send_frame(60) for peer in peers]
sys.exit(0 if all(taken) else f"{taken.count(False)} queues do not run")
END
check "the daemon ends" daemon_stop
finish
