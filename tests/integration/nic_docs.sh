#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# The traces in docs/ne2000.md, docs/e1000.md and docs/virtio-net.md are what `vswitchctl guest trace` prints
# of the drivers in tests/drivers, on bare metal, in strict mode and without a rule
# broken: line by line, but for the times. PRINT=1 leaves what they should show in BUILD/trace.*.
#
#   host [tap "host"] ── vswitchd ── ned: RTL8029AS, elsa: 82540EM, vera: virtio-net
#
# And who may use a guest's console: the daemon's group; and a card's state in a file, which
# its driver does not notice, nor one that is refused.
. tests/integration/lib.sh
IMAGE=$BIN/tests/drivers.elf
make -s BUILD="$BUILD" drivers-image || exit 1

GROUP=$(getent group nogroup | cut -d: -f1)
mkdir -p "$RUN"
printf '{"control":{"group":"%s"},"ports":[{"name":"host","type":"tap"}],"guests":[]}' "$GROUP" >"$W/vswitchd.json"
daemon_start
sysctl -qw net.ipv6.conf.host.disable_ipv6=1 # no frames but ours
ip link set host up
key() { python3 tools/console.py "$(console_of "$1")" type x; }
shows() { python3 tools/console.py "$(console_of "$1")" wait "$2" 20; }
counted() { ctl --json guest stats "$1" | tr -d ' \n' | grep -q "\"$2\":$3,"; }
frame() { # TO COUNTER VALUE SIZE: a frame, and then the counter is so
    SIZE=$4 python3 tests/integration/lib_frames.py host "$mac" 02:00:00:00:00:01 1 && wait_until 5 counted "$1" "$2" "$3"
}
start() { # NAME MODEL
    mac=52:54:00:12:34:56
    ctl guest run "$1" --kernel "$IMAGE" --memory 16 --nic "$2,mac=$mac" && shows "$1" "press a key"
}
watch() { # NAME: from now on to its end, into W/trace
    "$BIN/vswitchctl" --socket "$SOCKET" guest trace "$1" --nic 0 --strict >"$W/trace" 2>"$W/trace.err" &
    tracer=$!
    trace_begins "$W/trace.err"
    key "$1"
}
as_long() { [ "$(plain <"$W/trace" | wc -l)" -ge "$(shown "$1" | wc -l)" ]; }
ended() { # NAME FILE: the trace is as long as that in the document, or will not be
    wait_until 5 as_long "$2"
    kill $tracer; wait $tracer 2>/dev/null
    ctl guest kill "$1"
}
no_rule() { ! grep -E ' (RULE|ERROR) |lines lost' "$W/trace"; }
plain() { sed -E 's/^ *[0-9]+\.[0-9]{9} //' | grep -vE '^#|^$|MTA\['; }
shown() { awk '/^## The trace of a good driver/ { on = 1 } /^## / && !/trace of a good/ { on = 0 }
               /^```/ { code = !code; next } on && code' "$1" | plain; }
documented() { # FILE
    plain <"$W/trace" >"$W/real"
    shown "$1" >"$W/doc"
    [ -s "$W/doc" ] && diff -u "$W/doc" "$W/real"
}
print() { [ -z "${PRINT:-}" ] || cp "$W/trace" "$BUILD/trace.$1"; }

# --- NE2000 ------------------------------------------------------------------------
check "ned starts" start ned rtl8029
operator() { setpriv --reuid 65534 --regid "$GROUP" --clear-groups "$@"; }
stranger() { setpriv --reuid 65533 --regid 65533 --clear-groups "$@"; }
chmod 755 "$W" "$RUN"
check "an operator may use the console" operator test -w "$(console_of ned)"
refuse "a stranger may not" stranger test -w "$(console_of ned)"
mode() { stat -c '%a %G' "$RUN/control.sock" "$RUN/guests/ned/console.sock" "$RUN/guests/ned/control.sock" | sort -u; }
check "its sockets are as the daemon's" [ "$(mode)" = "660 $GROUP" ]
check "an operator sees what the guest does" operator "$BIN/vswitchctl" --socket "$SOCKET" guest stats ned
watch ned
check "ned sends" shows ned "a frame for this station"
check "ned gets a frame" frame ned rx_frames 1 64
key ned
check "ned has taken it" shows ned "one more and one of 1514 bytes"
check "ned gets another" frame ned rx_frames 2 64
check "and one that is larger than its ring" frame ned rx_dropped_full 1 1514
key ned
check "ned only counts" shows ned "one to be counted only"
check "ned counts one" frame ned rx_filtered 1 64
key ned
check "all is well" shows ned "ne2000: all well"
ended ned docs/ne2000.md
print ned
check "the driver breaks no rule" no_rule
check "docs/ne2000.md shows its trace" documented docs/ne2000.md

# --- e1000 -------------------------------------------------------------------------
check "elsa starts" start elsa e1000
watch elsa
check "elsa sends" shows elsa "a frame for this station"
check "elsa gets a frame" frame elsa rx_frames 1 64
key elsa
check "all is well, too" shows elsa "e1000: all well"
ended elsa docs/e1000.md
print elsa
check "that driver breaks no rule" no_rule
check "docs/e1000.md shows its trace" documented docs/e1000.md

# --- virtio-net --------------------------------------------------------------------
check "vera starts" start vera virtio-net
watch vera
check "vera sends" shows vera "a frame for this station"
check "vera gets a frame" frame vera rx_frames 1 64
key vera
check "all is well, once more" shows vera "virtio-net: all well"
ended vera docs/virtio-net.md
print vera
check "and that driver breaks no rule" no_rule
check "docs/virtio-net.md shows its trace" documented docs/virtio-net.md

# --- a card's state in a file ---------------------------------------------------------
saved_and_given_back() { # NAME: and then it is what it was
    ctl guest nic-save "$1" "$W/state" && ctl guest nic-restore "$1" "$W/state" &&
        ctl guest nic-save "$1" "$W/again" && cmp "$W/state" "$W/again"
}
check "ned starts again" start ned rtl8029
key ned
check "and is at work" shows ned "a frame for this station"
check "the state of its card is saved and given back" saved_and_given_back ned
head -c 1000 "$W/state" >"$W/short"
tr 'r' 'R' <"$W/state" >"$W/bent"
check_says "a state that is cut off is refused" "nothing has changed" ctl guest nic-restore ned "$W/short"
check_says "one with another name, too" "nothing has changed" ctl guest nic-restore ned "$W/bent"
check_says "there is one card" "no such card" ctl guest nic-restore ned "$W/state" --nic 3
check_says "and no other to save" "no such card" ctl guest nic-save ned "$W/none" --nic 3
refuse "then there is no file" test -e "$W/none"
check "a frame comes in" frame ned rx_frames 1 64
key ned
check "the driver has noticed nothing" shows ned "one more and one of 1514 bytes"
ctl guest kill ned
check "elsa starts again" start elsa e1000
key elsa
check "and is at work, too" shows elsa "a frame for this station"
check_says "another model's state is refused" "nothing has changed" ctl guest nic-restore elsa "$W/state"
check "the state of its card is saved and given back, too" saved_and_given_back elsa
check "another frame comes in" frame elsa rx_frames 1 64
key elsa
check "that driver has noticed nothing" shows elsa "e1000: all well"
finish
