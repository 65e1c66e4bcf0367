#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# A full disk below the run directory and a capture's file: traffic goes on, requests
# are answered, a capture says what it lost and leaves whole records, and what was asked
# for is written as soon as there is room, so that the next daemon has it.
. tests/integration/lib.sh

mkdir "$W/small"
mount -t tmpfs -o size=512k none "$W/small" || exit 1
RUN=$W/small/run
SOCKET=$RUN/control.sock
fill() { dd if=/dev/zero of="$W/small/fill" bs=4k >/dev/null 2>&1; }
knows() { grep -q "\"name\": *\"$1\"" "$RUN/state.json"; }

daemon_start '[{"name":"host","type":"tap","addresses":["10.9.0.254/24"]},{"name":"far","type":"tap"}]'
far_start
far_takes
check "the taps reach each other" wait_until 5 ping -c 1 -W 1 10.9.0.1

fill
check "a port on a full disk" rpc port.add '{"name":"x1","type":"tap"}'
check "the log says that it is not written" wait_until 5 grep -q "cannot write state.json.*No space left" "$W/vswitchd.log"
check_says "a guest's directory cannot be made" "No space left" sh -c \
    "python3 tools/rpc.py '$SOCKET' guest.define '{\"name\":\"g\",\"kernel\":\"/dev/null\"}' && python3 tools/rpc.py '$SOCKET' guest.start '{\"name\":\"g\"}'"
check "the taps still reach each other" ping -q -i 0.02 -c 20 10.9.0.1
rm "$W/small/fill"
check "with room it is written, unasked" wait_until 10 knows x1
check "the log says that, too" grep -q "state.json is written" "$W/vswitchd.log"
check "and it is not said again and again" test "$(grep -c 'state.json' "$W/vswitchd.log")" -eq 2
kill -9 "$DAEMON"; wait "$DAEMON" 2>/dev/null
daemon_start
check "the next daemon has it" wait_until 5 rpc port.get '{"name":"x1"}'
far_takes
check "the taps reach each other again" wait_until 5 ping -c 1 -W 1 10.9.0.1

before=$(fds)
rpc capture.start "{\"port\":\"host\",\"file\":\"$W/small/c.pcap\"}" >/dev/null
check "frames for more than the disk has room" ping -q -i 0.002 -c 400 -s 1400 10.9.0.1
state() { rpc capture.list | grep -q "$1"; }
check "the capture is over" wait_until 5 state '"state": "over"'
check "and says that something was lost" state '"lost": [1-9]'
check "nobody holds the file" test "$(fds)" -eq "$before"
tcpdump -nr "$W/small/c.pcap" >"$W/packets" 2>"$W/tcpdump"
check "what is in it can be read" grep -q ICMP "$W/packets"
refuse "to the last record" grep truncated "$W/tcpdump"
captured() { rpc capture.list | grep -o '"captured": [0-9]*' | grep -o '[0-9]*'; }
check "as many as are said to be captured" test "$(wc -l <"$W/packets")" -eq "$(captured)"
check "the log has the reason" grep -q "capture 1 of port host: its file cannot be written: No space" "$W/vswitchd.log"
check "the port can be captured again" rpc capture.start '{"port":"host"}'
check "the daemon ends" daemon_stop
umount "$W/small"
finish
