#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Every mutation of the emitter (tests/insn/mutate.c) must be caught by the
# oracle within twenty thousand sequences.
# usage: mutants.sh INSN_MUTANT INSN_NATIVE
mutant=$1 native=$2
. "$(dirname "$0")/../mutants.sh"

for way in X86VM_EAGER_WINDOW X86VM_EAGER_BARE; do
    env $way=1 "$mutant" --helper "$native" --count 20000 >/dev/null || { echo "FAIL the oracle differs without any mutation, $way"; exit 1; }
done

# The hot path, not the addends; the mutations of bare accesses are the last two.
with_mutation() { # with_mutation NUMBER
    way=X86VM_EAGER_WINDOW
    [ "$1" -le 17 ] || way=X86VM_EAGER_BARE
    env $way=1 INSN_MUTATION="$1" timeout 120 "$mutant" --helper "$native" --count 20000 --max-failures 1 --no-minimize >/dev/null 2>&1
}
try_mutations with_mutation || { echo "FAIL mutations that the oracle did not catch:$survived"; exit 1; }
echo "ok   $tried mutations of the emitter are caught"
