#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# The run directory, or something in it, is removed from beneath a daemon that runs: a
# SIGHUP makes it again, with its sockets, and nothing that runs is cut off by that.
. tests/integration/lib.sh

hup() { kill -HUP "$DAEMON"; }
answers() { rpc daemon.ping; }
log_has() { grep -qE "$1" "$W/vswitchd.log"; }
peer() { python3 tests/integration/lib_vhost_peer.py "$RUN/peer.sock" frames; }

daemon_start '[{"name":"host","type":"tap","addresses":["10.9.0.254/24"]},{"name":"far","type":"tap"},
    {"name":"peer","type":"vhost-user","path":"'"$RUN"'/peer.sock","role":"server"}]'
far_start
far_takes
check "the taps reach each other" wait_until 5 ping -c 1 -W 1 10.9.0.1
ping -q -i 0.02 10.9.0.1 >"$W/ping" 2>&1 & PING=$!
interface=$(cat /sys/class/net/host/ifindex)
before=$(fds)

mode=$(stat -c '%a %g' "$SOCKET")
rm "$SOCKET"
refuse "the control socket is removed" answers
check "SIGHUP" hup
check "makes it again" wait_until 5 answers
check "as it was" test "$(stat -c '%a %g' "$SOCKET")" = "$mode"
check "the log says it" log_has "the socket control.sock was gone: made again"
rm "$RUN/control-ro.sock"
check "a reload makes the read-only one" ctl reload
check "again" test -S "$RUN/control-ro.sock"
check "those that were there are the same" test "$(grep -c 'was gone: made again' "$W/vswitchd.log")" -eq 2

rm -rf "$RUN"
refuse "the run directory is removed" answers
check "SIGHUP" hup
check "makes it again" wait_until 5 answers
check "the port's socket is there" wait_until 5 test -S "$RUN/peer.sock"
check "and works" peer
check "captures can be asked for" sh -c "timeout 5 '$BIN/vswitchctl' --socket '$SOCKET' capture host -c 1 -w '$W/pcap'"
check "guests can be defined and started" sh -c "'$BIN/vswitchctl' --socket '$SOCKET' --json show >/dev/null &&
    python3 tools/rpc.py '$SOCKET' guest.define '{\"name\":\"g\",\"kernel\":\"/dev/null\"}' &&
    python3 tools/rpc.py '$SOCKET' guest.start '{\"name\":\"g\"}'"
check "the directory is this daemon's alone" sh -c "! '$BIN/vswitchd' --run-dir '$RUN' 2>'$W/second'"
check "as a second one says" grep -q "another vswitchd runs in" "$W/second"
check "what was asked for is kept" wait_until 5 test -s "$RUN/state.json"
rpc guest.undefine '{"name":"g"}' >/dev/null 2>&1

mv "$RUN" "$W/away"
check "moved away" hup
check "it is made again, too" wait_until 5 answers
check "with all that is in it" test -d "$RUN/guests" -a -d "$RUN/captures"
rm "$RUN/vswitchd.lock"
check "a lock that was removed" ctl reload
check "is taken again" test -e "$RUN/vswitchd.lock"

# Where another one has taken the place the first keeps off it.
rm -rf "$RUN"
mkdir "$RUN"
"$BIN/vswitchd" --run-dir "$RUN" >>"$W/other.log" 2>&1 & OTHER=$!
check "another daemon starts there" wait_until 5 answers
hup
check "the first one does not take it away" wait_until 5 log_has "another vswitchd runs in .*stop it"
info() { rpc daemon.info | grep -q "\"pid\": $OTHER[,}]"; }
check "the other one answers" info
kill $OTHER
wait $OTHER

check "the host's tap was not touched" test "$(cat /sys/class/net/host/ifindex)" = "$interface"
kill -INT $PING; wait $PING
check "no ping was lost all the while" grep -q " 0% packet loss" "$W/ping"
hup
check "at last it is reachable" wait_until 5 answers
check "the daemon kept no descriptor" test "$(fds)" -le "$before"
check "the daemon ends" daemon_stop
finish
