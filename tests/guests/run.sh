#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Runs the test guest (tests/guests) on our engine and under QEMU and reports each
# of its tests: "ok   engine NAME", "ok   qemu NAME". One line a failed check.
set -u
build=${BUILD:-build}
image=$build/tests/guest.elf
${MAKE:-make} -s BUILD="$build" guest-image || { echo "FAIL engine image does not build"; exit 1; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
failed=0

report() { # report WHO FILE: turns the guest's lines into ours
    tr -d '\r' <"$2" | awk -v who="$1" '
        /^[a-z0-9_]+\.[a-z0-9_]+: .*ok$/ { sub(/:.*/, "", $1); print "ok   " who " " $1; next }
        /: left out/ { next }
        /^[a-z0-9_]+\.[a-z0-9_]+: / { sub(/:.*/, "", $1); name = $1; if ($2 == "FAIL") { print "FAIL " who " " name; next }
                                       detail = $0; sub(/^[^:]*: */, "", detail); print "     " detail; open = name; next }
        /^FAIL$/ { print "FAIL " who " " open; next }
        /^guest: all ok/ { whole = 1 }
        /^guest: FAILED/ { whole = 1 }
        /^  tests/ || /^unexpected/ { print "     " $0 }
        END { if (!whole) print "FAIL " who " the guest did not end (last test: " name open ")" }'
}

sums() { tr -d '\r' <"$1" | grep '^random16\.'; }

on_engine() { # on_engine WHO OPTION…
    who=$1
    shift
    timeout 120 "$build/vswitch-guest" --name check --run-dir "$out/run" --memory 64 --kernel "$image" --debug-exit \
        --console stdio "$@" >"$out/engine" 2>"$out/engine.err" </dev/null
    report "$who" "$out/engine" >"$out/engine.report"
    sums "$out/engine" >"$out/sums.$who"
    cat "$out/engine.report"
    if grep -q ^FAIL "$out/engine.report"; then failed=1; tail -n 5 "$out/engine.err" | sed 's/^/     /'; fi
}

if [ -x "$build/vswitch-guest" ]; then
    nics="--nic model=e1000 --nic model=rtl8029 --nic model=ne2000,slot=8,io=0x300,speed=10 --state-dir $out/state"
    # shellcheck disable=SC2086
    on_engine engine $nics
    # shellcheck disable=SC2086
    on_engine engine_again $nics --append only=ne
    if [ "$(od -An -tx1 -j64 -N2 "$out"/state/nic1-rtl8029-*)" = " 02 00" ]; then # the word that ne_eeprom counts in
        echo "ok   engine the EEPROM outlives its guest"
    else
        echo "FAIL engine the EEPROM outlives its guest"; failed=1
    fi
    export X86VM_NO_SSE3=1 # as on a host whose CPU ends at SSE2
    on_engine engine_without_sse3 --append only=sse
    unset X86VM_NO_SSE3
    export X86VM_EAGER_BARE=1 # every page without checks that may be
    on_engine engine_bare $nics
    unset X86VM_EAGER_BARE
    export X86VM_EAGER_JUMPS=1 # the same, and every indirect jump through a map
    on_engine engine_jumps $nics
    unset X86VM_EAGER_JUMPS
    export X86VM_EAGER_CACHES=1 # every indirect jump compares with where it went last
    on_engine engine_caches $nics
    unset X86VM_EAGER_CACHES
    export X86VM_EAGER_WINDOW=1 # every page in the window that its checks are for, none without
    on_engine engine_window $nics
    unset X86VM_EAGER_WINDOW
    export X86VM_CHECK_MOVES=1 # blocks that could be copied are made, too, and compared
    on_engine engine_moves --append "only=moves only=returns only=smc only=ring only=fpu only=x87_pointers only=pc_calls"
    export X86VM_EAGER_BARE=1 # and jumps without guards in what is copied
    on_engine engine_moves_bare --append "only=moves only=pc_calls"
    unset X86VM_EAGER_BARE X86VM_CHECK_MOVES
else
    echo "FAIL engine vswitch-guest is not built"
    failed=1
fi
if command -v qemu-system-i386 >/dev/null; then
    timeout 60 qemu-system-i386 -accel tcg -cpu qemu32,+nx,+ssse3,+sse4.1,+sse4.2,+popcnt -m 64 -display none -serial stdio -no-reboot -nic user,model=e1000 -nic user,model=ne2k_pci \
        -netdev user,id=isa -device ne2k_isa,netdev=isa,iobase=0x300,irq=9 \
        -device isa-debug-exit,iobase=0xf4 -kernel "$image" >"$out/qemu" 2>"$out/qemu.err" </dev/null
    report qemu "$out/qemu" >"$out/qemu.report"
    cat "$out/qemu.report"
    for engine in engine engine_bare engine_jumps engine_window; do # what random code leaves
        if [ -s "$out/sums.$engine" ] && sums "$out/qemu" | cmp -s - "$out/sums.$engine"; then
            echo "ok   $engine as qemu: random 16-bit code"
        else
            echo "FAIL $engine as qemu: random 16-bit code"; failed=1
        fi
    done
    ! grep -q ^FAIL "$out/qemu.report" || failed=1
else
    echo "skip qemu is not installed"
fi
exit $failed
