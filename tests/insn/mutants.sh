#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Every mutation of the emitter (tests/insn/mutate.c) must be caught by the
# oracle within a twenty thousand sequences.
# usage: mutants.sh INSN_MUTANT INSN_NATIVE
mutant=$1 native=$2 survived= number=1
export X86VM_EAGER_WINDOW=1 # the hot path, not the addends
"$mutant" --helper "$native" --count 20000 >/dev/null || { echo "the oracle fails without any mutation"; exit 1; }
while :; do
    INSN_MUTATION=$number timeout 120 "$mutant" --helper "$native" --count 20000 --max-failures 1 --no-minimize >/dev/null 2>&1
    case $? in
    0) survived="$survived $number" ;;
    77) break ;;
    esac
    number=$((number + 1))
done
[ -z "$survived" ] || { echo "mutations that the oracle did not catch:$survived"; exit 1; }
echo "ok   $((number - 1)) mutations of the emitter are caught"
