#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# make install into an empty folder: everything is in its place, the units name
# programs that are there, the manual pages and the examples are right; make
# uninstall leaves nothing.
cd "$(dirname "$0")/../.." || exit 1
. tests/integration/lib.sh
D=$W/dest
quiet_make() { make -s BUILD="$BUILD" DESTDIR="$D" PREFIX=/usr "$@"; }

check "make install" quiet_make install
for file in usr/sbin/vswitchd usr/bin/vswitchctl usr/libexec/vswitch/vswitch-guest etc/vswitch/vswitchd.json \
    usr/lib/systemd/system/vswitchd.service usr/lib/systemd/system/vswitch-guest@.service \
    usr/lib/sysusers.d/vswitch.conf usr/lib/tmpfiles.d/vswitch.conf usr/share/man/man8/vswitchd.8 \
    usr/share/man/man1/vswitchctl.1 usr/share/man/man5/vswitchd.json.5 usr/share/man/man7/vswitch-rpc.7 \
    usr/share/man/man8/vswitch-guest.8 usr/share/doc/vswitch/e1000.md usr/share/bash-completion/completions/vswitchctl; do
    check "/$file is there" test -s "$D/$file"
done
refuse "no placeholder is left in the units" grep -rq '@[A-Z]*DIR@' "$D/usr/lib/systemd"
for program in $(grep -rhoE '^Exec[A-Za-z]*=-?[^ ]*vswitch[^ ]*' "$D/usr/lib/systemd" | sed 's/.*=-\{0,1\}//'); do
    check "a unit's $program is there" test -x "$D$program"
done
for file in "$D/etc/vswitch/vswitchd.json" "$D"/usr/share/doc/vswitch/*.json; do
    check "$(basename "$file") is right" "$D/usr/sbin/vswitchd" --check --config "$file"
done
if command -v mandoc >/dev/null; then
    check "manual pages" sh -c "mandoc -Tlint -Wwarning '$D'/usr/share/man/man*/*"
fi
for verb in $("$D/usr/bin/vswitchctl" --help | sed -n '/^commands:/,/^$/s/^  \([a-z]*\) .*/\1/p' | sort -u); do
    check "vswitchctl(1) knows $verb" grep -q "Cm $verb" "$D/usr/share/man/man1/vswitchctl.1"
done
# The installed daemon finds the installed guest program.
"$D/usr/sbin/vswitchd" --config "$D/etc/vswitch/vswitchd.json" --run-dir "$W/run3" 2>"$W/log3" & DAEMON=$!
check "the installed daemon runs" wait_until 10 "$D/usr/bin/vswitchctl" -s "$W/run3/control.sock" ping
refuse "and finds vswitch-guest" grep -q 'was not found' "$W/log3"
kill "$DAEMON"; wait "$DAEMON"; DAEMON=

echo '{"control":{"group":"mine"}}' >"$D/etc/vswitch/vswitchd.json"
check "installed again" quiet_make install
check "a changed configuration stays" grep -q mine "$D/etc/vswitch/vswitchd.json"
check "uninstall" quiet_make uninstall
check "it stays then, too" grep -q mine "$D/etc/vswitch/vswitchd.json"
rm "$D/etc/vswitch/vswitchd.json"
check "nothing else is left" [ -z "$(find "$D" -type f)" ]
finish
