#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The instruction comparison in each of the ways that the engine can be built to
# run: one line a way, its output where it fails.
# usage: run.sh INSN_TEST INSN_NATIVE COUNT SEED
test=$1 native=$2 count=$3 seed=$4 failed=0
short=$((count / 5))
out=$(mktemp)
trap 'rm -f "$out"' EXIT

run() { # run NAME [VARIABLE=VALUE] ARGUMENT…
    name=$1
    shift
    case $1 in *=*) setting=$1; shift ;; *) setting=INSN=1 ;; esac
    if env "$setting" "$test" --helper "$native" --seed "$seed" "$@" >"$out" 2>&1; then
        echo "ok   insn $name: $(grep '^coverage' "$out"); $(tail -n 1 "$out")"
    else
        cat "$out"
        echo "FAIL insn $name"
        failed=1
    fi
}

run plain --coverage --count "$count" --min-coverage 20
cp "$out" "$(dirname "$test")/insn_coverage.txt" # how often each form ran
run in_window X86VM_EAGER_WINDOW=1 --count $((count / 2)) --min-coverage 10
run bare X86VM_EAGER_BARE=1 --count $((count / 2)) --min-coverage 10
run jump_maps X86VM_EAGER_JUMPS=1 --count $((count / 4)) --min-coverage 4
run without_bmi2 X86VM_NO_BMI2=1 --count "$short"
run code16 --code16 --count "$short"
run code16_bare X86VM_EAGER_BARE=1 --code16 --count "$short"
run code16_without_bmi2 X86VM_NO_BMI2=1 --code16 --count $((short / 2))
run small_segments --small --count "$short"
run small_segments_bare X86VM_EAGER_BARE=1 --small --count "$short"
run small_segments_without_bmi2 X86VM_NO_BMI2=1 --small --count $((short / 2))
run v8086 --v8086 --count "$short"
run v8086_bare X86VM_EAGER_BARE=1 --v8086 --count "$short"
run real_mode --real --count "$short"
exit $failed
