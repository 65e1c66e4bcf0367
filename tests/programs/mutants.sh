#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
# Mutations of tests/programs/mutate.c must make a difference within some programs:
# the first ones of the list soon, all of them at length.
# usage: mutants.sh PROGRAMS_MUTANT INSN_NATIVE CASES [LAST]
mutant=$1 native=$2 cases=$3 last=${4:-}
. "$(dirname "$0")/../mutants.sh"
export X86VM_EAGER_JUMPS=1

"$mutant" --helper "$native" --count 10 >/dev/null || { echo "FAIL programs differ without any mutation"; exit 1; }
with_mutation() { # with_mutation NUMBER
    PROGRAMS_MUTATION="$1" timeout 300 "$mutant" --helper "$native" --count "$cases" --max-failures 1 >/dev/null 2>&1
}
try_mutations with_mutation "$last" || { echo "FAIL mutations that no program showed:$survived"; exit 1; }
echo "ok   programs show $tried mutations of the engine"
