#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Descriptors that are none of what the daemon wants, sent to a vhost-user port and to
# the control sockets: some of them take an hour to be closed, or for ever. The taps on
# the same switch reach each other all the time, and who sends them is cut off.
. tests/integration/lib.sh

odd() { DAEMON=$DAEMON python3 tests/integration/lib_descriptors.py "$@"; }
limit() { awk '/Max open files/ {print $4}' "/proc/$DAEMON/limits"; }
reach() { ping -q -c 3 -i 0.05 -W 10 10.9.0.1; }

daemon_start '[{"name":"host","type":"tap","addresses":["10.9.0.254/24"]},{"name":"far","type":"tap"},
    {"name":"odd","type":"vhost-user","path":"'"$W"'/odd.sock","role":"server"},
    {"name":"good","type":"vhost-user","path":"'"$W"'/good.sock","role":"server"}]'
far_start
far_takes
check "the taps reach each other" wait_until 5 ping -c 1 -W 1 10.9.0.1
before=$(fds)

for kind in $(odd kinds); do
    check "$kind: a vhost-user peer that sends it is cut off each time" odd vhost "$W/odd.sock" "$kind"
    check "$kind: the taps reach each other" reach
    check "$kind: so is who sends it on the control socket" odd control "$SOCKET" "$kind"
    check "$kind: and on the read-only one" odd control "$RUN/control-ro.sock" "$kind"
    check "$kind: the taps reach each other" reach
done
all_closed() { [ "$(fds)" -le "$before" ]; }
check "all were closed when their owners had gone" wait_until 10 all_closed
check "the log says who it was" grep -qE "control: uid [0-9]+, pid [0-9]+ sent a descriptor on control-ro.sock" "$W/vswitchd.log"

# While something is hanging, others get their turn.
for kind in lingering fuse; do
    odd control "$RUN/control-ro.sock" $kind 4 "$W/$kind.sent" & HOLDS=$!
    check "$kind is on its way" wait_until 10 [ -e "$W/$kind.sent" ]
    check "$kind hangs: the taps reach each other" reach
    check "the daemon answers" rpc port.list
    check "a peer that does nothing wrong is served" python3 tests/integration/lib_vhost_peer.py "$W/good.sock" frames
    check "$kind: who did it was cut off" wait $HOLDS
done

# What is hanging because of one port's peer keeps nobody away from another port.
odd hoard "$W/odd.sock" fuse 8 "$W/hoard.sent" & HOLDS=$!
check "a hundred are on their way" wait_until 10 test -e "$W/hoard.sent"
for turn in first second; do
    check "a hundred hang: a peer of another port is served, the $turn time" python3 tests/integration/lib_vhost_peer.py "$W/good.sock" frames
done
check "who did it was cut off" wait $HOLDS

# Where the daemon may have few, those that find no room are the kernel's to close.
may=$(limit)
prlimit --pid "$DAEMON" --nofile=$(($(fds) + 100)):
for kind in lingering fuse socket; do
    check "many, without room, $kind: the peer is cut off" odd many "$W/odd.sock" $kind
    check "many, without room, $kind: the taps reach each other" reach
done
check "the log says what would help" grep -q "port odd: .*a higher limit gives room (LimitNOFILE=" "$W/vswitchd.log"
prlimit --pid "$DAEMON" --nofile="$may":
check "many, with room: the peer is cut off" odd many "$W/odd.sock" lingering
check "many, with room: the taps reach each other" reach
check "a crowd is not let in as fast as it comes" odd crowd "$W/odd.sock" lingering
check "a crowd: the taps reach each other" reach
check "a peer that does nothing wrong is served" python3 tests/integration/lib_vhost_peer.py "$W/good.sock" frames
check "the daemon ends" daemon_stop
finish
