#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# The engine built with small limits (x86vm/cpu/limits.h): one line a test.
# usage: BUILD=DIR small.sh CASES SECONDS SEED
cases=$1 seconds=$2 seed=$3 tests=$BUILD/tests failed=0
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

run() { # run NAME VARIABLE=VALUE COMMAND…: the last line it prints says what was done
    name=$1
    shift
    if env "$@" >"$out/log" 2>&1; then
        echo "ok   small_limits $name: $(tail -n 1 "$out/log")"
    else
        cat "$out/log"
        echo "FAIL small_limits $name"
        failed=1
    fi
}

random_programs() { # random_programs NAME VARIABLE=VALUE
    run "programs $1" "$2" "$tests/programs" --helper "$tests/insn_native" --seed "$seed" --count "$cases"
}

random_code() { # random_code NAME VARIABLE=VALUE [OPTION]
    run "random code $1" "$2" "$tests/fuzz_engine" --seed "$seed" --seconds "$seconds" --corpus "$tests/guest.elf" $3
}

test_guest() { # test_guest NAME VARIABLE=VALUE
    run "test guest $1" "$2" timeout 120 "$BUILD/vswitch-guest" --name small --run-dir "$out/run" --memory 64 \
        --kernel "$tests/guest.elf" --debug-exit --console stdio --state-dir "$out/state" \
        --nic model=e1000 --nic model=rtl8029 --nic model=ne2000,slot=8,io=0x300,speed=10
}

random_programs as_users_run_them PROGRAMS=1
random_programs bare X86VM_EAGER_BARE=1
random_programs jump_maps X86VM_EAGER_JUMPS=1
random_programs jump_caches X86VM_EAGER_CACHES=1
random_programs in_window X86VM_EAGER_WINDOW=1
random_programs moved X86VM_CHECK_MOVES=1
run "instructions bare" X86VM_EAGER_BARE=1 "$tests/insn_test" --helper "$tests/insn_native" --seed "$seed" --count $((cases * 300))
run "instructions in_window" X86VM_EAGER_WINDOW=1 "$tests/insn_test" --helper "$tests/insn_native" --seed "$seed" --count $((cases * 300))
random_code as_users_run_it FUZZ=1
random_code jump_maps X86VM_EAGER_JUMPS=1
random_code "bare, windows compared" X86VM_EAGER_BARE=1 --check-windows
test_guest bare X86VM_EAGER_BARE=1
test_guest jump_maps X86VM_EAGER_JUMPS=1
test_guest in_window X86VM_EAGER_WINDOW=1
exit $failed
