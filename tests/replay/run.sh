#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# Recordings: the test guest and a small one are recorded and replayed to the same
# end; the small one's recording shows no difference to Unicorn; engines that
# translate wrongly on purpose are found out, by the name of the instruction.
set -u
build=${BUILD:-build}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
failed=0

ok() { echo "ok   replay $1"; }
fail() { # fail NAME [FILE]: with the file's last lines
    echo "FAIL replay $1"
    [ -z "${2:-}" ] || tail -n 5 "$2" | cut -c1-200 | sed 's/^/     /'
    failed=1
}

record() { # record NAME IMAGE OPTION...
    name=$1 image=$2
    shift 2
    timeout 100 "$build/vswitch-guest" --name check --run-dir "$out/run" --memory 64 --kernel "$image" --console stdio \
        --record "$out/$name" "$@" >"$out/$name.recorded" 2>"$out/$name.log" </dev/null
}

replay() { # replay NAME: same console, same end
    timeout 100 "$build/vswitch-guest" --replay "$out/$1" >"$out/$1.replayed" 2>"$out/$1.log" &&
        grep -q 'the recorded end' "$out/$1.log" && cmp -s "$out/$1.recorded" "$out/$1.replayed" && [ -s "$out/$1.recorded" ]
}

# Its own tests are one thing (some depend on the time, and fail where the host has none left),
# what the replay makes of the recording another.
record guest "$build/tests/guest.elf" --debug-exit --nic model=e1000 --nic model=rtl8029 --nic model=ne2000,slot=8,io=0x300,speed=10
status=$?
if [ $status -eq 0 ] && grep -q '^guest: all ok' "$out/guest.recorded"; then
    ok "the test guest's tests pass while it is recorded"
else
    fail "the test guest's tests pass while it is recorded (status $status)" "$out/guest.log"
    grep -B 2 FAIL "$out/guest.recorded" | sed 's/^/     /'
    tail -n 1 "$out/guest.recorded" | sed 's/^/     last word: /'
fi
if replay guest; then
    ok "the test guest runs again to the same end"
else
    fail "the test guest runs again to the same end" "$out/guest.log"
    cmp "$out/guest.recorded" "$out/guest.replayed" 2>&1 | sed 's/^/     /'
    ls -l "$out/guest" "$out/guest.recorded" "$out/guest.replayed" | sed 's/^/     /'
fi
if record small "$build/tests/replay_guest.elf" --memory 16 && replay small; then
    ok "interrupted computing runs again to the same end"
else
    fail "interrupted computing runs again to the same end" "$out/small.log"
fi

# A recording that lost its end is replayed as far as it goes; one that is none is refused.
head -c -40 "$out/small" >"$out/cut"
timeout 100 "$build/vswitch-guest" --replay "$out/cut" >/dev/null 2>"$out/cut.log"
if [ $? -eq 0 ] && grep -q 'was cut off' "$out/cut.log"; then ok "a cut recording"; else fail "a cut recording" "$out/cut.log"; fi
timeout 100 "$build/vswitch-guest" --replay "$0" >/dev/null 2>"$out/none.log"
if [ $? -eq 1 ] && grep -q 'not a recording' "$out/none.log"; then ok "what is no recording"; else fail "what is no recording" "$out/none.log"; fi

# The guest gets something else than was recorded: the replay says so. The last port
# writes of the recording are its console's; one byte of them is changed.
python3 - "$out/small" "$out/other" <<'END'
import sys
data = bytearray(open(sys.argv[1], "rb").read())
at = data.rindex(b"\x02\xf8\x03\x01\x01\x00")
data[at + 6] ^= 1
open(sys.argv[2], "wb").write(data)
END
timeout 100 "$build/vswitch-guest" --replay "$out/other" >/dev/null 2>"$out/other.log"
if [ $? -eq 5 ] && grep -q 'another way than recorded.*port write at 3f8' "$out/other.log"; then
    ok "a replay that goes another way says where"
else
    fail "a replay that goes another way says where" "$out/other.log"
fi

if ! [ -e /usr/lib/x86_64-linux-gnu/libunicorn.so.2 ] && ! ldconfig -p 2>/dev/null | grep -q libunicorn.so.2; then
    echo "skip replay compare libunicorn2 is not installed"
    exit $failed
fi
if timeout 100 "$build/tests/diverge" "$out/small" --every 200000 --quiet >"$out/compare" 2>&1; then
    ok "no difference to Unicorn ($(sed -n 's/^to the end: \([0-9]*\) steps.*/\1/p' "$out/compare") steps)"
else
    fail "no difference to Unicorn" "$out/compare"
fi

number_of() { # the number of a mutation, from the list of them
    sed -n '/^enum mutation {/,/};/p' tests/insn/mutate.c | tr -d ' \n' | sed 's/.*{//; s/}.*//' | tr ',' '\n' | awk -v name="$1" '$0 == name { print NR - 1 }'
}

# mutation of tests/insn/mutate.c, and the instruction of tests/replay/guest.c that shows it first. Nobody in it reads the
# flag that the last one spoils. All pages have checks: which ones go without is a matter of the host's time.
while read -r mutation instruction; do
    X86VM_NO_BARE=1 INSN_MUTATION=$(number_of "$mutation") timeout 100 "$build/tests/diverge_mutant" "$out/small" --every 200000 --quiet >"$out/mutant" 2>&1
    if [ $? -eq 1 ] && grep -Eq "^instruction .*  $instruction" "$out/mutant"; then
        ok "mutation $mutation is found at: $(sed -n 's/^instruction [^ ]*  [0-9a-f ]*  *//p' "$out/mutant")"
    else
        fail "mutation $mutation is found at: $instruction" "$out/mutant"
    fi
done <<END
REG_LOSES_66 rol ax, 0x03
NO_16_BIT_WRAP add eax, \[si\+0x20\]
CONDITION jp
BIT_OFFSET_UNSIGNED btc \[edi\+0x200\], edx
MEM_LOSES_66 mov word ptr
IMMEDIATE_BYTES mov esp, 0x107000
REG_REGISTERS mov edx, eax
LIVE_FLAGS_KILLED (psignw|mov|add|cmp) .*\[
LEA_FLIPS_CARRY lea 
END
exit $failed
