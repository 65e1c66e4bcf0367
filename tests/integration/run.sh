#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Runs the integration tests, each in network, mount and process namespaces of its
# own, so that whatever a test leaves is gone with it; none may take longer than
# seven minutes (TEST_SECONDS), of which most need one. A test prints "ok   NAME" and "FAIL NAME" lines.
#
# usage: tests/integration/run.sh [NAME…]     names without folder and suffix
set -u
cd "$(dirname "$0")/../.."
BUILD=${BUILD:-build}
CACHE=${VSWITCH_CACHE:-cache}
export BUILD CACHE
failed=0

if ! unshare -nmpf --mount-proc true 2>/dev/null; then
    echo "skip integration needs root and network namespaces"
    exit 0
fi

for test in tests/integration/*.sh tests/integration/*.py; do
    name=$(basename "$test"); name=${name%.*}
    case $name in run|lib|lib_*) continue ;; esac
    [ $# -eq 0 ] || case " $* " in *" $name "*) ;; *) continue ;; esac
    log=$BUILD/check/$name.log
    mkdir -p "$BUILD/check"
    case $test in *.py) runner="python3 $test $BUILD" ;; *) runner="sh $test" ;; esac
    began=$(date +%s)
    # shellcheck disable=SC2086
    timeout --foreground -k 5 "${TEST_SECONDS:-400}" unshare -nmpf --mount-proc --kill-child $runner >"$log" 2>&1 </dev/null
    status=$?
    sed -n "s/^\(ok  \|FAIL\|skip\) /\1 $name: /p" "$log"
    if grep -q '^FAIL ' "$log" || [ $status -ne 0 ]; then
        failed=1
        grep -q '^FAIL ' "$log" || echo "FAIL $name: ended with status $status"
        tail -n 60 "$log" | sed 's/^/     | /'
    elif ! grep -qE '^(ok|skip) ' "$log"; then
        echo "FAIL $name: checked nothing"
        failed=1
    fi
    echo "     $name took $(($(date +%s) - began)) s"
done
exit $failed
