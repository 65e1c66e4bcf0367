#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Runs each unit-test program named on the command line; stops with an error
# after the last one if any failed, naming those that did.
failed=
for t in "$@"; do
    if ! "$t" >"$t.log" 2>&1; then
        failed="$failed $(basename "$t")"
        echo "FAIL $(basename "$t")"; tail -n 40 "$t.log"
    else
        asserts=$(grep -E '^ *asserts' "$t.log" | awk '{print $2}')
        echo "ok   $(basename "$t")${asserts:+ ($asserts asserts)}"
    fi
done
[ -z "$failed" ] || { echo "unit tests failed:$failed"; exit 1; }
