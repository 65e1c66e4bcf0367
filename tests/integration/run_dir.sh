#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# The run directory, or something in it, is removed from beneath a daemon that runs: a
# SIGHUP makes it again, with its sockets, and nothing that runs is cut off by that.
. tests/integration/lib.sh
need "$IMAGES/vmlinuz"

hup() { kill -HUP "$DAEMON"; }
answers() { rpc daemon.ping; }
log_has() { grep -qE "$1" "$W/vswitchd.log"; }
peer() { python3 tests/integration/lib_vhost_peer.py "$RUN/peer.sock" frames; }

daemon_start '[{"name":"host","type":"tap","addresses":["10.9.0.254/24"]},{"name":"far","type":"tap"},
    {"name":"peer","type":"vhost-user","path":"'"$RUN"'/peer.sock","role":"server"}]'
far_start
far_takes
check "the taps reach each other" wait_until 5 ping -c 1 -W 1 10.9.0.1
ping -i 0.02 10.9.0.1 >"$W/ping" 2>&1 & PING=$!
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

# A guest whose directory is gone is not told anything any more, and nobody says it was.
guest() { printf '{"name":"%s","memory_mib":64,"kernel":"%s","nics":[{"model":"e1000","port":"%s"}]}' "$1" "$IMAGES/vmlinuz" "$1"; }
hup
check "reachable again" wait_until 5 answers
rpc guest.define "$(guest lost)" >/dev/null
link_is() { rpc guest.get "{\"name\":\"$1\"}" | grep -q "\"link\": $2"; }
wire_is() { ctl --json guest stats "$1" | grep -q "\"link\": *$2"; }
check "a guest starts" rpc guest.start '{"name":"lost"}'
check "it listens" wait_until 10 test -S "$RUN/guests/lost/control.sock"
mv "$RUN/guests/lost/control.sock" "$RUN/guests/lost/later" # as if it did not yet
check "its cable can be pulled before that" rpc guest.link '{"name":"lost","up":false}'
check "it says" link_is lost false
mv "$RUN/guests/lost/later" "$RUN/guests/lost/control.sock"
check "it is told as soon as it listens" wait_until 10 wire_is lost false
check "and plugged in again" rpc guest.link '{"name":"lost","up":true}'
rm -r "$RUN/guests/lost"
check_says "with its directory gone it says that nothing was done" "control socket was removed: the cable stays in" \
    rpc guest.link '{"name":"lost","up":false}'
check "and nothing was" link_is lost true
check_says "vswitchctl, too" "stop the guest and start it again" ctl guest link lost down
check "nor is it tried again and again" test "$(grep -c 'is not told' "$W/vswitchd.log")" -eq 2
check "it can be ended" rpc guest.kill '{"name":"lost"}'
ended() { rpc guest.get '{"name":"lost"}' | grep -q '"state": "stopped"'; }
check "it ends" wait_until 5 ended
check "and started again, it listens" rpc guest.start '{"name":"lost"}'
check "to what it is told" sh -c "python3 tools/rpc.py '$SOCKET' guest.link '{\"name\":\"lost\",\"up\":false}'"
check "as before" wait_until 10 wire_is lost false
rpc guest.kill '{"name":"lost"}' >/dev/null

check "the host's tap was not touched" test "$(cat /sys/class/net/host/ifindex)" = "$interface"
kill -INT $PING; wait $PING
check "no ping was lost all the while" no_ping_lost "$W/ping"
hup
check "at last it is reachable" wait_until 5 answers
check "the daemon kept no descriptor" test "$(fds)" -le "$before"
check "the daemon ends" daemon_stop
finish
