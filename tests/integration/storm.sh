#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Everything at once (lib_storm.py): guests that start and end, ports that come and go,
# and the configuration read again all the time, from a file that is not always whole.
# The taps of each of its versions are never touched, all is answered, and in the end
# there is what the last version says, and nothing else.
. tests/integration/lib.sh

cat >"$W/guest" <<'END'
#!/bin/sh
exec sleep 1000
END
chmod +x "$W/guest"
daemon_config '[{"name":"host","type":"tap","addresses":["10.9.0.254/24"]},{"name":"far","type":"tap"}]'
mkdir -p "$RUN"
"$BIN/vswitchd" --config "$W/vswitchd.json" --run-dir "$RUN" --guest-program "$W/guest" >>"$W/vswitchd.log" 2>&1 &
DAEMON=$!
wait_until 10 rpc daemon.ping || exit 1
far_start
far_takes
check "the taps reach each other" wait_until 5 ping -c 1 -W 1 10.9.0.1
interface=$(cat /sys/class/net/host/ifindex)
before=$(fds)

ping -i 0.02 10.9.0.1 >"$W/ping" 2>&1 & PING=$!
check "all requests are answered" python3 tests/integration/lib_storm.py "$SOCKET" "$DAEMON" "$W/vswitchd.json" "${STORM_SECONDS:-10}" "${SEED:-1}"
kill -INT $PING; wait $PING
check "no ping was lost all the while" no_ping_lost "$W/ping"
check "the tap is the same" test "$(cat /sys/class/net/host/ifindex)" = "$interface"

for guest in g0 g1 g2 g3; do rpc guest.kill "{\"name\":\"$guest\"}" >/dev/null 2>&1; done
all_ended() { rpc guest.list | python3 -c 'import json,sys; sys.exit(any(g["state"] != "stopped" for g in json.load(sys.stdin)))'; }
check "all guests end" wait_until 10 all_ended
for guest in g0 g1 g2 g3; do rpc guest.undefine "{\"name\":\"$guest\"}" >/dev/null 2>&1; done
for port in x0 x1 x2 v0 v1 more; do rpc port.remove "{\"name\":\"$port\"}" >/dev/null 2>&1; done
check "the last configuration is read" ctl reload
names() { rpc port.list | python3 -c 'import json,sys; print(*sorted(p["name"] for p in json.load(sys.stdin)))'; }
check "and is what there is" test "$(names)" = "far host"
check "no guest is left" test "$(rpc guest.list)" = "[]"
check "nor a folder of one" test -z "$(ls "$RUN/guests")"
check "nor a tap" test "$(ls /sys/class/net | grep -cE '^(more|x)')" -eq 0
check "nor a socket" test -z "$(ls "$W" | grep -E '^[vx][0-9].sock')"
fewer() { [ "$(fds)" -le "$before" ]; }
check "nor a descriptor" wait_until 5 fewer
children() { cat "/proc/$DAEMON/task/$DAEMON/children"; }
check "nor a process" test -z "$(cat "/proc/$(children | tr -d ' ')/task/$(children | tr -d ' ')/children")"
check "the daemon ends" daemon_stop
finish
