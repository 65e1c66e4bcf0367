#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Random programs in each of the ways that the engine can run code: one line a way.
# usage: run.sh PROGRAMS INSN_NATIVE CASES SEED
test=$1 native=$2 cases=$3 seed=$4 failed=0
out=$(mktemp)
trap 'rm -f "$out"' EXIT

run() { # run NAME CASES VARIABLE=VALUE…
    name=$1 count=$2
    shift 2
    if env "$@" "$test" --helper "$native" --seed "$seed" --count "$count" >"$out" 2>&1; then
        echo "ok   programs $name: $(tail -n 1 "$out")"
    else
        cat "$out"
        echo "FAIL programs $name"
        failed=1
    fi
}

run as_users_run_them "$cases" PROGRAMS=1
run bare "$cases" X86VM_EAGER_BARE=1
run jump_maps "$cases" X86VM_EAGER_JUMPS=1
run moved_jump_maps $((cases / 4)) X86VM_EAGER_JUMPS=1 X86VM_CHECK_MOVES=1
run jump_caches $((cases / 2)) X86VM_EAGER_CACHES=1
run bare_jump_caches $((cases / 2)) X86VM_EAGER_CACHES=1 X86VM_EAGER_BARE=1
run moved_jump_caches $((cases / 4)) X86VM_EAGER_CACHES=1 X86VM_CHECK_MOVES=1
run in_window $((cases / 2)) X86VM_EAGER_WINDOW=1
run without_shadow $((cases / 4)) X86VM_NO_SHADOW=1 X86VM_EAGER_BARE=1
run without_bare $((cases / 4)) X86VM_NO_BARE=1
run without_bmi2 $((cases / 4)) X86VM_NO_BMI2=1
run moved $((cases / 4)) X86VM_CHECK_MOVES=1
exit $failed
