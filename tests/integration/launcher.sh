#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Who starts guests for the daemon is held up, or killed: the switch goes on, guests
# are "starting" until they run, are stopped, or it is said that nothing came of it.
# The guests are shells that wait; none of them has cards.
. tests/integration/lib.sh

# A guest's program that needs no kernel: it does not speak, and ends when it is told to.
cat >"$W/guest" <<'END'
#!/bin/sh
exec sleep 1000
END
chmod +x "$W/guest"
daemon_config '[{"name":"host","type":"tap","addresses":["10.9.0.254/24"]},{"name":"far","type":"tap"}]' \
    "[$(for n in a b c d e; do printf '%s{"name":"%s","kernel":"/dev/null"}' "$comma" $n; comma=,; done)]"
mkdir -p "$RUN"
"$BIN/vswitchd" --config "$W/vswitchd.json" --run-dir "$RUN" --guest-program "$W/guest" >>"$W/vswitchd.log" 2>&1 &
DAEMON=$!
wait_until 10 rpc daemon.ping || exit 1
LAUNCHER=$(cat "/proc/$DAEMON/task/$DAEMON/children")
LAUNCHER=${LAUNCHER%% *}
far_start
far_takes
check "the taps reach each other" wait_until 5 ping -c 1 -W 1 10.9.0.1
start() { rpc guest.start "{\"name\":\"$1\"}"; }
state_is() { rpc guest.get "{\"name\":\"$1\"}" | grep -q "\"state\": \"$2\""; }
says_last() { rpc guest.get "{\"name\":\"$1\"}" | grep -qE "$2"; }
children() { cat "/proc/$LAUNCHER/task/$LAUNCHER/children" | wc -w; }

check "a guest starts" start a
check "and runs" state_is a running

kill -STOP "$LAUNCHER"
check "a guest is asked for while the launcher stands still" start b
check "it is starting" state_is b starting
check "another one, too" start c
check "the taps reach each other" ping -q -c 20 -i 0.02 -W 1 10.9.0.1
check_says "it is not defined anew meanwhile" "is starting" rpc guest.define '{"name":"b","kernel":"/dev/null"}'
check "one that is starting can be stopped" rpc guest.stop '{"name":"c"}'
check "and is" state_is c stopped
check "a reload does not wait either" ctl reload
kill -CONT "$LAUNCHER"
check "when the launcher goes on the guest runs" wait_until 5 state_is b running
two() { [ "$(children)" -eq 2 ]; }
check "and the stopped one does not" wait_until 5 two

kill -STOP "$LAUNCHER"
rpc guest.kill '{"name":"a"}' >/dev/null
check "a guest's end is told without the launcher" wait_until 5 state_is a stopped
check_says "who waits hears that nobody answered" "who starts guests does not answer" ctl guest start d
check "and that stays to be read" says_last d "does not answer"
ls -d "$RUN/guests/d" >/dev/null 2>&1 && { echo "FAIL a folder is left"; FAILED=1; }
kill -CONT "$LAUNCHER"
check "later it can be started" start d
check "and runs" wait_until 5 state_is d running

kill -STOP "$LAUNCHER"
check "one more that waits" start e
kill -KILL "$LAUNCHER"
check "is given up when the launcher is killed" wait_until 5 state_is e stopped
check "with the reason" says_last e "who starts guests has ended; restart vswitchd"
check_says "which the next one hears at once" "who starts guests has ended; restart vswitchd" start e
check "guests that run go on" state_is b running
ticks() { sed 's/.*) //' "/proc/$DAEMON/stat" | awk '{print $12 + $13}'; } # of its CPU time
before=$(ticks)
check "and so does the switch" ping -q -c 50 -i 0.02 -W 1 10.9.0.1
check "which does not spin" test $(($(ticks) - before)) -lt 50
rpc guest.kill '{"name":"b"}' >/dev/null
check "their ends are seen" wait_until 5 state_is b stopped
check "the daemon ends" daemon_stop

daemon_config '[]' '[{"name":"a","kernel":"/dev/null"}]'
"$BIN/vswitchd" --config "$W/vswitchd.json" --run-dir "$RUN" --guest-program "$W/guest" >>"$W/vswitchd.log" 2>&1 &
DAEMON=$!
wait_until 10 rpc daemon.ping || exit 1
LAUNCHER=$(cat "/proc/$DAEMON/task/$DAEMON/children")
LAUNCHER=${LAUNCHER%% *}
kill -STOP "$LAUNCHER"
check "a guest is asked for" start a
check "the daemon ends with its guests nevertheless" ctl shutdown --guests
gone() { ! kill -0 "$DAEMON" 2>/dev/null; }
check "at once" wait_until 10 gone
wait "$DAEMON"
DAEMON=
finish
