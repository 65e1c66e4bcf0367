#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# A Debian guest is recorded while the host pings it and loads a file from it over
# its e1000, and replayed without any of that:
#
#   host [tap "host" 10.9.0.254] ── vswitchd ── "alice": vswitch-guest --record
. tests/integration/lib.sh
[ -r "${IMAGES:-none}/initrd.gz" ] || { echo "skip the guest's images are not there"; exit 0; }

GUEST=
recorded() { grep -q "$1" "$W/recorded"; }
load() { busybox wget -q -O - http://10.9.0.1/8m | sha256sum | grep -q "$(cut -d' ' -f1 <"$IMAGES/8m.sha256")"; }
same_end() {
    "$BIN/vswitch-guest" --replay "$W/recording" >"$W/replayed" 2>"$W/replay.log" && grep 'the recorded end' "$W/replay.log" &&
        cmp "$W/recorded" "$W/replayed" || { cat "$W/replay.log"; return 1; }
}

"$BIN/vswitch-guest" --name alice --run-dir "$W/alice" --memory 128 --kernel "$IMAGES/vmlinuz" --initrd "$IMAGES/initrd.gz" \
    --append "console=ttyS0 quiet vs.name=alice vs.ip=10.9.0.1/24" --nic model=e1000 --unpack --console stdio \
    --record "$W/recording" >"$W/recorded" 2>"$W/guest.log" </dev/null &
GUEST=$!
check "a recorded guest has its socket" wait_until 10 test -S "$W/alice/nic0.sock"
daemon_start '[{"name":"host","type":"tap","addresses":["10.9.0.254/24"]},
    {"name":"alice","type":"vhost-user","path":"'"$W"'/alice/nic0.sock","role":"client"}]'
check "a recorded guest boots" wait_until 60 recorded "ready uptime"
check "it answers pings" ping -c 50 -i 0.01 -W 5 -s 1200 -q 10.9.0.1
check "it serves a file" load
kill "$GUEST"
wait "$GUEST"
check "its replay has the same console and the same end" same_end
finish
