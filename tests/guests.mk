# SPDX-License-Identifier: BSD-2-Clause
# The test guest: a multiboot image of our own that exercises one thing at a time.

GUEST_IMAGE   := $(BUILD)/tests/guest.elf
GUEST_SOURCES := $(sort $(wildcard tests/guests/*.c))
GUEST_OBJS    := $(patsubst tests/guests/%.c,$(BUILD)/guests/%.o,$(GUEST_SOURCES)) $(BUILD)/guests/boot.o
GUEST_CFLAGS  := -m32 -march=i686 -std=gnu11 -O1 -g0 -ffreestanding -fno-pie -fno-stack-protector -fno-builtin \
                 -fno-asynchronous-unwind-tables -fcf-protection=none -mgeneral-regs-only -fno-reorder-functions \
                 -fno-toplevel-reorder -fno-inline-functions -fno-ipa-cp -Wall -Wextra -Werror -Wshadow

$(BUILD)/guests/%.o: tests/guests/%.c tests/guests/guest.h
	@mkdir -p $(@D)
	$(CC) $(GUEST_CFLAGS) -c -o $@ $<
$(BUILD)/guests/boot.o: tests/guests/boot.S
	@mkdir -p $(@D)
	$(CC) -m32 -c -o $@ $<
$(GUEST_IMAGE): $(GUEST_OBJS) tests/guests/guest.ld
	@mkdir -p $(@D)
	$(CC) -m32 -nostdlib -static -no-pie -Wl,--build-id=none -Wl,-T,tests/guests/guest.ld -o $@ $(GUEST_OBJS) -lgcc

.PHONY: guest-image guest-qemu
guest-image: $(GUEST_IMAGE)
guest-qemu: $(GUEST_IMAGE) ## runs the test guest under QEMU, the second opinion
	@timeout 60 qemu-system-i386 -accel tcg -cpu qemu32,+nx,+ssse3,+sse4.1,+sse4.2,+popcnt -m 64 -display none -serial stdio -no-reboot \
	    -nic user,model=e1000 -nic user,model=ne2k_pci -device isa-debug-exit,iobase=0xf4 -kernel $(GUEST_IMAGE) $(if $(ONLY),-append only=$(ONLY)) \
	    </dev/null; [ $$? -eq 1 ]

.PHONY: guest-bochs
guest-bochs: $(GUEST_IMAGE) ## the test guest on Bochs, which checks what QEMU leaves out
	@BUILD="$(BUILD)" sh tests/guests/bochs.sh
check-long: guest-bochs
