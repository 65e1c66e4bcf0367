#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Every mutation of the emitter (tests/insn/mutate.c) must be caught by the
# oracle within a twenty thousand sequences.
# usage: mutants.sh INSN_MUTANT INSN_NATIVE
mutant=$1 native=$2 survived= number=1
for way in X86VM_EAGER_WINDOW X86VM_EAGER_BARE; do
    env $way=1 "$mutant" --helper "$native" --count 20000 >/dev/null || { echo "the oracle fails without any mutation, $way"; exit 1; }
done
while :; do
    # The hot path, not the addends; the mutations of bare accesses are the last two.
    way=X86VM_EAGER_WINDOW
    [ $number -le 19 ] || way=X86VM_EAGER_BARE
    env $way=1 INSN_MUTATION=$number timeout 120 "$mutant" --helper "$native" --count 20000 --max-failures 1 --no-minimize >/dev/null 2>&1
    case $? in
    0) survived="$survived $number" ;;
    77) break ;;
    esac
    number=$((number + 1))
done
[ -z "$survived" ] || { echo "mutations that the oracle did not catch:$survived"; exit 1; }
echo "ok   $((number - 1)) mutations of the emitter are caught"
