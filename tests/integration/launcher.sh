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
check "and runs" wait_until 5 state_is a running

kill -STOP "$LAUNCHER"
# In a row, by one program: after two seconds nothing is "starting" any more.
python3 - "$SOCKET" <<'END' >"$W/held"
import sys
sys.path.insert(0, "tools")
import rpc
for line, method, params in (("asked", "guest.start", {"name": "b"}), ("b", "guest.get", {"name": "b"}),
                             ("anew", "guest.define", {"name": "b", "kernel": "/dev/null"}), ("another", "guest.start", {"name": "c"}),
                             ("stop", "guest.stop", {"name": "c"}), ("c", "guest.get", {"name": "c"})):
    answer = rpc.call(sys.argv[1], method, params)
    result = answer.get("result")
    print(line, answer["error"]["message"] if "error" in answer else result["state"] if method == "guest.get" else "done")
END
held() { cat "$W/held"; grep -qE "^$1$" "$W/held"; }
check "a guest is asked for while the launcher stands still" held "asked done"
check "it is starting" held "b starting"
check "it is not defined anew meanwhile" held "anew .*is starting.*"
check "another one, too" held "another done"
check "one that is starting can be stopped" held "stop done"
check "and is" held "c stopped"
check "the taps reach each other" ping -q -c 20 -i 0.02 -W 10 10.9.0.1
check "a reload does not wait either" ctl reload
kill -CONT "$LAUNCHER"
# All that may have taken longer than the two seconds after which nothing is started any more: then it's asked for again.
ended_waiting() { ! state_is b starting; }
goes_on() {
    for try in 1 2 3 4 5 6 7 8 9 10; do
        wait_until 5 ended_waiting
        if state_is b running; then return 0; fi
        says_last b "does not answer" || return 1
        kill -STOP "$LAUNCHER"; start b; kill -CONT "$LAUNCHER"
    done
    return 1
}
check "when the launcher goes on the guest runs" goes_on
two() { [ "$(children)" -eq 2 ]; }
check "and the stopped one does not" wait_until 5 two

kill -STOP "$LAUNCHER"
rpc guest.kill '{"name":"a"}' >/dev/null
check "a guest's end is told without the launcher" wait_until 5 state_is a stopped
check_says "who waits hears that nobody answered" "who starts guests does not answer" ctl guest start d
check "and that stays to be read" says_last d "does not answer"
ls -d "$RUN/guests/d" >/dev/null 2>&1 && { echo "FAIL a folder is left"; FAILED=1; }
kill -CONT "$LAUNCHER"
check "later it can be started" wait_until 5 start d
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
check "and so does the switch" ping -q -c 50 -i 0.02 -W 10 10.9.0.1
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
