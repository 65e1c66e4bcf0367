#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# `make check`: runs each stage, goes on after one that fails, and counts what they
# report. A stage prints a line "ok   NAME" or "FAIL NAME" for each test ("skip NAME
# why" for one that this machine cannot do) and ends with an error when one failed.
# The last line is the sum; the exit status is 0 when nothing failed.
#
# usage: tests/check.sh [STAGE…]     stages: layers build documents unit sanitize insn engine replay suites integration
set -u
cd "$(dirname "$0")/.."
stages=${*:-layers build documents unit sanitize insn engine replay suites integration}
make=${MAKE:-make}
build=${BUILD:-build}
logs=$build/check
mkdir -p "$logs"
passed=0 failed=0 skipped=0
start=$(date +%s)

has_target() { "$make" -n "$1" >/dev/null 2>&1; }

run_stage() {
    case $1 in
    layers) sh tests/check_layers.sh ;;
    build) "$make" -s all && echo "ok   build" && python3 tests/check_quick.py "$build" ;;
    documents) python3 tests/check_documents.py "$build" ;;
    unit) "$make" -s unit ;;
    # Address and undefined-behaviour sanitizers over the same programs.
    sanitize)
        "$make" -s SANITIZE=address,undefined BUILD="$build/asan" unit >"$logs/sanitize.raw" 2>&1
        result=$?
        sed 's/^\(ok  \|FAIL\) /\1 sanitized /' "$logs/sanitize.raw"
        return $result ;;
    insn) if has_target insn; then "$make" -s insn; else echo "skip insn no comparison is built"; fi ;;
    engine) sh tests/guests/run.sh ;;
    replay) "$make" -s replay-check ;;
    suites)
        if sh tools/suite_sources.sh; then "$make" -s suites; else echo "skip suites their sources cannot be fetched"; fi ;;
    integration) sh tests/integration/run.sh ;;
    *) echo "FAIL $1 is no stage" ;;
    esac
}

for stage in $stages; do
    began=$(date +%s)
    echo "--- $stage"
    : >"$logs/$stage.log"
    (run_stage "$stage") >"$logs/$stage.log" 2>&1 </dev/null &
    worker=$!
    tail -n +1 -f --pid=$worker "$logs/$stage.log" &
    follower=$!
    wait $worker
    status=$?
    wait $follower
    stage_passed=$(grep -cE '^ok +' "$logs/$stage.log")
    stage_failed=$(grep -cE '^FAIL ' "$logs/$stage.log")
    skipped=$((skipped + $(grep -cE '^skip ' "$logs/$stage.log")))
    if [ $status -ne 0 ] && [ "$stage_failed" -eq 0 ]; then
        echo "FAIL $stage ended with status $status"
        stage_failed=1
    fi
    passed=$((passed + stage_passed)) failed=$((failed + stage_failed))
    echo "--- $stage: $stage_passed passed, $stage_failed failed in $(($(date +%s) - began)) s"
done

echo "--- all in $(($(date +%s) - start)) s"
if [ $failed -gt 0 ]; then
    for stage in $stages; do
        grep -hE '^FAIL ' "$logs/$stage.log" | sed "s/^FAIL/failed: $stage:/"
    done
fi
if [ $skipped -gt 0 ]; then echo "$passed passed, $failed failed, $skipped skipped"; else echo "$passed passed, $failed failed"; fi
[ $failed -eq 0 ]
