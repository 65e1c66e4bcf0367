#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Descriptors sent to the sockets of a guest's process: its console, its control socket
# and the one that the switch connects to. Some take an hour to be closed, or for ever.
# The guest goes on, its sockets serve others, and it ends when it is told to.
. tests/integration/lib.sh
need "$IMAGES/vmlinuz"

odd() { DAEMON=$(guest_pid alice) python3 tests/integration/lib_descriptors.py "$@"; }
reach() { ping -q -c 3 -i 0.05 -W 10 10.9.0.1; }
stats() { timeout 10 "$BIN/vswitchctl" --socket "$SOCKET" guest stats alice; }
says() { in_guest alice "echo it is here" 10; }
guest_fds() { find "/proc/$(guest_pid alice)/fd" -mindepth 1 | wc -l; }

daemon_start '[{"name":"host","type":"tap","addresses":["10.9.0.254/24"]}]'
check "a guest starts" guest_start alice e1000 10.9.0.1
check "it is ready" guest_ready alice
check "it is reached" wait_until 5 ping -c 1 -W 1 10.9.0.1
before=$(guest_fds)

for kind in pipe socket lingering lingering-inside fuse; do
    for name in console control nic0; do
        check "$kind: who sends it to $name.sock is cut off" odd control "$RUN/guests/alice/$name.sock" "$kind"
    done
    check "$kind: the guest is reached" reach
    check "$kind: its console answers" says
    check "$kind: and its control socket" stats
done
all_closed() { [ "$(guest_fds)" -le "$before" ]; }
check "all were closed when their owners had gone" wait_until 10 all_closed

# While something hangs.
hold() { # NAME KIND
    odd control "$RUN/guests/alice/$1.sock" "$2" 150 "$W/$1.$2" &
    check "$2 hangs in $1.sock" wait_until 10 test -e "$W/$1.$2"
}
for kind in lingering fuse; do
    for name in console control nic0; do hold $name $kind; done
    check "$kind hangs: the guest is reached" reach
    check "$kind hangs: its console answers" says
    check "$kind hangs: and its control socket" stats
done
# Many wait for the first one: who comes next has to wait himself, and the guest has something else to do.
crowd() { python3 - "$RUN/guests/alice" <<'END'
import os, socket, sys
kept = []
for turn in range(150):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(0.2)
    try:
        s.connect(sys.argv[1] + ("/console.sock", "/control.sock", "/nic0.sock")[turn % 3])
        socket.send_fds(s, [b"x"], [0])
    except OSError:
        pass
    kept.append(s)
END
}
check "many come" crowd
check "few of them are let in" test "$(guest_fds)" -lt $((before + 40))
check "the guest is reached" reach
check "a guest ends that something hangs in" rpc guest.kill '{"name":"alice"}'
gone() { ! [ -e "$RUN/guests/alice/pid" ]; }
check "at once" wait_until 5 gone
check "and starts again" rpc guest.start '{"name":"alice"}'
check "it is ready" guest_ready alice
check "the daemon ends" daemon_stop
finish
