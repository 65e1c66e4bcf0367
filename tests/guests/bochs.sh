#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# The test guest (tests/guests) on Bochs, an interpreter that checks what QEMU leaves out:
# limits, rights, alignment, breakpoints, PAE's top entries. "ok   bochs NAME" a test; what it
# does otherwise is listed below, and must be different. GRUB starts the guest from a CD.
set -u
build=${BUILD:-build}
image=$build/tests/guest.elf
groups="cpu string fault segment shadow paging ring smc fpu x87_pointers debug checks sensitive flags v86 sse returns stale alias moves gates tasks limits watch pae double"
# TEST and reason
differences='smc.next_by_each_store runs on in what it decoded before the store
smc.across_pages looks at the first page of an instruction alone
smc.user_across_pages looks at the first page of an instruction alone
returns.remapped looks at the first page of an instruction alone
x87_pointers.at_fault_of_store takes an FSTP that faults for executed
debug.watch_stack_segment_interrupt drops the trap that MOV SS has put off
limits.up leaves the first eight bytes of an FSTP m80 that faults
limits.down leaves the first eight bytes of an FSTP m80 that faults
limits.code_end tells EIP behind an instruction that the limit cuts off
watch.interrupted_repeat lets the breakpoint come again
watch.whole_state loads x87 registers without what is between them
fpu.whole_operand looks at what it writes only'

for program in bochs grub-mkrescue xorriso; do
    command -v $program >/dev/null || { echo "skip bochs: $program is not installed"; exit 0; }
done
${MAKE:-make} -s BUILD="$build" guest-image || { echo "FAIL bochs image does not build"; exit 1; }
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT

mkdir -p "$out/cd/boot/grub"
cp "$image" "$out/cd/boot/guest.elf"
{
    echo "multiboot /boot/guest.elf $(for g in $groups; do printf 'only=%s ' "$g"; done)"
    echo boot
} >"$out/cd/boot/grub/grub.cfg"
grub-mkrescue -d /usr/lib/grub/i386-pc -o "$out/cd.iso" "$out/cd" >"$out/grub.log" 2>&1 || { cat "$out/grub.log"; echo "FAIL bochs: no CD"; exit 1; }
cat >"$out/bochsrc" <<EOF
config_interface: textconfig
display_library: rfb, options="timeout=0"
romimage: file=/usr/share/bochs/BIOS-bochs-legacy
vgaromimage: file=/usr/share/vgabios/vgabios.bin
megs: 64
boot: cdrom
ata0-master: type=cdrom, path=$out/cd.iso, status=inserted
com1: enabled=1, mode=file, dev=$out/serial
cpu: model=corei5_lynnfield_750, ips=50000000, reset_on_triple_fault=0
plugin_ctrl: sb16=0, es1370=0, speaker=0
log: $out/log
EOF
echo continue >"$out/commands"

# It runs on after the guest's last word.
timeout 120 bochs -q -f "$out/bochsrc" -rc "$out/commands" >"$out/console" 2>&1 </dev/null &
bochs=$!
while kill -0 $bochs 2>/dev/null && ! grep -q '^guest: \(all\|FAIL\)' "$out/serial" 2>/dev/null; do sleep 0.5; done
kill $bochs 2>/dev/null
wait $bochs 2>/dev/null

tr -d '\r' <"$out/serial" | DIFFERENCES="$differences" awk '
    BEGIN { n = split(ENVIRON["DIFFERENCES"], rows, "\n"); for (i = 1; i <= n; i++) { name = rows[i]; sub(/ .*/, "", name); reason[name] = substr(rows[i], length(name) + 2) } }
    function end(name, passed) {
        if (name in reason) {
            print (passed ? "FAIL bochs " name " differs no more: " : "ok   bochs " name " is another: ") reason[name]
            failed += passed; delete reason[name]
        } else { print (passed ? "ok   bochs " : "FAIL bochs ") name; failed += !passed }
    }
    /^[a-z0-9_]+\.[a-z0-9_]+: /  { name = $1; sub(/:$/, "", name); if ($NF == "ok") { end(name, 1); next } if ($2 == "FAIL") { end(name, 0); next } print "     " $0; next }
    /^FAIL$/ { end(name, 0); next }
    /^guest: (all|FAILED)/ { whole = 1; next }
    { print "     " $0 }
    END { for (name in reason) { print "FAIL bochs " name " did not run"; failed++ } if (!whole) { print "FAIL bochs: the guest did not end"; failed++ } exit failed > 0 }'
